//! What all listeners share, and what is done about a packet, however it came.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use super::{
    core::{Core, Outcome, Wanted},
    limiter::Limiter,
    nonce::Nonces,
    outlet::Outlet,
    relay::{MAX_PACKET, Relay, Relays, deliver},
};
use crate::{clock::Clock, ice::TurnSecret};

/// Most clients over TCP and TLS at once, on all ports: far more than there are relay addresses,
/// since everybody may connect before showing credentials. Each costs about 15 kB.
const CONNECTIONS: usize = 4096;

/// The relay behind all listeners.
#[derive(Debug)]
pub struct Service {
    secret: TurnSecret,
    nonces: Nonces,
    limiter: Arc<Mutex<Limiter>>,
    relays: Arc<Relays>,
    clock: Clock,
    receivers: TaskTracker,
    connections: Semaphore,
}

impl Service {
    /// A relay without clients.
    pub fn new(secret: TurnSecret, nonces: Nonces, relays: Relays, clock: Clock) -> Self {
        Self {
            secret,
            nonces,
            limiter: Arc::new(Mutex::new(Limiter::new(clock.now()))),
            relays: Arc::new(relays),
            clock,
            receivers: TaskTracker::new(),
            connections: Semaphore::new(CONNECTIONS),
        }
    }

    /// The state of one more listener, or of one connection.
    pub fn core(&self) -> Core {
        Core::new(self.secret.clone(), self.nonces.clone(), self.limiter.clone(), self.relays.clone())
    }

    /// A place for one more connection, while it is kept; `None` if there are too many.
    pub fn connection(&self) -> Option<SemaphorePermit<'_>> {
        self.connections.try_acquire().ok()
    }

    /// What is shared with those who hand out credentials.
    pub fn secret(&self) -> &TurnSecret {
        &self.secret
    }

    /// The clock of all listeners.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Does what a packet asks for; returns the answer to send.
    pub fn handle(
        &self,
        core: &mut Core,
        packet: &[u8],
        client: SocketAddr,
        outlet: &Outlet,
        now: Duration,
    ) -> Option<Vec<u8>> {
        match core.handle(packet, client, now) {
            Outcome::Nothing => None,
            Outcome::Reply(reply) => Some(reply),
            Outcome::Relay { relay, to, data } => {
                if let Some(data) = packet.get(data)
                    && !self.relays.send(&relay, to, data, now)
                {
                    tracing::trace!(%to, "packet to a denied peer");
                }
                None
            }
            Outcome::Allocate(wanted) => Some(self.allocate(core, wanted, outlet, now)),
            Outcome::Release(reply, relay) => {
                self.release(&relay, "released");
                Some(reply)
            }
        }
    }

    fn allocate(&self, core: &mut Core, wanted: Wanted, outlet: &Outlet, now: Duration) -> Vec<u8> {
        let made = self.relays.allocate(&wanted, outlet.clone());
        match &made {
            Ok(relay) => {
                tracing::debug!(user = wanted.user, port = relay.address.port(), "relay address given");
                self.receivers.spawn(receive(relay.clone(), self.clock));
            }
            Err(why) => tracing::info!(user = wanted.user, ?why, "no relay address given"),
        }
        let (reply, replaced) = core.allocated(wanted, made, now);
        if let Some(relay) = replaced {
            self.release(&relay, "replaced");
        }
        reply
    }

    /// Gives up the allocations of a listener that have not been refreshed.
    pub fn expire(&self, core: &mut Core) {
        for relay in core.expire(self.clock.now()) {
            self.release(&relay, "ran out");
        }
    }

    /// Gives up all allocations of a listener that ends.
    pub fn end(&self, core: &mut Core) {
        for relay in core.clear() {
            self.release(&relay, "its client is gone");
        }
    }

    /// Takes a relay address back.
    fn release(&self, relay: &Relay, why: &str) {
        tracing::debug!(port = relay.address.port(), why, "relay address free");
        self.relays.release(relay);
    }

    /// Takes all relay addresses back, and waits until their ports are free.
    pub async fn close(&self) {
        self.relays.release_all();
        self.receivers.close();
        self.receivers.wait().await;
    }
}

/// Hands what peers send to one relay address to its client.
async fn receive(relay: Arc<Relay>, clock: Clock) {
    // One more than is relayed, to see what is cut off.
    let mut packet = vec![0; MAX_PACKET + 1];
    loop {
        let received = tokio::select! {
            received = relay.socket.recv_from(&mut packet) => received,
            () = relay.released.cancelled() => return,
        };
        match received {
            Ok((length, from)) if length <= MAX_PACKET => {
                deliver(&relay, from, &packet[..length], clock.now());
            }
            Ok(_) => tracing::trace!("a packet too large to relay"),
            // What ICMP says about an earlier packet.
            Err(error) => tracing::trace!(%error, "receive"),
        }
    }
}
