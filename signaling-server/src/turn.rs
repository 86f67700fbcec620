//! STUN and TURN (RFC 8489, RFC 8656) over UDP, TCP and TLS, made for the participants of this
//! server's rooms.
//!
//! ```text
//!   client ◀──▶ udp (one task)         ──┐
//!                                        ├─ Service, Core ──▶ relay socket ◀──▶ peer
//!   client ◀──▶ stream (one task each) ──┘                      (one task each; packets go back
//!                ▲                                               to the client's Outlet directly)
//!   tcp ─────────┘  the HTTP port too (crate::door)
//! ```
//!
//! [`core`] decides about requests and has no sockets; `service` does what it decides; `relay` is the
//! bounded set of relay sockets; `udp` and `stream` move packets.
//!
//! Only time-limited credentials are accepted ([`crate::ice`]). Nonces are stateless and what
//! strangers send is limited by network, so that nobody costs memory before they have credentials.

mod allocation;
mod answer;
pub mod client;
pub mod core;
mod frames;
mod limiter;
mod nonce;
mod outlet;
pub mod policy;
mod ports;
mod relay;
mod service;
pub mod stream;
mod tcp;
mod udp;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, UdpSocket},
    sync::oneshot,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    config::TurnConfig,
    ice::{self, TurnSecret},
    secret::{Secret, random_id},
};
use client::{Client, Via};
use nonce::Nonces;
use policy::PeerPolicy;
use ports::Ports;
use relay::Relays;
pub use relay::address_towards as relay_address_towards;
pub use service::Service;

/// The realm of the credentials. Clients repeat it; it names nothing.
pub const REALM: &str = "sightline";

/// How long the relay's test of itself may take.
const SELF_TEST_WITHIN: Duration = Duration::from_secs(5);

/// Why STUN and TURN did not start.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The port can't be had.
    #[error("STUN and TURN can't listen on {address} ({transport}): {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// UDP or TCP.
        transport: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The range is upside down or has port 0.
    #[error("the ports of the relay have to be a range from 1 to 65535, the smaller one first")]
    RelayPorts,
    /// The system gives no thread, or no poller.
    #[error("STUN and TURN could not start: {0}")]
    Thread(io::Error),
}

/// Why the relay's test of itself failed.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The relay refused, or did not answer.
    #[error("{0}")]
    Client(#[from] client::ClientError),
    /// Something else came back.
    #[error("what came out of the relay is not what went into it")]
    Garbled,
}

/// A running relay.
#[derive(Debug)]
pub struct Turn {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it shares with those who hand out credentials.
    pub secret: TurnSecret,
    /// Where it can be reached.
    pub reach: Reach,
    /// The relay itself, for connections that came in elsewhere.
    pub service: Arc<Service>,
    stopped: oneshot::Receiver<()>,
    tcp: JoinSet<()>,
}

/// The ports that participants can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// STUN over UDP.
    pub stun: Vec<u16>,
    /// TURN over UDP.
    pub udp: Vec<u16>,
    /// TURN over TCP.
    pub tcp: Vec<u16>,
    /// TURN over TLS.
    pub tls: Vec<u16>,
}

impl Turn {
    /// Waits until it has stopped.
    pub async fn stopped(mut self) {
        // An error says the same: nobody is left to send.
        self.stopped.await.ok();
        while self.tcp.join_next().await.is_some() {}
    }
}

/// Starts STUN and TURN until `shutdown`: datagrams on a thread of their own, connections in the
/// caller's runtime.
///
/// Datagrams not in the caller's runtime: with one thread a packet is received and sent on by whoever
/// was woken for it, where several threads would first wake each other.
pub async fn start(
    config: &TurnConfig,
    secret: &Secret,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<Turn, TurnError> {
    if config.relay_ports.is_empty() || *config.relay_ports.start() == 0 {
        return Err(TurnError::RelayPorts);
    }
    let ports = Ports::bind(config)?;
    let (address, reach) = reach(&ports, config.tls.is_some()).map_err(TurnError::Thread)?;
    let policy = PeerPolicy::for_server_at(own_address(config));
    let relays = Relays::new(
        config.listen.ip(),
        config.public_ip,
        config.relay_ports.clone(),
        policy,
        (clock.now().as_millis() % 0xffff) as u16,
    );
    let shared = config.secret.clone().unwrap_or_else(|| TurnSecret::new(secret.key("turn").to_text()));
    let service = Arc::new(Service::new(shared.clone(), Nonces::new(secret.key("nonce")), relays, clock));
    let datagrams: Vec<_> = ports.udp.into_iter().chain(ports.stun).collect();
    let stopped = serve_datagrams(datagrams, service.clone(), shutdown.clone()).await?;
    let mut tcp = JoinSet::new();
    let tls = config.tls.clone().map(TlsAcceptor::from);
    for listener in ports.tcp {
        let listener = TcpListener::from_std(listener).map_err(TurnError::Thread)?;
        tcp.spawn(tcp::run(listener, tls.clone(), service.clone(), shutdown.clone()));
    }
    let turn = Turn { address, secret: shared, reach, service, stopped, tcp };
    tokio::spawn(report(&turn, policy, shutdown));
    Ok(turn)
}

/// Where the first port is, and what participants can be told.
fn reach(ports: &Ports, has_tls: bool) -> io::Result<(SocketAddr, Reach)> {
    let address = |socket: &std::net::UdpSocket| socket.local_addr();
    let first = ports.udp.first().map(address).unwrap_or(Err(io::ErrorKind::AddrNotAvailable.into()))?;
    let mut reach = Reach::default();
    for socket in &ports.udp {
        reach.udp.push(socket.local_addr()?.port());
    }
    for socket in ports.udp.iter().chain(&ports.stun) {
        reach.stun.push(socket.local_addr()?.port());
    }
    for listener in &ports.tcp {
        reach.tcp.push(listener.local_addr()?.port());
    }
    if has_tls {
        reach.tls.clone_from(&reach.tcp);
    }
    Ok((first, reach))
}

/// Runs the listeners for datagrams on a thread.
async fn serve_datagrams(
    sockets: Vec<std::net::UdpSocket>,
    service: Arc<Service>,
    shutdown: CancellationToken,
) -> Result<oneshot::Receiver<()>, TurnError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TurnError::Thread)?;
    let (ready, started) = oneshot::channel();
    let (done, stopped) = oneshot::channel();
    let serve = async move {
        let sockets: io::Result<Vec<_>> = sockets.into_iter().map(UdpSocket::from_std).collect();
        let sockets = match sockets {
            Ok(sockets) => sockets,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let mut listeners = JoinSet::new();
        for socket in sockets {
            listeners.spawn(udp::Listener::new(socket, service.clone()).run(shutdown.clone()));
        }
        ready.send(Ok(())).ok();
        while listeners.join_next().await.is_some() {}
        service.close().await;
        done.send(()).ok();
    };
    let thread = std::thread::Builder::new().name("turn".into());
    thread.spawn(move || runtime.block_on(serve)).map_err(TurnError::Thread)?;
    let gone = |_| TurnError::Thread(io::Error::other("its thread is gone"));
    started.await.map_err(gone)?.map_err(TurnError::Thread)?;
    Ok(stopped)
}

/// The address by which the outside world knows this server.
fn own_address(config: &TurnConfig) -> IpAddr {
    let listen = config.listen.ip();
    let usual = || relay_address_towards(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), false);
    match config.public_ip {
        Some(ip) => ip,
        None if listen.is_unspecified() => usual().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        None => listen,
    }
}

/// Says in the log where the relay is and whether it works.
fn report(
    turn: &Turn,
    policy: PeerPolicy,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    let peers = match policy {
        PeerPolicy::Lan => "to private addresses too, since this server is in a private network",
        PeerPolicy::Public => "to public addresses only",
    };
    let and_tcp = match (turn.reach.tcp.contains(&turn.address.port()), turn.reach.tls.is_empty()) {
        (false, _) => "",
        (true, true) => " and TCP",
        (true, false) => ", TCP and TLS",
    };
    tracing::info!("STUN and TURN are on {} (UDP{and_tcp}); the relay sends {peers}.", turn.address);
    let self_test = self_test(turn);
    async move {
        let tested = tokio::select! {
            tested = tokio::time::timeout(SELF_TEST_WITHIN, self_test) => tested,
            () = shutdown.cancelled() => return,
        };
        match tested {
            Ok(Ok(took)) => tracing::info!(
                "The relay works: a packet went through it in {} \u{b5}s. (Whether it can be reached from \
                 outside, only somebody outside can tell.)",
                took.as_micros()
            ),
            Ok(Err(error)) => {
                tracing::warn!("The relay does not work: {error}. Calls will only connect directly.");
            }
            Err(_) => tracing::warn!("The relay did not finish its test of itself in 5 s."),
        }
    }
}

/// A test of the relay: two allocations, one of them over TCP where that is listened on, and a packet
/// from one to the other. Returns how long the packet took.
fn self_test(turn: &Turn) -> impl Future<Output = Result<Duration, SelfTestError>> + Send + 'static {
    let ip = match turn.address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let udp = Via::Udp(SocketAddr::new(ip, turn.address.port()));
    let other = turn.reach.tcp.first().map_or(udp.clone(), |port| Via::Tcp(SocketAddr::new(ip, *port)));
    let clock = turn.service.clock();
    let user = format!("{}:self-test", (clock.now() + ice::LIFETIME).as_secs());
    let password = turn.secret.password(&user);
    async move {
        let mut one = Client::allocate(udp, &user, &password).await?;
        let mut other = Client::allocate(other, &user, &password).await?;
        one.bind_channel(0x4000, other.relayed()).await?;
        other.permit(one.relayed()).await?;
        let sent = clock.now();
        let text = random_id();
        one.send_channel(0x4000, text.as_bytes()).await?;
        let (from, data) = other.receive().await?;
        let took = clock.now().saturating_sub(sent);
        if from != one.relayed() || data != text.as_bytes() {
            return Err(SelfTestError::Garbled);
        }
        one.release().await?;
        other.release().await?;
        Ok(took)
    }
}
