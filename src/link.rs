//! The link that people give each other: where the room is, and the secret that only they know.
//!
//! `https://HOST[:PORT]/r/ROOM#SECRET` (`http` for a server without TLS), with
//! `sightline://HOST[:PORT]/r/ROOM#SECRET` as its alias for the application. The fragment never
//! reaches a server.

use signaling_protocol::RoomId;

/// A parsed link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The signaling server's WebSocket URL, `ws://HOST:PORT/` or `wss://HOST:PORT/`.
    pub server: String,
    /// Which room.
    pub room: RoomId,
    /// Vouches for the certificates of both sides; `None` in a bare room code.
    pub secret: Option<String>,
}
