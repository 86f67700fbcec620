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
pub mod turn;

pub use config::{Config, TurnConfig, WhenInUse};
pub use tokio_util::sync::CancellationToken;

use std::{net::IpAddr, time::Duration};

use clock::Clock;
use hub::Hub;
use ice::IceServers;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use turn::{Turn, TurnError, policy::PeerPolicy};

/// How long the relay's test of itself may take.
const SELF_TEST_WITHIN: Duration = Duration::from_secs(5);

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
/// Dropping the future instead ends everything at once.
pub async fn run(listener: TcpListener, config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let clock = Clock::start();
    listener.local_addr().map_err(RunError::Listener)?;
    // Also when the caller drops this future, the tasks are told to end.
    let stopping = shutdown.child_token();
    let _stop = stopping.clone().drop_guard();
    let mut ice = None;
    let mut relay = None;
    if let Some(turn_config) = &config.turn {
        let turn = Turn::bind(turn_config, &config.secret, clock)?;
        ice = Some(IceServers::new(turn.secret().clone(), turn.address().port(), told_ip(turn_config)));
        relay = Some(start_turn(turn, stopping.clone()));
    }
    let hub = Hub::new(config.secret.key("resume"), ice, config.limits, clock.now());
    server::serve(listener, config.tls, hub, config.sockets_per_address, clock, stopping).await;
    if let Some(relay) = relay
        && let Err(error) = relay.await
    {
        tracing::error!(%error, "the relay ended badly");
    }
    Ok(())
}

/// The address that all participants are told; without one, each is told the one it came over.
fn told_ip(turn: &TurnConfig) -> Option<IpAddr> {
    turn.public_ip.or(Some(turn.listen.ip()).filter(|ip| !ip.is_unspecified()))
}

/// Runs the relay in a task, and its test of itself in another.
fn start_turn(turn: Turn, shutdown: CancellationToken) -> AbortOnDropHandle<()> {
    let address = turn.address();
    let peers = match turn.policy() {
        PeerPolicy::Lan => {
            "private addresses are allowed as peers, since this server is in a private network"
        }
        PeerPolicy::Public => "only public addresses are allowed as peers",
    };
    tracing::info!("STUN and TURN on {address} (UDP); {peers}");
    let self_test = turn.self_test();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let tested = tokio::select! {
            tested = tokio::time::timeout(SELF_TEST_WITHIN, self_test) => tested,
            () = stop.cancelled() => return,
        };
        match tested {
            Ok(Ok(took)) => tracing::info!(
                "The relay works: a packet went through it in {:.1} ms. (Whether it can be reached from \
                 outside only somebody outside can tell.)",
                took.as_secs_f64() * 1e3
            ),
            Ok(Err(error)) => {
                tracing::warn!("The relay does not work: {error}. Calls will only connect directly.")
            }
            Err(_) => tracing::warn!("The relay did not finish its test of itself in 5 s."),
        }
    });
    AbortOnDropHandle::new(tokio::spawn(turn.run(shutdown)))
}
