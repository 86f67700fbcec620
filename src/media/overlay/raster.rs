//! Marks as rectangles of one colour: what a window needs that has no transparency, only a shape.
//! Pure; positions in pixels of what is shared.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::media::source::screen::Rect;
use crate::pointer::{Mark, Marks, colour};
use crate::units::Resolution;

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Around everything, so that it is seen on any ground.
const EDGE: Colour = [0xff; 3];

/// Half as thick as a stroke is, at 1080 rows.
const STROKE: f32 = 2.0;

/// How far the edge reaches beyond it.
const EDGE_WIDTH: f32 = 1.2;

/// The newest points of a person that are drawn. An honest hand leaves 60 a second, for 5 seconds; a
/// hostile one must not keep us busy.
const POINTS: usize = 2_048;

/// Between two looks of something that fades.
const FADE: Duration = Duration::from_millis(40);

/// An arrow that points at the origin, as two triangles, at 1080 rows.
const ARROW: [[(f32, f32); 3]; 2] =
    [[(0.0, 0.0), (0.0, 19.0), (5.2, 14.0)], [(0.0, 0.0), (5.2, 14.0), (13.6, 13.2)]];

/// The outline of it.
const OUTLINE: [(f32, f32); 4] = [(0.0, 0.0), (0.0, 19.0), (5.2, 14.0), (13.6, 13.2)];

/// Where a name stands beside what its arrow points at, and the room around it, at 1080 rows.
const NAME: (f32, f32) = (14.0, 15.0);
const AROUND: (i32, i32) = (6, 3);

/// A name on its ground.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The text.
    pub text: String,
    /// Where it stands: the upper left corner of its letters.
    pub at: (i32, i32),
    /// What it stands on.
    pub ground: Colour,
}

/// What is to be drawn, in this order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drawing {
    /// Rectangles, later ones over earlier ones.
    pub fills: Vec<(Colour, Vec<Rect>)>,
    /// Names, in white, over all of them.
    pub names: Vec<Name>,
}

impl Drawing {
    /// All that is not transparent.
    pub fn rects(&self) -> impl Iterator<Item = Rect> + '_ {
        self.fills.iter().flat_map(|(_, rects)| rects.iter().copied())
    }
}

/// When what is drawn looks different without any news; `None`: not before there is news.
pub fn next_change(marks: &[Marks], now: Instant) -> Option<Instant> {
    let strokes = marks.iter().flat_map(|marks| &marks.strokes);
    strokes.map(|stroke| stroke.fades_at().max(now + FADE)).min()
}

/// Draws everything that is seen of `marks` on `size`; `measure` says how large a text is.
pub fn draw(
    marks: &[Marks],
    size: Resolution,
    now: Instant,
    measure: impl Fn(&str) -> (u32, u32),
) -> Drawing {
    let unit = (size.height as f32 / 1080.0).clamp(1.0, 4.0);
    let mut drawing = Drawing::default();
    for person in marks {
        let ink = colour(&person.peer);
        let (mut edge, mut inside) = (Rows::default(), Rows::default());
        let mut left = POINTS;
        for stroke in person.strokes.iter().rev() {
            let strength = stroke.strength(now);
            if strength > 0.0 {
                let radius = (STROKE * unit * strength).max(0.5);
                left -= trace(stroke, left, size, |from, to| {
                    edge.capsule(from, to, radius + EDGE_WIDTH * unit);
                    inside.capsule(from, to, radius);
                });
            }
        }
        if let Some(at) = person.pointer {
            let (x, y) = place(at.shares(), size);
            let corner = |(dx, dy): (f32, f32)| (x + dx * unit, y + dy * unit);
            for (index, from) in OUTLINE.into_iter().enumerate() {
                let to = OUTLINE[(index + 1) % OUTLINE.len()];
                edge.capsule(corner(from), corner(to), EDGE_WIDTH * unit);
            }
            for triangle in ARROW {
                edge.polygon(&triangle.map(corner));
                inside.polygon(&triangle.map(corner));
            }
        }
        drawing.fills.push((EDGE, edge.rects(size)));
        drawing.fills.push((ink, inside.rects(size)));
        if let Some(at) = person.pointer.filter(|_| !person.name.is_empty()) {
            let name = name(&person.name, place(at.shares(), size), unit, size, ink, &measure);
            drawing.fills.push((EDGE, name.1.rects(size)));
            drawing.fills.push((ink, name.2.rects(size)));
            drawing.names.push(name.0);
        }
    }
    drawing.fills.retain(|(_, rects)| !rects.is_empty());
    drawing
}

/// Where a share of the picture lies, in pixels.
fn place((x, y): (f32, f32), size: Resolution) -> (f32, f32) {
    (x * size.width as f32, y * size.height as f32)
}

/// Gives each piece of a stroke, the newest `most` of them; how many that were.
fn trace(
    stroke: &Mark,
    most: usize,
    size: Resolution,
    mut piece: impl FnMut((f32, f32), (f32, f32)),
) -> usize {
    let points = &stroke.points[stroke.points.len().saturating_sub(most)..];
    let mut before = None;
    for point in points {
        let at = place(point.shares(), size);
        piece(before.unwrap_or(at), at);
        before = Some(at);
    }
    points.len()
}

/// A name beside its arrow: to the right and below, or where there is room.
fn name(
    text: &str,
    at: (f32, f32),
    unit: f32,
    size: Resolution,
    ground: Colour,
    measure: impl Fn(&str) -> (u32, u32),
) -> (Name, Rows, Rows) {
    let text: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    let (width, height) = measure(&text);
    let (width, height) = (width as i32 + 2 * AROUND.0, height as i32 + 2 * AROUND.1);
    let beside = |at: f32, by: f32, length: i32, whole: u32| {
        let after = (at + by * unit).round() as i32;
        if after + length <= whole as i32 { after } else { ((at - 4.0).round() as i32 - length).max(0) }
    };
    let x = beside(at.0, NAME.0, width, size.width);
    let y = beside(at.1, NAME.1, height, size.height);
    let radius = height as f32 / 2.0;
    let middle = y as f32 + radius;
    let ends = ((x as f32 + radius, middle), ((x + width) as f32 - radius, middle));
    let (mut edge, mut inside) = (Rows::default(), Rows::default());
    edge.capsule(ends.0, ends.1, radius + 1.0);
    inside.capsule(ends.0, ends.1, radius);
    (Name { text, at: (x + AROUND.0, y + AROUND.1), ground }, edge, inside)
}

/// A shape, as intervals of pixels in rows.
#[derive(Debug, Default)]
struct Rows(BTreeMap<i32, Vec<(i32, i32)>>);

impl Rows {
    /// Adds the pixels whose middles lie between two places of a row.
    fn add(&mut self, row: i32, from: f32, to: f32) {
        let (first, end) = ((from - 0.5).ceil() as i32, (to - 0.5).floor() as i32 + 1);
        if first < end {
            self.0.entry(row).or_default().push((first, end));
        }
    }

    /// Everything that is not farther than `radius` from the line between two places.
    fn capsule(&mut self, (ax, ay): (f32, f32), (bx, by): (f32, f32), radius: f32) {
        let length = (bx - ax).hypot(by - ay);
        let (nx, ny) = if length > 0.0 {
            ((by - ay) / length * radius, (ax - bx) / length * radius)
        } else {
            (0.0, 0.0)
        };
        let sides = [((ax + nx, ay + ny), (bx + nx, by + ny)), ((ax - nx, ay - ny), (bx - nx, by - ny))];
        let (top, bottom) = (ay.min(by) - radius, ay.max(by) + radius);
        for row in (top - 0.5).ceil() as i32..=(bottom - 0.5).floor() as i32 {
            let y = row as f32 + 0.5;
            let ends = [(ax, ay), (bx, by)].into_iter().filter_map(|(x, middle)| {
                let half = (radius * radius - (y - middle) * (y - middle)).max(-1.0);
                (half >= 0.0).then(|| (x - half.sqrt(), x + half.sqrt()))
            });
            let sides = sides.iter().filter_map(|(from, to)| crossing(*from, *to, y)).map(|x| (x, x));
            let both = ends.chain(sides).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            if let Some((from, to)) = both {
                self.add(row, from, to);
            }
        }
    }

    /// A convex polygon.
    fn polygon(&mut self, corners: &[(f32, f32)]) {
        let rows = corners.iter().map(|(_, y)| *y);
        let (top, bottom) = (rows.clone().fold(f32::MAX, f32::min), rows.fold(f32::MIN, f32::max));
        for row in (top - 0.5).ceil() as i32..=(bottom - 0.5).floor() as i32 {
            let y = row as f32 + 0.5;
            let next = corners.iter().cycle().skip(1);
            let cuts = corners.iter().zip(next).filter_map(|(from, to)| crossing(*from, *to, y));
            let both = cuts.map(|x| (x, x)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
            if let Some((from, to)) = both {
                self.add(row, from, to);
            }
        }
    }

    /// What of it lies within `size`; no two overlap.
    fn rects(self, size: Resolution) -> Vec<Rect> {
        let mut rects = Vec::new();
        for (row, mut intervals) in self.0 {
            if !(0..size.height as i32).contains(&row) {
                continue;
            }
            intervals.sort_unstable();
            let mut end = 0;
            for (from, to) in intervals {
                let (from, to) = (from.max(end), to.min(size.width as i32));
                if from < to {
                    rects.push(Rect::new(from, row, (to - from) as u32, 1));
                    end = to;
                }
            }
        }
        rects
    }
}

/// Where the line between two places crosses a row.
fn crossing((ax, ay): (f32, f32), (bx, by): (f32, f32), y: f32) -> Option<f32> {
    let within = ay.min(by) <= y && y <= ay.max(by) && ay != by;
    within.then(|| ax + (bx - ax) * (y - ay) / (by - ay))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::pointer::Point;
    use proptest::prelude::*;
    use signaling_protocol::PeerId;

    const SIZE: Resolution = Resolution::new(1920, 1080);

    /// The same moment each time.
    fn start() -> Instant {
        static START: LazyLock<Instant> = LazyLock::new(|| crate::clock::now() + Duration::from_secs(3_600));
        *START
    }

    fn marks(pointer: Option<(f32, f32)>, strokes: Vec<Vec<(f32, f32)>>) -> Marks {
        let point = |(x, y): (f32, f32)| Point::of(x, y).unwrap();
        let stroke = |points: Vec<(f32, f32)>| Mark {
            points: points.into_iter().map(point).collect(),
            since: start(),
        };
        Marks {
            peer: PeerId::new("ada").unwrap(),
            name: "Ada".to_owned(),
            screen: PeerId::new("bob").unwrap(),
            pointer: pointer.map(point),
            strokes: strokes.into_iter().map(stroke).collect(),
        }
    }

    fn drawn(marks: Marks, now: Instant) -> Drawing {
        draw(&[marks], SIZE, now, |text| (8 * text.len() as u32, 13))
    }

    /// The colour of a pixel, if it is drawn.
    fn at(drawing: &Drawing, x: i32, y: i32) -> Option<Colour> {
        let here = |rects: &Vec<Rect>| rects.iter().any(|rect| rect.contains(x, y));
        drawing.fills.iter().rev().find(|(_, rects)| here(rects)).map(|(colour, _)| *colour)
    }

    #[test]
    fn the_tip_of_the_arrow_is_where_the_pointer_is() {
        let drawing = drawn(marks(Some((0.25, 0.5)), Vec::new()), start());
        let ink = colour(&PeerId::new("ada").unwrap());
        assert_eq!(at(&drawing, 480, 542), Some(ink));
        assert_eq!(at(&drawing, 478, 539), None);
        let left = drawing.rects().map(|rect| rect.x).min().unwrap();
        let top = drawing.rects().map(|rect| rect.y).min().unwrap();
        assert!((478..=480).contains(&left) && (538..=540).contains(&top), "{left}, {top}");
    }

    #[test]
    fn a_stroke_goes_through_its_points_with_an_edge_around_it() {
        let drawing = drawn(marks(None, vec![vec![(0.25, 0.5), (0.5, 0.5)]]), start());
        let ink = colour(&PeerId::new("ada").unwrap());
        assert_eq!((at(&drawing, 700, 539), at(&drawing, 700, 540)), (Some(ink), Some(ink)));
        assert_eq!((at(&drawing, 700, 537), at(&drawing, 700, 535)), (Some(EDGE), None));
        let dot = drawn(marks(None, vec![vec![(0.5, 0.5)]]), start());
        assert_eq!(at(&dot, 960, 540), Some(ink), "a press without a movement is seen too");
    }

    #[test]
    fn a_stroke_becomes_thin_and_goes() {
        let faded = |seconds: f32| {
            let now = start() + Duration::from_secs_f32(seconds);
            drawn(marks(None, vec![vec![(0.25, 0.5), (0.5, 0.5)]]), now).rects().count()
        };
        assert!(faded(3.9) > faded(4.9) && faded(5.1) == 0);
        let marks = [marks(None, vec![vec![(0.1, 0.1)]])];
        assert_eq!(next_change(&marks, start()), Some(start() + Duration::from_secs(4)));
        let late = start() + Duration::from_millis(4_500);
        assert_eq!(next_change(&marks, late), Some(late + FADE));
    }

    #[test]
    fn a_name_stands_where_there_is_room_for_it() {
        for at in [(0.0, 0.0), (1.0, 1.0), (0.999, 0.3), (0.3, 0.999)] {
            let drawing = drawn(marks(Some(at), Vec::new()), start());
            let (x, y) = drawing.names[0].at;
            assert!((0..=1920 - 24).contains(&x) && (0..=1080 - 13).contains(&y), "{at:?}: {x}, {y}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_drawn_outside(points in proptest::collection::vec((0.0_f32..=1.0, 0.0_f32..=1.0), 1..20), width in 1_u32..3000, height in 1_u32..3000) {
            let size = Resolution::new(width, height);
            let pointer = points.first().copied();
            let drawing = draw(&[marks(pointer, vec![points])], size, start(), |_| (30, 13));
            for rect in drawing.rects() {
                prop_assert_eq!(rect.common(Rect::of(size)), Some(rect));
            }
        }
    }
}
