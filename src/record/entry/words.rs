//! Sides and states, in a word each.

use serde::{Deserialize, Serialize};

/// Whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Ours.
    Local,
    /// The other participant's.
    Remote,
}

/// How it stands with a shared screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareWord {
    /// It is being opened, and offered to the other side.
    Begun,
    /// The other side takes it.
    Sent,
    /// Its first picture is in its slot.
    Shown,
    /// It is not shared any more.
    Ended,
    /// The other side cannot show it.
    Unable,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From us.
    Sent,
    /// To us.
    Received,
}

/// How it stands with the signaling server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalingState {
    /// The server is out of reach; the call goes on.
    Lost,
    /// The session goes on.
    Resumed,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No call.
    Idle,
    /// Making the room.
    Opening,
    /// Alone in the room.
    Waiting,
    /// Reaching the server of a link.
    Joining,
    /// Somebody inside is asked.
    Knocking,
    /// Somebody else is in the room.
    InCall,
    /// Over.
    Ended,
}
