//! When the next picture of a source without a clock of its own is due. Pure: time comes in.

use std::time::{Duration, Instant};

/// Counts out pictures at an exact rate, without drift: picture `n` is due `n / rate` after the
/// first. A source that was held up skips pictures rather than hurry after them.
#[derive(Clone, Debug)]
pub struct Pace {
    numerator: u32,
    denominator: u32,
    start: Option<Instant>,
    next: u64,
}

impl Pace {
    /// `numerator / denominator` pictures a second, both at least 1.
    pub fn new(numerator: u32, denominator: u32) -> Self {
        Self { numerator: numerator.max(1), denominator: denominator.max(1), start: None, next: 0 }
    }

    /// Pictures a second.
    pub fn fps(&self) -> f64 {
        f64::from(self.numerator) / f64::from(self.denominator)
    }

    /// Time from the first picture to picture `index`.
    pub fn offset(&self, index: u64) -> Duration {
        let nanos = u128::from(index) * u128::from(self.denominator) * 1_000_000_000;
        let nanos = nanos / u128::from(self.numerator);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// When the next picture is due. The first one is due at once.
    pub fn due(&mut self, now: Instant) -> Instant {
        *self.start.get_or_insert(now) + self.offset(self.next)
    }

    /// Takes the number of the picture that is due at `now`, which is not before [`Pace::due`].
    pub fn take(&mut self, now: Instant) -> u64 {
        let late = now.saturating_duration_since(self.due(now));
        let nanos = late.as_nanos() * u128::from(self.numerator);
        let skipped = nanos / (u128::from(self.denominator) * 1_000_000_000);
        let index = self.next + u64::try_from(skipped).unwrap_or(0);
        self.next = index + 1;
        index
    }

    /// Sleeps until the next picture is due, at most `timeout`. Its number, or `None` if it is not
    /// due yet.
    pub fn wait(&mut self, timeout: Duration) -> Option<u64> {
        let now = crate::clock::now();
        let wait = self.due(now).saturating_duration_since(now);
        std::thread::sleep(wait.min(timeout));
        (wait <= timeout).then(|| self.take(crate::clock::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_pictures_does_not_drift() {
        let start = crate::clock::now();
        let mut pace = Pace::new(30_000, 1_001);
        for index in 0..107_892 {
            let due = pace.due(start);
            assert_eq!(pace.take(due), index);
        }
        let hour = pace.due(start) - start;
        assert!(hour.abs_diff(Duration::from_secs(3_600)) < Duration::from_millis(40), "{hour:?}");
    }

    #[test]
    fn a_source_that_was_held_up_skips_what_it_missed() {
        let start = crate::clock::now();
        let mut pace = Pace::new(10, 1);
        assert_eq!(pace.take(start), 0);
        assert_eq!(pace.take(start + Duration::from_millis(550)), 5);
        assert_eq!(pace.due(start), start + Duration::from_millis(600));
    }
}
