//! The window's first row: what this is, how long, over what kind of connection.

use std::time::Duration;

use eframe::egui::{Align, Align2, CornerRadius, Layout, Rect, Ui, UiBuilder, pos2, vec2};

use crate::engine::view::{CallPhase, CallView, PeerView};
use crate::rtc::{CandidateType, PeerPhase};
use crate::ui::action::UiAction;
use crate::ui::format;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{IconButton, Kind, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// How long "Copied" stands in the place of "Copy invite link", in seconds.
const COPIED: f64 = 2.0;

/// Draws the row at the top of `area`.
pub fn show(ui: &mut Ui, area: Rect, model: &UiModel, actions: &mut Vec<UiAction>) {
    let row = Rect::from_min_max(area.min, pos2(area.right(), area.top() + size::HEADER));
    let row = row.shrink2(vec2(space::L, 0.0));
    let used = buttons(ui, row, model, actions);
    let end = title(ui, row, model, used - space::M);
    if let Some((word, color, back)) = badge(ui, &model.view) {
        let font = theme::strong(size::SMALL);
        let galley = text::line(ui.painter(), word.text(), font, color, used - end - 48.0);
        let pill =
            Rect::from_min_size(pos2(end + space::M, row.center().y - 12.0), galley.size() + vec2(34.0, 9.0));
        if pill.right() < used && galley.size().x > 40.0 {
            ui.painter().rect_filled(pill, CornerRadius::same(12), back);
            ui.painter().circle_filled(pill.left_center() + vec2(14.0, 0.0), 3.5, color);
            text::place(ui.painter(), galley, pill.left_center() + vec2(24.0, 0.0), Align2::LEFT_CENTER);
            text::status(ui, pill, "badge", word.text());
            if let Some(tip) = badge_tip(&model.view) {
                ui.interact(pill, ui.scope_id().with("badge-tip"), eframe::egui::Sense::hover())
                    .on_hover_text(tip);
            }
        }
    }
}

/// The buttons on the right; gives where they begin.
fn buttons(ui: &mut Ui, row: Rect, model: &UiModel, actions: &mut Vec<UiAction>) -> f32 {
    let mut left = row.right();
    let layout = Layout::right_to_left(Align::Center);
    ui.scope_builder(UiBuilder::new().max_rect(row).layout(layout), |ui| {
        ui.spacing_mut().item_spacing.x = space::S;
        if IconButton::new(Icon::GEAR, Word::Settings.text()).kind(Kind::Quiet).small().show(ui).clicked() {
            actions.push(UiAction::ToggleSettings);
        }
        let test = TextButton::new(Word::TestConnection.text()).icon(Icon::STETHOSCOPE).kind(Kind::Quiet);
        if model.view.phase == CallPhase::Idle && test.height(34.0).show(ui).clicked() {
            actions.push(UiAction::StartCheckup);
        }
        // While alone the link stands in the middle of the window, with a button of its own.
        if model.view.phase == CallPhase::InCall && model.view.invite.is_some() && invite(ui, model).clicked()
        {
            actions.push(UiAction::CopyInvite);
        }
        left = ui.min_rect().left();
    });
    left
}

/// The button that copies the invite, as itself or as "Copied".
pub fn invite(ui: &mut Ui, model: &UiModel) -> eframe::egui::Response {
    let button = invite_button(ui, model);
    button.show(ui)
}

/// The same, not yet placed.
pub fn invite_button(ui: &Ui, model: &UiModel) -> TextButton<'static> {
    let now = ui.input(|input| input.time);
    let since = model.copied_at.map(|at| now - at).filter(|since| (0.0..COPIED).contains(since));
    match since {
        Some(since) => {
            ui.ctx().request_repaint_after_secs((COPIED - since) as f32);
            TextButton::new(Word::Copied.text()).icon(Icon::CHECK).height(34.0)
        }
        None => TextButton::new(Word::CopyInvite.text()).icon(Icon::COPY).height(34.0),
    }
}

/// The logo, the title and the timer; gives where they end.
fn title(ui: &Ui, row: Rect, model: &UiModel, until: f32) -> f32 {
    let t = theme::tokens(ui.ctx());
    let painter = ui.painter();
    let logo = Rect::from_center_size(pos2(row.left() + 14.0, row.center().y), vec2(28.0, 28.0));
    painter.rect_filled(logo, CornerRadius::same(8), t.accent);
    painter.text(
        logo.center(),
        Align2::CENTER_CENTER,
        Icon::VIDEO_CAMERA.char(),
        icons::font(Weight::Fill, 17.0),
        t.on_overlay,
    );
    let name = match model.view.peers.as_slice() {
        [] => Word::AppName.text().to_owned(),
        peers => Word::CallWith.with(&peers.iter().map(name_of).collect::<Vec<_>>().join(", ")),
    };
    let at = pos2(logo.right() + 10.0, row.center().y);
    let room = ((until - at.x) * 0.6).max(60.0);
    let rect = text::place(
        painter,
        text::line(painter, &name, theme::strong(size::HEADING), t.text, room),
        at,
        Align2::LEFT_CENTER,
    );
    text::label(ui, rect, "title", &name);
    let Some(duration) = model.view.duration else { return rect.right() };
    let rect = timer(ui, pos2(rect.right() + space::S, row.center().y), duration);
    rect.right()
}

fn timer(ui: &Ui, at: eframe::egui::Pos2, duration: Duration) -> Rect {
    let t = theme::tokens(ui.ctx());
    let clock = format::clock(duration);
    let galley = text::line(ui.painter(), &clock, theme::font(size::BODY), t.soft, 80.0);
    let rect = text::place(ui.painter(), galley, at, Align2::LEFT_CENTER);
    text::label(ui, rect, "timer", &clock);
    rect
}

/// A person's name, or a word for a person without one.
pub fn name_of(peer: &PeerView) -> &str {
    if peer.name.trim().is_empty() { Word::Guest.text() } else { &peer.name }
}

/// What the connections of the call have in common, as a word, and its colours.
fn badge(ui: &Ui, view: &CallView) -> Option<(Word, eframe::egui::Color32, eframe::egui::Color32)> {
    let t = theme::tokens(ui.ctx());
    let worst = view.peers.iter().max_by_key(|peer| match peer.phase {
        PeerPhase::Connected => 0,
        PeerPhase::Connecting => 1,
        PeerPhase::Reconnecting => 2,
        PeerPhase::Failed => 3,
    })?;
    Some(match worst.phase {
        PeerPhase::Connecting => (Word::Connecting, t.soft, t.card),
        PeerPhase::Reconnecting => (Word::Reconnecting, t.warn, t.warn_back),
        PeerPhase::Failed => (Word::ConnectionFailed, t.bad, t.bad_back),
        PeerPhase::Connected if view.peers.iter().any(is_relayed) => (Word::Relayed, t.good, t.good_back),
        PeerPhase::Connected => (Word::Direct, t.good, t.good_back),
    })
}

fn is_relayed(peer: &PeerView) -> bool {
    let relay = |kind| matches!(kind, CandidateType::Relay);
    peer.path.as_ref().is_some_and(|path| relay(path.local.kind) || relay(path.remote.kind))
}

fn badge_tip(view: &CallView) -> Option<String> {
    let peer = view.peers.first()?;
    let vouched = if peer.verified { Word::Verified } else { Word::NotVerified };
    let round_trip = peer.round_trip.map(|time| Word::RoundTrip.with(&format::milliseconds(time)));
    Some(round_trip.into_iter().chain([vouched.text().to_owned()]).collect::<Vec<_>>().join("\n"))
}
