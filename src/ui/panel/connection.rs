//! The rows of the connection's tables, out of one report. Pure.
//!
//! Protocol words (`srflx`, `in-progress`) stay as the standards write them: testers look for them.

use crate::rtc::CandidateType;
use crate::rtc::stats::{
    Candidate, CandidatePair, IceServer, InterfaceKind, NetworkInterface, PairState, Report, ServerTransport,
    Step,
};
use crate::ui::words::Word;

/// One candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CandidateRow {
    /// `host`, `srflx`, `prflx`, `relay`.
    pub kind: &'static str,
    /// `udp` or `tcp`, and what leads to the relay.
    pub protocol: String,
    /// Address and port.
    pub address: String,
    /// The 32 bits (RFC 8445 section 5.1.2).
    pub priority: u32,
    /// Of the server behind it.
    pub url: String,
    /// Our network interface, and what it is.
    pub interface: String,
    /// The address behind it: the base of a reflexive candidate, the mapped address of a relayed one.
    pub related: String,
    /// Media takes it.
    pub is_used: bool,
}

impl CandidateRow {
    /// The priority as `type preference | local preference | component` (RFC 8445 section 5.1.2.1).
    pub fn priority_split(&self) -> String {
        let (kind, local) = (self.priority >> 24, self.priority >> 8 & 0xffff);
        format!("{kind} | {local} | {}", 256 - (self.priority & 0xff))
    }
}

/// One candidate pair.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PairRow {
    /// W3C `RTCStatsIceCandidatePairState`.
    pub state: PairState,
    /// Chosen by the controlling side.
    pub nominated: bool,
    /// Media takes it.
    pub is_used: bool,
    /// Kind and address of our end.
    pub local: String,
    /// Kind and address of theirs.
    pub remote: String,
    /// Our checks: sent, answered.
    pub ours: (u64, u64),
    /// Their checks: received, answered.
    pub theirs: (u64, u64),
    /// Round trip of the last check in milliseconds; not a number before there is one.
    pub round_trip: f64,
    /// Bytes sent, received.
    pub bytes: (u64, u64),
    /// Why it failed, or what was last answered with an error.
    pub last_error: String,
}

/// One STUN or TURN server over one transport.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerRow {
    /// As configured.
    pub url: String,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
    /// Requests sent.
    pub sent: u64,
    /// Answers.
    pub answered: u64,
    /// Of them errors that are not part of the usual course.
    pub errors: u64,
    /// Round trip in milliseconds; not a number before an answer.
    pub round_trip: f64,
    /// Where the server sees us.
    pub mapped: String,
    /// Our address at the relay, or that none is needed there.
    pub relayed: String,
    /// What went wrong, in words.
    pub trouble: String,
}

/// A part of the way from the call to the first picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// What happened in it.
    pub name: Word,
    /// When it began, milliseconds after the start of the story.
    pub from: Option<f64>,
    /// When it was done.
    pub to: Option<f64>,
}

/// The word of a candidate type.
pub const fn kind_word(kind: Option<CandidateType>) -> &'static str {
    match kind {
        Some(CandidateType::Host) => "host",
        Some(CandidateType::Srflx) => "srflx",
        Some(CandidateType::Prflx) => "prflx",
        Some(CandidateType::Relay) => "relay",
        None => "",
    }
}

/// The word of a pair's state.
pub const fn state_word(state: PairState) -> &'static str {
    match state {
        PairState::Frozen => "frozen",
        PairState::Waiting => "waiting",
        PairState::InProgress => "in-progress",
        PairState::Failed => "failed",
        PairState::Succeeded => "succeeded",
    }
}

/// Address and port as they are written together.
pub fn endpoint(address: Option<&str>, port: u16) -> String {
    match address {
        None | Some("") => String::new(),
        Some(address) if address.contains(':') => format!("[{address}]:{port}"),
        Some(address) => format!("{address}:{port}"),
    }
}

/// What an interface is, in a word.
pub const fn interface_word(kind: InterfaceKind) -> Option<Word> {
    match kind {
        InterfaceKind::Ethernet => Some(Word::Ethernet),
        InterfaceKind::Wifi => Some(Word::Wifi),
        InterfaceKind::Cellular => Some(Word::Cellular),
        InterfaceKind::Vpn => Some(Word::Vpn),
        InterfaceKind::Loopback => Some(Word::Loopback),
        InterfaceKind::Virtual => Some(Word::VirtualInterface),
        InterfaceKind::Unknown => None,
    }
}

/// The interface that has an address, in words: `wlan0 (Wi-Fi)`.
pub fn interface_of<'a>(
    mut interfaces: impl Iterator<Item = &'a NetworkInterface>,
    address: &str,
) -> Option<String> {
    let of = interfaces.find(|interface| interface.addresses.iter().any(|own| own == address))?;
    Some(match interface_word(of.kind) {
        Some(word) => format!("{} ({})", of.name, word.text()),
        None => of.name.clone(),
    })
}

/// Our candidates.
pub fn local_candidates(report: &Report) -> Vec<CandidateRow> {
    let used = report.selected_pair().map(|pair| pair.local_candidate_id.as_str());
    let row = |candidate: &Candidate| {
        let base = match candidate.candidate_type {
            Some(CandidateType::Host) | None => candidate.address.as_deref(),
            Some(CandidateType::Srflx | CandidateType::Prflx | CandidateType::Relay) => {
                candidate.related_address.as_deref()
            }
        };
        let interface = base.and_then(|base| interface_of(report.interfaces(), base)).unwrap_or_default();
        CandidateRow { interface, ..candidate_row(candidate, used) }
    };
    report.local_candidates().map(row).collect()
}

/// Theirs.
pub fn remote_candidates(report: &Report) -> Vec<CandidateRow> {
    let used = report.selected_pair().map(|pair| pair.remote_candidate_id.as_str());
    report.remote_candidates().map(|candidate| candidate_row(candidate, used)).collect()
}

fn candidate_row(candidate: &Candidate, used: Option<&str>) -> CandidateRow {
    let relay = candidate.relay_protocol.as_deref();
    let protocol = match relay {
        Some(relay) => Word::OverRelayProtocol.with(&candidate.protocol).replacen("{}", relay, 1),
        None => match candidate.tcp_type.as_deref() {
            Some(kind) => format!("{} {kind}", candidate.protocol),
            None => candidate.protocol.clone(),
        },
    };
    CandidateRow {
        kind: kind_word(candidate.candidate_type),
        protocol,
        address: endpoint(candidate.address.as_deref(), candidate.port),
        priority: candidate.priority.unwrap_or_default(),
        url: candidate.url.clone().unwrap_or_default(),
        interface: String::new(),
        related: endpoint(candidate.related_address.as_deref(), candidate.related_port.unwrap_or_default()),
        is_used: used == Some(candidate.id.as_str()),
    }
}

/// All pairs; the one in use first, then those that work, and by the checks that were made.
pub fn pairs(report: &Report) -> Vec<PairRow> {
    let used = report.selected_pair().map(|pair| pair.id.clone());
    let mut rows: Vec<PairRow> = report.pairs().map(|pair| pair_row(report, pair, used.as_deref())).collect();
    let rank = |row: &PairRow| match row.state {
        PairState::Succeeded => 0,
        PairState::InProgress => 1,
        PairState::Waiting => 2,
        PairState::Frozen => 3,
        PairState::Failed => 4,
    };
    rows.sort_by_key(|row| (!row.is_used, !row.nominated, rank(row), u64::MAX - row.ours.0));
    rows
}

fn pair_row(report: &Report, pair: &CandidatePair, used: Option<&str>) -> PairRow {
    let end = |candidate: Option<&Candidate>, id: &str| match candidate {
        Some(candidate) => {
            let kind = kind_word(candidate.candidate_type);
            format!("{kind} {}", endpoint(candidate.address.as_deref(), candidate.port))
        }
        None => id.to_owned(),
    };
    let local = report.local_candidates().find(|candidate| candidate.id == pair.local_candidate_id);
    let remote = report.remote_candidates().find(|candidate| candidate.id == pair.remote_candidate_id);
    PairRow {
        state: pair.state,
        nominated: pair.nominated,
        is_used: used == Some(pair.id.as_str()),
        local: end(local, &pair.local_candidate_id),
        remote: end(remote, &pair.remote_candidate_id),
        ours: (pair.requests_sent, pair.responses_received),
        theirs: (pair.requests_received, pair.responses_sent),
        round_trip: pair.current_round_trip_time.map_or(f64::NAN, |seconds| seconds * 1e3),
        bytes: (pair.bytes_sent, pair.bytes_received),
        last_error: pair.last_error.clone().unwrap_or_default(),
    }
}

/// The servers, as they were configured.
pub fn servers(report: &Report) -> Vec<ServerRow> {
    report.ice_servers().map(server_row).collect()
}

fn server_row(server: &IceServer) -> ServerRow {
    let trouble = match &server.failure {
        Some(failure) => failure.text.clone(),
        None => {
            let errors = server.errors.iter().filter(|error| error.count > error.expected);
            errors.map(|error| format!("{} {}", error.code, error.text)).collect::<Vec<_>>().join(", ")
        }
    };
    ServerRow {
        url: server.url.clone(),
        transport: match server.transport {
            ServerTransport::Udp => "udp",
            ServerTransport::Tcp => "tcp",
            ServerTransport::Tls => "tls",
        },
        sent: server.requests_sent,
        answered: server.responses_received,
        errors: server.errors.iter().map(|error| error.count.saturating_sub(error.expected)).sum(),
        round_trip: server.round_trip_time.map_or(f64::NAN, |seconds| seconds * 1e3),
        mapped: server.mapped_address.clone().unwrap_or_default(),
        relayed: match (&server.relayed_address, server.not_needed) {
            (Some(address), _) => address.clone(),
            (None, Some(true)) => Word::RelayNotNeeded.text().to_owned(),
            (None, _) => String::new(),
        },
        trouble,
    }
}

/// The story of how the connection came up, and the unix time in milliseconds of its beginning.
pub fn story(report: &Report) -> Option<(f64, Vec<Stage>)> {
    let marks = &report.timelines().next()?.marks;
    let at = |step: Step| marks.iter().find(|mark| mark.step == step).map(|mark| mark.at);
    let first = marks.iter().map(|mark| mark.at).filter(|at| at.is_finite()).reduce(f64::min)?;
    let start = at(Step::Call).unwrap_or(first).min(first);
    let stage = |name, from: Option<f64>, to: Option<f64>| Stage {
        name,
        from: from.or(to).map(|at| at - start),
        to: to.map(|at| at - start),
    };
    let stages = vec![
        stage(Word::StageGathering, at(Step::FirstCandidate), at(Step::GatheringComplete)),
        stage(Word::StageSignaling, at(Step::DescriptionSent), at(Step::DescriptionReceived)).forwards(),
        stage(Word::StageChecks, at(Step::FirstCheckSent), at(Step::FirstCheckAnswered)),
        stage(Word::StageNominated, at(Step::FirstCheckAnswered), at(Step::Nominated)),
        stage(Word::StageDtls, at(Step::DtlsStarted), at(Step::DtlsConnected)),
        stage(Word::StageFirstPacket, at(Step::DtlsConnected), at(Step::FirstPacketReceived)),
        stage(Word::StageFirstPicture, at(Step::FirstPacketReceived), at(Step::FirstPicture)),
    ];
    Some((start, stages))
}

impl Stage {
    /// Whoever answers receives before it sends.
    fn forwards(self) -> Self {
        match (self.from, self.to) {
            (Some(from), Some(to)) if to < from => Self { from: Some(to), to: Some(from), ..self },
            _ => self,
        }
    }

    /// How long it took, in milliseconds.
    pub fn length(&self) -> Option<f64> {
        Some((self.to? - self.from?).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::stats::{Entry, Mark, StunErrors, Timeline, Transport};

    fn candidate(id: &str, kind: CandidateType, address: &str) -> Candidate {
        Candidate {
            id: id.into(),
            protocol: "udp".into(),
            port: 5,
            address: Some(address.into()),
            candidate_type: Some(kind),
            ..Candidate::default()
        }
    }

    fn report() -> Report {
        let selected = Some("P2".to_owned());
        let pair = |id: &str, local: &str, state| CandidatePair {
            id: id.into(),
            local_candidate_id: local.into(),
            remote_candidate_id: "R1".into(),
            state,
            ..CandidatePair::default()
        };
        let mut report = Report::new(0.0);
        report.entries = vec![
            Entry::Transport(Transport { selected_candidate_pair_id: selected, ..Default::default() }),
            Entry::LocalCandidate(candidate("L1", CandidateType::Host, "10.0.0.2")),
            Entry::LocalCandidate(Candidate {
                related_address: Some("10.0.0.2".into()),
                relay_protocol: Some("tls".into()),
                ..candidate("L2", CandidateType::Relay, "2001:db8::1")
            }),
            Entry::RemoteCandidate(candidate("R1", CandidateType::Prflx, "192.0.2.7")),
            Entry::CandidatePair(pair("P1", "L1", PairState::Failed)),
            Entry::CandidatePair(pair("P2", "L2", PairState::Succeeded)),
            Entry::CandidatePair(pair("P3", "gone", PairState::Waiting)),
            Entry::NetworkInterface(NetworkInterface {
                name: "wlan0".into(),
                kind: InterfaceKind::Wifi,
                addresses: vec!["10.0.0.2".into()],
                ..Default::default()
            }),
        ];
        report
    }

    #[test]
    fn a_candidate_is_told_with_its_interface_its_relay_and_its_priority_in_parts() {
        let rows = local_candidates(&report());
        assert_eq!(rows[1].address, "[2001:db8::1]:5");
        assert_eq!(rows[1].interface, "wlan0 (Wi-Fi)");
        assert_eq!(rows[1].protocol, "udp over tls");
        assert!(rows[1].is_used && !rows[0].is_used);
        let row = CandidateRow { priority: 126 << 24 | 65_535 << 8 | 255, ..Default::default() };
        assert_eq!(row.priority_split(), "126 | 65535 | 1");
    }

    #[test]
    fn the_pair_in_use_comes_first_and_the_failed_last_and_a_candidate_that_is_gone_keeps_its_id() {
        let rows = pairs(&report());
        let locals: Vec<&str> = rows.iter().map(|row| row.local.as_str()).collect();
        assert_eq!(locals, ["relay [2001:db8::1]:5", "gone", "host 10.0.0.2:5"]);
        assert!(rows[0].is_used && rows[0].round_trip.is_nan());
    }

    #[test]
    fn the_first_401_of_a_relay_is_no_trouble() {
        let errors = |count| vec![StunErrors { code: 401, text: "Unauthorized".into(), count, expected: 1 }];
        let row = |count| server_row(&IceServer { errors: errors(count), ..Default::default() });
        assert_eq!((row(1).errors, row(1).trouble.as_str()), (0, ""));
        assert_eq!((row(2).errors, row(2).trouble.as_str()), (1, "401 Unauthorized"));
    }

    #[test]
    fn the_story_begins_with_the_first_mark_and_tells_what_is_not_there_yet() {
        let mark = |step, at| Mark { step, at, since_call: None };
        let marks = vec![
            mark(Step::FirstCandidate, 990.0),
            mark(Step::Call, 1_000.0),
            mark(Step::DescriptionReceived, 1_100.0),
            mark(Step::DescriptionSent, 1_150.0),
            mark(Step::DtlsStarted, 1_400.0),
        ];
        let mut report = Report::new(0.0);
        report.entries.push(Entry::Timeline(Timeline { marks, ..Default::default() }));
        let (start, stages) = story(&report).unwrap();
        assert_eq!(start, 990.0);
        assert_eq!((stages[0].from, stages[0].to), (Some(0.0), None));
        assert_eq!((stages[1].from, stages[1].length()), (Some(110.0), Some(50.0)));
        assert_eq!((stages[4].from, stages[4].length()), (Some(410.0), None));
        assert_eq!(story(&Report::new(0.0)), None);
    }
}
