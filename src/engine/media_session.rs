//! The devices of a participant and everything that runs on their media: captures, encoders,
//! decoders, the mixer.
//!
//! Owned by the engine's actor. Opening a device may take a second, so it happens on a thread of
//! its own and comes back as a [`MediaEvent`]; a result that is no longer wanted is recognised by
//! its generation and dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use signaling_protocol::{MediaState, PeerId};
use tokio::sync::mpsc;

use crate::clock;
use crate::config::Settings;
use crate::media::capture::Capture;
use crate::media::devices::{Device, Devices, Follow};
use crate::media::encoded::TrackKind;
use crate::media::frame::VideoFrame;
use crate::media::latest::Latest;
use crate::media::playout::{Playout, PlayoutEvent};
use crate::media::process::ProcessingConfig;
use crate::media::receive::sync::{LipSync, Presented};
use crate::media::receive::video::{VideoHooks, VideoReceive};
use crate::media::send_audio::AudioSend;
use crate::media::send_video::VideoSend;
use crate::media::sink::null::NullSink;
use crate::media::stats::{
    AudioPlayoutStats, AudioReceiveStats, AudioSendStats, VideoReceiveStats, VideoSendStats,
};
use crate::media::{
    AudioSink, AudioSource, DeviceError, EncoderTarget, FrameSink, RemotePacket, SenderReport, VideoSource,
};
use crate::rtc::MediaSender;
use crate::rtc::stats::Report;
use crate::units::Bitrate;

use super::command::{DeviceChoice, Switch};
use super::frames::{FrameKey, FrameLookup, FrameSlots};
use super::open;
use super::parts::EngineParts;
use super::view::{CallView, DeviceState, LocalView};

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Pictures in.
    Camera,
    /// Sound in.
    Microphone,
    /// Sound out.
    Speaker,
}

/// Counts the openings of a device, so that the result of an earlier one is recognised.
pub type Generation = u64;

/// What happens in the media part.
pub enum MediaEvent {
    /// A camera was opened, or not.
    Camera(Generation, Result<Box<dyn VideoSource>, DeviceError>),
    /// A microphone was opened, or not.
    Microphone(Generation, Result<Box<dyn AudioSource>, DeviceError>),
    /// A speaker was opened, or not.
    Speaker(Generation, Result<Box<dyn AudioSink>, DeviceError>),
    /// A device that ran is gone or broken.
    Ended(DeviceKind, DeviceError),
    /// A decoder cannot go on without a key frame.
    KeyframeNeeded(PeerId),
    /// The first picture of a participant is in its slot.
    FirstFrame(PeerId, Instant),
    /// The first sound of a participant goes to the speaker.
    FirstAudio(PeerId, Instant),
}

/// What became of a device; the actor tells the person.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceChange {
    /// It runs now, in place of another that failed.
    Replaced {
        /// Which.
        kind: DeviceKind,
        /// What it is called.
        name: String,
        /// What was wrong with the other.
        reason: String,
    },
    /// It cannot be used, and there is no other.
    Lost {
        /// Which.
        kind: DeviceKind,
        /// One sentence.
        reason: String,
    },
}

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

/// One device: what is wanted, and how it stands.
struct Slot {
    choice: DeviceChoice,
    switch: Switch,
    state: DeviceState,
    generation: Generation,
    /// The device that failed while this opening was under way, and why.
    replaces: Option<String>,
    /// The id of the sound device that is open; other sources have none.
    in_use: Option<String>,
}

impl Slot {
    fn new(choice: DeviceChoice) -> Self {
        Self {
            choice,
            switch: Switch::On,
            state: DeviceState::Closed,
            generation: 0,
            replaces: None,
            in_use: None,
        }
    }

    fn opening(&mut self) -> Generation {
        self.generation += 1;
        self.state = DeviceState::Opening;
        self.generation
    }

    fn close(&mut self, state: DeviceState) {
        self.in_use = None;
        self.generation += 1;
        self.state = state;
    }

    fn is_closed(&self) -> bool {
        match self.state {
            DeviceState::Closed | DeviceState::Off | DeviceState::Absent | DeviceState::Failed { .. } => true,
            DeviceState::Opening | DeviceState::On { .. } => false,
        }
    }
}

impl Slot {
    fn is_missing(&self) -> bool {
        self.choice != DeviceChoice::None
            && self.switch.is_on()
            && matches!(self.state, DeviceState::Absent | DeviceState::Failed { .. })
    }

    /// Whether the new list asks for another device than the open one; remembers why, so that the
    /// person is told once the other one runs.
    fn wants_another(&mut self, list: &[Device]) -> bool {
        let (DeviceState::On { name }, Some(id)) = (&self.state, &self.in_use) else { return false };
        let chosen = match &self.choice {
            DeviceChoice::Id(id) => Some(id.as_str()),
            DeviceChoice::Default | DeviceChoice::None => None,
        };
        match Follow::decide(list, chosen, id) {
            Follow::Keep => return false,
            Follow::Unplugged | Follow::NothingLeft => {
                self.replaces = Some(DeviceError::Gone(name.clone()).to_string());
            }
            Follow::NewDefault | Follow::ChosenIsBack => {
                self.replaces = Some("there is a better device".into());
            }
        }
        true
    }
}

/// The media of one other participant.
#[derive(Default)]
struct Remote {
    video: Option<VideoReceive>,
    sync: LipSync,
}

/// What the media part counts for one participant; `None` where nothing runs.
#[derive(Clone, Debug, Default)]
pub struct MediaStats {
    /// Our camera.
    pub video_send: Option<VideoSendStats>,
    /// Our microphone.
    pub audio_send: Option<AudioSendStats>,
    /// Their camera.
    pub video_receive: Option<VideoReceiveStats>,
    /// Their microphone.
    pub audio_receive: Option<AudioReceiveStats>,
    /// Our speaker.
    pub playout: Option<AudioPlayoutStats>,
}

impl MediaStats {
    /// Completes the dictionaries of a connection.
    pub fn fill(&self, report: &mut Report) {
        if let Some(stats) = &self.video_send {
            report.fill_video_send(stats);
        }
        if let Some(stats) = &self.audio_send {
            report.fill_audio_send(stats);
        }
        if let Some(stats) = &self.video_receive {
            report.fill_video_receive(stats);
        }
        if let Some(stats) = &self.audio_receive {
            report.fill_audio_receive(stats);
        }
        if let Some(stats) = &self.playout {
            report.fill_playout(stats);
        }
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
    processing: ProcessingConfig,
}

impl MediaSession {
    /// Nothing is open yet.
    pub fn new(parts: EngineParts, frames: FrameSlots, events: mpsc::Sender<MediaEvent>) -> Self {
        let settings = &parts.settings;
        Self {
            camera: Slot::new(choice(&settings.camera)),
            microphone: Slot::new(choice(&settings.microphone)),
            speaker: Slot::new(choice(&settings.speaker)),
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
        MediaState { microphone: runs(&self.microphone), camera: runs(&self.camera) }
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

    // ---- camera ----

    fn open_camera(&mut self) {
        if !self.camera.switch.is_on() || !self.camera.is_closed() {
            return;
        }
        if !self.parts.with_video {
            self.camera.state = DeviceState::Absent;
            return;
        }
        self.ensure_video_send();
        let generation = self.camera.opening();
        let (video, choice) = (self.parts.video.clone(), self.camera.choice.clone());
        self.open_on_thread("open-cam", move || {
            MediaEvent::Camera(generation, open::camera(&video, &choice))
        });
    }

    fn close_camera(&mut self, state: DeviceState) {
        self.camera.close(state);
        self.capture = None;
        self.frames.remove(&FrameKey::Local);
        self.gate_picture();
        if !self.demand.any() {
            self.video_send = None;
        }
    }

    fn ensure_video_send(&mut self) {
        if self.video_send.is_some() {
            return;
        }
        self.captured = Arc::new(Latest::new());
        match VideoSend::spawn(Arc::clone(&self.captured), self.sink()) {
            Ok(send) => {
                self.video_send = Some(send);
                self.gate_picture();
            }
            Err(error) => tracing::error!(%error, "the video encoder cannot start"),
        }
    }

    /// The camera switch.
    pub fn switch_camera(&mut self, switch: Switch) {
        self.camera.switch = switch;
        if switch.is_on() {
            if self.demand.any() {
                self.open_camera();
            }
        } else {
            self.close_camera(DeviceState::Off);
        }
    }

    /// Another camera.
    pub fn use_camera(&mut self, choice: DeviceChoice) {
        self.camera.choice = choice;
        if self.camera.switch.is_on() && self.demand.any() {
            self.close_camera(DeviceState::Closed);
            self.open_camera();
        }
    }

    fn on_camera(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn VideoSource>, DeviceError>,
    ) -> Option<DeviceChange> {
        if generation != self.camera.generation {
            return None;
        }
        let source = match result {
            Ok(source) => source,
            Err(error) => {
                self.camera.state = failed(&error);
                return lost(DeviceKind::Camera, &mut self.camera, &error);
            }
        };
        let name = source.name().to_owned();
        let (frames, captured, events) =
            (self.frames.clone(), Arc::clone(&self.captured), self.events.clone());
        let on_frame = move |frame: VideoFrame| {
            captured.put(frame.clone());
            frames.put(&FrameKey::Local, frame);
        };
        let on_end = move |error| {
            events.blocking_send(MediaEvent::Ended(DeviceKind::Camera, error)).ok();
        };
        match Capture::spawn(source, on_frame, on_end) {
            Ok(capture) => self.capture = Some(capture),
            Err(error) => {
                self.camera.state = DeviceState::Failed { reason: error.to_string() };
                return None;
            }
        }
        self.camera.state = DeviceState::On { name: name.clone() };
        self.gate_picture();
        replaced(DeviceKind::Camera, &mut self.camera, name)
    }

    // ---- microphone ----

    fn open_microphone(&mut self) {
        if !self.microphone.is_closed() {
            return;
        }
        let generation = self.microphone.opening();
        let (audio, choice) = (self.parts.audio.clone(), self.microphone.choice.clone());
        self.open_on_thread("open-mic", move || {
            MediaEvent::Microphone(generation, open::microphone(&audio, &choice))
        });
    }

    fn close_microphone(&mut self) {
        self.microphone.close(DeviceState::Closed);
        self.audio_send = None;
    }

    /// The microphone switch. The device stays open, so that unmuting takes no time and talking
    /// while muted is noticed.
    pub fn switch_microphone(&mut self, switch: Switch) {
        self.microphone.switch = switch;
        if let Some(send) = &self.audio_send {
            send.set_muted(!switch.is_on());
        }
    }

    /// Another microphone.
    pub fn use_microphone(&mut self, choice: DeviceChoice) {
        self.microphone.choice = choice;
        if self.demand.any() {
            self.microphone.close(DeviceState::Closed);
            self.open_microphone();
        }
    }

    fn on_microphone(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn AudioSource>, DeviceError>,
    ) -> Option<DeviceChange> {
        if generation != self.microphone.generation {
            return None;
        }
        let source = match result {
            Ok(source) => source,
            Err(error) => {
                if let Some(send) = &self.audio_send {
                    send.clear_source();
                }
                self.microphone.state = failed(&error);
                return lost(DeviceKind::Microphone, &mut self.microphone, &error);
            }
        };
        let name = source.name().to_owned();
        self.microphone.in_use = source.device_id().map(str::to_owned);
        if let Some(send) = &self.audio_send {
            send.set_source(source);
        } else {
            let Some(playout) = &self.playout else { return None };
            let events = self.events.clone();
            let on_end = move |error| {
                events.blocking_send(MediaEvent::Ended(DeviceKind::Microphone, error)).ok();
            };
            match AudioSend::spawn(source, self.processing, playout.far_end(), self.sink(), on_end) {
                Ok(send) => {
                    send.set_muted(!self.microphone.switch.is_on());
                    self.audio_send = Some(send);
                }
                Err(error) => {
                    self.microphone.state = DeviceState::Failed { reason: error.to_string() };
                    return None;
                }
            }
        }
        self.microphone.state = DeviceState::On { name: name.clone() };
        replaced(DeviceKind::Microphone, &mut self.microphone, name)
    }

    // ---- speaker ----

    fn ensure_playout(&mut self) {
        if self.playout.is_none() {
            let events = self.events.clone();
            let on_event = move |event| {
                let event = match event {
                    PlayoutEvent::FirstAudio { track } => {
                        let Ok(peer) = PeerId::new(track) else { return };
                        MediaEvent::FirstAudio(peer, clock::now())
                    }
                    PlayoutEvent::SinkEnded(error) => MediaEvent::Ended(DeviceKind::Speaker, error),
                };
                if events.try_send(event).is_err() {
                    tracing::warn!("the engine is too busy to hear of the speaker");
                }
            };
            match Playout::spawn(Box::new(NullSink::new()), on_event) {
                Ok(playout) => self.playout = Some(playout),
                Err(error) => tracing::error!(%error, "the mixer cannot start"),
            }
        }
    }

    fn open_speaker(&mut self) {
        if !self.speaker.is_closed() {
            return;
        }
        let generation = self.speaker.opening();
        let (sink, choice) = (self.parts.sink.clone(), self.speaker.choice.clone());
        self.open_on_thread("open-spk", move || {
            MediaEvent::Speaker(generation, open::speaker(&sink, &choice))
        });
    }

    /// Another speaker.
    pub fn use_speaker(&mut self, choice: DeviceChoice) {
        self.speaker.choice = choice;
        if !self.speaker.is_closed() {
            self.speaker.close(DeviceState::Closed);
            self.open_speaker();
        }
    }

    fn on_speaker(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn AudioSink>, DeviceError>,
    ) -> Option<DeviceChange> {
        if generation != self.speaker.generation {
            return None;
        }
        let playout = self.playout.as_ref()?;
        match result {
            Ok(sink) => {
                self.speaker.in_use = sink.device_id().map(str::to_owned);
                let name = sink.name().to_owned();
                playout.set_sink(sink);
                self.speaker.state = DeviceState::On { name: name.clone() };
                replaced(DeviceKind::Speaker, &mut self.speaker, name)
            }
            Err(error) => {
                playout.set_sink(Box::new(NullSink::new()));
                self.speaker.state = failed(&error);
                lost(DeviceKind::Speaker, &mut self.speaker, &error)
            }
        }
    }

    /// Plays a sound over everything else.
    pub fn play(&mut self, clip: Arc<[f32]>) {
        self.ensure_playout();
        self.open_speaker();
        if let Some(playout) = &self.playout {
            playout.play_clip(clip);
        }
    }

    // ---- events ----

    /// Takes an event that concerns devices; what the person should know comes back.
    pub fn on_event(&mut self, event: MediaEvent) -> Option<DeviceChange> {
        match event {
            MediaEvent::Camera(generation, result) => self.on_camera(generation, result),
            MediaEvent::Microphone(generation, result) => self.on_microphone(generation, result),
            MediaEvent::Speaker(generation, result) => self.on_speaker(generation, result),
            MediaEvent::Ended(kind, error) => self.on_ended(kind, &error),
            MediaEvent::KeyframeNeeded(_) | MediaEvent::FirstFrame(..) | MediaEvent::FirstAudio(..) => None,
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
        let chosen = [choice(&settings.camera), choice(&settings.microphone), choice(&settings.speaker)];
        let [camera, microphone, speaker] = chosen;
        if camera != choice(&self.parts.settings.camera) {
            self.use_camera(camera);
        }
        if microphone != choice(&self.parts.settings.microphone) {
            self.use_microphone(microphone);
        }
        if speaker != choice(&self.parts.settings.speaker) {
            self.use_speaker(speaker);
        }
        self.parts.settings = settings.clone();
    }

    // ---- encoders ----

    /// New targets for both encoders; `None`: no picture is sent.
    pub fn encode(&mut self, video: Option<EncoderTarget>, audio: Bitrate, loss: f32) {
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
    pub fn send_keyframe(&self) {
        if let Some(send) = &self.video_send {
            send.request_keyframe();
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

    // ---- the other side ----

    /// A participant began to send.
    pub fn add_track(&mut self, peer: &PeerId, kind: TrackKind, packets: mpsc::Receiver<RemotePacket>) {
        match kind {
            TrackKind::Video => self.add_video(peer, packets),
            TrackKind::Audio => self.add_audio(peer, packets),
        }
    }

    fn add_video(&mut self, peer: &PeerId, packets: mpsc::Receiver<RemotePacket>) {
        let (frames, key) = (self.frames.clone(), FrameKey::Remote(peer.clone()));
        let (events, first) = (self.events.clone(), AtomicBool::new(true));
        let (needs, who) = (self.events.clone(), peer.clone());
        let hooks = VideoHooks {
            on_frame: Box::new(move |frame| {
                frames.put(&key, frame);
                if let (true, FrameKey::Remote(peer)) = (first.swap(false, Ordering::Relaxed), &key) {
                    events.try_send(MediaEvent::FirstFrame(peer.clone(), clock::now())).ok();
                }
            }),
            // When the engine is too busy to hear it, the decoder asks again.
            on_keyframe_wanted: Box::new(move || {
                needs.try_send(MediaEvent::KeyframeNeeded(who.clone())).unwrap_or(())
            }),
        };
        match VideoReceive::spawn(peer.as_str(), packets, hooks) {
            Ok(receive) => self.remotes.entry(peer.clone()).or_default().video = Some(receive),
            Err(error) => tracing::error!(%error, "the video decoder cannot start"),
        }
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
        if let Some(video) = self.remotes.get(peer).and_then(|remote| remote.video.as_ref()) {
            video.set_round_trip(round_trip);
        }
    }

    /// Whether any device is open or wanted.
    pub fn is_running(&self) -> bool {
        self.demand.any() || self.playout.is_some()
    }

    /// Ourselves, and who is speaking.
    pub fn fill(&self, view: &mut CallView) {
        let audio = self.audio_send.as_ref().filter(|_| self.microphone.state.is_on());
        view.me = LocalView {
            microphone: shown(&self.microphone),
            camera: shown(&self.camera),
            speaker: self.speaker.state.clone(),
            level: audio.map_or(0, |audio| meter(audio.level())),
            speaking: audio.is_some_and(AudioSend::speaking),
            muted_but_speaking: audio.is_some_and(AudioSend::muted_but_speaking),
        };
        for peer in &mut view.peers {
            let track = self.playout.as_ref().and_then(|playout| playout.track(peer.peer.as_str()));
            peer.speaking = track.is_some_and(|track| track.speaking());
            peer.has_picture = self.frames.frame(&FrameKey::Remote(peer.peer.clone())).is_some();
        }
    }

    /// What the media part counts for one participant.
    pub fn stats(&self, peer: &PeerId) -> MediaStats {
        let remote = self.remotes.get(peer);
        MediaStats {
            video_send: self.video_send.as_ref().map(VideoSend::stats),
            audio_send: self.audio_send.as_ref().map(AudioSend::stats),
            video_receive: remote.and_then(|remote| remote.video.as_ref()).map(VideoReceive::stats),
            audio_receive: self
                .playout
                .as_ref()
                .and_then(|playout| playout.track(peer.as_str()))
                .map(|track| track.stats()),
            playout: self.playout.as_ref().map(Playout::stats),
        }
    }

    /// A participant left.
    pub fn remove_peer(&mut self, peer: &PeerId) {
        self.remotes.remove(peer);
        if let Some(playout) = &self.playout {
            playout.remove_track(peer.as_str());
        }
        self.frames.remove(&FrameKey::Remote(peer.clone()));
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

/// A device as the person sees it: switched off is not closed.
fn shown(slot: &Slot) -> DeviceState {
    match (&slot.state, slot.switch) {
        (DeviceState::On { .. } | DeviceState::Opening | DeviceState::Closed, Switch::Off) => {
            DeviceState::Off
        }
        (state, Switch::On | Switch::Off) => state.clone(),
    }
}

/// A level (root mean square) on the meter's scale: 20 is full, every step down is 3 dB.
fn meter(level: f32) -> u8 {
    let decibels = 20.0 * level.max(1e-6).log10();
    (20.0 + decibels / 3.0).clamp(0.0, 20.0) as u8
}

fn choice(setting: &str) -> DeviceChoice {
    match setting {
        "" => DeviceChoice::Default,
        "none" => DeviceChoice::None,
        id => DeviceChoice::Id(id.to_owned()),
    }
}

fn processing(settings: &Settings) -> ProcessingConfig {
    ProcessingConfig {
        echo_cancellation: settings.echo_cancellation,
        noise_suppression: settings.noise_suppression,
        gain_control: settings.gain_control,
    }
}

fn failed(error: &DeviceError) -> DeviceState {
    match error {
        DeviceError::NotFound(_) => DeviceState::Absent,
        DeviceError::Busy(_)
        | DeviceError::Refused(_)
        | DeviceError::Gone(_)
        | DeviceError::Broken { .. } => DeviceState::Failed { reason: error.to_string() },
    }
}

fn lost(kind: DeviceKind, slot: &mut Slot, error: &DeviceError) -> Option<DeviceChange> {
    let earlier = slot.replaces.take();
    match (&slot.state, earlier) {
        // Nothing was there from the beginning: the start screen shows it, a notice would nag.
        (DeviceState::Absent, None) => None,
        (_, Some(reason)) => Some(DeviceChange::Lost { kind, reason }),
        (_, None) => Some(DeviceChange::Lost { kind, reason: error.to_string() }),
    }
}

fn replaced(kind: DeviceKind, slot: &mut Slot, name: String) -> Option<DeviceChange> {
    slot.replaces.take().map(|reason| DeviceChange::Replaced { kind, name, reason })
}
