//! Writes a session file while the call runs, on a thread of its own: a slow disk never slows the
//! call, and what it costs is counted and stands in the file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::calendar::stamp;
use super::entry::{Entry, What};
use super::read::SessionError;
use crate::clock;

/// Entries waiting for the disk: a quarter of an hour of a quiet call. When it is full the newest are
/// dropped and counted.
const QUEUE: usize = 1_024;

/// How long entries may stay in memory.
const FLUSH: Duration = Duration::from_secs(1);

/// What ends the name of a file that nobody has asked to keep.
const UNKEPT: &str = ".part";

/// Unkept files of programs that broke are removed after this long.
const STALE: Duration = Duration::from_secs(86_400);

/// Files that may have begun in the same second.
const MOST_NAMES: u32 = 100;

/// Whether a file stays when the call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It stays.
    Always,
    /// It goes, unless [`SessionWriter::keep`] is called before.
    WhenAsked,
}

/// Told where a file is kept, on the writer's thread.
pub type Kept = Box<dyn FnOnce(Result<PathBuf, SessionError>) + Send>;

enum Order {
    Entry(Box<Entry>),
    Keep(Kept),
}

/// One file. Dropping it ends the thread when everything is on the disk, without waiting.
pub struct SessionWriter {
    queue: SyncSender<Order>,
    missing: u64,
    problem: Arc<OnceLock<String>>,
    told: bool,
    thread: JoinHandle<()>,
}

impl SessionWriter {
    /// Begins a file named by the time (Unix, milliseconds) in a folder, which is made if need be.
    pub fn start(folder: &Path, unix_ms: f64, keep: Keep) -> io::Result<Self> {
        let (queue, orders) = sync_channel(QUEUE);
        let problem = Arc::<OnceLock<String>>::default();
        let place = Place { folder: folder.to_owned(), name: stamp(unix_ms), kept: keep == Keep::Always };
        let trouble = Arc::clone(&problem);
        let thread = std::thread::Builder::new()
            .name("session".into())
            .spawn(move || place.write_all(&orders, &trouble))?;
        Ok(Self { queue, missing: 0, problem, told: false, thread })
    }

    /// One more entry.
    pub fn take(&mut self, entry: Entry) {
        if self.missing > 0 {
            let lost = Entry::new(entry.t, What::Lost { lines: self.missing });
            if self.queue.try_send(Order::Entry(Box::new(lost))).is_err() {
                self.missing += 1;
                return;
            }
            self.missing = 0;
        }
        if self.queue.try_send(Order::Entry(Box::new(entry))).is_err() {
            self.missing += 1;
        }
    }

    /// Lets the file stay; it goes on to be written.
    pub fn keep(&self, done: Kept) {
        if let Err(TrySendError::Full(Order::Keep(done)) | TrySendError::Disconnected(Order::Keep(done))) =
            self.queue.try_send(Order::Keep(done))
        {
            let error = io::Error::other("the disk is too slow");
            done(Err(SessionError::File { action: "written", path: PathBuf::from("the record"), error }));
        }
    }

    /// Why nothing is written any more; said once.
    pub fn problem(&mut self) -> Option<String> {
        let problem = self.problem.get().filter(|_| !self.told).cloned();
        self.told |= problem.is_some();
        problem
    }

    /// Waits until everything is on the disk.
    pub fn finish(self) {
        let Self { queue, thread, .. } = self;
        drop(queue);
        if thread.join().is_err() {
            tracing::error!("the writer of the record stopped unexpectedly");
        }
    }
}

/// Where the file is.
struct Place {
    folder: PathBuf,
    name: String,
    kept: bool,
}

impl Place {
    fn write_all(mut self, orders: &Receiver<Order>, problem: &OnceLock<String>) {
        let opened = self.open();
        let (mut path, mut file) = match opened {
            Ok((path, file)) => (path, Some(BufWriter::new(file))),
            Err((path, error)) => {
                problem.get_or_init(|| failure(&path, error).to_string());
                (path, None)
            }
        };
        let mut flushed = clock::now();
        loop {
            let done = match orders.recv_timeout(FLUSH) {
                Ok(Order::Entry(entry)) => {
                    file.as_mut().map_or(Ok(()), |file| writeln!(file, "{}", entry.to_line()))
                }
                Ok(Order::Keep(done)) => {
                    done(self.keep(&mut path, file.as_mut()));
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout) => Ok(()),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let now = clock::now();
            let due = now.saturating_duration_since(flushed) >= FLUSH;
            let done = done.and_then(|()| file.as_mut().filter(|_| due).map_or(Ok(()), Write::flush));
            flushed = if due { now } else { flushed };
            if let Err(error) = done {
                problem.get_or_init(|| failure(&path, error).to_string());
                file = None;
            }
        }
        if let Some(Err(error)) = file.map(|file| {
            let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
            if self.kept { file.sync_all() } else { Ok(()) }
        }) {
            tracing::error!("{}", failure(&path, error));
        }
        if !self.kept {
            std::fs::remove_file(&path).ok();
        }
    }

    fn open(&self) -> Result<(PathBuf, File), (PathBuf, io::Error)> {
        std::fs::create_dir_all(&self.folder).map_err(|error| (self.folder.clone(), error))?;
        self.remove_stale();
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Others on this computer have no business with it.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.free_name(self.kept, |path| options.open(path))
    }

    /// Under the first name that is free.
    fn free_name<T>(
        &self,
        kept: bool,
        mut take: impl FnMut(&Path) -> io::Result<T>,
    ) -> Result<(PathBuf, T), (PathBuf, io::Error)> {
        for number in 1..=MOST_NAMES {
            let number = if number == 1 { String::new() } else { format!(" {number}") };
            let name = &self.name;
            let path = self.folder.join(match kept {
                true => format!("{name}{number}.jsonl"),
                false => format!(".{name}{number}{UNKEPT}"),
            });
            match take(&path) {
                Ok(taken) => return Ok((path, taken)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err((path, error)),
            }
        }
        Err((self.folder.clone(), io::Error::from(io::ErrorKind::AlreadyExists)))
    }

    fn keep(
        &mut self,
        path: &mut PathBuf,
        file: Option<&mut BufWriter<File>>,
    ) -> Result<PathBuf, SessionError> {
        let Some(file) = file else {
            return Err(failure(path, io::Error::other("it could not be written")));
        };
        file.flush().map_err(|error| failure(path, error))?;
        if !self.kept {
            // A link fails where the name is taken; renaming would write over another call.
            let from = path.clone();
            let linked = self.free_name(true, |to| std::fs::hard_link(&from, to));
            let (to, ()) = match linked {
                Ok(linked) => linked,
                Err(_) => self
                    .free_name(true, |to| match to.exists() {
                        true => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
                        false => std::fs::rename(&from, to),
                    })
                    .map_err(|(path, error)| failure(&path, error))?,
            };
            std::fs::remove_file(&from).ok();
            self.kept = true;
            *path = to;
        }
        Ok(path.clone())
    }

    fn remove_stale(&self) {
        let Ok(files) = std::fs::read_dir(&self.folder) else { return };
        let now = clock::unix();
        for file in files.flatten() {
            let name = file.file_name();
            let unkept = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(UNKEPT));
            let changed = || {
                let changed = file.metadata().ok()?.modified().ok()?;
                changed.duration_since(std::time::UNIX_EPOCH).ok()
            };
            if unkept && changed().is_some_and(|changed| now.saturating_sub(changed) > STALE) {
                std::fs::remove_file(file.path()).ok();
            }
        }
    }
}

fn failure(path: &Path, error: io::Error) -> SessionError {
    SessionError::File { action: "written", path: path.to_owned(), error }
}

#[cfg(test)]
mod tests {

    use super::super::read::load;
    use super::super::read::tests::call;
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    const BEGUN: f64 = 1_795_402_800_000.0;

    #[test]
    fn a_kept_file_holds_everything_and_one_that_nobody_wants_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        for keep in [Keep::Always, Keep::Always, Keep::WhenAsked] {
            let mut writer = SessionWriter::start(folder.path(), BEGUN, keep).unwrap();
            call(50).into_iter().for_each(|entry| writer.take(entry));
            writer.finish();
        }
        assert_eq!(files(folder.path()), ["2026-11-23 03.00.00 2.jsonl", "2026-11-23 03.00.00.jsonl"]);
        let loaded = load(&folder.path().join("2026-11-23 03.00.00.jsonl")).unwrap();
        assert_eq!((loaded.broken, loaded.history.events.len()), (None, 3));
        assert_eq!(loaded.history.report.unwrap().timestamp, BEGUN + 49e3);
    }

    #[test]
    fn what_is_kept_in_the_middle_of_a_call_goes_on_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SessionWriter::start(folder.path(), BEGUN, Keep::WhenAsked).unwrap();
        let entries = call(9);
        let (first, rest) = entries.split_at(4);
        first.iter().for_each(|entry| writer.take(entry.clone()));
        let (tell, told) = sync_channel(1);
        writer.keep(Box::new(move |kept| tell.send(kept.map_err(|error| error.to_string())).unwrap()));
        let path = told.recv().unwrap().unwrap();
        assert_eq!(load(&path).unwrap().history.events.len(), 3, "it can be read at once");
        rest.iter().for_each(|entry| writer.take(entry.clone()));
        writer.finish();
        assert_eq!(files(folder.path()), ["2026-11-23 03.00.00.jsonl"]);
        assert_eq!(load(&path).unwrap().history.report.unwrap().timestamp, BEGUN + 8e3);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_once_and_costs_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("blocked");
        std::fs::write(&blocked, "a file where a folder should be").unwrap();
        let mut writer = SessionWriter::start(&blocked, BEGUN, Keep::Always).unwrap();
        let (tell, told) = sync_channel(1);
        writer.keep(Box::new(move |kept| tell.send(kept.is_err()).unwrap()));
        assert!(told.recv().unwrap());
        call(3).into_iter().for_each(|entry| writer.take(entry));
        assert!(writer.problem().unwrap().contains("blocked cannot be written"));
        assert_eq!(writer.problem(), None);
        writer.finish();
    }

    #[test]
    fn what_a_slow_disk_costs_stands_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SessionWriter::start(folder.path(), BEGUN, Keep::Always).unwrap();
        // The disk hangs until it is told to go on.
        let (go_on, waits) = sync_channel::<()>(1);
        let (began, hanging) = sync_channel(1);
        writer.take(call(0).remove(0));
        writer.keep(Box::new(move |_| {
            began.send(()).unwrap();
            waits.recv().ok();
        }));
        hanging.recv().unwrap();
        let many = QUEUE as u64 + 30;
        (0..many).for_each(|n| writer.take(Entry::new(BEGUN + n as f64, What::Call)));
        drop(go_on);
        let (tell, drained) = sync_channel(1);
        while writer.missing > 0 {
            std::thread::yield_now();
            writer.take(Entry::new(BEGUN, What::Bye));
        }
        writer.keep(Box::new(move |_| tell.send(()).unwrap()));
        drained.recv().unwrap();
        writer.finish();
        let history = load(&folder.path().join("2026-11-23 03.00.00.jsonl")).unwrap().history;
        let written = history.events.iter().filter(|entry| entry.what == What::Call).count() as u64;
        assert!(history.dropped.lines >= many - written && written >= QUEUE as u64, "{:?}", history.dropped);
    }
}
