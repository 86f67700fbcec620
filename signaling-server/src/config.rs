//! What a server is told before it starts.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use crate::{hub::Limits, ice::TurnSecret, secret::Secret};

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
        }
    }
}

/// Why a certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate chain can't be read.
    #[error("the certificate {path}: {error}")]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: rustls_pki_types::pem::Error,
    },
    /// There is no certificate in the file.
    #[error("{path} has no certificate in it (PEM is expected)")]
    NoCertificate {
        /// Which file.
        path: PathBuf,
    },
    /// The key can't be read.
    #[error("the key {path}: {error}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: rustls_pki_types::pem::Error,
    },
    /// They do not fit.
    #[error("the certificate and its key can't be used: {0}")]
    Mismatch(#[from] rustls::Error),
}

/// Reads a certificate chain and its key, both PEM.
pub fn read_tls(
    cert: &std::path::Path,
    key: &std::path::Path,
) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    let certificate = |error| TlsError::Certificate { path: cert.to_owned(), error };
    let chain = CertificateDer::pem_file_iter(cert).map_err(certificate)?;
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(certificate)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: cert.to_owned() });
    }
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| TlsError::Key { path: key.to_owned(), error })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // RFC 7301 and RFC 7443. Which of the two is spoken, the first byte tells.
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"stun.turn".to_vec()];
    Ok(Arc::new(config))
}
