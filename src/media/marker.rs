//! A frame number drawn into the picture, so that delay and loss can be measured at the far end.
//!
//! One row of 40 cells over the whole width at the top, as high as 1/15 of the frame:
//!
//! ```text
//!  0..4   1 0 1 0
//!  4..20  Gray code of the number, most significant bit first
//!  20..36 its complement
//!  36..40 0 1 0 1
//! ```
//!
//! A 1 is luma 215, a 0 is luma 35, chroma is 128. Pure: pictures in, numbers out.

use super::frame::{Planes, VideoFrame};
use crate::units::Resolution;

const CELLS: usize = 40;
const LIGHT: u8 = 215;
const DARK: u8 = 35;
/// Least difference between the mean of the light and of the dark known cells.
const MIN_CONTRAST: i32 = 60;
/// The known cells, at the left and at the right end.
const LEFT: [bool; 4] = [true, false, true, false];
const RIGHT: [bool; 4] = [false, true, false, true];

/// Where the marker's lower edge lies: a luma row.
pub fn height(resolution: Resolution) -> usize {
    (resolution.height as usize / 15).max(1)
}

/// The columns of cell `index`.
fn columns(resolution: Resolution, index: usize) -> std::ops::Range<usize> {
    let width = resolution.width as usize;
    index * width / CELLS..(index + 1) * width / CELLS
}

fn cells(number: u16) -> [bool; CELLS] {
    let gray = number ^ (number >> 1);
    let mut cells = [false; CELLS];
    cells[..4].copy_from_slice(&LEFT);
    cells[36..].copy_from_slice(&RIGHT);
    for bit in 0..16 {
        let one = gray >> (15 - bit) & 1 == 1;
        cells[4 + bit] = one;
        cells[20 + bit] = !one;
    }
    cells
}

/// Draws `number` over the top of a picture.
pub fn draw(planes: &mut Planes, number: u16) {
    let resolution = planes.resolution();
    let (width, half) = (resolution.width as usize, resolution.width.div_ceil(2) as usize);
    let rows = height(resolution);
    let (y, u, v) = planes.planes_mut();
    let (first, rest) = y.split_at_mut(width.min(y.len()));
    for (index, one) in cells(number).into_iter().enumerate() {
        first[columns(resolution, index)].fill(if one { LIGHT } else { DARK });
    }
    for row in rest.chunks_exact_mut(width).take(rows - 1) {
        row.copy_from_slice(first);
    }
    let chroma = rows.div_ceil(2) * half;
    u[..chroma].fill(128);
    v[..chroma].fill(128);
}

/// Reads the number from a picture; `None` if there is none or it cannot be read with certainty.
pub fn read(frame: &VideoFrame) -> Option<u16> {
    let resolution = frame.resolution();
    if (resolution.width as usize) < CELLS || resolution.height < 15 {
        return None;
    }
    let means: [i32; CELLS] = std::array::from_fn(|index| mean(frame, index));
    let known = || LEFT.iter().zip(&means[..4]).chain(RIGHT.iter().zip(&means[36..]));
    let mean_of =
        |wanted: bool| known().filter(|(one, _)| **one == wanted).map(|(_, mean)| mean).sum::<i32>() / 4;
    let (light, dark) = (mean_of(true), mean_of(false));
    if light - dark < MIN_CONTRAST {
        return None;
    }
    let threshold = (light + dark) / 2;
    if known().any(|(one, mean)| *one != (*mean > threshold)) {
        return None;
    }
    let bits = |cells: &[i32]| cells.iter().fold(0u16, |bits, mean| bits << 1 | u16::from(*mean > threshold));
    let (gray, complement) = (bits(&means[4..20]), bits(&means[20..36]));
    (gray == !complement).then(|| from_gray(gray))
}

fn from_gray(mut gray: u16) -> u16 {
    for shift in [8, 4, 2, 1] {
        gray ^= gray >> shift;
    }
    gray
}

/// Mean luma of the middle half, both ways, of a cell.
fn mean(frame: &VideoFrame, index: usize) -> i32 {
    let resolution = frame.resolution();
    let (cell, rows) = (columns(resolution, index), height(resolution));
    let (left, width) = (cell.start + cell.len() / 4, (cell.len() / 2).max(1));
    let (top, count) = (rows / 4, (rows / 2).max(1));
    let lines = frame.y().chunks_exact(frame.y_stride()).skip(top).take(count);
    let sum: i32 = lines.flat_map(|line| &line[left..left + width]).map(|luma| i32::from(*luma)).sum();
    sum / (width * count) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::tuning::Tuning;
    use crate::media::codec::vpx::{Decoder, Encoder, Force, Rate};
    use crate::media::encoded::VideoCodec;
    use crate::media::frame::FramePool;
    use crate::media::source::pattern::paint;
    use crate::units::Bitrate;

    const SIZES: [(u32, u32); 9] = [
        (1920, 1080),
        (1280, 720),
        (960, 540),
        (854, 480),
        (640, 480),
        (640, 360),
        (479, 271),
        (320, 180),
        (160, 90),
    ];

    fn picture(resolution: Resolution, number: u16) -> VideoFrame {
        let mut planes = FramePool::new().take(resolution);
        paint(&mut planes, f64::from(number) / 30.0);
        draw(&mut planes, number);
        VideoFrame::new(planes, crate::clock::now())
    }

    #[test]
    fn every_number_is_read_as_it_was_drawn() {
        for (width, height) in SIZES {
            for number in [0, 1, 2, 255, 256, 0x5555, 0xaaaa, 32_767, 32_768, 65_535] {
                let frame = picture(Resolution::new(width, height), number);
                assert_eq!(read(&frame), Some(number), "{width}x{height}");
            }
        }
    }

    #[test]
    fn numbers_survive_vp8_at_a_low_bitrate() {
        for (width, height) in SIZES {
            let resolution = Resolution::new(width, height);
            let bitrate = Bitrate::from_bps((resolution.pixels() / 4).max(40_000));
            let mut encoder =
                Encoder::new(Tuning::CAMERA, resolution, Rate { bitrate, fps: 30.0 }, 1).unwrap();
            let mut decoder = Decoder::new(VideoCodec::Vp8).unwrap();
            let pool = FramePool::new();
            let mut seen = 0;
            for number in (1000..).step_by(77).take(12) {
                let Some(encoded) = encoder.encode(&picture(resolution, number), Force::Nothing).unwrap()
                else {
                    continue;
                };
                let decoded = decoder.decode(&encoded.payload, &pool).unwrap().unwrap();
                let frame = VideoFrame::new(decoded.planes, crate::clock::now());
                assert_eq!(read(&frame), Some(number), "{resolution}");
                seen += 1;
            }
            assert!(seen >= 4, "{resolution}: {seen} pictures came out");
        }
    }

    #[test]
    fn a_picture_without_a_marker_has_no_number() {
        let mut planes = FramePool::new().take(Resolution::HD);
        paint(&mut planes, 1.0);
        assert_eq!(read(&VideoFrame::new(planes, crate::clock::now())), None);
    }

    #[test]
    fn a_damaged_marker_is_refused() {
        let resolution = Resolution::HD;
        let mut planes = FramePool::new().take(resolution);
        draw(&mut planes, 4711);
        for row in planes.planes_mut().0.chunks_exact_mut(1280).take(height(resolution)) {
            row[columns(resolution, 10)].iter_mut().for_each(|luma| *luma = 250 - *luma);
        }
        assert_eq!(read(&VideoFrame::new(planes, crate::clock::now())), None);
    }
}
