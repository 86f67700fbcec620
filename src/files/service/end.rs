//! How a file ends before it is there, and who is told.

use signaling_protocol::PeerId;

use super::{INTERRUPTED, Service};
use crate::files::message::{Message, Stop};
use crate::files::transfer::{Failure, Role, Transfer};
use crate::files::{FileId, FileState, Way};

impl Service {
    pub(super) fn end(&mut self, at: usize, state: FileState) {
        self.transfers[at].end(state);
        self.news = true;
    }

    pub(super) fn discard(&mut self, at: usize) {
        let role = std::mem::replace(&mut self.transfers[at].role, Role::Over);
        if let Role::Receiving(receiving) | Role::Checking(receiving, _) = role {
            receiving.discard();
        }
    }

    fn tell_end(&mut self, at: usize, why: Stop) {
        let Transfer { view, wire, .. } = &self.transfers[at];
        let (peer, id) = (view.peer.clone(), *wire);
        match view.way {
            Way::Sending => self.send(&peer, &Message::Cancel { id, why }),
            Way::Receiving => self.send(&peer, &Message::Stop { id, why }),
        }
    }

    pub(super) fn fail(&mut self, at: usize, (why, reason): Failure) {
        self.tell_end(at, why);
        match why {
            // What is there is right, and may be gone on with.
            Stop::DiskFull | Stop::CannotWrite | Stop::CannotRead => {}
            Stop::Cancelled | Stop::Changed | Stop::NotAsOffered | Stop::Unknown => self.discard(at),
        }
        self.end(at, FileState::Ended { reason: format!("{reason}.") });
    }

    pub(super) fn decline(&mut self, id: FileId) {
        let Some(at) = self.position(id) else { return };
        if let Role::Asked(_) = self.transfers[at].role {
            let (peer, id) = (self.transfers[at].view.peer.clone(), self.transfers[at].wire);
            self.end(at, FileState::Declined);
            self.send(&peer, &Message::Decline { id });
        }
    }

    pub(super) fn cancel(&mut self, id: FileId) {
        let Some(at) = self.position(id) else { return };
        if self.transfers[at].view.state == FileState::Asking {
            return self.decline(id);
        }
        if self.transfers[at].view.state.is_over() {
            return;
        }
        self.tell_end(at, Stop::Cancelled);
        self.discard(at);
        self.end(at, FileState::Cancelled { reason: "You cancelled it.".into() });
    }

    pub(super) fn gone(&mut self, peer: &PeerId) {
        self.control.remove(peer);
        self.blocked.remove(peer);
        for at in 0..self.transfers.len() {
            let transfer = &self.transfers[at];
            if transfer.view.peer != *peer || transfer.view.state.is_over() {
                continue;
            }
            if let Role::Receiving(receiving) = &transfer.role {
                self.interrupted.push_back(receiving.hash());
                if self.interrupted.len() > INTERRUPTED {
                    self.interrupted.pop_front();
                }
            }
            let reason = match transfer.view.state {
                FileState::Moving | FileState::Checking => {
                    "The connection ended before all of it was there; sent again, it goes on from there."
                }
                _ => "The connection ended before it was accepted.",
            };
            self.end(at, FileState::Ended { reason: reason.to_owned() });
        }
    }
}
