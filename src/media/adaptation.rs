//! How large a picture to send: what the bitrate can carry and the processor can encode.
//!
//! Pure: it is told the time and what was measured. It knows no encoder and no network; the bitrate
//! is somebody else's estimate.

pub mod reading;
pub mod screen;

use std::time::{Duration, Instant};

use super::stats::{QualityLimitation, QualityLimitationDurations};
use crate::units::{Bitrate, Resolution};

/// The sizes on offer, as eighths of the source both ways. All keep its proportions: 1280x720 is
/// sent as 720p, 540p, 360p, 270p or 180p.
const STEPS: [u32; 5] = [8, 6, 4, 3, 2];

/// A larger picture needs this much more than its least bitrate, so that an estimate that swings
/// around the limit does not change the size each time (every change costs a key frame).
const HEADROOM: f64 = 1.25;
/// For how long it must have had it.
const PATIENCE_UP: Duration = Duration::from_secs(3);
/// For how long the bitrate may be too small for the picture.
const PATIENCE_DOWN: Duration = Duration::from_millis(500);

/// Encoding may take this share of the time between two pictures, on average.
const BUSY: f64 = 0.85;
/// The share that a larger picture is expected to take must stay below this.
const IDLE: f64 = 0.6;
/// Encoding is judged over this long.
const WINDOW: Duration = Duration::from_secs(2);
/// After a step down for the processor's sake, the first step up comes no sooner than this; each
/// further step down doubles it.
const CPU_REST: Duration = Duration::from_secs(10);
/// The longest rest.
const CPU_REST_MAX: Duration = Duration::from_secs(160);

/// Least bitrate at which a picture of this size looks better than a smaller one: 600 kbit/s for
/// 720p, and by pixels to the power of 0.9 for other sizes, since smooth areas grow faster than
/// detail does (360p: 172, 180p: 49, 1080p: 1240 kbit/s).
pub fn least_bitrate(resolution: Resolution) -> Bitrate {
    let share = resolution.pixels() as f64 / Resolution::HD.pixels() as f64;
    Bitrate::from_kbps(600).scaled(share.powf(0.9))
}

/// Most pictures a second at this bitrate: the smallest picture at 30 a second would fall apart below
/// 80 kbit/s, and slower is better than worse.
pub fn most_fps(bitrate: Bitrate) -> f64 {
    match bitrate.as_kbps() {
        0..60 => 15.0,
        60..80 => 20.0,
        _ => f64::INFINITY,
    }
}

/// The source at `eighths` of its size; even both ways, at least 16 pixels.
fn shrunk(source: Resolution, eighths: u32) -> Resolution {
    if eighths == 8 {
        return source;
    }
    let side = |length: u32| (length * eighths / 8 / 2 * 2).max(16).min(length);
    Resolution::new(side(source.width), side(source.height))
}

/// Decides the size of the picture that is sent.
#[derive(Clone, Debug)]
pub struct Adaptation {
    source: Resolution,
    max: Resolution,
    bitrate: Bitrate,
    /// Step that the bitrate allows, and step that the processor allows: indices of [`STEPS`].
    bandwidth_step: usize,
    cpu_step: usize,
    /// Since when the bitrate has asked for another step than the current one.
    pressure: Option<(Direction, Instant)>,
    load: Load,
    cpu_rest: Duration,
    /// When the processor may be tried with more.
    cpu_retry: Option<Instant>,
    /// What has been told, for the statistics.
    told: Option<Told>,
    durations: QualityLimitationDurations,
    changes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    resolution: Resolution,
    reason: QualityLimitation,
    since: Instant,
}

/// How busy encoding is, in the running window.
#[derive(Clone, Debug, Default)]
struct Load {
    since: Option<Instant>,
    encoding: Duration,
    pictures: u32,
    /// The window before was too busy as well.
    busy_before: bool,
}

impl Adaptation {
    /// For a source of this size, sent no larger than `max`.
    pub fn new(source: Resolution, max: Resolution, bitrate: Bitrate) -> Self {
        let mut adaptation = Self {
            source,
            max,
            bitrate,
            bandwidth_step: 0,
            cpu_step: 0,
            pressure: None,
            load: Load::default(),
            cpu_rest: CPU_REST,
            cpu_retry: None,
            told: None,
            durations: QualityLimitationDurations::default(),
            changes: 0,
        };
        adaptation.begin();
        adaptation
    }

    /// The size that the bitrate allows, without patience.
    fn begin(&mut self) {
        let fits = |step: &usize| least_bitrate(self.at(*step)) <= self.bitrate;
        self.bandwidth_step = (self.top()..STEPS.len()).find(fits).unwrap_or(STEPS.len() - 1);
        self.pressure = None;
    }

    fn at(&self, step: usize) -> Resolution {
        shrunk(self.source, STEPS[step])
    }

    /// The largest step that is not larger than allowed.
    fn top(&self) -> usize {
        let fits = |step: &usize| self.at(*step).pixels() <= self.max.pixels();
        (0..STEPS.len()).find(fits).unwrap_or(STEPS.len() - 1)
    }

    /// The source has another size, or another largest size is wanted.
    pub fn set_source(&mut self, source: Resolution, max: Resolution) {
        if (source, max) != (self.source, self.max) {
            (self.source, self.max) = (source, max);
            self.begin();
        }
    }

    /// The estimate changed.
    pub fn set_bitrate(&mut self, bitrate: Bitrate, now: Instant) {
        self.bitrate = bitrate;
        self.weigh_bitrate(now);
    }

    fn weigh_bitrate(&mut self, now: Instant) {
        let step = self.bandwidth_step;
        let wanted = if self.bitrate < least_bitrate(self.at(step)) && step + 1 < STEPS.len() {
            Direction::Down
        } else if step > self.top() && self.bitrate >= least_bitrate(self.at(step - 1)).scaled(HEADROOM) {
            Direction::Up
        } else {
            self.pressure = None;
            return;
        };
        let since = match self.pressure {
            Some((direction, since)) if direction == wanted => since,
            _ => now,
        };
        self.pressure = Some((wanted, since));
        let lasted = now.saturating_duration_since(since);
        match wanted {
            Direction::Down if lasted >= PATIENCE_DOWN => self.begin(),
            Direction::Up if lasted >= PATIENCE_UP => {
                self.bandwidth_step -= 1;
                self.pressure = None;
            }
            Direction::Down | Direction::Up => {}
        }
    }

    /// One picture took `encoding`; the next one comes `interval` after it.
    pub fn on_encoded(&mut self, encoding: Duration, interval: Duration, now: Instant) {
        self.weigh_bitrate(now);
        let since = *self.load.since.get_or_insert(now);
        self.load.encoding += encoding;
        self.load.pictures += 1;
        if now.saturating_duration_since(since) < WINDOW || self.load.pictures < 10 {
            return;
        }
        let share =
            self.load.encoding.as_secs_f64() / (interval.as_secs_f64() * f64::from(self.load.pictures));
        let busy = share > BUSY;
        let busy_twice = busy && self.load.busy_before;
        self.load = Load { busy_before: busy && !busy_twice, ..Load::default() };
        let step = self.bandwidth_step.max(self.cpu_step);
        if busy_twice {
            self.cpu_step = (step + 1).min(STEPS.len() - 1);
            self.cpu_retry = Some(now + self.cpu_rest);
            self.cpu_rest = (self.cpu_rest * 2).min(CPU_REST_MAX);
        } else if self.cpu_step > 0 && self.cpu_retry.is_none_or(|at| now >= at) {
            let growth = self.at(self.cpu_step - 1).pixels() as f64 / self.at(step).pixels() as f64;
            if share * growth < IDLE {
                self.cpu_step -= 1;
                self.cpu_retry = Some(now + CPU_REST);
            }
        }
    }

    /// The size to send from now on, and why it is not the source's.
    pub fn decide(&mut self, now: Instant) -> (Resolution, QualityLimitation) {
        let top = self.top();
        let step = self.bandwidth_step.max(self.cpu_step).max(top);
        let reason = match () {
            () if self.cpu_step > self.bandwidth_step.max(top) => QualityLimitation::Cpu,
            () if self.bandwidth_step > top => QualityLimitation::Bandwidth,
            () => QualityLimitation::None,
        };
        let resolution = self.at(step);
        self.account(now);
        self.changes += u64::from(self.told.is_some_and(|told| told.resolution != resolution));
        self.told = Some(Told { resolution, reason, since: now });
        (resolution, reason)
    }

    /// Adds the time since the last call to what limited until now.
    fn account(&mut self, now: Instant) {
        let Some(told) = &mut self.told else { return };
        let passed = now.saturating_duration_since(told.since);
        told.since = now;
        match told.reason {
            QualityLimitation::None => self.durations.none += passed,
            QualityLimitation::Cpu => self.durations.cpu += passed,
            QualityLimitation::Bandwidth => self.durations.bandwidth += passed,
        }
    }

    /// How long each reason has applied, and how often the size changed.
    pub fn limitations(&self) -> (QualityLimitationDurations, u64) {
        (self.durations, self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P360: Resolution = Resolution::new(640, 360);
    const P180: Resolution = Resolution::new(320, 180);
    const FRAME: Duration = Duration::from_millis(33);

    /// Runs an adaptation through `seconds` of pictures that take `encoding` for each 720p of pixels.
    fn run(adaptation: &mut Adaptation, now: &mut Instant, seconds: u64, encoding: Duration) -> Resolution {
        let end = *now + Duration::from_secs(seconds);
        let mut size = adaptation.decide(*now).0;
        while *now < end {
            *now += FRAME;
            let share = size.pixels() as f64 / Resolution::HD.pixels() as f64;
            adaptation.on_encoded(encoding.mul_f64(share), FRAME, *now);
            size = adaptation.decide(*now).0;
        }
        size
    }

    fn start(kbps: u64) -> (Adaptation, Instant) {
        let now = crate::clock::now() + Duration::from_secs(3_600);
        (Adaptation::new(Resolution::HD, Resolution::HD, Bitrate::from_kbps(kbps)), now)
    }

    #[test]
    fn the_first_size_is_what_the_bitrate_carries() {
        for (kbps, height) in
            [(2_000, 720), (600, 720), (590, 540), (300, 360), (110, 270), (80, 180), (1, 180)]
        {
            let (mut adaptation, now) = start(kbps);
            assert_eq!(adaptation.decide(now).0.height, height, "{kbps}");
        }
    }

    #[test]
    fn very_little_room_gives_fewer_pictures() {
        let fps = [2_000, 80, 79, 59].map(|kbps| most_fps(Bitrate::from_kbps(kbps)).min(30.0));
        assert_eq!(fps, [30.0, 30.0, 20.0, 15.0]);
    }

    #[test]
    fn proportions_stay_and_sides_are_even() {
        for (width, height) in [(1280, 720), (640, 480), (1920, 1080), (854, 480), (720, 1280)] {
            for eighths in STEPS {
                let source = Resolution::new(width, height);
                let size = shrunk(source, eighths);
                assert!(size.width.is_multiple_of(2) && size.height.is_multiple_of(2), "{size}");
                let skew =
                    f64::from(size.width) / f64::from(size.height) * f64::from(height) / f64::from(width);
                assert!((0.97..1.03).contains(&skew), "{source} becomes {size}");
            }
        }
    }

    #[test]
    fn a_smaller_largest_size_is_no_limitation() {
        let now = crate::clock::now();
        let mut adaptation = Adaptation::new(Resolution::HD, P360, Bitrate::from_kbps(2_000));
        assert_eq!(adaptation.decide(now), (P360, QualityLimitation::None));
    }

    #[test]
    fn a_short_dip_changes_nothing_and_a_long_one_does() {
        let (mut adaptation, mut now) = start(1_000);
        run(&mut adaptation, &mut now, 1, Duration::ZERO);
        adaptation.set_bitrate(Bitrate::from_kbps(200), now);
        now += Duration::from_millis(300);
        adaptation.set_bitrate(Bitrate::from_kbps(1_000), now);
        assert_eq!(run(&mut adaptation, &mut now, 2, Duration::ZERO), Resolution::HD);
        adaptation.set_bitrate(Bitrate::from_kbps(200), now);
        assert_eq!(run(&mut adaptation, &mut now, 1, Duration::ZERO), P360);
        assert_eq!(adaptation.decide(now).1, QualityLimitation::Bandwidth);
        let (durations, changes) = adaptation.limitations();
        assert_eq!(changes, 1);
        assert!(durations.bandwidth > Duration::from_millis(300) && durations.none > Duration::from_secs(3));
    }

    #[test]
    fn it_grows_step_by_step_and_only_with_headroom() {
        let (mut adaptation, mut now) = start(60);
        assert_eq!(run(&mut adaptation, &mut now, 1, Duration::ZERO), P180);
        adaptation.set_bitrate(Bitrate::from_kbps(700), now);
        assert_eq!(run(&mut adaptation, &mut now, 4, Duration::ZERO).height, 270);
        assert_eq!(run(&mut adaptation, &mut now, 10, Duration::ZERO).height, 540, "720p lacks headroom");
        adaptation.set_bitrate(Bitrate::from_kbps(760), now);
        assert_eq!(run(&mut adaptation, &mut now, 4, Duration::ZERO), Resolution::HD);
    }

    #[test]
    fn an_estimate_that_swings_around_the_limit_changes_the_size_once() {
        let (mut adaptation, mut now) = start(650);
        for _ in 0..20 {
            adaptation.set_bitrate(Bitrate::from_kbps(550), now);
            run(&mut adaptation, &mut now, 2, Duration::ZERO);
            adaptation.set_bitrate(Bitrate::from_kbps(650), now);
            run(&mut adaptation, &mut now, 2, Duration::ZERO);
        }
        assert_eq!(adaptation.limitations().1, 1);
    }

    #[test]
    fn a_slow_processor_gets_a_smaller_picture_and_is_tried_again_seldom() {
        let (mut adaptation, mut now) = start(2_000);
        let slow = Duration::from_millis(40);
        let size = run(&mut adaptation, &mut now, 8, slow);
        assert_eq!((size.height, adaptation.decide(now).1), (540, QualityLimitation::Cpu));
        run(&mut adaptation, &mut now, 60, slow);
        assert_eq!(adaptation.limitations().1, 1, "540p is all it can do");
        assert_eq!(run(&mut adaptation, &mut now, 30, Duration::from_millis(9)), Resolution::HD);
        assert_eq!(adaptation.decide(now).1, QualityLimitation::None);
    }
}
