//! What other programs play, on real sound servers: PulseAudio, and PipeWire in its place. Programs play
//! tones, the call's own speaker plays another, and only the programs are heard, each on its side.
//!
//! Has its own `main`: each server's address must be in the environment before anything looks for it, so
//! this program starts the server and runs itself again inside.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::main()
}

#[cfg(target_os = "linux")]
#[path = "support/pulseaudio.rs"]
mod pulseaudio;
#[cfg(target_os = "linux")]
#[path = "support/sentences.rs"]
mod sentences;

#[cfg(target_os = "linux")]
mod linux {
    use std::f64::consts::TAU;
    use std::fs;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, ExitCode, Stdio};
    use std::thread;
    use std::time::Duration;

    use sightline::clock;
    use sightline::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE, Stereo, StereoBlock};
    use sightline::media::sink::speaker::Speaker;
    use sightline::media::source::system_sound::SystemSound;
    use sightline::media::{AudioSink, StereoSource};

    use crate::sentences::{self, Test};

    /// Set in the runs inside: which tests.
    const INSIDE: &str = "SIGHTLINE_TEST_SYSTEM_SOUND";

    /// The process of the server, for the test that ends it.
    const SERVER: &str = "SIGHTLINE_TEST_SOUND_SERVER";

    const WITHOUT_SERVER: &str = "none";

    pub fn main() -> ExitCode {
        if let Ok(tests) = std::env::var(INSIDE) {
            return inside(&tests);
        }
        let installed = |program: &&&str| {
            let run =
                Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            run.is_ok()
        };
        let mut passed = true;
        for (name, start, programs) in SERVERS {
            let count = TESTS.len();
            if let Some(missing) =
                ["pactl", "pacat"].iter().chain(*programs).find(|program| !installed(program))
            {
                println!("system sound, {name}: skipped {count} tests, {missing} is not installed");
                continue;
            }
            let folder = tempfile::tempdir().expect("a temporary folder can be made");
            let server = start(folder.path());
            passed &= again(name, folder.path(), server.id());
        }
        let nowhere = tempfile::tempdir().expect("a temporary folder can be made");
        passed &= again(WITHOUT_SERVER, nowhere.path(), 0);
        if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Runs this program again, where the server in `folder` is the only one.
    fn again(tests: &str, folder: &Path, server: u32) -> bool {
        let this = std::env::current_exe().expect("a running program has a path");
        let status = Command::new(this)
            .env(INSIDE, tests)
            .env(SERVER, server.to_string())
            .env("PULSE_SERVER", format!("unix:{}", socket(folder).display()))
            .env("XDG_RUNTIME_DIR", folder)
            // No sound card of the machine itself is to be seen.
            .env("ALSA_CONFIG_PATH", "/dev/null")
            .status();
        status.expect("this program can be run again").success()
    }

    const TESTS: &[Test] = &[
        ("a_program_is_heard_on_its_side_and_the_call_itself_is_not", heard_without_the_call),
        ("programs_come_and_go_and_nobody_is_silence", come_and_go),
        ("a_program_that_moves_to_another_speaker_is_still_heard", moves),
        ("when_the_sound_server_ends_that_is_said", server_ends),
    ];

    const TESTS_WITHOUT: &[Test] = &[("without_a_sound_server_that_is_said", no_server)];

    fn inside(server: &str) -> ExitCode {
        let tests = if server == WITHOUT_SERVER { TESTS_WITHOUT } else { TESTS };
        sentences::run(&format!("system sound, {server}"), tests)
    }

    // Servers.

    type Start = fn(&Path) -> Server;

    const SERVERS: &[(&str, Start, &[&str])] = &[
        ("PulseAudio", pulseaudio, &["pulseaudio"]),
        ("PipeWire", pipewire, &["pipewire", "wireplumber", "pipewire-pulse", "dbus-daemon"]),
    ];

    fn socket(folder: &Path) -> PathBuf {
        folder.join("pulse/native")
    }

    /// A program that runs as long as the test needs it.
    struct Program(Child);

    impl Program {
        fn start(command: &mut Command) -> Self {
            command.stdout(Stdio::null()).stderr(Stdio::null());
            Self(command.spawn().expect("it is installed"))
        }
    }

    impl Drop for Program {
        fn drop(&mut self) {
            self.0.kill().ok();
            self.0.wait().ok();
        }
    }

    /// All that makes a server; the last is the one that programs talk to.
    struct Server(Vec<Program>);

    impl Server {
        fn id(&self) -> u32 {
            self.0.last().map_or(0, |program| program.0.id())
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            while self.0.pop().is_some() {}
        }
    }

    /// Makes the two speakers of the server in `folder`.
    fn speakers(folder: &Path) {
        let pactl = |args: &[&str]| {
            let mut pactl = Command::new("pactl");
            pactl.env("PULSE_SERVER", format!("unix:{}", socket(folder).display()));
            let output = pactl.args(args).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        wait_until("the sound server is up", || pactl(&["info"]).contains("Server Name"));
        pactl(&["load-module", "module-null-sink", "sink_name=spk", "rate=48000"]);
        pactl(&["load-module", "module-null-sink", "sink_name=spk2", "rate=44100"]);
        wait_until("the speakers are there", || pactl(&["list", "short", "sinks"]).contains("spk2"));
        pactl(&["set-default-sink", "spk"]);
    }

    fn pulseaudio(folder: &Path) -> Server {
        fs::create_dir(folder.join("pulse")).expect("the temporary folder can be written");
        let mut command = super::pulseaudio::server(folder, &socket(folder), "");
        let server = Server(vec![Program::start(&mut command)]);
        speakers(folder);
        server
    }

    /// PipeWire, what decides in it and wants a bus for that, and its PulseAudio interface.
    fn pipewire(folder: &Path) -> Server {
        let mut server = Server(Vec::new());
        let bus = format!("unix:path={}", folder.join("bus").display());
        let mut start = |program: &str, args: &[&str], makes: &str| {
            let mut command = Command::new(program);
            command.args(args).env("XDG_RUNTIME_DIR", folder).env("HOME", folder);
            command.env("DBUS_SESSION_BUS_ADDRESS", &bus).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
            server.0.push(Program::start(&mut command));
            wait_until(program, || folder.join(makes).exists());
        };
        let address = format!("--address={bus}");
        start("dbus-daemon", &["--session", "--nofork", &address], "bus");
        start("pipewire", &[], "pipewire-0");
        start("wireplumber", &[], "pipewire-0");
        start("pipewire-pulse", &[], "pulse/native");
        speakers(folder);
        server
    }

    fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
        let end = clock::now() + Duration::from_secs(20);
        while !done() {
            assert!(clock::now() < end, "never: {what}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn pactl(args: &[&str]) -> String {
        let output = Command::new("pactl").args(args).output().expect("pactl is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    // Who plays, and what is heard.

    /// A sine as loud as 0.3 on the sides that are not 0.
    fn tone(hz: f64, sides: Stereo, seconds: usize) -> Vec<Stereo> {
        let moment = |n: usize| (TAU * hz * n as f64 / f64::from(SAMPLE_RATE)).sin() as f32 * 0.3;
        (0..seconds * SAMPLE_RATE as usize).map(moment).map(|s| sides.map(|side| side * s)).collect()
    }

    /// How long a tone can play at most; who made it ends it before.
    const LONG: usize = 60;

    /// Another program that plays a tone until it is dropped.
    fn program(hz: f64, sides: Stereo) -> Program {
        let mut command = Command::new("pacat");
        command
            .args([
                "--raw",
                "--format=float32le",
                "--rate=48000",
                "--channels=2",
                "--latency-msec=50",
                "-d",
                "spk",
            ])
            .stdin(Stdio::piped());
        let mut program = Program::start(&mut command);
        let mut input = program.0.stdin.take().expect("it was asked for");
        let samples = tone(hz, sides, LONG);
        let bytes: Vec<u8> = samples.as_flattened().iter().flat_map(|s| s.to_le_bytes()).collect();
        thread::Builder::new()
            .name("plays".to_owned())
            .spawn(move || input.write_all(&bytes).ok())
            .expect("a thread can be made");
        program
    }

    /// Listens for so long, in real time.
    fn listen(sound: &mut SystemSound, time: Duration) -> Vec<Stereo> {
        let end = clock::now() + time;
        let mut heard = Vec::new();
        while clock::now() < end {
            if let Some(block) = sound.next_block(Duration::from_millis(100)).expect("the server is there") {
                heard.extend(block.samples);
            }
        }
        heard
    }

    /// How loud a side is at `hz`, as the amplitude of a sine, on average. In pieces: where the pace of the
    /// sound card is followed, the pitch is off by a thousandth or two.
    fn loudness(heard: &[Stereo], side: usize, hz: f64) -> f64 {
        let pieces = heard.chunks(4_800).map(|piece| amplitude(piece, side, hz) * piece.len() as f64);
        pieces.sum::<f64>() / heard.len().max(1) as f64
    }

    fn amplitude(heard: &[Stereo], side: usize, hz: f64) -> f64 {
        let turn = TAU * hz / f64::from(SAMPLE_RATE);
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in heard.iter().enumerate() {
            let (sin, cos) = (turn * n as f64).sin_cos();
            re += f64::from(sample[side]) * cos;
            im += f64::from(sample[side]) * sin;
        }
        2.0 * f64::hypot(re, im) / heard.len().max(1) as f64
    }

    /// Listens until a side sounds at `hz`.
    fn until_heard(sound: &mut SystemSound, side: usize, hz: f64) {
        let heard = || loudness(&listen(sound, Duration::from_millis(200)), side, hz) > 0.2;
        wait_until("the program is heard", heard);
    }

    /// Listens until a side sounded at `hz` for a second without a break. Breaks of ours would come in every
    /// second; those of a sound server that a busy computer keeps from its work come and go. Says how much
    /// CPU time that second took.
    fn unbroken_second(sound: &mut SystemSound, side: usize, hz: f64) -> (Vec<Stereo>, Duration) {
        let end = clock::now() + Duration::from_secs(40);
        loop {
            let before = spent();
            let heard = listen(sound, Duration::from_secs(1));
            let cost = spent() - before;
            let pieces = heard.chunks_exact(2 * BLOCK_SAMPLES);
            let broken = pieces.filter(|piece| loudness(piece, side, hz) < 0.25).count();
            if broken == 0 {
                return (heard, cost);
            }
            println!("  {broken} of {} pieces of 20 ms are broken", heard.len() / (2 * BLOCK_SAMPLES));
            assert!(clock::now() < end, "the tone breaks in every second");
        }
    }

    fn heard_without_the_call() {
        // The call's own speaker, in this process.
        let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(1);
        let call = thread::Builder::new()
            .name("call".to_owned())
            .spawn(move || {
                let mut speaker = Speaker::open(None).expect("the speaker opens");
                let voice = tone(700.0, [1.0, 1.0], LONG);
                for samples in voice.as_chunks::<BLOCK_SAMPLES>().0 {
                    while !speaker.wait_wanted(Duration::from_millis(20)).expect("it plays") {}
                    if stopped.try_recv() != Err(std::sync::mpsc::TryRecvError::Empty) {
                        return;
                    }
                    let block = StereoBlock { samples: *samples, captured_at: clock::now() };
                    speaker.play(&block).expect("it plays");
                }
            })
            .expect("a thread can be made");
        wait_until("the call plays", || pactl(&["list", "short", "sink-inputs"]).lines().count() == 1);
        let mut sound = SystemSound::open().expect("the server is there");
        let _program = program(1_000.0, [1.0, 0.0]);
        until_heard(&mut sound, 0, 1_000.0);
        assert_eq!(pactl(&["list", "short", "sink-inputs"]).lines().count(), 2, "the call still plays");
        let (heard, cost) = unbroken_second(&mut sound, 0, 1_000.0);
        let at = |side, hz| loudness(&heard, side, hz);
        println!(
            "  left: {:.3} of the program, {:.6} of the call; right: {:.6}, {:.6}; {:.1} % of a core",
            at(0, 1_000.0),
            at(0, 700.0),
            at(1, 1_000.0),
            at(1, 700.0),
            cost.as_secs_f64() * 100.0
        );
        assert!((0.24..0.33).contains(&at(0, 1_000.0)), "the program on the left");
        let loudest_right = heard.iter().map(|[_, right]| right.abs()).fold(0.0, f32::max);
        assert!(loudest_right < 0.001, "nothing on the right: {loudest_right}");
        assert!(at(0, 700.0) < 0.003, "nothing of the call");
        drop(stop);
        call.join().expect("the call ends");
    }

    fn come_and_go() {
        let begun = clock::now();
        let mut sound = SystemSound::open().expect("the server is there");
        let mut nothing = Vec::new();
        wait_until("half a second of silence", || {
            nothing.extend(listen(&mut sound, Duration::from_millis(50)));
            nothing.len() >= 24_000
        });
        let (lasted, took) = (nothing.len() as f64 / f64::from(SAMPLE_RATE), clock::now() - begun);
        assert!(lasted < took.as_secs_f64() + 0.05, "{lasted} seconds of sound in {took:?}");
        assert!(nothing.as_flattened().iter().all(|sample| *sample == 0.0));
        let first = program(1_000.0, [1.0, 0.0]);
        until_heard(&mut sound, 0, 1_000.0);
        let second = program(500.0, [0.0, 1.0]);
        until_heard(&mut sound, 1, 500.0);
        wait_until("both are heard", || {
            let both = listen(&mut sound, Duration::from_millis(500));
            loudness(&both, 0, 1_000.0) > 0.2 && loudness(&both, 1, 500.0) > 0.2
        });
        drop(first);
        wait_until("the first is gone", || {
            let heard = listen(&mut sound, Duration::from_millis(200));
            loudness(&heard, 0, 1_000.0) < 0.001 && loudness(&heard, 1, 500.0) > 0.25
        });
        drop(second);
        wait_until("silence", || {
            let heard = listen(&mut sound, Duration::from_millis(200));
            heard.as_flattened().iter().all(|sample| *sample == 0.0)
        });
    }

    fn moves() {
        let mut sound = SystemSound::open().expect("the server is there");
        let _program = program(1_000.0, [1.0, 0.0]);
        until_heard(&mut sound, 0, 1_000.0);
        let inputs = pactl(&["list", "short", "sink-inputs"]);
        let input = inputs.split('\t').next().expect("it plays");
        for speaker in ["spk2", "spk"] {
            pactl(&["move-sink-input", input, speaker]);
            listen(&mut sound, Duration::from_millis(300));
            until_heard(&mut sound, 0, 1_000.0);
        }
    }

    /// Ends the server, so it is the last test.
    fn server_ends() {
        let mut sound = SystemSound::open().expect("the server is there");
        listen(&mut sound, Duration::from_millis(100));
        let server = std::env::var(SERVER).expect("it was set");
        Command::new("kill").args(["-KILL", &server]).status().expect("kill is everywhere");
        let mut error = None;
        wait_until("the end is seen", || {
            error = sound.next_block(Duration::from_millis(100)).err();
            error.is_some()
        });
        let error = error.map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(error, "The sound of this computer does not work: the sound server has ended");
    }

    fn no_server() {
        let error = SystemSound::open().err().map(|error| error.to_string()).unwrap_or_default();
        assert_eq!(
            error,
            "The sound of this computer does not work: there is no PulseAudio or PipeWire server"
        );
    }

    /// CPU time of this thread (the first number of Linux' schedstat is in ns).
    fn spent() -> Duration {
        let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(told.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
    }
}
