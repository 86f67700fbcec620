//! The mouse cursor, drawn into a picture as the window system would draw it. Pure.

use super::rect::Rect;

/// How the cursor looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CursorImage {
    /// Size in pixels.
    pub width: u32,
    /// Size in pixels.
    pub height: u32,
    /// The point in it that points.
    pub hot: (i32, i32),
    /// Rows without gaps: blue, green, red, alpha; colours already multiplied by alpha.
    pub pixels: Vec<[u8; 4]>,
}

impl CursorImage {
    /// Where it covers pixels while it points at `(x, y)`.
    pub fn rect(&self, (x, y): (i32, i32)) -> Option<Rect> {
        let whole = self.pixels.len() as u64 == u64::from(self.width) * u64::from(self.height);
        let corner = (x.saturating_sub(self.hot.0), y.saturating_sub(self.hot.1));
        (whole && self.width > 0 && self.height > 0).then_some(Rect::new(
            corner.0,
            corner.1,
            self.width,
            self.height,
        ))
    }

    /// Draws it, pointing at `at`, into the pixels (4 bytes each, rows without gaps) of the part
    /// `part` of the picture.
    pub fn draw(&self, at: (i32, i32), part: Rect, pixels: &mut [u8]) {
        let Some(own) = self.rect(at) else { return };
        let Some(common) = own.common(part) else { return };
        let stride = part.width as usize * 4;
        for row in 0..common.height as usize {
            let y = common.y + row as i32;
            let source = (y - own.y) as usize * own.width as usize + (common.x - own.x) as usize;
            let target = (y - part.y) as usize * stride + (common.x - part.x) as usize * 4;
            let Some(line) = pixels.get_mut(target..target + common.width as usize * 4) else { return };
            let pairs = line.chunks_exact_mut(4).zip(&self.pixels[source..]);
            for (under, over) in pairs {
                let keep = 255 - u16::from(over[3]);
                for (under, over) in under.iter_mut().zip(&over[..3]) {
                    let below = (u16::from(*under) * keep + 127) / 255;
                    *under = (below + u16::from(*over)).min(255) as u8;
                }
            }
        }
    }
}

/// The cursor as it was drawn last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    image: CursorImage,
    /// Where it points; `None` while it is elsewhere.
    at: Option<(i32, i32)>,
}

impl Cursor {
    /// It points there now, and looks like `image`, if that is known to be new. What looks different then:
    /// where it was and where it is.
    pub fn turn_to(&mut self, at: Option<(i32, i32)>, image: Option<CursorImage>) -> Vec<Rect> {
        let image = image.filter(|image| *image != self.image);
        if at == self.at && image.is_none() {
            return Vec::new();
        }
        let before = self.rect();
        self.at = at;
        if let Some(image) = image {
            self.image = image;
        }
        [before, self.rect()].into_iter().flatten().collect()
    }

    /// Where it covers pixels.
    fn rect(&self) -> Option<Rect> {
        self.image.rect(self.at?)
    }

    /// Draws it into the pixels of a part, as [`CursorImage::draw`] does.
    pub fn draw(&self, part: Rect, pixels: &mut [u8]) {
        if let Some(at) = self.at {
            self.image.draw(at, part, pixels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A white pixel, a half transparent black one, and two with nothing.
    fn cursor() -> CursorImage {
        let pixels = vec![[255; 4], [0, 0, 0, 128], [0; 4], [0; 4]];
        CursorImage { width: 2, height: 2, hot: (0, 0), pixels }
    }

    #[test]
    fn it_covers_halves_and_leaves_alone() {
        let mut pixels = vec![100; 4 * 4 * 4];
        cursor().draw((1, 1), Rect::new(0, 0, 4, 4), &mut pixels);
        let at = |x: usize, y: usize| pixels[(y * 4 + x) * 4];
        assert_eq!((at(1, 1), at(2, 1), at(1, 2), at(0, 0)), (255, 50, 100, 100));
    }

    #[test]
    fn it_is_cut_off_at_every_edge_of_any_part() {
        for x in -3..20 {
            for y in -3..20 {
                let part = Rect::new(5, 7, 6, 4);
                let mut pixels = vec![100; 6 * 4 * 4];
                cursor().draw((x, y), part, &mut pixels);
                let white = pixels.chunks_exact(4).filter(|p| p[0] == 255).count();
                assert_eq!(white, usize::from(part.contains(x, y)), "at {x},{y}");
            }
        }
    }

    #[test]
    fn what_it_leaves_and_what_it_covers_looks_different() {
        let mut shown = Cursor::default();
        let (here, there) = (Rect::new(1, 1, 2, 2), Rect::new(9, 1, 2, 2));
        assert_eq!(shown.turn_to(Some((1, 1)), Some(cursor())), [here]);
        assert_eq!(shown.turn_to(Some((1, 1)), None), []);
        assert_eq!(shown.turn_to(Some((1, 1)), Some(cursor())), [], "it looks as before");
        assert_eq!(shown.turn_to(Some((9, 1)), None), [here, there]);
        assert_eq!(shown.turn_to(None, None), [there]);
        assert_eq!(shown.turn_to(None, None), []);
    }

    #[test]
    fn one_that_lies_about_its_size_is_not_drawn() {
        let liar = CursorImage { width: 64, ..cursor() };
        assert_eq!(liar.rect((0, 0)), None);
    }
}
