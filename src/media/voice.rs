//! Whether somebody is speaking, and how loud: cheap, from the level of 10 ms blocks alone.
//!
//! It feeds lamps and meters, never the decision what to send.

use std::time::Duration;

/// Below this (about -54 dBFS) nobody speaks, however quiet the room is.
const FLOOR: f32 = 0.002;

/// Speech stands this far above the room's own noise (10 dB)...
const ON_RATIO: f32 = 3.2;

/// ...and goes on while it stays this far above it (6 dB).
const OFF_RATIO: f32 = 2.0;

/// Loud blocks in a row before the lamp goes on: a click is shorter.
const ON_BLOCKS: u32 = 6;

/// Quiet blocks in a row before it goes off: pauses between words are shorter.
const OFF_BLOCKS: u32 = 45;

/// Speaking or not, with hysteresis against a noise floor that it learns.
#[derive(Clone, Debug)]
pub struct VoiceActivity {
    noise: f32,
    loud: u32,
    quiet: u32,
    speaking: bool,
}

impl Default for VoiceActivity {
    fn default() -> Self {
        Self { noise: FLOOR, loud: 0, quiet: 0, speaking: false }
    }
}

impl VoiceActivity {
    /// Learns the level (root mean square, 0.0 to 1.0) of the next 10 ms and says whether somebody
    /// speaks now.
    pub fn update(&mut self, level: f32) -> bool {
        // The floor falls at once and rises by 3 dB a second, so that speech does not become it.
        const RISE: f32 = 1.0035;
        self.noise = if level < self.noise { level } else { self.noise * RISE }.max(1e-6);
        let ratio = if self.speaking { OFF_RATIO } else { ON_RATIO };
        if level > (self.noise * ratio).max(FLOOR) {
            self.loud += 1;
            self.quiet = 0;
        } else {
            self.quiet += 1;
            // A short dip does not begin the count anew, a pause does.
            self.loud = if self.quiet > 3 { 0 } else { self.loud };
        }
        if self.loud >= ON_BLOCKS {
            self.speaking = true;
        }
        if self.quiet >= OFF_BLOCKS {
            self.speaking = false;
        }
        self.speaking
    }
}

/// Energy and level as W3C webrtc-stats count them (`audioLevel`, `totalAudioEnergy`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LevelMeter {
    /// The newest level, 0.0 to 1.0: falls slowly enough to be seen.
    pub level: f32,
    /// Sum of squared level times seconds.
    pub energy: f64,
    /// How long was measured.
    pub duration: Duration,
}

impl LevelMeter {
    /// Learns the level of the next 10 ms.
    pub fn update(&mut self, level: f32) {
        const BLOCK: Duration = Duration::from_millis(10);
        const FALL: f32 = 0.9;
        self.level = level.max(self.level * FALL);
        if self.level < 1e-5 {
            self.level = 0.0;
        }
        self.energy += f64::from(level) * f64::from(level) * BLOCK.as_secs_f64();
        self.duration += BLOCK;
    }
}

/// A level for a meter: 0 (silence, -60 dBFS) to 20 (full), 3 dB a step.
pub fn meter_steps(level: f32) -> u8 {
    if level <= 0.001 {
        return 0;
    }
    (20.0 * level.log10() / 3.0 + 20.0).clamp(0.0, 20.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::BLOCK_SAMPLES;
    use crate::media::test_signal::{Voice, noise};

    fn run(vad: &mut VoiceActivity, samples: &[f32]) -> usize {
        let level = |b: &[f32]| (b.iter().map(|s| s * s).sum::<f32>() / b.len() as f32).sqrt();
        samples.chunks(BLOCK_SAMPLES).filter(|block| vad.update(level(block))).count()
    }

    #[test]
    fn speech_is_seen_over_a_noisy_room_and_the_room_alone_is_not() {
        let mut vad = VoiceActivity::default();
        run(&mut vad, &noise(1, 0.01, 96_000));
        assert_eq!(run(&mut vad, &noise(2, 0.01, 96_000)), 0);
        let room = noise(3, 0.01, 96_000);
        let mixed: Vec<f32> = Voice::new(3).take(96_000).iter().zip(room).map(|(v, n)| v + n).collect();
        assert!(run(&mut vad, &mixed) > 120);
    }

    #[test]
    fn a_click_does_not_light_the_lamp() {
        let mut vad = VoiceActivity::default();
        run(&mut vad, &[0.0; 48_000]);
        let mut click = vec![0.0; 48_000];
        click[1_000..1_960].fill(0.9);
        assert_eq!(run(&mut vad, &click), 0);
    }

    #[test]
    fn the_lamp_goes_off_after_the_voice_ends() {
        let mut vad = VoiceActivity::default();
        run(&mut vad, &Voice::new(4).take(96_000));
        run(&mut vad, &[0.0; 48_000]);
        assert!(!vad.update(0.0));
    }

    #[test]
    fn the_meter_covers_silence_to_full_scale() {
        assert_eq!(meter_steps(0.0), 0);
        assert_eq!(meter_steps(1.0), 20);
        assert!((8..=12).contains(&meter_steps(0.03)));
    }
}
