//! What comes from outside the process: lines on standard input, and the system's wish that it end.

use std::io::BufRead;

use tokio::sync::mpsc;

use super::Failure;

/// Lines typed faster than they are carried out wait here; when it is full the reader of standard
/// input waits.
const COMMANDS: usize = 64;

/// The lines of standard input, until it ends.
pub fn lines() -> Result<mpsc::Receiver<String>, Failure> {
    let (sender, lines) = mpsc::channel(COMMANDS);
    // The thread ends with standard input; reading it cannot be interrupted, so nobody joins it.
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        })
        .map_err(|error| Failure::Unexpected(format!("cannot read standard input: {error}")))?;
    Ok(lines)
}

/// Resolves when the system asks the process to end.
pub struct Terminations {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Terminations {
    /// The next one.
    pub async fn recv(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await.ok();
    }
}

/// Begins to listen for them.
pub fn terminations() -> Result<Terminations, Failure> {
    #[cfg(unix)]
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Failure::Unexpected(format!("cannot listen for signals: {error}")))?;
    Ok(Terminations {
        #[cfg(unix)]
        terminate,
    })
}
