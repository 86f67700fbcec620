//! The way from one socket to one server, as far as it is known.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use crate::rtc::turn_stream::Outgoing;
use crate::rtc::webrtc::servers::{Server, Service};
use crate::rtc::webrtc::talk::Talk;

/// Sends to one of several addresses before the next is tried; the crate sends again after 200 ms.
const TRIES_PER_ADDRESS: usize = 2;

/// By stand-in.
pub(super) type Map = HashMap<SocketAddr, Route>;

/// See the module.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) server: Arc<Server>,
    pub(super) talk: Talk,
    pub(super) way: Way,
    /// Resolves, opens and carries; ends with the route.
    pub(super) task: Option<AbortOnDropHandle<()>>,
}

/// How the server is reached.
#[derive(Debug)]
pub(super) enum Way {
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
pub(super) struct Datagrams {
    pub(super) addresses: Vec<SocketAddr>,
    /// Requests sent without an answer.
    pub(super) sent: usize,
}

impl Datagrams {
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.addresses.get((self.sent / TRIES_PER_ADDRESS) % self.addresses.len().max(1)).copied()
    }
}

impl Route {
    pub(super) fn has_relay(&self) -> bool {
        self.talk.relayed().is_some() && !matches!(self.way, Way::Closed)
    }

    pub(super) fn knows_address(&self, address: SocketAddr) -> bool {
        matches!(&self.way, Way::Udp(datagrams) if datagrams.addresses.contains(&address))
    }

    /// The stream is not needed any more.
    pub(super) fn end(&mut self) {
        self.way = Way::Closed;
        self.task = None;
    }
}

/// Whether `what` is true of a relay that is reached by a cheaper transport.
pub(super) fn any_cheaper(routes: &Map, stand_in: SocketAddr, what: impl Fn(&Route) -> bool) -> bool {
    let Some(place) = routes.get(&stand_in).map(|route| &route.server.place) else { return false };
    let cheaper = |other: &&Route| {
        other.server.place.service == Service::Turn && other.server.place.transport < place.transport
    };
    place.service == Service::Turn && routes.values().filter(cheaper).any(what)
}
