//! How much delay a track needs so that all but its worst packets arrive in time.
//!
//! Every packet has an offset: when it arrived minus when its sound was captured, on two clocks
//! that have nothing to do with each other. The smallest offset of the last seconds is the
//! *base*, the fastest that the path can be; what a packet's offset exceeds it by is its
//! *lateness*. The target is a high quantile of the lateness, with memory that fades.

use std::time::Duration;

/// Resolution of the histogram, in seconds.
const BUCKET: f64 = 0.005;

/// Lateness is told apart up to 500 ms.
const BUCKETS: usize = 100;

/// Packets are judged by the latest of each such interval (seconds), so that a burst counts once
/// and a rare spike is not drowned by the many packets between.
const INTERVAL: f64 = 0.2;

/// Share of intervals whose packets are all to be in time.
const QUANTILE: f64 = 0.95;

/// Weight that an interval keeps with each that follows: a memory of about ten seconds. A single
/// spike weighs 2 % and is below the quantile; three in ten seconds are not.
const FORGET: f64 = 0.98;

/// How long an epoch of the base lasts (seconds); the base is the smallest of this one and the last.
const EPOCH: f64 = 2.0;

/// Sound is taken in blocks of 10 ms, sometimes two at once: packets must be there this much earlier.
const MARGIN: f64 = 0.010;

/// Never less, whatever the network: one packet.
pub const MIN_TARGET: Duration = Duration::from_millis(20);

/// Never more for the network's sake: beyond this, talking becomes impossible before it becomes
/// whole.
pub const MAX_TARGET: Duration = Duration::from_millis(500);

/// Before anything is known.
const FIRST_TARGET: Duration = Duration::from_millis(40);

/// Learns from arrivals. All times in seconds.
#[derive(Clone, Debug)]
pub struct DelayEstimator {
    histogram: [f64; BUCKETS],
    intervals: u32,
    /// The base for which the histogram's buckets were counted.
    origin: f64,
    interval_start: f64,
    interval_latest: f64,
    epoch_start: f64,
    epoch_least: f64,
    last_epoch_least: f64,
    known: bool,
}

impl Default for DelayEstimator {
    fn default() -> Self {
        Self {
            histogram: [0.0; BUCKETS],
            intervals: 0,
            origin: 0.0,
            interval_start: 0.0,
            interval_latest: 0.0,
            epoch_start: 0.0,
            epoch_least: f64::INFINITY,
            last_epoch_least: f64::INFINITY,
            known: false,
        }
    }
}

impl DelayEstimator {
    /// A packet whose sound stands at `media` arrived at `arrival`.
    pub fn observe(&mut self, media: f64, arrival: f64) {
        let offset = arrival - media;
        if !self.known {
            *self = Self {
                origin: offset,
                interval_start: arrival,
                interval_latest: offset,
                epoch_start: arrival,
                epoch_least: offset,
                known: true,
                ..Self::default()
            };
        }
        if arrival - self.epoch_start > EPOCH {
            self.epoch_start = arrival;
            self.last_epoch_least = self.epoch_least;
            self.epoch_least = offset;
        }
        self.epoch_least = self.epoch_least.min(offset);
        self.follow_base();
        if arrival - self.interval_start > INTERVAL {
            self.close_interval();
            self.interval_start = arrival;
            self.interval_latest = offset;
        }
        self.interval_latest = self.interval_latest.max(offset);
    }

    /// The smallest offset that the path allows now.
    pub fn base(&self) -> Option<f64> {
        self.known.then(|| self.epoch_least.min(self.last_epoch_least))
    }

    /// The delay to aim at.
    pub fn target(&self) -> Duration {
        if self.intervals == 0 {
            return FIRST_TARGET;
        }
        let mut above = 0.0;
        let bucket = (0..BUCKETS).rev().find(|&bucket| {
            above += self.histogram[bucket];
            above > 1.0 - QUANTILE
        });
        let lateness = (bucket.unwrap_or(0) + 1) as f64 * BUCKET;
        Duration::from_secs_f64(lateness + MARGIN).clamp(MIN_TARGET, MAX_TARGET)
    }

    fn close_interval(&mut self) {
        let lateness = (self.interval_latest - self.origin).max(0.0);
        let bucket = ((lateness / BUCKET) as usize).min(BUCKETS - 1);
        // At first every interval counts the same; later the memory fades.
        let keep = FORGET.min(f64::from(self.intervals) / f64::from(self.intervals + 1));
        self.histogram.iter_mut().for_each(|weight| *weight *= keep);
        self.histogram[bucket] += 1.0 - keep;
        self.intervals = self.intervals.saturating_add(1);
    }

    /// When the path itself became faster or slower, what was learnt moves along.
    fn follow_base(&mut self) {
        let Some(base) = self.base() else { return };
        let buckets = ((base - self.origin) / BUCKET).round();
        if buckets == 0.0 {
            return;
        }
        self.origin += buckets * BUCKET;
        let shift = buckets.abs().min(BUCKETS as f64) as usize;
        let moved = if buckets > 0.0 {
            let sum = self.histogram[..shift].iter().sum::<f64>();
            self.histogram.copy_within(shift.., 0);
            self.histogram[BUCKETS - shift..].fill(0.0);
            (0, sum)
        } else {
            let sum = self.histogram[BUCKETS - shift..].iter().sum::<f64>();
            self.histogram.copy_within(..BUCKETS - shift, shift);
            self.histogram[..shift].fill(0.0);
            (BUCKETS - 1, sum)
        };
        self.histogram[moved.0] += moved.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::test_signal::Random;

    /// Feeds packets of 20 ms whose lateness in ms is given by `lateness(n)`; an hour has passed
    /// on the other side's clock.
    fn feed(estimator: &mut DelayEstimator, from: usize, to: usize, mut lateness: impl FnMut(usize) -> f64) {
        for n in from..to {
            let media = n as f64 * 0.02;
            estimator.observe(media - 3_600.0, media + lateness(n) / 1e3);
        }
    }

    fn target_ms(estimator: &DelayEstimator) -> u128 {
        estimator.target().as_millis()
    }

    #[test]
    fn a_clean_network_needs_no_more_than_one_packet() {
        let mut estimator = DelayEstimator::default();
        let mut random = Random(1);
        feed(&mut estimator, 0, 500, |_| 1.0 + f64::from(random.next()));
        assert_eq!(target_ms(&estimator), 20);
    }

    #[test]
    fn the_target_follows_jitter_within_a_second_and_comes_back() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 500, |_| 0.0);
        feed(&mut estimator, 500, 560, |n| if n % 5 == 0 { 80.0 } else { 0.0 });
        assert!((80..=105).contains(&target_ms(&estimator)), "{}", target_ms(&estimator));
        feed(&mut estimator, 560, 2_600, |_| 0.0);
        assert_eq!(target_ms(&estimator), 20);
    }

    #[test]
    fn one_spike_does_not_raise_it() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 1_000, |n| if n == 900 { 200.0 } else { 0.0 });
        assert_eq!(target_ms(&estimator), 20);
    }

    #[test]
    fn a_longer_path_becomes_the_new_base() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 500, |_| 0.0);
        feed(&mut estimator, 500, 1_000, |_| 100.0);
        assert!((estimator.base().unwrap() - 3_600.1).abs() < 1e-6);
        assert!(target_ms(&estimator) <= 30, "{}", target_ms(&estimator));
    }

    #[test]
    fn drifting_clocks_do_not_look_like_jitter() {
        let mut estimator = DelayEstimator::default();
        feed(&mut estimator, 0, 30_000, |n| n as f64 * 0.02 * 0.2);
        assert_eq!(target_ms(&estimator), 20, "200 ppm");
    }
}
