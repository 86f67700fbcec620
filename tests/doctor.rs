//! The connection test as a person or a script runs it, against a real server on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "shared with tests that make calls")]
mod support;

use std::net::UdpSocket;
use std::process::Command;

use serde_json::Value;
use support::Server;

/// Exit code and report.
fn doctor(more: &[&str]) -> (i32, Value) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sightline")).args(["doctor", "--json"]).args(more).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap();
    println!("{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), report)
}

/// The checks of a step, with their outcomes and sentences.
fn checks<'a>(report: &'a Value, step: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of_step = move |check: &&Value| check["step"] == step;
    let told = |check: &'a Value| (check["outcome"].as_str().unwrap(), check["text"].as_str().unwrap());
    report["checks"].as_array().unwrap().iter().filter(of_step).map(told)
}

#[test]
fn a_server_with_a_relay_and_working_devices_pass() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let sink = folder.path().join("tone.wav");
    let devices = ["--video", "pattern", "--audio", "tone", "--sink", sink.to_str().unwrap()];
    let (code, report) = doctor(&[&["--server", &server.url()], &devices[..]].concat());
    assert_eq!((code, &report["passed"]), (0, &Value::Bool(true)), "{report:#}");
    for step in ["server", "stun", "relay", "throughput", "camera", "microphone", "speaker"] {
        let told: Vec<_> = checks(&report, step).collect();
        assert!(!told.is_empty() && told.iter().all(|(outcome, _)| *outcome != "failed"), "{step}: {told:?}");
    }
    let relay = report["checks"].as_array().unwrap().iter().find(|check| check["step"] == "relay").unwrap();
    assert!(relay["measured"]["packetsReceived"].as_u64().unwrap() >= 45, "{relay:#}");
    assert!(std::fs::metadata(&sink).unwrap().len() > 100_000, "the tone was written");
}

#[test]
fn each_server_that_does_not_work_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mute = mute.local_addr().unwrap();
    let relay = format!("turn:{}", server.relay());
    let stun = format!("stun:{mute}");
    let (code, report) = doctor(&[
        "--server",
        &server.url(),
        "--no-devices",
        "--stun",
        "stun:nowhere.invalid",
        "--stun",
        &stun,
        "--turn",
        &relay,
        "--turn-user",
        "ada",
        "--turn-pass",
        "wrong",
    ]);
    // The server's own relay works, which is enough for calls.
    assert_eq!(code, 0, "{report:#}");
    let stun: Vec<_> = checks(&report, "stun").collect();
    assert!(stun.iter().any(|(_, text)| text.contains("nowhere.invalid cannot be resolved")), "{stun:?}");
    assert!(
        stun.iter().any(|(_, text)| text.contains("6 requests") && text.contains("0 answers")),
        "{stun:?}"
    );
    let relays: Vec<_> = checks(&report, "relay").collect();
    assert!(relays.iter().any(|(outcome, text)| *outcome == "failed" && text.contains("401")), "{relays:?}");
}

#[test]
fn a_server_that_is_not_there_fails_the_test() {
    let (code, report) = doctor(&["--server", "ws://127.0.0.1:1/", "--no-devices"]);
    assert_eq!((code, &report["passed"]), (1, &Value::Bool(false)));
    assert!(report["text"].as_str().unwrap().contains("the server cannot be reached"), "{report:#}");
}
