//! A line of text to type into, and a switch.

use eframe::egui::{
    self, Align2, CornerRadius, Frame, Margin, Response, Role, Sense, Stroke, StrokeKind, TextEdit, Ui,
    WidgetInfo, pos2, vec2,
};

use super::button::focus_ring;
use super::text;
use crate::ui::theme::{self, size, space};

/// A field with an accessible name; as wide as there is room, or `width`.
pub fn text_field(
    ui: &mut Ui,
    name: &str,
    hint: &str,
    value: &mut String,
    limit: usize,
    width: f32,
) -> Response {
    let t = theme::tokens(ui.ctx());
    let margin = Margin::symmetric(space::M as i8, 10);
    let response = ui.add(
        TextEdit::singleline(value)
            .id(ui.scope_id().with(name))
            .hint_text(hint)
            .char_limit(limit)
            .margin(margin)
            .align(egui::Align2::LEFT_CENTER)
            .desired_width(width)
            .min_size(vec2(width, 0.0))
            .frame(
                Frame::NONE.fill(t.well).corner_radius(CornerRadius::same(size::RADIUS)).inner_margin(margin),
            ),
    );
    ui.ctx().accesskit_node_builder(response.id, |node| node.set_label(name));
    let stroke = if response.has_focus() { Stroke::new(2.0, t.accent) } else { Stroke::new(1.0, t.line) };
    ui.painter().rect_stroke(response.rect, CornerRadius::same(size::RADIUS), stroke, StrokeKind::Inside);
    response
}

/// A switch with its name before it and a line of explanation below; says whether it was turned.
pub fn switch(ui: &mut Ui, name: &str, hint: &str, on: &mut bool) -> bool {
    let t = theme::tokens(ui.ctx());
    let width = ui.available_width();
    let (rect, response) = ui.allocate_exact_size(vec2(width, 46.0), Sense::click());
    let turned = response.clicked();
    if turned {
        *on = !*on;
    }
    response.widget_info(|| WidgetInfo::selected(Role::Switch, ui.is_enabled(), *on, name));
    let painter = ui.painter();
    let room = width - 60.0;
    let title = text::line(painter, name, theme::font(size::BODY), t.text, room);
    text::place(painter, title, rect.left_top() + vec2(0.0, 4.0), Align2::LEFT_TOP);
    let hint = text::line(painter, hint, theme::font(size::SMALL), t.soft, room);
    text::place(painter, hint, rect.left_top() + vec2(0.0, 24.0), Align2::LEFT_TOP);
    let track = egui::Rect::from_center_size(pos2(rect.right() - 20.0, rect.center().y), vec2(40.0, 24.0));
    let how_on = ui.ctx().animate_bool_responsive(response.id, *on);
    painter.rect_filled(track, CornerRadius::same(12), t.button_hover.lerp_to_gamma(t.accent, how_on));
    let knob = pos2(egui::lerp(track.left() + 12.0..=track.right() - 12.0, how_on), track.center().y);
    painter.circle_filled(knob, 9.0, egui::Color32::WHITE);
    focus_ring(ui, track, &response, 12);
    response.on_hover_cursor(egui::CursorIcon::PointingHand);
    turned
}
