//! One plot: a title, its lines with their values, and the time that all plots share.
//!
//! The time under the pointer belongs to all plots: whoever points into one reads all of them.

use eframe::egui::{
    Align2, Color32, CornerRadius, CursorIcon, Pos2, Rect, Role, Sense, Ui, UiBuilder, Vec2b, WidgetInfo,
    pos2, vec2,
};
use egui_plot::{GridMark, HPlacement, Line, Plot, PlotPoint, PlotPoints, VLine};

use super::thin;
use super::unit::Unit;
use crate::record::Series;
use crate::ui::theme::{self, Tokens, size, space};
use crate::ui::widgets::text;

/// How high the drawing itself is, in points.
const HEIGHT: f32 = 78.0;
/// The row of the title.
const TITLE: f32 = 20.0;
/// A row of names and values.
const LEGEND: f32 = 18.0;
/// Room for the numbers of the axis.
const AXIS: f32 = 46.0;
/// Half a line of letters, for the numbers at both ends of the axis.
const EDGE: f32 = 10.0;

/// A line of a plot.
pub struct Curve<'a> {
    /// What it shows.
    pub name: &'static str,
    /// Which of the plot's colours.
    pub color: usize,
    /// Its samples.
    pub series: &'a Series,
}

/// A plot.
pub struct Chart<'a> {
    /// What all of its lines have in common.
    pub title: String,
    /// Its unit.
    pub unit: Unit,
    /// Its lines.
    pub curves: Vec<Curve<'a>>,
}

/// The time that all plots show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    /// The left edge, in unix milliseconds.
    pub from: f64,
    /// The right edge.
    pub to: f64,
    /// The time under the pointer, in whatever plot it is.
    pub pointed: Option<f64>,
}

/// What somebody did to the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Moved {
    /// The pointer is at this time.
    Pointed(f64),
    /// It was dragged by so many milliseconds.
    Dragged(f64),
    /// It is to be this many times as long, around a point.
    Scaled(f64, f64),
    /// Back to the newest.
    Reset,
}

/// The colour of a line: distinct in both themes, and in their brightness for those who see few
/// colours.
pub fn color(t: &Tokens, index: usize) -> Color32 {
    [t.accent, t.good, t.warn, t.bad, t.soft][index % 5]
}

/// Draws it, if it can be seen; gives what was done to the time.
pub fn show(ui: &mut Ui, chart: &Chart, axis: Axis) -> Option<Moved> {
    let t = theme::tokens(ui.ctx());
    let width = ui.available_width();
    let inner = width - 2.0 * space::M;
    let values: Vec<String> = chart.curves.iter().map(|curve| value(curve, chart.unit, axis)).collect();
    let title = text::line(ui.painter(), &chart.title, theme::strong(size::SMALL), t.text, inner);
    let rows = rows(ui, chart, &values, inner);
    // A short legend has room beside the title.
    let beside = match rows.as_slice() {
        [row] => Some(inner - row.iter().map(Item::width).sum::<f32>() + space::M)
            .filter(|left| *left >= title.size().x + space::L),
        _ => None,
    };
    let below = if beside.is_some() { 0 } else { rows.len() };
    let height = TITLE + below as f32 * LEGEND + HEIGHT + 2.0 * (space::S + EDGE);
    let (rect, _) = ui.allocate_exact_size(vec2(width, height), Sense::hover());
    if !ui.is_rect_visible(rect) {
        return None;
    }
    let radius = CornerRadius::same(size::RADIUS);
    ui.painter().rect_filled(rect, radius, t.well);
    let mut at = rect.min + vec2(space::M, space::S);
    let middle = at.y + title.size().y / 2.0;
    ui.painter().galley(at, title, t.text);
    at.y += TITLE;
    match (beside, rows.as_slice()) {
        (Some(left), [row]) => legend(ui, chart, &values, row, pos2(at.x + left, middle)),
        (_, rows) => {
            for row in rows {
                legend(ui, chart, &values, row, pos2(at.x, at.y + LEGEND / 2.0));
                at.y += LEGEND;
            }
        }
    }
    let place =
        Rect::from_min_size(pos2(rect.left() + 6.0, at.y + EDGE), vec2(width - 6.0 - space::M, HEIGHT));
    let mut moved = None;
    ui.scope_builder(UiBuilder::new().max_rect(place).id_salt(&chart.title), |ui| {
        moved = plot(ui, chart, &values, axis);
    });
    moved
}

/// A line's value under the pointer, else its newest in sight.
fn value(curve: &Curve, unit: Unit, axis: Axis) -> String {
    let time = axis.pointed.unwrap_or(axis.to);
    unit.write(at(curve.series, time).unwrap_or(f64::NAN))
}

/// The newest value no newer than `time` (unix milliseconds), unless it is old by then.
pub fn at(series: &Series, time: f64) -> Option<f64> {
    series.between(time - thin::HOLE, time).last().map(|(_, value)| value)
}

/// A line's name and value in the legend.
struct Item {
    /// Which line.
    curve: usize,
    /// Width of its name.
    name: f32,
    /// Width of its value.
    value: f32,
}

impl Item {
    /// From where the dot begins.
    const NAME: f32 = 12.0;
    /// Between name and value.
    const GAP: f32 = 5.0;

    /// With the room to the next one.
    fn width(&self) -> f32 {
        Self::NAME + self.name + Self::GAP + self.value + space::M
    }
}

/// A row of the legend, from the middle of its left edge.
fn legend(ui: &Ui, chart: &Chart, values: &[String], row: &[Item], mut at: Pos2) {
    let t = theme::tokens(ui.ctx());
    for item in row {
        let curve = &chart.curves[item.curve];
        ui.painter().circle_filled(at + vec2(4.0, 0.0), 3.5, color(t, curve.color));
        let font = theme::font(size::SMALL - 0.5);
        let name = text::line(ui.painter(), curve.name, font, t.soft, item.name);
        text::place(ui.painter(), name, at + vec2(Item::NAME, 0.0), Align2::LEFT_CENTER);
        let font = theme::strong(size::SMALL - 0.5);
        let value = text::line(ui.painter(), &values[item.curve], font, t.text, item.value);
        let left = at + vec2(Item::NAME + item.name + Item::GAP, 0.0);
        text::place(ui.painter(), value, left, Align2::LEFT_CENTER);
        at.x += item.width();
    }
}

/// The legend in rows no wider than `width`.
fn rows(ui: &Ui, chart: &Chart, values: &[String], width: f32) -> Vec<Vec<Item>> {
    let measure = |text: &str, font| text::line(ui.painter(), text, font, Color32::WHITE, width).size().x;
    let mut rows: Vec<Vec<Item>> = vec![Vec::new()];
    let mut used = 0.0;
    for (index, curve) in chart.curves.iter().enumerate() {
        let name = measure(curve.name, theme::font(size::SMALL - 0.5));
        // Wide enough for the usual values, so that nothing dances while they change.
        let value = measure(&values[index], theme::strong(size::SMALL - 0.5)).max(46.0);
        let item = Item { curve: index, name, value };
        let all = item.width();
        if used + all > width + space::M && used > 0.0 {
            rows.push(Vec::new());
            used = 0.0;
        }
        used += all;
        if let Some(row) = rows.last_mut() {
            row.push(item);
        }
    }
    rows
}

fn plot(ui: &mut Ui, chart: &Chart, values: &[String], axis: Axis) -> Option<Moved> {
    let t = theme::tokens(ui.ctx());
    let columns = ui.available_width() as usize;
    let lines: Vec<Vec<Vec<[f64; 2]>>> = chart
        .curves
        .iter()
        .map(|curve| {
            // With their neighbours on both sides, so that the lines run to the edges.
            let samples = curve.series.between(axis.from - thin::HOLE, axis.to + thin::HOLE);
            thin::thin(samples, (axis.from, axis.to), columns)
        })
        .collect();
    let top = chart.unit.top(thin::greatest(lines.iter().flatten()));
    let unit = chart.unit;
    let plot = Plot::new("plot")
        .height(HEIGHT)
        .show_axes(Vec2b::new(false, true))
        .custom_y_axes(vec![
            egui_plot::AxisHints::new_y()
                .placement(HPlacement::Left)
                .min_thickness(AXIS)
                .tick_label_color(t.soft)
                .tick_label_font(theme::font(size::SMALL - 1.5))
                .formatter(move |mark: GridMark, _| unit.tick(mark.value)),
        ])
        .y_grid_spacer(move |_| grid(top))
        .show_grid(Vec2b::new(false, true))
        .grid_color(t.line)
        .show_background(false)
        .show_crosshair(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .allow_axis_zoom_drag(false)
        .sense(Sense::click_and_drag())
        .label_formatter(|_| None);
    let response = plot.show(ui, |plot| {
        plot.set_plot_bounds_x(axis.from..=axis.to);
        plot.set_plot_bounds_y(0.0..=top);
        let fill = chart.curves.len() <= 2;
        for (curve, lines) in chart.curves.iter().zip(lines) {
            let color = color(t, curve.color);
            for points in lines {
                let single = points.len() == 1;
                let line = Line::new(curve.name, PlotPoints::from(points))
                    .color(color)
                    .width(1.6)
                    .allow_hover(false);
                let line = if single { line.width(3.0) } else { line };
                plot.line(if fill { line.fill(0.0).fill_alpha(0.1) } else { line });
            }
        }
        if let Some(pointed) = axis.pointed {
            plot.vline(
                VLine::new("", pointed).color(t.soft.gamma_multiply(0.7)).width(1.0).allow_hover(false),
            );
        }
        let pointer = plot.response().hover_pos().map(|at| plot.plot_from_screen(at));
        let scale = plot.ctx().input(|input| input.zoom_delta());
        moved(plot.response(), pointer, scale, plot.pointer_coordinate_drag_delta().x)
    });
    let said = chart.curves.iter().zip(values).map(|(curve, value)| format!("{} {value}", curve.name));
    let said = format!("{}: {}", chart.title, said.collect::<Vec<_>>().join(", "));
    response.response.widget_info(|| WidgetInfo::labeled(Role::GraphicsObject, true, &said));
    response.response.on_hover_cursor(CursorIcon::Crosshair);
    response.inner
}

fn moved(
    response: &eframe::egui::Response,
    pointer: Option<PlotPoint>,
    scale: f32,
    dragged: f32,
) -> Option<Moved> {
    let pointer = pointer?;
    if response.double_clicked() {
        Some(Moved::Reset)
    } else if response.dragged() && dragged != 0.0 {
        Some(Moved::Dragged(f64::from(dragged)))
    } else if (scale - 1.0).abs() > 1e-3 {
        Some(Moved::Scaled(f64::from(1.0 / scale), pointer.x))
    } else {
        Some(Moved::Pointed(pointer.x))
    }
}

/// Nothing, half and all.
fn grid(top: f64) -> Vec<GridMark> {
    [0.0, top / 2.0, top].into_iter().map(|value| GridMark { value, step_size: top / 2.0 }).collect()
}
