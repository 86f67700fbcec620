//! The meter of the microphone.

use eframe::egui::{CornerRadius, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use crate::ui::theme;
use crate::ui::words::Word;

/// The steps of the engine's level.
const STEPS: u8 = 20;

/// A row of bars, `level` of 20 lit.
pub fn meter(ui: &mut Ui, level: u8, width: f32) {
    let t = theme::tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(width, 14.0), Sense::hover());
    response.widget_info(|| WidgetInfo {
        value: Some(f64::from(level)),
        ..WidgetInfo::labeled(Role::Meter, true, Word::MicrophoneLevel.text())
    });
    let gap = 3.0;
    let each = (rect.width() - gap * f32::from(STEPS - 1)) / f32::from(STEPS);
    for step in 0..STEPS {
        let left = rect.left() + f32::from(step) * (each + gap);
        let bar = Rect::from_min_size(pos2(left, rect.top() + 3.0), vec2(each, 8.0));
        let color = match (step < level, step) {
            (false, _) => t.button,
            (true, 18..) => t.danger,
            (true, 15..) => t.warn,
            (true, _) => t.good,
        };
        ui.painter().rect_filled(bar, CornerRadius::same(2), color);
    }
}
