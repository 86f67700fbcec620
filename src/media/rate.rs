//! Pictures in the last second. Pure: time comes in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// More pictures in a second than any source has; older ones are forgotten sooner.
const MOST: usize = 256;

/// Counts pictures over a sliding second.
#[derive(Clone, Debug, Default)]
pub struct FrameRate {
    times: VecDeque<Instant>,
}

impl FrameRate {
    /// A picture came at `at`.
    pub fn count(&mut self, at: Instant) {
        self.times.push_back(at);
        let old = |first: &Instant| at.saturating_duration_since(*first) > Duration::from_secs(1);
        while self.times.len() > MOST || self.times.front().is_some_and(old) {
            self.times.pop_front();
        }
    }

    /// Pictures a second at `now`, by the time between the first and the last in the second before;
    /// 0 for fewer than two.
    pub fn fps(&self, now: Instant) -> f64 {
        let recent = |at: &&Instant| now.saturating_duration_since(**at) <= Duration::from_secs(1);
        let count = self.times.iter().filter(recent).count();
        let (Some(first), Some(last)) = (self.times.iter().find(recent), self.times.back()) else {
            return 0.0;
        };
        let passed = last.saturating_duration_since(*first).as_secs_f64();
        if passed > 0.0 { (count - 1) as f64 / passed } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_second() {
        let start = crate::clock::now();
        let mut rate = FrameRate::default();
        assert_eq!(rate.fps(start), 0.0);
        (0..90).for_each(|n| rate.count(start + Duration::from_secs(1) * n / 30));
        let end = start + Duration::from_secs(3);
        assert!((rate.fps(end) - 30.0).abs() < 0.01, "{}", rate.fps(end));
        (0..45).for_each(|n| rate.count(start + Duration::from_secs(3) + Duration::from_secs(1) * n / 15));
        let end = start + Duration::from_secs(6);
        assert!((rate.fps(end) - 15.0).abs() < 0.01, "{}", rate.fps(end));
        assert_eq!(rate.fps(end + Duration::from_secs(2)), 0.0, "it stopped");
    }
}
