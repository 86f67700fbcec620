//! How fast a file moves, pure; time is given.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The rate is that of the last so long.
const SPAN: Duration = Duration::from_secs(3);

/// Between two marks.
const STEP: Duration = Duration::from_millis(200);

/// Bytes over time.
#[derive(Debug, Default)]
pub struct Progress {
    moved: u64,
    marks: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// So much is there now.
    pub fn set(&mut self, moved: u64, now: Instant) {
        self.moved = moved;
        let due = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) >= STEP;
        if self.marks.back().is_none_or(due) {
            self.marks.push_back((now, moved));
        }
        while self.marks.len() > 2 && now.saturating_duration_since(self.marks[0].0) > SPAN {
            self.marks.pop_front();
        }
    }

    /// Bytes a second.
    pub fn rate(&self, now: Instant) -> u64 {
        let Some((since, before)) = self.marks.front() else { return 0 };
        let elapsed = now.saturating_duration_since(*since).as_secs_f64();
        let moved = self.moved.saturating_sub(*before);
        if elapsed < 0.1 { 0 } else { (moved as f64 / elapsed) as u64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let begin = crate::clock::now() + Duration::from_secs(3_600);
        let mut progress = Progress::default();
        let at = |tenths: u32| begin + Duration::from_millis(100) * tenths;
        for tenths in 0..=100 {
            progress.set(if tenths <= 50 { 0 } else { u64::from(tenths - 50) * 1_000 }, at(tenths));
        }
        assert_eq!(progress.rate(at(100)), 10_000);
        progress.set(50_000, at(200));
        assert!(progress.rate(at(200)) < 5_000, "nothing moved since");
    }
}
