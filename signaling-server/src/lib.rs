//! The server of Sightline: rooms in which people find each other, and STUN and TURN for their media.
//!
//! [`run`] is all there is to it; the program `sightline-server` adds flags and a log, and the
//! application starts the same thing inside itself to host on a computer. It never sees what people
//! say: media goes between the participants, or through the relay as it is, encrypted.
//!
//! ```text
//!   http, socket ──▶ hub ──▶ room, session, ticket      (pure)
//!   turn                                                 (its own sockets)
//! ```

pub mod bucket;
pub mod clock;
pub mod config;
mod door;
mod http;
pub mod hub;
pub mod ice;
mod page;
pub mod room;
pub mod secret;
mod server;
pub mod session;
mod socket;
pub mod ticket;
pub mod tls;
pub mod turn;

pub use config::{Config, External, TurnConfig, WhenInUse};
pub use tokio_util::sync::CancellationToken;

use std::net::IpAddr;

use clock::Clock;
use hub::Hub;
use ice::IceServers;
use server::Services;
use tokio::net::TcpListener;
use turn::TurnError;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The listener is not usable.
    #[error("the listening socket: {0}")]
    Listener(std::io::Error),
    /// STUN and TURN did not start.
    #[error(transparent)]
    Turn(#[from] TurnError),
}

/// Serves on `listener` until `shutdown`, then says goodbye to the participants and returns.
/// Dropping the future instead ends everything without a goodbye.
pub async fn run(listener: TcpListener, config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let clock = Clock::start();
    let address = listener.local_addr().map_err(RunError::Listener)?;
    let stopping = shutdown.child_token();
    // Also when the caller drops this future, the tasks and the relay are told to end.
    let _stop = stopping.clone().drop_guard();
    let mut ice = None;
    let mut relay = None;
    if let Some(turn) = config.turn {
        let turn = TurnConfig { http: Some(address), tls: config.tls.clone(), ..turn };
        let started = turn::start(&turn, &config.secret, clock, stopping.clone()).await?;
        let (secret, reach) = (started.secret.clone(), started.reach.clone());
        ice = Some(IceServers::own(secret, turn.lifetime, reach, told_ip(&turn)));
        relay = Some(started);
    }
    if let Some(External { urls, secret, lifetime }) = config.external {
        ice = Some(IceServers::others(secret, lifetime, urls));
    }
    let hub = Hub::new(config.secret.key("resume"), ice, config.limits, clock.now());
    let services = Services {
        tls: config.tls,
        turn: relay.as_ref().map(|relay| relay.service.clone()),
        sockets_per_address: config.sockets_per_address,
    };
    server::serve(listener, services, hub, clock, stopping).await;
    if let Some(relay) = relay {
        relay.stopped().await;
    }
    Ok(())
}

/// The address that all participants are told; without one, each is told the one it came over.
fn told_ip(turn: &TurnConfig) -> Option<IpAddr> {
    turn.public_ip.or(Some(turn.listen.ip()).filter(|ip| !ip.is_unspecified()))
}
