//! A typed client of the signaling server: one session, whatever happens to the sockets below it.
//!
//! ```text
//!  engine ──send──▶ session task ──numbered envelopes──▶ server
//!  engine ◀─SignalEvent─ session task ◀──acks, replay────  ▲
//!                            └── socket lost: resume with backoff
//! ```
//!
//! This module does not know what the signals inside the messages mean, that there is media, or
//! that there is a window.

mod error;
mod numbering;
mod session;
mod socket;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use signaling_protocol::{ClientMessage, PeerId, ServerMessage};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::dial::Dialer;
use crate::server_url::ServerUrl;

pub use error::SignalingError;

/// From the engine to the session; messages wait in it while the socket is lost. When it is full,
/// `send` says so: more than that cannot be made up for.
const OUTGOING: usize = 256;

/// From the session to the engine. When it is full the session waits, and the server with it.
const EVENTS: usize = 256;

/// What a session tells.
#[derive(Clone, Debug, PartialEq)]
pub enum SignalEvent {
    /// The server has said welcome. Comes once, first.
    Connected {
        /// Who we are to the others.
        peer: PeerId,
        /// How long the session outlives its socket.
        resume_window: Duration,
        /// The server's wall clock when it said welcome: time since the Unix epoch.
        server_time: Duration,
    },
    /// A message of the server that is not about the session itself.
    Message {
        /// The message.
        message: ServerMessage,
        /// The id of the request that it answers.
        re: Option<u64>,
    },
    /// The socket is lost; the session is being resumed. What is sent meanwhile waits.
    Lost {
        /// One sentence.
        reason: String,
    },
    /// The session goes on. Every message sent or received before is delivered, unless `fresh`.
    Resumed {
        /// The server knows the session, but nothing of what was under way (it was restarted).
        fresh: bool,
    },
    /// The round trip to the server.
    RoundTrip(Duration),
    /// The session could not begin, or is over. Comes once, last.
    Failed(SignalingError),
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// From the name to the open WebSocket.
    open: Duration,
    /// The server's first message.
    greet: Duration,
    /// A message to leave.
    write: Duration,
    /// The server's answer when it is in doubt that the socket still works.
    answer: Duration,
    /// How often acknowledgements, pings and the server's silence are looked at.
    tick: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            open: Duration::from_secs(10),
            greet: Duration::from_secs(5),
            write: Duration::from_secs(10),
            answer: Duration::from_secs(2),
            tick: Duration::from_secs(1),
        }
    }
}

/// A message on its way to the server.
#[derive(Clone, Debug, PartialEq)]
struct Outgoing {
    message: ClientMessage,
    id: Option<u64>,
}

/// The session takes nothing any more.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the session with the server takes nothing any more")]
pub struct Stopped;

/// A session. Dropping it says goodbye, too, but does not wait for it.
#[derive(Debug)]
pub struct SignalingHandle {
    outgoing: mpsc::Sender<Outgoing>,
    events: mpsc::Receiver<SignalEvent>,
    hurry: Arc<Notify>,
    doubt: Arc<Notify>,
    closing: DropGuard,
    task: JoinHandle<()>,
}

/// Begins a session as `name` (1 to 64 bytes); needs a tokio runtime. What comes of it is told by
/// [`SignalingHandle::next_event`].
pub fn connect(server: ServerUrl, name: String, dialer: Dialer) -> SignalingHandle {
    connect_at_pace(server, name, dialer, Pace::default())
}

fn connect_at_pace(server: ServerUrl, name: String, dialer: Dialer, pace: Pace) -> SignalingHandle {
    let (outgoing, to_session) = mpsc::channel(OUTGOING);
    let (to_engine, events) = mpsc::channel(EVENTS);
    let closing = CancellationToken::new();
    let (hurry, doubt) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let task = session::Task {
        server,
        name,
        dialer,
        pace,
        outgoing: to_session,
        events: to_engine,
        hurry: hurry.clone(),
        doubt: doubt.clone(),
        closing: closing.clone(),
    };
    let task = tokio::spawn(task.run());
    SignalingHandle { outgoing, events, hurry, doubt, closing: closing.drop_guard(), task }
}

impl SignalingHandle {
    /// Sends a message: now, or after the resume if the socket is lost. `id` comes back as `re`.
    pub fn send(&self, message: ClientMessage, id: Option<u64>) -> Result<(), Stopped> {
        self.outgoing.try_send(Outgoing { message, id }).map_err(|_| Stopped)
    }

    /// The network changed, or the computer woke up: the socket may be dead without knowing. The session
    /// goes on with a fresh one at once, whatever it was waiting for.
    pub fn renew(&self) {
        self.hurry.notify_one();
    }

    /// Packets may take another way now: if the server does not answer soon, the session goes on with a
    /// fresh socket.
    pub fn doubt(&self) {
        self.doubt.notify_one();
    }

    /// What happened next; `None` after [`SignalEvent::Failed`]. Cancel safe.
    pub async fn next_event(&mut self) -> Option<SignalEvent> {
        self.events.recv().await
    }

    /// Sends what still waits and says goodbye; gives up at `deadline`.
    pub async fn close(self, deadline: Instant) {
        let Self { outgoing, events, hurry: _, doubt: _, closing, mut task } = self;
        drop(outgoing);
        drop(events);
        drop(closing);
        if tokio::time::timeout_at(deadline.into(), &mut task).await.is_err() {
            tracing::debug!("the session did not end in time");
            task.abort();
        }
    }
}
