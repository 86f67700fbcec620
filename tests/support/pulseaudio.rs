//! A PulseAudio of its own for a test.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The server that listens at `socket`, keeps its files in `folder` and begins with the lines `more`.
pub fn server(folder: &Path, socket: &Path, more: &str) -> Command {
    let script = folder.join("default.pa");
    let protocol =
        format!("load-module module-native-protocol-unix auth-anonymous=1 socket={}\n", socket.display());
    fs::write(&script, protocol + more.trim_start()).expect("the temporary folder can be written");
    let mut command = Command::new("pulseaudio");
    command
        .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disable-shm=yes", "-F"])
        .arg(&script)
        .env("XDG_RUNTIME_DIR", folder)
        .env("HOME", folder)
        .env_remove("PULSE_SERVER");
    command
}
