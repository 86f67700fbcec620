//! The RTP clock of sound that is sent. Pure: it is told when each block was captured.

use std::time::{Duration, Instant};

use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE};

/// A hole in the capture times longer than this is a hole in the sound: the RTP clock steps over it.
pub const GAP: Duration = Duration::from_millis(100);

/// Of one block.
pub const BLOCK: Duration = Duration::from_millis(10);

/// Counts samples, and steps over holes in what was captured, so that the RTP clock keeps to real
/// time across mute, a lost device and a new one.
#[derive(Debug, Default)]
pub struct SendClock {
    ticks: u64,
    last: Option<Instant>,
}

impl SendClock {
    /// The time of a block captured at `captured_at`, and whether there is a hole before it.
    pub fn next(&mut self, captured_at: Instant) -> (u64, bool) {
        let late = match self.last {
            Some(last) => captured_at.saturating_duration_since(last + BLOCK),
            None => Duration::ZERO,
        };
        self.last = Some(captured_at);
        let gap = late > GAP;
        if gap {
            let blocks = late.as_millis() as u64 / BLOCK.as_millis() as u64;
            self.ticks += blocks * u64::from(SAMPLE_RATE) / 100;
        }
        let ticks = self.ticks;
        self.ticks += BLOCK_SAMPLES as u64;
        (ticks, gap)
    }
}
