//! What several programs play, as one: a queue for each, and 10 ms of all of them at every beat.
//!
//! The beat is this computer's, the queues fill at the pace of sound cards. A queue that grows or
//! shrinks gives one sample more or less with each block, which nobody hears; one that runs dry waits
//! until it has a little again. Knows no server, no thread, no time but the beat.

use std::collections::{BTreeMap, VecDeque};

use crate::media::frame::{BLOCK_SAMPLES, Stereo};
use crate::media::limiter::Limiter;

/// A program is heard once so much of it is there: a piece of a server that lets 1024 samples come together,
/// and as much again, since servers without real-time priority are late.
const BEGIN: usize = 4 * BLOCK_SAMPLES;

/// By so much more it waits where that was too little.
const MORE: usize = 2 * BLOCK_SAMPLES;

/// A program whose sound comes in larger pieces is given up to so much (150 ms).
const LONGEST: usize = 15 * BLOCK_SAMPLES;

/// More than this (250 ms) is not held: the oldest goes.
const MOST: usize = 25 * BLOCK_SAMPLES;

/// Silence shorter than this (200 ms) was no pause: the queue was too short.
const PAUSE: u32 = 20;

/// Blocks between two judgements of a queue's length: a second.
const JUDGE_EVERY: u32 = 100;

/// Samples over which sound begins and ends, where the program did not do it itself.
const RAMP: usize = 240;

/// One program.
#[derive(Debug)]
struct Line {
    queue: VecDeque<Stereo>,
    begin: usize,
    playing: bool,
    /// Blocks since it ran dry.
    dry: u32,
    /// Blocks since the queue was judged, and the shortest that it was meanwhile.
    judged: u32,
    shortest: usize,
    take: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            begin: BEGIN,
            playing: false,
            dry: PAUSE,
            judged: 0,
            shortest: usize::MAX,
            take: BLOCK_SAMPLES,
        }
    }
}

impl Line {
    fn push(&mut self, samples: impl Iterator<Item = Stereo>) {
        self.queue.extend(samples);
        if self.queue.len() > MOST {
            self.queue.drain(..self.queue.len() - self.begin);
        }
    }

    fn add_to(&mut self, sum: &mut [Stereo; BLOCK_SAMPLES]) {
        let mut begins = false;
        if !self.playing {
            self.dry = self.dry.saturating_add(1);
            if self.queue.len() < self.begin {
                return;
            }
            if self.dry < PAUSE {
                self.begin = (self.begin + MORE).min(LONGEST);
            }
            (self.playing, self.take, begins) = (true, BLOCK_SAMPLES, true);
        }
        self.judge();
        if self.queue.len() < self.take {
            self.end(sum);
            return;
        }
        for (n, sum) in sum.iter_mut().enumerate() {
            // 479 to 481 samples as 480: what lies between two of them is nearly a straight line.
            let at = n as f32 * (self.take - 1) as f32 / (BLOCK_SAMPLES - 1) as f32;
            let (index, between) = (at as usize, at.fract());
            let (one, next) = (self.queue[index], self.queue[(index + 1).min(self.take - 1)]);
            let loudness = if begins { (n as f32 / RAMP as f32).min(1.0) } else { 1.0 };
            for side in 0..2 {
                sum[side] += loudness * (one[side] + (next[side] - one[side]) * between);
            }
        }
        self.queue.drain(..self.take);
    }

    /// The rest of it, softly.
    fn end(&mut self, sum: &mut [Stereo; BLOCK_SAMPLES]) {
        let rest = self.queue.len().min(BLOCK_SAMPLES);
        for (n, (sum, sample)) in sum.iter_mut().zip(self.queue.drain(..)).enumerate() {
            let loudness = ((rest - n.min(rest)) as f32 / RAMP as f32).min(1.0);
            for side in 0..2 {
                sum[side] += loudness * sample[side];
            }
        }
        (self.playing, self.dry) = (false, 0);
        (self.judged, self.shortest) = (0, usize::MAX);
    }

    fn judge(&mut self) {
        self.shortest = self.shortest.min(self.queue.len());
        self.judged += 1;
        if self.judged < JUDGE_EVERY {
            return;
        }
        self.take = match self.shortest {
            long if long > self.begin + BLOCK_SAMPLES => BLOCK_SAMPLES + 1,
            // Sound comes in pieces of a block: one may be late, and there must still be another.
            short if short < 2 * BLOCK_SAMPLES => BLOCK_SAMPLES - 1,
            _ => BLOCK_SAMPLES,
        };
        (self.judged, self.shortest) = (0, usize::MAX);
    }
}

/// All programs, each under the number of its stream.
#[derive(Debug, Default)]
pub struct Mix {
    lines: BTreeMap<u32, Line>,
    limiter: Limiter,
}

impl Mix {
    /// A program that plays from now on.
    pub fn add(&mut self, stream: u32) {
        self.lines.insert(stream, Line::default());
    }

    /// One that does not any more.
    pub fn remove(&mut self, stream: u32) {
        self.lines.remove(&stream);
    }

    /// What a program has played; of one that is not known, nothing is wanted.
    pub fn push(&mut self, stream: u32, samples: impl Iterator<Item = Stereo>) {
        if let Some(line) = self.lines.get_mut(&stream) {
            line.push(samples);
        }
    }

    /// The next 10 ms of everything.
    pub fn block(&mut self) -> [Stereo; BLOCK_SAMPLES] {
        let mut sum = [[0.0; 2]; BLOCK_SAMPLES];
        self.lines.values_mut().for_each(|line| line.add_to(&mut sum));
        self.limiter.apply(&mut sum);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::test_signal::{both, left, rms, snr_of_tone, tone};

    fn right(samples: &[Stereo]) -> Vec<f32> {
        samples.iter().map(|[_, right]| *right).collect()
    }

    /// Plays `lines` into a mix, in pieces of `piece` samples at a pace of `pace` times the beat's.
    fn play(lines: &[Vec<Stereo>], piece: usize, pace: f64, blocks: usize) -> Vec<Stereo> {
        let mut mix = Mix::default();
        for n in 0..lines.len() {
            mix.add(n as u32);
        }
        let (mut heard, mut given) = (Vec::new(), 0);
        for block in 1..=blocks {
            while (given + piece) as f64 <= (block * BLOCK_SAMPLES) as f64 * pace {
                for (n, line) in lines.iter().enumerate() {
                    let end = (given + piece).min(line.len());
                    mix.push(n as u32, line[given.min(end)..end].iter().copied());
                }
                given += piece;
            }
            heard.extend(mix.block());
        }
        heard
    }

    #[test]
    fn sides_stay_sides_and_programs_are_heard_together() {
        let (low, high) = (tone(440.0, 0.3, 96_000), tone(1_000.0, 0.3, 96_000));
        let lines = [
            low.iter().map(|s| [*s, 0.0]).collect::<Vec<_>>(),
            high.iter().map(|s| [0.0, *s]).collect::<Vec<_>>(),
        ];
        let heard = play(&lines, BLOCK_SAMPLES, 1.0, 150);
        assert!(snr_of_tone(&left(&heard[9_600..]), 440.0) > 60.0);
        assert!(snr_of_tone(&right(&heard[9_600..]), 1_000.0) > 60.0);
    }

    #[test]
    fn a_crowd_stays_within_full_scale() {
        let loud = both(&tone(300.0, 0.8, 96_000));
        let heard = play(&[loud.clone(), loud.clone(), loud], BLOCK_SAMPLES, 1.0, 150);
        assert!(heard.as_flattened().iter().all(|s| s.abs() <= 1.0));
        assert!(rms(&left(&heard[48_000..])) > 0.5, "it is still loud");
    }

    #[test]
    fn a_sound_card_that_runs_faster_or_slower_is_followed_without_a_break() {
        let line = both(&tone(440.0, 0.3, 48_000 * 62));
        for pace in [1.0005, 0.9995] {
            let heard = left(&play(std::slice::from_ref(&line), BLOCK_SAMPLES, pace, 6_000));
            let worst = heard[48_000..]
                .chunks_exact(480)
                .map(|piece| snr_of_tone(piece, 440.0))
                .fold(f64::INFINITY, f64::min);
            // A sample more or less in a block is another pitch, of which 10 ms show as little.
            assert!(worst > 25.0, "{worst:.0} dB at a pace of {pace}");
        }
    }

    #[test]
    fn sound_in_large_pieces_is_broken_at_most_at_first() {
        let line = both(&tone(440.0, 0.3, 48_000 * 12));
        let heard = left(&play(&[line], 4_800, 1.0, 1_100));
        assert!(snr_of_tone(&heard[8 * 48_000..10 * 48_000], 440.0) > 30.0);
    }

    #[test]
    fn who_falls_silent_is_silent_and_is_heard_again() {
        let mut line = both(&tone(440.0, 0.3, 48_000));
        line.truncate(24_000);
        let mut mix = Mix::default();
        mix.add(7);
        mix.push(7, line[..4_800].iter().copied());
        let heard: Vec<_> = (0..30).flat_map(|_| mix.block()).collect();
        assert!(rms(&left(&heard[..4_800])) > 0.1);
        assert_eq!(rms(&left(&heard[5_280..])), 0.0);
        mix.push(7, line[4_800..9_600].iter().copied());
        assert!(rms(&left(&mix.block())) > 0.05);
        mix.remove(7);
        assert_eq!(rms(&left(&mix.block())), 0.0);
        mix.push(7, line.into_iter());
        assert_eq!(rms(&left(&mix.block())), 0.0, "nobody asked for it any more");
    }

    #[test]
    fn a_flood_is_not_kept() {
        let mut mix = Mix::default();
        mix.add(1);
        for _ in 0..100 {
            mix.push(1, std::iter::repeat_n([0.1; 2], 10_000));
        }
        assert!(mix.lines[&1].queue.len() <= MOST);
    }
}
