//! From a recording to facts: what the newest statistics and the events so far say.
//!
//! Spans are measured on the recording's own time, so that a session file is judged as the call was.

use std::net::IpAddr;
use std::time::Duration;

use super::facts::{
    Address, Checks, DeviceDoes, DeviceFacts, Facts, Held, IceServerFacts, Interface, LimitSeen, Move,
    Obstacle, Path, SignalingLink, Stage, Stream, Transport,
};
use super::peer::{NatKind, PeerFacts};
use crate::engine::view::EndReason;
use crate::record::{self, DeviceKind, DeviceWord, History, Metric, Phase, Scope, Side, What};
use crate::rtc::nat::Mapping;
use crate::rtc::stats::{
    Candidate, CandidatePair, FailedStep, IceServer, InboundRtp, InterfaceKind, Kind, Report,
};
use crate::rtc::{CandidateType, IcePolicy, PeerPhase};
use crate::units::Bitrate;

/// "The last seconds" of loss, jitter and rates, in ms.
const LATELY: f64 = 5_000.0;

/// "The last minute", in ms.
const MINUTE: f64 = 60_000.0;

/// When all of our sockets have tried a server.
const OTHER_SOCKETS: Duration = Duration::from_secs(1);

/// Below this a microphone gives digital silence; its own noise is far above (-100 dB).
const SILENCE: f64 = 1e-5;

/// All that the recording says at `now` (milliseconds since the Unix epoch).
pub fn facts(history: &History, now: f64) -> Facts {
    let mut facts = Facts { now, ..Facts::default() };
    let story = Story::of(history, now);
    facts.stage = story.stage(history, now);
    facts.ice = Held::new(history.standing.ice, since(now, story.ice));
    facts.dtls = Held::new(history.standing.dtls, since(now, story.dtls));
    facts.fingerprint_mismatch = story.not_authentic;
    facts.checks.early_candidates = story.early;
    facts.devices.microphone = story.microphone;
    facts.devices.camera = story.camera;
    facts.devices.speaker = story.speaker;
    facts.devices.muted_but_speaking = story.muted_but_speaking;
    facts.signaling.link = Held::new(story.link.0, since(now, Some(story.link.1)));
    facts.signaling.reason = story.reason;
    facts.signaling.server = story.server;
    facts.signaling.clock_skew = story.clock_skew;
    facts.relay_only = history
        .configuration
        .as_ref()
        .is_some_and(|configuration| configuration.ice_transport_policy == IcePolicy::Relay);
    peer(history, &mut facts);
    if let Some(report) = &history.report {
        servers(history, report, &mut facts);
        network(history, report, &mut facts);
        facts.network.moved = story.moved.as_ref().and_then(|change| moved(report, change, now));
        candidates(report, &mut facts);
        checks(report, &mut facts);
        path(report, &mut facts);
        let media = Media { history, report, now };
        media.upload(&mut facts);
        media.download(&mut facts);
        media.microphone(&mut facts);
        if let Some(signaling) = report.signaling().next() {
            facts.signaling.round_trip = signaling.round_trip_time.and_then(seconds);
        }
    }
    facts
}

fn since(now: f64, then: Option<f64>) -> Duration {
    then.map_or(Duration::ZERO, |then| millis(now - then))
}

fn millis(millis: f64) -> Duration {
    seconds(millis / 1e3).unwrap_or_default()
}

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

/// What the events tell, oldest first.
#[derive(Default)]
struct Story {
    phase: Option<(Phase, f64)>,
    connected: bool,
    connection: Option<f64>,
    ice: Option<f64>,
    dtls: Option<f64>,
    not_authentic: bool,
    described: bool,
    early: u64,
    host: Option<String>,
    moved: Option<(String, String, f64)>,
    microphone: DeviceFacts,
    camera: DeviceFacts,
    speaker: DeviceFacts,
    muted_but_speaking: bool,
    link: (SignalingLink, f64),
    reason: Option<String>,
    server: String,
    clock_skew: Option<f64>,
}

impl Story {
    fn of(history: &History, now: f64) -> Self {
        let mut story = Self { link: (SignalingLink::Off, now), ..Self::default() };
        for entry in &history.events {
            story.learn(entry.t, &entry.what);
        }
        story
    }

    fn learn(&mut self, t: f64, what: &What) {
        match what {
            What::Phase { phase, server } => {
                self.phase = Some((*phase, t));
                if let Some(server) = server {
                    self.server.clone_from(server);
                }
                match phase {
                    Phase::Opening | Phase::Joining if self.link.0 == SignalingLink::Off => {
                        self.link = (SignalingLink::Connecting, t);
                    }
                    Phase::Idle => self.link = (SignalingLink::Off, t),
                    Phase::Opening
                    | Phase::Joining
                    | Phase::Waiting
                    | Phase::Knocking
                    | Phase::InCall
                    | Phase::Ended => {}
                }
            }
            What::WsOpen => self.link = (SignalingLink::Up, t),
            What::Signaling { state: record::SignalingState::Lost, reason } => {
                self.link = (SignalingLink::Lost, t);
                self.reason.clone_from(reason);
            }
            What::Signaling { state: record::SignalingState::Resumed, .. } => {
                self.link = (SignalingLink::Up, t);
                self.reason = None;
            }
            What::ServerClock { ahead } => self.clock_skew = Some(*ahead),
            What::Ice { .. } => self.ice = Some(t),
            What::Dtls { .. } => self.dtls = Some(t),
            What::Connection { state } => {
                self.connected |= *state == PeerPhase::Connected;
                self.connection.get_or_insert(t);
            }
            What::Description { side: Side::Remote, .. } => self.described = true,
            What::Candidate { side: Side::Remote, .. } if !self.described => self.early += 1,
            // Only what is an address of ours says which interface it is.
            What::SelectedPair(pair) if pair.local.kind == CandidateType::Host => {
                let to = pair.local.address.clone();
                if let Some(from) = self.host.replace(to.clone()).filter(|from| *from != to) {
                    self.moved = Some((from, to, t));
                }
            }
            What::Device(device) => {
                let facts = DeviceFacts {
                    state: does(device.state),
                    about: device.about.clone(),
                    id: device.id.clone().unwrap_or_default(),
                };
                match device.device {
                    DeviceKind::Microphone => {
                        self.microphone = facts;
                        self.muted_but_speaking = device.muted_but_speaking;
                    }
                    DeviceKind::Camera => self.camera = facts,
                    DeviceKind::Speaker => self.speaker = facts,
                }
            }
            What::Ended(reason) => {
                self.not_authentic = *reason == EndReason::NotAuthentic;
                if let EndReason::Server(text) = reason {
                    self.link = (SignalingLink::Failed, t);
                    self.reason = Some(text.clone());
                }
            }
            _ => {}
        }
    }

    fn stage(&self, history: &History, now: f64) -> Held<Stage> {
        let Some((phase, at)) = self.phase else { return Held::default() };
        let (stage, at) = match phase {
            Phase::Idle => (Stage::Idle, at),
            Phase::Opening | Phase::Joining => (Stage::Reaching, at),
            Phase::Waiting => (Stage::Waiting, at),
            Phase::Knocking => (Stage::Knocking, at),
            Phase::InCall if self.connected => {
                (Stage::Talking, history.first("connection connected").unwrap_or(at))
            }
            Phase::InCall => (Stage::Connecting, at),
            Phase::Ended => (Stage::Ended, at),
        };
        Held::new(stage, since(now, Some(at)))
    }
}

/// From one interface to another, as far as the addresses tell.
fn moved(report: &Report, (from, to, t): &(String, String, f64), now: f64) -> Option<Move> {
    let of = |address: &String| report.interfaces().find(|interface| interface.addresses.contains(address));
    let to = of(to)?.name.clone();
    let before = of(from);
    // Its address went with it: the address is all that is left to name it by.
    let name = before.map_or_else(|| from.clone(), |interface| interface.name.clone());
    let gone = before.is_none_or(|interface| !interface.up);
    (name != to).then(|| Move { from: name, gone, to, ago: millis(now - t) })
}

fn does(word: DeviceWord) -> DeviceDoes {
    match word {
        DeviceWord::Closed | DeviceWord::Opening => DeviceDoes::Unknown,
        DeviceWord::On => DeviceDoes::Runs,
        DeviceWord::Off => DeviceDoes::Off,
        DeviceWord::Absent => DeviceDoes::Absent,
        DeviceWord::Denied => DeviceDoes::Denied,
        DeviceWord::Failed => DeviceDoes::Failed,
    }
}

fn peer(history: &History, facts: &mut Facts) {
    if let Some(What::Media { microphone, camera, .. }) =
        history.newest_of("media", Side::Remote).map(|entry| &entry.what)
    {
        facts.peer.microphone = Some(*microphone);
        facts.peer.camera = Some(*camera);
    }
    if let Some(What::Facts { facts: told, .. }) =
        history.newest_of("facts", Side::Remote).map(|entry| &entry.what)
    {
        facts.peer.facts = PeerFacts::read(told.clone()).unwrap_or_default();
    }
}

fn servers(history: &History, report: &Report, facts: &mut Facts) {
    let asked_for = since(report.timestamp, history.first("configuration"));
    for server in report.ice_servers() {
        let expires = history
            .configuration
            .iter()
            .flat_map(|configuration| &configuration.ice_servers)
            .filter(|configured| configured.urls.contains(&server.url))
            .find_map(|configured| expiry(configured.username.as_deref()?));
        facts.servers.push(ice_server(server, expires, asked_for));
    }
}

/// `UNIX_SECONDS:USER` (draft-uberti-behave-turn-rest), in milliseconds.
fn expiry(username: &str) -> Option<f64> {
    let (seconds, _) = username.split_once(':')?;
    let seconds: u64 = seconds.parse().ok()?;
    // A number that cannot be a time of this century is a name.
    (1_000_000_000..4_200_000_000).contains(&seconds).then_some(seconds as f64 * 1e3)
}

fn ice_server(server: &IceServer, expires: Option<f64>, asked_for: Duration) -> IceServerFacts {
    let relay = server.url.starts_with("turn");
    let useful = if relay { server.relayed_address.is_some() } else { server.mapped_address.is_some() };
    let text = || server.failure.as_ref().map(|failure| failure.text.clone()).unwrap_or_default();
    // Another socket of ours may have asked all the same: each address has its own.
    let failure = server.failure.as_ref().filter(|_| server.requests_sent == 0 && asked_for >= OTHER_SOCKETS);
    let obstacle = failure.and_then(|failure| match failure.step {
        FailedStep::Dns => Some(Obstacle::Name(text())),
        FailedStep::Family | FailedStep::Connect | FailedStep::Proxy => Some(Obstacle::Connect(text())),
        FailedStep::Tls => Some(Obstacle::Tls(text())),
        FailedStep::Url => Some(Obstacle::Other(text())),
        FailedStep::Refused | FailedStep::Silent => None,
    });
    let refused =
        server.errors.iter().filter(|error| error.count > error.expected).map(|error| error.code).next_back();
    let answers = server.responses_received;
    IceServerFacts {
        url: server.url.clone(),
        relay,
        transport: server.transport,
        requests: server.requests_sent,
        responses: answers,
        asked_for,
        obstacle,
        refused: refused.filter(|_| !useful),
        useful,
        first_answer: server.first_response_time.and_then(seconds),
        round_trip: (answers > 0).then(|| seconds(server.total_round_trip_time / answers as f64)).flatten(),
        expires,
    }
}

fn network(history: &History, report: &Report, facts: &mut Facts) {
    if let Some(What::Nat { more, .. }) = history.newest("nat").map(|entry| &entry.what)
        && let Ok(verdict) = serde_json::from_value::<crate::rtc::nat::Verdict>(more.clone().into())
    {
        facts.network.nat = nat(verdict.mapping);
        facts.network.mapped =
            verdict.answers.iter().map(|answer| format!("{} by {}", answer.mapped, answer.server)).collect();
    }
    let local = report.selected_pair().and_then(|pair| {
        report.local_candidates().find(|candidate| candidate.id == pair.local_candidate_id)?.address.clone()
    });
    let interfaces: Vec<Interface> = report
        .interfaces()
        .filter(|interface| interface.up && interface.kind != InterfaceKind::Loopback)
        .filter(|interface| !interface.addresses.is_empty())
        .map(|interface| Interface {
            name: interface.name.clone(),
            kind: interface.kind,
            in_use: local.as_ref().is_some_and(|local| interface.addresses.contains(local)),
        })
        .collect();
    facts.network.interfaces = report.interfaces().next().map(|_| interfaces);
}

fn nat(mapping: Mapping) -> NatKind {
    match mapping {
        Mapping::Unknown => NatKind::Unknown,
        Mapping::None => NatKind::Open,
        Mapping::EndpointIndependent => NatKind::EndpointIndependent,
        Mapping::EndpointDependent => NatKind::EndpointDependent,
    }
}

fn candidates(report: &Report, facts: &mut Facts) {
    let address = |candidate: &Candidate| {
        let kind = candidate.candidate_type?;
        Some(Address { kind, ip: candidate.address.as_ref().and_then(|text| text.parse::<IpAddr>().ok()) })
    };
    facts.local = report.local_candidates().filter_map(address).collect();
    // What was learnt from a check that arrived is no candidate that they sent.
    facts.remote = report
        .remote_candidates()
        .filter(|candidate| candidate.candidate_type != Some(CandidateType::Prflx))
        .filter_map(address)
        .collect();
}

fn checks(report: &Report, facts: &mut Facts) {
    let sum = |count: fn(&CandidatePair) -> u64| report.pairs().map(count).sum::<u64>();
    let early = facts.checks.early_candidates;
    let only_host =
        !facts.local.is_empty() && facts.local.iter().all(|address| address.kind == CandidateType::Host);
    facts.checks = Checks {
        pairs: report.pairs().count(),
        sent: sum(|pair| pair.requests_sent),
        answered: sum(|pair| pair.responses_received),
        received: sum(|pair| pair.requests_received),
        running: facts.ice.held.min(facts.stage.held),
        early_candidates: early,
        failed_before_addresses: facts.ice.state == crate::rtc::IceState::Failed
            && !only_host
            && report.pairs().all(|pair| {
                let of = report.local_candidates().find(|candidate| candidate.id == pair.local_candidate_id);
                of.is_some_and(|candidate| candidate.candidate_type == Some(CandidateType::Host))
            })
            && report.pairs().next().is_some(),
    };
}

fn path(report: &Report, facts: &mut Facts) {
    let Some(pair) = report.selected_pair() else { return };
    let local = report.local_candidates().find(|candidate| candidate.id == pair.local_candidate_id);
    let remote = report.remote_candidates().find(|candidate| candidate.id == pair.remote_candidate_id);
    let (Some(local), Some(remote)) = (local, remote) else { return };
    let relay_transport = match (local.candidate_type, local.relay_protocol.as_deref()) {
        (Some(CandidateType::Relay), Some("tcp")) => Some(Transport::Tcp),
        (Some(CandidateType::Relay), Some("tls")) => Some(Transport::Tls),
        (Some(CandidateType::Relay), _) => Some(Transport::Udp),
        _ => None,
    };
    let media = report.inbound().filter_map(|stream| stream.last_packet_received_timestamp);
    let heard =
        media.chain(pair.last_packet_received_timestamp).chain(pair.last_response_timestamp).reduce(f64::max);
    facts.path = Some(Path {
        local: local.candidate_type.unwrap_or(CandidateType::Host),
        remote: remote.candidate_type.unwrap_or(CandidateType::Host),
        relay_transport,
        relay_url: local.url.clone().filter(|_| relay_transport.is_some()),
        silent_for: heard.map_or(Duration::ZERO, |heard| millis(report.timestamp - heard)),
    });
}

/// Media of the newest report, and what the series tell of the seconds before.
struct Media<'a> {
    history: &'a History,
    report: &'a Report,
    now: f64,
}

impl Media<'_> {
    fn mean(&self, scope: Scope, metric: Metric, span: f64) -> Option<f64> {
        let series = self.history.series.get(scope, metric)?;
        let (sum, count) = series
            .between(self.now - span, self.now)
            .fold((0.0, 0u32), |(sum, n), (_, value)| (sum + value, n + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    /// The mean over all streams of a direction, of those that have values.
    fn worst(
        &self,
        direction: record::Direction,
        kind: Option<Kind>,
        metric: Metric,
        span: f64,
    ) -> Option<f64> {
        let scopes = self.history.series.scopes().into_iter().filter(|scope| match scope {
            Scope::Stream(id) => {
                let asked = id.direction == direction && kind.is_none_or(|kind| kind == id.kind);
                asked && !id.is_sound_of_screen()
            }
            Scope::Connection => false,
        });
        scopes.filter_map(|scope| self.mean(scope, metric, span)).reduce(f64::max)
    }

    fn upload(&self, facts: &mut Facts) {
        let sent = record::Direction::Sent;
        let upload = &mut facts.upload;
        upload.packets = self.report.outbound().filter_map(|stream| stream.packets_sent).sum();
        upload.estimate = self
            .report
            .selected_pair()
            .and_then(|pair| pair.available_outgoing_bitrate)
            .map(|bps| Bitrate::from_bps(bps as u64));
        upload.loss = self.worst(sent, None, Metric::Loss, LATELY);
        upload.loss_minute = self.worst(sent, None, Metric::Loss, MINUTE);
        let round_trip = self.history.series.get(Scope::Connection, Metric::RoundTrip);
        upload.round_trip = self.mean(Scope::Connection, Metric::RoundTrip, 3_000.0).map(millis);
        upload.round_trip_floor = round_trip
            .and_then(|series| {
                series.between(self.now - MINUTE, self.now).map(|(_, value)| value).reduce(f64::min)
            })
            .map(millis);
        upload.encode_time = self.worst(sent, Some(Kind::Video), Metric::EncodeTime, LATELY).map(millis);
        upload.frames_per_second = self.worst(sent, Some(Kind::Video), Metric::FrameRate, LATELY);
        upload.limit = self.limit();
        let newest = self.report.remote_inbound().map(|remote| remote.timestamp).reduce(f64::max);
        let begun = self.history.first("dtls connected");
        upload.unreported_for = newest.or(begun).map(|at| millis(self.now - at));
    }

    /// The reason now, and how long it has applied in all: W3C counts the seconds of each.
    fn limit(&self) -> Held<LimitSeen> {
        let video = |report: &Report| {
            let stream = report.outbound().find(|stream| stream.kind == Kind::Video)?;
            Some((stream.quality_limitation_reason.clone()?, stream.quality_limitation_durations.clone()?))
        };
        let Some((reason, durations)) = video(self.report) else { return Held::default() };
        let state = match reason.as_str() {
            "cpu" => LimitSeen::Cpu,
            "bandwidth" => LimitSeen::Bandwidth,
            _ => LimitSeen::None,
        };
        let held = durations.get(&reason).copied().and_then(seconds).unwrap_or_default();
        Held::new(state, held)
    }

    fn download(&self, facts: &mut Facts) {
        facts.download.sound = self.stream(Kind::Audio);
        facts.download.picture = self.stream(Kind::Video);
    }

    fn stream(&self, kind: Kind) -> Stream {
        let heard = |stream: &InboundRtp| stream.last_packet_received_timestamp.unwrap_or_default();
        let received = record::Direction::Received;
        let connected = self.history.first("dtls connected").unwrap_or(self.now);
        let newest = self
            .report
            .inbound()
            .filter(|stream| stream.kind == kind)
            // What a shared screen plays is no voice.
            .filter(|stream| kind == Kind::Video || stream.content_type.is_none())
            .max_by(|a, b| heard(a).total_cmp(&heard(b)));
        let heard = newest.and_then(|stream| stream.last_packet_received_timestamp).unwrap_or(connected);
        let count = |of: fn(&InboundRtp) -> Option<u64>| newest.and_then(of).unwrap_or_default();
        let rate = |metric, span| self.worst(received, Some(kind), metric, span);
        let decoded = count(|stream| stream.frames_decoded);
        Stream {
            packets: count(|stream| stream.packets_received),
            silent_for: millis(self.report.timestamp - heard),
            loss: rate(Metric::Loss, LATELY),
            loss_minute: rate(Metric::Loss, MINUTE),
            jitter: rate(Metric::Jitter, LATELY).map(millis),
            decoded,
            undecoded_for: self.undecoded_for(kind, connected),
            key_frames_asked: count(|stream| stream.pli_count),
            freezes: self.freezes(),
            concealed: rate(Metric::Concealment, 2.0 * LATELY),
        }
    }

    /// Since when no picture was decoded: the last second of the series in which one was.
    fn undecoded_for(&self, kind: Kind, connected: f64) -> Duration {
        if kind == Kind::Audio {
            return Duration::ZERO;
        }
        let of_pictures = self.history.series.scopes().into_iter().filter_map(|scope| match scope {
            Scope::Stream(id) if id.direction == record::Direction::Received && id.kind == Kind::Video => {
                self.history.series.get(scope, Metric::FrameRate)
            }
            Scope::Stream(_) | Scope::Connection => None,
        });
        let last = of_pictures
            .filter_map(|series| series.points().rev().find(|(_, rate)| *rate > 0.0).map(|(t, _)| t))
            .reduce(f64::max);
        millis(self.now - last.unwrap_or(connected))
    }

    /// Of the last 20 s, from the rate of freezes and the share of the time they took.
    fn freezes(&self) -> (u64, Duration) {
        let frozen = |report: &Report| -> f64 {
            report.inbound().filter_map(|stream| stream.total_freezes_duration).sum()
        };
        let series = self.history.series.iter().filter(|(_, metric, _)| *metric == Metric::Freezes);
        let count: f64 = series
            .flat_map(|(_, _, series)| series.between(self.now - 20_000.0, self.now))
            .map(|(_, rate)| rate)
            .sum();
        let before = self.history.previous.as_ref().map_or(0.0, |report| frozen(report));
        let just_now = seconds((frozen(self.report) - before).max(0.0)).unwrap_or_default();
        (count.round() as u64, just_now)
    }

    fn microphone(&self, facts: &mut Facts) {
        let sent = record::Direction::Sent;
        let level = self.history.series.iter().find_map(|(scope, metric, series)| match scope {
            Scope::Stream(id)
                if id.direction == sent
                    && id.kind == Kind::Audio
                    && !id.is_sound_of_screen()
                    && metric == Metric::AudioLevel =>
            {
                Some(series)
            }
            Scope::Stream(_) | Scope::Connection => None,
        });
        facts.devices.silent_for = level.and_then(|series| {
            let (first, _) = series.points().next()?;
            let heard = series.points().rev().find(|(_, level)| *level > SILENCE).map_or(first, |(t, _)| t);
            Some(millis(self.now - heard))
        });
        let source = self.report.media_sources().find(|source| source.kind == Kind::Audio);
        facts.devices.echo_removed = source.and_then(|source| source.echo_return_loss_enhancement);
        facts.devices.echo_return_loss = source.and_then(|source| source.echo_return_loss);
    }
}
