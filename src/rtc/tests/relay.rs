//! The relay of a server of our own.

use super::*;

/// The relay of a server of our own.
pub struct Relay {
    pub address: std::net::SocketAddr,
    pub secret: sightline_server::ice::TurnSecret,
    _stop: tokio_util::sync::DropGuard,
}

impl Relay {
    pub async fn start() -> Self {
        use sightline_server::{CancellationToken, TurnConfig, turn};
        let secret = sightline_server::ice::TurnSecret::new("a secret of this test");
        let listen = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = TurnConfig { listen, secret: Some(secret.clone()), ..TurnConfig::beside(listen) };
        let stop = CancellationToken::new();
        let key = sightline_server::secret::Secret::random();
        let turn =
            turn::start(&config, &key, sightline_server::clock::Clock::start(), stop.clone()).await.unwrap();
        Self { address: turn.address, secret, _stop: stop.drop_guard() }
    }

    /// With credentials for somebody, that can be used for so long.
    pub fn server(&self, lifetime: Duration) -> signaling_protocol::IceServer {
        let user = format!("{}:anybody", (clock::unix() + lifetime).as_secs());
        signaling_protocol::IceServer {
            urls: vec![format!("turn:{}", self.address)],
            credential: Some(self.secret.password(&user)),
            username: Some(user),
        }
    }
}

/// A relay, and how to use it for as long as the relay is kept.
pub async fn relay() -> (signaling_protocol::IceServer, Relay) {
    let relay = Relay::start().await;
    (relay.server(HOUR), relay)
}

/// Longer than any test.
const HOUR: Duration = Duration::from_secs(3_600);
