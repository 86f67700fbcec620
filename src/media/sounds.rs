//! The application's own sounds: ringing, somebody coming or going, the speaker test.
//!
//! They are part of the program, so that they can be played whatever happens to the disk.

use std::sync::{Arc, OnceLock};

/// A sound of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sound {
    /// Somebody knocks.
    Ring,
    /// Somebody came in.
    Join,
    /// Somebody left.
    Leave,
    /// A short melody to hear whether the speaker works.
    SpeakerTest,
}

impl Sound {
    fn file(self) -> &'static [u8] {
        match self {
            Sound::Ring => include_bytes!("../../assets/sounds/ring.wav"),
            Sound::Join => include_bytes!("../../assets/sounds/join.wav"),
            Sound::Leave => include_bytes!("../../assets/sounds/leave.wav"),
            Sound::SpeakerTest => include_bytes!("../../assets/sounds/speaker-test.wav"),
        }
    }

    /// Its samples, mono at 48 kHz.
    pub fn samples(self) -> Arc<[f32]> {
        static RING: OnceLock<Arc<[f32]>> = OnceLock::new();
        static JOIN: OnceLock<Arc<[f32]>> = OnceLock::new();
        static LEAVE: OnceLock<Arc<[f32]>> = OnceLock::new();
        static TEST: OnceLock<Arc<[f32]>> = OnceLock::new();
        let kept = match self {
            Sound::Ring => &RING,
            Sound::Join => &JOIN,
            Sound::Leave => &LEAVE,
            Sound::SpeakerTest => &TEST,
        };
        Arc::clone(kept.get_or_init(|| decode(self.file())))
    }
}

/// The files are ours and checked by a test; one that cannot be read would be silence.
fn decode(file: &[u8]) -> Arc<[f32]> {
    let Ok(mut reader) = hound::WavReader::new(file) else { return Arc::default() };
    let scale = f32::from(i16::MAX);
    reader.samples::<i16>().filter_map(Result::ok).map(|sample| f32::from(sample) / scale).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::SAMPLE_RATE;

    #[test]
    fn every_sound_is_mono_at_48_khz_and_can_be_heard() {
        for sound in [Sound::Ring, Sound::Join, Sound::Leave, Sound::SpeakerTest] {
            let spec = hound::WavReader::new(sound.file()).unwrap().spec();
            assert_eq!(
                (spec.channels, spec.sample_rate, spec.bits_per_sample),
                (1, SAMPLE_RATE, 16),
                "{sound:?}"
            );
            let loudest = sound.samples().iter().fold(0.0_f32, |max, s| max.max(s.abs()));
            assert!((0.05..=0.99).contains(&loudest), "{sound:?}: {loudest}");
        }
    }
}
