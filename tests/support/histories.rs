//! The record of a call made by hand, for tests of the connection panel and for looking at it.

use std::collections::BTreeMap;

use sightline::engine::view::Severity;
use sightline::record::{Diagnosis, Direction, Entry, History, Limits, Side, What};
use sightline::rtc::stats::{
    self, Candidate, CandidatePair, Codec, FailedStep, IceServer, InboundRtp, InterfaceKind, Kind, Mark,
    NetworkInterface, OutboundRtp, PairState, RemoteInboundRtp, Report, ServerFailure, ServerTransport,
    Signaling, Step, StunErrors, Timeline, Transport,
};
use sightline::rtc::{CandidateType, DescriptionKind, DtlsState, IceState, PeerPhase};

/// 2026-11-23 14:03:07 UTC.
pub const START: f64 = 1_795_442_587_000.0;

const OURS: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:fZ3k\r\na=ice-pwd:***\r\na=fingerprint:sha-256 5A:17:22:E1\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 transport-cc\r\n";

fn candidate(id: &str, kind: CandidateType, address: &str, port: u16, preference: u32) -> Candidate {
    let of_type = match kind {
        CandidateType::Host => 126,
        CandidateType::Prflx => 110,
        CandidateType::Srflx => 100,
        CandidateType::Relay => 0,
    };
    Candidate {
        id: id.into(),
        protocol: "udp".into(),
        port,
        address: Some(address.into()),
        candidate_type: Some(kind),
        priority: Some(of_type << 24 | preference << 8 | 255),
        foundation: Some(id.to_lowercase()),
        ..Candidate::default()
    }
}

fn related(candidate: Candidate, address: &str, url: &str) -> Candidate {
    let url = (!url.is_empty()).then(|| url.to_owned());
    Candidate { related_address: Some(address.into()), related_port: Some(50_121), url, ..candidate }
}

fn pair(id: &str, ends: (&str, &str), state: PairState, checks: [u64; 4], bytes: u64) -> CandidatePair {
    let [requests_sent, responses_received, requests_received, responses_sent] = checks;
    let answered = responses_received > 0;
    CandidatePair {
        id: id.into(),
        local_candidate_id: ends.0.into(),
        remote_candidate_id: ends.1.into(),
        state,
        nominated: bytes > 0,
        bytes_sent: bytes,
        bytes_received: bytes / 2,
        requests_sent,
        responses_received,
        requests_received,
        responses_sent,
        current_round_trip_time: answered.then_some(0.024),
        available_outgoing_bitrate: (bytes > 0).then_some(2_400_000.0),
        last_error: (state == PairState::Failed).then(|| "no answer to 7 checks".to_owned()),
        ..CandidatePair::default()
    }
}

fn server(url: &str, transport: ServerTransport, sent: u64, answered: u64) -> IceServer {
    IceServer {
        id: format!("S{url}{transport:?}"),
        url: url.into(),
        transport,
        requests_sent: sent,
        responses_received: answered,
        round_trip_time: (answered > 0).then_some(0.0182),
        mapped_address: (answered > 0).then(|| "203.0.113.58:50121".to_owned()),
        ..IceServer::default()
    }
}

/// Between -1 and 1, the same for the same second.
fn noise(second: u32, seed: u32) -> f64 {
    let mut x = second.wrapping_mul(0x9e37_79b9) ^ seed.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 15;
    x = x.wrapping_mul(0x2c1b_3c6d);
    x ^= x >> 12;
    f64::from(x % 2_000) / 1_000.0 - 1.0
}

fn connection(second: u32) -> Vec<stats::Entry> {
    use CandidateType::{Host, Prflx, Relay, Srflx};
    let relay = "turn:relay.example.org:3478";
    let stun = "stun:stun.example.org:3478";
    let locals = [
        candidate("L1", Host, "192.168.1.24", 50_121, 65_535),
        candidate("L2", Host, "2001:db8:4:11::24", 50_122, 65_534),
        related(candidate("L3", Srflx, "203.0.113.58", 50_121, 65_535), "192.168.1.24", stun),
        Candidate {
            relay_protocol: Some("udp".into()),
            ..related(candidate("L4", Relay, "198.51.100.7", 61_200, 65_535), "203.0.113.58", relay)
        },
    ];
    let remotes = [
        candidate("R1", Host, "10.0.0.7", 40_555, 65_535),
        related(candidate("R2", Srflx, "198.51.100.201", 61_544, 65_535), "10.0.0.7", ""),
        candidate("R3", Prflx, "198.51.100.201", 61_549, 65_535),
        candidate("R4", Relay, "198.51.100.7", 61_377, 65_535),
    ];
    let bytes = u64::from(second) * 240_000 + 1;
    let checks = u64::from(second) / 5 + 3;
    let mut pairs = vec![
        pair("P1", ("L1", "R1"), PairState::Failed, [7, 0, 0, 0], 0),
        pair("P2", ("L1", "R2"), PairState::Succeeded, [checks, checks, checks, checks], bytes),
        pair("P3", ("L1", "R3"), PairState::Waiting, [0; 4], 0),
        pair("P4", ("L2", "R1"), PairState::Frozen, [0; 4], 0),
        pair("P5", ("L4", "R2"), PairState::Succeeded, [4, 4, 3, 3], 0),
        pair("P6", ("L4", "R4"), PairState::InProgress, [2, 0, 1, 1], 0),
    ];
    pairs[1].current_round_trip_time = Some(0.024 + 0.004 * noise(second, 1));
    let mark = |step, at| Mark { step, at: START + at, since_call: Some(at / 1e3) };
    let marks = vec![
        mark(Step::Call, 0.0),
        mark(Step::FirstCandidate, 4.0),
        mark(Step::DescriptionSent, 21.0),
        mark(Step::DescriptionReceived, 128.0),
        mark(Step::FirstCheckSent, 131.0),
        mark(Step::FirstCheckReceived, 140.0),
        mark(Step::FirstCheckAnswered, 158.0),
        mark(Step::GatheringComplete, 212.0),
        mark(Step::Nominated, 190.0),
        mark(Step::DtlsStarted, 192.0),
        mark(Step::DtlsConnected, 268.0),
        mark(Step::FirstPacketReceived, 301.0),
        mark(Step::FirstPicture, 412.0),
    ];
    let errors = vec![StunErrors { code: 401, text: "Unauthorized".into(), count: 1, expected: 1 }];
    let failure = ServerFailure {
        step: FailedStep::Tls,
        text: "its certificate is for another name: relay.example.org".into(),
    };
    let servers = [
        server(stun, ServerTransport::Udp, 3, 3),
        IceServer {
            relayed_address: Some("198.51.100.7:61200".into()),
            errors,
            ..server(relay, ServerTransport::Udp, 9, 9)
        },
        IceServer {
            failure: Some(failure),
            ..server("turns:relay.example.net:443?transport=tcp", ServerTransport::Tls, 1, 0)
        },
        server("stun:stun.blocked.example:3478", ServerTransport::Udp, 12, 0),
    ];
    let interface = |name: &str, kind, addresses: &[&str]| NetworkInterface {
        id: format!("N{name}"),
        name: name.into(),
        kind,
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        up: true,
        ..NetworkInterface::default()
    };
    let transport = Transport {
        id: "T".into(),
        selected_candidate_pair_id: Some("P2".into()),
        bytes_sent: bytes,
        bytes_received: bytes / 2,
        dtls_state: DtlsState::Connected,
        ice_role: Some("controlling".into()),
        srtp_cipher: Some("AEAD_AES_128_GCM".into()),
        tls_version: Some("FEFD".into()),
        ..Transport::default()
    };
    let signaling = Signaling {
        id: "G".into(),
        url: "wss://calls.example.org".into(),
        messages_sent: 14,
        messages_received: 17,
        ..Signaling::default()
    };
    let mut entries = vec![stats::Entry::Transport(transport), stats::Entry::Signaling(signaling)];
    entries.extend(locals.into_iter().map(stats::Entry::LocalCandidate));
    entries.extend(remotes.into_iter().map(stats::Entry::RemoteCandidate));
    entries.extend(pairs.into_iter().map(stats::Entry::CandidatePair));
    entries.extend(servers.into_iter().map(stats::Entry::IceServer));
    entries.push(stats::Entry::NetworkInterface(interface(
        "wlan0",
        InterfaceKind::Wifi,
        &["192.168.1.24", "2001:db8:4:11::24"],
    )));
    entries.push(stats::Entry::NetworkInterface(interface("eth0", InterfaceKind::Ethernet, &[])));
    entries.push(stats::Entry::Timeline(Timeline { id: "Z".into(), marks, ..Timeline::default() }));
    entries.push(stats::Entry::Codec(Codec {
        id: "C96".into(),
        mime_type: "video/VP8".into(),
        ..Codec::default()
    }));
    entries
}

/// Counters that have grown until a second.
#[derive(Default)]
struct Counters(BTreeMap<&'static str, f64>);

impl Counters {
    fn add(&mut self, name: &'static str, value: f64) -> f64 {
        let counter = self.0.entry(name).or_default();
        *counter += value.max(0.0);
        *counter
    }

    fn count(&mut self, name: &'static str, value: f64) -> u64 {
        self.add(name, value) as u64
    }
}

/// Half a minute of every five the upload is worse.
fn trouble(second: u32) -> f64 {
    if second % 300 > 180 && second % 300 < 215 { 1.0 } else { 0.0 }
}

fn streams(second: u32, counters: &mut Counters) -> Vec<stats::Entry> {
    let bad = trouble(second);
    let target = 2_100_000.0 - 1_400_000.0 * bad + 60_000.0 * noise(second, 2);
    let frames = 30.0 - 12.0 * bad;
    let small = bad > 0.0;
    let video_out = OutboundRtp {
        id: "OV".into(),
        ssrc: 1_001,
        kind: Kind::Video,
        bytes_sent: Some(counters.count("video out", (target + 40_000.0 * noise(second, 3)) / 8.0)),
        packets_sent: Some(counters.count("video packets out", 230.0)),
        target_bitrate: Some(target),
        frames_encoded: Some(counters.count("frames out", frames)),
        frames_per_second: Some(frames),
        frame_width: Some(if small { 640 } else { 1280 }),
        frame_height: Some(if small { 360 } else { 720 }),
        qp_sum: Some(counters.count("qp out", frames * (24.0 + 20.0 * bad + 3.0 * noise(second, 4)))),
        total_encode_time: Some(counters.add("encode", frames * (0.006 + 0.001 * noise(second, 5)))),
        nack_count: Some(counters.count("nack in", 6.0 * bad)),
        pli_count: Some(
            counters.count("pli in", if bad > 0.0 && second.is_multiple_of(10) { 1.0 } else { 0.0 }),
        ),
        ..OutboundRtp::default()
    };
    let video_seen = RemoteInboundRtp {
        id: "RV".into(),
        ssrc: 1_001,
        kind: Kind::Video,
        local_id: "OV".into(),
        fraction_lost: (0.001 + 0.05 * bad + 0.001 * noise(second, 6)).max(0.0),
        jitter: 0.004 + 0.02 * bad + 0.001 * noise(second, 7),
        round_trip_time: Some(0.025 + 0.11 * bad + 0.003 * noise(second, 8)),
        ..RemoteInboundRtp::default()
    };
    let audio_out = OutboundRtp {
        id: "OA".into(),
        ssrc: 1_002,
        kind: Kind::Audio,
        bytes_sent: Some(counters.count("audio out", 4_000.0 + 300.0 * noise(second, 9))),
        packets_sent: Some(counters.count("audio packets out", 50.0)),
        target_bitrate: Some(32_000.0),
        ..OutboundRtp::default()
    };
    let video_in = InboundRtp {
        id: "IV".into(),
        ssrc: 2_001,
        kind: Kind::Video,
        bytes_received: Some(counters.count("video in", (1_850_000.0 + 90_000.0 * noise(second, 10)) / 8.0)),
        packets_received: Some(counters.count("video packets in", 200.0)),
        packets_lost: Some(
            counters.count("video lost", if second.is_multiple_of(37) { 3.0 } else { 0.0 }) as i64
        ),
        jitter: Some(0.005 + 0.001 * noise(second, 11)),
        frames_per_second: Some(30.0 + noise(second, 12).round()),
        frames_decoded: Some(counters.count("frames in", 30.0)),
        frame_width: Some(1280),
        frame_height: Some(720),
        qp_sum: Some(counters.count("qp in", 30.0 * (28.0 + 2.0 * noise(second, 13)))),
        total_decode_time: Some(counters.add("decode", 30.0 * (0.003 + 0.000_5 * noise(second, 14)))),
        jitter_buffer_delay: Some(counters.add("buffer", 30.0 * (0.038 + 0.004 * noise(second, 15)))),
        jitter_buffer_emitted_count: Some(counters.count("emitted", 30.0)),
        freeze_count: Some(counters.count("freezes", if second % 240 == 100 { 1.0 } else { 0.0 })),
        nack_count: Some(counters.count("nack out", if second.is_multiple_of(37) { 3.0 } else { 0.0 })),
        pli_count: Some(0),
        ..InboundRtp::default()
    };
    let audio_in = InboundRtp {
        id: "IA".into(),
        ssrc: 2_002,
        kind: Kind::Audio,
        bytes_received: Some(counters.count("audio in", 4_100.0 + 200.0 * noise(second, 16))),
        packets_received: Some(counters.count("audio packets in", 50.0)),
        packets_lost: Some(0),
        jitter: Some(0.003 + 0.000_5 * noise(second, 17)),
        audio_level: Some((0.25 + 0.24 * noise(second, 18)).abs()),
        total_samples_received: Some(counters.count("samples", 48_000.0)),
        concealed_samples: Some(counters.count("concealed", if second % 50 == 7 { 960.0 } else { 0.0 })),
        ..InboundRtp::default()
    };
    vec![
        stats::Entry::OutboundRtp(video_out),
        stats::Entry::RemoteInboundRtp(video_seen),
        stats::Entry::OutboundRtp(audio_out),
        stats::Entry::InboundRtp(video_in),
        stats::Entry::InboundRtp(audio_in),
    ]
}

fn message(history: &mut History, at: f64, direction: Direction, kind: &str, text: &str) {
    let what = What::SignalingMessage { direction, kind: kind.into(), bytes: text.len(), text: text.into() };
    history.push(Entry::new(START + at, what));
}

/// What a side of a call does before there is a path.
fn beginning(history: &mut History) {
    let mut push = |at: f64, what: What| history.push(Entry::new(START + at, what));
    push(0.0, What::WsOpen);
    push(0.2, What::Ready);
    push(1.0, What::Call);
    push(20.0, What::Description { side: Side::Local, kind: DescriptionKind::Offer, sdp: OURS.into() });
    push(21.0, What::OfferSent { bytes: OURS.len() });
    message(
        history,
        22.0,
        Direction::Sent,
        "offer",
        "{\"type\":\"offer\",\"to\":\"grace\",\"sdp\":\"v=0 ***\"}",
    );
    message(
        history,
        128.0,
        Direction::Received,
        "answer",
        "{\"type\":\"answer\",\"from\":\"grace\",\"sdp\":\"v=0 ***\"}",
    );
    let theirs = OURS.replace("fZ3k", "mQ81").replace("5A:17:22:E1", "C0:0B:91:4D");
    let mut push = |at: f64, what: What| history.push(Entry::new(START + at, what));
    push(128.0, What::Description { side: Side::Remote, kind: DescriptionKind::Answer, sdp: theirs });
    for (at, line) in [
        (24.0, "candidate:1 1 udp 2130706431 192.168.1.24 50121 typ host"),
        (66.0, "candidate:2 1 udp 1694498815 203.0.113.58 50121 typ srflx raddr 192.168.1.24 rport 50121"),
    ] {
        let candidate = line.to_owned();
        push(at, What::Candidate { side: Side::Local, candidate, mid: Some("0".into()) });
    }
    push(131.0, What::Ice { state: IceState::Checking });
}

/// A call over `seconds` that went well but for a slow upload now and then.
pub fn call(seconds: u32) -> History {
    let mut history = History::new(Limits::LIVE);
    beginning(&mut history);
    let mut push = |at: f64, what: What| history.push(Entry::new(START + at, what));
    push(190.0, What::Ice { state: IceState::Connected });
    push(212.0, What::EndOfCandidates { side: Side::Local });
    push(268.0, What::Dtls { state: DtlsState::Connected });
    push(268.1, What::Connection { state: PeerPhase::Connected });
    push(412.0, What::FirstFrame);
    let mut counters = Counters::default();
    for second in 1..=seconds {
        let at = f64::from(second) * 1e3;
        let mut report = Report::new(START + at);
        report.entries = connection(second);
        report.entries.extend(streams(second, &mut counters));
        history.push(Entry::stats(report));
        if second.is_multiple_of(60) {
            let direction = if second.is_multiple_of(120) { Direction::Sent } else { Direction::Received };
            message(&mut history, at + 300.0, direction, "ping", "{\"type\":\"ping\"}");
        }
    }
    let again = OURS.replace("fZ3k", "t0Wn").replace("o=- 1 1", "o=- 1 2");
    let end = f64::from(seconds) * 1e3;
    let mut push = |at: f64, what: What| history.push(Entry::new(START + at, what));
    push(end - 1.0, What::IceRestart);
    push(end - 0.9, What::Description { side: Side::Local, kind: DescriptionKind::Offer, sdp: again });
    push(
        end - 0.5,
        What::Diagnosis(Diagnosis {
            rule: "fine".into(),
            severity: Severity::Info,
            text: "Direct, 24 ms, nothing lost in the last minute.".into(),
            evidence: vec!["192.168.1.24:50121 to 198.51.100.201:61544 over UDP".into()],
            advice: None,
        }),
    );
    history
}

/// A call that found no path.
pub fn failed() -> History {
    let mut history = History::new(Limits::LIVE);
    beginning(&mut history);
    let mut report = Report::new(START + 30_000.0);
    report.entries = connection(1);
    for entry in &mut report.entries {
        match entry {
            stats::Entry::Transport(transport) => {
                transport.selected_candidate_pair_id = None;
                transport.dtls_state = DtlsState::New;
            }
            stats::Entry::CandidatePair(pair) => {
                let id = std::mem::take(&mut pair.id);
                let ends = (pair.local_candidate_id.clone(), pair.remote_candidate_id.clone());
                *pair = self::pair(&id, (&ends.0, &ends.1), PairState::Failed, [7, 0, 0, 0], 0);
            }
            stats::Entry::Timeline(timeline) => timeline.marks.retain(|mark| mark.at < START + 135.0),
            _ => {}
        }
    }
    history.push(Entry::stats(report));
    let mut push = |at: f64, what: What| history.push(Entry::new(START + at, what));
    push(30_100.0, What::Ice { state: IceState::Failed });
    push(30_101.0, What::Error { text: "no network path to the other side was found".into() });
    push(
        30_200.0,
        What::Diagnosis(Diagnosis {
            rule: "udp_blocked".into(),
            severity: Severity::Error,
            text: "This network seems to block UDP: no STUN server answers, and there is no relay over TCP."
                .into(),
            evidence: vec![
                "stun:stun.example.org:3478: 12 requests, no answer".into(),
                "The server of the call answers over TCP in 18 ms".into(),
            ],
            advice: Some("Try another network, or ask for a relay on port 443.".into()),
        }),
    );
    history
}
