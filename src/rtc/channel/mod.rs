//! What is said to a participant beside pictures and sound: chat, files, the pointer.
//!
//! ```text
//!  DataSender ──▶ Mailbox (bounded) ──▶ Outbox ──frames──▶ whatever connection carries media
//!  TransportEvent::Data ◀── Inbox ◀──frames── every connection
//! ```
//!
//! A channel belongs to the participant: what was lost with an old connection is sent again by the
//! next one ([`delivery`]), and files take what media leaves ([`window`], [`giving_way`]). What the messages mean is
//! not known here. Wire formats: `docs/channels.md`.

pub mod delivery;
pub mod giving_way;
pub mod window;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use signaling_protocol::PeerId;
use tokio::sync::mpsc;

/// Messages on their way from the network to the participant's task. When full, the engine stops
/// reading and the other side's association is told to wait (RFC 9260, receiver window).
pub const ARRIVALS: usize = 64;

/// Messages on their way to the participant's task; when full they are refused as by a full lane.
const POSTS: usize = 512;

/// The longest message of a channel, in bytes: that of a description without `max-message-size`
/// (RFC 8841 section 6.1), less our own frame.
pub const LONGEST_MESSAGE: usize = 65_536 - delivery::OVERHEAD;

/// One of the data channels (RFC 8831) of a participant, known to both sides beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Text, reactions: reliable, ordered.
    Chat,
    /// Files: reliable, ordered; gives way to media.
    Files,
    /// The pointer and strokes: unordered, never sent again.
    Pointer,
}

impl Channel {
    /// All.
    pub const ALL: [Self; 3] = [Self::Chat, Self::Files, Self::Pointer];

    /// The SCTP stream, the same on both sides.
    pub const fn stream(self) -> u16 {
        self as u16
    }

    /// The label, as it appears in statistics.
    pub const fn label(self) -> &'static str {
        match self {
            Channel::Chat => "chat",
            Channel::Files => "files",
            Channel::Pointer => "pointer",
        }
    }

    /// Whether everything arrives, in order.
    pub const fn is_reliable(self) -> bool {
        match self {
            Channel::Chat | Channel::Files => true,
            Channel::Pointer => false,
        }
    }

    /// Bytes that may wait for the other side to have them. When full, messages are refused.
    pub const fn capacity(self) -> usize {
        match self {
            Channel::Chat | Channel::Files => 256 * 1024,
            // What is older than a few pictures is of no use.
            Channel::Pointer => 4 * 1024,
        }
    }
}

/// Whether the other side has these channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// It has answered by them.
    Open,
    /// There is a connection, but no answer: another or an older program.
    Absent,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too much waits already; [`super::TransportEvent::Room`] tells when there is room.
    #[error("too much waits to be sent")]
    Full,
    /// There is no such participant.
    #[error("the participant is not there")]
    Nobody,
    /// Over [`LONGEST_MESSAGE`].
    #[error("the message is too long")]
    TooLong,
}

#[derive(Debug, Default)]
struct Lane {
    /// Bytes posted and not yet with the other side.
    waiting: AtomicUsize,
    /// Somebody was refused since there was room.
    refused: AtomicBool,
}

/// Where messages for one participant are posted; counts what is on its way.
#[derive(Clone, Debug)]
pub struct Mailbox {
    posts: mpsc::Sender<(Channel, Bytes)>,
    lanes: Arc<[Lane; 3]>,
}

impl Mailbox {
    /// An empty one, and its other end.
    pub fn new() -> (Self, mpsc::Receiver<(Channel, Bytes)>) {
        let (posts, receiver) = mpsc::channel(POSTS);
        (Self { posts, lanes: Arc::default() }, receiver)
    }

    /// Takes a message, or refuses it.
    pub fn post(&self, channel: Channel, message: Bytes) -> Result<(), Refusal> {
        let size = message.len();
        if size > LONGEST_MESSAGE {
            return Err(Refusal::TooLong);
        }
        let lane = &self.lanes[channel as usize];
        let before = lane.waiting.fetch_add(size, Ordering::AcqRel);
        let fits = before == 0 || before + size <= channel.capacity();
        if fits && self.posts.try_send((channel, message)).is_ok() {
            return Ok(());
        }
        lane.waiting.fetch_sub(size, Ordering::AcqRel);
        lane.refused.store(true, Ordering::Release);
        Err(Refusal::Full)
    }

    /// So many bytes are no longer on their way; says whether somebody waits for the room that is
    /// there now.
    pub fn done(&self, channel: Channel, bytes: usize) -> bool {
        let lane = &self.lanes[channel as usize];
        let left = lane.waiting.fetch_sub(bytes, Ordering::AcqRel) - bytes;
        left <= channel.capacity() / 2 && lane.refused.swap(false, Ordering::AcqRel)
    }
}

/// Posts messages to participants from any thread; never blocks. Clones post to the same ones.
#[derive(Clone, Debug, Default)]
pub struct DataSender(Arc<Mutex<BTreeMap<PeerId, Mailbox>>>);

impl DataSender {
    /// Posts one message.
    pub fn send(&self, peer: &PeerId, channel: Channel, message: Bytes) -> Result<(), Refusal> {
        let boxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        boxes.get(peer).ok_or(Refusal::Nobody)?.post(channel, message)
    }

    /// A participant came.
    pub fn add(&self, peer: PeerId, mailbox: Mailbox) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, mailbox);
    }

    /// A participant went.
    pub fn remove(&self, peer: &PeerId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_lane_refuses_and_tells_once_when_there_is_room_again() {
        let (mailbox, mut posts) = Mailbox::new();
        let message = Bytes::from(vec![0; 60_000]);
        let taken = (0..9).filter(|_| mailbox.post(Channel::Files, message.clone()).is_ok()).count();
        assert_eq!(taken, 4);
        assert_eq!(mailbox.post(Channel::Chat, message.clone()), Ok(()), "lanes are apart");
        assert_eq!(posts.try_recv().map(|(channel, _)| channel), Ok(Channel::Files));
        assert!(!mailbox.done(Channel::Files, 60_000));
        assert!(mailbox.done(Channel::Files, 60_000));
        assert!(!mailbox.done(Channel::Files, 60_000), "only once");
    }

    #[test]
    fn what_no_channel_carries_is_refused_at_once() {
        let (mailbox, _posts) = Mailbox::new();
        let long = Bytes::from(vec![0; LONGEST_MESSAGE + 1]);
        assert_eq!(mailbox.post(Channel::Chat, long), Err(Refusal::TooLong));
        let nobody = PeerId::new("nobody").unwrap();
        assert_eq!(DataSender::default().send(&nobody, Channel::Chat, Bytes::new()), Err(Refusal::Nobody));
    }
}
