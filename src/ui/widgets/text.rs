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

/// The text, or as much of its beginning and its end as `fits`: the end of a file's name says what it is.
pub fn shortened(text: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(text) {
        return text.to_owned();
    }
    let letters: Vec<char> = text.chars().collect();
    let kept = |count: usize| -> String {
        let end = count / 3;
        let (begin, end) = (&letters[..count - end], &letters[letters.len() - end..]);
        begin.iter().chain(&['\u{2026}']).chain(end).collect()
    };
    let (mut fit, mut too_many) = (0, letters.len());
    while fit + 1 < too_many {
        let middle = fit.midpoint(too_many);
        if fits(&kept(middle)) { fit = middle } else { too_many = middle }
    }
    kept(fit)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        let within = |most: usize| move |text: &str| text.chars().count() <= most;
        assert_eq!(shortened("notes.txt", within(9)), "notes.txt");
        assert_eq!(shortened("The report of the north, final.pdf", within(16)), "The report\u{2026}l.pdf");
        assert_eq!(shortened("notes.txt", within(0)), "\u{2026}");
        assert_eq!(shortened("", within(0)), "");
    }

    proptest! {
        #[test]
        fn whatever_the_name_it_is_made_to_fit(name: String, most in 1_usize..40) {
            let short = shortened(&name, |text| text.chars().count() <= most);
            prop_assert!(short.chars().count() <= most);
            prop_assert!(short.chars().count() == most.min(name.chars().count()));
        }
    }
}
