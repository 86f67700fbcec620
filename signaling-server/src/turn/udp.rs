//! A UDP listener: packets of clients to the [`Service`], and its answers back.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, time::interval};
use tokio_util::sync::CancellationToken;

use super::{
    core::Core,
    outlet::Outlet,
    relay::{MAX_PACKET, send_now},
    service::Service,
};

/// How often allocations that ran out are given up.
const TICK: Duration = Duration::from_secs(1);

/// Packets taken from a socket before other tasks get their turn.
const BATCH: usize = 64;

/// What is left in the socket after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Perhaps,
}

/// A listener on one socket.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<UdpSocket>,
    outlet: Outlet,
    core: Core,
    service: Arc<Service>,
}

impl Listener {
    /// A listener for a bound socket.
    pub fn new(socket: UdpSocket, service: Arc<Service>) -> Self {
        let socket = Arc::new(socket);
        Self { outlet: Outlet::Datagrams(socket.clone()), socket, core: service.core(), service }
    }

    /// Serves until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = interval(TICK);
        let mut packet = vec![0; MAX_PACKET];
        loop {
            tokio::select! {
                readable = self.socket.readable() => {
                    if let Err(error) = readable {
                        tracing::error!(%error, "STUN and TURN stop: the socket failed");
                        break;
                    }
                    if self.batch(&mut packet) == Left::Perhaps {
                        tokio::task::yield_now().await;
                    }
                }
                _ = tick.tick() => self.service.expire(&mut self.core),
                () = shutdown.cancelled() => break,
            }
        }
        self.service.end(&mut self.core);
    }

    /// Handles what has come in, up to [`BATCH`] packets.
    fn batch(&mut self, packet: &mut [u8]) -> Left {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(packet) {
                Ok((length, client)) => self.packet(&packet[..length], client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Left::Nothing,
                // What ICMP says about an earlier packet; nothing of ours is wrong.
                Err(error) => tracing::trace!(%error, "receive"),
            }
        }
        Left::Perhaps
    }

    fn packet(&mut self, packet: &[u8], client: SocketAddr) {
        let now = self.service.clock().now();
        if let Some(reply) = self.service.handle(&mut self.core, packet, client, &self.outlet, now) {
            send_now(&self.socket, &reply, client);
        }
    }
}
