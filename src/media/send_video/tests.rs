//! Cameras and screens through the encoding thread.

use super::*;
use crate::media::codec::vpx::Decoder;
use crate::media::encoded::VideoCodec;
use crate::media::encoded::{EncodedFrame, TrackKind};
use crate::media::frame::FramePool;
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
    rig.put(30);
    while rig.send.stats().source_frames == 0 {
        std::thread::yield_now();
    }
    // The count above is made just before the picture is kept or sent.
    assert!(rig.encoded.recv_timeout(Duration::from_millis(50)).is_err());
    rig.send.resume();
    let frame = rig.next();
    assert!(frame.keyframe);
    let decoded = Decoder::new(VideoCodec::Vp8).unwrap().decode(&frame.payload, &rig.pool).unwrap().unwrap();
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
    // Too little for all of this at once: every pixel black or white, in no order.
    let bitrate = Bitrate::from_kbps(300);
    send.set_target(EncoderTarget { max_fps: 30.0, max_resolution: SIZE, bitrate });
    let mut planes = FramePool::new().take(SIZE);
    paint(&mut planes, 1.0);
    let mut noise = 1_u32;
    planes.planes_mut().0.fill_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if noise >> 31 == 0 { 16 } else { 235 }
    });
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
        while let Ok(frame) = encoded.recv_timeout(Duration::from_secs(3)) {
            assert!(!frame.keyframe && frame.time.ticks > first.time.ticks);
            refined += 1;
            assert!(refined < 100, "{codec:?} is never silent");
        }
        assert!(refined >= 1, "{codec:?}: {refined}");
        send.request_keyframe();
        assert!(encoded.recv_timeout(Duration::from_secs(10)).unwrap().keyframe);
    }
}

#[test]
fn an_encoder_that_had_time_to_warm_up_sends_the_first_page_and_nothing_before() {
    for codec in [VideoCodec::Vp8, VideoCodec::Vp9] {
        let slot = Arc::new(Latest::new());
        let (sink, encoded) = sync_channel(1_000);
        let out: FrameSink = Arc::new(move |frame| sink.send(frame).unwrap());
        let send =
            VideoSend::spawn_screen(slot.clone(), out, Tuning { codec, content: Content::Text }).unwrap();
        send.expect(SIZE);
        assert!(encoded.recv_timeout(3 * PATIENCE).is_err(), "{codec:?}");
        send.resume();
        let mut planes = FramePool::new().take(SIZE);
        marker::draw(&mut planes, 7);
        slot.put(VideoFrame::new(planes, clock::now()));
        let frame = encoded.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(frame.keyframe, "{codec:?}");
        let decoded =
            Decoder::new(codec).unwrap().decode(&frame.payload, &FramePool::new()).unwrap().unwrap();
        assert_eq!(marker::read(&VideoFrame::new(decoded.planes, clock::now())), Some(7), "{codec:?}");
    }
}

#[test]
fn a_screen_keeps_its_size_before_any_target_is_known() {
    let slot = Arc::new(Latest::new());
    let (sink, encoded) = sync_channel(1_000);
    let out: FrameSink = Arc::new(move |frame| sink.send(frame).unwrap());
    let tuning = Tuning { codec: VideoCodec::Vp9, content: Content::Text };
    let send = VideoSend::spawn_screen(slot.clone(), out, tuning).unwrap();
    send.resume();
    let size = Resolution::new(1920, 1080);
    slot.put(VideoFrame::new(FramePool::new().take(size), clock::now()));
    let frame = encoded.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(frame.resolution, Some(size));
}

#[test]
fn an_encoder_made_for_another_size_than_comes_gives_way() {
    for expected in [SIZE, Resolution::new(64, 48), Resolution::new(0, 0)] {
        let slot = Arc::new(Latest::new());
        let (sink, encoded) = sync_channel(1_000);
        let out: FrameSink = Arc::new(move |frame| sink.send(frame).unwrap());
        let tuning = Tuning { codec: VideoCodec::Vp9, content: Content::Text };
        let send = VideoSend::spawn_screen(slot.clone(), out, tuning).unwrap();
        send.expect(expected);
        send.resume();
        slot.put(VideoFrame::new(FramePool::new().take(SIZE), clock::now()));
        let frame = encoded.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!((frame.resolution, frame.keyframe), (Some(SIZE), true), "expected {expected}");
    }
}

#[test]
fn another_codec_begins_with_a_key_frame_of_what_is_on_the_screen() {
    let (send, _slot, encoded) = screen(VideoCodec::Vp9);
    encoded.recv_timeout(Duration::from_secs(10)).unwrap();
    send.set_tuning(Tuning { codec: VideoCodec::Vp8, content: Content::Text });
    let frames = std::iter::repeat_with(|| encoded.recv_timeout(Duration::from_secs(10)).unwrap());
    let frame = frames.take(200).find(|frame| frame.codec == VideoCodec::Vp8.into()).unwrap();
    let decoded =
        Decoder::new(VideoCodec::Vp8).unwrap().decode(&frame.payload, &FramePool::new()).unwrap().unwrap();
    assert!(frame.keyframe && decoded.planes.resolution() == SIZE);
}
