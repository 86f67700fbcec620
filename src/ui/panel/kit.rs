//! What the tabs of the panel are made of: cards, rows of a name and a value, pills, a filter.

use eframe::egui::{
    Align2, Color32, CornerRadius, Frame, Label, Margin, Response, RichText, Sense, Ui, pos2, vec2,
};

use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, Tokens, size, space};
use crate::ui::widgets::button::{self, IconButton};
use crate::ui::widgets::field;
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// Good, worse than it should be, bad, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Mood {
    Plain,
    Good,
    Warn,
    Bad,
}

impl Mood {
    /// Its colour, and the one behind it.
    pub const fn colors(self, t: &Tokens) -> (Color32, Color32) {
        match self {
            Mood::Plain => (t.soft, t.button),
            Mood::Good => (t.good, t.good_back),
            Mood::Warn => (t.warn, t.warn_back),
            Mood::Bad => (t.bad, t.bad_back),
        }
    }
}

/// What belongs together, on a ground of its own.
pub fn card<R>(ui: &mut Ui, add: impl FnOnce(&mut Ui) -> R) -> R {
    let t = theme::tokens(ui.ctx());
    let frame = Frame::NONE
        .fill(t.well)
        .corner_radius(CornerRadius::same(size::RADIUS + 2))
        .inner_margin(Margin::symmetric(space::M as i8, 10));
    let inner = frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing = vec2(space::S, 5.0);
        add(ui)
    });
    inner.inner
}

/// The title of what follows.
pub fn heading(ui: &mut Ui, word: Word) -> Response {
    let t = theme::tokens(ui.ctx());
    ui.label(RichText::new(word.text()).font(theme::strong(size::BODY)).color(t.text))
}

/// A line of less weight.
pub fn remark(ui: &mut Ui, words: &str) -> Response {
    let t = theme::tokens(ui.ctx());
    ui.add(Label::new(RichText::new(words).size(size::SMALL).color(t.soft)).wrap())
}

/// A name on the left, its value on the right; the value can be marked and copied.
pub fn fact(ui: &mut Ui, name: &str, value: &str) {
    let t = theme::tokens(ui.ctx());
    ui.horizontal(|ui| {
        let all = ui.available_width();
        let galley = text::line(ui.painter(), name, theme::font(size::SMALL), t.soft, all * 0.55);
        let (rect, _) = ui.allocate_exact_size(vec2(galley.size().x, 18.0), Sense::hover());
        text::place(ui.painter(), galley, rect.left_center(), Align2::LEFT_CENTER);
        text::label(ui, rect, name, name);
        ui.with_layout(eframe::egui::Layout::right_to_left(eframe::egui::Align::Center), |ui| {
            let value = RichText::new(value).font(theme::strong(size::SMALL)).color(t.text);
            ui.add(Label::new(value).truncate());
        });
    });
}

/// A state in a word, in its colour: `Connection  connected`.
pub fn pill(ui: &mut Ui, name: &str, state: &str, mood: Mood) {
    let t = theme::tokens(ui.ctx());
    let (front, back) = mood.colors(t);
    let font = theme::font(size::SMALL - 0.5);
    let name_galley = text::line(ui.painter(), name, font, t.soft, 160.0);
    let state_galley = text::line(ui.painter(), state, theme::strong(size::SMALL - 0.5), front, 160.0);
    let width = name_galley.size().x + state_galley.size().x + 6.0 + 2.0 * 9.0;
    let (rect, _) = ui.allocate_exact_size(vec2(width, 24.0), Sense::hover());
    ui.painter().rect_filled(rect, 12.0, back);
    let left = rect.left() + 9.0;
    let at = pos2(left + name_galley.size().x + 6.0, rect.center().y);
    text::place(ui.painter(), name_galley, pos2(left, rect.center().y), Align2::LEFT_CENTER);
    text::place(ui.painter(), state_galley, at, Align2::LEFT_CENTER);
    text::status(ui, rect, name, &format!("{name}: {state}"));
}

/// A field for the words that rows must hold.
pub fn filter(ui: &mut Ui, name: Word, value: &mut String, width: f32) {
    let t = theme::tokens(ui.ctx());
    ui.scope(|ui| {
        ui.spacing_mut().interact_size.y = 20.0;
        let response = field::text_field(ui, name.text(), name.text(), value, 200, width);
        let at = response.rect.right_center() - vec2(12.0, 0.0);
        let font = icons::font(Weight::Line, 15.0);
        ui.painter().text(at, Align2::RIGHT_CENTER, Icon::MAGNIFYING_GLASS.char(), font, t.soft);
    });
}

/// One sentence over the whole width; says whether it was put away.
pub fn banner(ui: &mut Ui, words: &str) -> bool {
    let t = theme::tokens(ui.ctx());
    let frame = Frame::NONE.fill(t.warn_back).inner_margin(Margin::symmetric(space::M as i8, 6));
    let inner = frame.show(ui, |ui| {
        ui.horizontal(|ui| {
            let room = ui.available_width() - 34.0;
            ui.scope(|ui| {
                ui.set_width(room);
                let label = ui.add(Label::new(RichText::new(words).color(t.warn)).wrap());
                text::announce(ui, label.id);
            });
            let name = Word::DismissNotice.with(words);
            IconButton::new(Icon::X, &name).kind(button::Kind::Quiet).size(26.0, 26.0).show(ui).clicked()
        })
    });
    inner.inner.inner
}

/// Tells that there is nothing to show, and why.
pub fn nothing(ui: &mut Ui, words: Word) {
    let t = theme::tokens(ui.ctx());
    let width = ui.available_width();
    let galley = text::paragraph(ui.painter(), words.text(), theme::font(size::BODY), t.soft, width - 24.0);
    let (rect, _) = ui.allocate_exact_size(vec2(width, galley.size().y + 40.0), Sense::hover());
    let at = pos2(rect.center().x, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, t.soft);
    text::label(ui, rect, words.text(), words.text());
}
