//! Packets in their order: extends the counters of RTP, drops what came twice, holds the rest.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;

/// Most packets held: five seconds of 20 ms. When full, the oldest go, as they are the latest.
pub const MAX_PACKETS: usize = 250;

/// A jump in the sequence beyond this is another stream under the same name (RFC 3550 appendix
/// A.1, `MAX_DROPOUT`).
const MAX_JUMP: i64 = 3_000;

/// One packet with its counters extended past their wraps.
#[derive(Clone, Debug)]
pub struct Queued {
    /// Extended sequence number.
    pub sequence: i64,
    /// Extended timestamp, in samples.
    pub timestamp: i64,
    /// Samples inside.
    pub samples: usize,
    /// Opus.
    pub payload: Bytes,
    /// When it arrived.
    pub arrived_at: Instant,
}

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Here, on the extended counters.
    At {
        /// Extended sequence number.
        sequence: i64,
        /// Extended timestamp.
        timestamp: i64,
    },
    /// Far from everything so far; if the next one follows it, it is a new beginning.
    Suspicious,
    /// The stream began anew with it.
    Restarted,
}

/// Extends sequence numbers and timestamps.
#[derive(Clone, Debug, Default)]
pub struct Extender {
    highest: Option<(i64, i64)>,
    suspicious: Option<u16>,
}

impl Extender {
    /// Where a packet with these counters belongs.
    pub fn place(&mut self, sequence: u16, timestamp: u32) -> Place {
        let Some((last_sequence, last_timestamp)) = self.highest else {
            // Far from zero, so that packets from before the first one stay positive.
            self.highest = Some((i64::from(sequence) + (1 << 16), i64::from(timestamp) + (1 << 32)));
            return self.newest();
        };
        let step = i64::from(sequence.wrapping_sub(last_sequence as u16) as i16);
        if step.abs() > MAX_JUMP {
            if self.suspicious == Some(sequence.wrapping_sub(1)) {
                *self = Self::default();
                return Place::Restarted;
            }
            self.suspicious = Some(sequence);
            return Place::Suspicious;
        }
        self.suspicious = None;
        let sequence = last_sequence + step;
        let timestamp = last_timestamp + i64::from(timestamp.wrapping_sub(last_timestamp as u32) as i32);
        if step > 0 {
            self.highest = Some((sequence, timestamp));
        }
        Place::At { sequence, timestamp }
    }

    fn newest(&self) -> Place {
        let (sequence, timestamp) = self.highest.unwrap_or_default();
        Place::At { sequence, timestamp }
    }
}

/// Packets that wait to be played.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    packets: BTreeMap<i64, Queued>,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It waits.
    New,
    /// The same one waits already.
    Duplicate,
    /// It waits, and an old one had to go.
    Displaced,
}

impl Queue {
    /// Puts a packet in its place.
    pub fn insert(&mut self, packet: Queued) -> Inserted {
        if self.packets.contains_key(&packet.sequence) {
            return Inserted::Duplicate;
        }
        self.packets.insert(packet.sequence, packet);
        if self.packets.len() > MAX_PACKETS {
            self.packets.pop_first();
            return Inserted::Displaced;
        }
        Inserted::New
    }

    /// The packet to be played next.
    pub fn first(&self) -> Option<&Queued> {
        self.packets.first_key_value().map(|(_, packet)| packet)
    }

    /// Takes the packet to be played next.
    pub fn pop(&mut self) -> Option<Queued> {
        self.packets.pop_first().map(|(_, packet)| packet)
    }

    /// Forgets everything; says how many packets that were.
    pub fn clear(&mut self) -> usize {
        let len = self.packets.len();
        self.packets.clear();
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(place: Place) -> (i64, i64) {
        match place {
            Place::At { sequence, timestamp } => (sequence, timestamp),
            Place::Suspicious | Place::Restarted => panic!("{place:?}"),
        }
    }

    #[test]
    fn counters_go_on_past_their_wraps_and_back() {
        let mut extender = Extender::default();
        let (s0, t0) = at(extender.place(65_535, u32::MAX - 479));
        assert_eq!(at(extender.place(0, 480)), (s0 + 1, t0 + 960));
        assert_eq!(at(extender.place(65_534, u32::MAX - 1_439)), (s0 - 1, t0 - 960));
        assert_eq!(at(extender.place(1, 1_440)), (s0 + 2, t0 + 1_920));
    }

    #[test]
    fn one_stray_packet_is_set_aside_and_two_in_a_row_are_a_new_beginning() {
        let mut extender = Extender::default();
        at(extender.place(10, 0));
        assert_eq!(extender.place(20_000, 5), Place::Suspicious);
        at(extender.place(11, 960));
        assert_eq!(extender.place(20_000, 5), Place::Suspicious);
        assert_eq!(extender.place(20_001, 965), Place::Restarted);
        at(extender.place(20_001, 965));
    }
}
