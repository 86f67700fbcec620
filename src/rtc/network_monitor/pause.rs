//! Notices that this computer, or this program, has slept: from the two clocks, given by the caller.
//!
//! While a computer is suspended, the monotonic clock of most systems stands still and the wall
//! clock goes on; while only the program is stopped, both go on and its timers come late. A wall
//! clock that is set forward looks like the first; to look after the path then does no harm.

use std::time::{Duration, Instant};

/// Between two looks at the clocks.
pub const EVERY: Duration = Duration::from_secs(1);

/// Less than this is a computer with much to do.
const LEAST: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct PauseWatch {
    monotonic: Instant,
    wall: Duration,
}

impl PauseWatch {
    /// Begins at these times: monotonic, and wall clock since the Unix epoch.
    pub fn new(monotonic: Instant, wall: Duration) -> Self {
        Self { monotonic, wall }
    }

    /// To be called after each [`EVERY`]; how long was slept, if it was.
    pub fn look(&mut self, monotonic: Instant, wall: Duration) -> Option<Duration> {
        let passed = monotonic.saturating_duration_since(self.monotonic);
        let on_the_wall = wall.saturating_sub(self.wall);
        *self = Self { monotonic, wall };
        let slept = passed.max(on_the_wall).saturating_sub(EVERY);
        (slept >= LEAST).then_some(slept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn slept(monotonic: u64, wall: i64) -> Option<u64> {
        let start = crate::clock::now();
        let mut watch = PauseWatch::new(start, DAY);
        let wall = Duration::from_millis((DAY.as_millis() as i64 + wall) as u64);
        watch.look(start + Duration::from_millis(monotonic), wall).map(|slept| slept.as_secs())
    }

    #[test]
    fn a_suspended_computer_and_a_stopped_program_have_slept() {
        assert_eq!(slept(1_000, 61_000), Some(60), "only the wall clock went on");
        assert_eq!(slept(61_000, 61_000), Some(60), "the timer came late");
    }

    #[test]
    fn a_busy_computer_and_a_clock_that_is_set_back_have_not() {
        assert_eq!(slept(1_000, 1_000), None);
        assert_eq!(slept(2_500, 2_500), None);
        assert_eq!(slept(1_000, -3_600_000), None);
    }
}
