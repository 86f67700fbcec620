//! What the target does with the news.

use std::time::{Duration, Instant};

use super::FIRST_PACE;
use super::delay::Usage;
use super::loss::Loss;
use crate::units::Bitrate;

/// A growing queue takes the target to this share of what arrives: room to drain.
const BACK_OFF: f64 = 0.85;

/// The same when the queue is long already.
const BACK_OFF_LONG: f64 = 0.7;

/// What counts as long: it would be heard in a conversation.
const LONG_QUEUE: Duration = Duration::from_millis(120);

/// Above this no growth beyond careful steps.
const SHORT_QUEUE: Duration = Duration::from_millis(25);

/// Growth a second while the path has never been full: from 1 to 2 Mbit/s in under two seconds.
const FAST: f64 = 1.5;

/// Growth a second after it was, away from where it was.
const SLOW: f64 = 1.08;

/// How many seconds without trouble it takes for `SLOW` to become `FAST`.
const PATIENCE: f64 = 6.0;

/// Never grow beyond this many times what arrives: what is not sent proves nothing.
const HEADROOM: f64 = 1.5;

/// Up to here growth needs no proof: with less there is no picture, and sound alone could never
/// prove that there is room for one.
const UNPROVEN: f64 = 160_000.0;

/// Loss beyond the path's own that means that it is full (draft-ietf-rmcat-gcc-02 section 6).
const MUCH_LOSS: f64 = 0.1;

/// Loss that calls for care.
const SOME_LOSS: f64 = 0.02;

/// What feedback said.
#[derive(Clone, Copy, Debug)]
pub struct News {
    /// Does the queue grow?
    pub usage: Usage,
    /// How long is it?
    pub queue: Duration,
    /// The verdict on loss, if there is one now.
    pub loss: Option<Loss>,
    /// Bits per second that arrive, if known.
    pub acknowledged: Option<f64>,
    /// The highest of those in the last seconds, if known.
    pub peak: Option<f64>,
    /// Round trip, feedback interval included.
    pub round_trip: Duration,
}

/// Where the path was found full: mean and mean deviation of what arrived then.
#[derive(Clone, Copy, Debug)]
struct Ceiling {
    rate: f64,
    deviation: f64,
}

impl Ceiling {
    fn meet(previous: Option<Self>, rate: f64) -> Self {
        match previous {
            Some(old) if (rate - old.rate).abs() <= old.margin() => {
                let error = rate - old.rate;
                Self {
                    rate: old.rate + 0.2 * error,
                    deviation: (old.deviation + 0.2 * (error.abs() - old.deviation)).max(0.02 * rate),
                }
            }
            _ => Self { rate, deviation: 0.05 * rate },
        }
    }

    fn margin(self) -> f64 {
        3.0 * self.deviation
    }
}

/// The target and what it remembers.
#[derive(Debug)]
pub struct Control {
    target: f64,
    start: f64,
    least: f64,
    most: f64,
    ceiling: Option<Ceiling>,
    /// The path has been full.
    tried: bool,
    careful: bool,
    updated: Option<Instant>,
    decreased: Option<Instant>,
}

impl Control {
    /// Starts at `start`, stays between `least` and `most`.
    pub fn new(start: Bitrate, least: Bitrate, most: Bitrate) -> Self {
        let bits = |rate: Bitrate| rate.as_bps() as f64;
        Self {
            target: bits(start),
            start: bits(start),
            least: bits(least),
            most: bits(most),
            ceiling: None,
            tried: false,
            careful: false,
            updated: None,
            decreased: None,
        }
    }

    /// The target.
    pub fn target(&self) -> Bitrate {
        Bitrate::from_bps(self.target as u64)
    }

    /// By what the pacer goes. A path that was never full may carry far more than the target, which has grown
    /// only with what there was to send; a page of text, or the camera's first picture, needs not wait for it.
    pub fn pace(&self) -> Bitrate {
        if self.tried { self.target() } else { self.target().max(FIRST_PACE) }
    }

    /// Says whether the target fell.
    pub fn update(&mut self, now: Instant, news: &News) -> bool {
        let elapsed =
            self.updated.replace(now).map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        let before = self.target;
        if let Some(loss) = news.loss {
            self.careful = loss.share > SOME_LOSS;
            if loss.excess > MUCH_LOSS {
                self.tried = true;
                self.decreased = Some(now);
                self.set(self.target * (1.0 - 0.5 * loss.excess));
                return self.target < before;
            }
        }
        match news.usage {
            Usage::Over => self.back_off(now, news),
            Usage::Under => {}
            Usage::Normal => self.grow(now, elapsed.min(Duration::from_millis(250)), news),
        }
        // An encoder that has sent little for long proves nothing about what it had before.
        if let Some(peak) = news.peak {
            self.set(self.target.min((HEADROOM * peak).max(self.start)));
        }
        self.target < before
    }

    /// Nothing was heard for a second although we send.
    pub fn on_silence(&mut self, now: Instant) {
        self.tried = true;
        self.decreased = Some(now);
        self.set(self.target / 2.0);
    }

    fn back_off(&mut self, now: Instant, news: &News) {
        let Some(acknowledged) = news.acknowledged else { return };
        let settled = match self.decreased {
            Some(at) => now.saturating_duration_since(at) >= news.round_trip + Duration::from_millis(200),
            None => true,
        };
        let factor = if news.queue > LONG_QUEUE { BACK_OFF_LONG } else { BACK_OFF };
        // Within a round trip only a much lower rate is news.
        if !settled && acknowledged * factor > 0.8 * self.target {
            return;
        }
        if acknowledged * factor < self.target {
            self.set(acknowledged * factor);
        }
        self.ceiling = Some(Ceiling::meet(self.ceiling, acknowledged));
        self.tried = true;
        self.decreased = Some(now);
    }

    fn grow(&mut self, now: Instant, elapsed: Duration, news: &News) {
        let Some(acknowledged) = news.acknowledged else { return };
        if let Some(ceiling) = self.ceiling
            && (acknowledged > ceiling.rate + ceiling.margin())
        {
            self.ceiling = None;
        }
        let seconds = elapsed.as_secs_f64();
        let near = self.ceiling.is_some_and(|ceiling| self.target > ceiling.rate * BACK_OFF);
        let step = if near || news.queue > SHORT_QUEUE {
            // A packet a response time (draft-ietf-rmcat-gcc-02 section 5.5).
            9_600.0 * seconds / (news.round_trip + Duration::from_millis(100)).as_secs_f64()
        } else {
            self.target * (self.growth(now).powf(seconds) - 1.0)
        };
        let limit = (HEADROOM * acknowledged).max(UNPROVEN);
        if self.target < limit {
            self.set((self.target + step).min(limit));
        }
    }

    /// Factor a second.
    fn growth(&self, now: Instant) -> f64 {
        if self.careful {
            return SLOW;
        }
        if !self.tried {
            return FAST;
        }
        let quiet = self.decreased.map_or(PATIENCE, |at| now.saturating_duration_since(at).as_secs_f64());
        SLOW + (FAST - SLOW) * (quiet / PATIENCE).min(1.0)
    }

    fn set(&mut self, target: f64) {
        self.target = target.clamp(self.least, self.most);
    }
}
