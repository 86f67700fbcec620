//! A named thread with an owner: dropping the owner waits for the thread, but not for ever.
//!
//! It does not know what the thread does nor how to stop it; the owner says so first (a flag, a
//! closed slot), then drops the worker.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// How long dropping a [`Worker`] waits for its thread. A device that hangs in the system must not
/// hang the application.
const JOIN_DEADLINE: Duration = Duration::from_secs(2);

/// A running thread.
#[derive(Debug)]
pub struct Worker {
    name: String,
    thread: Option<JoinHandle<()>>,
    /// Never carries a value: the thread holds the other end and drops it when it ends.
    ended: Receiver<()>,
}

impl Worker {
    /// Starts a thread. The system cuts names off after 15 bytes on Linux.
    pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let (alive, ended) = sync_channel(1);
        // A name may come from a stranger, and the system takes no NUL in it.
        let name = name.replace('\0', "");
        let thread = Builder::new().name(name.clone()).spawn(move || {
            let _alive = alive;
            body();
        })?;
        Ok(Self { name, thread: Some(thread), ended })
    }

    /// Wakes the thread if it waits in `park`.
    pub fn unpark(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    /// Whether the thread came to its end.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        // A worker dropped on its own thread (inside a callback) cannot wait for itself.
        if thread.thread().id() == std::thread::current().id() {
            return;
        }
        match self.ended.recv_timeout(JOIN_DEADLINE) {
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(thread = %self.name, "did not end in time and is left behind");
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if thread.join().is_err() {
                    tracing::error!(thread = %self.name, "panicked");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn dropping_the_owner_waits_for_the_thread() {
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        let (go, wait) = sync_channel::<()>(1);
        let worker = Worker::spawn("test", move || {
            wait.recv().ok();
            flag.store(true, Ordering::SeqCst);
        });
        go.send(()).unwrap();
        drop(worker.unwrap());
        assert!(done.load(Ordering::SeqCst));
    }
}
