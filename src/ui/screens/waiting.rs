//! What stands in the middle of the call screen until somebody is there.

use eframe::egui::{
    Align2, CornerRadius, FontFamily, FontId, Rect, Spinner, Stroke, StrokeKind, Ui, pos2, vec2,
};

use super::{header, visitor};
use crate::engine::command::Command;
use crate::engine::view::{CallPhase, CallView};
use crate::ui::action::UiAction;
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{Kind, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;

fn words(view: &CallView) -> (Word, Option<Word>) {
    match &view.phase {
        CallPhase::Opening => (Word::Opening, None),
        CallPhase::Joining => (Word::Joining, Some(Word::JoiningHint)),
        CallPhase::Knocking => (Word::Knocking, Some(Word::KnockingHint)),
        CallPhase::Waiting | CallPhase::Idle | CallPhase::InCall | CallPhase::Ended(_) => {
            let lan_only = view.invite.as_ref().is_some_and(|invite| invite.lan_only);
            (Word::Waiting, Some(if lan_only { Word::WaitingLan } else { Word::WaitingHint }))
        }
    }
}

/// Draws it into the middle of `place`.
pub fn show(ui: &mut Ui, place: Rect, model: &UiModel, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let radius = if model.full_screen { 0 } else { size::RADIUS_CARD };
    ui.painter().rect_filled(place, CornerRadius::same(radius), t.stage);
    let (title, hint) = words(&model.view);
    let invite = model.view.invite.as_ref().filter(|_| model.view.phase == CallPhase::Waiting);
    let height = if invite.is_some() { 168.0 } else { 110.0 };
    let place = visitor::below(place, model);
    let center = place.center().x;
    // A little above the middle: the small picture lies at the bottom.
    let mut y = (place.center().y - height / 2.0 - place.height() * 0.07).max(place.top() + space::M);
    let busy = invite.is_none();
    if busy {
        let spinner = Rect::from_center_size(pos2(center, y + 10.0), vec2(26.0, 26.0));
        // Spinning repaints the window all the time; what lasts (waiting for a person) does not spin.
        if model.view.phase != CallPhase::Waiting && model.view.phase != CallPhase::Knocking {
            ui.put(spinner, Spinner::new().size(26.0).color(t.accent));
            y += 40.0;
        }
    }
    let painter = ui.painter().clone();
    let room = place.width() - 2.0 * space::L;
    let galley = text::line(&painter, title.text(), theme::strong(size::TITLE - 2.0), t.text, room);
    let rect = text::place(&painter, galley, pos2(center, y), Align2::CENTER_TOP);
    text::status(ui, rect, "state", title.text());
    y = rect.bottom() + space::S;
    if let Some(hint) = hint {
        let galley = text::paragraph(&painter, hint.text(), theme::font(size::BODY), t.soft, room.min(440.0));
        let size = galley.size();
        painter.galley(pos2(center, y), galley, t.soft);
        text::label(ui, Rect::from_center_size(pos2(center, y + size.y / 2.0), size), "hint", hint.text());
        y += size.y + space::L;
    }
    if let Some(invite) = invite {
        link(ui, pos2(center, y), room.min(520.0), &invite.link, model, actions);
    } else if model.view.phase != CallPhase::Waiting {
        let rect = Rect::from_center_size(pos2(center, y + 18.0), vec2(120.0, 38.0));
        if TextButton::new(Word::Cancel.text()).show_in(ui, "cancel", rect).clicked() {
            actions.push(UiAction::Command(Command::Leave));
        }
    }
}

/// The link and its large button, side by side, their top in the middle of `at`.
fn link(
    ui: &mut Ui,
    at: eframe::egui::Pos2,
    width: f32,
    link: &str,
    model: &UiModel,
    actions: &mut Vec<UiAction>,
) {
    let t = theme::tokens(ui.ctx());
    let button = header::invite_button(ui, model).kind(Kind::Primary).height(46.0);
    // As wide as its longer text, so that nothing jumps when it says "Copied".
    let button_width = 178.0;
    let row = Rect::from_min_size(pos2(at.x - width / 2.0, at.y), vec2(width, 46.0));
    let well = row.with_max_x(row.right() - button_width - space::S);
    let painter = ui.painter();
    painter.rect_filled(well, CornerRadius::same(size::RADIUS), t.well);
    painter.rect_stroke(well, CornerRadius::same(size::RADIUS), Stroke::new(1.0, t.line), StrokeKind::Inside);
    let font = FontId::new(size::BODY, FontFamily::Proportional);
    let galley = text::line(painter, link, font, t.text, well.width() - 2.0 * space::M);
    text::place(painter, galley, well.left_center() + vec2(space::M, 0.0), Align2::LEFT_CENTER);
    text::label(ui, well, "link", link);
    let button_rect = row.with_min_x(well.right() + space::S);
    if button.show_in(ui, "copy", button_rect).clicked() {
        actions.push(UiAction::CopyInvite);
    }
}
