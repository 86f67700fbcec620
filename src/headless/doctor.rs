//! `sightline doctor`: the test of a connection on the command line. docs/doctor.md is its contract.
//!
//! A face of [`crate::doctor`]: flags in, lines or JSON out, and an exit code that says pass or fail.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;

use super::servers::ServerArgs;
use crate::config::{Settings, SettingsFile};
use crate::doctor::{self, Plan, Progress, Report};
use crate::engine::parts::{AudioChoice, SinkChoice, VideoChoice};
use crate::units::Resolution;

/// Tests server, STUN, relays, NAT, speed, camera, microphone and speaker in about ten seconds.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Print the report as one JSON object instead of words
    #[arg(long)]
    pub json: bool,
    /// Signaling server; the one of the settings unless given
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
    /// STUN, TURN and whom to trust.
    #[command(flatten)]
    pub servers: ServerArgs,
    /// Leave camera, microphone and speaker alone
    #[arg(long)]
    pub no_devices: bool,
    /// Let the microphone listen for the speaker's tone
    #[arg(long, conflicts_with = "no_devices")]
    pub hear: bool,
    /// What stands in for the camera: a Y4M file, `pattern` or `none`
    #[arg(long, value_name = "FILE|pattern|none", conflicts_with = "no_devices")]
    pub video: Option<String>,
    /// What stands in for the microphone: a WAV file, `tone` or `none`
    #[arg(long, value_name = "FILE|tone|none", conflicts_with = "no_devices")]
    pub audio: Option<String>,
    /// What stands in for the speaker: a WAV file to write, or `none`
    #[arg(long, value_name = "FILE|none", conflicts_with = "no_devices")]
    pub sink: Option<String>,
}

/// The exit code of a test that found trouble; 2 is for wrong arguments, as everywhere.
const FAILED: u8 = 1;

/// Runs the test. Every error is one line on standard error.
pub fn run(args: &DoctorArgs) -> ExitCode {
    let plan = match plan(args) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("sightline doctor: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .thread_name("doctor")
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sightline doctor: cannot start the runtime: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let report = runtime.block_on(follow(plan, args.json));
    // A driver that hangs must not hold the program.
    runtime.shutdown_background();
    match report {
        Some(report) => {
            print(&report, args.json);
            if report.passed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
        None => {
            eprintln!("sightline doctor: the test stopped unexpectedly");
            ExitCode::from(FAILED)
        }
    }
}

/// Lines as they come, on standard error when standard output is for JSON.
async fn follow(plan: Plan, json: bool) -> Option<Report> {
    let mut running = doctor::start(plan);
    while let Some(progress) = running.progress.recv().await {
        match progress {
            Progress::Begun { .. } => {}
            Progress::Checked(check) if json => eprint!("{}", doctor::line(&check)),
            Progress::Checked(check) => print_text(&doctor::line(&check)),
            Progress::Finished(report) => return Some(report),
        }
    }
    None
}

fn print(report: &Report, json: bool) {
    if json {
        print_text(&format!("{}\n", serde_json::to_string_pretty(report).unwrap_or_default()));
    } else {
        print_text(&format!("{}\n", report.text));
    }
}

/// A reader that went away is no reason to panic.
fn print_text(text: &str) {
    let mut out = io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok();
}

fn plan(args: &DoctorArgs) -> Result<Plan, String> {
    let mut plan = Plan::of(&settings());
    if let Some(server) = &args.server {
        plan.server = Some(server.parse().map_err(|error| format!("--server: {error}"))?);
    }
    if let Some(trust) = args.servers.trust()? {
        plan.dialer = plan.dialer.trusting(trust);
    }
    plan.ice_servers.extend(args.servers.ice_servers()?);
    stand_in(args, &mut plan);
    Ok(plan)
}

fn settings() -> Settings {
    SettingsFile::of_this_person().map(|file| file.load().settings).unwrap_or_default()
}

fn stand_in(args: &DoctorArgs, plan: &mut Plan) {
    plan.listen_for_tone = args.hear;
    if args.no_devices {
        (plan.camera, plan.microphone, plan.speaker) = (None, None, None);
    }
    let video = args.video.as_deref().map(|video| match video {
        "none" => None,
        "pattern" => Some(VideoChoice::Pattern(Resolution::HD)),
        file => Some(VideoChoice::File(file.into())),
    });
    if let Some(video) = video {
        plan.camera = video.zip(plan.camera.take().map(|(_, device)| device));
    }
    let audio = args.audio.as_deref().map(|audio| match audio {
        "none" => None,
        "tone" => Some(AudioChoice::Tone),
        file => Some(AudioChoice::File(file.into())),
    });
    if let Some(audio) = audio {
        plan.microphone = audio.zip(plan.microphone.take().map(|(_, device)| device));
    }
    let sink = args.sink.as_deref().map(|sink| match sink {
        "none" => None,
        file => Some(SinkChoice::File(file.into())),
    });
    if let Some(sink) = sink {
        plan.speaker = sink.zip(plan.speaker.take().map(|(_, device)| device));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        args: DoctorArgs,
    }

    fn plan_of(flags: &[&str]) -> Result<Plan, String> {
        let flags = std::iter::once(&"doctor").chain(flags).copied();
        plan(&Flags::try_parse_from(flags).map_err(|error| error.to_string())?.args)
    }

    #[test]
    fn flags_become_a_plan_and_wrong_ones_are_named() {
        let plan = plan_of(&["--server", "ws://127.0.0.1:1/", "--stun", "stun:a:1", "--no-devices"]).unwrap();
        assert_eq!(plan.server.unwrap().authority(), "127.0.0.1:1");
        assert_eq!(plan.ice_servers[0].urls, ["stun:a:1"]);
        assert!(plan.camera.is_none() && plan.microphone.is_none() && plan.speaker.is_none());
        for (flags, word) in [
            (vec!["--turn", "turn:a"], "--turn-user"),
            (vec!["--stun", "turn:a"], "turn:a"),
            (vec!["--server", "ftp://x"], "ftp"),
            (vec!["--no-devices", "--hear"], "--hear"),
        ] {
            assert!(plan_of(&flags).is_err_and(|error| error.contains(word)), "{flags:?}");
        }
    }

    #[test]
    fn a_pattern_stands_in_for_the_camera_and_none_leaves_it_out() {
        let plan = plan_of(&["--video", "pattern", "--audio", "none"]).unwrap();
        assert!(matches!(plan.camera, Some((VideoChoice::Pattern(_), _))));
        assert!(plan.microphone.is_none() && plan.speaker.is_some());
    }
}
