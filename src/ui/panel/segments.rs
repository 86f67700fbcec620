//! A few choices side by side, one of them made: tabs and switches of the panel.

use eframe::egui::{Align2, CursorIcon, Rect, Role, Sense, Ui, WidgetInfo, vec2};

use crate::ui::theme::{self, size};
use crate::ui::widgets::button::focus_ring;
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// What the choices are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Tabs: each shows another thing below.
    Tabs,
    /// Ways to look at one thing.
    Choices,
}

/// Draws them `width` wide; the chosen one is changed by a click or by the arrow keys.
pub fn segments<T: Copy + PartialEq>(
    ui: &mut Ui,
    kind: Kind,
    choices: &[(T, Word)],
    current: &mut T,
    width: f32,
) -> bool {
    let t = theme::tokens(ui.ctx());
    let (height, role, font) = match kind {
        Kind::Tabs => (36.0, Role::Tab, theme::strong(size::BODY - 0.5)),
        Kind::Choices => (28.0, Role::RadioButton, theme::font(size::SMALL)),
    };
    let (row, _) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
    ui.painter().rect_filled(row, f32::from(size::RADIUS), t.well);
    let each = (row.width() - 6.0) / choices.len().max(1) as f32;
    let before = *current;
    for (index, (choice, word)) in choices.iter().enumerate() {
        let rect =
            Rect::from_min_size(row.min + vec2(3.0 + index as f32 * each, 3.0), vec2(each, height - 6.0));
        let response = ui.interact(rect, ui.scope_id().with(("segment", word.text())), Sense::click());
        let chosen = before == *choice;
        response.widget_info(|| WidgetInfo::selected(role, true, chosen, word.text()));
        if chosen {
            ui.painter().rect_filled(rect, f32::from(size::RADIUS) - 2.0, t.button);
        }
        let color = if chosen || response.hovered() { t.text } else { t.soft };
        let galley = text::line(ui.painter(), word.text(), font.clone(), color, each - 4.0);
        text::place(ui.painter(), galley, rect.center(), Align2::CENTER_CENTER);
        focus_ring(ui, rect, &response, size::RADIUS - 2);
        if response.clicked() {
            *current = *choice;
        }
        response.on_hover_cursor(CursorIcon::PointingHand);
    }
    *current != before
}
