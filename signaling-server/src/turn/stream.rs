//! One client over TCP or TLS: its frames to the [`Service`], answers and packets of its peers back.
//!
//! What comes for a client that reads too slowly is lost, not kept: the queue is short and forgets
//! what is old (`outlet.rs`), and the system is asked to keep little ([`prepare`]). A client
//! that reads nothing at all, or has no relay address and says nothing, is cut off; its relay
//! address ends with its connection.

use std::{convert::Infallible, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{
    core::Core,
    frames::{Frames, NotAFrame},
    outlet::{Outlet, Queued, queue},
    service::Service,
};

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How long a client without a relay address may take for its next message.
const IDLE: Duration = Duration::from_secs(15);

/// How long a client may leave what is written to it unread.
const STALLED: Duration = Duration::from_secs(15);

/// What is written at a time: enough to make up for the cost of a system call and a TLS record. It
/// is not recalled when it gets old, so on a slow way it is delay.
const BATCH: usize = 8 * 1024;

/// What the system may hold of a connection that has not been sent yet; delay as well.
const UNSENT: u32 = 8 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum End {
    /// The client closed it.
    #[error("closed by the client")]
    Closed,
    /// It broke.
    #[error("{0}")]
    Broken(#[from] io::Error),
    /// What came is not of the protocol.
    #[error("neither STUN nor ChannelData came")]
    Garbage,
    /// No message for too long.
    #[error("nothing came for {} s", IDLE.as_secs())]
    Idle,
    /// Nothing is read for too long.
    #[error("nothing was read for {} s", STALLED.as_secs())]
    Stalled,
}

impl From<NotAFrame> for End {
    fn from(NotAFrame: NotAFrame) -> Self {
        Self::Garbage
    }
}

/// Settings of a connection that carries media.
pub fn prepare(stream: &TcpStream) {
    stream.set_nodelay(true).ok();
    let socket = socket2::SockRef::from(stream);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let limited = socket.set_tcp_notsent_lowat(UNSENT);
    // Bounds what is sent but not acknowledged as well, which costs speed over long ways.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let limited = socket.set_send_buffer_size(8 * UNSENT as usize);
    if let Err(error) = limited {
        tracing::debug!(%error, "the send buffer can't be limited");
    }
}

/// Serves one client until its connection ends.
pub async fn serve<S: AsyncRead + AsyncWrite>(service: &Service, stream: S, client: SocketAddr) {
    let Some(_place) = service.connection() else {
        tracing::warn!(%client, "too many TURN connections; one more was closed");
        return;
    };
    let (outlet, packets) = queue();
    let mut connection = Connection {
        service,
        core: service.core(),
        client,
        outlet,
        packets,
        output: Output::default(),
        heard: service.clock().now(),
    };
    let Err(end) = connection.run(stream).await;
    tracing::debug!(%client, %end, "TURN connection ended");
}

/// What is on its way out.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    written: usize,
    /// TLS keeps what it has been given until it is told to send it.
    flushing: bool,
    /// When something of it last went out.
    moved: Duration,
}

impl Output {
    fn is_idle(&self) -> bool {
        self.bytes.is_empty() && !self.flushing
    }

    fn is_stalled(&self, now: Duration) -> bool {
        !self.is_idle() && now.saturating_sub(self.moved) >= STALLED
    }

    fn push(&mut self, bytes: &[u8], now: Duration) {
        if self.is_idle() {
            self.moved = now;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// One step of sending. Nothing is lost if the future is dropped.
    async fn send(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<Went> {
        if self.flushing {
            writer.flush().await?;
            return Ok(Went::Flushed);
        }
        match writer.write(&self.bytes[self.written..]).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(Went::Written(count)),
        }
    }

    fn sent(&mut self, went: Went, now: Duration) {
        self.moved = now;
        match went {
            Went::Flushed => self.flushing = false,
            Went::Written(count) => {
                self.flushing = true;
                self.written += count;
            }
        }
        if self.written >= self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
    }
}

/// What a step of sending did.
#[derive(Clone, Copy, Debug)]
enum Went {
    Written(usize),
    Flushed,
}

struct Connection<'a> {
    service: &'a Service,
    core: Core,
    client: SocketAddr,
    outlet: Outlet,
    packets: mpsc::Receiver<Queued>,
    output: Output,
    /// When the last whole message came.
    heard: Duration,
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.service.end(&mut self.core);
    }
}

impl Connection<'_> {
    async fn run<S: AsyncRead + AsyncWrite>(&mut self, stream: S) -> Result<Infallible, End> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut frames = Frames::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.gather();
            tokio::select! {
                // Answers that a client does not read are no reason to answer more.
                read = reader.read(frames.space()), if self.output.bytes.len() < BATCH => match read? {
                    0 => return Err(End::Closed),
                    count => {
                        frames.filled(count);
                        self.take(&mut frames)?;
                    }
                },
                went = self.output.send(&mut writer), if !self.output.is_idle() => {
                    let went = went?;
                    self.output.sent(went, self.service.clock().now());
                }
                Some(packet) = self.packets.recv(), if self.output.is_idle() => {
                    let now = self.service.clock().now();
                    if let Some(frame) = packet.into_frame(now) {
                        self.output.push(&frame, now);
                    }
                }
                _ = tick.tick() => self.look_at_deadlines()?,
            }
        }
    }

    /// Packets of peers into one write, when what was there before is out: those that wait here
    /// are not forgotten when they get old.
    fn gather(&mut self) {
        if !self.output.is_idle() {
            return;
        }
        let now = self.service.clock().now();
        while self.output.bytes.len() < BATCH
            && let Ok(packet) = self.packets.try_recv()
        {
            if let Some(frame) = packet.into_frame(now) {
                self.output.push(&frame, now);
            }
        }
    }

    /// What the client has sent.
    fn take(&mut self, frames: &mut Frames) -> Result<(), NotAFrame> {
        let now = self.service.clock().now();
        while let Some(frame) = frames.next()? {
            self.heard = now;
            let reply = self.service.handle(&mut self.core, frame, self.client, &self.outlet, now);
            if let Some(reply) = reply {
                self.output.push(&reply, now);
            }
        }
        Ok(())
    }

    fn look_at_deadlines(&mut self) -> Result<(), End> {
        self.service.expire(&mut self.core);
        let now = self.service.clock().now();
        if self.output.is_stalled(now) {
            return Err(End::Stalled);
        }
        // Half a message, sent byte by byte, does not count.
        if self.core.is_empty() && now.saturating_sub(self.heard) >= IDLE {
            return Err(End::Idle);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(3600);

    #[test]
    fn a_client_that_reads_nothing_is_given_up_and_one_that_reads_slowly_is_not() {
        let mut output = Output::default();
        assert!(!output.is_stalled(NOW + STALLED), "there is nothing to read");
        output.push(&[0; 100], NOW);
        assert!(!output.is_stalled(NOW + STALLED / 2));
        output.push(&[0; 100], NOW + STALLED / 2);
        assert!(output.is_stalled(NOW + STALLED), "more to read is no excuse");
        output.sent(Went::Written(1), NOW + STALLED);
        assert!(!output.is_stalled(NOW + STALLED));
        assert_eq!(output.bytes[output.written..].len(), 199);
    }

    #[test]
    fn what_was_written_is_flushed_before_more_is_written() {
        let mut output = Output::default();
        output.push(&[0; 100], NOW);
        output.sent(Went::Written(100), NOW);
        assert!(output.flushing && output.bytes.is_empty() && !output.is_idle());
        assert!(output.is_stalled(NOW + STALLED), "TLS still has it");
        output.sent(Went::Flushed, NOW);
        assert!(output.is_idle());
    }
}
