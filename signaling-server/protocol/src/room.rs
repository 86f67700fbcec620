//! What is told of a room, of those inside and of the servers that it may use.

use serde::{Deserialize, Serialize};

use crate::PeerId;

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
