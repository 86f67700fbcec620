//! A screen that is read: when its next picture leaves, and how fine that is.
//!
//! Letters can be read or not, and the eye is on them the moment a page turns. So each picture gets the
//! finest quantizer with which it crosses the line in time; what does not fit costs pictures first, then
//! sharpness, never letters. What stands still is made finer in as few passes as possible: each pass costs
//! as much again as all the sharpness that it does not bring (measured: one pass to where ten of a usual rate
//! control end takes half of their bytes).
//!
//! ```text
//!  new picture ─▶ edges in it ─▶ finest quantizer that fits ─▶ encoder ─▶ bytes ─▶ the line is taken so long
//!       └─ stands still ─▶ finer, when the line is free ─▶ … ─▶ as fine as it gets ─▶ nothing any more
//! ```
//!
//! Pure: it is told the time and what the encoder made. It knows neither.

use std::time::{Duration, Instant};

use super::screen::TEXT_FPS;
use crate::media::codec::tuning::Quantizers;
use crate::units::Bitrate;

/// A page after a rest may take the line for so long: with capturing and encoding it is there within a second.
const PAGE: Duration = Duration::from_millis(800);
/// The very first picture may take so long: who waits for it has nothing to look at yet. With capturing,
/// agreeing and encoding it is there 300 ms after the click, legible; what it lacks follows.
const FIRST: Duration = Duration::from_millis(300);
/// While the picture goes on changing (scrolling, a film), each may take so long: five a second.
const CHANGING: Duration = Duration::from_millis(200);
/// A pass that only makes what is there finer may take so long, since a new page would have to wait for it.
const PASS: Duration = Duration::from_millis(300);
/// A new picture waits until what is on its way takes no longer than this.
const NEARLY_FREE: Duration = Duration::from_millis(100);

/// One that takes so many times more than it may is encoded again, coarser.
const TOO_LARGE: f64 = 1.4;
/// Smaller than this, nothing is worth being encoded again.
const SMALL: f64 = 15_000.0;

/// What is already there, made finer, takes so many times what the difference would in one go.
const FINER: f64 = 1.3;

/// Bytes for each edge (`media::novelty`) with the quantizer [`MIDDLE`]: measured on pages of text.
const PER_EDGE: f64 = 0.42;
const MIDDLE: f64 = 36.0;

/// What was learned about how much an edge takes stays within this.
const LEARNED: (f64, f64) = (0.1, 4.0);
/// Fewer edges teach nothing.
const TELLING: u64 = 2_000;

/// Decides about one screen. See the module.
#[derive(Clone, Debug)]
pub struct Reading {
    fresh: bool,
    /// No picture before this.
    next: Option<Instant>,
    /// When the new picture before came.
    turned: Option<Instant>,
    /// When the line will have carried what was encoded.
    free: Option<Instant>,
    /// What stands there could be finer, or its last picture may have been lost: nobody notices the loss of
    /// the last packet of all, so a rest begins with a picture that adds nothing.
    rough: Option<Rough>,
    /// How much an edge takes here, against [`PER_EDGE`].
    learned: f64,
}

#[derive(Clone, Copy, Debug)]
struct Rough {
    /// Bytes of all that is rough with the quantizer [`MIDDLE`].
    weight: f64,
    quantizer: u32,
}

/// How one picture is to be encoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// On libvpx's common scale of 0 to 63.
    pub quantizer: u32,
    /// Bytes that it may take.
    pub room: f64,
    turn: Turn,
}

/// What a picture is encoded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// To show all of it, which has so many edges: a key frame.
    Whole(u64),
    /// To show what is new, so many edges.
    Change(u64),
    /// To make finer what stands there.
    Finer,
}

impl Default for Reading {
    fn default() -> Self {
        Self { fresh: false, next: None, turned: None, free: None, rough: None, learned: 1.0 }
    }
}

impl Reading {
    /// The source has a new picture.
    pub fn on_picture(&mut self) {
        self.fresh = true;
    }

    /// Whether the newest picture was not encoded yet.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// When the newest picture is to be encoded (again); `None`: there is no reason to.
    pub fn due(&self, now: Instant, keyframe: Option<Instant>) -> Option<Instant> {
        let next = self.next.unwrap_or(now);
        let free = self.free.unwrap_or(now);
        let fresh = self.fresh.then(|| free.checked_sub(NEARLY_FREE).unwrap_or(free).max(next));
        let finer = self.rough.map(|_| free.max(next));
        [fresh, finer, keyframe.map(|at| at.max(next))].into_iter().flatten().min()
    }

    /// How a picture is to be encoded.
    pub fn plan(&self, turn: Turn, quantizers: Quantizers, bitrate: Bitrate, now: Instant) -> Plan {
        match turn {
            Turn::Whole(edges) | Turn::Change(edges) => self.plan_new(turn, edges, quantizers, bitrate, now),
            Turn::Finer => self.plan_finer(quantizers, bitrate),
        }
    }

    fn plan_new(
        &self,
        turn: Turn,
        edges: u64,
        quantizers: Quantizers,
        bitrate: Bitrate,
        now: Instant,
    ) -> Plan {
        let rest = self.turned.map_or(FIRST, |turned| now.saturating_duration_since(turned));
        let taken = self.free.map_or(Duration::ZERO, |free| free.saturating_duration_since(now));
        let time = rest.min(PAGE).saturating_sub(taken).max(CHANGING);
        let room = bytes(bitrate, time);
        let weight = edges as f64 * PER_EDGE * self.learned;
        Plan { quantizer: quantizers.within(quantizer_for(weight, room)), room, turn }
    }

    fn plan_finer(&self, quantizers: Quantizers, bitrate: Bitrate) -> Plan {
        let room = bytes(bitrate, PASS);
        let quantizer = match self.rough {
            None => quantizers.finest,
            Some(rough) => {
                let steps = room / (FINER * rough.weight.max(1.0) * STEP);
                // Less than a few steps are not seen.
                quantizers.within(f64::from(rough.quantizer) - steps.max(4.0))
            }
        };
        Plan { quantizer, room, turn: Turn::Finer }
    }

    /// It took so many bytes. The plan for encoding it once more, all of it, if that is too many.
    pub fn again(&self, plan: Plan, bytes: usize, quantizers: Quantizers) -> Option<Plan> {
        let bytes = bytes as f64;
        if plan.turn == Turn::Finer || bytes < SMALL || bytes < plan.room * TOO_LARGE {
            return None;
        }
        let quantizer = quantizers.within(quantizer_for(bytes / share(plan.quantizer), plan.room));
        (quantizer > plan.quantizer + 1).then_some(Plan { quantizer, ..plan })
    }

    /// A picture was encoded into so many bytes.
    pub fn on_encoded(
        &mut self,
        plan: Plan,
        bytes: usize,
        quantizers: Quantizers,
        bitrate: Bitrate,
        now: Instant,
    ) {
        self.next = Some(now + Duration::from_secs_f64(1.0 / TEXT_FPS));
        let carried = Duration::from_secs_f64(bytes as f64 * 8.0 / bitrate.as_bps().max(1) as f64);
        self.free = Some(self.free.map_or(now, |free| free.max(now)) + carried.min(Duration::from_secs(5)));
        // All that is seen now, or what is left of it beside a small change.
        let left = self.rough.filter(|_| !matches!(plan.turn, Turn::Whole(_)));
        self.rough = match plan.turn {
            Turn::Whole(edges) | Turn::Change(edges) => {
                (self.fresh, self.turned) = (false, Some(now));
                let weight = bytes as f64 / share(plan.quantizer);
                self.learn(edges, weight);
                Some(Rough {
                    weight: left.map_or(weight, |left| left.weight.max(weight)),
                    quantizer: left.map_or(plan.quantizer, |left| left.quantizer.max(plan.quantizer)),
                })
            }
            Turn::Finer => left
                .filter(|left| left.quantizer > quantizers.finest)
                .map(|left| Rough { quantizer: plan.quantizer, ..left }),
        };
    }

    /// So many edges took what would be `weight` bytes in the middle.
    fn learn(&mut self, edges: u64, weight: f64) {
        if edges >= TELLING {
            let seen = weight / (edges as f64 * PER_EDGE);
            self.learned = ((self.learned + seen) / 2.0).clamp(LEARNED.0, LEARNED.1);
        }
    }

    /// A picture could not be encoded; it is tried again after a while.
    pub fn put_off(&mut self, now: Instant) {
        self.next = Some(now + Duration::from_secs_f64(1.0 / TEXT_FPS));
    }
}

/// Bytes that a line carries in some time.
fn bytes(bitrate: Bitrate, time: Duration) -> f64 {
    bitrate.as_bps() as f64 / 8.0 * time.as_secs_f64()
}

/// What each step of the quantizer saves of the bytes at [`MIDDLE`]. Text is nearly linear from 12 to 52,
/// with both codecs (measured: 0.024 to 0.032).
const STEP: f64 = 0.03;

/// Size with a quantizer, against that with [`MIDDLE`].
fn share(quantizer: u32) -> f64 {
    (1.0 + (MIDDLE - f64::from(quantizer)) * STEP).max(0.2)
}

/// The quantizer with which what takes `weight` bytes at [`MIDDLE`] takes `room`.
fn quantizer_for(weight: f64, room: f64) -> f64 {
    MIDDLE - (room / weight.max(1.0) - 1.0) / STEP
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTIZERS: Quantizers = Quantizers { finest: 20, coarsest: 44 };
    const PAGE_OF_TEXT: u64 = 200_000;

    fn mbps(rate: f64) -> Bitrate {
        Bitrate::from_bps((rate * 1e6) as u64)
    }

    fn bytes_in(time: Duration) -> f64 {
        super::bytes(mbps(1.0), time)
    }

    /// Encodes whatever is due until nothing is; each picture takes what the model says, `off` times. Says
    /// when each left, how fine and how large.
    fn run(
        reading: &mut Reading,
        start: Instant,
        rate: Bitrate,
        edges: u64,
        off: f64,
    ) -> Vec<(Duration, u32, f64)> {
        let (mut now, mut turns) = (start, Vec::new());
        while let Some(due) = reading.due(now, None) {
            now = now.max(due);
            let turn = if reading.is_fresh() { Turn::Whole(edges) } else { Turn::Finer };
            let mut plan = reading.plan(turn, QUANTIZERS, rate, now);
            let full = |quantizer| edges as f64 * PER_EDGE * off * share(quantizer);
            let bytes = |plan: Plan| match (turn, turns.last()) {
                (Turn::Finer, Some((_, before, _))) => FINER * (full(plan.quantizer) - full(*before)),
                _ => full(plan.quantizer),
            };
            if let Some(coarser) = reading.again(plan, bytes(plan) as usize, QUANTIZERS) {
                plan = coarser;
            }
            let bytes = bytes(plan);
            reading.on_encoded(plan, bytes as usize, QUANTIZERS, rate, now);
            turns.push((now - start, plan.quantizer, bytes));
            assert!(turns.len() < 100, "it never ends");
        }
        turns
    }

    #[test]
    fn the_first_page_is_legible_as_soon_as_can_be_and_then_becomes_as_fine_as_it_gets() {
        let start = crate::clock::now();
        for off in [0.5, 1.0, 2.0] {
            let mut reading = Reading::default();
            assert_eq!(reading.due(start, None), None, "without a picture");
            reading.on_picture();
            let turns = run(&mut reading, start, mbps(1.0), PAGE_OF_TEXT, off);
            let (at, _, bytes) = turns[0];
            assert_eq!(at, Duration::ZERO);
            let coarsest = PAGE_OF_TEXT as f64 * PER_EDGE * off * share(QUANTIZERS.coarsest);
            let most = (1.4 * bytes_in(FIRST)).max(coarsest + 1.0);
            assert!(bytes <= most, "{off}: {bytes} of {most}: {turns:?}");
            assert!(turns[1].0 < Duration::from_millis(1_300), "{turns:?}");
            assert_eq!(turns.last().unwrap().1, QUANTIZERS.finest, "{turns:?}");
        }
    }

    #[test]
    fn a_page_after_a_rest_is_as_fine_as_crosses_the_line_within_a_second() {
        let start = crate::clock::now();
        let mut reading = Reading::default();
        reading.on_picture();
        run(&mut reading, start, mbps(1.0), PAGE_OF_TEXT, 1.0);
        let later = start + Duration::from_secs(20);
        reading.on_picture();
        let (at, quantizer, bytes) = run(&mut reading, later, mbps(1.0), PAGE_OF_TEXT, 1.0)[0];
        assert_eq!(at, Duration::ZERO);
        assert!(bytes <= 1.01 * bytes_in(PAGE) && bytes > 0.9 * bytes_in(PAGE), "{bytes}");
        assert!(quantizer < QUANTIZERS.coarsest);
    }

    #[test]
    fn on_a_fast_line_the_first_picture_is_as_fine_as_it_gets_and_one_that_adds_nothing_follows() {
        let start = crate::clock::now();
        let mut reading = Reading::default();
        reading.on_picture();
        let turns = run(&mut reading, start, mbps(6.0), PAGE_OF_TEXT, 1.0);
        let [(_, finest, page), (_, again, nothing)] = turns[..] else { panic!("{turns:?}") };
        assert_eq!((finest, again), (QUANTIZERS.finest, QUANTIZERS.finest));
        assert!(page > 100_000.0 && nothing < 1.0, "{turns:?}");
    }

    #[test]
    fn a_letter_that_is_typed_is_fine_at_once() {
        let start = crate::clock::now();
        let plan = Reading::default().plan(Turn::Change(100), QUANTIZERS, mbps(0.3), start);
        assert_eq!(plan.quantizer, QUANTIZERS.finest);
    }

    #[test]
    fn what_goes_on_changing_comes_coarser_and_several_times_a_second() {
        let start = crate::clock::now();
        let (mut reading, mut now, mut sizes) = (Reading::default(), start, Vec::new());
        while now < start + Duration::from_secs(5) {
            reading.on_picture();
            now = now.max(reading.due(now, None).unwrap());
            let plan = reading.plan(Turn::Change(50_000), QUANTIZERS, mbps(1.0), now);
            let bytes = 50_000.0 * PER_EDGE * share(plan.quantizer);
            reading.on_encoded(plan, bytes as usize, QUANTIZERS, mbps(1.0), now);
            sizes.push((now - start, plan.quantizer));
        }
        assert!(sizes.len() >= 20, "{sizes:?}");
        let late = reading.free.unwrap().saturating_duration_since(now);
        assert!(late < Duration::from_millis(500), "what is encoded piles up: {late:?}");
    }

    #[test]
    fn what_the_model_is_wrong_about_is_encoded_again_coarser() {
        let start = crate::clock::now();
        let reading = Reading::default();
        let plan = reading.plan(Turn::Change(100_000), QUANTIZERS, mbps(1.0), start);
        let coarser = reading.again(plan, 300_000, QUANTIZERS).unwrap();
        assert!(coarser.quantizer > plan.quantizer);
        assert_eq!(reading.again(plan, plan.room as usize, QUANTIZERS), None);
        assert_eq!(reading.again(Plan { quantizer: 44, ..plan }, 300_000, QUANTIZERS), None, "it cannot be");
    }

    #[test]
    fn a_picture_that_cannot_be_encoded_is_not_tried_without_a_pause() {
        let start = crate::clock::now();
        let mut reading = Reading::default();
        reading.on_picture();
        reading.put_off(start);
        assert!(reading.due(start, Some(start)).unwrap() > start + Duration::from_millis(50));
    }
}
