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
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::{service::service_fn, upgrade::Upgraded};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::Clock,
    door::{HANDSHAKE_WITHIN, Place, Places, Wants, accept, handshake, network},
    http::{self, Asked, HostHeader},
    hub::{Effect, Hub, Input},
    ice::{Door, Reached},
    session::SocketId,
    socket::{OUTBOX, Outgoing, Socket},
    turn::{self, stream},
};

/// What sockets have for the hub. When it is full, sockets are read more slowly.
const MAIL: usize = 1024;

/// How often the hub looks at the time.
const TICK: Duration = Duration::from_millis(250);

/// How long a client may take to read why it is refused.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

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
        /// How it reached us.
        reached: Reached,
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

/// What comes in through the listener, besides the hub.
pub struct Services {
    /// For `https` and `wss`, and for TURN over TLS.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Takes the connections that begin with STUN.
    pub turn: Option<Arc<turn::Service>>,
    /// Most connections from one address.
    pub sockets_per_address: usize,
}

/// Serves until `shutdown`, then says goodbye to everybody.
pub async fn serve(
    listener: TcpListener,
    services: Services,
    hub: Hub,
    clock: Clock,
    shutdown: CancellationToken,
) {
    let (mail, inbox) = mpsc::channel(MAIL);
    let tracker = TaskTracker::new();
    tracker.spawn(run_hub(hub, inbox, clock, shutdown.clone()));
    let Services { tls, turn, sockets_per_address } = services;
    let house = Arc::new(House {
        tls: tls.map(TlsAcceptor::from),
        turn,
        mail,
        clock,
        numbers: AtomicU64::new(1),
        shutdown: shutdown.clone(),
    });
    let places = Places::new(sockets_per_address);
    let accepting = accept(&listener, &places, |stream, from, place| {
        tracker.spawn(connection(house.clone(), stream, from, place));
    });
    tokio::select! {
        () = accepting => {}
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
struct House {
    tls: Option<TlsAcceptor>,
    turn: Option<Arc<turn::Service>>,
    mail: mpsc::Sender<Mail>,
    clock: Clock,
    numbers: AtomicU64,
    shutdown: CancellationToken,
}

/// From the first byte to the last of a connection. A WebSocket ends by what the hub says.
async fn connection(house: Arc<House>, stream: TcpStream, from: SocketAddr, place: Place) {
    stream.set_nodelay(true).ok();
    let Ok(reached) = stream.local_addr() else { return };
    let upgraded = tokio::select! {
        upgraded = open(&house, stream, from) => upgraded,
        () = house.shutdown.cancelled() => None,
    };
    let Some(Opened { stream, tls, host }) = upgraded else { return };
    let number = house.numbers.fetch_add(1, Ordering::Relaxed);
    let (outbox, from_hub) = mpsc::channel(OUTBOX);
    let too_slow = CancellationToken::new();
    let line = Line { outbox, too_slow: too_slow.clone() };
    let connected = Mail::Connected {
        socket: number,
        from: network(from.ip()),
        reached: how_reached(reached, tls, host),
        line,
    };
    if house.mail.send(connected).await.is_err() {
        return;
    }
    let stream = TokioIo::new(stream);
    Socket::new(number, stream, house.mail.clone(), from_hub, too_slow, house.clock).await.run().await;
    drop(place);
}

/// A WebSocket's connection.
struct Opened {
    stream: Upgraded,
    tls: bool,
    host: Option<HostHeader>,
}

/// What a participant can be told about where this server is.
fn how_reached(at: SocketAddr, tls: bool, header: Option<HostHeader>) -> Reached {
    let host = |header: &HostHeader| header.host.trim_matches(['[', ']']).parse().ok();
    let ip = header.as_ref().and_then(host).unwrap_or(at.ip()).to_canonical();
    let usual = if tls { 443 } else { 80 };
    let door = header.map(|HostHeader { host, port }| Door { host, port: port.unwrap_or(usual), tls });
    Reached { ip, door }
}

/// Serves a connection up to where it is a WebSocket; `None` if it wanted something else.
async fn open(house: &House, stream: TcpStream, from: SocketAddr) -> Option<Opened> {
    match (Wants::of(&stream).await?, &house.tls) {
        (Wants::Turn, _) => {
            stream::prepare(&stream);
            relay(house, stream, from).await;
            None
        }
        (Wants::Http, None) => answer(stream, false).await,
        (Wants::Http, Some(_)) => {
            refuse_plain(stream).await;
            None
        }
        (Wants::Tls, None) => None,
        (Wants::Tls, Some(tls)) => {
            let mut stream = handshake(tls, stream).await?;
            match Wants::inside(&mut stream).await? {
                Wants::Turn => {
                    stream::prepare(stream.get_ref().0);
                    relay(house, stream, from).await;
                    None
                }
                Wants::Http => answer(stream, true).await,
                Wants::Tls => None,
            }
        }
    }
}

/// A TURN client that came in here.
async fn relay<S: AsyncRead + AsyncWrite>(house: &House, stream: S, from: SocketAddr) {
    if let Some(turn) = &house.turn {
        stream::serve(turn, stream, from).await;
    }
}

/// Tells a browser in its own words that this port has TLS.
async fn refuse_plain(mut stream: TcpStream) {
    let answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n\
        This server speaks TLS: the address begins with https:// or wss://.\n";
    let farewell = async {
        stream.write_all(answer).await?;
        stream.shutdown().await?;
        // A request that nobody has read would reset the connection before the answer is read.
        let mut rest = [0; 1024];
        while stream.read(&mut rest).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    timeout(FAREWELL_WITHIN, farewell).await.ok();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers the one request of a connection.
async fn answer<S>(stream: S, tls: bool) -> Option<Opened>
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
    Some(Opened { stream: upgrade.await.ok()?, tls, host })
}
