//! How a file ends before it is there, and who is told.

use signaling_protocol::PeerId;

use super::{Consent, INTERRUPTED, Service};
use crate::files::message::{Message, Stop};
use crate::files::transfer::{Failure, Role, Transfer};
use crate::files::{FileId, FileState, Way};

/// Why what moved does not move any more.
const BROKE_OFF: &str = "The connection ended before all of it was there; sent again, it goes on from there.";

impl Service {
    pub(super) fn end(&mut self, at: usize, state: FileState) {
        self.transfers[at].end(state);
        self.news = true;
    }

    /// Removes what is there of it, unless that is right and may be gone on with.
    pub(super) fn discard(&mut self, at: usize, why: Stop) {
        match why {
            Stop::DiskFull | Stop::CannotWrite | Stop::CannotRead => return,
            Stop::Cancelled | Stop::Changed | Stop::NotAsOffered | Stop::Unknown => {}
        }
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
        self.discard(at, why);
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
        self.discard(at, Stop::Cancelled);
        self.end(at, FileState::Cancelled { reason: "You cancelled it.".into() });
    }

    pub(super) fn gone(&mut self, peer: &PeerId) {
        self.control.remove(peer);
        self.blocked.remove(peer);
        for at in 0..self.transfers.len() {
            let Transfer { view, role, .. } = &self.transfers[at];
            if view.peer != *peer {
                continue;
            }
            let reason = match role {
                // All of it is there: nobody is needed any more.
                Role::Checking(..) | Role::Over => continue,
                Role::Receiving(receiving) => {
                    self.interrupted.push_back(Consent::to(view, receiving.hash()));
                    if self.interrupted.len() > INTERRUPTED {
                        self.interrupted.pop_front();
                    }
                    BROKE_OFF
                }
                Role::Sending(_) if view.state == FileState::Moving => BROKE_OFF,
                Role::Waiting(_) | Role::Preparing(_) | Role::Sending(_) | Role::Asked(_) => {
                    "The connection ended before it was accepted."
                }
            };
            self.end(at, FileState::Ended { reason: reason.to_owned() });
        }
    }
}
