//! When a screen's picture is encoded: at once when it is new, again a few times while it stands
//! still and can become finer, then not at all.
//!
//! Pure: it is told the time and what the encoder made. It knows neither.

use std::time::{Duration, Instant};

use crate::media::codec::tuning::Content;
use crate::units::Resolution;

/// A picture that has stood still for so long is as fine as it gets.
const REFINING: Duration = Duration::from_secs(5);
/// Quantized so little (see [`Spent::coarseness`]), a picture cannot become visibly finer. A coarser
/// one that takes few bytes only waits for the rate control to have some again.
const FINE: f64 = 0.22;
/// A repeated picture that took so few bytes for each 100 000 pixels changed next to nothing.
const QUIET: usize = 24;
/// After so many of those in a row there is nothing left to refine. Not one: the encoder refreshes
/// a still picture part by part, and may leave out a turn.
const QUIET_TURNS: u32 = 4;

/// Most pictures a second of a screen that is read: text does not need more, and each is encoded
/// better for it.
pub const TEXT_FPS: f64 = 15.0;

/// Most pictures a second for what the screen shows.
pub fn most_fps(content: Content) -> f64 {
    match content {
        Content::Text => TEXT_FPS,
        Content::Camera | Content::Motion => 60.0,
    }
}

/// What one picture took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// Its size, encoded.
    pub bytes: usize,
    /// How coarse it is quantized: 0 (finest) to 1.
    pub coarseness: f64,
}

/// Decides when the newest picture of a screen is encoded.
#[derive(Clone, Debug, Default)]
pub struct ScreenPace {
    /// There is a picture that was not encoded yet.
    fresh: bool,
    /// No picture before this.
    next: Option<Instant>,
    refining: Option<Refining>,
}

#[derive(Clone, Copy, Debug)]
struct Refining {
    since: Instant,
    quiet: u32,
}

impl ScreenPace {
    /// The source has a new picture.
    pub fn on_picture(&mut self) {
        self.fresh = true;
    }

    /// When the newest picture is to be encoded (again); `None`: there is no reason to.
    pub fn due(&self, now: Instant, keyframe: Option<Instant>) -> Option<Instant> {
        let next = self.next.unwrap_or(now);
        let paced = (self.fresh || self.refining.is_some()).then_some(next);
        // A key frame that the encoder leaves out must not be tried without a pause.
        [paced, keyframe.map(|at| at.max(next))].into_iter().flatten().min()
    }

    /// The newest picture was encoded, or left out by the encoder (`None`).
    pub fn on_encoded(&mut self, spent: Option<&Spent>, size: Resolution, fps: f64, now: Instant) {
        self.next = Some(now + Duration::from_secs_f64(1.0 / fps.clamp(1.0, 240.0)));
        if self.fresh {
            // One that was left out is tried again like one that can become finer.
            self.fresh = false;
            self.refining = Some(Refining { since: now, quiet: 0 });
            return;
        }
        let Some(refining) = &mut self.refining else { return };
        let quiet = QUIET * (size.pixels() / 100_000).max(1) as usize;
        match spent {
            Some(spent) if spent.bytes <= quiet && spent.coarseness <= FINE => refining.quiet += 1,
            Some(_) => refining.quiet = 0,
            None => return,
        }
        if refining.quiet >= QUIET_TURNS || now.saturating_duration_since(refining.since) > REFINING {
            self.refining = None;
        }
    }

    /// Whether the newest picture was not encoded yet.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Resolution = Resolution::new(1920, 1080);

    /// Encodes whatever is due until nothing is, and says when.
    fn run(pace: &mut ScreenPace, start: Instant, bytes: impl Fn(usize) -> Option<usize>) -> Vec<Duration> {
        let (mut now, mut times) = (start, Vec::new());
        while let Some(due) = pace.due(now, None) {
            now = now.max(due);
            let spent = bytes(times.len()).map(|bytes| Spent { bytes, coarseness: 0.1 });
            pace.on_encoded(spent.as_ref(), SIZE, TEXT_FPS, now);
            times.push(now - start);
            assert!(times.len() < 1_000, "it never ends");
        }
        times
    }

    #[test]
    fn a_still_picture_is_refined_and_then_nothing_is_encoded_any_more() {
        let start = crate::clock::now();
        let mut pace = ScreenPace::default();
        assert_eq!(pace.due(start, None), None, "without a picture");
        pace.on_picture();
        let times = run(&mut pace, start, |n| Some(if n < 6 { 20_000 } else { 40 }));
        assert_eq!(times.len(), 6 + QUIET_TURNS as usize);
        assert_eq!(times[0], Duration::ZERO);
    }

    #[test]
    fn a_coarse_picture_is_not_taken_for_a_finished_one() {
        let start = crate::clock::now();
        let mut pace = ScreenPace::default();
        pace.on_picture();
        let mut now = start;
        for _ in 0..20 {
            now = pace.due(now, None).unwrap().max(now);
            pace.on_encoded(Some(&Spent { bytes: 40, coarseness: 0.5 }), SIZE, TEXT_FPS, now);
        }
        assert!(pace.due(now, None).is_some());
    }

    #[test]
    fn refining_ends_even_if_the_encoder_finds_something_to_do_for_ever() {
        let start = crate::clock::now();
        let mut pace = ScreenPace::default();
        pace.on_picture();
        let times = run(&mut pace, start, |_| Some(50_000));
        assert!(*times.last().unwrap() < REFINING + Duration::from_millis(200), "{times:?}");
    }

    #[test]
    fn a_picture_that_was_left_out_is_tried_again() {
        let start = crate::clock::now();
        let mut pace = ScreenPace::default();
        pace.on_picture();
        let times = run(&mut pace, start, |n| (n > 30).then_some(40));
        assert_eq!(times.len(), 31 + QUIET_TURNS as usize);
    }

    #[test]
    fn changes_come_no_faster_than_the_rate_and_the_last_one_is_not_lost() {
        let start = crate::clock::now();
        let mut pace = ScreenPace::default();
        pace.on_picture();
        pace.on_encoded(Some(&Spent { bytes: 9_000, coarseness: 0.4 }), SIZE, TEXT_FPS, start);
        pace.on_picture();
        let due = pace.due(start, None).unwrap() - start;
        assert!((60..70).contains(&due.as_millis()), "{due:?}");
    }

    #[test]
    fn a_key_frame_does_not_wait_for_a_change() {
        let start = crate::clock::now();
        let pace = ScreenPace::default();
        assert_eq!(pace.due(start, Some(start)), Some(start));
    }
}
