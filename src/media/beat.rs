//! A steady beat of 10 ms for sources and sinks that have no device to set their pace.

use std::time::{Duration, Instant};

use crate::clock;
use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE};

/// Behind by more than this (the computer slept) the beat starts anew instead of catching up.
const LOST: Duration = Duration::from_millis(300);

/// When the next block of 10 ms is due. Counted from one start, so that it never drifts.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    start: Instant,
    blocks: u64,
}

impl Beat {
    /// The first block is due at `start`.
    pub fn new(start: Instant) -> Self {
        Self { start, blocks: 0 }
    }

    /// When the next block is due.
    pub fn due(&self) -> Instant {
        let samples = self.blocks * BLOCK_SAMPLES as u64;
        self.start + Duration::from_micros(samples * 1_000_000 / u64::from(SAMPLE_RATE))
    }

    /// If a block is due at `now`, steps on and says when it was due.
    pub fn step(&mut self, now: Instant) -> Option<Instant> {
        let due = self.due();
        if now < due {
            return None;
        }
        if now.saturating_duration_since(due) > LOST {
            *self = Self::new(now);
        }
        let due = self.due();
        self.blocks += 1;
        Some(due)
    }

    /// Sleeps until a block is due, at most `timeout`, and steps on.
    pub fn wait(&mut self, timeout: Duration) -> Option<Instant> {
        let now = clock::now();
        let wait = self.due().saturating_duration_since(now).min(timeout);
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
        self.step(clock::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_caller_catches_up_and_the_beat_does_not_drift() {
        let start = clock::now();
        let mut beat = Beat::new(start);
        let mut count = 0;
        for ms in [0, 7, 33, 40, 95, 100, 1000] {
            while beat.step(start + Duration::from_millis(ms)).is_some() {
                count += 1;
            }
            if ms == 100 {
                assert_eq!(count, 11);
            }
        }
        assert_eq!(count, 12, "after a long sleep the beat starts anew");
    }
}
