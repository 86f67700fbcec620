//! Sending: the hash is taken, the file offered, and its pieces leave as they are taken.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use signaling_protocol::PeerId;

use super::{RETRY, Service, TURN};
use crate::files::message::{Hash, Message};
use crate::files::transfer::{Failure, Hashing, Role, Sending, Transfer, cannot_read};
use crate::files::{FileState, Way, name};
use crate::rtc::channel::{Channel, Refusal};

/// Looked at before it is opened: to open a pipe is to wait for somebody who writes into it.
fn size_of(path: &Path) -> io::Result<u64> {
    let metadata = fs::metadata(path)?;
    match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(io::Error::other("it is a folder or a device, not a file")),
    }
}

impl Service {
    pub(super) fn send_all(&mut self, paths: Vec<PathBuf>, to: &[(PeerId, String)]) {
        for path in paths {
            let size = size_of(&path);
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            for (peer, person) in to {
                let at = self.add(peer.clone(), person.clone(), name::safe(&name), 0, Way::Sending);
                match &size {
                    Ok(size) => {
                        self.transfers[at].view.size = *size;
                        self.transfers[at].role = Role::Waiting(path.clone());
                    }
                    Err(error) => {
                        let reason = format!("{name} cannot be read: {error}.");
                        self.transfers[at].end(FileState::Ended { reason });
                    }
                }
            }
        }
    }

    /// Its turn has come.
    pub(super) fn begin(&mut self, at: usize) -> Result<bool, Failure> {
        let transfer = &mut self.transfers[at];
        let Role::Waiting(path) = &transfer.role else { return Ok(false) };
        let hashing = File::open(path).and_then(Hashing::new).map_err(|error| cannot_read(&error))?;
        transfer.role = Role::Preparing(hashing);
        Ok(true)
    }

    pub(super) fn hash(&mut self, at: usize, now: Instant) -> Result<bool, Failure> {
        let Role::Preparing(hashing) = &mut self.transfers[at].role else { return Ok(false) };
        let done = hashing.work(&mut self.buffer).map_err(|error| cannot_read(&error))?;
        let size = hashing.at;
        let Some(hash) = done else {
            self.transfers[at].moved(size, now);
            return Ok(true);
        };
        if let Role::Preparing(hashing) = std::mem::replace(&mut self.transfers[at].role, Role::Over) {
            self.offer(at, hash, hashing.into_file(), size);
        }
        Ok(true)
    }

    pub(super) fn offer(&mut self, at: usize, hash: Hash, file: File, size: u64) {
        let transfer = &mut self.transfers[at];
        transfer.view.size = size;
        transfer.view.moved = 0;
        transfer.view.state = FileState::Offered;
        transfer.role = Role::Sending(Sending::new(file, size));
        let name = transfer.view.name.clone();
        let (peer, id) = (transfer.view.peer.clone(), transfer.wire);
        self.send(&peer, &Message::Offer { id, name, size, sha256: hash });
        self.news = true;
    }

    pub(super) fn on_accept(&mut self, at: usize, from: u64, now: Instant) -> Result<(), Failure> {
        let transfer = &mut self.transfers[at];
        if let Role::Sending(sending) = &mut transfer.role {
            sending.accepted(from)?;
            if transfer.view.state == FileState::Offered {
                transfer.view.state = FileState::Moving;
                transfer.moved(from, now);
                self.news = true;
            }
        }
        Ok(())
    }

    pub(super) fn send_pieces(&mut self, at: usize, now: Instant) -> Result<bool, Failure> {
        let Transfer { view, wire, role, .. } = &mut self.transfers[at];
        let Role::Sending(sending) = role else { return Ok(false) };
        for _ in 0..TURN {
            let Some(piece) = sending.piece(*wire)? else { return Ok(false) };
            match self.data.send(&view.peer, Channel::Files, piece) {
                Ok(()) => sending.taken(),
                Err(Refusal::Full) => {
                    self.blocked.insert(view.peer.clone(), now + RETRY);
                    return Ok(false);
                }
                // Whoever left is told of by `Gone`.
                Err(Refusal::Nobody | Refusal::TooLong) => return Ok(false),
            }
        }
        Ok(true)
    }
}
