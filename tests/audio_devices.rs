//! Microphone and speaker on a real sound server: a PulseAudio of our own with devices that exist
//! in memory only. Speech goes in at one end and is found at the other.
//!
//! Has its own `main`, since the server's address must be in the environment before anything
//! looks for it: the first run starts the server and runs this program again inside.

#[path = "support/pulseaudio.rs"]
mod pulseaudio;
#[path = "support/sentences.rs"]
mod sentences;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use sentences::Test;
use tokio::sync::mpsc;

use sightline::clock;
use sightline::media::devices::{DeviceWatch, Devices, Follow};
use sightline::media::encoded::{Codec, EncodedFrame, TrackKind};
use sightline::media::playout::{Playout, PlayoutEvent};
use sightline::media::process::ProcessingConfig;
use sightline::media::send_audio::AudioSend;
use sightline::media::sink::speaker::Speaker;
use sightline::media::source::microphone::Microphone;
use sightline::media::{AudioSource, DeviceError, FrameSink, RemotePacket};

/// Set in the runs inside: which tests.
const INSIDE: &str = "SIGHTLINE_TEST_SOUND";

/// Those on the server; the others have none.
const WITH_SERVER: &str = "with";

/// Nothing takes this long, on a busy computer either.
const PATIENCE: Duration = Duration::from_secs(30);

/// The two microphones hear what is played into `air`; `spk` is what our application plays to.
const SERVER: &str = "
load-module module-null-sink sink_name=air rate=48000 channels=1
load-module module-null-sink sink_name=spk rate=48000 sink_properties=device.description=TestSpeaker
load-module module-null-sink sink_name=spk2 rate=48000 sink_properties=device.description=OtherSpeaker
load-module module-remap-source source_name=mic master=air.monitor source_properties=device.description=TestMicrophone
load-module module-remap-source source_name=mic2 master=air.monitor source_properties=device.description=OtherMicrophone
set-default-sink spk
set-default-source mic
";

fn main() -> ExitCode {
    if let Ok(tests) = std::env::var(INSIDE) {
        let tests = if tests == WITH_SERVER { TESTS } else { TESTS_WITHOUT_SERVER };
        return sentences::run("sound devices", tests);
    }
    let installed = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    if let Some(missing) = ["pulseaudio", "pactl", "parec", "paplay"].iter().find(|p| !installed(p)) {
        println!(
            "sound devices: skipped {} tests, {missing} is not installed",
            TESTS.len() + TESTS_WITHOUT_SERVER.len()
        );
        return ExitCode::SUCCESS;
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let server = Server::start(folder.path());
    let this = std::env::current_exe().expect("a running program has a path");
    let run = |tests: &str, socket: &str| {
        let status = Command::new(&this)
            .env(INSIDE, tests)
            .env("PULSE_SERVER", format!("unix:{}/{socket}", folder.path().display()))
            .env("XDG_RUNTIME_DIR", folder.path())
            // No sound card of the machine itself is to be seen.
            .env("ALSA_CONFIG_PATH", "/dev/null")
            .status();
        status.expect("this program can be run again").success()
    };
    let passed = [run(WITH_SERVER, "native"), run("without", "none")];
    drop(server);
    if passed == [true, true] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const TESTS: &[Test] = &[
    ("devices_have_names_for_people_and_monitors_are_not_shown", devices_are_listed),
    ("speech_before_the_microphone_arrives_in_time_and_whole", speech_is_captured),
    ("speech_goes_from_the_microphone_through_a_call_to_the_speaker", speech_goes_through),
    ("the_delay_of_the_speaker_is_the_one_that_is_counted", delay_of_the_speaker_is_counted),
    ("a_microphone_that_is_unplugged_is_seen_and_the_next_takes_over", microphone_is_unplugged),
    ("a_speaker_that_is_unplugged_is_seen_and_the_next_takes_over", speaker_is_unplugged),
    ("when_the_sound_server_dies_both_are_told_and_the_call_goes_on", sound_server_dies),
];

const TESTS_WITHOUT_SERVER: &[Test] =
    &[("without_any_sound_system_devices_are_called_missing", nothing_is_there)];

struct Server(Child);

impl Server {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("native");
        let log = fs::File::create(folder.join("log")).expect("the temporary folder can be written");
        let child = pulseaudio::server(folder, &socket, SERVER)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("pulseaudio is installed");
        let server = Self(child);
        let ready = || {
            let pactl = Command::new("pactl")
                .env("PULSE_SERVER", format!("unix:{}", socket.display()))
                .args(["list", "short", "sources"])
                .output();
            pactl.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("mic2"))
        };
        wait_until("the sound server is up", ready);
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A program that runs as long as the test needs it.
struct Helper(Child);

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = clock::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn pactl(args: &[&str]) -> String {
    let output = Command::new("pactl").args(args).output().expect("pactl is installed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Unplugs the device whose module was loaded with this argument.
fn unplug(argument: &str) {
    let modules = pactl(&["list", "short", "modules"]);
    let line = modules.lines().find(|line| line.split([' ', '\t']).any(|word| word == argument));
    let index = line.and_then(|line| line.split('\t').next()).expect("the device was plugged in");
    pactl(&["unload-module", index]);
}

/// Plugs the device in again.
fn plug(arguments: &[&str]) {
    pactl(&[&["load-module"], arguments].concat());
}

const MIC: &[&str] = &[
    "module-remap-source",
    "source_name=mic",
    "master=air.monitor",
    "source_properties=device.description=TestMicrophone",
];

/// Keeps a source awake: an idle one delivers in bursts of two seconds.
fn keep_awake(source: &str) -> Helper {
    let child = Command::new("parec")
        .args(["-d", source, "--latency-msec=10", "--format=s16le", "--rate=48000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Helper(child.expect("parec is installed"))
}

/// Something like speech: syllables of changing pitch and noise, never the same twice.
fn speech(seconds: usize) -> Vec<f32> {
    let mut random = 0x1234_5678_9abc_def1u64;
    let mut noise = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let (mut pitch, mut phase, mut low) = (140.0f32, 0.0f32, 0.0f32);
    (0..seconds * 48_000)
        .map(|n| {
            let into = n % 9_600;
            if into == 0 {
                pitch = 120.0 + 80.0 * noise().abs();
            }
            phase = (phase + pitch * (1.0 + into as f32 / 30_000.0) / 48_000.0).fract();
            let buzz: f32 =
                (1..12).map(|k| (std::f32::consts::TAU * phase * k as f32).sin() / k as f32).sum();
            low += (noise() - low) * 0.3;
            let loud = (std::f32::consts::PI * into as f32 / 9_600.0).sin();
            (0.12 * buzz + 0.1 * low) * loud
        })
        .collect()
}

fn as_bytes(samples: &[f32]) -> Vec<u8> {
    samples.iter().flat_map(|s| ((s * 32_767.0) as i16).to_le_bytes()).collect()
}

/// Plays before the microphones, once, in real time.
fn say(samples: &[f32]) -> Helper {
    let mut child = Command::new("paplay")
        .args(["-d", "air", "--raw", "--format=s16le", "--rate=48000", "--channels=1", "--latency-msec=20"])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("paplay is installed");
    let mut input = child.stdin.take().expect("it was asked for");
    let bytes = as_bytes(samples);
    thread::Builder::new()
        .name("say".to_owned())
        .spawn(move || input.write_all(&bytes).ok())
        .expect("a thread can be made");
    Helper(child)
}

/// Every sixth sample, smoothed: enough to recognise speech, and quick to compare.
fn coarse(samples: &[f32]) -> Vec<f32> {
    samples.chunks_exact(6).map(|piece| piece.iter().sum::<f32>() / 6.0).collect()
}

/// How well each half second of `said` is found in `heard`: the median of the best correlations.
fn found(said: &[f32], heard: &[f32]) -> f32 {
    let (said, heard) = (coarse(said), coarse(heard));
    let best = |piece: &[f32]| {
        let power: f32 = piece.iter().map(|s| s * s).sum();
        let at = |offset: usize| {
            let other = &heard[offset..offset + piece.len()];
            let (mut ab, mut bb) = (0.0, 1e-6);
            for (a, b) in piece.iter().zip(other) {
                ab += a * b;
                bb += b * b;
            }
            ab / (power * bb).sqrt()
        };
        (0..heard.len().saturating_sub(piece.len())).map(at).fold(0.0, f32::max)
    };
    let mut found: Vec<f32> = said.chunks_exact(4_000).map(best).collect();
    found.sort_by(f32::total_cmp);
    found[found.len() / 2]
}

fn capture(microphone: &mut Microphone, limit: Duration) -> Result<(Vec<f32>, Vec<Instant>), DeviceError> {
    let end = clock::now() + limit;
    let (mut samples, mut times) = (Vec::new(), Vec::new());
    while clock::now() < end {
        if let Some(block) = microphone.next_block(Duration::from_millis(50))? {
            samples.extend(block.samples);
            times.push(block.captured_at);
        }
    }
    Ok((samples, times))
}

fn devices_are_listed() {
    let devices = Devices::list();
    let ids: Vec<&str> = devices.microphones.iter().map(|device| device.id.as_str()).collect();
    assert_eq!(ids, ["pulseaudio:mic", "pulseaudio:mic2"], "the default first, no monitors");
    assert_eq!(devices.microphones[0].name, "TestMicrophone");
    assert_eq!(devices.speakers[0].id, "pulseaudio:spk");
    assert_eq!(devices.speakers[0].name, "TestSpeaker");
}

fn speech_is_captured() {
    let _awake = keep_awake("mic");
    let mut microphone = Microphone::open(Some("pulseaudio:mic")).expect("the microphone opens");
    assert_eq!(microphone.name(), "TestMicrophone");
    capture(&mut microphone, Duration::from_millis(500)).expect("it runs");
    let said = speech(3);
    repeated(0.95, || {
        let _voice = say(&said);
        let (heard, times) = capture(&mut microphone, Duration::from_secs(5)).expect("it runs on");
        let dropped = microphone.dropped_samples();
        let mut steps: Vec<Duration> = times.windows(2).map(|two| two[1] - two[0]).collect();
        steps.sort();
        let step = steps[steps.len() / 2].as_secs_f64();
        println!("  microphone: blocks of {:.2} ms, {dropped} samples were too old", step * 1e3);
        assert!((step - 0.01).abs() < 0.0002, "capture times say {step} s for 10 ms");
        found(&said, &heard)
    });
}

/// Tries until the correlation is good enough; a busy computer makes holes in sound now and then.
fn repeated(wanted: f32, mut correlation: impl FnMut() -> f32) {
    for _ in 0..3 {
        let found = correlation();
        println!("  speech found with correlation {found:.3}");
        if found > wanted {
            return;
        }
    }
    panic!("the speech is not found as well as {wanted}");
}

/// Joins a microphone to a speaker as two ends of a call would be, without a network between.
fn call(microphone: Microphone, speaker: Speaker) -> (AudioSend, Playout, Receiver<PlayoutEvent>) {
    let (packets, inbox) = mpsc::channel(100);
    let (events, told) = sync_channel(100);
    let playout = Playout::spawn(Box::new(speaker), move |event| drop(events.try_send(event)))
        .expect("a thread can be made");
    playout.add_track("other", inbox);
    let sequence = std::sync::atomic::AtomicU16::new(0);
    let out: FrameSink = Arc::new(move |frame: EncodedFrame| {
        let packet = RemotePacket {
            kind: TrackKind::Audio,
            codec: Codec::Opus,
            sequence: sequence.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
            timestamp: frame.time.rtp(),
            marker: false,
            ssrc: 1,
            payload: frame.payload,
            arrived_at: clock::now(),
        };
        packets.try_send(packet).ok();
    });
    let far_end = playout.far_end();
    let send = AudioSend::spawn(Box::new(microphone), ProcessingConfig::OFF, far_end, out, |_| ());
    (send.expect("a thread can be made"), playout, told)
}

fn speech_goes_through() {
    let _awake = keep_awake("mic");
    let _other = keep_awake("spk.monitor");
    let microphone = Microphone::open(None).expect("the default microphone opens");
    let speaker = Speaker::open(None).expect("the default speaker opens");
    let (send, playout, told) = call(microphone, speaker);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("heard.raw");
    let file = fs::File::create(&path).expect("the temporary folder can be written");
    let recorder = Command::new("parec")
        .args(["-d", "spk.monitor", "--latency-msec=10", "--format=s16le", "--rate=48000", "--channels=1"])
        .stdout(file)
        .stderr(Stdio::null())
        .spawn();
    let _recorder = Helper(recorder.expect("parec is installed"));
    let said = speech(4);
    let size = || fs::metadata(&path).map_or(0, |file| file.len());
    // Opus and the jitter buffer's stretching cost some; what is not the speech is near zero.
    repeated(0.7, || {
        let before = size();
        let _voice = say(&said);
        wait_until("speech is over", || size() > before + 6 * 96_000);
        let bytes = fs::read(&path).expect("it was written");
        let bytes = &bytes[before as usize / 2 * 2..];
        let heard: Vec<f32> =
            bytes.as_chunks::<2>().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0).collect();
        found(&said, &heard)
    });
    let first = told.try_recv();
    assert_eq!(first, Ok(PlayoutEvent::FirstAudio { track: "other".to_owned() }));
    println!("  call: {:?}", playout.track("other").expect("it was added").stats());
    assert!(send.stats().packets > 100);
}

/// Tones are played and heard at the speaker's monitor: how long that takes is what the statistics say (the
/// least of five, since a sink of PulseAudio's that was idle may be seconds ahead at first, and a busy computer late).
fn delay_of_the_speaker_is_counted() {
    let _awake = keep_awake("spk.monitor");
    let mut recorder = Command::new("parec")
        .args(["-d", "spk.monitor", "--latency-msec=10", "--format=s16le", "--rate=48000", "--channels=1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("parec is installed");
    let mut recorded = recorder.stdout.take().expect("it was asked for");
    let _recorder = Helper(recorder);
    let (heard, when) = sync_channel(1);
    let listen = move || {
        let (mut piece, mut loud) = ([0; 480], false);
        while recorded.read_exact(&mut piece).is_ok() {
            let was_loud = loud;
            loud = piece.as_chunks::<2>().0.iter().any(|b| i16::from_le_bytes(*b).abs() > 3_000);
            if loud && !was_loud {
                heard.send(clock::now()).ok()?;
            }
        }
        None::<()>
    };
    thread::Builder::new().name("listen".to_owned()).spawn(listen).expect("a thread can be made");
    let speaker = Speaker::open(None).expect("the default speaker opens");
    let playout = Playout::spawn(Box::new(speaker), |_| ()).expect("a thread can be made");
    let mut took = Vec::new();
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(700));
        let tone: Vec<f32> = (0..9_600).map(|n| 0.5 * (n as f32 * 0.0576).sin()).collect();
        let played = clock::now();
        playout.play_clip(tone.into());
        let heard = when.recv_timeout(PATIENCE).expect("the tone is heard");
        took.push(heard.saturating_duration_since(played).as_secs_f64());
    }
    let stats = playout.stats();
    let counted = stats.total_playout_delay.as_secs_f64() / stats.total_samples_count as f64;
    println!("  speaker: heard after {took:.3?} s, counted {counted:.3} s");
    // The recorder and two threads that wait for their turn come on top of what is counted.
    let least = took.into_iter().fold(f64::INFINITY, f64::min);
    assert!((counted - 0.02..counted + 0.12).contains(&least), "{counted} s are counted, it took {least} s");
}

fn microphone_is_unplugged() {
    let (changes, lists) = sync_channel(10);
    let _watch =
        DeviceWatch::spawn(move |devices| drop(changes.try_send(devices))).expect("a thread can be made");
    let first = lists.recv_timeout(PATIENCE).expect("the first lists come at once");
    assert_eq!(first.microphones.len(), 2);
    let _awake = keep_awake("mic2");
    let microphone = Microphone::open(Some("pulseaudio:mic")).expect("the microphone opens");
    assert_eq!(microphone.device_id(), Some("pulseaudio:mic"));
    let speaker = Speaker::open(None).expect("the speaker opens");
    let (send, _playout, _told) = call(microphone, speaker);
    let captured = || send.stats().total_samples_duration;
    wait_until("the microphone runs", || captured() > Duration::from_millis(300));

    unplug("source_name=mic");
    let second = lists.recv_timeout(PATIENCE).expect("the change is seen");
    let microphones = &second.microphones;
    assert_eq!(Follow::decide(microphones, Some("pulseaudio:mic"), "pulseaudio:mic"), Follow::Unplugged);
    let gone = Microphone::open(Some("pulseaudio:mic")).err();
    assert_eq!(gone, Some(DeviceError::NotFound("pulseaudio:mic".to_owned())));
    let next = Microphone::open(None).expect("there is another");
    assert_eq!(next.name(), "OtherMicrophone");
    send.set_source(Box::new(next));
    let before = captured();
    wait_until("the next one runs", || captured() > before + Duration::from_secs(1));

    plug(MIC);
    let third = lists.recv_timeout(PATIENCE).expect("the change is seen");
    let back = Follow::decide(&third.microphones, Some("pulseaudio:mic"), "pulseaudio:mic2");
    assert_eq!(back, Follow::ChosenIsBack);
}

fn speaker_is_unplugged() {
    let _awake = keep_awake("air.monitor");
    let microphone = Microphone::open(None).expect("the default microphone opens");
    let speaker = Speaker::open(Some("pulseaudio:spk2")).expect("the speaker opens");
    let (_send, playout, told) = call(microphone, speaker);
    wait_until("sound is played", || playout.stats().total_samples_duration > Duration::from_millis(300));
    unplug("sink_name=spk2");
    // The server moves the sound to another speaker by itself; what counts is that the list says it.
    assert!(Devices::list().speakers.iter().all(|device| device.id != "pulseaudio:spk2"));
    playout.set_sink(Box::new(Speaker::open(None).expect("the default speaker opens")));
    wait_until("the next speaker is used", || playout.sink_name() == "TestSpeaker");
    let before = playout.stats().total_samples_duration;
    wait_until("sound is played", || {
        playout.stats().total_samples_duration > before + Duration::from_millis(300)
    });
    assert!(told.try_iter().all(|event| !matches!(event, PlayoutEvent::SinkEnded(_))));
}

/// Comes last: nothing works after it.
fn sound_server_dies() {
    let mut microphone = Microphone::open(Some("pulseaudio:mic2")).expect("the microphone opens");
    let speaker = Speaker::open(Some("pulseaudio:spk")).expect("the speaker opens");
    let (events, told) = sync_channel(10);
    let playout = Playout::spawn(Box::new(speaker), move |event| drop(events.try_send(event)))
        .expect("a thread can be made");
    wait_until("the speaker runs", || playout.stats().total_samples_duration > Duration::from_millis(300));
    pactl(&["exit"]);
    let event = told.recv_timeout(PATIENCE).expect("the end of the speaker is told");
    assert_eq!(event, PlayoutEvent::SinkEnded(DeviceError::Gone("TestSpeaker".to_owned())));
    let error = capture(&mut microphone, Duration::from_secs(15)).err();
    assert_eq!(error, Some(DeviceError::Gone("OtherMicrophone".to_owned())));
    // Silence for nobody would not be mixed.
    playout.play_clip(vec![0.1; 48_000].into());
    let before = playout.stats().total_samples_duration;
    wait_until("mixing goes on without a speaker", || {
        playout.stats().total_samples_duration > before + Duration::from_millis(300)
    });
}

fn nothing_is_there() {
    assert_eq!(Devices::list().microphones, []);
    let missing = |what: &str| Some(DeviceError::NotFound(what.to_owned()));
    assert_eq!(Microphone::open(None).err(), missing("A microphone"));
    assert_eq!(Speaker::open(None).err(), missing("A speaker"));
    assert_eq!(Speaker::open(Some("pulseaudio:spk")).err(), missing("pulseaudio:spk"));
}
