//! One participant, whatever connections lead to it.
//!
//! ```text
//!                    ┌──────┐ ──packets──▶ carrier ─┐
//!  mesh ──Command──▶ │ peer │ ──signals──▶ next     ├─▶ engine
//!  queue ──frames──▶ └──────┘              old ─────┘
//!  mesh's owner ◀──────┘ ◀─────Event───────────────── engine
//! ```
//!
//! One task owns everything of one participant. Mostly there is one link, the carrier of media. A
//! new path is a new link that is brought up beside the carrier; media moves to it without a gap,
//! and the old one lingers for what is still on its way. What is received is taken from all of them.
//! Tracks, numbers, pacing and accounts are the participant's, so that a move is neither heard nor
//! seen.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use signaling_protocol::{IceServer, PeerId};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::accounting::SharedAccounts;
use super::bandwidth::{self, PathEstimator};
use super::engine::{Addresses, Candidate, Event, Heard, PacketSinks, Setup, Ssrcs};
use super::handover::{self, Cost, Overlap, Purpose, Verdict};
use super::improvement::Improvement;
use super::link::{Link, Outcome, check_description};
use super::mesh::Options;
use super::network_monitor::network::{Interface, Network};
use super::network_monitor::{Change, News};
use super::outlet::Outlet;
use super::pacer::{Pacer, Priority};
use super::packetizer::Packets;
use super::reaction::{self, Reaction};
use super::recovery::Recovery;
use super::sender::{FrameSource, Outbound};
use super::{
    CandidateType, ConnectionNumber, DescriptionKind, DtlsState, IcePolicy, IceState, PeerPhase,
    SelectedPair, Signal, TransportConfig, TransportEvent, Trouble, stats,
};
use crate::clock;
use crate::media::RemotePacket;
use crate::media::encoded::TrackKind;
use crate::units::Bitrate;

/// Calls on their way to a peer. They are few; when full, the call is lost and logged.
pub const COMMANDS: usize = 256;

/// Candidates kept until the offer comes that they belong to; when full, the oldest goes.
const HELD: usize = 64;

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

/// A connection that is being set up is not set up again within this time.
const FRESH: Duration = Duration::from_secs(2);

/// After a sleep, the other side must be heard within this time: its media comes all the time, and
/// checks of the path every second. What was waiting in the sockets does not count.
const CHECK: Duration = Duration::from_millis(1_500);

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
    /// Something is new about this computer's network.
    Network(News),
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
    /// This computer's interfaces; `None`: nobody watches them.
    pub network: Option<Arc<Network>>,
    /// From the mesh.
    pub commands: mpsc::Receiver<Command>,
    /// From the encode threads.
    pub frames: FrameSource,
    /// To the mesh's owner.
    pub events: mpsc::Sender<TransportEvent>,
    /// Ends the task, politely.
    pub stop: CancellationToken,
}

/// What the owner has been told of the carrier.
#[derive(Default)]
struct Told {
    ice: Option<IceState>,
    dtls: DtlsState,
    pair: Option<SelectedPair>,
    phase: Option<(PeerPhase, Option<Trouble>)>,
}

struct Peer {
    outlet: Outlet,
    config: TransportConfig,
    options: Arc<Options>,
    network: Option<Arc<Network>>,
    /// How often each interface came and went.
    changes: BTreeMap<String, u64>,
    /// After a sleep: when something must have been heard.
    check_at: Option<Instant>,
    /// At most three: one on its way up, the carrier, and one that lingers.
    links: Vec<Link>,
    /// The link that carries media, or will when it is up. Later numbers are on their way up,
    /// earlier ones linger.
    carrier: ConnectionNumber,
    /// The newest one that either side has begun.
    newest: ConnectionNumber,
    /// The other side can have two connections.
    they_move: bool,
    /// Candidates of an offer that has not come yet.
    held: Vec<(ConnectionNumber, Candidate)>,
    sinks: PacketSinks,
    audio: Option<mpsc::Receiver<RemotePacket>>,
    video: Option<mpsc::Receiver<RemotePacket>>,
    accounts: SharedAccounts,
    ssrcs: Ssrcs,
    /// Whether we made the first offer; that side looks for a new path first.
    offerer: bool,
    told: Told,
    recovery: Recovery,
    improvement: Improvement,
    overlap: Overlap,
    outbound: Outbound,
    /// Payloads on their way out: a frame and the index of one of its payloads.
    pacer: Pacer<(Arc<Packets>, usize)>,
    /// Pictures dropped because the path was too slow.
    late: u64,
    next_report: Option<Instant>,
}

/// Runs one participant's connections until it is stopped.
pub async fn run(parts: Parts) {
    let Parts { id, config, options, network, mut commands, mut frames, events, stop } = parts;
    let (sinks, audio, video) = PacketSinks::channels();
    let random = || getrandom::u32().unwrap_or(0x5c17) as u16 & 0x7fff;
    let mut peer = Peer {
        outlet: Outlet { id, events, stop: stop.clone() },
        config,
        options,
        network,
        changes: BTreeMap::new(),
        check_at: None,
        links: Vec::new(),
        carrier: ConnectionNumber::FIRST,
        newest: ConnectionNumber::FIRST,
        they_move: false,
        held: Vec::new(),
        sinks,
        audio: Some(audio),
        video: Some(video),
        accounts: SharedAccounts::default(),
        ssrcs: Ssrcs::random(),
        offerer: false,
        told: Told::default(),
        recovery: Recovery::default(),
        improvement: Improvement::default(),
        overlap: Overlap::default(),
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
            (number, event) = next_event(&mut peer.links) => peer.on_event(number, event).await,
            Some(frame) = frames.next() => peer.on_frame(frame, &frames).await,
            () = sleep_until(wake) => peer.on_time(clock::now()).await,
        }
    }
    futures_util::future::join_all(peer.links.iter().map(|link| link.connection.close())).await;
}

/// The next event of any link.
async fn next_event(links: &mut [Link]) -> (ConnectionNumber, Event) {
    std::future::poll_fn(|cx| {
        for link in links.iter_mut() {
            if let Poll::Ready(event) = link.poll_event(cx) {
                return Poll::Ready((link.number, event));
            }
        }
        Poll::Pending
    })
    .await
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The link with a number.
fn find(links: &mut [Link], number: ConnectionNumber) -> Option<&mut Link> {
    links.iter_mut().find(|link| link.number == number)
}

fn is_relay(server: &IceServer) -> bool {
    server.urls.iter().any(|url| url.starts_with("turn"))
}

impl Peer {
    fn next_wake(&self) -> Option<Instant> {
        [
            self.links.iter().filter_map(Link::next_wake).min(),
            self.moves_at(),
            self.recovery.poll_timeout(),
            self.improvement.poll_timeout(),
            self.check_at,
            self.next_report,
            self.pacer.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    async fn on_time(&mut self, now: Instant) {
        self.flush(now).await;
        for link in &mut self.links {
            link.on_time(now, &self.outlet).await;
        }
        if self.check_at.is_some_and(|at| at <= now) {
            self.check_at = None;
            self.check(now).await;
        }
        if self.recovery.is_due(now) {
            self.look_again(now).await;
        }
        if self.improvement.handle_timeout(self.offerer, now) && self.they_move && self.next().is_none() {
            self.begin_next(Purpose::Better, None).await;
        }
        self.settle(now).await;
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
                self.begin_anew().await;
            }
            Command::Signal(signal) => self.on_signal(signal).await,
            Command::Keyframe => {
                for link in self.links.iter().filter(|link| link.is_up()) {
                    if let Err(error) = link.connection.request_keyframe().await {
                        tracing::debug!(%error, "no key frame was asked for");
                    }
                }
            }
            Command::Restart => {
                let now = clock::now();
                self.recovery.asked(now);
                let fresh = |link: &Link| link.purpose == Purpose::Replace && link.age(now) < FRESH;
                if !self.next().is_some_and(fresh) {
                    self.begin_next(Purpose::Replace, None).await;
                }
            }
            Command::Configure(config) => self.configure(config).await,
            Command::Network(News::Change(change)) => self.on_change(change).await,
            Command::Network(News::Woke { .. }) => self.check_at = Some(clock::now() + CHECK),
            Command::Stats(now) => self.tell_stats(now).await,
        }
    }

    async fn adopt(&mut self, id: PeerId) {
        self.outlet.id = Some(id);
        // Whatever became known before the participant did.
        self.told = Told { ice: self.told.ice, ..Told::default() };
        self.tell_carrier().await;
        self.update_phase(clock::now()).await;
    }

    async fn configure(&mut self, config: TransportConfig) {
        let urls = |config: &TransportConfig| -> Vec<String> {
            config.ice_servers.iter().flat_map(|server| server.urls.clone()).collect()
        };
        let fresh = config.ice_servers != self.config.ice_servers;
        let other = urls(&config) != urls(&self.config) || config.ice_policy != self.config.ice_policy;
        self.config = config;
        for link in self.links.iter().filter(|_| other) {
            let TransportConfig { ice_servers, ice_policy, .. } = &self.config;
            if let Err(error) = link.connection.configure(ice_servers, *ice_policy).await {
                self.outlet.problem(format!("The new servers are not used: {error}.")).await;
            }
        }
        // A relay serves no longer than the credentials that it was made with; and who is not to be
        // seen must not go directly.
        let kind = |link: &Link| link.pair.as_ref().map(|pair| pair.local.kind);
        let leave = match (self.working().and_then(kind), self.config.ice_policy) {
            (Some(CandidateType::Relay), _) => fresh,
            (Some(_), IcePolicy::Relay) => true,
            (Some(_), IcePolicy::All) | (None, _) => false,
        };
        if leave {
            self.begin_next(Purpose::Replace, None).await;
        }
        self.settle(clock::now()).await;
    }

    async fn tell_stats(&mut self, now: Instant) {
        let Some(link) = self.links.iter().find(|link| link.number == self.carrier) else { return };
        let mut report = link.connection.stats(now).await;
        report.fill_accounts(now, &self.accounts.read());
        report.fill_send_delay(self.pacer.waited());
        if let Some((target, _)) = link.target {
            report.fill_estimate(target);
        }
        for interface in &self.interfaces().interfaces {
            report
                .entries
                .push(stats::Entry::NetworkInterface(self.interface_stats(interface, report.timestamp)));
        }
        self.outlet.tell_of(|peer| TransportEvent::Stats { peer, report }).await;
    }

    fn interface_stats(&self, interface: &Interface, timestamp: f64) -> stats::NetworkInterface {
        stats::NetworkInterface {
            id: format!("NI{}", interface.name),
            timestamp,
            name: interface.name.clone(),
            kind: interface.kind,
            addresses: interface.addresses.iter().map(ToString::to_string).collect(),
            up: interface.up,
            changes: self.changes.get(&interface.name).copied().unwrap_or_default(),
            default_route: Some(interface.default_route),
            mtu: interface.mtu,
        }
    }

    // Links.

    /// The link that is on its way up beside the carrier.
    fn next(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.number > self.carrier)
    }

    /// Whether there is an interface to look for a path over, as far as is known.
    fn has_network(&self) -> bool {
        self.network.as_ref().is_none_or(|network| network.usable().next().is_some())
    }

    /// What the path in use costs, once known; `None` when there is none that works.
    fn working_cost(&self) -> Option<Option<Cost>> {
        self.working().map(|link| link.cost(&self.interfaces()))
    }

    fn interfaces(&self) -> Arc<Network> {
        self.network.clone().unwrap_or_default()
    }

    /// The carrier, if media can go by it.
    fn working(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.number == self.carrier && link.is_up())
    }

    /// Makes a link in place of any that is on its way up; says whether there is one.
    async fn open(&mut self, number: ConnectionNumber, purpose: Purpose) -> bool {
        self.open_over(number, purpose, None).await
    }

    /// As [`Peer::open`], over one interface only.
    async fn open_over(
        &mut self,
        number: ConnectionNumber,
        purpose: Purpose,
        over: Option<&Interface>,
    ) -> bool {
        let TransportConfig { mut ice_servers, ice_policy, video, max_bitrate } = self.config.clone();
        let no_relay = ice_policy == IcePolicy::Relay && !ice_servers.iter().any(is_relay);
        let relay = self.working_cost().flatten().map_or(0, |cost| cost.relay);
        let only_direct = match over {
            Some(_) => relay == 0,
            None => relay <= 1,
        };
        if purpose == Purpose::Better && ice_policy == IcePolicy::All && only_direct {
            // No relay would be better than the path in use.
            ice_servers.retain(|server| !is_relay(server));
        }
        // What the path in use carries says something about the next one, but not everything.
        let start = self.working().and_then(|link| link.target).map(|(target, _)| target);
        let start = start.filter(|start| *start < bandwidth::START || purpose != Purpose::Replace);
        let addresses = match over {
            Some(interface) => Addresses::Only(interface.addresses.clone()),
            None => self.options.addresses.clone(),
        };
        let setup = Setup {
            ice_servers,
            ice_policy,
            addresses,
            video,
            ssrcs: self.ssrcs,
            sinks: self.sinks.clone(),
            tap: Box::new(self.accounts.clone()),
            estimator: Box::new(PathEstimator::starting_at(start.unwrap_or(bandwidth::START), max_bitrate)),
        };
        let link = match Link::open(&*self.options.engine, setup, number, purpose).await {
            Ok(link) => link,
            Err(error) => {
                let name = self.outlet.name();
                self.outlet.problem(format!("There is no connection to {name}: {error}.")).await;
                return false;
            }
        };
        if self.outlet.id.is_some() && no_relay {
            let name = self.outlet.name();
            let text = format!("Only a relay may be used to reach {name}, but there is none.");
            self.outlet.problem(text).await;
        }
        let carrier = self.carrier;
        self.close_links(|link| link.number == number || link.number > carrier);
        self.newest = self.newest.max(number);
        if self.links.is_empty() || number <= carrier {
            self.carrier = number;
            self.outbound.close();
            self.pacer = Pacer::new(FIRST_PACE);
            self.next_report = None;
        }
        self.links.push(link);
        self.update_phase(clock::now()).await;
        true
    }

    fn close_links(&mut self, which: impl Fn(&Link) -> bool) {
        for link in self.links.extract_if(.., |link| which(link)) {
            link.close();
        }
    }

    /// Offers a first connection, whatever there was.
    async fn begin_anew(&mut self) {
        self.close_links(|_| true);
        (self.carrier, self.newest) = (ConnectionNumber::FIRST, ConnectionNumber::FIRST);
        if self.open(ConnectionNumber::FIRST, Purpose::Replace).await {
            self.offer(ConnectionNumber::FIRST).await;
        }
    }

    /// Offers a connection beside the one in use.
    async fn begin_next(&mut self, purpose: Purpose, over: Option<&Interface>) {
        if self.outlet.id.is_none() || !self.links.iter().any(Link::is_described) {
            tracing::debug!("there is nobody yet to look for a new path with");
            return;
        }
        self.recovery.began(clock::now());
        if !self.they_move {
            return self.begin_anew().await;
        }
        let Some(number) = self.newest.next() else { return };
        if self.open_over(number, purpose, over).await {
            self.offer(number).await;
        }
    }

    /// Another attempt to find a path, if there is anything to find one with.
    async fn look_again(&mut self, now: Instant) {
        let nobody = self.outlet.id.is_none() || !self.links.iter().any(Link::is_described);
        if nobody || !self.has_network() {
            self.recovery.began(now);
        } else {
            self.begin_next(Purpose::Replace, None).await;
        }
    }

    async fn offer(&mut self, number: ConnectionNumber) {
        if let Some(link) = find(&mut self.links, number) {
            link.offer(&self.outlet).await;
        }
    }

    /// When [`Peer::settle`] has something to decide by itself.
    fn moves_at(&self) -> Option<Instant> {
        let now = clock::now();
        let next = self.next().map(|next| {
            let standing = next.standing(&self.interfaces());
            match handover::judge(next.purpose, &standing, self.working_cost(), now) {
                Verdict::Wait(until) => until,
                Verdict::Take | Verdict::Drop => now,
            }
        });
        let heard = self.working().and_then(|carrier| carrier.heard);
        let lingering = self.links.iter().filter_map(|link| Some(handover::close_at(link.left?, heard)));
        lingering.chain(next).min()
    }

    /// Moves media if it is time, closes what nobody needs any more, and tells how things stand.
    async fn settle(&mut self, now: Instant) {
        if let Some(next) = self.next() {
            let (number, standing) = (next.number, next.standing(&self.interfaces()));
            match handover::judge(next.purpose, &standing, self.working_cost(), now) {
                Verdict::Wait(_) => {}
                Verdict::Take => self.take(number, now).await,
                Verdict::Drop => self.close_links(|link| link.number == number),
            }
        }
        let heard = self.working().and_then(|carrier| carrier.heard);
        if heard.is_some() {
            self.overlap.end();
        }
        self.close_links(|link| link.left.is_some_and(|left| handover::close_at(left, heard) <= now));
        let cost = self.working_cost().flatten();
        self.improvement.on_path(cost, self.config.ice_policy, self.offerer, now);
        self.update_phase(now).await;
    }

    /// Media goes by this link from now on.
    async fn take(&mut self, number: ConnectionNumber, now: Instant) {
        let without_gap = self.working().is_some();
        let before = std::mem::replace(&mut self.carrier, number);
        tracing::debug!(%before, %number, without_gap, "media moves to another connection");
        self.close_links(|link| link.number < before);
        if let Some(old) = find(&mut self.links, before) {
            old.left = Some(now);
        }
        self.overlap = Overlap::begin(now);
        if !without_gap {
            self.begin_media(now).await;
        }
        let target = find(&mut self.links, number).and_then(|link| link.target);
        if let Some((bitrate, loss)) = target {
            self.on_target(bitrate, loss).await;
        }
        self.tell_carrier().await;
    }

    /// The carrier is up and nothing that was sent before may have arrived.
    async fn begin_media(&mut self, now: Instant) {
        self.outbound.open();
        self.next_report = Some(now + REPORT_INTERVAL / 4);
        self.want_keyframe().await;
    }

    // The network.

    async fn on_change(&mut self, change: Change) {
        let now = clock::now();
        for news in &change.news {
            *self.changes.entry(news.name.clone()).or_default() += 1;
        }
        let from = self.links.iter().find(|link| link.number == self.carrier).and_then(Link::local);
        let reaction = reaction::react(&change, from, self.working().is_some());
        self.network = Some(change.now.clone());
        for link in &mut self.links {
            let Some(local) = link.local() else { continue };
            match (change.before.working_with(local), change.now.working_with(local)) {
                (Some(_), None) => link.cut = Some(Trouble::NetworkChanged),
                (None, Some(_)) => link.cut = None,
                (Some(_), Some(_)) | (None, None) => {}
            }
        }
        self.improvement.on_change(self.offerer, now);
        match &reaction {
            Reaction::Nothing => {}
            Reaction::Try(interface) => {
                if self.they_move && self.next().is_none() {
                    self.begin_next(Purpose::Better, Some(interface)).await;
                }
            }
            Reaction::Replace => {
                self.recovery.lost(now, self.offerer);
                self.begin_next(Purpose::Replace, None).await;
            }
            Reaction::Wait => self.recovery.lost(now, self.offerer),
        }
        let peer = self.outlet.id.clone();
        self.outlet.tell(TransportEvent::NetworkChange { peer, change, reaction }).await;
        self.settle(now).await;
    }

    /// After a sleep: whether the path still works.
    async fn check(&mut self, now: Instant) {
        let Some(link) = self.working() else { return };
        let lately = |heard: Heard| now.saturating_duration_since(heard.at) < CHECK / 2;
        if !link.connection.heard().is_some_and(lately) {
            self.recovery.lost(now, self.offerer);
            self.begin_next(Purpose::Replace, None).await;
        }
    }

    // Signals.

    async fn on_signal(&mut self, signal: Signal) {
        let number = signal.connection();
        match signal {
            Signal::Description { kind, sdp, moves, replaces, proof: _, connection: _ } => {
                if let Err(reason) = check_description(&sdp) {
                    let name = self.outlet.name();
                    self.outlet.problem(format!("The description of {name} is not used: {reason}.")).await;
                    return;
                }
                self.they_move = moves;
                match kind {
                    DescriptionKind::Offer => {
                        let purpose = if replaces { Purpose::Replace } else { Purpose::Follow };
                        self.on_offer(number, &sdp, purpose).await;
                    }
                    DescriptionKind::Answer => {
                        if let Some(link) = find(&mut self.links, number) {
                            link.on_answer(&sdp, &self.outlet).await;
                        }
                    }
                }
            }
            Signal::Candidate { candidate, mid, ufrag, connection: _ } => {
                let candidate = Candidate { candidate, mid, ufrag };
                match find(&mut self.links, number) {
                    Some(link) => link.on_candidate(candidate, &self.outlet).await,
                    None => self.hold(number, candidate),
                }
            }
            // The engine goes on checking the pairs it has; nothing is to be done.
            Signal::EndOfCandidates { .. } => {}
        }
    }

    fn hold(&mut self, number: ConnectionNumber, candidate: Candidate) {
        if self.links.is_empty() || number.follows(self.newest) {
            if self.held.len() == HELD {
                self.held.remove(0);
            }
            self.held.push((number, candidate));
        }
    }

    async fn on_offer(&mut self, number: ConnectionNumber, offer: &str, purpose: Purpose) {
        let known = find(&mut self.links, number).map(|link| !link.leads_elsewhere(offer));
        let begins = match known {
            Some(same_end) => !same_end,
            None => true,
        };
        if begins {
            if number.is_first() && !self.links.is_empty() {
                // They began anew, and count anew.
                self.close_links(|_| true);
                (self.carrier, self.newest) = (number, number);
            } else if known.is_none() && !self.links.is_empty() && !number.follows(self.newest) {
                tracing::debug!(%number, newest = %self.newest, "an offer of a connection that is over");
                return;
            }
            if !self.open(number, purpose).await {
                return;
            }
        } else if let Some(link) = find(&mut self.links, number)
            && purpose == Purpose::Replace
        {
            // Ours was about the same connection; their reasons count as much.
            link.purpose = purpose;
        }
        if self.answer(number, offer).await == Outcome::Stuck {
            // Another connection has to answer.
            if self.open(number, purpose).await {
                self.answer(number, offer).await;
            }
        }
        self.close_links(|link| begins && link.number == number && !link.is_described());
    }

    async fn answer(&mut self, number: ConnectionNumber, offer: &str) -> Outcome {
        let Some(link) = find(&mut self.links, number) else { return Outcome::Done };
        let early: Vec<Candidate> =
            self.held.extract_if(.., |(of, _)| *of == number).map(|(_, candidate)| candidate).collect();
        let outcome = link.on_offer(offer, &self.outlet).await;
        for candidate in early {
            link.on_candidate(candidate, &self.outlet).await;
        }
        outcome
    }

    // What the engine tells.

    async fn on_event(&mut self, number: ConnectionNumber, event: Event) {
        let now = clock::now();
        let carrier = number == self.carrier;
        let Some(link) = find(&mut self.links, number) else { return };
        let Some(event) = link.on_event(event, &self.outlet).await else { return };
        match event {
            Event::Ice(state) if carrier => self.on_ice(state, now).await,
            Event::Dtls(state) if carrier => {
                self.tell_carrier().await;
                if state == DtlsState::Connected {
                    self.begin_media(now).await;
                }
            }
            Event::Target { bitrate, loss } if carrier => self.on_target(bitrate, loss).await,
            Event::TrackStarted(kind) => self.on_track(kind).await,
            Event::SenderReport(report) => {
                self.outlet.tell_of(|peer| TransportEvent::SenderReport { peer, report }).await;
            }
            Event::KeyframeWanted => self.want_keyframe().await,
            Event::RelayLost(address) if carrier => self.on_relay_lost(address, now).await,
            Event::Ended => self.on_ended(number).await,
            Event::Ice(_)
            | Event::Dtls(_)
            | Event::Target { .. }
            | Event::Candidate(_)
            | Event::Gathered { .. }
            | Event::RelayLost(_)
            | Event::Problem(_) => {}
        }
        self.settle(now).await;
    }

    async fn on_ended(&mut self, number: ConnectionNumber) {
        tracing::warn!(%number, "a connection to {} broke inside", self.outlet.name());
        self.close_links(|link| link.number == number);
        if number != self.carrier {
            return;
        }
        if self.they_move {
            self.recovery.lost(clock::now(), self.offerer);
        } else {
            self.begin_anew().await;
        }
    }

    async fn want_keyframe(&self) {
        self.outlet.tell_of(|peer| TransportEvent::KeyframeWanted { peer }).await;
    }

    async fn on_ice(&mut self, state: IceState, now: Instant) {
        match state {
            IceState::Disconnected | IceState::Failed => self.recovery.lost(now, self.offerer),
            IceState::New
            | IceState::Checking
            | IceState::Connected
            | IceState::Completed
            | IceState::Closed => {}
        }
        self.tell_carrier().await;
    }

    /// Nobody but us can know it at once, so we look for another path whoever offered first.
    async fn on_relay_lost(&mut self, address: SocketAddr, now: Instant) {
        let leads_there = |pair: &SelectedPair| {
            pair.local.port == address.port() && pair.local.address == address.ip().to_string()
        };
        let Some(carrier) = find(&mut self.links, self.carrier) else { return };
        if carrier.pair.as_ref().is_some_and(leads_there) {
            // The engine will notice when it has heard nothing for a while.
            carrier.ice = IceState::Disconnected;
            self.recovery.lost(now, true);
            self.tell_carrier().await;
        }
    }

    async fn on_target(&mut self, bitrate: Bitrate, loss: f32) {
        self.pacer.set_target(clock::now(), bitrate);
        let bitrate = self.config.max_bitrate.map_or(bitrate, |most| bitrate.min(most));
        self.outlet.tell_of(|peer| TransportEvent::TargetRate { peer, bitrate, loss }).await;
    }

    /// Tells what has changed of the carrier.
    async fn tell_carrier(&mut self) {
        let Some(link) = self.links.iter().find(|link| link.number == self.carrier) else { return };
        let (ice, dtls, pair) = (link.ice, link.dtls, link.pair.clone());
        if ice != IceState::New && self.told.ice.replace(ice) != Some(ice) {
            self.outlet.tell(TransportEvent::Ice { peer: self.outlet.id.clone(), state: ice }).await;
        }
        if self.outlet.id.is_none() {
            return;
        }
        if dtls != DtlsState::New && std::mem::replace(&mut self.told.dtls, dtls) != dtls {
            self.outlet.tell_of(|peer| TransportEvent::Dtls { peer, state: dtls }).await;
        }
        if let Some(pair) = pair
            && self.told.pair.as_ref() != Some(&pair)
        {
            self.told.pair = Some(pair.clone());
            self.outlet.tell_of(|peer| TransportEvent::SelectedPair { peer, pair }).await;
        }
    }

    async fn update_phase(&mut self, now: Instant) {
        // While prepared, nobody waits for a path.
        if self.outlet.id.is_none() {
            return;
        }
        let up = self.working().is_some();
        if up {
            self.recovery.connected();
        }
        let phase = self.recovery.phase(now, up);
        let told = (phase, self.trouble());
        if self.told.phase.replace(told) != Some(told) {
            let trouble = told.1;
            self.outlet.tell_of(|peer| TransportEvent::Phase { peer, phase, trouble }).await;
        }
    }

    /// Why there is no path, if there was one.
    fn trouble(&self) -> Option<Trouble> {
        let carrier = self.links.iter().find(|link| link.number == self.carrier);
        if carrier.is_some_and(Link::is_up) {
            None
        } else if !self.has_network() {
            Some(Trouble::NoNetwork)
        } else if let Some(trouble) = carrier.and_then(|link| link.cut) {
            Some(trouble)
        } else if carrier.is_some_and(|link| link.up.is_some()) {
            Some(Trouble::Silent)
        } else {
            None
        }
    }

    async fn on_track(&mut self, kind: TrackKind) {
        if self.outlet.id.is_none() {
            return;
        }
        let packets = match kind {
            TrackKind::Audio => self.audio.take(),
            TrackKind::Video => self.video.take(),
        };
        if let Some(packets) = packets {
            self.outlet.tell_of(|peer| TransportEvent::TrackAdded { peer, kind, packets }).await;
        }
    }

    // Media.

    async fn on_frame(&mut self, frame: Arc<Packets>, frames: &FrameSource) {
        if frames.take_keyframe_needed() {
            self.outbound.skip_to_keyframe();
            self.want_keyframe().await;
        }
        if self.links.is_empty() || !self.outbound.admits(&frame) {
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
            let Some(packet) = self.outbound.number(&frame, index) else { continue };
            let both = self.overlap.take(now);
            for link in &self.links {
                let carries = link.number == self.carrier || (both && link.number < self.carrier);
                if carries && let Err(error) = link.connection.send(packet.clone()).await {
                    tracing::debug!(%error, "a packet is not sent");
                }
            }
        }
    }

    async fn send_reports(&self, now: Instant) {
        let Some(link) = self.working() else { return };
        for report in self.outbound.reports(now, clock::unix()) {
            link.connection.report(report).await.ok();
        }
    }
}
