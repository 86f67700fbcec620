//! `sightline probe`: a scripted call on the window's own engine.
//!
//! Commands come as lines on standard input, events go out as JSON lines, pictures and sound go to
//! files. Formats are a contract: `docs/probe.md`. This module decides nothing about the call; it
//! translates.

mod args;
mod doctor;
pub mod files;
mod frames;
mod log;
mod outside;
mod pointer;
mod script;
mod servers;
mod share;

use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::mpsc;

pub use args::ProbeArgs;
pub use doctor::{DoctorArgs, run as run_doctor};
use log::LogWriter;
use script::Script;

use crate::clock;
use crate::config::Settings;
use crate::dial::{Dialer, Trust};
use crate::engine::Engine;
use crate::engine::parts::{AudioChoice, EngineParts, ShareSoundChoice, SinkChoice, VideoChoice};
use crate::files::{Accept, Folder};
use crate::link::Link;
use crate::media::DeviceError;
use crate::media::source::wav::WavFile;
use crate::media::source::y4m::Y4mFile;
use crate::proxy::Proxies;
use crate::record::{Entry, What};
use crate::rtc::IcePolicy;
use crate::server_url::ServerUrlError;

/// Events waiting to be written; when it is full the engine drops and counts them.
const EVENTS: usize = 1024;

/// Why a probe ends, and the exit code that says so.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Arguments(String),
    #[error("could not reach the server: {0}")]
    Server(String),
    #[error("no connection to the peer: {0}")]
    NoConnection(String),
    #[error("{0}")]
    Unexpected(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Arguments(_) => 2,
            Failure::Server(_) => 3,
            Failure::NoConnection(_) => 4,
            Failure::Unexpected(_) => 1,
        }
    }
}

/// Runs a probe to its end. Every error is one line on standard error.
pub fn run(args: &ProbeArgs) -> ExitCode {
    match probe(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sightline probe: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn probe(args: &ProbeArgs) -> Result<(), Failure> {
    let link = link(args)?;
    let duration = args.duration().map_err(Failure::Arguments)?;
    let parts = parts(args)?;
    let io = |error| Failure::Unexpected(format!("cannot write the logs: {error}"));
    let (writer, log) = LogWriter::start(args.out.as_deref()).map_err(io)?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .thread_name("probe")
        .build()
        .map_err(|error| Failure::Unexpected(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        let (observer, events) = mpsc::channel(EVENTS);
        let engine = Engine::start(parts, Some(observer));
        frames::log_frames(&engine.frames, &log, args.dump_ms);
        let mut script = Script::new(args, link, duration, engine, events, log.clone());
        let outcome = script.run().await;
        script.goodbye().await;
        outcome
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    let lines = log.dropped();
    if lines > 0 {
        eprintln!("sightline probe: the disk was too slow for {lines} log lines; they are missing");
        log.entry(Entry::new(clock::unix_ms(), What::Lost { lines }));
    }
    drop(log);
    writer.finish().map_err(io)?;
    outcome
}

fn link(args: &ProbeArgs) -> Result<Link, Failure> {
    let server =
        args.server.parse().map_err(|error: ServerUrlError| Failure::Arguments(error.to_string()))?;
    Ok(Link { server, room: args.room.clone(), secret: None })
}

fn parts(args: &ProbeArgs) -> Result<EngineParts, Failure> {
    let ice_servers = args.servers.ice_servers().map_err(Failure::Arguments)?;
    let trust = args.servers.trust().map_err(Failure::Arguments)?.unwrap_or_else(Trust::system);
    let proxies = Proxies::named(args.proxy.as_deref().unwrap_or_default())
        .map_err(|error| Failure::Arguments(format!("--proxy: {error}")))?;
    let video = if args.no_video { VideoChoice::None } else { args.video_choice() };
    let audio = args.audio_choice();
    let wrong = |error: DeviceError| Failure::Arguments(error.to_string());
    if let VideoChoice::File(path) = &video {
        Y4mFile::open(path).map_err(wrong)?;
    }
    if let AudioChoice::File(path) = &audio {
        WavFile::open(path).map_err(wrong)?;
    }
    let share_sound = args.share_sound_choice();
    if let ShareSoundChoice::File(path) = &share_sound {
        WavFile::open(path).map_err(wrong)?;
    }
    let sink = match &args.out {
        Some(folder) => SinkChoice::File(folder.join("audio.wav")),
        None => SinkChoice::None,
    };
    let settings = Settings {
        name: args.name.clone(),
        echo_cancellation: false,
        noise_suppression: false,
        gain_control: false,
        ..Settings::default()
    };
    Ok(EngineParts {
        video,
        audio,
        share_sound,
        sink,
        ice_servers,
        ice_policy: IcePolicy::from(args.ice_policy),
        with_video: !args.no_video,
        files: Folder { path: args.out.as_ref().map(|out| out.join("files")), accept: Accept::Always },
        max_bitrate: args.max_bitrate().map_err(Failure::Arguments)?,
        dialer: Dialer::new(trust, proxies),
        ..EngineParts::devices(settings)
    })
}
