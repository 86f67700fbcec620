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

pub use config::{Config, TurnConfig, WhenInUse};
pub use tokio_util::sync::CancellationToken;

use clock::Clock;
use hub::Hub;
use tokio::net::TcpListener;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The listener is not usable.
    #[error("the listening socket: {0}")]
    Listener(std::io::Error),
}

/// Serves on `listener` until `shutdown`, then says goodbye to the participants and returns.
pub async fn run(listener: TcpListener, config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let clock = Clock::start();
    let address = listener.local_addr().map_err(RunError::Listener)?;
    let hub = Hub::new(config.secret.key("resume"), None, config.limits, clock.now());
    tracing::debug!(%address, "serving");
    server::serve(listener, config.tls, hub, config.sockets_per_address, clock, shutdown).await;
    Ok(())
}
