//! A circle that stands for a person whose picture is not there.

use eframe::egui::{Align2, Painter, Pos2};

use crate::ui::format;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, Tokens};

/// Paints it, with the person's initials, or with a camera where there is no name.
pub fn paint(painter: &Painter, t: &Tokens, center: Pos2, radius: f32, name: &str) {
    painter.circle_filled(center, radius, t.accent.gamma_multiply(0.22));
    let initials = format::initials(name);
    if initials.is_empty() {
        let font = icons::font(Weight::Fill, radius);
        painter.text(center, Align2::CENTER_CENTER, Icon::VIDEO_CAMERA.char(), font, t.accent);
    } else {
        painter.text(center, Align2::CENTER_CENTER, initials, theme::strong(radius * 0.75), t.accent);
    }
}
