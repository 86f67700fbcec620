//! Where a picture lies in its place: whole or cropped, never stretched. Pure geometry, in points.

use eframe::egui::{Pos2, Rect, Vec2, pos2, vec2};

/// The part of the texture that is everything.
pub const WHOLE: Rect = Rect { min: Pos2::ZERO, max: Pos2 { x: 1.0, y: 1.0 } };

/// The largest rectangle with the shape of `picture` inside `place`, centred.
pub fn contain(picture: Vec2, place: Rect) -> Rect {
    if picture.x <= 0.0 || picture.y <= 0.0 {
        return place;
    }
    let scale = (place.width() / picture.x).min(place.height() / picture.y).max(0.0);
    Rect::from_center_size(place.center(), picture * scale)
}

/// The part of `picture`, in texture coordinates, that fills `place` when its middle is kept.
pub fn cover(picture: Vec2, place: Vec2) -> Rect {
    if picture.x <= 0.0 || picture.y <= 0.0 || place.x <= 0.0 || place.y <= 0.0 {
        return WHOLE;
    }
    let scale = (place.x / picture.x).max(place.y / picture.y);
    let part = vec2(place.x / (picture.x * scale), place.y / (picture.y * scale));
    Rect::from_center_size(pos2(0.5, 0.5), part)
}

/// The same part seen in a mirror.
pub fn mirrored(uv: Rect) -> Rect {
    Rect { min: pos2(uv.max.x, uv.min.y), max: pos2(uv.min.x, uv.max.y) }
}

/// The corner of the stage where our own picture lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Corner {
    TopLeft,
    TopRight,
    BottomLeft,
    #[default]
    BottomRight,
}

impl Corner {
    /// The rectangle of `size` in this corner of `stage`, `gap` from its edges.
    pub fn place(self, stage: Rect, size: Vec2, gap: f32) -> Rect {
        let inner = stage.shrink(gap);
        let x = match self {
            Corner::TopLeft | Corner::BottomLeft => inner.left(),
            Corner::TopRight | Corner::BottomRight => inner.right() - size.x,
        };
        let y = match self {
            Corner::TopLeft | Corner::TopRight => inner.top(),
            Corner::BottomLeft | Corner::BottomRight => inner.bottom() - size.y,
        };
        Rect::from_min_size(pos2(x, y), size)
    }

    /// The corner of `stage` that is nearest to a point.
    pub fn nearest(stage: Rect, point: Pos2) -> Self {
        match (point.x < stage.center().x, point.y < stage.center().y) {
            (true, true) => Corner::TopLeft,
            (false, true) => Corner::TopRight,
            (true, false) => Corner::BottomLeft,
            (false, false) => Corner::BottomRight,
        }
    }

    /// The corner one goes to from here in a direction.
    pub fn towards(self, direction: Vec2) -> Self {
        let at = match self {
            Corner::TopLeft => vec2(-1.0, -1.0),
            Corner::TopRight => vec2(1.0, -1.0),
            Corner::BottomLeft => vec2(-1.0, 1.0),
            Corner::BottomRight => vec2(1.0, 1.0),
        };
        let to = at + direction * 2.0;
        Self::nearest(Rect::ZERO, to.to_pos2())
    }
}

/// Places for `count` pictures in `stage`, `gap` apart, in the columns that make them largest.
pub fn grid(count: usize, stage: Rect, shape: Vec2, gap: f32) -> Vec<Rect> {
    if count == 0 {
        return Vec::new();
    }
    let cell = |columns: usize| {
        let rows = count.div_ceil(columns);
        let free = stage.size() - vec2((columns - 1) as f32, (rows - 1) as f32) * gap;
        vec2(free.x.max(1.0) / columns as f32, free.y.max(1.0) / rows as f32)
    };
    let area = |columns: usize| {
        let size = contain(shape, Rect::from_min_size(Pos2::ZERO, cell(columns))).size();
        size.x * size.y
    };
    let columns = (1..=count).max_by(|a, b| area(*a).total_cmp(&area(*b))).unwrap_or(1);
    let cell = cell(columns);
    (0..count)
        .map(|index| {
            let (row, column) = (index / columns, index % columns);
            // A last row that is not full stands in the middle.
            let in_row = columns.min(count - row * columns);
            let indent = (columns - in_row) as f32 * (cell.x + gap) / 2.0;
            let at = vec2(column as f32 * (cell.x + gap) + indent, row as f32 * (cell.y + gap));
            Rect::from_min_size(stage.min + at, cell)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(width: f32, height: f32) -> Rect {
        Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height))
    }

    #[test]
    fn a_contained_picture_keeps_its_shape_and_touches_two_edges() {
        let wide = contain(vec2(1280.0, 720.0), stage(400.0, 400.0));
        assert_eq!(wide.size(), vec2(400.0, 225.0));
        assert_eq!(wide.center(), stage(400.0, 400.0).center());
        let tall = contain(vec2(720.0, 1280.0), stage(400.0, 400.0));
        assert_eq!(tall.size(), vec2(225.0, 400.0));
    }

    #[test]
    fn a_covering_picture_loses_the_same_on_both_sides() {
        let uv = cover(vec2(1280.0, 720.0), vec2(100.0, 100.0));
        assert!(uv.min.y.abs() < 1e-6 && (uv.max.y - 1.0).abs() < 1e-6);
        assert!((uv.width() - 720.0 / 1280.0).abs() < 1e-6);
        assert!((uv.min.x - (1.0 - uv.max.x)).abs() < 1e-6);
    }

    #[test]
    fn sizes_of_nothing_do_not_divide_by_zero() {
        assert_eq!(cover(Vec2::ZERO, vec2(1.0, 1.0)), WHOLE);
        assert_eq!(contain(Vec2::ZERO, stage(4.0, 4.0)), stage(4.0, 4.0));
    }

    #[test]
    fn the_small_picture_snaps_to_the_nearest_corner_and_walks_by_arrows() {
        let stage = stage(400.0, 300.0);
        assert_eq!(Corner::nearest(stage, stage.left_top()), Corner::TopLeft);
        assert_eq!(Corner::BottomRight.towards(vec2(-1.0, 0.0)), Corner::BottomLeft);
        assert_eq!(Corner::BottomLeft.towards(vec2(0.0, -1.0)), Corner::TopLeft);
        assert_eq!(Corner::TopLeft.towards(vec2(0.0, -1.0)), Corner::TopLeft);
        let place = Corner::TopRight.place(stage, vec2(100.0, 50.0), 10.0);
        assert_eq!(place.right_top(), stage.right_top() + vec2(-10.0, 10.0));
    }

    #[test]
    fn a_grid_stays_inside_its_stage_and_nothing_overlaps() {
        let stage = stage(900.0, 500.0);
        for count in 1..=9 {
            let places = grid(count, stage, vec2(16.0, 9.0), 12.0);
            assert_eq!(places.len(), count);
            for (index, place) in places.iter().enumerate() {
                assert!(stage.expand(0.01).contains_rect(*place), "{count}: {place:?}");
                assert!(places[..index].iter().all(|other| !other.intersects(place.shrink(0.1))), "{count}");
            }
        }
    }
}
