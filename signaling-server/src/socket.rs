//! One WebSocket: its frames to the hub and the hub's frames to it.
//!
//! Here are the limits that do not need to understand a message: size, rate, and how long a write
//! may take.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use signaling_protocol::{ErrorCode, MAX_MESSAGE};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::CapacityError,
        protocol::{CloseFrame, Role, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

use crate::{
    bucket::{Bucket, Rate},
    clock::Clock,
    hub::{Input, close},
    server::Mail,
    session::{MAX_UNACKED, SocketId},
};

/// Messages a second, and at once.
const RATE: Rate = Rate { per_second: 50.0, burst: 200.0 };

/// How long a client may keep sending at the limit before it is cut off.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long one write may take; a client that reads nothing for so long is gone.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// How long a client has to answer a close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Frames on their way from the hub to one socket: everything that a resume may send again, and some
/// more. When it is full the socket is closed with [`close::SLOW`]; what was lost is sent again after
/// the resume.
pub const OUTBOX: usize = MAX_UNACKED + 64;

/// What the hub has for a socket.
#[derive(Debug)]
pub enum Outgoing {
    /// A text frame.
    Text(String),
    /// The end.
    Close(u16, &'static str),
}

/// The limits on frames, enforced before anything is allocated or parsed.
fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE))
}

/// A socket as its task has it.
pub struct Socket<S> {
    number: SocketId,
    stream: WebSocketStream<S>,
    hub: mpsc::Sender<Mail>,
    outbox: mpsc::Receiver<Outgoing>,
    too_slow: CancellationToken,
    clock: Clock,
}

/// Why the socket ends.
enum End {
    Closed,
    With(u16, &'static str),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Takes over an upgraded stream.
    pub async fn new(
        number: SocketId,
        stream: S,
        hub: mpsc::Sender<Mail>,
        outbox: mpsc::Receiver<Outgoing>,
        too_slow: CancellationToken,
        clock: Clock,
    ) -> Self {
        let stream = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits())).await;
        Self { number, stream, hub, outbox, too_slow, clock }
    }

    /// Runs until either side closes.
    pub async fn run(mut self) {
        let end = self.serve().await;
        if let End::With(code, reason) = end {
            let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
            let farewell = async {
                // The answer is read so that the close arrives before the connection is reset.
                if self.stream.close(Some(frame)).await.is_ok() {
                    while let Some(Ok(_)) = self.stream.next().await {}
                }
            };
            timeout(CLOSE_WITHIN, farewell).await.ok();
        }
        self.hub.send(Mail::Input(Input::Gone { socket: self.number })).await.ok();
    }

    async fn serve(&mut self) -> End {
        let mut bucket = Bucket::new(RATE, self.clock.now());
        let mut at_limit_since = None;
        let too_slow = self.too_slow.clone();
        loop {
            tokio::select! {
                biased;
                () = too_slow.cancelled() => return End::With(close::SLOW, "too slow"),
                outgoing = self.outbox.recv() => match outgoing {
                    Some(Outgoing::Text(text)) => {
                        let write = timeout(WRITE_WITHIN, self.stream.send(Message::text(text)));
                        tokio::select! {
                            () = too_slow.cancelled() => return End::With(close::SLOW, "too slow"),
                            sent = write => match sent {
                                Ok(Ok(())) => {}
                                Ok(Err(_)) => return End::Closed,
                                Err(_) => return End::With(close::SLOW, "too slow"),
                            },
                        }
                    }
                    Some(Outgoing::Close(code, reason)) => return End::With(code, reason),
                    None => return End::Closed,
                },
                frame = self.stream.next() => {
                    let now = self.clock.now();
                    if bucket.has_recovered(now) {
                        at_limit_since = None;
                    }
                    if let Err(wait) = bucket.take(now) {
                        if now.saturating_sub(*at_limit_since.get_or_insert(now)) > PATIENCE {
                            let text = "More than 50 messages a second are too many.";
                            self.broken(ErrorCode::RateLimited, text).await;
                            return self.last_words().await;
                        }
                        tokio::time::sleep(wait).await;
                        bucket.take(self.clock.now()).ok();
                    }
                    match frame {
                        Some(Ok(Message::Text(text))) => {
                            let text = text.as_str().to_owned();
                            if self.hub.send(Mail::Input(Input::Text { socket: self.number, text })).await.is_err() {
                                return End::Closed;
                            }
                        }
                        Some(Ok(Message::Binary(_))) => {
                            self.broken(ErrorCode::BadRequest, "Binary frames are not of the protocol.").await;
                        }
                        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                        Some(Err(Error::Capacity(CapacityError::MessageTooLong { size, .. }))) => {
                            let text = format!("The message has {size} bytes; at most {MAX_MESSAGE} are allowed.");
                            self.broken(ErrorCode::TooLarge, &text).await;
                            return self.last_words().await;
                        }
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Closed,
                    }
                }
            }
        }
    }

    /// Tells the hub, which answers with an error and a close.
    async fn broken(&mut self, code: ErrorCode, message: &str) {
        let message = message.to_owned();
        self.hub.send(Mail::Input(Input::Broken { socket: self.number, code, message })).await.ok();
    }

    /// What the hub still has to say to a client that can't be read from any more.
    async fn last_words(&mut self) -> End {
        let rest = async {
            while let Some(outgoing) = self.outbox.recv().await {
                match outgoing {
                    Outgoing::Text(text) => {
                        self.stream.send(Message::text(text)).await.ok();
                    }
                    Outgoing::Close(code, reason) => return End::With(code, reason),
                }
            }
            End::Closed
        };
        timeout(WRITE_WITHIN, rest).await.unwrap_or(End::Closed)
    }
}
