//! How this program reaches a server over TCP: by name, at one of several addresses, through a proxy
//! where one is named, and with TLS.
//!
//! ```text
//!  host, port ─▶ names ─▶ addresses ─▶ race (RFC 8305) ─▶ TCP ─▶ tls ─▶ stream
//!                  └─ of the proxy, if there is one ─▶ CONNECT ─┘
//! ```
//!
//! Signaling and TURN over TCP and TLS come through here. This module does not know what is spoken
//! on the stream. Each failure is one clause that follows the server's name.

pub mod interface;
pub mod names;
mod race;
mod tls;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::proxy::{Proxies, tunnel};
use crate::server_url::{Host, Security};
pub use tls::{Trust, TrustError};

/// How long a proxy may take to connect us.
const TUNNEL: Duration = Duration::from_secs(3);

/// TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a server could not be reached. The texts follow "the server NAME" or "the URL".
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DialError {
    /// DNS knows no such name, or cannot be asked.
    #[error("cannot resolve its name ({0})")]
    Name(String),
    /// It has no address of the family that the local address has.
    #[error("it has no {0} address")]
    Family(&'static str),
    /// Nobody listens there.
    #[error("nothing answers there: no server is running, or a firewall refuses it")]
    Refused,
    /// The way there is broken.
    #[error("it cannot be reached ({0})")]
    Unreachable(String),
    /// Nothing at all came back.
    #[error("it does not answer")]
    Silent,
    /// The proxy on the way does not let us through; one clause that names it.
    #[error("{0}")]
    Proxy(String),
    /// The certificate is not trusted, or no TLS is spoken.
    #[error("no secure connection can be made: {0}")]
    Tls(String),
}

impl DialError {
    fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

/// Reaches servers. Cheap to clone; the system's certificates are read once.
#[derive(Clone, Debug, Default)]
pub struct Dialer(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    trust: Trust,
    proxies: Proxies,
    tls: OnceCell<Arc<rustls::ClientConfig>>,
}

impl Dialer {
    /// Trusts whom `trust` says, and goes through the proxy that `proxies` names.
    pub fn new(trust: Trust, proxies: Proxies) -> Self {
        Self(Arc::new(Inner { trust, proxies, tls: OnceCell::new() }))
    }

    /// The same, trusting whom `trust` says.
    pub fn trusting(&self, trust: Trust) -> Self {
        Self::new(trust, self.0.proxies.clone())
    }

    /// A TCP connection to a host, from the local address `from` if one is given, through a proxy
    /// where one is named. Has no deadline as a whole; each address is given up after some seconds.
    pub async fn connect(
        &self,
        host: &Host,
        port: u16,
        from: Option<IpAddr>,
    ) -> Result<TcpStream, DialError> {
        let Some(proxy) = self.0.proxies.to(host) else { return reach(host, port, from).await };
        let mut tcp = reach(&proxy.host, proxy.port, from)
            .await
            .map_err(|error| DialError::Proxy(format!("the proxy {proxy} cannot be used: {error}")))?;
        match timeout(TUNNEL, tunnel(&mut tcp, proxy, host, port)).await {
            Ok(Ok(())) => Ok(tcp),
            Ok(Err(error)) => Err(DialError::Proxy(format!("the proxy {proxy} {error}"))),
            Err(_) => Err(DialError::Proxy(format!("the proxy {proxy} does not answer"))),
        }
    }

    /// The stream as it is, or TLS over it (1.2 or 1.3, with the certificate checked).
    pub async fn secure(
        &self,
        security: Security,
        host: &Host,
        tcp: TcpStream,
    ) -> Result<Box<dyn Stream>, DialError> {
        if security == Security::Plain {
            return Ok(Box::new(tcp));
        }
        let name = match host {
            Host::Name(name) => rustls_pki_types::ServerName::try_from(name.clone())
                .map_err(|_| DialError::Tls("a certificate cannot carry such a name".into()))?,
            Host::V4(ip) => IpAddr::V4(*ip).into(),
            Host::V6(ip) => IpAddr::V6(*ip).into(),
        };
        match TlsConnector::from(self.tls().await).connect(name, tcp).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => {
                let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
                Err(DialError::Tls(match inner {
                    Some(error) => tls::in_words(error),
                    None if error.kind() == io::ErrorKind::UnexpectedEof => {
                        "it hangs up during the handshake".into()
                    }
                    None => error.to_string(),
                }))
            }
        }
    }

    async fn tls(&self) -> Arc<rustls::ClientConfig> {
        let read = || async {
            let trust = self.0.trust.clone();
            match tokio::task::spawn_blocking(move || trust.client_config()).await {
                Ok(config) => config,
                // Cancelled with the runtime, which is going down.
                Err(_) => std::future::pending().await,
            }
        };
        self.0.tls.get_or_init(read).await.clone()
    }
}

async fn reach(host: &Host, port: u16, from: Option<IpAddr>) -> Result<TcpStream, DialError> {
    let mut addresses = names::resolve(host, port).await.map_err(DialError::Name)?;
    if let Some(from) = from {
        addresses.retain(|address| address.is_ipv4() == from.is_ipv4());
        if addresses.is_empty() {
            return Err(DialError::Family(if from.is_ipv4() { "IPv4" } else { "IPv6" }));
        }
    }
    let stream = race::connect(addresses, from).await?;
    stream.set_nodelay(true).ok();
    if let Ok(peer) = stream.peer_addr() {
        interface::stay(&socket2::SockRef::from(&stream), peer.ip());
    }
    Ok(stream)
}
