//! Known pictures and sound, and how far what arrived is from them.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use sightline::media::frame::{FramePool, Planes, VideoFrame};
use sightline::media::marker;
use sightline::media::source::pattern;
use sightline::units::Resolution;

pub const SIZE: Resolution = Resolution::new(640, 360);
pub const FPS: u32 = 30;
pub const FRAMES: u16 = 90;

/// Picture number `number` of the test clip.
pub fn picture(number: u16) -> Planes {
    let mut planes = FramePool::new().take(SIZE);
    pattern::paint(&mut planes, f64::from(number) / f64::from(FPS));
    marker::draw(&mut planes, number);
    planes
}

/// Three seconds of pictures 0 to 89 as a Y4M file.
pub fn write_y4m(path: &Path) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "YUV4MPEG2 W{} H{} F{FPS}:1 Ip A1:1 C420jpeg", SIZE.width, SIZE.height).unwrap();
    for number in 0..FRAMES {
        writeln!(file, "FRAME").unwrap();
        file.write_all(picture(number).bytes()).unwrap();
    }
}

/// PSNR of the luma of two pictures of the clip's size, in dB.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let luma = SIZE.pixels() as usize;
    let square = |(a, b): (&u8, &u8)| (f64::from(*a) - f64::from(*b)).powi(2);
    let mean = a[..luma].iter().zip(&b[..luma]).map(square).sum::<f64>() / luma as f64;
    10.0 * (255.0_f64.powi(2) / mean.max(1e-9)).log10()
}

/// The marker inside tight planes of the clip's size.
pub fn read_marker(planes: &[u8]) -> Option<u16> {
    let mut copy = FramePool::new().take(SIZE);
    let (y, u, v) = copy.planes_mut();
    let (luma, chroma) = (y.len(), u.len());
    y.copy_from_slice(&planes[..luma]);
    u.copy_from_slice(&planes[luma..luma + chroma]);
    v.copy_from_slice(&planes[luma + chroma..]);
    marker::read(&VideoFrame::new(copy, sightline::clock::now()))
}

/// Writes mono samples, 48 000 a second.
#[allow(dead_code, reason = "not every test makes sound of its own")]
pub fn write_wav(path: &Path, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
}

/// Mono samples of a WAV file, -1.0 to 1.0.
pub fn read_wav(path: &Path) -> (Vec<f32>, u32) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    let samples = reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32768.0);
    (samples.step_by(usize::from(spec.channels)).collect(), spec.sample_rate)
}

/// The share of the power of `samples` that lies at `hz` (Goertzel), 0.0 to 1.0.
pub fn power_at(samples: &[f32], rate: u32, hz: f64) -> f64 {
    let turn = std::f64::consts::TAU * hz / f64::from(rate);
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sin, cos) = (turn * n as f64).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
        power += f64::from(*sample).powi(2);
    }
    let length = samples.len() as f64;
    if power == 0.0 { 0.0 } else { 2.0 * (re * re + im * im) / length / power }
}

/// Where beeps of 1 kHz begin, in samples: a step of 5 ms in which the beep is there after one in
/// which it was not.
pub fn beeps(samples: &[f32], rate: u32) -> Vec<usize> {
    let step = rate as usize / 200;
    let there: Vec<bool> =
        samples.chunks_exact(step).map(|part| power_at(part, rate, 1_000.0) > 0.5).collect();
    (1..there.len()).filter(|&n| there[n] && !there[n - 1]).map(|n| n * step).collect()
}
