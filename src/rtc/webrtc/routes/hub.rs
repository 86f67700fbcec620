//! All ways of one socket, shared by the socket and the tasks that resolve, open and carry.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::webrtc::runtime::AsyncUdpSocket;
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::drive::Drive;
use super::route::{Datagrams, Map, Route, Way, any_cheaper};
use crate::dial::DialError;
use crate::rtc::engine::Direction;
use crate::rtc::stats::{FailedStep, ServerFailure, ServerTransport};
use crate::rtc::stun::message::{Class, Message, Method};
use crate::rtc::turn_stream::Outgoing;
use crate::rtc::webrtc::servers::{Server, Servers, Service, Standing};
use crate::rtc::webrtc::talk::{Heard, Leaving, Talk};
use crate::server_url::Host;

/// How long a relay waits for a cheaper one that is about to come, and how often it looks.
const HOLD: Duration = Duration::from_millis(200);
/// See [`HOLD`].
const LOOK: Duration = Duration::from_millis(10);

/// From a stream: the stand-in of its server, and what came.
pub(super) type Arrival = (SocketAddr, Bytes);

/// What becomes of a datagram of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The crate may have it.
    Pass,
    /// The crate may have this in its place, which is as long.
    PassAs(Vec<u8>),
    /// It is nothing for the crate.
    Drop,
}

/// What the tasks of a socket share with it.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) socket: Arc<dyn AsyncUdpSocket>,
    /// The same socket, for what the crate cannot do with it.
    pub(super) handle: std::net::UdpSocket,
    /// It carries a call, and keeps to its interface.
    pub(super) stays: AtomicBool,
    pub(super) local: SocketAddr,
    pub(super) servers: Arc<Servers>,
    pub(super) routes: Mutex<Map>,
    pub(super) arrivals: mpsc::Sender<Arrival>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, server: &Arc<Server>, standing: Standing) {
        self.servers.note(server, self.local, standing);
    }

    /// Counts what passes to or from a server.
    pub(super) fn account(&self, direction: Direction, server: &Server, address: SocketAddr, message: &[u8]) {
        let transport = server.place.transport;
        self.servers.accounts.on_server(direction, &server.url, transport, self.local, address, message);
    }

    /// Counts what passes to or from anybody else; several datagrams of one size may be in one.
    pub(super) fn account_peer(
        &self,
        direction: Direction,
        remote: SocketAddr,
        datagrams: &[u8],
        size: usize,
    ) {
        for datagram in datagrams.chunks(size.max(1)) {
            self.servers.accounts.on_datagram(direction, self.local, remote, datagram);
        }
    }

    /// Hands the crate a datagram in the name of a stand-in.
    pub(super) fn arrived(&self, stand_in: SocketAddr, datagram: Bytes) {
        if self.arrivals.try_send((stand_in, datagram)).is_err() {
            tracing::debug!("a datagram from a relay is dropped: the connection does not read");
        }
    }

    /// Ends a route; the crate is told when it asks again.
    pub(super) fn close(&self, stand_in: SocketAddr, failure: ServerFailure) {
        let mut routes = self.lock();
        let Some(route) = routes.get_mut(&stand_in) else { return };
        route.way = Way::Closed;
        self.note(&route.server, Standing::Failed(failure));
        if let Some(refusal) = route.talk.give_up() {
            self.arrived(stand_in, refusal.into());
        }
    }

    fn begin(self: &Arc<Self>, server: Arc<Server>, stand_in: SocketAddr) -> Route {
        self.note(&server, Standing::Asking(None));
        let talk = Talk::new(server.credentials.clone());
        let mut route = Route { server: server.clone(), talk, way: Way::Closed, task: None };
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
    pub(super) async fn ask_again(&self, stand_in: SocketAddr) {
        let open = self.talk(stand_in, |talk| talk.open().map(<[u8]>::to_vec)).flatten();
        if let Some(question) = open {
            self.ask(stand_in, &question).await;
        }
    }

    /// Sends a request of our own.
    async fn ask(&self, stand_in: SocketAddr, request: &[u8]) {
        let (server, to) = {
            let mut routes = self.lock();
            let Some(route) = routes.get_mut(&stand_in) else { return };
            match &route.way {
                Way::Udp(datagrams) => (route.server.clone(), datagrams.address()),
                Way::Stream(outgoing) => return outgoing.put(request, self.servers.sound()),
                Way::Resolving => return,
                Way::Closed => {
                    if let Some(refusal) = route.talk.give_up() {
                        self.arrived(stand_in, refusal.into());
                    }
                    return;
                }
            }
        };
        let Some(to) = to else { return };
        self.account(Direction::Sent, &server, to, request);
        if let Err(error) = self.socket.send_to(request, to).await {
            self.close(stand_in, failure(&DialError::Unreachable(error.to_string())));
        }
    }

    /// Takes what the crate sends to a stand-in; gives what is to leave by UDP, and where to.
    pub(super) fn forward<'a>(
        self: &Arc<Self>,
        server: Arc<Server>,
        stand_in: SocketAddr,
        datagram: &'a [u8],
    ) -> Option<(SocketAddr, Cow<'a, [u8]>)> {
        let mut routes = self.lock();
        let route = routes.entry(stand_in).or_insert_with(|| self.begin(server, stand_in));
        let (again, leaving) = match route.talk.leave(datagram) {
            Leaving::Plain => (false, Cow::Borrowed(datagram)),
            Leaving::Again => (true, Cow::Borrowed(datagram)),
            Leaving::Signed(request) => (false, Cow::Owned(request)),
            Leaving::SignedAgain(request) => (true, Cow::Owned(request)),
            Leaving::Refused(refusal) => {
                // A stream that is open only now has nothing to ask any more.
                if matches!(route.way, Way::Stream(_)) && !route.talk.is_answered() {
                    route.end();
                }
                self.arrived(stand_in, refusal.into());
                return None;
            }
        };
        match &mut route.way {
            Way::Udp(datagrams) => {
                let to = datagrams.address();
                if !route.talk.is_answered() {
                    datagrams.sent += 1;
                }
                Some((to?, leaving))
            }
            // The stream itself sends again what is lost (RFC 8489 section 6.2.2).
            Way::Stream(_) if again => None,
            Way::Stream(outgoing) => {
                outgoing.put(&leaving, self.servers.sound());
                None
            }
            // The open question leaves when the name is known.
            Way::Resolving => None,
            Way::Closed => {
                if let Some(refusal) = route.talk.give_up() {
                    self.arrived(stand_in, refusal.into());
                }
                None
            }
        }
    }

    /// From a stream. A relay waits a moment when a cheaper one has begun to answer.
    pub(super) fn streamed(self: &Arc<Self>, stand_in: SocketAddr, message: Bytes) {
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
                if let Some(hub) = hub.upgrade() {
                    hub.take(stand_in, message);
                }
            });
        } else {
            self.take(stand_in, message);
        }
    }

    fn take(self: &Arc<Self>, stand_in: SocketAddr, message: Bytes) {
        match self.hear(stand_in, &message) {
            Verdict::Pass => self.arrived(stand_in, message),
            Verdict::PassAs(other) => self.arrived(stand_in, other.into()),
            Verdict::Drop => {}
        }
    }

    /// Whether `what` is true of a relay that is reached by a cheaper transport.
    fn any_cheaper(&self, stand_in: SocketAddr, what: impl Fn(&Route) -> bool) -> bool {
        any_cheaper(&self.lock(), stand_in, what)
    }

    /// Reads a datagram of a server, and does what it asks for.
    pub(super) fn hear(self: &Arc<Self>, stand_in: SocketAddr, datagram: &[u8]) -> Verdict {
        let routes = &mut *self.lock();
        let spare = any_cheaper(routes, stand_in, Route::has_relay);
        let Some(route) = routes.get_mut(&stand_in) else { return Verdict::Drop };
        let (heard, standing) = route.talk.hear(datagram, spare);
        if let Some(standing) = standing {
            self.note(&route.server, standing);
        }
        let is_stream = matches!(route.way, Way::Stream(_));
        match heard {
            Heard::Pass | Heard::PassAs(_) => {
                if let Some(ours) = told_address(datagram) {
                    self.servers.note_origin(ours, &route.server);
                }
            }
            Heard::Ignore => {}
            Heard::Refuse(ref refusal) => {
                self.arrived(stand_in, refusal.clone().into());
                if is_stream {
                    route.end();
                }
            }
            Heard::Ask(ref request) => {
                let (hub, request) = (self.clone(), request.clone());
                tokio::spawn(async move { hub.ask(stand_in, &request).await });
            }
            Heard::Redirect(other) => {
                if is_stream {
                    self.open(route, stand_in, Some(other));
                } else {
                    self.set_addresses(route, vec![other]);
                }
                let hub = self.clone();
                tokio::spawn(async move { hub.ask_again(stand_in).await });
            }
        }
        match heard {
            Heard::Pass => Verdict::Pass,
            Heard::PassAs(answer) => Verdict::PassAs(answer),
            Heard::Ignore | Heard::Refuse(_) | Heard::Ask(_) | Heard::Redirect(_) => Verdict::Drop,
        }
    }

    /// The server that a datagram by UDP is from. Two URLs may lead to one address: an
    /// answer belongs to whoever asked, the rest to the relay.
    pub(super) fn server_at(&self, from: SocketAddr, datagram: &[u8]) -> Option<(SocketAddr, Arc<Server>)> {
        let routes = self.lock();
        let ours = routes.iter().filter(|(_, route)| route.knows_address(from));
        let rank = |route: &Route| (route.talk.knows(datagram), route.server.place.service == Service::Turn);
        ours.max_by_key(|(_, route)| rank(route)).map(|(stand_in, route)| (*stand_in, route.server.clone()))
    }

    /// An address that answers is the one to stay with.
    pub(super) fn answers(&self, stand_in: SocketAddr, from: SocketAddr) {
        if let Some(Route { way: Way::Udp(datagrams), .. }) = self.lock().get_mut(&stand_in)
            && datagrams.sent > 0
        {
            datagrams.addresses.retain(|address| *address == from);
            datagrams.sent = 0;
        }
    }

    /// A datagram could not be sent.
    pub(super) fn unsent(&self, stand_in: SocketAddr, error: &io::Error) {
        let answered = self.lock().get(&stand_in).is_some_and(|route| route.talk.is_answered());
        // Later ones are lost, as on the way.
        if !answered {
            self.close(stand_in, failure(&DialError::Unreachable(error.to_string())));
        }
    }

    pub(super) fn talk<T>(&self, stand_in: SocketAddr, look: impl Fn(&Talk) -> T) -> Option<T> {
        self.lock().get(&stand_in).map(|route| look(&route.talk))
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

fn spawn(future: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(future))
}

/// What went wrong, for accounts and people.
pub(super) fn failure(error: &DialError) -> ServerFailure {
    let step = match error {
        DialError::Name(_) => FailedStep::Dns,
        DialError::Family(_) => FailedStep::Family,
        DialError::Refused | DialError::Unreachable(_) | DialError::Silent => FailedStep::Connect,
        DialError::Proxy(_) => FailedStep::Proxy,
        DialError::Tls(_) => FailedStep::Tls,
    };
    ServerFailure { step, text: error.to_string() }
}
