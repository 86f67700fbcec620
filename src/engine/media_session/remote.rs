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
use crate::media::receive::sync::{LipSync, Presented};
use crate::media::receive::video::{VideoHooks, VideoReceive};
use crate::media::{RemotePacket, SenderReport};

/// The media of one other participant.
#[derive(Default)]
pub struct Remote {
    pub video: Option<VideoReceive>,
    pub screen: Option<VideoReceive>,
    sync: LipSync,
}

impl MediaSession {
    /// A participant began to send.
    pub fn add_track(&mut self, peer: &PeerId, kind: TrackKind, packets: mpsc::Receiver<RemotePacket>) {
        match kind {
            TrackKind::Video => self.add_video(peer, packets),
            TrackKind::Audio => self.add_audio(peer, packets),
            TrackKind::Screen => self.add_screen(peer, packets),
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

    /// A participant's screen, while it is shared and there is a picture of it. One that is not shared
    /// any more is forgotten, so that the next share does not begin with it.
    pub(super) fn remote_screen(&self, peer: &PeerView) -> Option<ScreenPicture> {
        let key = FrameKey::Screen(peer.peer.clone());
        if !peer.media.screen {
            self.frames.remove(&key);
            return None;
        }
        let frame = self.frames.frame(&key)?;
        let stats = self.remotes.get(&peer.peer)?.screen.as_ref()?.stats();
        Some(ScreenPicture { codec: stats.codec?, resolution: frame.resolution(), fps: stats.fps.round() })
    }

    fn add_audio(&mut self, peer: &PeerId, packets: mpsc::Receiver<RemotePacket>) {
        let Some(playout) = &self.playout else { return };
        playout.add_track(peer.as_str(), packets);
        self.remotes.entry(peer.clone()).or_default();
    }

    /// A sender report maps one of a participant's RTP clocks to its wall clock.
    pub fn on_sender_report(&mut self, peer: &PeerId, report: SenderReport) {
        if let Some(remote) = self.remotes.get_mut(peer) {
            remote.sync.report(report);
        }
    }

    /// Moves lips and voice together; called a few times a second.
    pub fn synchronise(&mut self) {
        let Some(playout) = &self.playout else { return };
        for (peer, remote) in &mut self.remotes {
            let Some(video) = &remote.video else { continue };
            let (Some(heard), Some(seen)) = (playout.presented(peer.as_str()), video.shown()) else {
                continue;
            };
            let seen = Presented { rtp: seen.timestamp, at: seen.at };
            let extra = remote.sync.update(heard, seen);
            playout.set_extra_delay(peer.as_str(), extra.audio);
            video.set_playout_delay(extra.video);
        }
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
        }
        self.frames.remove(&FrameKey::Remote(peer.clone()));
        self.frames.remove(&FrameKey::Screen(peer.clone()));
        self.forget_screen_reach(peer);
    }
}
