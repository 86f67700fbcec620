//! The one loop: everything that happens comes in as one of five kinds of event, the call machine
//! decides, and what it wants done is done here.
//!
//! ```text
//!  Command ───────┐
//!  SignalEvent ───┤                ┌─▶ signaling
//!  TransportEvent ┼─▶ CallMachine ─┼─▶ transport
//!  MediaEvent ────┤    (pure)      ├─▶ media session
//!  ticks ─────────┘                └─▶ view, record
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use signaling_protocol::{Admission, ClientMessage, IceServer, MediaState, PeerId};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::call::{CallMachine, Effect, Input, TransportInput};
use crate::clock;
use crate::config::Settings;
use crate::link::Link;
use crate::media::sounds::Sound;
use crate::pointer::Marks;
use crate::record::convert::{self, Privacy};
use crate::record::write::Keep;
use crate::record::{Configuration, Phase, ShareWord, Side, SignalingState, What};
use crate::rtc::channel::Channel;
use crate::rtc::mesh::{Mesh, Options};
use crate::rtc::network_monitor::{NetworkMonitor, News};
use crate::rtc::stats::Report;
use crate::rtc::{
    ConnectionNumber, IcePolicy, PeerPhase, ScreenReach, Transport, TransportConfig, TransportEvent,
};
use crate::server_url::ServerUrl;
use crate::signaling::{self, SignalEvent, SignalingHandle};

use super::command::{Command, DeviceChoice, ShareMode, Switch};
use super::devices::DeviceList;
use super::diagnosis::Diagnostician;
use super::frames::FrameSlots;
use super::hosting::Hosting;
use super::media_session::{DeviceChange, DeviceKind, MediaEvent, MediaSession};
use super::parts::EngineParts;
use super::quality::QualityLog;
use super::recorder::Recorder;
use super::talk::Talk;
use super::view::{CallPhase, CallView, Notice, Severity};

/// What devices and decoders tell; the threads behind wait when it is full, except for requests
/// that are repeated anyway.
const MEDIA_EVENTS: usize = 64;

/// What connections tell; they wait when it is full.
const TRANSPORT_EVENTS: usize = 256;

/// Pause between two rings.
const RING_EVERY: Duration = Duration::from_secs(3);

/// How often the meters move.
const METER_TICK: Duration = Duration::from_millis(100);

/// How often statistics are taken (the interval of the W3C getStats graphs people know).
const STATS_TICK: Duration = Duration::from_secs(1);

/// How long connections may take to say goodbye.
const CLOSE: Duration = Duration::from_secs(1);

/// Ends of the actor that its handle holds.
pub struct Ends {
    /// Asks.
    pub commands: mpsc::Receiver<Command>,
    /// Shows.
    pub view: watch::Sender<Arc<CallView>>,
    /// Pictures.
    pub frames: FrameSlots,
    /// Pointers and strokes.
    pub marks: watch::Sender<Arc<Vec<Marks>>>,
    /// Told when things happen.
    pub recorder: Recorder,
}

/// What others see of a person who gave no name; the server wants one.
const NAMELESS: &str = "Guest";

/// The engine's state; one task owns it.
pub struct Actor {
    commands: mpsc::Receiver<Command>,
    view: watch::Sender<Arc<CallView>>,
    record: Recorder,
    parts: EngineParts,
    settings: Settings,
    machine: CallMachine,
    network: NetworkMonitor,
    transport: Mesh,
    transport_events: mpsc::Receiver<TransportEvent>,
    signaling: Option<SignalingHandle>,
    talk: Talk,
    media: MediaSession,
    media_events: mpsc::Receiver<MediaEvent>,
    devices: DeviceList,
    hosting: Option<Hosting>,
    hosting_starts: Option<JoinHandle<std::io::Result<Hosting>>>,
    hosting_admission: Admission,
    told_state: Option<MediaState>,
    told_notice: Option<u64>,
    shares: Option<ShareMode>,
    goodbyes: JoinSet<()>,
    quality: QualityLog,
    diagnosis: Diagnostician,
    /// `HOST[:PORT]` of the server of the call.
    server: Option<String>,
    phase: Phase,
    /// The record on its way to where it stays; what is told then.
    saving: Option<JoinHandle<Result<String, String>>>,
    /// Whether there is, or is prepared, a connection.
    connected: bool,
    ringing: Option<Instant>,
}

/// Everything that can wake the loop.
enum Event {
    Command(Option<Command>),
    Signaling(SignalEvent),
    Transport(TransportEvent),
    Media(MediaEvent),
    Devices,
    Files,
    Network(News),
    Hosting(std::io::Result<Hosting>),
    Saved(Result<String, String>),
    Timeout,
    Meters,
    Statistics,
}

impl Actor {
    /// An engine that does nothing yet. Must be called inside a tokio runtime.
    pub fn new(parts: EngineParts, ends: Ends) -> Self {
        let (media_tx, media_events) = mpsc::channel(MEDIA_EVENTS);
        let (transport_tx, transport_events) = mpsc::channel(TRANSPORT_EVENTS);
        let config = transport_config(&parts, Vec::new());
        let network = NetworkMonitor::start();
        let options = Options { network: Some(network.network()), ..Options::new(parts.dialer.clone()) };
        let transport = Mesh::new(options, config, Handle::current(), transport_tx);
        let talk = Talk::new(transport.data(), parts.files.clone(), ends.marks);
        let settings = parts.settings.clone();
        let mut machine = CallMachine::new();
        let now = clock::now();
        for input in [Input::Name(settings.name.clone()), Input::MaxBitrate(parts.max_bitrate)] {
            machine.handle(input, now);
        }
        Self {
            commands: ends.commands,
            view: ends.view,
            record: ends.recorder,
            media: MediaSession::new(parts.clone(), ends.frames, media_tx),
            parts,
            settings,
            machine,
            network,
            transport,
            transport_events,
            talk,
            signaling: None,
            media_events,
            devices: DeviceList::watch(),
            hosting: None,
            hosting_starts: None,
            hosting_admission: Admission::default(),
            told_state: None,
            told_notice: None,
            shares: None,
            goodbyes: JoinSet::new(),
            quality: QualityLog::default(),
            diagnosis: Diagnostician::default(),
            server: None,
            phase: Phase::Idle,
            saving: None,
            connected: false,
            ringing: None,
        }
    }

    /// Runs until `Command::Shutdown`, or until every handle is dropped.
    pub async fn run(mut self) {
        let mut meters = interval(METER_TICK);
        let mut statistics = interval(STATS_TICK);
        meters.set_missed_tick_behavior(MissedTickBehavior::Delay);
        statistics.set_missed_tick_behavior(MissedTickBehavior::Delay);
        if let Some(text) = self.parts.first_notice.take() {
            self.decide(Input::Notice { severity: Severity::Warning, text });
        }
        self.publish();
        loop {
            let timeout = [self.machine.poll_timeout(), self.talk.poll_timeout()].into_iter().flatten().min();
            let event = tokio::select! {
                command = self.commands.recv() => Event::Command(command),
                event = next_signal(&mut self.signaling) => Event::Signaling(event),
                Some(event) = self.transport_events.recv() => Event::Transport(event),
                Some(event) = self.media_events.recv() => Event::Media(event),
                () = self.devices.changed() => Event::Devices,
                () = self.talk.files_changed() => Event::Files,
                news = self.network.next() => Event::Network(news),
                hosting = ended(&mut self.hosting_starts) => Event::Hosting(hosting.flatten()),
                saved = ended(&mut self.saving) => Event::Saved(saved.map_err(|error| error.to_string()).flatten()),
                () = until(timeout) => Event::Timeout,
                _ = meters.tick(), if self.media.is_running() => Event::Meters,
                _ = statistics.tick(), if self.connected || self.phase != Phase::Idle => Event::Statistics,
            };
            if self.on_event(event).is_break() {
                break;
            }
            self.publish();
        }
        self.close().await;
    }

    fn on_event(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Command(None | Some(Command::Shutdown)) => return ControlFlow::Break(()),
            Event::Command(Some(command)) => self.on_command(command),
            Event::Signaling(event) => self.on_signal(event),
            Event::Transport(event) => self.on_transport(event),
            Event::Media(event) => self.on_media(event),
            Event::Devices => self.media.on_devices_changed(&self.devices.current()),
            Event::Files => self.talk.file_news().into_iter().for_each(|news| self.record.tell(news)),
            Event::Network(news) => self.on_network(&news),
            Event::Hosting(result) => self.on_hosting(result),
            Event::Saved(Ok(text)) => self.decide(Input::Notice { severity: Severity::Info, text }),
            Event::Saved(Err(reason)) => {
                let text = format!("The record was not saved: {reason}.");
                self.decide(Input::Notice { severity: Severity::Warning, text });
            }
            Event::Timeout => {
                let view = Arc::clone(&self.view.borrow());
                self.talk.handle_timeout(&view.peers, clock::now());
                self.decide(Input::Tick);
            }
            Event::Meters => {
                self.ring_again();
                self.media.synchronise();
            }
            Event::Statistics => {
                self.transport.request_stats(clock::now());
                self.diagnose();
            }
        }
        ControlFlow::Continue(())
    }

    fn on_command(&mut self, command: Command) {
        if self.signaling.is_none() && begins(&command) {
            self.record.begin(if self.settings.keep_records { Keep::Always } else { Keep::WhenAsked });
            self.diagnosis.reset();
            self.talk.reset();
            self.server = None;
        }
        match command {
            Command::NewCall { admission } => self.new_call(admission),
            Command::Open { link, admission } => {
                let server = link.server.clone();
                self.decide(Input::Open { server, link, admission, lan_only: false });
            }
            Command::Prepare(link) => self.decide(Input::Prepare(link)),
            Command::Join(link) => {
                self.record.tell(What::Call);
                self.decide(Input::Join(link));
            }
            Command::Accept(peer) => self.decide(Input::Accept(peer)),
            Command::Decline(peer) => self.decide(Input::Decline(peer)),
            Command::Leave => self.decide(Input::Leave),
            Command::Dismiss => self.decide(Input::Dismiss),
            Command::LockRoom(switch) => self.decide(Input::LockRoom(switch)),
            Command::RestartIce => self.decide(Input::RestartIce),
            Command::Chat(command) => {
                let view = Arc::clone(&self.view.borrow());
                let news = self.talk.on_chat(command, &view.peers, clock::now());
                news.into_iter().for_each(|news| self.record.tell(news));
            }
            Command::Pointer(command) => {
                let view = Arc::clone(&self.view.borrow());
                self.talk.on_pointer(command, &view.peers, clock::now());
            }
            Command::File(command) => {
                let view = Arc::clone(&self.view.borrow());
                if let Some(What::Error { text }) = self.talk.on_file(command, &view.peers) {
                    self.decide(Input::Notice { severity: Severity::Warning, text });
                }
            }
            Command::DismissNotice(id) => self.decide(Input::DismissNotice(id)),
            Command::Microphone(switch) => self.media.switch_microphone(switch),
            Command::Camera(switch) => self.media.switch_camera(switch),
            Command::LookAtScreens(switch) => self.media.look_at_screens(switch),
            Command::Share { target, mode } => {
                self.media.share(target, mode);
                self.follow_share();
            }
            Command::ShareAs(mode) => {
                self.media.share_as(mode);
                self.follow_share();
            }
            Command::StopShare => {
                self.media.stop_share();
                self.follow_share();
            }
            Command::UseCamera(choice) => self.change_settings(|settings| settings.camera = setting(choice)),
            Command::UseMicrophone(choice) => {
                self.change_settings(|settings| settings.microphone = setting(choice))
            }
            Command::UseSpeaker(choice) => {
                self.change_settings(|settings| settings.speaker = setting(choice))
            }
            Command::SaveSettings(new) => self.change_settings(|settings| *settings = *new),
            Command::KeepRecord => self.save_record(None),
            Command::ExportRecord => self.save_record(Some(Privacy::AsItIs)),
            Command::Preview(switch) => self.media.preview(switch),
            Command::TestSpeaker => self.media.play(Sound::SpeakerTest.samples()),
            Command::Shutdown => {}
        }
        self.tell_media_state();
    }

    fn save_record(&mut self, export: Option<Privacy>) {
        let kept = self.record.keep();
        self.saving = Some(tokio::spawn(async move {
            let path = kept.await.map_err(|_| "its writer is gone".to_owned())??;
            let Some(privacy) = export else {
                return Ok(format!("The record of this call is kept: {}", path.display()));
            };
            let to = path.with_extension("webrtc-internals.json");
            let name = to.display().to_string();
            let exporting = tokio::task::spawn_blocking(move || convert::export(&path, &to, privacy));
            let exported = exporting.await.map_err(|error| error.to_string())?;
            exported.map_err(|error| error.to_string())?;
            Ok(format!("The record of this call is exported: {name}"))
        }));
    }

    fn new_call(&mut self, admission: Admission) {
        if self.settings.server.is_empty() {
            self.decide(Input::Hosting);
            self.hosting_starts = Some(tokio::spawn(Hosting::start()));
            self.hosting_admission = admission;
            return;
        }
        let input = match new_link(&self.settings.server) {
            Ok(link) => Input::Open { server: link.server.clone(), link, admission, lan_only: false },
            Err(reason) => Input::OpenFailed { reason },
        };
        self.decide(input);
    }

    fn on_hosting(&mut self, result: std::io::Result<Hosting>) {
        let input = match result {
            Ok(hosting) => {
                let server = hosting.url(hosting.near);
                let link = hosting.link(hosting.lan.unwrap_or(hosting.near));
                self.hosting = Some(hosting);
                match link {
                    Ok(link) => {
                        Input::Open { server, link, admission: self.hosting_admission, lan_only: true }
                    }
                    Err(error) => Input::OpenFailed { reason: error.to_string() },
                }
            }
            Err(error) => {
                Input::OpenFailed { reason: format!("this computer cannot host the call: {error}") }
            }
        };
        self.decide(input);
    }

    fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let settings = self.settings.clone();
        self.media.apply(&settings);
        self.parts.settings = settings.clone();
        self.decide(Input::Name(settings.name.clone()));
        let saved = self.parts.settings_file.as_ref().map(|file| file.save(&settings));
        if let Some(Err(error)) = saved {
            self.decide(Input::Notice { severity: Severity::Warning, text: error.to_string() });
        }
    }

    fn on_signal(&mut self, event: SignalEvent) {
        match &event {
            SignalEvent::Connected { server_time, .. } => {
                self.record.tell(What::WsOpen);
                let ahead = server_time.as_secs_f64() - clock::unix().as_secs_f64();
                self.record.tell(What::ServerClock { ahead: (ahead * 1e3).round() / 1e3 });
            }
            SignalEvent::Lost { reason } => {
                let reason = Some(reason.clone());
                self.record.tell(What::Signaling { state: SignalingState::Lost, reason });
            }
            SignalEvent::Resumed { .. } => {
                self.record.tell(What::Signaling { state: SignalingState::Resumed, reason: None });
            }
            SignalEvent::Message { message, .. } => self.record.received(message),
            SignalEvent::RoundTrip(time) => self.record.round_trip(*time),
            SignalEvent::Failed(_) => {}
        }
        self.decide(Input::Signaling(event));
    }

    fn on_transport(&mut self, event: TransportEvent) {
        if let Some(input) = TransportInput::from_event(&event) {
            self.decide(Input::Transport(input));
        }
        match event {
            TransportEvent::OfferReady { offer } => {
                self.record.signal(Side::Local, None, &offer);
                self.record.tell(What::Ready);
            }
            TransportEvent::Signal { to, signal } => {
                self.record.signal(Side::Local, to.as_ref(), &signal);
            }
            TransportEvent::Ice { peer: Some(peer), state } => {
                self.record.tell_of(&peer, What::Ice { state })
            }
            TransportEvent::Ice { peer: None, state } => self.record.tell(What::Ice { state }),
            TransportEvent::Dtls { peer, state } => self.record.tell_of(&peer, What::Dtls { state }),
            TransportEvent::SelectedPair { peer, pair } => {
                self.record.tell_of(&peer, What::SelectedPair(pair));
            }
            TransportEvent::Problem { text } => self.record.tell(What::Error { text }),
            TransportEvent::TrackAdded { peer, kind, packets } => self.media.add_track(&peer, kind, packets),
            TransportEvent::SenderReport { peer, report } => self.media.on_sender_report(&peer, report),
            TransportEvent::KeyframeWanted { kind, .. } => self.media.send_keyframe(kind),
            TransportEvent::Screen { peer, reach } => self.on_screen_reach(&peer, reach),
            TransportEvent::Phase { peer, phase, .. } => {
                self.record.tell_of(&peer, What::Connection { state: phase });
                if phase == PeerPhase::Connected {
                    self.talk.begin(clock::now());
                    self.media.connected();
                }
            }
            TransportEvent::Stats { peer, connection, report } => self.on_stats(&peer, connection, report),
            TransportEvent::NetworkChange { change, reaction, .. } => self.record.network(&change, &reaction),
            TransportEvent::Data { peer, channel, message } => self.on_data(peer, channel, message),
            TransportEvent::Room { peer, channel } => self.talk.on_room(peer, channel),
            TransportEvent::Channels { peer, state } => self.talk.on_channels(peer, state),
            TransportEvent::TargetRate { .. } => {}
        }
    }

    fn on_data(&mut self, peer: PeerId, channel: Channel, message: Bytes) {
        let view = Arc::clone(&self.view.borrow());
        // Who is not in the call says nothing.
        let Some(person) = view.peers.iter().find(|person| person.peer == peer) else { return };
        let news = self.talk.on_data(peer, &person.name, channel, message, clock::now());
        news.into_iter().for_each(|news| self.record.tell(news));
    }

    fn on_network(&mut self, news: &News) {
        if let News::Woke { slept } = news {
            self.record.woke(*slept);
        }
        if let Some(signaling) = &self.signaling {
            match news {
                News::Woke { .. } => signaling.renew(),
                News::Change(change) if change.loses_addresses() || change.ends_isolation() => {
                    signaling.renew();
                }
                News::Change(change) if change.moves_routes() => signaling.doubt(),
                News::Change(_) => {}
            }
        }
        self.transport.network_news(news);
    }

    fn on_stats(&mut self, peer: &PeerId, connection: ConnectionNumber, mut report: Report) {
        let media = self.media.stats(peer);
        media.fill(&mut report);
        let round_trip = self.quality.update(peer, clock::now(), &report, &media);
        if let Some(round_trip) = round_trip {
            self.media.set_round_trip(peer, round_trip);
        }
        self.decide(Input::Quality(self.quality.quality()));
        self.record.report(peer, connection, report);
        if let Some(problem) = self.record.problem() {
            let text = format!("The record of this call is incomplete: {problem}.");
            self.decide(Input::Notice { severity: Severity::Warning, text });
        }
    }

    fn on_media(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::KeyframeNeeded(peer, kind) => self.transport.request_keyframe(&peer, kind),
            MediaEvent::FirstFrame(at) => self.record.tell_at(at, What::FirstFrame),
            MediaEvent::FirstAudio(at) => self.record.tell_at(at, What::FirstAudio),
            MediaEvent::FirstScreen(at) => {
                let (side, state) = (Side::Remote, ShareWord::Shown);
                self.record.tell_at(at, What::Share { side, state, codec: None });
            }
            MediaEvent::Screens(generation, found) => self.media.on_screens(generation, found),
            MediaEvent::ScreenNews(generation, news) => {
                if let Some(token) = self.media.on_screen_news(generation, news) {
                    self.change_settings(|settings| settings.screen_token = token);
                }
            }
            MediaEvent::Screen(generation, result) => {
                if let Err(error) = self.media.on_screen(generation, result) {
                    let text =
                        format!("{}. Your screen is not shown any more.", capitalised(&error.to_string()));
                    self.decide(Input::Notice { severity: Severity::Warning, text });
                }
                self.follow_share();
                self.tell_media_state();
            }
            device => {
                if let Some(change) = self.media.on_event(device) {
                    self.decide(notice(change));
                }
                self.tell_media_state();
            }
        }
    }
}

impl Actor {
    /// Tells the machine, and does what it wants, in its order.
    fn decide(&mut self, input: Input) {
        let effects = self.machine.handle(input, clock::now());
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::ConnectSignaling { server, name } => {
                self.server = Some(server.authority());
                let name = if name.is_empty() { NAMELESS.to_owned() } else { name };
                self.record.server(server.to_string());
                self.signaling = Some(signaling::connect(server, name, self.parts.dialer.clone()));
            }
            Effect::Send { message, id } => self.send(message, id),
            Effect::CloseSignaling => {
                if let Some(signaling) = self.signaling.take() {
                    let goodbye = signaling.close(clock::now() + CLOSE);
                    // A server in this process must live until it has passed the goodbye on.
                    let hosting = self.hosting.take();
                    self.goodbyes.spawn(async move {
                        goodbye.await;
                        drop(hosting);
                    });
                }
            }
            Effect::Configure(servers) => {
                let config = transport_config(&self.parts, servers);
                let told = Configuration::new(&config.ice_servers, config.ice_policy);
                self.record.tell(What::Configuration(told));
                self.transport.configure(config);
            }
            Effect::PrepareOffer => {
                self.connected = true;
                self.transport.prepare_offer();
            }
            Effect::ExpectOffer => self.transport.expect_offer(),
            Effect::AdoptPrepared(peer) => self.transport.adopt_prepared(&peer),
            Effect::HandleSignal { from, signal } => {
                self.connected = true;
                self.record.signal(Side::Remote, Some(&from), &signal);
                self.transport.handle_signal(&from, signal);
            }
            Effect::RestartIce(peer) => {
                self.transport.restart_ice(&peer);
                self.record.tell_of(&peer, What::IceRestart);
            }
            Effect::Remove(peer) => {
                self.transport.remove(&peer);
                self.talk.forget(&peer);
                self.media.remove_peer(&peer);
                self.quality.remove(&peer);
                self.diagnosis.forget_shared();
            }
            Effect::CloseConnections => {
                self.connected = false;
                self.transport.remove_all();
                self.talk.forget_all();
            }
            Effect::StartMedia => {
                self.quality.reset();
                self.media.start(self.transport.media());
            }
            Effect::StopMedia => {
                self.media.stop();
                self.follow_share();
                self.hosting = None;
            }
            Effect::Encode(targets) => {
                self.media.encode(&targets);
            }
            Effect::Ring(switch) => self.ring(switch),
            Effect::Notify { name } => self.record.tell(What::Visitor { name }),
            Effect::ViewChanged => {}
        }
    }

    fn send(&mut self, message: ClientMessage, id: Option<u64>) {
        self.record.sent(&message);
        let sent = self.signaling.as_ref().map(|signaling| signaling.send(message, id));
        if !matches!(sent, Some(Ok(()))) {
            tracing::debug!("a message for the server, but the session is over");
        }
    }

    fn on_screen_reach(&mut self, peer: &PeerId, reach: ScreenReach) {
        self.media.on_screen_reach(peer, reach);
        let (state, codec) = match reach {
            ScreenReach::NotShared | ScreenReach::Offered => return,
            ScreenReach::Sent(codec) => (ShareWord::Sent, Some(codec)),
            ScreenReach::Unable => (ShareWord::Unable, None),
        };
        self.record.tell_of(peer, What::Share { side: Side::Local, state, codec });
    }

    /// Tells the connections, and who divides what they carry, whether a screen is shown.
    fn follow_share(&mut self) {
        let mode = self.media.share_mode();
        if std::mem::replace(&mut self.shares, mode) != mode {
            let state = if mode.is_some() { ShareWord::Begun } else { ShareWord::Ended };
            self.record.tell(What::Share { side: Side::Local, state, codec: None });
            self.transport.share_screen(mode.is_some());
            self.talk.on_share(mode.is_some());
            self.decide(Input::Share(mode));
        }
    }

    /// What is switched on here, for the others.
    fn tell_media_state(&mut self) {
        let state = self.media.state();
        if self.told_state != Some(state) {
            self.told_state = Some(state);
            self.record.media(Side::Local, state);
            self.decide(Input::Media(state));
        }
    }

    fn ring(&mut self, switch: Switch) {
        self.ringing = match switch {
            Switch::On => Some(clock::now()),
            Switch::Off => None,
        };
        self.ring_again();
    }

    fn ring_again(&mut self) {
        let now = clock::now();
        if self.ringing.is_some_and(|at| at <= now) {
            self.media.play(Sound::Ring.samples());
            self.ringing = Some(now + RING_EVERY);
        }
    }

    /// Records what a change of phase means.
    fn tell_phase(&mut self, phase: &CallPhase) {
        self.phase = match phase {
            CallPhase::Idle => Phase::Idle,
            CallPhase::Opening => Phase::Opening,
            CallPhase::Waiting => Phase::Waiting,
            CallPhase::Joining => Phase::Joining,
            CallPhase::Knocking => Phase::Knocking,
            CallPhase::InCall => Phase::InCall,
            CallPhase::Ended(_) => Phase::Ended,
        };
        if *phase != self.view.borrow().phase {
            match phase {
                CallPhase::Ended(summary) => self.record.tell(What::Ended(summary.reason.clone())),
                CallPhase::Waiting => self.record.tell(What::Ready),
                CallPhase::Idle
                | CallPhase::Opening
                | CallPhase::Joining
                | CallPhase::Knocking
                | CallPhase::InCall => {}
            }
        }
        if self.record.phase(self.phase, self.server.as_deref()) && self.phase != Phase::Idle {
            self.diagnose();
        }
    }

    /// Judges the newest recording; what is new about it is recorded, and told to the other side.
    fn diagnose(&mut self) {
        let findings = self.diagnosis.update(&self.record.history(), clock::unix_ms());
        if let Some(news) = findings.news {
            self.record.tell(What::Diagnosis(news));
        }
        if let Some(share) = findings.share {
            self.decide(Input::Facts(share.write()));
        }
    }

    fn tell_notices(&mut self, notices: &[Notice]) {
        for notice in notices {
            if self.told_notice.is_none_or(|told| told < notice.id) {
                self.told_notice = Some(notice.id);
                let Notice { severity, text, .. } = notice.clone();
                self.record.tell(What::Notice { severity, text });
            }
        }
    }

    fn publish(&mut self) {
        if let Some(marks) = self.talk.take_ours() {
            self.media.show_marks(marks);
        }
        let mut view = CallView::default();
        self.machine.fill(&mut view, clock::now());
        self.talk.on_me(view.my_id.as_ref());
        self.media.fill(&mut view);
        self.quality.fill(&mut view);
        self.talk.fill(&mut view);
        view.devices = self.devices.current();
        view.settings = self.settings.clone();
        self.record.devices(self.media.recorded());
        self.tell_phase(&view.phase);
        if self.phase != Phase::Idle {
            view.verdict = self.diagnosis.first().cloned();
        }
        self.tell_notices(&view.notices);
        self.view.send_if_modified(|shown| {
            let changed = **shown != view;
            if changed {
                *shown = Arc::new(view);
            }
            changed
        });
    }

    /// Outward in: goodbye, connections, devices, the server in this process.
    async fn close(mut self) {
        self.decide(Input::Leave);
        self.publish();
        let deadline = clock::now() + CLOSE;
        self.transport.close(deadline).await;
        if let Some(signaling) = self.signaling.take() {
            signaling.close(deadline).await;
        }
        while self.goodbyes.join_next().await.is_some() {}
        // Threads of devices are joined, which may take a moment.
        let (media, talk, record) = (self.media, self.talk, self.record);
        let ending = move || {
            drop((media, talk));
            record.finish();
        };
        tokio::task::spawn_blocking(ending).await.ok();
    }
}

/// Whether a call begins with it, unless one is there already.
fn begins(command: &Command) -> bool {
    matches!(command, Command::NewCall { .. } | Command::Open { .. } | Command::Prepare(_) | Command::Join(_))
}

fn new_link(server: &str) -> Result<Link, String> {
    let server = server.parse::<ServerUrl>().map_err(|error| error.to_string())?;
    Link::generate(server).map_err(|error| error.to_string())
}

fn transport_config(parts: &EngineParts, mut ice_servers: Vec<IceServer>) -> TransportConfig {
    ice_servers.extend(parts.ice_servers.iter().cloned());
    let ice_policy = if parts.settings.relay_only { IcePolicy::Relay } else { parts.ice_policy };
    TransportConfig { ice_servers, ice_policy, video: parts.with_video, max_bitrate: parts.max_bitrate }
}

fn setting(choice: DeviceChoice) -> String {
    match choice {
        DeviceChoice::Default => String::new(),
        DeviceChoice::None => "none".into(),
        DeviceChoice::Id(id) => id,
    }
}

fn notice(change: DeviceChange) -> Input {
    let what = |kind| match kind {
        DeviceKind::Camera => "camera",
        DeviceKind::Microphone => "microphone",
        DeviceKind::Speaker => "speaker",
    };
    let (severity, text) = match change {
        DeviceChange::Replaced { kind, name, reason } => {
            (Severity::Warning, format!("{}. Your {} is now {name}.", capitalised(&reason), what(kind)))
        }
        DeviceChange::Lost { kind, reason } => {
            let rest = match kind {
                DeviceKind::Camera => "The others do not see you.",
                DeviceKind::Microphone => "The others do not hear you.",
                DeviceKind::Speaker => "You do not hear the others.",
            };
            (Severity::Error, format!("{}. {rest}", capitalised(&reason)))
        }
    };
    Input::Notice { severity, text }
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

async fn next_signal(signaling: &mut Option<SignalingHandle>) -> SignalEvent {
    let event = match signaling {
        Some(session) => session.next_event().await,
        None => None,
    };
    match event {
        Some(event) => event,
        None => std::future::pending().await,
    }
}

/// What a task comes to; waits for ever while there is none.
async fn ended<T>(task: &mut Option<JoinHandle<T>>) -> std::io::Result<T> {
    let Some(running) = task else { return std::future::pending().await };
    let result = running.await;
    *task = None;
    result.map_err(std::io::Error::other)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
