//! What fills the window, one file a screen. Each draws a [`UiModel`] and
//! says what was clicked; none does anything itself.

pub mod call;
mod chat_field;
pub mod chat_pane;
pub mod checkup;
pub mod ended;
pub mod gestures;
pub mod header;
mod heights;
pub mod settings;
pub mod share_banner;
mod share_hand;
pub mod share_picker;
pub mod share_view;
pub mod stage;
pub mod start;
pub mod visitor;
pub mod waiting;

use eframe::egui::{CentralPanel, Frame, Ui, UiBuilder, pos2, vec2};

use super::action::UiAction;
use super::model::UiModel;
use super::theme::{self, size, space};
use super::video::Pictures;
use crate::engine::frames::FrameLookup;
use crate::engine::view::CallPhase;
use crate::pointer::Marks;

/// Where pictures come from and how they are drawn.
pub struct Screen<'a> {
    /// The newest pictures.
    pub frames: &'a dyn FrameLookup,
    /// Draws them.
    pub pictures: &'a mut Pictures,
    /// What people point at on shared screens.
    pub marks: &'a [Marks],
}

/// Draws the whole window; gives what was clicked.
pub fn show(ui: &mut Ui, model: &mut UiModel, screen: &mut Screen) -> Vec<UiAction> {
    let mut actions = Vec::new();
    // The window was cleared in this colour; a second coat is dear where the processor draws every point.
    CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
        let covered = model.draft.is_some() || model.checkup.is_some() || model.share_picker.is_some();
        if covered {
            ui.disable();
        }
        match model.view.phase {
            CallPhase::Idle | CallPhase::Ended(_) => beside_panel(ui, model, screen, &mut actions),
            CallPhase::Opening
            | CallPhase::Waiting
            | CallPhase::Joining
            | CallPhase::Knocking
            | CallPhase::InCall => {
                call::show(ui, model, screen, &mut actions);
            }
        }
    });
    settings::show(ui, model, &mut actions);
    checkup::show(ui, model, &mut actions);
    share_picker::show(ui, model, screen, &mut actions);
    share_view::show_window(ui, model, screen, &mut actions);
    visitor::switch(ui, model, &mut actions);
    chat_pane::ask_link(ui, model, &mut actions);
    let view = std::sync::Arc::clone(&model.view);
    let window = ui.ctx().content_rect();
    // Not over the chat, nor the panel, where the matter is told at length, if there is a place beside them.
    let inside = window.shrink2(vec2(space::L, 0.0));
    let beside_chat = if model.chat_open { chat_pane::dock(inside).0 } else { Some(inside) };
    let beside = beside_chat.and_then(|rest| model.panel.dock(rest).0);
    let right = beside.unwrap_or(inside).right();
    // Nor over the button that ends the showing of a screen.
    let top = share_banner::below(window.with_min_y(window.top() + size::HEADER), model).top();
    let corner = pos2(right, top + space::S);
    model.toasts.show(ui, &view.notices, corner, &mut actions);
    model.panel.clone().show_window(ui.ctx(), &mut actions);
    actions
}

/// Draws a screen without a call, and the panel beside it or over it, if it is open.
fn beside_panel(ui: &mut Ui, model: &mut UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>) {
    let area = ui.max_rect();
    let (rest, panel) = model.panel.dock(area.shrink(space::M));
    let rest = rest.map(|rest| match panel {
        Some(_) => area.with_max_x(rest.right()),
        None => area,
    });
    if let Some(rest) = rest {
        ui.scope_builder(UiBuilder::new().max_rect(rest), |ui| match model.view.phase.clone() {
            CallPhase::Ended(summary) => ended::show(ui, model, &summary, actions),
            _ => start::show(ui, model, screen, actions),
        });
    }
    if let Some(panel) = panel {
        model.panel.show_docked(ui, panel, rest.is_some(), actions);
    }
}
