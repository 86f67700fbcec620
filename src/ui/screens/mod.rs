//! What fills the window, one file a screen. Each draws a [`UiModel`] and
//! says what was clicked; none does anything itself.

pub mod call;
pub mod ended;
pub mod header;
pub mod settings;
pub mod stage;
pub mod start;
pub mod visitor;
pub mod waiting;

use eframe::egui::{CentralPanel, Frame, Ui};

use super::action::UiAction;
use super::model::UiModel;
use super::theme::{self, size, space};
use super::video::Pictures;
use crate::engine::frames::FrameLookup;
use crate::engine::view::CallPhase;

/// Where pictures come from and how they are drawn.
pub struct Screen<'a> {
    /// The newest pictures.
    pub frames: &'a dyn FrameLookup,
    /// Draws them.
    pub pictures: &'a mut Pictures,
}

/// Draws the whole window; gives what was clicked.
pub fn show(ui: &mut Ui, model: &mut UiModel, screen: &mut Screen) -> Vec<UiAction> {
    let mut actions = Vec::new();
    let base = theme::tokens(ui.ctx()).base;
    CentralPanel::default().frame(Frame::NONE.fill(base)).show(ui, |ui| {
        let settings_open = model.draft.is_some();
        if settings_open {
            ui.disable();
        }
        match model.view.phase.clone() {
            CallPhase::Idle => start::show(ui, model, screen, &mut actions),
            CallPhase::Opening
            | CallPhase::Waiting
            | CallPhase::Joining
            | CallPhase::Knocking
            | CallPhase::InCall => {
                call::show(ui, model, screen, &mut actions);
            }
            CallPhase::Ended(summary) => ended::show(ui, model, &summary, &mut actions),
        }
    });
    settings::show(ui, model, &mut actions);
    visitor::switch(ui, model, &mut actions);
    let view = std::sync::Arc::clone(&model.view);
    model.toasts.show(ui, &view.notices, size::HEADER + space::S, &mut actions);
    actions
}
