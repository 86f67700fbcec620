//! From the application to the server.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Admission, DeclineReason, MediaState, Message, PeerId, RoomId};

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
