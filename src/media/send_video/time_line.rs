//! When a picture was taken, on the RTP clock.

use std::time::Instant;

use crate::units::MediaTime;

/// Capture times on the 90 kHz clock: continuous through pauses, and always growing.
#[derive(Clone, Debug)]
pub struct TimeLine {
    start: u32,
    first: Option<Instant>,
    last: Option<u64>,
}

impl TimeLine {
    /// Begins at `start`.
    pub fn new(start: u32) -> Self {
        Self { start, first: None, last: None }
    }

    /// The time of a picture.
    pub fn at(&mut self, captured_at: Instant) -> MediaTime {
        let first = *self.first.get_or_insert(captured_at);
        let passed = captured_at.saturating_duration_since(first).as_nanos();
        let ticks = u64::from(self.start)
            + ((passed * u128::from(MediaTime::VIDEO_CLOCK) + 500_000_000) / 1_000_000_000) as u64;
        let ticks = self.last.map_or(ticks, |last| ticks.max(last + 1));
        self.last = Some(ticks);
        MediaTime { ticks, clock_rate: MediaTime::VIDEO_CLOCK }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn time_grows_even_when_capture_times_do_not() {
        let now = crate::clock::now();
        let mut line = TimeLine::new(u32::MAX);
        let times = [now, now, now - Duration::from_secs(1), now + Duration::from_secs(1)]
            .map(|at| line.at(at).ticks);
        let start = u64::from(u32::MAX);
        assert_eq!(times, [start, start + 1, start + 2, start + 90_000]);
    }
}
