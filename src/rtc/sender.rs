//! Our tracks towards one participant: what may leave now, and with which RTP numbers.
//!
//! ```text
//!  encode threads ─▶ FrameQueue (½ s, skips to a key frame) ─▶ Outbound (gate, numbers) ─▶ engine
//! ```
//!
//! Nothing leaves before the path is secured; pictures begin with a key frame. Payloads are shared
//! between participants; sequence numbers and counters are this participant's own, and have no
//! holes, whatever was skipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::engine::{OutgoingPacket, OutgoingReport};
use super::packetizer::Packets;
use crate::media::encoded::TrackKind;

/// Frames from the encode threads to one participant: half a second of 30 pictures each of camera and
/// screen, and of 50 packets each of voice and the screen's sound. When full, sound is dropped, and pictures up to the next
/// key frame.
pub const QUEUE: usize = 80;

/// Seconds from the NTP epoch (1900) to the Unix epoch (RFC 5905 figure 4).
const NTP_EPOCH: Duration = Duration::from_secs(2_208_988_800);

/// What a queue has not let through of a track of pictures.
#[derive(Debug, Default)]
struct Skips {
    skipping: AtomicBool,
    keyframe_needed: AtomicBool,
}

/// What a queue has not let through.
#[derive(Debug, Default)]
struct QueueState {
    camera: Skips,
    screen: Skips,
    dropped: AtomicU64,
}

impl QueueState {
    /// Sound is never skipped.
    fn skips(&self, kind: TrackKind) -> Option<&Skips> {
        match kind {
            TrackKind::Audio | TrackKind::ScreenSound => None,
            TrackKind::Video => Some(&self.camera),
            TrackKind::Screen => Some(&self.screen),
        }
    }
}

/// The encode threads' end; clones go to the same participant.
#[derive(Clone, Debug)]
pub struct FrameQueue {
    frames: mpsc::Sender<Arc<Packets>>,
    state: Arc<QueueState>,
}

/// The participant's end.
#[derive(Debug)]
pub struct FrameSource {
    frames: mpsc::Receiver<Arc<Packets>>,
    state: Arc<QueueState>,
}

impl FrameQueue {
    /// An empty queue.
    pub fn new() -> (Self, FrameSource) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let state = Arc::new(QueueState::default());
        (Self { frames: sender, state: state.clone() }, FrameSource { frames: receiver, state })
    }

    /// Hands one frame over without waiting. One thread a track calls it.
    pub fn put(&self, frame: &Arc<Packets>) {
        let skips = self.state.skips(frame.kind);
        if skips.is_some_and(|skips| skips.skipping.load(Ordering::Relaxed)) && !frame.keyframe {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let full = self.frames.try_send(frame.clone()).is_err();
        if full {
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(skips) = skips {
            if full && !skips.skipping.swap(true, Ordering::Relaxed) {
                skips.keyframe_needed.store(true, Ordering::Relaxed);
            }
            if !full {
                skips.skipping.store(false, Ordering::Relaxed);
            }
        }
    }
}

impl FrameSource {
    /// The next frame; `None` when nobody will put one any more.
    pub async fn next(&mut self) -> Option<Arc<Packets>> {
        self.frames.recv().await
    }

    /// The tracks of which pictures were skipped since the last call, so that they need a key frame. To be
    /// asked with every frame of any track: a screen at rest, whose last page was skipped, has none to ask with.
    pub fn take_keyframes_needed(&self) -> impl Iterator<Item = TrackKind> {
        TrackKind::ALL.into_iter().filter(|kind| {
            let skips = self.state.skips(*kind);
            skips.is_some_and(|skips| skips.keyframe_needed.swap(false, Ordering::Relaxed))
        })
    }

    /// Frames that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.state.dropped.load(Ordering::Relaxed)
    }
}

/// Numbers of one track.
#[derive(Clone, Copy, Debug)]
struct Track {
    sequence: u16,
    packets: u32,
    octets: u32,
    /// RTP time and capture time of the last frame.
    last: Option<(u32, Instant)>,
}

/// What a track of pictures may do while there is a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// The next key frame may leave.
    AwaitKeyframe,
    /// Everything.
    Open,
}

impl Gate {
    fn admits(&mut self, frame: &Packets) -> bool {
        if frame.keyframe {
            *self = Gate::Open;
        }
        *self == Gate::Open
    }
}

/// All tracks towards one participant.
#[derive(Debug)]
pub struct Outbound {
    /// By [`TrackKind::index`].
    tracks: [Track; 4],
    camera: Gate,
    screen: Gate,
    /// There is a secured path.
    path: bool,
}

impl Outbound {
    /// With random first sequence numbers (RFC 3550 section 5.1), by [`TrackKind::index`].
    pub fn new(first: [u16; 4]) -> Self {
        let track = |sequence| Track { sequence, packets: 0, octets: 0, last: None };
        let tracks = first.map(track);
        Self { tracks, camera: Gate::AwaitKeyframe, screen: Gate::AwaitKeyframe, path: false }
    }

    /// The path is secured. Pictures begin with the next key frame.
    pub fn open(&mut self) {
        (self.camera, self.screen, self.path) = (Gate::AwaitKeyframe, Gate::AwaitKeyframe, true);
    }

    /// There is no path.
    pub fn close(&mut self) {
        self.path = false;
    }

    /// Pictures of a track were skipped; the next one that helps is a key frame.
    pub fn skip_to_keyframe(&mut self, kind: TrackKind) {
        match kind {
            TrackKind::Audio | TrackKind::ScreenSound => {}
            TrackKind::Video => self.camera = Gate::AwaitKeyframe,
            TrackKind::Screen => self.screen = Gate::AwaitKeyframe,
        }
    }

    /// Whether a frame may leave now.
    pub fn admits(&mut self, frame: &Packets) -> bool {
        self.path
            && match frame.kind {
                TrackKind::Audio | TrackKind::ScreenSound => true,
                TrackKind::Video => self.camera.admits(frame),
                TrackKind::Screen => self.screen.admits(frame),
            }
    }

    /// Numbers one payload of `frame`; call it in the order in which packets leave.
    pub fn number(&mut self, frame: &Packets, index: usize) -> Option<OutgoingPacket> {
        let payload = frame.payloads.get(index)?.clone();
        let track = &mut self.tracks[frame.kind.index()];
        let sequence = track.sequence;
        track.sequence = sequence.wrapping_add(1);
        track.packets = track.packets.wrapping_add(1);
        track.octets = track.octets.wrapping_add(payload.len() as u32);
        track.last = Some((frame.time.rtp(), frame.captured_at));
        Some(OutgoingPacket {
            kind: frame.kind,
            codec: frame.codec,
            sequence,
            timestamp: frame.time.rtp(),
            marker: !frame.kind.is_sound() && index + 1 == frame.payloads.len(),
            payload,
        })
    }

    /// Sender reports of the tracks that have sent, given the wall clock (since the Unix epoch) at
    /// `now`. They map RTP time to *capture* time, so that the receiver can play what happened
    /// together together, whatever encoding took.
    pub fn reports(&self, now: Instant, unix_now: Duration) -> impl Iterator<Item = OutgoingReport> {
        TrackKind::ALL.into_iter().filter_map(move |kind| {
            let track = &self.tracks[kind.index()];
            let (rtp, captured_at) = track.last?;
            let ntp = (NTP_EPOCH + unix_now).checked_sub(now.saturating_duration_since(captured_at))?;
            Some(OutgoingReport { kind, ntp, rtp, packets: track.packets, octets: track.octets })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::encoded::Codec;
    use crate::units::MediaTime;
    use bytes::Bytes;

    fn frame(kind: TrackKind, keyframe: bool, payloads: usize) -> Arc<Packets> {
        Arc::new(Packets {
            kind,
            codec: if kind.is_sound() { Codec::Opus } else { Codec::Vp8 },
            time: MediaTime { ticks: 3_000, clock_rate: 90_000 },
            captured_at: crate::clock::now(),
            keyframe,
            payloads: vec![Bytes::from_static(b"12345"); payloads],
        })
    }

    #[test]
    fn nothing_leaves_before_the_path_is_secured_and_pictures_begin_with_a_key_frame() {
        let mut outbound = Outbound::new([0; 4]);
        assert!(!outbound.admits(&frame(TrackKind::Audio, true, 1)));
        assert!(!outbound.admits(&frame(TrackKind::Video, true, 1)));
        outbound.open();
        assert!(outbound.admits(&frame(TrackKind::Audio, true, 1)));
        assert!(!outbound.admits(&frame(TrackKind::Video, false, 1)));
        assert!(outbound.admits(&frame(TrackKind::Video, true, 1)));
        assert!(outbound.admits(&frame(TrackKind::Video, false, 1)));
        assert!(!outbound.admits(&frame(TrackKind::Screen, false, 1)), "the screen has a gate of its own");
        assert!(outbound.admits(&frame(TrackKind::Screen, true, 1)));
        outbound.skip_to_keyframe(TrackKind::Screen);
        assert!(!outbound.admits(&frame(TrackKind::Screen, false, 1)));
        assert!(outbound.admits(&frame(TrackKind::Video, false, 1)));
    }

    #[test]
    fn sequence_numbers_have_no_holes_and_only_the_last_packet_of_a_picture_is_marked() {
        let mut outbound = Outbound::new([7, u16::MAX, 0, 0]);
        let picture = frame(TrackKind::Video, true, 2);
        let sound = frame(TrackKind::Audio, true, 1);
        let packets = [
            outbound.number(&picture, 0).unwrap(),
            outbound.number(&sound, 0).unwrap(),
            outbound.number(&picture, 1).unwrap(),
        ];
        assert_eq!(
            packets.each_ref().map(|p| (p.sequence, p.marker)),
            [(u16::MAX, false), (7, false), (0, true)]
        );
        assert!(outbound.number(&picture, 2).is_none());
    }

    #[test]
    fn reports_tell_the_capture_time_of_the_last_frame() {
        let mut outbound = Outbound::new([0; 4]);
        let picture = frame(TrackKind::Video, true, 3);
        for n in 0..3 {
            outbound.number(&picture, n);
        }
        let now = picture.captured_at + Duration::from_millis(250);
        let reports: Vec<_> = outbound.reports(now, Duration::from_secs(1_000)).collect();
        assert_eq!(reports.len(), 1, "no sound was sent");
        assert_eq!(reports[0].ntp, NTP_EPOCH + Duration::from_millis(999_750));
        assert_eq!((reports[0].rtp, reports[0].packets, reports[0].octets), (3_000, 3, 15));
    }

    #[test]
    fn a_full_queue_skips_to_the_next_key_frame_and_counts() {
        let (queue, mut source) = FrameQueue::new();
        for _ in 0..QUEUE {
            queue.put(&frame(TrackKind::Video, false, 1));
        }
        assert_eq!(source.take_keyframes_needed().next(), None);
        queue.put(&frame(TrackKind::Video, false, 1));
        assert_eq!(source.take_keyframes_needed().collect::<Vec<_>>(), [TrackKind::Video]);
        assert!(source.frames.try_recv().is_ok());
        queue.put(&frame(TrackKind::Video, false, 1));
        assert_eq!(source.dropped(), 2, "there is room again, but nothing that could be decoded");
        queue.put(&frame(TrackKind::Video, true, 1));
        assert!(source.frames.try_recv().is_ok());
        queue.put(&frame(TrackKind::Video, false, 1));
        assert_eq!(source.dropped(), 2);
    }

    #[test]
    fn a_page_that_found_the_queue_full_of_sound_is_asked_for_when_the_sound_leaves() {
        let (queue, mut source) = FrameQueue::new();
        for _ in 0..QUEUE {
            queue.put(&frame(TrackKind::Audio, true, 1));
        }
        queue.put(&frame(TrackKind::Screen, false, 1));
        assert_eq!(source.frames.try_recv().unwrap().kind, TrackKind::Audio);
        assert_eq!(source.take_keyframes_needed().collect::<Vec<_>>(), [TrackKind::Screen]);
        assert_eq!(source.take_keyframes_needed().next(), None, "once");
    }
}
