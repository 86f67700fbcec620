//! The sending half of sound: one thread from the microphone to Opus packets.
//!
//! ```text
//!  AudioSource ─▶ Processor ─▶ mute ─▶ Opus ─▶ FrameSink
//! ```
//!
//! The source may change or die at any time; the thread and its RTP clock go on. It knows neither
//! which devices there are nor who receives.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock;
use crate::media::codec::opus::{DEFAULT_BITRATE, OpusEncoder, OpusError};
use crate::media::encoded::TrackKind;
use crate::media::frame::{AudioBlock, BLOCK_SAMPLES};
use crate::media::process::{FarEnd, ProcessingConfig, Processor};
use crate::media::sound_packets::{SoundPackets, Stamp};
use crate::media::stats::AudioSendStats;
use crate::media::voice::{LevelMeter, VoiceActivity};
use crate::media::worker::Worker;
use crate::media::{AudioSource, DeviceError, FrameSink};
use crate::units::Bitrate;

/// Longest wait for a block, and so for a change to take effect or the thread to end.
const TIMEOUT: Duration = Duration::from_millis(50);

/// What the owner wants; the newest value counts.
struct Wanted {
    source: Option<SourceChange>,
    processing: ProcessingConfig,
    bitrate: Bitrate,
    loss: f32,
}

enum SourceChange {
    Use(Box<dyn AudioSource>),
    Nothing,
}

struct Shared {
    wanted: Mutex<Wanted>,
    changed: AtomicBool,
    stop: AtomicBool,
    muted: AtomicBool,
    speaking: AtomicBool,
    level: AtomicU32,
    stats: Mutex<AudioSendStats>,
}

impl Shared {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why sending could not start.
#[derive(Debug, thiserror::Error)]
pub enum AudioSendError {
    /// No thread could be made.
    #[error("no thread for the microphone: {0}")]
    Thread(#[from] io::Error),
    /// No encoder could be made.
    #[error(transparent)]
    Opus(#[from] OpusError),
}

/// Sends the microphone until it is dropped.
pub struct AudioSend {
    shared: Arc<Shared>,
    worker: Worker,
}

impl AudioSend {
    /// Starts the thread `mic`. `on_end` is called from it with the reason when a source dies;
    /// then nothing is sent until [`AudioSend::set_source`].
    pub fn spawn(
        source: Box<dyn AudioSource>,
        processing: ProcessingConfig,
        far_end: FarEnd,
        out: FrameSink,
        on_end: impl Fn(DeviceError) + Send + 'static,
    ) -> Result<Self, AudioSendError> {
        let wanted = Wanted {
            source: Some(SourceChange::Use(source)),
            processing,
            bitrate: DEFAULT_BITRATE,
            loss: 0.0,
        };
        let shared = Arc::new(Shared {
            wanted: Mutex::new(wanted),
            changed: AtomicBool::new(true),
            stop: AtomicBool::new(false),
            muted: AtomicBool::new(false),
            speaking: AtomicBool::new(false),
            level: AtomicU32::new(0),
            stats: Mutex::default(),
        });
        let encoder = OpusEncoder::new()?;
        let theirs = Arc::clone(&shared);
        let worker = Worker::spawn("mic", move || {
            let processor = Processor::new(processing, far_end);
            run(&theirs, Pipeline::new(processor, encoder, out), &on_end);
        })?;
        Ok(Self { shared, worker })
    }

    /// Sends silence instead of the microphone, within 10 ms. The microphone is still listened to
    /// for [`AudioSend::muted_but_speaking`].
    pub fn set_muted(&self, muted: bool) {
        self.shared.muted.store(muted, Ordering::Relaxed);
    }

    /// Goes on with another source. The old one is closed on the sending thread.
    pub fn set_source(&self, source: Box<dyn AudioSource>) {
        self.change(|wanted| wanted.source = Some(SourceChange::Use(source)));
    }

    /// Goes on without a source, sending nothing.
    pub fn clear_source(&self) {
        self.change(|wanted| wanted.source = Some(SourceChange::Nothing));
    }

    /// Switches echo cancellation, noise suppression and gain control.
    pub fn set_processing(&self, processing: ProcessingConfig) {
        self.change(|wanted| wanted.processing = processing);
    }

    /// Bits per second of the packets.
    pub fn set_bitrate(&self, bitrate: Bitrate) {
        self.change(|wanted| wanted.bitrate = bitrate);
    }

    /// Share of packets that get lost on the way, 0.0 to 1.0.
    pub fn set_expected_loss(&self, loss: f32) {
        self.change(|wanted| wanted.loss = loss);
    }

    fn change(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut self.shared.wanted());
        self.shared.changed.store(true, Ordering::Release);
        self.worker.unpark();
    }

    /// Level of the microphone, 0.0 to 1.0, also while muted.
    pub fn level(&self) -> f32 {
        f32::from_bits(self.shared.level.load(Ordering::Relaxed))
    }

    /// Whether somebody speaks and is heard.
    pub fn speaking(&self) -> bool {
        self.shared.speaking.load(Ordering::Relaxed) && !self.shared.muted.load(Ordering::Relaxed)
    }

    /// Whether somebody speaks and is not heard.
    pub fn muted_but_speaking(&self) -> bool {
        self.shared.speaking.load(Ordering::Relaxed) && self.shared.muted.load(Ordering::Relaxed)
    }

    /// What was counted so far.
    pub fn stats(&self) -> AudioSendStats {
        self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for AudioSend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.worker.unpark();
    }
}

fn run(shared: &Shared, mut pipeline: Pipeline, on_end: &dyn Fn(DeviceError)) {
    let mut source: Option<Box<dyn AudioSource>> = None;
    while !shared.stop.load(Ordering::Relaxed) {
        if shared.changed.swap(false, Ordering::Acquire) {
            let change = {
                let mut wanted = shared.wanted();
                pipeline.set_up(&wanted);
                wanted.source.take()
            };
            // Outside the lock: closing a device may take long.
            match change {
                Some(SourceChange::Use(new)) => source = Some(new),
                Some(SourceChange::Nothing) => source = None,
                None => {}
            }
        }
        let Some(open) = &mut source else {
            shared.speaking.store(false, Ordering::Relaxed);
            shared.level.store(0, Ordering::Relaxed);
            thread::park_timeout(TIMEOUT);
            continue;
        };
        match open.next_block(TIMEOUT) {
            Ok(Some(block)) => pipeline.push(block, clock::now(), shared),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!("the microphone ended: {error}");
                source = None;
                on_end(error);
            }
        }
    }
}

/// Everything between the source and the network.
struct Pipeline {
    processor: Processor,
    encoder: OpusEncoder,
    out: FrameSink,
    packets: SoundPackets<f32>,
    gain: f32,
    voice: VoiceActivity,
    meter: LevelMeter,
    bitrate: Bitrate,
    sent: u64,
    silent: u64,
}

impl Pipeline {
    fn new(processor: Processor, encoder: OpusEncoder, out: FrameSink) -> Self {
        Self {
            processor,
            encoder,
            out,
            packets: SoundPackets::default(),
            gain: 1.0,
            voice: VoiceActivity::default(),
            meter: LevelMeter::default(),
            bitrate: DEFAULT_BITRATE,
            sent: 0,
            silent: 0,
        }
    }

    fn set_up(&mut self, wanted: &Wanted) {
        self.processor.set_config(wanted.processing);
        self.bitrate = wanted.bitrate;
        let bitrate = self.encoder.set_bitrate(wanted.bitrate);
        let loss = self.encoder.set_expected_loss(wanted.loss);
        if let Err(error) = bitrate.and(loss) {
            tracing::warn!("{error}");
        }
    }

    fn push(&mut self, mut block: AudioBlock, now: Instant, shared: &Shared) {
        let latency = now.saturating_duration_since(block.captured_at);
        self.processor.process(&mut block, latency);
        let level = block.level();
        self.meter.update(level);
        shared.level.store(self.meter.level.to_bits(), Ordering::Relaxed);
        shared.speaking.store(self.voice.update(level), Ordering::Relaxed);
        self.fade(&mut block, shared.muted.load(Ordering::Relaxed));
        if let Some(stamp) = self.packets.push(&block.samples, block.captured_at) {
            self.send(stamp);
            self.publish(shared);
        }
    }

    /// Muting and unmuting take one block, without a click.
    fn fade(&mut self, block: &mut AudioBlock, muted: bool) {
        let target = if muted { 0.0 } else { 1.0 };
        let step = (target - self.gain) / BLOCK_SAMPLES as f32;
        for sample in &mut block.samples {
            self.gain += step;
            *sample *= self.gain;
        }
        self.gain = target;
        if muted && step == 0.0 {
            block.samples.fill(0.0);
        }
    }

    fn send(&mut self, stamp: Stamp) {
        match self.encoder.encode(self.packets.samples()) {
            Ok(Some(payload)) => {
                self.sent += 1;
                (self.out)(stamp.frame(TrackKind::Audio, payload));
            }
            Ok(None) => self.silent += 1,
            Err(error) => tracing::warn!("20 ms of sound were not sent: {error}"),
        }
    }

    fn publish(&self, shared: &Shared) {
        let (echo_return_loss, echo_return_loss_enhancement) = self.processor.echo_return_loss();
        *shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = AudioSendStats {
            audio_level: f64::from(self.meter.level),
            total_audio_energy: self.meter.energy,
            total_samples_duration: self.meter.duration,
            echo_return_loss,
            echo_return_loss_enhancement,
            target_bitrate: self.bitrate,
            packets: self.sent,
            packets_silent: self.silent,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;
    use crate::media::codec::opus::{MAX_PACKET_SAMPLES, OpusDecoder};
    use crate::media::encoded::EncodedFrame;
    use crate::media::sound_packets::BLOCK;
    use crate::media::test_signal::{rms, snr_of_tone, tone};

    /// Gives `blocks` blocks of a tone as fast as they are taken, with capture times 10 ms apart.
    struct Fast {
        hz: f64,
        position: usize,
        blocks: usize,
        start: Instant,
        end: Option<DeviceError>,
    }

    impl Fast {
        fn new(hz: f64, blocks: usize, start: Instant) -> Box<Self> {
            Box::new(Self { hz, position: 0, blocks, start, end: None })
        }
    }

    impl AudioSource for Fast {
        fn name(&self) -> &str {
            "fast"
        }

        fn next_block(&mut self, _: Duration) -> Result<Option<AudioBlock>, DeviceError> {
            if self.position == self.blocks {
                return match self.end.clone() {
                    Some(error) => Err(error),
                    None => {
                        thread::park_timeout(Duration::from_millis(1));
                        Ok(None)
                    }
                };
            }
            let all = tone(self.hz, 0.5, (self.position + 1) * BLOCK_SAMPLES);
            let samples = *all.last_chunk::<BLOCK_SAMPLES>().unwrap();
            let captured_at = self.start + BLOCK * self.position as u32;
            self.position += 1;
            Ok(Some(AudioBlock { samples, captured_at }))
        }
    }

    struct Rig {
        send: AudioSend,
        frames: Receiver<EncodedFrame>,
        ended: Receiver<DeviceError>,
    }

    fn start(source: Box<dyn AudioSource>) -> Rig {
        let (tx, frames) = sync_channel(1_000);
        let (end, ended) = sync_channel(10);
        let out: FrameSink = Arc::new(move |frame| drop(tx.try_send(frame)));
        let on_end = move |error| drop(end.try_send(error));
        let send = AudioSend::spawn(source, ProcessingConfig::OFF, FarEnd::none(), out, on_end).unwrap();
        Rig { send, frames, ended }
    }

    fn take(rig: &Rig, count: usize) -> Vec<EncodedFrame> {
        (0..count).map(|_| rig.frames.recv_timeout(Duration::from_secs(10)).unwrap()).collect()
    }

    fn decode(frames: &[EncodedFrame]) -> Vec<f32> {
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = [[0.0; 2]; MAX_PACKET_SAMPLES];
        let mut all = Vec::new();
        for frame in frames {
            let n = decoder.decode(&frame.payload, &mut out).unwrap();
            all.extend(out[..n].iter().map(|sample| sample[0]));
        }
        all
    }

    #[test]
    fn packets_of_20_ms_carry_the_tone_on_a_continuous_clock() {
        let rig = start(Fast::new(440.0, 100, clock::now()));
        let frames = take(&rig, 50);
        assert!(frames.windows(2).all(|w| w[1].time.ticks - w[0].time.ticks == 960));
        assert!(snr_of_tone(&decode(&frames)[9_600..], 440.0) > 25.0);
        assert!(rig.send.stats().total_samples_duration >= Duration::from_millis(900));
    }

    #[test]
    fn muted_means_silence_and_the_owner_learns_of_a_voice() {
        let rig = start(Fast::new(440.0, 0, clock::now()));
        rig.send.set_muted(true);
        rig.send.set_source(Fast::new(440.0, 200, clock::now()));
        let frames = take(&rig, 3);
        assert!(rms(&decode(&frames)[1_000..]) < 0.001);
        while rig.send.stats().total_samples_duration < Duration::from_millis(1_900) {
            thread::yield_now();
        }
        assert!(rig.send.muted_but_speaking() && !rig.send.speaking());
        assert!(rig.send.stats().packets_silent > 50);
    }

    #[test]
    fn another_source_in_the_middle_keeps_the_clock() {
        let start_at = clock::now();
        let rig = start(Fast::new(440.0, 20, start_at));
        let first = take(&rig, 10);
        rig.send.set_source(Fast::new(1_000.0, 100, start_at + Duration::from_millis(700)));
        let second = take(&rig, 50);
        assert_eq!(second[0].time.ticks - first[9].time.ticks, 960 + 500 * 48, "500 ms passed without sound");
        assert!(snr_of_tone(&decode(&second)[9_600..], 1_000.0) > 25.0);
    }

    #[test]
    fn a_dead_source_is_reported_once_and_can_be_replaced() {
        let mut dying = Fast::new(440.0, 4, clock::now());
        dying.end = Some(DeviceError::Gone("Mic".to_owned()));
        let rig = start(dying);
        let reason = rig.ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(reason, DeviceError::Gone("Mic".to_owned()));
        rig.send.set_source(Fast::new(440.0, 10, clock::now()));
        assert_eq!(take(&rig, 7).len(), 7);
        assert!(rig.ended.try_recv().is_err());
    }
}
