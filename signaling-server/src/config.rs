//! What a server is told before it starts.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::{
    hub::Limits,
    ice::{self, TurnSecret, TurnUrl},
    secret::Secret,
    tls::{Certificate, TlsError},
};

/// The usual port of STUN and TURN (RFC 8656, section 4.1).
pub const TURN_PORT: u16 = 3478;

/// Ports of the relay when nothing else is said.
pub const RELAY_PORTS: RangeInclusive<u16> = 49160..=49660;

/// Everything that can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// Speaks TLS on the listener; without it, plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// STUN and TURN; `None` for none.
    pub turn: Option<TurnConfig>,
    /// TURN servers of others, which participants are told instead of this one.
    pub external: Option<External>,
    /// Signs tokens. One that is kept lets sessions outlive the process.
    pub secret: Secret,
    /// How much the server takes on.
    pub limits: Limits,
    /// Most sockets from one address.
    pub sockets_per_address: usize,
}

/// STUN and TURN.
#[derive(Clone, Debug)]
pub struct TurnConfig {
    /// Where to listen (UDP and TCP).
    pub listen: SocketAddr,
    /// Where else to listen: on ports that strict networks let through, such as 443 and 80.
    pub also: Vec<SocketAddr>,
    /// The listener of HTTP. It takes TURN too, so its TCP port is not listened on twice.
    pub http: Option<SocketAddr>,
    /// Speaks TLS too, on the TCP ports.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// What to do when that port is in use.
    pub when_in_use: WhenInUse,
    /// The address that the outside world sees, when it is not one of this computer's.
    pub public_ip: Option<IpAddr>,
    /// Ports for relayed traffic, one for each allocation.
    pub relay_ports: RangeInclusive<u16>,
    /// Shared with whoever hands out credentials; `None`: derived from [`Config::secret`].
    pub secret: Option<TurnSecret>,
    /// How long credentials open new allocations.
    pub lifetime: Duration,
}

/// TURN servers that somebody else runs, such as coturn with `use-auth-secret`.
#[derive(Clone, Debug)]
pub struct External {
    /// Where they are.
    pub urls: Vec<TurnUrl>,
    /// What they share with this server.
    pub secret: TurnSecret,
    /// How long credentials open new allocations.
    pub lifetime: Duration,
}

/// What to do when a port is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenInUse {
    /// Give up: somebody asked for this port.
    Fail,
    /// Take any other: participants are told which.
    TakeAnother,
}

impl Config {
    /// A server for this computer and its network, without anything kept: what an application
    /// starts inside itself. `listen` is the address of the HTTP listener.
    pub fn lan(listen: SocketAddr) -> Self {
        Self {
            tls: None,
            turn: Some(TurnConfig::beside(listen)),
            external: None,
            secret: Secret::random(),
            limits: Limits::default(),
            sockets_per_address: 64,
        }
    }
}

impl TurnConfig {
    /// STUN and TURN on the address of the HTTP listener.
    pub fn beside(listen: SocketAddr) -> Self {
        Self {
            listen: SocketAddr::new(listen.ip(), TURN_PORT),
            also: Vec::new(),
            http: None,
            tls: None,
            when_in_use: WhenInUse::TakeAnother,
            public_ip: None,
            relay_ports: RELAY_PORTS,
            secret: None,
            lifetime: ice::LIFETIME,
        }
    }
}

/// Reads a certificate chain and its key, both PEM, once; [`Certificate`] can read them again.
pub fn read_tls(cert: &Path, key: &Path) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    Ok(Certificate::read(cert, key)?.config())
}
