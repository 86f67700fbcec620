//! Questions that wait for an answer: somebody knocks, or another link was opened.

use eframe::egui::{
    Align2, CornerRadius, Id, Modal, Rect, RichText, Sense, Stroke, StrokeKind, Ui, pos2, vec2,
};

use crate::engine::command::Command;
use crate::ui::action::UiAction;
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{Kind, TextButton};
use crate::ui::widgets::{avatar, text};
use crate::ui::words::Word;

/// How high the card is.
const HEIGHT: f32 = 72.0;

/// What is left of `stage` below the card, if there is one.
pub fn below(stage: Rect, model: &UiModel) -> Rect {
    if model.view.visitors.is_empty() { stage } else { stage.with_min_y(stage.top() + HEIGHT + space::M) }
}

/// Shows the first of those who knock, at the top of `stage`.
pub fn show(ui: &mut Ui, stage: Rect, model: &UiModel, actions: &mut Vec<UiAction>) {
    let Some(visitor) = model.view.visitors.first() else { return };
    let t = theme::tokens(ui.ctx());
    let width = (stage.width() - 2.0 * space::L).min(480.0);
    let card = Rect::from_min_size(
        pos2(stage.center().x - width / 2.0, stage.top() + space::M),
        vec2(width, HEIGHT),
    );
    // Nothing below the card is clicked through it.
    ui.interact(card, Id::unique("visitor card"), Sense::click_and_drag());
    let radius = CornerRadius::same(size::RADIUS_CARD);
    ui.painter().add(ui.visuals().window_shadow.as_shape(card, radius));
    ui.painter().rect_filled(card, radius, t.card);
    ui.painter().rect_stroke(card, radius, Stroke::new(1.0, t.line), StrokeKind::Inside);
    let name = if visitor.name.trim().is_empty() { Word::Guest.text() } else { &visitor.name };
    avatar::paint(ui.painter(), t, card.left_center() + vec2(36.0, 0.0), 20.0, name);
    let accept = TextButton::new(Word::Accept.text()).kind(Kind::Primary);
    let decline = TextButton::new(Word::Decline.text());
    let (accept_width, decline_width) = (accept.measure(ui), decline.measure(ui));
    let button = |right: f32, width: f32| {
        Rect::from_center_size(pos2(right - width / 2.0, card.center().y), vec2(width, size::CONTROL))
    };
    let accept_rect = button(card.right() - 16.0, accept_width);
    let decline_rect = button(accept_rect.left() - space::S, decline_width);
    let words = Word::WouldLikeToJoin.with(name);
    let left = card.left() + 68.0;
    let room = decline_rect.left() - space::M - left;
    let strong = text::line(ui.painter(), name, theme::strong(size::BODY + 1.0), t.text, room);
    text::place(ui.painter(), strong, pos2(left, card.center().y - 10.0), Align2::LEFT_CENTER);
    let asks = match model.view.visitors.len() - 1 {
        0 => Word::WantsIn.text().to_owned(),
        more => format!("{} \u{b7} {}", Word::WantsIn.text(), Word::MoreVisitors.with(&more.to_string())),
    };
    let soft = text::line(ui.painter(), &asks, theme::font(size::BODY), t.soft, room);
    text::place(ui.painter(), soft, pos2(left, card.center().y + 11.0), Align2::LEFT_CENTER);
    text::status(
        ui,
        Rect::from_min_max(pos2(left, card.top()), pos2(left + room, card.bottom())),
        "visitor",
        &words,
    );
    if decline.show_in(ui, "decline", decline_rect).clicked() {
        actions.push(UiAction::Command(Command::Decline(visitor.peer.clone())));
    }
    if accept.show_in(ui, "accept", accept_rect).clicked() {
        actions.push(UiAction::Command(Command::Accept(visitor.peer.clone())));
    }
}

/// Asks whether to leave this call for another link.
pub fn switch(ui: &Ui, model: &UiModel, actions: &mut Vec<UiAction>) {
    if model.asks_switch.is_none() {
        return;
    }
    let modal = Modal::new(Id::unique("switch")).frame(theme::dialog(ui)).show(ui.ctx(), |ui| {
        ui.set_width(360.0);
        ui.add_space(space::S);
        ui.label(RichText::new(Word::JoinOther.text()).font(theme::strong(size::HEADING)));
        ui.add_space(space::L);
        ui.horizontal(|ui| {
            if TextButton::new(Word::LeaveAndJoin.text()).kind(Kind::Primary).show(ui).clicked() {
                actions.push(UiAction::Switch { leave: true });
            }
            if TextButton::new(Word::Stay.text()).show(ui).clicked() {
                actions.push(UiAction::Switch { leave: false });
            }
        });
    });
    if modal.should_close() {
        actions.push(UiAction::Switch { leave: false });
    }
}
