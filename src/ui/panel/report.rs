//! The connection as a text to send to somebody who helps. Pure.

use std::fmt::Write as _;

use super::connection::{self, state_word};
use super::overview;
use super::route::{self, Place};
use super::unit::{self, Unit};
use crate::record::History;
use crate::ui::words::Word;

/// The text.
pub fn text(history: &History) -> String {
    let mut out = String::new();
    let version = env!("CARGO_PKG_VERSION");
    // Writing into a string cannot fail.
    let _ = write_all(&mut out, history, version);
    out
}

fn write_all(out: &mut String, history: &History, version: &str) -> std::fmt::Result {
    writeln!(out, "{} {version}", Word::AppName.text())?;
    if let Some((first, last)) = history.span {
        writeln!(out, "{} \u{2013} {} UTC", unit::time_of_day(first), unit::time_of_day(last))?;
    }
    if let Some(verdict) = history.verdict() {
        writeln!(out, "\n{}", verdict.text)?;
        for line in verdict.advice.iter().chain(&verdict.evidence) {
            writeln!(out, "  {line}")?;
        }
    }
    let standing = &history.standing;
    writeln!(out, "\nICE {:?}, DTLS {:?}, {:?}", standing.ice, standing.dtls, standing.gathering)?;
    let Some(report) = history.report.as_deref() else { return Ok(()) };
    let stations = route::stations(report);
    if !stations.is_empty() {
        writeln!(out, "\n{}", Word::PathHead.text())?;
    }
    for station in &stations {
        let name = match station.place {
            Place::You => Word::You,
            Place::Nat => Word::Router,
            Place::Relay => Word::Relay,
            Place::Them => Word::Them,
        };
        writeln!(out, "  {}  {}  {}  {}", name.text(), station.address, station.about, station.onward)?;
    }
    writeln!(out, "\n{}", Word::QualityWord.text())?;
    for (name, sent, received) in overview::lines(history) {
        let (to, from) = (Word::YouToThem.text(), Word::ThemToYou.text());
        writeln!(out, "  {}: {to} {sent}, {from} {received}", name.text())?;
    }
    if let Some((_, stages)) = connection::story(report) {
        writeln!(out, "\n{}", Word::StoryHead.text())?;
        for stage in stages {
            let at = |time: Option<f64>| time.map_or("\u{2013}".to_owned(), |time| unit::after(0.0, time));
            writeln!(out, "  {}: {} \u{2192} {}", stage.name.text(), at(stage.from), at(stage.to))?;
        }
    }
    let servers = connection::servers(report);
    if !servers.is_empty() {
        writeln!(out, "\n{}", Word::ServersTable.text())?;
    }
    for server in servers {
        let time = Unit::Milliseconds.write(server.round_trip);
        let counts = format!("{} / {}", server.sent, server.answered);
        writeln!(out, "  {}  {}  {counts}  {time}  {}", server.url, server.mapped, server.trouble)?;
    }
    writeln!(out, "\n{}", Word::PairsTable.text())?;
    for pair in connection::pairs(report) {
        let mark = if pair.is_used { "*" } else { " " };
        let time = Unit::Milliseconds.write(pair.round_trip);
        writeln!(
            out,
            "{mark} {}  {} \u{2192} {}  {} / {}  {time}  {}",
            state_word(pair.state),
            pair.local,
            pair.remote,
            pair.ours.0,
            pair.ours.1,
            pair.last_error
        )?;
    }
    Ok(())
}
