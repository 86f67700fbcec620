//! The UDP listener: moves packets between clients, [`Core`] and the relay sockets.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{net::UdpSocket, time::interval};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    SelfTestError, TurnError,
    client::Client,
    core::{Core, Outcome, Wanted},
    nonce::Nonces,
    policy::PeerPolicy,
    relay::{Families, MAX_PACKET, Relay, Relays, address_towards, bind_udp, deliver, send_now},
};
use crate::{
    clock::Clock,
    config::{TurnConfig, WhenInUse},
    ice::{self, TurnSecret},
    secret::{Secret, random_id},
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

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    secret: TurnSecret,
    core: Core,
    relays: Arc<Relays>,
    clock: Clock,
    policy: PeerPolicy,
}

impl Listener {
    /// Binds the listener.
    pub fn bind(config: &TurnConfig, secret: &Secret, clock: Clock) -> Result<Self, TurnError> {
        if config.relay_ports.is_empty() || *config.relay_ports.start() == 0 {
            return Err(TurnError::RelayPorts);
        }
        let socket = match bind_udp(config.listen, Families::Both) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse
                    && config.when_in_use == WhenInUse::TakeAnother =>
            {
                tracing::info!(
                    "UDP port {} is in use; taking another one for STUN and TURN",
                    config.listen.port()
                );
                bind_udp(SocketAddr::new(config.listen.ip(), 0), Families::Both)
            }
            bound => bound,
        };
        let failed = |error| TurnError::Listen { address: config.listen, error };
        let socket = Arc::new(socket.map_err(failed)?);
        let address = socket.local_addr().map_err(failed)?;
        let policy = PeerPolicy::for_server_at(own_address(config));
        let now = clock.now();
        let relays = Arc::new(Relays::new(
            config.listen.ip(),
            config.public_ip,
            config.relay_ports.clone(),
            policy,
            (now.as_millis() % 0xffff) as u16,
        ));
        let shared = config.secret.clone().unwrap_or_else(|| TurnSecret::new(secret.key("turn").to_text()));
        let core = Core::new(shared.clone(), Nonces::new(secret.key("nonce")), relays.clone(), now);
        Ok(Self { socket, address, secret: shared, core, relays, clock, policy })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it shares with those who hand out credentials.
    pub fn secret(&self) -> &TurnSecret {
        &self.secret
    }

    /// Which peers it allows.
    pub fn policy(&self) -> PeerPolicy {
        self.policy
    }

    /// A test of a relay at this address: two allocations, and a packet from one to the other.
    /// To be run while the listener runs; returns how long the packet took.
    pub fn self_test(&self) -> impl Future<Output = Result<Duration, SelfTestError>> + Send + 'static {
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let server = SocketAddr::new(ip, self.address.port());
        let user = format!("{}:self-test", (self.clock.now() + ice::LIFETIME).as_secs());
        let password = self.secret.password(&user);
        let clock = self.clock;
        async move {
            let mut one = Client::allocate(server, &user, &password).await?;
            let mut other = Client::allocate(server, &user, &password).await?;
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

    /// Serves until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let tracker = TaskTracker::new();
        let mut tick = interval(TICK);
        let mut packet = vec![0; MAX_PACKET];
        loop {
            tokio::select! {
                readable = self.socket.readable() => {
                    if let Err(error) = readable {
                        tracing::error!(%error, "STUN and TURN stop: the socket failed");
                        break;
                    }
                    if self.batch(&mut packet, &tracker) == Left::Perhaps {
                        tokio::task::yield_now().await;
                    }
                }
                _ = tick.tick() => {
                    for relay in self.core.expire(self.clock.now()) {
                        self.release(&relay, "ran out");
                    }
                }
                () = shutdown.cancelled() => break,
            }
        }
        self.relays.release_all();
        tracker.close();
        tracker.wait().await;
    }

    /// Handles what has come in, up to [`BATCH`] packets.
    fn batch(&mut self, packet: &mut [u8], tracker: &TaskTracker) -> Left {
        for _ in 0..BATCH {
            match self.socket.try_recv_from(packet) {
                Ok((length, client)) => self.packet(&packet[..length], client, tracker),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Left::Nothing,
                // What ICMP says about an earlier packet; nothing of ours is wrong.
                Err(error) => tracing::trace!(%error, "receive"),
            }
        }
        Left::Perhaps
    }

    fn packet(&mut self, packet: &[u8], client: SocketAddr, tracker: &TaskTracker) {
        let now = self.clock.now();
        match self.core.handle(packet, client, now) {
            Outcome::Nothing => {}
            Outcome::Reply(reply) => send_now(&self.socket, &reply, client),
            Outcome::Relay { relay, to, data } => {
                if let Some(data) = packet.get(data)
                    && !self.relays.send(&relay, to, data, now)
                {
                    tracing::trace!(%to, "packet to a denied peer");
                }
            }
            Outcome::Allocate(wanted) => self.allocate(wanted, now, tracker),
            Outcome::Release(reply, relay) => {
                send_now(&self.socket, &reply, client);
                self.release(&relay, "released");
            }
        }
    }

    fn allocate(&mut self, wanted: Wanted, now: Duration, tracker: &TaskTracker) {
        let client = wanted.client;
        let made = self.relays.allocate(&wanted, self.socket.clone());
        match &made {
            Ok(relay) => {
                tracing::debug!(user = wanted.user, port = relay.address.port(), "relay address given");
                tracker.spawn(receive(relay.clone(), self.clock));
            }
            Err(why) => tracing::info!(user = wanted.user, ?why, "no relay address given"),
        }
        let (reply, replaced) = self.core.allocated(wanted, made, now);
        if let Some(relay) = replaced {
            self.release(&relay, "replaced");
        }
        send_now(&self.socket, &reply, client);
    }

    fn release(&self, relay: &Relay, why: &str) {
        tracing::debug!(port = relay.address.port(), why, "relay address free");
        self.relays.release(relay);
    }
}

/// The address by which the outside world knows this server.
fn own_address(config: &TurnConfig) -> IpAddr {
    let listen = config.listen.ip();
    let usual = || address_towards(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), false);
    match config.public_ip {
        Some(ip) => ip,
        None if listen.is_unspecified() => usual().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        None => listen,
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
                deliver(&relay, from, &packet[..length], clock.now())
            }
            Ok(_) => tracing::trace!("a packet too large to relay"),
            // What ICMP says about an earlier packet.
            Err(error) => tracing::trace!(%error, "receive"),
        }
    }
}
