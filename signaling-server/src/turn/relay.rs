//! The relay addresses of all clients: a bounded range of ports, a quota for each user, and the
//! packets that go from one relay address to another without leaving the server.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use tokio::net::UdpSocket;
use tokio_util::sync::CancellationToken;

use super::{allocation::Rights, core::Wanted, outlet::Outlet, policy::PeerPolicy};

/// Most allocations of one user: over UDP, TCP and TLS for each network interface, twice while a path
/// is replaced, and some of before that have not run out yet.
pub const PER_USER: usize = 32;

/// The largest packet that is relayed; larger ones are dropped. Media stays below 1500 bytes.
pub const MAX_PACKET: usize = 4096;

/// Why there is no relay address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRelay {
    /// The user has as many as one may have.
    Quota,
    /// All ports are taken.
    Ports,
    /// The relay has no address of that family.
    Family,
}

/// One relay address.
#[derive(Debug)]
pub struct Relay {
    /// As the client and its peers are told.
    pub address: SocketAddr,
    /// Whose it is.
    pub client: SocketAddr,
    /// The user, for the quota.
    user: String,
    rights: Mutex<Rights>,
    /// Receives from peers.
    pub socket: UdpSocket,
    /// Sends to the client.
    outlet: Outlet,
    /// Ends the task that receives.
    pub released: CancellationToken,
}

impl Relay {
    /// What the client may do.
    pub fn rights(&self) -> MutexGuard<'_, Rights> {
        lock(&self.rights)
    }
}

/// All relay addresses.
#[derive(Debug)]
pub struct Relays {
    bind: IpAddr,
    public_ip: Option<IpAddr>,
    ports: RangeInclusive<u16>,
    policy: PeerPolicy,
    by_port: RwLock<HashMap<u16, Arc<Relay>>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_user: HashMap<String, usize>,
    own: Vec<IpAddr>,
    next: u16,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relays {
    /// No relay addresses yet. `bind` is the local address of their sockets, `first` where in the
    /// range to begin, so that a restarted server does not hand out the same port at once.
    pub fn new(
        bind: IpAddr,
        public_ip: Option<IpAddr>,
        ports: RangeInclusive<u16>,
        policy: PeerPolicy,
        first: u16,
    ) -> Self {
        let next = ports.start().saturating_add(first % (ports.end() - ports.start()).max(1));
        let own = public_ip.into_iter().collect();
        Self {
            bind,
            public_ip,
            ports,
            policy,
            by_port: RwLock::default(),
            state: Mutex::new(State { by_user: HashMap::new(), own, next }),
        }
    }

    /// Makes a relay address for a client that is reached through `outlet`.
    pub fn allocate(&self, wanted: &Wanted, outlet: Outlet) -> Result<Arc<Relay>, NoRelay> {
        let Wanted { client, ref user, ipv6: wants_ipv6, .. } = *wanted;
        let told = self.public_ip.map_or_else(|| address_towards(client.ip(), wants_ipv6), Some);
        let told = told.filter(|ip| ip.is_ipv6() == wants_ipv6).ok_or(NoRelay::Family)?;
        let mut state = lock(&self.state);
        let count = state.by_user.get(user).copied().unwrap_or(0);
        if count >= PER_USER {
            return Err(NoRelay::Quota);
        }
        let socket = self.bind_next(&mut state, wanted)?;
        let port = socket.local_addr().map_err(|_| NoRelay::Ports)?.port();
        state.by_user.insert(user.clone(), count + 1);
        if !state.own.contains(&told) {
            state.own.push(told);
        }
        drop(state);
        let relay = Arc::new(Relay {
            address: SocketAddr::new(told, port),
            client,
            user: user.clone(),
            rights: Mutex::default(),
            socket,
            outlet,
            released: CancellationToken::new(),
        });
        self.by_port.write().unwrap_or_else(PoisonError::into_inner).insert(port, relay.clone());
        Ok(relay)
    }

    /// The next free port of the range; ports that somebody else uses are passed over.
    fn bind_next(&self, state: &mut State, wanted: &Wanted) -> Result<UdpSocket, NoRelay> {
        let ip = match (self.bind, wanted.ipv6) {
            (ip, _) if !ip.is_unspecified() && ip.is_ipv6() == wanted.ipv6 => ip,
            (_, true) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            (_, false) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let mut family = false;
        for _ in self.ports.clone() {
            let port = state.next;
            state.next = if port >= *self.ports.end() { *self.ports.start() } else { port + 1 };
            if wanted.even_port && port % 2 == 1 {
                continue;
            }
            match bind_udp(SocketAddr::new(ip, port), Families::One).and_then(UdpSocket::from_std) {
                Ok(socket) => return Ok(socket),
                Err(error) => family |= error.kind() == io::ErrorKind::Unsupported,
            }
        }
        Err(if family { NoRelay::Family } else { NoRelay::Ports })
    }

    /// Takes a relay address back.
    pub fn release(&self, relay: &Relay) {
        relay.released.cancel();
        self.by_port.write().unwrap_or_else(PoisonError::into_inner).remove(&relay.address.port());
        let mut state = lock(&self.state);
        if let Some(count) = state.by_user.get_mut(&relay.user) {
            *count -= 1;
            if *count == 0 {
                state.by_user.remove(&relay.user);
            }
        }
    }

    /// Takes all of them back.
    pub fn release_all(&self) {
        let all: Vec<_> =
            self.by_port.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        all.iter().for_each(|relay| self.release(relay));
    }

    /// Whether a client may ask for this peer. The server's own addresses are always possible,
    /// since other relay addresses are there; [`Self::send`] looks at the port.
    pub fn may_permit(&self, peer: IpAddr) -> bool {
        self.policy.allows(peer) || lock(&self.state).own.contains(&peer)
    }

    /// Sends from a relay address to a peer. Returns false if the policy is against it.
    pub fn send(&self, from: &Relay, to: SocketAddr, data: &[u8], now: Duration) -> bool {
        if self.ports.contains(&to.port()) {
            let other = self.by_port.read().unwrap_or_else(PoisonError::into_inner).get(&to.port()).cloned();
            if let Some(other) = other.filter(|other| other.address == to) {
                deliver(&other, from.address, data, now);
                return true;
            }
        }
        let is_own_service = self.policy == PeerPolicy::Public && lock(&self.state).own.contains(&to.ip());
        if is_own_service || !self.policy.allows(to.ip()) {
            return false;
        }
        // UDP: what the socket does not take now is lost, as on the way.
        send_now(&from.socket, data, to);
        true
    }
}

/// Hands data from a peer to the client of a relay address.
pub fn deliver(relay: &Relay, from: SocketAddr, data: &[u8], now: Duration) {
    let channel = {
        let rights = relay.rights();
        if !rights.permits(from.ip(), now) {
            return;
        }
        rights.channel_of(from, now)
    };
    match (channel, u16::try_from(data.len())) {
        (Some(number), Ok(length)) => {
            let mut packet = [0; 4 + MAX_PACKET];
            let Some(body) = packet.get_mut(4..4 + data.len()) else { return };
            body.copy_from_slice(data);
            packet[..2].copy_from_slice(&number.to_be_bytes());
            packet[2..4].copy_from_slice(&length.to_be_bytes());
            relay.outlet.send(&packet[..4 + data.len()], relay.client, now);
        }
        (None, Ok(_)) => {
            let packet = super::answer::data_indication(from, data);
            relay.outlet.send(&packet, relay.client, now);
        }
        (_, Err(_)) => {}
    }
}

/// The address of this computer that packets to `remote` leave from; of the computer's usual
/// network where the family differs. Nothing is sent.
pub fn address_towards(remote: IpAddr, wants_ipv6: bool) -> Option<IpAddr> {
    let remote = match (remote.to_canonical(), wants_ipv6) {
        (remote, _) if remote.is_ipv6() == wants_ipv6 => remote,
        // Addresses of the documentation ranges: any that the default route leads to will do.
        (_, true) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        (_, false) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    };
    let any = if wants_ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect((remote, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Which addresses a socket on `[::]` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 too, in mapped form.
    Both,
    /// Its own only.
    One,
}

/// A UDP socket with buffers for bursts of video.
pub fn bind_udp(address: SocketAddr, families: Families) -> io::Result<std::net::UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(families == Families::One)?;
    }
    socket.set_recv_buffer_size(1 << 20).ok();
    socket.set_send_buffer_size(1 << 20).ok();
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Sends, or loses the packet: a relay that waits only makes it late. Past the runtime's readiness,
/// which a socket that has just been made does not have yet.
pub fn send_now(socket: &UdpSocket, packet: &[u8], to: SocketAddr) {
    if let Err(error) = socket2::SockRef::from(socket).send_to(packet, &to.into()) {
        tracing::trace!(%to, %error, "packet lost");
    }
}
