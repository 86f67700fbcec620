//! How a large picture is looked at: whole, filling its place, pixel by pixel, or closer. Pure
//! geometry.

use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};

/// Closest look, in points for a pixel of the picture.
const CLOSEST: f32 = 8.0;

/// How much of the picture is seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Scale {
    /// All of it.
    #[default]
    Fit,
    /// As much as fills the place.
    Fill,
    /// A pixel of the picture is a pixel of the display.
    Actual,
    /// So many points for a pixel of the picture.
    By(f32),
}

/// What is drawn where.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Where it lies.
    pub rect: Rect,
    /// Which part of the picture, from 0 to 1.
    pub uv: Rect,
}

/// How a picture is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Zoom {
    /// How much is seen.
    pub scale: Scale,
    /// What lies in the middle, from 0 to 1.
    centre: Vec2,
}

impl Default for Zoom {
    fn default() -> Self {
        Self { scale: Scale::default(), centre: Vec2::splat(0.5) }
    }
}

/// A picture in its place.
#[derive(Clone, Copy, Debug)]
pub struct Looked {
    /// Its size in pixels.
    pub picture: Vec2,
    /// Where it is to be drawn.
    pub place: Rect,
    /// Pixels of the display in a point.
    pub pixels_per_point: f32,
}

impl Looked {
    fn fit(&self) -> f32 {
        let Vec2 { x, y } = self.place.size() / self.picture.max(Vec2::splat(1.0));
        x.min(y).max(1e-6)
    }

    fn points(&self, scale: Scale) -> f32 {
        let Vec2 { x, y } = self.place.size() / self.picture.max(Vec2::splat(1.0));
        match scale {
            Scale::Fit => self.fit(),
            Scale::Fill => x.max(y).max(1e-6),
            Scale::Actual => 1.0 / self.pixels_per_point.max(0.1),
            Scale::By(points) => points,
        }
    }
}

impl Zoom {
    /// Another scale; the middle stays.
    pub fn choose(&mut self, scale: Scale) {
        self.scale = scale;
    }

    /// What is drawn.
    pub fn part(&self, looked: &Looked) -> Part {
        let whole = looked.picture.max(Vec2::splat(1.0)) * looked.points(self.scale);
        let seen = whole.min(looked.place.size());
        let share = seen / whole;
        let centre = self.held(share);
        let uv = Rect::from_center_size(pos2(centre.x, centre.y), share);
        Part { rect: Rect::from_center_size(looked.place.center(), seen), uv }
    }

    /// The middle, where no edge of the picture is left behind.
    fn held(&self, share: Vec2) -> Vec2 {
        self.centre.clamp(share / 2.0, vec2(1.0, 1.0) - share / 2.0)
    }

    /// Goes closer (`factor` over 1) or back, so that what is at `at` stays there.
    pub fn zoom(&mut self, looked: &Looked, factor: f32, at: Pos2) {
        let before = self.part(looked);
        let now = looked.points(self.scale);
        let then = (now * factor).clamp(looked.fit(), CLOSEST.max(looked.fit()));
        let under = before.uv.min.to_vec2() + (at - before.rect.min) / before.rect.size() * before.uv.size();
        self.scale = if then <= looked.fit() * 1.001 { Scale::Fit } else { Scale::By(then) };
        let whole = looked.picture.max(Vec2::splat(1.0)) * then;
        self.centre = under + (looked.place.center() - at) / whole;
        self.settle(looked);
    }

    /// Moves the picture by so many points.
    pub fn drag(&mut self, looked: &Looked, by: Vec2) {
        let whole = looked.picture.max(Vec2::splat(1.0)) * looked.points(self.scale);
        self.settle(looked);
        self.centre -= by / whole;
        self.settle(looked);
    }

    fn settle(&mut self, looked: &Looked) {
        let whole = looked.picture.max(Vec2::splat(1.0)) * looked.points(self.scale);
        self.centre = self.held(whole.min(looked.place.size()) / whole);
    }

    /// Whether there is more of the picture than is seen.
    pub fn can_move(&self, looked: &Looked) -> bool {
        let uv = self.part(looked).uv;
        uv.width() < 0.999 || uv.height() < 0.999
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looked() -> Looked {
        let place = Rect::from_min_size(pos2(100.0, 50.0), vec2(800.0, 600.0));
        Looked { picture: vec2(1600.0, 900.0), place, pixels_per_point: 2.0 }
    }

    fn seen(scale: Scale) -> Part {
        Zoom { scale, ..Zoom::default() }.part(&looked())
    }

    #[test]
    fn all_of_it_or_as_much_as_fills_the_place_or_pixel_by_pixel() {
        let fit = seen(Scale::Fit);
        assert_eq!((fit.rect.size(), fit.uv.size()), (vec2(800.0, 450.0), vec2(1.0, 1.0)));
        let fill = seen(Scale::Fill);
        assert_eq!(fill.rect, looked().place);
        assert!((fill.uv.width() - 0.75).abs() < 1e-4 && fill.uv.height() > 0.999);
        let actual = seen(Scale::Actual);
        assert_eq!(
            (actual.rect.size(), actual.uv.size()),
            (vec2(800.0, 450.0), vec2(1.0, 1.0)),
            "2 to a point"
        );
    }

    #[test]
    fn what_is_under_the_pointer_stays_there_when_one_goes_closer() {
        let (looked, mut zoom) = (looked(), Zoom { scale: Scale::By(1.0), ..Zoom::default() });
        let at = pos2(300.0, 300.0);
        let under = |zoom: &Zoom| {
            let part = zoom.part(&looked);
            part.uv.min + (at - part.rect.min) / part.rect.size() * part.uv.size()
        };
        let before = under(&zoom);
        for _ in 0..5 {
            zoom.zoom(&looked, 1.3, at);
            assert!((under(&zoom) - before).length() < 1e-3, "{:?}", under(&zoom));
        }
        assert!(zoom.can_move(&looked));
        zoom.zoom(&looked, 0.001, at);
        assert_eq!((zoom.scale, zoom.can_move(&looked)), (Scale::Fit, false));
    }

    #[test]
    fn the_picture_cannot_be_dragged_out_of_its_place() {
        let (looked, mut zoom) = (looked(), Zoom::default());
        zoom.choose(Scale::By(2.0));
        zoom.drag(&looked, vec2(1e6, 1e6));
        assert_eq!(zoom.part(&looked).uv.min, Pos2::ZERO);
        zoom.drag(&looked, vec2(-1e6, -1e6));
        assert!((zoom.part(&looked).uv.max - pos2(1.0, 1.0)).length() < 1e-4);
    }
}
