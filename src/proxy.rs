//! Which HTTP proxy leads out of this network, and the tunnel through it (CONNECT, RFC 9110 section
//! 9.3.6, with Basic credentials of RFC 7617).
//!
//! A proxy is named by the person, or by the environment as for other programs (`https_proxy`,
//! `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY`, `no_proxy`), or by the desktop's settings. This module does not open connections and
//! does not know what goes through the tunnel.

mod desktop;

use std::fmt;
use std::io;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::server_url::{Host, shortened};

/// Longest head of a proxy's answer that is read.
const LONGEST_HEAD: usize = 8 * 1024;

/// An HTTP proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is.
    pub host: Host,
    /// Where there.
    pub port: u16,
    /// What the header `Proxy-Authorization` says.
    authorization: Option<String>,
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no proxy.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{text}\" is not a proxy that can be used: {reason}")]
pub struct NotAProxy {
    text: String,
    reason: String,
}

impl Proxy {
    /// `[http://][USER:PASSWORD@]HOST[:PORT]`.
    fn parse(text: &str) -> Result<Self, NotAProxy> {
        // What stands before the @ is a secret.
        let shown = text.rsplit_once('@').map_or(text, |(_, place)| place);
        let failed = |reason: &str| NotAProxy { text: shortened(shown), reason: reason.to_owned() };
        let rest = match text.split_once("://") {
            Some(("http" | "HTTP", rest)) => rest,
            Some((scheme, _)) => {
                return Err(failed(&format!("{scheme}:// is not supported, only http://")));
            }
            None => text,
        };
        let url = url::Url::parse(&format!("http://{rest}")).map_err(|error| failed(&error.to_string()))?;
        let host = match url.host() {
            Some(url::Host::Domain(name)) => Host::Name(name.to_owned()),
            Some(url::Host::Ipv4(ip)) => Host::V4(ip),
            Some(url::Host::Ipv6(ip)) => Host::V6(ip),
            None => return Err(failed("the host is missing")),
        };
        let port = url.port_or_known_default().filter(|port| *port > 0);
        let port = port.ok_or_else(|| failed("port 0 cannot be reached"))?;
        let plain = |text: &str| percent_decoded(text).ok_or_else(|| failed("its password is no text"));
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let both = format!("{}:{}", plain(user)?, plain(password.unwrap_or_default())?);
                Some(format!("Basic {}", STANDARD.encode(both)))
            }
        };
        Ok(Self { host, port, authorization })
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    // Neither belongs into a header.
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// When which proxy is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxies {
    /// Never.
    #[default]
    None,
    /// For every server, because the person says so.
    Always(Proxy),
    /// For all but the exceptions and this computer, because the system says so.
    System {
        /// The proxy.
        proxy: Proxy,
        /// Where it is not used.
        except: Vec<Exception>,
    },
}

/// An entry of `no_proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exception {
    /// Everything.
    All,
    /// This name, and those below it.
    Name(String),
    /// These addresses: the network and how many of its bits count.
    Network(IpAddr, u8),
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self::All);
        }
        let bits = |ip: &IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().ok()?)),
            None => (text, None),
        };
        if let Ok(ip) = address.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self::Network(ip, prefix.unwrap_or(bits(&ip)).min(bits(&ip))));
        }
        let name = text.trim_start_matches("*.").trim_start_matches('.').trim_end_matches('.');
        let name = name.split(':').next().unwrap_or_default();
        (!name.is_empty()).then(|| Self::Name(name.to_ascii_lowercase()))
    }

    fn covers(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Name(name), Host::Name(host)) => {
                host.strip_suffix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            (Self::Network(IpAddr::V4(net), bits), Host::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*bits)).unwrap_or(0);
                (net.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (Self::Network(IpAddr::V6(net), bits), Host::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*bits)).unwrap_or(0);
                (net.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (Self::Name(_) | Self::Network(..), _) => false,
        }
    }
}

impl Proxies {
    /// What a person says: a URL, `none`, or nothing, which means the environment, or else the desktop.
    pub fn named(text: &str) -> Result<Self, NotAProxy> {
        match text.trim() {
            "" => match Self::of_environment(|name| std::env::var(name).ok())? {
                Self::None => desktop::proxies(),
                named => Ok(named),
            },
            "none" => Ok(Self::None),
            url => Ok(Self::Always(Proxy::parse(url)?)),
        }
    }

    /// What the environment says.
    fn of_environment(get: impl Fn(&str) -> Option<String>) -> Result<Self, NotAProxy> {
        let first = |names: &[&str]| {
            let texts = names.iter().filter_map(|name| get(name));
            texts.map(|text| text.trim().to_owned()).find(|text| !text.is_empty())
        };
        let Some(text) = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]) else {
            return Ok(Self::None);
        };
        let proxy = Proxy::parse(&text)?;
        let except = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Ok(Self::System { proxy, except: except.split(',').filter_map(Exception::parse).collect() })
    }

    /// The proxy that leads to a host.
    pub fn to(&self, host: &Host) -> Option<&Proxy> {
        match self {
            Self::None => None,
            Self::Always(proxy) => Some(proxy),
            Self::System { proxy, except } => {
                let here = match host {
                    Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
                    Host::V4(ip) => ip.is_loopback(),
                    Host::V6(ip) => ip.is_loopback(),
                };
                (!here && !except.iter().any(|exception| exception.covers(host))).then_some(proxy)
            }
        }
    }
}

/// Why a proxy does not let us through. The texts follow "the proxy HOST:PORT".
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoTunnel {
    /// 407, and we have no credentials.
    #[error("asks for a user name and a password; name them: http://USER:PASSWORD@HOST:PORT")]
    AsksForPassword,
    /// 407, although we gave some.
    #[error("refuses the user name and the password")]
    WrongPassword,
    /// Another status.
    #[error("does not let us through to {target}: it says {status}")]
    Forbidden {
        /// Where we wanted to go.
        target: String,
        /// Code and reason.
        status: String,
    },
    /// It hangs up.
    #[error("closes the connection")]
    Closed,
    /// It speaks something else.
    #[error("is no HTTP proxy: it answers something else")]
    NotHttp,
    /// The way to it broke.
    #[error("cannot be spoken to ({0})")]
    Broken(String),
}

impl From<io::Error> for NoTunnel {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// Makes a connection to a proxy one to `host`.
pub async fn tunnel<S>(stream: &mut S, proxy: &Proxy, host: &Host, port: u16) -> Result<(), NoTunnel>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let target = format!("{host}:{port}");
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(authorization) = &proxy.authorization {
        request.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    let end = loop {
        let read = stream.read_buf(&mut head).await?;
        if read == 0 {
            return Err(if head.is_empty() { NoTunnel::Closed } else { NoTunnel::NotHttp });
        }
        if let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if head.len() > LONGEST_HEAD {
            return Err(NoTunnel::NotHttp);
        }
    };
    let (code, status) = status(&head[..end]).ok_or(NoTunnel::NotHttp)?;
    match code {
        // Whoever is behind the tunnel waits for us to speak; what comes before that is not his.
        200..=299 if head.len() == end => Ok(()),
        200..=299 => Err(NoTunnel::NotHttp),
        407 if proxy.authorization.is_some() => Err(NoTunnel::WrongPassword),
        407 => Err(NoTunnel::AsksForPassword),
        _ => Err(NoTunnel::Forbidden { target, status }),
    }
}

/// Code and reason of an HTTP/1 status line.
fn status(head: &[u8]) -> Option<(u16, String)> {
    let line = head.split(|byte| *byte == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let status = line.strip_prefix("HTTP/1.")?.get(1..)?.trim();
    let code = status.get(..3)?.parse().ok()?;
    Some((code, shortened(status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn proxy(text: &str) -> Proxy {
        Proxy::parse(text).expect(text)
    }

    fn host(text: &str) -> Host {
        text.parse::<IpAddr>().map_or_else(|_| Host::Name(text.to_owned()), Host::from)
    }

    fn environment(list: &'static [(&str, &str)]) -> Result<Proxies, NotAProxy> {
        Proxies::of_environment(|name| {
            list.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_proxy_is_read_with_its_password_and_shown_without() {
        let read = proxy("http://ann:p%40ss@proxy.example:3128/");
        assert_eq!(read.to_string(), "proxy.example:3128");
        assert_eq!(format!("{read:?}"), "proxy.example:3128");
        assert_eq!(read.authorization, Some(format!("Basic {}", STANDARD.encode("ann:p@ss"))));
        assert_eq!(proxy("proxy.example").port, 80);
        assert_eq!(proxy("[::1]:8080").to_string(), "[::1]:8080");
        let error = Proxy::parse("socks5://ann:secret@proxy").expect_err("SOCKS").to_string();
        assert!(error.contains("socks5://") && !error.contains("secret"), "{error}");
        assert!(Proxy::parse("http://").is_err());
        assert!(Proxy::parse("http://a:b%0d%0aX@proxy").is_err(), "no new line gets into the header");
    }

    #[test]
    fn the_environment_names_a_proxy_and_where_it_is_not_used() {
        assert_eq!(environment(&[]), Ok(Proxies::None));
        assert_eq!(environment(&[("https_proxy", "  ")]), Ok(Proxies::None));
        assert!(environment(&[("ALL_PROXY", "socks5://x")]).is_err());
        let proxies = environment(&[
            ("HTTPS_PROXY", "http://proxy:3128"),
            ("no_proxy", "example.org, .local,10.0.0.0/8,192.0.2.7,fd00::/8,"),
        ])
        .expect("a proxy");
        for direct in [
            "example.org",
            "a.example.org",
            "b.local",
            "10.200.3.4",
            "192.0.2.7",
            "fd12::1",
            "localhost",
            "127.0.0.2",
            "::1",
        ] {
            assert_eq!(proxies.to(&host(direct)), None, "{direct}");
        }
        for through in ["badexample.org", "example.com", "11.0.0.1", "192.0.2.8", "2001:db8::1"] {
            assert_eq!(proxies.to(&host(through)), Some(&proxy("proxy:3128")), "{through}");
        }
        let proxies = environment(&[("all_proxy", "proxy"), ("NO_PROXY", "*")]).expect("a proxy");
        assert_eq!(proxies.to(&host("example.com")), None);
    }

    #[test]
    fn a_person_s_proxy_is_always_used() {
        let proxies = Proxies::named("http://proxy:1").expect("a proxy");
        assert_eq!(proxies.to(&host("127.0.0.1")), Some(&proxy("proxy:1")));
        assert_eq!(Proxies::named("none"), Ok(Proxies::None));
    }

    /// What comes of a tunnel to a proxy that answers so, and what it was asked.
    async fn answered(by: &str, answer: &[u8]) -> (Result<(), NoTunnel>, String) {
        let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
        theirs.write_all(answer).await.expect("room");
        theirs.shutdown().await.expect("shut");
        let result = tunnel(&mut ours, &proxy(by), &host("relay.example"), 443).await;
        drop(ours);
        let mut asked = String::new();
        theirs.read_to_string(&mut asked).await.expect("text");
        (result, asked)
    }

    #[tokio::test]
    async fn a_tunnel_is_asked_for_and_each_refusal_is_told_apart() {
        let ok = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n";
        let (result, asked) = answered("u:p@proxy", ok).await;
        assert_eq!(result, Ok(()));
        assert_eq!(
            asked,
            "CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n\
             Proxy-Authorization: Basic dTpw\r\n\r\n"
        );
        let asks = b"HTTP/1.0 407 Proxy Authentication Required\r\n\r\n";
        assert_eq!(answered("proxy", asks).await.0, Err(NoTunnel::AsksForPassword));
        assert_eq!(answered("u:p@proxy", asks).await.0, Err(NoTunnel::WrongPassword));
        let forbidden = answered("proxy", b"HTTP/1.1 403 Forbidden\r\n\r\n").await.0.expect_err("403");
        assert!(forbidden.to_string().contains("relay.example:443: it says 403 Forbidden"), "{forbidden}");
        assert_eq!(answered("proxy", b"").await.0, Err(NoTunnel::Closed));
        assert_eq!(answered("proxy", b"SSH-2.0-x\r\n").await.0, Err(NoTunnel::NotHttp));
        assert_eq!(answered("proxy", &[b'x'; 20_000]).await.0, Err(NoTunnel::NotHttp));
        let early = b"HTTP/1.1 200 OK\r\n\r\nmore";
        assert_eq!(answered("proxy", early).await.0, Err(NoTunnel::NotHttp), "nobody was spoken to yet");
    }

    proptest! {
        #[test]
        fn no_proxy_is_too_strange(text in "\\PC{0,60}", answer in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = Proxy::parse(&text);
            let _ = Exception::parse(&text).map(|exception| exception.covers(&host("10.0.0.1")));
            let _ = status(&answer);
        }
    }
}
