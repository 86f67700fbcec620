//! How a connection came up: each step's first time, measured from the call.

use std::collections::BTreeMap;

use super::{Entry, Mark, Report, Step, Timeline};

/// When steps were first reached, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps(BTreeMap<Step, f64>);

impl Steps {
    /// A step is reached; only its earliest time counts, so that a restart changes nothing.
    pub fn note(&mut self, step: Step, unix_ms: f64) {
        let at = self.0.entry(step).or_insert(unix_ms);
        *at = at.min(unix_ms);
    }

    /// The steps in the order of time.
    pub fn marks(&self) -> Vec<Mark> {
        let call = self.0.get(&Step::Call).copied();
        let since = |at: f64| call.map(|call| (at - call) / 1e3);
        let mut marks: Vec<Mark> =
            self.0.iter().map(|(&step, &at)| Mark { step, at, since_call: since(at) }).collect();
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        marks
    }

    /// Learns what a report knows, and puts everything there. A later connection of the same call
    /// reaches its steps again, which changes nothing.
    pub fn fill(&mut self, report: &mut Report) {
        for mark in report.timelines().flat_map(|timeline| &timeline.marks) {
            self.note(mark.step, mark.at);
        }
        report.entries.retain(|entry| !matches!(entry, Entry::Timeline(_)));
        let (id, timestamp) = ("TL".to_owned(), report.timestamp);
        report.entries.push(Entry::Timeline(Timeline { id, timestamp, marks: self.marks() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_both_sources_stand_in_the_order_of_time_from_the_call() {
        let mut report = Report::new(5_000.0);
        let mut sockets = Steps::default();
        sockets.note(Step::FirstCheckSent, 1_100.0);
        sockets.note(Step::FirstCheckSent, 1_400.0);
        sockets.fill(&mut report);
        let mut engine = Steps::default();
        engine.note(Step::Call, 1_000.0);
        engine.note(Step::FirstCandidate, 750.0);
        engine.fill(&mut report);
        let timeline = report.timelines().next().expect("it was filled in").clone();
        let marks: Vec<_> = timeline.marks.iter().map(|mark| (mark.step, mark.since_call)).collect();
        let expected = [(Step::FirstCandidate, -0.25), (Step::Call, 0.0), (Step::FirstCheckSent, 0.1)];
        assert_eq!(marks, expected.map(|(step, since)| (step, Some(since))));
        assert_eq!(report.timelines().count(), 1);
        let mut later = Report::new(9_000.0);
        let mut sockets = Steps::default();
        sockets.note(Step::FirstCheckSent, 8_000.0);
        sockets.fill(&mut later);
        engine.fill(&mut later);
        assert_eq!(later.timelines().next(), Some(&Timeline { timestamp: 9_000.0, ..timeline }));
    }
}
