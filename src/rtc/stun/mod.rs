//! What passes between us and servers, and on every pair of addresses, as seen at the sockets.
//!
//! ```text
//!  UDP sockets ──every datagram──▶ ┐            ┌─▶ pairs: checks, answers, round trip, bytes
//!                                  ├─ Accounts ─┼─▶ servers: requests, errors, addresses, lifetime
//!  streams to relays ──messages──▶ ┘  (pure)    └─▶ marks: when each step was first reached
//! ```
//!
//! Any engine can stand above: nothing here knows one. Messages are counted, never checked for
//! integrity, so an answer counts only when its transaction was asked for at the same place; what a
//! stranger sends costs at most a bounded amount of memory. Packets of media cost a look at their
//! first two bytes and a comparison of addresses.

pub mod accounts;
pub mod message;
mod pair;
mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::Direction;
use super::stats::{ServerFailure, ServerTransport};
use crate::clock;

pub use accounts::Accounts;
pub use pair::Pair;
pub use server::Server;

/// The accounts of one connection, written wherever its datagrams pass and read by whoever wants
/// statistics. The lock is held for the length of a few additions.
#[derive(Clone, Debug, Default)]
pub struct SharedAccounts(Arc<Mutex<Accounts>>);

impl SharedAccounts {
    /// A server that may be asked, as configured; it is reported even if nothing is ever sent to it.
    pub fn server(&self, url: &str, transport: ServerTransport) {
        self.lock().server(url, transport);
    }

    /// A datagram passes a UDP socket, to or from anybody but a server.
    pub fn on_datagram(&self, direction: Direction, local: SocketAddr, remote: SocketAddr, datagram: &[u8]) {
        self.lock().on_datagram(clock::now(), direction, local, remote, datagram);
    }

    /// A message passes to or from a server, one at a time whatever the transport. `address` is the
    /// server's, `local` the socket's (for a stream: the UDP socket that it stands in for).
    pub fn on_server(
        &self,
        direction: Direction,
        url: &str,
        transport: ServerTransport,
        local: SocketAddr,
        address: SocketAddr,
        message: &[u8],
    ) {
        let mut accounts = self.lock();
        let server = accounts.server(url, transport);
        accounts.on_server(clock::now(), direction, server, local, address, message);
    }

    /// A server cannot be used; the next answer of it says otherwise.
    pub fn on_failure(&self, url: &str, transport: ServerTransport, failure: ServerFailure) {
        let mut accounts = self.lock();
        let server = accounts.server(url, transport);
        accounts.on_failure(server, failure);
    }

    /// A server works, and its relay is not needed.
    pub fn on_spare(&self, url: &str, transport: ServerTransport) {
        let mut accounts = self.lock();
        let server = accounts.server(url, transport);
        accounts.on_spare(server);
    }

    /// How they stand.
    pub fn read(&self) -> Accounts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
