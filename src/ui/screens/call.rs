//! The call screen: the other's picture large, our own small, and the round buttons.

use eframe::egui::{Align2, CursorIcon, Id, Rect, Role, Sense, Ui, UiBuilder, WidgetInfo, pos2, vec2};

use super::start::{camera_button, microphone_button, tip};
use super::{Screen, chat_pane, gestures, header, share_banner, share_view, stage, visitor, waiting};
use crate::diagnosis::Severity;
use crate::engine::command::Command;
use crate::engine::view::CallPhase;
use crate::ui::action::UiAction;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::model::UiModel;
use crate::ui::panel::model::Place;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{IconButton, Kind, focus_ring};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// In full screen the buttons go when nothing moved for so long, in seconds.
const HIDE_AFTER: f32 = 3.0;

/// Draws it.
pub fn show(ui: &mut Ui, model: &mut UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>) {
    let area = ui.max_rect();
    let controls = !model.full_screen || controls_wanted(ui, model);
    let (place, gap) = if model.full_screen {
        (area, space::L)
    } else {
        header::show(ui, area, model, actions);
        let top = area.top() + size::HEADER;
        let place = Rect::from_min_max(pos2(area.left(), top), pos2(area.right(), area.bottom() - size::BAR));
        (place.shrink2(vec2(space::L, 0.0)), space::M)
    };
    // In full screen the buttons float at the bottom.
    let dock =
        if model.full_screen { place.shrink(gap).with_max_y(area.bottom() - size::BAR) } else { place };
    let (dock, chat) = match model.chat_open {
        true => {
            let (rest, pane) = chat_pane::dock(dock);
            (rest, Some(pane))
        }
        false => (Some(dock), None),
    };
    let (beside, panel) = dock.map_or((None, None), |dock| model.panel.dock(dock));
    let stage = if panel.is_some() || chat.is_some() { beside } else { Some(place) };
    if let Some(stage) = stage {
        match model.view.phase {
            CallPhase::InCall => {}
            _ => waiting::show(ui, stage, model, actions),
        }
        let seen = share_banner::below(stage, model);
        if !share_view::show(ui, seen, model, screen, actions) {
            stage::show(ui, seen, gap, model, screen, actions);
        }
        share_view::announce(ui, seen, model);
        share_banner::show(ui, stage, model, screen, actions);
    }
    if let Some(panel) = panel {
        model.panel.show_docked(ui, panel, stage.is_some(), actions);
    }
    if let Some(stage) = stage {
        verdict(ui, visitor::below(share_banner::below(stage, model), model), model, actions);
        gestures::over_pictures(ui, share_banner::below(stage, model), model);
    }
    if let Some(pane) = chat {
        chat_pane::show(ui, pane, model, actions);
    }
    chat_pane::dropped(ui, place, model, actions);
    visitor::show(ui, stage.unwrap_or(place), model, actions);
    if controls {
        bar(ui, area, model, actions);
    }
}

/// Whether what floats over a picture is seen: something moved lately, or the keyboard is among it.
pub(super) fn controls_wanted(ui: &Ui, model: &UiModel) -> bool {
    let quiet =
        ui.input(|input| input.pointer.time_since_last_movement().min(input.pointer.time_since_last_click()));
    let focus = ui.memory(|memory| memory.focused()).is_some();
    if focus || !model.view.visitors.is_empty() {
        return true;
    }
    if quiet < HIDE_AFTER {
        ui.ctx().request_repaint_after_secs(HIDE_AFTER - quiet);
    }
    quiet < HIDE_AFTER
}

/// Width of the button that ends the call.
const LEAVE: f32 = 68.0;

/// The row of round buttons at the bottom of `area`.
fn bar(ui: &mut Ui, area: Rect, model: &UiModel, actions: &mut Vec<UiAction>) {
    let row = Rect::from_min_max(pos2(area.left(), area.bottom() - size::BAR), area.max);
    ui.scope_builder(UiBuilder::new().scope_id(Id::unique("bar")).max_rect(row), |ui| {
        // Whoever opened the room gives its link away, and may lock it.
        let is_owner = model.view.invite.is_some();
        let round = if is_owner { 8.0 } else { 7.0 };
        let total = round * (size::ROUND + space::S) + space::S + LEAVE;
        let t = theme::tokens(ui.ctx());
        if model.full_screen {
            let back = Rect::from_center_size(row.center(), vec2(total + 32.0, size::ROUND + 20.0));
            ui.painter().rect_filled(back, 33.0, t.overlay);
        }
        let mut x = row.center().x - total / 2.0;
        let mut next = |width: f32| {
            let center = pos2(x + width / 2.0, row.center().y);
            x += width + space::S;
            center
        };
        let (microphone, command) = microphone_button(model);
        let name = if command == mute() { Word::MuteMicrophone } else { Word::UnmuteMicrophone };
        if microphone.tip(&tip(name, "M")).show_at(ui, "microphone", next(size::ROUND)).clicked() {
            actions.push(UiAction::Command(command));
        }
        let (camera, command) = camera_button(model);
        let name = if model.view.me.camera.is_on() { Word::TurnCameraOff } else { Word::TurnCameraOn };
        if camera.tip(&tip(name, "V")).show_at(ui, "camera", next(size::ROUND)).clicked() {
            actions.push(UiAction::Command(command));
        }
        let sharing = model.view.me.share.is_some();
        let (name, kind) = match sharing {
            true => (Word::ShareAnother, Kind::Primary),
            false => (Word::ShareScreen, Kind::Plain),
        };
        let share = IconButton::new(Icon::MONITOR_ARROW_UP, name.text()).kind(kind);
        if share.tip(&tip(name, "S")).show_at(ui, "share", next(size::ROUND)).clicked() {
            actions.push(UiAction::ToggleShare);
        }
        gestures::hand(ui, next(size::ROUND), model, actions);
        let (icon, name) = match model.full_screen {
            true => (Icon::CORNERS_IN, Word::LeaveFullScreen),
            false => (Icon::CORNERS_OUT, Word::FullScreen),
        };
        let button = IconButton::new(icon, name.text());
        if button.tip(&tip(name, "F")).show_at(ui, "full screen", next(size::ROUND)).clicked() {
            actions.push(UiAction::ToggleFullScreen);
        }
        if is_owner {
            let (icon, name) = match model.view.locked {
                true => (Icon::LOCK, Word::UnlockRoom),
                false => (Icon::LOCK_OPEN, Word::LockRoom),
            };
            if IconButton::new(icon, name.text()).show_at(ui, "lock", next(size::ROUND)).clicked() {
                actions.push(UiAction::Command(Command::LockRoom(lock(!model.view.locked))));
            }
        }
        let open = model.panel.lock().model.place != Place::Closed;
        let kind = if open { Kind::Primary } else { Kind::Plain };
        let details = IconButton::new(Icon::PULSE, Word::OpenPanel.text()).kind(kind);
        if details.tip(&tip(Word::OpenPanel, "Ctrl+I")).show_at(ui, "panel", next(size::ROUND)).clicked() {
            actions.push(UiAction::TogglePanel);
        }
        chat_pane::button(ui, next(size::ROUND), model, actions);
        let line = next(0.0);
        ui.painter().vline(line.x, line.y - 12.0..=line.y + 12.0, (1.0, t.line));
        let leave = IconButton::new(Icon::PHONE_DISCONNECT, Word::LeaveCall.text())
            .kind(Kind::Danger)
            .size(LEAVE, size::ROUND);
        if leave.tip(&tip(Word::LeaveCall, "Ctrl+W")).show_at(ui, "leave", next(LEAVE)).clicked() {
            actions.push(UiAction::Command(Command::Leave));
        }
        if model.view.me.muted_but_speaking {
            muted(ui, row);
        }
    });
}

const fn mute() -> Command {
    Command::Microphone(crate::engine::command::Switch::Off)
}

const fn lock(wanted: bool) -> crate::engine::command::Switch {
    if wanted { crate::engine::command::Switch::On } else { crate::engine::command::Switch::Off }
}

/// Says in a few words what is wrong with the connection, when a caller should know; a click leads to
/// the whole of it.
fn verdict(ui: &Ui, stage: Rect, model: &UiModel, actions: &mut Vec<UiAction>) {
    let Some(verdict) = model.view.verdict.as_ref().filter(|verdict| verdict.concerns_a_caller()) else {
        return;
    };
    let t = theme::tokens(ui.ctx());
    // The bars of the connection stand in the corner.
    let room = stage.width() - 2.0 * 60.0;
    let font = theme::strong(size::SMALL + 0.5);
    let galley = text::line(ui.painter(), &verdict.short, font, t.on_overlay, room - 52.0);
    let wanted = vec2(galley.size().x + 52.0, 32.0);
    let pill = Rect::from_center_size(stage.center_top() + vec2(0.0, space::M + 16.0), wanted);
    let response = ui.interact(pill, Id::unique("verdict"), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &verdict.short));
    text::announce(ui, response.id);
    ui.painter().rect_filled(pill, 16.0, t.overlay);
    let (icon, color) = match verdict.severity {
        Severity::Error => (Icon::WARNING_CIRCLE, t.bad_on_overlay),
        Severity::Fine | Severity::Info | Severity::Warning => (Icon::WARNING, t.warn_on_overlay),
    };
    let at = pill.left_center() + vec2(20.0, 0.0);
    let font = icons::font(Weight::Fill, 17.0);
    ui.painter().text(at, Align2::CENTER_CENTER, icon.char(), font, color);
    text::place(ui.painter(), galley, pill.left_center() + vec2(36.0, 0.0), Align2::LEFT_CENTER);
    focus_ring(ui, pill, &response, 16);
    let response = response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(&verdict.text);
    if response.clicked() {
        actions.push(UiAction::ShowVerdict);
    }
}

/// Tells a person who talks while muted.
fn muted(ui: &Ui, row: Rect) {
    let t = theme::tokens(ui.ctx());
    let words = Word::MutedButSpeaking.text();
    let at = row.center_top() - vec2(0.0, space::M);
    let galley = text::line(ui.painter(), words, theme::strong(size::SMALL), t.on_danger, 200.0);
    let pill = Rect::from_center_size(at, galley.size() + vec2(24.0, 12.0));
    ui.painter().rect_filled(pill, 14.0, t.danger);
    text::place(ui.painter(), galley, pill.center(), Align2::CENTER_CENTER);
    ui.interact(pill, ui.scope_id().with("muted"), Sense::hover());
    text::status(ui, pill, "muted", words);
}
