//! The only place in the server that asks the operating system for the time.
//!
//! Everything that decides is given `now`: the time since the Unix epoch, taken from the wall clock
//! once and carried on by the monotonic clock, so that it never runs backwards and can still be
//! written into a token that outlives the process.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    epoch: Duration,
}

impl Clock {
    /// Reads both clocks once.
    #[allow(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            epoch: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Time since the Unix epoch, monotonic.
    pub fn now(&self) -> Duration {
        self.epoch + self.started.elapsed()
    }
}
