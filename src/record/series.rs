//! Numbers over time, compact: one value a second for an hour costs 30 kB.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Direction;
use crate::rtc::stats::Kind;

/// Samples that a copy of a series shares with the original.
const CHUNK: usize = 120;

/// Bytes of a sample.
pub(super) const SAMPLE: usize = size_of::<Sample>();

/// What a number is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The whole connection.
    Connection,
    /// One RTP stream.
    Stream(StreamId),
}

/// An RTP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// From us or to us.
    pub direction: Direction,
    /// Sound or pictures.
    pub kind: Kind,
    /// A shared screen's, not a person's (W3C `contentType`).
    pub of_screen: bool,
    /// Its synchronisation source (RFC 3550).
    pub ssrc: u32,
}

impl StreamId {
    /// What a shared screen plays is no voice: it may pause, and nobody is misunderstood for it.
    pub fn is_sound_of_screen(&self) -> bool {
        self.of_screen && self.kind == Kind::Audio
    }
}

/// What a number says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// What the encoder is asked for.
    TargetBitrate,
    /// What left, RTP headers included.
    SentBitrate,
    /// What arrived, RTP headers included.
    ReceivedBitrate,
    /// What the path is believed to carry.
    AvailableOutgoingBitrate,
    /// To the other side and back.
    RoundTrip,
    /// Share of packets that did not arrive.
    Loss,
    /// RFC 3550 interarrival jitter.
    Jitter,
    /// Mean wait of what left the jitter buffer in that second.
    JitterBufferDelay,
    /// Pictures encoded or decoded.
    FrameRate,
    /// Of the picture.
    FrameWidth,
    /// Of the picture.
    FrameHeight,
    /// Mean quantizer of the pictures of that second.
    Qp,
    /// Requests for lost packets.
    Nack,
    /// Requests for a key frame.
    Pli,
    /// Freezes as W3C defines them.
    Freezes,
    /// Mean time to encode a picture.
    EncodeTime,
    /// Mean time to decode a picture.
    DecodeTime,
    /// W3C `audioLevel`.
    AudioLevel,
    /// Share of the sound that was made up for what did not arrive.
    Concealment,
}

/// What a number is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bits per second.
    BitsPerSecond,
    /// Milliseconds.
    Milliseconds,
    /// 0.0 to 1.0.
    Share,
    /// How many a second.
    PerSecond,
    /// Pixels.
    Pixels,
    /// A number without a unit.
    Plain,
}

impl Metric {
    /// All, in the order in which they are shown.
    pub const ALL: [Metric; 19] = [
        Metric::TargetBitrate,
        Metric::SentBitrate,
        Metric::ReceivedBitrate,
        Metric::AvailableOutgoingBitrate,
        Metric::RoundTrip,
        Metric::Loss,
        Metric::Jitter,
        Metric::JitterBufferDelay,
        Metric::FrameRate,
        Metric::FrameWidth,
        Metric::FrameHeight,
        Metric::Qp,
        Metric::Nack,
        Metric::Pli,
        Metric::Freezes,
        Metric::EncodeTime,
        Metric::DecodeTime,
        Metric::AudioLevel,
        Metric::Concealment,
    ];

    /// What its values are counted in.
    pub fn unit(self) -> Unit {
        match self {
            Metric::TargetBitrate
            | Metric::SentBitrate
            | Metric::ReceivedBitrate
            | Metric::AvailableOutgoingBitrate => Unit::BitsPerSecond,
            Metric::RoundTrip
            | Metric::Jitter
            | Metric::JitterBufferDelay
            | Metric::EncodeTime
            | Metric::DecodeTime => Unit::Milliseconds,
            Metric::Loss | Metric::AudioLevel | Metric::Concealment => Unit::Share,
            Metric::FrameRate | Metric::Nack | Metric::Pli | Metric::Freezes => Unit::PerSecond,
            Metric::FrameWidth | Metric::FrameHeight => Unit::Pixels,
            Metric::Qp => Unit::Plain,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sample {
    /// Milliseconds since the history began.
    at: u32,
    value: f32,
}

/// One number over time. Cheap to clone: what is older than two minutes is shared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// When the history began, in milliseconds since the Unix epoch.
    origin: f64,
    chunks: VecDeque<Arc<Vec<Sample>>>,
    newest: Vec<Sample>,
}

impl Series {
    fn new(origin: f64) -> Self {
        Self { origin, ..Self::default() }
    }

    /// A value at `t` (Unix, milliseconds). Time that stands still or runs backwards becomes a
    /// millisecond: a series is in order.
    fn push(&mut self, t: f64, value: f32, most: usize) {
        // A float that does not fit becomes the nearest that does; 49 days are enough.
        let at = (t - self.origin).round() as u32;
        let at = self.last_sample().map_or(at, |last| at.max(last.at.saturating_add(1)));
        self.newest.push(Sample { at, value });
        if self.newest.len() < CHUNK {
            return;
        }
        let full = std::mem::replace(&mut self.newest, Vec::with_capacity(CHUNK));
        self.chunks.push_back(Arc::new(full));
        while self.chunks.len() > 1 && (self.chunks.len() - 1) * CHUNK >= most {
            self.chunks.pop_front();
        }
    }

    fn last_sample(&self) -> Option<&Sample> {
        self.newest.last().or_else(|| self.chunks.back()?.last())
    }

    fn samples(&self) -> impl DoubleEndedIterator<Item = &Sample> {
        self.chunks.iter().flat_map(|chunk| chunk.iter()).chain(&self.newest)
    }

    /// All values in order: Unix milliseconds and value.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (f64, f64)> {
        self.samples().map(|sample| (self.origin + f64::from(sample.at), f64::from(sample.value)))
    }

    /// The values from one moment to another (Unix milliseconds, both included).
    pub fn between(&self, from: f64, to: f64) -> impl Iterator<Item = (f64, f64)> {
        let begins_late = move |chunk: &&Arc<Vec<Sample>>| {
            chunk.last().is_some_and(|last| self.origin + f64::from(last.at) < from)
        };
        let skipped = self.chunks.iter().take_while(begins_late).count();
        let samples = self.chunks.iter().skip(skipped).flat_map(|chunk| chunk.iter()).chain(&self.newest);
        samples
            .map(|sample| (self.origin + f64::from(sample.at), f64::from(sample.value)))
            .skip_while(move |(t, _)| *t < from)
            .take_while(move |(t, _)| *t <= to)
    }

    /// The newest value and its time.
    pub fn last(&self) -> Option<(f64, f64)> {
        self.points().next_back()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.chunks.len() * CHUNK + self.newest.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All numbers over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeriesSet {
    all: BTreeMap<(Scope, Metric), Series>,
}

impl SeriesSet {
    /// One number of one thing.
    pub fn get(&self, scope: Scope, metric: Metric) -> Option<&Series> {
        self.all.get(&(scope, metric))
    }

    /// Everything, in a fixed order: the connection, then what we send, then what we receive.
    pub fn iter(&self) -> impl Iterator<Item = (Scope, Metric, &Series)> {
        self.all.iter().map(|((scope, metric), series)| (*scope, *metric, series))
    }

    /// What there are numbers about, in the same order.
    pub fn scopes(&self) -> Vec<Scope> {
        let mut scopes: Vec<_> = self.all.keys().map(|(scope, _)| *scope).collect();
        scopes.dedup();
        scopes
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a value. Says whether another series, the one that ended longest ago, had to go for it.
    pub(super) fn push(&mut self, point: Point, origin: f64, limits: (usize, usize)) -> bool {
        let (most_series, most_samples) = limits;
        let key = (point.scope, point.metric);
        let crowded = self.all.len() >= most_series && !self.all.contains_key(&key);
        if crowded {
            let ended = |series: &Series| series.last_sample().map_or(0, |last| last.at);
            let oldest = self.all.iter().min_by_key(|(_, series)| ended(series)).map(|(key, _)| *key);
            oldest.and_then(|key| self.all.remove(&key));
        }
        let series = self.all.entry(key).or_insert_with(|| Series::new(origin));
        series.push(point.t, point.value as f32, most_samples);
        crowded
    }

    /// Bytes of all samples.
    pub fn bytes(&self) -> usize {
        self.all.values().map(|series| series.len() * SAMPLE).sum()
    }
}

/// A value on its way into a series.
pub(super) struct Point {
    pub t: f64,
    pub scope: Scope,
    pub metric: Metric,
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: impl IntoIterator<Item = (f64, f32)>, most: usize) -> Series {
        let mut series = Series::new(1_000.0);
        for (t, value) in values {
            series.push(t, value, most);
        }
        series
    }

    #[test]
    fn an_hour_stays_and_what_is_older_goes() {
        let seconds = 10_000u32;
        let series = series((0..seconds).map(|n| (1_000.0 + f64::from(n) * 1e3, n as f32)), 3_600);
        assert!((3_600..3_600 + 2 * CHUNK).contains(&series.len()), "{}", series.len());
        assert_eq!(series.last(), Some((1_000.0 + 9_999e3, 9_999.0)));
        let first = series.points().next().unwrap();
        assert_eq!(series.len() as f64, 9_999.0 - first.1 + 1.0, "no gap");
    }

    #[test]
    fn a_range_is_found() {
        let series = series((0..1_000u32).map(|n| (1_000.0 + f64::from(n) * 1e3, n as f32)), 3_600);
        let range: Vec<f64> = series.between(500_500.0, 503_000.0).map(|(_, value)| value).collect();
        assert_eq!(range, [500.0, 501.0, 502.0]);
        assert_eq!(series.between(5e9, 6e9).count(), 0);
        assert_eq!(series.between(0.0, 1e12).count(), 1_000);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_the_order() {
        let series =
            series([(5_000.0, 1.0), (2_000.0, 2.0), (f64::NAN, 3.0), (-1e300, 4.0), (6_000.0, 5.0)], 10);
        let times: Vec<f64> = series.points().map(|(t, _)| t).collect();
        assert_eq!(times, [5_000.0, 5_001.0, 5_002.0, 5_003.0, 6_000.0]);
    }

    #[test]
    fn a_copy_shares_what_is_old() {
        let one = series((0..1_000u32).map(|n| (f64::from(n) * 1e3, n as f32)), 3_600);
        let other = one.clone();
        assert!(one.chunks.iter().zip(&other.chunks).all(|(a, b)| Arc::ptr_eq(a, b)));
        assert!(other.newest.len() < CHUNK);
    }
}
