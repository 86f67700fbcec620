//! Carries what the crate sends to a stand-in ([`super::servers`]) to the server behind it, and
//! back: over the same UDP socket, or over a TCP or TLS stream of its own.
//!
//! ```text
//!  crate ── to 240.0.0.3 ──▶ Routes ─┬─▶ UDP socket ──▶ the server's address
//!  crate ◀─ from 240.0.0.3 ─         └─▶ turn_stream ──▶ TCP, TLS
//! ```
//!
//! All servers are asked side by side. Of several ways to a relay the crate would take whichever,
//! because it ranks all relayed candidates alike; so once a cheaper transport has a relay, the
//! dearer ones are let go (UDP before TCP before TLS). A stream that breaks before it has an
//! allocation is opened again; after that the allocation is gone with it.

mod drive;
mod hub;
mod route;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use ::webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};
use socket2::SockRef;
use tokio::sync::mpsc;

use super::runtime::is_secured;
use super::servers::{Behind, Servers};
use crate::dial::interface;
use crate::rtc::engine::Direction;
use hub::{Arrival, Hub, Verdict};

/// Datagrams from streams on their way to the crate: a second of 10 Mbit/s. When full, the newest
/// are dropped, as the kernel does with UDP.
const ARRIVALS: usize = 1024;

/// One UDP socket with its ways to the servers.
#[derive(Debug)]
pub struct Routes {
    arrivals: Mutex<mpsc::Receiver<Arrival>>,
    hub: Arc<Hub>,
}

/// Whether a participant can have such an address. A candidate may name any; what would go to
/// services of this computer, or to everybody around, is lost instead.
fn may_be_a_participant(local: SocketAddr, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let everybody = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let nowhere = ip.is_unspecified() || ip.is_multicast() || everybody || address.port() == 0;
    !nowhere && (!ip.is_loopback() || local.ip().is_loopback())
}

impl Routes {
    /// A socket that knows `servers`; `handle` is the same socket.
    pub fn new(
        socket: Arc<dyn AsyncUdpSocket>,
        handle: std::net::UdpSocket,
        servers: Arc<Servers>,
    ) -> io::Result<Self> {
        let (sender, arrivals) = mpsc::channel(ARRIVALS);
        let local = socket.local_addr()?;
        let (stays, routes) = (AtomicBool::new(false), Mutex::default());
        let hub = Hub { socket, handle, stays, local, servers, routes, arrivals: sender };
        Ok(Self { arrivals: Mutex::new(arrivals), hub: Arc::new(hub) })
    }

    /// Puts the stand-in in place of a server's address; says whether the crate may have it.
    fn translate(&self, datagram: &mut [u8], meta: &mut RecvMeta) -> bool {
        let from = meta.addr;
        // Several datagrams of one size in one: media, which is nobody's answer.
        let one = &datagram[..meta.stride.max(1).min(datagram.len())];
        // Only the path in use carries it. Before, it is not known whether the other side is on this
        // computer, and from an interface there is no way back.
        if is_secured(one) && !self.hub.stays.swap(true, Ordering::Relaxed) {
            interface::stay(&SockRef::from(&self.hub.handle), from.ip());
        }
        let Some((stand_in, server)) = self.hub.server_at(from, one) else {
            self.hub.account_peer(Direction::Received, from, datagram, meta.stride);
            return true;
        };
        for datagram in datagram.chunks(meta.stride.max(1)) {
            self.hub.account(Direction::Received, &server, from, datagram);
        }
        let heard = self.hub.hear(stand_in, one);
        if heard == Verdict::Drop {
            return false;
        }
        self.hub.answers(stand_in, from);
        meta.addr = stand_in;
        if let Verdict::PassAs(answer) = heard {
            let len = answer.len().min(datagram.len());
            datagram[..len].copy_from_slice(&answer[..len]);
            (meta.len, meta.stride) = (len, len.max(1));
        }
        true
    }
}

impl AsyncUdpSocket for Routes {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.hub.local)
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let stand_in = transmit.destination;
        let len = transmit.contents.len();
        let server = match self.hub.servers.behind(stand_in) {
            Behind::Itself if !may_be_a_participant(self.hub.local, stand_in) => return Poll::Ready(Ok(len)),
            Behind::Itself => {
                let sent = ready!(self.hub.socket.poll_send(cx, transmit));
                if sent.is_ok() {
                    let size = transmit.segment_size.unwrap_or(len);
                    self.hub.account_peer(Direction::Sent, stand_in, transmit.contents, size);
                }
                return Poll::Ready(sent);
            }
            Behind::Nobody => return Poll::Ready(Ok(len)),
            Behind::Server(server) => server,
        };
        for datagram in transmit.contents.chunks(transmit.segment_size.unwrap_or(len).max(1)) {
            let forwarded = self.hub.forward(server.clone(), stand_in, datagram);
            let Some((destination, datagram)) = forwarded else { continue };
            let one = Transmit {
                destination,
                ecn: transmit.ecn,
                contents: &datagram,
                segment_size: None,
                src_ip: transmit.src_ip,
            };
            match ready!(self.hub.socket.poll_send(cx, &one)) {
                Ok(_) => self.hub.account(Direction::Sent, &server, destination, &datagram),
                Err(error) => self.hub.unsent(stand_in, &error),
            }
        }
        Poll::Ready(Ok(len))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buf), Some(about)) = (bufs.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Poll::Ready(Some((stand_in, datagram))) = arrivals.poll_recv(cx) {
                let len = datagram.len().min(buf.len());
                buf[..len].copy_from_slice(&datagram[..len]);
                *about = RecvMeta::default();
                (about.addr, about.len, about.stride) = (stand_in, len, len.max(1));
                return Poll::Ready(Ok(1));
            }
            let mut one = [IoSliceMut::new(buf)];
            match ready!(self.hub.socket.poll_recv(cx, &mut one, std::slice::from_mut(about))) {
                Ok(0) => return Poll::Ready(Ok(0)),
                Ok(_) => {
                    let len = about.len.min(buf.len());
                    if self.translate(&mut buf[..len], about) {
                        return Poll::Ready(Ok(1));
                    }
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.hub.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.hub.socket.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_candidate_leads_nowhere() {
        let local = |text: &str| SocketAddr::new(text.parse().unwrap(), 5_000);
        let reached = |from: &str, to: &str| may_be_a_participant(local(from), to.parse().unwrap());
        for nowhere in [
            "127.0.0.1:53",
            "0.0.0.0:80",
            "224.0.0.251:5353",
            "255.255.255.255:9",
            "[::1]:53",
            "[ff02::1]:9",
            "[::ffff:127.0.0.1]:53",
            "192.0.2.1:0",
        ] {
            assert!(!reached("192.168.1.5", nowhere), "{nowhere}");
        }
        for there in ["192.168.1.6:5000", "[2001:db8::1]:5000", "100.64.0.1:5000"] {
            assert!(reached("192.168.1.5", there), "{there}");
        }
        assert!(reached("127.0.0.1", "127.0.0.1:5000"), "two programs on one computer");
    }
}
