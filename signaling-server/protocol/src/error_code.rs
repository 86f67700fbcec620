//! Why something is refused, by stable names.

use serde::{Deserialize, Serialize};

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
