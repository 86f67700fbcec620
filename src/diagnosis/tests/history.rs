//! From recorded entries to a sentence, as for a running call and for a file.

use serde_json::json;

use super::super::facts::DeviceDoes;
use super::super::peer::{Arrival, NatKind, PeerFacts, Relay, Udp, Voice};
use super::super::{facts, verdicts};
use super::*;
use crate::engine::view::EndReason;
use crate::record::{
    Configuration, Device, DeviceKind, DeviceWord, Entry, History, Phase, ServerUrls, Side as Whose,
    SignalingState, What,
};
use crate::rtc::stats::{
    self, FailedStep, IceServer, InboundRtp, Kind, MediaSource, NetworkInterface, OutboundRtp, Report,
    ServerFailure, StunErrors,
};
use crate::rtc::{PairEnd, PeerPhase, SelectedPair};

const START: f64 = 1.8e12;

/// A recording that grows second by second.
struct Tape {
    history: History,
    now: f64,
}

impl Tape {
    /// In a call that is being connected, with a session at the server.
    fn connecting() -> Self {
        let mut tape = Self { history: History::default(), now: START };
        tape.tell(What::Phase { phase: Phase::Joining, server: Some("call.example".into()) });
        tape.tell(What::WsOpen);
        tape.tell(What::Phase { phase: Phase::InCall, server: None });
        tape.tell(What::Ice { state: IceState::Checking });
        tape
    }

    fn tell(&mut self, what: What) {
        self.history.push(Entry::new(self.now, what));
    }

    fn pass(&mut self, seconds: u32) {
        self.now += f64::from(seconds) * 1e3;
    }

    fn report(&mut self, entries: Vec<stats::Entry>) {
        self.tell(What::Stats(Report { entries, timestamp: self.now }));
    }

    /// A call that is up.
    fn talking() -> Self {
        let mut tape = Self::connecting();
        tape.tell(What::Ice { state: IceState::Connected });
        tape.tell(What::Dtls { state: DtlsState::Connected });
        tape.tell(What::Connection { state: PeerPhase::Connected });
        tape
    }

    fn facts(&self) -> Facts {
        facts(&self.history, self.now)
    }

    #[track_caller]
    fn says(&self, rule: Rule, words: &str) {
        let told = verdicts(&self.facts());
        let text = told.iter().find(|verdict| verdict.rule == rule).map(|verdict| verdict.text.as_str());
        assert!(text.is_some_and(|text| text.contains(words)), "{told:#?}");
    }
}

fn server(url: &str, requests: u64, responses: u64) -> IceServer {
    IceServer {
        url: url.into(),
        requests_sent: requests,
        responses_received: responses,
        ..Default::default()
    }
}

#[test]
fn a_recording_of_silent_servers_is_blocked_udp() {
    let mut tape = Tape::connecting();
    tape.tell(What::Configuration(Configuration::default()));
    tape.pass(8);
    let servers = ["stun:a.example:3478", "turn:b.example:3478"].map(|url| server(url, 9, 0));
    tape.report(servers.map(stats::Entry::IceServer).to_vec());
    tape.says(Rule::UdpBlocked, "18 requests to a.example and b.example");
    let told = PeerFacts::of(&tape.facts());
    assert_eq!((told.udp, told.relay), (Udp::Blocked, Relay::Silent));
}

#[test]
fn a_failure_of_one_socket_is_none_when_another_has_asked() {
    let mut tape = Tape::connecting();
    tape.tell(What::Configuration(Configuration::default()));
    tape.pass(2);
    let text = "it has no IPv6 address".to_owned();
    let mut relay = server("turn:b.example:3478", 1, 0);
    relay.failure = Some(ServerFailure { step: FailedStep::Family, text });
    tape.report(vec![stats::Entry::IceServer(relay.clone())]);
    assert_eq!(tape.facts().servers[0].obstacle, None);
    relay.requests_sent = 0;
    tape.report(vec![stats::Entry::IceServer(relay)]);
    tape.says(Rule::RelayUnreachable, "has no IPv6 address");
}

#[test]
fn a_path_from_another_interface_is_a_move() {
    let mut tape = Tape::talking();
    let pair = |address: &str| {
        let end = |address: &str| PairEnd {
            kind: CandidateType::Host,
            protocol: "udp".into(),
            relay_protocol: None,
            address: address.into(),
            port: 1,
        };
        What::SelectedPair(SelectedPair { local: end(address), remote: end("192.0.2.9") })
    };
    tape.tell(pair("10.0.0.5"));
    tape.pass(5);
    tape.tell(pair("192.168.1.5"));
    let interface = |name: &str, address: &str, up| {
        stats::Entry::NetworkInterface(NetworkInterface {
            name: name.into(),
            addresses: vec![address.into()],
            up,
            ..Default::default()
        })
    };
    tape.report(vec![interface("wlan0", "10.0.0.5", false), interface("eth0", "192.168.1.5", true)]);
    tape.says(Rule::Moved, "wlan0 went away; the call moved to eth0");
}

#[test]
fn a_knock_is_timed_although_nothing_happens() {
    let mut tape = Tape { history: History::default(), now: START };
    tape.tell(What::Phase { phase: Phase::Knocking, server: None });
    tape.pass(12);
    tape.says(Rule::NoAnswer, "12 s ago");
}

#[test]
fn a_recording_of_a_refusal_names_the_code_and_the_expected_401_is_none() {
    let mut tape = Tape::connecting();
    let errors = |count| vec![StunErrors { code: 401, text: String::new(), count, expected: 1 }];
    let mut relay = server("turn:b.example:3478", 4, 4);
    relay.errors = errors(1);
    tape.report(vec![stats::Entry::IceServer(relay.clone())]);
    assert_eq!(tape.facts().servers[0].refused, None);
    relay.errors = errors(2);
    tape.report(vec![stats::Entry::IceServer(relay)]);
    tape.says(Rule::RelayRefused, "401");
    assert_eq!(PeerFacts::of(&tape.facts()).relay, Relay::Refused);
}

#[test]
fn the_time_in_a_relays_user_name_is_read() {
    let mut tape = Tape::connecting();
    let username = Some(format!("{}:ada", (START / 1e3) as u64 - 60));
    let ice_servers = vec![ServerUrls { urls: vec!["turn:b.example".into()], username }];
    tape.tell(What::Configuration(Configuration { ice_servers, ..Configuration::default() }));
    tape.report(vec![stats::Entry::IceServer(server("turn:b.example", 4, 4))]);
    tape.says(Rule::CredentialsExpired, "ran out 60 s ago");
}

#[test]
fn a_lost_server_is_told_in_a_call_and_one_that_was_never_reached_before_it() {
    let mut tape = Tape::talking();
    tape.tell(What::Signaling { state: SignalingState::Lost, reason: Some("reset by peer".into()) });
    tape.pass(3);
    tape.says(Rule::SignalingLost, "your call continues");
    tape.tell(What::Signaling { state: SignalingState::Resumed, reason: None });
    assert_eq!(tape.facts().signaling.link.state, SignalingLink::Up);
    let mut tape = Tape { history: History::default(), now: START };
    tape.tell(What::Phase { phase: Phase::Joining, server: Some("call.example".into()) });
    tape.tell(What::Ended(EndReason::Server("nothing answers at call.example".into())));
    tape.tell(What::Phase { phase: Phase::Ended, server: None });
    tape.says(Rule::ServerUnreachable, "nothing answers at call.example");
}

#[test]
fn devices_and_the_other_side_are_known_from_their_entries() {
    let mut tape = Tape::talking();
    let device = |device, state, about: &str| {
        What::Device(Device { device, state, about: about.into(), id: None, muted_but_speaking: false })
    };
    tape.tell(device(DeviceKind::Microphone, DeviceWord::Denied, "no right"));
    tape.tell(What::Media { side: Whose::Remote, microphone: false, camera: true, screen: false });
    tape.tell(What::Facts { side: Whose::Remote, facts: json!({ "nat": "endpoint_dependent" }) });
    tape.says(Rule::MicrophoneDenied, "does not allow");
    let facts = tape.facts();
    assert_eq!(facts.devices.microphone.state, DeviceDoes::Denied);
    assert_eq!((facts.peer.microphone, facts.peer.camera), (Some(false), Some(true)));
    assert_eq!(facts.peer.facts.nat, NatKind::EndpointDependent);
    assert_eq!(PeerFacts::of(&facts).voice, Voice::Unusable);
}

#[test]
fn a_microphone_that_gives_zeros_for_six_seconds_is_silent() {
    let mut tape = Tape::talking();
    let on = Device {
        device: DeviceKind::Microphone,
        state: DeviceWord::On,
        about: "Built-in".into(),
        id: None,
        muted_but_speaking: false,
    };
    tape.tell(What::Device(on));
    let mut second = |level: f64| {
        tape.pass(1);
        let source = MediaSource { id: "S".into(), audio_level: Some(level), ..Default::default() };
        let stream = OutboundRtp { ssrc: 1, media_source_id: Some("S".into()), ..Default::default() };
        tape.report(vec![stats::Entry::MediaSource(source), stats::Entry::OutboundRtp(stream)]);
    };
    second(0.02);
    (0..6).for_each(|_| second(0.0));
    tape.says(Rule::MicrophoneSilent, "6.0 s");
    assert_eq!(PeerFacts::of(&tape.facts()).voice, Voice::Silent);
}

#[test]
fn a_stream_that_stopped_is_missed_since_its_last_packet() {
    let mut tape = Tape::talking();
    tape.tell(What::Media { side: Whose::Remote, microphone: true, camera: true, screen: false });
    let heard = tape.now;
    tape.pass(6);
    let inbound = |kind, at| {
        stats::Entry::InboundRtp(InboundRtp {
            kind,
            packets_received: Some(100),
            last_packet_received_timestamp: Some(at),
            ..Default::default()
        })
    };
    let now = tape.now;
    tape.report(vec![inbound(Kind::Audio, heard), inbound(Kind::Video, now)]);
    tape.says(Rule::TrackMissing, "No sound has arrived for 6.0 s");
    assert_eq!(PeerFacts::of(&tape.facts()).sound, Arrival::Nothing);
}

#[test]
fn a_certificate_that_nobody_vouched_for_is_told_after_the_end() {
    let mut tape = Tape::connecting();
    tape.tell(What::Ended(EndReason::NotAuthentic));
    tape.says(Rule::Interception, "does not match");
}

#[test]
fn an_empty_recording_is_no_trouble() {
    let told = verdicts(&facts(&History::default(), START));
    assert_eq!((told.len(), told[0].rule), (1, Rule::Working));
}
