//! Shows where a file is.

use std::path::Path;
use std::process::Command;

/// Opens the folder of a file in the system's file manager, as far as there is one.
pub fn reveal(file: &Path) {
    let mut command = opener(file);
    // Some file managers stay until their window is closed, so a thread waits for it.
    let waiting = std::thread::Builder::new().name("reveal".into()).spawn(move || match command.status() {
        Ok(status) if !status.success() => tracing::warn!(%status, "the folder was not shown"),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "there is no file manager to show the folder with"),
    });
    if let Err(error) = waiting {
        tracing::warn!(%error, "the folder was not shown");
    }
}

#[cfg(target_os = "windows")]
fn opener(file: &Path) -> Command {
    let mut command = Command::new("explorer");
    command.arg("/select,").arg(file);
    command
}

#[cfg(target_os = "macos")]
fn opener(file: &Path) -> Command {
    let mut command = Command::new("open");
    command.arg("-R").arg(file);
    command
}

#[cfg(not(any(target_os = "windows", target_os = "macos")))]
fn opener(file: &Path) -> Command {
    let mut command = Command::new("xdg-open");
    command.arg(file.parent().unwrap_or(file));
    command
}
