//! The field of the chat, with the buttons beside it: as high as its text, up to some lines.

use eframe::egui::{
    Align, Color32, CornerRadius, Frame, Id, Key, Label, Layout, Margin, Modifiers, RichText, ScrollArea,
    Stroke, StrokeKind, TextEdit, Ui, Vec2, vec2,
};

use super::chat_pane::chat;
use crate::chat::LONGEST_TEXT;
use crate::engine::command::ChatCommand;
use crate::ui::action::UiAction;
use crate::ui::icons::Icon;
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{IconButton, Kind};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// It grows to so many lines; what is longer scrolls in it.
const LINES: usize = 4;

/// What the field has around its text.
const MARGIN: Vec2 = vec2(10.0, 8.0);

/// Letters that the field takes, several times what can be sent: who pastes too much is told so and
/// sees it, and does not lose the end without a word.
const HELD: usize = 4 * LONGEST_TEXT;

/// How high it is for a text, in a pane of some width, with what is said above it.
pub fn height(ui: &Ui, text: &str, width: f32) -> f32 {
    let words = too_long(text).map_or(0.0, |words| {
        let laid_out = ui.painter().layout(words, theme::font(size::SMALL), Color32::WHITE, width);
        laid_out.size().y + ui.spacing().item_spacing.y
    });
    words + row_height(ui, text, width)
}

/// Why a text cannot be sent, unless it can.
fn too_long(text: &str) -> Option<String> {
    let bytes = text.trim().len();
    (bytes > LONGEST_TEXT).then(|| Word::ChatTooLong.with(&bytes.to_string()))
}

/// How high the field is: lines that are wrapped count.
fn row_height(ui: &Ui, text: &str, width: f32) -> f32 {
    let width = width - 2.0 * (size::ROUND_SMALL + space::S) - 2.0 * MARGIN.x;
    let laid_out = ui.painter().layout(text.to_owned(), theme::font(size::BODY), Color32::WHITE, width);
    let rows = laid_out.rows.len().max(1);
    let text = laid_out.size().y * rows.min(LINES) as f32 / rows as f32;
    // Whole, so that a text that fits is not scrolled by a fraction of a point.
    (text + 2.0 * MARGIN.y).ceil().max(size::CONTROL)
}

/// Where a text is written: Enter sends it, Shift+Enter begins a line. What is too long stays, and why is
/// said.
pub fn show(ui: &mut Ui, model: &mut UiModel, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let id = Id::unique("chat text");
    let has_focus = ui.memory(|memory| memory.has_focus(id));
    let mut sends = has_focus
        && ui.input_mut(|input| !input.modifiers.shift && input.consume_key(Modifiers::NONE, Key::Enter));
    let fits = match too_long(&model.chat_text) {
        None => true,
        Some(words) => {
            let words = RichText::new(words).font(theme::font(size::SMALL)).color(t.warn);
            let response = ui.add(Label::new(words).wrap());
            text::announce(ui, response.id);
            false
        }
    };
    let high = row_height(ui, &model.chat_text, ui.available_width());
    let row = vec2(ui.available_width(), high);
    ui.allocate_ui_with_layout(row, Layout::left_to_right(Align::Center), |ui| {
        ui.set_min_height(high);
        let attach = IconButton::new(Icon::PAPERCLIP, Word::SendFile.text()).kind(Kind::Quiet).small();
        if attach.show(ui).clicked() {
            actions.push(UiAction::ChooseFile);
        }
        let width = ui.available_width() - size::ROUND_SMALL - space::S;
        let margin = Margin::symmetric(MARGIN.x as i8, MARGIN.y as i8);
        let radius = CornerRadius::same(size::RADIUS);
        let scrolled = ScrollArea::vertical().id_salt("writing").max_width(width).max_height(high);
        let scrolled = scrolled.min_scrolled_height(high).show(ui, |ui| {
            let ground = Frame::NONE.fill(t.well).corner_radius(radius).inner_margin(margin);
            let text = TextEdit::multiline(&mut model.chat_text).id(id).hint_text(Word::ChatHint.text());
            let text = text.char_limit(HELD).desired_rows(1).desired_width(width).margin(margin);
            ui.add(text.frame(ground))
        });
        let (response, place) = (scrolled.inner, scrolled.inner_rect);
        ui.ctx().accesskit_node_builder(response.id, |node| node.set_label(Word::ChatHint.text()));
        let stroke = if response.has_focus() { Stroke::new(2.0, t.accent) } else { Stroke::new(1.0, t.line) };
        ui.painter().rect_stroke(place, radius, stroke, StrokeKind::Inside);
        if std::mem::take(&mut model.chat_wants_focus) {
            response.request_focus();
        }
        if response.changed() && !model.chat_text.trim().is_empty() {
            actions.push(chat(ChatCommand::Typing));
        }
        let send = IconButton::new(Icon::PAPER_PLANE, Word::SendText.text()).kind(Kind::Primary).small();
        sends |= send.show(ui).clicked();
    });
    if sends && fits && !model.chat_text.trim().is_empty() {
        actions.push(chat(ChatCommand::Say(std::mem::take(&mut model.chat_text))));
    }
}
