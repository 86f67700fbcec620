//! Wires call, media, transport and signaling together; the same for the window and the script.
//!
//! A face sees three things: [`command::Command`] goes in, [`view::CallView`] comes out, and
//! [`frames::FrameSlots`] hold the pictures. What happens on the way is in the [`History`], and a
//! script may be told each [`Entry`] of it.

mod actor;
pub mod command;
mod devices;
mod diagnosis;
pub mod frames;
mod hosting;
mod media_session;
pub(crate) mod open;
pub mod parts;
mod quality;
mod recorder;
mod story;
mod talk;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use command::Command;
use frames::FrameSlots;
pub use hosting::Hosting;
use parts::EngineParts;
use view::CallView;

use crate::pointer::Marks;
use crate::record::{Entry, History};

/// Commands given faster than they are carried out; a window drops further clicks, a script waits.
const COMMANDS: usize = 64;

/// Starts engines.
pub struct Engine;

/// A running engine. Dropping it without [`EngineHandle::shutdown`] ends the engine too, but
/// without waiting for its goodbyes.
pub struct EngineHandle {
    /// Asks.
    pub commands: mpsc::Sender<Command>,
    /// Shows: always the newest.
    pub view: watch::Receiver<Arc<CallView>>,
    /// What has happened since the call began, or since the start, and how it went.
    pub history: watch::Receiver<Arc<History>>,
    /// Pictures: always the newest.
    pub frames: FrameSlots,
    /// Pointers and strokes over a shared screen: always the newest.
    pub marks: watch::Receiver<Arc<Vec<Marks>>>,
    task: JoinHandle<()>,
}

impl Engine {
    /// Starts an engine on the current tokio runtime. `observer` is told when things happen.
    pub fn start(parts: EngineParts, observer: Option<mpsc::Sender<Entry>>) -> EngineHandle {
        let (commands_in, commands) = mpsc::channel(COMMANDS);
        let (view, shown) = watch::channel(Arc::new(CallView::default()));
        let (history_in, history) = watch::channel(Arc::default());
        let frames = FrameSlots::new();
        let recorder = recorder::Recorder::new(history_in, observer, parts.records.clone());
        let (marks_in, marks) = watch::channel(Arc::default());
        let ends = actor::Ends { commands, view, frames: frames.clone(), marks: marks_in, recorder };
        let task = tokio::spawn(actor::Actor::new(parts, ends).run());
        EngineHandle { commands: commands_in, view: shown, history, frames, marks, task }
    }
}

impl EngineHandle {
    /// Leaves the call and ends everything; says in the log when it took longer than `limit`.
    pub async fn shutdown(&mut self, limit: Duration) {
        self.commands.send(Command::Shutdown).await.ok();
        if tokio::time::timeout(limit, &mut self.task).await.is_err() {
            tracing::warn!(?limit, "the engine did not end in time and is left behind");
            self.task.abort();
        }
    }
}
