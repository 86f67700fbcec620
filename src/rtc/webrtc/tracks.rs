//! Our tracks in one connection, and what descriptions have settled about them.
//!
//! Microphone and camera are there from the beginning. The screen comes and goes; its section stays,
//! so that it can come again, from either side.

use std::sync::Arc;

use ::rtc::media_stream::MediaStreamTrack;
use ::rtc::rtp_transceiver::RTCRtpTransceiverDirection;
use ::rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters};
use ::webrtc::error::Error;
use ::webrtc::media_stream::track_local::TrackLocal;
use ::webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use ::webrtc::peer_connection::PeerConnection;
use ::webrtc::rtp_transceiver::RtpSender;

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
        let (name, codec) = match kind {
            TrackKind::Audio => ("audio", Codec::Opus),
            TrackKind::Video => ("video", Codec::Vp8),
            TrackKind::Screen => (sdp::SCREEN, Codec::Vp8),
        };
        let encoding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(ssrc), ..Default::default() },
            codec: codecs::describe(codec),
            ..Default::default()
        };
        let track = MediaStreamTrack::new(
            "sightline".to_owned(),
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
        let section = sdp::videos(ours).find(|section| section.track() == Some(sdp::SCREEN));
        self.stale = match self.screen_track {
            ScreenTrack::Absent => section.is_some(),
            ScreenTrack::Offered | ScreenTrack::Sent(_) | ScreenTrack::Refused => section.is_none(),
        };
        if self.screen_track != ScreenTrack::Absent {
            self.screen_track = match (self.stale, self.screen.first()) {
                (true, _) => ScreenTrack::Offered,
                (false, Some((codec, _))) => ScreenTrack::Sent(*codec),
                (false, None) => ScreenTrack::Refused,
            };
        }
    }

    /// The payload type of a packet.
    pub fn payload_type(&self, kind: TrackKind, codec: Codec) -> Option<u8> {
        match kind {
            TrackKind::Audio => Some(self.audio),
            TrackKind::Video => Some(self.video),
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
    let ours = sdp::videos(ours).find(|section| section.track() == Some(sdp::SCREEN) && section.sends());
    let Some(ours) = ours else { return Vec::new() };
    let theirs = sdp::videos(theirs).find(|section| section.mid() == ours.mid() && section.receives());
    let Some(theirs) = theirs else { return Vec::new() };
    let both = |codec: VideoCodec| {
        let name = codecs::name(codec.into());
        ours.payload_type(name)?;
        theirs.payload_type(name).map(|number| (codec, number))
    };
    codecs::FOR_SCREENS.into_iter().filter_map(both).collect()
}

/// Puts the screen's track into a connection; `has_camera`: one of ours is in it.
pub async fn add_screen(
    pc: &dyn PeerConnection,
    screen: &LocalTrack,
    has_camera: bool,
) -> Result<Arc<dyn RtpSender>, Error> {
    let track: Arc<dyn TrackLocal> = screen.track.clone();
    let sender = if has_camera {
        // Takes the section of an earlier share, or of theirs: the camera's has its sender.
        pc.add_track(track).await?
    } else {
        let transceiver = pc.add_transceiver_from_track(track, None).await?;
        transceiver.sender().await?.ok_or(Error::ErrRTPSenderNotExisted)?
    };
    for transceiver in pc.get_transceivers().await {
        if sender.id() == transceiver.id().into() {
            // Refused where the other side has said that it has no VP9.
            transceiver
                .set_codec_preferences(codecs::preferences(codecs::FOR_SCREENS.map(Codec::from)))
                .await
                .ok();
        }
    }
    Ok(sender)
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
