//! How many bits a second arrive at the other side.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is that of the last half second: about fifteen pictures, so that a key frame does not
/// look like a faster path, and short enough to follow a link that shrinks.
const WINDOW: Duration = Duration::from_millis(500);

/// Less than this says nothing about a rate.
const SHORTEST: Duration = Duration::from_millis(150);

/// Packets of one window: 20 Mbit/s in packets of 100 bytes. More are forgotten from the old end.
const MOST_PACKETS: usize = 12_500;

/// The acknowledged rate, on the receiver's clock.
#[derive(Debug, Default)]
pub struct AcknowledgedRate {
    packets: VecDeque<(Duration, usize)>,
    bytes: u64,
    first: Option<Duration>,
    newest: Duration,
}

impl AcknowledgedRate {
    /// A packet of `size` bytes has `arrived` there.
    pub fn on_packet(&mut self, arrived: Duration, size: usize) {
        let jumped = arrived > self.newest.saturating_add(WINDOW * 8) || arrived + WINDOW * 8 < self.newest;
        if self.first.is_none() || jumped {
            *self = Self { first: Some(arrived), newest: arrived, ..Self::default() };
        }
        self.newest = self.newest.max(arrived);
        self.packets.push_back((arrived, size));
        self.bytes += size as u64;
        while let Some(&(at, size)) = self.packets.front()
            && (at + WINDOW < self.newest || self.packets.len() > MOST_PACKETS)
        {
            self.packets.pop_front();
            self.bytes -= size as u64;
        }
    }

    /// Bits per second; `None` while too little has arrived.
    pub fn get(&self) -> Option<f64> {
        let span = self.newest.checked_sub(self.first?)?.min(WINDOW);
        (span >= SHORTEST).then(|| self.bytes as f64 * 8.0 / span.as_secs_f64())
    }
}

/// The highest rate of the last seconds.
#[derive(Debug, Default)]
pub struct Peak {
    since: Option<Instant>,
    current: f64,
    before: f64,
}

impl Peak {
    /// Half of how long a peak is remembered at least.
    const HALF: Duration = Duration::from_secs(5);

    /// A new reading.
    pub fn on_rate(&mut self, now: Instant, rate: f64) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= Self::HALF {
            self.before = std::mem::take(&mut self.current);
            self.since = Some(now);
        }
        self.current = self.current.max(rate);
    }

    /// The highest of the last five to ten seconds; `None` before that much is known.
    pub fn get(&self) -> Option<f64> {
        (self.before > 0.0).then(|| self.current.max(self.before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_half_second() {
        let mut rate = AcknowledgedRate::default();
        let mut at = Duration::from_secs(40_000);
        assert_eq!(rate.get(), None);
        for _ in 0..200 {
            at += Duration::from_millis(10);
            rate.on_packet(at, 1_250);
        }
        let fast = rate.get().unwrap();
        assert!((0.98e6..1.05e6).contains(&fast), "{fast}");
        for _ in 0..60 {
            at += Duration::from_millis(10);
            rate.on_packet(at, 125);
        }
        let slow = rate.get().unwrap();
        assert!((0.09e6..0.12e6).contains(&slow), "{slow}");
    }

    #[test]
    fn a_receiver_whose_clock_jumps_begins_anew() {
        let mut rate = AcknowledgedRate::default();
        rate.on_packet(Duration::from_secs(100), 1_000_000);
        rate.on_packet(Duration::ZERO, 1_000);
        rate.on_packet(Duration::from_millis(500), 1_000);
        assert_eq!(rate.get(), Some(32_000.0));
    }
}
