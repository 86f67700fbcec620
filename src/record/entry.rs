//! One thing that happened, and its JSON line.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use signaling_protocol::{IceServer, PeerId};

use crate::engine::view::{EndReason, Severity};
use crate::media::encoded::VideoCodec;
use crate::rtc::stats::Report;
use crate::rtc::{
    ConnectionNumber, DescriptionKind, DtlsState, IcePolicy, IceState, PeerPhase, SelectedPair,
};

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

/// What happened; the name in JSON is that of the variant in snake case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "snake_case")]
pub enum What {
    /// First line of a session file.
    Session(Session),
    /// Our sources run, the room is open (callee) or the offer is ready (caller).
    Ready,
    /// The signaling server said welcome.
    WsOpen,
    /// The caller was told to call.
    Call,
    /// Our offer left.
    OfferSent {
        /// Length of the SDP.
        bytes: usize,
    },
    /// Which servers and candidates the next connection may use.
    Configuration(Configuration),
    /// W3C `iceConnectionState` changed.
    Ice {
        /// The new state.
        state: IceState,
    },
    /// W3C `RTCDtlsTransportState` changed.
    Dtls {
        /// The new state.
        state: DtlsState,
    },
    /// The summary of a participant's connection changed.
    Connection {
        /// The new phase.
        state: PeerPhase,
    },
    /// Media takes another path.
    SelectedPair(SelectedPair),
    /// The first picture of a participant is in its slot.
    FirstFrame,
    /// The first sound of a participant goes to the speaker.
    FirstAudio,
    /// A new path is looked for.
    IceRestart,
    /// The signaling server went away or came back.
    Signaling {
        /// Which of both.
        state: SignalingState,
        /// Why, when it went away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A message to or from the signaling server.
    SignalingMessage {
        /// Which way.
        direction: Direction,
        /// Its type in the protocol.
        kind: String,
        /// Its length on the wire, without the envelope's numbers.
        bytes: usize,
        /// Its JSON; secrets are masked.
        text: String,
    },
    /// A session description was made or came.
    Description {
        /// Whose.
        side: Side,
        /// Offer or answer.
        kind: DescriptionKind,
        /// SDP (RFC 8866); the ICE password is masked.
        sdp: String,
    },
    /// A candidate was gathered or came, outside a description.
    Candidate {
        /// Whose.
        side: Side,
        /// The `candidate:` attribute.
        candidate: String,
        /// The media identification it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mid: Option<String>,
    },
    /// A side has no more candidates.
    EndOfCandidates {
        /// Whose.
        side: Side,
    },
    /// What somebody sends, and whether it is switched on.
    Media {
        /// Who.
        side: Side,
        /// A microphone is there and not muted.
        microphone: bool,
        /// A camera is there and on.
        camera: bool,
        /// A screen is shared.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        screen: bool,
    },
    /// What somebody else points at now; told by a probe only.
    Pointer {
        /// Who.
        name: String,
        /// On our screen; otherwise on another one that we see.
        ours: bool,
        /// Where, as shares of width and height; none: beside it.
        at: Option<[f64; 2]>,
        /// Strokes that are seen.
        strokes: usize,
        /// All of their points.
        points: usize,
    },
    /// How it stands with a shared screen.
    Share {
        /// Whose.
        side: Side,
        /// In a word.
        state: ShareWord,
        /// What it is encoded with, once that is settled.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        codec: Option<VideoCodec>,
    },
    /// This computer's network changed.
    NetworkChange {
        /// What changed, in words.
        text: String,
        /// The network as it is now.
        #[serde(flatten)]
        more: Map<String, Value>,
    },
    /// What the addresses seen by servers say about the router.
    Nat {
        /// In a word.
        verdict: String,
        /// What it is made of.
        #[serde(flatten)]
        more: Map<String, Value>,
    },
    /// How each STUN and TURN server answers; when it changes.
    IceServers {
        /// Per server and transport.
        servers: Vec<Value>,
    },
    /// How the candidate pairs stand; when it changes.
    Pairs {
        /// Per pair.
        pairs: Vec<Value>,
    },
    /// How far the call is.
    Phase {
        /// The new phase.
        phase: Phase,
        /// `HOST[:PORT]` of the signaling server, when a session with one begins.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<String>,
    },
    /// The signaling server told its time.
    ServerClock {
        /// By how many seconds it is ahead of ours.
        ahead: f64,
    },
    /// A device of ours began, ended, or cannot be used.
    Device(Device),
    /// What a side tells about its own network.
    Facts {
        /// Who.
        side: Side,
        /// Facts of the diagnosis.
        facts: Value,
    },
    /// The first sentence of the diagnosis changed.
    Diagnosis(Diagnosis),
    /// Somebody knocks.
    Visitor {
        /// As shown.
        name: String,
    },
    /// A person was told something.
    Notice {
        /// How serious.
        severity: Severity,
        /// One sentence.
        text: String,
    },
    /// Something does not work; the call may go on.
    Error {
        /// One sentence.
        text: String,
    },
    /// Somebody wrote something.
    Chat {
        /// Who.
        side: Side,
        /// Its length in bytes of UTF-8.
        bytes: usize,
        /// What; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// A file is further, or over.
    File {
        /// Whose.
        side: Side,
        /// Tells files of one run apart.
        id: u64,
        /// How far: `preparing`, `offered`, `asking`, `moving`, `checking`, `done`, `declined`, `ended`.
        state: String,
        /// Its size in bytes.
        size: u64,
        /// Bytes that are with the receiver.
        moved: u64,
        /// Its name; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// Where it is, once it came to us; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        /// Why it ended, in one sentence; a script is told, records are not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// The call is over.
    Ended(EndReason),
    /// Lines are missing here, because the disk was too slow.
    Lost {
        /// How many.
        lines: u64,
    },
    /// The engine ends.
    Bye,
    /// Once a second: all statistics. Has no name in JSON, but a member `stats`.
    #[serde(skip)]
    Stats(Report),
    /// Read from a file, of a name or with a content that this version does not know.
    #[serde(skip)]
    Other(Map<String, Value>),
}

/// What a session file begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// [`Session::FORMAT`].
    pub format: String,
    /// [`Session::VERSION`] of the program that wrote it.
    pub version: u32,
    /// Program and version.
    pub application: String,
}

impl Session {
    /// What a session file calls itself.
    pub const FORMAT: &str = "sightline-session";

    /// The version of the format that is written here. New names and members leave it as it is;
    /// another meaning of an old one raises it.
    pub const VERSION: u32 = 1;
}

impl Default for Session {
    fn default() -> Self {
        Self {
            format: Self::FORMAT.into(),
            version: Self::VERSION,
            application: concat!("sightline ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// W3C `RTCConfiguration`, without the passwords.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Configuration {
    /// STUN and TURN servers.
    pub ice_servers: Vec<ServerUrls>,
    /// Which candidates may be used.
    pub ice_transport_policy: IcePolicy,
}

/// W3C `RTCIceServer`, without the password.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerUrls {
    /// `stun:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// The user name, which may say when it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl Configuration {
    /// What a connection is told, except the passwords.
    pub fn new(ice_servers: &[IceServer], ice_transport_policy: IcePolicy) -> Self {
        let public =
            |server: &IceServer| ServerUrls { urls: server.urls.clone(), username: server.username.clone() };
        Self { ice_servers: ice_servers.iter().map(public).collect(), ice_transport_policy }
    }
}

/// Whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Ours.
    Local,
    /// The other participant's.
    Remote,
}

/// How it stands with a shared screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareWord {
    /// It is being opened, and offered to the other side.
    Begun,
    /// The other side takes it.
    Sent,
    /// Its first picture is in its slot.
    Shown,
    /// It is not shared any more.
    Ended,
    /// The other side cannot show it.
    Unable,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From us.
    Sent,
    /// To us.
    Received,
}

/// How it stands with the signaling server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalingState {
    /// The server is out of reach; the call goes on.
    Lost,
    /// The session goes on.
    Resumed,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No call.
    Idle,
    /// Making the room.
    Opening,
    /// Alone in the room.
    Waiting,
    /// Reaching the server of a link.
    Joining,
    /// Somebody inside is asked.
    Knocking,
    /// Somebody else is in the room.
    InCall,
    /// Over.
    Ended,
}

/// What a device of ours does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which.
    pub device: DeviceKind,
    /// What it does.
    pub state: DeviceWord,
    /// Its name, or why it cannot be used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The system's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Somebody talks while it is muted (the microphone only).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted_but_speaking: bool,
}

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum DeviceKind {
    Microphone,
    Camera,
    Speaker,
}

/// What a device does, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceWord {
    /// Not opened.
    Closed,
    /// Being opened.
    Opening,
    /// Running.
    On,
    /// Switched off by the person.
    Off,
    /// There is none.
    Absent,
    /// The system does not let us use it.
    Denied,
    /// It cannot be used for another reason.
    Failed,
}

/// A sentence that says how it goes, and why we think so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Name of the rule.
    pub rule: String,
    /// How serious.
    pub severity: Severity,
    /// One sentence for a person.
    pub text: String,
    /// The numbers behind it.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
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

impl What {
    /// The name in JSON.
    pub fn name(&self) -> &str {
        match self {
            What::Session(_) => "session",
            What::Ready => "ready",
            What::WsOpen => "ws_open",
            What::Call => "call",
            What::OfferSent { .. } => "offer_sent",
            What::Configuration(_) => "configuration",
            What::Ice { .. } => "ice",
            What::Dtls { .. } => "dtls",
            What::Connection { .. } => "connection",
            What::SelectedPair(_) => "selected_pair",
            What::FirstFrame => "first_frame",
            What::FirstAudio => "first_audio",
            What::IceRestart => "ice_restart",
            What::Signaling { .. } => "signaling",
            What::SignalingMessage { .. } => "signaling_message",
            What::Description { .. } => "description",
            What::Candidate { .. } => "candidate",
            What::EndOfCandidates { .. } => "end_of_candidates",
            What::Media { .. } => "media",
            What::Share { .. } => "share",
            What::Pointer { .. } => "pointer",
            What::NetworkChange { .. } => "network_change",
            What::Nat { .. } => "nat",
            What::IceServers { .. } => "ice_servers",
            What::Pairs { .. } => "pairs",
            What::Phase { .. } => "phase",
            What::ServerClock { .. } => "server_clock",
            What::Device(_) => "device",
            What::Facts { .. } => "facts",
            What::Diagnosis(_) => "diagnosis",
            What::Visitor { .. } => "visitor",
            What::Notice { .. } => "notice",
            What::Error { .. } => "error",
            What::Chat { .. } => "chat",
            What::File { .. } => "file",
            What::Ended(_) => "ended",
            What::Lost { .. } => "lost",
            What::Bye => "bye",
            What::Stats(_) => "stats",
            What::Other(members) => members.get("ev").and_then(Value::as_str).unwrap_or("other"),
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
