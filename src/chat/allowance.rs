//! How much one person may say before the rest is left out.

use std::time::Instant;

/// Messages that may come at once, and each second after that.
pub const BURST: f64 = 20.0;
const PER_SECOND: f64 = 4.0;

/// What may still come, as of then.
#[derive(Debug)]
pub struct Allowance(f64, Instant);

impl Allowance {
    /// Nothing has come yet.
    pub fn full(now: Instant) -> Self {
        Self(BURST, now)
    }

    /// Whether one more may come.
    pub fn take(&mut self, now: Instant) -> bool {
        let Self(left, since) = *self;
        let left = (left + now.saturating_duration_since(since).as_secs_f64() * PER_SECOND).min(BURST);
        *self = Self((left - 1.0).max(0.0), now);
        left >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn after_a_burst_four_a_second_may_come() {
        let now = crate::clock::now();
        let mut allowance = Allowance::full(now);
        assert_eq!((0..100).filter(|_| allowance.take(now)).count(), 20);
        let later = now + Duration::from_secs(2);
        assert_eq!((0..100).filter(|_| allowance.take(later)).count(), 8);
    }
}
