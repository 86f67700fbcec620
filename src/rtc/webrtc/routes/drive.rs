//! One stream to a server, from its opening to its end.
//!
//! A stream that breaks before it has an allocation is opened again; after that the allocation is
//! gone with it. What is said on it is the [`Hub`]'s.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::hub::{Hub, failure};
use crate::dial::{DialError, Stream};
use crate::rtc::engine::Direction;
use crate::rtc::stats::{FailedStep, ServerFailure, ServerTransport};
use crate::rtc::turn_stream::{Ended, Outgoing, carry, keep_short};
use crate::rtc::webrtc::servers::{Server, Standing};
use crate::rtc::webrtc::talk::Talk;
use crate::server_url::{Host, Security};

/// How long a connection may take, and how long the TLS handshake after it.
const CONNECT: Duration = Duration::from_secs(6);
/// See [`CONNECT`].
const HANDSHAKE: Duration = Duration::from_secs(3);

/// How long a server that took the connection may say nothing.
const FIRST_ANSWER: Duration = Duration::from_secs(3);

/// Waits before a stream that broke is opened again.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1_200)];

/// Opens a stream to a server and carries datagrams until it ends for good.
pub(super) struct Drive {
    pub(super) hub: Weak<Hub>,
    pub(super) server: Arc<Server>,
    pub(super) stand_in: SocketAddr,
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) other: Option<SocketAddr>,
}

impl Drive {
    /// Until the stream has ended for good.
    pub(super) async fn run(self) {
        let mut waits = AGAIN.iter();
        loop {
            let (failure, hopeless) = match self.open().await {
                Ok((stream, peer)) => (self.carry(stream, peer).await, false),
                Err(error) => (failure(&error), matches!(error, DialError::Family(_) | DialError::Tls(_))),
            };
            let Some(hub) = self.hub.upgrade() else { return };
            if let Some(relayed) = hub.talk(self.stand_in, Talk::relayed).flatten() {
                hub.servers.lost(&self.server, relayed, &failure.text);
                return hub.close(self.stand_in, failure);
            }
            let again = waits.next().filter(|_| !hopeless);
            let Some(wait) = again else { return hub.close(self.stand_in, failure) };
            tracing::debug!(url = self.server.url, failure.text, "a stream is opened again");
            hub.note(&self.server, Standing::Asking(Some(failure)));
            drop(hub);
            sleep(*wait).await;
            let Some(hub) = self.hub.upgrade() else { return };
            hub.ask_again(self.stand_in).await;
        }
    }

    /// A stream, and who is at its other end.
    async fn open(&self) -> Result<(Box<dyn Stream>, SocketAddr), DialError> {
        let Some((dialer, from)) = self.hub.upgrade().map(|hub| (hub.servers.dialer.clone(), hub.local.ip()))
        else {
            return Err(DialError::Silent);
        };
        let place = &self.server.place;
        let (host, port) = match self.other {
            Some(other) => (Host::from(other.ip()), other.port()),
            None => (place.host.clone(), place.port),
        };
        let connecting = timeout(CONNECT, dialer.connect(&host, port, Some(from)));
        let tcp = connecting.await.unwrap_or(Err(DialError::Silent))?;
        keep_short(&tcp);
        let peer = tcp.peer_addr().unwrap_or(self.stand_in);
        let security = match place.transport {
            ServerTransport::Udp | ServerTransport::Tcp => Security::Plain,
            ServerTransport::Tls => Security::Tls,
        };
        let securing = timeout(HANDSHAKE, dialer.secure(security, &place.host, tcp));
        let silent = |_| Err(DialError::Tls("it takes the connection and says nothing".to_owned()));
        Ok((securing.await.unwrap_or_else(silent)?, peer))
    }

    /// Carries until the stream ends; says why it did.
    async fn carry(&self, stream: Box<dyn Stream>, peer: SocketAddr) -> ServerFailure {
        let pass = |direction, message: Bytes| {
            let Some(hub) = self.hub.upgrade() else { return };
            hub.account(direction, &self.server, peer, &message);
            if direction == Direction::Received {
                hub.streamed(self.stand_in, message);
            }
        };
        let carrying = carry(stream, &self.outgoing, pass);
        tokio::pin!(carrying);
        let silence = tokio::select! {
            ended = &mut carrying => return broken(&ended),
            () = sleep(FIRST_ANSWER) => self.hub.upgrade().and_then(|hub| {
                hub.talk(self.stand_in, |talk| (!talk.is_answered()).then(|| talk.silence())).flatten()
            }),
        };
        match silence {
            Some(ServerFailure { step, text }) => {
                ServerFailure { step, text: format!("it takes the connection, but {text}") }
            }
            None => broken(&carrying.await),
        }
    }
}

fn broken(ended: &Ended) -> ServerFailure {
    ServerFailure { step: FailedStep::Refused, text: ended.to_string() }
}
