//! STUN and TURN URLs as the doctor asks them (RFC 7064, RFC 7065), and their names resolved.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::rtc::stats::ServerTransport;
use crate::server_url::Host;

/// How long a name may take.
const RESOLVE: Duration = Duration::from_secs(3);

/// Where a server is and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceAddress {
    /// A relay, or STUN only.
    pub relay: bool,
    /// How.
    pub transport: ServerTransport,
    /// Where.
    pub host: Host,
    /// Where there; 3478 or 5349 unless it is written.
    pub port: u16,
}

impl IceAddress {
    /// Understands a URL; the error is a sentence that names it.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("\"{url}\" is not a STUN or TURN address: {why}");
        let (scheme, rest) = url.split_once(':').ok_or_else(|| wrong("it has no scheme"))?;
        let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
        let (relay, secure) = match scheme {
            "stun" => (false, false),
            "stuns" => (false, true),
            "turn" => (true, false),
            "turns" => (true, true),
            _ => return Err(wrong("use stun:, turn: or turns:")),
        };
        let transport = match (secure, query) {
            (true, None | Some("transport=tcp")) => ServerTransport::Tls,
            (true, Some("transport=udp")) => return Err(wrong("DTLS is not supported")),
            (false, None | Some("transport=udp")) => ServerTransport::Udp,
            (false, Some("transport=tcp")) => ServerTransport::Tcp,
            (_, Some(_)) => return Err(wrong("the transport is udp or tcp")),
        };
        let usual = if secure { 5349 } else { 3478 };
        let (host, port) = match place.parse::<SocketAddr>() {
            Ok(address) => (Host::from(address.ip()), address.port()),
            Err(_) => split(place, usual).ok_or_else(|| wrong("its host or port cannot be read"))?,
        };
        if port == 0 {
            return Err(wrong("port 0 cannot be reached"));
        }
        Ok(Self { relay, transport, host, port })
    }

    /// Its addresses, those that the system prefers first.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let name = match &self.host {
            Host::V4(ip) => return Ok(vec![SocketAddr::new(IpAddr::V4(*ip), self.port)]),
            Host::V6(ip) => return Ok(vec![SocketAddr::new(IpAddr::V6(*ip), self.port)]),
            Host::Name(name) => name,
        };
        match timeout(RESOLVE, lookup_host((name.as_str(), self.port))).await {
            Ok(Ok(found)) => {
                let found: Vec<SocketAddr> = found.collect();
                if found.is_empty() { Err("the name has no address".into()) } else { Ok(found) }
            }
            Ok(Err(error)) => {
                // Without the preface that the standard library gives the system's words.
                let text = error.to_string();
                Err(text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned())
            }
            Err(_) => Err("the name service does not answer".into()),
        }
    }
}

fn split(place: &str, usual: u16) -> Option<(Host, u16)> {
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
        Some(_) | None => (place, usual),
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Some((Host::from(ip), port));
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.' || b == b'_';
    (!host.is_empty() && host.bytes().all(fits)).then(|| (Host::Name(host.to_ascii_lowercase()), port))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_say_where_and_how() {
        let parse =
            |url| IceAddress::parse(url).map(|at| (at.relay, at.transport, at.host.to_string(), at.port));
        use ServerTransport::{Tcp, Tls, Udp};
        assert_eq!(parse("stun:A.example"), Ok((false, Udp, "a.example".into(), 3478)));
        assert_eq!(parse("turn:192.0.2.1:9"), Ok((true, Udp, "192.0.2.1".into(), 9)));
        assert_eq!(parse("turn:[2001:db8::1]:9?transport=tcp"), Ok((true, Tcp, "[2001:db8::1]".into(), 9)));
        assert_eq!(parse("turns:a.example:443?transport=tcp"), Ok((true, Tls, "a.example".into(), 443)));
        assert_eq!(parse("turns:[2001:db8::1]"), Ok((true, Tls, "[2001:db8::1]".into(), 5349)));
        for bad in [
            "stun",
            "http:a",
            "turn:",
            "turn:a:x",
            "turn:a?transport=sctp",
            "turns:a?transport=udp",
            "stun:a:0",
        ] {
            assert!(parse(bad).is_err_and(|error| error.contains(bad)), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_url_is_too_strange(url in "(stun|turn|turns|x)?:?[\\[\\]:?=.a-z0-9é]{0,24}") {
            let _ = IceAddress::parse(&url);
        }
    }
}
