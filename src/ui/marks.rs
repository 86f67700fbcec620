//! What people point at and draw, over a shared picture.

use std::time::Instant;

use eframe::egui::{Align2, Color32, Painter, Pos2, Shape, Stroke, Ui, Vec2, pos2, vec2};
use signaling_protocol::PeerId;

use super::theme::{self, size};
use super::wake::IN_SOFTWARE;
use super::widgets::text;
use super::zoom::Part;
use crate::clock;
use crate::pointer::{Mark, Marks, Point, colour};

/// As thick as a stroke is, in points, and the edge around it.
const STROKE: f32 = 4.0;
const EDGE: f32 = 1.3;

/// An arrow that points at the origin, as two triangles.
const ARROW: [[(f32, f32); 3]; 2] =
    [[(0.0, 0.0), (0.0, 19.0), (5.2, 14.0)], [(0.0, 0.0), (5.2, 14.0), (13.6, 13.2)]];

/// The outline of it.
const OUTLINE: [(f32, f32); 4] = [(0.0, 0.0), (0.0, 19.0), (5.2, 14.0), (13.6, 13.2)];

/// How large names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Beside the arrows.
    Shown,
    /// There is no room.
    Hidden,
}

/// Where a place of the picture is drawn.
pub fn on_screen(part: &Part, point: Point) -> Pos2 {
    let (x, y) = point.shares();
    part.rect.min + (pos2(x, y) - part.uv.min) / part.uv.size() * part.rect.size()
}

/// The place of the picture that is drawn there; `None` beside it.
pub fn on_picture(part: &Part, at: Pos2) -> Option<Point> {
    if !part.rect.contains(at) || part.rect.area() <= 0.0 {
        return None;
    }
    let share = part.uv.min + (at - part.rect.min) / part.rect.size() * part.uv.size();
    Point::of(share.x.clamp(0.0, 1.0), share.y.clamp(0.0, 1.0))
}

/// Draws what is seen on the screen of `screen`, of which `part` is drawn. The system draws the pointer of
/// `me`.
pub fn show(ui: &Ui, part: &Part, marks: &[Marks], screen: &PeerId, me: Option<&PeerId>, names: Names) {
    let painter = ui.painter().with_clip_rect(part.rect.intersect(ui.clip_rect()));
    let now = clock::now();
    for person in marks.iter().filter(|marks| marks.screen == *screen) {
        let [r, g, b] = colour(&person.peer);
        let ink = Color32::from_rgb(r, g, b);
        for mark in &person.strokes {
            stroke(&painter, part, mark, ink, now);
            wake(ui, mark, now);
        }
        if let Some(at) = person.pointer.filter(|_| me != Some(&person.peer)) {
            let name = match names {
                Names::Shown => person.name.as_str(),
                Names::Hidden => "",
            };
            arrow(&painter, on_screen(part, at), ink, name);
        }
    }
}

/// Draws it again when it looks different.
fn wake(ui: &Ui, mark: &Mark, now: Instant) {
    let wait = mark.fades_at().saturating_duration_since(now);
    ui.ctx().request_repaint_after(if wait.is_zero() { IN_SOFTWARE / 2 } else { wait });
}

fn stroke(painter: &Painter, part: &Part, mark: &Mark, ink: Color32, now: Instant) {
    let strength = mark.strength(now);
    if strength <= 0.0 {
        return;
    }
    let points: Vec<Pos2> = mark.points.iter().map(|point| on_screen(part, *point)).collect();
    for (colour, width) in [(Color32::WHITE, STROKE + 2.0 * EDGE), (ink, STROKE)] {
        let colour = colour.gamma_multiply(strength);
        // Round ends; one point is a dot.
        for end in [points.first(), points.last()].into_iter().flatten() {
            painter.circle_filled(*end, width / 2.0, colour);
        }
        painter.add(Shape::line(points.clone(), Stroke::new(width, colour)));
    }
}

fn arrow(painter: &Painter, tip: Pos2, ink: Color32, name: &str) {
    let corner = |(x, y): (f32, f32)| tip + vec2(x, y);
    let line = Stroke::new(2.0 * EDGE, Color32::WHITE);
    painter.add(Shape::closed_line(OUTLINE.map(corner).to_vec(), line));
    for triangle in ARROW {
        painter.add(Shape::convex_polygon(triangle.map(corner).to_vec(), ink, Stroke::NONE));
    }
    if name.is_empty() {
        return;
    }
    let line = text::line(painter, name, theme::strong(size::SMALL), Color32::WHITE, 160.0);
    let pill = line.size() + vec2(14.0, 6.0);
    let room = painter.clip_rect();
    let beside = |at: f32, by: f32, length: f32, end: f32| {
        if at + by + length <= end { at + by } else { at - 4.0 - length }
    };
    let corner = pos2(beside(tip.x, 14.0, pill.x, room.right()), beside(tip.y, 15.0, pill.y, room.bottom()));
    let pill = eframe::egui::Rect::from_min_size(corner, pill);
    painter.rect_filled(pill.expand(1.0), pill.height() / 2.0 + 1.0, Color32::WHITE);
    painter.rect_filled(pill, pill.height() / 2.0, ink);
    text::place(painter, line, pill.center() + Vec2::ZERO, Align2::CENTER_CENTER);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::zoom::{Looked, Scale, Zoom};
    use eframe::egui::Rect;

    /// Every way to look at a screen, with displays of one, two and one and a half pixels to a point.
    fn looks() -> impl Iterator<Item = (Looked, Part)> {
        let pictures = [vec2(1920.0, 1080.0), vec2(3840.0, 2160.0), vec2(641.0, 433.0)];
        let scales = [Scale::Fit, Scale::Fill, Scale::Actual, Scale::By(0.7), Scale::By(3.3)];
        pictures.into_iter().flat_map(move |picture| {
            scales.into_iter().flat_map(move |scale| {
                [1.0, 2.0, 1.5].into_iter().map(move |pixels_per_point| {
                    let place = Rect::from_min_size(pos2(37.5, 81.25), vec2(1013.0, 617.0));
                    let looked = Looked { picture, place, pixels_per_point };
                    let mut zoom = Zoom::default();
                    zoom.choose(scale);
                    zoom.drag(&looked, vec2(-70.0, 33.0));
                    (looked, zoom.part(&looked))
                })
            })
        })
    }

    #[test]
    fn what_is_pointed_at_is_the_same_pixel_of_the_picture_however_it_is_looked_at() {
        let mut worst = 0.0_f32;
        for (looked, part) in looks() {
            for share in [vec2(0.01, 0.01), vec2(0.5, 0.37), vec2(0.99, 0.99)] {
                let at = part.rect.min + share * part.rect.size();
                let point = on_picture(&part, at).expect("it is on the picture");
                assert!((on_screen(&part, point) - at).length() < 0.15, "{looked:?} {part:?}");
                // The same pixel, computed from the pixels of the display.
                let (x, y) = point.shares();
                let pixel = vec2(x, y) * looked.picture;
                let expected = (part.uv.min.to_vec2() + share * part.uv.size()) * looked.picture;
                worst = worst.max((pixel - expected).abs().max_elem());
            }
        }
        assert!(worst < 0.5, "{worst} pixels");
        println!("position error of a viewer's pointer in the picture: at most {worst:.3} pixels");
    }

    #[test]
    fn beside_the_picture_nothing_is_pointed_at() {
        for (looked, part) in looks() {
            assert_eq!(on_picture(&part, looked.place.min - vec2(1.0, 1.0)), None);
            assert_eq!(on_picture(&part, part.rect.max + vec2(0.5, 0.0)), None);
        }
    }
}
