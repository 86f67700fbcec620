//! The tab for everybody: one sentence, the path as a picture, and how good both directions are.

use eframe::egui::{Align2, Label, Rect, RichText, Sense, Ui, pos2, vec2};

use super::kit::{self, Mood};
use super::model::{Copied, PanelModel};
use super::route::{self, Place, Station};
use super::unit::Unit;
use super::{Context, chart, report};
use crate::diagnosis::{self, Rule};
use crate::engine::view::Severity;
use crate::record::{Direction, History, Metric, Scope};
use crate::rtc::stats::Kind;
use crate::ui::action::UiAction;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{self, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// From this width on the stations of the path stand side by side.
const SIDE_BY_SIDE: f32 = 700.0;

/// Draws it.
pub fn show(ui: &mut Ui, model: &mut PanelModel, context: &Context, actions: &mut Vec<UiAction>) {
    let history = context.history;
    sentence(ui, context);
    kit::card(ui, |ui| path(ui, history));
    kit::card(ui, |ui| quality(ui, history));
    let now = ui.input(|input| input.time);
    let copied = model.says_copied(Copied::Report, now);
    let button = match copied {
        Some(_) => TextButton::new(Word::Copied.text()).icon(Icon::CHECK),
        None => TextButton::new(Word::CopyReport.text()).icon(Icon::COPY),
    };
    if let Some(left) = copied {
        ui.ctx().request_repaint_after_secs(left as f32);
    }
    if button.kind(button::Kind::Plain).width(ui.available_width()).show(ui).clicked() {
        model.copied = Some((Copied::Report, now));
        actions.push(UiAction::CopyText(report::text(history)));
    }
}

/// What the first card says.
struct Said<'a> {
    mood: Mood,
    icon: Icon,
    text: &'a str,
    advice: Option<&'a str>,
    evidence: &'a [String],
}

/// The verdict of this moment, else the last one in the record.
fn said<'a>(context: &Context<'a>) -> Said<'a> {
    let look = |severity, is_fine| match severity {
        Severity::Info if is_fine => (Mood::Good, Icon::CHECK_CIRCLE),
        Severity::Info => (Mood::Plain, Icon::INFO),
        Severity::Warning => (Mood::Warn, Icon::WARNING),
        Severity::Error => (Mood::Bad, Icon::WARNING_CIRCLE),
    };
    if let Some(verdict) = context.verdict {
        let (mood, icon) = match verdict.severity {
            diagnosis::Severity::Fine => look(Severity::Info, true),
            diagnosis::Severity::Info => look(Severity::Info, false),
            diagnosis::Severity::Warning => look(Severity::Warning, false),
            diagnosis::Severity::Error => look(Severity::Error, false),
        };
        let (text, advice) = (verdict.text.as_str(), verdict.advice.as_deref());
        return Said { mood, icon, text, advice, evidence: &verdict.evidence };
    }
    match context.history.verdict() {
        Some(verdict) => {
            let (mood, icon) = look(verdict.severity, verdict.rule == Rule::Fine.id());
            let (text, advice) = (verdict.text.as_str(), verdict.advice.as_deref());
            Said { mood, icon, text, advice, evidence: &verdict.evidence }
        }
        None => {
            let text = Word::NoVerdict.text();
            Said { mood: Mood::Plain, icon: Icon::INFO, text, advice: None, evidence: &[] }
        }
    }
}

fn sentence(ui: &mut Ui, context: &Context) {
    let t = theme::tokens(ui.ctx());
    let Said { mood, icon, text: words, advice, evidence } = said(context);
    let (front, back) = mood.colors(t);
    let back = if mood == Mood::Plain { t.well } else { back };
    let frame = eframe::egui::Frame::NONE
        .fill(back)
        .corner_radius(f32::from(size::RADIUS) + 2.0)
        .inner_margin(eframe::egui::Margin::symmetric(14, 12));
    frame.show(ui, |ui| {
        ui.set_width(ui.available_width());
        ui.spacing_mut().item_spacing.y = 5.0;
        ui.horizontal_top(|ui| {
            let glyph = RichText::new(icon.char()).font(icons::font(Weight::Fill, 22.0)).color(front);
            ui.add(Label::new(glyph).selectable(false));
            ui.vertical(|ui| {
                let sentence = RichText::new(words).font(theme::strong(size::BODY + 1.0)).color(t.text);
                let label = ui.add(Label::new(sentence).wrap());
                text::announce(ui, label.id);
                if let Some(advice) = advice {
                    ui.add(Label::new(RichText::new(advice).color(t.text)).wrap());
                }
                for line in evidence {
                    ui.add(Label::new(RichText::new(line).size(size::SMALL).color(t.soft)).wrap());
                }
            });
        });
    });
}

fn path(ui: &mut Ui, history: &History) {
    kit::heading(ui, Word::PathHead);
    let stations = history.report.as_deref().map(route::stations).unwrap_or_default();
    if stations.is_empty() {
        kit::remark(ui, Word::NoPathYet.text());
        return;
    }
    if ui.available_width() >= SIDE_BY_SIDE {
        side_by_side(ui, &stations);
    } else {
        one_below_another(ui, &stations);
    }
    let round_trip = latest(history, Scope::Connection, Metric::RoundTrip);
    if let Some(round_trip) = round_trip {
        kit::fact(ui, Word::ThereAndBack.text(), &Unit::Milliseconds.write(round_trip));
    }
}

const fn face(place: Place) -> (Icon, Word) {
    match place {
        Place::You => (Icon::LAPTOP, Word::You),
        Place::Nat => (Icon::GLOBE, Word::Router),
        Place::Relay => (Icon::SERVER, Word::Relay),
        Place::Them => (Icon::USER, Word::Them),
    }
}

/// What a screen reader says of a station.
fn told(station: &Station) -> String {
    let (_, name) = face(station.place);
    let parts = [name.text(), station.address.as_str(), station.about.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn circle(ui: &Ui, station: &Station, center: eframe::egui::Pos2) {
    let t = theme::tokens(ui.ctx());
    let (icon, _) = face(station.place);
    let strong = matches!(station.place, Place::You | Place::Them);
    let (ground, front) = if strong { (t.accent, t.on_accent) } else { (t.button, t.text) };
    ui.painter().circle_filled(center, 15.0, ground);
    let font = icons::font(Weight::Fill, 16.0);
    ui.painter().text(center, Align2::CENTER_CENTER, icon.char(), font, front);
}

fn one_below_another(ui: &mut Ui, stations: &[Station]) {
    const ROW: f32 = 46.0;
    let t = theme::tokens(ui.ctx());
    let size = vec2(ui.available_width(), ROW * stations.len() as f32 - 8.0);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    let center = |index: usize| pos2(rect.left() + 17.0, rect.top() + 17.0 + ROW * index as f32);
    for (index, station) in stations.iter().enumerate() {
        let at = center(index);
        if !station.onward.is_empty() {
            ui.painter().vline(at.x, at.y + 17.0..=at.y + ROW - 17.0, (2.0, t.accent));
        }
        circle(ui, station, at);
        let (_, name) = face(station.place);
        let left = at.x + 26.0;
        let room = rect.right() - left - 44.0;
        let head = text::line(ui.painter(), name.text(), theme::strong(size::BODY), t.text, room);
        let head = text::place(ui.painter(), head, pos2(left, at.y - 8.0), Align2::LEFT_CENTER);
        let about = text::line(
            ui.painter(),
            &station.about,
            theme::font(size::SMALL),
            t.soft,
            rect.right() - head.right() - space::S,
        );
        text::place(ui.painter(), about, pos2(head.right() + space::S, at.y - 8.0), Align2::LEFT_CENTER);
        let address = if station.address.is_empty() { Word::AddressUnknown.text() } else { &station.address };
        let address = text::line(ui.painter(), address, theme::font(size::SMALL), t.soft, room);
        text::place(ui.painter(), address, pos2(left, at.y + 9.0), Align2::LEFT_CENTER);
        let protocol = text::line(ui.painter(), &station.onward, theme::font(size::SMALL), t.soft, 44.0);
        let middle = pos2(rect.right(), at.y + ROW / 2.0);
        text::place(ui.painter(), protocol, middle, Align2::RIGHT_CENTER);
        let row = Rect::from_min_max(pos2(rect.left(), at.y - 17.0), pos2(rect.right(), at.y + 17.0));
        text::label(ui, row, &format!("station {index}"), &told(station));
    }
}

fn side_by_side(ui: &mut Ui, stations: &[Station]) {
    let t = theme::tokens(ui.ctx());
    let (rect, _) = ui.allocate_exact_size(vec2(ui.available_width(), 92.0), Sense::hover());
    let each = rect.width() / stations.len() as f32;
    for (index, station) in stations.iter().enumerate() {
        let at = pos2(rect.left() + each * (index as f32 + 0.5), rect.top() + 22.0);
        if !station.onward.is_empty() {
            ui.painter().hline(at.x + 20.0..=at.x + each - 20.0, at.y, (2.0, t.accent));
            let protocol = text::line(ui.painter(), &station.onward, theme::font(size::SMALL), t.soft, each);
            text::place(ui.painter(), protocol, pos2(at.x + each / 2.0, at.y - 11.0), Align2::CENTER_CENTER);
        }
        circle(ui, station, at);
        let (_, name) = face(station.place);
        let address = if station.address.is_empty() { Word::AddressUnknown.text() } else { &station.address };
        let lines = [
            (name.text(), theme::strong(size::BODY), t.text),
            (address, theme::font(size::SMALL), t.soft),
            (station.about.as_str(), theme::font(size::SMALL - 0.5), t.soft),
        ];
        for (line, (words, font, color)) in lines.into_iter().enumerate() {
            let galley = text::line(ui.painter(), words, font, color, each - 6.0);
            let y = at.y + 27.0 + 17.0 * line as f32;
            text::place(ui.painter(), galley, pos2(at.x, y), Align2::CENTER_CENTER);
        }
        let cell = Rect::from_min_size(pos2(at.x - each / 2.0, rect.top()), vec2(each, rect.height()));
        text::label(ui, cell, &format!("station {index}"), &told(station));
    }
}

/// The newest value of a series, if it is still true.
pub fn latest(history: &History, scope: Scope, metric: Metric) -> Option<f64> {
    let now = history.report.as_deref()?.timestamp;
    chart::at(history.series.get(scope, metric)?, now)
}

/// The newest value of a metric over all streams of a direction and kind, joined by `join`.
pub fn of_streams(
    history: &History,
    (direction, kind): (Direction, Kind),
    metric: Metric,
    join: fn(f64, f64) -> f64,
) -> Option<f64> {
    let scopes = history.series.scopes();
    let wanted = scopes.into_iter().filter(|scope| match scope {
        Scope::Connection => false,
        Scope::Stream(stream) => stream.direction == direction && stream.kind == kind,
    });
    wanted.filter_map(|scope| latest(history, scope, metric)).reduce(join)
}

/// One line of the table of quality: name, what we send, what we receive.
pub type Line = (Word, String, String);

/// How good both directions are. Pure.
pub fn lines(history: &History) -> Vec<Line> {
    use Direction::{Received, Sent};
    let add: fn(f64, f64) -> f64 = |a, b| a + b;
    let rate = |direction, kind| {
        let metric = if direction == Sent { Metric::SentBitrate } else { Metric::ReceivedBitrate };
        of_streams(history, (direction, kind), metric, add)
    };
    let worst = |direction, kind, metric| of_streams(history, (direction, kind), metric, f64::max);
    let both = |name, unit: Unit, of: &dyn Fn(Direction) -> Option<f64>| {
        let write = |value: Option<f64>| value.map_or("\u{2013}".to_owned(), |value| unit.write(value));
        (name, write(of(Sent)), write(of(Received)))
    };
    let picture = |direction| {
        let width = worst(direction, Kind::Video, Metric::FrameWidth)?;
        let height = worst(direction, Kind::Video, Metric::FrameHeight)?;
        Some(format!("{width:.0}\u{d7}{height:.0}"))
    };
    let shape = |direction| picture(direction).unwrap_or_else(|| "\u{2013}".to_owned());
    vec![
        both(Word::VideoRate, Unit::BitRate, &|direction| rate(direction, Kind::Video)),
        (Word::PictureSize, shape(Sent), shape(Received)),
        both(Word::PictureRate, Unit::Pictures, &|d| worst(d, Kind::Video, Metric::FrameRate)),
        both(Word::VideoLoss, Unit::Share, &|d| worst(d, Kind::Video, Metric::Loss)),
        both(Word::AudioRate, Unit::BitRate, &|direction| rate(direction, Kind::Audio)),
        both(Word::AudioLoss, Unit::Share, &|d| worst(d, Kind::Audio, Metric::Loss)),
        both(Word::JitterWord, Unit::Milliseconds, &|direction| {
            let of = |kind| worst(direction, kind, Metric::Jitter);
            of(Kind::Video).into_iter().chain(of(Kind::Audio)).reduce(f64::max)
        }),
    ]
}

fn quality(ui: &mut Ui, history: &History) {
    let t = theme::tokens(ui.ctx());
    let width = ui.available_width();
    let column = (width * 0.31).min(180.0);
    let row = |ui: &mut Ui, cells: [&str; 3], strong: bool, label: Option<&str>| {
        let (rect, _) = ui.allocate_exact_size(vec2(width, 19.0), Sense::hover());
        let font = if strong { theme::strong(size::SMALL) } else { theme::font(size::SMALL) };
        let painter = ui.painter();
        let first = if strong { theme::font(size::SMALL) } else { theme::strong(size::BODY) };
        let color = if strong { t.soft } else { t.text };
        let name = text::line(painter, cells[0], first, color, width - 2.0 * column);
        text::place(painter, name, rect.left_center(), Align2::LEFT_CENTER);
        for (index, cell) in cells[1..].iter().enumerate() {
            let color = if strong { t.text } else { t.soft };
            let galley = text::line(painter, cell, font.clone(), color, column - 4.0);
            let right = rect.right() - column * (1 - index) as f32;
            text::place(painter, galley, pos2(right, rect.center().y), Align2::RIGHT_CENTER);
        }
        if let Some(label) = label {
            text::label(ui, rect, label, label);
        }
    };
    let heads = [Word::QualityWord.text(), Word::YouToThem.text(), Word::ThemToYou.text()];
    row(ui, heads, false, None);
    for (name, sent, received) in lines(history) {
        let (to, from) = (Word::YouToThem.text(), Word::ThemToYou.text());
        let label = format!("{}: {to} {sent}, {from} {received}", name.text());
        row(ui, [name.text(), &sent, &received], true, Some(&label));
    }
}
