//! What waits for the thread of files, in the order in which it came.
//!
//! What people and the call say is never crowded out by what others send: only messages of others are
//! dropped when they come faster than the disk takes them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use bytes::Bytes;
use signaling_protocol::PeerId;

use super::FileId;

/// Messages of others that wait for the disk. An honest sender is at most a window ahead, which is 128
/// pieces a file; when it is full the newest is dropped, and the file it belongs to ends as one whose
/// pieces do not follow each other.
const MESSAGES: usize = 4_096;

/// Everything else that waits: clicks, people who leave, room in a channel. Only a disk that hangs for
/// minutes lets so much come together; then the newest is dropped with an error in the log.
const WISHES: usize = 1_024;

/// What the thread is told.
#[derive(Debug)]
pub enum Input {
    /// Files for these people, with their names.
    Send {
        /// Where they are.
        paths: Vec<PathBuf>,
        /// For whom.
        to: Vec<(PeerId, String)>,
    },
    /// We want it.
    Accept(FileId),
    /// We do not.
    Decline(FileId),
    /// We do not want it any more.
    Cancel(FileId),
    /// It need not be shown any more.
    Dismiss(FileId),
    /// A message of the files channel.
    Data {
        /// Of whom.
        peer: PeerId,
        /// As called.
        person: String,
        /// The message.
        message: Bytes,
    },
    /// There is room again in somebody's channel.
    Room(PeerId),
    /// Somebody left.
    Gone(PeerId),
    /// A new call: what is over is forgotten.
    Reset,
}

/// Where inputs are put; they end when it is dropped.
#[derive(Debug)]
pub struct Inbox {
    inputs: SyncSender<Input>,
    messages: Arc<AtomicUsize>,
}

/// Where they are taken out.
#[derive(Debug)]
pub struct Inputs {
    inputs: Receiver<Input>,
    messages: Arc<AtomicUsize>,
}

/// Nothing waits yet.
pub fn inbox() -> (Inbox, Inputs) {
    let (sender, receiver) = sync_channel(MESSAGES + WISHES);
    let messages = Arc::<AtomicUsize>::default();
    (Inbox { inputs: sender, messages: Arc::clone(&messages) }, Inputs { inputs: receiver, messages })
}

impl Inbox {
    /// Never waits.
    pub fn put(&self, input: Input) {
        if let Input::Data { .. } = input {
            if self.messages.load(Ordering::Acquire) >= MESSAGES {
                return tracing::warn!("the disk is too slow for what comes; a piece of a file is dropped");
            }
            self.messages.fetch_add(1, Ordering::AcqRel);
        }
        // A thread that has ended has said why.
        if let Err(std::sync::mpsc::TrySendError::Full(lost)) = self.inputs.try_send(input) {
            tracing::error!(?lost, "the disk has been hanging for long; this is lost");
        }
    }
}

impl Inputs {
    /// The next one, if it comes within `wait`.
    pub fn take(&self, wait: Duration) -> Result<Input, RecvTimeoutError> {
        let input = self.inputs.recv_timeout(wait)?;
        if let Input::Data { .. } = input {
            self.messages.fetch_sub(1, Ordering::AcqRel);
        }
        Ok(input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_messages_crowds_out_no_wish_and_the_order_stays() {
        let (inbox, inputs) = inbox();
        let peer = PeerId::new("a").unwrap();
        let data = || Input::Data { peer: peer.clone(), person: "A".into(), message: Bytes::new() };
        inbox.put(Input::Accept(FileId(1)));
        (0..MESSAGES + 10).for_each(|_| inbox.put(data()));
        inbox.put(Input::Gone(peer.clone()));
        inbox.put(data());
        let all: Vec<Input> = std::iter::from_fn(|| inputs.take(Duration::ZERO).ok()).collect();
        assert!(matches!(all.first(), Some(Input::Accept(_))) && matches!(all.last(), Some(Input::Gone(_))));
        assert_eq!(all.len(), MESSAGES + 2, "what is too much is dropped");
        inbox.put(data());
        assert!(inputs.take(Duration::ZERO).is_ok(), "there is room again");
    }
}
