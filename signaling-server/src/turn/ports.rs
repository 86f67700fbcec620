//! The ports that STUN and TURN listen on.
//!
//! Each address is for UDP and TCP. Whoever asks two UDP ports from one socket learns how its NAT
//! maps (RFC 5780, section 4.3), so there are always two.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use super::{
    TurnError,
    relay::{Families, bind_udp},
};
use crate::config::{TurnConfig, WhenInUse};

/// Attempts to find a port that is free for UDP and TCP, where any will do.
const ATTEMPTS: usize = 16;

/// Connections that the system keeps ready.
const BACKLOG: i32 = 1024;

/// What was bound.
#[derive(Debug)]
pub struct Ports {
    /// At least one: the first is that of the configuration.
    pub udp: Vec<UdpSocket>,
    /// None where the HTTP listener has the port, which takes TURN too.
    pub tcp: Vec<TcpListener>,
    /// One more for STUN, where there is a single one for all.
    pub stun: Option<UdpSocket>,
}

impl Ports {
    /// Binds all that the configuration names.
    pub fn bind(config: &TurnConfig) -> Result<Self, TurnError> {
        let mut ports = Self { udp: Vec::new(), tcp: Vec::new(), stun: None };
        let first = match bind_both(config.listen, config.http) {
            Err(TurnError::Listen { error, .. })
                if error.kind() == io::ErrorKind::AddrInUse
                    && config.when_in_use == WhenInUse::TakeAnother =>
            {
                tracing::info!(
                    "Port {} is in use; taking another one for STUN and TURN",
                    config.listen.port()
                );
                bind_both(SocketAddr::new(config.listen.ip(), 0), config.http)
            }
            bound => bound,
        };
        ports.add(first?);
        for address in &config.also {
            ports.add(bind_both(*address, config.http)?);
        }
        if let [only] = &ports.udp[..]
            && let Ok(address) = only.local_addr()
        {
            ports.stun = bind_beside(address);
        }
        Ok(ports)
    }

    fn add(&mut self, (udp, tcp): (UdpSocket, Option<TcpListener>)) {
        self.udp.push(udp);
        self.tcp.extend(tcp);
    }
}

/// UDP and TCP on the same port, unless `http` has its TCP already.
fn bind_both(
    address: SocketAddr,
    http: Option<SocketAddr>,
) -> Result<(UdpSocket, Option<TcpListener>), TurnError> {
    let attempts = if address.port() == 0 { ATTEMPTS } else { 1 };
    let mut bound = bind_pair(address, http);
    for _ in 1..attempts {
        match &bound {
            Err(TurnError::Listen { error, .. }) if error.kind() == io::ErrorKind::AddrInUse => {
                bound = bind_pair(address, http);
            }
            Ok(_) | Err(_) => break,
        }
    }
    bound
}

fn bind_pair(
    address: SocketAddr,
    http: Option<SocketAddr>,
) -> Result<(UdpSocket, Option<TcpListener>), TurnError> {
    let failed = |transport| move |error| TurnError::Listen { address, transport, error };
    let udp = bind_udp(address, Families::Both).map_err(failed("UDP"))?;
    let bound = udp.local_addr().map_err(failed("UDP"))?;
    if http.is_some_and(|http| http.port() == bound.port()) {
        return Ok((udp, None));
    }
    let tcp = bind_tcp(bound).map_err(failed("TCP"))?;
    Ok((udp, Some(tcp)))
}

/// The next port, or any: without it only the NAT's kind remains unknown.
fn bind_beside(address: SocketAddr) -> Option<UdpSocket> {
    let next = address.port().checked_add(1).unwrap_or(0);
    let bound = [next, 0]
        .into_iter()
        .find_map(|port| bind_udp(SocketAddr::new(address.ip(), port), Families::Both).ok());
    if bound.is_none() {
        tracing::warn!(
            "No second UDP port for STUN could be had; participants can't learn the kind of their NAT"
        );
    }
    bound
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A restarted server takes its port back at once. (On Windows the option means something else.)
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TurnConfig {
        TurnConfig::beside(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn port(address: io::Result<SocketAddr>) -> u16 {
        address.expect("bound").port()
    }

    #[test]
    fn udp_and_tcp_have_the_same_port_and_stun_one_more() {
        let config = TurnConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), ..config() };
        let ports = Ports::bind(&config).expect("free ports");
        let udp = port(ports.udp[0].local_addr());
        assert_eq!(port(ports.tcp[0].local_addr()), udp);
        assert_ne!(port(ports.stun.expect("one more").local_addr()), udp);
    }

    #[test]
    fn a_port_that_http_has_is_not_listened_on_twice() {
        let http =
            TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
        let config = TurnConfig { listen: http, http: Some(http), ..config() };
        let ports = Ports::bind(&config).expect("free ports");
        assert!(ports.tcp.is_empty());
        assert_eq!(port(ports.udp[0].local_addr()), http.port());
    }

    #[test]
    fn several_addresses_need_no_further_one_for_stun() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = TurnConfig { listen: any, also: vec![any], ..config() };
        let ports = Ports::bind(&config).expect("free ports");
        assert_eq!((ports.udp.len(), ports.tcp.len(), ports.stun.is_none()), (2, 2, true));
    }

    #[test]
    fn a_port_in_use_is_named_or_passed_over() {
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let listen = taken.local_addr().expect("bound");
        let config = TurnConfig { listen, when_in_use: WhenInUse::Fail, ..config() };
        let error = Ports::bind(&config).expect_err("in use").to_string();
        assert!(error.contains(&listen.to_string()) && error.contains("UDP"), "{error}");
        let config = TurnConfig { when_in_use: WhenInUse::TakeAnother, ..config };
        let ports = Ports::bind(&config).expect("another port");
        assert_ne!(port(ports.udp[0].local_addr()), listen.port());
    }
}
