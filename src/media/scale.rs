//! Makes pictures smaller (or larger) by averaging the area that each new pixel covers.
//!
//! Halves and three quarters, the usual steps, are done by hand; anything else by two passes of exact
//! area weights.

use super::frame::{FramePool, Planes, VideoFrame};
use crate::units::Resolution;

/// The picture at another size, in a buffer of `pool`. The proportions are the caller's business.
pub fn scale(frame: &VideoFrame, to: Resolution, pool: &FramePool) -> Planes {
    let from = frame.resolution();
    let mut planes = pool.take(to);
    let half = |size: u32| size.div_ceil(2) as usize;
    let luma = ((from.width as usize, from.height as usize), (to.width as usize, to.height as usize));
    let chroma = ((half(from.width), half(from.height)), (half(to.width), half(to.height)));
    let (y, u, v) = planes.planes_mut();
    plane(frame.y(), luma.0, y, luma.1);
    plane(frame.u(), chroma.0, u, chroma.1);
    plane(frame.v(), chroma.0, v, chroma.1);
    planes
}

/// Scales one plane without gaps between its rows; sizes are (width, height).
fn plane(source: &[u8], from: (usize, usize), target: &mut [u8], to: (usize, usize)) {
    if target.is_empty() || source.is_empty() {
        return;
    }
    if from == to {
        target.copy_from_slice(source);
    } else if from == (to.0 * 2, to.1 * 2) {
        halve(source, from.0, target, to.0);
    } else if (from.0 * 3, from.1 * 3) == (to.0 * 4, to.1 * 4) {
        three_quarters(source, from.0, target, to.0);
    } else if from.0 >= to.0 * 2 && from.1 >= to.1 * 2 && from.0.is_multiple_of(2) && from.1.is_multiple_of(2)
    {
        // Halving first is cheaper than averaging large areas, and gives almost the same.
        let middle = (from.0 / 2, from.1 / 2);
        let mut half = vec![0; middle.0 * middle.1];
        halve(source, from.0, &mut half, middle.0);
        plane(&half, middle, target, to);
    } else {
        area(source, from, target, to);
    }
}

/// Mean of two by two pixels, rounded.
fn halve(source: &[u8], from_width: usize, target: &mut [u8], to_width: usize) {
    for (rows, target) in source.chunks_exact(from_width * 2).zip(target.chunks_exact_mut(to_width)) {
        let (above, below) = rows.split_at(from_width);
        for ((target, above), below) in
            target.iter_mut().zip(above.chunks_exact(2)).zip(below.chunks_exact(2))
        {
            let sum = u16::from(above[0]) + u16::from(above[1]) + u16::from(below[0]) + u16::from(below[1]);
            *target = ((sum + 2) >> 2) as u8;
        }
    }
}

/// Four by four pixels to three by three; each new one covers 4/3 old ones both ways.
fn three_quarters(source: &[u8], from_width: usize, target: &mut [u8], to_width: usize) {
    let mut line = vec![0u16; from_width];
    for (rows, target) in source.chunks_exact(from_width * 4).zip(target.chunks_exact_mut(to_width * 3)) {
        for ((index, target), weights) in
            target.chunks_exact_mut(to_width).enumerate().zip([(3, 1), (2, 2), (1, 3)])
        {
            let (above, below) = rows[index * from_width..(index + 2) * from_width].split_at(from_width);
            for ((sum, above), below) in line.iter_mut().zip(above).zip(below) {
                *sum = u16::from(*above)
                    .wrapping_mul(weights.0)
                    .wrapping_add(u16::from(*below).wrapping_mul(weights.1));
            }
            for (new, old) in target.chunks_exact_mut(3).zip(line.chunks_exact(4)) {
                new[0] = ((3 * old[0] + old[1] + 8) >> 4) as u8;
                new[1] = ((2 * old[1] + 2 * old[2] + 8) >> 4) as u8;
                new[2] = ((old[2] + 3 * old[3] + 8) >> 4) as u8;
            }
        }
    }
}

/// Weights of one new pixel sum up to this.
const UNIT: u32 = 1 << 8;

/// Which old pixels make a new one, and how much of each.
struct Share {
    first: usize,
    weights: Vec<u16>,
}

/// The shares of all new pixels along one axis.
fn shares(from: usize, to: usize) -> Vec<Share> {
    let share = |index: usize| {
        // In units of 1/to old pixels the new pixel covers index*from..(index+1)*from.
        let (start, end) = (index * from, (index + 1) * from);
        let (first, last) = (start / to, (end - 1) / to);
        // Edges are rounded, not weights, so that the weights always sum up to the unit.
        let edge = |at: usize| ((at - start) as u64 * u64::from(UNIT) + from as u64 / 2) / from as u64;
        let weight = |old: usize| edge(((old + 1) * to).min(end)) - edge((old * to).max(start));
        Share { first, weights: (first..=last).map(|old| weight(old) as u16).collect() }
    };
    (0..to).map(share).collect()
}

/// Any size to any size: rows first, then columns.
fn area(source: &[u8], from: (usize, usize), target: &mut [u8], to: (usize, usize)) {
    let (columns, rows) = (shares(from.0, to.0), shares(from.1, to.1));
    let mut line = vec![0u16; from.0];
    for (row, target) in rows.iter().zip(target.chunks_exact_mut(to.0)) {
        line.fill(0);
        for (weight, old) in row.weights.iter().zip(source[row.first * from.0..].chunks_exact(from.0)) {
            for (sum, old) in line.iter_mut().zip(old) {
                *sum += u16::from(*old) * weight;
            }
        }
        for (target, column) in target.iter_mut().zip(&columns) {
            let old = &line[column.first..column.first + column.weights.len()];
            let sum: u32 =
                old.iter().zip(&column.weights).map(|(old, w)| u32::from(*old) * u32::from(*w)).sum();
            *target = ((sum + UNIT * UNIT / 2) >> 16) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::source::pattern::paint;
    use proptest::prelude::*;

    fn filled(resolution: Resolution, fill: impl Fn(usize, usize) -> u8) -> VideoFrame {
        let mut planes = FramePool::new().take(resolution);
        let (y, u, v) = planes.planes_mut();
        for (index, y) in y.iter_mut().enumerate() {
            *y = fill(index % resolution.width as usize, index / resolution.width as usize);
        }
        u.fill(90);
        v.fill(200);
        VideoFrame::new(planes, crate::clock::now())
    }

    #[test]
    fn halving_is_the_mean_of_four() {
        let frame = filled(Resolution::new(4, 4), |x, y| (x * 10 + y * 20) as u8);
        let planes = scale(&frame, Resolution::new(2, 2), &FramePool::new());
        assert_eq!(planes.y(), [15, 35, 55, 75]);
        assert_eq!((planes.u(), planes.v()), ([90].as_slice(), [200].as_slice()));
    }

    #[test]
    fn the_fast_ways_give_what_exact_areas_give() {
        let resolution = Resolution::new(1280, 720);
        let mut planes = FramePool::new().take(resolution);
        paint(&mut planes, 1.0);
        let frame = VideoFrame::new(planes, crate::clock::now());
        for (width, height) in [(960, 540), (640, 360), (480, 270), (320, 180)] {
            let small = scale(&frame, Resolution::new(width, height), &FramePool::new());
            let size = (width as usize, height as usize);
            let mut exact = vec![0; size.0 * size.1];
            area(frame.y(), (1280, 720), &mut exact, size);
            let off = small.y().iter().zip(&exact).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(off <= Some(2), "{width}x{height}: {off:?}");
        }
    }

    #[test]
    fn a_vertical_edge_stays_where_it_is() {
        let frame = filled(Resolution::new(1280, 720), |x, _| if x < 640 { 20 } else { 220 });
        let planes = scale(&frame, Resolution::new(960, 540), &FramePool::new());
        let row = &planes.y()[540 / 2 * 960..][..960];
        assert!(row[..480].iter().all(|y| *y == 20) && row[480..].iter().all(|y| *y == 220));
    }

    proptest! {
        #[test]
        fn an_even_picture_stays_even_at_any_size(
            from in (1u32..80, 1u32..80), to in (1u32..80, 1u32..80), value in any::<u8>(),
        ) {
            let frame = filled(Resolution::new(from.0, from.1), |_, _| value);
            let planes = scale(&frame, Resolution::new(to.0, to.1), &FramePool::new());
            prop_assert!(planes.y().iter().all(|y| *y == value));
            prop_assert!(planes.u().iter().all(|u| *u == 90));
            prop_assert!(planes.v().iter().all(|v| *v == 200));
        }
    }
}
