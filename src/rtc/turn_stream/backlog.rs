//! What waits for a stream that is full. Pure; time is given.
//!
//! A relay behind TCP that carries less than we send must not make seconds of picture wait: what
//! would come too late is dropped here, as a router with a short queue would, so that the estimate
//! of the path sees delay and loss. The oldest picture goes first; sound goes when it is too old to
//! be heard; what keeps the connection alive stays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::rtc::stun::message::Message;

/// Pictures wait no longer.
const LONGEST_PICTURE: Duration = Duration::from_millis(200);

/// Sound waits no longer; more could not be made up for by any jitter buffer.
const LONGEST_SOUND: Duration = Duration::from_millis(400);

/// Messages that wait at most, of all kinds: 200 ms of 20 Mbit/s. When full, the oldest goes,
/// whatever it is.
const MOST: usize = 512;

/// What a datagram carries, as far as the queue needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN, DTLS and RTCP: the connection itself.
    Control,
    /// Sound.
    Sound,
    /// Pictures.
    Picture,
}

impl Kind {
    /// By RFC 7983 and RFC 5761; `sound` is the payload type of sound. Looks into what a TURN client
    /// wraps for its peer.
    pub fn of(datagram: &[u8], sound: u8) -> Self {
        let inner = match datagram {
            [0x40..=0x4f, ..] => datagram.get(4..),
            [0x00, 0x16, ..] => Message::parse(datagram).and_then(|indication| indication.data()),
            _ => None,
        };
        match inner {
            Some([128..=191, second, ..]) if !(192..=223).contains(second) => {
                if second & 0x7f == sound {
                    Self::Sound
                } else {
                    Self::Picture
                }
            }
            Some(_) | None => Self::Control,
        }
    }
}

/// The queue.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: VecDeque<(Instant, Kind, Bytes)>,
    dropped: u64,
}

impl Backlog {
    /// Puts a message at the end; what has waited too long goes.
    pub fn put(&mut self, now: Instant, kind: Kind, message: Bytes) {
        self.drop_late(now);
        if self.waiting.len() >= MOST {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back((now, kind, message));
    }

    /// The next message that is not too late.
    pub fn take(&mut self, now: Instant) -> Option<Bytes> {
        self.drop_late(now);
        self.waiting.pop_front().map(|(_, _, message)| message)
    }

    /// Messages that were too late.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_late(&mut self, now: Instant) {
        let before = self.waiting.len();
        self.waiting.retain(|(since, kind, _)| {
            let waited = now.saturating_duration_since(*since);
            match kind {
                Kind::Control => true,
                Kind::Sound => waited <= LONGEST_SOUND,
                Kind::Picture => waited <= LONGEST_PICTURE,
            }
        });
        self.dropped += (before - self.waiting.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use proptest::prelude::*;

    const SOUND: u8 = 111;

    fn drain(backlog: &mut Backlog, now: Instant) -> Vec<u8> {
        std::iter::from_fn(|| backlog.take(now)).map(|message| message[0]).collect()
    }

    #[test]
    fn of_a_full_stream_old_pictures_are_dropped_and_sound_and_checks_stay() {
        let mut backlog = Backlog::default();
        let start = clock::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let one = |n: u8| Bytes::copy_from_slice(&[n]);
        backlog.put(at(0), Kind::Picture, one(1));
        backlog.put(at(10), Kind::Sound, one(2));
        backlog.put(at(20), Kind::Control, one(3));
        backlog.put(at(150), Kind::Picture, one(4));
        assert_eq!(drain(&mut backlog, at(300)), [2, 3, 4]);
        assert_eq!(backlog.dropped(), 1);
        backlog.put(at(400), Kind::Sound, one(5));
        backlog.put(at(400), Kind::Control, one(6));
        assert_eq!(drain(&mut backlog, at(60_000)), [6], "after an outage nothing stale is sent");
    }

    #[test]
    fn the_queue_is_bounded_whatever_comes() {
        let mut backlog = Backlog::default();
        let now = clock::now();
        for _ in 0..10_000 {
            backlog.put(now, Kind::Control, Bytes::from_static(b"x"));
        }
        assert_eq!(drain(&mut backlog, now).len(), MOST);
        assert_eq!(backlog.dropped(), 10_000 - MOST as u64);
    }

    #[test]
    fn media_is_known_inside_of_what_goes_to_a_relay() {
        let channel = |inner: &[u8]| [&[0x40, 0, 0, inner.len() as u8], inner].concat();
        assert_eq!(Kind::of(&channel(&[0x80, 0x80 | SOUND, 0, 1]), SOUND), Kind::Sound);
        assert_eq!(Kind::of(&channel(&[0x80, 96, 0, 1]), SOUND), Kind::Picture);
        assert_eq!(Kind::of(&channel(&[0x80, 200, 0, 1]), SOUND), Kind::Control, "a sender report");
        assert_eq!(Kind::of(&channel(&[22, 0xfe, 0xfd, 1]), SOUND), Kind::Control, "DTLS");
        let mut indication = vec![0, 0x16, 0, 8, 0x21, 0x12, 0xa4, 0x42];
        indication.extend([7; 12]);
        indication.extend([0, 0x13, 0, 4, 0x80, 96, 0, 1]);
        assert_eq!(Kind::of(&indication, SOUND), Kind::Picture);
        indication[1] = 3;
        assert_eq!(Kind::of(&indication, SOUND), Kind::Control, "a request");
    }

    proptest! {
        #[test]
        fn no_datagram_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Kind::of(&bytes, SOUND);
        }
    }
}
