//! The start screen: who one is, how one looks and sounds, and the two ways into a call.

use eframe::egui::{
    Align, Align2, CornerRadius, Label, Layout, Rect, RichText, ScrollArea, Sense, Ui, UiBuilder, pos2, vec2,
};

use super::Screen;
use super::header;
use crate::engine::command::{Command, DeviceChoice, Switch};
use crate::engine::frames::FrameKey;
use crate::engine::view::DeviceState;
use crate::ui::action::UiAction;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::video::{Fill, Mirror};
use crate::ui::widgets::button::{IconButton, Kind, TextButton, focus_ring};
use crate::ui::widgets::field::text_field;
use crate::ui::widgets::picker::{self, picker};
use crate::ui::widgets::{avatar, level, text};
use crate::ui::words::{Word, with_key};

/// The longest name that the server takes, in bytes; counted in characters here, checked there.
const LONGEST_NAME: usize = 48;
/// Longer than every link; what is longer still is cut and refused in words.
pub const LONGEST_LINK: usize = 4096;

/// From this width on the pickers stand beside each other.
const SIDE_BY_SIDE: f32 = 560.0;

/// Draws it.
pub fn show(ui: &mut Ui, model: &mut UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>) {
    let area = ui.max_rect();
    header::show(ui, area, model, actions);
    let body = Rect::from_min_max(area.min + vec2(0.0, size::HEADER), area.max).shrink2(vec2(space::L, 0.0));
    let width = body.width().min(1080.0);
    let gap = if width < 800.0 { space::L } else { 48.0 };
    let right_width = (width * 0.4).clamp(270.0, 400.0);
    let left_width = width - right_width - gap;
    let left = body.center().x - width / 2.0;
    let spare = ((body.height() - content_height(left_width)) / 2.2).max(0.0);
    let column = |from: f32, width: f32| {
        Rect::from_min_max(pos2(from, body.top() + spare), pos2(from + width, body.bottom()))
    };
    let mut place = |rect: Rect, name: &str, add: &mut dyn FnMut(&mut Ui)| {
        let builder = UiBuilder::new().id_salt(name).max_rect(rect).layout(Layout::top_down(Align::Min));
        ui.scope_builder(builder, |ui| {
            ScrollArea::vertical().id_salt(name).auto_shrink([false, false]).show(ui, add);
        });
    };
    place(column(left, left_width), "devices", &mut |ui| devices(ui, model, screen, actions));
    place(column(left + left_width + gap, right_width), "ways", &mut |ui| ways(ui, model, actions));
}

/// About how high the taller column is, to put both in the middle.
fn content_height(left_width: f32) -> f32 {
    let pickers = if left_width >= SIDE_BY_SIDE { 90.0 } else { 186.0 };
    left_width * 9.0 / 16.0 + pickers
}

fn devices(ui: &mut Ui, model: &UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>) {
    let width = ui.available_width();
    preview(ui, model, screen, actions, width);
    ui.add_space(space::XS);
    level::meter(ui, if model.view.me.microphone.is_on() { model.view.me.level } else { 0 }, width);
    if let DeviceState::Failed { reason } = &model.view.me.microphone {
        let bad = theme::tokens(ui.ctx()).bad;
        ui.add(Label::new(RichText::new(reason).color(bad).size(size::SMALL)).wrap());
    }
    ui.add_space(space::XS);
    let (list, settings) = (&model.view.devices, &model.view.settings);
    let rows = [
        (picker::CAMERA, &list.cameras, &settings.camera),
        (picker::MICROPHONE, &list.microphones, &settings.microphone),
        (picker::SPEAKER, &list.speakers, &settings.speaker),
    ];
    let side_by_side = width >= SIDE_BY_SIDE;
    let test = IconButton::new(Icon::SPEAKER_HIGH, Word::TestSpeaker.text()).beside_field();
    let all = width - size::CONTROL - space::S;
    let each = if side_by_side { (all - 2.0 * space::S) / 3.0 } else { width };
    let layout = if side_by_side { Layout::left_to_right(Align::Min) } else { Layout::top_down(Align::Min) };
    ui.with_layout(layout, |ui| {
        for (index, (kind, devices, setting)) in rows.into_iter().enumerate() {
            let is_last = index == 2;
            let mut row = |ui: &mut Ui| {
                let width = if is_last && !side_by_side { all } else { each };
                if let Some(choice) = picker(ui, kind, devices, setting, width) {
                    actions.push(UiAction::Command(use_device(index, choice)));
                }
                if is_last && test.kind(Kind::Plain).show(ui).clicked() {
                    actions.push(UiAction::Command(Command::TestSpeaker));
                }
            };
            if side_by_side {
                row(ui);
            } else {
                ui.horizontal(row);
            }
        }
    });
    ui.add_space(space::S);
}

/// The command for the device kind at an index of the pickers: camera, microphone, speaker.
fn use_device(index: usize, choice: DeviceChoice) -> Command {
    match index {
        0 => Command::UseCamera(choice),
        1 => Command::UseMicrophone(choice),
        _ => Command::UseSpeaker(choice),
    }
}

fn preview(ui: &mut Ui, model: &UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>, width: f32) {
    let t = theme::tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(width, (width * 9.0 / 16.0).round()), Sense::hover());
    ui.painter().rect_filled(rect, CornerRadius::same(size::RADIUS_CARD), t.stage);
    let camera = &model.view.me.camera;
    let how = (Fill::Crop, Mirror::Yes, size::RADIUS_CARD);
    let drawn = camera
        .is_on()
        .then(|| screen.pictures.draw(ui.painter(), screen.frames, &FrameKey::Local, rect, how));
    let words = if drawn.flatten().is_some() {
        Word::Preview.text()
    } else {
        let words = camera_words(camera);
        // Above the buttons.
        let room = rect.with_max_y(rect.bottom() - size::ROUND - space::L);
        let radius = (room.height() * 0.24).min(56.0);
        let center = room.center() - vec2(0.0, radius * 0.5);
        avatar::paint(ui.painter(), t, center, radius, &model.name);
        let galley =
            text::paragraph(ui.painter(), words, theme::font(size::BODY), t.soft, rect.width() - 32.0);
        ui.painter().galley(pos2(rect.center().x, center.y + radius + space::S), galley, t.soft);
        words
    };
    text::status(ui, rect, "preview", words);
    let bottom = rect.bottom() - space::M - size::ROUND / 2.0;
    let middle = rect.center().x;
    let apart = size::ROUND / 2.0 + 5.0;
    let (microphone, camera) = (microphone_button(model), camera_button(model));
    if microphone.0.show_at(ui, "microphone", pos2(middle - apart, bottom)).clicked() {
        actions.push(UiAction::Command(microphone.1));
    }
    if camera.0.show_at(ui, "camera", pos2(middle + apart, bottom)).clicked() {
        actions.push(UiAction::Command(camera.1));
    }
}

/// Why there is no picture of ours.
pub fn camera_words(camera: &DeviceState) -> &str {
    match camera {
        DeviceState::Failed { reason } => reason,
        DeviceState::Absent => Word::CameraAbsent.text(),
        DeviceState::Opening | DeviceState::On { .. } => Word::CameraOpening.text(),
        DeviceState::Closed | DeviceState::Off => Word::CameraOff.text(),
    }
}

/// The button of the microphone as it is now, and what it asks for.
pub fn microphone_button(model: &UiModel) -> (IconButton<'static>, Command) {
    match &model.view.me.microphone {
        DeviceState::On { .. } | DeviceState::Opening => (
            IconButton::new(Icon::MICROPHONE, Word::MuteMicrophone.text()).kind(Kind::Plain),
            Command::Microphone(Switch::Off),
        ),
        DeviceState::Off | DeviceState::Closed | DeviceState::Absent | DeviceState::Failed { .. } => (
            IconButton::new(Icon::MICROPHONE_SLASH, Word::UnmuteMicrophone.text()).kind(Kind::Danger),
            Command::Microphone(Switch::On),
        ),
    }
}

/// The button of the camera as it is now, and what it asks for.
pub fn camera_button(model: &UiModel) -> (IconButton<'static>, Command) {
    match &model.view.me.camera {
        DeviceState::On { .. } | DeviceState::Opening => (
            IconButton::new(Icon::VIDEO_CAMERA, Word::TurnCameraOff.text()).kind(Kind::Plain),
            Command::Camera(Switch::Off),
        ),
        DeviceState::Off | DeviceState::Closed | DeviceState::Absent | DeviceState::Failed { .. } => (
            IconButton::new(Icon::VIDEO_CAMERA_SLASH, Word::TurnCameraOn.text()).kind(Kind::Danger),
            Command::Camera(Switch::On),
        ),
    }
}

/// A caption above a field.
fn caption(ui: &mut Ui, word: Word) {
    let soft = theme::tokens(ui.ctx()).soft;
    // Painted only: the field itself carries the name for screen readers.
    let galley = text::line(ui.painter(), word.text(), theme::font(size::SMALL), soft, ui.available_width());
    let (rect, _) = ui.allocate_exact_size(galley.size(), Sense::hover());
    text::place(ui.painter(), galley, rect.left_top(), Align2::LEFT_TOP);
}

fn ways(ui: &mut Ui, model: &mut UiModel, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let width = ui.available_width();
    ui.spacing_mut().item_spacing.y = 6.0;
    let title = if width < 330.0 { 19.0 } else { size::TITLE };
    ui.label(RichText::new(Word::StartTitle.text()).font(theme::strong(title)).color(t.text));
    ui.add_space(space::XS);
    caption(ui, Word::YourName);
    let name = text_field(
        ui,
        Word::YourName.text(),
        Word::YourNameHint.text(),
        &mut model.name,
        LONGEST_NAME,
        width,
    );
    if name.lost_focus() {
        actions.push(UiAction::SaveStart);
    }
    ui.add_space(space::XS);
    let new_call =
        TextButton::new(Word::NewCall.text()).icon(Icon::PLUS).kind(Kind::Primary).width(width).height(44.0);
    if new_call.show(ui).clicked() {
        actions.push(UiAction::NewCall);
    }
    divider(ui, width);
    caption(ui, Word::LinkField);
    ui.horizontal(|ui| {
        let field = width - size::CONTROL - space::S;
        let hint = Word::LinkHint.text();
        let link = text_field(ui, Word::LinkField.text(), hint, &mut model.link, LONGEST_LINK, field);
        if link.changed() {
            model.problem = None;
        }
        if link.lost_focus() && ui.input(|input| input.key_pressed(eframe::egui::Key::Enter)) {
            actions.push(UiAction::JoinTyped);
        }
        let paste = IconButton::new(Icon::CLIPBOARD, Word::PasteLink.text()).beside_field();
        if paste.show(ui).clicked() {
            actions.push(UiAction::Paste);
        }
    });
    if let Some(problem) = &model.problem {
        let label = ui.add(Label::new(RichText::new(problem).color(t.bad).size(size::SMALL)).wrap());
        text::announce(ui, label.id);
    }
    if TextButton::new(Word::Join.text()).width(width).show(ui).clicked() {
        actions.push(UiAction::JoinTyped);
    }
    ui.add_space(space::XS);
    server(ui, model, actions, width);
}

fn divider(ui: &mut Ui, width: f32) {
    let t = theme::tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(width, 22.0), Sense::hover());
    let word = ui.painter().text(
        rect.center(),
        Align2::CENTER_CENTER,
        Word::Or.text(),
        theme::font(size::SMALL),
        t.soft,
    );
    for (from, to) in [(rect.left(), word.left() - space::M), (word.right() + space::M, rect.right())] {
        ui.painter().hline(from..=to, rect.center().y, (1.0, t.line));
    }
}

fn server(ui: &mut Ui, model: &mut UiModel, actions: &mut Vec<UiAction>, width: f32) {
    let t = theme::tokens(ui.ctx());
    let (rect, fold) = ui.allocate_exact_size(vec2(width, 28.0), Sense::click());
    let open = model.server_open;
    fold.widget_info(|| {
        eframe::egui::WidgetInfo::selected(eframe::egui::Role::Button, true, open, Word::OwnServer.text())
    });
    let color = if fold.hovered() { t.text } else { t.soft };
    let caret = if open { Icon::CARET_DOWN } else { Icon::CARET_RIGHT };
    let font = icons::font(Weight::Line, 13.0);
    ui.painter().text(rect.left_center(), Align2::LEFT_CENTER, caret.char(), font, color);
    let words = Word::OwnServer.text();
    let at = rect.left_center() + vec2(20.0, 0.0);
    ui.painter().text(at, Align2::LEFT_CENTER, words, theme::font(size::BODY), color);
    focus_ring(ui, rect, &fold, 4);
    if fold.clicked() {
        model.server_open = !open;
    }
    fold.on_hover_cursor(eframe::egui::CursorIcon::PointingHand);
    if model.server_open {
        let name = Word::ServerField.text();
        let field = text_field(ui, name, Word::ServerHint.text(), &mut model.server, 256, width);
        if field.changed() {
            model.problem = None;
        }
        if field.lost_focus() {
            actions.push(UiAction::SaveStart);
        }
    }
    let words = match model.server.trim() {
        "" => Word::HostsHere.text().to_owned(),
        server => Word::HostedBy.with(server),
    };
    ui.add(Label::new(RichText::new(words).color(t.soft).size(size::SMALL)).wrap());
}

/// The tooltip of a button that a key presses too.
pub fn tip(name: Word, key: &str) -> String {
    with_key(name, key)
}
