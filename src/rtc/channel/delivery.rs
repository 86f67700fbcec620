//! Messages that outlive connections, pure; time is given.
//!
//! A data channel is reliable as long as its connection lives. A participant's connection may be
//! replaced at any moment, so every message has a number, the other side says what it has, and what
//! it lacks is sent again by the next connection. Numbers belong to an epoch, a random number of the
//! sender's, so that one who began anew is not taken for one who repeats himself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes that a frame adds to its message.
pub const OVERHEAD: usize = 9;

/// The version of these frames that we speak.
const VERSION: u8 = 1;

const HELLO: u8 = 0;
const DATA: u8 = 1;
const ACK: u8 = 2;

/// What travels on a reliable channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// We have these channels.
    Hello {
        /// The version of these frames that the sender speaks.
        version: u8,
    },
    /// A message.
    Data {
        /// Of the sender.
        epoch: u32,
        /// Counts from 0 in each epoch.
        number: u32,
        /// The message.
        message: Bytes,
    },
    /// All messages before this one have arrived.
    Ack {
        /// The epoch of the messages.
        epoch: u32,
        /// The next number that is expected.
        next: u32,
    },
}

impl Frame {
    /// Our greeting.
    pub const HELLO: Self = Self::Hello { version: VERSION };

    /// Its bytes.
    pub fn write(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(OVERHEAD);
        match self {
            Frame::Hello { version } => out.put_slice(&[HELLO, *version]),
            Frame::Data { epoch, number, message } => {
                out.reserve(OVERHEAD + message.len());
                out.put_u8(DATA);
                out.put_u32(*epoch);
                out.put_u32(*number);
                out.put_slice(message);
            }
            Frame::Ack { epoch, next } => {
                out.put_u8(ACK);
                out.put_u32(*epoch);
                out.put_u32(*next);
            }
        }
        out.freeze()
    }

    /// Reads one; `None` if it is none that we know.
    pub fn parse(bytes: &Bytes) -> Option<Self> {
        let word = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        match *bytes.first()? {
            HELLO => Some(Frame::Hello { version: *bytes.get(1)? }),
            DATA => Some(Frame::Data { epoch: word(1)?, number: word(5)?, message: bytes.slice(OVERHEAD..) }),
            ACK => Some(Frame::Ack { epoch: word(1)?, next: word(5)? }),
            _ => None,
        }
    }
}

/// What an acknowledgement brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Bytes of messages that have arrived.
    pub bytes: usize,
    /// From the sending of the newest of them until now; `None` when it was sent more than once.
    pub round_trip: Option<Duration>,
}

#[derive(Debug)]
struct Item {
    number: u32,
    message: Bytes,
    sent_at: Option<Instant>,
    again: bool,
}

/// Messages that the other side does not have yet. Who posts bounds it ([`super::Mailbox`]).
#[derive(Debug)]
pub struct Outbox {
    epoch: u32,
    next: u32,
    items: VecDeque<Item>,
    /// So many of them are on their way.
    sent: usize,
    in_flight: usize,
}

impl Outbox {
    /// An empty one.
    pub fn new(epoch: u32) -> Self {
        Self { epoch, next: 0, items: VecDeque::new(), sent: 0, in_flight: 0 }
    }

    /// One more.
    pub fn push(&mut self, message: Bytes) {
        self.items.push_back(Item { number: self.next, message, sent_at: None, again: false });
        self.next = self.next.wrapping_add(1);
    }

    /// Bytes on their way.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Length of the message that [`Outbox::take`] would send.
    pub fn peek(&self) -> Option<usize> {
        self.items.get(self.sent).map(|item| item.message.len())
    }

    /// The next frame to send.
    pub fn take(&mut self, now: Instant) -> Option<Bytes> {
        let item = self.items.get_mut(self.sent)?;
        item.again = item.sent_at.replace(now).is_some();
        self.sent += 1;
        self.in_flight += item.message.len();
        let frame = Frame::Data { epoch: self.epoch, number: item.number, message: item.message.clone() };
        Some(frame.write())
    }

    /// Another connection carries from now on: everything that is not known to have arrived goes by
    /// it again.
    pub fn moved(&mut self) {
        (self.sent, self.in_flight) = (0, 0);
    }

    /// The other side says what it has.
    pub fn on_ack(&mut self, epoch: u32, next: u32, now: Instant) -> Acked {
        let mut acked = Acked::default();
        if epoch != self.epoch {
            return acked;
        }
        while self.sent > 0
            && let Some(item) = self.items.pop_front_if(|item| precedes(item.number, next))
        {
            self.sent -= 1;
            self.in_flight -= item.message.len();
            acked.bytes += item.message.len();
            let sent_at = item.sent_at.filter(|_| !item.again);
            acked.round_trip = sent_at.map(|at| now.saturating_duration_since(at));
        }
        acked
    }
}

/// Whether a number comes before another, on a circle of 2^32 (as RFC 1982).
fn precedes(number: u32, other: u32) -> bool {
    let distance = other.wrapping_sub(number);
    distance != 0 && distance < 1 << 31
}

/// Which messages of the other side have arrived.
#[derive(Debug, Default)]
pub struct Inbox {
    epoch: Option<u32>,
    before: Option<u32>,
    next: u32,
}

impl Inbox {
    /// Whether the message is the next one. One that is known, or that follows a gap (then the
    /// sender counts wrong), is not taken.
    pub fn take(&mut self, epoch: u32, number: u32) -> bool {
        if self.before == Some(epoch) {
            return false;
        }
        if self.epoch != Some(epoch) {
            self.before = self.epoch.replace(epoch);
            self.next = 0;
        }
        let is_next = number == self.next;
        if is_next {
            self.next = self.next.wrapping_add(1);
        }
        is_next
    }

    /// What to tell the other side; `None` before the first message.
    pub fn ack(&self) -> Option<Frame> {
        Some(Frame::Ack { epoch: self.epoch?, next: self.next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(n: u32) -> Bytes {
        Bytes::from(n.to_string())
    }

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    #[test]
    fn what_was_lost_with_a_connection_comes_by_the_next_one_and_once() {
        let now = start();
        let (mut outbox, mut inbox) = (Outbox::new(7), Inbox::default());
        let mut got = Vec::new();
        let mut deliver = |frame: Bytes, inbox: &mut Inbox| match Frame::parse(&frame) {
            Some(Frame::Data { epoch, number, message }) if inbox.take(epoch, number) => got.push(message),
            _ => {}
        };
        (0..4).for_each(|n| outbox.push(message(n)));
        for arrives in [true, true, false] {
            let frame = outbox.take(now).unwrap();
            if arrives {
                deliver(frame, &mut inbox);
            }
        }
        // The acknowledgement of the second got lost too.
        outbox.on_ack(7, 1, now);
        outbox.moved();
        while let Some(frame) = outbox.take(now) {
            deliver(frame, &mut inbox);
        }
        assert_eq!(got, (0..4).map(message).collect::<Vec<_>>());
        let Some(Frame::Ack { epoch, next }) = inbox.ack() else { panic!("nothing to acknowledge") };
        assert_eq!(outbox.on_ack(epoch, next, now), Acked { bytes: 3, round_trip: Some(Duration::ZERO) });
        assert_eq!((outbox.in_flight(), outbox.peek()), (0, None));
    }

    #[test]
    fn the_round_trip_is_that_of_a_message_sent_once() {
        let now = start();
        let mut outbox = Outbox::new(7);
        outbox.push(message(0));
        outbox.take(now).unwrap();
        let acked = outbox.on_ack(7, 1, now + Duration::from_millis(30));
        assert_eq!(acked, Acked { bytes: 1, round_trip: Some(Duration::from_millis(30)) });
    }

    #[test]
    fn one_who_began_anew_is_heard_and_his_past_is_not() {
        let mut inbox = Inbox::default();
        assert!(inbox.take(1, 0) && inbox.take(1, 1));
        assert!(inbox.take(2, 0));
        assert!(!inbox.take(1, 2) && !inbox.take(2, 0) && !inbox.take(2, 5));
        assert!(inbox.take(2, 1));
    }

    #[test]
    fn an_acknowledgement_of_what_was_not_sent_changes_nothing() {
        let mut outbox = Outbox::new(7);
        outbox.push(message(0));
        assert_eq!(outbox.on_ack(7, 99, start()), Acked::default());
        outbox.take(start());
        assert_eq!(outbox.on_ack(8, 1, start()), Acked::default());
        assert_eq!(outbox.in_flight(), 1);
    }

    proptest! {
        #[test]
        fn no_frame_is_too_strange(bytes in proptest::collection::vec(0..=255_u8, 0..40)) {
            let bytes = Bytes::from(bytes);
            if let Some(frame) = Frame::parse(&bytes) {
                prop_assert!(bytes.starts_with(&frame.write()));
            }
        }

        #[test]
        fn every_frame_is_read_as_it_was_written(epoch: u32, number: u32, message in proptest::collection::vec(0..=255_u8, 0..40)) {
            let frame = Frame::Data { epoch, number, message: Bytes::from(message) };
            prop_assert_eq!(Frame::parse(&frame.write()), Some(frame));
            let frame = Frame::Ack { epoch, next: number };
            prop_assert_eq!(Frame::parse(&frame.write()), Some(frame));
        }

        /// Whatever is lost with connections, everything arrives once and in order.
        #[test]
        fn any_run_of_losses_and_moves_delivers_everything(steps in proptest::collection::vec(0..5_u8, 0..200)) {
            let now = start();
            let (mut outbox, mut inbox) = (Outbox::new(7), Inbox::default());
            let (mut pushed, mut got, mut lossy) = (0, Vec::new(), false);
            let mut send = |outbox: &mut Outbox, inbox: &mut Inbox, lost: bool| {
                let Some(frame) = outbox.take(now) else { return false };
                if !lost && let Some(Frame::Data { epoch, number, message }) = Frame::parse(&frame)
                    && inbox.take(epoch, number)
                {
                    got.push(message);
                }
                true
            };
            for step in steps {
                match step {
                    0 | 1 => { outbox.push(message(pushed)); pushed += 1; }
                    2 => { send(&mut outbox, &mut inbox, lossy); }
                    3 => {
                        if let Some(Frame::Ack { epoch, next }) = inbox.ack() { outbox.on_ack(epoch, next, now); }
                    }
                    _ => {
                        // A connection breaks: what is sent is lost until the next one carries.
                        lossy = !lossy;
                        if !lossy { outbox.moved(); }
                    }
                }
            }
            outbox.moved();
            while send(&mut outbox, &mut inbox, false) {}
            prop_assert_eq!(got, (0..pushed).map(message).collect::<Vec<_>>());
        }
    }
}
