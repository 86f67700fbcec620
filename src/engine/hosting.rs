//! The signaling server inside this process, so that two computers on a LAN need nothing else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::link::Link;
use crate::server_url::{Host, Security, ServerUrl};

/// Tried first, so that a firewall rule can be made for it.
const USUAL_PORT: u16 = 7880;

/// A running server; dropping it ends the server.
#[derive(Debug)]
pub struct Hosting {
    /// How this computer reaches it.
    pub near: SocketAddr,
    /// How others in this network reach it; `None` when this computer is in no network.
    pub lan: Option<SocketAddr>,
    _stop: DropGuard,
}

impl Hosting {
    /// Starts a server on the usual port, or on any if that is taken.
    pub async fn start() -> io::Result<Self> {
        let listener = match TcpListener::bind((Ipv4Addr::UNSPECIFIED, USUAL_PORT)).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?,
        };
        let port = listener.local_addr()?.port();
        let lan = lan_address();
        let address = SocketAddr::new(lan.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), port);
        let stop = CancellationToken::new();
        let config = sightline_server::Config::lan(address);
        let server = sightline_server::run(listener, config, stop.clone());
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the server in this process stopped");
            }
        });
        Ok(Self {
            near: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
            lan: lan.map(|ip| SocketAddr::new(ip, port)),
            _stop: stop.drop_guard(),
        })
    }
}

impl Hosting {
    /// A link to a new room of this server, with the address that fits whom it is for.
    pub fn link(&self, address: SocketAddr) -> Result<Link, getrandom::Error> {
        Link::generate(self.url(address))
    }

    /// The server's URL at one of its addresses.
    pub fn url(&self, address: SocketAddr) -> ServerUrl {
        let host = match address.ip() {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        };
        ServerUrl::new(Security::Plain, host, address.port())
    }
}

/// The address of the interface that leads out. Nothing is sent: connecting a UDP socket only asks
/// the routing table (the destination is reserved for documentation, RFC 5737).
fn lan_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}
