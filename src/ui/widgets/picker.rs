//! Chooses a device from a list.

use eframe::egui::{
    self, Align2, CornerRadius, CursorIcon, Popup, Role, Sense, Stroke, StrokeKind, Ui, WidgetInfo, pos2,
    vec2,
};

use super::{button::focus_ring, text};
use crate::engine::command::DeviceChoice;
use crate::engine::view::Device;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, size, space};
use crate::ui::words::Word;

/// The words of one kind of device.
#[derive(Clone, Copy, Debug)]
pub struct KindWords {
    /// The kind.
    pub name: Word,
    /// None at all.
    pub none: Word,
    /// Its symbol.
    pub icon: Icon,
}

/// Cameras.
pub const CAMERA: KindWords =
    KindWords { name: Word::Camera, none: Word::NoCamera, icon: Icon::VIDEO_CAMERA };
/// Microphones.
pub const MICROPHONE: KindWords =
    KindWords { name: Word::Microphone, none: Word::NoMicrophone, icon: Icon::MICROPHONE };
/// Speakers.
pub const SPEAKER: KindWords =
    KindWords { name: Word::Speaker, none: Word::NoSpeaker, icon: Icon::SPEAKER_HIGH };

/// What the settings' text for a device means.
pub fn choice_of(setting: &str) -> DeviceChoice {
    match setting {
        "" => DeviceChoice::Default,
        "none" => DeviceChoice::None,
        id => DeviceChoice::Id(id.to_owned()),
    }
}

/// A button that names the chosen device and opens the list; gives what was picked.
pub fn picker(
    ui: &mut Ui,
    kind: KindWords,
    devices: &[Device],
    setting: &str,
    width: f32,
) -> Option<DeviceChoice> {
    let current = choice_of(setting);
    let shown = match &current {
        DeviceChoice::Default => Word::DefaultDevice.text(),
        DeviceChoice::None => kind.none.text(),
        // A device that is unplugged right now is still the one that was chosen.
        DeviceChoice::Id(id) => {
            devices.iter().find(|device| device.id == *id).map_or(id, |device| &device.name)
        }
    };
    let response = face(ui, kind, shown, width);
    let mut picked = None;
    Popup::menu(&response).width(width.max(240.0)).gap(space::XS).show(|ui| {
        let mut row = |ui: &mut Ui, choice: DeviceChoice, name: &str| {
            if option(ui, name, choice == current) {
                picked = Some(choice);
                ui.close();
            }
        };
        row(ui, DeviceChoice::Default, Word::DefaultDevice.text());
        for device in devices {
            row(ui, DeviceChoice::Id(device.id.clone()), &device.name);
        }
        row(ui, DeviceChoice::None, kind.none.text());
    });
    picked.filter(|picked| *picked != current)
}

fn face(ui: &mut Ui, kind: KindWords, shown: &str, width: f32) -> egui::Response {
    let t = theme::tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(width, size::CONTROL), Sense::click());
    response.widget_info(|| WidgetInfo {
        current_text_value: Some(shown.to_owned()),
        ..WidgetInfo::labeled(Role::ComboBox, ui.is_enabled(), kind.name.text())
    });
    let painter = ui.painter();
    let warm = ui.ctx().animate_bool_responsive(response.id, response.hovered());
    painter.rect_filled(rect, CornerRadius::same(size::RADIUS), t.well.lerp_to_gamma(t.button, warm));
    painter.rect_stroke(rect, CornerRadius::same(size::RADIUS), Stroke::new(1.0, t.line), StrokeKind::Inside);
    let middle = rect.center().y;
    let icon = icons::font(Weight::Fill, 17.0);
    painter.text(pos2(rect.left() + space::M, middle), Align2::LEFT_CENTER, kind.icon.char(), icon, t.soft);
    let caret = icons::font(Weight::Line, 13.0);
    painter.text(
        pos2(rect.right() - 10.0, middle),
        Align2::RIGHT_CENTER,
        Icon::CARET_DOWN.char(),
        caret,
        t.soft,
    );
    let room = width - 2.0 * space::M - 26.0 - 16.0;
    let galley = text::line(painter, shown, theme::font(size::BODY), t.text, room);
    text::place(painter, galley, pos2(rect.left() + space::M + 26.0, middle), Align2::LEFT_CENTER);
    focus_ring(ui, rect, &response, size::RADIUS);
    response.on_hover_cursor(CursorIcon::PointingHand)
}

fn option(ui: &mut Ui, name: &str, chosen: bool) -> bool {
    let t = theme::tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), 34.0), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, chosen, name));
    let painter = ui.painter();
    if response.hovered() || response.has_focus() {
        painter.rect_filled(rect, CornerRadius::same(size::RADIUS - 3), t.button);
    }
    if chosen {
        let check = icons::font(Weight::Line, 15.0);
        painter.text(
            rect.right_center() - vec2(10.0, 0.0),
            Align2::RIGHT_CENTER,
            Icon::CHECK.char(),
            check,
            t.accent,
        );
    }
    let galley = text::line(painter, name, theme::font(size::BODY), t.text, rect.width() - 46.0);
    text::place(painter, galley, rect.left_center() + vec2(10.0, 0.0), Align2::LEFT_CENTER);
    response.clicked()
}
