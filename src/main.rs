//! Flags to a window or a script; the only place that prints an error chain.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use sightline::headless::{self, ProbeArgs};
use tracing_subscriber::EnvFilter;

/// Video calls that tell the truth about their own connection
#[derive(Parser)]
#[command(version, about, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Subcommands>,

    /// A link to a call: http(s)://HOST/r/ROOM#SECRET or sightline://HOST/r/ROOM#SECRET
    #[cfg(any())]
    link: Option<String>,

    #[cfg(any())]
    #[command(flatten)]
    window: sightline::window::WindowArgs,
}

#[derive(Subcommand)]
enum Subcommands {
    /// A scripted participant without a window
    Probe(Box<ProbeArgs>),
    /// Two windows on this computer that call each other
    #[cfg(any())]
    Demo,
    /// Cameras, microphones and speakers as Sightline sees them
    #[cfg(any())]
    Devices,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // SIGHTLINE_LOG=debug shows more; addresses and SDP only at trace.
    let filter = EnvFilter::try_from_env("SIGHTLINE_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    match args.command {
        Some(Subcommands::Probe(probe)) => headless::run(&probe),
        #[cfg(any())]
        Some(Subcommands::Demo) => report(sightline::window::demo()),
        #[cfg(any())]
        Some(Subcommands::Devices) => {
            print!("{}", sightline::media::devices::describe());
            ExitCode::SUCCESS
        }
        #[cfg(any())]
        None => report(sightline::window::run(args.link.as_deref(), &args.window)),
        #[cfg(all())]
        None => {
            eprintln!("sightline: this build has no window; `sightline probe --help` is what it does");
            ExitCode::from(2)
        }
    }
}

#[cfg(any())]
fn report(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sightline: {error:#}");
            ExitCode::FAILURE
        }
    }
}
