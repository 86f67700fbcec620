//! Our own objects beside those of W3C webrtc-stats, for what it has no dictionary for.
//!
//! They follow its habits: `camelCase` members, durations in seconds, timestamps in milliseconds
//! since the Unix epoch, and a member that is not known is left out.

use serde::{Deserialize, Serialize};

use super::dictionaries::dictionary;
use crate::rtc::nat::Mapped;

/// How a STUN or TURN server is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerTransport {
    /// Datagrams.
    #[default]
    Udp,
    /// A TCP connection in the clear.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl ServerTransport {
    /// As W3C `relayProtocol` has it.
    pub const fn name(self) -> &'static str {
        match self {
            ServerTransport::Udp => "udp",
            ServerTransport::Tcp => "tcp",
            ServerTransport::Tls => "tls",
        }
    }
}

/// Error answers of one STUN code (RFC 8489 section 14.8, RFC 8656 section 19).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StunErrors {
    /// 300 to 699.
    pub code: u16,
    /// The server's reason phrase, as it last came.
    pub text: String,
    /// How many came.
    pub count: u64,
    /// Whether they are part of the usual course: the first 401 of a TURN server tells its realm,
    /// a 438 its new nonce.
    pub expected: u64,
}

/// Which step towards a server failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FailedStep {
    /// The URL cannot be used at all.
    Url,
    /// Its name was not resolved.
    Dns,
    /// It has no address of the family of any socket that could ask it.
    Family,
    /// No datagram could be sent, or no TCP connection was made.
    Connect,
    /// The proxy on the way refused.
    Proxy,
    /// TLS failed: no common version, or a certificate that does not hold.
    Tls,
    /// It answers, and refuses us: see `errors`.
    Refused,
    /// It does not answer.
    Silent,
}

/// Why a server cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFailure {
    /// Where it failed.
    pub step: FailedStep,
    /// In words; without the URL.
    pub text: String,
}

dictionary! {
    /// `ice-server`: what passed between us and one STUN or TURN server over one transport.
    IceServer {
        /// As configured.
        url: String,
        transport: ServerTransport,
        requests_sent: u64,
        /// Success and error answers.
        responses_received: u64,
        /// Requests sent again because no answer had come; counted in `requests_sent` too.
        retransmissions: u64,
        total_round_trip_time: f64,
        errors: Vec<StunErrors>,
        /// What it told each of our sockets about its address, over UDP.
        mappings: Vec<Mapped>,
    } optional {
        /// IP address and port behind the URL.
        address: String,
        /// Of the last answer.
        round_trip_time: f64,
        /// Of the first answer, from the first request to it.
        first_response_time: f64,
        /// Where we seem to come from: address and port.
        mapped_address: String,
        /// Our address and port at the relay.
        relayed_address: String,
        /// Seconds for which the allocation was granted last (RFC 8656 section 7).
        allocation_lifetime: f64,
        /// When it was granted last.
        last_refresh_timestamp: f64,
        last_request_timestamp: f64,
        last_response_timestamp: f64,
        /// Where it told us to go instead (RFC 8489 section 10).
        alternate_server: String,
        failure: ServerFailure,
        /// It works, and its relay was let go: another transport that costs less has one.
        not_needed: bool,
    }
}

/// How it stands with the signaling server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalingState {
    /// Not connected yet.
    #[default]
    Connecting,
    /// Messages pass.
    Open,
    /// The socket is lost; the session is being resumed.
    Lost,
    /// Over.
    Closed,
}

dictionary! {
    /// `signaling`: the session with our server.
    Signaling {
        url: String,
        state: SignalingState,
        reconnects: u64,
        messages_sent: u64,
        messages_received: u64,
        bytes_sent: u64,
        bytes_received: u64,
        /// Candidates that came before their description, were kept, and used after it.
        late_candidates: u64,
        /// Those of them that had to be dropped.
        dropped_candidates: u64,
    } optional {
        round_trip_time: f64,
        last_lost_timestamp: f64,
        last_error: String,
    }
}

/// What an interface is, as far as the system tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum InterfaceKind {
    Ethernet,
    Wifi,
    Cellular,
    /// A tunnel: traffic takes a way around.
    Vpn,
    Loopback,
    /// A bridge or a virtual machine's.
    Virtual,
    #[default]
    Unknown,
}

dictionary! {
    /// `network-interface`.
    NetworkInterface {
        name: String,
        kind: InterfaceKind,
        /// IP addresses, without prefix lengths.
        addresses: Vec<String>,
        up: bool,
        /// How often it came up and went down since the call began.
        changes: u64,
    } optional {
        /// Whether the default route leads over it.
        default_route: bool,
        mtu: u32,
    }
}

/// A step from `call` to the first picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// The user calls, or the callee's first sign of the caller.
    Call,
    /// The first local candidate is known.
    FirstCandidate,
    /// All local candidates are known.
    GatheringComplete,
    /// Our offer or answer left.
    DescriptionSent,
    /// Theirs came.
    DescriptionReceived,
    /// The first connectivity check left.
    FirstCheckSent,
    /// The first one of theirs came.
    FirstCheckReceived,
    /// The first of our checks was answered.
    FirstCheckAnswered,
    /// A pair was nominated: ICE is connected.
    Nominated,
    /// The first DTLS datagram passed, either way.
    DtlsStarted,
    /// DTLS is done.
    DtlsConnected,
    /// The first RTP packet left.
    FirstPacketSent,
    /// The first RTP packet came.
    FirstPacketReceived,
    /// The first picture was shown.
    FirstPicture,
    /// The first sound was played.
    FirstSound,
}

/// When a step was first reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mark {
    /// Which.
    pub step: Step,
    /// When, in milliseconds since the Unix epoch.
    pub at: f64,
    /// Seconds since [`Step::Call`]; negative for what was prepared before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_call: Option<f64>,
}

dictionary! {
    /// `timeline`: how a connection came up, in the order of time.
    Timeline {
        marks: Vec<Mark>,
    } optional {}
}
