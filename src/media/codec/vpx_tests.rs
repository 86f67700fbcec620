//! What [`super`] must do, and what it must survive.

use super::*;
use crate::media::source::pattern::paint;
use proptest::prelude::*;

const SIZE: Resolution = Resolution::new(320, 180);

fn picture(resolution: Resolution, number: u32) -> VideoFrame {
    let mut planes = FramePool::new().take(resolution);
    paint(&mut planes, f64::from(number) / 30.0);
    VideoFrame::new(planes, crate::clock::now())
}

/// A picture that changes everywhere from number to number, so that bits are needed.
fn noise(resolution: Resolution, number: u32) -> VideoFrame {
    let mut planes = FramePool::new().take(resolution);
    let mut state = number.wrapping_mul(2_654_435_761) | 1;
    planes.planes_mut().0.iter_mut().for_each(|y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *y = (state >> 25) as u8 + 64;
    });
    VideoFrame::new(planes, crate::clock::now())
}

fn encoder(kbps: u64) -> Encoder {
    Encoder::new(Tuning::CAMERA, SIZE, Rate { bitrate: Bitrate::from_kbps(kbps), fps: 30.0 }, 1).unwrap()
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let mse = a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64;
    10.0 * (255.0 * 255.0 / mse.max(1e-9)).log10()
}

#[test]
fn what_is_encoded_is_decoded_again_at_any_size() {
    for (width, height) in [(16, 16), (161, 91), (320, 180), (640, 360)] {
        let resolution = Resolution::new(width, height);
        let mut encoder =
            Encoder::new(Tuning::CAMERA, resolution, Rate { bitrate: Bitrate::from_kbps(800), fps: 30.0 }, 1)
                .unwrap();
        let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp8).unwrap(), FramePool::new());
        for number in 0..5 {
            let frame = picture(resolution, number);
            let encoded = encoder.encode(&frame, Force::Nothing).unwrap().unwrap();
            assert_eq!(encoded.keyframe, number == 0);
            let decoded = decoder.decode(&encoded.payload, &pool).unwrap().unwrap();
            assert_eq!((decoded.planes.resolution(), decoded.keyframe), (resolution, number == 0));
            assert_eq!(decoded.qp, encoded.qp, "both sides know the same quantizer");
            let quality = [psnr(frame.y(), decoded.planes.y()), psnr(frame.u(), decoded.planes.u())];
            assert!(quality.iter().all(|q| *q > 34.0), "{resolution}: {quality:?}");
        }
    }
}

#[test]
fn a_key_frame_comes_when_it_is_forced_and_not_otherwise() {
    let mut encoder = encoder(300);
    let keys: Vec<u32> = (0..150)
        .filter(|number| {
            let force = if *number == 60 { Force::Keyframe } else { Force::Nothing };
            let frame = picture(SIZE, if *number == 100 { 5_000 } else { *number });
            encoder.encode(&frame, force).unwrap().is_some_and(|picture| picture.keyframe)
        })
        .collect();
    assert_eq!(keys, [0, 60]);
}

#[test]
fn a_new_bitrate_is_kept_to_without_a_key_frame() {
    let mut encoder = encoder(1_000);
    let spend = |encoder: &mut Encoder, range: std::ops::Range<u32>| {
        let mut bytes = 0;
        for number in range.clone() {
            if let Some(picture) = encoder.encode(&noise(SIZE, number), Force::Nothing).unwrap() {
                assert!(!picture.keyframe || number == 0);
                bytes += picture.payload.len();
            }
        }
        bytes * 8 / range.len() * 30 / 1_000
    };
    spend(&mut encoder, 0..60);
    let high = spend(&mut encoder, 60..120);
    encoder.set_rate(Rate { bitrate: Bitrate::from_kbps(300), fps: 30.0 }).unwrap();
    spend(&mut encoder, 120..180);
    let low = spend(&mut encoder, 180..270);
    assert!((800..1_200).contains(&high), "{high} kbit/s instead of 1000");
    assert!((200..400).contains(&low), "{low} kbit/s instead of 300");
}

#[test]
fn a_new_size_begins_with_a_key_frame_smaller_or_larger() {
    let mut encoder = encoder(500);
    let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp8).unwrap(), FramePool::new());
    for (width, height) in [(320, 180), (160, 90), (640, 360), (321, 181)] {
        let resolution = Resolution::new(width, height);
        let encoded = encoder.encode(&picture(resolution, 0), Force::Nothing).unwrap().unwrap();
        assert!(encoded.keyframe);
        let decoded = decoder.decode(&encoded.payload, &pool).unwrap().unwrap();
        assert_eq!(decoded.planes.resolution(), resolution);
    }
}

#[test]
fn after_warming_up_the_next_picture_is_a_key_frame_when_forced() {
    let mut encoder = encoder(500);
    encoder.warm_up(&FramePool::new(), crate::clock::now()).unwrap();
    assert!(encoder.encode(&picture(SIZE, 0), Force::Keyframe).unwrap().unwrap().keyframe);
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let rate = Rate { bitrate: Bitrate::from_kbps(500), fps: 30.0 };
    for (width, height) in [(0, 180), (16_384, 16_384)] {
        let refused = Encoder::new(Tuning::CAMERA, Resolution::new(width, height), rate, 1).err();
        assert!(matches!(refused, Some(VpxError::TooLarge(_))));
    }
}

#[test]
fn a_decoder_out_of_step_wants_a_key_frame_and_goes_on_with_it() {
    let mut encoder = encoder(500);
    let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp8).unwrap(), FramePool::new());
    let mut encode = |number, force| encoder.encode(&picture(SIZE, number), force).unwrap().unwrap().payload;
    let (key, inter, again) =
        (encode(0, Force::Nothing), encode(1, Force::Nothing), encode(2, Force::Keyframe));
    assert_eq!(decoder.decode(&inter, &pool).unwrap_err(), VpxError::NeedsKeyframe);
    assert!(decoder.decode(&key, &pool).is_ok());
    assert!(decoder.decode(&key[..20], &pool).is_err());
    assert_eq!(decoder.decode(&inter, &pool).unwrap_err(), VpxError::NeedsKeyframe);
    assert!(decoder.decode(&again, &pool).unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_decoder_survives_any_damage(
        damage in proptest::collection::vec(
            (0usize..8, any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let mut encoder = encoder(500);
        let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp8).unwrap(), FramePool::new());
        let mut frames: Vec<Vec<u8>> = (0..8)
            .map(|n| encoder.encode(&picture(SIZE, n), Force::Nothing).unwrap().unwrap().payload.to_vec())
            .collect();
        for (frame, at, value, cut) in damage {
            let frame = &mut frames[frame];
            if let Some(length) = (!frame.is_empty()).then_some(frame.len()) {
                frame[at.index(length)] = value;
                if value & 1 == 0 {
                    frame.truncate(cut.index(length));
                }
            }
        }
        for frame in &frames {
            decoder.decode(frame, &pool).ok();
        }
        let whole = encoder.encode(&picture(SIZE, 9), Force::Keyframe).unwrap().unwrap();
        prop_assert!(decoder.decode(&whole.payload, &pool).unwrap().is_some());
    }

    #[test]
    fn a_decoder_survives_noise(frames in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..200), 1..6,
    ), width in 1u16..100, height in 1u16..100) {
        let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp8).unwrap(), FramePool::new());
        for mut frame in frames {
            decoder.decode(&frame, &pool).ok();
            if frame.len() > 10 {
                frame[0] &= 0xfe;
                frame[3..6].copy_from_slice(&[0x9d, 1, 0x2a]);
                frame[6..8].copy_from_slice(&width.to_le_bytes());
                frame[8..10].copy_from_slice(&height.to_le_bytes());
                decoder.decode(&frame, &pool).ok();
            }
        }
    }
}

#[test]
fn vp9_is_decoded_to_what_was_encoded_at_any_size() {
    let tuning = Tuning { codec: VideoCodec::Vp9, content: Content::Text };
    for (width, height) in [(16, 16), (161, 91), (320, 180), (641, 361)] {
        let resolution = Resolution::new(width, height);
        let rate = Rate { bitrate: Bitrate::from_kbps(1_500), fps: 15.0 };
        let mut encoder = Encoder::new(tuning, resolution, rate, 1).unwrap();
        let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp9).unwrap(), FramePool::new());
        for number in 0..5 {
            let frame = picture(resolution, number);
            let encoded = encoder.encode(&frame, Force::Nothing).unwrap().unwrap();
            assert_eq!(encoded.keyframe, number == 0);
            let head = FrameHead::parse(VideoCodec::Vp9, &encoded.payload).unwrap();
            assert_eq!(head, if number == 0 { FrameHead::Key(resolution) } else { FrameHead::Inter });
            let decoded = decoder.decode(&encoded.payload, &pool).unwrap().unwrap();
            assert_eq!((decoded.planes.resolution(), decoded.keyframe), (resolution, number == 0));
            assert_eq!(decoded.qp, encoded.qp, "both sides know the same quantizer");
            let quality = [psnr(frame.y(), decoded.planes.y()), psnr(frame.u(), decoded.planes.u())];
            assert!(quality.iter().all(|q| *q > 34.0), "{resolution}: {quality:?}");
        }
    }
}

/// Lines of something like letters: hard edges, two colours.
fn page(resolution: Resolution, number: u32) -> VideoFrame {
    let mut planes = FramePool::new().take(resolution);
    let width = resolution.width as usize;
    let (y, u, v) = planes.planes_mut();
    for (index, y) in y.iter_mut().enumerate() {
        let (column, row) = ((index % width) as u32, (index / width) as u32);
        let letter = (column / 7).wrapping_mul(2_654_435_761) ^ (row / 14).wrapping_mul(40_503) ^ number;
        let stroke = letter >> (column % 7 + row % 14 / 3) & 1 == 1;
        *y = if stroke && row % 14 < 9 && column % 7 < 5 { 30 } else { 225 };
    }
    u.fill(128);
    v.fill(128);
    VideoFrame::new(planes, crate::clock::now())
}

#[test]
fn a_page_that_stands_still_becomes_sharp_in_either_codec() {
    let resolution = Resolution::new(640, 360);
    for codec in [VideoCodec::Vp8, VideoCodec::Vp9] {
        let tuning = Tuning { codec, content: Content::Text };
        let rate = Rate { bitrate: Bitrate::from_kbps(800), fps: 15.0 };
        let mut encoder = Encoder::new(tuning, resolution, rate, 1).unwrap();
        let (mut decoder, pool) = (Decoder::new(codec).unwrap(), FramePool::new());
        let frame = page(resolution, 1);
        let mut quality = 0.0;
        for _ in 0..30 {
            let Some(encoded) = encoder.encode(&frame, Force::Nothing).unwrap() else { continue };
            let decoded = decoder.decode(&encoded.payload, &pool).unwrap().unwrap();
            quality = psnr(frame.y(), decoded.planes.y());
        }
        assert!(quality > 40.0, "{codec:?}: {quality} dB");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_vp9_decoder_survives_any_damage(
        damage in proptest::collection::vec(
            (0usize..6, any::<prop::sample::Index>(), any::<u8>(), any::<prop::sample::Index>()), 1..8),
    ) {
        let tuning = Tuning { codec: VideoCodec::Vp9, content: Content::Text };
        let rate = Rate { bitrate: Bitrate::from_kbps(500), fps: 15.0 };
        let mut encoder = Encoder::new(tuning, SIZE, rate, 1).unwrap();
        let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp9).unwrap(), FramePool::new());
        let mut frames: Vec<Vec<u8>> = (0..6)
            .filter_map(|n| encoder.encode(&page(SIZE, n), Force::Nothing).unwrap())
            .map(|encoded| encoded.payload.to_vec())
            .collect();
        for (frame, at, value, cut) in damage {
            let Some(frame) = frames.get_mut(frame).filter(|frame| !frame.is_empty()) else { continue };
            let length = frame.len();
            frame[at.index(length)] = value;
            if value & 1 == 0 {
                frame.truncate(cut.index(length));
            }
        }
        for frame in &frames {
            decoder.decode(frame, &pool).ok();
        }
        let whole = encoder.encode(&page(SIZE, 9), Force::Keyframe).unwrap();
        if let Some(whole) = whole {
            prop_assert!(decoder.decode(&whole.payload, &pool).unwrap().is_some());
        }
    }

    #[test]
    fn a_vp9_decoder_survives_noise(frames in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..200), 1..6,
    )) {
        let (mut decoder, pool) = (Decoder::new(VideoCodec::Vp9).unwrap(), FramePool::new());
        for mut frame in frames {
            decoder.decode(&frame, &pool).ok();
            if frame.len() > 12 {
                // A key frame of 64x64.
                frame[..10].copy_from_slice(&[0x82, 0x49, 0x83, 0x42, 0x00, 0x03, 0xf0, 0x03, 0xf0, 0x00]);
                decoder.decode(&frame, &pool).ok();
            }
        }
    }
}
