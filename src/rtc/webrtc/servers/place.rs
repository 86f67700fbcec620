//! What the URL of a STUN or TURN server says.

use std::net::IpAddr;

use ::rtc::ice::url::{ProtoType, SchemeType, Url};

use crate::rtc::stats::ServerTransport;
use crate::server_url::Host;

/// What is asked of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Our address as others see it.
    Stun,
    /// A relay.
    Turn,
}

/// A STUN or TURN URL, understood.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// For what.
    pub service: Service,
    /// How; the cheapest comes first in their order.
    pub transport: ServerTransport,
    /// Where.
    pub host: Host,
    /// Where there.
    pub port: u16,
}

impl Place {
    /// RFC 7064 and RFC 7065. The error is the clause "it …".
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        const NONE: &str = "it is not a STUN or TURN address";
        // Not in the RFC, but often written.
        let parsed = Url::parse_url(url.strip_suffix("?transport=udp").unwrap_or(url)).map_err(|_| NONE)?;
        let (service, transport) = match (parsed.scheme, parsed.proto) {
            (SchemeType::Stun, _) => (Service::Stun, ServerTransport::Udp),
            (SchemeType::Turn, ProtoType::Udp) => (Service::Turn, ServerTransport::Udp),
            (SchemeType::Turn, ProtoType::Tcp) => (Service::Turn, ServerTransport::Tcp),
            (SchemeType::Turns, ProtoType::Tcp) if !url.ends_with("?transport=udp") => {
                (Service::Turn, ServerTransport::Tls)
            }
            (SchemeType::Turns, _) => return Err("it asks for TURN over DTLS, which is not supported"),
            (SchemeType::Stuns, _) => {
                return Err("STUN over TLS tells no address that a call could use; name it with stun:");
            }
            _ => return Err(NONE),
        };
        if parsed.port == 0 {
            return Err("port 0 cannot be reached");
        }
        let host = match parsed.host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() || ip.is_multicast() => return Err("its address is no server's"),
            Ok(ip) => Host::from(ip),
            Err(_) => Host::Name(parsed.host.to_ascii_lowercase()),
        };
        Ok(Self { service, transport, host, port: parsed.port })
    }
}
