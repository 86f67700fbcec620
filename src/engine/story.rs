//! What the entries of a call add to its statistics: the session with the server, the steps of the
//! timeline, and what the servers' answers say about the network. Pure: entries and reports in.

use serde_json::{Map, Value};

use crate::record::{Direction, Entry as Happened, Side, SignalingState as Change, What};
use crate::rtc::nat::Verdict;
use crate::rtc::stats::timeline::Steps;
use crate::rtc::stats::{Entry, Report, Signaling, SignalingState, Step};
use crate::rtc::{DescriptionKind, DtlsState, IceState};

/// One call.
#[derive(Debug, Default)]
pub struct Story {
    steps: Steps,
    signaling: Signaling,
    described: bool,
    verdict: Option<Verdict>,
}

impl Story {
    /// The server that messages go through.
    pub fn server(&mut self, url: String) {
        self.signaling.url = url;
    }

    /// The round trip to it, in seconds.
    pub fn round_trip(&mut self, seconds: f64) {
        self.signaling.round_trip_time = Some(seconds);
    }

    /// Something happened.
    pub fn on(&mut self, happened: &Happened) {
        let t = happened.t;
        match &happened.what {
            What::Call => self.steps.note(Step::Call, t),
            What::WsOpen => self.signaling.state = SignalingState::Open,
            What::Signaling { state: Change::Lost, reason } => {
                self.signaling.state = SignalingState::Lost;
                self.signaling.last_lost_timestamp = Some(t);
                self.signaling.last_error.clone_from(reason);
            }
            What::Signaling { state: Change::Resumed, .. } => {
                self.signaling.state = SignalingState::Open;
                self.signaling.reconnects += 1;
            }
            What::SignalingMessage { direction: Direction::Sent, bytes, .. } => {
                self.signaling.messages_sent += 1;
                self.signaling.bytes_sent += *bytes as u64;
            }
            What::SignalingMessage { direction: Direction::Received, bytes, .. } => {
                self.signaling.messages_received += 1;
                self.signaling.bytes_received += *bytes as u64;
            }
            What::Description { side: Side::Local, .. } => self.steps.note(Step::DescriptionSent, t),
            What::Description { side: Side::Remote, kind, .. } => {
                self.described = true;
                if *kind == DescriptionKind::Offer {
                    // Whoever is called learns of it by this.
                    self.steps.note(Step::Call, t);
                }
                self.steps.note(Step::DescriptionReceived, t);
            }
            What::Candidate { side: Side::Local, .. } => self.steps.note(Step::FirstCandidate, t),
            What::Candidate { side: Side::Remote, .. } if !self.described => {
                self.signaling.late_candidates += 1;
            }
            What::EndOfCandidates { side: Side::Local } => self.steps.note(Step::GatheringComplete, t),
            What::Ice { state: IceState::Connected | IceState::Completed } => {
                self.steps.note(Step::Nominated, t);
            }
            What::Dtls { state: DtlsState::Connected } => self.steps.note(Step::DtlsConnected, t),
            What::FirstFrame => self.steps.note(Step::FirstPicture, t),
            What::FirstAudio => self.steps.note(Step::FirstSound, t),
            _ => {}
        }
    }

    /// Completes a report; gives the verdict on the network when it changed.
    pub fn fill(&mut self, report: &mut Report) -> Option<What> {
        self.steps.fill(report);
        let mut signaling = self.signaling.clone();
        signaling.id = "SI".to_owned();
        signaling.timestamp = report.timestamp;
        report.entries.push(Entry::Signaling(signaling));
        let verdict = Verdict::of_report(report);
        if self.verdict.as_ref() == Some(&verdict) || (self.verdict.is_none() && verdict.is_silent()) {
            return None;
        }
        let members: Map<String, Value> = match serde_json::to_value(&verdict) {
            Ok(Value::Object(members)) => members,
            Ok(_) | Err(_) => Map::new(),
        };
        let what = What::Nat { verdict: verdict.word().to_owned(), more: members };
        self.verdict = Some(verdict);
        Some(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::nat::{Mapped, Mapping};
    use crate::rtc::stats::IceServer;

    fn told(story: &mut Story, t: f64, what: What) {
        story.on(&Happened::new(t, what));
    }

    #[test]
    fn entries_become_the_signaling_object_and_the_timeline() {
        let mut story = Story::default();
        story.server("wss://meet.example/".to_owned());
        story.round_trip(0.03);
        let message = |direction, bytes| What::SignalingMessage {
            direction,
            kind: "signal".to_owned(),
            bytes,
            text: String::new(),
        };
        told(&mut story, 900.0, What::WsOpen);
        told(&mut story, 1_000.0, What::Call);
        told(&mut story, 1_001.0, message(Direction::Sent, 700));
        let candidate = || What::Candidate { side: Side::Remote, candidate: String::new(), mid: None };
        told(&mut story, 1_050.0, candidate());
        let kind = DescriptionKind::Answer;
        told(&mut story, 1_060.0, What::Description { side: Side::Remote, kind, sdp: String::new() });
        told(&mut story, 1_070.0, candidate());
        told(&mut story, 1_100.0, What::Ice { state: IceState::Connected });
        told(&mut story, 1_200.0, What::Signaling { state: Change::Lost, reason: Some("gone".to_owned()) });
        told(&mut story, 1_300.0, What::Signaling { state: Change::Resumed, reason: None });
        told(&mut story, 1_400.0, What::Ice { state: IceState::Connected });
        let mut report = Report::new(2_000.0);
        assert_eq!(story.fill(&mut report), None, "nothing is known of the network");
        let signaling = report.signaling().next().expect("it was filled in");
        assert_eq!((signaling.state, signaling.reconnects), (SignalingState::Open, 1));
        assert_eq!((signaling.messages_sent, signaling.bytes_sent), (1, 700));
        assert_eq!((signaling.late_candidates, signaling.last_lost_timestamp), (1, Some(1_200.0)));
        let marks = &report.timelines().next().expect("it was filled in").marks;
        let nominated = marks.iter().find(|mark| mark.step == Step::Nominated).expect("it is a step");
        assert_eq!((nominated.at, nominated.since_call), (1_100.0, Some(0.1)));
    }

    #[test]
    fn the_verdict_on_the_network_is_told_when_it_changes() {
        let mut story = Story::default();
        let answer = |server: &str, mapped: &str| Mapped {
            local: "192.168.1.5:5000".parse().unwrap(),
            server: server.parse().unwrap(),
            mapped: mapped.parse().unwrap(),
        };
        let mut report = Report::new(1.0);
        let mappings = vec![
            answer("198.51.100.1:3478", "203.0.113.9:40000"),
            answer("198.51.100.1:3479", "203.0.113.9:40007"),
        ];
        report.entries.push(Entry::IceServer(IceServer { mappings, ..Default::default() }));
        let Some(What::Nat { verdict, more }) = story.fill(&mut report) else { panic!("no verdict") };
        assert_eq!(verdict, "endpoint-dependent");
        let again: Verdict = serde_json::from_value(Value::Object(more)).unwrap();
        assert_eq!((again.mapping, again.answers.len()), (Mapping::EndpointDependent, 2));
        assert_eq!(story.fill(&mut report), None);
    }
}
