//! The sound of a shared screen on its way out: one thread from what the computer plays to Opus packets.
//!
//! ```text
//!  StereoSource ─▶ Opus, stereo ─▶ FrameSink
//! ```
//!
//! Nothing is taken out of it: no echo, no noise, no gain. It knows neither where the sound comes from nor
//! who receives.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::media::codec::opus::{OpusError, PACKET_SAMPLES, STEREO_BITRATE, StereoEncoder};
use crate::media::encoded::{EncodedFrame, TrackKind};
use crate::media::frame::{Stereo, StereoBlock};
use crate::media::sound_packets::{SoundPackets, Stamp};
use crate::media::stats::AudioSendStats;
use crate::media::voice::LevelMeter;
use crate::media::worker::Worker;
use crate::media::{DeviceError, FrameSink, StereoSource};
use crate::units::Bitrate;

/// Longest wait for a block, and so for the thread to end.
const TIMEOUT: Duration = Duration::from_millis(50);

/// Why sending could not start.
#[derive(Debug, thiserror::Error)]
pub enum SoundSendError {
    /// No thread could be made.
    #[error("no thread for the sound of the screen: {0}")]
    Thread(#[from] io::Error),
    /// No encoder could be made.
    #[error(transparent)]
    Opus(#[from] OpusError),
}

struct Shared {
    stop: AtomicBool,
    /// Bits per second; 0: nothing is sent.
    bitrate: AtomicU64,
    stats: Mutex<AudioSendStats>,
}

/// Sends until it is dropped.
pub struct SoundSend {
    shared: Arc<Shared>,
    /// Held for its drop.
    _worker: Worker,
}

impl SoundSend {
    /// Starts the thread `screen-sound`, with room for `bitrate` (see [`Self::set_bitrate`]). `on_end` is called from it with the reason when the source dies;
    /// then nothing is sent any more.
    pub fn spawn(
        source: Box<dyn StereoSource>,
        bitrate: Option<Bitrate>,
        out: FrameSink,
        on_end: impl FnOnce(DeviceError) + Send + 'static,
    ) -> Result<Self, SoundSendError> {
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            bitrate: AtomicU64::new(bitrate.map_or(0, Bitrate::as_bps)),
            stats: Mutex::default(),
        });
        let pipeline = Pipeline::new(StereoEncoder::new()?, out);
        let theirs = Arc::clone(&shared);
        let worker = Worker::spawn("screen-sound", move || {
            if let Err(error) = run(source, &theirs, pipeline) {
                on_end(error);
            }
        })?;
        Ok(Self { shared, _worker: worker })
    }

    /// Bits per second of the packets; `None`: there is no room for any.
    pub fn set_bitrate(&self, bitrate: Option<Bitrate>) {
        self.shared.bitrate.store(bitrate.map_or(0, Bitrate::as_bps), Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn stats(&self) -> AudioSendStats {
        self.shared.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for SoundSend {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

fn run(
    mut source: Box<dyn StereoSource>,
    shared: &Shared,
    mut pipeline: Pipeline,
) -> Result<(), DeviceError> {
    while !shared.stop.load(Ordering::Relaxed) {
        match source.next_block(TIMEOUT) {
            Ok(Some(block)) => pipeline.push(&block, shared),
            Ok(None) => {}
            Err(error) => {
                pipeline.say_silence();
                return Err(error);
            }
        }
    }
    pipeline.say_silence();
    Ok(())
}

/// Everything between the source and the network.
struct Pipeline {
    encoder: StereoEncoder,
    out: FrameSink,
    packets: SoundPackets<Stereo>,
    bitrate: u64,
    /// What was sent last, unless silence was announced after it.
    last: Option<EncodedFrame>,
    meter: LevelMeter,
    sent: u64,
    silent: u64,
}

impl Pipeline {
    fn new(encoder: StereoEncoder, out: FrameSink) -> Self {
        Self {
            encoder,
            out,
            packets: SoundPackets::default(),
            bitrate: STEREO_BITRATE.as_bps(),
            last: None,
            meter: LevelMeter::default(),
            sent: 0,
            silent: 0,
        }
    }

    fn push(&mut self, block: &StereoBlock, shared: &Shared) {
        self.meter.update(block.level());
        if let Some(stamp) = self.packets.push(&block.samples, block.captured_at) {
            self.follow(shared.bitrate.load(Ordering::Relaxed));
            self.send(stamp);
            self.publish(shared);
        }
    }

    fn follow(&mut self, bitrate: u64) {
        if bitrate == 0 {
            self.say_silence();
        }
        if std::mem::replace(&mut self.bitrate, bitrate) != bitrate
            && bitrate > 0
            && let Err(error) = self.encoder.set_bitrate(Bitrate::from_bps(bitrate))
        {
            tracing::warn!("{error}");
        }
    }

    fn send(&mut self, stamp: Stamp) {
        if self.bitrate == 0 {
            return;
        }
        match self.encoder.encode(self.packets.samples()) {
            Ok(Some(payload)) => {
                self.sent += 1;
                let frame = stamp.frame(TrackKind::ScreenSound, payload);
                self.last = Some(frame.clone());
                (self.out)(frame);
            }
            Ok(None) => self.silent += 1,
            Err(error) => tracing::warn!("20 ms of the screen's sound were not sent: {error}"),
        }
    }

    /// Tells that nothing follows, or the other side would make up what seems to be lost.
    fn say_silence(&mut self) {
        let Some(mut last) = self.last.take() else { return };
        // The first byte alone: a packet of the same kind without content (RFC 6716 section 3.2.1).
        last.payload.truncate(1);
        last.time.ticks += PACKET_SAMPLES as u64;
        (self.out)(last);
    }

    fn publish(&self, shared: &Shared) {
        *shared.stats.lock().unwrap_or_else(PoisonError::into_inner) = AudioSendStats {
            audio_level: f64::from(self.meter.level),
            total_audio_energy: self.meter.energy,
            total_samples_duration: self.meter.duration,
            target_bitrate: Bitrate::from_bps(self.bitrate),
            packets: self.sent,
            packets_silent: self.silent,
            ..AudioSendStats::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Instant;

    use super::*;
    use crate::clock;
    use crate::media::codec::opus::{MAX_PACKET_SAMPLES, OpusDecoder, is_dtx};
    use crate::media::frame::BLOCK_SAMPLES;
    use crate::media::test_signal::{rms, snr_of_tone, tone};

    /// Gives a tone on the left as fast as it is taken, then ends.
    struct Left(Vec<f32>, usize, Instant);

    impl StereoSource for Left {
        fn name(&self) -> &str {
            "left"
        }

        fn next_block(&mut self, _: Duration) -> Result<Option<StereoBlock>, DeviceError> {
            let Some(samples) = self.0.as_chunks::<BLOCK_SAMPLES>().0.get(self.1) else {
                return Err(DeviceError::Gone("left".to_owned()));
            };
            let captured_at = self.2 + Duration::from_millis(10) * self.1 as u32;
            self.1 += 1;
            Ok(Some(StereoBlock { samples: samples.map(|s| [s, 0.0]), captured_at }))
        }
    }

    #[test]
    fn a_tone_on_the_left_leaves_in_packets_of_20_ms_and_the_end_of_it_is_told() {
        let (tx, frames) = sync_channel(200);
        let (end, ended) = sync_channel(1);
        let out: FrameSink = Arc::new(move |frame| drop(tx.try_send(frame)));
        let source = Left(tone(1_000.0, 0.3, 96_000), 0, clock::now());
        let on_end = move |error| drop(end.try_send(error));
        let send = SoundSend::spawn(Box::new(source), Some(STEREO_BITRATE), out, on_end).unwrap();
        let error = ended.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(error, DeviceError::Gone("left".to_owned()));
        assert_eq!((send.stats().packets, send.stats().packets_silent), (100, 0));
        drop(send);
        let mut decoder = OpusDecoder::new().unwrap();
        let mut out = [[0.0; 2]; MAX_PACKET_SAMPLES];
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!((frame.kind, frame.time.ticks), (TrackKind::ScreenSound, 960 * n as u64));
            if n == 100 {
                assert!(is_dtx(&frame.payload), "the end is announced");
                break;
            }
            let samples = decoder.decode(&frame.payload, &mut out).unwrap();
            left.extend(out[..samples].iter().map(|sample| sample[0]));
            right.extend(out[..samples].iter().map(|sample| sample[1]));
        }
        assert!(snr_of_tone(&left[9_600..], 1_000.0) > 25.0);
        assert!(rms(&right[9_600..]) < 0.01);
    }

    #[test]
    fn without_room_nothing_leaves_and_the_clock_goes_on() {
        let (tx, frames) = sync_channel(200);
        let out: FrameSink = Arc::new(move |frame| drop(tx.try_send(frame)));
        let shared =
            Shared { stop: AtomicBool::new(false), bitrate: AtomicU64::new(0), stats: Mutex::default() };
        let mut pipeline = Pipeline::new(StereoEncoder::new().unwrap(), out);
        let mut source = Left(tone(1_000.0, 0.3, 4_800), 0, clock::now());
        for block in 0..10 {
            if block == 4 {
                shared.bitrate.store(64_000, Ordering::Relaxed);
            }
            pipeline.push(&source.next_block(TIMEOUT).unwrap().unwrap(), &shared);
        }
        let times: Vec<u64> = frames.try_iter().map(|frame| frame.time.ticks).collect();
        assert_eq!(times, [1_920, 2_880, 3_840]);
    }
}
