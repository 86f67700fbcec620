//! Flags to a window or a script; the only place that prints an error chain.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sightline::headless::files::{self, AnonymiseArgs, ExportArgs};
use sightline::headless::{self, DoctorArgs, ProbeArgs};
use sightline::media::devices::Devices;
use tracing_subscriber::EnvFilter;

/// Video calls that tell the truth about their own connection
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Subcommands>,

    /// A link to a call: http(s)://HOST/r/ROOM#SECRET or sightline://HOST/r/ROOM#SECRET
    #[cfg(feature = "gui")]
    link: Option<String>,

    #[cfg(feature = "gui")]
    #[command(flatten)]
    window: sightline::window::WindowArgs,
}

#[derive(Subcommand)]
enum Subcommands {
    /// A scripted participant without a window
    Probe(Box<ProbeArgs>),
    /// Tests server, relays, network and devices before a call
    Doctor(Box<DoctorArgs>),
    /// Two windows on this computer that call each other
    #[cfg(feature = "gui")]
    Demo,
    /// The record of a call, in the connection panel
    #[cfg(feature = "gui")]
    Open {
        /// A session file
        file: std::path::PathBuf,
    },
    /// Cameras, microphones and speakers as Sightline sees them
    Devices,
    /// A record of a call for tools that read dumps of chrome://webrtc-internals
    Export(ExportArgs),
    /// A record of a call without names, rooms, hosts and addresses
    Anonymise(AnonymiseArgs),
}

/// What is logged unless asked otherwise. The engine's crates warn of things that are no trouble:
/// a check that arrives before its description, a host name that a call does not have, a desktop
/// without settings.
const QUIET: &str = "warn,winit=error,egui_system_font_provider=error,rtc=off,rtc_ice=off,rtc_dtls=off,rtc_turn=off,rtc_mdns=off,rtc_sctp=off,webrtc=off";

fn main() -> ExitCode {
    let args = Args::parse();
    // SIGHTLINE_LOG=debug shows more; addresses and SDP only at trace.
    let filter = EnvFilter::try_from_env("SIGHTLINE_LOG").unwrap_or_else(|_| EnvFilter::new(QUIET));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();

    match args.command {
        Some(Subcommands::Probe(probe)) => headless::run(&probe),
        Some(Subcommands::Doctor(doctor)) => headless::run_doctor(&doctor),
        #[cfg(feature = "gui")]
        Some(Subcommands::Demo) => report(sightline::window::demo()),
        #[cfg(feature = "gui")]
        Some(Subcommands::Open { file }) => report(sightline::window::open(&file)),
        Some(Subcommands::Export(args)) => files::export(&args),
        Some(Subcommands::Anonymise(args)) => files::anonymise(&args),
        Some(Subcommands::Devices) => {
            list_devices();
            ExitCode::SUCCESS
        }
        #[cfg(feature = "gui")]
        None => report(sightline::window::run(args.link.as_deref(), &args.window)),
        #[cfg(not(feature = "gui"))]
        None => {
            eprintln!("sightline: this build has no window; `sightline probe --help` is what it does");
            ExitCode::from(2)
        }
    }
}

fn list_devices() {
    let devices = Devices::list();
    let lists =
        [("Cameras", devices.cameras), ("Microphones", devices.microphones), ("Speakers", devices.speakers)];
    for (title, list) in lists {
        println!("{title}:{}", if list.is_empty() { " none" } else { "" });
        for device in list {
            println!("  {}  ({})", device.name, device.id);
        }
    }
}

#[cfg(feature = "gui")]
fn report(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sightline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
