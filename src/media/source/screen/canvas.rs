//! The newest picture of a screen, brought up to date part by part.

use std::ops::Range;

use super::rect::Rect;
use crate::clock;
use crate::media::convert::{ConvertError, PixelFormat, RawPicture, to_i420};
use crate::media::frame::{FramePool, Planes, VideoFrame};
use crate::units::Resolution;

/// Pixels are converted so many at a time (256 KiB), so that they are still in the processor's cache
/// from having been read.
const BAND: usize = 65_536;

/// Makes pictures from the one before and what changed.
#[derive(Debug)]
pub struct Canvas {
    resolution: Resolution,
    pool: FramePool,
    last: Option<VideoFrame>,
    band: Vec<u8>,
    /// Bands, once converted.
    bands: FramePool,
}

impl Canvas {
    /// Nothing is on it yet.
    pub fn new(resolution: Resolution) -> Self {
        Self { resolution, pool: FramePool::new(), last: None, band: Vec::new(), bands: FramePool::new() }
    }

    /// The size of its pictures.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// Whether the first picture is still to come, for which everything counts as changed.
    pub fn is_empty(&self) -> bool {
        self.last.is_none()
    }

    /// Begins a picture that changes in `changed` at most.
    pub fn begin(&mut self, changed: &[Rect]) -> Planes {
        let mut planes = self.pool.take(self.resolution);
        let whole = changed.iter().any(|rect| *rect == Rect::of(self.resolution));
        if let Some(last) = self.last.as_ref().filter(|_| !whole) {
            let (y, u, v) = planes.planes_mut();
            y.copy_from_slice(last.y());
            u.copy_from_slice(last.u());
            v.copy_from_slice(last.v());
        }
        planes
    }

    /// Fills in one changed part, whose edges are even (see [`Rect::even`]). `read` fills a buffer
    /// with the pixels (blue, green, red, unused; rows without gaps) of a band of it.
    pub fn fill<E: From<ConvertError>>(
        &mut self,
        planes: &mut Planes,
        part: Rect,
        mut read: impl FnMut(Rect, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = (BAND / part.width as usize).max(2) as u32 & !1;
        let mut done = 0;
        while done < part.height {
            let height = rows.min(part.height - done);
            let band = Rect::new(part.x, part.y + done as i32, part.width, height);
            self.band.resize(band.pixels() as usize * 4, 0);
            read(band, &mut self.band)?;
            let raw = RawPicture {
                format: PixelFormat::Bgra,
                resolution: band.resolution(),
                stride: None,
                data: &self.band,
            };
            paste(planes, (band.x as usize, band.y as usize), &to_i420(&raw, &self.bands)?);
            done += height;
        }
        Ok(())
    }

    /// Leaves a part as it was in the picture before; whether there was one.
    pub fn keep(&self, planes: &mut Planes, part: Rect) -> bool {
        let Some(last) = &self.last else { return false };
        let (y, u, v) = planes.planes_mut();
        for ((plane, last), rows) in
            [(y, last.y()), (u, last.u()), (v, last.v())].into_iter().zip(rows(self.resolution, part))
        {
            rows.for_each(|row| plane[row.clone()].copy_from_slice(&last[row]));
        }
        true
    }

    /// The picture is done; `None` if it looks like the one before in all of `parts`.
    pub fn finish(&mut self, planes: Planes, parts: &[Rect]) -> Option<VideoFrame> {
        if self.last.as_ref().is_some_and(|last| parts.iter().all(|part| same(&planes, last, *part))) {
            return None;
        }
        let frame = VideoFrame::new(planes, clock::now());
        self.last = Some(frame.clone());
        Some(frame)
    }
}

/// Where the rows of a part lie in the three planes of a picture; its edges are even, or those of the
/// picture.
fn rows(whole: Resolution, part: Rect) -> [impl Iterator<Item = Range<usize>>; 3] {
    let half = |side: u32| side.div_ceil(2);
    let chroma = Rect::new(part.x / 2, part.y / 2, half(part.width), half(part.height));
    [(whole.width, part), (half(whole.width), chroma), (half(whole.width), chroma)].map(|(stride, part)| {
        (0..part.height as usize).map(move |row| {
            let start = (part.y as usize + row) * stride as usize + part.x as usize;
            start..start + part.width as usize
        })
    })
}

/// Whether two pictures look the same in a part.
fn same(planes: &Planes, last: &VideoFrame, part: Rect) -> bool {
    let pairs = [(planes.y(), last.y()), (planes.u(), last.u()), (planes.v(), last.v())];
    let mut pairs = pairs.into_iter().zip(rows(planes.resolution(), part));
    pairs.all(|((new, old), mut rows)| rows.all(|row| new[row.clone()] == old[row]))
}

/// Copies a part into its place, which begins at an even pixel both ways.
fn paste(planes: &mut Planes, (x, y): (usize, usize), part: &Planes) {
    let (whole, size) = (planes.resolution(), part.resolution());
    let (luma, chroma) = (whole.width as usize, whole.width.div_ceil(2) as usize);
    let (width, half) = (size.width as usize, size.width.div_ceil(2) as usize);
    let (to_y, to_u, to_v) = planes.planes_mut();
    for (target, source, stride, width, corner) in [
        (to_y, part.y(), luma, width, (x, y)),
        (to_u, part.u(), chroma, half, (x / 2, y / 2)),
        (to_v, part.v(), chroma, half, (x / 2, y / 2)),
    ] {
        let rows = target.chunks_exact_mut(stride).skip(corner.1);
        for (target, source) in rows.zip(source.chunks_exact(width)) {
            target[corner.0..corner.0 + width].copy_from_slice(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Resolution = Resolution::new(301, 203);

    /// Something that differs everywhere; `salt` makes it another picture.
    fn pixel(x: u32, y: u32, salt: u32) -> [u8; 4] {
        let value = (x / 2).wrapping_mul(7) + (y / 2).wrapping_mul(13) + salt;
        [value as u8, (value / 3) as u8, (255 - value % 256) as u8, 0]
    }

    fn whole(salt: impl Fn(u32, u32) -> u32) -> Vec<u8> {
        let points = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x, y)));
        points.flat_map(|(x, y)| pixel(x, y, salt(x, y))).collect()
    }

    fn draw(canvas: &mut Canvas, parts: &[Rect], salt: u32) -> VideoFrame {
        let mut planes = canvas.begin(parts);
        for part in parts {
            let read = |band: Rect, buffer: &mut [u8]| {
                for (index, target) in buffer.chunks_exact_mut(4).enumerate() {
                    let (x, y) = (index as u32 % band.width, index as u32 / band.width);
                    target.copy_from_slice(&pixel(band.x as u32 + x, band.y as u32 + y, salt));
                }
                Ok::<_, ConvertError>(())
            };
            canvas.fill(&mut planes, *part, read).unwrap();
        }
        canvas.finish(planes, parts).expect("it looks another way")
    }

    fn check(frame: &VideoFrame, expected: &[u8]) {
        let raw = RawPicture { format: PixelFormat::Bgra, resolution: SIZE, stride: None, data: expected };
        let expected = to_i420(&raw, &FramePool::new()).unwrap();
        for (got, expected) in
            [(frame.y(), expected.y()), (frame.u(), expected.u()), (frame.v(), expected.v())]
        {
            let off = got.iter().zip(expected).position(|(a, b)| a.abs_diff(*b) > 1);
            assert_eq!((got.len(), off), (expected.len(), None));
        }
    }

    #[test]
    fn a_part_may_touch_every_edge() {
        let size = SIZE;
        for part in [
            Rect::new(200, 190, 101, 13),
            Rect::new(0, 190, 10, 13),
            Rect::new(290, 0, 11, 6),
            Rect::new(0, 0, size.width, 2),
        ] {
            let mut canvas = Canvas::new(size);
            draw(&mut canvas, &[Rect::of(size)], 1);
            let frame = draw(&mut canvas, &[part], 77);
            check(&frame, &whole(|x, y| if part.contains(x as i32, y as i32) { 77 } else { 1 }));
        }
    }

    #[test]
    fn parts_of_an_odd_picture_become_what_the_whole_would_be() {
        let mut canvas = Canvas::new(SIZE);
        assert!(canvas.is_empty());
        check(&draw(&mut canvas, &[Rect::of(SIZE)], 1), &whole(|_, _| 1));
        let parts = [Rect::new(10, 20, 64, 30), Rect::new(280, 190, 21, 13)];
        let inside = |x: u32, y: u32| parts.iter().any(|part| part.contains(x as i32, y as i32));
        let frame = draw(&mut canvas, &parts, 90);
        check(&frame, &whole(|x, y| if inside(x, y) { 90 } else { 1 }));
    }

    #[test]
    fn what_looks_as_before_is_no_picture_and_what_is_kept_stays_as_it_was() {
        let mut canvas = Canvas::new(SIZE);
        draw(&mut canvas, &[Rect::of(SIZE)], 1);
        let (part, kept) = (Rect::new(16, 16, 64, 32), Rect::new(32, 24, 8, 8));
        let planes = canvas.begin(&[part]);
        assert!(canvas.finish(planes, &[part]).is_none());

        let mut planes = canvas.begin(&[part]);
        let read = |band: Rect, buffer: &mut [u8]| {
            for (index, target) in buffer.chunks_exact_mut(4).enumerate() {
                let (x, y) = (index as u32 % band.width, index as u32 / band.width);
                target.copy_from_slice(&pixel(band.x as u32 + x, band.y as u32 + y, 90));
            }
            Ok::<_, ConvertError>(())
        };
        canvas.fill(&mut planes, part, read).unwrap();
        assert!(canvas.keep(&mut planes, kept));
        let frame = canvas.finish(planes, &[part]).expect("most of the part looks another way");
        let changed =
            |x: u32, y: u32| part.contains(x as i32, y as i32) && !kept.contains(x as i32, y as i32);
        check(&frame, &whole(|x, y| if changed(x, y) { 90 } else { 1 }));
    }
}
