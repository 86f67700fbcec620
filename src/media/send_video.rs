//! One encode loop for a camera or a screen, whatever the number of receivers: slot → scale → encoder
//! → sink.
//!
//! A camera's pictures are encoded as they come. A screen's are encoded when they change, then a few
//! times more so that what stands still becomes sharp, and then not at all. It does not know who
//! receives, nor where its bitrate comes from.

mod encode_loop;
mod fps_gate;
mod pace;
#[cfg(test)]
mod tests;
mod time_line;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::codec::tuning::{Content, Tuning};
use super::frame::VideoFrame;
use super::latest::Latest;
use super::rate::FrameRate;
use super::stats::VideoSendStats;
use super::worker::Worker;
use super::{EncoderTarget, FrameSink};
use crate::clock;
use crate::units::{Bitrate, Resolution};
use encode_loop::EncodeLoop;

/// Pictures over [`MAX_PIXELS`](super::codec::frame_head::MAX_PIXELS) are made smaller than this.
const LARGEST: Resolution = Resolution::new(4096, 2304);

/// Until somebody says otherwise: what a call begins with.
const FIRST_TARGET: EncoderTarget =
    EncoderTarget { bitrate: Bitrate::from_kbps(1_000), max_resolution: Resolution::HD, max_fps: 30.0 };

/// Key frames are made no closer to each other than this: several receivers that ask at once, or
/// one that asks again before the answer can have arrived, get one.
const KEYFRAME_SPACING: Duration = Duration::from_millis(300);

/// A picture kept while nothing is sent is shown on resuming only if it is not older than this.
const STILL_NEW: Duration = Duration::from_millis(500);

/// How long the slot may stay empty before the thread looks whether it is to stop.
const PATIENCE: Duration = Duration::from_millis(200);

/// The encoder of a camera or a screen on a thread of its own. It starts held: the encoder is set up and warmed by
/// the first pictures, but nothing goes out before [`VideoSend::resume`].
#[derive(Debug)]
pub struct VideoSend {
    shared: Arc<Shared>,
    slot: Arc<Latest<VideoFrame>>,
    /// Held for its drop.
    _thread: Worker,
}

#[derive(Debug)]
struct Shared {
    control: Mutex<Control>,
    counters: Mutex<Counters>,
}

/// What is counted, for whoever reads it while the thread runs.
#[derive(Debug, Default)]
struct Counters {
    stats: VideoSendStats,
    source_rate: FrameRate,
    encoded_rate: FrameRate,
    mean_size: f64,
}

#[derive(Clone, Debug)]
struct Control {
    tuning: Tuning,
    target: EncoderTarget,
    gate: Gate,
    keyframe: bool,
    /// The first picture will have this size.
    expected: Option<Resolution>,
    /// The gate was opened since the thread last looked.
    resumed: bool,
    stop: bool,
    /// A camera's newest picture while held, so that resuming need not wait for the next.
    newest: Option<VideoFrame>,
}

/// What the owner wants, read once a turn.
#[derive(Clone, Copy, Debug)]
struct Order {
    tuning: Tuning,
    target: EncoderTarget,
    gate: Gate,
    expected: Option<Resolution>,
}

/// Whether pictures are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Held,
    Open,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl VideoSend {
    /// Starts the thread `enc-cam`, which takes pictures from `slot` and hands encoded ones to
    /// `out` until the slot is closed or this is dropped.
    pub fn spawn(slot: Arc<Latest<VideoFrame>>, out: FrameSink) -> io::Result<Self> {
        Self::start("enc-cam", Tuning::CAMERA, slot, out)
    }

    /// As [`VideoSend::spawn`], for a screen: the thread `enc-screen`.
    pub fn spawn_screen(slot: Arc<Latest<VideoFrame>>, out: FrameSink, tuning: Tuning) -> io::Result<Self> {
        Self::start("enc-screen", tuning, slot, out)
    }

    fn start(
        thread: &str,
        tuning: Tuning,
        slot: Arc<Latest<VideoFrame>>,
        out: FrameSink,
    ) -> io::Result<Self> {
        let start = random_start()?;
        // A screen keeps its size; an encoder that is made before the target is known is to fit.
        let target = match tuning.content {
            Content::Camera => FIRST_TARGET,
            Content::Text | Content::Motion => EncoderTarget { max_resolution: LARGEST, ..FIRST_TARGET },
        };
        let control = Control {
            tuning,
            target,
            gate: Gate::Held,
            keyframe: false,
            expected: None,
            resumed: false,
            stop: false,
            newest: None,
        };
        let stats = VideoSendStats { target_bitrate: target.bitrate, ..VideoSendStats::default() };
        let counters = Counters { stats, ..Counters::default() };
        let shared = Arc::new(Shared { control: Mutex::new(control), counters: Mutex::new(counters) });
        let (input, state) = (slot.clone(), shared.clone());
        let thread = Worker::spawn(thread, move || EncodeLoop::new(state, out, start).run(&input))?;
        Ok(Self { shared, slot, _thread: thread })
    }

    /// What to encode to from the next picture on.
    pub fn set_target(&self, target: EncoderTarget) {
        lock(&self.shared.control).target = target;
    }

    /// Another codec, or another idea of what gives way. Takes effect with a key frame.
    pub fn set_tuning(&self, tuning: Tuning) {
        let mut control = lock(&self.shared.control);
        if control.tuning != tuning {
            control.tuning = tuning;
            control.keyframe = true;
            drop(control);
            self.slot.wake();
        }
    }

    /// Pictures of this size will come: the encoder, which takes as long to set up as a page takes to encode,
    /// is made now.
    pub fn expect(&self, resolution: Resolution) {
        lock(&self.shared.control).expected = Some(resolution);
        self.slot.wake();
    }

    /// The next picture is to be a key frame; a screen's comes at once, even if nothing changes on
    /// it. Requests within 300 ms of a key frame wait.
    pub fn request_keyframe(&self) {
        lock(&self.shared.control).keyframe = true;
        self.slot.wake();
    }

    /// Stops sending, for a camera that is switched off or a call that is not up yet.
    pub fn pause(&self) {
        lock(&self.shared.control).gate = Gate::Held;
    }

    /// Sends again, beginning with a key frame of the newest picture at once, however short the pause
    /// was. Does nothing if it is sending.
    pub fn resume(&self) {
        let mut control = lock(&self.shared.control);
        if control.gate == Gate::Open {
            return;
        }
        control.gate = Gate::Open;
        control.resumed = true;
        let newest = control.newest.take();
        drop(control);
        self.slot.wake();
        // One from before the camera was switched off is not what is seen now.
        let now = clock::now();
        if let Some(frame) =
            newest.filter(|frame| now.saturating_duration_since(frame.captured_at) < STILL_NEW)
        {
            self.slot.put_if_empty(frame);
        }
    }

    /// What was counted until now.
    pub fn stats(&self) -> VideoSendStats {
        let now = clock::now();
        let counters = lock(&self.shared.counters);
        VideoSendStats {
            source_fps: counters.source_rate.fps(now),
            fps: counters.encoded_rate.fps(now),
            ..counters.stats.clone()
        }
    }
}

impl Drop for VideoSend {
    fn drop(&mut self) {
        lock(&self.shared.control).stop = true;
        self.slot.wake();
    }
}

/// Where the RTP time line begins (RFC 3550 section 5.1: random).
fn random_start() -> io::Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u32::from_le_bytes(bytes))
}
