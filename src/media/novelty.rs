//! How much there is to encode in what has changed of a screen.
//!
//! Counted in edges: neighbouring pixels that differ visibly. What a page of letters takes, encoded, goes
//! with them within a few percent, whatever the font and the colours (measured on pages of three kinds).

use super::frame::VideoFrame;

/// Luma must differ by more than this to count: beyond the noise of a picture within the screen.
const VISIBLE: u8 = 8;

/// Pixels that are compared at once.
const RUN: usize = 64;

/// Edges in what differs from `before`; in the whole picture, if there is none of the same size.
pub fn edges(before: Option<&VideoFrame>, now: &VideoFrame) -> u64 {
    let stride = now.y_stride();
    let before = before.filter(|before| before.resolution() == now.resolution()).map(VideoFrame::y);
    let rows = now.y().chunks_exact(stride).zip(now.y().chunks_exact(stride).skip(1));
    rows.enumerate()
        .map(|(y, (row, below))| row_edges(before.map(|y_of| &y_of[y * stride..][..stride]), row, below))
        .sum()
}

fn row_edges(before: Option<&[u8]>, row: &[u8], below: &[u8]) -> u64 {
    if before.is_some_and(|before| before == row) {
        return 0;
    }
    let mut edges = 0;
    for start in (0..row.len()).step_by(RUN) {
        let end = (start + RUN).min(row.len());
        let part = &row[start..end];
        if before.is_some_and(|before| &before[start..end] == part) {
            continue;
        }
        let beside = part.iter().zip(&part[1..]);
        let differ = |(a, b): (&u8, &u8)| u8::from(a.abs_diff(*b) > VISIBLE);
        // At most 64 each, so that a byte holds the count.
        edges += u64::from(beside.map(differ).sum::<u8>());
        edges += u64::from(part.iter().zip(&below[start..end]).map(differ).sum::<u8>());
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::media::frame::FramePool;
    use crate::units::Resolution;

    /// Stripes two pixels wide in the columns of `range`, on white.
    fn striped(range: std::ops::Range<usize>) -> VideoFrame {
        let mut planes = FramePool::new().take(Resolution::new(200, 100));
        for row in planes.planes_mut().0.chunks_exact_mut(200) {
            row.fill(235);
            for x in range.clone().filter(|x| x % 4 < 2) {
                row[x] = 16;
            }
        }
        VideoFrame::new(planes, clock::now())
    }

    #[test]
    fn only_what_changed_counts() {
        let (none, left, all) = (striped(0..0), striped(0..64), striped(0..200));
        assert_eq!(edges(Some(&left), &striped(0..64)), 0);
        assert_eq!(edges(None, &none), 0);
        let (part, whole) = (edges(Some(&none), &left), edges(None, &all));
        assert!(part > 0 && whole > 2 * part, "{part} of {whole}");
        assert_eq!(edges(Some(&left), &all), whole - part, "what both have is not new");
    }

    #[test]
    fn a_picture_of_another_size_is_new_all_over() {
        let small = VideoFrame::new(FramePool::new().take(Resolution::new(20, 10)), clock::now());
        let page = striped(0..200);
        assert_eq!(edges(Some(&small), &page), edges(None, &page));
    }
}
