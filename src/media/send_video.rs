//! One encode loop for a camera or a screen, whatever the number of receivers: slot → scale → encoder
//! → sink.
//!
//! A camera's pictures are encoded as they come. A screen's are encoded when they change, then a few
//! times more so that what stands still becomes sharp, and then not at all. It does not know who
//! receives, nor where its bitrate comes from.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::adaptation::screen::{self, ScreenPace, Spent};
use super::adaptation::{Adaptation, most_fps};
use super::codec::frame_head::MAX_PIXELS;
use super::codec::tuning::{Content, Tuning};
use super::codec::vpx::{EncodedPicture, Encoder, Force, Rate, VpxError};
use super::encoded::{EncodedFrame, TrackKind};
use super::frame::{FramePool, VideoFrame};
use super::latest::{Empty, Latest};
use super::rate::FrameRate;
use super::stats::VideoSendStats;
use super::worker::Worker;
use super::{EncoderTarget, FrameSink};
use crate::clock;
use crate::units::{Bitrate, MediaTime, Resolution};

/// Pictures over [`MAX_PIXELS`] are made smaller than this.
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
    /// The gate was opened since the thread last looked.
    resumed: bool,
    stop: bool,
    /// The newest picture while held, so that resuming need not wait for the next; a screen's at
    /// any time, since it may be long until the next.
    newest: Option<VideoFrame>,
}

/// What the owner wants, read once a turn.
#[derive(Clone, Copy, Debug)]
struct Order {
    tuning: Tuning,
    target: EncoderTarget,
    gate: Gate,
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
        let control = Control {
            tuning,
            target: FIRST_TARGET,
            gate: Gate::Held,
            keyframe: false,
            resumed: false,
            stop: false,
            newest: None,
        };
        let stats = VideoSendStats { target_bitrate: FIRST_TARGET.bitrate, ..VideoSendStats::default() };
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
            self.wake(control);
        }
    }

    /// The next picture is to be a key frame; a screen's comes at once, even if nothing changes on
    /// it. Requests within 300 ms of a key frame wait.
    pub fn request_keyframe(&self) {
        let mut control = lock(&self.shared.control);
        control.keyframe = true;
        self.wake(control);
    }

    /// A screen may have nothing new for minutes: its newest picture wakes the thread.
    fn wake(&self, control: MutexGuard<'_, Control>) {
        if control.tuning.content == Content::Camera {
            return;
        }
        let newest = control.newest.clone();
        drop(control);
        if let Some(frame) = newest {
            self.slot.put_if_empty(frame);
        }
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
        if control.tuning.content != Content::Camera {
            return self.wake(control);
        }
        let newest = control.newest.take();
        drop(control);
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
    }
}

/// Where the RTP time line begins (RFC 3550 section 5.1: random).
fn random_start() -> io::Result<u32> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Capture times on the 90 kHz clock: continuous through pauses, and always growing.
#[derive(Clone, Debug)]
struct TimeLine {
    start: u32,
    first: Option<Instant>,
    last: Option<u64>,
}

impl TimeLine {
    fn new(start: u32) -> Self {
        Self { start, first: None, last: None }
    }

    fn at(&mut self, captured_at: Instant) -> MediaTime {
        let first = *self.first.get_or_insert(captured_at);
        let passed = captured_at.saturating_duration_since(first).as_nanos();
        let ticks = u64::from(self.start)
            + ((passed * u128::from(MediaTime::VIDEO_CLOCK) + 500_000_000) / 1_000_000_000) as u64;
        let ticks = self.last.map_or(ticks, |last| ticks.max(last + 1));
        self.last = Some(ticks);
        MediaTime { ticks, clock_rate: MediaTime::VIDEO_CLOCK }
    }
}

/// Lets pictures through at no more than a given rate.
#[derive(Clone, Debug, Default)]
struct FpsGate {
    /// When the next picture is welcome.
    next: Option<Instant>,
}

impl FpsGate {
    fn passes(&mut self, captured_at: Instant, max_fps: f64) -> bool {
        let interval = Duration::from_secs_f64(1.0 / max_fps.clamp(1.0, 240.0));
        // A picture a little early is let through: cameras are not that exact.
        let slack = interval / 4;
        match self.next {
            Some(next) if captured_at + slack < next => false,
            // Keeps the average exact, but does not run after a source that was slower.
            Some(next) if captured_at < next + interval => {
                self.next = Some(next + interval);
                true
            }
            _ => {
                self.next = Some(captured_at + interval);
                true
            }
        }
    }
}

struct EncodeLoop {
    shared: Arc<Shared>,
    out: FrameSink,
    pool: FramePool,
    encoder: Option<Encoder>,
    adaptation: Option<Adaptation>,
    time: TimeLine,
    gate: FpsGate,
    /// A screen's newest picture, and when it is encoded.
    newest: Option<VideoFrame>,
    pace: ScreenPace,
    last_keyframe: Option<Instant>,
    keyframe_owed: bool,
    /// The last failure told, so that a failure in every picture is told once.
    told: Option<VpxError>,
}

impl EncodeLoop {
    fn new(shared: Arc<Shared>, out: FrameSink, start: u32) -> Self {
        Self {
            shared,
            out,
            pool: FramePool::new(),
            encoder: None,
            adaptation: None,
            time: TimeLine::new(start),
            gate: FpsGate::default(),
            newest: None,
            pace: ScreenPace::default(),
            last_keyframe: None,
            keyframe_owed: true,
            told: None,
        }
    }

    fn run(mut self, slot: &Latest<VideoFrame>) {
        let mut order = None;
        loop {
            let taken = slot.take(self.patience(order));
            let now = self.obey(&taken);
            let Some(Order { tuning, target, gate }) = now else { return };
            order = now;
            match (taken, tuning.content) {
                (Ok(frame), Content::Camera) => self.on_frame(frame, tuning, target, gate),
                (Ok(frame), Content::Text | Content::Motion) => {
                    self.on_screen(Some(frame), tuning, target, gate);
                }
                (Err(Empty::TimedOut), Content::Camera) => {}
                (Err(Empty::TimedOut), Content::Text | Content::Motion) => {
                    self.on_screen(None, tuning, target, gate);
                }
                (Err(Empty::Closed), _) => return,
            }
        }
    }

    /// What the owner wants now; `None`: an end.
    fn obey(&mut self, taken: &Result<VideoFrame, Empty>) -> Option<Order> {
        let mut control = lock(&self.shared.control);
        if control.stop {
            return None;
        }
        match (taken, control.gate) {
            (Ok(frame), Gate::Held) => control.newest = Some(frame.clone()),
            (Ok(frame), Gate::Open) if control.tuning.content != Content::Camera => {
                control.newest = Some(frame.clone());
            }
            // A picture kept would only keep its buffer from the pool.
            (_, Gate::Open) if control.tuning.content == Content::Camera => control.newest = None,
            _ => {}
        }
        self.keyframe_owed |= std::mem::take(&mut control.keyframe);
        if std::mem::take(&mut control.resumed) {
            self.keyframe_owed = true;
            self.last_keyframe = None;
        }
        Some(Order { tuning: control.tuning, target: control.target, gate: control.gate })
    }

    /// How long to wait for a picture. A screen's newest may be due again before the next comes.
    fn patience(&self, order: Option<Order>) -> Duration {
        let open = order.is_some_and(|order| order.gate == Gate::Open);
        let now = clock::now();
        match self.due(now) {
            Some(due) if open => due.saturating_duration_since(now).min(PATIENCE),
            _ => PATIENCE,
        }
    }

    /// When a screen's newest picture is to be encoded.
    fn due(&self, now: Instant) -> Option<Instant> {
        self.newest.as_ref()?;
        let keyframe = self
            .keyframe_owed
            .then(|| self.last_keyframe.map_or(now, |last| (last + KEYFRAME_SPACING).max(now)));
        self.pace.due(now, keyframe)
    }

    /// A screen's turn: a new picture, or none when the newest one may be due again.
    fn on_screen(&mut self, frame: Option<VideoFrame>, tuning: Tuning, target: EncoderTarget, gate: Gate) {
        let max_fps = target.max_fps.min(screen::most_fps(tuning.content));
        if let Some(frame) = frame {
            let known = self.newest.as_ref().is_some_and(|newest| newest.is_same_picture(&frame));
            if !known {
                self.count_source(&frame, target, gate);
                self.pace.on_picture();
            }
            self.newest = Some(frame);
        }
        let now = clock::now();
        let Some(frame) = self.newest.clone() else { return };
        if gate == Gate::Held {
            let result = self.encode(frame, tuning, target, max_fps, gate);
            return self.tell(result.err());
        }
        if self.due(now).is_none_or(|due| due > now) {
            return;
        }
        let size = frame.resolution();
        // A repeated picture shows what is there now.
        let seen_at = if self.pace.is_fresh() { frame.captured_at } else { now };
        let frame = frame.seen_at(seen_at);
        let result = self.encode(frame, tuning, target, max_fps, gate);
        self.pace.on_encoded(result.as_ref().ok().and_then(Option::as_ref), size, max_fps, now);
        self.tell(result.err());
    }

    fn tell(&mut self, error: Option<VpxError>) {
        if let Some(error) = error
            && self.told.as_ref() != Some(&error)
        {
            tracing::error!(%error, "a picture cannot be encoded");
            self.encoder = None;
            self.told = Some(error);
        }
    }

    /// Counts a picture of the source; the pictures a second that it gives.
    fn count_source(&self, frame: &VideoFrame, target: EncoderTarget, gate: Gate) -> f64 {
        let mut counters = lock(&self.shared.counters);
        counters.source_rate.count(frame.captured_at);
        counters.stats.source_frames += 1;
        counters.stats.source_resolution = Some(frame.resolution());
        counters.stats.target_bitrate = target.bitrate;
        counters.stats.active = gate == Gate::Open;
        counters.source_rate.fps(frame.captured_at)
    }

    fn on_frame(&mut self, frame: VideoFrame, tuning: Tuning, target: EncoderTarget, gate: Gate) {
        let max_fps = target.max_fps.min(most_fps(target.bitrate));
        // Too few pictures for a measurement count as the full rate.
        let fps = match self.count_source(&frame, target, gate) {
            measured if measured < 1.0 => max_fps,
            measured => measured.min(max_fps),
        };
        if gate == Gate::Open && !self.gate.passes(frame.captured_at, max_fps) {
            return;
        }
        let result = self.encode(frame, tuning, target, fps, gate);
        self.tell(result.err());
    }

    /// Encodes one picture and hands it on. What it took; `None`: it was left out, or nothing is sent.
    fn encode(
        &mut self,
        frame: VideoFrame,
        tuning: Tuning,
        target: EncoderTarget,
        fps: f64,
        gate: Gate,
    ) -> Result<Option<Spent>, VpxError> {
        let now = clock::now();
        let source = frame.resolution();
        let (max, carried) = match tuning.content {
            Content::Camera | Content::Motion => (target.max_resolution, target.bitrate),
            // Text keeps its size whatever the bitrate.
            Content::Text => (target.max_resolution, Bitrate::from_bps(u64::MAX)),
        };
        let max = if max.pixels() > MAX_PIXELS { LARGEST } else { max };
        let adaptation = self.adaptation.get_or_insert_with(|| Adaptation::new(source, max, carried));
        adaptation.set_source(source, max);
        adaptation.set_bitrate(carried, now);
        let (resolution, reason) = adaptation.decide(now);
        let (durations, changes) = adaptation.limitations();
        let rate = Rate { bitrate: target.bitrate, fps };
        let encoder = match &mut self.encoder {
            Some(encoder) if encoder.tuning() == tuning => encoder,
            none => {
                let mut encoder = Encoder::new(tuning, resolution, rate, cores())?;
                self.keyframe_owed = true;
                self.last_keyframe = None;
                // Grey costs nothing, from which the rate control learns to expect too little: a
                // camera's first picture survives that, a whole page of text becomes too large.
                if tuning.content == Content::Camera {
                    encoder.warm_up(&self.pool, now)?;
                }
                none.insert(encoder)
            }
        };
        if gate == Gate::Held {
            return Ok(None);
        }
        let resized = encoder.resolution() != resolution;
        encoder.set_resolution(resolution)?;
        encoder.set_rate(rate)?;
        let captured_at = frame.captured_at;
        let started = clock::now();
        let frame = if frame.resolution() == resolution {
            frame
        } else {
            VideoFrame::new(super::scale::scale(&frame, resolution, &self.pool), captured_at)
        };
        let spaced =
            self.last_keyframe.is_none_or(|last| now.saturating_duration_since(last) >= KEYFRAME_SPACING);
        let force = if resized || (self.keyframe_owed && spaced) { Force::Keyframe } else { Force::Nothing };
        let picture = encoder.encode(&frame, force)?;
        let took = clock::now().saturating_duration_since(started);
        // Only measurements of the steady state say anything about the processor; a text's pictures
        // just come less often.
        if !resized && tuning.content != Content::Text {
            adaptation.on_encoded(took, Duration::from_secs_f64(1.0 / rate.fps.max(1.0)), now);
        }
        let Some(picture) = picture else {
            lock(&self.shared.counters).stats.frames_dropped += 1;
            return Ok(None);
        };
        self.told = None;
        if picture.keyframe {
            self.last_keyframe = Some(now);
            self.keyframe_owed = false;
        }
        let mut counters = lock(&self.shared.counters);
        counters.encoded_rate.count(captured_at);
        let stats = &mut counters.stats;
        stats.quality_limitation = reason;
        stats.quality_limitation_durations = durations;
        stats.quality_limitation_resolution_changes = changes;
        stats.resolution = Some(resolution);
        stats.total_encode_time += took;
        count(&mut counters, &picture);
        drop(counters);
        let spent = Spent { bytes: picture.payload.len(), coarseness: picture.coarseness(tuning.codec) };
        let time = self.time.at(captured_at);
        (self.out)(EncodedFrame {
            kind: if tuning.content == Content::Camera { TrackKind::Video } else { TrackKind::Screen },
            codec: tuning.codec.into(),
            time,
            captured_at,
            keyframe: picture.keyframe,
            resolution: Some(resolution),
            payload: picture.payload,
        });
        Ok(Some(spent))
    }
}

fn count(counters: &mut Counters, picture: &EncodedPicture) {
    let (stats, size) = (&mut counters.stats, picture.payload.len());
    stats.huge_frames_sent += u64::from(stats.frames_encoded > 0 && size as f64 > 2.5 * counters.mean_size);
    stats.frames_encoded += 1;
    stats.frames_sent += 1;
    stats.key_frames_encoded += u64::from(picture.keyframe);
    stats.qp_sum += u64::from(picture.qp);
    stats.bytes_encoded += size as u64;
    counters.mean_size = stats.bytes_encoded as f64 / stats.frames_encoded as f64;
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::vpx::Decoder;
    use crate::media::encoded::VideoCodec;
    use crate::media::marker;
    use crate::media::source::pattern::paint;
    use std::sync::mpsc::{Receiver, sync_channel};

    const SIZE: Resolution = Resolution::new(320, 180);

    struct Rig {
        slot: Arc<Latest<VideoFrame>>,
        send: VideoSend,
        encoded: Receiver<EncodedFrame>,
        pool: FramePool,
        start: Instant,
    }

    impl Rig {
        fn new() -> Self {
            let slot = Arc::new(Latest::new());
            let (sink, encoded) = sync_channel(100);
            let send =
                VideoSend::spawn(slot.clone(), Arc::new(move |frame| sink.send(frame).unwrap())).unwrap();
            let target =
                EncoderTarget { max_fps: 30.0, max_resolution: SIZE, bitrate: Bitrate::from_kbps(500) };
            send.set_target(target);
            Self { slot, send, encoded, pool: FramePool::new(), start: clock::now() }
        }

        /// Puts in picture `number`, captured at its time in a film of 30 pictures a second.
        fn put(&self, number: u16) {
            let mut planes = self.pool.take(SIZE);
            paint(&mut planes, f64::from(number) / 30.0);
            marker::draw(&mut planes, number);
            let at = self.start + Duration::from_secs(1) * u32::from(number) / 30;
            self.slot.put(VideoFrame::new(planes, at));
        }

        fn next(&self) -> EncodedFrame {
            self.encoded.recv_timeout(Duration::from_secs(10)).unwrap()
        }

        fn exchange(&self, number: u16) -> EncodedFrame {
            self.put(number);
            self.next()
        }
    }

    #[test]
    fn nothing_goes_out_before_it_is_resumed_and_then_the_newest_picture_at_once() {
        let rig = Rig::new();
        rig.put(30);
        while rig.send.stats().source_frames == 0 {
            std::thread::yield_now();
        }
        // The count above is made just before the picture is kept or sent.
        assert!(rig.encoded.recv_timeout(Duration::from_millis(50)).is_err());
        rig.send.resume();
        let frame = rig.next();
        assert!(frame.keyframe);
        let decoded =
            Decoder::new(VideoCodec::Vp8).unwrap().decode(&frame.payload, &rig.pool).unwrap().unwrap();
        assert_eq!(marker::read(&VideoFrame::new(decoded.planes, rig.start)), Some(30));
    }

    #[test]
    fn a_requested_keyframe_comes_once_for_many_requests() {
        let rig = Rig::new();
        rig.send.resume();
        assert!(rig.exchange(0).keyframe);
        assert!(!rig.exchange(1).keyframe);
        std::thread::sleep(KEYFRAME_SPACING);
        rig.send.request_keyframe();
        rig.send.request_keyframe();
        assert!(rig.exchange(2).keyframe);
        rig.send.request_keyframe();
        assert!(!rig.exchange(3).keyframe, "too soon after the last one");
        std::thread::sleep(KEYFRAME_SPACING);
        assert!(rig.exchange(4).keyframe, "but not forgotten");
        assert_eq!(rig.send.stats().key_frames_encoded, 3);
    }

    #[test]
    fn times_are_those_of_capture_on_the_90_khz_clock() {
        let rig = Rig::new();
        rig.send.resume();
        let first = rig.exchange(0).time.ticks;
        assert_eq!(rig.exchange(1).time.ticks - first, 3_000);
        assert_eq!(rig.exchange(10).time.ticks - first, 30_000);
    }

    #[test]
    fn a_camera_switched_on_again_begins_with_a_keyframe_and_its_time_goes_on() {
        let rig = Rig::new();
        rig.send.resume();
        let first = rig.exchange(0).time.ticks;
        rig.send.pause();
        rig.put(1);
        while rig.send.stats().source_frames < 2 {
            std::thread::yield_now();
        }
        rig.send.resume();
        rig.put(30);
        let frame = std::iter::repeat_with(|| rig.next()).find(|frame| frame.time.ticks == first + 90_000);
        assert!(frame.is_some());
        assert_eq!(rig.send.stats().key_frames_encoded, 2);
    }

    #[test]
    fn a_low_bitrate_makes_the_picture_smaller_and_says_why() {
        let rig = Rig::new();
        let bitrate = Bitrate::from_kbps(20);
        rig.send.set_target(EncoderTarget { bitrate, max_resolution: SIZE, max_fps: 30.0 });
        rig.send.resume();
        assert_eq!(rig.exchange(0).resolution, Some(Resolution::new(160, 90)));
        rig.put(1);
        rig.put(2);
        while rig.send.stats().frames_encoded == 0 {
            std::thread::yield_now();
        }
        let stats = rig.send.stats();
        assert_eq!(stats.quality_limitation, crate::media::stats::QualityLimitation::Bandwidth);
        assert_eq!(stats.target_bitrate, bitrate);
    }

    /// A screen's encoder with one picture on it, sending.
    fn screen(codec: VideoCodec) -> (VideoSend, Arc<Latest<VideoFrame>>, Receiver<EncodedFrame>) {
        let slot = Arc::new(Latest::new());
        let (sink, encoded) = sync_channel(1_000);
        let out: FrameSink = Arc::new(move |frame| sink.send(frame).unwrap());
        let tuning = Tuning { codec, content: Content::Text };
        let send = VideoSend::spawn_screen(slot.clone(), out, tuning).unwrap();
        let bitrate = Bitrate::from_kbps(2_000);
        send.set_target(EncoderTarget { max_fps: 30.0, max_resolution: SIZE, bitrate });
        let mut planes = FramePool::new().take(SIZE);
        paint(&mut planes, 1.0);
        slot.put(VideoFrame::new(planes, clock::now()));
        send.resume();
        (send, slot, encoded)
    }

    #[test]
    fn a_still_screen_is_refined_then_silent_and_yet_answers_who_asks_for_a_key_frame() {
        for codec in [VideoCodec::Vp8, VideoCodec::Vp9] {
            let (send, _slot, encoded) = screen(codec);
            let first = encoded.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!((first.kind, first.codec, first.keyframe), (TrackKind::Screen, codec.into(), true));
            let mut refined = 0;
            while let Ok(frame) = encoded.recv_timeout(Duration::from_secs(1)) {
                assert!(!frame.keyframe && frame.time.ticks > first.time.ticks);
                refined += 1;
                assert!(refined < 200, "{codec:?} is never silent");
            }
            assert!(refined >= 4, "{codec:?}: {refined}");
            send.request_keyframe();
            assert!(encoded.recv_timeout(Duration::from_secs(10)).unwrap().keyframe);
        }
    }

    #[test]
    fn another_codec_begins_with_a_key_frame_of_what_is_on_the_screen() {
        let (send, _slot, encoded) = screen(VideoCodec::Vp9);
        encoded.recv_timeout(Duration::from_secs(10)).unwrap();
        send.set_tuning(Tuning { codec: VideoCodec::Vp8, content: Content::Text });
        let frames = std::iter::repeat_with(|| encoded.recv_timeout(Duration::from_secs(10)).unwrap());
        let frame = frames.take(200).find(|frame| frame.codec == VideoCodec::Vp8.into()).unwrap();
        let decoded = Decoder::new(VideoCodec::Vp8)
            .unwrap()
            .decode(&frame.payload, &FramePool::new())
            .unwrap()
            .unwrap();
        assert!(frame.keyframe && decoded.planes.resolution() == SIZE);
    }

    #[test]
    fn a_fast_camera_is_thinned_out_evenly() {
        let start = clock::now();
        let mut gate = FpsGate::default();
        let passed: Vec<u32> =
            (0..60).filter(|n| gate.passes(start + Duration::from_secs(1) * *n / 60, 30.0)).collect();
        assert_eq!(passed, (0..60).step_by(2).collect::<Vec<_>>());
        let mut gate = FpsGate::default();
        let jitter = |n: u32| Duration::from_millis(u64::from(n * 7 % 8));
        let at = |n: u32| start + Duration::from_secs(1) * n / 30 + jitter(n);
        assert!((0..300).all(|n| gate.passes(at(n), 30.0)), "30 a second pass whole, even unevenly");
    }

    #[test]
    fn time_grows_even_when_capture_times_do_not() {
        let now = clock::now();
        let mut line = TimeLine::new(u32::MAX);
        let times = [now, now, now - Duration::from_secs(1), now + Duration::from_secs(1)]
            .map(|at| line.at(at).ticks);
        let start = u64::from(u32::MAX);
        assert_eq!(times, [start, start + 1, start + 2, start + 90_000]);
    }
}
