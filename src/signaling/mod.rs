//! A typed client of the signaling server: one session, whatever happens to the sockets below it.
//!
//! ```text
//!  engine ──send──▶ session task ──numbered envelopes──▶ server
//!  engine ◀─SignalEvent─ session task ◀──acks, replay────  ▲
//!                            └── socket lost: resume with backoff
//! ```
//!
//! This module does not know what the signals inside the messages mean, that there is media, or
//! that there is a window.

pub mod error;

use std::time::Duration;

use signaling_protocol::{PeerId, ServerMessage};

pub use error::SignalingError;

/// What a session tells.
#[derive(Clone, Debug, PartialEq)]
pub enum SignalEvent {
    /// The server has said welcome. Comes once, first.
    Connected {
        /// Who we are to the others.
        peer: PeerId,
        /// How long the session outlives its socket.
        resume_window: Duration,
    },
    /// A message of the server that is not about the session itself.
    Message {
        /// The message.
        message: ServerMessage,
        /// The id of the request that it answers.
        re: Option<u64>,
    },
    /// The socket is lost; the session is being resumed. What is sent meanwhile waits.
    Lost {
        /// One sentence.
        reason: String,
    },
    /// The session goes on. Every message sent or received before is delivered, unless `fresh`.
    Resumed {
        /// The server knows the session, but nothing of what was under way (it was restarted).
        fresh: bool,
    },
    /// The round trip to the server.
    RoundTrip(Duration),
    /// The session could not begin, or is over. Comes once, last.
    Failed(SignalingError),
}
