//! The chat beside the pictures: what was said, and files.
//!
//! In a narrow window it covers the pictures.

use eframe::egui::{
    Align, Align2, CornerRadius, Frame, Id, Label, Layout, Margin, Rect, RichText, Role, ScrollArea, Sense,
    Stroke, StrokeKind, Ui, UiBuilder, Vec2, WidgetInfo, pos2, vec2,
};

use super::heights::Heights;
use super::{chat_field, gestures};
use crate::chat::links::Piece;
use crate::chat::{Author, Entry};
use crate::engine::command::{ChatCommand, Command, FileCommand};
use crate::engine::view::CallPhase;
use crate::files::{FileState, FileView, Way};
use crate::ui::action::UiAction;
use crate::ui::format;
use crate::ui::icons::Icon;
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{IconButton, Kind, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// How wide it is beside the pictures.
const WIDTH: f32 = 320.0;

/// Less is left for pictures only when the pane covers them.
const LEAST_STAGE: f32 = 420.0;

/// The rest of `area` beside the pane, and the pane's part; `None` for what has no room.
pub fn dock(area: Rect) -> (Option<Rect>, Rect) {
    if area.width() - WIDTH - space::M < LEAST_STAGE {
        return (None, area);
    }
    let edge = area.right() - WIDTH;
    (Some(area.with_max_x(edge - space::M)), area.with_min_x(edge))
}

/// Draws it into `place`.
pub fn show(ui: &mut Ui, place: Rect, model: &mut UiModel, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    ui.interact(place, Id::unique("chat pane"), Sense::click_and_drag());
    let radius = CornerRadius::same(size::RADIUS_CARD);
    ui.painter().rect_filled(place, radius, t.card);
    ui.painter().rect_stroke(place, radius, Stroke::new(1.0, t.line), StrokeKind::Inside);
    let inner = place.shrink(space::M);
    ui.scope_builder(UiBuilder::new().scope_id(Id::unique("chat")).max_rect(inner), |ui| {
        head(ui, actions);
        let high = chat_field::height(ui, &model.chat_text, inner.width());
        let foot = size::ROUND_SMALL + 3.5 * space::S + high;
        let top = ui.cursor().top() + space::S;
        let middle = Rect::from_min_max(pos2(inner.left(), top), pos2(inner.right(), inner.bottom() - foot));
        ui.scope_builder(UiBuilder::new().max_rect(middle), |ui| history(ui, model, actions));
        let below = Rect::from_min_max(pos2(inner.left(), middle.bottom() + space::S), inner.max);
        ui.scope_builder(UiBuilder::new().max_rect(below), |ui| {
            gestures::faces(ui, actions);
            chat_field::show(ui, model, actions);
        });
    });
    if model.view.chat.unread > 0 {
        actions.push(chat(ChatCommand::Read));
    }
}

pub(super) const fn chat(command: ChatCommand) -> UiAction {
    UiAction::Command(Command::Chat(command))
}

const fn file(command: FileCommand) -> UiAction {
    UiAction::Command(Command::File(command))
}

fn head(ui: &mut Ui, actions: &mut Vec<UiAction>) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(Word::Chat.text()).font(theme::strong(size::HEADING)));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let close = IconButton::new(Icon::X, Word::CloseChat.text()).kind(Kind::Quiet).small();
            if close.show(ui).clicked() {
                actions.push(UiAction::ToggleChat);
            }
        });
    });
}

/// What was said and sent, the newest at the bottom.
fn history(ui: &mut Ui, model: &UiModel, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let view = &model.view;
    ScrollArea::vertical().id_salt("history").stick_to_bottom(true).auto_shrink([false, false]).show(
        ui,
        |ui| {
            ui.spacing_mut().item_spacing.y = space::S;
            // Lines of text are as high as they are; only buttons need room for a finger.
            ui.spacing_mut().interact_size.y = 0.0;
            if view.chat.entries.is_empty() && view.files.is_empty() {
                ui.add_space(space::M);
                ui.add(Label::new(RichText::new(Word::ChatEmpty.text()).color(t.soft)).wrap());
            }
            let (mut over, going): (Vec<_>, Vec<_>) =
                view.files.iter().partition(|file| file.over_since.is_some());
            over.sort_by_key(|file| file.over_since);
            let mut over = over.into_iter().peekable();
            let mut before: Option<&Author> = None;
            let mut heights = Heights::take(ui);
            for entry in view.chat.entries.iter() {
                while let Some(file) = over.next_if(|file| file.over_since <= Some(entry.at)) {
                    card(ui, file, actions);
                    before = None;
                }
                let again = before == Some(&entry.author);
                heights.draw(ui, (entry.id, again), |ui| said(ui, entry, again, actions));
                before = Some(&entry.author);
            }
            heights.keep(ui);
            // What goes on, or waits for the person, stays in sight below.
            for file in over.chain(going) {
                card(ui, file, actions);
            }
            for name in &view.chat.typing {
                let words = Word::IsTyping.with(name);
                ui.label(RichText::new(words).font(theme::font(size::SMALL)).color(t.soft));
            }
            for person in view.peers.iter().filter(|person| view.without_channels.contains(&person.peer)) {
                let words = Word::CannotChat.with(super::header::name_of(person));
                ui.add(Label::new(RichText::new(words).color(t.warn)).wrap());
            }
        },
    );
}

fn said(ui: &mut Ui, entry: &Entry, again: bool, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let (name, color) = match &entry.author {
        Author::Me => (Word::You.text(), t.accent),
        Author::Peer { name, .. } if name.is_empty() => (Word::Guest.text(), t.text),
        Author::Peer { name, .. } => (name.as_str(), t.text),
        Author::Program => {
            let note = RichText::new(entry.text.as_str()).font(theme::font(size::SMALL)).color(t.warn);
            let response = ui.add(Label::new(note).wrap());
            text::announce(ui, response.id);
            return;
        }
    };
    if !again {
        ui.horizontal(|ui| {
            ui.label(RichText::new(name).font(theme::strong(size::SMALL)).color(color));
            let at = format::clock(entry.after);
            ui.label(RichText::new(at).font(theme::font(size::SMALL)).color(t.soft));
        });
    }
    let response = ui
        .horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::ZERO;
            for piece in entry.text.pieces() {
                match piece {
                    Piece::Text(words) => {
                        ui.label(RichText::new(words).color(t.text));
                    }
                    Piece::Link(link) => {
                        if ui.link(link).clicked() {
                            actions.push(UiAction::AskLink(link.to_owned()));
                        }
                    }
                }
            }
        })
        .response;
    if matches!(entry.author, Author::Peer { .. }) {
        let words = format!("{name}: {}", entry.text.as_str());
        text::status(ui, response.rect, &format!("said {}", entry.id), &words);
    }
}

/// A file, how far it is, and what can be done about it.
fn card(ui: &mut Ui, shown: &FileView, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let frame = Frame::NONE
        .fill(t.well)
        .corner_radius(CornerRadius::same(size::RADIUS))
        .inner_margin(Margin::same(10));
    frame.show(ui, |ui| {
        ui.push_id(("file", shown.id), |ui| {
            ui.set_width(ui.available_width());
            ui.spacing_mut().item_spacing.y = 4.0;
            name(ui, &shown.name);
            let words = words_of(shown);
            let color = match shown.state {
                FileState::Ended { .. } => t.bad,
                FileState::Preparing
                | FileState::Offered
                | FileState::Asking
                | FileState::Moving
                | FileState::Checking
                | FileState::Done { .. }
                | FileState::Declined
                | FileState::Cancelled { .. } => t.soft,
            };
            let response =
                ui.add(Label::new(RichText::new(&words).font(theme::font(size::SMALL)).color(color)).wrap());
            if shown.state != FileState::Moving && shown.state != FileState::Preparing {
                text::announce(ui, response.id);
            }
            if matches!(shown.state, FileState::Moving | FileState::Preparing | FileState::Checking) {
                progress(ui, shown);
            }
            ui.horizontal(|ui| buttons(ui, shown, actions));
        });
    });
}

/// The file's name, which ends with what kind of file it is.
fn name(ui: &mut Ui, full: &str) {
    let (font, width) = (theme::strong(size::BODY), ui.available_width());
    let color = theme::tokens(ui.ctx()).text;
    let wide = |text: &str| ui.painter().layout_no_wrap(text.to_owned(), font.clone(), color).size().x;
    let short = text::shortened(full, |text| wide(text) <= width);
    let cut = short != full;
    let label = ui.add(Label::new(RichText::new(short).font(font)).truncate());
    label.widget_info(|| WidgetInfo::labeled(Role::Label, true, full));
    if cut {
        label.on_hover_text(full);
    }
}

fn progress(ui: &mut Ui, shown: &FileView) {
    let t = theme::tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 6.0), Sense::hover());
    ui.painter().rect_filled(rect, CornerRadius::same(3), t.button);
    let share = if shown.size == 0 { 1.0 } else { shown.moved as f32 / shown.size as f32 };
    let filled = rect.with_max_x(rect.left() + rect.width() * share.clamp(0.0, 1.0));
    ui.painter().rect_filled(filled, CornerRadius::same(3), t.accent);
}

fn buttons(ui: &mut Ui, shown: &FileView, actions: &mut Vec<UiAction>) {
    let small = |word: Word| TextButton::new(word.text()).height(30.0);
    match &shown.state {
        FileState::Asking => {
            if small(Word::AcceptFile).kind(Kind::Primary).show(ui).clicked() {
                actions.push(file(FileCommand::Accept(shown.id)));
            }
            if small(Word::DeclineFile).show(ui).clicked() {
                actions.push(file(FileCommand::Decline(shown.id)));
            }
        }
        FileState::Preparing | FileState::Offered | FileState::Moving | FileState::Checking => {
            if small(Word::CancelFile).show(ui).clicked() {
                actions.push(file(FileCommand::Cancel(shown.id)));
            }
        }
        FileState::Done { path } => {
            if let Some(path) = path
                && small(Word::ShowInFolder).show(ui).clicked()
            {
                actions.push(UiAction::ShowInFolder(path.clone()));
            }
            if small(Word::HideFile).show(ui).clicked() {
                actions.push(file(FileCommand::Dismiss(shown.id)));
            }
        }
        FileState::Declined | FileState::Cancelled { .. } | FileState::Ended { .. } => {
            if small(Word::HideFile).show(ui).clicked() {
                actions.push(file(FileCommand::Dismiss(shown.id)));
            }
        }
    }
}

fn words_of(shown: &FileView) -> String {
    let (person, all) = (shown.person.as_str(), format::bytes(shown.size));
    let part = |word: Word| format!("{} \u{b7} {} / {all}", word.with(person), format::bytes(shown.moved));
    match (&shown.state, shown.way) {
        (FileState::Preparing, _) => format!("{} \u{b7} {all}", Word::FilePreparing.text()),
        (FileState::Offered, _) => format!("{} \u{b7} {all}", Word::FileOffered.with(person)),
        (FileState::Asking, _) => format!("{} \u{b7} {all}", Word::FileAsking.with(person)),
        (FileState::Moving, way) => {
            let word = if way == Way::Sending { Word::FileSending } else { Word::FileReceiving };
            let rate = if shown.rate > 0 {
                format!(" \u{b7} {}/s", format::bytes(shown.rate))
            } else {
                String::new()
            };
            format!("{}{rate}", part(word))
        }
        (FileState::Checking, _) => Word::FileChecking.text().to_owned(),
        (FileState::Done { .. }, Way::Sending) => format!("{} \u{b7} {all}", Word::FileSent.with(person)),
        (FileState::Done { .. }, Way::Receiving) => {
            format!("{} \u{b7} {all}", Word::FileReceived.with(person))
        }
        (FileState::Declined, _) => Word::FileDeclined.text().to_owned(),
        (FileState::Cancelled { reason } | FileState::Ended { reason }, _) => reason.clone(),
    }
}

/// Asks whether to open a link, and shows all of it and where it leads.
pub fn ask_link(ui: &Ui, model: &UiModel, actions: &mut Vec<UiAction>) {
    use crate::chat::links::{Destination, Doubt};
    let Some(destination) = model.asks_link.as_deref().and_then(Destination::of) else { return };
    let t = theme::tokens(ui.ctx());
    let modal = eframe::egui::Modal::new(Id::unique("link")).frame(theme::dialog(ui)).show(ui.ctx(), |ui| {
        ui.set_width(420.0_f32.min(ui.ctx().content_rect().width() - 80.0));
        ui.label(RichText::new(Word::OpenLink.with(&destination.host)).font(theme::strong(size::HEADING)));
        ui.add_space(space::S);
        ScrollArea::vertical().max_height(160.0).show(ui, |ui| {
            ui.add(Label::new(RichText::new(&destination.url).color(t.soft)).wrap());
        });
        if let Some(doubt) = destination.warning {
            let word = match doubt {
                Doubt::UserName => Word::LinkUserName,
                Doubt::Letters => Word::LinkLetters,
                Doubt::Number => Word::LinkNumber,
            };
            ui.add_space(space::S);
            ui.add(Label::new(RichText::new(word.text()).color(t.warn)).wrap());
        }
        ui.add_space(space::L);
        ui.horizontal(|ui| {
            if TextButton::new(Word::Open.text()).kind(Kind::Primary).show(ui).clicked() {
                actions.push(UiAction::OpenLink(destination.url.clone()));
            }
            if TextButton::new(Word::CopyLink.text()).show(ui).clicked() {
                actions.push(UiAction::CopyText(destination.url.clone()));
            }
            if TextButton::new(Word::Cancel.text()).show(ui).clicked() {
                actions.push(UiAction::ForgetLink);
            }
        });
    });
    if modal.should_close() {
        actions.push(UiAction::ForgetLink);
    }
}

/// The button that opens the pane, with how much waits there.
pub fn button(ui: &Ui, center: eframe::egui::Pos2, model: &UiModel, actions: &mut Vec<UiAction>) {
    let asking = model.view.files.iter().filter(|file| file.state == FileState::Asking).count();
    let waits = model.view.chat.unread as usize + if model.chat_open { 0 } else { asking };
    let name = match waits {
        0 => Word::Chat.text().to_owned(),
        waits => Word::ChatUnread.with(&waits.to_string()),
    };
    let kind = if model.chat_open { Kind::Primary } else { Kind::Plain };
    let tip = super::start::tip(Word::Chat, "C");
    let response = IconButton::new(Icon::CHAT, &name).kind(kind).tip(&tip).show_at(ui, "chat", center);
    text::announce(ui, response.id);
    if response.clicked() {
        actions.push(UiAction::ToggleChat);
    }
    if waits > 0 {
        let t = theme::tokens(ui.ctx());
        let at = center + vec2(16.0, -16.0);
        ui.painter().circle_filled(at, 10.0, t.danger);
        let count = if waits > 99 { "99".to_owned() } else { waits.to_string() };
        ui.painter().text(at, Align2::CENTER_CENTER, count, theme::strong(size::SMALL - 1.0), t.on_danger);
    }
}

/// Files that are dropped on the window are sent.
pub fn dropped(ui: &Ui, place: Rect, model: &UiModel, actions: &mut Vec<UiAction>) {
    if model.view.phase != CallPhase::InCall {
        return;
    }
    let (hovered, dropped) =
        ui.input(|input| (!input.raw.hovered_files.is_empty(), input.raw.dropped_files.clone()));
    if !dropped.is_empty() {
        let paths = dropped.iter().map(|file| file.path().to_owned()).collect();
        actions.push(file(FileCommand::Send(paths)));
        if !model.chat_open {
            actions.push(UiAction::ToggleChat);
        }
    }
    if hovered {
        let t = theme::tokens(ui.ctx());
        ui.painter().rect_filled(place, CornerRadius::same(size::RADIUS_CARD), t.overlay);
        let words = Word::DropFiles.text();
        let galley =
            text::line(ui.painter(), words, theme::strong(size::HEADING), t.on_overlay, place.width());
        text::place(ui.painter(), galley, place.center(), Align2::CENTER_CENTER);
        text::status(ui, place, "drop", words);
    }
}
