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

use std::collections::HashMap;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};
use bytes::Bytes;
use futures_util::FutureExt;
use socket2::SockRef;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::runtime::is_secured;
use super::servers::{Behind, Server, Servers, Service, Standing};
use super::talk::{Heard, Talk};
use crate::dial::{DialError, Stream, interface};
use crate::rtc::engine::Direction;
use crate::rtc::stats::{FailedStep, ServerFailure, ServerTransport};
use crate::rtc::stun::message::{Class, Message, Method, TransactionId, refusal};
use crate::rtc::turn_stream::{Ended, Outgoing, carry, keep_short};
use crate::server_url::{Host, Security};

/// Datagrams from streams on their way to the crate: a second of 10 Mbit/s. When full, the newest
/// are dropped, as the kernel does with UDP.
const ARRIVALS: usize = 1024;

/// How long a connection may take, and how long the TLS handshake after it.
const CONNECT: Duration = Duration::from_secs(6);
/// See [`CONNECT`].
const HANDSHAKE: Duration = Duration::from_secs(3);

/// How long a server that took the connection may say nothing.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Waits before a stream that broke is opened again.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1_200)];

/// How long a relay waits for a cheaper one that is about to come, and how often it looks.
const HOLD: Duration = Duration::from_millis(200);
/// See [`HOLD`].
const LOOK: Duration = Duration::from_millis(10);

/// Sends to one of several addresses before the next is tried; the crate sends again after 200 ms.
const TRIES_PER_ADDRESS: usize = 2;

/// From a stream: the stand-in of its server, and what came.
type Arrival = (SocketAddr, Bytes);

/// One UDP socket with its ways to the servers.
#[derive(Debug)]
pub struct Routes {
    arrivals: Mutex<mpsc::Receiver<Arrival>>,
    hub: Arc<Hub>,
}

/// What the tasks of a socket share with it.
#[derive(Debug)]
struct Hub {
    socket: Arc<dyn AsyncUdpSocket>,
    /// The same socket, for what the crate cannot do with it.
    handle: std::net::UdpSocket,
    /// It carries a call, and keeps to its interface.
    stays: AtomicBool,
    local: SocketAddr,
    servers: Arc<Servers>,
    routes: Mutex<Map>,
    arrivals: mpsc::Sender<Arrival>,
}

/// By stand-in.
type Map = HashMap<SocketAddr, Route>;

#[derive(Debug)]
struct Route {
    server: Arc<Server>,
    talk: Talk,
    way: Way,
    /// Resolves, opens and carries; ends with the route.
    task: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug)]
enum Way {
    /// Its name is being resolved.
    Resolving,
    /// Datagrams.
    Udp(Datagrams),
    /// A stream, open or opening.
    Stream(Arc<Outgoing>),
    /// There is none.
    Closed,
}

/// Where datagrams go.
#[derive(Debug)]
struct Datagrams {
    addresses: Vec<SocketAddr>,
    /// Requests sent without an answer.
    sent: usize,
}

impl Datagrams {
    fn address(&self) -> Option<SocketAddr> {
        self.addresses.get((self.sent / TRIES_PER_ADDRESS) % self.addresses.len().max(1)).copied()
    }
}

impl Route {
    fn has_relay(&self) -> bool {
        self.talk.relayed().is_some() && !matches!(self.way, Way::Closed)
    }

    fn knows_address(&self, address: SocketAddr) -> bool {
        matches!(&self.way, Way::Udp(datagrams) if datagrams.addresses.contains(&address))
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, server: &Arc<Server>, standing: Standing) {
        self.servers.note(server, self.local, standing);
    }

    /// Counts what passes to or from a server.
    fn account(&self, direction: Direction, server: &Server, address: SocketAddr, message: &[u8]) {
        let transport = server.place.transport;
        self.servers.accounts.on_server(direction, &server.url, transport, self.local, address, message);
    }

    /// Counts what passes to or from anybody else; several datagrams of one size may be in one.
    fn account_peer(&self, direction: Direction, remote: SocketAddr, datagrams: &[u8], size: usize) {
        for datagram in datagrams.chunks(size.max(1)) {
            self.servers.accounts.on_datagram(direction, self.local, remote, datagram);
        }
    }

    /// Hands the crate a datagram in the name of a stand-in.
    fn arrived(&self, stand_in: SocketAddr, datagram: Bytes) {
        if self.arrivals.try_send((stand_in, datagram)).is_err() {
            tracing::debug!("a datagram from a relay is dropped: the connection does not read");
        }
    }

    /// Ends what the crate waits for.
    fn refuse(&self, stand_in: SocketAddr, (method, id): (Method, TransactionId)) {
        if let Some(answer) = refusal(method, id) {
            self.arrived(stand_in, answer.into());
        }
    }

    /// Ends a route; the crate is told when it asks again.
    fn close(&self, stand_in: SocketAddr, failure: ServerFailure) {
        let mut routes = self.lock();
        let Some(route) = routes.get_mut(&stand_in) else { return };
        route.way = Way::Closed;
        self.note(&route.server, Standing::Failed(failure));
        if let Some(open) = route.talk.give_up() {
            self.refuse(stand_in, open);
        }
    }

    fn begin(self: &Arc<Self>, server: Arc<Server>, stand_in: SocketAddr) -> Route {
        self.note(&server, Standing::Asking(None));
        let mut route = Route { server: server.clone(), talk: Talk::default(), way: Way::Closed, task: None };
        match (server.place.transport, &server.place.host) {
            (ServerTransport::Udp, Host::V4(_) | Host::V6(_)) => {
                if let Some(Ok(addresses)) = server.addresses().now_or_never() {
                    self.set_addresses(&mut route, addresses);
                }
            }
            (ServerTransport::Udp, Host::Name(_)) => {
                route.way = Way::Resolving;
                let hub = Arc::downgrade(self);
                route.task = Some(spawn(async move {
                    let found = server.addresses().await;
                    if let Some(hub) = hub.upgrade() {
                        hub.resolved(stand_in, found).await;
                    }
                }));
            }
            (ServerTransport::Tcp | ServerTransport::Tls, _) => self.open(&mut route, stand_in, None),
        }
        route
    }

    /// Opens a stream; to another address than the URL's if one is given.
    fn open(self: &Arc<Self>, route: &mut Route, stand_in: SocketAddr, other: Option<SocketAddr>) {
        let outgoing = Arc::new(Outgoing::default());
        route.way = Way::Stream(outgoing.clone());
        let drive =
            Drive { hub: Arc::downgrade(self), server: route.server.clone(), stand_in, outgoing, other };
        route.task = Some(spawn(drive.run()));
    }

    fn set_addresses(&self, route: &mut Route, mut addresses: Vec<SocketAddr>) {
        let v4 = self.local.is_ipv4();
        addresses.retain(|address| address.is_ipv4() == v4);
        if addresses.is_empty() {
            route.way = Way::Closed;
            let failure = failure(&DialError::Family(if v4 { "IPv4" } else { "IPv6" }));
            self.note(&route.server, Standing::Failed(failure));
        } else {
            route.way = Way::Udp(Datagrams { addresses, sent: 0 });
        }
    }

    async fn resolved(&self, stand_in: SocketAddr, found: Result<Vec<SocketAddr>, String>) {
        let addresses = match found {
            Ok(addresses) => addresses,
            Err(reason) => return self.close(stand_in, failure(&DialError::Name(reason))),
        };
        if let Some(route) = self.lock().get_mut(&stand_in) {
            self.set_addresses(route, addresses);
        }
        self.ask_again(stand_in).await;
    }

    /// Sends the open question, to wherever the route leads now.
    async fn ask_again(&self, stand_in: SocketAddr) {
        let (server, question, to) = {
            let mut routes = self.lock();
            let Some(route) = routes.get_mut(&stand_in) else { return };
            let Some(question) = route.talk.open().map(<[u8]>::to_vec) else { return };
            match &route.way {
                Way::Udp(datagrams) => (route.server.clone(), question, datagrams.address()),
                Way::Stream(outgoing) => return outgoing.put(&question, self.servers.sound()),
                Way::Resolving => return,
                Way::Closed => {
                    if let Some(open) = route.talk.give_up() {
                        self.refuse(stand_in, open);
                    }
                    return;
                }
            }
        };
        let Some(to) = to else { return };
        self.account(Direction::Sent, &server, to, &question);
        if let Err(error) = self.socket.send_to(&question, to).await {
            self.close(stand_in, failure(&DialError::Unreachable(error.to_string())));
        }
    }

    /// Takes what the crate sends to a stand-in; gives the address it is to be sent to by UDP.
    fn forward(
        self: &Arc<Self>,
        server: Arc<Server>,
        stand_in: SocketAddr,
        datagram: &[u8],
    ) -> Option<SocketAddr> {
        let mut routes = self.lock();
        let route = routes.entry(stand_in).or_insert_with(|| self.begin(server, stand_in));
        let again = route.talk.sent(datagram);
        match &mut route.way {
            Way::Udp(datagrams) => {
                let to = datagrams.address();
                if !route.talk.is_answered() {
                    datagrams.sent += 1;
                }
                to
            }
            // The stream itself sends again what is lost (RFC 8489 section 6.2.2).
            Way::Stream(_) if again => None,
            Way::Stream(outgoing) => {
                outgoing.put(datagram, self.servers.sound());
                None
            }
            // The open question leaves when the name is known.
            Way::Resolving => None,
            Way::Closed => {
                if let Some(open) = route.talk.give_up() {
                    self.refuse(stand_in, open);
                }
                None
            }
        }
    }

    /// From a stream. A relay waits a moment when a cheaper one has begun to answer.
    fn streamed(self: &Arc<Self>, stand_in: SocketAddr, message: Bytes) {
        let is_relay = told_address(&message).is_some();
        if is_relay && self.any_cheaper(stand_in, |other| other.talk.is_undecided()) {
            let hub = Arc::downgrade(self);
            tokio::spawn(async move {
                for _ in 0..(HOLD.as_millis() / LOOK.as_millis()) {
                    sleep(LOOK).await;
                    let Some(hub) = hub.upgrade() else { return };
                    if !hub.any_cheaper(stand_in, |other| other.talk.is_undecided()) {
                        break;
                    }
                }
                if let Some(hub) = hub.upgrade()
                    && hub.hear(stand_in, &message)
                {
                    hub.arrived(stand_in, message);
                }
            });
        } else if self.hear(stand_in, &message) {
            self.arrived(stand_in, message);
        }
    }

    /// Whether `what` is true of a relay that is reached by a cheaper transport.
    fn any_cheaper(&self, stand_in: SocketAddr, what: impl Fn(&Route) -> bool) -> bool {
        any_cheaper(&self.lock(), stand_in, what)
    }

    /// Reads a datagram of a server; says whether the crate may have it.
    fn hear(self: &Arc<Self>, stand_in: SocketAddr, datagram: &[u8]) -> bool {
        let routes = &mut *self.lock();
        let spare = any_cheaper(routes, stand_in, Route::has_relay);
        let Some(route) = routes.get_mut(&stand_in) else { return false };
        let (heard, standing) = route.talk.hear(datagram, spare);
        let failed = matches!(standing, Some(Standing::Failed(_)));
        if let Some(standing) = standing {
            self.note(&route.server, standing);
        }
        let is_stream = matches!(route.way, Way::Stream(_));
        match heard {
            Heard::Pass => {
                if let Some(ours) = told_address(datagram) {
                    self.servers.note_origin(ours, &route.server);
                }
                if failed && is_stream {
                    route.end();
                }
                true
            }
            Heard::Ignore => false,
            Heard::Refuse(method, id) => {
                self.refuse(stand_in, (method, id));
                if is_stream {
                    route.end();
                }
                false
            }
            Heard::Redirect(other) => {
                if is_stream {
                    self.open(route, stand_in, Some(other));
                } else {
                    self.set_addresses(route, vec![other]);
                }
                let hub = self.clone();
                tokio::spawn(async move { hub.ask_again(stand_in).await });
                false
            }
        }
    }

    /// The server that a datagram by UDP is from. Two URLs may lead to one address: an
    /// answer belongs to whoever asked, the rest to the relay.
    fn server_at(&self, from: SocketAddr, datagram: &[u8]) -> Option<(SocketAddr, Arc<Server>)> {
        let routes = self.lock();
        let ours = routes.iter().filter(|(_, route)| route.knows_address(from));
        let rank = |route: &Route| (route.talk.knows(datagram), route.server.place.service == Service::Turn);
        ours.max_by_key(|(_, route)| rank(route)).map(|(stand_in, route)| (*stand_in, route.server.clone()))
    }

    /// An address that answers is the one to stay with.
    fn answers(&self, stand_in: SocketAddr, from: SocketAddr) {
        if let Some(Route { way: Way::Udp(datagrams), .. }) = self.lock().get_mut(&stand_in)
            && datagrams.sent > 0
        {
            datagrams.addresses.retain(|address| *address == from);
            datagrams.sent = 0;
        }
    }

    /// A datagram could not be sent.
    fn unsent(&self, stand_in: SocketAddr, error: &io::Error) {
        let answered = self.lock().get(&stand_in).is_some_and(|route| route.talk.is_answered());
        // Later ones are lost, as on the way.
        if !answered {
            self.close(stand_in, failure(&DialError::Unreachable(error.to_string())));
        }
    }

    fn talk<T>(&self, stand_in: SocketAddr, look: impl Fn(&Talk) -> T) -> Option<T> {
        self.lock().get(&stand_in).map(|route| look(&route.talk))
    }
}

/// See [`Hub::any_cheaper`].
fn any_cheaper(routes: &Map, stand_in: SocketAddr, what: impl Fn(&Route) -> bool) -> bool {
    let Some(place) = routes.get(&stand_in).map(|route| &route.server.place) else { return false };
    let cheaper = |other: &&Route| {
        other.server.place.service == Service::Turn && other.server.place.transport < place.transport
    };
    place.service == Service::Turn && routes.values().filter(cheaper).any(what)
}

impl Route {
    /// The stream is not needed any more.
    fn end(&mut self) {
        self.way = Way::Closed;
        self.task = None;
    }
}

/// The address of ours that a server tells.
fn told_address(datagram: &[u8]) -> Option<SocketAddr> {
    let message = Message::parse(datagram)?;
    match (message.class, message.method) {
        (Class::Success, Method::Allocate) => message.relayed(),
        (Class::Success, Method::Binding) => message.mapped(),
        _ => None,
    }
}

/// Whether a participant can have such an address. A candidate may name any; what would go to
/// services of this computer, or to everybody around, is lost instead.
fn may_be_a_participant(local: SocketAddr, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let everybody = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let nowhere = ip.is_unspecified() || ip.is_multicast() || everybody || address.port() == 0;
    !nowhere && (!ip.is_loopback() || local.ip().is_loopback())
}

fn spawn(future: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(future))
}

/// Opens a stream to a server and carries datagrams until it ends for good.
struct Drive {
    hub: Weak<Hub>,
    server: Arc<Server>,
    stand_in: SocketAddr,
    outgoing: Arc<Outgoing>,
    other: Option<SocketAddr>,
}

impl Drive {
    async fn run(self) {
        let mut waits = AGAIN.iter();
        loop {
            let (failure, hopeless) = match self.open().await {
                Ok((stream, peer)) => (self.carry(stream, peer).await, false),
                Err(error) => (failure(&error), matches!(error, DialError::Family(_) | DialError::Tls(_))),
            };
            let Some(hub) = self.hub.upgrade() else { return };
            if let Some(relayed) = hub.talk(self.stand_in, Talk::relayed).flatten() {
                hub.servers.lost(&self.server, relayed, &failure.text);
                return hub.close(self.stand_in, failure);
            }
            let again = waits.next().filter(|_| !hopeless);
            let Some(wait) = again else { return hub.close(self.stand_in, failure) };
            tracing::debug!(url = self.server.url, failure.text, "a stream is opened again");
            hub.note(&self.server, Standing::Asking(Some(failure)));
            drop(hub);
            sleep(*wait).await;
            let Some(hub) = self.hub.upgrade() else { return };
            hub.ask_again(self.stand_in).await;
        }
    }

    /// A stream, and who is at its other end.
    async fn open(&self) -> Result<(Box<dyn Stream>, SocketAddr), DialError> {
        let Some((dialer, from)) = self.hub.upgrade().map(|hub| (hub.servers.dialer.clone(), hub.local.ip()))
        else {
            return Err(DialError::Silent);
        };
        let place = &self.server.place;
        let (host, port) = match self.other {
            Some(other) => (Host::from(other.ip()), other.port()),
            None => (place.host.clone(), place.port),
        };
        let connecting = timeout(CONNECT, dialer.connect(&host, port, Some(from)));
        let tcp = connecting.await.unwrap_or(Err(DialError::Silent))?;
        keep_short(&tcp);
        let peer = tcp.peer_addr().unwrap_or(self.stand_in);
        let security = match place.transport {
            ServerTransport::Udp | ServerTransport::Tcp => Security::Plain,
            ServerTransport::Tls => Security::Tls,
        };
        let securing = timeout(HANDSHAKE, dialer.secure(security, &place.host, tcp));
        let silent = |_| Err(DialError::Tls("it takes the connection and says nothing".to_owned()));
        Ok((securing.await.unwrap_or_else(silent)?, peer))
    }

    /// Carries until the stream ends; says why it did.
    async fn carry(&self, stream: Box<dyn Stream>, peer: SocketAddr) -> ServerFailure {
        let pass = |direction, message: Bytes| {
            let Some(hub) = self.hub.upgrade() else { return };
            hub.account(direction, &self.server, peer, &message);
            if direction == Direction::Received {
                hub.streamed(self.stand_in, message);
            }
        };
        let carrying = carry(stream, &self.outgoing, pass);
        tokio::pin!(carrying);
        let silence = tokio::select! {
            ended = &mut carrying => return broken(&ended),
            () = sleep(FIRST_ANSWER) => self.hub.upgrade().and_then(|hub| {
                hub.talk(self.stand_in, |talk| (!talk.is_answered()).then(|| talk.silence())).flatten()
            }),
        };
        match silence {
            Some(ServerFailure { step, text }) => {
                ServerFailure { step, text: format!("it takes the connection, but {text}") }
            }
            None => broken(&carrying.await),
        }
    }
}

fn broken(ended: &Ended) -> ServerFailure {
    ServerFailure { step: FailedStep::Refused, text: ended.to_string() }
}

fn failure(error: &DialError) -> ServerFailure {
    let step = match error {
        DialError::Name(_) => FailedStep::Dns,
        DialError::Family(_) => FailedStep::Family,
        DialError::Refused | DialError::Unreachable(_) | DialError::Silent => FailedStep::Connect,
        DialError::Proxy(_) => FailedStep::Proxy,
        DialError::Tls(_) => FailedStep::Tls,
    };
    ServerFailure { step, text: error.to_string() }
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
    fn translate(&self, datagram: &[u8], meta: &mut RecvMeta) -> bool {
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
        let pass = self.hub.hear(stand_in, one);
        if pass {
            self.hub.answers(stand_in, from);
            meta.addr = stand_in;
        }
        pass
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
            let Some(destination) = self.hub.forward(server.clone(), stand_in, datagram) else { continue };
            let one = Transmit {
                destination,
                ecn: transmit.ecn,
                contents: datagram,
                segment_size: None,
                src_ip: transmit.src_ip,
            };
            match ready!(self.hub.socket.poll_send(cx, &one)) {
                Ok(_) => self.hub.account(Direction::Sent, &server, destination, datagram),
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
                    if self.translate(&buf[..len], about) {
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
