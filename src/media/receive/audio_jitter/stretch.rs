//! Makes sound a little shorter or longer without changing its pitch: takes out or puts in one
//! period of the voice, with a cross-fade where the two ends meet (the idea of WSOLA and of pitch
//! synchronous overlap-add).

use crate::media::frame::Stereo;

/// Shortest period looked for: 2.5 ms, 400 Hz.
const MIN_PERIOD: usize = 120;

/// Longest period looked for: 15 ms, 67 Hz.
pub const MAX_PERIOD: usize = 720;

/// The search looks at every fourth sample first, then closely around the best.
const COARSE: usize = 4;

/// Samples compared: 10 ms.
const WINDOW: usize = 480;

/// Below this level (about -50 dBFS) nobody hears where it was cut.
const QUIET: f32 = 0.003;

/// How alike two neighbouring pieces must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// Only where it cannot be heard.
    Patient,
    /// Also where it may be heard a little: the delay matters more.
    Hasty,
}

impl Care {
    fn likeness(self) -> f32 {
        match self {
            Care::Patient => 0.9,
            Care::Hasty => 0.5,
        }
    }
}

/// Removes one period after `at`; says how many samples it was. Zero if nothing there can be
/// removed. What lies before `at` stays as it is.
pub fn shorten(sound: &mut Vec<Stereo>, at: usize, care: Care) -> usize {
    let rest = sound.len().saturating_sub(at);
    let Some(period) = find_period(sound, at, (rest / 2).min(MAX_PERIOD), care) else { return 0 };
    for n in 0..period {
        let next = n as f32 / period as f32;
        sound[at + n] = between(sound[at + n], sound[at + period + n], next);
    }
    sound.drain(at + period..at + 2 * period);
    period
}

/// Repeats one period at `at`; says how many samples were put in. Zero if nothing there can be
/// repeated. What lies before `at` stays as it is, and serves as the pattern.
pub fn lengthen(sound: &mut Vec<Stereo>, at: usize, care: Care) -> usize {
    let rest = sound.len().saturating_sub(at);
    let longest = rest.min(at).min(MAX_PERIOD);
    // The pattern lies before `at`: what is compared starts one period earlier.
    let Some(period) = find_period_back(sound, at, longest, care) else { return 0 };
    let bridge: Vec<Stereo> = (0..period)
        .map(|n| {
            let back = n as f32 / period as f32;
            between(sound[at + n], sound[at + n - period], back)
        })
        .collect();
    sound.splice(at..at, bridge);
    period
}

/// From `a` to `b`: so much of the way.
fn between(a: Stereo, b: Stereo, way: f32) -> Stereo {
    [0, 1].map(|side| (1.0 - way) * a[side] + way * b[side])
}

/// What is compared: both sides together, unequally, so that opposite ones do not cancel out.
fn together(sample: &Stereo) -> f32 {
    (2.0 * sample[0] + sample[1]) / 3.0
}

/// The period with which the sound after `at` repeats, at most `longest`.
fn find_period(sound: &[Stereo], at: usize, longest: usize, care: Care) -> Option<usize> {
    search(sound, at, longest, care, |period| (at, at + period))
}

/// The period with which the sound after `at` repeats what was before.
fn find_period_back(sound: &[Stereo], at: usize, longest: usize, care: Care) -> Option<usize> {
    search(sound, at, longest, care, |period| (at - period, at))
}

fn search(
    sound: &[Stereo],
    at: usize,
    longest: usize,
    care: Care,
    pieces: impl Fn(usize) -> (usize, usize),
) -> Option<usize> {
    if longest < MIN_PERIOD {
        return None;
    }
    let sound: Vec<f32> = sound.iter().map(together).collect();
    let near = &sound[at..(at + WINDOW).min(sound.len())];
    let level = (near.iter().map(|s| s * s).sum::<f32>() / near.len() as f32).sqrt();
    if level < QUIET {
        return Some(longest);
    }
    let likeness = |period: usize, step: usize| {
        let (a, b) = pieces(period);
        let len = WINDOW.min(sound.len() - a.max(b));
        correlation(&sound[a..a + len], &sound[b..b + len], step)
    };
    let coarse = (MIN_PERIOD..=longest).step_by(COARSE).map(|period| (likeness(period, COARSE), period));
    let (_, best) = coarse.max_by(|a, b| a.0.total_cmp(&b.0))?;
    let fine = (best.saturating_sub(COARSE - 1).max(MIN_PERIOD)..=(best + COARSE - 1).min(longest))
        .map(|period| (likeness(period, 1), period));
    let (alike, period) = fine.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (alike >= care.likeness()).then_some(period)
}

/// Normalised cross-correlation over every `step`-th sample, -1.0 to 1.0.
fn correlation(a: &[f32], b: &[f32], step: usize) -> f32 {
    let (mut ab, mut aa, mut bb) = (0.0f32, 1e-9f32, 1e-9f32);
    for (x, y) in a.iter().step_by(step).zip(b.iter().step_by(step)) {
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::test_signal::{Voice, both, left, noise, snr_of_tone, tone};

    #[test]
    fn a_tone_stays_that_tone_when_made_shorter_and_longer() {
        for hz in [100.0, 180.0, 440.0, 1_000.0, 3_000.0] {
            let mut sound = both(&tone(hz, 0.5, 4_800));
            let removed = shorten(&mut sound, 1_000, Care::Patient);
            assert!(removed >= MIN_PERIOD && sound.len() == 4_800 - removed);
            let inserted = lengthen(&mut sound, 3_000, Care::Patient);
            assert!(inserted >= MIN_PERIOD && sound.len() == 4_800 - removed + inserted);
            // One period more or less moves the phase a little; each side stays clean in itself,
            // and the seam is within what is measured here.
            let sound = left(&sound);
            let snr = snr_of_tone(&sound[600..2_600], hz).min(snr_of_tone(&sound[2_600..4_000], hz));
            assert!(snr > 20.0, "{hz} Hz: {snr:.1} dB");
        }
    }

    #[test]
    fn no_click_is_left_in_a_voice() {
        let sound = both(&Voice::new(9).take(48_000));
        let steepest = |s: &[Stereo]| s.windows(2).map(|w| (w[1][0] - w[0][0]).abs()).fold(0.0, f32::max);
        let before = steepest(&sound);
        let mut cut = sound.clone();
        let mut at = 1_000;
        let mut changes = 0;
        while at + 2_000 < cut.len() {
            changes += usize::from(shorten(&mut cut, at, Care::Patient) > 0);
            changes += usize::from(lengthen(&mut cut, at + 600, Care::Patient) > 0);
            at += 2_000;
        }
        assert!(changes > 10, "{changes}");
        assert!(steepest(&cut) <= before * 1.05);
    }

    #[test]
    fn noise_is_left_alone_unless_in_haste_and_silence_may_always_be_cut() {
        let mut hiss = both(&noise(4, 0.3, 4_800));
        assert_eq!(shorten(&mut hiss, 1_000, Care::Patient), 0);
        assert_eq!(lengthen(&mut hiss, 1_000, Care::Patient), 0);
        let mut silence = vec![[0.0; 2]; 4_800];
        assert_eq!(shorten(&mut silence, 1_000, Care::Patient), MAX_PERIOD);
        assert!(silence.as_flattened().iter().all(|sample| *sample == 0.0));
    }

    #[test]
    fn sides_that_say_opposite_things_are_cut_where_they_repeat_and_stay_opposite() {
        let opposite = |sample: f32| [sample, -sample];
        let mut sound: Vec<Stereo> = tone(440.0, 0.5, 4_800).into_iter().map(opposite).collect();
        assert!(shorten(&mut sound, 1_000, Care::Patient) >= MIN_PERIOD);
        assert!(snr_of_tone(&left(&sound)[600..2_600], 440.0) > 20.0);
        assert!(sound.iter().all(|[left, right]| (left + right).abs() < 1e-6));
    }

    #[test]
    fn too_little_sound_is_left_alone() {
        let mut sound = both(&tone(440.0, 0.5, 200));
        assert_eq!(shorten(&mut sound, 0, Care::Hasty), 0);
        assert_eq!(lengthen(&mut sound, 0, Care::Hasty), 0);
        assert_eq!(shorten(&mut Vec::new(), 0, Care::Hasty), 0);
    }
}
