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

mod channels;
mod links;
mod media;
mod network;
mod screen;
mod signals;
mod silence;
mod told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use signaling_protocol::PeerId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::accounting::SharedAccounts;
use super::bandwidth::FIRST_PACE;
use super::channel::{self, Channel, Mailbox};
use super::engine::{Candidate, DataSink, Event, PacketSinks, PacketSources, Ssrcs};
use super::handover::{Overlap, Purpose};
use super::improvement::Improvement;
use super::link::Link;
use super::mesh::Options;
use super::network_monitor::News;
use super::network_monitor::network::Network;
use super::outlet::Outlet;
use super::pacer::{Pacer, Priority};
use super::packetizer::Packets;
use super::recovery::Recovery;
use super::sender::{FrameSource, Outbound};
use super::{
    CandidateType, ConnectionNumber, DtlsState, IcePolicy, Shared, Signal, TransportConfig, TransportEvent,
};
use crate::clock;
use crate::media::encoded::TrackKind;
use channels::Channels;
use told::Told;

/// Calls on their way to a peer. They are few; when full, the call is lost and logged.
pub const COMMANDS: usize = 256;

/// Between sender reports (RFC 3550 would allow 5 s; lip sync wants its first one soon).
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

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
    /// Gather for an answer to whoever offers.
    Expect,
    /// From the participant.
    Signal(Signal),
    /// Ask for a key frame of the camera or the screen.
    Keyframe(TrackKind),
    /// Show our screen, with its sound or without, or stop it.
    Share(Shared),
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
    /// What is shared.
    pub shares: Shared,
    /// This computer's interfaces; `None`: nobody watches them.
    pub network: Option<Arc<Network>>,
    /// From the mesh.
    pub commands: mpsc::Receiver<Command>,
    /// From the encode threads.
    pub frames: FrameSource,
    /// Counts what is posted for the participant.
    pub mailbox: Mailbox,
    /// What was posted.
    pub posts: mpsc::Receiver<(Channel, Bytes)>,
    /// To the mesh's owner.
    pub events: mpsc::Sender<TransportEvent>,
    /// Ends the task, politely.
    pub stop: CancellationToken,
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
    /// The other side knows what a screen is.
    they_see_screens: bool,
    /// It also knows that a screen can have a sound.
    they_hear_screens: bool,
    /// What is to be shared.
    shares: Shared,
    /// Candidates of an offer that has not come yet.
    held: Vec<(ConnectionNumber, Candidate)>,
    sinks: PacketSinks,
    data: DataSink,
    channels: Channels,
    sources: PacketSources,
    accounts: SharedAccounts,
    ssrcs: Ssrcs,
    /// Whether we made the first offer; that side looks for a new path first.
    offerer: bool,
    told: Told,
    recovery: Recovery,
    /// The link that was begun because nothing is heard.
    attempt: Option<ConnectionNumber>,
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
    let Parts {
        id,
        config,
        options,
        shares,
        network,
        mut commands,
        mut frames,
        mailbox,
        mut posts,
        events,
        stop,
    } = parts;
    let (sinks, sources) = PacketSinks::channels();
    let (data, mut arrivals) = mpsc::channel(channel::ARRIVALS);
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
        they_see_screens: false,
        they_hear_screens: false,
        shares,
        held: Vec::new(),
        sinks,
        data,
        channels: Channels::new(mailbox),
        sources,
        accounts: SharedAccounts::default(),
        ssrcs: Ssrcs::random(),
        offerer: false,
        told: Told::default(),
        recovery: Recovery::default(),
        attempt: None,
        improvement: Improvement::default(),
        overlap: Overlap::default(),
        outbound: Outbound::new([random(), random(), random(), random()]),
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
            Some((channel, message)) = posts.recv() => peer.on_posted(channel, message).await,
            Some((channel, message)) = arrivals.recv() => peer.on_data(channel, message).await,
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
            self.channels.poll_timeout(self.working()),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    async fn on_time(&mut self, now: Instant) {
        self.flush(now).await;
        self.send_data(now).await;
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
            Command::Expect => {
                if self.open(ConnectionNumber::FIRST, Purpose::Replace).await
                    && let Some(link) = find(&mut self.links, ConnectionNumber::FIRST)
                {
                    link.gather().await;
                }
            }
            Command::Signal(signal) => {
                self.on_signal(signal).await;
                self.show_screen().await;
            }
            Command::Share(shared) => {
                if std::mem::replace(&mut self.shares, shared).screen != shared.screen {
                    self.outbound.skip_to_keyframe(TrackKind::Screen);
                    self.pacer.clear(Priority::Screen);
                }
                self.show_screen().await;
            }
            Command::Keyframe(kind) => self.request_keyframe(kind).await,
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
        self.warn_without_relay().await;
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

    async fn on_event(&mut self, number: ConnectionNumber, event: Event) {
        let now = clock::now();
        let carrier = number == self.carrier;
        let Some(link) = find(&mut self.links, number) else { return };
        let Some(event) = link.on_event(event, &self.outlet).await else { return };
        let may_be_up = carrier && matches!(event, Event::Ice(_) | Event::Dtls(_));
        match event {
            Event::Ice(state) if carrier => self.on_ice(state, now).await,
            Event::Dtls(state) if carrier => {
                self.tell_carrier().await;
                if state == DtlsState::Connected {
                    self.begin_media(now).await;
                    self.move_channels().await;
                }
            }
            Event::Target(estimate) if carrier => self.on_target(estimate).await,
            Event::TrackStarted(kind) => self.on_track(kind).await,
            Event::SenderReport(report) => {
                self.outlet.tell_of(|peer| TransportEvent::SenderReport { peer, report }).await;
            }
            Event::KeyframeWanted(kind) => self.want_keyframe(kind).await,
            Event::HeardAgain if carrier => self.on_heard_again().await,
            Event::RelayLost(address) if carrier => self.on_relay_lost(address, now).await,
            Event::Ended => self.on_ended(number).await,
            Event::ChannelOpen(channel) if carrier => self.greet(channel).await,
            Event::Ice(_)
            | Event::Dtls(_)
            | Event::Target(_)
            | Event::Candidate(_)
            | Event::Gathered { .. }
            | Event::RelayLost(_)
            | Event::ChannelOpen(_)
            | Event::HeardAgain
            | Event::Problem(_) => {}
        }
        self.settle(now).await;
        if may_be_up {
            self.show_screen().await;
        }
    }
}
