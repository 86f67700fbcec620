//! The messages between Sightline and its signaling server.
//!
//! Text WebSocket frames of UTF-8 JSON, one [`Envelope`] a frame, subprotocol [`SUBPROTOCOL`].
//! This crate knows the wire format and nothing else: no sockets, no time, no SDP.
//! `docs/protocol.md` describes the same messages in prose.

mod client;
mod envelope;
mod error_code;
mod id;
mod room;
mod server;

pub use client::ClientMessage;
pub use envelope::{Envelope, Message, ParseError};
pub use error_code::ErrorCode;
pub use id::{InvalidId, PeerId, RoomId};
pub use room::{Admission, DeclineReason, IceServer, LeaveReason, MediaState, PeerInfo};
pub use server::ServerMessage;

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
