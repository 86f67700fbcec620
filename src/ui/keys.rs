//! The keys: M, V, S, F, C, D, H, Esc, Ctrl+I and Ctrl+W. None while a text is being typed, except the last three.

use eframe::egui::{Context, Key, Modifiers};

use super::action::UiAction;
use super::model::UiModel;
use super::screens::start::{camera_button, microphone_button};
use super::screens::{gestures, share_view};
use crate::engine::command::Command;
use crate::engine::view::CallPhase;

/// What the keys of this frame mean.
pub fn actions(ctx: &Context, model: &UiModel) -> Vec<UiAction> {
    let mut actions = Vec::new();
    let in_call = !matches!(model.view.phase, CallPhase::Idle | CallPhase::Ended(_));
    let pressed = |modifiers: Modifiers, key: Key| ctx.input_mut(|input| input.consume_key(modifiers, key));
    if pressed(Modifiers::COMMAND, Key::W) {
        actions.push(if in_call { UiAction::Command(Command::Leave) } else { UiAction::Close });
    }
    let free = model.draft.is_none()
        && model.asks_switch.is_none()
        && model.asks_link.is_none()
        && model.checkup.is_none()
        && model.share_picker.is_none();
    if free && pressed(Modifiers::COMMAND, Key::I) {
        actions.push(UiAction::TogglePanel);
    }
    if free && model.full_screen && pressed(Modifiers::NONE, Key::Escape) {
        actions.push(UiAction::ToggleFullScreen);
    }
    if ctx.text_edit_focused() || !free {
        return actions;
    }
    let on_screen = !matches!(model.view.phase, CallPhase::Ended(_));
    if on_screen && pressed(Modifiers::NONE, Key::M) {
        actions.push(UiAction::Command(microphone_button(model).1));
    }
    if on_screen && pressed(Modifiers::NONE, Key::V) {
        actions.push(UiAction::Command(camera_button(model).1));
    }
    if in_call && pressed(Modifiers::NONE, Key::S) {
        actions.push(UiAction::ToggleShare);
    }
    if in_call && pressed(Modifiers::NONE, Key::F) {
        actions.push(UiAction::ToggleFullScreen);
    }
    if in_call && pressed(Modifiers::NONE, Key::C) {
        actions.push(UiAction::ToggleChat);
    }
    if in_call && pressed(Modifiers::NONE, Key::H) {
        actions.push(UiAction::Command(gestures::raise(model)));
    }
    if share_view::sharer(model).is_some() && pressed(Modifiers::NONE, Key::D) {
        actions.push(UiAction::TogglePen);
    }
    actions
}
