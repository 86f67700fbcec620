//! One participant's connection, whatever happens to the engine's connections below it.
//!
//! ```text
//!  mesh ──Command──▶ ┌──────┐ ──offer, answer, candidate, packet──▶ engine
//!  queue ──frames──▶ │ peer │
//!  mesh's owner ◀────└──────┘ ◀──Event── engine
//! ```
//!
//! One task owns everything of one participant: it negotiates, keeps candidates until they can be
//! used, restarts when the path is silent, and begins anew when the engine or the other side did.
//! Tracks are the participant's: they are announced once, however many connections carry them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signaling_protocol::PeerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::accounting::SharedAccounts;
use super::engine::{
    Candidate, Connection, Engine, EngineError, Event, EventSender, PacketSinks, Restart, Setup,
};
use super::mesh::{Monitors, Options};
use super::negotiation::{Manners, Negotiation, OnOffer, State};
use super::pacer::{Pacer, Priority};
use super::packetizer::Packets;
use super::recovery::Recovery;
use super::sender::{FrameSource, Outbound};
use super::{
    DescriptionKind, DtlsState, IcePolicy, IceState, PeerPhase, SelectedPair, Signal, TransportConfig,
    TransportEvent, sdp,
};
use crate::clock;
use crate::media::RemotePacket;
use crate::media::encoded::TrackKind;
use crate::units::Bitrate;

/// Calls on their way to a peer. They are few; when full, the call is lost and logged.
pub const COMMANDS: usize = 256;

/// Candidates kept until their description comes; when full, the oldest goes.
const HELD: usize = 64;

/// Candidates used of one ICE generation of the other side; more only cost checks.
const MOST_CANDIDATES: usize = 64;

/// Longest candidate line and description that we look at.
const LONGEST_CANDIDATE: usize = 512;
/// See [`LONGEST_CANDIDATE`]; what signaling carries at most.
const LONGEST_DESCRIPTION: usize = signaling_protocol::MAX_SIGNAL;

/// Media sections that a description may have: ours have two, a browser's a few more.
const MOST_SECTIONS: usize = 16;

/// How long an offer waits for its candidates. Those of our own interfaces come within a
/// millisecond, a near STUN server answers in a few; later ones are trickled.
const OFFER_WAIT: Duration = Duration::from_millis(20);

/// The same for an answer, for which the other side waits.
const ANSWER_WAIT: Duration = Duration::from_millis(5);

/// Between sender reports (RFC 3550 would allow 5 s; lip sync wants its first one soon).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Pictures that would wait longer than this in the pacer come too late: they are dropped up to the
/// next key frame.
const LONGEST_QUEUE: Duration = Duration::from_millis(500);

/// The pace before the first feedback tells better: a first key frame of 40 kB leaves within 32 ms
/// (at the pacer's 2.5 times this), and fits the queue of any link that can carry a call.
const FIRST_PACE: Bitrate = Bitrate::from_kbps(4_000);

/// Bytes around an RTP payload on the wire: RTP header and extensions, SRTP tag, UDP, IPv4.
const OVERHEAD: usize = 20 + 16 + 28;

/// What the mesh asks of a peer.
pub enum Command {
    /// The prepared connection belongs to this participant.
    Adopt(PeerId),
    /// Make the first offer.
    Offer,
    /// From the participant.
    Signal(Signal),
    /// Ask for a key frame.
    Keyframe,
    /// Look for a new path.
    Restart,
    /// Other servers or credentials.
    Configure(TransportConfig),
    /// Tell the statistics.
    Stats(Instant),
}

/// Everything a peer works with.
pub struct Parts {
    /// Whose; `None` while prepared.
    pub id: Option<PeerId>,
    /// Servers and policy.
    pub config: TransportConfig,
    /// What the mesh was made with.
    pub options: Arc<Options>,
    /// From the mesh.
    pub commands: mpsc::Receiver<Command>,
    /// From the encode threads.
    pub frames: FrameSource,
    /// To the mesh's owner.
    pub events: mpsc::Sender<TransportEvent>,
    /// Ends the task, politely.
    pub stop: CancellationToken,
}

/// The engine's connection of now.
struct Live {
    connection: Box<dyn Connection>,
    events: mpsc::Receiver<Event>,
    accounts: SharedAccounts,
    /// The estimate.
    target: Option<Bitrate>,
}

/// A description that waits a moment for its candidates.
struct Unsent {
    kind: DescriptionKind,
    until: Instant,
}

/// What we know of the other side's description.
struct Remote {
    fingerprint: Option<String>,
    ufrag: Option<String>,
    candidates: usize,
}

struct Peer {
    id: Option<PeerId>,
    config: TransportConfig,
    engine: Arc<dyn Engine>,
    options: Arc<Options>,
    events: mpsc::Sender<TransportEvent>,
    stop: CancellationToken,
    live: Option<Live>,
    sinks: PacketSinks,
    audio: Option<mpsc::Receiver<RemotePacket>>,
    video: Option<mpsc::Receiver<RemotePacket>>,
    negotiation: Negotiation,
    unsent: Option<Unsent>,
    early: VecDeque<Candidate>,
    held: VecDeque<Candidate>,
    remote: Option<Remote>,
    /// Fingerprint of our pending or current description.
    fingerprint: Option<String>,
    /// Whether we made the first offer; that side restarts first.
    offerer: bool,
    ice: IceState,
    dtls: DtlsState,
    phase: Option<PeerPhase>,
    pair: Option<SelectedPair>,
    recovery: Recovery,
    outbound: Outbound,
    /// Payloads on their way out: a frame and the index of one of its payloads.
    pacer: Pacer<(Arc<Packets>, usize)>,
    /// Pictures dropped because the path was too slow.
    late: u64,
    next_report: Option<Instant>,
}

/// Runs one participant's connection until it is stopped.
pub async fn run(parts: Parts) {
    let Parts { id, config, options, mut commands, mut frames, events, stop } = parts;
    let (sinks, audio, video) = PacketSinks::channels();
    let random = || getrandom::u32().unwrap_or(0x5c17) as u16 & 0x7fff;
    let mut peer = Peer {
        id,
        config,
        engine: options.engine.clone(),
        options,
        events,
        stop: stop.clone(),
        live: None,
        sinks,
        audio: Some(audio),
        video: Some(video),
        negotiation: Negotiation::default(),
        unsent: None,
        early: VecDeque::new(),
        held: VecDeque::new(),
        remote: None,
        fingerprint: None,
        offerer: false,
        ice: IceState::New,
        dtls: DtlsState::New,
        phase: None,
        pair: None,
        recovery: Recovery::default(),
        outbound: Outbound::new(random(), random()),
        pacer: Pacer::new(FIRST_PACE),
        late: 0,
        next_report: None,
    };
    loop {
        let wake = peer.next_wake();
        tokio::select! {
            () = stop.cancelled() => break,
            command = commands.recv() => match command {
                Some(command) => peer.on_command(command).await,
                None => break,
            },
            event = next_event(&mut peer.live) => peer.on_event(event).await,
            Some(frame) = frames.next() => peer.on_frame(frame, &frames).await,
            () = sleep_until(wake) => peer.on_time(clock::now()).await,
        }
    }
    if let Some(live) = peer.live.take() {
        live.connection.close().await;
    }
}

async fn next_event(live: &mut Option<Live>) -> Event {
    match live {
        Some(live) => live.events.recv().await.unwrap_or(Event::Ended),
        None => std::future::pending().await,
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Peer {
    fn next_wake(&self) -> Option<Instant> {
        let unsent = self.unsent.as_ref().map(|unsent| unsent.until);
        [unsent, self.recovery.poll_timeout(), self.next_report, self.pacer.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    async fn on_time(&mut self, now: Instant) {
        self.flush(now).await;
        if self.unsent.as_ref().is_some_and(|unsent| unsent.until <= now) {
            self.send_description().await;
        }
        if self.recovery.handle_timeout(now) {
            self.want_offer(Restart::Ice).await;
        }
        self.update_phase(now).await;
        if self.next_report.is_some_and(|at| at <= now) {
            self.next_report = Some(now + REPORT_INTERVAL);
            self.send_reports(now).await;
        }
    }

    async fn on_command(&mut self, command: Command) {
        match command {
            Command::Adopt(id) => self.adopt(id).await,
            Command::Offer => {
                self.offerer = true;
                if self.open().await {
                    self.want_offer(Restart::No).await;
                }
            }
            Command::Signal(signal) => self.on_signal(signal).await,
            Command::Keyframe => {
                if let Some(live) = &self.live
                    && let Err(error) = live.connection.request_keyframe().await
                {
                    tracing::debug!(%error, "no key frame was asked for");
                }
            }
            Command::Restart => {
                self.recovery.restarted(clock::now());
                self.want_offer(Restart::Ice).await;
            }
            Command::Configure(config) => self.configure(config).await,
            Command::Stats(now) => self.tell_stats(now).await,
        }
    }

    /// Tells the mesh's owner; waits while it is busy, but not when the peer is to end.
    async fn tell(&self, event: TransportEvent) {
        tokio::select! {
            _ = self.events.send(event) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn problem(&self, text: String) {
        self.tell(TransportEvent::Problem { text }).await;
    }

    fn name(&self) -> String {
        self.id.as_ref().map_or_else(|| "the other side".to_owned(), |id| format!("participant {id}"))
    }

    /// Makes a fresh connection; says whether there is one.
    async fn open(&mut self) -> bool {
        let (events, receiver) = EventSender::channel();
        let Monitors { accounts, estimator } = (self.options.monitors)(&self.config);
        let setup = Setup {
            ice_servers: self.config.ice_servers.clone(),
            ice_policy: self.config.ice_policy,
            addresses: self.options.addresses.clone(),
            video: self.config.video,
            sinks: self.sinks.clone(),
            tap: Box::new(accounts.clone()),
            estimator,
        };
        let old = match self.engine.open(setup, events).await {
            Ok(connection) => {
                self.live.replace(Live { connection, events: receiver, accounts, target: None })
            }
            Err(error) => {
                self.problem(format!("There is no connection to {}: {error}.", self.name())).await;
                return false;
            }
        };
        if let Some(old) = old {
            tokio::spawn(async move { old.connection.close().await });
        }
        let relay =
            |server: &signaling_protocol::IceServer| server.urls.iter().any(|url| url.starts_with("turn"));
        if self.id.is_some()
            && self.config.ice_policy == IcePolicy::Relay
            && !self.config.ice_servers.iter().any(relay)
        {
            let name = self.name();
            self.problem(format!("Only a relay may be used to reach {name}, but there is none.")).await;
        }
        self.negotiation = Negotiation::default();
        self.unsent = None;
        self.early.clear();
        self.remote = None;
        self.fingerprint = None;
        self.ice = IceState::New;
        self.dtls = DtlsState::New;
        self.outbound.close();
        self.pacer = Pacer::new(FIRST_PACE);
        self.next_report = None;
        self.recovery.opened(clock::now());
        self.update_phase(clock::now()).await;
        true
    }

    async fn adopt(&mut self, id: PeerId) {
        self.id = Some(id);
        // Whatever became known before the participant did.
        let (phase, dtls, pair) = (self.phase, self.dtls, self.pair.clone());
        if let Some(peer) = self.id.clone() {
            if dtls != DtlsState::New {
                self.tell(TransportEvent::Dtls { peer: peer.clone(), state: dtls }).await;
            }
            if let Some(phase) = phase {
                self.tell(TransportEvent::Phase { peer: peer.clone(), phase }).await;
            }
            if let Some(pair) = pair {
                self.tell(TransportEvent::SelectedPair { peer, pair }).await;
            }
        }
    }

    async fn configure(&mut self, config: TransportConfig) {
        // Fresh credentials for the same servers change nothing about what was gathered; they are for
        // the next connection or restart.
        let urls = |config: &TransportConfig| -> Vec<String> {
            config.ice_servers.iter().flat_map(|server| server.urls.clone()).collect()
        };
        let other = urls(&config) != urls(&self.config) || config.ice_policy != self.config.ice_policy;
        self.config = config;
        if !other {
            return;
        }
        let Some(live) = &self.live else { return };
        if let Err(error) = live.connection.configure(&self.config.ice_servers, self.config.ice_policy).await
        {
            self.problem(format!("The new servers are not used: {error}.")).await;
        }
    }

    async fn tell_stats(&self, now: Instant) {
        if let (Some(live), Some(peer)) = (&self.live, self.id.clone()) {
            let mut report = live.connection.stats(now).await;
            report.fill_accounts(now, &live.accounts.read());
            if let Some(target) = live.target {
                report.fill_estimate(target);
            }
            self.tell(TransportEvent::Stats { peer, report }).await;
        }
    }

    // Descriptions.

    async fn want_offer(&mut self, restart: Restart) {
        if let Some(restart) = self.negotiation.want(restart) {
            self.make_offer(restart).await;
        }
    }

    async fn make_offer(&mut self, restart: Restart) {
        let Some(live) = &self.live else {
            self.negotiation.abandon();
            return;
        };
        if restart == Restart::Ice {
            // Credentials may be newer than the connection. A failure shows in the offer that follows.
            live.connection.configure(&self.config.ice_servers, self.config.ice_policy).await.ok();
        }
        match live.connection.offer(restart).await {
            Ok(()) => self.gather_into(DescriptionKind::Offer, OFFER_WAIT).await,
            Err(error) => {
                self.negotiation.abandon();
                self.problem(format!("There is no new path to {}: {error}.", self.name())).await;
            }
        }
    }

    /// The description leaves when its candidates are there, or after `wait`.
    async fn gather_into(&mut self, kind: DescriptionKind, wait: Duration) {
        let Some(live) = &self.live else { return };
        let sdp = live.connection.local_description().await.unwrap_or_default();
        self.fingerprint = sdp::fingerprint(&sdp).map(str::to_owned);
        self.early.clear();
        self.unsent = Some(Unsent { kind, until: clock::now() + wait });
    }

    async fn send_description(&mut self) {
        let Some(unsent) = self.unsent.take() else { return };
        let Some(live) = &self.live else { return };
        let Some(sdp) = live.connection.local_description().await else { return };
        let early = std::mem::take(&mut self.early);
        let signal = Signal::Description { kind: unsent.kind, sdp: sdp.clone(), proof: None };
        match (&self.id, unsent.kind) {
            (None, DescriptionKind::Offer) => self.tell(TransportEvent::OfferReady { offer: signal }).await,
            (to, DescriptionKind::Offer | DescriptionKind::Answer) => {
                self.tell(TransportEvent::Signal { to: to.clone(), signal }).await;
            }
        }
        for candidate in early {
            if !sdp.contains(&candidate.candidate) {
                self.send_candidate(candidate).await;
            }
        }
    }

    async fn send_candidate(&self, candidate: Candidate) {
        let Candidate { candidate, mid, ufrag } = candidate;
        let signal = Signal::Candidate { candidate, mid, ufrag };
        self.tell(TransportEvent::Signal { to: self.id.clone(), signal }).await;
    }

    async fn on_signal(&mut self, signal: Signal) {
        match signal {
            Signal::Description { kind, sdp, proof: _ } => {
                if let Err(reason) = check_description(&sdp) {
                    let name = self.name();
                    self.problem(format!("The description of {name} is not used: {reason}.")).await;
                    return;
                }
                match kind {
                    DescriptionKind::Offer => self.on_offer(&sdp).await,
                    DescriptionKind::Answer => self.on_answer(&sdp).await,
                }
            }
            Signal::Candidate { candidate, mid, ufrag } => {
                self.on_candidate(Candidate { candidate, mid, ufrag }).await;
            }
            // The engine goes on checking the pairs it has; nothing is to be done.
            Signal::EndOfCandidates { ufrag: _ } => {}
        }
    }

    /// Exactly one side is polite: the certificates' fingerprints are random and known to both.
    fn manners(&self, theirs: Option<&str>) -> Manners {
        if self.fingerprint.as_deref() < theirs { Manners::Polite } else { Manners::Impolite }
    }

    async fn on_offer(&mut self, offer: &str) {
        let fingerprint = sdp::fingerprint(offer);
        let known = self.remote.as_ref().map(|remote| remote.fingerprint.as_deref());
        let anew = known.is_some_and(|known| known != fingerprint);
        if (self.live.is_none() || anew) && !self.open().await {
            return;
        }
        let restart = self.is_restart(offer);
        match self.negotiation.on_offer(self.manners(fingerprint)) {
            OnOffer::Ignore => return,
            OnOffer::RollbackAndAnswer => {
                self.unsent = None;
                if let Some(live) = &self.live
                    && let Err(error) = live.connection.rollback().await
                {
                    tracing::warn!(%error, "an offer could not be taken back; the connection begins anew");
                    if !self.open().await {
                        return;
                    }
                }
            }
            OnOffer::Answer => {}
        }
        let Some(live) = &self.live else { return };
        match live.connection.answer(offer).await {
            Ok(()) => {
                self.gather_into(DescriptionKind::Answer, ANSWER_WAIT).await;
                self.on_remote(offer).await;
                if let Some(next) = self.negotiation.answered(restart) {
                    self.send_description().await;
                    self.make_offer(next).await;
                }
            }
            Err(error) => {
                if self.remote.is_none() {
                    self.live = None;
                }
                self.refuse(error).await;
            }
        }
    }

    fn is_restart(&self, description: &str) -> Restart {
        let known = self.remote.as_ref().and_then(|remote| remote.ufrag.as_deref());
        if known.is_some() && known != sdp::ufrag(description) { Restart::Ice } else { Restart::No }
    }

    async fn on_answer(&mut self, answer: &str) {
        if self.negotiation.state() == State::Stable {
            tracing::debug!("an answer to no offer is ignored");
            return;
        }
        let Some(live) = &self.live else { return };
        match live.connection.accept(answer).await {
            Ok(()) => {
                self.negotiation.on_answer();
                self.on_remote(answer).await;
                if let Some(next) = self.negotiation.take_wanted() {
                    self.make_offer(next).await;
                }
            }
            Err(error) => self.refuse(error).await,
        }
    }

    async fn refuse(&self, error: EngineError) {
        self.problem(format!("The connection to {} cannot be set up: {error}.", self.name())).await;
    }

    /// A remote description is in place: candidates that waited for it can be used.
    async fn on_remote(&mut self, description: &str) {
        let ufrag = sdp::ufrag(description).map(str::to_owned);
        let known = self.remote.take();
        let candidates = known.filter(|known| known.ufrag == ufrag).map_or(0, |known| known.candidates);
        let fingerprint = sdp::fingerprint(description).map(str::to_owned);
        self.remote = Some(Remote { fingerprint, ufrag, candidates });
        for candidate in std::mem::take(&mut self.held) {
            self.on_candidate(candidate).await;
        }
    }

    // Candidates.

    async fn on_candidate(&mut self, candidate: Candidate) {
        if !is_usable(&candidate.candidate) {
            return;
        }
        let fits = |remote: &Remote| candidate.ufrag.is_none() || candidate.ufrag == remote.ufrag;
        let Some(remote) = self.remote.as_mut().filter(|remote| fits(remote)) else {
            if self.held.len() == HELD {
                self.held.pop_front();
            }
            self.held.push_back(candidate);
            return;
        };
        remote.candidates += 1;
        if remote.candidates > MOST_CANDIDATES {
            return;
        }
        let Some(live) = &self.live else { return };
        if let Err(error) = live.connection.add_candidate(&candidate).await
            && !self.negotiation.is_ignoring()
        {
            self.problem(format!("A network address of {} is not used: {error}.", self.name())).await;
        }
    }

    // What the engine tells.

    async fn on_event(&mut self, event: Event) {
        match event {
            Event::Candidate(candidate) => match self.unsent {
                Some(_) => self.early.push_back(candidate),
                None => self.send_candidate(candidate).await,
            },
            Event::Gathered { ufrag } => {
                self.send_description().await;
                let signal = Signal::EndOfCandidates { ufrag };
                self.tell(TransportEvent::Signal { to: self.id.clone(), signal }).await;
            }
            Event::Ice(state) => self.on_ice(state).await,
            Event::Dtls(state) => self.on_dtls(state).await,
            Event::TrackStarted(kind) => self.on_track(kind).await,
            Event::SenderReport(report) => {
                if let Some(peer) = self.id.clone() {
                    self.tell(TransportEvent::SenderReport { peer, report }).await;
                }
            }
            Event::KeyframeWanted => self.want_keyframe().await,
            Event::Target { bitrate, loss } => {
                self.pacer.set_target(clock::now(), bitrate);
                let bitrate = self.config.max_bitrate.map_or(bitrate, |most| bitrate.min(most));
                if let Some(live) = &mut self.live {
                    live.target = Some(bitrate);
                }
                if let Some(peer) = self.id.clone() {
                    self.tell(TransportEvent::TargetRate { peer, bitrate, loss }).await;
                }
            }
            Event::Problem(text) => self.problem(text).await,
            Event::Ended => {
                tracing::warn!("the connection to {} broke inside; it begins anew", self.name());
                self.live = None;
                if self.open().await {
                    self.want_offer(Restart::No).await;
                }
            }
        }
    }

    async fn want_keyframe(&self) {
        if let Some(peer) = self.id.clone() {
            self.tell(TransportEvent::KeyframeWanted { peer }).await;
        }
    }

    async fn on_ice(&mut self, state: IceState) {
        let now = clock::now();
        self.ice = state;
        self.tell(TransportEvent::Ice { peer: self.id.clone(), state }).await;
        match state {
            IceState::Connected | IceState::Completed => {
                self.recovery.connected();
                let pair = match &self.live {
                    Some(live) => live.connection.selected_pair().await,
                    None => None,
                };
                if pair.is_some() && pair != self.pair {
                    self.pair.clone_from(&pair);
                    if let (Some(peer), Some(pair)) = (self.id.clone(), pair) {
                        self.tell(TransportEvent::SelectedPair { peer, pair }).await;
                    }
                }
            }
            IceState::Disconnected => self.recovery.silent(now, self.offerer),
            IceState::Failed => self.recovery.failed(now, self.offerer),
            IceState::New | IceState::Checking | IceState::Closed => {}
        }
        self.update_phase(now).await;
    }

    async fn on_dtls(&mut self, state: DtlsState) {
        self.dtls = state;
        if let Some(peer) = self.id.clone() {
            self.tell(TransportEvent::Dtls { peer, state }).await;
        }
        if state == DtlsState::Connected {
            self.outbound.open();
            self.next_report = Some(clock::now() + REPORT_INTERVAL / 4);
            self.want_keyframe().await;
        }
        self.update_phase(clock::now()).await;
    }

    async fn update_phase(&mut self, now: Instant) {
        let up = matches!(self.ice, IceState::Connected | IceState::Completed)
            && self.dtls == DtlsState::Connected;
        let phase = self.recovery.phase(now, up);
        if self.phase.replace(phase) == Some(phase) {
            return;
        }
        if let Some(peer) = self.id.clone() {
            self.tell(TransportEvent::Phase { peer, phase }).await;
        }
    }

    async fn on_track(&mut self, kind: TrackKind) {
        let Some(peer) = self.id.clone() else { return };
        let packets = match kind {
            TrackKind::Audio => self.audio.take(),
            TrackKind::Video => self.video.take(),
        };
        if let Some(packets) = packets {
            self.tell(TransportEvent::TrackAdded { peer, kind, packets }).await;
        }
    }

    // Media.

    async fn on_frame(&mut self, frame: Arc<Packets>, frames: &FrameSource) {
        if frames.take_keyframe_needed() {
            self.outbound.skip_to_keyframe();
            self.want_keyframe().await;
        }
        if self.live.is_none() || !self.outbound.admits(&frame) {
            return;
        }
        let now = clock::now();
        let priority = match frame.kind {
            TrackKind::Audio => Priority::Audio,
            TrackKind::Video => Priority::Video,
        };
        let mut fits = frame.kind == TrackKind::Audio || self.pacer.backlog() <= LONGEST_QUEUE;
        for (index, payload) in frame.payloads.iter().enumerate() {
            fits = fits
                && self
                    .pacer
                    .enqueue(now, priority, payload.len() + OVERHEAD, (frame.clone(), index))
                    .is_ok();
        }
        if !fits && frame.kind == TrackKind::Video {
            self.late += 1;
            self.pacer.clear_video();
            self.outbound.skip_to_keyframe();
            tracing::debug!(
                late = self.late,
                "the path is too slow; pictures are skipped to the next key frame"
            );
            self.want_keyframe().await;
        }
        self.flush(now).await;
    }

    /// Sends what may leave now.
    async fn flush(&mut self, now: Instant) {
        while let Some((frame, index)) = self.pacer.poll(now) {
            let (Some(live), Some(packet)) = (&self.live, self.outbound.number(&frame, index)) else {
                continue;
            };
            if let Err(error) = live.connection.send(packet).await {
                tracing::debug!(%error, "a packet is not sent");
            }
        }
    }

    async fn send_reports(&self, now: Instant) {
        let Some(live) = &self.live else { return };
        for report in self.outbound.reports(now, clock::unix()) {
            live.connection.report(report).await.ok();
        }
    }
}

/// Refuses what costs time or memory before the engine looks at it.
fn check_description(sdp: &str) -> Result<(), &'static str> {
    if sdp.len() > LONGEST_DESCRIPTION {
        return Err("it is too long");
    }
    if sdp.lines().filter(|line| line.starts_with("m=")).count() > MOST_SECTIONS {
        return Err("it has too many media sections");
    }
    if sdp.lines().filter(|line| line.starts_with("a=candidate:")).count() > MOST_CANDIDATES {
        return Err("it has too many candidates");
    }
    if sdp::fingerprint(sdp).is_none() {
        return Err("it names no certificate");
    }
    Ok(())
}

/// UDP candidates with an address; the engine would open TCP connections to wherever it is told,
/// and `.local` names are found by the checks themselves.
fn is_usable(candidate: &str) -> bool {
    if candidate.len() > LONGEST_CANDIDATE {
        return false;
    }
    let mut fields = candidate.split_ascii_whitespace();
    let protocol = fields.nth(2);
    let address = fields.nth(1);
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp"))
        && address.is_some_and(|address| !address.ends_with(".local"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_udp_candidates_with_an_address_are_used() {
        assert!(is_usable("candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"));
        assert!(is_usable("candidate:1 1 UDP 2130706431 2001:db8::1 5000 typ host"));
        assert!(!is_usable("candidate:1 1 tcp 1 192.0.2.1 22 typ host tcptype passive"));
        assert!(!is_usable("candidate:1 1 udp 1 0a1b.local 5000 typ host"));
        assert!(!is_usable(""));
    }

    #[test]
    fn descriptions_that_only_cost_time_are_refused() {
        let good = "v=0\r\na=fingerprint:sha-256 AA\r\n";
        assert_eq!(check_description(good), Ok(()));
        assert!(check_description("v=0\r\n").is_err());
        assert!(check_description(&format!("{good}{}", "m=audio 9 RTP 0\r\n".repeat(17))).is_err());
        assert!(check_description(&format!("{good}{}", "a=candidate:1 1 udp\r\n".repeat(65))).is_err());
        assert!(check_description(&good.repeat(2_000)).is_err());
    }

    proptest! {
        #[test]
        fn any_signal_that_parses_is_one_that_we_could_have_sent(text in "\\{\"k\":\"(candidate|description|end_of_candidates)\"(,\"[a-z]{1,9}\":(\"[ -~]{0,9}\"|null|7)){0,3}\\}") {
            if let Ok(signal) = serde_json::from_str::<Signal>(&text) {
                let again = serde_json::to_string(&signal).unwrap();
                prop_assert_eq!(serde_json::from_str::<Signal>(&again).unwrap(), signal);
            }
        }

        #[test]
        fn no_candidate_is_too_strange(text in "[ -~é]{0,80}") {
            let _ = is_usable(&text);
        }
    }
}
