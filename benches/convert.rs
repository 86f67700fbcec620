//! What pictures cost before the encoder: `cargo bench --bench convert`.

mod measure;

use std::hint::black_box;

use sightline::clock;
use sightline::media::convert::{PixelFormat, RawPicture, to_i420};
use sightline::media::frame::{FramePool, VideoFrame};
use sightline::media::marker;
use sightline::media::scale::scale;
use sightline::media::source::pattern::paint;
use sightline::units::Resolution;

fn main() {
    measure::heading("Pictures before the encoder");
    let pool = FramePool::new();
    for (name, format, resolution, bytes) in [
        ("YUYV", PixelFormat::Yuyv, Resolution::HD, 2.0),
        ("NV12", PixelFormat::Nv12, Resolution::HD, 1.5),
        ("RGB", PixelFormat::Rgb, Resolution::HD, 3.0),
        ("BGRA", PixelFormat::Bgra, Resolution::new(1920, 1080), 4.0),
    ] {
        let length = (resolution.pixels() as f64 * bytes) as usize;
        let data: Vec<u8> = (0..length).map(|index| (index * 7 / 3) as u8).collect();
        measure::measure(&format!("{name} {resolution} to I420"), 100, |_| {
            let raw = RawPicture { format, resolution, stride: None, data: &data };
            black_box(to_i420(&raw, &pool).expect("the picture is as long as it says"));
        });
    }
    let mut planes = pool.take(Resolution::HD);
    paint(&mut planes, 1.0);
    let frame = VideoFrame::new(planes, clock::now());
    for (width, height) in [(960, 540), (640, 360), (480, 270), (320, 180)] {
        let to = Resolution::new(width, height);
        measure::measure(&format!("scale 1280x720 to {to}"), 100, |_| {
            black_box(scale(&frame, to, &pool));
        });
    }
    measure::measure("paint the pattern and its marker, 1280x720", 100, |round| {
        let mut planes = pool.take(Resolution::HD);
        paint(&mut planes, f64::from(round) / 30.0);
        marker::draw(&mut planes, round as u16);
        black_box(planes);
    });
    measure::measure("read the marker, 1280x720", 100, |_| {
        black_box(marker::read(&frame));
    });
}
