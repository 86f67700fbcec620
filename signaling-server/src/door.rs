//! The door of a TCP port: who may come in, and what the first byte says that they want.
//!
//! TLS, HTTP and STUN share a port. A TLS record of a handshake begins with 22 (RFC 8446, section
//! 5.1), a request of HTTP with a letter, a request of STUN with 0 or 1: two zero bits and its
//! method (RFC 8489, section 5). Inside of TLS it is the same again.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

/// Most connections of a port at once; further ones wait in the system's queue.
const CONNECTIONS: usize = 16_384;

/// Pause after the system could not give a connection (usually: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time for the first byte, again for the TLS handshake, and again for the header of a request.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// What a connection wants, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// A TLS handshake.
    Tls,
    /// STUN or TURN.
    Turn,
    /// HTTP, or nothing that we know.
    Http,
}

impl Wants {
    fn by(first: u8) -> Self {
        match first {
            0x16 => Self::Tls,
            0 | 1 => Self::Turn,
            _ => Self::Http,
        }
    }

    /// Looks at the first byte of a connection; `None` if none comes in time.
    pub async fn of(stream: &TcpStream) -> Option<Self> {
        let mut first = [0];
        match timeout(HANDSHAKE_WITHIN, stream.peek(&mut first)).await {
            Ok(Ok(1..)) => Some(Self::by(first[0])),
            Ok(Ok(0) | Err(_)) | Err(_) => None,
        }
    }

    /// The same inside of TLS.
    pub async fn inside(stream: &mut (impl AsyncBufRead + Unpin)) -> Option<Self> {
        let bytes = timeout(HANDSHAKE_WITHIN, stream.fill_buf()).await.ok()?.ok()?;
        bytes.first().copied().map(Self::by)
    }
}

/// The TLS handshake, as far as it comes in time.
pub async fn handshake(
    tls: &tokio_rustls::TlsAcceptor,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, "it took too long");
    let shaken = timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await;
    match shaken.unwrap_or_else(|_| Err(late())) {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
    }
}

/// Counts the connections of a port, together and by address.
#[derive(Debug)]
pub struct Places {
    open: Arc<Semaphore>,
    by_address: Mutex<HashMap<IpAddr, usize>>,
    per_address: usize,
}

impl Places {
    /// Nobody is in.
    pub fn new(per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            open: Arc::new(Semaphore::new(CONNECTIONS)),
            by_address: Mutex::default(),
            per_address,
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's share of what an address may have; given back on drop.
#[derive(Debug)]
pub struct Place {
    address: IpAddr,
    places: Arc<Places>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(places: &Arc<Places>, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Self> {
        let address = network(address);
        let mut counts = places.counts();
        let count = counts.entry(address).or_insert(0);
        if *count >= places.per_address {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Self { address, places: places.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.places.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Lets connections in, for ever.
pub async fn accept(
    listener: &TcpListener,
    places: &Arc<Places>,
    mut enter: impl FnMut(TcpStream, SocketAddr, Place),
) {
    loop {
        let Ok(permit) = places.open.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                // A client at its limit is not worth an answer.
                if let Some(place) = Place::take(places, from.ip(), permit) {
                    enter(stream, from, place);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// What counts as one address: with IPv6, everybody has 2^64 of them.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn the_first_byte_tells_tls_stun_and_http_apart() {
        assert_eq!(Wants::by(b"\x16\x03\x01"[0]), Wants::Tls);
        // Binding, Allocate.
        assert_eq!([Wants::by(b"\0\x01"[0]), Wants::by(b"\0\x03"[0])], [Wants::Turn; 2]);
        for request in ["GET / HTTP/1.1", "POST", "head", "PRI * HTTP/2.0"] {
            assert_eq!(Wants::by(request.as_bytes()[0]), Wants::Http);
        }
    }
}
