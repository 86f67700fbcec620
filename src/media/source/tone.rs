//! A steady tone with a short beep once a second: a microphone for calls that are measured.

use std::f32::consts::TAU;
use std::time::Duration;

use crate::clock;
use crate::media::beat::Beat;
use crate::media::frame::{AudioBlock, BLOCK_SAMPLES, SAMPLE_RATE};
use crate::media::{AudioSource, DeviceError};

/// Pitch of the steady tone, in Hz.
pub const TONE_HZ: f32 = 440.0;

/// Pitch of the beep, in Hz.
pub const BEEP_HZ: f32 = 1_000.0;

/// How long the beep lasts: long enough to be found in a noisy recording, short enough to date it.
pub const BEEP: Duration = Duration::from_millis(50);

const TONE_AMPLITUDE: f32 = 0.2;
const BEEP_AMPLITUDE: f32 = 0.4;

/// 440 Hz without end, and a beep of 1 kHz at the beginning of every second of real (Unix) time.
pub struct Tone {
    beat: Beat,
    /// Of the next sample, in samples since the Unix epoch.
    position: u64,
    tone_phase: f32,
    beep_phase: f32,
}

impl Tone {
    /// Starts now.
    pub fn new() -> Self {
        let position = clock::unix().as_micros() * u128::from(SAMPLE_RATE) / 1_000_000;
        Self { beat: Beat::new(clock::now()), position: position as u64, tone_phase: 0.0, beep_phase: 0.0 }
    }

    fn sample(&mut self) -> f32 {
        let beep_samples = BEEP.as_millis() as u64 * u64::from(SAMPLE_RATE) / 1_000;
        let into_second = self.position % u64::from(SAMPLE_RATE);
        self.position += 1;
        self.tone_phase = (self.tone_phase + TONE_HZ / SAMPLE_RATE as f32).fract();
        let tone = TONE_AMPLITUDE * (TAU * self.tone_phase).sin();
        if into_second >= beep_samples {
            self.beep_phase = 0.0;
            return tone;
        }
        let beep = BEEP_AMPLITUDE * (TAU * self.beep_phase).sin();
        self.beep_phase = (self.beep_phase + BEEP_HZ / SAMPLE_RATE as f32).fract();
        tone + beep
    }
}

impl Default for Tone {
    fn default() -> Self {
        Self::new()
    }
}

impl AudioSource for Tone {
    fn name(&self) -> &str {
        "Test tone"
    }

    fn next_block(&mut self, timeout: Duration) -> Result<Option<AudioBlock>, DeviceError> {
        let Some(captured_at) = self.beat.wait(timeout) else { return Ok(None) };
        let mut block = AudioBlock::silence(captured_at);
        for sample in &mut block.samples {
            *sample = self.sample();
        }
        debug_assert_eq!(block.samples.len(), BLOCK_SAMPLES);
        Ok(Some(block))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::test_signal::{rms, snr_of_tone};

    #[test]
    fn the_beep_stands_at_the_beginning_of_the_second_and_the_tone_is_pure_elsewhere() {
        let mut source = Tone::new();
        source.position = 1_000 * 48_000;
        let second: Vec<f32> = (0..48_000).map(|_| source.sample()).collect();
        assert!(rms(&second[..2_400]) > 1.5 * rms(&second[2_400..]));
        assert!(snr_of_tone(&second[2_400..], f64::from(TONE_HZ)) > 60.0);
        assert!(source.sample().is_finite());
    }
}
