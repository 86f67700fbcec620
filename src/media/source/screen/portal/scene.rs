//! What the desktop shows, as its buffers told it so far, and pictures of it with the cursor drawn in. Pure.
//!
//! The desktop takes every buffer back, and a cursor that moves on uncovers what only an old one showed: so
//! the pixels are kept, without the cursor.

use super::additions::CursorNews;
use crate::media::codec::frame_head::MAX_PIXELS;
use crate::media::convert::{ConvertError, PixelFormat, RawPicture};
use crate::media::frame::VideoFrame;
use crate::media::source::screen::Rect;
use crate::media::source::screen::canvas::Canvas;
use crate::media::source::screen::cursor::Cursor;
use crate::media::source::screen::rect::Changes;

/// See the module.
#[derive(Debug, Default)]
pub struct Scene {
    shown: Option<Shown>,
    cursor: Cursor,
    /// Since the last picture, in coordinates of the desktop's buffers.
    changes: Changes,
}

/// What came with the desktop's last picture.
#[derive(Debug)]
struct Shown {
    /// The part of the desktop's buffers that is meant.
    part: Rect,
    /// Its pixels: blue, green, red, unused; rows without gaps.
    pixels: Vec<[u8; 4]>,
    canvas: Canvas,
}

impl Scene {
    /// A buffer told of the cursor.
    pub fn point(&mut self, news: CursorNews) {
        self.cursor.turn_to(news.at, news.image).into_iter().for_each(|rect| self.changes.add(rect));
    }

    /// A buffer brought a picture (`Bgra` or `Rgba`), of which the part `crop` is meant, and which changed
    /// in `damage`; without these, the whole.
    pub fn show(
        &mut self,
        raw: &RawPicture<'_>,
        crop: Option<Rect>,
        damage: Option<Vec<Rect>>,
    ) -> Result<(), ConvertError> {
        let whole = Rect::of(raw.resolution);
        let part = crop.and_then(|crop| crop.common(whole)).unwrap_or(whole);
        let stride = stride(raw, part)?;
        let known = self.shown.take().filter(|shown| shown.part == part);
        let damage = damage.filter(|_| known.is_some()).unwrap_or_else(|| vec![part]);
        let shown = self.shown.insert(known.unwrap_or_else(|| Shown::new(part)));
        for rect in damage.into_iter().filter_map(|rect| rect.common(part)) {
            shown.copy(raw, stride, rect);
            self.changes.add(rect);
        }
        Ok(())
    }

    /// A picture, if it looks different from the one before.
    pub fn draw(&mut self) -> Result<Option<VideoFrame>, ConvertError> {
        let Some(Shown { part, pixels, canvas }) = &mut self.shown else { return Ok(None) };
        if canvas.is_empty() {
            self.changes.add(*part);
        }
        let bounds = part.resolution();
        let changed = self.changes.take().into_iter();
        let changed: Vec<Rect> =
            changed.filter_map(|rect| rect.moved(-part.x, -part.y).even(bounds)).collect();
        if changed.is_empty() {
            return Ok(None);
        }
        let mut planes = canvas.begin(&changed);
        for rect in &changed {
            canvas.fill(&mut planes, *rect, |band, target| {
                let rows = target.as_chunks_mut().0.chunks_exact_mut(band.width as usize);
                let below = pixels.chunks_exact(bounds.width as usize).skip(band.y as usize);
                for (row, below) in rows.zip(below) {
                    row.copy_from_slice(&below[band.x as usize..][..band.width as usize]);
                }
                self.cursor.draw(band.moved(part.x, part.y), target);
                Ok::<_, ConvertError>(())
            })?;
        }
        Ok(canvas.finish(planes, &changed))
    }
}

impl Shown {
    fn new(part: Rect) -> Self {
        let pixels = vec![[0; 4]; part.pixels() as usize];
        Self { part, pixels, canvas: Canvas::new(part.resolution()) }
    }

    /// Takes over what lies within `rect`, which lies within the part.
    fn copy(&mut self, raw: &RawPicture<'_>, stride: usize, rect: Rect) {
        let width = rect.width as usize;
        let left = (rect.x - self.part.x) as usize;
        let rows = self.pixels.chunks_exact_mut(self.part.width as usize);
        let rows = rows.skip((rect.y - self.part.y) as usize).take(rect.height as usize);
        let source = raw.data.chunks(stride).skip(rect.y as usize);
        for (row, source) in rows.zip(source) {
            let (row, source) = (&mut row[left..][..width], &source[rect.x as usize * 4..][..width * 4]);
            row.copy_from_slice(source.as_chunks().0);
            if raw.format == PixelFormat::Rgba {
                row.iter_mut().for_each(|pixel| pixel.swap(0, 2));
            }
        }
    }
}

/// Bytes from row to row, once it is certain that all pixels of `part` are there.
fn stride(raw: &RawPicture<'_>, part: Rect) -> Result<usize, ConvertError> {
    let resolution = part.resolution();
    if resolution.pixels() == 0 || resolution.pixels() > MAX_PIXELS {
        return Err(ConvertError::Size(resolution));
    }
    let row = (part.x as usize + part.width as usize) * 4;
    let stride = raw.stride.unwrap_or(raw.resolution.width as usize * 4);
    if stride < row {
        return Err(ConvertError::Stride { stride, resolution });
    }
    let before = part.y as usize + part.height as usize - 1;
    let (got, needed) = (raw.data.len(), stride.saturating_mul(before).saturating_add(row));
    if got < needed { Err(ConvertError::TooShort { got, needed, resolution }) } else { Ok(stride) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::source::screen::cursor::CursorImage;
    use crate::units::Resolution;
    use proptest::prelude::*;

    const SIZE: Resolution = Resolution::new(40, 30);
    const WHITE: u8 = 235;

    /// A picture of one grey.
    fn grey(value: u8) -> Vec<u8> {
        vec![value; SIZE.pixels() as usize * 4]
    }

    fn raw(data: &[u8]) -> RawPicture<'_> {
        RawPicture { format: PixelFormat::Bgra, resolution: SIZE, stride: None, data }
    }

    /// A white square of 4 pixels, pointed with in its middle.
    fn pointed(at: (i32, i32)) -> CursorNews {
        let image = CursorImage { width: 4, height: 4, hot: (2, 2), pixels: vec![[255; 4]; 16] };
        CursorNews { at: Some(at), image: Some(image) }
    }

    fn luma(frame: &VideoFrame, x: u32, y: u32) -> u8 {
        frame.y()[(y * frame.resolution().width + x) as usize]
    }

    #[test]
    fn a_cursor_that_moves_makes_a_new_picture_of_the_last_one() {
        let mut scene = Scene::default();
        scene.point(pointed((10, 10)));
        assert!(scene.draw().unwrap().is_none(), "there is nothing yet that it could be drawn on");
        scene.show(&raw(&grey(0)), None, None).unwrap();
        let first = scene.draw().unwrap().unwrap();
        assert_eq!((luma(&first, 10, 10), luma(&first, 20, 20)), (WHITE, 16));

        scene.point(CursorNews { at: Some((20, 20)), image: None });
        let moved = scene.draw().unwrap().unwrap();
        assert_eq!((luma(&moved, 10, 10), luma(&moved, 20, 20)), (16, WHITE));

        scene.point(CursorNews { at: Some((20, 20)), image: None });
        assert!(scene.draw().unwrap().is_none(), "nothing moved");

        scene.point(CursorNews { at: None, image: None });
        let hidden = scene.draw().unwrap().unwrap();
        assert_eq!(luma(&hidden, 20, 20), 16);
    }

    #[test]
    fn only_what_is_said_to_have_changed_is_taken_over() {
        let mut scene = Scene::default();
        let part = Some(vec![Rect::new(8, 8, 4, 4)]);
        scene.show(&raw(&grey(0)), None, part.clone()).unwrap();
        let all = scene.draw().unwrap().unwrap();
        assert_eq!(luma(&all, 39, 29), 16, "of the first picture everything is new");
        scene.show(&raw(&grey(255)), None, part).unwrap();
        let changed = scene.draw().unwrap().unwrap();
        assert_eq!((luma(&changed, 9, 9), luma(&changed, 20, 20)), (WHITE, 16));
        scene.show(&raw(&grey(255)), None, None).unwrap();
        let all = scene.draw().unwrap().unwrap();
        assert_eq!(luma(&all, 20, 20), WHITE);
        scene.show(&raw(&grey(255)), None, None).unwrap();
        assert!(scene.draw().unwrap().is_none(), "it looks as before");
    }

    #[test]
    fn a_cursor_is_where_it_points_in_a_part_too() {
        let mut scene = Scene::default();
        let part = Rect::new(7, 5, 21, 15);
        scene.show(&raw(&grey(0)), Some(part), None).unwrap();
        scene.point(pointed((10, 10)));
        let frame = scene.draw().unwrap().unwrap();
        assert_eq!(frame.resolution(), part.resolution());
        assert_eq!((luma(&frame, 3, 5), luma(&frame, 10, 10)), (WHITE, 16));
        // The part moves over a desktop where nothing else happens.
        scene.show(&raw(&grey(0)), Some(part.moved(3, 0)), Some(vec![Rect::new(0, 0, 1, 1)])).unwrap();
        let frame = scene.draw().unwrap().unwrap();
        assert_eq!((luma(&frame, 0, 5), luma(&frame, 4, 5)), (WHITE, 16));
    }

    #[test]
    fn red_and_blue_keep_their_places() {
        let red: Vec<u8> = [255, 0, 0, 0].repeat(SIZE.pixels() as usize);
        let mut scene = Scene::default();
        scene.show(&RawPicture { format: PixelFormat::Rgba, ..raw(&red) }, None, None).unwrap();
        let frame = scene.draw().unwrap().unwrap();
        assert!(frame.v()[0] > 230 && frame.u()[0] < 100, "{} {}", frame.u()[0], frame.v()[0]);
    }

    #[test]
    fn a_picture_that_is_not_all_there_is_named() {
        let (mut scene, data) = (Scene::default(), grey(0));
        let short = scene.show(&raw(&data[..100]), None, None).unwrap_err();
        assert!(matches!(short, ConvertError::TooShort { got: 100, needed: 4800, .. }), "{short}");
        let narrow = scene.show(&RawPicture { stride: Some(8), ..raw(&data) }, None, None).unwrap_err();
        assert!(matches!(narrow, ConvertError::Stride { stride: 8, .. }), "{narrow}");
        let resolution = Resolution::new(16_384, 16_384);
        let huge = scene.show(&RawPicture { resolution, ..raw(&data) }, None, None).unwrap_err();
        assert_eq!(huge, ConvertError::Size(resolution));
    }

    proptest! {
        #[test]
        fn whatever_a_desktop_says_of_parts_and_places_is_survived(
            crop in any::<Option<(i16, i16, u16, u16)>>(),
            damage in any::<Option<Vec<(i8, i8, u8, u8)>>>(),
            at in any::<Option<(i32, i32)>>(),
            stride in prop::option::of(0usize..400),
            length in 0usize..4_801,
        ) {
            let mut scene = Scene::default();
            let crop = crop.map(|(x, y, w, h)| Rect::new(x.into(), y.into(), w.into(), h.into()));
            let damage = damage.map(|list| list.into_iter().map(|(x, y, w, h)| Rect::new(x.into(), y.into(), w.into(), h.into())).collect::<Vec<_>>());
            scene.point(CursorNews { at, ..pointed((0, 0)) });
            for data in [grey(9), grey(90)] {
                scene.show(&RawPicture { stride, ..raw(&data[..length]) }, crop, damage.clone()).ok();
                scene.draw().unwrap();
            }
        }
    }
}
