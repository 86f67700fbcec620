//! Of a long list only what is in sight is drawn; for the rest it is known how high it was.

use std::collections::BTreeMap;

use eframe::egui::{Id, Rect, Ui, vec2};

/// Things whose heights are known; when there are more all are measured again.
const MOST: usize = 4_000;

/// What tells a thing that is drawn from others, and whether it follows one of the same person.
type Key = (u64, bool);

/// How high things of a list are, at one width.
#[derive(Clone, Debug, Default)]
pub struct Heights {
    width: f32,
    known: BTreeMap<Key, f32>,
}

impl Heights {
    /// Those of the last time that this list was drawn.
    pub fn take(ui: &Ui) -> Self {
        let known: Option<Self> = ui.ctx().data_mut(|data| data.remove_temp(id(ui)));
        let width = ui.available_width();
        known
            .filter(|known| known.width == width && known.known.len() <= MOST)
            .unwrap_or(Self { width, known: BTreeMap::new() })
    }

    /// Keeps them for the next time.
    pub fn keep(self, ui: &Ui) {
        ui.ctx().data_mut(|data| data.insert_temp(id(ui), self));
    }

    /// Draws a thing below the others, or leaves its room. What is a page away is drawn too, so that a
    /// screen reader goes on reading where the picture ends.
    pub fn draw(&mut self, ui: &mut Ui, key: Key, draw: impl FnOnce(&mut Ui)) {
        let top = ui.cursor().min;
        if let Some(high) = self.known.get(&key) {
            let sight = ui.clip_rect();
            let near = sight.expand2(vec2(0.0, sight.height()));
            if !near.intersects(Rect::from_min_size(top, vec2(self.width, *high))) {
                return ui.add_space(*high);
            }
        }
        draw(ui);
        self.known.insert(key, ui.cursor().top() - top.y);
    }
}

fn id(ui: &Ui) -> Id {
    ui.scope_id().with("heights")
}
