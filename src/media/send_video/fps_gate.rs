//! Thins out a source that is faster than what is wanted.

use std::time::{Duration, Instant};

/// Lets pictures through at no more than a given rate.
#[derive(Clone, Debug, Default)]
pub struct FpsGate {
    /// When the next picture is welcome.
    next: Option<Instant>,
}

impl FpsGate {
    /// Whether a picture taken then is one of them.
    pub fn passes(&mut self, captured_at: Instant, max_fps: f64) -> bool {
        let interval = Duration::from_secs_f64(1.0 / max_fps.clamp(1.0, 240.0));
        // A picture a little early is let through: cameras are not that exact.
        let slack = interval / 4;
        match self.next {
            Some(next) if captured_at + slack < next => false,
            // Keeps the average exact, but does not run after a source that was slower.
            Some(next) if captured_at < next + interval => {
                self.next = Some(next + interval);
                true
            }
            _ => {
                self.next = Some(captured_at + interval);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_camera_is_thinned_out_evenly() {
        let start = crate::clock::now();
        let mut gate = FpsGate::default();
        let passed: Vec<u32> =
            (0..60).filter(|n| gate.passes(start + Duration::from_secs(1) * *n / 60, 30.0)).collect();
        assert_eq!(passed, (0..60).step_by(2).collect::<Vec<_>>());
        let mut gate = FpsGate::default();
        let jitter = |n: u32| Duration::from_millis(u64::from(n * 7 % 8));
        let at = |n: u32| start + Duration::from_secs(1) * n / 30 + jitter(n);
        assert!((0..300).all(|n| gate.passes(at(n), 30.0)), "30 a second pass whole, even unevenly");
    }
}
