//! The sound of a shared screen through a whole call: in stereo, beside the voice, and only while it is
//! shared.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use sightline::clock;

use crate::support::{Probe, Server, call, clip, wait_for};

/// What the screen plays, on its left.
const HZ: f64 = 2_000.0;

/// A second of it as a WAV file.
fn write_left(path: &Path) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..48_000 {
        let sample = (std::f64::consts::TAU * HZ * f64::from(n) / 48_000.0).sin() * 0.3;
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
        writer.write_sample(0i16).unwrap();
    }
    writer.finalize().unwrap();
}

/// Left and right of what a probe has heard.
fn heard(probe: &Probe) -> [Vec<f32>; 2] {
    let mut reader = hound::WavReader::open(probe.out.join("audio.wav")).unwrap();
    assert_eq!(reader.spec().channels, 2);
    let samples: Vec<f32> = reader.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
    [0, 1].map(|side| samples.iter().skip(side).step_by(2).copied().collect())
}

fn sound_of_screen(probe: &Probe, kind: &str) -> Option<Value> {
    let of_screen = |entry: &Value| {
        entry["type"] == kind && entry["kind"] == "audio" && entry["contentType"] == "screenshare"
    };
    probe.last_stats().into_iter().find(of_screen)
}

#[test]
fn the_sound_of_a_screen_is_heard_on_its_side_and_the_voice_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let file = folder.path().join("left.wav");
    write_left(&file);
    let flags = ["--size", "320x180", "--share-sound", file.to_str().unwrap()];
    let (mut caller, mut callee) = call(folder.path(), &server, &flags);
    wait_for("first sound", || callee.event("first_audio"));
    caller.say("share pattern:640x360 motion sound");
    let loud = wait_for("the sound of the screen", || {
        let stats = sound_of_screen(&callee, "inbound-rtp")?;
        (stats["audioLevel"].as_f64()? > 0.1).then_some(stats)
    });
    assert!(loud["packetsReceived"].as_u64().unwrap() > 0, "{loud}");
    std::thread::sleep(Duration::from_secs(3));
    let sent = sound_of_screen(&caller, "outbound-rtp").expect("it is counted");
    assert!(sent["targetBitrate"].as_f64().unwrap() >= 32_000.0, "{sent}");
    assert!(sound_of_screen(&callee, "outbound-rtp").is_none(), "only one side shares");
    // When something was counted, and how much had come.
    let counted_after = |time: f64| {
        wait_for("statistics", || {
            let stats = sound_of_screen(&callee, "inbound-rtp")?;
            let at = stats["timestamp"].as_f64().filter(|at| *at > time)?;
            Some((at, stats["packetsReceived"].as_u64()?))
        })
    };
    let comes = |wanted: bool| {
        let (at, before) = counted_after(clock::unix_ms());
        ((counted_after(at).1 > before) == wanted).then_some(())
    };
    caller.say("sound off");
    wait_for("the end of it", || comes(false));
    caller.say("sound on");
    wait_for("it again", || comes(true));
    caller.say("unshare");
    wait_for("the end of it with the screen", || comes(false));
    assert!(caller.hang_up().success(), "{}", caller.stderr());
    assert!(callee.hang_up().success(), "{}", callee.stderr());

    let sides = heard(&callee);
    let best = |side: usize, hz| {
        let parts = sides[side].chunks_exact(12_000).map(|part| clip::power_at(part, 48_000, hz));
        parts.fold(0.0, f64::max)
    };
    println!(
        "left: {:.3} of the screen; right: {:.6} of the screen, {:.3} of the voice",
        best(0, HZ),
        best(1, HZ),
        best(1, 440.0)
    );
    assert!(best(0, HZ) > 0.55, "the screen is heard on the left");
    assert!(best(1, HZ) < 0.01, "and not on the right");
    assert!(best(1, 440.0) > 0.9, "where the voice is heard");
    let tail = |side: usize| &sides[side][sides[side].len() - 24_000..];
    assert!(clip::power_at(tail(0), 48_000, HZ) < 0.01, "and no more when it is not shared");
    let backwards = heard(&caller);
    let most =
        backwards[0].chunks_exact(12_000).map(|part| clip::power_at(part, 48_000, HZ)).fold(0.0, f64::max);
    assert!(most < 0.01, "who shares does not hear it come back");
}
