//! Receiving: an offer is accepted, its pieces are written, and the whole is compared with its hash.

use std::fs;
use std::path::Path;
use std::time::Instant;

use signaling_protocol::PeerId;

use super::{Consent, FROM_ONE, Service};
use crate::clock;
use crate::files::message::{Hash, Message, Stop};
use crate::files::transfer::{Accept, Failure, Receiving, Role, Transfer, cannot_write, part_of};
use crate::files::{FileId, FileState, Way, name};

impl Service {
    pub(super) fn on_offer(
        &mut self,
        peer: PeerId,
        person: &str,
        id: u32,
        name: &str,
        size: u64,
        hash: Hash,
    ) {
        let theirs = |transfer: &&Transfer| {
            transfer.view.peer == peer
                && transfer.view.way == Way::Receiving
                && !transfer.view.state.is_over()
        };
        if self.folder.path.is_none() || self.transfers.iter().filter(theirs).count() >= FROM_ONE {
            return self.send(&peer, &Message::Decline { id });
        }
        let at = self.add(peer, person.to_owned(), name::safe(name), size, Way::Receiving);
        let transfer = &mut self.transfers[at];
        transfer.wire = id;
        transfer.view.state = FileState::Asking;
        transfer.role = Role::Asked(hash);
        let consent = Consent::to(&transfer.view, hash);
        if self.folder.accept == Accept::Always || self.interrupted.contains(&consent) {
            self.accept(self.transfers[at].view.id);
        }
    }

    pub(super) fn accept(&mut self, id: FileId) {
        let Some(at) = self.position(id) else { return };
        let (Role::Asked(hash), Some(folder)) = (&self.transfers[at].role, self.folder.path.clone()) else {
            return;
        };
        let hash = *hash;
        let size = self.transfers[at].view.size;
        match self.open(&folder, hash, size) {
            Ok(receiving) => {
                let from = receiving.written();
                let transfer = &mut self.transfers[at];
                let consent = Consent::to(&transfer.view, hash);
                self.interrupted.retain(|known| *known != consent);
                transfer.view.state = FileState::Moving;
                transfer.moved(from, clock::now());
                transfer.role = Role::Receiving(receiving);
                let (peer, id) = (transfer.view.peer.clone(), transfer.wire);
                self.send(&peer, &Message::Accept { id, from });
                self.news = true;
                if let Err(failure) = self.whole(at) {
                    self.fail(at, failure);
                }
            }
            Err(failure) => self.fail(at, failure),
        }
    }

    /// Makes the folder, and opens the part unless another transfer writes it.
    fn open(&self, folder: &Path, hash: Hash, size: u64) -> Result<Receiving, Failure> {
        fs::create_dir_all(folder).map_err(|error| cannot_write(&error))?;
        let part = part_of(folder, hash);
        // Before it is opened, since that empties a part that is too long for the offer.
        let taken = self.transfers.iter().any(|transfer| match &transfer.role {
            Role::Receiving(other) | Role::Checking(other, _) => other.part() == part,
            Role::Waiting(_) | Role::Preparing(_) | Role::Sending(_) | Role::Asked(_) | Role::Over => false,
        });
        match taken {
            true => Err((Stop::Cancelled, "The same file is on its way already".into())),
            false => Receiving::open(part, hash, size),
        }
    }

    pub(super) fn on_piece(
        &mut self,
        at: usize,
        offset: u64,
        content: &[u8],
        now: Instant,
    ) -> Result<(), Failure> {
        let transfer = &mut self.transfers[at];
        let receiving = match &mut transfer.role {
            Role::Receiving(receiving) | Role::Checking(receiving, _) => receiving,
            Role::Waiting(_) | Role::Preparing(_) | Role::Sending(_) | Role::Asked(_) | Role::Over => {
                return Err((Stop::NotAsOffered, "It came before it was accepted".into()));
            }
        };
        let tell = receiving.write(offset, content)?;
        let written = receiving.written();
        transfer.moved(written, now);
        if let Some(bytes) = tell {
            let (peer, id) = (transfer.view.peer.clone(), transfer.wire);
            self.send(&peer, &Message::Got { id, bytes });
        }
        self.whole(at)
    }

    /// Begins to compare the hash, if everything is there.
    fn whole(&mut self, at: usize) -> Result<(), Failure> {
        let transfer = &mut self.transfers[at];
        let Role::Receiving(receiving) = &transfer.role else { return Ok(()) };
        if !receiving.is_whole() {
            return Ok(());
        }
        let hashing = receiving.check()?;
        if let Role::Receiving(receiving) = std::mem::replace(&mut transfer.role, Role::Over) {
            transfer.role = Role::Checking(receiving, hashing);
            transfer.view.state = FileState::Checking;
            self.news = true;
        }
        Ok(())
    }

    pub(super) fn check(&mut self, at: usize, now: Instant) -> Result<bool, Failure> {
        let Role::Checking(_, hashing) = &mut self.transfers[at].role else { return Ok(false) };
        let done = hashing.work(&mut self.buffer).map_err(|error| cannot_write(&error))?;
        let (Some(hash), Some(folder)) = (done, self.folder.path.clone()) else { return Ok(true) };
        let Role::Checking(receiving, hashing) = std::mem::replace(&mut self.transfers[at].role, Role::Over)
        else {
            return Ok(true);
        };
        drop(hashing);
        let path = receiving.finish(hash, &folder, &self.transfers[at].view.name)?;
        let size = self.transfers[at].view.size;
        self.transfers[at].moved(size, now);
        let (peer, id) = (self.transfers[at].view.peer.clone(), self.transfers[at].wire);
        self.end(at, FileState::Done { path: Some(path) });
        self.send(&peer, &Message::Done { id });
        Ok(true)
    }
}
