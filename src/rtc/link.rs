//! One of the engine's connections, and the exchange of descriptions and candidates that makes it.
//!
//! A link knows its number, its negotiation and its states; it does not know whether it carries
//! media, what came before it, or when another one is needed: that is the peer's.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::channel::Channel;
use super::engine::{Candidate, Connection, Engine, EngineError, Estimate, Event, EventSender, Setup};
use super::handover::{Cost, Purpose, Standing};
use super::negotiation::{Manners, Negotiation, OnOffer, State};
use super::network_monitor::network::{Interface, Network};
use super::outlet::Outlet;
use super::remote::Remote;
use super::{
    CandidateType, ConnectionNumber, DescriptionKind, DtlsState, IceState, PairEnd, SelectedPair, Shared,
    Signal, TransportEvent, Trouble, sdp,
};
use crate::clock;

/// How long an offer waits for its candidates. Those of our own interfaces come within a
/// millisecond, a near STUN server answers in a few; later ones are trickled.
const OFFER_WAIT: Duration = Duration::from_millis(20);

/// The same for an answer, for which the other side waits.
const ANSWER_WAIT: Duration = Duration::from_millis(5);

/// A description that waits a moment for its candidates.
struct Unsent {
    kind: DescriptionKind,
    until: Instant,
}

/// What became of a description of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is dealt with.
    Done,
    /// The engine cannot take our offer back: another connection has to answer.
    Stuck,
}

/// See the module.
pub struct Link {
    /// Which one.
    pub number: ConnectionNumber,
    /// Why it was begun.
    pub purpose: Purpose,
    /// The engine's.
    pub connection: Box<dyn Connection>,
    /// ICE state.
    pub ice: IceState,
    /// DTLS state.
    pub dtls: DtlsState,
    /// The path.
    pub pair: Option<SelectedPair>,
    /// The estimate and the loss.
    pub estimate: Option<Estimate>,
    /// Since when media could go by it.
    pub up: Option<Instant>,
    /// When the other side was first heard by it.
    pub heard: Option<Instant>,
    /// When media left it for another one.
    pub left: Option<Instant>,
    /// The data channels that are open.
    pub opened: Vec<Channel>,
    /// Why it is of no use, whatever its states say: what it goes by is gone.
    pub cut: Option<Trouble>,
    begun: Instant,
    events: mpsc::Receiver<Event>,
    negotiation: Negotiation,
    unsent: Option<Unsent>,
    /// It gathers for an answer to an offer that has not come yet.
    gathers: bool,
    early: VecDeque<Candidate>,
    remote: Remote,
    /// Fingerprint of our pending or current description.
    fingerprint: Option<String>,
}

impl Link {
    /// A connection that has neither offered nor answered yet.
    pub async fn open(
        engine: &dyn Engine,
        setup: Setup,
        number: ConnectionNumber,
        purpose: Purpose,
    ) -> Result<Self, EngineError> {
        let (events, receiver) = EventSender::channel();
        Ok(Self {
            number,
            purpose,
            connection: engine.open(setup, events).await?,
            ice: IceState::New,
            dtls: DtlsState::New,
            pair: None,
            estimate: None,
            up: None,
            heard: None,
            left: None,
            opened: Vec::new(),
            cut: None,
            begun: clock::now(),
            events: receiver,
            negotiation: Negotiation::default(),
            unsent: None,
            gathers: false,
            early: VecDeque::new(),
            remote: Remote::default(),
            fingerprint: None,
        })
    }

    /// Whether media can go by it.
    pub fn is_up(&self) -> bool {
        self.cut.is_none()
            && matches!(self.ice, IceState::Connected | IceState::Completed)
            && self.dtls == DtlsState::Connected
    }

    /// Whether media could go by it if packets arrived.
    pub fn is_secured(&self) -> bool {
        self.dtls == DtlsState::Connected
    }

    /// How long it has been there.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    /// For the decision about it.
    pub fn standing(&self, network: &Network) -> Standing {
        let up = self.up.filter(|_| self.is_up());
        Standing { begun: self.begun, up, heard: self.heard.is_some(), cost: self.cost(network) }
    }

    /// The address of this computer that it leaves from.
    pub fn local(&self) -> Option<IpAddr> {
        match self.pair.as_ref().map(|pair| &pair.local) {
            Some(PairEnd { kind: CandidateType::Host, address, .. }) => address.parse().ok(),
            Some(_) | None => self.connection.heard()?.local,
        }
    }

    /// What its path costs.
    pub fn cost(&self, network: &Network) -> Option<Cost> {
        let pair = self.pair.as_ref()?;
        let interface = self.local().and_then(|local| network.working_with(local)).map_or(0, Interface::rank);
        Some(Cost { relay: relay_cost(&pair.local).max(relay_cost(&pair.remote)), interface })
    }

    /// Whether the other side has described it.
    pub fn is_described(&self) -> bool {
        self.remote.is_described()
    }

    /// Whether a description comes from another end than the one that this link leads to.
    pub fn leads_elsewhere(&self, description: &str) -> bool {
        self.remote.is_elsewhere(description)
    }

    /// When [`Link::on_time`] is due.
    pub fn next_wake(&self) -> Option<Instant> {
        self.unsent.as_ref().map(|unsent| unsent.until)
    }

    /// Sends a description that has waited long enough.
    pub async fn on_time(&mut self, now: Instant, outlet: &Outlet) {
        if self.unsent.as_ref().is_some_and(|unsent| unsent.until <= now) {
            self.send_description(outlet).await;
        }
    }

    // Descriptions.

    /// Adds the tracks of the screen and its sound or takes them away, and offers what the other side does
    /// not know of it, unless an exchange is under way: an answer that waits for its candidates is what a
    /// newcomer is let in by.
    pub async fn share(&mut self, shared: Shared, outlet: &Outlet) {
        if let Err(error) = self.connection.share(shared).await {
            outlet.problem(format!("The screen is not shown to {}: {error}.", outlet.name())).await;
        }
        let settled = self.up.is_some() && self.unsent.is_none();
        if settled && self.connection.wants_offer() {
            self.offer(outlet).await;
        }
    }

    /// Makes an offer, unless one is pending.
    pub async fn offer(&mut self, outlet: &Outlet) {
        if !self.negotiation.want() {
            return;
        }
        match self.connection.offer().await {
            Ok(()) => self.gather_into(DescriptionKind::Offer, OFFER_WAIT, outlet).await,
            Err(error) => {
                self.negotiation.abandon();
                let name = outlet.name();
                outlet.problem(format!("There is no new path to {name}: {error}.")).await;
            }
        }
    }

    /// Gathers ahead of the other side's offer: an answer that is made later holds all addresses at
    /// once, a relay's too. The engine gathers for a description only, so it gets one that is taken back.
    pub async fn gather(&mut self) {
        match self.connection.offer().await {
            Ok(()) => self.gathers = true,
            Err(error) => tracing::warn!(%error, "nothing is gathered ahead"),
        }
    }

    /// The description leaves when its candidates are there, or after `wait`; where a path works, at once:
    /// it only changes tracks.
    async fn gather_into(&mut self, kind: DescriptionKind, wait: Duration, outlet: &Outlet) {
        let sdp = self.connection.local_description().await.unwrap_or_default();
        self.fingerprint = sdp::fingerprint(&sdp).map(str::to_owned);
        self.early.clear();
        self.unsent = Some(Unsent { kind, until: clock::now() + wait });
        if self.is_up() {
            self.send_description(outlet).await;
        }
    }

    async fn send_description(&mut self, outlet: &Outlet) {
        let Some(unsent) = self.unsent.take() else { return };
        let Some(sdp) = self.connection.local_description().await else { return };
        let early = std::mem::take(&mut self.early);
        let signal = Signal::Description {
            kind: unsent.kind,
            sdp: sdp.clone(),
            proof: None,
            moves: true,
            screens: true,
            screen_sound: true,
            replaces: self.purpose == Purpose::Replace && !self.number.is_first(),
            connection: self.number,
        };
        match (&outlet.id, unsent.kind) {
            (None, DescriptionKind::Offer) => {
                outlet.tell(TransportEvent::OfferReady { offer: signal }).await;
            }
            (to, DescriptionKind::Offer | DescriptionKind::Answer) => {
                outlet.tell(TransportEvent::Signal { to: to.clone(), signal }).await;
            }
        }
        for candidate in early {
            if !sdp.contains(&candidate.candidate) {
                self.send_candidate(candidate, outlet).await;
            }
        }
    }

    async fn send_candidate(&self, candidate: Candidate, outlet: &Outlet) {
        let Candidate { candidate, mid, ufrag } = candidate;
        let signal = Signal::Candidate { candidate, mid, ufrag, connection: self.number };
        outlet.tell(TransportEvent::Signal { to: outlet.id.clone(), signal }).await;
    }

    /// Exactly one side is polite: the certificates' fingerprints are random and known to both.
    fn manners(&self, theirs: Option<&str>) -> Manners {
        if self.fingerprint.as_deref() < theirs { Manners::Polite } else { Manners::Impolite }
    }

    /// An offer of the other side.
    pub async fn on_offer(&mut self, offer: &str, outlet: &Outlet) -> Outcome {
        if std::mem::take(&mut self.gathers)
            && let Err(error) = self.connection.rollback().await
        {
            tracing::warn!(%error, "what was gathered ahead is of no use; the connection begins anew");
            return Outcome::Stuck;
        }
        match self.negotiation.on_offer(self.manners(sdp::fingerprint(offer))) {
            OnOffer::Ignore => return Outcome::Done,
            OnOffer::RollbackAndAnswer => {
                self.unsent = None;
                if let Err(error) = self.connection.rollback().await {
                    tracing::warn!(%error, "an offer could not be taken back; the connection begins anew");
                    return Outcome::Stuck;
                }
            }
            OnOffer::Answer => {}
        }
        match self.connection.answer(offer).await {
            Ok(()) => {
                self.gather_into(DescriptionKind::Answer, ANSWER_WAIT, outlet).await;
                self.on_remote(offer, outlet).await;
            }
            Err(error) => refuse(error, outlet).await,
        }
        Outcome::Done
    }

    /// An answer of the other side.
    pub async fn on_answer(&mut self, answer: &str, outlet: &Outlet) {
        if self.negotiation.state() == State::Stable {
            tracing::debug!("an answer to no offer is ignored");
            return;
        }
        match self.connection.accept(answer).await {
            Ok(()) => {
                self.negotiation.on_answer();
                self.on_remote(answer, outlet).await;
            }
            Err(error) => refuse(error, outlet).await,
        }
    }

    /// A remote description is in place: candidates that waited for it can be used.
    async fn on_remote(&mut self, description: &str, outlet: &Outlet) {
        for candidate in self.remote.describe(description) {
            self.on_candidate(candidate, outlet).await;
        }
    }

    // Candidates.

    /// A candidate of the other side.
    pub async fn on_candidate(&mut self, candidate: Candidate, outlet: &Outlet) {
        let Some(candidate) = self.remote.admit(candidate) else { return };
        if let Err(error) = self.connection.add_candidate(&candidate).await
            && !self.negotiation.is_ignoring()
        {
            let name = outlet.name();
            outlet.problem(format!("A network address of {name} is not used: {error}.")).await;
        }
    }

    // What the engine tells.

    /// The next event; pending for ever when the engine is gone and has said so. Cancel safe.
    pub fn poll_event(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Event> {
        self.events.poll_recv(cx).map(|event| event.unwrap_or(Event::Ended))
    }

    /// Deals with what is the link's own; gives back what concerns the peer.
    pub async fn on_event(&mut self, event: Event, outlet: &Outlet) -> Option<Event> {
        match event {
            // They will stand in the answer.
            Event::Candidate(_) | Event::Gathered { .. } if self.gathers => {}
            Event::Candidate(candidate) => match self.unsent {
                Some(_) => self.early.push_back(candidate),
                None => self.send_candidate(candidate, outlet).await,
            },
            Event::Gathered { ufrag } => {
                self.send_description(outlet).await;
                let signal = Signal::EndOfCandidates { ufrag, connection: self.number };
                outlet.tell(TransportEvent::Signal { to: outlet.id.clone(), signal }).await;
            }
            Event::Problem(text) => outlet.problem(text).await,
            Event::Ice(state) => {
                self.ice = state;
                if matches!(state, IceState::Connected | IceState::Completed) {
                    self.pair = self.connection.selected_pair().await.or(self.pair.take());
                }
                self.note_up();
                return Some(event);
            }
            Event::Dtls(state) => {
                self.dtls = state;
                self.note_up();
                return Some(event);
            }
            Event::Target(estimate) => {
                self.estimate = Some(estimate);
                self.note_heard();
                return Some(event);
            }
            Event::TrackStarted(_) | Event::SenderReport(_) | Event::KeyframeWanted(_) => {
                self.note_heard();
                return Some(event);
            }
            Event::ChannelOpen(channel) => {
                self.opened.push(channel);
                return Some(event);
            }
            Event::RelayLost(_) | Event::HeardAgain | Event::Ended => return Some(event),
        }
        None
    }

    fn note_up(&mut self) {
        if self.is_up() {
            self.up.get_or_insert(clock::now());
        }
    }

    fn note_heard(&mut self) {
        self.heard.get_or_insert(clock::now());
    }

    /// Closes the connection in the background.
    pub fn close(self) {
        tokio::spawn(async move { self.connection.close().await });
    }
}

async fn refuse(error: EngineError, outlet: &Outlet) {
    outlet.problem(format!("The connection to {} cannot be set up: {error}.", outlet.name())).await;
}

fn relay_cost(end: &PairEnd) -> u8 {
    match (end.kind, end.relay_protocol.as_deref()) {
        (CandidateType::Host | CandidateType::Srflx | CandidateType::Prflx, _) => 0,
        (CandidateType::Relay, Some("tcp")) => 2,
        (CandidateType::Relay, Some("tls")) => 3,
        (CandidateType::Relay, _) => 1,
    }
}
