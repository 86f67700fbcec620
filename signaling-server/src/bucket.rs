//! Token buckets: how often somebody may do something, and a bounded table of them by key.
//!
//! Knows neither sockets nor messages; time is given.

use std::{collections::HashMap, hash::Hash, time::Duration};

/// How fast a bucket fills and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// Tokens added in a second.
    pub per_second: f64,
    /// Most tokens held, and held at the start.
    pub burst: f64,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    filled: Duration,
}

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: Duration) -> Self {
        Self { rate, tokens: rate.burst, filled: now }
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.filled);
        self.tokens = (self.tokens + elapsed.as_secs_f64() * self.rate.per_second).min(self.rate.burst);
        self.filled = self.filled.max(now);
    }

    /// Takes one token, or says how long until there is one.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate.per_second))
    }

    /// Whether at least half a second of the rate is there: whoever sends at the rate or faster does
    /// not get there.
    pub fn has_recovered(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.tokens >= self.rate.per_second / 2.0
    }

    fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.tokens >= self.rate.burst
    }
}

/// One bucket for each key, in bounded memory.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    most: usize,
    of: HashMap<K, Bucket>,
}

impl<K: Eq + Hash> Buckets<K> {
    /// An empty table for at most `most` keys.
    pub fn new(rate: Rate, most: usize) -> Self {
        Self { rate, most, of: HashMap::new() }
    }

    /// Takes one token of `key`'s bucket, or says how long until there is one.
    ///
    /// When the table is full, the buckets that are full again are forgotten; if all are in use,
    /// a new key is refused, so that inventing keys gives nobody more than their share.
    pub fn take(&mut self, key: K, now: Duration) -> Result<(), Duration> {
        if !self.of.contains_key(&key) && self.of.len() >= self.most {
            self.of.retain(|_, bucket| !bucket.is_full(now));
            if self.of.len() >= self.most {
                return Err(Duration::from_secs(1));
            }
        }
        self.of.entry(key).or_insert_with(|| Bucket::new(self.rate, now)).take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(ms: u64) -> Duration {
        HOUR + Duration::from_millis(ms)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(Rate { per_second: 10.0, burst: 3.0 }, at(0));
        let given = (0..5).filter(|_| bucket.take(at(0)).is_ok()).count();
        assert_eq!(given, 3);
        let wait = bucket.take(at(0)).expect_err("empty");
        assert_eq!(wait.as_millis(), 100);
        assert!(bucket.take(at(100)).is_ok());
        assert!(bucket.take(at(150)).is_err());
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_nothing() {
        let mut bucket = Bucket::new(Rate { per_second: 10.0, burst: 1.0 }, at(1000));
        assert!(bucket.take(at(1000)).is_ok());
        assert!(bucket.take(at(500)).is_err());
        assert!(bucket.take(at(1000)).is_err());
    }

    #[test]
    fn a_table_of_buckets_stays_within_its_bound() {
        let mut buckets = Buckets::new(Rate { per_second: 1.0, burst: 2.0 }, 4);
        for key in 0..100 {
            let _ = buckets.take(key, at(0));
        }
        assert_eq!(buckets.of.len(), 4);
        assert!(buckets.take(99, at(0)).is_err());
        assert!(buckets.take(99, at(10_000)).is_ok(), "those who kept quiet are forgotten");
    }
}
