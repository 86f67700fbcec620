//! The rim: accepts connections, and runs the one task that owns the [`Hub`].
//!
//! ```text
//!  TcpListener ──▶ connection task: TLS, HTTP ──▶ Socket ──Mail──▶ hub task (owns Hub)
//!                                                   ▲                  │
//!                                                   └──── outbox ◀─────┘
//! ```

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{service::service_fn, upgrade::Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    http::{self, Asked},
    hub::{Effect, Hub, Input},
    session::SocketId,
    socket::{OUTBOX, Outgoing, Socket},
};

/// What sockets have for the hub. When it is full, sockets are read more slowly.
const MAIL: usize = 1024;

/// Most connections at once; further ones wait in the system's queue.
const CONNECTIONS: usize = 16_384;

/// Time for the TLS handshake, and again for the header of the request.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How often the hub looks at the time.
const TICK: Duration = Duration::from_millis(250);

/// Pause after the system could not give a connection (usually: too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long clients have to take their leave when the server stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Mail for the hub's task.
#[derive(Debug)]
pub enum Mail {
    /// A new socket.
    Connected {
        /// Its number.
        socket: SocketId,
        /// Who is on the other side.
        from: IpAddr,
        /// At which of our addresses.
        reached: IpAddr,
        /// How to reach its task.
        line: Line,
    },
    /// Anything else.
    Input(Input),
}

/// How the hub's task reaches a socket's task.
#[derive(Debug)]
pub struct Line {
    outbox: mpsc::Sender<Outgoing>,
    too_slow: CancellationToken,
}

/// Serves until `shutdown`, then says goodbye to everybody.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    hub: Hub,
    sockets_per_address: usize,
    clock: Clock,
    shutdown: CancellationToken,
) {
    let (mail, inbox) = mpsc::channel(MAIL);
    let tracker = TaskTracker::new();
    tracker.spawn(run_hub(hub, inbox, clock, shutdown.clone()));
    let door = Arc::new(Door {
        tls: tls.map(TlsAcceptor::from),
        mail,
        clock,
        numbers: AtomicU64::new(1),
        open: Arc::new(Semaphore::new(CONNECTIONS)),
        by_address: Arc::default(),
        sockets_per_address,
        tracker: tracker.clone(),
        shutdown: shutdown.clone(),
    });
    tokio::select! {
        () = accept(&listener, &door) => {}
        () = shutdown.cancelled() => {}
    }
    drop(listener);
    tracker.close();
    if timeout(STOP_WITHIN, tracker.wait()).await.is_err() {
        tracing::debug!(connections = tracker.len(), "connections were still open when the server stopped");
    }
}

/// Hands the hub what comes in, and its effects to the sockets.
async fn run_hub(mut hub: Hub, mut inbox: mpsc::Receiver<Mail>, clock: Clock, shutdown: CancellationToken) {
    let mut lines: HashMap<SocketId, Line> = HashMap::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let input = tokio::select! {
            mail = inbox.recv() => match mail {
                Some(Mail::Connected { socket, from, reached, line }) => {
                    lines.insert(socket, line);
                    Input::Connected { socket, from, reached }
                }
                Some(Mail::Input(input)) => input,
                None => return,
            },
            _ = tick.tick() => Input::Tick,
            () = shutdown.cancelled() => {
                let effects = hub.handle(Input::Drain, clock.now());
                carry_out(effects, &mut lines);
                return;
            }
        };
        if let Input::Gone { socket } = &input {
            lines.remove(socket);
        }
        carry_out(hub.handle(input, clock.now()), &mut lines);
    }
}

fn carry_out(effects: Vec<Effect>, lines: &mut HashMap<SocketId, Line>) {
    for effect in effects {
        match effect {
            Effect::Send { socket, text } => {
                let full = lines
                    .get(&socket)
                    .is_some_and(|line| line.outbox.try_send(Outgoing::Text(text)).is_err());
                if full && let Some(line) = lines.remove(&socket) {
                    line.too_slow.cancel();
                }
            }
            Effect::Close { socket, code, reason } => {
                if let Some(line) = lines.remove(&socket)
                    && line.outbox.try_send(Outgoing::Close(code, reason)).is_err()
                {
                    line.too_slow.cancel();
                }
            }
        }
    }
}

/// What all connections share.
struct Door {
    tls: Option<TlsAcceptor>,
    mail: mpsc::Sender<Mail>,
    clock: Clock,
    numbers: AtomicU64,
    open: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    sockets_per_address: usize,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

async fn accept(listener: &TcpListener, door: &Arc<Door>) {
    loop {
        let Ok(permit) = door.open.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                // A client at its limit is not worth an answer.
                let Some(place) = Place::take(door, from.ip(), permit) else { continue };
                door.tracker.spawn(connection(door.clone(), stream, from, place));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection's share of what an address may have; given back on drop.
struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(door: &Door, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Self> {
        let address = network(address);
        let mut counts = lock(&door.by_address);
        let count = counts.entry(address).or_insert(0);
        if *count >= door.sockets_per_address {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(Self { address, by_address: door.by_address.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = lock(&self.by_address);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// What counts as one address: with IPv6, everybody has 2^64 of them.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

/// From the first byte to the last of a connection. A WebSocket ends by what the hub says.
async fn connection(door: Arc<Door>, stream: TcpStream, from: SocketAddr, place: Place) {
    stream.set_nodelay(true).ok();
    let Ok(reached) = stream.local_addr() else { return };
    let upgraded = tokio::select! {
        upgraded = open(&door, stream) => upgraded,
        () = door.shutdown.cancelled() => None,
    };
    let Some((stream, host)) = upgraded else { return };
    let number = door.numbers.fetch_add(1, Ordering::Relaxed);
    let (outbox, from_hub) = mpsc::channel(OUTBOX);
    let too_slow = CancellationToken::new();
    let line = Line { outbox, too_slow: too_slow.clone() };
    let connected = Mail::Connected {
        socket: number,
        from: network(from.ip()),
        reached: host.unwrap_or(reached.ip()).to_canonical(),
        line,
    };
    if door.mail.send(connected).await.is_err() {
        return;
    }
    let stream = TokioIo::new(stream);
    Socket::new(number, stream, door.mail.clone(), from_hub, too_slow, door.clock).await.run().await;
    drop(place);
}

/// Opens a connection up to where it is a WebSocket; `None` if it asked for something else.
async fn open(door: &Door, stream: TcpStream) -> Option<(Upgraded, Option<IpAddr>)> {
    let Some(tls) = &door.tls else { return answer(stream).await };
    match timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream).await,
        Ok(Err(error)) => {
            tracing::debug!(%error, "TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!("TLS handshake took too long");
            None
        }
    }
}

/// Answers the one request of a connection.
async fn answer<S>(stream: S) -> Option<(Upgraded, Option<IpAddr>)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let upgrade = Mutex::new(None);
    let service = service_fn(|request| {
        let answer = match http::answer(request) {
            Asked::Answer(answer) => answer,
            Asked::WebSocket { answer, upgrade: connection, host } => {
                *lock(&upgrade) = Some((connection, host));
                answer
            }
        };
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_WITHIN).max_buf_size(16 * 1024);
    let served = http.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
    if let Err(error) = served {
        tracing::debug!(%error, "request failed");
        return None;
    }
    let (upgrade, host) = lock(&upgrade).take()?;
    Some((upgrade.await.ok()?, host))
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
}
