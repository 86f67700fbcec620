//! One thing that happened, and its JSON line.

mod configuration;
mod device;
mod diagnosis;
mod session;
mod what;
mod words;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use signaling_protocol::PeerId;

use crate::rtc::ConnectionNumber;
use crate::rtc::stats::Report;

pub use configuration::{Configuration, ServerUrls};
pub use device::{Device, DeviceKind, DeviceWord};
pub use diagnosis::Diagnosis;
pub use session::Session;
pub use what::What;
pub use words::{Direction, Phase, ShareWord, Side, SignalingState};

/// Something happened, at a time.
///
/// As JSON: `{"t": …, "ev": name, …}`, and `{"t": …, "stats": […]}` for statistics.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Milliseconds since the Unix epoch, in whole microseconds.
    pub t: f64,
    /// Whose it is.
    pub of: Of,
    /// What.
    pub what: What,
}

/// To whom and to which connection an entry belongs, where that makes sense: members `peer` and
/// `connection` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Of {
    /// The participant's id at the signaling server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// The number of the connection with them (docs/protocol.md); left out for the first one.
    #[serde(skip_serializing_if = "ConnectionNumber::is_first")]
    pub connection: ConnectionNumber,
}

impl Of {
    /// The first connection with a participant.
    pub fn peer(peer: &PeerId) -> Self {
        Self { peer: Some(peer.to_string()), connection: ConnectionNumber::FIRST }
    }

    /// Takes its members out of a line's; what is no id and no number stays there.
    fn take(members: &mut Map<String, Value>) -> Self {
        let peer = members.get("peer").and_then(Value::as_str).map(str::to_owned);
        let connection =
            members.get("connection").and_then(|value| ConnectionNumber::deserialize(value).ok());
        if peer.is_some() {
            members.remove("peer");
        }
        if connection.is_some() {
            members.remove("connection");
        }
        Self { peer, connection: connection.unwrap_or_default() }
    }
}

impl Entry {
    /// `what` at `unix_ms` milliseconds since the Unix epoch.
    pub fn new(unix_ms: f64, what: What) -> Self {
        Self { t: (unix_ms * 1e3).round() / 1e3, of: Of::default(), what }
    }

    /// The same of a participant and a connection.
    pub fn of(self, of: Of) -> Self {
        Self { of, ..self }
    }

    /// Statistics, at their own moment.
    pub fn stats(report: Report) -> Self {
        let mut entry = Self::new(report.timestamp, What::Stats(report));
        if let What::Stats(report) = &mut entry.what {
            report.timestamp = entry.t;
        }
        entry
    }

    /// The JSON line, without its end.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The same without what people write to each other and how they call their files.
    pub fn without_words(mut self) -> Self {
        match &mut self.what {
            What::Chat { text, .. } => *text = None,
            What::File { name, path, reason, .. } => (*name, *path, *reason) = (None, None, None),
            _ => {}
        }
        self
    }

    /// Reads a JSON line.
    pub fn parse(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// About how many bytes it takes in memory, long texts counted exactly.
    pub fn weight(&self) -> usize {
        /// Of an entry without long texts.
        const PLAIN: usize = 256;
        PLAIN
            + match &self.what {
                What::SignalingMessage { text, .. } => text.len(),
                What::Description { sdp, .. } => sdp.len(),
                What::Error { text } | What::Notice { text, .. } => text.len(),
                What::IceServers { servers: values } | What::Pairs { pairs: values } => 512 * values.len(),
                What::Diagnosis(diagnosis) => diagnosis.evidence.iter().map(|line| 24 + line.len()).sum(),
                What::Facts { .. } | What::Other(_) | What::NetworkChange { .. } | What::Nat { .. } => {
                    self.to_line().len()
                }
                What::Session(_)
                | What::Ready
                | What::WsOpen
                | What::Call
                | What::OfferSent { .. }
                | What::Configuration(_)
                | What::Ice { .. }
                | What::Dtls { .. }
                | What::Connection { .. }
                | What::SelectedPair(_)
                | What::FirstFrame
                | What::FirstAudio
                | What::IceRestart
                | What::Signaling { .. }
                | What::Candidate { .. }
                | What::EndOfCandidates { .. }
                | What::Media { .. }
                | What::Share { .. }
                | What::Pointer { .. }
                | What::Phase { .. }
                | What::ServerClock { .. }
                | What::Device(_)
                | What::Visitor { .. }
                | What::Chat { .. }
                | What::File { .. }
                | What::Ended(_)
                | What::Lost { .. }
                | What::Bye
                | What::Stats(_) => 0,
            }
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            t: f64,
            #[serde(flatten)]
            of: &'a Of,
            #[serde(flatten)]
            what: &'a T,
        }
        #[derive(Serialize)]
        struct StatsLine<'a> {
            t: f64,
            #[serde(flatten)]
            of: &'a Of,
            stats: &'a Report,
        }
        let Self { t, of, what } = self;
        let t = *t;
        match what {
            What::Stats(stats) => StatsLine { t, of, stats }.serialize(serializer),
            What::Other(what) => Line { t, of, what }.serialize(serializer),
            what => Line { t, of, what }.serialize(serializer),
        }
    }
}

impl<'a> Deserialize<'a> for Entry {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Map::<String, Value>::deserialize(deserializer)?;
        let t = members.remove("t").and_then(|t| t.as_f64());
        let t = t.ok_or_else(|| D::Error::custom("the line has no time `t`"))?;
        let of = Of::take(&mut members);
        if members.contains_key("ev") {
            let known = What::deserialize(&Value::Object(members.clone()));
            return Ok(Self { t, of, what: known.unwrap_or(What::Other(members)) });
        }
        let stats = members.remove("stats");
        let stats = stats.ok_or_else(|| D::Error::custom("the line has neither `ev` nor `stats`"))?;
        let mut report = Report::deserialize(stats).map_err(D::Error::custom)?;
        report.timestamp = t;
        Ok(Self { t, of, what: What::Stats(report) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::view::EndReason;
    use crate::rtc::IceState;

    /// A line is read, and written again as it was.
    #[track_caller]
    fn check(line: &str) -> What {
        let entry = Entry::parse(line).unwrap();
        let again: Value = serde_json::from_str(&entry.to_line()).unwrap();
        assert_eq!(again, serde_json::from_str::<Value>(line).unwrap());
        entry.what
    }

    #[test]
    fn lines_of_the_probe_are_read_and_written() {
        assert_eq!(check(r#"{"t":1.5,"ev":"ready"}"#), What::Ready);
        assert_eq!(check(r#"{"t":1.5,"ev":"offer_sent","bytes":12}"#), What::OfferSent { bytes: 12 });
        assert_eq!(
            check(r#"{"t":2.0,"ev":"ice","state":"checking"}"#),
            What::Ice { state: IceState::Checking }
        );
        let pair = r#"{"t":3.0,"ev":"selected_pair","local":{"type":"relay","protocol":"udp","relayProtocol":"tls",
            "address":"192.0.2.1","port":5000},"remote":{"type":"host","protocol":"udp","address":"10.0.0.1","port":1}}"#;
        assert!(matches!(check(pair), What::SelectedPair(pair) if pair.local.port == 5_000));
        let lost = What::Signaling { state: SignalingState::Lost, reason: Some("gone".into()) };
        assert_eq!(check(r#"{"t":4.0,"ev":"signaling","state":"lost","reason":"gone"}"#), lost);
        let left = What::Ended(EndReason::PeerLeft { name: "Ada".into() });
        assert_eq!(check(r#"{"t":5.0,"ev":"ended","reason":"peer_left","more":{"name":"Ada"}}"#), left);
        assert_eq!(check(r#"{"t":5.0,"ev":"ended","reason":"no_path"}"#), What::Ended(EndReason::NoPath));
        let nat = check(r#"{"t":5.0,"ev":"nat","verdict":"symmetric","mapped":["192.0.2.1:9"]}"#);
        assert!(
            matches!(nat, What::Nat { verdict, more } if verdict == "symmetric" && more.contains_key("mapped"))
        );
    }

    #[test]
    fn statistics_are_a_line_without_a_name() {
        let line = r#"{"t":7.25,"stats":[{"type":"codec","id":"C","timestamp":7.25,"payloadType":96,"transportId":"T",
            "mimeType":"video/VP8","clockRate":90000},{"type":"later","x":[1]}]}"#;
        let What::Stats(report) = check(line) else { panic!("no statistics") };
        assert_eq!((report.timestamp, report.entries.len()), (7.25, 2));
    }

    #[test]
    fn a_line_tells_whose_it_is_and_of_which_connection() {
        let line = r#"{"t":1.0,"peer":"Gr4ce","connection":1,"ev":"end_of_candidates","side":"local"}"#;
        check(line);
        let of = Entry::parse(line).unwrap().of;
        assert_eq!((of.peer.as_deref(), of.connection.is_first()), (Some("Gr4ce"), false));
        check(r#"{"t":1.0,"peer":"Gr4ce","stats":[]}"#);
        let strange = Entry::parse(r#"{"t":1.0,"peer":7,"connection":-1,"ev":"ready"}"#).unwrap();
        assert_eq!((strange.of, strange.what), (Of::default(), What::Ready));
    }

    #[test]
    fn what_is_unknown_is_kept_and_what_is_no_entry_is_told() {
        assert_eq!(check(r#"{"t":1.0,"ev":"teleport","to":"Mars"}"#).name(), "teleport");
        assert_eq!(check(r#"{"t":1.0,"ev":"ice","state":"frozen solid"}"#).name(), "ice");
        for (line, why) in [
            (r#"{"ev":"ready"}"#, "no time"),
            (r#"{"t":"now","ev":"ready"}"#, "no time"),
            (r#"{"t":1.0}"#, "neither"),
            (r#"{"t":1.0,"stats":7}"#, "invalid type"),
            ("7", "invalid type"),
            (r#"{"t":1.0,"ev":"#, "EOF"),
        ] {
            let error = Entry::parse(line).unwrap_err().to_string();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[test]
    fn every_name_in_json_is_what_the_variant_says() {
        let whats = [What::WsOpen, What::FirstFrame, What::IceRestart, What::Bye, What::Lost { lines: 1 }];
        for what in whats {
            let line: Value = serde_json::from_str(&Entry::new(0.0, what.clone()).to_line()).unwrap();
            assert_eq!(line["ev"], what.name());
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_strange(line in "\\{\"t\":[0-9e.-]{1,8},\"(ev|stats)\":(\"[a-z_]{1,18}\"|\\[[a-z0-9\":{},]{0,40}\\]),?(\"[a-z]{1,9}\":(\"[ -~]{0,9}\"|null|7|\\{\\}))?\\}") {
            if let Ok(entry) = Entry::parse(&line) {
                prop_assert_eq!(Entry::parse(&entry.to_line()).unwrap(), entry);
            }
        }

        #[test]
        fn no_text_is_too_strange(line in "\\PC{0,60}") {
            let _ = Entry::parse(&line);
        }
    }
}
