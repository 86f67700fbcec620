//! A WAV file in place of a microphone, or of what a computer plays, in a loop, in real time.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::{Duration, Instant};

use hound::{SampleFormat, WavReader};

use crate::clock;
use crate::media::beat::Beat;
use crate::media::frame::{self, AudioBlock, BLOCK_SAMPLES, SAMPLE_RATE, Stereo, StereoBlock};
use crate::media::resample::StereoResampler;
use crate::media::{AudioSource, DeviceError, StereoSource};

/// Longest file that is taken: it is held in memory at 48 kHz (about 11.5 MB a minute and channel).
const MAX_SECONDS: u32 = 600;

/// A file that plays as a device would: moments of one or of two channels.
pub struct Looped<S> {
    name: String,
    /// The whole file at 48 kHz, at least one block.
    samples: Vec<S>,
    position: usize,
    beat: Beat,
}

/// A file in place of a microphone.
pub type WavFile = Looped<f32>;

/// A file in place of what a computer plays: both channels of one that has two.
pub type StereoWavFile = Looped<Stereo>;

impl Looped<f32> {
    /// Reads the file: 8 to 32-bit integers or 32-bit floats, any number of channels (mixed to
    /// one), any usual rate (resampled), at most ten minutes.
    ///
    /// # Errors
    /// [`DeviceError`] with the file's name, when it is missing or is not what it claims to be.
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        read_mono(path).map(|samples| Self::new(path, samples))
    }
}

impl Looped<Stereo> {
    /// As for one channel; any number of channels but two is mixed and heard on both sides.
    ///
    /// # Errors
    /// [`DeviceError`] with the file's name, when it is missing or is not what it claims to be.
    pub fn open(path: &Path) -> Result<Self, DeviceError> {
        read_stereo(path).map(|samples| Self::new(path, samples))
    }
}

impl<S: Copy> Looped<S> {
    fn new(path: &Path, samples: Vec<S>) -> Self {
        Self { name: path.display().to_string(), samples, position: 0, beat: Beat::new(clock::now()) }
    }

    /// Fills a block when it is time for one, and says when it was; `None`: not within `timeout`.
    fn fill(&mut self, block: &mut [S], timeout: Duration) -> Option<Instant> {
        let captured_at = self.beat.wait(timeout)?;
        for sample in block {
            *sample = self.samples[self.position];
            self.position = (self.position + 1) % self.samples.len();
        }
        Some(captured_at)
    }
}

impl AudioSource for Looped<f32> {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_block(&mut self, timeout: Duration) -> Result<Option<AudioBlock>, DeviceError> {
        let mut samples = [0.0; BLOCK_SAMPLES];
        Ok(self.fill(&mut samples, timeout).map(|captured_at| AudioBlock { samples, captured_at }))
    }
}

impl StereoSource for Looped<Stereo> {
    fn name(&self) -> &str {
        &self.name
    }

    fn next_block(&mut self, timeout: Duration) -> Result<Option<StereoBlock>, DeviceError> {
        let mut samples = [[0.0; 2]; BLOCK_SAMPLES];
        Ok(self.fill(&mut samples, timeout).map(|captured_at| StereoBlock { samples, captured_at }))
    }
}

/// The whole file as mono at 48 kHz.
///
/// # Errors
/// [`DeviceError`] with the file's name, when it is missing or is not what it claims to be.
pub fn read_mono(path: &Path) -> Result<Vec<f32>, DeviceError> {
    Ok(read_stereo(path)?.iter().map(frame::mono).collect())
}

/// The whole file as two channels at 48 kHz, at least one block.
fn read_stereo(path: &Path) -> Result<Vec<Stereo>, DeviceError> {
    let name = path.display().to_string();
    let mut reader = WavReader::open(path).map_err(|error| open_error(error, &name))?;
    let broken = |reason: String| DeviceError::Broken { device: name.clone(), reason };
    let spec = reader.spec();
    let resampler = StereoResampler::new(spec.sample_rate, SAMPLE_RATE);
    let Some(mut resampler) = resampler.filter(|_| spec.channels > 0) else {
        return Err(broken(format!("{} channels at {} Hz cannot be used", spec.channels, spec.sample_rate)));
    };
    if reader.duration() / spec.sample_rate > MAX_SECONDS {
        return Err(broken(format!("it is longer than {} minutes", MAX_SECONDS / 60)));
    }
    let mut samples = sides(&mut reader).map_err(|error| broken(error.to_string()))?;
    if samples.is_empty() {
        return Err(broken("it holds no sound".to_owned()));
    }
    if spec.sample_rate != SAMPLE_RATE {
        let mut out = Vec::with_capacity(samples.len() * 2);
        resampler.process(&samples, &mut out);
        samples = out;
    }
    // A very short file is repeated until it fills a block, so that playing never has to look twice.
    while !samples.is_empty() && samples.len() < BLOCK_SAMPLES {
        samples.extend_from_within(..);
    }
    if samples.is_empty() {
        return Err(broken("it is too short".to_owned()));
    }
    Ok(samples)
}

fn open_error(error: hound::Error, name: &str) -> DeviceError {
    use std::io::ErrorKind::{NotFound, PermissionDenied};
    match error {
        hound::Error::IoError(error) if error.kind() == NotFound => DeviceError::NotFound(name.to_owned()),
        hound::Error::IoError(error) if error.kind() == PermissionDenied => {
            DeviceError::Refused(name.to_owned())
        }
        other => DeviceError::Broken {
            device: name.to_owned(),
            reason: format!("it is not a usable WAV file: {other}"),
        },
    }
}

/// The two sides, from -1.0 to 1.0: of two channels one each, of any other number all on both.
fn sides(reader: &mut WavReader<BufReader<File>>) -> Result<Vec<Stereo>, hound::Error> {
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>()?,
        SampleFormat::Int => {
            let scale = 1.0 / (1u64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
            reader.samples::<i32>().map(|s| s.map(|s| s as f32 * scale)).collect::<Result<_, _>>()?
        }
    };
    let channels = usize::from(spec.channels);
    let clean = |s: &f32| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 };
    let both = |moment: &[f32]| match moment {
        [left, right] => [clean(left), clean(right)],
        all => [all.iter().map(clean).sum::<f32>() / channels as f32; 2],
    };
    Ok(samples.chunks_exact(channels).map(both).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use hound::{WavSpec, WavWriter};
    use proptest::prelude::*;

    use super::*;
    use crate::media::test_signal::{snr_of_tone, tone_at};

    fn write(path: &Path, rate: u32, channels: u16, samples: &[f32]) {
        let spec =
            WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = WavWriter::create(path, spec).unwrap();
        for sample in samples {
            for channel in 0..channels {
                writer.write_sample(if channel == 0 { (sample * 32767.0) as i16 } else { 0 }).unwrap();
            }
        }
        writer.finalize().unwrap();
    }

    #[test]
    fn a_stereo_file_at_another_rate_becomes_mono_at_48_khz() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        write(&path, 44_100, 2, &tone_at(44_100, 440.0, 0.5, 44_100));
        let samples = read_mono(&path).unwrap();
        assert!(samples.len().abs_diff(48_000) < 100);
        assert!(snr_of_tone(&samples[1_000..47_000], 440.0) > 50.0);
    }

    #[test]
    fn it_goes_round_and_round() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("short.wav");
        write(&path, 48_000, 1, &tone_at(48_000, 1_000.0, 0.5, 48));
        let mut source = WavFile::open(&path).unwrap();
        let mut heard = Vec::new();
        while heard.len() < 4_800 {
            heard.extend(source.next_block(Duration::from_secs(1)).unwrap().unwrap().samples);
        }
        assert!(snr_of_tone(&heard, 1_000.0) > 40.0, "48 samples are one whole period: no seam");
    }

    #[test]
    fn a_missing_or_lying_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none.wav");
        let error = WavFile::open(&missing).err().unwrap();
        assert_eq!(error, DeviceError::NotFound(missing.display().to_string()));

        let path = folder.path().join("cut.wav");
        write(&path, 48_000, 1, &tone_at(48_000, 440.0, 0.5, 4_800));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 1_001]).unwrap();
        let error = WavFile::open(&path).err().unwrap().to_string();
        assert!(error.contains("cut.wav"), "{error}");

        write(&path, 48_000, 1, &[]);
        let error = WavFile::open(&path).err().unwrap().to_string();
        assert!(error.contains("cut.wav") && error.contains("no sound"), "{error}");
    }

    proptest! {
        #[test]
        fn bytes_that_are_changed_anywhere_never_panic(
            changes in prop::collection::vec((0usize..300, any::<u8>()), 1..12),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("odd.wav");
            write(&path, 48_000, 2, &tone_at(48_000, 440.0, 0.5, 60));
            let mut bytes = fs::read(&path).unwrap();
            for (at, value) in changes {
                let len = bytes.len();
                bytes[at % len] = value;
            }
            fs::write(&path, &bytes).unwrap();
            if let Err(error) = WavFile::open(&path) {
                prop_assert!(error.to_string().contains("odd.wav"));
            }
        }
    }
}
