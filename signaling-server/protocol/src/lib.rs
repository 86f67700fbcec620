//! The messages between Sightline and its signaling server.
//!
//! Text WebSocket frames of UTF-8 JSON, one [`Envelope`] a frame, subprotocol [`SUBPROTOCOL`].
//! This crate knows the wire format and nothing else: no sockets, no time, no SDP.
//! `docs/protocol.md` describes the same messages in prose.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "sightline.v1";

/// The protocol version spoken by this crate.
pub const VERSION: u32 = 1;

/// Largest message in bytes, either way.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Largest signal (SDP and its wrapping) in bytes.
pub const MAX_SIGNAL: usize = 32 * 1024;

/// Longest name of a person, in bytes.
pub const MAX_NAME: usize = 64;

/// Why a text is not an identifier.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what} must be 1 to 64 characters of A-Z a-z 0-9 . _ ~ -")]
pub struct InvalidId {
    what: &'static str,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and takes over a text.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                let fits = (1..=64).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b));
                if fits { Ok(Self(text)) } else { Err(InvalidId { what: $what }) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

identifier! {
    /// A participant, for as long as its session can be resumed. Made by the server.
    PeerId, "a peer id"
}
identifier! {
    /// A room: the part of a link after `/r/`.
    RoomId, "a room code"
}

/// One message on the wire.
///
/// Control messages (`hello`, `welcome`, `resume`, `resumed`, `ping`, `pong`, `ack`, `bye`, and
/// `resume.token`, `drain` and fatal errors) carry no `s`; all others are numbered from 1 without gaps per direction, kept by
/// the sender until acknowledged, and sent again after a resume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Message type.
    pub t: String,
    /// Request id, echoed as `re` in the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The `id` that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<u64>,
    /// Sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s: Option<u64>,
    /// Highest sequence number received without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a: Option<u64>,
    /// The content.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub d: Value,
}

/// Why a frame is not a message.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`MAX_MESSAGE`].
    #[error("the message has {0} bytes; at most {MAX_MESSAGE} are allowed")]
    TooLarge(usize),
    /// Not an envelope.
    #[error("the message is not valid JSON of the protocol: {0}")]
    Malformed(#[source] serde_json::Error),
    /// A type of message that this version does not know; ignored by readers unless it is a request.
    #[error("unknown message type \"{0}\"")]
    UnknownType(String),
    /// A known type with wrong content.
    #[error("the content of \"{t}\" is wrong: {error}")]
    BadContent {
        /// Message type.
        t: String,
        /// What serde says.
        error: serde_json::Error,
    },
}

impl Envelope {
    /// Reads a text frame.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_MESSAGE {
            return Err(ParseError::TooLarge(text.len()));
        }
        serde_json::from_str(text).map_err(ParseError::Malformed)
    }

    /// The text frame.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Wraps a message that is neither numbered nor a request yet.
    pub fn wrap<M: Message>(message: &M) -> Self {
        let (t, d) = match serde_json::to_value(message) {
            Ok(Value::Object(mut fields)) => {
                let t = fields.remove("t").and_then(|t| t.as_str().map(str::to_owned));
                (t.unwrap_or_default(), fields.remove("d").unwrap_or(Value::Null))
            }
            _ => (String::new(), Value::Null),
        };
        Self { t, id: None, re: None, s: None, a: None, d }
    }

    /// The typed content.
    pub fn message<M: Message>(&self) -> Result<M, ParseError> {
        if !M::TYPES.contains(&self.t.as_str()) {
            return Err(ParseError::UnknownType(self.t.clone()));
        }
        let mut object = serde_json::Map::new();
        object.insert("t".into(), Value::String(self.t.clone()));
        if !self.d.is_null() {
            object.insert("d".into(), self.d.clone());
        }
        serde_json::from_value(Value::Object(object))
            .map_err(|error| ParseError::BadContent { t: self.t.clone(), error })
    }
}

/// A closed set of messages of one direction.
pub trait Message: Serialize + for<'a> Deserialize<'a> {
    /// Every value that `t` may have.
    const TYPES: &'static [&'static str];

    /// Whether the message is numbered and sent again after a resume.
    fn is_sequenced(&self) -> bool;
}

/// A STUN or TURN server (W3C `RTCIceServer`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// Whether newcomers need somebody's consent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// Somebody inside accepts or declines each newcomer.
    #[default]
    Knock,
    /// Whoever has the link comes in.
    Open,
}

/// What a participant sends and whether it is switched on; shown to the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaState {
    /// A microphone is there and not muted.
    pub microphone: bool,
    /// A camera is there and on.
    pub camera: bool,
    /// A screen is shared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub screen: bool,
}

/// A participant as the others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    /// Who.
    pub peer: PeerId,
    /// The name that the person gave.
    pub name: String,
    /// What is switched on.
    #[serde(default)]
    pub media: MediaState,
    /// The socket is lost, the session is not: keep the media.
    #[serde(default)]
    pub away: bool,
}

/// Why somebody is not inside any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// Hung up.
    Left,
    /// The session was not resumed in time.
    TimedOut,
    /// The server is going away for good.
    ServerClosed,
}

/// Why a newcomer does not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineReason {
    /// The person said no.
    Declined,
    /// The person is in another call.
    Busy,
    /// Nobody answered, or everybody inside has left.
    NoAnswer,
    /// The last place was taken while the knock was waiting.
    Full,
}

/// From the application to the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "d")]
pub enum ClientMessage {
    /// First message on a new socket.
    #[serde(rename = "hello")]
    Hello {
        /// Versions spoken, best first.
        v: Vec<u32>,
        /// Program and version, for the server's log.
        client: String,
        /// The person's name.
        name: String,
    },
    /// First message on a socket that takes over a session.
    #[serde(rename = "resume")]
    Resume {
        /// The latest one from `welcome`, `resumed` or `resume.token`.
        token: String,
        /// Highest sequence number received from the server.
        last: u64,
    },
    /// Ends the session at once.
    #[serde(rename = "bye")]
    Bye,
    /// Answers a `ping`.
    #[serde(rename = "pong")]
    Pong,
    /// Measures the round trip to the server.
    #[serde(rename = "ping")]
    Ping,
    /// Only the envelope's `a` matters.
    #[serde(rename = "ack")]
    Ack,
    /// Makes the room and enters it, or comes back to a room of one's own. Answered by `room.joined`.
    #[serde(rename = "room.open")]
    RoomOpen {
        /// Which room.
        room: RoomId,
        /// Whether newcomers need consent.
        #[serde(default)]
        admission: Admission,
        /// Most participants, at least 2; the server may allow fewer.
        #[serde(default = "two")]
        max: u32,
        /// What is switched on.
        #[serde(default)]
        media: MediaState,
    },
    /// Asks to come in. Answered by `room.knocking` at once, and by `room.joined` or
    /// `room.declined` when somebody inside has decided.
    #[serde(rename = "room.knock")]
    RoomKnock {
        /// Which room.
        room: RoomId,
        /// The newcomer's offer and the candidates known so far; opaque to the server.
        signals: Vec<Value>,
        /// What is switched on.
        #[serde(default)]
        media: MediaState,
    },
    /// More candidates for a knock that is not decided yet.
    #[serde(rename = "room.knock_signal")]
    RoomKnockSignal {
        /// Which room.
        room: RoomId,
        /// Opaque to the server.
        signals: Vec<Value>,
    },
    /// Takes a knock back.
    #[serde(rename = "room.unknock")]
    RoomUnknock {
        /// Which room.
        room: RoomId,
    },
    /// Lets a newcomer in; carries the answer.
    #[serde(rename = "room.admit")]
    RoomAdmit {
        /// Which room.
        room: RoomId,
        /// The newcomer.
        peer: PeerId,
        /// The answer and the candidates known so far; opaque to the server.
        signals: Vec<Value>,
    },
    /// Keeps a newcomer out.
    #[serde(rename = "room.decline")]
    RoomDecline {
        /// Which room.
        room: RoomId,
        /// The newcomer.
        peer: PeerId,
        /// Why.
        reason: DeclineReason,
    },
    /// Changes the room (only by its owner).
    #[serde(rename = "room.set")]
    RoomSet {
        /// Which room.
        room: RoomId,
        /// Nobody new may knock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        locked: Option<bool>,
        /// Whether newcomers need consent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        admission: Option<Admission>,
    },
    /// Leaves.
    #[serde(rename = "room.leave")]
    RoomLeave {
        /// Which room.
        room: RoomId,
    },
    /// A signal for another participant of the room.
    #[serde(rename = "sig")]
    Sig {
        /// To whom.
        to: PeerId,
        /// Opaque to the server.
        signal: Value,
    },
    /// What is switched on, for everybody in the room.
    #[serde(rename = "state")]
    State {
        /// What is switched on.
        media: MediaState,
    },
    /// Facts for the diagnosis on the other side; enumerated values only, after acceptance.
    #[serde(rename = "facts")]
    Facts {
        /// To whom.
        to: PeerId,
        /// Opaque to the server.
        facts: Value,
    },
    /// Asks for ICE servers with fresh credentials. Only for those who are in a room or name one
    /// that exists. Answered by `turn.servers`.
    #[serde(rename = "turn.get")]
    TurnGet {
        /// Which room.
        room: RoomId,
    },
}

fn two() -> u32 {
    2
}

impl Message for ClientMessage {
    const TYPES: &'static [&'static str] = &[
        "hello",
        "resume",
        "bye",
        "pong",
        "ping",
        "ack",
        "room.open",
        "room.knock",
        "room.knock_signal",
        "room.unknock",
        "room.admit",
        "room.decline",
        "room.set",
        "room.leave",
        "sig",
        "state",
        "facts",
        "turn.get",
    ];

    fn is_sequenced(&self) -> bool {
        use ClientMessage as M;
        match self {
            M::Hello { .. } | M::Resume { .. } | M::Bye | M::Pong | M::Ping | M::Ack => false,
            M::RoomOpen { .. }
            | M::RoomKnock { .. }
            | M::RoomKnockSignal { .. }
            | M::RoomUnknock { .. }
            | M::RoomAdmit { .. }
            | M::RoomDecline { .. }
            | M::RoomSet { .. }
            | M::RoomLeave { .. }
            | M::Sig { .. }
            | M::State { .. }
            | M::Facts { .. }
            | M::TurnGet { .. } => true,
        }
    }
}

/// From the server to the application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t", content = "d")]
pub enum ServerMessage {
    /// Answers `hello`.
    #[serde(rename = "welcome")]
    Welcome {
        /// The version spoken from here on.
        v: u32,
        /// Who you are to the others.
        peer: PeerId,
        /// Takes the session over on another socket.
        resume: String,
        /// How often the server pings, in ms.
        ping_ms: u64,
        /// How long a session without a socket is kept, in ms.
        resume_ms: u64,
        /// Server name and version.
        server: String,
        /// The server's wall clock, unix ms.
        time: u64,
    },
    /// Answers `resume`; unacknowledged messages follow.
    #[serde(rename = "resumed")]
    Resumed {
        /// Replaces the earlier token.
        resume: String,
        /// Highest sequence number received from the client; 0 if `fresh`.
        last: u64,
        /// The server was restarted and knows the session only from its token: both directions
        /// count from 1 again, and the client numbers what was unacknowledged anew. Peer id, room
        /// and membership are as before; the server's copy of [`MediaState`] and knocks are lost.
        #[serde(default)]
        fresh: bool,
    },
    /// Replaces the earlier token: what it says about the session has changed.
    #[serde(rename = "resume.token")]
    ResumeToken {
        /// The token to resume with from now on.
        resume: String,
    },
    /// Ends the session.
    #[serde(rename = "bye")]
    Bye {
        /// One sentence.
        reason: String,
    },
    /// Asks for a `pong`.
    #[serde(rename = "ping")]
    Ping,
    /// Answers a `ping`.
    #[serde(rename = "pong")]
    Pong,
    /// Only the envelope's `a` matters.
    #[serde(rename = "ack")]
    Ack,
    /// You are inside.
    #[serde(rename = "room.joined")]
    RoomJoined {
        /// Which room.
        room: RoomId,
        /// Those who are inside already, without yourself.
        peers: Vec<PeerInfo>,
        /// The answer to the knock and the candidates sent with it; empty after `room.open`.
        #[serde(default)]
        signals: Vec<Value>,
        /// Who admitted; empty after `room.open`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<PeerId>,
        /// Whether newcomers need consent.
        admission: Admission,
        /// Nobody new may knock.
        locked: bool,
        /// STUN and TURN servers with credentials.
        ice_servers: Vec<IceServer>,
        /// When to ask for new credentials, in seconds.
        refresh_s: u64,
    },
    /// The knock was delivered.
    #[serde(rename = "room.knocking")]
    RoomKnocking {
        /// Which room.
        room: RoomId,
        /// STUN and TURN servers with credentials.
        ice_servers: Vec<IceServer>,
    },
    /// Somebody knocks.
    #[serde(rename = "room.knocked")]
    RoomKnocked {
        /// Which room.
        room: RoomId,
        /// Who.
        from: PeerInfo,
        /// The newcomer's offer and candidates.
        signals: Vec<Value>,
    },
    /// More candidates of somebody who knocks.
    #[serde(rename = "room.knock_signal")]
    RoomKnockSignal {
        /// Which room.
        room: RoomId,
        /// Who.
        from: PeerId,
        /// Candidates.
        signals: Vec<Value>,
    },
    /// The knock was taken back, or somebody else decided it.
    #[serde(rename = "room.unknocked")]
    RoomUnknocked {
        /// Which room.
        room: RoomId,
        /// Who.
        peer: PeerId,
    },
    /// The knock was turned down.
    #[serde(rename = "room.declined")]
    RoomDeclined {
        /// Which room.
        room: RoomId,
        /// Why.
        reason: DeclineReason,
    },
    /// The room changed.
    #[serde(rename = "room.update")]
    RoomUpdate {
        /// Which room.
        room: RoomId,
        /// Nobody new may knock.
        locked: bool,
        /// Whether newcomers need consent.
        admission: Admission,
    },
    /// Somebody came in (admitted by another participant).
    #[serde(rename = "peer.joined")]
    PeerJoined {
        /// Who.
        peer: PeerInfo,
    },
    /// Somebody left.
    #[serde(rename = "peer.left")]
    PeerLeft {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: LeaveReason,
    },
    /// Somebody's socket is lost; keep the media.
    #[serde(rename = "peer.away")]
    PeerAway {
        /// Who.
        peer: PeerId,
    },
    /// Somebody's socket is back.
    #[serde(rename = "peer.back")]
    PeerBack {
        /// Who.
        peer: PeerId,
    },
    /// A signal from another participant.
    #[serde(rename = "sig")]
    Sig {
        /// From whom, stamped by the server.
        from: PeerId,
        /// Opaque to the server.
        signal: Value,
    },
    /// What somebody has switched on.
    #[serde(rename = "state")]
    State {
        /// Who, stamped by the server.
        from: PeerId,
        /// What is switched on.
        media: MediaState,
    },
    /// Facts for the diagnosis.
    #[serde(rename = "facts")]
    Facts {
        /// From whom, stamped by the server.
        from: PeerId,
        /// Opaque to the server.
        facts: Value,
    },
    /// Answers `turn.get`.
    #[serde(rename = "turn.servers")]
    TurnServers {
        /// STUN and TURN servers with credentials.
        ice_servers: Vec<IceServer>,
        /// When to ask again, in seconds.
        refresh_s: u64,
    },
    /// Something was refused.
    #[serde(rename = "error")]
    Error {
        /// Stable, for programs.
        code: ErrorCode,
        /// One sentence for people.
        message: String,
        /// Try again after this many milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
        /// The session ends with it.
        #[serde(default)]
        fatal: bool,
    },
    /// The server goes down for a while; reconnect after a random time in `retry_ms`.
    #[serde(rename = "drain")]
    Drain {
        /// Shortest and longest wait in ms.
        retry_ms: [u64; 2],
    },
}

impl Message for ServerMessage {
    const TYPES: &'static [&'static str] = &[
        "welcome",
        "resumed",
        "resume.token",
        "bye",
        "ping",
        "pong",
        "ack",
        "room.joined",
        "room.knocking",
        "room.knocked",
        "room.knock_signal",
        "room.unknocked",
        "room.declined",
        "room.update",
        "peer.joined",
        "peer.left",
        "peer.away",
        "peer.back",
        "sig",
        "state",
        "facts",
        "turn.servers",
        "error",
        "drain",
    ];

    fn is_sequenced(&self) -> bool {
        use ServerMessage as M;
        match self {
            M::Welcome { .. }
            | M::Resumed { .. }
            | M::ResumeToken { .. }
            | M::Bye { .. }
            | M::Ping
            | M::Pong
            | M::Ack
            | M::Drain { .. } => false,
            M::Error { fatal, .. } => !fatal,
            M::RoomJoined { .. }
            | M::RoomKnocking { .. }
            | M::RoomKnocked { .. }
            | M::RoomKnockSignal { .. }
            | M::RoomUnknocked { .. }
            | M::RoomDeclined { .. }
            | M::RoomUpdate { .. }
            | M::PeerJoined { .. }
            | M::PeerLeft { .. }
            | M::PeerAway { .. }
            | M::PeerBack { .. }
            | M::Sig { .. }
            | M::State { .. }
            | M::Facts { .. }
            | M::TurnServers { .. } => true,
        }
    }
}

/// Stable names of everything that can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The message is not of the protocol, or not allowed in this state.
    BadRequest,
    /// The request is unknown to this server.
    Unsupported,
    /// No common protocol version.
    BadVersion,
    /// There is no such room, or nobody is in it.
    NotFound,
    /// The room has as many participants as it may.
    RoomFull,
    /// The owner lets nobody knock.
    RoomLocked,
    /// The room belongs to somebody else.
    RoomTaken,
    /// You are inside, or knocking, already.
    AlreadyJoined,
    /// You are not inside.
    NotJoined,
    /// That participant is not in the room.
    PeerGone,
    /// Too many messages or attempts.
    RateLimited,
    /// A message, a signal or a queue is over its limit.
    TooLarge,
    /// The session is over; say hello again.
    ResumeExpired,
    /// The server has no room for more.
    ServerFull,
    /// The server is going down.
    Draining,
    /// A fault of the server.
    Internal,
    /// A code this version does not know.
    #[serde(other)]
    Unknown,
}
