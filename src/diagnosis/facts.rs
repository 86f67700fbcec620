//! What is known of a call at one moment, as plain data: all that the rules may look at.
//!
//! Made from a recording (`from_history`), so that a call that runs and one that was saved are
//! judged by the same facts. Spans of time are given, never read from a clock. What is not known is
//! `None`, and a rule that needs it stays silent.

use std::net::IpAddr;
use std::time::Duration;

use super::peer::{NatKind, PeerFacts, Voice};
use super::words::{self, count};
use crate::rtc::stats::InterfaceKind;
pub use crate::rtc::stats::ServerTransport as Transport;
use crate::rtc::{CandidateType, DtlsState, IceState};
use crate::units::Bitrate;

/// Everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// When, in milliseconds since the Unix epoch.
    pub now: f64,
    /// How far the call is.
    pub stage: Held<Stage>,
    /// Only relayed candidates may be used.
    pub relay_only: bool,
    /// STUN and TURN servers, one entry for each URL and transport.
    pub servers: Vec<IceServerFacts>,
    /// This computer's network.
    pub network: Network,
    /// Our candidates and theirs.
    pub local: Vec<Address>,
    /// Theirs.
    pub remote: Vec<Address>,
    /// Connectivity checks.
    pub checks: Checks,
    /// W3C iceConnectionState.
    pub ice: Held<IceState>,
    /// W3C RTCDtlsTransport.state.
    pub dtls: Held<DtlsState>,
    /// The other side's certificate is not the one that was signalled.
    pub fingerprint_mismatch: bool,
    /// The path in use.
    pub path: Option<Path>,
    /// What we send.
    pub upload: Upload,
    /// What we receive.
    pub download: Download,
    /// Our devices.
    pub devices: Devices,
    /// The signaling server.
    pub signaling: Signaling,
    /// The other side.
    pub peer: Peer,
}

/// A state and for how long it has lasted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held<T> {
    /// The state.
    pub state: T,
    /// For how long.
    pub held: Duration,
}

impl<T: PartialEq> Held<T> {
    /// `state`, for so long.
    pub const fn new(state: T, held: Duration) -> Self {
        Self { state, held }
    }

    /// Whether `state` has lasted at least so long.
    pub fn is(&self, state: T, at_least: Duration) -> bool {
        self.state == state && self.held >= at_least
    }
}

/// How far the call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Nothing goes on.
    #[default]
    Idle,
    /// On the way to the server.
    Reaching,
    /// In the room, alone.
    Waiting,
    /// Somebody is asked to let us in.
    Knocking,
    /// Accepted; no media yet.
    Connecting,
    /// Media flows, or did.
    Talking,
    /// Over.
    Ended,
}

impl Stage {
    /// Whether a path is wanted or in use.
    pub fn wants_a_path(self) -> bool {
        match self {
            Stage::Connecting | Stage::Talking => true,
            Stage::Idle | Stage::Reaching | Stage::Waiting | Stage::Knocking | Stage::Ended => false,
        }
    }
}

/// One STUN or TURN server over one transport.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IceServerFacts {
    /// `stun:`, `turn:` or `turns:` URL.
    pub url: String,
    /// A relay, or STUN only.
    pub relay: bool,
    /// How it is spoken to.
    pub transport: Transport,
    /// Requests sent, repetitions included.
    pub requests: u64,
    /// Answers, errors included.
    pub responses: u64,
    /// For how long requests have been going out.
    pub asked_for: Duration,
    /// Why no request could be sent at all.
    pub obstacle: Option<Obstacle>,
    /// The refusal that ended it (RFC 8656 error codes); the first 401 of every exchange is none.
    pub refused: Option<u16>,
    /// It gave us an address (srflx or relayed).
    pub useful: bool,
    /// From the first request to the first answer.
    pub first_answer: Option<Duration>,
    /// Mean round trip.
    pub round_trip: Option<Duration>,
    /// When its credentials run out, in milliseconds since the Unix epoch, if they say so
    /// (`EXPIRY:USER`, draft-uberti-behave-turn-rest).
    pub expires: Option<f64>,
}

impl IceServerFacts {
    /// `HOST` of the URL.
    pub fn host(&self) -> &str {
        let rest = self.url.split_once(':').map_or(self.url.as_str(), |(_, rest)| rest);
        let rest = rest.split('?').next().unwrap_or(rest);
        match rest.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => host,
            Some(_) | None => rest,
        }
    }

    /// Asked as often as RFC 8489 section 6.2.1 repeats a request, or for so long that an answer
    /// would be here, and nothing came.
    pub fn is_silent(&self) -> bool {
        self.responses == 0
            && self.obstacle.is_none()
            && (self.requests >= 7 || self.requests >= 3 && self.asked_for >= Duration::from_secs(5))
    }

    /// `12 requests to stun:x:3478 over UDP, 0 answers`.
    pub fn count(&self) -> String {
        let (requests, answers) = (count(self.requests, "request"), count(self.responses, "answer"));
        format!("{requests} to {} over {}, {answers}", self.url, words::transport(self.transport))
    }
}

/// Why a server cannot even be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// DNS knows no such name, or cannot be asked.
    Name(String),
    /// No connection.
    Connect(String),
    /// No TLS.
    Tls(String),
    /// Something else; the sentence says what.
    Other(String),
}

/// This computer's network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Interfaces with an address that are up, without loopback. `None`: not known.
    pub interfaces: Option<Vec<Interface>>,
    /// The NAT before us.
    pub nat: NatKind,
    /// The addresses outside that servers told, for evidence.
    pub mapped: Vec<String>,
    /// The last time the call went to another interface.
    pub moved: Option<Move>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// As the system calls it.
    pub name: String,
    /// What it is, as far as the system tells.
    pub kind: InterfaceKind,
    /// Media goes through it.
    pub in_use: bool,
}

/// The call went to another interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Where it was.
    pub from: String,
    /// That one is down, or has no address any more.
    pub gone: bool,
    /// Where it is.
    pub to: String,
    /// How long ago.
    pub ago: Duration,
}

/// A candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Address {
    /// Host, server-reflexive, peer-reflexive or relayed.
    pub kind: CandidateType,
    /// `None`: hidden behind an mDNS name.
    pub ip: Option<IpAddr>,
}

/// Connectivity checks of all pairs (RFC 8445), counted at the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Pairs that were made.
    pub pairs: usize,
    /// Our checks.
    pub sent: u64,
    /// Answers to them.
    pub answered: u64,
    /// Their checks.
    pub received: u64,
    /// For how long checks have been going out.
    pub running: Duration,
    /// Candidates that came before the description they belong to; held, then applied.
    pub early_candidates: u64,
    /// The first round of checks knew host candidates only and failed.
    pub failed_before_addresses: bool,
}

/// The path in use.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Our end.
    pub local: CandidateType,
    /// Their end.
    pub remote: CandidateType,
    /// How we reach our relay, if it is one.
    pub relay_transport: Option<Transport>,
    /// The URL of our relay.
    pub relay_url: Option<String>,
    /// Nothing has come for so long: neither media nor the answer to a consent check (RFC 7675).
    pub silent_for: Duration,
}

impl Path {
    /// Whether either end is a relay.
    pub fn is_relayed(&self) -> bool {
        self.local == CandidateType::Relay || self.remote == CandidateType::Relay
    }
}

/// What we send, over the last seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upload {
    /// RTP packets since the call began.
    pub packets: u64,
    /// What the path is believed to carry.
    pub estimate: Option<Bitrate>,
    /// Share of our packets that the other side reports lost, mean of the last 5 s.
    pub loss: Option<f64>,
    /// Share of them over the last minute.
    pub loss_minute: Option<f64>,
    /// Mean of the last 3 s.
    pub round_trip: Option<Duration>,
    /// The smallest of the last minute: what the path has without a queue.
    pub round_trip_floor: Option<Duration>,
    /// What limits the sent picture now, and for how long it has done so in all.
    pub limit: Held<LimitSeen>,
    /// Mean time to encode one picture, of the last 5 s.
    pub encode_time: Option<Duration>,
    /// Pictures sent a second.
    pub frames_per_second: Option<f64>,
    /// For how long sent packets have had no report of the other side.
    pub unreported_for: Option<Duration>,
}

/// What limits a picture (W3C `qualityLimitationReason`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LimitSeen {
    /// Nothing.
    #[default]
    None,
    /// The processor.
    Cpu,
    /// The estimate.
    Bandwidth,
}

/// What we receive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Download {
    /// Their sound.
    pub sound: Stream,
    /// Their picture.
    pub picture: Stream,
}

/// A received stream, over the last seconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    /// RTP packets since the call began.
    pub packets: u64,
    /// Nothing has come for so long; since the connection stands, if nothing ever came.
    pub silent_for: Duration,
    /// Share lost, of the last 5 s.
    pub loss: Option<f64>,
    /// Share lost, of the last minute.
    pub loss_minute: Option<f64>,
    /// Interarrival jitter (RFC 3550), mean of the last 5 s.
    pub jitter: Option<Duration>,
    /// Pictures decoded since the call began.
    pub decoded: u64,
    /// No picture was decoded for so long, although packets came.
    pub undecoded_for: Duration,
    /// Key frames asked for.
    pub key_frames_asked: u64,
    /// Freezes in the last 20 s, and how long in all.
    pub freezes: (u64, Duration),
    /// Share of the sound of the last 10 s that was made up (W3C concealedSamples without silence).
    pub concealed: Option<f64>,
}

/// Our devices.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Devices {
    /// The microphone.
    pub microphone: DeviceFacts,
    /// The camera.
    pub camera: DeviceFacts,
    /// The speaker.
    pub speaker: DeviceFacts,
    /// No sound above the microphone's own noise for so long.
    pub silent_for: Option<Duration>,
    /// Talking while muted.
    pub muted_but_speaking: bool,
    /// Share of the last 10 s in which the microphone was at its limit.
    pub clipping: Option<f64>,
    /// What the canceller removes (W3C echoReturnLossEnhancement), mean of the last 10 s, in dB;
    /// `None` while nobody speaks over there or it is switched off.
    pub echo_removed: Option<f64>,
    /// Echo that comes back without the canceller (W3C echoReturnLoss), in dB.
    pub echo_return_loss: Option<f64>,
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// What it does.
    pub state: DeviceDoes,
    /// The name shown to people, or the reason of a failure.
    pub about: String,
    /// The system's id, which tells a headset's mode where the sound server puts it there.
    pub id: String,
}

/// What a device does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceDoes {
    /// Not known, or not wanted.
    #[default]
    Unknown,
    /// It runs.
    Runs,
    /// Switched off by the person.
    Off,
    /// There is none.
    Absent,
    /// The system does not let us use it.
    Denied,
    /// It cannot be used for another reason.
    Failed,
}

/// The signaling server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signaling {
    /// `HOST[:PORT]`.
    pub server: String,
    /// How it stands.
    pub link: Held<SignalingLink>,
    /// Why it is lost or could not be reached.
    pub reason: Option<String>,
    /// Round trip to it.
    pub round_trip: Option<Duration>,
    /// Its wall clock minus ours, in seconds.
    pub clock_skew: Option<f64>,
}

/// How the session with the server stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalingLink {
    /// None wanted.
    #[default]
    Off,
    /// On the way.
    Connecting,
    /// Up.
    Up,
    /// Lost; being resumed.
    Lost,
    /// Could not begin, or is over.
    Failed,
}

/// The other side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peer {
    /// What it says of itself; everything unknown until it has said something.
    pub facts: PeerFacts,
    /// Its microphone is on; `None` before anybody is there.
    pub microphone: Option<bool>,
    /// Its camera is on.
    pub camera: Option<bool>,
    /// It has lost the server.
    pub away: bool,
}

impl Facts {
    /// Whether media can flow: ICE and DTLS are up.
    pub fn is_connected(&self) -> bool {
        let ice = match self.ice.state {
            IceState::Connected | IceState::Completed => true,
            IceState::New
            | IceState::Checking
            | IceState::Disconnected
            | IceState::Failed
            | IceState::Closed => false,
        };
        ice && self.dtls.state == DtlsState::Connected && self.stage.state.wants_a_path()
    }

    /// Servers over UDP that were asked.
    pub fn udp_servers(&self) -> impl Iterator<Item = &IceServerFacts> {
        self.servers.iter().filter(|server| {
            server.transport == Transport::Udp && server.requests > 0 && server.obstacle.is_none()
        })
    }

    /// Whether anything has come in over UDP from outside: a server's answer, or a path that works.
    pub fn udp_works(&self) -> bool {
        self.udp_servers().any(|server| server.responses > 0)
            || (self.is_connected() && self.path.as_ref().is_some_and(|path| path.relay_transport.is_none()))
    }

    /// The relays that are configured.
    pub fn relays(&self) -> impl Iterator<Item = &IceServerFacts> {
        self.servers.iter().filter(|server| server.relay)
    }

    /// The microphone, as the other side is told.
    pub fn voice(&self) -> Voice {
        match self.devices.microphone.state {
            DeviceDoes::Unknown => Voice::Unknown,
            DeviceDoes::Off => Voice::Muted,
            DeviceDoes::Absent | DeviceDoes::Denied | DeviceDoes::Failed => Voice::Unusable,
            DeviceDoes::Runs => match self.devices.silent_for {
                Some(silent) if silent >= Duration::from_secs(5) => Voice::Silent,
                Some(_) => Voice::Heard,
                None => Voice::Unknown,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_is_found() {
        let host = |url: &str| IceServerFacts { url: url.into(), ..Default::default() }.host().to_owned();
        assert_eq!(host("turn:relay.example:3478?transport=tcp"), "relay.example");
        assert_eq!(host("turns:relay.example"), "relay.example");
        assert_eq!(host("stun:[2001:db8::1]:3478"), "[2001:db8::1]");
        assert_eq!(host("nonsense"), "nonsense");
    }
}
