//! The probe's log files, written by a thread of their own so that a slow disk never slows the call.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::media::frame::VideoFrame;
use crate::record::{Entry, What};

/// Lines and pictures waiting for the disk. When it is full the newest is dropped and counted: a
/// log with a hole beats a call with one.
const QUEUE: usize = 4096;

/// Dumped pictures waiting for the disk, at most; each is 1.4 MB at 720p.
const PICTURES: u64 = 8;

/// How long lines may stay in memory.
const FLUSH: Duration = Duration::from_millis(200);

/// Which file a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFile {
    /// `cap.log`.
    Captured,
    /// `ren.log`.
    Rendered,
    /// `cap-share.log`.
    CapturedScreen,
    /// `ren-share.log`.
    RenderedScreen,
}

enum Item {
    Line(LogFile, String),
    Entry(Entry),
    Picture(String, VideoFrame),
}

/// Takes lines from any thread; clones go to the same files.
#[derive(Clone)]
pub struct Log {
    queue: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
    pictures: Arc<AtomicU64>,
    dumping: bool,
}

impl Log {
    /// A line for a file.
    pub fn line(&self, file: LogFile, line: String) {
        if self.queue.try_send(Item::Line(file, line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Something that happened, or statistics: for `session.jsonl`, and for `stats.jsonl` or
    /// `events.jsonl` and standard output.
    pub fn entry(&self, entry: Entry) {
        if self.queue.try_send(Item::Entry(entry)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A picture for `frames/`; left out when several wait already.
    pub fn picture(&self, name: String, frame: VideoFrame) {
        if !self.dumping || self.pictures.fetch_add(1, Ordering::Relaxed) >= PICTURES {
            self.pictures.fetch_sub(u64::from(self.dumping), Ordering::Relaxed);
            return;
        }
        if self.queue.try_send(Item::Picture(name, frame)).is_err() {
            self.pictures.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many lines were lost because the disk was too slow.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Writes what [`Log`] takes.
pub struct LogWriter {
    thread: JoinHandle<io::Result<()>>,
}

struct Files {
    folder: Option<PathBuf>,
    events: Option<BufWriter<File>>,
    captured: Option<BufWriter<File>>,
    rendered: Option<BufWriter<File>>,
    captured_screen: Option<BufWriter<File>>,
    rendered_screen: Option<BufWriter<File>>,
    stats: Option<BufWriter<File>>,
    session: Option<BufWriter<File>>,
}

impl LogWriter {
    /// Makes the folder and its files; without a folder only events are written, to standard output.
    pub fn start(folder: Option<&Path>) -> io::Result<(Self, Log)> {
        let files = Files::create(folder)?;
        let (queue, entries) = sync_channel(QUEUE);
        let pictures = Arc::new(AtomicU64::new(0));
        let waiting = Arc::clone(&pictures);
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || files.write_all(&entries, &waiting))?;
        let log = Log { queue, dropped: Arc::default(), pictures, dumping: folder.is_some() };
        Ok((Self { thread }, log))
    }

    /// Waits until everything is on disk; all clones of the [`Log`] must be gone.
    pub fn finish(self) -> io::Result<()> {
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the log writer stopped unexpectedly")))
    }
}

impl Files {
    fn create(folder: Option<&Path>) -> io::Result<Self> {
        let Some(folder) = folder else {
            return Ok(Self {
                folder: None,
                events: None,
                captured: None,
                rendered: None,
                captured_screen: None,
                rendered_screen: None,
                stats: None,
                session: None,
            });
        };
        std::fs::create_dir_all(folder.join("frames"))?;
        let open = |name| File::create(folder.join(name)).map(|file| Some(BufWriter::new(file)));
        Ok(Self {
            folder: Some(folder.to_owned()),
            events: open("events.jsonl")?,
            captured: open("cap.log")?,
            rendered: open("ren.log")?,
            captured_screen: open("cap-share.log")?,
            rendered_screen: open("ren-share.log")?,
            stats: open("stats.jsonl")?,
            session: open("session.jsonl")?,
        })
    }

    fn write_all(mut self, entries: &Receiver<Item>, pictures: &AtomicU64) -> io::Result<()> {
        let mut flushed = clock::now();
        loop {
            match entries.recv_timeout(FLUSH) {
                Ok(Item::Line(file, line)) => self.write_line(file, &line)?,
                Ok(Item::Entry(entry)) => self.write_entry(&entry)?,
                Ok(Item::Picture(name, frame)) => {
                    pictures.fetch_sub(1, Ordering::Relaxed);
                    self.write_picture(&name, &frame)?;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.flush(),
            }
            let now = clock::now();
            if now.saturating_duration_since(flushed) >= FLUSH {
                self.flush()?;
                flushed = now;
            }
        }
    }

    fn write_line(&mut self, file: LogFile, line: &str) -> io::Result<()> {
        let writer = match file {
            LogFile::Captured => &mut self.captured,
            LogFile::Rendered => &mut self.rendered,
            LogFile::CapturedScreen => &mut self.captured_screen,
            LogFile::RenderedScreen => &mut self.rendered_screen,
        };
        writer.as_mut().map_or(Ok(()), |writer| writeln!(writer, "{line}"))
    }

    fn write_entry(&mut self, entry: &Entry) -> io::Result<()> {
        let line = entry.to_line();
        if let Some(session) = &mut self.session {
            writeln!(session, "{line}")?;
        }
        if let What::Stats(_) = entry.what {
            return self.stats.as_mut().map_or(Ok(()), |stats| writeln!(stats, "{line}"));
        }
        // A reader that went away must not end the call.
        writeln!(io::stdout(), "{line}").ok();
        let Some(events) = &mut self.events else { return Ok(()) };
        writeln!(events, "{line}")?;
        // Whoever waits for an event reads the file.
        events.flush()
    }

    fn write_picture(&self, name: &str, frame: &VideoFrame) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut file = BufWriter::new(File::create(folder.join("frames").join(name))?);
        file.write_all(frame.y())?;
        file.write_all(frame.u())?;
        file.write_all(frame.v())?;
        file.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self { folder: _, events, captured, rendered, captured_screen, rendered_screen, stats, session } =
            self;
        let files = [events, captured, rendered, captured_screen, rendered_screen, stats, session];
        files.into_iter().flatten().try_for_each(Write::flush)
    }
}
