//! Rectangles of changed pixels. Pure.

use std::str::FromStr;

use crate::units::Resolution;

/// A rectangle in pixels; its corner may lie left of or above the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Upper edge.
    pub y: i32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Rect {
    /// A rectangle with this corner and size.
    pub const fn new(x: i32, y: i32, width: u32, height: u32) -> Self {
        Self { x, y, width, height }
    }

    /// One that begins at the origin.
    pub const fn of(resolution: Resolution) -> Self {
        Self::new(0, 0, resolution.width, resolution.height)
    }

    /// Its size.
    pub const fn resolution(self) -> Resolution {
        Resolution::new(self.width, self.height)
    }

    /// Just right of its last column, just below its last row.
    fn end(self) -> (i64, i64) {
        (i64::from(self.x) + i64::from(self.width), i64::from(self.y) + i64::from(self.height))
    }

    fn between((x0, y0): (i64, i64), (x1, y1): (i64, i64)) -> Option<Self> {
        let (width, height) = (u32::try_from(x1 - x0).ok()?, u32::try_from(y1 - y0).ok()?);
        let corner = (i32::try_from(x0).ok()?, i32::try_from(y0).ok()?);
        (width > 0 && height > 0).then_some(Self::new(corner.0, corner.1, width, height))
    }

    /// What both have in common.
    pub fn common(self, other: Self) -> Option<Self> {
        let ((ax, ay), (bx, by)) = (self.end(), other.end());
        let start = (i64::from(self.x.max(other.x)), i64::from(self.y.max(other.y)));
        Self::between(start, (ax.min(bx), ay.min(by)))
    }

    /// The smallest rectangle around both.
    pub fn around(self, other: Self) -> Self {
        let ((ax, ay), (bx, by)) = (self.end(), other.end());
        let start = (i64::from(self.x.min(other.x)), i64::from(self.y.min(other.y)));
        Self::between(start, (ax.max(bx), ay.max(by))).unwrap_or(self)
    }

    /// Whether the point lies in it.
    pub fn contains(self, x: i32, y: i32) -> bool {
        self.common(Self::new(x, y, 1, 1)).is_some()
    }

    /// Moved by so much.
    pub fn moved(self, x: i32, y: i32) -> Self {
        Self { x: self.x.saturating_add(x), y: self.y.saturating_add(y), ..self }
    }

    /// Widened to even edges, so that it covers whole pixels of colour, but not beyond `bounds`,
    /// which begins at the origin.
    pub fn even(self, bounds: Resolution) -> Option<Self> {
        let inside = self.common(Self::of(bounds))?;
        let (x, y) = (inside.x & !1, inside.y & !1);
        let (right, below) = inside.end();
        let up = |edge: i64, bound: u32| ((edge + 1) & !1).min(i64::from(bound));
        Self::between((x.into(), y.into()), (up(right, bounds.width), up(below, bounds.height)))
    }

    /// Number of pixels.
    pub fn pixels(self) -> u64 {
        self.resolution().pixels()
    }
}

impl FromStr for Rect {
    type Err = String;

    /// Reads `X,Y,WxH`.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("\"{text}\" is not a part of a screen; write it as X,Y,WxH");
        let mut parts = text.splitn(3, ',');
        let mut next = || parts.next().ok_or_else(bad);
        let (x, y) = (next()?.parse().map_err(|_| bad())?, next()?.parse().map_err(|_| bad())?);
        let (width, height) = next()?.split_once('x').ok_or_else(bad)?;
        let side = |side: &str| side.parse().ok().filter(|n| (1..=16_384).contains(n)).ok_or_else(bad);
        Ok(Self::new(x, y, side(width)?, side(height)?))
    }
}

/// Rectangles kept apart before they are put together.
const MOST: usize = 12;

/// What changed, as few rectangles that do not overlap.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    rects: Vec<Rect>,
}

impl Changes {
    /// This changed as well.
    pub fn add(&mut self, mut rect: Rect) {
        // Two that overlap, or that one costs hardly more than both, become one.
        while let Some(index) = self.rects.iter().position(|other| {
            rect.common(*other).is_some()
                || rect.around(*other).pixels() <= rect.pixels() + other.pixels() + 4_096
        }) {
            rect = rect.around(self.rects.swap_remove(index));
        }
        self.rects.push(rect);
        if self.rects.len() > MOST {
            let all = self.rects.iter().copied().reduce(Rect::around);
            self.rects = all.into_iter().collect();
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.rects.is_empty()
    }

    /// All of them, forgotten here.
    pub fn take(&mut self) -> Vec<Rect> {
        std::mem::take(&mut self.rects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn even_edges_reach_to_the_last_odd_pixel_and_no_further() {
        let bounds = Resolution::new(101, 51);
        assert_eq!(Rect::new(3, 5, 2, 2).even(bounds), Some(Rect::new(2, 4, 4, 4)));
        assert_eq!(Rect::new(99, 49, 9, 9).even(bounds), Some(Rect::new(98, 48, 3, 3)));
        assert_eq!(Rect::new(-9, -9, 10, 10).even(bounds), Some(Rect::new(0, 0, 2, 2)));
        assert_eq!(Rect::new(200, 0, 10, 10).even(bounds), None);
    }

    #[test]
    fn a_part_of_the_screen_is_read_from_text() {
        assert_eq!("-10,20,640x480".parse(), Ok(Rect::new(-10, 20, 640, 480)));
        for bad in ["", "1,2", "1,2,3", "1,2,0x9", "a,b,1x1", "1,2,99999x1"] {
            assert!(bad.parse::<Rect>().is_err(), "{bad}");
        }
    }

    fn any_rect() -> impl Strategy<Value = Rect> {
        (-50i32..200, -50i32..200, 1u32..90, 1u32..90).prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
    }

    proptest! {
        #[test]
        fn no_changed_pixel_is_lost_and_none_is_done_twice(added in proptest::collection::vec(any_rect(), 0..40)) {
            let mut changes = Changes::default();
            added.iter().for_each(|rect| changes.add(*rect));
            let kept = changes.take();
            prop_assert!(kept.len() <= MOST && changes.is_empty());
            for rect in &added {
                prop_assert!(kept.iter().any(|kept| kept.common(*rect) == Some(*rect)));
            }
            for (index, a) in kept.iter().enumerate() {
                prop_assert!(kept[index + 1..].iter().all(|b| a.common(*b).is_none()));
            }
        }

        #[test]
        fn any_rectangle_is_survived(x: i32, y: i32, width: u32, height: u32, a: i32, b: u32) {
            let (one, other) = (Rect::new(x, y, width, height), Rect::new(a, x, b, width));
            one.common(other);
            one.around(other);
            one.even(Resolution::new(b, width));
        }
    }
}
