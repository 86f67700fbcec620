//! `sightline export` and `sightline anonymise`: other files out of a session file.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::record::convert::{self, Privacy};
use crate::record::read::{Broken, SessionError};

/// Writes a record for tools that read dumps of chrome://webrtc-internals.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// The record
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// The dump
    #[arg(value_name = "OUT.json")]
    to: PathBuf,
    /// Replace names, rooms, hosts and addresses
    #[arg(long)]
    anonymise: bool,
}

/// Writes a record without names, rooms, hosts and addresses.
#[derive(Args, Clone, Debug)]
pub struct AnonymiseArgs {
    /// The record
    #[arg(value_name = "FILE")]
    from: PathBuf,
    /// What it becomes; may be the same file
    #[arg(value_name = "OUT")]
    to: PathBuf,
}

/// Runs `sightline export`.
pub fn export(args: &ExportArgs) -> ExitCode {
    let privacy = if args.anonymise { Privacy::Anonymous } else { Privacy::AsItIs };
    report(args.from.display(), convert::export(&args.from, &args.to, privacy))
}

/// Runs `sightline anonymise`.
pub fn anonymise(args: &AnonymiseArgs) -> ExitCode {
    report(args.from.display(), convert::anonymise(&args.from, &args.to))
}

fn report(from: std::path::Display<'_>, outcome: Result<Option<Broken>, SessionError>) -> ExitCode {
    match outcome {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(broken)) => {
            eprintln!("sightline: {from}: {broken}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sightline: {error}");
            ExitCode::FAILURE
        }
    }
}
