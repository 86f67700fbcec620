//! When the window is drawn again: a new view, or a new picture of a track that is on the screen.
//!
//! Pictures come from several tracks, each at its own pace, and not every system waits for the
//! display: so they are held to one rate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use eframe::egui::Context;

use crate::clock;
use crate::engine::frames::FrameKey;

/// The display's rate, as most have it; where the system waits for the display it decides.
pub const ON_CARD: Duration = Duration::from_micros(16_000);

/// Where the processor draws every pixel, half the usual rate of a camera is what it can bear.
pub const IN_SOFTWARE: Duration = Duration::from_micros(66_000);

/// As good as at once. A delay of zero would draw the window twice, "to let things settle", which
/// doubles the cost of every picture.
pub const SOON: Duration = Duration::from_micros(1);

/// Wakes the window for pictures. Clones share what they know.
#[derive(Clone)]
pub struct FrameWaker {
    ctx: Context,
    pace: Arc<Mutex<Pace>>,
}

impl FrameWaker {
    /// Wakes at most once in `interval`.
    pub fn new(ctx: Context, interval: Duration) -> Self {
        Self { ctx, pace: Arc::new(Mutex::new(Pace { interval, shown: Vec::new(), due: None })) }
    }

    /// A picture arrived; called from the thread that made it.
    pub fn arrived(&self, key: &FrameKey) {
        let wait = self.pace().arrived(key, clock::now());
        if let Some(wait) = wait {
            self.ctx.request_repaint_after(wait.max(SOON));
        }
    }

    /// The window was drawn and shows these.
    pub fn drawn(&self, shown: Vec<FrameKey>) {
        self.pace().drawn(shown, clock::now());
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides how long to wait. Pure.
struct Pace {
    interval: Duration,
    shown: Vec<FrameKey>,
    due: Option<Instant>,
}

impl Pace {
    fn arrived(&mut self, key: &FrameKey, now: Instant) -> Option<Duration> {
        let due = self.due.unwrap_or(now);
        self.shown.contains(key).then(|| due.saturating_duration_since(now))
    }

    fn drawn(&mut self, shown: Vec<FrameKey>, now: Instant) {
        self.shown = shown;
        self.due = Some(now + self.interval);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_held_to_one_rate_and_hidden_ones_wake_nobody() {
        let start = clock::now();
        let mut pace = Pace { interval: IN_SOFTWARE, shown: vec![FrameKey::Local], due: None };
        assert_eq!(pace.arrived(&FrameKey::Local, start), Some(Duration::ZERO));
        pace.drawn(vec![FrameKey::Local], start);
        let later = start + Duration::from_millis(30);
        assert_eq!(pace.arrived(&FrameKey::Local, later), Some(Duration::from_millis(36)));
        assert_eq!(pace.arrived(&FrameKey::Local, start + Duration::from_secs(1)), Some(Duration::ZERO));
        pace.drawn(Vec::new(), later);
        assert_eq!(pace.arrived(&FrameKey::Local, later), None);
    }
}
