//! The address of a signaling server, checked once at the edge.
//!
//! People write `ws://`, `wss://`, `http://`, `https://`, or only `HOST[:PORT]`. Without a scheme,
//! an address that can only be in this network ([`Host::is_nearby`]) is reached without TLS, every
//! other one with it. This module knows no sockets and no rooms.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Why a text is not the address of a server.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ServerUrlError {
    /// Nothing was given.
    #[error("the address of the server is empty")]
    Empty,
    /// A scheme that is not ours.
    #[error("\"{0}://\" is not a way to reach a server; use wss://, ws://, https:// or http://")]
    Scheme(String),
    /// Not a URL.
    #[error("\"{text}\" is not the address of a server: {reason}")]
    Malformed {
        /// What was given, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// More than a host and a port.
    #[error("the address of the server must end after the host and the port, without \"{0}\"")]
    Excess(String),
    /// Port 0.
    #[error("port 0 cannot be reached; use the port that the server listens on")]
    PortZero,
}

/// A name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name in lower-case ASCII (international names in their `xn--` form).
    Name(String),
    /// IPv4.
    V4(Ipv4Addr),
    /// IPv6, written in brackets.
    V6(Ipv6Addr),
}

impl Host {
    /// Whether the host can only be in this network: `localhost`, `*.local`, or a loopback,
    /// private (RFC 1918), shared (RFC 6598), link-local or unique-local (RFC 4193) address.
    pub fn is_nearby(&self) -> bool {
        match self {
            Host::Name(name) => {
                name == "localhost" || name.ends_with(".localhost") || name.ends_with(".local")
            }
            Host::V4(ip) => v4_is_nearby(*ip),
            Host::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => v4_is_nearby(ip),
                None => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
            },
        }
    }
}

fn v4_is_nearby(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_loopback() || ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b))
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Host::V4(ip),
            IpAddr::V6(ip) => Host::V6(ip),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(ip) => write!(f, "{ip}"),
            Host::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

/// Whether the way to the server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// `ws` and `http`.
    Plain,
    /// `wss` and `https`.
    Tls,
}

impl Security {
    /// What to assume about a host when nobody says.
    pub fn of(host: &Host) -> Self {
        if host.is_nearby() { Security::Plain } else { Security::Tls }
    }

    /// The port without which a URL is written (RFC 6455 section 3).
    pub const fn default_port(self) -> u16 {
        match self {
            Security::Plain => 80,
            Security::Tls => 443,
        }
    }
}

/// The address of a signaling server. Prints as `ws://HOST:PORT/` or `wss://HOST:PORT/`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    security: Security,
    host: Host,
    port: u16,
}

impl ServerUrl {
    /// The server at a host and port; port 0 is the default port.
    pub fn new(security: Security, host: Host, port: u16) -> Self {
        let port = if port == 0 { security.default_port() } else { port };
        Self { security, host, port }
    }

    /// Whether the way is encrypted.
    pub fn security(&self) -> Security {
        self.security
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `http://HOST[:PORT]` or `https://HOST[:PORT]`, without a slash at the end.
    pub fn http_origin(&self) -> String {
        let scheme = match self.security {
            Security::Plain => "http",
            Security::Tls => "https",
        };
        format!("{scheme}://{}", self.authority())
    }

    /// `HOST[:PORT]`; the default port is left out.
    pub fn authority(&self) -> String {
        if self.port == self.security.default_port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Takes what [`parse`] gave.
    pub(crate) fn from_url(url: &url::Url) -> Result<Self, ServerUrlError> {
        let security = if url.scheme() == "https" { Security::Tls } else { Security::Plain };
        let malformed =
            |reason: &str| ServerUrlError::Malformed { text: shortened(url.as_str()), reason: reason.into() };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("a name or password before @ has no place in it"));
        }
        let host = match url.host() {
            Some(url::Host::Domain(name)) => match name.trim_end_matches('.') {
                "" => return Err(malformed("the host is missing")),
                name => Host::Name(name.to_owned()),
            },
            Some(url::Host::Ipv4(ip)) => Host::V4(ip),
            Some(url::Host::Ipv6(ip)) => Host::V6(ip),
            None => return Err(malformed("the host is missing")),
        };
        if url.port() == Some(0) {
            return Err(ServerUrlError::PortZero);
        }
        Ok(Self::new(security, host, url.port().unwrap_or(0)))
    }
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ServerUrlError::Empty);
        }
        let (security, rest) = match text.split_once("://") {
            Some((scheme, rest)) => match scheme.to_ascii_lowercase().as_str() {
                "ws" | "http" => (Some(Security::Plain), rest),
                "wss" | "https" => (Some(Security::Tls), rest),
                _ => return Err(ServerUrlError::Scheme(shortened(scheme))),
            },
            None => (None, text),
        };
        // An IPv6 address without brackets is what other programs print.
        let bare_v6: Option<Ipv6Addr> = rest.trim_end_matches('/').parse().ok();
        if let Some(ip) = bare_v6 {
            let host = Host::V6(ip);
            let security = security.unwrap_or_else(|| Security::of(&host));
            return Ok(Self::new(security, host, 0));
        }
        let url = parse(security, rest)
            .map_err(|reason| ServerUrlError::Malformed { text: shortened(text), reason })?;
        let excess = &url[url::Position::BeforePath..];
        if excess != "/" {
            return Err(ServerUrlError::Excess(shortened(excess)));
        }
        Self::from_url(&url)
    }
}

/// Parses what follows `://`; without `security`, the host decides.
pub(crate) fn parse(security: Option<Security>, rest: &str) -> Result<url::Url, String> {
    if rest.is_empty() || rest.starts_with(['/', '?', '#', '\\']) {
        return Err("the host is missing".into());
    }
    let with = |scheme| url::Url::parse(&format!("{scheme}://{rest}")).map_err(|error| error.to_string());
    match security {
        Some(Security::Plain) => with("http"),
        Some(Security::Tls) => with("https"),
        None => {
            let url = with("http")?;
            let host = ServerUrl::from_url(&url).map_err(|error| error.to_string())?.host;
            match Security::of(&host) {
                Security::Plain => Ok(url),
                Security::Tls => with("https"),
            }
        }
    }
}

/// Enough of a stranger's text to recognise it.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 60;
    let clean: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    if text.chars().count() > MOST { format!("{clean}…") } else { clean }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Plain => "ws",
            Security::Tls => "wss",
        };
        write!(f, "{scheme}://{}:{}/", self.host, self.port)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<ServerUrl>().map(|url| url.to_string()), Ok(expected.to_owned()), "{text}");
    }

    fn refused(text: &str, part: &str) {
        let error = text.parse::<ServerUrl>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }

    #[test]
    fn every_scheme_has_its_default_port() {
        check("ws://example.org/", "ws://example.org:80/");
        check("http://example.org", "ws://example.org:80/");
        check("WSS://Example.ORG", "wss://example.org:443/");
        check("https://example.org:8443", "wss://example.org:8443/");
        check("ws://example.org:443/", "ws://example.org:443/");
    }

    #[test]
    fn an_address_without_scheme_uses_tls_unless_it_is_nearby() {
        check("example.org", "wss://example.org:443/");
        check("192.168.1.5:7443", "ws://192.168.1.5:7443/");
        check("100.64.0.9", "ws://100.64.0.9:80/");
        check("203.0.113.9:7443", "wss://203.0.113.9:7443/");
        check("kitchen.local:80", "ws://kitchen.local:80/");
        check("localhost:9000", "ws://localhost:9000/");
        check("[fd00::5]:9000", "ws://[fd00::5]:9000/");
        check("::1", "ws://[::1]:80/");
        check("2001:db8::1", "wss://[2001:db8::1]:443/");
    }

    #[test]
    fn what_is_no_server_is_refused_in_words() {
        refused("", "empty");
        refused("ftp://example.org", "ftp");
        refused("ws://", "host is missing");
        refused("ws://./", "host is missing");
        refused("ws://example.org/room", "/room");
        refused("ws://example.org/?a=b", "?a=b");
        refused("ws://me:secret@example.org", "before @");
        refused("ws://example.org:0", "port 0");
        refused("ws://example.org:99999", "port");
        refused("two words", "two words");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_what_is_read_prints_as_itself(text in "\\PC{0,80}") {
            if let Ok(url) = text.parse::<ServerUrl>() {
                proptest::prop_assert_eq!(url.to_string().parse::<ServerUrl>(), Ok(url.clone()));
                proptest::prop_assert_eq!(url.http_origin().parse::<ServerUrl>(), Ok(url));
            }
        }
    }
}
