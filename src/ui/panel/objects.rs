//! The objects of W3C webrtc-stats as they are, with a search.

use std::sync::{Arc, Weak};

use eframe::egui::{Label, RichText, ScrollArea, Ui, vec2};
use serde_json::Value;

use super::Memory;
use super::kit;
use super::model::PanelModel;
use super::table;
use crate::record::History;
use crate::rtc::stats::Report;
use crate::ui::theme::{self, size, space};
use crate::ui::words::Word;

/// How high a row is.
const ROW: f32 = 20.0;

/// One row: the head of an object, or a member of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Name and value.
    kind: RowKind,
    /// Everything that a search may find.
    words: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum RowKind {
    Head { kind: String, id: String },
    Member { name: String, value: String },
}

/// The rows of the newest report, made once.
#[derive(Debug, Default)]
pub struct Rows {
    of: Weak<Report>,
    all: Vec<Row>,
}

impl Rows {
    fn read(&mut self, report: &Arc<Report>) -> &[Row] {
        if !std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(report)) {
            self.of = Arc::downgrade(report);
            self.all = rows(report);
        }
        &self.all
    }
}

/// A report as rows; its objects by type, as they came. Pure.
fn rows(report: &Report) -> Vec<Row> {
    let Ok(Value::Array(mut objects)) = serde_json::to_value(report) else { return Vec::new() };
    let kind_of = |object: &Value| object["type"].as_str().unwrap_or_default().to_owned();
    objects.sort_by_key(kind_of);
    let mut rows = Vec::new();
    for object in &objects {
        let Value::Object(members) = object else { continue };
        let (kind, id) = (kind_of(object), object["id"].as_str().unwrap_or_default().to_owned());
        let words = format!("{kind} {id}");
        rows.push(Row { kind: RowKind::Head { kind, id }, words: words.clone() });
        for (name, value) in members.iter().filter(|(name, _)| !matches!(name.as_str(), "type" | "id")) {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(number) => short(number),
                value => value.to_string(),
            };
            let words = format!("{words} {name} {value}");
            rows.push(Row { kind: RowKind::Member { name: name.clone(), value }, words });
        }
    }
    rows
}

/// A number without the digits that only floating point has.
fn short(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(value) if number.is_f64() && value.fract() != 0.0 => {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').to_owned()
        }
        Some(value) if number.is_f64() => format!("{value:.0}"),
        _ => number.to_string(),
    }
}

/// The rows that a search finds: whole objects by their head, or single members below it. Pure.
fn found<'a>(rows: &'a [Row], search: &str) -> Vec<&'a Row> {
    if search.trim().is_empty() {
        return rows.iter().collect();
    }
    let mut chosen: Vec<&Row> = Vec::new();
    let mut head: Option<&Row> = None;
    for row in rows {
        match &row.kind {
            RowKind::Head { .. } => head = Some(row),
            RowKind::Member { .. } if table::matches(search, &row.words) => {
                chosen.extend(head.take());
                chosen.push(row);
            }
            RowKind::Member { .. } => {}
        }
    }
    chosen
}

/// Draws them.
pub fn show(ui: &mut Ui, model: &mut PanelModel, memory: &mut Memory, history: &History) {
    let Some(report) = &history.report else {
        kit::nothing(ui, Word::NoStatsYet);
        return;
    };
    let width = ui.available_width();
    kit::filter(ui, Word::SearchObjects, &mut model.object_filter, width);
    let rows = found(memory.objects.read(report), &model.object_filter);
    if rows.is_empty() {
        kit::nothing(ui, Word::NoRows);
        return;
    }
    let t = theme::tokens(ui.ctx());
    ui.spacing_mut().item_spacing = vec2(space::S, 0.0);
    let area = ScrollArea::vertical().id_salt("objects").auto_shrink([false, false]);
    area.show_rows(ui, ROW, rows.len(), |ui, range| {
        let names = (ui.available_width() * 0.52).min(320.0);
        for row in rows.get(range).unwrap_or_default() {
            ui.horizontal(|ui| {
                ui.set_height(ROW);
                match &row.kind {
                    RowKind::Head { kind, id } => {
                        let kind = RichText::new(kind).font(theme::strong(size::BODY)).color(t.text);
                        ui.add(Label::new(kind).extend());
                        let id = RichText::new(id).size(size::SMALL).color(t.soft);
                        ui.add(Label::new(id).truncate());
                    }
                    RowKind::Member { name, value } => {
                        ui.add_space(space::M);
                        ui.scope(|ui| {
                            ui.set_width(names);
                            let name = RichText::new(name).size(size::SMALL).color(t.soft);
                            ui.add(Label::new(name).truncate());
                        });
                        let value = RichText::new(value).size(size::SMALL).color(t.text);
                        ui.add(Label::new(value).truncate());
                    }
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::stats::{Entry, Kind, OutboundRtp};

    fn report() -> Report {
        let stream = |id: &str, kind| {
            Entry::OutboundRtp(OutboundRtp {
                id: id.into(),
                kind,
                packets_sent: Some(12),
                total_encode_time: Some(0.1 + 1e-9),
                ..Default::default()
            })
        };
        let mut report = Report::new(0.0);
        report.entries = vec![stream("O1", Kind::Audio), stream("O2", Kind::Video)];
        report
    }

    fn written(search: &str) -> Vec<String> {
        let rows = rows(&report());
        let text = |row: &&Row| match &row.kind {
            RowKind::Head { kind, id } => format!("{kind} {id}"),
            RowKind::Member { name, value } => format!("{name}={value}"),
        };
        found(&rows, search).iter().map(text).collect()
    }

    #[test]
    fn a_search_finds_members_below_their_object() {
        assert_eq!(written("packetssent O2"), ["outbound-rtp O2", "packetsSent=12"]);
        assert_eq!(written("video kind"), ["outbound-rtp O2", "kind=video"]);
        assert_eq!(written("nothing like it"), Vec::<String>::new());
        assert!(written("").contains(&"totalEncodeTime=0.1".to_owned()));
    }
}
