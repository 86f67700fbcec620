//! The thread behind a camera or a screen: takes pictures, decides when each is encoded, and how.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fps_gate::FpsGate;
use super::pace::Pace;
use super::time_line::TimeLine;
use super::{Control, Counters, Gate, KEYFRAME_SPACING, LARGEST, Order, PATIENCE, Shared, lock};
use crate::clock;
use crate::media::adaptation::reading::{Reading, Turn};
use crate::media::adaptation::screen::{self, Spent};
use crate::media::adaptation::{Adaptation, most_fps};
use crate::media::codec::frame_head::MAX_PIXELS;
use crate::media::codec::tuning::{Content, Tuning};
use crate::media::codec::vpx::{EncodedPicture, Encoder, Force, Rate, VpxError};
use crate::media::encoded::{EncodedFrame, TrackKind};
use crate::media::frame::{FramePool, VideoFrame};
use crate::media::latest::{Empty, Latest};
use crate::media::stats::QualityLimitation;
use crate::media::{EncoderTarget, FrameSink, novelty};
use crate::units::{Bitrate, Resolution};

/// What the thread runs. See [`super::VideoSend`].
pub struct EncodeLoop {
    shared: Arc<Shared>,
    out: FrameSink,
    pool: FramePool,
    encoder: Option<Encoder>,
    adaptation: Option<Adaptation>,
    time: TimeLine,
    gate: FpsGate,
    /// A screen's newest picture, the one that was encoded last, and when the next turn is.
    newest: Option<VideoFrame>,
    encoded: Option<VideoFrame>,
    pace: Pace,
    last_keyframe: Option<Instant>,
    keyframe_owed: bool,
    /// The last failure told, so that a failure in every picture is told once.
    told: Option<VpxError>,
}

impl EncodeLoop {
    /// Its time line begins at `start`.
    pub fn new(shared: Arc<Shared>, out: FrameSink, start: u32) -> Self {
        Self {
            shared,
            out,
            pool: FramePool::new(),
            encoder: None,
            adaptation: None,
            time: TimeLine::new(start),
            gate: FpsGate::default(),
            newest: None,
            encoded: None,
            pace: Pace::of(Content::Camera),
            last_keyframe: None,
            keyframe_owed: true,
            told: None,
        }
    }

    /// Encodes until the slot is closed or the owner wants an end.
    pub fn run(mut self, slot: &Latest<VideoFrame>) {
        let mut order = None;
        loop {
            let taken = slot.take(self.patience(order));
            let now = self.obey(&taken);
            let Some(Order { tuning, target, gate, expected }) = now else { return };
            order = now;
            self.pace.follow(tuning.content);
            match (expected, gate, &taken) {
                (Some(resolution), ..) => self.prepare(resolution, tuning, target, target.max_fps),
                (None, Gate::Held, Err(Empty::TimedOut)) => self.warm_up(),
                (None, ..) => {}
            }
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
        if control.tuning.content == Content::Camera {
            control.newest = match control.gate {
                Gate::Held => taken.as_ref().ok().cloned().or(control.newest.take()),
                // A picture kept would only keep its buffer from the pool.
                Gate::Open => None,
            };
        }
        self.keyframe_owed |= std::mem::take(&mut control.keyframe);
        if std::mem::take(&mut control.resumed) {
            self.keyframe_owed = true;
            self.last_keyframe = None;
        }
        let Control { tuning, target, gate, .. } = *control;
        let expected = control.expected.take();
        drop(control);
        let stats = &mut lock(&self.shared.counters).stats;
        (stats.target_bitrate, stats.active) = (target.bitrate, gate == Gate::Open);
        Some(Order { tuning, target, gate, expected })
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
            self.count_source(&frame);
            self.pace.on_picture();
            self.newest = Some(frame);
        }
        let now = clock::now();
        let Some(frame) = self.newest.clone() else { return };
        if gate == Gate::Held {
            return self.prepare(frame.resolution(), tuning, target, max_fps);
        }
        if self.due(now).is_none_or(|due| due > now) {
            return;
        }
        let size = frame.resolution();
        // A repeated picture shows what is there now.
        let seen_at = if self.pace.is_fresh() { frame.captured_at } else { now };
        let frame = frame.seen_at(seen_at);
        let result = self.encode(frame, tuning, target, max_fps);
        self.pace.on_turn(&result, size, max_fps, now);
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
    fn count_source(&self, frame: &VideoFrame) -> f64 {
        let mut counters = lock(&self.shared.counters);
        counters.source_rate.count(frame.captured_at);
        counters.stats.source_frames += 1;
        counters.stats.source_resolution = Some(frame.resolution());
        counters.source_rate.fps(frame.captured_at)
    }

    fn on_frame(&mut self, frame: VideoFrame, tuning: Tuning, target: EncoderTarget, gate: Gate) {
        let max_fps = target.max_fps.min(most_fps(target.bitrate));
        // Too few pictures for a measurement count as the full rate.
        let fps = match self.count_source(&frame) {
            measured if measured < 1.0 => max_fps,
            measured => measured.min(max_fps),
        };
        if gate == Gate::Open && !self.gate.passes(frame.captured_at, max_fps) {
            return;
        }
        if gate == Gate::Held {
            return self.prepare(frame.resolution(), tuning, target, fps);
        }
        let result = self.encode(frame, tuning, target, fps);
        self.tell(result.err());
    }

    /// Has an encoder ready for pictures of this size.
    fn prepare(&mut self, source: Resolution, tuning: Tuning, target: EncoderTarget, fps: f64) {
        let result = self.set_up(source, tuning, target, fps, clock::now());
        self.tell(result.err());
    }

    /// Nothing is wanted of the encoder of a screen yet. One that is watched stays cold: grey costs nothing, from
    /// which its rate control learns to expect too little. A page of text has a control of its own.
    fn warm_up(&mut self) {
        let Some(encoder) = &mut self.encoder else { return };
        if encoder.is_cold() && encoder.tuning().content == Content::Text {
            let result = encoder.warm_up(&self.pool, clock::now());
            self.tell(result.err());
        }
    }

    /// Brings the adaptation up to date, and has an encoder of the size that it decides on.
    fn set_up(
        &mut self,
        source: Resolution,
        tuning: Tuning,
        target: EncoderTarget,
        fps: f64,
        now: Instant,
    ) -> Result<SetUp, VpxError> {
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
        let rate = Rate { bitrate: target.bitrate, fps };
        let remade = self
            .encoder
            .as_ref()
            .is_none_or(|encoder| (encoder.tuning(), encoder.resolution()) != (tuning, resolution));
        if remade {
            let mut encoder = Encoder::new(tuning, resolution, rate, cores())?;
            self.keyframe_owed = true;
            self.last_keyframe = None;
            if tuning.content == Content::Camera && self.encoder.is_none() {
                encoder.warm_up(&self.pool, now)?;
            }
            self.encoder = Some(encoder);
        }
        Ok(SetUp { resolution, rate, reason, remade })
    }

    /// Encodes one picture and hands it on. What it took; `None`: it was left out.
    fn encode(
        &mut self,
        frame: VideoFrame,
        tuning: Tuning,
        target: EncoderTarget,
        fps: f64,
    ) -> Result<Option<Spent>, VpxError> {
        let now = clock::now();
        let SetUp { resolution, rate, reason, remade } =
            self.set_up(frame.resolution(), tuning, target, fps, now)?;
        let (Some(encoder), Some(adaptation)) = (&mut self.encoder, &mut self.adaptation) else {
            return Ok(None);
        };
        let (durations, changes) = adaptation.limitations();
        encoder.set_rate(rate)?;
        let captured_at = frame.captured_at;
        let started = clock::now();
        let frame = if frame.resolution() == resolution {
            frame
        } else {
            VideoFrame::new(crate::media::scale::scale(&frame, resolution, &self.pool), captured_at)
        };
        let spaced =
            self.last_keyframe.is_none_or(|last| now.saturating_duration_since(last) >= KEYFRAME_SPACING);
        let force = if self.keyframe_owed && spaced { Force::Keyframe } else { Force::Nothing };
        let picture = match &mut self.pace {
            Pace::Watched(_) => encoder.encode(&frame, force)?,
            Pace::Read(reading) => {
                let before = self.encoded.replace(frame.clone());
                let page =
                    Page { before: before.as_ref(), frame: &frame, force, bitrate: target.bitrate, now };
                page.encode(reading, encoder)?
            }
        };
        let took = clock::now().saturating_duration_since(started);
        // Only measurements of the steady state say anything about the processor; a text's pictures
        // just come less often.
        if !remade && tuning.content != Content::Text {
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

/// What pictures are encoded with.
struct SetUp {
    resolution: Resolution,
    rate: Rate,
    reason: QualityLimitation,
    /// The encoder is new.
    remade: bool,
}

/// One turn of a screen that is read.
struct Page<'a> {
    before: Option<&'a VideoFrame>,
    frame: &'a VideoFrame,
    force: Force,
    bitrate: Bitrate,
    now: Instant,
}

impl Page<'_> {
    /// As fine as fits, by `reading`; once more if that was too much.
    fn encode(
        self,
        reading: &mut Reading,
        encoder: &mut Encoder,
    ) -> Result<Option<EncodedPicture>, VpxError> {
        let Self { before, frame, force, bitrate, now } = self;
        let quantizers = encoder.tuning().quantizers();
        let turn = match (force, reading.is_fresh()) {
            (Force::Keyframe, _) => Turn::Whole(novelty::edges(None, frame)),
            (Force::Nothing, true) => Turn::Change(novelty::edges(before, frame)),
            (Force::Nothing, false) => Turn::Finer,
        };
        let mut plan = reading.plan(turn, quantizers, bitrate, now);
        encoder.set_quantizer(plan.quantizer)?;
        let mut picture = encoder.encode(frame, force)?;
        let size =
            |picture: &Option<EncodedPicture>| picture.as_ref().map_or(0, |picture| picture.payload.len());
        if let Some(coarser) = reading.again(plan, size(&picture), quantizers) {
            plan = coarser;
            encoder.set_quantizer(plan.quantizer)?;
            // What was encoded before is not sent, so nothing may depend on it.
            picture = encoder.encode(frame, Force::Keyframe)?;
        }
        reading.on_encoded(plan, size(&picture), quantizers, bitrate, now);
        Ok(picture)
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
