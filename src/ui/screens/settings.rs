//! The settings, over whatever screen there is. A switch takes effect at once, a text when its
//! field is left.

use eframe::egui::{Id, Modal, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

use crate::config::{Settings, Theme};
use crate::engine::command::{Command, DeviceChoice};
use crate::ui::action::UiAction;
use crate::ui::icons::Icon;
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{IconButton, Kind, focus_ring};
use crate::ui::widgets::field::{switch, text_field};
use crate::ui::widgets::picker::{self, picker};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// Draws them while they are open.
pub fn show(ui: &Ui, model: &mut UiModel, actions: &mut Vec<UiAction>) {
    let Some(mut draft) = model.draft.clone() else { return };
    let window = ui.ctx().content_rect();
    let modal = Modal::new(Id::unique("settings")).frame(theme::dialog(ui)).show(ui.ctx(), |ui| {
        ui.set_width((window.width() - 80.0).min(460.0));
        ui.horizontal(|ui| {
            ui.label(RichText::new(Word::Settings.text()).font(theme::strong(size::TITLE - 4.0)));
            ui.add_space(ui.available_width() - size::ROUND_SMALL - space::S);
            let close = IconButton::new(Icon::X, Word::CloseSettings.text()).kind(Kind::Quiet).small();
            if close.show(ui).clicked() {
                actions.push(UiAction::ToggleSettings);
            }
        });
        let height = window.height() - 130.0;
        // A scroll area in a window that fits itself to its content would else stay as small as it can.
        ScrollArea::vertical().max_height(height).min_scrolled_height(height).show(ui, |ui| {
            ui.set_width(ui.available_width() - space::S);
            if body(ui, model, &mut draft, actions) {
                actions.push(UiAction::Command(Command::SaveSettings(Box::new(draft.clone()))));
            }
        });
    });
    if modal.should_close() {
        actions.push(UiAction::ToggleSettings);
    }
    model.draft = Some(draft);
}

fn heading(ui: &mut Ui, word: Word) {
    ui.add_space(space::M);
    ui.label(RichText::new(word.text()).font(theme::strong(size::BODY)));
}

/// Draws what can be set; says whether something is to be saved.
fn body(ui: &mut Ui, model: &UiModel, draft: &mut Settings, actions: &mut Vec<UiAction>) -> bool {
    let width = ui.available_width();
    let mut save = false;
    heading(ui, Word::Person);
    let name = text_field(ui, Word::YourName.text(), Word::YourNameHint.text(), &mut draft.name, 48, width);
    save |= name.lost_focus();
    heading(ui, Word::DevicesHead);
    let list = &model.view.devices;
    let mut device =
        |picked: Option<DeviceChoice>, command: fn(DeviceChoice) -> Command, setting: &mut String| {
            let Some(choice) = picked else { return };
            *setting = match &choice {
                DeviceChoice::Default => String::new(),
                DeviceChoice::None => "none".to_owned(),
                DeviceChoice::Id(id) => id.clone(),
            };
            actions.push(UiAction::Command(command(choice)));
        };
    device(
        picker(ui, picker::CAMERA, &list.cameras, &draft.camera, width),
        Command::UseCamera,
        &mut draft.camera,
    );
    let picked = picker(ui, picker::MICROPHONE, &list.microphones, &draft.microphone, width);
    device(picked, Command::UseMicrophone, &mut draft.microphone);
    let picked = picker(ui, picker::SPEAKER, &list.speakers, &draft.speaker, width);
    device(picked, Command::UseSpeaker, &mut draft.speaker);
    heading(ui, Word::SoundHead);
    save |= switch(ui, Word::EchoCancellation.text(), Word::EchoHint.text(), &mut draft.echo_cancellation);
    save |= switch(ui, Word::NoiseSuppression.text(), Word::NoiseHint.text(), &mut draft.noise_suppression);
    save |= switch(ui, Word::GainControl.text(), Word::GainHint.text(), &mut draft.gain_control);
    heading(ui, Word::ConnectionHead);
    let hint = Word::ServerHint.text();
    save |= text_field(ui, Word::ServerField.text(), hint, &mut draft.server, 256, width).lost_focus();
    let soft = theme::tokens(ui.ctx()).soft;
    if draft.server.trim().is_empty() {
        ui.label(RichText::new(Word::HostsHere.text()).size(size::SMALL).color(soft));
    }
    save |= switch(ui, Word::RelayOnly.text(), Word::RelayHint.text(), &mut draft.relay_only);
    heading(ui, Word::RecordsHead);
    save |= switch(ui, Word::KeepRecords.text(), Word::KeepRecordsHint.text(), &mut draft.keep_records);
    heading(ui, Word::Appearance);
    save |= appearance(ui, &mut draft.theme);
    ui.add_space(space::S);
    save
}

/// Three choices side by side.
fn appearance(ui: &mut Ui, theme: &mut Theme) -> bool {
    let t = theme::tokens(ui.ctx());
    let mut changed = false;
    let each = (ui.available_width() - 8.0) / 3.0;
    let (row, _) = ui.allocate_exact_size(vec2(ui.available_width(), size::CONTROL), Sense::hover());
    ui.painter().rect_filled(row, f32::from(size::RADIUS), t.well);
    let choices = [
        (Theme::System, Word::ThemeSystem),
        (Theme::Dark, Word::ThemeDark),
        (Theme::Light, Word::ThemeLight),
    ];
    for (index, (choice, word)) in choices.into_iter().enumerate() {
        let at = row.min + vec2(4.0 + index as f32 * each, 4.0);
        let rect = eframe::egui::Rect::from_min_size(at, vec2(each, size::CONTROL - 8.0));
        let response = ui.interact(rect, ui.scope_id().with(word.text()), Sense::click());
        let chosen = *theme == choice;
        response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, chosen, word.text()));
        if chosen {
            ui.painter().rect_filled(rect, 7.0, t.button);
        }
        let color = if chosen || response.hovered() { t.text } else { t.soft };
        let galley = text::line(ui.painter(), word.text(), theme::strong(size::BODY), color, each);
        text::place(ui.painter(), galley, rect.center(), eframe::egui::Align2::CENTER_CENTER);
        focus_ring(ui, rect, &response, 7);
        if response.clicked() && !chosen {
            *theme = choice;
            changed = true;
        }
    }
    changed
}
