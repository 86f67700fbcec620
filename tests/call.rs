//! Whole calls between real processes over a real server on loopback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "call/crash.rs"]
mod crash;
#[path = "call/screen_sound.rs"]
mod screen_sound;
mod support;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use sightline::record::What;
use sightline::record::read;
use support::{Probe, Server, call, clip, wait_for};

/// Long enough for pictures and sound to settle.
const TALK: Duration = Duration::from_secs(5);

fn shown(probe: &Probe) -> Vec<(f64, i64, String)> {
    probe.frames("ren.log")
}

/// What everybody expects of a call: pictures in order without a freeze, and the tone.
#[track_caller]
fn assert_seen_and_heard(probe: &Probe) {
    let pictures = shown(probe);
    assert!(pictures.len() > 60, "only {} pictures were shown", pictures.len());
    let unreadable = pictures.iter().filter(|(_, marker, _)| *marker < 0).count();
    assert!(unreadable * 50 < pictures.len(), "{unreadable} of {} markers cannot be read", pictures.len());
    let (sound, rate) = clip::read_wav(&probe.out.join("audio.wav"));
    // A second of quarters that have no beep in them and no break of a busy computer.
    let mut quarters: Vec<f64> =
        sound.chunks_exact(rate as usize / 4).map(|part| clip::power_at(part, rate, 440.0)).collect();
    quarters.sort_by(f64::total_cmp);
    let fourth = quarters.iter().rev().nth(3).copied().unwrap_or_default();
    assert!(fourth > 0.9, "only {:.0} % of the sound's power is the tone's", fourth * 100.0);
}

/// Talks until pictures and sound have settled, and enough was seen at each side.
fn talk(probes: [&Probe; 2]) {
    std::thread::sleep(TALK);
    for probe in probes {
        wait_for("sixty pictures", || (shown(probe).len() > 60).then_some(()));
    }
}

/// The longest time without a new picture since `since` (unix ms), in ms.
fn longest_gap(probe: &Probe, since: f64) -> f64 {
    let times: Vec<f64> = shown(probe).into_iter().map(|(t, ..)| t).filter(|t| *t > since).collect();
    let first = times.first().map_or(f64::INFINITY, |first| first - since);
    times.windows(2).map(|two| two[1] - two[0]).fold(first, f64::max)
}

/// How much later the sound comes than the picture, in ms (median of a call's beeps), heard and seen at
/// `probe`. The tone beeps at every whole second; the time of the first sound dates the recording.
fn sound_after_picture(probe: &Probe, sender: &Probe) -> f64 {
    let captured: HashMap<i64, f64> = sender.frames("cap.log").into_iter().map(|(t, n, _)| (n, t)).collect();
    let delays = shown(probe).into_iter().filter_map(|(t, n, _)| Some(t - captured.get(&n)?));
    let picture = median(delays.skip(60).collect());
    let (sound, rate) = clip::read_wav(&probe.out.join("audio.wav"));
    let first = sound.iter().position(|sample| *sample != 0.0).unwrap();
    let started = probe.event("first_audio").unwrap()["t"].as_f64().unwrap();
    let heard = |at: usize| started + (at as f64 - first as f64) / f64::from(rate) * 1e3;
    // The first two seconds are those in which the jitter buffer finds its depth.
    let late = clip::beeps(&sound, rate).into_iter().filter(|at| *at > first + 2 * rate as usize);
    let sound = median(late.map(|at| heard(at).rem_euclid(1e3)).collect());
    println!("{}: picture after {picture:.0} ms, sound after {sound:.0} ms", probe.out.display());
    sound - picture
}

fn median(mut values: Vec<f64>) -> f64 {
    assert!(!values.is_empty());
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn pair_types(probe: &Probe) -> (String, String) {
    let pair = wait_for("selected pair", || probe.event("selected_pair"));
    let kind = |end: &str| pair[end]["type"].as_str().unwrap().to_owned();
    (kind("local"), kind("remote"))
}

fn stat<'a>(stats: &'a [Value], kind: &str, media: &str) -> &'a Value {
    let found =
        stats.iter().find(|entry| entry["type"] == kind && (media.is_empty() || entry["kind"] == media));
    found.unwrap_or_else(|| panic!("no {kind} {media} among {} objects", stats.len()))
}

#[test]
fn two_probes_see_and_hear_each_other_directly() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (mut caller, mut callee) = call(folder.path(), &server, &["--size", "640x360"]);
    wait_for("first picture", || caller.event("first_frame"));
    wait_for("first picture", || callee.event("first_frame"));
    talk([&caller, &callee]);
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
    for probe in [&caller, &callee] {
        assert_seen_and_heard(probe);
        assert_eq!(pair_types(probe), ("host".into(), "host".into()));
        let stats = probe.last_stats();
        assert!(stat(&stats, "inbound-rtp", "video")["framesDecoded"].as_u64().unwrap() > 60);
        assert!(stat(&stats, "inbound-rtp", "audio")["packetsReceived"].as_u64().unwrap() > 100);
        assert!(stat(&stats, "outbound-rtp", "video")["bytesSent"].as_u64().unwrap() > 10_000);
        let round_trip = stat(&stats, "remote-inbound-rtp", "audio")["roundTripTime"].as_f64().unwrap();
        assert!((0.0..2.0).contains(&round_trip), "{round_trip}");
    }
    for (probe, sender) in [(&caller, &callee), (&callee, &caller)] {
        // ITU-R BT.1359: from 125 ms too late on (45 ms too early) people notice it.
        let late = sound_after_picture(probe, sender);
        assert!((-45.0..125.0).contains(&late), "the sound comes {late:.0} ms after the picture");
    }
    let offer = caller.event("offer_sent").unwrap()["bytes"].as_u64().unwrap();
    assert!(offer < 2_000, "the offer has {offer} bytes");
}

/// Freezes in a log of pictures by the definition of W3C `freezeCount`: gaps over max(3 x mean gap,
/// mean gap + 150 ms), the mean over the last 30; and their seconds.
fn freezes(pictures: &[(f64, i64, String)]) -> (u64, f64) {
    let gaps: Vec<f64> = pictures.windows(2).map(|two| two[1].0 - two[0].0).collect();
    let frozen = |(n, gap): (usize, &f64)| {
        let before = &gaps[n.saturating_sub(30)..n];
        let mean = before.iter().sum::<f64>() / before.len() as f64;
        (!before.is_empty() && *gap > (3.0 * mean).max(mean + 150.0)).then_some(*gap)
    };
    let found: Vec<f64> = gaps.iter().enumerate().filter_map(frozen).collect();
    (found.len() as u64, found.iter().sum::<f64>() / 1e3)
}

#[test]
fn freezes_in_the_statistics_are_those_in_the_log_of_shown_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (mut caller, mut callee) = call(folder.path(), &server, &["--size", "640x360"]);
    wait_for("first picture", || caller.event("first_frame"));
    std::thread::sleep(Duration::from_secs(2));
    for _ in 0..2 {
        callee.freeze(Duration::from_millis(800));
        std::thread::sleep(Duration::from_millis(1_800));
    }
    let stats = caller.last_stats();
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    callee.hang_up();
    let video = stat(&stats, "inbound-rtp", "video");
    let until = video["timestamp"].as_f64().unwrap();
    let pictures: Vec<_> = shown(&caller).into_iter().filter(|(t, ..)| *t <= until).collect();
    let (count, seconds) = freezes(&pictures);
    let said = (video["freezeCount"].as_u64().unwrap(), video["totalFreezesDuration"].as_f64().unwrap());
    println!("the log has {count} freezes of {seconds:.3} s, the statistics {} of {:.3} s", said.0, said.1);
    assert!(count >= 2, "the other side stood still twice");
    assert_eq!(said.0, count);
    assert!((said.1 - seconds).abs() < 0.1, "{said:?}");
    let rendered = video["framesRendered"].as_u64().unwrap();
    assert!(rendered.abs_diff(pictures.len() as u64) <= 2, "{rendered} of {}", pictures.len());
}

#[test]
fn encoding_and_decoding_take_the_time_in_which_their_threads_run() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (mut caller, mut callee) = call(folder.path(), &server, &["--size", "640x360"]);
    wait_for("first picture", || caller.event("first_frame"));
    std::thread::sleep(TALK);
    // The threads also scale, convert and read markers, so they run longer than the codecs; those wait for
    // a processor as well.
    for (kind, total, thread) in
        [("outbound-rtp", "totalEncodeTime", "enc"), ("inbound-rtp", "totalDecodeTime", "dec-")]
    {
        let read = || stat(&caller.last_stats(), kind, "video")[total].as_f64().unwrap();
        let said = read();
        let (ran, waited) = caller.processor_time(thread);
        println!("{total} is {said:.3} s, its thread has run for {ran:.3} s and waited {waited:.3} s");
        assert!(said > 0.3 * ran && said < ran + waited + 0.2, "{total} is {said} s, {ran} s are run");
    }
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    callee.hang_up();
}

#[test]
fn the_record_of_a_call_is_read_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (mut caller, mut callee) = call(folder.path(), &server, &["--no-video"]);
    for probe in [&caller, &callee] {
        wait_for("first sound", || probe.event("first_audio"));
        wait_for("statistics", || Some(probe.last_stats()).filter(|stats| !stats.is_empty()));
    }
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
    for (probe, other) in [(&caller, &callee), (&callee, &caller)] {
        let lines = |name: &str| std::fs::read_to_string(probe.out.join(name)).unwrap().lines().count();
        let mut entries = Vec::new();
        let broken = read::visit(&probe.out.join("session.jsonl"), |entry| entries.push(entry)).unwrap();
        assert_eq!(broken, None);
        assert_eq!(entries.len(), lines("events.jsonl") + lines("stats.jsonl"));
        let sessions = entries.iter().filter(|entry| matches!(entry.what, What::Session(_))).count();
        assert_eq!((sessions, entries.last().map(|entry| entry.what.name())), (1, Some("bye")));
        let unknown = entries.iter().find(|entry| matches!(entry.what, What::Other(_)));
        assert_eq!(unknown, None, "a line that its own reader does not know");
        // Whose connection it is stands in every line about one.
        let peers = entries.iter().filter_map(|entry| entry.of.peer.as_deref());
        let mut peers: Vec<&str> = peers.collect();
        peers.sort_unstable();
        peers.dedup();
        assert_eq!(peers.len(), 1, "{peers:?} beside {}", other.out.display());
        let nameless = entries.iter().find(|entry| {
            matches!(entry.what, What::Stats(_) | What::Connection { .. }) && entry.of.peer.is_none()
        });
        assert_eq!(nameless, None);
    }
}

#[test]
fn a_call_by_relay_only_goes_through_the_servers_own_turn() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let more = ["--size", "640x360", "--ice-policy", "relay"];
    let (mut caller, mut callee) = call(folder.path(), &server, &more);
    wait_for("first picture", || caller.event("first_frame"));
    wait_for("first picture", || callee.event("first_frame"));
    talk([&caller, &callee]);
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
    for probe in [&caller, &callee] {
        assert_seen_and_heard(probe);
        let (local, _) = pair_types(probe);
        assert_eq!(local, "relay");
    }
}

#[test]
fn a_file_arrives_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let file = folder.path().join("clip.y4m");
    clip::write_y4m(&file);
    let more = ["--video", file.to_str().unwrap(), "--dump-ms", "200"];
    let (mut caller, mut callee) = call(folder.path(), &server, &more);
    let dumped = || -> Vec<_> {
        let all = std::fs::read_dir(callee.out.join("frames")).into_iter().flatten().flatten();
        let paths = all.map(|entry| entry.path());
        paths.filter(|path| path.to_str().is_some_and(|path| path.ends_with("_640x360.i420"))).collect()
    };
    std::thread::sleep(TALK);
    wait_for("five pictures of full size", || (dumped().len() >= 5).then_some(()));
    let dumped = dumped();
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());

    let mut quality: Vec<f64> = Vec::new();
    for path in dumped {
        let bytes = std::fs::read(&path).unwrap();
        let number = clip::read_marker(&bytes).expect("the marker of a dumped picture can be read");
        quality.push(clip::psnr(&bytes, clip::picture(number).bytes()));
    }
    quality.sort_by(f64::total_cmp);
    let median = quality[quality.len() / 2];
    assert!(median > 32.0, "the pictures' median PSNR is {median:.1} dB");
}

#[test]
fn a_call_outlives_the_server_and_the_session_goes_on_when_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let (mut caller, mut callee) = call(folder.path(), &server, &["--size", "640x360"]);
    wait_for("first picture", || callee.event("first_frame"));
    std::thread::sleep(Duration::from_secs(2));
    let killed = sightline::clock::unix_ms();
    server.kill();
    std::thread::sleep(Duration::from_secs(5));
    server.restart();
    let resumed = |probe: &Probe| {
        let found = |event: &Value| event["ev"] == "signaling" && event["state"] == "resumed";
        probe.events().iter().any(found).then_some(())
    };
    wait_for("resumed session", || resumed(&caller));
    wait_for("resumed session", || resumed(&callee));
    std::thread::sleep(Duration::from_secs(2));
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
    for probe in [&caller, &callee] {
        // Whatever needs the server would stand still for the five seconds of its death.
        let gap = longest_gap(probe, killed);
        println!("the longest gap around the server's death: {gap:.0} ms");
        assert!(gap < 2_500.0, "no picture for {gap:.0} ms");
        assert!(probe.event("bye").is_some());
    }
}

#[test]
fn a_call_over_the_servers_relay_recovers_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let (mut caller, mut callee) =
        call(folder.path(), &server, &["--size", "640x360", "--ice-policy", "relay"]);
    wait_for("first picture", || callee.event("first_frame"));
    std::thread::sleep(Duration::from_secs(2));
    server.kill();
    std::thread::sleep(Duration::from_secs(2));
    server.restart();
    let back = sightline::clock::unix_ms();
    wait_for("picture after the server came back", || {
        shown(&callee).last().filter(|(t, ..)| *t > back).map(drop)
    });
    wait_for("picture after the server came back", || {
        shown(&caller).last().filter(|(t, ..)| *t > back).map(drop)
    });
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
}

#[test]
fn a_third_person_is_told_that_the_room_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let quiet = ["--video", "none", "--audio", "tone"];
    let (_caller, callee) = call(folder.path(), &server, &quiet);
    wait_for("first sound", || callee.event("first_audio"));
    let third = folder.path().join("third");
    std::fs::create_dir_all(&third).unwrap();
    let mut third = Probe::spawn(&third, &server.url(), "caller", &quiet);
    wait_for("welcome", || third.event("ws_open"));
    third.say("call");
    assert_eq!(third.wait().code(), Some(4));
    assert!(third.stderr().contains("full"), "{}", third.stderr());
}

#[test]
fn wrong_arguments_a_missing_server_and_a_missing_room_each_have_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let url = server.url();
    let cases: [(&str, &[&str], i32, &str); 7] = [
        ("ftp://nowhere", &[], 2, "ftp"),
        (&url, &["--size", "99999x3"], 2, "99999x3"),
        (&url, &["--turn", "turn:127.0.0.1:1"], 2, "--turn-user"),
        (&url, &["--tls-ca", "/does/not/exist.pem"], 2, "/does/not/exist.pem"),
        (&url, &["--video", "/does/not/exist.y4m"], 2, "/does/not/exist.y4m"),
        (&url, &["--max-bitrate", "1"], 2, "--max-bitrate"),
        ("ws://127.0.0.1:1/", &[], 3, "127.0.0.1:1"),
    ];
    for (number, (server, more, code, word)) in cases.into_iter().enumerate() {
        let folder = folder.path().join(number.to_string());
        let mut probe = Probe::spawn(&folder, server, "caller", more);
        assert_eq!(probe.wait().code(), Some(code), "{more:?}: {}", probe.stderr());
        assert!(probe.stderr().contains(word), "{more:?}: {}", probe.stderr());
    }
    let mut probe = Probe::spawn(&folder.path().join("alone"), &url, "caller", &[]);
    wait_for("welcome", || probe.event("ws_open"));
    probe.say("call");
    assert_eq!(probe.wait().code(), Some(4));
    assert!(probe.stderr().contains("no such room"), "{}", probe.stderr());
}

/// The last `share` event of a side with a state.
fn share_event(probe: &Probe, side: &str, state: &str, nth: usize) -> Option<Value> {
    let of = |event: &Value| event["ev"] == "share" && event["side"] == side && event["state"] == state;
    probe.events().into_iter().filter(of).nth(nth)
}

/// What was shown of the other's screen since `since`: all of it readable, none of it the camera.
#[track_caller]
fn assert_screen_seen(viewer: &Probe, sharer: &Probe, since: f64, watched: bool) {
    let shown = wait_for("pictures of the screen", || {
        let shown: Vec<_> = viewer.frames("ren-share.log").into_iter().filter(|(t, ..)| *t > since).collect();
        (shown.len() > 10).then_some(shown)
    });
    let captured: HashMap<i64, f64> =
        sharer.frames("cap-share.log").into_iter().map(|(t, n, _)| (n, t)).collect();
    let readable = shown.iter().filter(|(_, marker, _)| captured.contains_key(marker)).count();
    let delays = shown.iter().filter_map(|(t, n, _)| Some(t - captured.get(n)?)).collect();
    println!("{} pictures of the screen, {readable} readable, after {:.0} ms", shown.len(), median(delays));
    assert!(readable * 10 >= shown.len() * 9, "{readable} of {} markers can be read", shown.len());
    // A screen that is watched may become smaller, one that is read not.
    assert!(watched || shown.iter().all(|(_, _, size)| size == "960x540"), "another size");
}

#[test]
fn both_show_their_screens_during_a_call_stop_move_and_show_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let (mut caller, mut callee) = call(folder.path(), &server, &["--size", "320x180"]);
    wait_for("first picture", || caller.event("first_frame"));
    wait_for("first picture", || callee.event("first_frame"));
    let begun = sightline::clock::unix_ms();
    for probe in [&mut caller, &mut callee] {
        probe.say("share pattern:960x540");
    }
    for probe in [&caller, &callee] {
        let shown = wait_for("the other's screen", || share_event(probe, "remote", "shown", 0));
        println!("a screen is seen {:.0} ms after the command", shown["t"].as_f64().unwrap() - begun);
        let sent = wait_for("own screen sent", || share_event(probe, "local", "sent", 0));
        assert_eq!(sent["codec"], "VP9");
    }
    std::thread::sleep(TALK);
    assert_screen_seen(&caller, &callee, begun, false);
    assert_screen_seen(&callee, &caller, begun, false);
    let stats = caller.last_stats();
    let screen =
        stats.iter().find(|entry| entry["contentType"] == "screenshare" && entry["type"] == "inbound-rtp");
    let screen = screen.expect("statistics of the other's screen");
    assert!(screen["framesDecoded"].as_u64().unwrap() > 10);
    assert_eq!(screen["frameWidth"].as_u64(), Some(960));

    // One stops; the other's goes on while the path is looked for anew.
    callee.say("unshare");
    wait_for("an end", || share_event(&callee, "local", "ended", 0));
    callee.say("restart");
    let moved = sightline::clock::unix_ms();
    let mut seen = 0;
    let ended = wait_for("the end of what moves", || {
        std::thread::sleep(Duration::from_secs(1));
        let before = std::mem::replace(&mut seen, caller.frames("ren-share.log").len());
        (before == seen).then_some(seen)
    });
    std::thread::sleep(Duration::from_secs(2));
    assert_screen_seen(&callee, &caller, moved, false);
    let after = caller.frames("ren-share.log").len();
    assert_eq!(after, ended, "a screen that is not shared any more is seen");

    let again = sightline::clock::unix_ms();
    callee.say("share pattern:960x540 motion");
    wait_for("the other's screen again", || share_event(&caller, "remote", "shown", 1));
    std::thread::sleep(Duration::from_secs(2));
    assert_screen_seen(&caller, &callee, again, true);
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());
    for probe in [&caller, &callee] {
        let pictures = shown(probe);
        assert!(pictures.iter().all(|(_, _, size)| size != "960x540"), "the screen is not the camera");
    }
}
