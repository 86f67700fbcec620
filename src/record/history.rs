//! Everything a panel or a diagnosis asks of a call, folded from its entries in bounded memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::entry::{Configuration, Diagnosis, Entry, Session, Side, SignalingState, What};
use super::rates;
use super::series::{Point, SAMPLE, SeriesSet};
use crate::rtc::stats::Report;
use crate::rtc::{DescriptionKind, DtlsState, IceState, PeerPhase, SelectedPair};

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events; the oldest go first.
    pub events: usize,
    /// Bytes of events; the oldest go first.
    pub event_bytes: usize,
    /// Series; the one that ended longest ago goes first.
    pub series: usize,
    /// Values of a series; the oldest go first.
    pub samples: usize,
}

impl Limits {
    /// Of a running call: an hour, [`Limits::bytes`] at most.
    pub const LIVE: Self = Self { events: 4_096, event_bytes: 4 << 20, series: 128, samples: 3_600 };

    /// Of a file: whatever is in it, up to a day.
    pub const FILE: Self = Self { events: 1 << 20, event_bytes: 1 << 30, series: 1_024, samples: 86_400 };

    /// What a history takes in memory at most, beside its two reports: 8 MB while a call runs.
    pub const fn bytes(&self) -> usize {
        // Up to two chunks more than asked for, see `Series`.
        self.event_bytes + self.series * (self.samples + 240) * SAMPLE
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// W3C `iceConnectionState`.
    pub ice: IceState,
    /// W3C `RTCDtlsTransportState`.
    pub dtls: DtlsState,
    /// W3C `iceGatheringState`.
    pub gathering: Gathering,
    /// W3C `signalingState`.
    pub negotiation: Negotiation,
    /// The summary; `None` while there is no participant.
    pub connection: Option<PeerPhase>,
    /// The server; `None` before it said welcome.
    pub signaling: Option<SignalingState>,
}

/// W3C `RTCIceGatheringState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the W3C names")]
pub enum Gathering {
    #[default]
    New,
    Gathering,
    Complete,
}

/// W3C `RTCSignalingState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the W3C names")]
pub enum Negotiation {
    #[default]
    Stable,
    HaveLocalOffer,
    HaveRemoteOffer,
}

impl Negotiation {
    /// Where a description leads.
    pub fn after(kind: DescriptionKind, side: Side) -> Self {
        match (kind, side) {
            (DescriptionKind::Offer, Side::Local) => Negotiation::HaveLocalOffer,
            (DescriptionKind::Offer, Side::Remote) => Negotiation::HaveRemoteOffer,
            (DescriptionKind::Answer, Side::Local | Side::Remote) => Negotiation::Stable,
        }
    }
}

/// A session description.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// When, in milliseconds since the Unix epoch.
    pub t: f64,
    /// Offer or answer.
    pub kind: DescriptionKind,
    /// SDP.
    pub sdp: String,
}

/// The newest description of a side, and the one before, to show what changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Versions {
    /// The newest.
    pub newest: Option<Arc<Description>>,
    /// The one before.
    pub before: Option<Arc<Description>>,
}

/// The descriptions of both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Descriptions {
    /// Ours.
    pub local: Versions,
    /// Theirs.
    pub remote: Versions,
}

/// What is not here any more, or never came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Events that became too old.
    pub events: u64,
    /// Series that ended and made room for others.
    pub series: u64,
    /// Lines that a slow disk cost the file that this was read from.
    pub lines: u64,
}

/// Verdicts that are kept; the oldest go first.
const VERDICTS: usize = 256;

/// Different first times that are kept; our own vocabulary has a few dozen.
const FIRSTS: usize = 128;

/// A call, as far as it is remembered. Cheap to clone: what is old is shared.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    limits: Limits,
    /// What the file says about itself, if this was read from one.
    pub session: Option<Session>,
    /// The time of the first entry and of the newest, in milliseconds since the Unix epoch.
    pub span: Option<(f64, f64)>,
    /// Everything but statistics, oldest first.
    pub events: VecDeque<Arc<Entry>>,
    event_bytes: usize,
    /// When each name, with its state if it has one ("ice connected"), came first, in milliseconds
    /// since the Unix epoch.
    pub firsts: BTreeMap<String, f64>,
    /// The newest statistics.
    pub report: Option<Arc<Report>>,
    /// Those before.
    pub previous: Option<Arc<Report>>,
    /// Numbers over time.
    pub series: SeriesSet,
    /// How it stands.
    pub standing: Standing,
    /// The servers of the newest connection.
    pub configuration: Option<Arc<Configuration>>,
    /// The path in use.
    pub path: Option<Arc<SelectedPair>>,
    /// Session descriptions.
    pub descriptions: Descriptions,
    /// The newest `nat`, `ice_servers`, `pairs` and `network_change`, and `media` and `facts` of each side.
    pub newest: BTreeMap<(&'static str, Option<Side>), Arc<Entry>>,
    /// What the diagnosis said and when (milliseconds since the Unix epoch), oldest first.
    pub verdicts: VecDeque<(f64, Arc<Diagnosis>)>,
    /// What is missing.
    pub dropped: Dropped,
}

impl Default for History {
    fn default() -> Self {
        Self::new(Limits::LIVE)
    }
}

impl History {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            session: None,
            span: None,
            events: VecDeque::new(),
            event_bytes: 0,
            firsts: BTreeMap::new(),
            report: None,
            previous: None,
            series: SeriesSet::default(),
            standing: Standing::default(),
            configuration: None,
            path: None,
            descriptions: Descriptions::default(),
            newest: BTreeMap::new(),
            verdicts: VecDeque::new(),
            dropped: Dropped::default(),
        }
    }

    /// One more entry.
    pub fn push(&mut self, entry: Entry) {
        let (first, last) = self.span.unwrap_or((entry.t, entry.t));
        self.span = Some((first, last.max(entry.t)));
        let Entry { t, of, what } = entry;
        match what {
            What::Stats(report) => self.on_report(t, report),
            what => self.on_event(Entry { t, of, what }),
        }
    }

    /// When `name` ("ice connected", "first_frame") came first, in milliseconds since the Unix epoch.
    pub fn first(&self, name: &str) -> Option<f64> {
        self.firsts.get(name).copied()
    }

    /// The newest `nat`, `ice_servers`, `pairs` or `network_change`.
    pub fn newest(&self, name: &'static str) -> Option<&Entry> {
        self.newest.get(&(name, None)).map(Arc::as_ref)
    }

    /// The newest `media` or `facts` of a side.
    pub fn newest_of(&self, name: &'static str, side: Side) -> Option<&Entry> {
        self.newest.get(&(name, Some(side))).map(Arc::as_ref)
    }

    /// What the diagnosis says now.
    pub fn verdict(&self) -> Option<&Diagnosis> {
        self.verdicts.back().map(|(_, verdict)| verdict.as_ref())
    }

    /// Bytes of events and series; never more than [`Limits::bytes`].
    pub fn bytes(&self) -> usize {
        self.event_bytes + self.series.bytes()
    }

    fn on_report(&mut self, t: f64, report: Report) {
        let origin = self.span.map_or(t, |(first, _)| first);
        for (scope, metric, value) in rates::values(&report, self.report.as_deref()) {
            let point = Point { t, scope, metric, value };
            let crowded = self.series.push(point, origin, (self.limits.series, self.limits.samples));
            self.dropped.series += u64::from(crowded);
        }
        self.previous = self.report.replace(Arc::new(report));
    }

    fn on_event(&mut self, entry: Entry) {
        self.learn(&entry);
        self.event_bytes += entry.weight();
        let entry = Arc::new(entry);
        if let Some(key) = remembered(&entry.what) {
            self.newest.insert(key, entry.clone());
        }
        self.events.push_back(entry);
        while self.events.len() > self.limits.events || self.event_bytes > self.limits.event_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.event_bytes -= oldest.weight();
            self.dropped.events += 1;
        }
    }

    fn learn(&mut self, entry: &Entry) {
        let name = mark(&entry.what);
        if self.firsts.len() < FIRSTS || self.firsts.contains_key(&name) {
            self.firsts.entry(name).or_insert(entry.t);
        }
        match &entry.what {
            What::Session(session) => self.session = Some(session.clone()),
            What::WsOpen => self.standing.signaling = Some(SignalingState::Resumed),
            What::Signaling { state, .. } => self.standing.signaling = Some(*state),
            What::Ice { state } => self.standing.ice = *state,
            What::Dtls { state } => self.standing.dtls = *state,
            What::Connection { state } => self.standing.connection = Some(*state),
            What::Configuration(configuration) => {
                self.configuration = Some(Arc::new(configuration.clone()));
            }
            What::SelectedPair(pair) => self.path = Some(Arc::new(pair.clone())),
            What::Description { side, kind, sdp } => {
                let description = Description { t: entry.t, kind: *kind, sdp: sdp.clone() };
                self.describe(*side, description);
            }
            What::EndOfCandidates { side: Side::Local } => self.standing.gathering = Gathering::Complete,
            What::Diagnosis(diagnosis) => {
                if self.verdicts.len() == VERDICTS {
                    self.verdicts.pop_front();
                }
                self.verdicts.push_back((entry.t, Arc::new(diagnosis.clone())));
            }
            What::Lost { lines } => self.dropped.lines = self.dropped.lines.saturating_add(*lines),
            What::Ready
            | What::Call
            | What::OfferSent { .. }
            | What::FirstFrame
            | What::FirstAudio
            | What::IceRestart
            | What::SignalingMessage { .. }
            | What::Candidate { .. }
            | What::EndOfCandidates { side: Side::Remote }
            | What::Media { .. }
            | What::Share { .. }
            | What::NetworkChange { .. }
            | What::Nat { .. }
            | What::IceServers { .. }
            | What::Pairs { .. }
            | What::Phase { .. }
            | What::ServerClock { .. }
            | What::Device(_)
            | What::Facts { .. }
            | What::Visitor { .. }
            | What::Notice { .. }
            | What::Chat { .. }
            | What::Pointer { .. }
            | What::File { .. }
            | What::Error { .. }
            | What::Ended(_)
            | What::Bye
            | What::Stats(_)
            | What::Other(_) => {}
        }
    }

    fn describe(&mut self, side: Side, description: Description) {
        self.standing.negotiation = Negotiation::after(description.kind, side);
        let versions = match side {
            Side::Local => {
                self.standing.gathering = Gathering::Gathering;
                &mut self.descriptions.local
            }
            Side::Remote => &mut self.descriptions.remote,
        };
        versions.before = versions.newest.replace(Arc::new(description));
    }
}

/// Of which only the newest tells how it stands.
fn remembered(what: &What) -> Option<(&'static str, Option<Side>)> {
    match what {
        What::Nat { .. } => Some(("nat", None)),
        What::IceServers { .. } => Some(("ice_servers", None)),
        What::Pairs { .. } => Some(("pairs", None)),
        What::NetworkChange { .. } => Some(("network_change", None)),
        What::Media { side, .. } => Some(("media", Some(*side))),
        What::Facts { side, .. } => Some(("facts", Some(*side))),
        _ => None,
    }
}

/// The name, with the state if there is one.
fn mark(what: &What) -> String {
    let state = match what {
        What::Ice { state } => serde_json::to_value(state).ok(),
        What::Dtls { state } => serde_json::to_value(state).ok(),
        What::Connection { state } => serde_json::to_value(state).ok(),
        What::Signaling { state, .. } => serde_json::to_value(state).ok(),
        What::Description { side, .. } | What::EndOfCandidates { side } => serde_json::to_value(side).ok(),
        _ => None,
    };
    match state.as_ref().and_then(|state| state.as_str()) {
        Some(state) => format!("{} {state}", what.name()),
        None => what.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::{Metric, Scope};
    use super::super::{Direction, StreamId};
    use super::*;
    use crate::rtc::stats::{Entry as Stat, InboundRtp, Kind};

    fn description(side: Side, kind: DescriptionKind, sdp: &str) -> What {
        What::Description { side, kind, sdp: sdp.into() }
    }

    fn report(t: f64, streams: u32) -> What {
        let stream = |ssrc| {
            Stat::InboundRtp(InboundRtp {
                ssrc,
                kind: Kind::Video,
                jitter: Some(0.001),
                bytes_received: Some((t / 10.0) as u64),
                ..Default::default()
            })
        };
        What::Stats(Report { entries: (0..streams).map(stream).collect(), timestamp: t })
    }

    fn history(entries: impl IntoIterator<Item = What>) -> History {
        let mut history = History::default();
        for (second, what) in entries.into_iter().enumerate() {
            history.push(Entry::new(1e12 + second as f64 * 1e3, what));
        }
        history
    }

    #[test]
    fn the_story_of_a_call_can_be_asked_for() {
        let history = history([
            What::WsOpen,
            description(Side::Local, DescriptionKind::Offer, "one"),
            What::Ice { state: IceState::Checking },
            description(Side::Remote, DescriptionKind::Answer, "theirs"),
            What::EndOfCandidates { side: Side::Local },
            What::Ice { state: IceState::Connected },
            What::FirstFrame,
            What::Ice { state: IceState::Disconnected },
            description(Side::Local, DescriptionKind::Offer, "two"),
            What::Ice { state: IceState::Connected },
        ]);
        assert_eq!(history.first("ice connected"), Some(1e12 + 5e3), "the first time, not the second");
        assert_eq!(history.first("description remote"), Some(1e12 + 3e3));
        assert_eq!(history.first("first_audio"), None);
        assert_eq!(history.standing.ice, IceState::Connected);
        assert_eq!(history.standing.negotiation, Negotiation::HaveLocalOffer);
        assert_eq!(history.standing.gathering, Gathering::Gathering);
        let local = &history.descriptions.local;
        assert_eq!(local.newest.as_ref().map(|d| d.sdp.as_str()), Some("two"));
        assert_eq!(local.before.as_ref().map(|d| d.sdp.as_str()), Some("one"));
        assert_eq!(history.span, Some((1e12, 1e12 + 9e3)));
        assert_eq!(history.events.len(), 10);
    }

    #[test]
    fn reports_become_series_and_only_two_are_kept() {
        let history = history((0..5).map(|second| report(1e12 + f64::from(second) * 1e3, 1)));
        let id = StreamId { direction: Direction::Received, kind: Kind::Video, of_screen: false, ssrc: 0 };
        let rate = history.series.get(Scope::Stream(id), Metric::ReceivedBitrate).unwrap();
        let points: Vec<_> = rate.points().collect();
        assert_eq!(points.len(), 4, "the first report has nothing before it");
        assert_eq!(points[0], (1e12 + 1e3, 800.0));
        assert_eq!(history.report.as_ref().map(|r| r.timestamp), Some(1e12 + 4e3));
        assert_eq!(history.previous.as_ref().map(|r| r.timestamp), Some(1e12 + 3e3));
        assert!(history.events.is_empty());
    }

    #[test]
    fn a_day_with_too_much_of_everything_stays_within_its_bytes() {
        let limits = Limits { events: 100, event_bytes: 50_000, series: 6, samples: 240 };
        let mut history = History::new(limits);
        for second in 0..2_000u32 {
            let t = f64::from(second) * 1e3;
            history.push(Entry::new(t, report(t, 1 + second % 20)));
            let text = "x".repeat(second as usize % 9_000);
            history.push(Entry::new(t, What::Error { text }));
            assert!(history.bytes() <= limits.bytes());
        }
        assert!(history.events.len() <= 100 && history.series.len() <= 6);
        assert!(history.dropped.events > 1_800 && history.dropped.series > 0);
    }

    #[test]
    fn what_was_told_first_is_known_when_its_event_is_gone() {
        let mut history = History::new(Limits { events: 2, ..Limits::LIVE });
        for what in [
            What::Nat { verdict: "open".into(), more: Default::default() },
            What::WsOpen,
            What::Call,
            What::Bye,
        ] {
            history.push(Entry::new(5.0, what));
        }
        assert_eq!((history.events.len(), history.dropped.events), (2, 2));
        assert_eq!(history.first("ws_open"), Some(5.0));
        assert!(
            matches!(&history.newest("nat").unwrap().what, What::Nat { verdict, .. } if verdict == "open")
        );
    }
}
