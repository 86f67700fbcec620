//! The tab for the connection: its story, its states, the servers, every pair and every candidate.

use std::cmp::Ordering;

use eframe::egui::{Align2, Rect, Sense, Ui, pos2, vec2};

use super::connection::{self, CandidateRow, PairRow, ServerRow, Stage, state_word};
use super::kit::{self, Mood};
use super::model::PanelModel;
use super::table::{self, Column, Look, Sorting};
use super::unit::{self, Unit};
use super::{Context, sdp};
use crate::engine::command::Command;
use crate::record::{Gathering, History, Negotiation, SignalingState, What};
use crate::rtc::stats::{PairState, Report};
use crate::rtc::{DtlsState, IceState};
use crate::ui::action::UiAction;
use crate::ui::icons::Icon;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{Kind, TextButton};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// Draws it.
pub fn show(ui: &mut Ui, model: &mut PanelModel, context: &Context, actions: &mut Vec<UiAction>) {
    let history = context.history;
    states(ui, history);
    let report = history.report.as_deref();
    if let Some((_, stages)) = report.and_then(connection::story) {
        kit::card(ui, |ui| story(ui, &stages));
    }
    if context.live {
        controls(ui, context, actions);
    }
    let Some(report) = report else {
        kit::nothing(ui, Word::NoStatsYet);
        sdp::show(ui, model, history, actions);
        return;
    };
    let width = ui.available_width();
    kit::filter(ui, Word::FilterTables, &mut model.ice_filter, width);
    tables(ui, model, report);
    sdp::show(ui, model, history, actions);
}

fn states(ui: &mut Ui, history: &History) {
    let standing = &history.standing;
    let (ice, ice_mood) = match standing.ice {
        IceState::New => ("new", Mood::Plain),
        IceState::Checking => ("checking", Mood::Warn),
        IceState::Connected => ("connected", Mood::Good),
        IceState::Completed => ("completed", Mood::Good),
        IceState::Disconnected => ("disconnected", Mood::Warn),
        IceState::Failed => ("failed", Mood::Bad),
        IceState::Closed => ("closed", Mood::Plain),
    };
    let (dtls, dtls_mood) = match standing.dtls {
        DtlsState::New => ("new", Mood::Plain),
        DtlsState::Connecting => ("connecting", Mood::Warn),
        DtlsState::Connected => ("connected", Mood::Good),
        DtlsState::Closed => ("closed", Mood::Plain),
        DtlsState::Failed => ("failed", Mood::Bad),
    };
    let (gathering, gathering_mood) = match standing.gathering {
        Gathering::New => ("new", Mood::Plain),
        Gathering::Gathering => ("gathering", Mood::Warn),
        Gathering::Complete => ("complete", Mood::Good),
    };
    let negotiation = match standing.negotiation {
        Negotiation::Stable => ("stable", Mood::Good),
        Negotiation::HaveLocalOffer => ("have-local-offer", Mood::Warn),
        Negotiation::HaveRemoteOffer => ("have-remote-offer", Mood::Warn),
    };
    let server = match standing.signaling {
        None => (Word::StateNone.text(), Mood::Plain),
        Some(SignalingState::Resumed) => (Word::StateConnected.text(), Mood::Good),
        Some(SignalingState::Lost) => (Word::StateLost.text(), Mood::Warn),
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(6.0, 6.0);
        kit::pill(ui, "ICE", ice, ice_mood);
        kit::pill(ui, Word::GatheringState.text(), gathering, gathering_mood);
        kit::pill(ui, "DTLS", dtls, dtls_mood);
        kit::pill(ui, Word::SignalingState.text(), negotiation.0, negotiation.1);
        kit::pill(ui, Word::ServerState.text(), server.0, server.1);
        for (name, state, mood) in network(history) {
            kit::pill(ui, name, &state, mood);
        }
    });
}

/// What the servers' answers say about this network (docs/statistics.md), as far as they do. Pure.
fn network(history: &History) -> Vec<(&'static str, String, Mood)> {
    let Some(What::Nat { verdict, more }) = history.newest("nat").map(|entry| &entry.what) else {
        return Vec::new();
    };
    let mood = match verdict.as_str() {
        "no-nat" | "endpoint-independent" => Mood::Good,
        "endpoint-dependent" => Mood::Warn,
        "udp-blocked" => Mood::Bad,
        _ => Mood::Plain,
    };
    let is = |name: &str| more.get(name).and_then(serde_json::Value::as_bool) == Some(true);
    let vpn = more.get("vpn").and_then(serde_json::Value::as_str);
    let yes = || Word::Yes.text().to_owned();
    let mut pills = vec![("NAT", verdict.clone(), mood)];
    pills.extend(is("cgnat").then(|| ("CGNAT", yes(), Mood::Warn)));
    pills.extend(vpn.map(|name| ("VPN", name.to_owned(), Mood::Warn)));
    pills.extend(is("ipv6").then(|| ("IPv6", yes(), Mood::Good)));
    pills
}

/// The stages as bars on one scale of time.
fn story(ui: &mut Ui, stages: &[Stage]) {
    const ROW: f32 = 23.0;
    let t = theme::tokens(ui.ctx());
    kit::heading(ui, Word::StoryHead);
    let end = stages.iter().filter_map(|stage| stage.to.or(stage.from)).fold(1.0, f64::max);
    let all = ui.available_width();
    let (names, times) = (108.0_f32.min(all * 0.3), 128.0_f32.min(all * 0.38));
    for stage in stages {
        let (rect, _) = ui.allocate_exact_size(vec2(all, ROW - 5.0), Sense::hover());
        let middle = rect.center().y;
        let done = stage.to.is_some();
        let color = if done || stage.from.is_some() { t.text } else { t.soft };
        let name = text::line(ui.painter(), stage.name.text(), theme::font(size::SMALL), color, names);
        text::place(ui.painter(), name, pos2(rect.left(), middle), Align2::LEFT_CENTER);
        let track = Rect::from_min_max(
            pos2(rect.left() + names + space::S, middle - 4.0),
            pos2(rect.right() - times - space::S, middle + 4.0),
        );
        ui.painter().rect_filled(track, 4.0, t.button.gamma_multiply(0.6));
        let at = |time: f64| track.left() + track.width() * (time / end).clamp(0.0, 1.0) as f32;
        if let Some(from) = stage.from {
            let (to, front) = match stage.to {
                Some(to) => (at(to), t.good),
                None => (track.right(), t.warn),
            };
            let left = at(from).min(to - 5.0).max(track.left());
            let bar = Rect::from_min_max(pos2(left, track.top()), pos2(to.max(left + 5.0), track.bottom()));
            ui.painter().rect_filled(bar, 4.0, front);
        }
        let words = match (stage.from, stage.to, stage.length()) {
            (_, Some(to), Some(length)) if length >= 0.5 => {
                format!("{} ({})", unit::after(0.0, to), Unit::Milliseconds.write(length))
            }
            (_, Some(to), _) => unit::after(0.0, to),
            (Some(from), None, _) => Word::Since.with(&unit::after(0.0, from)),
            (None, None, _) => "\u{2013}".to_owned(),
        };
        let galley = text::line(ui.painter(), &words, theme::font(size::SMALL), color, times);
        text::place(ui.painter(), galley, pos2(rect.right(), middle), Align2::RIGHT_CENTER);
        let label = format!("{}: {words}", stage.name.text());
        text::label(ui, rect, stage.name.text(), &label);
    }
}

fn controls(ui: &mut Ui, context: &Context, actions: &mut Vec<UiAction>) {
    ui.horizontal_wrapped(|ui| {
        let restart = TextButton::new(Word::RestartIce.text()).icon(Icon::ARROWS_CLOCKWISE).height(34.0);
        if restart.show(ui).on_hover_text(Word::RestartIceHint.text()).clicked() {
            actions.push(UiAction::Command(Command::RestartIce));
        }
        let mut settings = context.settings.clone();
        let relay = TextButton::new(Word::RelayOnlyNow.text()).height(34.0);
        let relay = match settings.relay_only {
            true => relay.icon(Icon::CHECK).kind(Kind::Primary),
            false => relay,
        };
        let response = relay.show(ui).on_hover_text(Word::RelayOnlyHint.text());
        ui.ctx().accesskit_node_builder(response.id, |node| {
            node.set_toggled(settings.relay_only.into());
        });
        if response.clicked() {
            settings.relay_only = !settings.relay_only;
            actions.push(UiAction::Command(Command::SaveSettings(Box::new(settings))));
            actions.push(UiAction::Command(Command::RestartIce));
        }
    });
}

fn tables(ui: &mut Ui, model: &mut PanelModel, report: &Report) {
    let filter = &model.ice_filter;
    let sorting = &mut model.ice_sorting;
    let marked = |is_used: bool| if is_used { Look::Marked } else { Look::Plain };
    section(ui, Word::ServersTable, &connection::servers(report), &SERVERS, filter, &mut sorting.servers, {
        |row: &ServerRow| match (row.trouble.is_empty(), row.answered) {
            (false, _) => Look::Bad,
            (true, 0) => Look::Faint,
            (true, _) => Look::Plain,
        }
    });
    section(ui, Word::PairsTable, &connection::pairs(report), &PAIRS, filter, &mut sorting.pairs, {
        |row: &PairRow| match row.state {
            _ if row.is_used => Look::Marked,
            PairState::Failed => Look::Faint,
            PairState::Frozen | PairState::Waiting | PairState::InProgress | PairState::Succeeded => {
                Look::Plain
            }
        }
    });
    let local = connection::local_candidates(report);
    section(ui, Word::LocalTable, &local, &LOCAL, filter, &mut sorting.local, |row| marked(row.is_used));
    let remote = connection::remote_candidates(report);
    section(ui, Word::RemoteTable, &remote, &REMOTE, filter, &mut sorting.remote, |row| marked(row.is_used));
}

fn section<R>(
    ui: &mut Ui,
    name: Word,
    rows: &[R],
    columns: &[Column<R>],
    filter: &str,
    sorting: &mut Sorting,
    look: impl Fn(&R) -> Look,
) {
    let chosen = table::chosen(rows, columns, filter, *sorting);
    let count = match chosen.len() == rows.len() {
        true => rows.len().to_string(),
        false => format!("{} / {}", chosen.len(), rows.len()),
    };
    ui.add_space(space::XS);
    ui.horizontal(|ui| {
        kit::heading(ui, name);
        kit::remark(ui, &count);
    });
    if rows.is_empty() {
        kit::remark(ui, Word::NoRows.text());
        return;
    }
    table::show(ui, name, columns, &chosen, sorting, look);
}

fn number(value: f64) -> String {
    if value.is_finite() { Unit::Milliseconds.write(value) } else { String::new() }
}

fn parts((one, other): (u64, u64)) -> String {
    format!("{one} / {other}")
}

/// A column whose text is its order.
macro_rules! by_text {
    ($row:ty, $title:ident, $width:literal, $text:expr) => {
        Column {
            title: Word::$title,
            width: $width,
            is_number: false,
            text: {
                let text: fn(&$row) -> String = $text;
                text
            },
            order: |a, b| {
                let text: fn(&$row) -> String = $text;
                text(a).cmp(&text(b))
            },
        }
    };
}

const SERVERS: [Column<ServerRow>; 9] = [
    by_text!(ServerRow, ColumnUrl, 190.0, |row| row.url.clone()),
    by_text!(ServerRow, ColumnTransport, 44.0, |row| row.transport.to_owned()),
    Column {
        title: Word::ColumnSent,
        width: 42.0,
        is_number: true,
        text: |row| row.sent.to_string(),
        order: |a, b| a.sent.cmp(&b.sent),
    },
    Column {
        title: Word::ColumnAnswered,
        width: 58.0,
        is_number: true,
        text: |row| row.answered.to_string(),
        order: |a, b| a.answered.cmp(&b.answered),
    },
    Column {
        title: Word::ColumnErrors,
        width: 42.0,
        is_number: true,
        text: |row| row.errors.to_string(),
        order: |a, b| a.errors.cmp(&b.errors),
    },
    Column {
        title: Word::ColumnRoundTrip,
        width: 66.0,
        is_number: true,
        text: |row| number(row.round_trip),
        order: |a, b| a.round_trip.total_cmp(&b.round_trip),
    },
    by_text!(ServerRow, ColumnMapped, 132.0, |row| row.mapped.clone()),
    by_text!(ServerRow, ColumnRelayed, 132.0, |row| row.relayed.clone()),
    by_text!(ServerRow, ColumnTrouble, 220.0, |row| row.trouble.clone()),
];

const PAIRS: [Column<PairRow>; 9] = [
    Column {
        title: Word::ColumnState,
        width: 82.0,
        is_number: false,
        text: |row| state_word(row.state).to_owned(),
        order: |a, b| state_word(a.state).cmp(state_word(b.state)),
    },
    by_text!(PairRow, ColumnLocal, 158.0, |row| row.local.clone()),
    by_text!(PairRow, ColumnRemote, 158.0, |row| row.remote.clone()),
    Column {
        title: Word::ColumnRoundTrip,
        width: 66.0,
        is_number: true,
        text: |row| number(row.round_trip),
        order: |a, b| a.round_trip.total_cmp(&b.round_trip),
    },
    Column {
        title: Word::ColumnOurChecks,
        width: 86.0,
        is_number: true,
        text: |row| parts(row.ours),
        order: |a, b| a.ours.cmp(&b.ours),
    },
    Column {
        title: Word::ColumnTheirChecks,
        width: 86.0,
        is_number: true,
        text: |row| parts(row.theirs),
        order: |a, b| a.theirs.cmp(&b.theirs),
    },
    Column {
        title: Word::ColumnBytes,
        width: 120.0,
        is_number: true,
        text: |row| format!("{} / {}", unit::bytes(row.bytes.0), unit::bytes(row.bytes.1)),
        order: |a, b| a.bytes.cmp(&b.bytes),
    },
    Column {
        title: Word::ColumnNominated,
        width: 70.0,
        is_number: false,
        text: |row| if row.nominated { Word::Yes.text().to_owned() } else { String::new() },
        order: |a, b| a.nominated.cmp(&b.nominated),
    },
    by_text!(PairRow, ColumnLastError, 200.0, |row| row.last_error.clone()),
];

const fn priority() -> Column<CandidateRow> {
    Column {
        title: Word::ColumnPriority,
        width: 110.0,
        is_number: false,
        text: CandidateRow::priority_split,
        order: by_priority,
    }
}

fn by_priority(a: &CandidateRow, b: &CandidateRow) -> Ordering {
    a.priority.cmp(&b.priority)
}

const LOCAL: [Column<CandidateRow>; 7] = [
    by_text!(CandidateRow, ColumnType, 44.0, |row| row.kind.to_owned()),
    by_text!(CandidateRow, ColumnProtocol, 80.0, |row| row.protocol.clone()),
    by_text!(CandidateRow, ColumnAddress, 150.0, |row| row.address.clone()),
    priority(),
    by_text!(CandidateRow, ColumnInterface, 110.0, |row| row.interface.clone()),
    by_text!(CandidateRow, ColumnRelated, 150.0, |row| row.related.clone()),
    by_text!(CandidateRow, ColumnUrl, 190.0, |row| row.url.clone()),
];

const REMOTE: [Column<CandidateRow>; 5] = [
    by_text!(CandidateRow, ColumnType, 44.0, |row| row.kind.to_owned()),
    by_text!(CandidateRow, ColumnProtocol, 60.0, |row| row.protocol.clone()),
    by_text!(CandidateRow, ColumnAddress, 150.0, |row| row.address.clone()),
    priority(),
    by_text!(CandidateRow, ColumnRelated, 150.0, |row| row.related.clone()),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Entry;

    #[test]
    fn what_is_known_of_the_network_stands_beside_the_states() {
        let mut history = History::default();
        assert!(network(&history).is_empty());
        let line =
            r#"{"t":1.0,"ev":"nat","verdict":"endpoint-dependent","cgnat":true,"ipv6":false,"vpn":"tun0"}"#;
        history.push(Entry::parse(line).expect("a line"));
        let told: Vec<_> = network(&history).into_iter().map(|(name, state, _)| (name, state)).collect();
        let expected = [("NAT", "endpoint-dependent"), ("CGNAT", "yes"), ("VPN", "tun0")];
        assert_eq!(told, expected.map(|(name, state)| (name, state.to_owned())));
    }
}
