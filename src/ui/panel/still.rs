//! A still picture of the panel, painted again beside a picture that moves.
//!
//! The window is laid out for every frame of the video, some thirty times a second; the panel
//! changes a few times a second. Between two changes, and while nobody touches it, its triangles of
//! last time are painted again, which costs a copy.

use std::sync::Arc;

use eframe::egui::epaint::Primitive;
use eframe::egui::{Mesh, Rect, Shape, Theme, Ui};

/// How often the panel is laid out anew while the window is drawn more often, in seconds.
pub const EVERY: f64 = 0.25;

/// How long after it was touched it is laid out with every frame, in seconds: what moves under the
/// pointer comes to rest.
const TOUCHED: f64 = 0.4;

/// The picture, and what it shows.
#[derive(Default)]
pub struct Still {
    meshes: Vec<(Rect, Arc<Mesh>)>,
    of: Option<Of>,
    drawn_at: f64,
    touched_at: f64,
    by_fingers: bool,
}

/// What makes a picture another one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Of {
    place: Rect,
    scale: f32,
    theme: Theme,
    /// Letters are rectangles of this image; when it is made anew they lie elsewhere.
    letters: [usize; 2],
    version: usize,
}

impl std::fmt::Debug for Still {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Still({} meshes)", self.meshes.len())
    }
}

impl Still {
    /// Draws the contents of `place` or, if that shows nothing new, their picture. `version` tells
    /// one state of what is shown from another; contents of the same version look the same.
    pub fn show(&mut self, ui: &mut Ui, place: Rect, version: usize, add: impl FnOnce(&mut Ui)) {
        let ctx = ui.ctx().clone();
        let now = ctx.input(|input| input.time);
        let of = Of {
            place,
            scale: ctx.pixels_per_point(),
            theme: ctx.theme(),
            letters: ctx.fonts(|fonts| fonts.font_image_size()),
            version,
        };
        // A finger presses where nothing was pointed at before: everything has to be there already.
        self.by_fingers |= ctx.input(|input| input.any_touches());
        if self.by_fingers || is_touched(ui, place) {
            self.touched_at = now;
        }
        let rests = now - self.touched_at > TOUCHED;
        let same = self.of.is_some_and(|old| Of { version, ..old } == of);
        let current = self.of == Some(of) || now - self.drawn_at < EVERY;
        if rests && same && current {
            for (clip, mesh) in &self.meshes {
                ui.painter().with_clip_rect(*clip).add(Shape::Mesh(Arc::clone(mesh)));
            }
            if self.of != Some(of) {
                // The newer state is shown a little later.
                ctx.request_repaint_after_secs((self.drawn_at + EVERY - now).max(0.0) as f32);
            }
            return;
        }
        let layer = ui.layer_id();
        let count =
            || ctx.graphics(|graphics| graphics.get(layer).map_or(0, |list| list.all_entries().len()));
        let before = count();
        add(ui);
        self.of = Some(of);
        self.drawn_at = now;
        self.meshes.clear();
        if now - self.touched_at <= TOUCHED {
            // Not worth a picture, and the one who reads with a screen reader gets none.
            self.of = None;
            return;
        }
        let shapes = ctx.graphics(|graphics| {
            let list = graphics.get(layer).map(|list| list.all_entries().skip(before).cloned().collect());
            list.unwrap_or_default()
        });
        for primitive in ctx.tessellate(shapes, of.scale) {
            match primitive.primitive {
                Primitive::Mesh(mesh) => self.meshes.push((primitive.clip_rect, Arc::new(mesh))),
                Primitive::Callback(_) => {}
            }
        }
    }
}

/// Whether somebody points at it, types into it, or has it read out; then it is laid out in full,
/// since what is not laid out can neither be clicked nor read.
fn is_touched(ui: &Ui, place: Rect) -> bool {
    let ctx = ui.ctx();
    let pointed = ctx.input(|input| {
        let inside = input.pointer.latest_pos().is_some_and(|at| place.expand(8.0).contains(at));
        inside || input.pointer.any_down()
    });
    let focused = ctx.memory(|memory| memory.focused()).and_then(|id| ctx.read_response(id));
    let typed = focused.is_some_and(|response| place.intersects(response.rect));
    let read_out = ctx.accesskit_node_builder(ui.unique_id(), |_| ()).is_some();
    pointed || typed || read_out || ctx.any_popup_open()
}

#[cfg(test)]
mod tests {
    use eframe::egui::{Context, Event, RawInput, pos2, vec2};

    use super::*;

    struct Window {
        ctx: Context,
        still: Still,
        time: f64,
        version: usize,
        laid_out: usize,
    }

    impl Window {
        fn frame(&mut self, after: f64, events: Vec<Event>) -> usize {
            self.time += after;
            let screen = Rect::from_min_size(pos2(0.0, 0.0), vec2(200.0, 200.0));
            let input =
                RawInput { time: Some(self.time), screen_rect: Some(screen), events, ..RawInput::default() };
            let ctx = self.ctx.clone();
            let mut triangles = 0;
            let mut output = ctx.run_ui(input, |ui| {
                let place = Rect::from_min_size(pos2(100.0, 0.0), vec2(100.0, 200.0));
                let laid_out = &mut self.laid_out;
                self.still.show(ui, place, self.version, |ui| {
                    *laid_out += 1;
                    ui.label("a few words");
                });
            });
            output.textures_delta.clear();
            for primitive in ctx.tessellate(std::mem::take(&mut output.shapes), 1.0) {
                if let Primitive::Mesh(mesh) = primitive.primitive {
                    triangles += mesh.indices.len() / 3;
                }
            }
            triangles
        }
    }

    #[test]
    fn what_shows_nothing_new_is_painted_but_not_laid_out_again() {
        let ctx = Context::default();
        let mut window = Window { ctx, still: Still::default(), time: 10.0, version: 1, laid_out: 0 };
        window.frame(0.0, Vec::new());
        let painted = window.frame(0.03, Vec::new());
        let before = window.laid_out;
        for _ in 0..30 {
            assert_eq!(window.frame(0.03, Vec::new()), painted);
        }
        assert_eq!(window.laid_out, before, "nothing has changed");
        assert!(painted > 0);
        for _ in 0..100 {
            window.version += 1;
            window.frame(0.01, Vec::new());
        }
        let times = window.laid_out - before;
        assert!((3..=6).contains(&times), "a second of changes: {times} times");
    }

    #[test]
    fn under_the_pointer_it_is_laid_out_with_every_frame() {
        let ctx = Context::default();
        let mut window = Window { ctx, still: Still::default(), time: 10.0, version: 1, laid_out: 0 };
        window.frame(0.0, Vec::new());
        window.frame(0.03, vec![Event::PointerMoved(pos2(150.0, 50.0))]);
        let before = window.laid_out;
        for _ in 0..5 {
            window.frame(0.03, Vec::new());
        }
        assert!(window.laid_out - before >= 5);
    }
}
