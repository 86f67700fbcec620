//! The screen after a call: why it is over, how long it was, and how good.

use eframe::egui::{
    Align, Align2, CornerRadius, Frame, Layout, Margin, Rect, RichText, Sense, Stroke, Ui, UiBuilder, vec2,
};

use super::header;
use crate::engine::command::Command;
use crate::engine::view::{EndReason, Quality, Summary};
use crate::ui::action::UiAction;
use crate::ui::format;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{Kind, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;
use signaling_protocol::DeclineReason;

/// A reason as a sentence.
pub fn sentence(reason: &EndReason) -> String {
    let name_or_guest =
        |name: &String| if name.trim().is_empty() { Word::Guest.text().to_owned() } else { name.clone() };
    match reason {
        EndReason::Left => Word::EndedLeft.text().to_owned(),
        EndReason::PeerLeft { name } => Word::EndedPeerLeft.with(&name_or_guest(name)),
        EndReason::PeerLost { name } => Word::EndedPeerLost.with(&name_or_guest(name)),
        EndReason::Declined(DeclineReason::Declined) => Word::EndedDeclined.text().to_owned(),
        EndReason::Declined(DeclineReason::Busy) => Word::EndedBusy.text().to_owned(),
        EndReason::Declined(DeclineReason::NoAnswer) => Word::EndedNoAnswer.text().to_owned(),
        EndReason::Declined(DeclineReason::Full) | EndReason::RoomFull => {
            Word::EndedRoomFull.text().to_owned()
        }
        EndReason::RoomLocked => Word::EndedRoomLocked.text().to_owned(),
        EndReason::NotFound => Word::EndedNotFound.text().to_owned(),
        EndReason::NoPath => Word::EndedNoPath.text().to_owned(),
        EndReason::NotAuthentic => Word::EndedNotAuthentic.text().to_owned(),
        EndReason::Server(sentence) | EndReason::Failed(sentence) => sentence.clone(),
    }
}

/// Draws it.
pub fn show(ui: &mut Ui, model: &UiModel, summary: &Summary, actions: &mut Vec<UiAction>) {
    let area = ui.max_rect();
    header::show(ui, area, model, actions);
    let t = theme::tokens(ui.ctx());
    let body = Rect::from_min_max(area.min + vec2(0.0, size::HEADER), area.max);
    let width = (body.width() - 2.0 * space::L).min(440.0);
    let rows = 1.0 + summary.quality.as_ref().map_or(0.0, |_| 5.0);
    let height = 234.0 + if summary.duration.is_zero() { 0.0 } else { rows * 26.0 + 24.0 };
    let column = Rect::from_center_size(body.center() - vec2(0.0, size::HEADER / 3.0), vec2(width, height));
    let column = column.translate(vec2(0.0, (body.top() - column.top()).max(0.0)));
    let layout = Layout::top_down(Align::Center);
    ui.scope_builder(UiBuilder::new().max_rect(column).layout(layout), |ui| {
        ui.spacing_mut().item_spacing.y = space::S;
        let took_place = !summary.duration.is_zero();
        let (circle, _) = ui.allocate_exact_size(vec2(56.0, 56.0), Sense::hover());
        ui.painter().circle_filled(circle.center(), 26.0, t.button);
        let font = icons::font(Weight::Fill, 25.0);
        ui.painter().text(
            circle.center(),
            Align2::CENTER_CENTER,
            Icon::PHONE_DISCONNECT.char(),
            font,
            t.text,
        );
        let title = if took_place { Word::Ended } else { Word::NotConnected };
        let label = ui.label(RichText::new(title.text()).font(theme::strong(size::TITLE)).color(t.text));
        text::announce(ui, label.id);
        let reason = ui.label(RichText::new(sentence(&summary.reason)).color(t.soft));
        text::announce(ui, reason.id);
        ui.add_space(space::S);
        if took_place {
            let card = Frame::NONE
                .fill(t.card)
                .stroke(Stroke::new(1.0, t.line))
                .corner_radius(CornerRadius::same(size::RADIUS_CARD))
                .inner_margin(Margin::symmetric(18, 12));
            card.show(ui, |ui| facts(ui, summary));
            ui.add_space(space::S);
        }
        let back = TextButton::new(Word::BackToStart.text()).kind(Kind::Primary).width(180.0).height(44.0);
        if back.show(ui).clicked() {
            actions.push(UiAction::Command(Command::Dismiss));
        }
        let details = TextButton::new(Word::OpenPanel.text()).icon(Icon::PULSE).kind(Kind::Quiet);
        if details.width(180.0).height(36.0).show(ui).clicked() {
            actions.push(UiAction::TogglePanel);
        }
    });
}

fn facts(ui: &mut Ui, summary: &Summary) {
    ui.set_width(ui.available_width());
    fact(ui, Word::Duration, &format::length(summary.duration));
    let Some(quality) = &summary.quality else { return };
    let Quality { loss, round_trip, frozen, reconnects } = quality;
    fact(ui, Word::QualityWord, format::verdict(quality).text());
    fact(ui, Word::Loss, &format::share(*loss));
    if let Some(round_trip) = round_trip {
        fact(ui, Word::MeanRoundTrip, &format::milliseconds(*round_trip));
    }
    fact(ui, Word::Frozen, &format::length(*frozen));
    fact(ui, Word::Reconnects, &format::times(*reconnects));
}

/// A name on the left, its value on the right.
fn fact(ui: &mut Ui, name: Word, value: &str) {
    let t = theme::tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 18.0), Sense::hover());
    let painter = ui.painter();
    let left = text::line(painter, name.text(), theme::font(size::BODY), t.soft, rect.width() / 2.0);
    text::place(painter, left, rect.left_center(), Align2::LEFT_CENTER);
    let right = text::line(painter, value, theme::strong(size::BODY), t.text, rect.width() / 2.0);
    text::place(painter, right, rect.right_center(), Align2::RIGHT_CENTER);
    text::label(ui, rect, name.text(), &format!("{}: {value}", name.text()));
}
