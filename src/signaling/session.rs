//! The task that holds a session: one socket after another, until somebody ends it.
//!
//! ```text
//!  opening ─▶ serving ─▶ (socket lost) resuming ─▶ serving …
//!     └──────────┴──────────────┴──▶ over (one last event)
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use signaling_protocol::{
    ClientMessage, Envelope, ErrorCode, Message as _, ParseError, ServerMessage, VERSION,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::error::SignalingError;
use super::numbering::{Arrival, Numbering};
use super::socket::{self, Socket};
use super::{Outgoing, Pace, SignalEvent};
use crate::call::reconnect::backoff;
use crate::clock;
use crate::dial::Dialer;
use crate::server_url::ServerUrl;

/// Ticks between two measurements of the round trip.
const PING_TICKS: u32 = 10;

/// A socket that lived so long was a good one: the backoff begins from the start again.
const GOOD_AFTER: Duration = Duration::from_secs(10);

/// Longest wait that a draining server may ask for.
const MOST_DRAIN: Duration = Duration::from_secs(30);

/// Longest time a session is tried to be resumed, whatever the server says.
const MOST_RESUME: Duration = Duration::from_secs(600);

/// WebSocket close codes of the protocol.
mod close {
    /// The session was ended.
    pub const BYE: u16 = 4000;
    /// A newer socket has the session.
    pub const REPLACED: u16 = 4004;
    /// The session is over.
    pub const RESUME_EXPIRED: u16 = 4010;
}

/// Everything the task needs.
pub(super) struct Task {
    pub server: ServerUrl,
    pub name: String,
    pub dialer: Dialer,
    pub pace: Pace,
    pub outgoing: mpsc::Receiver<Outgoing>,
    pub events: mpsc::Sender<SignalEvent>,
    pub hurry: Arc<Notify>,
    pub doubt: Arc<Notify>,
    pub closing: CancellationToken,
}

/// Why a socket is not served any more.
enum End {
    /// We said goodbye.
    Goodbye,
    /// The session goes on with another socket.
    Lost(String),
    /// The session is over.
    Over(SignalingError),
}

struct Session {
    task: Task,
    numbering: Numbering,
    token: String,
    window: Duration,
    silence: u32,
    attempt: u32,
    drain: Option<[u64; 2]>,
}

impl Task {
    /// Runs until the session is over or `closing` is cancelled and goodbye is said.
    pub async fn run(self) {
        let events = self.events.clone();
        let closing = self.closing.clone();
        if let Err(error) = Session::new(self).run(&closing).await {
            debug!(%error, "the session is over");
            events.send(SignalEvent::Failed(error)).await.ok();
        }
    }
}

impl Session {
    fn new(task: Task) -> Self {
        Self {
            task,
            numbering: Numbering::default(),
            token: String::new(),
            window: Duration::ZERO,
            silence: 0,
            attempt: 0,
            drain: None,
        }
    }

    async fn run(mut self, closing: &CancellationToken) -> Result<(), SignalingError> {
        let opened = tokio::select! {
            biased;
            () = closing.cancelled() => return Ok(()),
            opened = self.begin() => opened,
        };
        let mut socket = opened?;
        loop {
            let since = clock::now();
            let reason = match self.serve(&mut socket, closing).await {
                End::Goodbye => return Ok(()),
                End::Over(error) => return Err(error),
                End::Lost(reason) => reason,
            };
            if clock::now().saturating_duration_since(since) >= GOOD_AFTER {
                self.attempt = 0;
            }
            drop(socket);
            debug!(reason, "the socket is lost");
            self.tell(SignalEvent::Lost { reason: reason.clone() }).await;
            socket = tokio::select! {
                biased;
                () = closing.cancelled() => return Ok(()),
                resumed = self.resume(reason) => resumed?,
            };
        }
    }

    fn server(&self) -> String {
        self.task.server.authority()
    }

    async fn tell(&self, event: SignalEvent) {
        // Nobody listens only when the session is about to be closed.
        self.task.events.send(event).await.ok();
    }

    fn garbage(&self, reason: impl Into<String>) -> SignalingError {
        SignalingError::Garbage { server: self.server(), reason: reason.into() }
    }

    async fn open(&mut self) -> Result<Socket, SignalingError> {
        socket::open(&self.task.server, self.task.pace.open, &self.task.dialer).await
    }

    /// A new session.
    async fn begin(&mut self) -> Result<Socket, SignalingError> {
        let mut socket = self.open().await?;
        let hello = ClientMessage::Hello {
            v: vec![VERSION],
            client: concat!("sightline ", env!("CARGO_PKG_VERSION")).into(),
            name: self.task.name.clone(),
        };
        match self.greet(&mut socket, &hello).await? {
            ServerMessage::Welcome { v: VERSION, peer, resume, ping_ms, resume_ms, server, time } => {
                debug!(%peer, server, "welcome");
                self.token = resume;
                self.window = Duration::from_millis(resume_ms).min(MOST_RESUME);
                // Both sides ask once in that time, so two times without anything is silence.
                let ticks = u32::try_from(ping_ms / 500).unwrap_or(u32::MAX);
                self.silence = ticks.clamp(2 * PING_TICKS, 120) + 2;
                let server_time = Duration::from_millis(time);
                self.tell(SignalEvent::Connected { peer, resume_window: self.window, server_time }).await;
                Ok(socket)
            }
            ServerMessage::Welcome { v, .. } => Err(SignalingError::Version {
                server: self.server(),
                reason: format!("it answers in version {v}, we speak {VERSION}"),
            }),
            other => Err(self.refused(other)),
        }
    }

    /// Sends the first message on a socket and waits for the answer.
    async fn greet(
        &mut self,
        socket: &mut Socket,
        first: &ClientMessage,
    ) -> Result<ServerMessage, SignalingError> {
        let text = Envelope::wrap(first).to_text();
        let server = self.server();
        let lost = |reason| SignalingError::Unreachable { server: server.clone(), reason };
        let exchange = async {
            socket.send(Message::text(text)).await.map_err(|error| lost(error.to_string()))?;
            loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let envelope = Envelope::parse(text.as_str())
                            .map_err(|error| self.garbage(error.to_string()))?;
                        return envelope.message().map_err(|error| self.garbage(error.to_string()));
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Ok(Message::Binary(_))) => return Err(self.garbage("a binary message")),
                    Some(Ok(Message::Close(frame))) => return Err(lost(farewell(frame.as_ref()))),
                    Some(Err(error)) => {
                        return Err(match socket::end_in_words(error) {
                            Ok(reason) => lost(reason),
                            Err(reason) => self.garbage(reason),
                        });
                    }
                    None => return Err(lost("it hangs up".into())),
                }
            }
        };
        match timeout(self.task.pace.greet, exchange).await {
            Ok(result) => result,
            Err(_) => Err(SignalingError::TimedOut { server }),
        }
    }

    /// What an unexpected answer to the first message means.
    fn refused(&self, answer: ServerMessage) -> SignalingError {
        match answer {
            ServerMessage::Error { code: ErrorCode::BadVersion, message, .. } => {
                SignalingError::Version { server: self.server(), reason: message }
            }
            ServerMessage::Error { code, message, .. } => {
                SignalingError::Told { server: self.server(), code: Some(code), message }
            }
            ServerMessage::Bye { reason } => {
                SignalingError::Told { server: self.server(), code: None, message: reason }
            }
            _ => self.garbage("its first message does not answer ours"),
        }
    }

    /// Another socket for the session, for as long as the server keeps it.
    async fn resume(&mut self, reason: String) -> Result<Socket, SignalingError> {
        let mut last = reason;
        let server = self.server();
        let window = self.window;
        let trying = async {
            loop {
                let pause = self.pause();
                let hurry = self.task.hurry.clone();
                tokio::select! {
                    () = sleep(pause) => {}
                    () = hurry.notified() => self.attempt = 0,
                }
                match self.resume_once().await {
                    Ok(socket) => return Ok(socket),
                    Err(Attempt::Over(error)) => return Err(error),
                    Err(Attempt::Again(error)) => {
                        debug!(%error, attempt = self.attempt, "not resumed yet");
                        last = error.to_string();
                    }
                }
            }
        };
        match timeout(window, trying).await {
            Ok(result) => result,
            Err(_) => Err(SignalingError::Expired { server, reason: last }),
        }
    }

    fn pause(&mut self) -> Duration {
        let chance = getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX));
        let pause = match self.drain.take() {
            Some([least, most]) => {
                let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
                (least + most.saturating_sub(least).mul_f64(chance)).min(MOST_DRAIN)
            }
            None => backoff(self.attempt, chance),
        };
        self.attempt = self.attempt.saturating_add(1);
        pause
    }

    async fn resume_once(&mut self) -> Result<Socket, Attempt> {
        let hurry = self.task.hurry.clone();
        let opened = tokio::select! {
            opened = self.open() => opened,
            () = hurry.notified() => {
                hurry.notify_one();
                let server = self.server();
                Err(SignalingError::Unreachable { server, reason: "the network changed".into() })
            }
        };
        let mut socket = opened.map_err(Attempt::Again)?;
        let first = ClientMessage::Resume { token: self.token.clone(), last: self.numbering.received() };
        let answer = self.greet(&mut socket, &first).await.map_err(Attempt::Again)?;
        let (last, fresh) = match answer {
            ServerMessage::Resumed { resume, last, fresh } => {
                self.token = resume;
                (last, fresh)
            }
            ServerMessage::Error { code: ErrorCode::ResumeExpired, message, .. } => {
                return Err(Attempt::Over(SignalingError::Expired {
                    server: self.server(),
                    reason: message,
                }));
            }
            ServerMessage::Error {
                code:
                    ErrorCode::Draining | ErrorCode::ServerFull | ErrorCode::RateLimited | ErrorCode::Internal,
                message,
                ..
            } => {
                return Err(Attempt::Again(SignalingError::Told {
                    server: self.server(),
                    code: None,
                    message,
                }));
            }
            other => return Err(Attempt::Over(self.refused(other))),
        };
        let again = if fresh {
            self.numbering.begin_anew()
        } else {
            let mismatch = "it has lost messages that it confirmed, and does not know it";
            self.numbering.resume(last).map_err(|_| Attempt::Over(self.garbage(mismatch)))?
        };
        for text in again {
            self.write(&mut socket, text).await.map_err(|reason| {
                Attempt::Again(SignalingError::Unreachable { server: self.server(), reason })
            })?;
        }
        self.tell(SignalEvent::Resumed { fresh }).await;
        Ok(socket)
    }

    /// Serves one socket until it ends.
    async fn serve(&mut self, socket: &mut Socket, closing: &CancellationToken) -> End {
        let mut ticks = interval(self.task.pace.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut tick, mut quiet) = (0u32, 0u32);
        let mut pinged: Option<Instant> = None;
        let mut answer_by: Option<Instant> = None;
        loop {
            let done = tokio::select! {
                biased;
                outgoing = self.task.outgoing.recv() => match outgoing {
                    Some(outgoing) => self.send(socket, outgoing).await,
                    None => Err(self.goodbye(socket).await),
                },
                () = closing.cancelled() => Err(self.goodbye(socket).await),
                () = self.task.hurry.notified() => {
                    // The next one begins now.
                    self.task.hurry.notify_one();
                    Err(End::Lost("the network changed".into()))
                }
                () = self.task.doubt.notified() => {
                    let now = clock::now();
                    answer_by.get_or_insert(now + self.task.pace.answer);
                    pinged = Some(now);
                    self.control(socket, &ClientMessage::Ping).await
                }
                () = until(answer_by) => {
                    // The next one begins now.
                    self.task.hurry.notify_one();
                    Err(End::Lost("the server does not answer over this network".into()))
                }
                frame = socket.next() => {
                    (quiet, answer_by) = (0, None);
                    match frame {
                        Some(Ok(Message::Text(text))) => self.receive(socket, text.as_str(), &mut pinged).await,
                        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
                        Some(Ok(Message::Binary(_))) => Err(End::Over(self.garbage("a binary message"))),
                        Some(Ok(Message::Close(frame))) => Err(self.closed(frame.as_ref())),
                        Some(Err(error)) => Err(match socket::end_in_words(error) {
                            Ok(reason) => End::Lost(reason),
                            Err(reason) => End::Over(self.garbage(reason)),
                        }),
                        None => Err(End::Lost("it was closed".into())),
                    }
                }
                _ = ticks.tick() => {
                    tick = tick.wrapping_add(1);
                    quiet += 1;
                    if quiet > self.silence {
                        Err(End::Lost("the server has fallen silent".into()))
                    } else if tick % PING_TICKS == 1 {
                        pinged = Some(clock::now());
                        self.control(socket, &ClientMessage::Ping).await
                    } else if self.numbering.ack_is_wanted() {
                        self.control(socket, &ClientMessage::Ack).await
                    } else {
                        Ok(())
                    }
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn write(&self, socket: &mut Socket, text: String) -> Result<(), String> {
        match timeout(self.task.pace.write, socket.send(Message::text(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the server takes nothing any more".into()),
        }
    }

    async fn control(&mut self, socket: &mut Socket, message: &ClientMessage) -> Result<(), End> {
        let text = self.numbering.stamp(Envelope::wrap(message));
        self.write(socket, text).await.map_err(End::Lost)
    }

    async fn send(&mut self, socket: &mut Socket, outgoing: Outgoing) -> Result<(), End> {
        let Outgoing { message, id } = outgoing;
        if !message.is_sequenced() {
            return self.control(socket, &message).await;
        }
        let envelope = Envelope { id, ..Envelope::wrap(&message) };
        match self.numbering.outgoing(envelope) {
            Ok(text) => self.write(socket, text).await.map_err(End::Lost),
            Err(super::numbering::Overflow) => {
                Err(End::Over(self.garbage("it confirms nothing that it is sent")))
            }
        }
    }

    /// Everything that waits goes out, then the goodbye.
    async fn goodbye(&mut self, socket: &mut Socket) -> End {
        while let Ok(outgoing) = self.task.outgoing.try_recv() {
            if self.send(socket, outgoing).await.is_err() {
                return End::Goodbye;
            }
        }
        if self.control(socket, &ClientMessage::Bye).await.is_ok() {
            socket.close(None).await.ok();
            // Until the server closes, too: what was sent has arrived then.
            while let Some(Ok(_)) = socket.next().await {}
        }
        End::Goodbye
    }

    fn closed(&self, frame: Option<&CloseFrame>) -> End {
        let reason = farewell(frame);
        match frame.map(|frame| u16::from(frame.code)) {
            Some(close::BYE | close::REPLACED) => {
                End::Over(SignalingError::Told { server: self.server(), code: None, message: reason })
            }
            Some(close::RESUME_EXPIRED) => {
                End::Over(SignalingError::Expired { server: self.server(), reason })
            }
            Some(_) | None => End::Lost(reason),
        }
    }

    async fn receive(
        &mut self,
        socket: &mut Socket,
        text: &str,
        pinged: &mut Option<Instant>,
    ) -> Result<(), End> {
        let envelope = Envelope::parse(text).map_err(|error| End::Over(self.garbage(error.to_string())))?;
        if let Some(a) = envelope.a {
            self.numbering.acknowledge(a);
        }
        let message = match envelope.message::<ServerMessage>() {
            Ok(message) => Some(message),
            // Of a later version; it counts all the same.
            Err(ParseError::UnknownType(t)) => {
                debug!(t, "an unknown message");
                None
            }
            Err(error) => return Err(End::Over(self.garbage(error.to_string()))),
        };
        let sequenced = message.as_ref().map_or(envelope.s.is_some(), ServerMessage::is_sequenced);
        if sequenced {
            match self.numbering.incoming(envelope.s) {
                Arrival::Next => {}
                Arrival::Duplicate => return Ok(()),
                Arrival::Gap => {
                    let expected = self.numbering.received() + 1;
                    let found = envelope.s.map_or("none".to_owned(), |s| s.to_string());
                    let reason = format!("messages out of order (number {found} instead of {expected})");
                    return Err(End::Over(self.garbage(reason)));
                }
            }
        }
        let Some(message) = message else { return Ok(()) };
        match message {
            ServerMessage::Ping => self.control(socket, &ClientMessage::Pong).await?,
            ServerMessage::Pong => {
                if let Some(at) = pinged.take() {
                    self.tell(SignalEvent::RoundTrip(clock::now().saturating_duration_since(at))).await;
                }
            }
            ServerMessage::Ack => {}
            ServerMessage::ResumeToken { resume } => self.token = resume,
            ServerMessage::Drain { retry_ms } => self.drain = Some(retry_ms),
            ServerMessage::Bye { reason } => {
                let told = SignalingError::Told { server: self.server(), code: None, message: reason };
                return Err(End::Over(told));
            }
            message @ ServerMessage::Error { fatal: true, .. } => {
                return Err(End::Over(self.refused(message)));
            }
            ServerMessage::Welcome { .. } | ServerMessage::Resumed { .. } => {
                return Err(End::Over(self.garbage("a greeting in the middle of a session")));
            }
            message => self.tell(SignalEvent::Message { message, re: envelope.re }).await,
        }
        if self.numbering.ack_is_urgent() {
            self.control(socket, &ClientMessage::Ack).await?;
        }
        Ok(())
    }
}

/// What an attempt to resume came to.
enum Attempt {
    Again(SignalingError),
    Over(SignalingError),
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn farewell(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(frame) if !frame.reason.is_empty() => {
            format!("it was closed: {}", crate::server_url::shortened(frame.reason.as_str()))
        }
        Some(_) | None => "it was closed".into(),
    }
}
