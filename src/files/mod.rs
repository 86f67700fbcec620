//! Files that people send each other during a call.
//!
//! ```text
//!  Files ──Input──▶ thread "files": disk, transfers ──▶ DataSender ──▶ the other side
//!    ▲                 │ ◀─────────── messages of the other side, by the engine
//!    └── view, news ◀──┘
//! ```
//!
//! A file is offered with its name, size and SHA-256, accepted or declined, sent in pieces, written
//! under a temporary name and moved when it is whole and its hash is right. What is there of it stays
//! when the call breaks off: a later offer of the same hash goes on from there. Wire format:
//! `docs/channels.md`. Knows nothing of connections, calls, or who draws it.

mod inbox;
mod message;
mod name;
mod progress;
mod service;
#[cfg(test)]
mod tests;
mod transfer;

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use signaling_protocol::PeerId;

pub use inbox::Input;
pub use name::safe;
pub use service::Files;
pub use transfer::{Accept, Folder};

/// Tells transfers apart, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// Which way a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From us.
    Sending,
    /// To us.
    Receiving,
}

/// How far a file is.
///
/// ```text
///  Preparing ─▶ Offered ─▶ Moving ─▶ Checking ─▶ Done
///      Asking ─────┘  └─▶ Declined      └───────▶ Cancelled, Ended
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It waits for its turn, or its hash is being taken.
    Preparing,
    /// The other side is asked.
    Offered,
    /// We are asked.
    Asking,
    /// It is on its way.
    Moving,
    /// It is all there, and its hash is being compared.
    Checking,
    /// It is there; where, if it came to us.
    Done {
        /// Its place on our disk.
        path: Option<PathBuf>,
    },
    /// One of us did not want it.
    Declined,
    /// One of us did not want it any more; one sentence says who.
    Cancelled {
        /// The sentence.
        reason: String,
    },
    /// Something went wrong; one sentence says what.
    Ended {
        /// The sentence.
        reason: String,
    },
}

impl FileState {
    /// Whether nothing happens any more.
    pub const fn is_over(&self) -> bool {
        match self {
            FileState::Preparing
            | FileState::Offered
            | FileState::Asking
            | FileState::Moving
            | FileState::Checking => false,
            FileState::Done { .. }
            | FileState::Declined
            | FileState::Cancelled { .. }
            | FileState::Ended { .. } => true,
        }
    }

    /// In a word, as events write it.
    pub const fn word(&self) -> &'static str {
        match self {
            FileState::Preparing => "preparing",
            FileState::Offered => "offered",
            FileState::Asking => "asking",
            FileState::Moving => "moving",
            FileState::Checking => "checking",
            FileState::Done { .. } => "done",
            FileState::Declined => "declined",
            FileState::Cancelled { .. } | FileState::Ended { .. } => "ended",
        }
    }
}

/// A file as a person sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileView {
    /// Which.
    pub id: FileId,
    /// To whom, or from whom.
    pub peer: PeerId,
    /// As that person is called.
    pub person: String,
    /// Its name, made safe.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Which way it goes.
    pub way: Way,
    /// How far it is.
    pub state: FileState,
    /// Bytes that are with the receiver.
    pub moved: u64,
    /// Bytes a second, lately; 0 while nothing moves.
    pub rate: u64,
    /// Since when it is over, if it is.
    pub over_since: Option<Instant>,
}
