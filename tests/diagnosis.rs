//! Calls in trouble, between real processes over servers and links that misbehave: the diagnosis says
//! what is wrong, and whose network it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/mischief.rs"]
mod mischief;
#[allow(dead_code, reason = "shared with tests that make calls")]
mod support;

use std::path::Path;
use std::process::Command;

use mischief::{Liar, Link, Mute, Weather};
use serde_json::Value;
use sightline::config::Settings;
use sightline::engine::Engine;
use sightline::engine::command::Command::Open;
use sightline::engine::parts::{AudioChoice, EngineParts, SinkChoice, VideoChoice};
use sightline::engine::view::CallPhase;
use sightline::link::Link as RoomLink;
use sightline_server::ice::TurnSecret;
use signaling_protocol::{Admission, RoomId};
use support::{Probe, Server, clip, wait_for};

/// What `probe` was told by a rule, once it was.
#[track_caller]
fn told(probe: &Probe, rule: &str) -> Value {
    let found =
        || probe.events().into_iter().find(|event| event["ev"] == "diagnosis" && event["rule"] == rule);
    let event = wait_for(&format!("diagnosis {rule} of {}", probe.out.display()), found);
    println!("{rule}: {}", event["text"].as_str().unwrap());
    event
}

#[track_caller]
fn assert_says(event: &Value, words: &str) {
    let said = format!("{} {}", event["text"], event["evidence"]);
    assert!(said.contains(words), "{said} does not say {words:?}");
}

/// Sound only: the tests share two cores.
const QUIET: [&str; 4] = ["--video", "none", "--audio", "tone"];

/// The password of every relay here.
const SECRET: &str = "of the tests";

/// A server for signaling that hands out nothing, so that a call knows what the test names.
fn bare(folder: &Path) -> Server {
    Server::start_with(folder, &["--no-turn"])
}

/// A relay, and flags with its credentials.
struct Relay {
    server: Server,
    user: String,
    password: String,
}

impl Relay {
    fn start(folder: &Path) -> Self {
        let folder = folder.join("relay");
        std::fs::create_dir_all(&folder).unwrap();
        let server = Server::start_with(&folder, &["--turn-secret", SECRET]);
        let user = format!("{}:test", sightline::clock::unix().as_secs() + 3_600);
        let password = TurnSecret::new(SECRET).password(&user);
        Self { server, user, password }
    }

    fn flags(&self, url: &str) -> Vec<String> {
        let flags = [
            "--turn",
            url,
            "--turn-user",
            &self.user,
            "--turn-pass",
            &self.password,
            "--ice-policy",
            "relay",
        ];
        flags.map(str::to_owned).to_vec()
    }
}

fn start(folder: &Path, server: &Server, role: &str, more: &[String]) -> Probe {
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let probe = Probe::spawn(folder, &server.url(), role, &[&QUIET[..], &more].concat());
    wait_for("welcome", || probe.event("ws_open"));
    probe
}

fn words(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

/// A caller with these flags, who calls somebody without trouble.
fn caller(folder: &Path, server: &Server, flags: &[&str]) -> (Probe, Probe) {
    let callee = Probe::start(folder, &server.url(), "callee", &QUIET);
    let mut caller = start(folder, server, "caller", &words(flags));
    caller.say("call");
    (caller, callee)
}

/// A call over a relay, with a link before the caller.
fn over_a_link(folder: &Path) -> (Server, Relay, Probe, Probe, Link) {
    let (server, relay) = (bare(folder), Relay::start(folder));
    let link = Link::to(relay.server.relay());
    let near = relay.flags(&format!("turn:{}?transport=udp", relay.server.relay()));
    let callee = start(folder, &server, "callee", &near);
    wait_for("ready", || callee.event("ready"));
    let mut caller =
        start(folder, &server, "caller", &relay.flags(&format!("turn:{}?transport=udp", link.address)));
    wait_for("ready", || caller.event("ready"));
    caller.say("call");
    wait_for("first sound", || caller.event("first_audio"));
    wait_for("first sound", || callee.event("first_audio"));
    (server, relay, caller, callee, link)
}

#[test]
fn a_wrong_password_of_the_relay_is_called_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (server, relay) = (bare(folder.path()), Relay::start(folder.path()));
    let url = format!("turn:{}?transport=udp", relay.server.relay());
    let flags = ["--turn", &url, "--turn-user", "ada", "--turn-pass", "wrong", "--ice-policy", "relay"];
    let (caller, _callee) = caller(folder.path(), &server, &flags);
    let event = told(&caller, "relay_refused");
    assert_says(&event, "password (401)");
    assert_says(&event, &url);
}

#[test]
fn a_relay_that_is_silent_while_stun_works_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(folder.path());
    let (mute, liar) = (Mute::start("127.0.0.1"), Liar::start("203.0.113.9:4001"));
    let (stun, turn) = (format!("stun:{}", liar.address), format!("turn:{}", mute.address));
    // A callee that nobody reaches: its only way is the same silent relay.
    let flags = ["--stun", &stun, "--turn", &turn, "--turn-user", "u", "--turn-pass", "p"];
    let probe = start(folder.path(), &server, "caller", &words(&flags));
    let _callee = Probe::start(
        folder.path(),
        &server.url(),
        "callee",
        &[&QUIET[..], &["--ice-policy", "relay"]].concat(),
    );
    let mut probe = probe;
    probe.say("call");
    let event = told(&probe, "relay_unreachable");
    assert_says(&event, "does not answer");
    assert_says(&event, &turn);
}

#[test]
fn silence_of_all_servers_over_udp_is_blocked_udp() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(folder.path());
    let mutes = [Mute::start("127.0.0.1"), Mute::start("127.0.0.2")];
    let turns = mutes.each_ref().map(|mute| format!("turn:{}", mute.address));
    let flags = [
        "--turn",
        &turns[0],
        "--turn",
        &turns[1],
        "--turn-user",
        "u",
        "--turn-pass",
        "p",
        "--ice-policy",
        "relay",
    ];
    let (caller, _callee) = caller(folder.path(), &server, &flags);
    let event = told(&caller, "udp_blocked");
    assert_says(&event, "UDP seems to be filtered in your network");
    assert_says(&event, "0 answers");
    assert_says(&event, "reached over TCP");
}

#[test]
fn a_name_that_nobody_knows_is_not_called_blocked() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(folder.path());
    let flags =
        ["--turn", "turn:nowhere.invalid", "--turn-user", "u", "--turn-pass", "p", "--ice-policy", "relay"];
    let (caller, _callee) = caller(folder.path(), &server, &flags);
    assert_says(&told(&caller, "name_unknown"), "nowhere.invalid cannot be resolved");
}

#[test]
fn a_knock_that_nobody_answers_is_told_after_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(folder.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    // A person who does not look: knocks are not answered.
    let parts = EngineParts {
        video: VideoChoice::None,
        audio: AudioChoice::None,
        sink: SinkChoice::None,
        ..EngineParts::devices(Settings::default())
    };
    let engine = Engine::start(parts, None);
    let url = server.url().parse().unwrap();
    let link = RoomLink { server: url, room: RoomId::new("test-room").unwrap(), secret: None };
    engine.commands.try_send(Open { link, admission: Admission::Knock }).unwrap();
    wait_for("room", || (engine.view.borrow().phase == CallPhase::Waiting).then_some(()));
    let mut caller = start(folder.path(), &server, "caller", &[]);
    wait_for("ready", || caller.event("ready"));
    caller.say("call");
    assert_says(&told(&caller, "no_answer"), "nobody over there has answered");
}

#[test]
fn a_server_that_dies_in_a_call_is_told_with_what_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = bare(folder.path());
    let (caller, callee) = caller(folder.path(), &server, &[]);
    wait_for("first sound", || caller.event("first_audio"));
    told(&caller, "fine");
    server.kill();
    assert_says(&told(&caller, "signaling_lost"), "your call continues");
    assert_says(&told(&callee, "signaling_lost"), "your call continues");
}

#[test]
fn a_microphone_that_gives_zeros_is_told_here_and_over_there() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(folder.path());
    let silence = folder.path().join("silence.wav");
    clip::write_wav(&silence, &vec![0.0; 48_000]);
    let callee = Probe::start(folder.path(), &server.url(), "callee", &QUIET);
    let more = ["--video", "none", "--audio", silence.to_str().unwrap()];
    let mut caller = Probe::start(folder.path(), &server.url(), "caller", &more);
    caller.say("call");
    assert_says(&told(&caller, "microphone_silent"), "nothing but silence");
    let facts =
        || callee.events().into_iter().find(|e| e["ev"] == "facts" && e["facts"]["voice"] == "silent");
    wait_for("the other side's facts", facts);
}

#[test]
fn media_in_one_direction_only_is_told_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, _relay, caller, callee, link) = over_a_link(folder.path());
    link.set(Weather::OneWay);
    assert_says(&told(&caller, "nothing_arrives"), "no sound and no picture");
    assert_says(&told(&callee, "nothing_gets_through"), "hears and sees nothing of you");
}

#[test]
fn loss_on_a_steady_line_and_a_queue_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (_server, _relay, caller, _callee, link) = over_a_link(folder.path());
    told(&caller, "fine");
    link.set(Weather::Lossy);
    assert_says(&told(&caller, "random_loss"), "gets lost while the round trip stays");
    link.set(Weather::Queue);
    assert_says(&told(&caller, "congestion"), "queue fills");
}

/// Gives a process a tenth of its time, in steps of 5 ms, as a computer does that has too much to do.
struct Slow(std::process::Child);

impl Slow {
    fn down(pid: u32) -> Self {
        let steps = format!("while kill -STOP {pid}; do sleep 0.045; kill -CONT {pid}; sleep 0.005; done");
        Self(Command::new("sh").args(["-c", &steps]).spawn().unwrap())
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_computer_that_is_too_slow_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = bare(folder.path());
    let callee = Probe::start(folder.path(), &server.url(), "callee", &QUIET);
    let more = ["--video", "pattern", "--audio", "tone"];
    let mut caller = Probe::start(folder.path(), &server.url(), "caller", &more);
    caller.say("call");
    wait_for("first sound", || callee.event("first_audio"));
    let _slow = Slow::down(caller.pid());
    told(&caller, "cpu_limit");
}

#[test]
fn a_symmetric_nat_is_told_on_its_side_and_on_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (server, relay) = (bare(folder.path()), Relay::start(folder.path()));
    // Two servers that see one socket under two ports.
    let liars = [Liar::start("203.0.113.9:4001"), Liar::start("203.0.113.9:4002")];
    let near = relay.flags(&format!("turn:{}?transport=udp", relay.server.relay()));
    let callee = start(folder.path(), &server, "callee", &near);
    let mut flags = Vec::new();
    for liar in &liars {
        flags.extend(["--stun".to_owned(), format!("stun:{}", liar.address)]);
    }
    let mut caller = start(folder.path(), &server, "caller", &flags);
    wait_for("ready", || callee.event("ready"));
    caller.say("call");
    let facts = |probe: &Probe, side: &str| {
        let nat =
            |e: &Value| e["ev"] == "facts" && e["side"] == side && e["facts"]["nat"] == "endpoint_dependent";
        wait_for("facts about the NAT", || probe.events().into_iter().find(nat))
    };
    facts(&caller, "local");
    facts(&callee, "remote");
}
