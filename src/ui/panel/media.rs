//! The tab for media: every stream over time, and the objects of W3C webrtc-stats.

use eframe::egui::{ScrollArea, Ui, vec2};

use super::chart::{self, Chart, Curve, Moved};
use super::kit;
use super::model::{MediaView, PanelModel, TimeWindow};
use super::segments::{Kind, segments};
use super::table;
use super::unit::{self, Unit};
use super::{Context, Memory, objects};
use crate::record::{Direction, History, Metric, Scope, StreamId};
use crate::rtc::stats;
use crate::ui::icons::Icon;
use crate::ui::theme::space;
use crate::ui::widgets::button::IconButton;
use crate::ui::words::Word;

/// Every so many points another column of plots fits.
const COLUMN: f32 = 430.0;
/// From this width on everything that chooses stands in one row.
const ONE_ROW: f32 = 520.0;

/// Draws it.
pub fn show(ui: &mut Ui, model: &mut PanelModel, memory: &mut Memory, context: &Context) {
    let width = ui.available_width();
    let views = [(MediaView::Plots, Word::PlotsView), (MediaView::Objects, Word::ObjectsView)];
    let reach = reach(context.history).filter(|_| model.media_view == MediaView::Plots);
    if width >= ONE_ROW {
        ui.horizontal(|ui| {
            segments(ui, Kind::Choices, &views, &mut model.media_view, width * 0.4);
            if let Some((_, newest)) = reach {
                times(ui, model, newest);
            }
        });
    } else {
        segments(ui, Kind::Choices, &views, &mut model.media_view, width);
        if let Some((_, newest)) = reach {
            ui.horizontal(|ui| times(ui, model, newest));
        }
    }
    match model.media_view {
        MediaView::Plots => plots(ui, model, context.history),
        MediaView::Objects => objects::show(ui, model, memory, context.history),
    }
}

/// Which time the plots show.
fn times(ui: &mut Ui, model: &mut PanelModel, newest: f64) {
    ui.spacing_mut().item_spacing.x = space::S;
    let (icon, word) = match model.time.follows() {
        true => (Icon::PAUSE, Word::PausePlots),
        false => (Icon::PLAY, Word::FollowPlots),
    };
    if IconButton::new(icon, word.text()).size(28.0, 28.0).show(ui).clicked() {
        model.time.pause(newest);
    }
    let [minute, five, hour] = TimeWindow::SPANS;
    let spans = [
        (Some(minute), Word::OneMinute),
        (Some(five), Word::FiveMinutes),
        (Some(hour), Word::OneHour),
        (None, Word::AllTime),
    ];
    let room = ui.available_width();
    segments(ui, Kind::Choices, &spans, &mut model.time.span, room);
}

fn plots(ui: &mut Ui, model: &mut PanelModel, history: &History) {
    let Some((oldest, newest)) = reach(history) else {
        kit::nothing(ui, Word::NoStatsYet);
        return;
    };
    let width = ui.available_width();
    kit::filter(ui, Word::FilterPlots, &mut model.media_filter, width);
    let axis = model.time.axis(oldest, newest);
    let what = match axis.pointed {
        Some(time) => Word::PlotsAt.with(&unit::time_of_day(time)),
        None => Word::PlotsSpan.with(&unit::second_of_day(axis.from)).replacen(
            "{}",
            &unit::second_of_day(axis.to),
            1,
        ),
    };
    kit::remark(ui, &what);
    let charts = charts(history);
    let shown: Vec<&Chart> =
        charts.iter().filter(|chart| table::matches(&model.media_filter, &chart.title)).collect();
    if shown.is_empty() {
        kit::nothing(ui, Word::NoPlots);
        return;
    }
    let mut moved: Option<Moved> = None;
    ScrollArea::vertical().id_salt("plots").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing = vec2(space::S, space::S);
        let columns = ((ui.available_width() / COLUMN) as usize).max(1);
        let each = (ui.available_width() - space::S * (columns - 1) as f32) / columns as f32;
        for row in shown.chunks(columns) {
            ui.horizontal_top(|ui| {
                for chart in row {
                    ui.allocate_ui(vec2(each, 0.0), |ui| {
                        ui.set_width(each);
                        moved = chart::show(ui, chart, axis).or(moved);
                    });
                }
            });
        }
    });
    if moved.is_none() && model.time.pointed.take().is_some() {
        ui.ctx().request_repaint();
    }
    if let Some(moved) = moved {
        if moved != Moved::Pointed(model.time.pointed.unwrap_or(f64::NAN)) {
            ui.ctx().request_repaint();
        }
        model.time.moved(moved, oldest, newest);
    }
}

/// The time of the oldest and the newest statistics.
fn reach(history: &History) -> Option<(f64, f64)> {
    let newest = history.report.as_deref()?.timestamp;
    let oldest = history.series.iter().filter_map(|(_, _, series)| series.points().next()).map(|(at, _)| at);
    Some((oldest.fold(newest, f64::min), newest))
}

/// What a plot shows of its scope: title, unit, lines.
type Recipe = (Word, Unit, &'static [(Metric, Word)]);

const CONNECTION: &[Recipe] = &[
    (Word::PlotRoundTrip, Unit::Milliseconds, &[(Metric::RoundTrip, Word::LineRoundTrip)]),
    (
        Word::PlotBitrate,
        Unit::BitRate,
        &[
            (Metric::AvailableOutgoingBitrate, Word::LineEstimate),
            (Metric::SentBitrate, Word::LineSent),
            (Metric::ReceivedBitrate, Word::LineReceived),
        ],
    ),
];

const STREAM: &[Recipe] = &[
    (
        Word::PlotBitrate,
        Unit::BitRate,
        &[
            (Metric::TargetBitrate, Word::LineTarget),
            (Metric::SentBitrate, Word::LineSent),
            (Metric::ReceivedBitrate, Word::LineReceived),
            (Metric::AvailableOutgoingBitrate, Word::LineEstimate),
        ],
    ),
    (Word::PlotRoundTrip, Unit::Milliseconds, &[(Metric::RoundTrip, Word::LineRoundTrip)]),
    (Word::PlotLoss, Unit::Share, &[(Metric::Loss, Word::LineLoss)]),
    (
        Word::PlotJitter,
        Unit::Milliseconds,
        &[(Metric::Jitter, Word::LineJitter), (Metric::JitterBufferDelay, Word::LineJitterBuffer)],
    ),
    (Word::PlotFrameRate, Unit::Pictures, &[(Metric::FrameRate, Word::LineFrameRate)]),
    (
        Word::PlotResolution,
        Unit::Pixels,
        &[(Metric::FrameWidth, Word::LineWidth), (Metric::FrameHeight, Word::LineHeight)],
    ),
    (Word::PlotQp, Unit::Quantizer, &[(Metric::Qp, Word::LineQp)]),
    (Word::PlotRequests, Unit::Count, &[(Metric::Nack, Word::LineNack), (Metric::Pli, Word::LinePli)]),
    (Word::PlotFreezes, Unit::Count, &[(Metric::Freezes, Word::LineFreezes)]),
    (
        Word::PlotCoding,
        Unit::Milliseconds,
        &[(Metric::EncodeTime, Word::LineEncode), (Metric::DecodeTime, Word::LineDecode)],
    ),
    (Word::PlotLevel, Unit::Level, &[(Metric::AudioLevel, Word::LineLevel)]),
    (Word::PlotConcealment, Unit::Share, &[(Metric::Concealment, Word::LineConcealment)]),
];

/// What a stream is called; its SSRC only where there are several of its kind.
fn stream_name(stream: StreamId, all: &[Scope]) -> String {
    let word = match (stream.direction, stream.kind, stream.of_screen) {
        (Direction::Sent, stats::Kind::Audio, false) => Word::SoundSent,
        (Direction::Sent, stats::Kind::Audio, true) => Word::ScreenSoundSent,
        (Direction::Sent, stats::Kind::Video, false) => Word::VideoSent,
        (Direction::Sent, stats::Kind::Video, true) => Word::ScreenSent,
        (Direction::Received, stats::Kind::Audio, false) => Word::SoundReceived,
        (Direction::Received, stats::Kind::Audio, true) => Word::ScreenSoundReceived,
        (Direction::Received, stats::Kind::Video, false) => Word::VideoReceived,
        (Direction::Received, stats::Kind::Video, true) => Word::ScreenReceived,
    };
    let alike = all.iter().filter(|scope| match scope {
        Scope::Connection => false,
        Scope::Stream(other) => StreamId { ssrc: stream.ssrc, ..*other } == stream,
    });
    match alike.count() {
        0 | 1 => word.text().to_owned(),
        _ => format!("{} {}", word.text(), stream.ssrc),
    }
}

/// All plots that have something to show, always in the same order. Pure.
pub fn charts(history: &History) -> Vec<Chart<'_>> {
    let scopes = history.series.scopes();
    let mut charts = Vec::new();
    for scope in &scopes {
        let (name, recipes) = match scope {
            Scope::Connection => (Word::WholeConnection.text().to_owned(), CONNECTION),
            Scope::Stream(stream) => (stream_name(*stream, &scopes), STREAM),
        };
        let sends_video = matches!(
            scope,
            Scope::Stream(StreamId { direction: Direction::Sent, kind: stats::Kind::Video, .. })
        );
        for (title, unit, lines) in recipes {
            let curve = |(metric, name): &(Metric, Word)| {
                // The estimate belongs to the connection, and matters where video is sent.
                let of = match metric {
                    Metric::AvailableOutgoingBitrate if sends_video => Scope::Connection,
                    _ => *scope,
                };
                let series = history.series.get(of, *metric)?;
                Some(Curve { name: name.text(), color: color(*metric), series })
            };
            let curves: Vec<Curve> = lines.iter().filter_map(curve).collect();
            if !curves.is_empty() {
                charts.push(Chart { title: format!("{name} \u{b7} {}", title.text()), unit: *unit, curves });
            }
        }
    }
    charts
}

/// A metric has the same colour in every plot.
const fn color(metric: Metric) -> usize {
    match metric {
        Metric::RoundTrip
        | Metric::SentBitrate
        | Metric::Jitter
        | Metric::FrameRate
        | Metric::FrameWidth
        | Metric::Qp
        | Metric::Nack
        | Metric::EncodeTime
        | Metric::AudioLevel => 0,
        Metric::ReceivedBitrate | Metric::JitterBufferDelay | Metric::FrameHeight | Metric::DecodeTime => 1,
        Metric::AvailableOutgoingBitrate | Metric::Pli | Metric::Concealment => 2,
        Metric::Loss | Metric::Freezes => 3,
        Metric::TargetBitrate => 4,
    }
}
