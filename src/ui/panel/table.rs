//! A table whose rows can be sorted by a click on a column and filtered by words; only the rows
//! that are seen are laid out.

use std::cmp::Ordering;

use eframe::egui::{
    self, Align2, CursorIcon, Label, Layout, Rect, RichText, Role, ScrollArea, Sense, Ui, UiBuilder,
    WidgetInfo, vec2,
};
use egui_extras::{Column as Width, TableBuilder};

use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, size};
use crate::ui::widgets::button::focus_ring;
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// How high a row is.
pub const ROW: f32 = 25.0;
/// What stays free at both sides of a cell.
const PAD: f32 = 5.0;

/// One column of a table of `R`.
pub struct Column<R> {
    /// Its title.
    pub title: Word,
    /// How wide it is at least, in points.
    pub width: f32,
    /// Numbers stand on the right.
    pub is_number: bool,
    /// What stands in a row.
    pub text: fn(&R) -> String,
    /// Which of two rows comes first.
    pub order: fn(&R, &R) -> Ordering,
}

/// How the rows are sorted: as they came, or by a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sorting {
    /// As they came.
    #[default]
    AsTheyCame,
    /// The least first.
    Up(usize),
    /// The greatest first.
    Down(usize),
}

impl Sorting {
    /// After a click on a column's title.
    const fn clicked(self, column: usize) -> Self {
        match self {
            Sorting::Up(by) if by == column => Sorting::Down(column),
            Sorting::Down(by) if by == column => Sorting::AsTheyCame,
            Sorting::AsTheyCame | Sorting::Up(_) | Sorting::Down(_) => Sorting::Up(column),
        }
    }
}

/// How a row stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As the others.
    Plain,
    /// The one in use.
    Marked,
    /// Out of use.
    Faint,
    /// Something is wrong with it.
    Bad,
}

/// Whether a text holds every word of a filter, whatever their case.
pub fn matches(filter: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    filter.split_whitespace().all(|word| text.contains(&word.to_lowercase()))
}

/// The rows that pass the filter, sorted. Pure.
pub fn chosen<'a, R>(rows: &'a [R], columns: &[Column<R>], filter: &str, sorting: Sorting) -> Vec<&'a R> {
    let line = |row: &R| columns.iter().map(|column| (column.text)(row)).collect::<Vec<_>>().join(" ");
    let all = filter.trim().is_empty();
    let mut rows: Vec<&R> = rows.iter().filter(|row| all || matches(filter, &line(row))).collect();
    match sorting {
        Sorting::AsTheyCame => {}
        Sorting::Up(by) => rows.sort_by(|a, b| (columns[by].order)(a, b)),
        Sorting::Down(by) => rows.sort_by(|a, b| (columns[by].order)(b, a)),
    }
    rows
}

/// Draws a table as high as its rows, in a scroll area of its own if it is too wide.
pub fn show<R>(
    ui: &mut Ui,
    name: Word,
    columns: &[Column<R>],
    rows: &[&R],
    sorting: &mut Sorting,
    look: impl Fn(&R) -> Look,
) {
    let widths = widths(columns, ui.available_width());
    ScrollArea::horizontal().id_salt(name.text()).auto_shrink([false, true]).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(0.0, 0.0);
        let mut table = TableBuilder::new(ui)
            .id_salt(name.text())
            .vscroll(false)
            .striped(false)
            .cell_layout(Layout::left_to_right(egui::Align::Center));
        for width in &widths {
            table = table.column(Width::exact(*width).clip(true));
        }
        let table = table.header(ROW, |mut row| {
            for (index, column) in columns.iter().enumerate() {
                row.col(|ui| title(ui, name, column, index, sorting));
            }
        });
        table.body(|body| {
            body.rows(ROW, rows.len(), |mut row| {
                let Some(of) = rows.get(row.index()) else { return };
                let look = look(of);
                for (index, column) in columns.iter().enumerate() {
                    row.col(|ui| {
                        ground(ui, look, index == 0);
                        cell(ui, &(column.text)(of), column.is_number, look);
                    });
                }
            });
        });
    });
}

/// The columns' least widths, stretched to the room there is.
fn widths<R>(columns: &[Column<R>], room: f32) -> Vec<f32> {
    let least: f32 = columns.iter().map(|column| column.width).sum();
    let gaps = 2.0 * PAD * columns.len() as f32;
    let stretch = ((room - gaps - 1.0) / least.max(1.0)).clamp(1.0, 1.7);
    columns.iter().map(|column| (column.width * stretch).floor() + 2.0 * PAD).collect()
}

fn title<R>(ui: &mut Ui, name: Word, column: &Column<R>, index: usize, sorting: &mut Sorting) {
    let t = theme::tokens(ui.ctx());
    let rect = ui.max_rect();
    let id = ui.scope_id().with((name.text(), index));
    let response = ui.interact(rect, id, Sense::click());
    let icon = match *sorting {
        Sorting::Up(by) if by == index => Some(Icon::CARET_UP),
        Sorting::Down(by) if by == index => Some(Icon::CARET_DOWN),
        Sorting::AsTheyCame | Sorting::Up(_) | Sorting::Down(_) => None,
    };
    let words = format!("{}: {}", name.text(), column.title.text());
    response.widget_info(|| WidgetInfo::selected(Role::ColumnHeader, true, icon.is_some(), &words));
    let color = if response.hovered() || icon.is_some() { t.text } else { t.soft };
    let text_rect = rect.shrink2(vec2(PAD, 0.0));
    let room = text_rect.width() - if icon.is_some() { 14.0 } else { 0.0 };
    let galley = text::line(ui.painter(), column.title.text(), theme::font(size::SMALL - 1.0), color, room);
    let (at, anchor) = match column.is_number {
        true => {
            let icon = if icon.is_some() { 14.0 } else { 0.0 };
            (text_rect.right_center() - vec2(icon, 0.0), Align2::RIGHT_CENTER)
        }
        false => (text_rect.left_center(), Align2::LEFT_CENTER),
    };
    let written = text::place(ui.painter(), galley, at, anchor);
    if let Some(icon) = icon {
        let at = written.right_center() + vec2(3.0, 0.0);
        ui.painter().text(at, Align2::LEFT_CENTER, icon.char(), icons::font(Weight::Line, 11.0), color);
    }
    ui.painter().hline(rect.x_range(), rect.bottom(), (1.0, t.line));
    focus_ring(ui, rect, &response, 4);
    if response.clicked() {
        *sorting = sorting.clicked(index);
    }
    response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(column.title.text());
}

/// What lies behind a cell.
fn ground(ui: &Ui, look: Look, is_first: bool) {
    let t = theme::tokens(ui.ctx());
    let rect = ui.max_rect();
    let painter = ui.painter();
    match look {
        Look::Marked => {
            painter.rect_filled(rect, 0.0, t.good_back);
            if is_first {
                painter.rect_filled(Rect::from_min_size(rect.min, vec2(3.0, rect.height())), 0.0, t.good);
            }
        }
        Look::Plain | Look::Faint | Look::Bad => {}
    }
    painter.hline(rect.x_range(), rect.bottom() - 0.5, (1.0, t.line.gamma_multiply(0.5)));
}

fn cell(ui: &mut Ui, words: &str, is_number: bool, look: Look) {
    let t = theme::tokens(ui.ctx());
    let color = match look {
        Look::Plain | Look::Marked => t.text,
        Look::Faint => t.soft,
        Look::Bad => t.bad,
    };
    let label = Label::new(RichText::new(words).size(size::SMALL).color(color)).truncate();
    let layout = match is_number {
        true => Layout::right_to_left(egui::Align::Center),
        false => Layout::left_to_right(egui::Align::Center),
    };
    let room = ui.max_rect().shrink2(vec2(PAD, 0.0));
    ui.scope_builder(UiBuilder::new().max_rect(room).layout(layout), |ui| ui.add(label));
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column<(&str, u32)>; 2] = [
        Column {
            title: Word::YourName,
            width: 80.0,
            is_number: false,
            text: |row| row.0.to_owned(),
            order: |a, b| a.0.cmp(b.0),
        },
        Column {
            title: Word::Duration,
            width: 40.0,
            is_number: true,
            text: |row| row.1.to_string(),
            order: |a, b| a.1.cmp(&b.1),
        },
    ];
    const ROWS: [(&str, u32); 3] = [("host", 9), ("relay", 100), ("srflx", 20)];

    fn names(filter: &str, sorting: Sorting) -> Vec<&'static str> {
        chosen(&ROWS, &COLUMNS, filter, sorting).into_iter().map(|row| row.0).collect()
    }

    #[test]
    fn rows_are_sorted_by_value_and_not_by_text() {
        assert_eq!(names("", Sorting::AsTheyCame), ["host", "relay", "srflx"]);
        assert_eq!(names("", Sorting::Up(1)), ["host", "srflx", "relay"]);
        assert_eq!(names("", Sorting::Down(0)), ["srflx", "relay", "host"]);
    }

    #[test]
    fn a_filter_holds_words_of_any_column() {
        assert_eq!(names("REL 100", Sorting::AsTheyCame), ["relay"]);
        assert_eq!(names("host 100", Sorting::AsTheyCame), Vec::<&str>::new());
        assert_eq!(names("  ", Sorting::AsTheyCame).len(), 3);
    }

    #[test]
    fn three_clicks_on_a_title_lead_back() {
        let once = Sorting::default().clicked(1);
        assert_eq!((once, once.clicked(1)), (Sorting::Up(1), Sorting::Down(1)));
        assert_eq!(once.clicked(1).clicked(1), Sorting::AsTheyCame);
        assert_eq!(once.clicked(0), Sorting::Up(0));
    }
}
