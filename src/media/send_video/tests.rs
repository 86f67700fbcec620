//! Cameras and screens through the encoding thread.

use super::*;
use crate::media::codec::vpx::Decoder;
use crate::media::encoded::VideoCodec;
use crate::media::encoded::{EncodedFrame, TrackKind};
use crate::media::frame::{FramePool, Planes};
use crate::media::marker;
use crate::media::source::pattern::paint;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

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
        let send = VideoSend::spawn(slot.clone(), Arc::new(move |frame| sink.send(frame).unwrap())).unwrap();
        let target = EncoderTarget { max_fps: 30.0, max_resolution: SIZE, bitrate: Bitrate::from_kbps(500) };
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
    // Captured in ten seconds: still new, however long the computer takes.
    rig.put(300);
    while rig.send.stats().source_frames == 0 {
        std::thread::yield_now();
    }
    // The count above is made just before the picture is kept or sent.
    assert!(rig.encoded.recv_timeout(Duration::from_millis(50)).is_err());
    rig.send.resume();
    let frame = rig.next();
    assert!(frame.keyframe);
    assert_eq!(marker::read(&decoded(VideoCodec::Vp8, &frame)), Some(300));
}

#[test]
fn a_requested_keyframe_comes_once_for_many_requests() {
    let rig = Rig::new();
    rig.send.resume();
    assert!(rig.exchange(0).keyframe);
    assert!(!rig.exchange(1).keyframe);
    std::thread::sleep(KEYFRAME_SPACING);
    let before = clock::now();
    rig.send.request_keyframe();
    rig.send.request_keyframe();
    assert!(rig.exchange(2).keyframe);
    rig.send.request_keyframe();
    let third = rig.exchange(3);
    if clock::now() - before < KEYFRAME_SPACING {
        assert!(!third.keyframe, "too soon after the last one");
        std::thread::sleep(KEYFRAME_SPACING);
        assert!(rig.exchange(4).keyframe, "but not forgotten");
    }
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

/// A screen's encoder.
struct ScreenRig {
    slot: Arc<Latest<VideoFrame>>,
    send: VideoSend,
    encoded: Receiver<EncodedFrame>,
}

impl ScreenRig {
    fn new(codec: VideoCodec) -> Self {
        let slot = Arc::new(Latest::new());
        let (sink, encoded) = sync_channel(1_000);
        let out: FrameSink = Arc::new(move |frame| sink.send(frame).unwrap());
        let tuning = Tuning { codec, content: Content::Text };
        Self { send: VideoSend::spawn_screen(slot.clone(), out, tuning).unwrap(), slot, encoded }
    }

    /// With one picture on it, sending, with too little for all of it at once: every pixel black or white, in
    /// no order.
    fn full_of_noise(codec: VideoCodec) -> Self {
        let this = Self::new(codec);
        let bitrate = Bitrate::from_kbps(300);
        this.send.set_target(EncoderTarget { max_fps: 30.0, max_resolution: SIZE, bitrate });
        let mut noise = 1_u32;
        this.show(SIZE, |planes| {
            paint(planes, 1.0);
            planes.planes_mut().0.fill_with(|| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if noise >> 31 == 0 { 16 } else { 235 }
            });
        });
        this.send.resume();
        this
    }

    fn show(&self, size: Resolution, paint: impl FnOnce(&mut Planes)) {
        let mut planes = FramePool::new().take(size);
        paint(&mut planes);
        self.slot.put(VideoFrame::new(planes, clock::now()));
    }

    fn next(&self) -> EncodedFrame {
        self.encoded.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    /// One of the next frames.
    fn until(&self, wanted: impl Fn(&EncodedFrame) -> bool) -> EncodedFrame {
        std::iter::repeat_with(|| self.next()).take(200).find(wanted).unwrap()
    }
}

fn decoded(codec: VideoCodec, frame: &EncodedFrame) -> VideoFrame {
    let decoded = Decoder::new(codec).unwrap().decode(&frame.payload, &FramePool::new()).unwrap().unwrap();
    VideoFrame::new(decoded.planes, clock::now())
}

#[test]
fn a_still_screen_is_refined_then_silent_and_yet_answers_who_asks_for_a_key_frame() {
    for codec in [VideoCodec::Vp8, VideoCodec::Vp9] {
        let rig = ScreenRig::full_of_noise(codec);
        let first = rig.next();
        assert_eq!((first.kind, first.codec, first.keyframe), (TrackKind::Screen, codec.into(), true));
        let mut last = rig.next();
        for n in 0.. {
            assert!(!last.keyframe && last.time.ticks > first.time.ticks);
            assert!(n < 100, "{codec:?} is never silent");
            match rig.encoded.recv_timeout(Duration::from_secs(3)) {
                Ok(frame) => last = frame,
                Err(_) => break,
            }
        }
        let (first, last) = (first.payload.len(), last.payload.len());
        assert!(
            last * 20 < first,
            "{codec:?}: the last one adds nothing, so that it may be lost: {last} of {first}"
        );
        rig.send.request_keyframe();
        rig.until(|frame| frame.keyframe);
    }
}

#[test]
fn an_encoder_that_had_time_to_warm_up_sends_the_first_page_and_nothing_before() {
    for codec in [VideoCodec::Vp8, VideoCodec::Vp9] {
        let rig = ScreenRig::new(codec);
        rig.send.expect(SIZE);
        assert!(rig.encoded.recv_timeout(3 * PATIENCE).is_err(), "{codec:?}");
        rig.send.resume();
        rig.show(SIZE, |planes| marker::draw(planes, 7));
        let frame = rig.next();
        assert!(frame.keyframe, "{codec:?}");
        assert_eq!(marker::read(&decoded(codec, &frame)), Some(7), "{codec:?}");
    }
}

#[test]
fn a_screen_keeps_its_size_before_any_target_is_known() {
    let rig = ScreenRig::new(VideoCodec::Vp9);
    rig.send.resume();
    let size = Resolution::new(1920, 1080);
    rig.show(size, |_| {});
    assert_eq!(rig.next().resolution, Some(size));
}

#[test]
fn an_encoder_made_for_another_size_than_comes_gives_way() {
    for expected in [SIZE, Resolution::new(64, 48), Resolution::new(0, 0)] {
        let rig = ScreenRig::new(VideoCodec::Vp9);
        rig.send.expect(expected);
        rig.send.resume();
        rig.show(SIZE, |_| {});
        let frame = rig.next();
        assert_eq!((frame.resolution, frame.keyframe), (Some(SIZE), true), "expected {expected}");
    }
}

#[test]
fn another_codec_begins_with_a_key_frame_of_what_is_on_the_screen() {
    let rig = ScreenRig::full_of_noise(VideoCodec::Vp9);
    rig.next();
    rig.send.set_tuning(Tuning { codec: VideoCodec::Vp8, content: Content::Text });
    let frame = rig.until(|frame| frame.codec == VideoCodec::Vp8.into());
    assert!(frame.keyframe && decoded(VideoCodec::Vp8, &frame).resolution() == SIZE);
}
