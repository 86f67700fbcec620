//! The devices of a participant and everything that runs on their media: captures, encoders,
//! decoders, the mixer.
//!
//! Owned by the engine's actor. Opening a device may take a second, so it happens on a thread of
//! its own and comes back as a [`MediaEvent`]; a result that is no longer wanted is recognised by
//! its generation and dropped.

mod camera;
mod counts;
mod event;
mod remote;
mod screens;
mod share;
mod share_sound;
mod slot;
mod sound;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use signaling_protocol::{MediaState, PeerId};
use tokio::sync::mpsc;

pub use counts::MediaStats;
pub use event::{DeviceChange, DeviceKind, MediaEvent};
use remote::Remote;
use screens::Looking;
use share::Share;
use share_sound::ShareSound;
use slot::{Slot, shown};

use super::command::{DeviceChoice, Switch};
use super::frames::{FrameKey, FrameLookup, FrameSlots};
use super::parts::EngineParts;
use super::view::{CallView, DeviceState, LocalView};
use crate::call::adapt::{AudioTarget, Targets};
use crate::config::Settings;
use crate::media::capture::Capture;
use crate::media::devices::Devices;
use crate::media::encoded::TrackKind;
use crate::media::frame::VideoFrame;
use crate::media::latest::Latest;
use crate::media::playout::Playout;
use crate::media::process::ProcessingConfig;
use crate::media::receive::video::VideoReceive;
use crate::media::send_audio::AudioSend;
use crate::media::send_video::VideoSend;
use crate::media::{DeviceError, FrameSink};
use crate::record;
use crate::rtc::MediaSender;

/// Why devices are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Demand {
    preview: bool,
    call: bool,
}

impl Demand {
    fn any(self) -> bool {
        self.preview || self.call
    }
}

/// All media of this participant.
pub struct MediaSession {
    parts: EngineParts,
    frames: FrameSlots,
    events: mpsc::Sender<MediaEvent>,
    outlet: Arc<ArcSwapOption<MediaSender>>,
    demand: Demand,
    /// A participant can be reached.
    connected: bool,
    /// The path carries more than sound.
    room_for_picture: bool,
    camera: Slot,
    capture: Option<Capture>,
    captured: Arc<Latest<VideoFrame>>,
    video_send: Option<VideoSend>,
    microphone: Slot,
    audio_send: Option<AudioSend>,
    speaker: Slot,
    playout: Option<Playout>,
    remotes: HashMap<PeerId, Remote>,
    share: Share,
    share_sound: ShareSound,
    looking: Looking,
    processing: ProcessingConfig,
}

impl MediaSession {
    /// Nothing is open yet.
    pub fn new(parts: EngineParts, frames: FrameSlots, events: mpsc::Sender<MediaEvent>) -> Self {
        let settings = &parts.settings;
        Self {
            camera: Slot::new(DeviceChoice::from_setting(&settings.camera)),
            microphone: Slot::new(DeviceChoice::from_setting(&settings.microphone)),
            speaker: Slot::new(DeviceChoice::from_setting(&settings.speaker)),
            processing: processing(settings),
            frames,
            events,
            outlet: Arc::default(),
            demand: Demand::default(),
            connected: false,
            room_for_picture: true,
            capture: None,
            captured: Arc::default(),
            video_send: None,
            audio_send: None,
            playout: None,
            remotes: HashMap::new(),
            share: Share::default(),
            share_sound: ShareSound::default(),
            looking: Looking::default(),
            parts,
        }
    }

    /// What the other participants should know.
    pub fn state(&self) -> MediaState {
        let runs = |slot: &Slot| match slot.state {
            DeviceState::On { .. } | DeviceState::Opening => slot.switch.is_on(),
            DeviceState::Closed | DeviceState::Off | DeviceState::Absent | DeviceState::Failed { .. } => {
                false
            }
        };
        MediaState {
            microphone: runs(&self.microphone),
            camera: runs(&self.camera),
            screen: self.share.offered().is_some(),
        }
    }

    /// Opens or closes the devices for the start screen.
    pub fn preview(&mut self, switch: Switch) {
        self.demand.preview = switch.is_on();
        self.follow_demand();
    }

    /// Opens the devices for a call; encoded frames go to `outlet` from now on.
    pub fn start(&mut self, outlet: MediaSender) {
        self.outlet.store(Some(Arc::new(outlet)));
        self.demand.call = true;
        self.follow_demand();
    }

    /// A participant can be reached now: the picture goes out, beginning with a key frame of the
    /// newest one. Before that it would go nowhere.
    pub fn connected(&mut self) {
        self.connected = true;
        self.gate_picture();
    }

    /// Sends the picture or holds it.
    fn gate_picture(&self) {
        let Some(send) = &self.video_send else { return };
        if self.connected && self.room_for_picture && self.camera.state.is_on() {
            send.resume();
        } else {
            send.pause();
        }
    }

    /// The call is over: nothing is sent any more, and no remote track is left.
    pub fn stop(&mut self) {
        self.outlet.store(None);
        self.demand.call = false;
        self.connected = false;
        self.room_for_picture = true;
        self.gate_picture();
        self.stop_share();
        let peers: Vec<PeerId> = self.remotes.keys().cloned().collect();
        for peer in peers {
            self.remove_peer(&peer);
        }
        self.follow_demand();
    }

    fn follow_demand(&mut self) {
        if self.demand.any() {
            self.ensure_playout();
            self.open_camera();
            self.open_microphone();
            if self.demand.call {
                self.open_speaker();
            }
        } else {
            self.close_camera(DeviceState::Closed);
            self.close_microphone();
            self.speaker.close(DeviceState::Closed);
            self.playout = None;
        }
    }

    /// Takes an event that concerns devices; what the person should know comes back.
    pub fn on_event(&mut self, event: MediaEvent) -> Option<DeviceChange> {
        match event {
            MediaEvent::Camera(generation, result) => self.on_camera(generation, result),
            MediaEvent::Microphone(generation, result) => self.on_microphone(generation, result),
            MediaEvent::Speaker(generation, result) => self.on_speaker(generation, result),
            MediaEvent::Ended(kind, error) => self.on_ended(kind, &error),
            MediaEvent::Screen(..)
            | MediaEvent::ScreenNews(..)
            | MediaEvent::ShareSound(..)
            | MediaEvent::ShareSoundReach(..)
            | MediaEvent::Screens(..)
            | MediaEvent::FirstScreen(..)
            | MediaEvent::KeyframeNeeded(..)
            | MediaEvent::FirstFrame(..)
            | MediaEvent::FirstAudio(..) => None,
        }
    }

    /// A device in use is gone: the system's default takes its place, if there is one.
    fn on_ended(&mut self, kind: DeviceKind, error: &DeviceError) -> Option<DeviceChange> {
        let slot = match kind {
            DeviceKind::Camera => &mut self.camera,
            DeviceKind::Microphone => &mut self.microphone,
            DeviceKind::Speaker => &mut self.speaker,
        };
        // While another one is being opened, the end of the old one is no news.
        if !slot.state.is_on() {
            return None;
        }
        slot.replaces = Some(error.to_string());
        slot.choice = DeviceChoice::Default;
        slot.close(DeviceState::Closed);
        match kind {
            DeviceKind::Camera => {
                self.close_camera(DeviceState::Closed);
                self.open_camera();
            }
            DeviceKind::Microphone => self.open_microphone(),
            DeviceKind::Speaker => self.open_speaker(),
        }
        None
    }

    /// Devices came or went. Those that are wanted and were missing are tried again; a sound device
    /// in use that is gone, or is not the default any more, is replaced (a sound server moves the
    /// stream of a device that was unplugged wherever it likes, and tells nobody).
    pub fn on_devices_changed(&mut self, devices: &Devices) {
        if !self.demand.any() {
            return;
        }
        if self.camera.is_missing() {
            self.open_camera();
        }
        if self.microphone.is_missing() {
            self.open_microphone();
        } else if self.microphone.wants_another(&devices.microphones) {
            self.microphone.close(DeviceState::Closed);
            self.open_microphone();
        }
        if self.speaker.is_missing() {
            self.open_speaker();
        } else if self.speaker.wants_another(&devices.speakers) {
            self.speaker.close(DeviceState::Closed);
            self.open_speaker();
        }
    }

    /// Name, devices and switches of the settings, for devices opened from now on and for the
    /// processing at once.
    pub fn apply(&mut self, settings: &Settings) {
        self.processing = processing(settings);
        if let Some(send) = &self.audio_send {
            send.set_processing(self.processing);
        }
        let chosen = [
            DeviceChoice::from_setting(&settings.camera),
            DeviceChoice::from_setting(&settings.microphone),
            DeviceChoice::from_setting(&settings.speaker),
        ];
        let [camera, microphone, speaker] = chosen;
        if camera != DeviceChoice::from_setting(&self.parts.settings.camera) {
            self.use_camera(camera);
        }
        if microphone != DeviceChoice::from_setting(&self.parts.settings.microphone) {
            self.use_microphone(microphone);
        }
        if speaker != DeviceChoice::from_setting(&self.parts.settings.speaker) {
            self.use_speaker(speaker);
        }
        self.parts.settings = settings.clone();
    }

    /// New targets for the encoders; without one no picture is sent.
    pub fn encode(&mut self, targets: &Targets) {
        let Targets { audio: AudioTarget { bitrate: audio, loss }, video, screen, screen_sound } = *targets;
        self.encode_screen(screen);
        self.share_sound.encode(screen_sound);
        if let (Some(send), Some(target)) = (&self.video_send, video) {
            send.set_target(target);
        }
        self.room_for_picture = video.is_some();
        self.gate_picture();
        if let Some(send) = &self.audio_send {
            send.set_bitrate(audio);
            send.set_expected_loss(loss);
        }
    }

    /// A participant cannot decode without a key frame.
    pub fn send_keyframe(&self, kind: TrackKind) {
        match kind {
            TrackKind::Audio | TrackKind::ScreenSound => {}
            TrackKind::Screen => self.send_screen_keyframe(),
            TrackKind::Video => {
                if let Some(send) = &self.video_send {
                    send.request_keyframe();
                }
            }
        }
    }

    fn sink(&self) -> FrameSink {
        let outlet = Arc::clone(&self.outlet);
        Arc::new(move |frame| {
            if let Some(outlet) = &*outlet.load() {
                outlet.send(frame);
            }
        })
    }

    /// Whether any device is open or wanted.
    pub fn is_running(&self) -> bool {
        self.demand.any() || self.playout.is_some()
    }

    /// Ourselves, who is speaking, and whose screen is seen; of those that ended the pictures are forgotten.
    pub fn fill(&self, view: &mut CallView) {
        let audio = self.audio_send.as_ref().filter(|_| self.microphone.state.is_on());
        view.me = LocalView {
            microphone: shown(&self.microphone),
            camera: shown(&self.camera),
            speaker: self.speaker.state.clone(),
            level: audio.map_or(0, |audio| meter(audio.level())),
            speaking: audio.is_some_and(AudioSend::speaking),
            muted_but_speaking: audio.is_some_and(AudioSend::muted_but_speaking),
            share: self.share.view(&self.share_sound.state),
        };
        view.screens = self.looking.view();
        view.no_screen_sound = self.looking.no_sound();
        for peer in &mut view.peers {
            let track = self.playout.as_ref().and_then(|playout| playout.track(peer.peer.as_str()));
            peer.speaking = track.is_some_and(|track| track.speaking());
            peer.has_picture = self.frames.frame(&FrameKey::Remote(peer.peer.clone())).is_some();
            self.forget_ended_screen(peer);
            peer.screen = self.remote_screen(peer);
        }
    }

    /// Our devices, for the recording.
    pub fn recorded(&self) -> [record::Device; 3] {
        let muted_but_speaking = self.microphone.state.is_on()
            && self.audio_send.as_ref().is_some_and(AudioSend::muted_but_speaking);
        [
            slot::recorded(&self.microphone, record::DeviceKind::Microphone, muted_but_speaking),
            slot::recorded(&self.camera, record::DeviceKind::Camera, false),
            slot::recorded(&self.speaker, record::DeviceKind::Speaker, false),
        ]
    }

    /// What the media part counts for one participant.
    pub fn stats(&self, peer: &PeerId) -> MediaStats {
        let remote = self.remotes.get(peer);
        MediaStats {
            video_send: self.video_send.as_ref().map(VideoSend::stats),
            screen_send: self.share.stats(),
            screen_receive: remote.and_then(|remote| remote.screen.as_ref()).map(VideoReceive::stats),
            audio_send: self.audio_send.as_ref().map(AudioSend::stats),
            screen_sound_send: self.share_sound.stats(),
            video_receive: remote.and_then(|remote| remote.video.as_ref()).map(VideoReceive::stats),
            audio_receive: self.heard(peer.as_str()),
            screen_sound_receive: self.heard(&remote::sound_of_screen(peer)),
            playout: self.playout.as_ref().map(Playout::stats),
        }
    }

    fn open_on_thread(&self, name: &str, open: impl FnOnce() -> MediaEvent + Send + 'static) {
        let events = self.events.clone();
        // Not joined: a driver may hang in the system, and the generation makes a late result harmless.
        let spawned = std::thread::Builder::new().name(name.into()).spawn(move || {
            events.blocking_send(open()).ok();
        });
        if let Err(error) = spawned {
            tracing::error!(%error, name, "cannot start a thread");
        }
    }
}

/// A level (root mean square) on the meter's scale: 20 is full, every step down is 3 dB.
fn meter(level: f32) -> u8 {
    let decibels = 20.0 * level.max(1e-6).log10();
    (20.0 + decibels / 3.0).clamp(0.0, 20.0) as u8
}

fn processing(settings: &Settings) -> ProcessingConfig {
    ProcessingConfig {
        echo_cancellation: settings.echo_cancellation,
        noise_suppression: settings.noise_suppression,
        gain_control: settings.gain_control,
    }
}
