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

mod commands;
mod effects;
mod events;
mod told;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signaling_protocol::{Admission, IceServer, MediaState};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::call::{CallMachine, Input};
use crate::clock;
use crate::config::Settings;
use crate::engine::command::{Command, ShareMode, Switch};
use crate::engine::devices::DeviceList;
use crate::engine::diagnosis::Diagnostician;
use crate::engine::frames::FrameSlots;
use crate::engine::hosting::Hosting;
use crate::engine::media_session::{MediaEvent, MediaSession};
use crate::engine::parts::EngineParts;
use crate::engine::quality::QualityLog;
use crate::engine::recorder::Recorder;
use crate::engine::talk::Talk;
use crate::engine::view::{CallView, Severity};
use crate::pointer::Marks;
use crate::record::Phase;
use crate::rtc::mesh::{Mesh, Options};
use crate::rtc::network_monitor::{NetworkMonitor, News};
use crate::rtc::{IcePolicy, Transport, TransportConfig, TransportEvent};
use crate::signaling::{SignalEvent, SignalingHandle};

/// What devices and decoders tell; the threads behind wait when it is full, except for requests
/// that are repeated anyway.
const MEDIA_EVENTS: usize = 64;

/// What connections tell; they wait when it is full.
const TRANSPORT_EVENTS: usize = 256;

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
    shares: (Option<ShareMode>, Switch),
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
            shares: (None, Switch::Off),
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

    /// Tells the machine, and does what it wants, in its order.
    fn decide(&mut self, input: Input) {
        let effects = self.machine.handle(input, clock::now());
        for effect in effects {
            self.perform(effect);
        }
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

fn transport_config(parts: &EngineParts, mut ice_servers: Vec<IceServer>) -> TransportConfig {
    ice_servers.extend(parts.ice_servers.iter().cloned());
    let ice_policy = if parts.settings.relay_only { IcePolicy::Relay } else { parts.ice_policy };
    TransportConfig { ice_servers, ice_policy, video: parts.with_video, max_bitrate: parts.max_bitrate }
}
