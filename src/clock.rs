//! The only place that asks the operating system for the time.
//!
//! Everything that decides is told the time by its caller; everything at the rim asks here, so that
//! a search for `Instant::now` finds one file.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Instant {
    Instant::now()
}

/// Wall-clock time since the Unix epoch; zero if the computer's clock stands before it.
#[allow(clippy::disallowed_methods, reason = "this is the one place")]
pub fn unix() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Wall-clock time in milliseconds since the Unix epoch, as the probe's logs carry it.
pub fn unix_ms() -> f64 {
    unix().as_secs_f64() * 1e3
}

/// The wall-clock time in milliseconds at the monotonic instant `at`.
pub fn unix_ms_at(at: Instant) -> f64 {
    let now = now();
    match now.checked_duration_since(at) {
        Some(ago) => unix_ms() - ago.as_secs_f64() * 1e3,
        None => unix_ms() + at.saturating_duration_since(now).as_secs_f64() * 1e3,
    }
}
