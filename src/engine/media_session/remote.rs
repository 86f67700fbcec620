//! What other participants send: decoders, the mixer's tracks, lip sync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signaling_protocol::PeerId;
use tokio::sync::mpsc;

use super::MediaSession;
use super::event::MediaEvent;
use crate::clock;
use crate::engine::frames::{FrameKey, FrameLookup};
use crate::engine::view::{PeerView, ScreenPicture};
use crate::media::encoded::TrackKind;
use crate::media::frame::VideoFrame;
use crate::media::playout::Playout;
use crate::media::receive::sync::{LipSync, Presented};
use crate::media::receive::video::{VideoHooks, VideoReceive};
use crate::media::stats::AudioReceiveStats;
use crate::media::{RemotePacket, SenderReport};

/// The media of one other participant.
pub struct Remote {
    pub video: Option<VideoReceive>,
    pub screen: Option<VideoReceive>,
    sync: LipSync,
    screen_sync: LipSync,
}

impl Default for Remote {
    fn default() -> Self {
        Self {
            video: None,
            screen: None,
            sync: LipSync::new(TrackKind::Audio, TrackKind::Video),
            screen_sync: LipSync::new(TrackKind::ScreenSound, TrackKind::Screen),
        }
    }
}

/// What the sound of a participant's screen is called in the mixer; their voice has their own name.
pub fn sound_of_screen(peer: &PeerId) -> String {
    format!("{peer}{SOUND_OF_SCREEN}")
}

/// Whether a track of the mixer is the sound of a screen.
pub fn is_sound_of_screen(track: &str) -> bool {
    track.ends_with(SOUND_OF_SCREEN)
}

/// No name of a participant has a space.
const SOUND_OF_SCREEN: &str = " screen";

/// A screen with fewer pictures than this is read: its last picture says nothing about its sound.
const MOVING: f64 = 10.0;

impl MediaSession {
    /// A participant began to send.
    pub fn add_track(&mut self, peer: &PeerId, kind: TrackKind, packets: mpsc::Receiver<RemotePacket>) {
        match kind {
            TrackKind::Video => self.add_video(peer, packets),
            TrackKind::Audio => self.add_sound(peer, peer.as_str(), packets),
            TrackKind::Screen => self.add_screen(peer, packets),
            TrackKind::ScreenSound => self.add_sound(peer, &sound_of_screen(peer), packets),
        }
    }

    fn add_video(&mut self, peer: &PeerId, packets: mpsc::Receiver<RemotePacket>) {
        let (frames, key) = (self.frames.clone(), FrameKey::Remote(peer.clone()));
        let (events, first) = (self.events.clone(), AtomicBool::new(true));
        let on_frame = move |frame| {
            frames.put(&key, frame);
            if first.swap(false, Ordering::Relaxed) {
                events.try_send(MediaEvent::FirstFrame(clock::now())).ok();
            }
        };
        let hooks = self.hooks(peer, TrackKind::Video, on_frame);
        match VideoReceive::spawn(peer.as_str(), packets, hooks) {
            Ok(receive) => self.remotes.entry(peer.clone()).or_default().video = Some(receive),
            Err(error) => tracing::error!(%error, "the video decoder cannot start"),
        }
    }

    fn add_screen(&mut self, peer: &PeerId, packets: mpsc::Receiver<RemotePacket>) {
        let (frames, key) = (self.frames.clone(), FrameKey::Screen(peer.clone()));
        let events = self.events.clone();
        let on_frame = move |frame| {
            if frames.put(&key, frame) {
                events.try_send(MediaEvent::FirstScreen(clock::now())).ok();
            }
        };
        let hooks = self.hooks(peer, TrackKind::Screen, on_frame);
        match VideoReceive::spawn(&format!("{peer}-screen"), packets, hooks) {
            Ok(receive) => self.remotes.entry(peer.clone()).or_default().screen = Some(receive),
            Err(error) => tracing::error!(%error, "the decoder of a screen cannot start"),
        }
    }

    fn hooks(
        &self,
        peer: &PeerId,
        kind: TrackKind,
        on_frame: impl Fn(VideoFrame) + Send + 'static,
    ) -> VideoHooks {
        let (needs, who) = (self.events.clone(), peer.clone());
        VideoHooks {
            on_frame: Box::new(on_frame),
            // When the engine is too busy to hear it, the decoder asks again.
            on_keyframe_wanted: Box::new(move || {
                needs.try_send(MediaEvent::KeyframeNeeded(who.clone(), kind)).unwrap_or(())
            }),
        }
    }

    /// Forgets the picture of a screen that is not shared any more, so that the next share does not begin
    /// with it.
    pub(super) fn forget_ended_screen(&self, peer: &PeerView) {
        if !peer.media.screen {
            self.frames.remove(&FrameKey::Screen(peer.peer.clone()));
        }
    }

    /// A participant's screen, if there is a picture of it.
    pub(super) fn remote_screen(&self, peer: &PeerView) -> Option<ScreenPicture> {
        let frame = self.frames.frame(&FrameKey::Screen(peer.peer.clone()))?;
        let stats = self.remotes.get(&peer.peer)?.screen.as_ref()?.stats();
        Some(ScreenPicture { codec: stats.codec?, resolution: frame.resolution(), fps: stats.fps.round() })
    }

    fn add_sound(&mut self, peer: &PeerId, track: &str, packets: mpsc::Receiver<RemotePacket>) {
        let Some(playout) = &self.playout else { return };
        playout.add_track(track, packets);
        self.remotes.entry(peer.clone()).or_default();
    }

    /// A sender report maps one of a participant's RTP clocks to its wall clock.
    pub fn on_sender_report(&mut self, peer: &PeerId, report: SenderReport) {
        if let Some(remote) = self.remotes.get_mut(peer) {
            remote.sync.report(report);
            remote.screen_sync.report(report);
        }
    }

    /// Moves lips and voice together; called a few times a second.
    pub fn synchronise(&mut self) {
        let Some(playout) = &self.playout else { return };
        for (peer, remote) in &mut self.remotes {
            if let Some(video) = &remote.video {
                together(playout, peer.as_str(), video, &mut remote.sync);
            }
            if let Some(screen) = remote.screen.as_ref().filter(|screen| screen.stats().fps >= MOVING) {
                together(playout, &sound_of_screen(peer), screen, &mut remote.screen_sync);
            }
        }
    }

    /// What is counted of a track in the mixer.
    pub(super) fn heard(&self, track: &str) -> Option<AudioReceiveStats> {
        self.playout.as_ref()?.track(track).map(|track| track.stats())
    }

    /// The round trip of a participant's path: how long a repeated packet is worth waiting for.
    pub fn set_round_trip(&self, peer: &PeerId, round_trip: Duration) {
        let Some(remote) = self.remotes.get(peer) else { return };
        for pictures in [&remote.video, &remote.screen].into_iter().flatten() {
            pictures.set_round_trip(round_trip);
        }
    }

    /// A participant left.
    pub fn remove_peer(&mut self, peer: &PeerId) {
        self.remotes.remove(peer);
        if let Some(playout) = &self.playout {
            playout.remove_track(peer.as_str());
            playout.remove_track(&sound_of_screen(peer));
        }
        self.frames.remove(&FrameKey::Remote(peer.clone()));
        self.frames.remove(&FrameKey::Screen(peer.clone()));
        self.forget_screen_reach(peer);
    }
}

/// Delays a sound or its picture, whichever comes too early.
fn together(playout: &Playout, track: &str, pictures: &VideoReceive, sync: &mut LipSync) {
    let (Some(heard), Some(seen)) = (playout.presented(track), pictures.shown()) else { return };
    let extra = sync.update(heard, Presented { rtp: seen.timestamp, at: seen.at });
    playout.set_extra_delay(track, extra.audio);
    pictures.set_playout_delay(extra.video);
}
