//! Sound for tests: tones, noise, something like speech, and measures of how clean sound is.

use std::f64::consts::TAU;

use crate::media::frame::Stereo;

/// A sine at 48 kHz.
pub fn tone(hz: f64, amplitude: f32, samples: usize) -> Vec<f32> {
    tone_at(48_000, hz, amplitude, samples)
}

/// A sine at any rate.
pub fn tone_at(rate: u32, hz: f64, amplitude: f32, samples: usize) -> Vec<f32> {
    (0..samples).map(|n| amplitude * (TAU * hz * n as f64 / f64::from(rate)).sin() as f32).collect()
}

/// The same on both sides.
pub fn both(samples: &[f32]) -> Vec<Stereo> {
    samples.iter().map(|s| [*s, *s]).collect()
}

/// The left side.
pub fn left(samples: &[Stereo]) -> Vec<f32> {
    samples.iter().map(|[left, _]| *left).collect()
}

/// White noise, repeatable.
pub fn noise(seed: u64, amplitude: f32, samples: usize) -> Vec<f32> {
    let mut random = Random(seed);
    (0..samples).map(|_| amplitude * random.next()).collect()
}

/// A small repeatable generator (xorshift64*), values from -1 to 1.
pub struct Random(pub u64);

impl Random {
    /// The next value.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.max(1);
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 40;
        bits as f32 / (1u32 << 23) as f32 - 1.0
    }
}

/// Something that codecs and detectors take for a voice: a pulse train with a wandering pitch
/// through three resonances, in syllables.
pub struct Voice {
    random: Random,
    n: u64,
    phase: f64,
    state: [[f32; 2]; 3],
}

impl Voice {
    /// A voice that says the same every time.
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed * 7919 + 1), n: 0, phase: 0.0, state: [[0.0; 2]; 3] }
    }

    /// The next `samples` at 48 kHz.
    pub fn take(mut self, samples: usize) -> Vec<f32> {
        (0..samples).map(|_| self.sample()).collect()
    }

    fn sample(&mut self) -> f32 {
        let t = self.n as f64 / 48_000.0;
        self.n += 1;
        let pitch = 130.0 + 25.0 * (TAU * 0.7 * t).sin();
        self.phase += pitch / 48_000.0;
        let pulse = if self.phase >= 1.0 { 1.0 } else { 0.0 };
        self.phase = self.phase.fract();
        let mut x = pulse + 0.01 * self.random.next();
        let vowel = (TAU * 2.3 * t).sin();
        for (state, (hz, width)) in self.state.iter_mut().zip([
            (600.0 + 200.0 * vowel, 80.0),
            (1300.0 - 300.0 * vowel, 120.0),
            (2600.0, 180.0),
        ]) {
            let r = (-std::f64::consts::PI * width / 48_000.0).exp();
            let a1 = (2.0 * r * (TAU * hz / 48_000.0).cos()) as f32;
            let y = x * (1.0 - r as f32) + a1 * state[0] - (r * r) as f32 * state[1];
            *state = [y, state[0]];
            x = y * 4.0;
        }
        let syllable = ((TAU * 3.1 * t).sin() * 2.0).clamp(-0.2, 1.0).max(0.0) as f32;
        (x * syllable * 0.5).clamp(-1.0, 1.0)
    }
}

/// Root mean square.
pub fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}

/// Power of the best-fitting sine of `hz` against the power of everything else, in dB: its own
/// pitch and phase are found, so harmonics, clicks and noise are what counts against it.
pub fn snr_of_tone(samples: &[f32], hz: f64) -> f64 {
    let (mut s2, mut c2, mut sc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, &x) in samples.iter().enumerate() {
        let (s, c) = (TAU * hz * n as f64 / 48_000.0).sin_cos();
        s2 += s * s;
        c2 += c * c;
        sc += s * c;
        xs += f64::from(x) * s;
        xc += f64::from(x) * c;
    }
    let det = s2 * c2 - sc * sc;
    let (a, b) = ((xs * c2 - xc * sc) / det, (xc * s2 - xs * sc) / det);
    let (mut signal, mut rest) = (0.0, 1e-20);
    for (n, &x) in samples.iter().enumerate() {
        let (s, c) = (TAU * hz * n as f64 / 48_000.0).sin_cos();
        let fit = a * s + b * c;
        signal += fit * fit;
        rest += (f64::from(x) - fit).powi(2);
    }
    10.0 * (signal / rest).log10()
}
