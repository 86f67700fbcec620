//! Keeps a sum of several sounds within full scale: turns down quickly, up again slowly.

use crate::media::frame::{BLOCK_SAMPLES, Stereo};

/// Peaks are kept below this (about -0.5 dBFS).
const CEILING: f32 = 0.94;

/// Rise of the gain for each block: 6 dB in about 700 ms.
const RISE: f32 = 1.01;

/// Its memory is how far the last block was turned down.
#[derive(Debug)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// Brings the next 10 ms into -1.0 to 1.0, both sides alike.
    pub fn apply(&mut self, samples: &mut [Stereo; BLOCK_SAMPLES]) {
        let peak = samples.as_flattened().iter().fold(0.0f32, |peak, s| peak.max(s.abs()));
        let allowed = if peak > CEILING { CEILING / peak } else { 1.0 };
        let from = self.gain;
        self.gain = (from * RISE).min(1.0).min(allowed);
        if from == 1.0 && self.gain == 1.0 {
            return;
        }
        for (n, sample) in samples.iter_mut().enumerate() {
            // Turning down happens within 1 ms, so that hardly a peak is left to be clipped.
            let along = (n as f32 / 48.0).min(1.0);
            let gain = from + (self.gain - from) * along;
            *sample = sample.map(|side| (side * gain).clamp(-1.0, 1.0));
        }
    }
}
