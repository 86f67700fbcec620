//! A speaker of this computer.
//!
//! ```text
//!  play ─▶ ring (about 20 ms) ─▶ system's callback, whose pace is the pace of everything
//! ```
//!
//! The callback touches the ring and a few atomics and wakes the writer, nothing else.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use cpal::traits::DeviceTrait;
use cpal::{FromSample, OutputCallbackInfo, SampleFormat, SizedSample, Stream};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::clock;
use crate::media::devices::sound::{self, Direction, Format, Found};
use crate::media::frame::{self, BLOCK_SAMPLES, SAMPLE_RATE, Stereo, StereoBlock};
use crate::media::resample::StereoResampler;
use crate::media::stats::Synthesized;
use crate::media::{AudioSink, DeviceError};

/// Writer to callback: never filled beyond the target, which is far below this. When full all the
/// same, samples are dropped.
const RING: usize = SAMPLE_RATE as usize;

/// The callback was not called for so long: the device is gone or has to be opened again.
const STUCK: Duration = Duration::from_millis(500);

/// Before its first callback a device may take this long.
const FIRST: Duration = Duration::from_secs(3);

/// A device opened so often without a callback is broken.
const ATTEMPTS: u32 = 3;

/// Longest nap: a wake-up that went to another thread costs no more than this.
const NAP: Duration = Duration::from_millis(5);

/// What the system claims about its delay is believed up to this.
const MAX_LATENCY: Duration = Duration::from_millis(300);

/// Written by the callback, read by the writer.
struct Shared {
    writer: OnceLock<Thread>,
    opened: Instant,
    /// Of the last callback, in ns since `opened`; zero before the first.
    last_callback: AtomicU64,
    /// Most frames that one callback asked for lately.
    callback_frames: AtomicUsize,
    latency_ns: AtomicU64,
    missing: AtomicU64,
    underruns: AtomicU64,
    failed: AtomicBool,
}

/// An open speaker.
pub struct Speaker {
    name: String,
    id: String,
    /// `None`: whatever the system prefers.
    wanted: Option<String>,
    running: Running,
    attempts: u32,
    /// Of the streams before this one.
    synthesized: Synthesized,
}

struct Running {
    // First, so that the callback ends before its ring goes.
    _stream: Stream,
    ring: Producer<Stereo>,
    shared: Arc<Shared>,
    rate: u32,
    resampler: Option<StereoResampler>,
    scratch: Vec<Stereo>,
}

impl Speaker {
    /// Opens the speaker with this id, or the system's default.
    ///
    /// # Errors
    /// [`DeviceError`] that tells a missing, a busy and a refused device apart.
    pub fn open(id: Option<&str>) -> Result<Self, DeviceError> {
        let found = sound::find(Direction::Output, id)?;
        let (name, id_in_use) = (found.name.clone(), found.id.clone());
        let running = Running::start(found)?;
        let wanted = id.map(str::to_owned);
        Ok(Self { name, id: id_in_use, wanted, running, attempts: 0, synthesized: Synthesized::default() })
    }

    /// How often the device wanted sound that was not there.
    pub fn underruns(&self) -> u64 {
        self.running.shared.underruns.load(Ordering::Relaxed)
    }

    fn recover(&mut self) -> Result<(), DeviceError> {
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            return Err(DeviceError::Broken {
                device: self.name.clone(),
                reason: "it does not take any sound".to_owned(),
            });
        }
        let found = match sound::find(Direction::Output, self.wanted.as_deref()) {
            Ok(found) => found,
            Err(DeviceError::NotFound(_)) => return Err(DeviceError::Gone(self.name.clone())),
            Err(error) => return Err(error),
        };
        tracing::info!("{} took no sound; opening {} again", self.name, found.name);
        self.name.clone_from(&found.name);
        self.id.clone_from(&found.id);
        self.synthesized = self.synthesized();
        self.running = Running::start(found)?;
        Ok(())
    }
}

impl AudioSink for Speaker {
    fn name(&self) -> &str {
        &self.name
    }

    fn device_id(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn wait_wanted(&mut self, timeout: Duration) -> Result<bool, DeviceError> {
        let deadline = clock::now() + timeout;
        self.running.shared.writer.get_or_init(thread::current);
        loop {
            let now = clock::now();
            if self.running.is_stuck(now) {
                self.recover()?;
                self.running.shared.writer.get_or_init(thread::current);
            } else if self.running.shared.last_callback.load(Ordering::Relaxed) > 0 {
                self.attempts = 0;
            }
            if self.running.wants_more() {
                return Ok(true);
            }
            if now >= deadline {
                return Ok(false);
            }
            thread::park_timeout(deadline.saturating_duration_since(now).min(NAP));
        }
    }

    fn play(&mut self, block: &StereoBlock) -> Result<(), DeviceError> {
        self.running.push(&block.samples);
        Ok(())
    }

    fn latency(&self) -> Duration {
        let fill = self.running.fill() as u64 * 1_000_000 / u64::from(self.running.rate);
        let device = Duration::from_nanos(self.running.shared.latency_ns.load(Ordering::Relaxed));
        Duration::from_micros(fill) + device.min(MAX_LATENCY)
    }

    fn synthesized(&self) -> Synthesized {
        self.synthesized + self.running.synthesized()
    }
}

impl Running {
    fn start(found: Found) -> Result<Self, DeviceError> {
        let format = sound::choose_format(&found, Direction::Output)?;
        let rate = format.config.sample_rate;
        let resampler = match rate {
            SAMPLE_RATE => None,
            other => Some(StereoResampler::new(SAMPLE_RATE, other).ok_or_else(|| DeviceError::Broken {
                device: found.name.clone(),
                reason: format!("its rate of {other} Hz cannot be used"),
            })?),
        };
        let (ring, consumer) = RingBuffer::new(RING);
        let shared = Arc::new(Shared {
            writer: OnceLock::new(),
            opened: clock::now(),
            last_callback: AtomicU64::new(0),
            callback_frames: AtomicUsize::new(BLOCK_SAMPLES),
            latency_ns: AtomicU64::new(0),
            missing: AtomicU64::new(0),
            underruns: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let name = found.name.clone();
        let stream = sound::open(&name, move || build(&found.device, format, consumer, theirs))?;
        Ok(Self { _stream: stream, ring, shared, rate, resampler, scratch: Vec::new() })
    }

    fn fill(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    /// One callback's worth and 10 ms more: what is missing when the mixer is woken has a whole
    /// block's time to come.
    fn wants_more(&self) -> bool {
        let block = BLOCK_SAMPLES * self.rate as usize / SAMPLE_RATE as usize;
        self.fill() < self.shared.callback_frames.load(Ordering::Relaxed).clamp(1, RING / 4) + block / 2
    }

    fn synthesized(&self) -> Synthesized {
        let frames = self.shared.missing.load(Ordering::Relaxed);
        let duration = Duration::from_micros(frames * 1_000_000 / u64::from(self.rate));
        Synthesized { duration, events: self.shared.underruns.load(Ordering::Relaxed) }
    }

    fn push(&mut self, samples: &[Stereo]) {
        let samples = match &mut self.resampler {
            Some(resampler) => {
                self.scratch.clear();
                resampler.process(samples, &mut self.scratch);
                &self.scratch
            }
            None => samples,
        };
        for sample in samples {
            self.ring.push(*sample).ok();
        }
    }

    fn is_stuck(&self, now: Instant) -> bool {
        let last = self.shared.last_callback.load(Ordering::Relaxed);
        let patience = if last == 0 { FIRST } else { STUCK };
        let failed = self.shared.failed.swap(false, Ordering::Relaxed);
        failed || now.saturating_duration_since(self.shared.opened + Duration::from_nanos(last)) > patience
    }
}

/// Whether the device gets what it asks for. Before the first sound there is nothing to miss.
#[derive(Debug, Default)]
struct Supply {
    primed: bool,
    starves: bool,
}

impl Supply {
    /// A callback for `wanted` frames while `there` are; how many are missing, and whether that begins.
    fn callback(&mut self, there: usize, wanted: usize) -> (usize, bool) {
        let missing = if self.primed { wanted.saturating_sub(there) } else { 0 };
        self.primed |= there > 0;
        let begins = missing > 0 && !self.starves;
        self.starves = missing > 0;
        (missing, begins)
    }
}

fn build(
    device: &cpal::Device,
    format: Format,
    ring: Consumer<Stereo>,
    shared: Arc<Shared>,
) -> Result<Stream, cpal::Error> {
    match format.sample {
        SampleFormat::F32 => build_as::<f32>(device, format, ring, shared),
        SampleFormat::I16 => build_as::<i16>(device, format, ring, shared),
        SampleFormat::U16 => build_as::<u16>(device, format, ring, shared),
        SampleFormat::I32 => build_as::<i32>(device, format, ring, shared),
        SampleFormat::U8 => build_as::<u8>(device, format, ring, shared),
        other => Err(cpal::Error::with_message(
            cpal::ErrorKind::UnsupportedConfig,
            format!("its sample format {other} is not supported"),
        )),
    }
}

fn build_as<T>(
    device: &cpal::Device,
    format: Format,
    mut ring: Consumer<Stereo>,
    shared: Arc<Shared>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample + FromSample<f32>,
{
    let failed = Arc::clone(&shared);
    let channels = usize::from(format.config.channels).max(1);
    let mut supply = Supply::default();
    device.build_output_stream::<T, _, _>(
        format.config,
        move |data: &mut [T], info: &OutputCallbackInfo| {
            let frames = data.len() / channels;
            shared.callback_frames.store(frames, Ordering::Relaxed);
            let there = ring.slots();
            let (missing, begins) = supply.callback(there, frames);
            shared.missing.fetch_add(missing as u64, Ordering::Relaxed);
            shared.underruns.fetch_add(u64::from(begins), Ordering::Relaxed);
            for frame in data.chunks_exact_mut(channels) {
                let sample = ring.pop().unwrap_or_default();
                // Sound belongs into the two front speakers, not into the subwoofer.
                match frame {
                    [only] => *only = T::from_sample(frame::mono(&sample)),
                    [left, right, ..] => [*left, *right] = sample.map(T::from_sample),
                    [] => {}
                }
            }
            let time = info.timestamp();
            let latency = time.playback.saturating_duration_since(time.callback);
            shared.latency_ns.store(latency.as_nanos() as u64, Ordering::Relaxed);
            let since = clock::now().saturating_duration_since(shared.opened);
            shared.last_callback.store(since.as_nanos().max(1) as u64, Ordering::Release);
            if let Some(writer) = shared.writer.get() {
                writer.unpark();
            }
        },
        move |error| {
            if !matches!(error.kind(), cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied) {
                tracing::info!("the speaker reports: {error}");
                failed.failed.store(true, Ordering::Relaxed);
            }
        },
        None,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_that_comes_too_late_is_one_event_however_long_it_is_missing() {
        let mut supply = Supply::default();
        assert_eq!(supply.callback(0, 480), (0, false), "nothing has been played yet");
        assert_eq!(supply.callback(960, 480), (0, false));
        assert_eq!(supply.callback(80, 480), (400, true));
        assert_eq!(supply.callback(0, 480), (480, false));
        assert_eq!(supply.callback(480, 480), (0, false));
        assert_eq!(supply.callback(0, 480), (480, true));
    }
}
