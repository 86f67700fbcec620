//! Our screen: what gives its pictures, and the encoder behind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use signaling_protocol::PeerId;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::MediaSession;
use super::event::{Generation, MediaEvent};
use crate::engine::command::{ScreenTarget, ShareMode, Switch};
use crate::engine::frames::FrameKey;
use crate::engine::view::{DeviceState, ScreenPicture, ShareView};
use crate::media::capture::Capture;
use crate::media::codec::tuning::Tuning;
use crate::media::encoded::VideoCodec;
use crate::media::frame::VideoFrame;
use crate::media::latest::Latest;
use crate::media::overlay::{Overlay, Veil};
use crate::media::send_video::VideoSend;
use crate::media::source::screen::{self, ScreenEvent, ScreenEvents};
use crate::media::stats::VideoSendStats;
use crate::media::{DeviceError, EncoderTarget, VideoSource};
use crate::pointer::Marks;
use crate::rtc::ScreenReach;
use crate::units::Resolution;

/// See the module.
#[derive(Default)]
pub struct Share {
    generation: Generation,
    /// What runs, while a screen is wanted.
    running: Option<Running>,
    /// An encoder for what is chosen, while somebody chooses.
    ready: Option<Encoding>,
    /// How it stands with each participant.
    reach: BTreeMap<PeerId, ScreenReach>,
    target: Option<EncoderTarget>,
}

/// An encoder, and where it takes pictures from.
struct Encoding {
    slot: Arc<Latest<VideoFrame>>,
    send: VideoSend,
}

struct Running {
    mode: ShareMode,
    /// With what this computer plays.
    sound: Switch,
    /// Empty while it is being opened.
    name: String,
    /// The desktop asks the person before there is a picture, and they may refuse.
    asked_about: bool,
    /// It is a window that is minimised: there is nothing to see.
    minimised: bool,
    slot: Arc<Latest<VideoFrame>>,
    send: VideoSend,
    /// `None` until it was opened.
    capture: Option<Capture>,
    /// Shows what others point at, where it can.
    overlay: Option<Overlay>,
    /// Ends what the desktop still asks.
    _asking: DropGuard,
}

impl Share {
    /// VP9 where everybody who sees it can have that: one encoding serves all.
    fn codec(&self) -> VideoCodec {
        let old = self
            .reach
            .values()
            .any(|reach| matches!(reach, ScreenReach::Sent { codec: VideoCodec::Vp8, .. }));
        if old { VideoCodec::Vp8 } else { VideoCodec::Vp9 }
    }

    fn is_seen(&self) -> bool {
        self.reach.values().any(|reach| matches!(reach, ScreenReach::Sent { .. }))
    }

    /// What is shown, for a face; `sound`: how it stands with its sound.
    pub fn view(&self, sound: &DeviceState) -> Option<ShareView> {
        let running = self.running.as_ref()?;
        let those = |wanted: fn(&ScreenReach) -> bool| {
            self.reach.iter().filter(|(_, reach)| wanted(reach)).map(|(peer, _)| peer.clone()).collect()
        };
        let stats = running.send.stats();
        let codec = self.codec();
        // A rate to the tenth would be news in every view.
        let picture = |resolution| ScreenPicture { codec, resolution, fps: stats.fps.round() };
        Some(ShareView {
            name: running.name.clone(),
            mode: running.mode,
            sound: sound.clone(),
            minimised: running.minimised,
            running: running.capture.is_some() && self.is_seen(),
            overlaid: running.overlay.as_ref().is_some_and(Overlay::works),
            picture: stats.resolution.map(picture),
            seen_by: those(|reach| matches!(reach, ScreenReach::Sent { .. })),
            unseen_by: those(|reach| *reach == ScreenReach::Unable),
            unheard_by: those(|reach| matches!(reach, ScreenReach::Sent { sound: false, .. })),
        })
    }

    /// What is counted of it.
    pub fn stats(&self) -> Option<VideoSendStats> {
        self.running.as_ref().map(|running| running.send.stats())
    }

    /// What the others are told of: a screen that is shown, or that nobody needs to be asked about any more.
    pub fn offered(&self) -> Option<ShareMode> {
        let told = |running: &&Running| running.capture.is_some() || !running.asked_about;
        self.running.as_ref().filter(told).map(|running| running.mode)
    }

    /// Brings the encoder to what is wanted of it.
    fn follow(&self) {
        let Some(running) = &self.running else { return };
        running.send.set_tuning(Tuning { codec: self.codec(), content: running.mode.content() });
        if let Some(target) = self.target {
            running.send.set_target(target);
        }
        if self.is_seen() && self.target.is_some() {
            running.send.resume();
        } else {
            running.send.pause();
        }
    }
}

impl MediaSession {
    /// Opens a screen to be shown, in place of the one that is, with the sound of this computer or without.
    /// Without a call nothing is opened: it would go out by itself in the next one.
    pub fn share(&mut self, target: ScreenTarget, mode: ShareMode, sound: Switch) {
        self.stop_share();
        if !self.demand.call {
            tracing::info!(%target, "not shared, the call is over");
            return;
        }
        let Some(Encoding { slot, send }) = self.share.ready.take().or_else(|| self.screen_encoding(mode))
        else {
            return;
        };
        let (generation, veil, stop) = (self.share.generation, Veil::default(), CancellationToken::new());
        let overlay = Overlay::start(&target, veil.clone()).unwrap_or_else(|error| {
            tracing::warn!(%error, "what others point at is not drawn on the screen itself");
            None
        });
        self.share.running = Some(Running {
            mode,
            sound,
            name: String::new(),
            asked_about: matches!(target, ScreenTarget::Portal { .. }),
            minimised: false,
            slot,
            send,
            capture: None,
            overlay,
            _asking: stop.clone().drop_guard(),
        });
        let (news, token) = (self.events.clone(), self.parts.settings.screen_token.clone());
        let events: ScreenEvents = Arc::new(move |event| {
            if news.try_send(MediaEvent::ScreenNews(generation, event)).is_err() {
                tracing::warn!("the engine is too busy to hear of the screen");
            }
        });
        self.open_on_thread("open-screen", move || {
            let remembered = Some(token.as_str()).filter(|token| !token.is_empty());
            MediaEvent::Screen(generation, screen::open(&target, mode, remembered, &stop, veil, events))
        });
        self.share.follow();
    }

    /// Somebody chooses what to share, most likely something of this size: the encoder, which takes longer than
    /// everything else that a first picture needs, is ready when they have chosen.
    pub(super) fn get_ready_to_share(&mut self, resolution: Resolution) {
        self.share.ready = self.screen_encoding(ShareMode::Text);
        if let Some(ready) = &self.share.ready {
            ready.send.expect(resolution);
        }
    }

    /// Nobody chooses any more.
    pub(super) fn forget_readiness(&mut self) {
        self.share.ready = None;
    }

    fn screen_encoding(&self, mode: ShareMode) -> Option<Encoding> {
        let slot = Arc::new(Latest::new());
        let tuning = Tuning { codec: self.share.codec(), content: mode.content() };
        match VideoSend::spawn_screen(Arc::clone(&slot), self.sink(), tuning) {
            Ok(send) => Some(Encoding { slot, send }),
            Err(error) => {
                tracing::error!(%error, "the encoder of the screen cannot start");
                None
            }
        }
    }

    /// What happens to the screen that is shown; a permission that is to be remembered comes back.
    pub fn on_screen_news(&mut self, generation: Generation, event: ScreenEvent) -> Option<String> {
        let running = self.share.running.as_mut().filter(|_| generation == self.share.generation)?;
        match event {
            // The pictures say so themselves.
            ScreenEvent::Resized(_) => {}
            ScreenEvent::Minimised => running.minimised = true,
            ScreenEvent::Restored => running.minimised = false,
            ScreenEvent::Remember(token) => return Some(token),
        }
        None
    }

    /// What is shown is to be treated otherwise.
    pub fn share_as(&mut self, mode: ShareMode) {
        if let Some(running) = &mut self.share.running {
            running.mode = mode;
        }
        self.share.follow();
    }

    /// The sound of this computer is to be heard beside the screen, or not any more.
    pub fn share_sound(&mut self, sound: Switch) {
        let Some(running) = &mut self.share.running else { return };
        running.sound = sound;
        // Otherwise it is opened with the screen.
        if running.capture.is_some() {
            self.open_share_sound(sound);
        }
    }

    /// What others point at on our screen.
    pub fn show_marks(&self, marks: Vec<Marks>) {
        if let Some(overlay) = self.share.running.as_ref().and_then(|running| running.overlay.as_ref()) {
            overlay.show(marks);
        }
    }

    /// Whether a screen was opened to be shown: before that, the desktop may still be asking.
    pub fn shows_screen(&self) -> bool {
        self.share.running.as_ref().is_some_and(|running| running.capture.is_some())
    }

    /// How a screen is shown, if the others are told of one.
    pub fn share_mode(&self) -> Option<ShareMode> {
        self.share.offered()
    }

    /// Shows no screen any more.
    pub fn stop_share(&mut self) {
        self.share.generation += 1;
        self.share.running = None;
        self.close_share_sound();
        self.frames.remove(&FrameKey::OwnScreen);
    }

    /// A screen was opened or not, or has ended; an error means that none is shown any more.
    pub fn on_screen(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn VideoSource>, DeviceError>,
    ) -> Result<(), DeviceError> {
        let Some(running) = self.share.running.as_mut().filter(|_| generation == self.share.generation)
        else {
            return Ok(());
        };
        let started = result.and_then(|source| {
            running.name = source.name().to_owned();
            running.send.expect(source.format().0);
            let (frames, slot, events) =
                (self.frames.clone(), Arc::clone(&running.slot), self.events.clone());
            let on_frame = move |frame: VideoFrame| {
                slot.put(frame.clone());
                frames.put(&FrameKey::OwnScreen, frame);
            };
            let on_end = move |error| {
                events.blocking_send(MediaEvent::Screen(generation, Err(error))).ok();
            };
            let broken = |error: std::io::Error| DeviceError::Broken {
                device: running.name.clone(),
                reason: error.to_string(),
            };
            Capture::spawn("screen", source, on_frame, on_end).map_err(broken)
        });
        match started {
            Ok(capture) => {
                running.capture = Some(capture);
                // Not before the person has answered the desktop's own question.
                let sound = running.sound;
                self.open_share_sound(sound);
            }
            Err(error) => {
                self.stop_share();
                return Err(error);
            }
        }
        self.share.follow();
        Ok(())
    }

    /// Whether a participant can see our screen.
    pub fn on_screen_reach(&mut self, peer: &PeerId, reach: ScreenReach) {
        self.share.reach.insert(peer.clone(), reach);
        self.share.follow();
    }

    /// Nobody to show it to.
    pub(super) fn forget_screen_reach(&mut self, peer: &PeerId) {
        self.share.reach.remove(peer);
        self.share.follow();
    }

    /// What the network has room for; `None`: nothing of a screen is sent.
    pub(super) fn encode_screen(&mut self, target: Option<EncoderTarget>) {
        self.share.target = target;
        self.share.follow();
    }

    /// Somebody who sees the screen cannot go on without a key frame.
    pub(super) fn send_screen_keyframe(&self) {
        if let Some(running) = &self.share.running {
            running.send.request_keyframe();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::engine::frames::FrameSlots;
    use crate::engine::parts::{AudioChoice, EngineParts, SinkChoice, VideoChoice};
    use crate::rtc::MediaSender;

    #[test]
    fn a_screen_that_is_chosen_when_the_call_is_over_is_not_captured_for_the_next_one() {
        let parts = EngineParts {
            video: VideoChoice::None,
            audio: AudioChoice::None,
            sink: SinkChoice::None,
            ..EngineParts::devices(Settings::default())
        };
        let (events, mut told) = tokio::sync::mpsc::channel(8);
        let mut session = MediaSession::new(parts, FrameSlots::new(), events);
        let share = |session: &mut MediaSession| {
            let target = ScreenTarget::Pattern(Resolution::new(160, 90));
            session.share(target, ShareMode::Text, Switch::Off);
            session.share_mode()
        };
        assert_eq!(share(&mut session), None);
        session.start(MediaSender::new(drop));
        assert_eq!(session.share_mode(), None);
        assert_eq!(share(&mut session), Some(ShareMode::Text));
        session.stop();
        assert_eq!(share(&mut session), None);
        drop(session);
        let opened = std::iter::from_fn(|| told.blocking_recv());
        let screens = opened.filter(|event| matches!(event, MediaEvent::Screen(..))).count();
        assert_eq!(screens, 1, "only the one of the call");
    }

    #[test]
    fn others_are_told_of_a_screen_once_the_desktop_has_no_question_left() {
        let opening = |asked_about| {
            let slot = Arc::new(Latest::new());
            let tuning = Tuning { codec: VideoCodec::Vp9, content: ShareMode::Text.content() };
            let send = VideoSend::spawn_screen(Arc::clone(&slot), Arc::new(drop), tuning).unwrap();
            let running = Running {
                mode: ShareMode::Text,
                sound: Switch::Off,
                name: String::new(),
                asked_about,
                minimised: false,
                slot,
                send,
                capture: None,
                overlay: None,
                _asking: CancellationToken::new().drop_guard(),
            };
            Share { running: Some(running), ..Share::default() }
        };
        assert_eq!(opening(false).offered(), Some(ShareMode::Text));
        assert_eq!(opening(true).offered(), None);
        assert_eq!(Share::default().offered(), None);
    }

    #[test]
    fn one_encoding_serves_all_so_that_whoever_lacks_vp9_decides() {
        let reach = |known: &[(&str, ScreenReach)]| Share {
            reach: known.iter().map(|(name, reach)| (PeerId::new(*name).unwrap(), *reach)).collect(),
            ..Share::default()
        };
        let [vp8, vp9] =
            [VideoCodec::Vp8, VideoCodec::Vp9].map(|codec| ScreenReach::Sent { codec, sound: true });
        assert_eq!(reach(&[]).codec(), VideoCodec::Vp9, "before anybody has said anything");
        assert_eq!(reach(&[("a", vp9), ("b", ScreenReach::Unable)]).codec(), VideoCodec::Vp9);
        assert_eq!(reach(&[("a", vp9), ("b", vp8)]).codec(), VideoCodec::Vp8);
    }
}
