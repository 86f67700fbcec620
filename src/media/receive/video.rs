//! One participant's camera or screen: packets in, pictures out, on a thread of its own.
//!
//! A frame is decoded the moment its last packet is there and handed on at once, unless lip sync
//! asks for a delay. It does not know who shows the pictures, nor how a key frame is asked for.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::frame_gaps::FrameGaps;
use super::video_assembler::{AssembledFrame, FrameAssembler};
use crate::clock;
use crate::media::RemotePacket;
use crate::media::codec::vpx::{DecodedPicture, Decoder, VpxError};
use crate::media::encoded::VideoCodec;
use crate::media::frame::{FramePool, VideoFrame};
use crate::media::rate::FrameRate;
use crate::media::stats::VideoReceiveStats;
use crate::media::worker::Worker;

/// Complete frames that wait to be decoded or shown: two seconds. When full, all up to the next key
/// frame are dropped, and one is asked for.
const MOST_HELD: usize = 60;

/// Longest delay that lip sync may ask for.
const MOST_DELAY: Duration = Duration::from_secs(1);

/// Without anything to wait for, the thread looks up this often. Nothing depends on it.
const IDLE: Duration = Duration::from_secs(60);

/// What a received track has to tell. All are called on the decoding thread and must not block.
pub struct VideoHooks {
    /// A picture is to be shown now.
    pub on_frame: Box<dyn Fn(VideoFrame) + Send>,
    /// The sender is to be asked for a key frame.
    pub on_keyframe_wanted: Box<dyn Fn() + Send>,
}

/// The picture on the screen, for lip sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownFrame {
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// When it was shown.
    pub at: Instant,
}

/// A remote video track being received. Dropping it ends the thread.
#[derive(Debug)]
pub struct VideoReceive {
    shared: Arc<Shared>,
    /// Held for its drop, after [`Shared::stop`] is set.
    _thread: Worker,
}

#[derive(Debug)]
struct Shared {
    stop: CancellationToken,
    settings: Mutex<Settings>,
    counters: Mutex<Counters>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Settings {
    delay: Duration,
    round_trip: Option<Duration>,
}

#[derive(Debug, Default)]
struct Counters {
    stats: VideoReceiveStats,
    rate: FrameRate,
    shown: Option<ShownFrame>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl VideoReceive {
    /// Starts the thread `dec-NAME`, which runs until `packets` is closed or this is dropped.
    pub fn spawn(name: &str, packets: Receiver<RemotePacket>, hooks: VideoHooks) -> io::Result<Self> {
        let decoder = Decoder::new(VideoCodec::Vp8).map_err(io::Error::other)?;
        // Only the timer: the thread sleeps until a packet comes or a wait is over.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        let shared = Arc::new(Shared {
            stop: CancellationToken::new(),
            settings: Mutex::default(),
            counters: Mutex::default(),
        });
        let state = shared.clone();
        let thread = Worker::spawn(&format!("dec-{name}"), move || {
            runtime.block_on(DecodeLoop::new(state, hooks, decoder).run(packets));
        })?;
        Ok(Self { shared, _thread: thread })
    }

    /// Shows every picture this long after it is complete; zero shows it at once. At most a second.
    pub fn set_playout_delay(&self, delay: Duration) {
        lock(&self.shared.settings).delay = delay.min(MOST_DELAY);
    }

    /// The round trip to the sender, by which lost packets are waited for.
    pub fn set_round_trip(&self, round_trip: Duration) {
        lock(&self.shared.settings).round_trip = Some(round_trip);
    }

    /// What was counted until now.
    pub fn stats(&self) -> VideoReceiveStats {
        let counters = lock(&self.shared.counters);
        VideoReceiveStats { fps: counters.rate.fps(clock::now()), ..counters.stats.clone() }
    }

    /// The picture shown last.
    pub fn shown(&self) -> Option<ShownFrame> {
        lock(&self.shared.counters).shown
    }
}

impl Drop for VideoReceive {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// A frame that waits for its time.
struct Held {
    frame: AssembledFrame,
    show_at: Instant,
}

struct DecodeLoop {
    shared: Arc<Shared>,
    hooks: VideoHooks,
    assembler: FrameAssembler,
    decoder: Decoder,
    pool: FramePool,
    held: VecDeque<Held>,
    gaps: FrameGaps,
    /// How long decoding takes, by which a delayed frame is begun early.
    decode_time: Duration,
    last_show_at: Option<Instant>,
}

impl DecodeLoop {
    fn new(shared: Arc<Shared>, hooks: VideoHooks, decoder: Decoder) -> Self {
        Self {
            shared,
            hooks,
            assembler: FrameAssembler::new(clock::now()),
            decoder,
            pool: FramePool::new(),
            held: VecDeque::new(),
            gaps: FrameGaps::default(),
            decode_time: Duration::ZERO,
            last_show_at: None,
        }
    }

    async fn run(mut self, mut packets: Receiver<RemotePacket>) {
        loop {
            while let Ok(packet) = packets.try_recv() {
                self.assembler.insert(packet);
            }
            let settings = *lock(&self.shared.settings);
            if let Some(round_trip) = settings.round_trip {
                self.assembler.set_round_trip(round_trip);
            }
            let now = clock::now();
            self.collect(settings.delay, now);
            let due = self.held.front().map(|held| self.begin_at(held, settings.delay));
            if due.is_some_and(|due| due <= now) {
                // One at a time: packets that come meanwhile are to be seen before the next.
                self.decode_next();
                if self.shared.stop.is_cancelled() {
                    return;
                }
                continue;
            }
            self.ask_for_keyframe(now);
            let deadline = [due, self.assembler.deadline()].into_iter().flatten().min().unwrap_or(now + IDLE);
            let packet = tokio::select! {
                biased;
                () = self.shared.stop.cancelled() => return,
                packet = timeout_at(deadline.into(), packets.recv()) => packet,
            };
            match packet {
                Ok(Some(packet)) => self.assembler.insert(packet),
                Ok(None) => return,
                Err(_elapsed) => {}
            }
        }
    }

    /// When decoding of a waiting frame begins.
    fn begin_at(&self, held: &Held, delay: Duration) -> Instant {
        if delay.is_zero() {
            return held.frame.complete_at;
        }
        held.show_at.checked_sub(self.decode_time).unwrap_or(held.show_at)
    }

    /// Moves complete frames from the assembler to the queue.
    fn collect(&mut self, delay: Duration, now: Instant) {
        while let Some(frame) = self.assembler.next_frame(now) {
            {
                let stats = &mut lock(&self.shared.counters).stats;
                stats.frames_received += 1;
                if frame.packets > 1 {
                    stats.frames_assembled_from_multiple_packets += 1;
                    stats.total_assembly_time +=
                        frame.complete_at.saturating_duration_since(frame.first_arrival);
                }
            }
            // A delay that shrinks must not put frames out of order.
            let show_at = frame.complete_at + delay;
            let show_at = self.last_show_at.map_or(show_at, |last| show_at.max(last));
            self.last_show_at = (!delay.is_zero()).then_some(show_at);
            self.held.push_back(Held { frame, show_at });
            if self.held.len() > MOST_HELD {
                self.drop_to_keyframe(now);
            }
        }
        self.assembler.write_stats(&mut lock(&self.shared.counters).stats);
    }

    /// Forgets waiting frames up to the newest key frame, or all of them.
    fn drop_to_keyframe(&mut self, now: Instant) {
        let keep = self.held.iter().rposition(|held| held.frame.keyframe).filter(|index| *index > 0);
        let dropped = keep.unwrap_or(self.held.len());
        self.held.drain(..dropped);
        if self.held.is_empty() {
            self.assembler.require_keyframe(now);
        }
        lock(&self.shared.counters).stats.frames_dropped += dropped as u64;
    }

    fn ask_for_keyframe(&mut self, now: Instant) {
        if self.assembler.take_keyframe_request(now) {
            lock(&self.shared.counters).stats.pli_count += 1;
            (self.hooks.on_keyframe_wanted)();
        }
    }

    fn decode_next(&mut self) {
        let Some(Held { frame, .. }) = self.held.pop_front() else { return };
        let started = clock::now();
        let decoded = self.decode(&frame);
        let ended = clock::now();
        let took = ended.saturating_duration_since(started);
        let mut counters = lock(&self.shared.counters);
        let stats = &mut counters.stats;
        stats.jitter_buffer_delay += started.saturating_duration_since(frame.first_arrival);
        stats.jitter_buffer_emitted_count += 1;
        let picture = match decoded {
            Ok(picture) => picture,
            Err(error) => {
                stats.frames_dropped += 1;
                drop(counters);
                tracing::debug!(%error, "a received picture cannot be decoded");
                self.skip_to_keyframe(ended);
                return;
            }
        };
        self.decode_time = (self.decode_time * 7 + took) / 8;
        stats.frames_decoded += 1;
        stats.total_decode_time += took;
        let Some(picture) = picture else {
            stats.frames_dropped += 1;
            return;
        };
        stats.qp_sum += u64::from(picture.qp);
        stats.key_frames_decoded += u64::from(picture.keyframe);
        stats.resolution = Some(picture.planes.resolution());
        stats.codec = Some(frame.codec);
        self.gaps.shown(ended, stats);
        counters.rate.count(ended);
        counters.shown = Some(ShownFrame { timestamp: frame.timestamp, at: ended });
        drop(counters);
        (self.hooks.on_frame)(VideoFrame::new(picture.planes, ended));
    }

    /// By a decoder of the frame's codec, which a sender may change with a key frame.
    fn decode(&mut self, frame: &AssembledFrame) -> Result<Option<DecodedPicture>, VpxError> {
        if self.decoder.codec() != frame.codec {
            self.decoder = Decoder::new(frame.codec)?;
        }
        self.decoder.decode(&frame.data, &self.pool)
    }

    /// After a frame that could not be decoded, those that build on it are of no use.
    fn skip_to_keyframe(&mut self, now: Instant) {
        let dropped = self.held.iter().position(|held| held.frame.keyframe).unwrap_or(self.held.len());
        self.held.drain(..dropped);
        if self.held.is_empty() {
            self.assembler.require_keyframe(now);
        }
        lock(&self.shared.counters).stats.frames_dropped += dropped as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::tuning::Tuning;
    use crate::media::codec::vpx::{Encoder, Force, Rate};
    use crate::media::encoded::{Codec, TrackKind};
    use crate::media::marker;
    use crate::media::source::pattern::paint;
    use crate::units::{Bitrate, Resolution};
    use std::sync::mpsc::{Receiver as Pictures, sync_channel};
    use tokio::sync::mpsc::{Sender, channel};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A sender, a track, and what comes out of it.
    struct Rig {
        encoder: Encoder,
        pool: FramePool,
        packets: Sender<RemotePacket>,
        sequence: u16,
        receive: VideoReceive,
        pictures: Pictures<VideoFrame>,
        keyframes: Pictures<()>,
    }

    impl Rig {
        fn new() -> Self {
            let (packets, queue) = channel(1_000);
            let (frames, pictures) = sync_channel(1_000);
            let (asks, keyframes) = sync_channel(1_000);
            let hooks = VideoHooks {
                on_frame: Box::new(move |frame| frames.send(frame).unwrap()),
                on_keyframe_wanted: Box::new(move || asks.send(()).unwrap()),
            };
            let receive = VideoReceive::spawn("Zoë\0", queue, hooks).unwrap();
            let rate = Rate { bitrate: Bitrate::from_kbps(500), fps: 30.0 };
            let encoder = Encoder::new(Tuning::CAMERA, Resolution::new(320, 180), rate, 1).unwrap();
            Self { encoder, pool: FramePool::new(), packets, sequence: 7, receive, pictures, keyframes }
        }

        /// The packets of picture `number`, of at most `size` bytes of VP8 each.
        fn encode(
            &mut self,
            resolution: Resolution,
            number: u16,
            force: Force,
            size: usize,
        ) -> Vec<RemotePacket> {
            let mut planes = self.pool.take(resolution);
            paint(&mut planes, f64::from(number) / 30.0);
            marker::draw(&mut planes, number);
            let picture = VideoFrame::new(planes, clock::now());
            let data = self.encoder.encode(&picture, force).unwrap().unwrap().payload;
            let count = data.len().div_ceil(size);
            let pieces = data.chunks(size).enumerate();
            let packet = |(index, piece): (usize, &[u8])| RemotePacket {
                kind: TrackKind::Video,
                codec: Codec::Vp8,
                sequence: self.sequence.wrapping_add(index as u16),
                timestamp: u32::from(number) * 3_000,
                marker: index + 1 == count,
                ssrc: 1,
                payload: [&[if index == 0 { 0x10 } else { 0 }], piece].concat().into(),
                arrived_at: clock::now(),
            };
            let packets = pieces.map(packet).collect();
            self.sequence = self.sequence.wrapping_add(count as u16);
            packets
        }

        fn deliver(&self, packets: Vec<RemotePacket>) {
            packets.into_iter().for_each(|packet| self.packets.try_send(packet).unwrap());
        }

        fn send(&mut self, number: u16, force: Force) {
            let packets = self.encode(Resolution::new(320, 180), number, force, 400);
            self.deliver(packets);
        }

        /// The number in the next picture.
        fn number(&self) -> Option<u16> {
            marker::read(&self.pictures.recv_timeout(PATIENCE).unwrap())
        }
    }

    #[test]
    fn pictures_come_out_as_they_went_in() {
        let mut rig = Rig::new();
        for number in 0..5 {
            rig.send(number, Force::Nothing);
            assert_eq!(rig.number(), Some(number));
        }
        let (stats, shown) = (rig.receive.stats(), rig.receive.shown().unwrap());
        assert_eq!((stats.frames_received, stats.frames_decoded, stats.frames_dropped), (5, 5, 0));
        assert_eq!((stats.frames_rendered, stats.key_frames_decoded, stats.pli_count), (5, 1, 0));
        assert_eq!(stats.resolution, Some(Resolution::new(320, 180)));
        assert!(stats.qp_sum > 0 && stats.total_decode_time > Duration::ZERO);
        assert_eq!(shown.timestamp, 4 * 3_000);
    }

    #[test]
    fn the_size_may_change_from_picture_to_picture() {
        let mut rig = Rig::new();
        for (number, (width, height)) in (0..).zip([(320, 180), (640, 360), (161, 91), (320, 180)]) {
            let packets = rig.encode(Resolution::new(width, height), number, Force::Nothing, 1_000);
            rig.deliver(packets);
            let picture = rig.pictures.recv_timeout(PATIENCE).unwrap();
            assert_eq!(picture.resolution(), Resolution::new(width, height));
            assert_eq!(marker::read(&picture), Some(number));
        }
    }

    #[test]
    fn a_damaged_picture_asks_for_a_keyframe_and_the_next_one_is_shown() {
        let mut rig = Rig::new();
        rig.send(0, Force::Nothing);
        assert_eq!(rig.number(), Some(0));
        let mut packets = rig.encode(Resolution::new(320, 180), 1, Force::Keyframe, 100_000);
        packets[0].payload = [&packets[0].payload[..4], &[0xff; 20]].concat().into();
        rig.deliver(packets);
        rig.keyframes.recv_timeout(PATIENCE).unwrap();
        rig.send(2, Force::Nothing);
        rig.send(3, Force::Keyframe);
        assert_eq!(rig.number(), Some(3));
        assert_eq!(rig.receive.stats().pli_count, 1);
    }

    #[test]
    fn a_loss_that_nobody_repairs_asks_for_a_keyframe() {
        let mut rig = Rig::new();
        rig.receive.set_round_trip(Duration::ZERO);
        rig.send(0, Force::Nothing);
        assert_eq!(rig.number(), Some(0));
        rig.encode(Resolution::new(320, 180), 1, Force::Nothing, 400);
        rig.send(2, Force::Nothing);
        rig.keyframes.recv_timeout(PATIENCE).unwrap();
        rig.send(3, Force::Keyframe);
        assert_eq!(rig.number(), Some(3));
    }

    #[test]
    fn a_delay_holds_pictures_back_and_loses_none() {
        let mut rig = Rig::new();
        let delay = Duration::from_millis(120);
        rig.receive.set_playout_delay(delay);
        let sent = clock::now();
        for number in 0..4 {
            rig.send(number, Force::Nothing);
        }
        assert_eq!(rig.number(), Some(0));
        let waited = clock::now() - sent;
        assert!(waited > delay / 2, "{waited:?}");
        rig.receive.set_playout_delay(Duration::ZERO);
        assert_eq!([1, 2, 3].map(|_| rig.number()), [Some(1), Some(2), Some(3)]);
    }

    #[test]
    fn dropping_it_ends_the_thread_though_packets_could_still_come() {
        let rig = Rig::new();
        drop(rig.receive);
        assert!(rig.packets.is_closed());
        assert!(rig.pictures.recv_timeout(PATIENCE).is_err());
    }
}
