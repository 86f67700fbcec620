//! Whether a queue on the path grows, by how packets that left together drift apart in arriving.
//!
//! The trend filter and the adaptive threshold are those of Carlucci et al. 2016 (sections 4 and
//! 5); constants without another source are from there.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets that left within this time count as one: pictures are several packets, and the pacer
/// sends in bursts of a few milliseconds.
const GROUP: Duration = Duration::from_millis(5);

/// Points of the line that is fitted.
const POINTS: usize = 20;

/// Share of the old value in the smoothed delay.
const SMOOTHING: f64 = 0.9;

/// From slope (milliseconds a millisecond) to the scale of the threshold.
const GAIN: f64 = 4.0;

/// The gain also grows with the number of points known, up to this.
const MOST_DELTAS: u32 = 60;

/// Milliseconds where the threshold starts.
const THRESHOLD: f64 = 12.5;
/// It stays in here.
const THRESHOLD_BOUNDS: (f64, f64) = (6.0, 600.0);
/// How fast it rises towards a trend above it, a millisecond of time.
const THRESHOLD_UP: f64 = 0.0087;
/// How fast it falls towards a trend below it.
const THRESHOLD_DOWN: f64 = 0.039;
/// A trend this far above the threshold is an event of its own and does not teach it.
const THRESHOLD_OUTLIER: f64 = 15.0;

/// A trend must stay above the threshold for so many milliseconds.
const OVERUSE_TIME: f64 = 10.0;

/// Arrival times further apart than this are not of one clock.
const JUMP: Duration = Duration::from_secs(3);

/// How long the shortest delay is remembered, in two halves; clocks drift by some milliseconds in
/// that time.
const BASE_HALF: Duration = Duration::from_secs(10);

/// What the drift says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// The queue neither grows nor shrinks.
    #[default]
    Normal,
    /// The queue grows.
    Over,
    /// The queue drains.
    Under,
}

/// Packets that left together; the times are those of the last one.
#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: Instant,
    sent: Instant,
    arrived: Duration,
    least_delay: f64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct DelayDetector {
    epoch: Option<(Instant, Duration)>,
    current: Option<Group>,
    previous: Option<Group>,
    trend: Trend,
    usage: Usage,
    over_seen: bool,
    base: Base,
    queue: f64,
}

impl DelayDetector {
    /// A packet that was `sent` has `arrived` on the receiver's clock. In sending order.
    pub fn on_packet(&mut self, sent: Instant, arrived: Duration, _size: usize) {
        let (sent_epoch, arrived_epoch) = *self.epoch.get_or_insert((sent, arrived));
        let delay = millis_between(arrived, arrived_epoch) - millis_since(sent, sent_epoch);
        let Some(group) = &mut self.current else {
            self.current = Some(Group { first_sent: sent, sent, arrived, least_delay: delay });
            return;
        };
        if arrived.abs_diff(group.arrived) > JUMP {
            *self = Self::default();
            return;
        }
        if sent < group.first_sent {
            return;
        }
        let together = sent.saturating_duration_since(group.first_sent) <= GROUP;
        if together {
            group.sent = group.sent.max(sent);
            group.arrived = group.arrived.max(arrived);
            group.least_delay = group.least_delay.min(delay);
            return;
        }
        let done = *group;
        self.current = Some(Group { first_sent: sent, sent, arrived, least_delay: delay });
        self.on_group(done);
    }

    /// What the groups since the last call said; growing wins.
    pub fn take_usage(&mut self) -> Usage {
        if std::mem::take(&mut self.over_seen) { Usage::Over } else { self.usage }
    }

    /// How long packets wait on the path now, beyond the shortest wait of the last seconds.
    pub fn queue(&self) -> Duration {
        Duration::from_secs_f64(self.queue.clamp(0.0, 60_000.0) / 1e3)
    }

    fn on_group(&mut self, group: Group) {
        let base = self.base.update(group.sent, group.least_delay);
        self.queue += ((group.least_delay - base) - self.queue) * 0.3;
        let Some(previous) = self.previous.replace(group) else { return };
        let sent = millis_since(group.sent, previous.sent);
        let arrived = millis_between(group.arrived, previous.arrived);
        if arrived < 0.0 {
            return;
        }
        self.usage = self.trend.update(arrived - sent, arrived, sent);
        self.over_seen |= self.usage == Usage::Over;
    }
}

/// The fitted line and the threshold.
#[derive(Debug)]
struct Trend {
    points: VecDeque<(f64, f64)>,
    deltas: u32,
    time: f64,
    accumulated: f64,
    smoothed: f64,
    threshold: f64,
    previous: f64,
    over_for: f64,
    over_count: u32,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            points: VecDeque::with_capacity(POINTS),
            deltas: 0,
            time: 0.0,
            accumulated: 0.0,
            smoothed: 0.0,
            threshold: THRESHOLD,
            previous: 0.0,
            over_for: 0.0,
            over_count: 0,
        }
    }
}

impl Trend {
    fn update(&mut self, variation: f64, arrived: f64, sent: f64) -> Usage {
        self.deltas = (self.deltas + 1).min(1_000);
        self.time += arrived;
        self.accumulated += variation;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if self.points.len() == POINTS {
            self.points.pop_front();
        }
        self.points.push_back((self.time, self.smoothed));
        let slope = if self.points.len() == POINTS { slope(&self.points) } else { 0.0 };
        let trend = f64::from(self.deltas.min(MOST_DELTAS)) * slope * GAIN;
        let usage = self.judge(trend, sent);
        self.adapt(trend, arrived);
        self.previous = trend;
        usage
    }

    fn judge(&mut self, trend: f64, sent: f64) -> Usage {
        if trend > self.threshold {
            self.over_for += sent;
            self.over_count += 1;
            if self.over_for > OVERUSE_TIME && self.over_count > 1 && trend >= self.previous {
                self.over_for = 0.0;
                self.over_count = 0;
                return Usage::Over;
            }
            return Usage::Normal;
        }
        self.over_for = 0.0;
        self.over_count = 0;
        if trend < -self.threshold { Usage::Under } else { Usage::Normal }
    }

    fn adapt(&mut self, trend: f64, elapsed: f64) {
        let distance = trend.abs() - self.threshold;
        if distance > THRESHOLD_OUTLIER {
            return;
        }
        let speed = if distance < 0.0 { THRESHOLD_DOWN } else { THRESHOLD_UP };
        let (least, most) = THRESHOLD_BOUNDS;
        self.threshold = (self.threshold + speed * distance * elapsed.min(100.0)).clamp(least, most);
    }
}

/// Least squares.
fn slope(points: &VecDeque<(f64, f64)>) -> f64 {
    let count = points.len() as f64;
    let (x_sum, y_sum) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x_mean, y_mean) = (x_sum / count, y_sum / count);
    let (mut up, mut down) = (0.0, 0.0);
    for (x, y) in points {
        up += (x - x_mean) * (y - y_mean);
        down += (x - x_mean) * (x - x_mean);
    }
    if down > 0.0 { up / down } else { 0.0 }
}

/// The shortest delay of the last seconds.
#[derive(Debug, Default)]
struct Base {
    since: Option<Instant>,
    current: Option<f64>,
    before: Option<f64>,
}

impl Base {
    fn update(&mut self, now: Instant, delay: f64) -> f64 {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= BASE_HALF {
            self.before = self.current.take();
            self.since = Some(now);
        }
        let current = self.current.map_or(delay, |least| least.min(delay));
        self.current = Some(current);
        self.before.map_or(current, |before| before.min(current))
    }
}

fn millis_since(later: Instant, earlier: Instant) -> f64 {
    match later.checked_duration_since(earlier) {
        Some(ahead) => ahead.as_secs_f64() * 1e3,
        None => earlier.saturating_duration_since(later).as_secs_f64() * -1e3,
    }
}

fn millis_between(later: Duration, earlier: Duration) -> f64 {
    (later.as_secs_f64() - earlier.as_secs_f64()) * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet every 20 ms whose delay grows by `growth` each; counts what was said.
    fn feed(
        detector: &mut DelayDetector,
        from: &mut u64,
        count: u64,
        delay: &mut f64,
        growth: f64,
    ) -> [u32; 3] {
        let start = crate::clock::now() + Duration::from_secs(3_600);
        let mut said = [0; 3];
        for _ in 0..count {
            *from += 20;
            *delay += growth;
            let sent = start + Duration::from_millis(*from);
            let arrived = Duration::from_secs_f64((500_000.0 + *from as f64 + *delay) / 1e3);
            detector.on_packet(sent, arrived, 1_200);
            said[detector.take_usage() as usize] += 1;
        }
        said
    }

    #[test]
    fn a_growing_queue_is_noticed_measured_and_seen_to_drain() {
        let mut detector = DelayDetector::default();
        let (mut at, mut delay) = (0, 20.0);
        assert_eq!(feed(&mut detector, &mut at, 200, &mut delay, 0.0), [200, 0, 0]);
        assert_eq!(detector.queue(), Duration::ZERO);
        let growing = feed(&mut detector, &mut at, 50, &mut delay, 3.0);
        assert!(growing[Usage::Over as usize] > 0, "{growing:?}");
        assert!((100..160).contains(&detector.queue().as_millis()), "{:?}", detector.queue());
        let draining = feed(&mut detector, &mut at, 45, &mut delay, -3.0);
        assert!(draining[Usage::Under as usize] > 0, "{draining:?}");
        feed(&mut detector, &mut at, 50, &mut delay, 0.0);
        assert!(detector.queue() < Duration::from_millis(20));
    }

    #[test]
    fn clocks_that_drift_apart_are_no_queue() {
        let mut detector = DelayDetector::default();
        let (mut at, mut delay) = (0, 20.0);
        // 200 parts per million, five minutes.
        assert_eq!(feed(&mut detector, &mut at, 15_000, &mut delay, 0.004)[Usage::Over as usize], 0);
        assert!(detector.queue() < Duration::from_millis(6), "{:?}", detector.queue());
    }
}
