//! From the server to the application.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Admission, DeclineReason, ErrorCode, IceServer, LeaveReason, MediaState, Message, PeerId, PeerInfo,
    RoomId,
};

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
