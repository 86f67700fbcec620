//! "Test my connection": what a call needs, tried before it, with the result in words.

use eframe::egui::{Align2, Id, Label, Modal, Rect, RichText, ScrollArea, Sense, Spinner, Ui, vec2};

use crate::doctor::{Check, Outcome, Progress, Report, Step};
use crate::ui::action::UiAction;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::model::UiModel;
use crate::ui::theme::{self, Tokens, size, space};
use crate::ui::widgets::button::{IconButton, Kind, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// How long the button says that it has copied, in seconds.
const COPIED_FOR: f64 = 2.0;

/// How far a test is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkup {
    /// What was begun, in that order.
    pub items: Vec<Item>,
    /// The result, once everything is done.
    pub report: Option<Report>,
    /// It ended without a result; one sentence says why.
    pub trouble: Option<String>,
    copied_at: Option<f64>,
}

/// One thing that is tested.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What.
    pub step: Step,
    /// Which one.
    pub subject: String,
    /// How it ended; `None` while it runs.
    pub check: Option<Check>,
}

impl Checkup {
    /// Takes over what happened.
    pub fn take(&mut self, progress: Progress) {
        match progress {
            Progress::Begun { step, subject } => self.items.push(Item { step, subject, check: None }),
            Progress::Checked(check) => {
                // A device's name is known only when it is open.
                let same = |item: &&mut Item| {
                    let nameless = item.subject.is_empty();
                    item.check.is_none()
                        && item.step == check.step
                        && (nameless || item.subject == check.subject)
                };
                match self.items.iter_mut().find(same) {
                    Some(item) => {
                        item.subject.clone_from(&check.subject);
                        item.check = Some(check);
                    }
                    None => {
                        let (step, subject) = (check.step, check.subject.clone());
                        self.items.push(Item { step, subject, check: Some(check) });
                    }
                }
            }
            Progress::Finished(report) => self.report = Some(report),
        }
    }

    /// The test ended; without a report that is a fault.
    pub fn ended(&mut self) {
        if self.report.is_none() {
            self.trouble = Some(Word::CheckupStopped.text().to_owned());
        }
    }

    /// Whether it goes on.
    pub fn runs(&self) -> bool {
        self.report.is_none() && self.trouble.is_none()
    }

    /// The share of what was begun that is done. More may begin, so it is never quite all of it.
    fn share(&self) -> f32 {
        if self.report.is_some() {
            return 1.0;
        }
        let done = self.items.iter().filter(|item| item.check.is_some()).count();
        0.95 * done as f32 / (self.items.len() as f32).max(6.0)
    }
}

/// Draws it over the start screen, while it is open.
pub fn show(ui: &Ui, model: &mut UiModel, actions: &mut Vec<UiAction>) {
    let Some(mut checkup) = model.checkup.take() else { return };
    let window = ui.ctx().content_rect();
    let modal = Modal::new(Id::unique("checkup")).frame(theme::dialog(ui)).show(ui.ctx(), |ui| {
        ui.set_width((window.width() - 60.0).min(560.0));
        ui.spacing_mut().item_spacing.y = space::S;
        ui.horizontal(|ui| {
            ui.label(RichText::new(Word::TestConnection.text()).font(theme::strong(size::TITLE - 4.0)));
            ui.add_space(ui.available_width() - size::ROUND_SMALL - space::S);
            let close = IconButton::new(Icon::X, Word::CloseCheckup.text()).kind(Kind::Quiet).small();
            if close.show(ui).clicked() {
                actions.push(UiAction::CloseCheckup);
            }
        });
        summary(ui, &checkup);
        let height = (window.height() - 250.0).max(120.0);
        ScrollArea::vertical().max_height(height).auto_shrink([false, true]).show(ui, |ui| {
            ui.set_width(ui.available_width() - space::S);
            for item in &checkup.items {
                row(ui, item);
            }
        });
        ui.add_space(space::XS);
        buttons(ui, &mut checkup, actions);
    });
    if modal.should_close() {
        actions.push(UiAction::CloseCheckup);
    }
    model.checkup = Some(checkup);
}

fn summary(ui: &mut Ui, checkup: &Checkup) {
    let t = theme::tokens(ui.ctx());
    let (words, color) = match (&checkup.report, &checkup.trouble) {
        (Some(report), _) => (report.text.as_str(), if report.passed { t.good } else { t.bad }),
        (None, Some(trouble)) => (trouble.as_str(), t.bad),
        (None, None) => (Word::CheckupRuns.text(), t.soft),
    };
    let sentence = RichText::new(words).font(theme::strong(size::BODY + 1.0)).color(color);
    let label = ui.add(Label::new(sentence).wrap());
    text::announce(ui, label.id);
    let (track, _) = ui.allocate_exact_size(vec2(ui.available_width(), 6.0), Sense::hover());
    ui.painter().rect_filled(track, 3.0, t.well);
    let share = if checkup.trouble.is_some() { 1.0 } else { checkup.share() };
    let done = track.with_max_x(track.left() + track.width() * share);
    ui.painter().rect_filled(done, 3.0, if checkup.runs() { t.accent } else { color });
}

const fn face(t: &Tokens, outcome: Outcome) -> (Icon, eframe::egui::Color32) {
    match outcome {
        Outcome::Passed => (Icon::CHECK_CIRCLE, t.good),
        Outcome::Skipped => (Icon::INFO, t.soft),
        Outcome::Warning => (Icon::WARNING, t.warn),
        Outcome::Failed => (Icon::X_CIRCLE, t.bad),
    }
}

fn row(ui: &mut Ui, item: &Item) {
    let t = theme::tokens(ui.ctx());
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        // Labels are no buttons: they need no height to be hit.
        ui.spacing_mut().interact_size.y = 22.0;
        let (place, _) = ui.allocate_exact_size(vec2(24.0, 22.0), Sense::hover());
        match &item.check {
            Some(check) => {
                let (icon, color) = face(t, check.outcome);
                let font = icons::font(Weight::Fill, 18.0);
                ui.painter().text(place.center(), Align2::CENTER_CENTER, icon.char(), font, color);
            }
            None => {
                let spinner = Rect::from_center_size(place.center(), vec2(16.0, 16.0));
                ui.put(spinner, Spinner::new().size(16.0).color(t.accent));
            }
        }
        ui.vertical(|ui| {
            ui.horizontal(|ui| {
                ui.label(RichText::new(item.step.title()).font(theme::strong(size::BODY)).color(t.text));
                if !item.subject.is_empty() {
                    let subject = RichText::new(&item.subject).size(size::SMALL).color(t.soft);
                    ui.add(Label::new(subject).truncate());
                }
            });
            let words = item.check.as_ref().map_or(Word::CheckRuns.text(), |check| check.text.as_str());
            ui.add(Label::new(RichText::new(words).size(size::SMALL + 0.5).color(t.soft)).wrap());
            if let Some(advice) = item.check.as_ref().and_then(|check| check.advice.as_deref()) {
                ui.add(Label::new(RichText::new(advice).size(size::SMALL + 0.5).color(t.text)).wrap());
            }
        });
    });
    let line = ui.min_rect();
    ui.painter().hline(line.x_range(), line.bottom() + 3.0, (1.0, t.line.gamma_multiply(0.6)));
    ui.add_space(space::XS);
}

fn buttons(ui: &mut Ui, checkup: &mut Checkup, actions: &mut Vec<UiAction>) {
    let now = ui.input(|input| input.time);
    ui.horizontal(|ui| {
        let again = TextButton::new(Word::TestAgain.text()).icon(Icon::ARROWS_CLOCKWISE).kind(Kind::Primary);
        if !checkup.runs() && again.show(ui).clicked() {
            actions.push(UiAction::StartCheckup);
        }
        let Some(report) = &checkup.report else { return };
        let left = checkup.copied_at.map(|at| at + COPIED_FOR - now).filter(|left| *left > 0.0);
        let copy = match left {
            Some(_) => TextButton::new(Word::Copied.text()).icon(Icon::CHECK),
            None => TextButton::new(Word::CopyResult.text()).icon(Icon::COPY),
        };
        if let Some(left) = left {
            ui.ctx().request_repaint_after_secs(left as f32);
        }
        if copy.show(ui).clicked() {
            checkup.copied_at = Some(now);
            actions.push(UiAction::CopyText(report.in_words()));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_ends_the_row_that_it_began() {
        let mut checkup = Checkup::default();
        for subject in ["stun:a", "stun:b"] {
            checkup.take(Progress::Begun { step: Step::Stun, subject: subject.into() });
        }
        let check = Check::new(Step::Stun, "stun:b", Outcome::Failed, "No answer.");
        checkup.take(Progress::Checked(check.clone()));
        assert_eq!(checkup.items[1].check.as_ref(), Some(&check));
        assert!(checkup.items[0].check.is_none() && checkup.runs() && checkup.share() < 1.0);
        // A device is nameless until it is open.
        checkup.take(Progress::Begun { step: Step::Camera, subject: String::new() });
        checkup.take(Progress::Checked(Check::new(Step::Camera, "Webcam", Outcome::Passed, "It works.")));
        assert_eq!((checkup.items.len(), checkup.items[2].subject.as_str()), (3, "Webcam"));
        assert!(checkup.items[2].check.is_some());
        checkup.take(Progress::Finished(Report::new(vec![check], 1.0)));
        checkup.ended();
        assert!(!checkup.runs() && checkup.trouble.is_none());
    }

    #[test]
    fn a_test_that_ends_without_a_result_says_so() {
        let mut checkup = Checkup::default();
        checkup.ended();
        assert!(checkup.trouble.is_some() && !checkup.runs());
    }
}
