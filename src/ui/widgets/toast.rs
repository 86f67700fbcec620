//! Short messages in the upper right corner, gone by themselves unless they matter.

use std::collections::HashMap;

use eframe::egui::{self, Align2, Area, CornerRadius, Frame, Id, Margin, Order, Pos2, Stroke, Ui};

use super::button::{IconButton, Kind};
use super::text;
use crate::engine::command::Command;
use crate::engine::view::{Notice, Severity};
use crate::ui::action::UiAction;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, size, space};
use crate::ui::words::Word;

/// How many are shown; the rest wait behind them.
const MOST: usize = 3;

/// When each message was first seen, in the window's own time (seconds).
#[derive(Debug, Default)]
pub struct Toasts {
    seen: HashMap<u64, f64>,
}

/// How long a message stays, in seconds; an error stays until it is dismissed.
const fn lifetime(severity: Severity) -> Option<f64> {
    match severity {
        Severity::Info => Some(6.0),
        Severity::Warning => Some(12.0),
        Severity::Error => None,
    }
}

impl Toasts {
    /// Those whose time is over, and when the next one's will be. Pure.
    fn expired(&mut self, notices: &[Notice], now: f64) -> (Vec<u64>, Option<f64>) {
        self.seen.retain(|id, _| notices.iter().any(|notice| notice.id == *id));
        let (mut over, mut next) = (Vec::new(), None::<f64>);
        for notice in notices.iter().take(MOST) {
            let since = *self.seen.entry(notice.id).or_insert(now);
            let Some(lifetime) = lifetime(notice.severity) else { continue };
            let left = since + lifetime - now;
            if left <= 0.0 {
                over.push(notice.id);
            } else {
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
        (over, next)
    }

    /// Shows the messages with their upper right corner at `corner`.
    pub fn show(&mut self, ui: &Ui, notices: &[Notice], corner: Pos2, actions: &mut Vec<UiAction>) {
        let now = ui.input(|input| input.time);
        let (over, next) = self.expired(notices, now);
        actions.extend(over.into_iter().map(|id| UiAction::Command(Command::DismissNotice(id))));
        if let Some(next) = next {
            ui.ctx().request_repaint_after_secs(next as f32);
        }
        if notices.is_empty() {
            return;
        }
        Area::new(Id::unique("toasts"))
            .order(Order::Foreground)
            .pivot(Align2::RIGHT_TOP)
            .fixed_pos(corner)
            .fade_in(false)
            .show(ui.ctx(), |ui| {
                for notice in notices.iter().take(MOST) {
                    toast(ui, notice, actions);
                }
            });
    }
}

fn toast(ui: &mut Ui, notice: &Notice, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let (icon, color) = match notice.severity {
        Severity::Info => (Icon::INFO, t.accent),
        Severity::Warning => (Icon::WARNING, t.warn),
        Severity::Error => (Icon::WARNING_CIRCLE, t.bad),
    };
    let frame = Frame::NONE
        .fill(t.card)
        .stroke(Stroke::new(1.0, t.line))
        .corner_radius(CornerRadius::same(size::RADIUS + 2))
        .inner_margin(Margin::symmetric(space::M as i8, 8))
        .shadow(ui.visuals().popup_shadow);
    frame.show(ui, |ui| {
        ui.push_id(notice.id, |ui| {
            ui.horizontal(|ui| {
                ui.label(egui::RichText::new(icon.char()).font(icons::font(Weight::Fill, 18.0)).color(color));
                let label = ui.scope(|ui| {
                    ui.set_width(270.0);
                    ui.add(egui::Label::new(&notice.text).wrap())
                });
                text::announce(ui, label.inner.id);
                let name = Word::DismissNotice.with(&notice.text);
                let close = IconButton::new(Icon::X, &name).kind(Kind::Quiet).size(28.0, 28.0);
                if close.show(ui).clicked() {
                    actions.push(UiAction::Command(Command::DismissNotice(notice.id)));
                }
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(id: u64, severity: Severity) -> Notice {
        Notice { id, severity, text: "something".into() }
    }

    #[test]
    fn a_message_goes_by_itself_unless_it_is_an_error() {
        let mut toasts = Toasts::default();
        let notices = [notice(1, Severity::Info), notice(2, Severity::Error)];
        assert_eq!(toasts.expired(&notices, 100.0), (vec![], Some(6.0)));
        assert_eq!(toasts.expired(&notices, 104.0), (vec![], Some(2.0)));
        assert_eq!(toasts.expired(&notices, 106.5), (vec![1], None));
        assert_eq!(toasts.expired(&notices[1..], 1e6), (vec![], None));
    }
}
