//! Makes a microphone fit for a call: removes echo, steady noise and rumble, evens out the level.
//!
//! ```text
//!  mixer ──ring──▶ FarEnd ─┐ (what the speaker plays)
//!  microphone block ───────┴─▶ high-pass ▸ echo ▸ noise ▸ gain ─▶ encoder
//! ```
//!
//! Works on blocks of 10 ms and knows neither devices nor the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rtrb::{Consumer, Producer, RingBuffer};
use sonora::config::{
    AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate, NoiseSuppression,
    NoiseSuppressionLevel, Pipeline,
};
use sonora::{AudioProcessing, Config, StreamConfig};

use crate::media::frame::{AudioBlock, BLOCK_SAMPLES, SAMPLE_RATE, StereoBlock};

/// Mixer to microphone thread: 500 ms of what the speaker plays. When the microphone does not run,
/// the newest blocks are dropped; the canceller finds the delay again by itself.
const FAR_END_BLOCKS: usize = 50;

/// What is done to the microphone. Each can be switched at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessingConfig {
    /// Removes what our own speaker plays.
    pub echo_cancellation: bool,
    /// Removes steady noise.
    pub noise_suppression: bool,
    /// Evens out the level.
    pub gain_control: bool,
}

impl ProcessingConfig {
    /// Everything, for microphones.
    pub const ALL: Self = Self { echo_cancellation: true, noise_suppression: true, gain_control: true };

    /// Nothing: the samples stay as they are. For files and tones, which are to be measured.
    pub const OFF: Self = Self { echo_cancellation: false, noise_suppression: false, gain_control: false };

    fn as_sonora(self) -> Config {
        let pipeline = Pipeline {
            maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
            ..Pipeline::default()
        };
        let noise_suppression = NoiseSuppression { level: NoiseSuppressionLevel::High, ..Default::default() };
        let gain = GainController2 {
            adaptive_digital: Some(AdaptiveDigital::default()),
            ..GainController2::default()
        };
        Config {
            pipeline,
            high_pass_filter: Some(HighPassFilter::default()),
            echo_canceller: self.echo_cancellation.then(EchoCanceller::default),
            noise_suppression: self.noise_suppression.then_some(noise_suppression),
            gain_controller2: self.gain_control.then_some(gain),
            ..Config::default()
        }
    }
}

/// The canceller's own measures begin as guesses; they are worth something after so much sound of the
/// speaker, in blocks of 10 ms.
const LEARNED: u32 = 500;

/// Sound of the speaker at least so loud (the greatest sample) can leave an echo.
const AUDIBLE: f32 = 0.01;

type Block = [f32; BLOCK_SAMPLES];

/// What the speaker plays, as the echo canceller needs it.
pub struct FarEnd {
    blocks: Option<Consumer<Block>>,
    latency_us: Arc<AtomicU32>,
}

impl FarEnd {
    /// Nothing is played: there is no echo.
    pub fn none() -> Self {
        Self { blocks: None, latency_us: Arc::default() }
    }

    /// Both ends of a new reference.
    pub fn pair() -> (FarEndWriter, FarEnd) {
        let (producer, consumer) = RingBuffer::new(FAR_END_BLOCKS);
        let latency_us = Arc::new(AtomicU32::new(0));
        let writer = FarEndWriter { blocks: producer, latency_us: Arc::clone(&latency_us) };
        (writer, FarEnd { blocks: Some(consumer), latency_us })
    }

    fn latency(&self) -> Duration {
        Duration::from_micros(u64::from(self.latency_us.load(Ordering::Relaxed)))
    }
}

/// The mixer's end of the reference.
pub struct FarEndWriter {
    blocks: Producer<Block>,
    latency_us: Arc<AtomicU32>,
}

impl FarEndWriter {
    /// Tells what is handed to the speaker now and how long until it is heard: both sides as one, as a
    /// microphone hears them. A block that does not fit is dropped.
    pub fn push(&mut self, block: &StereoBlock, latency: Duration) {
        self.latency_us.store(latency.as_micros().min(u128::from(u32::MAX)) as u32, Ordering::Relaxed);
        self.blocks.push(block.mono()).ok();
    }

    /// Whether nobody reads any more.
    pub fn is_abandoned(&self) -> bool {
        self.blocks.is_abandoned()
    }
}

/// Processes one microphone.
pub struct Processor {
    config: ProcessingConfig,
    sonora: Box<AudioProcessing>,
    far_end: FarEnd,
    /// Blocks of audible sound that the speaker has played.
    played: u32,
}

impl Processor {
    /// With everything in `config`, against the echo of `far_end`.
    pub fn new(config: ProcessingConfig, far_end: FarEnd) -> Self {
        let stream = StreamConfig::new(SAMPLE_RATE, 1);
        let sonora = AudioProcessing::builder()
            .config(config.as_sonora())
            .capture_config(stream)
            .render_config(stream)
            .build();
        Self { config, sonora: Box::new(sonora), far_end, played: 0 }
    }

    /// Switches parts on or off.
    pub fn set_config(&mut self, config: ProcessingConfig) {
        if config != self.config {
            self.config = config;
            self.sonora.apply_config(config.as_sonora());
        }
    }

    /// Processes one block in place. `capture_latency` is how long ago it was captured.
    pub fn process(&mut self, block: &mut AudioBlock, capture_latency: Duration) {
        let off = self.config == ProcessingConfig::OFF;
        let mut scratch = [0.0; BLOCK_SAMPLES];
        if let Some(blocks) = &mut self.far_end.blocks {
            while let Ok(far) = blocks.pop() {
                // Without an echo canceller the reference is of no use, but must not pile up.
                if self.config.echo_cancellation {
                    let audible = far.iter().any(|sample| sample.abs() >= AUDIBLE);
                    self.played = self.played.saturating_add(u32::from(audible));
                    self.sonora.process_render_f32(&[&far], &mut [&mut scratch]).ok();
                }
            }
        }
        if off {
            return;
        }
        let delay = self.far_end.latency() + capture_latency;
        // Out of range is clamped, which is what the error says; the canceller takes it as a hint only.
        self.sonora.set_stream_delay_ms(delay.as_millis().min(500) as i32).ok();
        let processed = self.sonora.process_capture_f32(&[&block.samples], &mut [&mut scratch]);
        if processed.is_ok() {
            block.samples = scratch.map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 });
        }
    }

    /// How much echo comes back without and is removed with the canceller, in dB (W3C
    /// `echoReturnLoss`, `echoReturnLossEnhancement`); `None` while it is not known.
    pub fn echo_return_loss(&self) -> (Option<f64>, Option<f64>) {
        if self.played < LEARNED {
            return (None, None);
        }
        let stats = self.sonora.statistics();
        (stats.echo_return_loss, stats.echo_return_loss_enhancement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::media::test_signal::{Voice, noise, rms};

    fn blocks(samples: &[f32]) -> impl Iterator<Item = AudioBlock> + '_ {
        let now = clock::now();
        samples
            .as_chunks::<BLOCK_SAMPLES>()
            .0
            .iter()
            .map(move |s| AudioBlock { samples: *s, captured_at: now })
    }

    /// Our speaker plays `far`, the microphone hears it `delay` samples later at half the level.
    fn echo_left(config: ProcessingConfig, far: &[f32], delay: usize) -> Vec<f32> {
        let (mut writer, reader) = FarEnd::pair();
        let mut processor = Processor::new(config, reader);
        let mut heard = vec![0.0; delay];
        heard.extend(far.iter().map(|s| s * 0.5));
        let mut out = Vec::new();
        for (far, mut mic) in blocks(far).zip(blocks(&heard)) {
            writer.push(&far.into(), Duration::from_millis(20));
            processor.process(&mut mic, Duration::from_millis(5));
            out.extend(mic.samples);
        }
        out
    }

    #[test]
    fn the_echo_of_our_own_speaker_is_removed() {
        let far = Voice::new(5).take(6 * 48_000);
        let config = ProcessingConfig { echo_cancellation: true, ..ProcessingConfig::OFF };
        let left = rms(&echo_left(config, &far, 2_400)[3 * 48_000..]);
        let echo = 0.5 * rms(&far[3 * 48_000..]);
        assert!(left < echo / 10.0, "{left} left of {echo}");
    }

    #[test]
    fn an_echo_is_measured_only_where_the_speaker_has_played() {
        let config = ProcessingConfig { echo_cancellation: true, ..ProcessingConfig::OFF };
        let far = Voice::new(5).take(14 * 48_000);
        let (mut writer, reader) = FarEnd::pair();
        let mut played = Processor::new(config, reader);
        let mut alone = Processor::new(config, FarEnd::none());
        for block in blocks(&far) {
            writer.push(&block.into(), Duration::from_millis(20));
            for processor in [&mut played, &mut alone] {
                let mut microphone = block;
                processor.process(&mut microphone, Duration::ZERO);
            }
        }
        assert!(played.echo_return_loss().0.is_some());
        assert_eq!(alone.echo_return_loss(), (None, None));
    }

    #[test]
    fn half_the_echo_is_measured_as_six_decibels_less_and_what_is_removed_is_gone() {
        let config = ProcessingConfig { echo_cancellation: true, ..ProcessingConfig::OFF };
        let far = Voice::new(5).take(14 * 48_000);
        let measure = |gain: f32| {
            let (mut writer, reader) = FarEnd::pair();
            let mut processor = Processor::new(config, reader);
            let heard: Vec<f32> =
                std::iter::repeat_n(0.0, 2_400).chain(far.iter().map(|s| s * gain)).collect();
            let mut left = Vec::new();
            for (far, mut microphone) in blocks(&far).zip(blocks(&heard)) {
                writer.push(&far.into(), Duration::from_millis(20));
                processor.process(&mut microphone, Duration::from_millis(5));
                left.extend(microphone.samples);
            }
            let (lost, removed) = processor.echo_return_loss();
            let late = 10 * 48_000..;
            let gone = 20.0 * (rms(&heard[late.clone()][..3 * 48_000]) / rms(&left[late])).log10();
            println!("echo of {gain}: {lost:?} dB lost, {removed:?} dB removed, {gone} dB are gone");
            (lost.unwrap(), removed.unwrap(), f64::from(gone))
        };
        let (loud, removed, gone) = measure(1.0);
        let (half, ..) = measure(0.5);
        assert!((half - loud - 6.0).abs() < 1.0, "{loud} dB, of half the echo {half} dB");
        assert!(removed > 10.0 && gone > 0.5 * removed, "{removed} dB removed, {gone} dB gone");
    }

    #[test]
    fn steady_noise_is_removed_and_switching_off_in_the_middle_brings_it_back() {
        let mut processor = Processor::new(
            ProcessingConfig { noise_suppression: true, ..ProcessingConfig::OFF },
            FarEnd::none(),
        );
        let hiss = noise(7, 0.02, 4 * 48_000);
        let mut out = Vec::new();
        for mut block in blocks(&hiss) {
            processor.process(&mut block, Duration::ZERO);
            out.extend(block.samples);
        }
        assert!(rms(&out[3 * 48_000..]) < 0.3 * rms(&hiss));
        processor.set_config(ProcessingConfig::OFF);
        let mut block = blocks(&hiss).next().unwrap();
        processor.process(&mut block, Duration::ZERO);
        assert_eq!(block.samples, hiss[..BLOCK_SAMPLES]);
    }

    #[test]
    fn a_quiet_voice_is_raised() {
        let quiet: Vec<f32> = Voice::new(6).take(8 * 48_000).iter().map(|s| s * 0.03).collect();
        let mut processor =
            Processor::new(ProcessingConfig { gain_control: true, ..ProcessingConfig::OFF }, FarEnd::none());
        let mut out = Vec::new();
        for mut block in blocks(&quiet) {
            processor.process(&mut block, Duration::ZERO);
            out.extend(block.samples);
        }
        assert!(rms(&out[6 * 48_000..]) > 2.0 * rms(&quiet[6 * 48_000..]));
    }
}
