//! Datagrams for a TURN server over one TCP or TLS connection (RFC 8656 section 2.1).
//!
//! ```text
//!  datagrams ──▶ Outgoing (backlog: late pictures are dropped) ──▶ framing ──▶ stream
//!  datagrams ◀──────────────────── deframing ◀──────────────────────────────── stream
//! ```
//!
//! This module knows the shape of STUN messages, but asks and answers none of its own; it knows no
//! WebRTC engine, and not how the stream was opened.

pub mod backlog;
pub mod framing;

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::clock;
use crate::dial::Stream;
use crate::rtc::engine::Direction;
use backlog::{Backlog, Kind};
use framing::{Deframer, framed};

/// Bytes that the kernel may hold unsent: a few packets, so that waiting happens where late ones can
/// be dropped. What is on its way and unacknowledged is not counted, so speed is not lost.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 8 * 1024;

/// Where the kernel cannot be told so: the whole send buffer.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEND_BUFFER: usize = 64 * 1024;

/// Bytes asked for at once from the stream.
const READ: usize = 16 * 1024;

/// Lets little wait in the kernel.
pub fn keep_short(tcp: &TcpStream) {
    let options = socket2::SockRef::from(tcp);
    // Where neither works the connection does, with a longer queue.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    options.set_tcp_notsent_lowat(UNSENT).ok();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    options.set_send_buffer_size(SEND_BUFFER).ok();
}

/// The way into a stream. Never blocks: what is too much is dropped, see [`backlog`].
#[derive(Debug, Default)]
pub struct Outgoing {
    backlog: Mutex<Backlog>,
    filled: Notify,
}

impl Outgoing {
    /// Sends a datagram, or drops it when it is not one whole TURN message. `sound` is the payload
    /// type of sound.
    pub fn put(&self, datagram: &[u8], sound: u8) {
        let Some(message) = framed(datagram) else { return };
        let kind = Kind::of(datagram, sound);
        self.lock().put(clock::now(), kind, message);
        self.filled.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Backlog> {
        self.backlog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Bytes {
        loop {
            if let Some(message) = self.lock().take(clock::now()) {
                return message;
            }
            self.filled.notified().await;
        }
    }
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The server closed it.
    #[error("it closes the connection")]
    Closed,
    /// The server does not speak TURN.
    #[error(transparent)]
    Garbage(#[from] framing::Garbage),
    /// The way there broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
}

/// Carries datagrams both ways until the stream ends. `pass` gets what was received, and is told
/// what leaves.
pub async fn carry(stream: Box<dyn Stream>, outgoing: &Outgoing, pass: impl Fn(Direction, Bytes)) -> Ended {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let read = async {
        let mut deframer = Deframer::default();
        loop {
            deframer.buffer().reserve(READ);
            if reading.read_buf(deframer.buffer()).await? == 0 {
                return Err(Ended::Closed);
            }
            while let Some(message) = deframer.next_message()? {
                pass(Direction::Received, message);
            }
        }
    };
    let write = async {
        loop {
            // One at a time down to the kernel: TLS would keep up to 64 KiB otherwise.
            let message = outgoing.next().await;
            pass(Direction::Sent, message.clone());
            writing.write_all(&message).await?;
            writing.flush().await?;
        }
    };
    let ended: Result<(), Ended> = tokio::select! {
        ended = read => ended,
        ended = write => ended,
    };
    match ended {
        Ok(()) => Ended::Closed,
        Err(ended) => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// ChannelData with a number and what a relay carries.
    fn channel_data(number: u16, inner: &[u8], len: usize) -> Vec<u8> {
        let mut message = vec![0x40, 0, (len >> 8) as u8, len as u8];
        message.extend(inner);
        message.extend(number.to_be_bytes());
        message.resize(4 + len, 0);
        message
    }

    #[tokio::test]
    async fn a_stream_that_is_full_loses_pictures_and_keeps_what_holds_the_call_together() {
        const PICTURE: [u8; 2] = [0x80, 96];
        const REPORT: [u8; 2] = [0x80, 200];
        // 4 kB on the way, and nobody reads for a while.
        let (ours, mut theirs) = tokio::io::duplex(4 * 1024);
        let outgoing = Outgoing::default();
        let carrying = carry(Box::new(ours), &outgoing, |_, _| {});
        let talking = async {
            for number in 0..60 {
                outgoing.put(&channel_data(number, &PICTURE, 1_000), 111);
                outgoing.put(&channel_data(number, &REPORT, 60), 111);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let mut deframer = Deframer::default();
            let (mut pictures, mut reports) = (Vec::new(), Vec::new());
            while reports.last() != Some(&59) {
                theirs.read_buf(deframer.buffer()).await.expect("open");
                while let Some(message) = deframer.next_message().expect("whole messages") {
                    let number = u16::from_be_bytes([message[6], message[7]]);
                    if message[5] == REPORT[1] { &mut reports } else { &mut pictures }.push(number);
                }
            }
            (pictures, reports)
        };
        let (pictures, reports) = tokio::select! {
            ended = carrying => panic!("{ended}"),
            read = talking => read,
        };
        assert_eq!(reports, (0..60).collect::<Vec<_>>());
        println!("pictures {pictures:?}");
        assert!(pictures.is_sorted() && pictures.len() < 40, "600 ms of them, of which 200 may wait");
        assert!(!pictures.contains(&20), "what is old is not sent");
    }

    #[tokio::test]
    async fn a_server_that_hangs_up_or_speaks_something_else_ends_the_stream() {
        let (ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        let ended = carry(Box::new(ours), &Outgoing::default(), |_, _| {}).await;
        assert!(matches!(ended, Ended::Closed), "{ended}");
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(b"SSH-2.0").await.expect("room");
        let ended = carry(Box::new(ours), &Outgoing::default(), |_, _| {}).await;
        assert!(matches!(ended, Ended::Garbage(_)), "{ended}");
    }
}
