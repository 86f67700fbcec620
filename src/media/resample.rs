//! From one sample rate to another, a stream at a time.
//!
//! A windowed-sinc filter with a table of fractional positions: one hundred lines instead of a
//! dependency, for the few devices and files that are not at 48 kHz.

use std::f64::consts::PI;

use crate::media::frame::Stereo;

/// Zero crossings of the sinc on each side.
const HALF_WIDTH: usize = 16;

/// Fractional positions in the table; between two of them the filter is interpolated.
const PHASES: usize = 128;

/// Kaiser window parameter: about 80 dB of stop-band attenuation.
const BETA: f64 = 8.0;

/// Resamples one stream.
pub struct Resampler {
    /// Input samples per output sample.
    step: f64,
    taps: usize,
    /// `PHASES + 1` rows of `taps` coefficients.
    table: Vec<f32>,
    /// Input not used up yet; the filter's history comes first.
    input: Vec<f32>,
    /// Where in `input` the next output sample lies, counted from the first tap.
    position: f64,
}

impl Resampler {
    /// From `from` Hz to `to` Hz. `None` for rates outside 1 kHz to 768 kHz.
    pub fn new(from: u32, to: u32) -> Option<Self> {
        const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
        if !RATES.contains(&from) || !RATES.contains(&to) {
            return None;
        }
        // Going down, the filter also has to remove what the new rate cannot carry.
        let cutoff = (f64::from(to) / f64::from(from)).min(1.0);
        let half = (HALF_WIDTH as f64 / cutoff).ceil() as usize;
        let taps = 2 * half;
        let mut table = Vec::with_capacity((PHASES + 1) * taps);
        for phase in 0..=PHASES {
            let fraction = phase as f64 / PHASES as f64;
            let row: Vec<f64> = (0..taps)
                .map(|tap| kernel(tap as f64 - (half - 1) as f64 - fraction, cutoff, half))
                .collect();
            let sum: f64 = row.iter().sum();
            table.extend(row.iter().map(|c| (c / sum) as f32));
        }
        let step = f64::from(from) / f64::from(to);
        Some(Self { step, taps, table, input: vec![0.0; half - 1], position: 0.0 })
    }

    /// Takes `input` and appends what it gives to `output`.
    pub fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        self.input.extend_from_slice(input);
        while self.position as usize + self.taps <= self.input.len() {
            output.push(self.sample());
            self.position += self.step;
        }
        let used = (self.position as usize).min(self.input.len());
        self.input.drain(..used);
        self.position -= used as f64;
    }

    fn sample(&self) -> f32 {
        let start = self.position as usize;
        let at = self.position.fract() * PHASES as f64;
        let (phase, between) = (at as usize, at.fract() as f32);
        let rows = &self.table[phase * self.taps..(phase + 2) * self.taps];
        let (low, high) = rows.split_at(self.taps);
        let window = &self.input[start..start + self.taps];
        let dot = |row: &[f32]| row.iter().zip(window).map(|(c, s)| c * s).sum::<f32>();
        let (low, high) = (dot(low), dot(high));
        low + (high - low) * between
    }
}

fn kernel(x: f64, cutoff: f64, half: usize) -> f64 {
    let scaled = x * cutoff;
    let sinc = if scaled.abs() < 1e-9 { 1.0 } else { (PI * scaled).sin() / (PI * scaled) };
    let r = x / half as f64;
    if r.abs() >= 1.0 { 0.0 } else { sinc * bessel_i0(BETA * (1.0 - r * r).sqrt()) }
}

/// Modified Bessel function of the first kind, order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..32 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

/// Resamples two channels.
pub struct StereoResampler {
    sides: [Resampler; 2],
    /// One side of the input, and what became of each.
    side: Vec<f32>,
    done: [Vec<f32>; 2],
}

impl StereoResampler {
    /// As [`Resampler::new`].
    pub fn new(from: u32, to: u32) -> Option<Self> {
        let sides = [Resampler::new(from, to)?, Resampler::new(from, to)?];
        Some(Self { sides, side: Vec::new(), done: Default::default() })
    }

    /// As [`Resampler::process`].
    pub fn process(&mut self, input: &[Stereo], output: &mut Vec<Stereo>) {
        for (channel, (resampler, done)) in self.sides.iter_mut().zip(&mut self.done).enumerate() {
            self.side.clear();
            self.side.extend(input.iter().map(|sample| sample[channel]));
            done.clear();
            resampler.process(&self.side, done);
        }
        // Both have seen as much, so both have given as much.
        output.extend(self.done[0].iter().zip(&self.done[1]).map(|(left, right)| [*left, *right]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::test_signal::{snr_of_tone, tone_at};

    fn through(from: u32, to: u32, hz: f64) -> Vec<f32> {
        let mut resampler = Resampler::new(from, to).unwrap();
        let mut out = Vec::new();
        for piece in tone_at(from, hz, 0.5, from as usize).chunks(97) {
            resampler.process(piece, &mut out);
        }
        out
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_stays_clean() {
        for from in [8_000, 16_000, 22_050, 44_100, 96_000] {
            let out = through(from, 48_000, 1_000.0);
            assert!(out.len().abs_diff(48_000) < 400, "{from} Hz gave {} samples", out.len());
            let snr = snr_of_tone(&out[1_000..out.len() - 1_000], 1_000.0);
            assert!(snr > 60.0, "from {from} Hz: {snr:.1} dB");
        }
    }

    #[test]
    fn what_the_new_rate_cannot_carry_is_removed() {
        let out = through(96_000, 48_000, 30_000.0);
        let peak = out[500..out.len() - 500].iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        assert!(peak < 0.001, "peak {peak}");
    }

    #[test]
    fn impossible_rates_are_refused() {
        assert!(Resampler::new(0, 48_000).is_none());
        assert!(Resampler::new(4_000_000_000, 48_000).is_none());
    }
}
