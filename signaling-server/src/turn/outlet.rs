//! How packets get from the relay to a client: as datagrams, or through the queue of a connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::UdpSocket, sync::mpsc};

use super::relay::send_now;

/// Packets on their way to the connection of one client, when it is written to more slowly than
/// packets come. When it is full, packets are lost, as on any other narrow way.
const QUEUE: usize = 256;

/// How long a packet may wait for its connection. Media that comes later is of no use, and would
/// only keep newer media waiting.
const STALE: Duration = Duration::from_millis(500);

/// The way to a client.
#[derive(Clone, Debug)]
pub enum Outlet {
    /// Datagrams from the listener's socket.
    Datagrams(Arc<UdpSocket>),
    /// The queue of a connection.
    Stream(mpsc::Sender<Queued>),
}

impl Outlet {
    /// Sends, or loses the packet: a relay that waits only makes it late.
    pub fn send(&self, packet: &[u8], to: SocketAddr, now: Duration) {
        match self {
            Self::Datagrams(socket) => send_now(socket, packet, to),
            Self::Stream(queue) => {
                if queue.try_send(Queued { frame: frame(packet), since: now }).is_err() {
                    tracing::trace!(%to, "packet lost: the connection is too slow");
                }
            }
        }
    }
}

/// A packet as it goes over a stream: ChannelData is padded (RFC 8656, section 12.5); STUN
/// messages have such a length already.
fn frame(packet: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(packet.len().next_multiple_of(4));
    frame.extend_from_slice(packet);
    frame.resize(packet.len().next_multiple_of(4), 0);
    frame
}

/// The queue of a connection.
pub fn queue() -> (Outlet, mpsc::Receiver<Queued>) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Outlet::Stream(sender), receiver)
}

/// A packet that waits for its connection.
#[derive(Debug)]
pub struct Queued {
    frame: Vec<u8>,
    since: Duration,
}

impl Queued {
    /// The packet with its padding, unless it has waited for too long.
    pub fn into_frame(self, now: Duration) -> Option<Vec<u8>> {
        (now.saturating_sub(self.since) < STALE).then_some(self.frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(3600);

    fn nobody() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 9))
    }

    #[test]
    fn a_connection_that_is_not_written_to_holds_a_bounded_number_of_packets() {
        let (outlet, mut queue) = queue();
        for _ in 0..10 * QUEUE {
            outlet.send(&[0x40, 0, 0, 1, 9], nobody(), NOW);
        }
        let kept = std::iter::from_fn(|| queue.try_recv().ok()).count();
        assert_eq!(kept, QUEUE);
    }

    #[test]
    fn a_packet_is_padded_and_not_sent_when_it_is_stale() {
        let (outlet, mut queue) = queue();
        outlet.send(&[0x40, 0, 0, 1, 9], nobody(), NOW);
        outlet.send(&[0x40, 0, 0, 1, 9], nobody(), NOW);
        let mut next = || queue.try_recv().expect("queued");
        assert_eq!(next().into_frame(NOW), Some(vec![0x40, 0, 0, 1, 9, 0, 0, 0]));
        assert_eq!(next().into_frame(NOW + STALE), None);
    }
}
