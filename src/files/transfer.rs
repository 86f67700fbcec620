//! One file on its way, with what it does to the disk; a slice at a time, so that several go at once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::message::{Hash, Message, PIECE_SIZE, Stop};
use super::name;
use super::progress::Progress;
use super::{FileState, FileView};

/// Bytes that are read and hashed in one slice.
const SLICE: usize = 1 << 20;

/// Bytes that the sender may be ahead of the receiver's disk. What waits for the disk is bounded by it.
pub const WINDOW: u64 = 512 * 1024;

/// The receiver tells after so many bytes what it has.
const TELL: u64 = 64 * 1024;

/// Files of one name in the folder, after which the sender's name is not used any more.
const SAME_NAME: u32 = 10_000;

/// Whether a person is asked before a file is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Each time.
    Ask,
    /// Everything is taken (a script).
    Always,
}

/// Where files go that come to us.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Made if it is not there; `None`: nothing is taken.
    pub path: Option<PathBuf>,
    /// Whether a person is asked.
    pub accept: Accept,
}

impl Folder {
    /// The person's folder for downloads, or home.
    pub fn downloads() -> Option<PathBuf> {
        let folders = directories::UserDirs::new()?;
        Some(folders.download_dir().unwrap_or(folders.home_dir()).to_owned())
    }
}

/// Why a file does not go on: for the other side, and for the person.
pub type Failure = (Stop, String);

/// What a transfer does.
#[derive(Debug)]
pub enum Role {
    /// Has not been looked into: it is sent after others.
    Waiting(PathBuf),
    /// Takes the hash of a file that is to be sent.
    Preparing(Hashing),
    /// Sends, once it is accepted.
    Sending(Sending),
    /// Waits for our decision.
    Asked(Hash),
    /// Writes what comes.
    Receiving(Receiving),
    /// Compares the hash of what came.
    Checking(Receiving, Hashing),
    /// Nothing any more.
    Over,
}

/// A file on its way.
#[derive(Debug)]
pub struct Transfer {
    /// As a person sees it.
    pub view: FileView,
    /// The sender's number.
    pub wire: u32,
    /// How fast.
    pub progress: Progress,
    /// What it does.
    pub role: Role,
}

impl Transfer {
    /// So much is with the receiver.
    pub fn moved(&mut self, bytes: u64, now: Instant) {
        self.progress.set(bytes, now);
        self.view.moved = bytes;
    }

    /// It does nothing any more.
    pub fn end(&mut self, state: FileState) {
        self.role = Role::Over;
        self.view.rate = 0;
        self.view.state = state;
    }
}

/// Takes the hash of a file, slice by slice.
#[derive(Debug)]
pub struct Hashing {
    file: File,
    hasher: Sha256,
    /// Bytes read so far.
    pub at: u64,
}

impl Hashing {
    /// From the beginning.
    pub fn new(mut file: File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        Ok(Self { file, hasher: Sha256::new(), at: 0 })
    }

    /// Reads on; the hash, at the end.
    pub fn work(&mut self, buffer: &mut Vec<u8>) -> io::Result<Option<Hash>> {
        buffer.resize(SLICE, 0);
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.at += read as u64;
        Ok((read == 0).then(|| Hash(std::mem::take(&mut self.hasher).finalize().into())))
    }

    /// The file itself.
    pub fn into_file(self) -> File {
        self.file
    }
}

/// The sender's side.
#[derive(Debug)]
pub struct Sending {
    file: File,
    size: u64,
    /// Where the next piece begins; `None`: not accepted yet.
    offset: Option<u64>,
    /// What is on the other side's disk.
    got: u64,
    /// A piece that was refused, until there is room.
    waiting: Option<Bytes>,
}

impl Sending {
    /// Of a file that was offered.
    pub fn new(file: File, size: u64) -> Self {
        Self { file, size, offset: None, got: 0, waiting: None }
    }

    /// The other side wants it from there on.
    pub fn accepted(&mut self, from: u64) -> Result<(), Failure> {
        if self.offset.is_some() {
            return Ok(());
        }
        if from > self.size {
            return Err((Stop::NotAsOffered, "The other side wants more than there is".into()));
        }
        self.file.seek(SeekFrom::Start(from)).map_err(|error| cannot_read(&error))?;
        (self.offset, self.got) = (Some(from), from);
        Ok(())
    }

    /// The other side has so much on its disk.
    pub fn on_got(&mut self, bytes: u64) -> u64 {
        if self.offset.is_some_and(|offset| bytes <= offset) {
            self.got = self.got.max(bytes);
        }
        self.got
    }

    /// Whether it was accepted and there is more to send.
    pub fn is_sending(&self) -> bool {
        self.offset.is_some_and(|offset| offset < self.size) || self.waiting.is_some()
    }

    /// Whether everything has been sent.
    pub fn is_sent(&self) -> bool {
        self.offset == Some(self.size) && self.waiting.is_none()
    }

    /// The next piece, if one may leave; it stays the next one until it is [`Sending::taken`].
    pub fn piece(&mut self, wire: u32) -> Result<Option<Bytes>, Failure> {
        if self.waiting.is_some() {
            return Ok(self.waiting.clone());
        }
        let Some(offset) = self.offset.filter(|offset| *offset < self.size && offset - self.got < WINDOW)
        else {
            return Ok(None);
        };
        let length = (self.size - offset).min(PIECE_SIZE as u64) as usize;
        let mut content = vec![0; length];
        self.file.read_exact(&mut content).map_err(|error| cannot_read(&error))?;
        self.offset = Some(offset + length as u64);
        self.waiting = Some(Message::Piece { id: wire, offset, content: content.into() }.write());
        Ok(self.waiting.clone())
    }

    /// The piece is on its way.
    pub fn taken(&mut self) {
        self.waiting = None;
    }
}

/// Where a file is until it is whole.
pub fn part_of(folder: &Path, hash: Hash) -> PathBuf {
    let digits = hash.to_string();
    folder.join(format!(".{}.sightline-part", &digits[..24]))
}

/// The receiver's side.
#[derive(Debug)]
pub struct Receiving {
    file: File,
    part: PathBuf,
    hash: Hash,
    size: u64,
    written: u64,
    told: u64,
}

impl Receiving {
    /// Opens the part that is there, or begins one.
    pub fn open(part: PathBuf, hash: Hash, size: u64) -> Result<Self, Failure> {
        let failed = |error: io::Error| cannot_write(&error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part)
            .map_err(failed)?;
        let mut written = file.metadata().map_err(failed)?.len();
        if written > size {
            file.set_len(0).map_err(failed)?;
            written = 0;
        }
        file.seek(SeekFrom::Start(written)).map_err(failed)?;
        Ok(Self { file, part, hash, size, written, told: written })
    }

    /// Bytes on the disk.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The file under its temporary name.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// What all of it must have.
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.written == self.size
    }

    /// A piece came; says what to tell the other side.
    pub fn write(&mut self, offset: u64, content: &[u8]) -> Result<Option<u64>, Failure> {
        if content.len() as u64 > self.size - self.written {
            return Err((Stop::NotAsOffered, "More came than was offered".into()));
        }
        if offset != self.written {
            return Err((Stop::NotAsOffered, "A piece came that does not belong there".into()));
        }
        self.file.write_all(content).map_err(|error| cannot_write(&error))?;
        self.written += content.len() as u64;
        let tell = self.written - self.told >= TELL || self.is_whole();
        Ok(tell.then(|| {
            self.told = self.written;
            self.written
        }))
    }

    /// Begins to compare the hash.
    pub fn check(&self) -> Result<Hashing, Failure> {
        let failed = |error: io::Error| cannot_write(&error);
        self.file.sync_data().map_err(failed)?;
        let again = self.file.try_clone().map_err(failed)?;
        Hashing::new(again).map_err(failed)
    }

    /// Gives the file its name if the hash is right, or removes it; where it is now.
    pub fn finish(self, hash: Hash, folder: &Path, name: &str) -> Result<PathBuf, Failure> {
        if hash != self.hash {
            self.discard();
            let reason = "What came is not what was offered: its hash is another one";
            return Err((Stop::Changed, reason.into()));
        }
        drop(self.file);
        for n in 1..SAME_NAME {
            let path = folder.join(name::numbered(name, n));
            // Made first, so that nobody else can take the name in between.
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(_) => {
                    return match fs::rename(&self.part, &path) {
                        Ok(()) => Ok(path),
                        Err(error) => {
                            fs::remove_file(&path).ok();
                            Err(cannot_write(&error))
                        }
                    };
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(cannot_write(&error)),
            }
        }
        Err((Stop::CannotWrite, format!("The folder has too many files called {name}")))
    }

    /// Removes what is there of it.
    pub fn discard(self) {
        drop(self.file);
        if let Err(error) = fs::remove_file(&self.part) {
            tracing::debug!(%error, "a part of a file stays");
        }
    }
}

/// What a failed write means.
pub fn cannot_write(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (Stop::DiskFull, "The disk is full".to_owned()),
        ErrorKind::FileTooLarge => (Stop::DiskFull, "The disk takes no file of this size".to_owned()),
        _ => (Stop::CannotWrite, format!("The file cannot be written: {error}")),
    }
}

/// What a failed read means.
pub fn cannot_read(error: &io::Error) -> Failure {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            (Stop::Changed, "The file became shorter while it was being sent".to_owned())
        }
        _ => (Stop::CannotRead, format!("The file cannot be read: {error}")),
    }
}

/// What the other side's reason means, in a sentence about `person`.
pub fn told(why: Stop, person: &str) -> FileState {
    let reason = match why {
        Stop::Cancelled => return FileState::Cancelled { reason: format!("{person} cancelled it.") },
        Stop::DiskFull => format!("The disk of {person} is full."),
        Stop::CannotWrite => format!("{person} cannot write it to the disk."),
        Stop::CannotRead => format!("{person} cannot read it any more."),
        Stop::Changed => "The file changed while it was being sent; send it again.".to_owned(),
        Stop::NotAsOffered => format!("{person} got something else than was offered."),
        Stop::Unknown => format!("{person} ended it."),
    };
    FileState::Ended { reason }
}
