//! Our tracks in one connection, and what descriptions have settled about them.
//!
//! Microphone and camera are there from the beginning. The screen and its sound come and go; their
//! sections stay, so that they can come again, from either side.

use std::sync::Arc;

use ::rtc::media_stream::MediaStreamTrack;
use ::rtc::rtp_transceiver::RTCRtpTransceiverDirection;
use ::rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters};
use ::webrtc::error::Error;
use ::webrtc::media_stream::track_local::TrackLocal;
use ::webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use ::webrtc::peer_connection::PeerConnection;
use ::webrtc::rtp_transceiver::RtpSender;
use tokio::sync::Mutex;

use super::codecs;
use crate::media::encoded::{Codec, TrackKind, VideoCodec};
use crate::rtc::engine::ScreenTrack;
use crate::rtc::sdp;

/// One of our tracks.
pub struct LocalTrack {
    /// What it is called on the wire.
    pub ssrc: u32,
    /// The crate's.
    pub track: Arc<TrackLocalStaticRTP>,
}

impl LocalTrack {
    /// A track that is in no connection yet.
    pub fn new(kind: TrackKind, ssrc: u32) -> Self {
        // A screen is described as VP8, which is always agreed upon; that VP9 is preferred is said of
        // its section. Either has the same feedback.
        // A browser keeps in step what is of one stream, and no more than one sound with one picture.
        let (stream, name, codec) = match kind {
            TrackKind::Audio => ("sightline", "audio", Codec::Opus),
            TrackKind::Video => ("sightline", "video", Codec::Vp8),
            TrackKind::Screen => ("sightline-screen", sdp::SCREEN, Codec::Vp8),
            TrackKind::ScreenSound => ("sightline-screen", sdp::SCREEN_SOUND, Codec::Opus),
        };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: codecs::describe(codec),
            ..Default::default()
        };
        let track = MediaStreamTrack::new(
            stream.to_owned(),
            name.to_owned(),
            name.to_owned(),
            codecs::kind(codec),
            vec![encoding],
        );
        Self { ssrc, track: Arc::new(TrackLocalStaticRTP::new(track)) }
    }
}

/// What descriptions have settled.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Whether the other side has described itself.
    pub described: bool,
    /// Our part in DTLS, once an answer has said so; it holds for the connection's life.
    pub role: Option<sdp::Setup>,
    /// Payload type of Opus.
    pub audio: u8,
    /// Payload type of VP8, for the camera.
    pub video: u8,
    /// What the screen may be encoded with, the best first, and the payload types.
    pub screen: Vec<(VideoCodec, u8)>,
    /// How it stands with the screen.
    pub screen_track: ScreenTrack,
    /// The screen's sound is in the connection.
    pub has_screen_sound: bool,
    /// Its payload type, while the other side takes it.
    pub screen_sound: Option<u8>,
    /// Our tracks are not what the descriptions say.
    pub stale: bool,
}

impl Default for Settled {
    fn default() -> Self {
        Self {
            described: false,
            role: None,
            audio: codecs::OPUS,
            video: codecs::VP8,
            screen: Vec::new(),
            screen_track: ScreenTrack::Absent,
            has_screen_sound: false,
            screen_sound: None,
            stale: false,
        }
    }
}

impl Settled {
    /// Learns from an exchange that has ended: what they wrote, and what we wrote.
    pub fn learn(&mut self, theirs: &str, ours: &str) {
        self.described = true;
        for (codec, slot) in [(Codec::Opus, &mut self.audio), (Codec::Vp8, &mut self.video)] {
            if let Some(payload_type) = sdp::payload_type(theirs, codecs::name(codec)) {
                *slot = payload_type;
            }
        }
        self.screen = agreed(theirs, ours);
        self.screen_sound = both(theirs, ours, sdp::SCREEN_SOUND)
            .and_then(|(theirs, _)| theirs.payload_type(codecs::name(Codec::Opus)));
        let accepted = || sdp::sections(ours).filter(sdp::Section::is_accepted);
        let named = |name| accepted().any(|section| section.track() == Some(name));
        let has_screen = self.screen_track != ScreenTrack::Absent;
        let screen_is_stale = has_screen != named(sdp::SCREEN);
        self.stale = screen_is_stale || self.has_screen_sound != named(sdp::SCREEN_SOUND);
        if has_screen {
            self.screen_track = match (screen_is_stale, self.screen.first()) {
                (true, _) => ScreenTrack::Offered,
                (false, Some((codec, _))) => ScreenTrack::Sent(*codec),
                (false, None) => ScreenTrack::Refused,
            };
        }
    }

    /// A track that is shared was put into the connection or taken out; nobody knows of it yet.
    pub fn share(&mut self, kind: TrackKind, shared: bool) {
        self.stale = true;
        match kind {
            TrackKind::Screen => {
                self.screen_track = if shared { ScreenTrack::Offered } else { ScreenTrack::Absent };
                if !shared {
                    self.screen.clear();
                }
            }
            TrackKind::ScreenSound => {
                self.has_screen_sound = shared;
                self.screen_sound = None;
            }
            TrackKind::Audio | TrackKind::Video => {}
        }
    }

    /// The payload type of a packet.
    pub fn payload_type(&self, kind: TrackKind, codec: Codec) -> Option<u8> {
        match kind {
            TrackKind::Audio => Some(self.audio),
            TrackKind::Video => Some(self.video),
            TrackKind::ScreenSound => self.screen_sound,
            TrackKind::Screen => {
                let agreed = self.screen.iter().find(|(agreed, _)| Codec::from(*agreed) == codec);
                agreed.map(|(_, number)| *number)
            }
        }
    }
}

/// The codecs for our screen that both descriptions name in its section, with their payload types;
/// none, if the other side does not receive there.
fn agreed(theirs: &str, ours: &str) -> Vec<(VideoCodec, u8)> {
    let Some((theirs, ours)) = both(theirs, ours, sdp::SCREEN) else { return Vec::new() };
    let both = |codec: VideoCodec| {
        let name = codecs::name(codec.into());
        ours.payload_type(name)?;
        theirs.payload_type(name).map(|number| (codec, number))
    };
    codecs::FOR_SCREENS.into_iter().filter_map(both).collect()
}

/// The section of a track of ours in both descriptions, if we send and they receive there.
fn both<'a>(theirs: &'a str, ours: &'a str, track: &str) -> Option<(sdp::Section<'a>, sdp::Section<'a>)> {
    let ours = sdp::sections(ours).find(|section| section.track() == Some(track) && section.sends())?;
    let taken = |section: &sdp::Section| section.mid() == ours.mid() && section.receives();
    let theirs = sdp::sections(theirs).filter(sdp::Section::is_accepted).find(taken)?;
    Some((theirs, ours))
}

/// A track that comes and goes.
pub struct SharedTrack {
    /// Which.
    pub kind: TrackKind,
    /// What it is while it is there.
    pub track: LocalTrack,
    /// While it is in the connection.
    sender: Mutex<Option<Arc<dyn RtpSender>>>,
}

impl SharedTrack {
    /// One that is in no connection yet.
    pub fn new(kind: TrackKind, ssrc: u32) -> Self {
        Self { kind, track: LocalTrack::new(kind, ssrc), sender: Mutex::default() }
    }

    /// Puts it into a connection, unless it is there; says whether. `has_other`: one of ours that is sound,
    /// or pictures, as it is, is in it.
    pub async fn add(&self, pc: &dyn PeerConnection, has_other: bool) -> Result<bool, Error> {
        let mut place = self.sender.lock().await;
        if place.is_some() {
            return Ok(false);
        }
        let track: Arc<dyn TrackLocal> = self.track.track.clone();
        let sender = if has_other {
            // Takes the section of an earlier share, or of theirs: the other's has its sender.
            pc.add_track(track).await?
        } else {
            let transceiver = pc.add_transceiver_from_track(track, None).await?;
            transceiver.sender().await?.ok_or(Error::ErrRTPSenderNotExisted)?
        };
        if self.kind == TrackKind::Screen {
            prefer_vp9(pc, &*sender).await;
        }
        *place = Some(sender);
        Ok(true)
    }

    /// Takes it out, unless it is not there; says whether.
    pub async fn remove(&self, pc: &dyn PeerConnection) -> Result<bool, Error> {
        let Some(sender) = self.sender.lock().await.take() else { return Ok(false) };
        pc.remove_track(&sender).await?;
        Ok(true)
    }
}

async fn prefer_vp9(pc: &dyn PeerConnection, sender: &dyn RtpSender) {
    for transceiver in pc.get_transceivers().await {
        if sender.id() == transceiver.id().into() {
            // Refused where the other side has said that it has no VP9.
            transceiver
                .set_codec_preferences(codecs::preferences(codecs::FOR_SCREENS.map(Codec::from)))
                .await
                .ok();
        }
    }
}

/// A section that sends nothing must not be called inactive in an offer: the crate would give it up for
/// good at the other side.
pub async fn go_on_receiving(pc: &dyn PeerConnection) -> Result<(), Error> {
    for transceiver in pc.get_transceivers().await {
        if transceiver.direction().await? == RTCRtpTransceiverDirection::Inactive {
            transceiver.set_direction(RTCRtpTransceiverDirection::Recvonly).await?;
        }
    }
    Ok(())
}

/// After the first description, into which VP9 was written: the camera stays with VP8.
pub async fn keep_camera_plain(pc: &dyn PeerConnection, theirs: &str) -> Result<(), Error> {
    let camera = sdp::videos(theirs).next().and_then(|section| section.mid());
    for transceiver in pc.get_transceivers().await {
        if camera.is_some() && transceiver.mid().await?.as_deref() == camera {
            transceiver.set_codec_preferences(codecs::preferences([Codec::Vp8])).await?;
        }
    }
    Ok(())
}
