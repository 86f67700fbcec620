//! A microphone of this computer.
//!
//! ```text
//!  system's callback ─▶ ring ─▶ next_block: one channel, 48 kHz, cut into 10 ms
//! ```
//!
//! The callback runs under locks of the sound system: it touches the ring and a few atomics and
//! wakes the reader, nothing else. A device that falls silent is opened again, or reported gone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use cpal::traits::DeviceTrait;
use cpal::{FromSample, InputCallbackInfo, Sample, SampleFormat, SizedSample, Stream};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::clock;
use crate::media::devices::sound::{self, Direction, Format, Found};
use crate::media::frame::{AudioBlock, BLOCK_SAMPLES, SAMPLE_RATE};
use crate::media::resample::Resampler;
use crate::media::source::downmix::Downmix;
use crate::media::{AudioSource, DeviceError};

/// Callback to reader: 500 ms. When the reader does not come, the newest samples are dropped and
/// counted; when it comes, it skips what is [`STALE`].
const RING: Duration = Duration::from_millis(500);

/// More than this waiting (an idle device wakes up with two seconds at once) is too old for a
/// conversation: all but the newest is dropped and counted.
const STALE: Duration = Duration::from_millis(200);

/// No samples for so long: the device is gone or has to be opened again.
const SILENT: Duration = Duration::from_millis(500);

/// Before its first samples a device may take this long (an idle one wakes up in two seconds).
const FIRST: Duration = Duration::from_secs(3);

/// A device opened so often without a sample is broken.
const ATTEMPTS: u32 = 3;

/// What the system claims about its delay is believed up to this.
const MAX_LATENCY: Duration = Duration::from_millis(50);

/// Longest nap: a wake-up that went to another thread costs no more than this.
const NAP: Duration = Duration::from_millis(10);

/// Written by the callback, read by the reader.
struct Shared {
    reader: OnceLock<Thread>,
    opened: Instant,
    /// Of the last callback, in ns since `opened`; zero before the first.
    last_callback: AtomicU64,
    latency_ns: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicBool,
}

/// An open microphone.
pub struct Microphone {
    name: String,
    id: String,
    /// `None`: whatever the system prefers.
    wanted: Option<String>,
    running: Running,
    attempts: u32,
    last_samples: Instant,
    captured_at: Option<Instant>,
}

struct Running {
    // First, so that the callback ends before its ring goes.
    _stream: Stream,
    ring: Consumer<f32>,
    shared: Arc<Shared>,
    channels: usize,
    rate: u32,
    downmix: Downmix,
    resampler: Option<Resampler>,
    interleaved: Vec<f32>,
    mono: Vec<f32>,
    /// At 48 kHz, not cut yet.
    ready: Vec<f32>,
    heard: bool,
}

impl Microphone {
    /// Opens the microphone with this id, or the system's default.
    ///
    /// # Errors
    /// [`DeviceError`] that tells a missing, a busy and a refused device apart.
    pub fn open(id: Option<&str>) -> Result<Self, DeviceError> {
        let found = sound::find(Direction::Input, id)?;
        let (name, id_in_use) = (found.name.clone(), found.id.clone());
        let running = Running::start(found)?;
        Ok(Self {
            name,
            id: id_in_use,
            wanted: id.map(str::to_owned),
            running,
            attempts: 0,
            last_samples: clock::now(),
            captured_at: None,
        })
    }

    /// Samples lost because nobody read them in time.
    pub fn dropped_samples(&self) -> u64 {
        self.running.shared.dropped.load(Ordering::Relaxed)
    }

    fn recover(&mut self) -> Result<(), DeviceError> {
        self.attempts += 1;
        if self.attempts >= ATTEMPTS {
            return Err(DeviceError::Broken {
                device: self.name.clone(),
                reason: "it gives no sound".to_owned(),
            });
        }
        let found = match sound::find(Direction::Input, self.wanted.as_deref()) {
            Ok(found) => found,
            Err(DeviceError::NotFound(_)) => return Err(DeviceError::Gone(self.name.clone())),
            Err(error) => return Err(error),
        };
        tracing::info!("{} gave no sound; opening {} again", self.name, found.name);
        self.name.clone_from(&found.name);
        self.id.clone_from(&found.id);
        self.running = Running::start(found)?;
        self.last_samples = clock::now();
        Ok(())
    }

    fn is_silent(&self, now: Instant) -> bool {
        let patience = if self.running.heard { SILENT } else { FIRST };
        let failed = self.running.shared.failed.swap(false, Ordering::Relaxed);
        failed || now.saturating_duration_since(self.last_samples) > patience
    }

    /// Follows the measured capture time slowly, so that it is as even as the samples are.
    fn stamp(&mut self, measured: Instant) -> Instant {
        const JUMP: Duration = Duration::from_millis(60);
        const BLOCK: Duration = Duration::from_millis(10);
        let stamp = match self.captured_at.map(|last| last + BLOCK) {
            Some(expected) if measured > expected + JUMP || expected > measured + JUMP => measured,
            Some(expected) if measured > expected => expected + (measured - expected) / 20,
            Some(expected) => expected - (expected - measured) / 20,
            None => measured,
        };
        self.captured_at = Some(stamp);
        stamp
    }
}

impl AudioSource for Microphone {
    fn name(&self) -> &str {
        &self.name
    }

    fn device_id(&self) -> Option<&str> {
        Some(&self.id)
    }

    fn next_block(&mut self, timeout: Duration) -> Result<Option<AudioBlock>, DeviceError> {
        let deadline = clock::now() + timeout;
        loop {
            if self.running.collect() {
                self.last_samples = clock::now();
                self.attempts = 0;
            }
            if let Some((samples, measured)) = self.running.cut() {
                return Ok(Some(AudioBlock { samples, captured_at: self.stamp(measured) }));
            }
            let now = clock::now();
            if self.is_silent(now) {
                self.recover()?;
            }
            if now >= deadline {
                return Ok(None);
            }
            thread::park_timeout(deadline.saturating_duration_since(now).min(NAP));
        }
    }
}

impl Running {
    fn start(found: Found) -> Result<Self, DeviceError> {
        let format = sound::choose_format(&found, Direction::Input)?;
        let (channels, rate) = (usize::from(format.config.channels), format.config.sample_rate);
        let resampler = match rate {
            SAMPLE_RATE => None,
            other => Some(Resampler::new(other, SAMPLE_RATE).ok_or_else(|| DeviceError::Broken {
                device: found.name.clone(),
                reason: format!("its rate of {other} Hz cannot be used"),
            })?),
        };
        let capacity = RING.as_millis() as usize * rate as usize / 1000 * channels;
        let (producer, ring) = RingBuffer::new(capacity);
        let shared = Arc::new(Shared {
            reader: OnceLock::new(),
            opened: clock::now(),
            last_callback: AtomicU64::new(0),
            latency_ns: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let name = found.name.clone();
        let stream = sound::open(&name, move || build(&found.device, format, producer, theirs))?;
        Ok(Self {
            _stream: stream,
            ring,
            shared,
            channels,
            rate,
            downmix: Downmix::new(channels),
            resampler,
            interleaved: Vec::new(),
            mono: Vec::new(),
            ready: Vec::new(),
            heard: false,
        })
    }

    /// Takes what is in the ring; says whether there was anything.
    fn collect(&mut self) -> bool {
        self.shared.reader.get_or_init(thread::current);
        let whole = self.ring.slots() / self.channels * self.channels;
        if whole == 0 {
            return false;
        }
        self.heard = true;
        self.interleaved.clear();
        self.mono.clear();
        let whole = self.skip_stale(whole);
        let Ok(chunk) = self.ring.read_chunk(whole) else { return false };
        let (first, second) = chunk.as_slices();
        self.interleaved.extend_from_slice(first);
        self.interleaved.extend_from_slice(second);
        chunk.commit_all();
        self.downmix.mix(&self.interleaved, &mut self.mono);
        match &mut self.resampler {
            Some(resampler) => resampler.process(&self.mono, &mut self.ready),
            None => self.ready.extend_from_slice(&self.mono),
        }
        true
    }

    /// Keeps only the newest 20 ms of samples that have waited too long; says how many are left.
    fn skip_stale(&mut self, whole: usize) -> usize {
        let frames = |time: Duration| time.as_millis() as usize * self.rate as usize / 1000;
        if whole <= frames(STALE) * self.channels {
            return whole;
        }
        let keep = frames(Duration::from_millis(20)) * self.channels;
        if let Ok(old) = self.ring.read_chunk(whole - keep) {
            old.commit_all();
            self.shared.dropped.fetch_add((whole - keep) as u64, Ordering::Relaxed);
        }
        keep
    }

    /// Cuts the next block, with the time its first sample was captured.
    fn cut(&mut self) -> Option<([f32; BLOCK_SAMPLES], Instant)> {
        let samples = *self.ready.first_chunk::<BLOCK_SAMPLES>()?;
        let waiting = Duration::from_micros(self.ready.len() as u64 * 1_000_000 / u64::from(SAMPLE_RATE));
        let in_ring = (self.ring.slots() / self.channels) as u64 * 1_000_000 / u64::from(self.rate);
        let age = waiting
            + Duration::from_micros(in_ring)
            + Duration::from_nanos(self.shared.latency_ns.load(Ordering::Relaxed)).min(MAX_LATENCY);
        let newest =
            self.shared.opened + Duration::from_nanos(self.shared.last_callback.load(Ordering::Acquire));
        self.ready.drain(..BLOCK_SAMPLES);
        Some((samples, newest.checked_sub(age).unwrap_or(newest)))
    }
}

fn build(
    device: &cpal::Device,
    format: Format,
    ring: Producer<f32>,
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
    mut ring: Producer<f32>,
    shared: Arc<Shared>,
) -> Result<Stream, cpal::Error>
where
    T: SizedSample,
    f32: FromSample<T>,
{
    let failed = Arc::clone(&shared);
    device.build_input_stream::<T, _, _>(
        format.config,
        move |data: &[T], info: &InputCallbackInfo| {
            let free = ring.slots();
            for sample in &data[..data.len().min(free)] {
                ring.push(f32::from_sample(*sample)).ok();
            }
            if data.len() > free {
                shared.dropped.fetch_add((data.len() - free) as u64, Ordering::Relaxed);
            }
            let time = info.timestamp();
            let latency = time.callback.saturating_duration_since(time.capture);
            shared.latency_ns.store(latency.as_nanos() as u64, Ordering::Relaxed);
            let since = clock::now().saturating_duration_since(shared.opened);
            shared.last_callback.store(since.as_nanos() as u64, Ordering::Release);
            if let Some(reader) = shared.reader.get() {
                reader.unpark();
            }
        },
        move |error| {
            if !matches!(error.kind(), cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied) {
                tracing::info!("the microphone reports: {error}");
                failed.failed.store(true, Ordering::Relaxed);
            }
        },
        None,
    )
}
