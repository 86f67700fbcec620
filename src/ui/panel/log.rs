//! The tab for what happened: messages of the signaling server and events, newest last.

use std::collections::VecDeque;
use std::sync::Arc;

use eframe::egui::{
    self, Align2, CursorIcon, FontId, Label, RichText, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2,
};

use super::kit;
use super::model::{LogView, PanelModel};
use super::segments::{Kind, segments};
use super::table;
use super::unit;
use super::{Context, Memory};
use crate::record::{Direction, Entry, History, Side, What};
use crate::ui::action::UiAction;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{IconButton, Kind as ButtonKind, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// From this width on the filter stands beside the buttons.
const ONE_ROW: f32 = 520.0;
/// How high a row is.
const ROW: f32 = 22.0;
/// Characters of a row; what is longer is shown when the row is chosen.
const LONGEST: usize = 240;

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    number: u64,
    entry: Arc<Entry>,
    direction: Option<Direction>,
    is_message: bool,
    name: String,
    bytes: usize,
    text: String,
    is_bad: bool,
}

/// The rows of all events; each is made once.
#[derive(Debug, Default)]
pub struct Rows {
    all: VecDeque<Row>,
    /// The number of the next event.
    next: u64,
}

impl Rows {
    /// Takes over what is new in `history`, and forgets what it has forgotten.
    fn read(&mut self, history: &History) -> &VecDeque<Row> {
        let first = history.dropped.events;
        let next = first + history.events.len() as u64;
        let another = self.next > next
            || self.all.back().is_some_and(|row| {
                let index = row.number.checked_sub(first).and_then(|index| usize::try_from(index).ok());
                !index.and_then(|index| history.events.get(index)).is_some_and(|e| Arc::ptr_eq(e, &row.entry))
            });
        if another {
            *self = Self::default();
        }
        while self.all.front().is_some_and(|row| row.number < first) {
            self.all.pop_front();
        }
        let begin = usize::try_from(self.next.saturating_sub(first)).unwrap_or(usize::MAX);
        for (index, entry) in history.events.iter().enumerate().skip(begin) {
            self.all.push_back(row(first + index as u64, entry));
        }
        self.next = next;
        &self.all
    }
}

/// An event as a row. Pure.
fn row(number: u64, entry: &Arc<Entry>) -> Row {
    let line = entry.to_line();
    let (direction, is_message, name, bytes, words) = match &entry.what {
        What::SignalingMessage { direction, kind, bytes, text } => {
            (Some(*direction), true, kind.clone(), *bytes, text.clone())
        }
        What::Description { side, sdp, .. } => {
            (Some(of(*side)), false, entry.what.name().to_owned(), sdp.len(), members(&line))
        }
        What::Candidate { side, candidate, .. } => {
            (Some(of(*side)), false, entry.what.name().to_owned(), candidate.len(), candidate.clone())
        }
        What::OfferSent { bytes } => {
            (Some(Direction::Sent), false, entry.what.name().to_owned(), *bytes, String::new())
        }
        What::Diagnosis(diagnosis) => (None, false, entry.what.name().to_owned(), 0, diagnosis.text.clone()),
        What::Error { text } | What::Notice { text, .. } => {
            (None, false, entry.what.name().to_owned(), 0, text.clone())
        }
        _ => (None, false, entry.what.name().to_owned(), 0, members(&line)),
    };
    let is_bad = match &entry.what {
        What::Error { .. } | What::Lost { .. } => true,
        _ => name == "error",
    };
    let text: String = words.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Row { number, entry: Arc::clone(entry), direction, is_message, name, bytes, text, is_bad }
}

/// What is made here goes to the other side; what is theirs came from there.
const fn of(side: Side) -> Direction {
    match side {
        Side::Local => Direction::Sent,
        Side::Remote => Direction::Received,
    }
}

/// A JSON line without its time and its name.
fn members(line: &str) -> String {
    let Ok(serde_json::Value::Object(mut members)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    members.remove("t");
    members.remove("ev");
    let words = members.into_iter().map(|(name, value)| match value {
        serde_json::Value::String(text) => format!("{name}={text}"),
        value => format!("{name}={value}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

impl Row {
    fn is_in(&self, view: LogView, filter: &str) -> bool {
        let of_view = match view {
            LogView::All => true,
            LogView::Messages => self.is_message,
            LogView::Events => !self.is_message,
        };
        of_view
            && (filter.trim().is_empty() || table::matches(filter, &format!("{} {}", self.name, self.text)))
    }
}

/// Draws it.
pub fn show(
    ui: &mut Ui,
    model: &mut PanelModel,
    memory: &mut Memory,
    context: &Context,
    actions: &mut Vec<UiAction>,
) {
    let history = context.history;
    let width = ui.available_width();
    let views = [
        (LogView::All, Word::LogAll),
        (LogView::Messages, Word::LogMessages),
        (LogView::Events, Word::LogEvents),
    ];
    segments(ui, Kind::Choices, &views, &mut model.log_view, width);
    if width >= ONE_ROW {
        ui.horizontal_top(|ui| {
            kit::filter(ui, Word::FilterLog, &mut model.log_filter, width * 0.5);
            files(ui, context, actions);
        });
    } else {
        kit::filter(ui, Word::FilterLog, &mut model.log_filter, width);
        files(ui, context, actions);
    }
    let start = history.span.map_or(0.0, |(first, _)| first);
    let rows: Vec<&Row> = {
        let all = memory.log.read(history).iter();
        all.filter(|row| row.is_in(model.log_view, &model.log_filter)).collect()
    };
    if history.dropped.events > 0 {
        kit::remark(ui, &Word::EventsDropped.with(&history.dropped.events.to_string()));
    }
    if history.dropped.lines > 0 {
        kit::remark(ui, &Word::LinesLost.with(&history.dropped.lines.to_string()));
    }
    if rows.is_empty() {
        kit::nothing(ui, Word::NothingHappened);
        return;
    }
    let shown = model.log_row.and_then(|number| rows.iter().find(|row| row.number == number).copied());
    let all = ui.available_height();
    let detail = if shown.is_some() { (all * 0.42).max(120.0) } else { 0.0 };
    let mut clicked = None;
    ui.spacing_mut().item_spacing.y = 0.0;
    let area = ScrollArea::vertical().id_salt("log").auto_shrink([false, false]).stick_to_bottom(true);
    area.max_height(all - detail).show_rows(ui, ROW, rows.len(), |ui, range| {
        for row in rows.get(range).unwrap_or_default() {
            if line(ui, row, start, model.log_row == Some(row.number)) {
                clicked = Some(row.number);
            }
        }
    });
    if let Some(row) = shown {
        whole(ui, row, start, model, actions);
    }
    if clicked.is_some() {
        model.log_row = if model.log_row == clicked { None } else { clicked };
    }
}

/// Where a recording can go.
fn files(ui: &mut Ui, context: &Context, actions: &mut Vec<UiAction>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(space::S, space::S);
        let save = TextButton::new(Word::SaveSession.text()).icon(Icon::DOWNLOAD).height(34.0);
        if context.live && save.show(ui).on_hover_text(Word::SaveHint.text()).clicked() {
            actions.push(UiAction::SaveSession);
        }
        let export = TextButton::new(Word::ExportSession.text()).icon(Icon::EXPORT).height(34.0);
        if export.show(ui).on_hover_text(Word::ExportHint.text()).clicked() {
            actions.push(UiAction::ExportSession);
        }
    });
}

fn line(ui: &mut Ui, row: &Row, start: f64, chosen: bool) -> bool {
    let t = theme::tokens(ui.ctx());
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    let time = unit::after(start, row.entry.t);
    let size_words = if row.bytes > 0 { unit::bytes(row.bytes as u64) } else { String::new() };
    let label = format!("{time} {} {}", row.name, row.text);
    response.widget_info(|| WidgetInfo::selected(Role::ListBoxOption, true, chosen, &label));
    if chosen || response.hovered() {
        ui.painter().rect_filled(rect, 4.0, if chosen { t.button } else { t.well });
    }
    let (icon, tint) = match row.direction {
        Some(Direction::Sent) => (Some(Icon::ARROW_UP), t.accent),
        Some(Direction::Received) => (Some(Icon::ARROW_DOWN), t.good),
        None => (None, t.soft),
    };
    let middle = rect.center().y;
    let front = if row.is_bad { t.bad } else { t.text };
    let font = theme::font(size::SMALL);
    let painter = ui.painter();
    let put = |words: &str, from: f32, room: f32, color, font: FontId| {
        let galley = text::line(painter, words, font, color, room);
        text::place(painter, galley, pos2(from, middle), Align2::LEFT_CENTER)
    };
    let time = text::line(painter, &time, font.clone(), t.soft, 62.0);
    text::place(painter, time, pos2(rect.left() + 62.0, middle), Align2::RIGHT_CENTER);
    if let Some(icon) = icon {
        let font = icons::font(Weight::Line, 13.0);
        painter.text(pos2(rect.left() + 76.0, middle), Align2::CENTER_CENTER, icon.char(), font, tint);
    }
    let wide = rect.width() > 560.0;
    let names = if wide { 150.0 } else { 92.0 };
    put(&row.name, rect.left() + 88.0, names, front, theme::strong(size::SMALL));
    let sizes = 48.0;
    put(&row.text, rect.left() + 96.0 + names, rect.width() - 100.0 - names - sizes, t.soft, font.clone());
    let bytes = text::line(painter, &size_words, font, t.soft, sizes);
    text::place(painter, bytes, pos2(rect.right() - 4.0, middle), Align2::RIGHT_CENTER);
    response.on_hover_cursor(CursorIcon::PointingHand).clicked()
}

/// The chosen row in full.
fn whole(ui: &mut Ui, row: &Row, start: f64, model: &mut PanelModel, actions: &mut Vec<UiAction>) {
    let t = theme::tokens(ui.ctx());
    let value = serde_json::to_value(row.entry.as_ref()).unwrap_or_default();
    // A message and a description are texts within a text.
    let inner = value.get("sdp").or(value.get("text")).and_then(serde_json::Value::as_str);
    let nested = inner.and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let full = match (&nested, inner) {
        (Some(nested), _) => serde_json::to_string_pretty(nested).unwrap_or_default(),
        (None, Some(text)) => text.replace("\r\n", "\n"),
        (None, None) => serde_json::to_string_pretty(&value).unwrap_or_default(),
    };
    ui.add_space(space::S);
    kit::card(ui, |ui| {
        ui.horizontal(|ui| {
            let at = format!("{}  {}", unit::time_of_day(row.entry.t), unit::after(start, row.entry.t));
            ui.label(RichText::new(&row.name).font(theme::strong(size::BODY)).color(t.text));
            kit::remark(ui, &at);
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let close = IconButton::new(Icon::X, Word::CloseEntry.text()).kind(ButtonKind::Quiet);
                if close.size(26.0, 26.0).show(ui).clicked() {
                    model.log_row = None;
                }
                let copy = IconButton::new(Icon::COPY, Word::CopyEntry.text()).kind(ButtonKind::Quiet);
                if copy.size(26.0, 26.0).show(ui).clicked() {
                    actions.push(UiAction::CopyText(full.clone()));
                }
            });
        });
        let height = ui.available_height() - 12.0;
        ScrollArea::both().id_salt("entry").max_height(height).auto_shrink([false, false]).show(ui, |ui| {
            let font = FontId::monospace(size::SMALL - 0.5);
            ui.add(Label::new(RichText::new(&full).font(font).color(t.text)).extend());
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Limits;

    fn message(n: u64) -> Entry {
        let text = format!("{{\"n\":{n}}}");
        let direction = Direction::Received;
        Entry::new(n as f64, What::SignalingMessage { direction, kind: "offer".into(), bytes: 9, text })
    }

    fn texts(rows: &mut Rows, history: &History) -> Vec<String> {
        rows.read(history).iter().map(|row| row.text.clone()).collect()
    }

    #[test]
    fn rows_follow_what_comes_and_what_is_forgotten() {
        let mut history = History::new(Limits { events: 3, ..Limits::LIVE });
        let mut rows = Rows::default();
        for n in 0..2 {
            history.push(message(n));
        }
        assert_eq!(texts(&mut rows, &history).len(), 2);
        for n in 2..5 {
            history.push(message(n));
        }
        assert_eq!(texts(&mut rows, &history), ["{\"n\":2}", "{\"n\":3}", "{\"n\":4}"]);
        // A file, or the next call.
        let mut other = History::default();
        for n in 10..14 {
            other.push(message(n));
        }
        assert_eq!(texts(&mut rows, &other).first().map(String::as_str), Some("{\"n\":10}"));
    }

    #[test]
    fn messages_and_events_are_told_apart_and_found_by_words() {
        let (message, event) = (Arc::new(message(1)), Arc::new(Entry::new(0.0, What::IceRestart)));
        let (message, event) = (row(0, &message), row(1, &event));
        assert!(message.is_in(LogView::Messages, "OFFER \"n\"") && !message.is_in(LogView::Events, ""));
        assert!(event.is_in(LogView::Events, "restart") && !event.is_in(LogView::All, "offer"));
    }

    #[test]
    fn a_line_of_a_stranger_stays_one_line() {
        let entry = Arc::new(Entry::new(0.0, What::Error { text: "a\nb\u{0}".repeat(500) }));
        let row = row(0, &entry);
        assert!(row.is_bad && row.text.chars().count() == LONGEST && !row.text.contains('\n'));
    }
}
