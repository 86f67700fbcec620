//! Text that is placed by hand: never wider than its room, and always in the accessibility tree.

use std::sync::Arc;

use eframe::egui::epaint::text::{LayoutJob, TextFormat, TextWrapping};
use eframe::egui::{self, Align2, Color32, FontId, Galley, Painter, Pos2, Rect, Role, Sense, Ui, WidgetInfo};

/// Lays out one line, cut with an ellipsis where it would be wider than `width`.
pub fn line(painter: &Painter, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    // A name or a sentence of a stranger may hold line breaks.
    let text = text.replace(['\n', '\r', '\t'], " ");
    let mut job = LayoutJob::single_section(text, TextFormat { font_id: font, color, ..Default::default() });
    job.wrap =
        TextWrapping { max_width: width.max(0.0), max_rows: 1, break_anywhere: true, ..Default::default() };
    painter.layout_job(job)
}

/// Lays out a paragraph of at most `width`, its lines centred.
pub fn paragraph(painter: &Painter, text: &str, font: FontId, color: Color32, width: f32) -> Arc<Galley> {
    let mut job =
        LayoutJob::single_section(text.to_owned(), TextFormat { font_id: font, color, ..Default::default() });
    job.wrap.max_width = width;
    job.halign = egui::Align::Center;
    painter.layout_job(job)
}

/// Paints a laid-out text so that its `anchor` lies on `at`; gives where it is.
pub fn place(painter: &Painter, galley: Arc<Galley>, at: Pos2, anchor: Align2) -> Rect {
    let rect = anchor.anchor_size(at, galley.size());
    painter.galley(rect.min, galley, Color32::PLACEHOLDER);
    rect
}

/// Puts what was painted into the accessibility tree.
pub fn label(ui: &Ui, rect: Rect, id: &str, text: &str) {
    let response = ui.interact(rect, ui.scope_id().with(id), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
}

/// The same, and a screen reader says it when it changes.
pub fn status(ui: &Ui, rect: Rect, id: &str, text: &str) {
    let response = ui.interact(rect, ui.scope_id().with(id), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, text));
    announce(ui, response.id);
}

/// A screen reader says this widget's text when it changes.
pub fn announce(ui: &Ui, id: egui::Id) {
    ui.ctx().accesskit_node_builder(id, |node| node.set_live(egui::accesskit::Live::Polite));
}
