//! STUN and TURN over UDP (RFC 8489, RFC 8656), made for the participants of this server's rooms.
//!
//! ```text
//!   client ◀──▶ listener ── Core ──▶ relay socket ◀──▶ peer
//!                 (one task)          (one task each; packets go back to the client directly)
//! ```
//!
//! [`core`] decides about requests and has no sockets; `relay` is the bounded set of
//! relay sockets; `listener` moves packets. A stream transport would be another listener with a
//! `Core` of its own beside this one, on the same relays: the messages delimit themselves, and
//! nothing in `core` or `relay` knows how they came.
//!
//! Only time-limited credentials are accepted ([`crate::ice`]). Nonces are stateless and what
//! strangers send is limited by network, so that nobody costs memory before they have credentials.

mod allocation;
pub mod client;
pub mod core;
mod limiter;
mod listener;
mod nonce;
pub mod policy;
mod relay;

use std::{io, net::SocketAddr, time::Duration};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{clock::Clock, config::TurnConfig, ice::TurnSecret, secret::Secret};
use listener::Listener;
use policy::PeerPolicy;
pub use relay::address_towards as relay_address_towards;

/// The realm of the credentials. Clients repeat it; it names nothing.
pub const REALM: &str = "sightline";

/// How long the relay's test of itself may take.
const SELF_TEST_WITHIN: Duration = Duration::from_secs(5);

/// Why STUN and TURN did not start.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The port can't be had.
    #[error("STUN and TURN can't listen on {address} (UDP): {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The range is upside down or has port 0.
    #[error("the ports of the relay have to be a range from 1 to 65535, the smaller one first")]
    RelayPorts,
    /// The system gives no thread, or no poller.
    #[error("STUN and TURN could not start: {0}")]
    Thread(io::Error),
}

/// Why the relay's test of itself failed.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestError {
    /// The relay refused, or did not answer.
    #[error("{0}")]
    Client(#[from] client::ClientError),
    /// Something else came back.
    #[error("what came out of the relay is not what went into it")]
    Garbled,
}

/// A running relay.
#[derive(Debug)]
pub struct Turn {
    /// Where it listens.
    pub address: SocketAddr,
    /// What it shares with those who hand out credentials.
    pub secret: TurnSecret,
    stopped: oneshot::Receiver<()>,
}

impl Turn {
    /// Waits until it has stopped.
    pub async fn stopped(self) {
        // An error says the same: nobody is left to send.
        self.stopped.await.ok();
    }
}

/// Starts STUN and TURN on a thread of their own, until `shutdown`.
///
/// Not in the caller's runtime: with one thread a packet is received and sent on by whoever was
/// woken for it, where several threads would first wake each other.
pub async fn start(
    config: &TurnConfig,
    secret: &Secret,
    clock: Clock,
    shutdown: CancellationToken,
) -> Result<Turn, TurnError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(TurnError::Thread)?;
    let (config, secret) = (config.clone(), secret.clone());
    let (ready, started) = oneshot::channel();
    let (done, stopped) = oneshot::channel();
    let serve = async move {
        match Listener::bind(&config, &secret, clock) {
            Err(error) => {
                ready.send(Err(error)).ok();
            }
            Ok(listener) => {
                let told = (listener.address(), listener.secret().clone());
                if ready.send(Ok(told)).is_ok() {
                    tokio::spawn(report(&listener, shutdown.clone()));
                    listener.run(shutdown).await;
                }
            }
        }
        done.send(()).ok();
    };
    let thread = std::thread::Builder::new().name("turn".into());
    thread.spawn(move || runtime.block_on(serve)).map_err(TurnError::Thread)?;
    let gone = |_| TurnError::Thread(io::Error::other("its thread is gone"));
    let (address, secret) = started.await.map_err(gone)??;
    Ok(Turn { address, secret, stopped })
}

/// Says in the log where the relay is and whether it works.
fn report(listener: &Listener, shutdown: CancellationToken) -> impl Future<Output = ()> + Send + 'static {
    let peers = match listener.policy() {
        PeerPolicy::Lan => "to private addresses too, since this server is in a private network",
        PeerPolicy::Public => "to public addresses only",
    };
    tracing::info!("STUN and TURN are on {} (UDP); the relay sends {peers}.", listener.address());
    let self_test = listener.self_test();
    async move {
        let tested = tokio::select! {
            tested = tokio::time::timeout(SELF_TEST_WITHIN, self_test) => tested,
            () = shutdown.cancelled() => return,
        };
        match tested {
            Ok(Ok(took)) => tracing::info!(
                "The relay works: a packet went through it in {} \u{b5}s. (Whether it can be reached from \
                 outside, only somebody outside can tell.)",
                took.as_micros()
            ),
            Ok(Err(error)) => {
                tracing::warn!("The relay does not work: {error}. Calls will only connect directly.");
            }
            Err(_) => tracing::warn!("The relay did not finish its test of itself in 5 s."),
        }
    }
}
