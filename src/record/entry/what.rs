//! What can happen, a variant for each thing, and its name in JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Configuration, Device, Diagnosis, Direction, Phase, Session, ShareWord, Side, SignalingState};
use crate::engine::view::{EndReason, Severity};
use crate::media::encoded::VideoCodec;
use crate::rtc::stats::Report;
use crate::rtc::{DescriptionKind, DtlsState, IceState, PeerPhase, SelectedPair};

/// What happened; the name in JSON is that of the variant in snake case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum What {
    /// First line of a session file.
    Session(Session),
    /// Our sources run, the room is open (callee) or the offer is ready (caller).
    Ready,
    /// The signaling server said welcome.
    WsOpen,
    /// The caller was told to call.
    Call,
    /// Our offer left.
    OfferSent {
        /// Length of the SDP.
        bytes: usize,
    },
    /// Which servers and candidates the next connection may use.
    Configuration(Configuration),
    /// W3C `iceConnectionState` changed.
    Ice {
        /// The new state.
        state: IceState,
    },
    /// W3C `RTCDtlsTransportState` changed.
    Dtls {
        /// The new state.
        state: DtlsState,
    },
    /// The summary of a participant's connection changed.
    Connection {
        /// The new phase.
        state: PeerPhase,
    },
    /// Media takes another path.
    SelectedPair(SelectedPair),
    /// The first picture of a participant is in its slot.
    FirstFrame,
    /// The first sound of a participant goes to the speaker.
    FirstAudio,
    /// A new path is looked for.
    IceRestart,
    /// The signaling server went away or came back.
    Signaling {
        /// Which of both.
        state: SignalingState,
        /// Why, when it went away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A message to or from the signaling server.
    SignalingMessage {
        /// Which way.
        direction: Direction,
        /// Its type in the protocol.
        kind: String,
        /// Its length on the wire, without the envelope's numbers.
        bytes: usize,
        /// Its JSON; secrets are masked.
        text: String,
    },
    /// A session description was made or came.
    Description {
        /// Whose.
        side: Side,
        /// Offer or answer.
        kind: DescriptionKind,
        /// SDP (RFC 8866); the ICE password is masked.
        sdp: String,
    },
    /// A candidate was gathered or came, outside a description.
    Candidate {
        /// Whose.
        side: Side,
        /// The `candidate:` attribute.
        candidate: String,
        /// The media identification it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mid: Option<String>,
    },
    /// A side has no more candidates.
    EndOfCandidates {
        /// Whose.
        side: Side,
    },
    /// What somebody sends, and whether it is switched on.
    Media {
        /// Who.
        side: Side,
        /// A microphone is there and not muted.
        microphone: bool,
        /// A camera is there and on.
        camera: bool,
        /// A screen is shared.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        screen: bool,
    },
    /// What somebody else points at now; told by a probe only.
    Pointer {
        /// Who.
        name: String,
        /// On our screen; otherwise on another one that we see.
        ours: bool,
        /// Where, as shares of width and height; none: beside it.
        at: Option<[f64; 2]>,
        /// Strokes that are seen.
        strokes: usize,
        /// All of their points.
        points: usize,
    },
    /// How it stands with a shared screen.
    Share {
        /// Whose.
        side: Side,
        /// In a word.
        state: ShareWord,
        /// What it is encoded with, once that is settled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        codec: Option<VideoCodec>,
    },
    /// This computer's network changed.
    NetworkChange {
        /// What changed, in words.
        text: String,
        /// The network as it is now.
        #[serde(flatten)]
        more: Map<String, Value>,
    },
    /// What the addresses seen by servers say about the router.
    Nat {
        /// In a word.
        verdict: String,
        /// What it is made of.
        #[serde(flatten)]
        more: Map<String, Value>,
    },
    /// How each STUN and TURN server answers; when it changes.
    IceServers {
        /// Per server and transport.
        servers: Vec<Value>,
    },
    /// How the candidate pairs stand; when it changes.
    Pairs {
        /// Per pair.
        pairs: Vec<Value>,
    },
    /// How far the call is.
    Phase {
        /// The new phase.
        phase: Phase,
        /// `HOST[:PORT]` of the signaling server, when a session with one begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
    },
    /// The signaling server told its time.
    ServerClock {
        /// By how many seconds it is ahead of ours.
        ahead: f64,
    },
    /// A device of ours began, ended, or cannot be used.
    Device(Device),
    /// What a side tells about its own network.
    Facts {
        /// Who.
        side: Side,
        /// Facts of the diagnosis.
        facts: Value,
    },
    /// The first sentence of the diagnosis changed.
    Diagnosis(Diagnosis),
    /// Somebody knocks.
    Visitor {
        /// As shown.
        name: String,
    },
    /// A person was told something.
    Notice {
        /// How serious.
        severity: Severity,
        /// One sentence.
        text: String,
    },
    /// Something does not work; the call may go on.
    Error {
        /// One sentence.
        text: String,
    },
    /// Somebody wrote something.
    Chat {
        /// Who.
        side: Side,
        /// Its length in bytes of UTF-8.
        bytes: usize,
        /// What; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// A file is further, or over.
    File {
        /// Whose.
        side: Side,
        /// Tells files of one run apart.
        id: u64,
        /// How far: `preparing`, `offered`, `asking`, `moving`, `checking`, `done`, `declined`, `ended`.
        state: String,
        /// Its size in bytes.
        size: u64,
        /// Bytes that are with the receiver.
        moved: u64,
        /// Its name; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Where it is, once it came to us; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Why it ended, in one sentence; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The call is over.
    Ended(EndReason),
    /// Lines are missing here, because the disk was too slow.
    Lost {
        /// How many.
        lines: u64,
    },
    /// The engine ends.
    Bye,
    /// Once a second: all statistics. Has no name in JSON, but a member `stats`.
    #[serde(skip)]
    Stats(Report),
    /// Read from a file, of a name or with a content that this version does not know.
    #[serde(skip)]
    Other(Map<String, Value>),
}

impl What {
    /// The name in JSON.
    pub fn name(&self) -> &str {
        match self {
            What::Session(_) => "session",
            What::Ready => "ready",
            What::WsOpen => "ws_open",
            What::Call => "call",
            What::OfferSent { .. } => "offer_sent",
            What::Configuration(_) => "configuration",
            What::Ice { .. } => "ice",
            What::Dtls { .. } => "dtls",
            What::Connection { .. } => "connection",
            What::SelectedPair(_) => "selected_pair",
            What::FirstFrame => "first_frame",
            What::FirstAudio => "first_audio",
            What::IceRestart => "ice_restart",
            What::Signaling { .. } => "signaling",
            What::SignalingMessage { .. } => "signaling_message",
            What::Description { .. } => "description",
            What::Candidate { .. } => "candidate",
            What::EndOfCandidates { .. } => "end_of_candidates",
            What::Media { .. } => "media",
            What::Share { .. } => "share",
            What::Pointer { .. } => "pointer",
            What::NetworkChange { .. } => "network_change",
            What::Nat { .. } => "nat",
            What::IceServers { .. } => "ice_servers",
            What::Pairs { .. } => "pairs",
            What::Phase { .. } => "phase",
            What::ServerClock { .. } => "server_clock",
            What::Device(_) => "device",
            What::Facts { .. } => "facts",
            What::Diagnosis(_) => "diagnosis",
            What::Visitor { .. } => "visitor",
            What::Notice { .. } => "notice",
            What::Error { .. } => "error",
            What::Chat { .. } => "chat",
            What::File { .. } => "file",
            What::Ended(_) => "ended",
            What::Lost { .. } => "lost",
            What::Bye => "bye",
            What::Stats(_) => "stats",
            What::Other(members) => members.get("ev").and_then(Value::as_str).unwrap_or("other"),
        }
    }
}
