//! STUN and TURN over UDP (RFC 8489, RFC 8656), made for the participants of this server's rooms.
//!
//! ```text
//!   client ◀──▶ listener ── Core ──▶ relay socket ◀──▶ peer
//!                 (one task)          (one task each; packets go back to the client directly)
//! ```
//!
//! [`core`](self::core) decides about requests and has no sockets; `relay` is the bounded set of
//! relay sockets; `listener` moves packets. A stream transport would be another listener with a
//! `Core` of its own beside this one, on the same relays: the messages delimit themselves, and
//! nothing in `core` or `relay` knows how they came.
//!
//! Only time-limited credentials are accepted ([`crate::ice`]). Nonces are stateless and what
//! strangers send is limited by network, so that nobody costs memory before they have credentials.

mod allocation;
pub mod client;
pub mod core;
mod limiter;
mod listener;
mod nonce;
pub mod policy;
mod relay;

use std::{io, net::SocketAddr};

pub use listener::Turn;
pub use relay::address_towards as relay_address_towards;

/// The realm of the credentials. Clients repeat it; it names nothing.
pub const REALM: &str = "sightline";

/// Why STUN and TURN did not start.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The port can't be had.
    #[error("STUN and TURN can't listen on {address} (UDP): {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The range is upside down or has port 0.
    #[error("the ports of the relay have to be a range from 1 to 65535, the smaller one first")]
    RelayPorts,
}

/// How the relay's own test of itself went, in words.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The relay refused, or did not answer.
    #[error("{0}")]
    Client(#[from] client::ClientError),
    /// Something else came back.
    #[error("what came out of the relay is not what went into it")]
    Garbled,
}
