//! What is known of a received RTP stream from its headers: loss, order, jitter, bytes (RFC 3550
//! sections 6.4.1, A.1, A.3 and A.8).

use std::time::Instant;

/// Sequence numbers remembered to tell a late packet from one that came twice: a second and more
/// of any stream we receive.
const WINDOW: u16 = 1_024;

/// A step ahead of so many packets or more is a stream that began anew, if a second packet
/// confirms it (RFC 3550 section A.1).
const MAX_DROPOUT: u16 = 3_000;

/// One RTP packet as far as accounting goes.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// When it arrived (monotonic clock).
    pub at: Instant,
    /// Sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Bytes of header and extensions.
    pub header_len: usize,
    /// Bytes of payload, padding included.
    pub payload_len: usize,
}

/// Accounting of one stream.
#[derive(Clone, Debug)]
pub struct Reception {
    clock_rate: u32,
    run: Option<Run>,
    /// Expected in runs that are over.
    expected_before: u64,
    /// Different packets that arrived.
    unique: u64,
    /// Packets that arrived, those that came twice included.
    packets: u64,
    duplicates: u64,
    reordered: u64,
    payload_bytes: u64,
    header_bytes: u64,
    jitter: f64,
    /// Arrival and timestamp of the last packet that jitter was measured at.
    last: Option<(Instant, u32)>,
    last_at: Option<Instant>,
}

/// A stretch of unbroken numbering.
#[derive(Clone, Debug)]
struct Run {
    base: u64,
    highest: u64,
    seen: [u64; WINDOW as usize / 64],
    /// The number after one that was too far off to be believed.
    suspect: Option<u16>,
}

impl Run {
    fn new(sequence: u16) -> Self {
        let first = u64::from(sequence);
        let mut run = Self { base: first, highest: first, seen: [0; WINDOW as usize / 64], suspect: None };
        run.mark(first);
        run
    }

    fn mark(&mut self, sequence: u64) -> bool {
        let slot = (sequence % u64::from(WINDOW)) as usize;
        let bit = 1 << (slot % 64);
        let new = self.seen[slot / 64] & bit == 0;
        self.seen[slot / 64] |= bit;
        new
    }

    fn unmark(&mut self, sequence: u64) {
        let slot = (sequence % u64::from(WINDOW)) as usize;
        self.seen[slot / 64] &= !(1 << (slot % 64));
    }
}

/// Where a packet belongs.
enum Place {
    Ahead,
    Late,
    Twice,
    /// Not believed yet.
    Strange,
}

impl Reception {
    /// Nothing received yet; `clock_rate` in ticks a second.
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            run: None,
            expected_before: 0,
            unique: 0,
            packets: 0,
            duplicates: 0,
            reordered: 0,
            payload_bytes: 0,
            header_bytes: 0,
            jitter: 0.0,
            last: None,
            last_at: None,
        }
    }

    /// Counts one packet.
    pub fn on_packet(&mut self, packet: &Arrival) {
        self.packets += 1;
        self.payload_bytes += packet.payload_len as u64;
        self.header_bytes += packet.header_len as u64;
        self.last_at = Some(packet.at);
        match self.place(packet.sequence) {
            Place::Ahead => {
                self.unique += 1;
                self.measure_jitter(packet);
            }
            Place::Late => {
                self.unique += 1;
                self.reordered += 1;
            }
            Place::Twice => self.duplicates += 1,
            Place::Strange => {}
        }
    }

    fn place(&mut self, sequence: u16) -> Place {
        let Some(run) = &mut self.run else {
            self.run = Some(Run::new(sequence));
            return Place::Ahead;
        };
        let ahead = sequence.wrapping_sub(run.highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead == 0 {
            return Place::Twice;
        }
        if ahead < MAX_DROPOUT {
            for skipped in 1..=u64::from(ahead).min(u64::from(WINDOW)) {
                run.unmark(run.highest + skipped);
            }
            run.highest += u64::from(ahead);
            run.mark(run.highest);
            run.suspect = None;
            return Place::Ahead;
        }
        if behind < WINDOW {
            // A packet before the first one is as late as any: the run begins with it.
            let Some(number) = run.highest.checked_sub(u64::from(behind)) else { return Place::Strange };
            run.base = run.base.min(number);
            return if run.mark(number) { Place::Late } else { Place::Twice };
        }
        if run.suspect != Some(sequence) {
            run.suspect = Some(sequence.wrapping_add(1));
            return Place::Strange;
        }
        self.expected_before += run.highest - run.base + 1;
        // The one before, which was not believed then.
        self.unique += 1;
        self.expected_before += 1;
        self.run = Some(Run::new(sequence));
        self.last = None;
        Place::Ahead
    }

    fn measure_jitter(&mut self, packet: &Arrival) {
        if let Some((at, timestamp)) = self.last {
            // Packets of one picture share a timestamp and say nothing about the path.
            if timestamp == packet.timestamp {
                return;
            }
            let spacing = packet.at.saturating_duration_since(at).as_secs_f64() * f64::from(self.clock_rate);
            let sent = f64::from(packet.timestamp.wrapping_sub(timestamp) as i32);
            let deviation = (spacing - sent).abs();
            // A step of minutes is a new time line, not jitter.
            if deviation < f64::from(self.clock_rate) * 60.0 {
                self.jitter += (deviation - self.jitter) / 16.0;
            }
        }
        self.last = Some((packet.at, packet.timestamp));
    }

    /// Packets that arrived, those that came twice included.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of payload that arrived.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Bytes of headers that arrived.
    pub fn header_bytes(&self) -> u64 {
        self.header_bytes
    }

    /// Packets that were numbered, from the first one on.
    pub fn expected(&self) -> u64 {
        self.expected_before + self.run.as_ref().map_or(0, |run| run.highest - run.base + 1)
    }

    /// Packets that have not arrived (yet).
    pub fn lost(&self) -> i64 {
        self.expected() as i64 - self.unique as i64
    }

    /// Packets that came again.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Packets that came after one with a higher number.
    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    /// Mean deviation of the spacing, in seconds.
    pub fn jitter(&self) -> f64 {
        self.jitter / f64::from(self.clock_rate.max(1))
    }

    /// When the last packet arrived.
    pub fn last_at(&self) -> Option<Instant> {
        self.last_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    fn receive(reception: &mut Reception, sequences: impl IntoIterator<Item = u16>) {
        let start = start();
        for sequence in sequences {
            let at = start + Duration::from_millis(20) * u32::from(sequence);
            let timestamp = u32::from(sequence) * 960;
            reception.on_packet(&Arrival { at, sequence, timestamp, header_len: 20, payload_len: 100 });
        }
    }

    #[test]
    fn what_is_missing_is_lost_until_it_comes_late() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, [10, 11, 14, 12]);
        assert_eq!((reception.expected(), reception.lost(), reception.reordered()), (5, 1, 1));
        receive(&mut reception, [13]);
        assert_eq!((reception.lost(), reception.packets(), reception.duplicates()), (0, 5, 0));
        assert_eq!((reception.payload_bytes(), reception.header_bytes()), (500, 100));
    }

    #[test]
    fn what_comes_twice_hides_no_loss() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, [1, 1, 2, 4, 2, 4]);
        assert_eq!((reception.expected(), reception.lost(), reception.duplicates()), (4, 1, 3));
    }

    #[test]
    fn numbers_go_on_past_the_wrap() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, (0..200_000u32).map(|n| n as u16).filter(|n| n % 10 != 3));
        assert_eq!(reception.expected(), 200_000);
        assert_eq!(reception.lost() as u64, (0..200_000u32).filter(|n| (*n as u16) % 10 == 3).count() as u64);
    }

    #[test]
    fn a_stream_that_begins_anew_is_believed_at_the_second_packet_and_is_no_loss() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, [1, 2, 3, 30_000, 30_001, 30_002]);
        assert_eq!((reception.expected(), reception.lost()), (6, 0));
        receive(&mut reception, [5, 30_003]);
        assert_eq!((reception.expected(), reception.lost()), (7, 0), "a single stray one is not");
    }

    #[test]
    fn jitter_is_in_seconds_and_zero_for_even_spacing() {
        let mut reception = Reception::new(48_000);
        receive(&mut reception, 0..100);
        assert!(reception.jitter() < 1e-6);
        let mut at = start();
        for n in 0..1_000u16 {
            at += Duration::from_millis(if n % 2 == 0 { 10 } else { 30 });
            let timestamp = u32::from(n) * 960;
            reception.on_packet(&Arrival {
                at,
                sequence: 100 + n,
                timestamp,
                header_len: 20,
                payload_len: 100,
            });
        }
        assert!((reception.jitter() - 0.010).abs() < 0.001, "{}", reception.jitter());
    }

    proptest! {
        #[test]
        fn any_numbers_leave_the_counts_together(sequences in proptest::collection::vec(any::<u16>(), 1..300)) {
            let mut reception = Reception::new(90_000);
            receive(&mut reception, sequences.iter().copied());
            prop_assert_eq!(reception.packets(), sequences.len() as u64);
            prop_assert!(reception.lost() <= reception.expected() as i64);
            prop_assert!(reception.jitter().is_finite());
        }

        #[test]
        fn any_order_within_the_window_loses_nothing(sequences in Just((0..500u16).collect::<Vec<_>>()).prop_shuffle()) {
            let mut reception = Reception::new(90_000);
            receive(&mut reception, sequences.into_iter().map(|n| n.wrapping_add(40_000)));
            prop_assert_eq!((reception.expected(), reception.lost(), reception.duplicates()), (500, 0, 0));
        }
    }
}
