//! What VP8 costs in CPU time for each picture, both ways: `cargo bench --bench encode`.

mod measure;

use std::hint::black_box;

use sightline::clock;
use sightline::media::codec::tuning::Tuning;
use sightline::media::codec::vpx::{Decoder, Encoder, Force, Rate};
use sightline::media::encoded::VideoCodec;
use sightline::media::frame::{FramePool, VideoFrame};
use sightline::media::marker;
use sightline::media::source::pattern::paint;
use sightline::units::{Bitrate, Resolution};

/// The test pattern with some noise on it, as a camera would have.
fn film(resolution: Resolution) -> Vec<VideoFrame> {
    let pool = FramePool::new();
    let mut state = 1u32;
    let picture = |number: u16| {
        let mut planes = pool.take(resolution);
        paint(&mut planes, f64::from(number) / 30.0);
        planes.planes_mut().0.iter_mut().for_each(|y| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *y = y.saturating_add((state >> 30) as u8);
        });
        marker::draw(&mut planes, number);
        VideoFrame::new(planes, clock::now())
    };
    (0..60).map(picture).collect()
}

fn main() {
    measure::heading(
        "VP8, realtime settings, one thread, the moving pattern with noise at 30 pictures a second",
    );
    let pool = FramePool::new();
    for (width, height, kbps) in [(640, 360, 500), (960, 540, 900), (1280, 720, 1_500), (1920, 1080, 2_500)] {
        let resolution = Resolution::new(width, height);
        let rate = Rate { bitrate: Bitrate::from_kbps(kbps), fps: 30.0 };
        let film = film(resolution);
        let mut encoder = Encoder::new(Tuning::CAMERA, resolution, rate, 1).expect("libvpx opens an encoder");
        let mut encoded = Vec::new();
        measure::measure(&format!("encode {resolution} at {kbps} kbit/s"), 120, |round| {
            let picture = encoder.encode(&film[round as usize % film.len()], Force::Nothing);
            encoded.extend(picture.expect("a whole picture is encoded"));
        });
        let bits: usize = encoded.iter().map(|picture| picture.payload.len() * 8).sum();
        let (keys, first) = (encoded.iter().filter(|p| p.keyframe).count(), encoded[0].payload.len());
        println!("    {} kbit/s, {keys} key frame of {first} bytes", bits * 30 / 125 / 1_000);
        let mut decoder = Decoder::new(VideoCodec::Vp8).expect("libvpx opens a decoder");
        let mut frames = encoded.iter().cycle();
        measure::measure(&format!("decode {resolution} into a pooled picture"), 115, |_| {
            let frame = frames.next().expect("the list repeats");
            black_box(decoder.decode(&frame.payload, &pool).expect("a whole frame is decoded"));
        });
    }
    let mut kept = None;
    measure::measure("open and warm an encoder for 1280x720", 20, |_| {
        let rate = Rate { bitrate: Bitrate::from_kbps(1_000), fps: 30.0 };
        let mut encoder =
            Encoder::new(Tuning::CAMERA, Resolution::HD, rate, 1).expect("libvpx opens an encoder");
        encoder.warm_up(&pool, clock::now()).expect("a grey picture is encoded");
        kept = Some(encoder);
    });
}
