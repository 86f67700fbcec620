//! Statistics of one connection as W3C webrtc-stats dictionaries.
//!
//! ```text
//!  engine (candidates, pairs, transport, codecs) ─┐
//!  accounting (RTP and RTCP of both directions) ──┼─▶ Report ─▶ stats.jsonl, diagnosis
//!  media (encoders, decoders, devices) ───────────┘      └────▶ quality ─▶ view
//! ```
//!
//! The engine's numbers about RTP are replaced by ours: those that it derives from RTCP are zero,
//! and its jitter is not in seconds.

pub mod dictionaries;
mod media;
pub mod own;
mod path;
pub mod quality;
pub mod timeline;

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use dictionaries::{
    Candidate, CandidatePair, Certificate, Codec, DataChannel, InboundRtp, Kind, MediaPlayout, MediaSource,
    OutboundRtp, PairState, PeerConnection, RemoteInboundRtp, RemoteOutboundRtp, Transport,
};
pub use media::{Pictures, Sounds};
pub use own::{
    FailedStep, IceServer, InterfaceKind, Mark, NetworkInterface, ServerFailure, ServerTransport, Signaling,
    SignalingState, Step, StunErrors, Timeline,
};

use super::accounting::{Accounts, Received, Sent};
use crate::media::encoded::TrackKind;
use crate::units::Bitrate;

/// Seconds from the NTP epoch (1900) to the Unix epoch (RFC 5905 figure 4).
const NTP_EPOCH: Duration = Duration::from_secs(2_208_988_800);

/// One dictionary, with its W3C `type` or ours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the W3C names")]
#[allow(clippy::large_enum_variant, reason = "there are a few dozen, once a second")]
pub enum Entry {
    PeerConnection(PeerConnection),
    Transport(Transport),
    LocalCandidate(Candidate),
    RemoteCandidate(Candidate),
    CandidatePair(CandidatePair),
    Certificate(Certificate),
    Codec(Codec),
    InboundRtp(InboundRtp),
    OutboundRtp(OutboundRtp),
    RemoteInboundRtp(RemoteInboundRtp),
    RemoteOutboundRtp(RemoteOutboundRtp),
    MediaSource(MediaSource),
    MediaPlayout(MediaPlayout),
    DataChannel(DataChannel),
    IceServer(IceServer),
    Signaling(Signaling),
    NetworkInterface(NetworkInterface),
    Timeline(Timeline),
    /// Read from a file, of a type or with a content that this version does not know; kept as it is.
    #[serde(untagged)]
    Other(serde_json::Map<String, Value>),
}

/// All dictionaries of one moment; a JSON array.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Report {
    /// The objects.
    pub entries: Vec<Entry>,
    /// The moment, in milliseconds since the Unix epoch; not part of the array.
    #[serde(skip)]
    pub timestamp: f64,
}

/// The members that all dictionaries have.
macro_rules! common {
    ($($variant:ident)*) => {
        impl Entry {
            /// W3C `id`.
            pub fn id(&self) -> &str {
                match self {
                    Entry::Other(raw) => raw.get("id").and_then(Value::as_str).unwrap_or_default(),
                    $(Entry::$variant(entry) => &entry.id,)*
                }
            }

            /// W3C `timestamp`.
            pub fn timestamp(&self) -> f64 {
                match self {
                    Entry::Other(raw) => raw.get("timestamp").and_then(Value::as_f64).unwrap_or_default(),
                    $(Entry::$variant(entry) => entry.timestamp,)*
                }
            }
        }
    };
}

common! {
    PeerConnection Transport LocalCandidate RemoteCandidate CandidatePair Certificate Codec InboundRtp
    OutboundRtp RemoteInboundRtp RemoteOutboundRtp MediaSource MediaPlayout DataChannel IceServer Signaling
    NetworkInterface Timeline
}

/// Ways into a report by type.
macro_rules! find {
    ($($(#[$about:meta])* $one:ident, $mutable:ident, $variant:ident, $type:ty;)*) => {
        $(
            $(#[$about])*
            pub fn $one(&self) -> impl Iterator<Item = &$type> {
                self.entries.iter().filter_map(|entry| match entry {
                    Entry::$variant(entry) => Some(entry),
                    _ => None,
                })
            }

            #[allow(dead_code, reason = "not every type is changed after it was made")]
            fn $mutable(&mut self) -> impl Iterator<Item = &mut $type> {
                self.entries.iter_mut().filter_map(|entry| match entry {
                    Entry::$variant(entry) => Some(entry),
                    _ => None,
                })
            }
        )*
    };
}

impl Report {
    /// Nothing yet, at `timestamp` milliseconds since the Unix epoch.
    pub fn new(timestamp: f64) -> Self {
        Self { entries: Vec::new(), timestamp }
    }

    find! {
        /// The transport; we have one, since everything is bundled.
        transports, transports_mut, Transport, Transport;
        /// Our candidates.
        local_candidates, local_candidates_mut, LocalCandidate, Candidate;
        /// Theirs.
        remote_candidates, remote_candidates_mut, RemoteCandidate, Candidate;
        /// All candidate pairs.
        pairs, pairs_mut, CandidatePair, CandidatePair;
        /// Received streams.
        inbound, inbound_mut, InboundRtp, InboundRtp;
        /// Sent streams.
        outbound, outbound_mut, OutboundRtp, OutboundRtp;
        /// Sent streams as the other side receives them.
        remote_inbound, remote_inbound_mut, RemoteInboundRtp, RemoteInboundRtp;
        /// Received streams as the other side sends them.
        remote_outbound, remote_outbound_mut, RemoteOutboundRtp, RemoteOutboundRtp;
        /// Our microphone and camera.
        media_sources, media_sources_mut, MediaSource, MediaSource;
        /// Our speaker.
        playouts, playouts_mut, MediaPlayout, MediaPlayout;
        /// Codecs of both directions.
        codecs, codecs_mut, Codec, Codec;
        /// Certificates of both sides.
        certificates, certificates_mut, Certificate, Certificate;
        /// Data channels.
        data_channels, data_channels_mut, DataChannel, DataChannel;
        /// STUN and TURN servers, once for each transport.
        ice_servers, ice_servers_mut, IceServer, IceServer;
        /// The session with the signaling server.
        signaling, signaling_mut, Signaling, Signaling;
        /// This computer's interfaces.
        interfaces, interfaces_mut, NetworkInterface, NetworkInterface;
        /// How the connection came up.
        timelines, timelines_mut, Timeline, Timeline;
    }

    /// The pair in use.
    pub fn selected_pair(&self) -> Option<&CandidatePair> {
        let id = self.transports().next()?.selected_candidate_pair_id.as_deref()?;
        self.pairs().find(|pair| pair.id == id)
    }

    /// What the estimate says that the path carries.
    pub fn fill_estimate(&mut self, target: Bitrate) {
        let Some(id) =
            self.transports().next().and_then(|transport| transport.selected_candidate_pair_id.clone())
        else {
            return;
        };
        if let Some(pair) = self.pairs_mut().find(|pair| pair.id == id) {
            pair.available_outgoing_bitrate = Some(target.as_bps() as f64);
        }
    }

    /// How long the packets of our pictures waited for their turn, summed. Sound never waits.
    pub fn fill_send_delay(&mut self, pictures: Duration) {
        for stream in self.outbound_mut() {
            stream.total_packet_send_delay = Some(match stream.kind {
                Kind::Audio => 0.0,
                Kind::Video => pictures.as_secs_f64(),
            });
        }
    }

    /// What passed and what the other side reported, as of `now` (the report's moment).
    pub fn fill_accounts(&mut self, now: Instant, accounts: &Accounts) {
        for (ssrc, sent) in &accounts.sent {
            self.fill_sent(now, *ssrc, sent);
        }
        for (ssrc, received) in &accounts.received {
            self.fill_received(now, *ssrc, received);
        }
    }

    fn fill_sent(&mut self, now: Instant, ssrc: u32, sent: &Sent) {
        let timestamp = self.timestamp;
        if !self.outbound().any(|stream| stream.ssrc == ssrc) {
            let id = format!("OT{ssrc}");
            let stream = OutboundRtp { id, timestamp, ssrc, kind: sent.kind.into(), ..Default::default() };
            self.entries.push(Entry::OutboundRtp(stream));
        }
        let Some(stream) = self.outbound_mut().find(|stream| stream.ssrc == ssrc) else { return };
        stream.content_type = content_type(sent.kind);
        stream.packets_sent = Some(sent.packets);
        stream.bytes_sent = Some(sent.payload_bytes);
        stream.header_bytes_sent = Some(sent.header_bytes);
        stream.retransmitted_packets_sent = Some(sent.retransmitted_packets);
        stream.retransmitted_bytes_sent = Some(sent.retransmitted_bytes);
        stream.nack_count = Some(sent.requests.nack);
        if !sent.kind.is_sound() {
            stream.pli_count = Some(sent.requests.pli);
            stream.fir_count = Some(sent.requests.fir);
        }
        let Some(remote) = sent.remote else { return };
        let id = format!("RI{ssrc}");
        stream.remote_id = Some(id.clone());
        let entry = RemoteInboundRtp {
            id,
            timestamp: timestamp - millis(now.saturating_duration_since(remote.at)),
            ssrc,
            kind: sent.kind.into(),
            local_id: stream.id.clone(),
            transport_id: stream.transport_id.clone(),
            codec_id: stream.codec_id.clone(),
            packets_lost: remote.lost.into(),
            jitter: remote.jitter,
            fraction_lost: remote.fraction_lost,
            round_trip_time: remote.round_trip.map(|time| time.as_secs_f64()),
            total_round_trip_time: remote.total_round_trip.as_secs_f64(),
            round_trip_time_measurements: remote.round_trips,
        };
        self.entries.push(Entry::RemoteInboundRtp(entry));
    }

    fn fill_received(&mut self, now: Instant, ssrc: u32, received: &Received) {
        let timestamp = self.timestamp;
        if !self.inbound().any(|stream| stream.ssrc == ssrc) {
            let id = format!("IT{ssrc}");
            let stream = InboundRtp { id, timestamp, ssrc, kind: received.kind.into(), ..Default::default() };
            self.entries.push(Entry::InboundRtp(stream));
        }
        let Some(stream) = self.inbound_mut().find(|stream| stream.ssrc == ssrc) else { return };
        let reception = &received.reception;
        stream.content_type = content_type(received.kind);
        stream.packets_received = Some(reception.packets());
        stream.packets_lost = Some(reception.lost());
        stream.jitter = Some(reception.jitter());
        stream.bytes_received = Some(reception.payload_bytes());
        stream.header_bytes_received = Some(reception.header_bytes());
        stream.last_packet_received_timestamp =
            reception.last_at().map(|at| timestamp - millis(now.saturating_duration_since(at)));
        stream.nack_count = Some(received.requests.nack);
        if !received.kind.is_sound() {
            stream.pli_count = Some(received.requests.pli);
            stream.fir_count = Some(received.requests.fir);
        }
        let Some(remote) = received.remote else { return };
        let id = format!("RO{ssrc}");
        stream.remote_id = Some(id.clone());
        let entry = RemoteOutboundRtp {
            id,
            timestamp: timestamp - millis(now.saturating_duration_since(remote.at)),
            ssrc,
            kind: received.kind.into(),
            local_id: stream.id.clone(),
            transport_id: stream.transport_id.clone(),
            codec_id: stream.codec_id.clone(),
            packets_sent: remote.packets.into(),
            bytes_sent: remote.octets.into(),
            remote_timestamp: millis(remote.ntp.saturating_sub(NTP_EPOCH)),
            reports_sent: remote.reports,
        };
        self.entries.push(Entry::RemoteOutboundRtp(entry));
    }
}

/// W3C `contentType` of what shows a screen, and of its sound.
const SCREENSHARE: &str = "screenshare";

fn content_type(kind: TrackKind) -> Option<String> {
    match kind {
        TrackKind::Audio | TrackKind::Video => None,
        // W3C knows it for pictures only; nothing else tells the two sounds apart.
        TrackKind::Screen | TrackKind::ScreenSound => Some(SCREENSHARE.to_owned()),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::rtc::engine::{Direction, RtpFacts};
    use crate::rtc::rtcp::tests::wire;

    /// A connection with a selected pair, a video stream out (7) and an audio stream in (8).
    pub(crate) fn connection(now: Instant, accounts: &mut Accounts, packets: u16) -> Report {
        for sequence in 0..packets {
            for (kind, ssrc, direction) in
                [(TrackKind::Video, 7, Direction::Sent), (TrackKind::Audio, 8, Direction::Received)]
            {
                let facts = RtpFacts {
                    kind,
                    ssrc,
                    sequence,
                    timestamp: 0,
                    marker: false,
                    header_len: 20,
                    payload_len: 980,
                    retransmission: false,
                };
                accounts.on_rtp(now, direction, &facts);
            }
        }
        let mut report = Report::new(1_000_000.0);
        let selected = Some("P1".to_owned());
        let transport = Transport { selected_candidate_pair_id: selected, ..Default::default() };
        report.entries.push(Entry::Transport(transport));
        report
            .entries
            .push(Entry::CandidatePair(CandidatePair { id: "P0".to_owned(), ..Default::default() }));
        report
            .entries
            .push(Entry::CandidatePair(CandidatePair { id: "P1".to_owned(), ..Default::default() }));
        let known = OutboundRtp {
            id: "out".to_owned(),
            ssrc: 7,
            kind: Kind::Video,
            transport_id: Some("T".to_owned()),
            ..Default::default()
        };
        report.entries.push(Entry::OutboundRtp(known));
        report.fill_accounts(now, accounts);
        report
    }

    #[test]
    fn accounts_complete_what_the_engine_knows_and_add_what_it_does_not() {
        let now = crate::clock::now() + Duration::from_secs(3_600);
        let mut accounts = Accounts::default();
        connection(now, &mut accounts, 1);
        accounts.on_rtcp(now, Direction::Sent, &wire(200, 0, &[7, 0x1111_2222, 0x3333_0000, 0, 1, 1]));
        let block = [1, 7, 128 << 24 | 3, 0, 9_000, 0x2222_3333, 0];
        accounts.on_rtcp(now + Duration::from_millis(40), Direction::Received, &wire(201, 1, &block));
        let unix = (2_208_988_800u32 + 50, 1 << 31);
        accounts.on_rtcp(now, Direction::Received, &wire(200, 0, &[8, unix.0, unix.1, 0, 5, 500]));
        let mut report = connection(now, &mut accounts, 10);
        report.fill_estimate(Bitrate::from_kbps(800));
        let json = serde_json::to_value(&report).unwrap();
        let of = |kind: &str| {
            let found: Vec<_> =
                json.as_array().unwrap().iter().filter(|entry| entry["type"] == kind).collect();
            assert_eq!(found.len(), 1, "{kind}");
            found[0].clone()
        };
        let out = of("outbound-rtp");
        assert_eq!((out["id"].as_str(), out["transportId"].as_str()), (Some("out"), Some("T")));
        assert_eq!((out["packetsSent"].as_u64(), out["headerBytesSent"].as_u64()), (Some(11), Some(220)));
        let remote = of("remote-inbound-rtp");
        assert_eq!(
            (remote["localId"].as_str(), out["remoteId"].as_str()),
            (Some("out"), remote["id"].as_str())
        );
        assert_eq!((remote["fractionLost"].as_f64(), remote["jitter"].as_f64()), (Some(0.5), Some(0.1)));
        assert_eq!((remote["roundTripTime"].as_f64(), remote["packetsLost"].as_i64()), (Some(0.04), Some(3)));
        let inbound = of("inbound-rtp");
        assert_eq!((inbound["kind"].as_str(), inbound["ssrc"].as_u64()), (Some("audio"), Some(8)));
        assert_eq!(
            (inbound["packetsReceived"].as_u64(), inbound["packetsLost"].as_i64()),
            (Some(11), Some(0))
        );
        let sender = of("remote-outbound-rtp");
        assert_eq!(
            (sender["remoteTimestamp"].as_f64(), sender["reportsSent"].as_u64()),
            (Some(50_500.0), Some(1))
        );
        assert_eq!(report.selected_pair().unwrap().available_outgoing_bitrate, Some(800_000.0));
        assert_eq!(report.pairs().next().unwrap().available_outgoing_bitrate, None);
    }

    #[test]
    fn a_report_is_read_as_it_was_written_and_what_is_unknown_is_kept() {
        let now = crate::clock::now();
        let mut report = connection(now, &mut Accounts::default(), 10);
        report.entries.push(Entry::IceServer(IceServer {
            id: "S1".to_owned(),
            url: "turn:relay.example".to_owned(),
            errors: vec![StunErrors { code: 401, text: "Unauthorized".to_owned(), count: 1, expected: 1 }],
            ..Default::default()
        }));
        let mark = Mark { step: Step::FirstCheckSent, at: 1.5, since_call: Some(-0.25) };
        report.entries.push(Entry::Timeline(Timeline { marks: vec![mark], ..Default::default() }));
        let text = serde_json::to_string(&report).unwrap();
        report.timestamp = 0.0;
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);

        let strange = r#"[{"type":"hologram","depth":3},{"type":"inbound-rtp","ssrc":"seven"},
            {"type":"inbound-rtp","ssrc":7,"kind":"video","vendorOnly":1}]"#;
        let read: Report = serde_json::from_str(strange).unwrap();
        assert!(matches!(&read.entries[0], Entry::Other(raw) if raw["depth"] == 3));
        assert!(matches!(&read.entries[1], Entry::Other(raw) if raw["ssrc"] == "seven"));
        assert_eq!(read.inbound().map(|stream| stream.ssrc).collect::<Vec<_>>(), [7]);
        assert!(serde_json::from_str::<Report>("[7]").is_err());
    }
}
