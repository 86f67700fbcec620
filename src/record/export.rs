//! A record in the form of a `chrome://webrtc-internals` dump, for the tools that read those.
//!
//! Compared with a dump of Chromium 156: a `PeerConnections` entry for each connection with `pid`, `url`,
//! `rtcConfiguration` (JSON as text), `stats` and `updateLog`. `stats` has a member `ID-member` for
//! each member of each object, with the values as a JSON array in a text, and `ID-timestamp` beside
//! them, without which importers read nothing. Log entries have a `timestamp` as there, and a `time`
//! for older importers. Other than there, all arrays of an object have the same length (null where
//! a member was missing) and there is no limit of 1000 samples.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::calendar::iso;
use super::entry::{Configuration, Entry, Side, What};
use super::history::{Gathering, Negotiation};
use crate::rtc::stats::Report;
use crate::rtc::{ConnectionNumber, DescriptionKind, PeerPhase};

/// What connections are numbered within.
const PROCESS: u32 = 1;

/// Collects entries for a dump.
#[derive(Debug, Default)]
pub struct Export {
    application: String,
    configuration: Configuration,
    /// There is more than one when media moved to another path.
    connections: BTreeMap<ConnectionNumber, Connection>,
    last: f64,
}

/// One connection with all that happened on it; what belongs to none stands in the first one.
#[derive(Debug, Default)]
struct Connection {
    objects: BTreeMap<String, Object>,
    log: Vec<Value>,
    negotiation: Negotiation,
    gathering: Gathering,
}

/// One object of the statistics over time.
#[derive(Debug, Default)]
struct Object {
    kind: String,
    times: Vec<Value>,
    members: BTreeMap<String, Vec<Value>>,
}

impl Object {
    fn push(&mut self, t: f64, members: Map<String, Value>) {
        let known = self.times.len();
        let timestamp = members.get("timestamp").filter(|t| t.as_f64().is_some_and(|t| t > 0.0));
        self.times.push(timestamp.cloned().unwrap_or_else(|| json!(t)));
        for (name, value) in members {
            if name == "type" && self.kind.is_empty() {
                self.kind = value.as_str().unwrap_or_default().to_owned();
            }
            if name != "id" && name != "timestamp" {
                let values = self.members.entry(name).or_default();
                values.resize(known, Value::Null);
                values.push(value);
            }
        }
    }

    fn write(self, id: &str, into: &mut Map<String, Value>) {
        let Self { kind, times, members } = self;
        let moment = |t: Option<&Value>| iso(t.and_then(Value::as_f64).unwrap_or_default());
        let (start, end, count) = (moment(times.first()), moment(times.last()), times.len());
        let times = ("timestamp".to_owned(), times);
        for (name, mut values) in members.into_iter().chain([times]) {
            values.resize(count, Value::Null);
            let values = Value::Array(values).to_string();
            let series = json!({ "startTime": start, "endTime": end, "statsType": kind, "values": values });
            into.insert(format!("{id}-{name}"), series);
        }
    }
}

impl Export {
    /// One more entry.
    pub fn push(&mut self, entry: Entry) {
        self.last = entry.t;
        match entry.what {
            What::Session(session) => self.application = session.application,
            What::Configuration(configuration) => self.configuration = configuration,
            what => self.connections.entry(entry.of.connection).or_default().push(entry.t, what),
        }
    }

    /// The dump as JSON text.
    pub fn finish(self) -> String {
        let configuration = serde_json::to_string(&self.configuration).unwrap_or_default();
        let written = self
            .connections
            .into_iter()
            .map(|(number, connection)| (format!("{PROCESS}-{number}"), connection.write(&configuration)));
        let dump = json!({
            "timestamp": self.last,
            "getUserMedia": [],
            "PeerConnections": written.collect::<Map<String, Value>>(),
            "UserAgent": self.application,
        });
        format!("{dump:#}")
    }
}

impl Connection {
    fn push(&mut self, t: f64, what: What) {
        match what {
            What::Stats(report) => self.on_report(t, &report),
            What::Description { side, kind, sdp } => self.on_description(t, side, kind, sdp),
            What::Candidate { side, candidate, mid } => {
                let name = match side {
                    Side::Local => "onicecandidate",
                    Side::Remote => "addIceCandidate",
                };
                let index = mid.as_ref().and_then(|mid| mid.parse::<u32>().ok());
                self.log(t, name, &json!({ "sdpMid": mid, "sdpMLineIndex": index, "candidate": candidate }));
            }
            What::EndOfCandidates { side: Side::Local } => self.gather(t, Gathering::Complete),
            What::EndOfCandidates { side: Side::Remote } => {}
            What::Ice { state } => self.log(t, "oniceconnectionstatechange", &json!(state)),
            What::Connection { state } => {
                let state = match state {
                    PeerPhase::Connecting => "connecting",
                    PeerPhase::Connected => "connected",
                    PeerPhase::Reconnecting => "disconnected",
                    PeerPhase::Failed => "failed",
                };
                self.log(t, "onconnectionstatechange", &json!(state));
            }
            What::IceRestart => self.log(t, "restartIce", &Value::Null),
            // Their content is in other entries already.
            What::SignalingMessage { .. } => {}
            what => {
                let name = format!("sightline.{}", what.name());
                let value = serde_json::to_value(Entry::new(t, what)).unwrap_or_default();
                self.log(t, &name, &value);
            }
        }
    }

    fn write(self, configuration: &str) -> Value {
        let mut stats = Map::new();
        for (id, object) in self.objects {
            object.write(&id, &mut stats);
        }
        json!({
            "pid": PROCESS,
            "url": "sightline://call",
            "rtcConfiguration": configuration,
            "constraints": "",
            "stats": stats,
            "updateLog": self.log,
        })
    }

    fn log(&mut self, t: f64, kind: &str, value: &Value) {
        let value = if value.is_null() { String::new() } else { value.to_string() };
        self.log.push(json!({ "time": iso(t), "timestamp": t, "type": kind, "value": value }));
    }

    fn on_report(&mut self, t: f64, report: &Report) {
        for entry in &report.entries {
            let Ok(Value::Object(members)) = serde_json::to_value(entry) else { continue };
            let Some(id) = members.get("id").and_then(Value::as_str) else { continue };
            // Importers take a bracket for the beginning of a computed member.
            let id = id.replace('[', "(");
            self.objects.entry(id).or_default().push(t, members);
        }
    }

    fn on_description(&mut self, t: f64, side: Side, kind: DescriptionKind, sdp: String) {
        let name = match side {
            Side::Local => "setLocalDescription",
            Side::Remote => "setRemoteDescription",
        };
        self.log(t, name, &json!({ "type": kind, "sdp": sdp }));
        let negotiation = Negotiation::after(kind, side);
        if negotiation != self.negotiation {
            self.negotiation = negotiation;
            self.log(t, "onsignalingstatechange", &json!(negotiation));
        }
        self.log(t, &format!("{name}OnSuccess"), &Value::Null);
        if side == Side::Local {
            self.gather(t, Gathering::Gathering);
        }
    }

    fn gather(&mut self, t: f64, gathering: Gathering) {
        if gathering != self.gathering {
            self.gathering = gathering;
            self.log(t, "onicegatheringstatechange", &json!(gathering));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Of, Session};
    use super::super::read::tests::call;
    use super::*;
    use crate::rtc::IceState;

    fn export(entries: impl IntoIterator<Item = Entry>) -> Value {
        let mut export = Export::default();
        entries.into_iter().for_each(|entry| export.push(entry));
        serde_json::from_str(&export.finish()).unwrap()
    }

    fn values(stats: &Value, name: &str) -> Vec<Value> {
        serde_json::from_str(stats[name]["values"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn members_over_time_stand_beside_their_times() {
        let dump = export(call(1_500));
        assert_eq!(dump["UserAgent"], Session::default().application);
        assert!(dump["getUserMedia"].is_array());
        let connection = &dump["PeerConnections"]["1-0"];
        let stats = &connection["stats"];
        let series = &stats["IT8-bytesReceived"];
        assert_eq!(series["statsType"], "inbound-rtp");
        assert_eq!(series["startTime"], "2026-11-23T03:00:00.000Z");
        assert_eq!(series["endTime"], "2026-11-23T03:24:59.000Z");
        let bytes = values(stats, "IT8-bytesReceived");
        assert_eq!((bytes.len(), &bytes[2]), (1_500, &json!(250_000)), "no cap on samples");
        assert_eq!(values(stats, "IT8-timestamp").len(), 1_500);
        let configuration = connection["rtcConfiguration"].as_str().unwrap();
        assert!(serde_json::from_str::<Value>(configuration).unwrap()["iceServers"].is_array());
    }

    #[test]
    fn a_member_that_comes_late_or_goes_keeps_its_place() {
        let report = |t: f64, text: &str| {
            let entries = vec![serde_json::from_str(text).unwrap()];
            Entry::stats(Report { entries, timestamp: t })
        };
        let dump = export([
            report(1e3, r#"{"type":"later","id":"X","a":1}"#),
            report(2e3, r#"{"type":"later","id":"X","a":2,"b":"x"}"#),
            report(3e3, r#"{"type":"later","id":"X","b":"y"}"#),
        ]);
        let stats = &dump["PeerConnections"]["1-0"]["stats"];
        assert_eq!(values(stats, "X-a"), [json!(1), json!(2), Value::Null]);
        assert_eq!(values(stats, "X-b"), [Value::Null, json!("x"), json!("y")]);
        assert_eq!(values(stats, "X-timestamp"), [json!(1e3), json!(2e3), json!(3e3)]);
    }

    #[test]
    fn a_second_connection_has_an_entry_of_its_own() {
        let second: Of = Of { peer: None, connection: ConnectionNumber::FIRST.next().unwrap() };
        let report = |t| {
            let entries = vec![serde_json::from_str(r#"{"type":"later","id":"X","a":1}"#).unwrap()];
            Entry::stats(Report { entries, timestamp: t })
        };
        let dump = export([
            report(1e3),
            Entry::new(2e3, What::IceRestart),
            Entry::new(2e3, What::Ice { state: IceState::Checking }).of(second.clone()),
            report(3e3).of(second),
        ]);
        let of = |name: &str| &dump["PeerConnections"][name];
        assert_eq!(values(&of("1-0")["stats"], "X-timestamp"), [json!(1e3)]);
        assert_eq!(values(&of("1-1")["stats"], "X-timestamp"), [json!(3e3)]);
        assert_eq!(of("1-0")["updateLog"][0]["type"], "restartIce");
        assert_eq!(of("1-1")["updateLog"][0]["type"], "oniceconnectionstatechange");
    }

    #[test]
    fn the_log_has_the_names_that_importers_know() {
        let description = |side, kind| What::Description { side, kind, sdp: "v=0\r\n".into() };
        let whats = [
            description(Side::Local, DescriptionKind::Offer),
            What::Candidate {
                side: Side::Local,
                candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".into(),
                mid: Some("0".into()),
            },
            description(Side::Remote, DescriptionKind::Answer),
            What::Ice { state: IceState::Checking },
            What::EndOfCandidates { side: Side::Local },
            What::Connection { state: PeerPhase::Connected },
            What::FirstFrame,
        ];
        let dump = export(whats.map(|what| Entry::new(5e3, what)));
        let log = dump["PeerConnections"]["1-0"]["updateLog"].as_array().unwrap();
        let names: Vec<_> = log.iter().map(|line| line["type"].as_str().unwrap()).collect();
        let expected = [
            "setLocalDescription",
            "onsignalingstatechange",
            "setLocalDescriptionOnSuccess",
            "onicegatheringstatechange",
            "onicecandidate",
            "setRemoteDescription",
            "onsignalingstatechange",
            "setRemoteDescriptionOnSuccess",
            "oniceconnectionstatechange",
            "onicegatheringstatechange",
            "onconnectionstatechange",
            "sightline.first_frame",
        ];
        assert_eq!(names, expected);
        assert_eq!(log[1]["value"], "\"have-local-offer\"");
        assert_eq!(log[0]["value"], r#"{"sdp":"v=0\r\n","type":"offer"}"#);
        assert_eq!(
            (&log[0]["timestamp"], &log[0]["time"]),
            (&json!(5e3), &json!("1970-01-01T00:00:05.000Z"))
        );
    }
}
