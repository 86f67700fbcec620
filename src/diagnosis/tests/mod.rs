//! Every rule speaks on a made-up trace that deserves it, and stays silent on one that does not.

mod devices;
mod handshake;
mod history;
mod media;
mod path;
mod quality;
mod reach;
mod signaling;

use std::time::Duration;

use super::facts::{
    Address, Checks, DeviceDoes, Facts, Held, IceServerFacts, Path, SignalingLink, Stage, Stream, Transport,
};
use super::verdict::{Rule, Severity, Side, Verdict};
use super::{Judge, verdicts};
use crate::rtc::{CandidateType, DtlsState, IceState};
use crate::units::Bitrate;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A call without trouble, a minute old.
fn talking() -> Facts {
    let stream = Stream {
        packets: 3_000,
        loss: Some(0.0),
        loss_minute: Some(0.0),
        jitter: Some(ms(3)),
        ..Stream::default()
    };
    let mut facts = Facts {
        now: 1.8e12,
        stage: Held::new(Stage::Talking, s(60)),
        servers: vec![stun()],
        ice: Held::new(IceState::Connected, s(60)),
        dtls: Held::new(DtlsState::Connected, s(60)),
        path: Some(direct()),
        ..Facts::default()
    };
    facts.download.sound = stream.clone();
    facts.download.picture = Stream { decoded: 1_800, ..stream };
    facts.upload.packets = 9_000;
    facts.upload.loss = Some(0.0);
    facts.upload.loss_minute = Some(0.0);
    facts.upload.round_trip = Some(ms(24));
    facts.upload.round_trip_floor = Some(ms(22));
    facts.upload.estimate = Some(Bitrate::from_kbps(2_500));
    facts.signaling.server = "call.example".into();
    facts.signaling.link = Held::new(SignalingLink::Up, s(70));
    facts.peer.microphone = Some(true);
    facts.peer.camera = Some(true);
    facts.devices.microphone.state = DeviceDoes::Runs;
    facts.devices.silent_for = Some(Duration::ZERO);
    facts
}

/// Accepted eight seconds ago, no path yet.
fn connecting() -> Facts {
    let mut facts = talking();
    facts.stage = Held::new(Stage::Connecting, s(8));
    facts.ice = Held::new(IceState::Checking, s(8));
    facts.dtls = Held::new(DtlsState::New, s(8));
    facts.path = None;
    facts.download = Default::default();
    facts.upload = Default::default();
    facts.local = vec![host([192, 168, 1, 5])];
    facts.remote = vec![host([192, 168, 7, 9])];
    facts.checks = Checks { pairs: 2, sent: 30, running: s(8), ..Checks::default() };
    facts
}

fn host(ip: [u8; 4]) -> Address {
    Address { kind: CandidateType::Host, ip: Some(ip.into()) }
}

fn direct() -> Path {
    Path {
        local: CandidateType::Host,
        remote: CandidateType::Srflx,
        relay_transport: None,
        relay_url: None,
        silent_for: Duration::ZERO,
    }
}

fn relayed(transport: Transport) -> Path {
    Path {
        local: CandidateType::Relay,
        relay_transport: Some(transport),
        relay_url: Some("turn:relay.example:3478".into()),
        ..direct()
    }
}

/// A STUN server that answers in 30 ms.
fn stun() -> IceServerFacts {
    IceServerFacts {
        url: "stun:stun.example:3478".into(),
        requests: 2,
        responses: 2,
        asked_for: s(60),
        useful: true,
        first_answer: Some(ms(30)),
        round_trip: Some(ms(30)),
        ..IceServerFacts::default()
    }
}

/// A relay that works.
fn turn() -> IceServerFacts {
    IceServerFacts { url: "turn:relay.example:3478".into(), relay: true, ..stun() }
}

/// The same server without an answer.
fn silent(server: IceServerFacts) -> IceServerFacts {
    IceServerFacts {
        requests: 12,
        responses: 0,
        useful: false,
        first_answer: None,
        round_trip: None,
        ..server
    }
}

/// What `judge` says, which must contain `words`; and the whole must put it somewhere.
#[track_caller]
fn says(judge: Judge, facts: &Facts, words: &str) -> Verdict {
    let verdict = judge(facts).expect("the rule speaks");
    assert!(verdict.text.contains(words), "{:?} does not say {words:?}", verdict.text);
    assert!(verdict.text.ends_with('.') && !verdict.text.contains(".."), "{:?} is no sentence", verdict.text);
    assert!(verdict.short.len() <= 60 && !verdict.short.ends_with('.'), "{:?} is not short", verdict.short);
    assert!(verdicts(facts).contains(&verdict), "{:?} is not among all verdicts", verdict.rule);
    verdict
}

#[track_caller]
fn silent_on(judge: Judge, facts: &Facts) {
    assert_eq!(judge(facts), None);
}

#[test]
fn a_good_call_is_called_good_and_why() {
    let told = verdicts(&talking());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].text, "Direct, 24 ms, nothing lost in the last minute.");
    assert_eq!((told[0].rule, told[0].severity), (Rule::Fine, Severity::Fine));
    assert_eq!(told[0].short, "Direct, 24 ms");
}

#[test]
fn a_relay_and_losses_are_named_in_what_is_fine() {
    let mut facts = talking();
    facts.path = Some(relayed(Transport::Udp));
    facts.upload.loss_minute = Some(0.004);
    let told = verdicts(&facts);
    assert_eq!(told[0].text, "Relayed, 24 ms, 0.4 % lost in the last minute.");
    assert!(told[0].evidence.contains(&"turn:relay.example:3478".to_owned()));
}

#[test]
fn before_and_after_a_call_it_says_what_it_waits_for() {
    for (stage, words) in [
        (Stage::Idle, "Nothing"),
        (Stage::Waiting, "nobody else"),
        (Stage::Knocking, "asked"),
        (Stage::Ended, "over"),
    ] {
        let facts = Facts { stage: Held::new(stage, s(1)), ..Facts::default() };
        let told = verdicts(&facts);
        assert_eq!((told.len(), told[0].rule), (1, Rule::Working), "{told:?}");
        assert!(told[0].text.contains(words), "{:?}", told[0].text);
    }
}

#[test]
fn the_cause_is_told_before_what_follows_from_it() {
    let mut facts = connecting();
    facts.servers = vec![silent(stun()), IceServerFacts { refused: Some(401), useful: false, ..turn() }];
    facts.servers[1].requests = 4;
    facts.servers[1].responses = 4;
    let rules: Vec<Rule> = verdicts(&facts).iter().map(|verdict| verdict.rule).collect();
    assert_eq!(rules[..2], [Rule::RelayRefused, Rule::ChecksBlocked], "{rules:?}");
}

#[test]
fn nothing_known_is_nothing_wrong() {
    assert_eq!(verdicts(&Facts::default()).len(), 1);
}

#[test]
fn the_document_lists_every_rule() {
    let document = include_str!("../../../docs/diagnosis.md");
    for rule in Rule::ALL {
        assert!(document.contains(&format!("| `{}` |", rule.id())), "docs/diagnosis.md lacks {}", rule.id());
    }
}
