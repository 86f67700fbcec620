//! Chat and files between real processes over a real server on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "these tests look at neither pictures nor sound")]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::{Probe, Server, call, wait_for};

/// A file with content that repeats nowhere.
fn file(folder: &Path, name: &str, size: usize) -> PathBuf {
    let mut seed = 7_u64;
    let words = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_be_bytes()
    });
    let path = folder.join(name);
    fs::write(&path, words.flatten().take(size).collect::<Vec<u8>>()).unwrap();
    path
}

fn said(probe: &Probe, side: &str) -> Vec<String> {
    let is_chat = |event: &Value| event["ev"] == "chat" && event["side"] == side;
    let chats = probe.events().into_iter().filter(is_chat);
    chats.map(|event| event["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The event that says that a file is in a state.
fn told(probe: &Probe, name: &str, state: &str) -> Option<Value> {
    let fits = |event: &Value| event["ev"] == "file" && event["name"] == name && event["state"] == state;
    probe.events().into_iter().find(fits)
}

/// Waits until a file that was sent is whole on both sides; where it is, and how fast it came.
#[track_caller]
fn arrived(sender: &Probe, receiver: &Probe, name: &str) -> PathBuf {
    let done = wait_for(&format!("all of {name}"), || told(receiver, name, "done"));
    wait_for(&format!("word of {name}"), || told(sender, name, "done"));
    if let Some(begun) = told(receiver, name, "moving").or_else(|| told(receiver, name, "preparing")) {
        let seconds = (done["t"].as_f64().unwrap() - begun["t"].as_f64().unwrap()) / 1e3;
        let bits = done["size"].as_f64().unwrap() * 8.0;
        println!("{name}: {bits:.0} bits in {seconds:.2} s, {:.1} Mbit/s", bits / seconds.max(1e-3) / 1e6);
    }
    PathBuf::from(done["path"].as_str().unwrap())
}

fn wait_for_connection(probes: [&Probe; 2]) {
    let is_it = |event: &Value| event["state"] == "connected" && event["ev"] == "connection";
    for probe in probes {
        wait_for("connection", || probe.events().into_iter().find(is_it));
    }
}

/// Files are for those whose channels are open: where a text has come from.
fn wait_for_channels(probes: [&mut Probe; 2]) {
    let [one, other] = probes;
    wait_for_connection([one, other]);
    one.say("chat hello");
    other.say("chat hello");
    for probe in [one, other] {
        wait_for("a text", || said(probe, "remote").pop());
    }
}

#[test]
fn texts_and_files_of_all_sizes_go_both_ways_while_the_call_looks_for_another_path() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (mut caller, mut callee) = call(folder.path(), &server, &["--size", "320x180", "--dump-ms", "0"]);
    wait_for_connection([&caller, &callee]);
    caller.say("chat hello \u{202e}there");
    callee.say("chat hi, see https://example.com");
    wait_for("the text", || Some(said(&callee, "remote")).filter(|said| said == &["hello [U+202E]there"]));
    wait_for("the text", || {
        Some(said(&caller, "remote")).filter(|said| said == &["hi, see https://example.com"])
    });

    let sources = [("none.bin", 0), ("one.bin", 1), ("some.bin", 700_001)]
        .map(|(name, size)| file(folder.path(), name, size));
    for path in &sources {
        callee.say(&format!("send {}", path.display()));
    }
    let large = file(folder.path(), "large.bin", 24_000_000);
    caller.say(&format!("send {}", large.display()));
    // On a busy machine it may be there before anybody has looked.
    wait_for("a part of the file", || {
        let some = part(&callee.out).is_some_and(|size| size > 500_000);
        (some || told(&callee, "large.bin", "done").is_some()).then_some(())
    });
    caller.say("restart");
    std::thread::sleep(Duration::from_millis(200));
    callee.say("restart");
    caller.say("chat still here");
    for path in &sources {
        let name = path.file_name().unwrap().to_str().unwrap();
        let there = arrived(&callee, &caller, name);
        assert!(fs::read(there).unwrap() == fs::read(path).unwrap(), "{name} is another one");
    }
    let there = arrived(&caller, &callee, "large.bin");
    assert!(fs::read(&there).unwrap() == fs::read(&large).unwrap(), "large.bin is another one");
    assert_eq!(there.parent().unwrap(), callee.out.join("files"));
    wait_for("the text", || Some(said(&callee, "remote")).filter(|said| said.len() == 2));
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
}

/// Bytes of a file that is not whole yet.
fn part(out: &Path) -> Option<u64> {
    let entries = fs::read_dir(out.join("files")).ok()?;
    let part = entries
        .flatten()
        .find(|entry| entry.path().extension().is_some_and(|ext| ext == "sightline-part"))?;
    Some(part.metadata().ok()?.len())
}

/// Long enough on its way to be stopped there, however late one looks.
const LARGE: usize = 120_000_000;

#[test]
fn a_file_goes_on_where_it_broke_off_after_the_receiver_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let flags = ["--no-video", "--audio", "none"];
    let (mut caller, mut callee) = call(folder.path(), &server, &flags);
    wait_for_channels([&mut caller, &mut callee]);
    let large = file(folder.path(), "large.bin", LARGE);
    callee.say(&format!("send {}", large.display()));
    wait_for("a part of the file", || part(&caller.out).filter(|size| *size > 4_000_000));
    caller.stop();
    let there = part(&caller.out).expect("the part is there");
    drop(caller);
    assert_eq!(part(&folder.path().join("caller")), Some(there), "the part stays");

    // A room has two places, and the server keeps that of somebody who vanished; so both begin anew.
    callee.hang_up();
    server.kill();
    server.restart();
    // Or what was said the first time is taken for the second.
    for role in ["caller", "callee"] {
        fs::remove_file(folder.path().join(role).join("events.jsonl")).unwrap();
    }
    let (mut caller, mut callee) = call(folder.path(), &server, &flags);
    wait_for_channels([&mut caller, &mut callee]);
    callee.say(&format!("send {}", large.display()));
    let moving = wait_for("the rest", || {
        told(&caller, "large.bin", "moving").or_else(|| told(&caller, "large.bin", "checking"))
    });
    assert!(moving["moved"].as_u64().unwrap() >= there, "{moving} after {there}");
    let done = wait_for("all of it", || told(&caller, "large.bin", "done"));
    let path = PathBuf::from(done["path"].as_str().unwrap());
    assert!(fs::read(path).unwrap() == fs::read(&large).unwrap(), "large.bin is another one");
    println!("{there} of {LARGE} bytes were kept");
    caller.hang_up();
    callee.hang_up();
}
