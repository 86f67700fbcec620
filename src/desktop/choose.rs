//! Lets a person choose files in the system's dialog.

use std::path::PathBuf;

/// The desktop has no dialog to choose files with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the desktop has no dialog to choose files with")]
pub struct NoDialog;

/// Opens the dialog and blocks until it is closed; nothing, if the person chose nothing.
pub fn files() -> Result<Vec<PathBuf>, NoDialog> {
    let chosen = rfd::FileDialog::new().pick_files();
    match chosen {
        Some(files) => Ok(files),
        // Where a portal or a program shows the dialog, closing it gives an empty choice, and nothing at all
        // means that neither of them answered.
        None if cfg!(all(unix, not(target_os = "macos"))) => Err(NoDialog),
        None => Ok(Vec::new()),
    }
}
