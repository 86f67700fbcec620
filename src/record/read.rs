//! Reads session files, as far as they are whole.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::entry::{Entry, Session, What};
use super::history::{History, Limits};

/// Longest line that is looked at. Ours have some 20 kB, and every message fits many times.
const LONGEST_LINE: u64 = 16 << 20;

/// Why a session file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The system refuses.
    #[error("{} cannot be {action}: {error}", path.display())]
    File {
        /// `read` or `written`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// It is something else.
    #[error("{} is no session file: {reason}", path.display())]
    NotASession {
        /// Which.
        path: PathBuf,
        /// Why we think so.
        reason: String,
    },
    /// A later version of the program wrote it.
    #[error(
        "{} was written by a newer Sightline (format {found}, this one reads up to {})",
        path.display(),
        Session::VERSION
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// Lines that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Number of the first one, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
    /// How many there are.
    pub lines: u64,
    /// There is one only, and the file ends in the middle of it.
    pub cut_off: bool,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, reason, lines, cut_off } = self;
        match (cut_off, lines) {
            (true, _) => {
                write!(f, "the file ends in the middle of line {line}; everything before it is here")
            }
            (false, 1) => write!(f, "line {line} cannot be read ({reason}); everything else is here"),
            (false, lines) => write!(
                f,
                "{lines} lines cannot be read, the first is line {line} ({reason}); everything else is here"
            ),
        }
    }
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// What is in it.
    pub history: History,
    /// What could not be read.
    pub broken: Option<Broken>,
}

/// Reads a file into a history.
pub fn load(path: &Path) -> Result<Loaded, SessionError> {
    let mut history = History::new(Limits::FILE);
    let broken = visit(path, |entry| history.push(entry))?;
    Ok(Loaded { history, broken })
}

/// Reads a file entry by entry.
pub fn visit(path: &Path, each: impl FnMut(Entry)) -> Result<Option<Broken>, SessionError> {
    let failed = |error| SessionError::File { action: "read", path: path.to_owned(), error };
    let file = File::open(path).map_err(failed)?;
    match read(BufReader::new(file), each).map_err(failed)? {
        Outcome::Session(broken) => Ok(broken),
        Outcome::Newer(found) => Err(SessionError::Newer { path: path.to_owned(), found }),
        Outcome::SomethingElse(reason) => Err(SessionError::NotASession { path: path.to_owned(), reason }),
    }
}

/// What bytes are.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Session(Option<Broken>),
    Newer(u32),
    SomethingElse(String),
}

fn read(mut source: impl BufRead, mut each: impl FnMut(Entry)) -> io::Result<Outcome> {
    let mut broken: Option<Broken> = None;
    let mut begun = false;
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if source.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let whole = bytes.last() == Some(&b'\n');
        let too_long = !whole && bytes.len() as u64 == LONGEST_LINE;
        if too_long {
            skip_line(&mut source)?;
        }
        let entry = if too_long { Err("it is too long".to_owned()) } else { parse(&bytes) };
        match entry {
            Ok(None) => {}
            Ok(Some(entry)) => {
                if !begun && broken.is_none() {
                    match refusal(&entry) {
                        None => {}
                        Some(outcome) => return Ok(outcome),
                    }
                }
                begun = true;
                each(entry);
            }
            Err(reason) => match &mut broken {
                Some(broken) => (broken.lines, broken.cut_off) = (broken.lines + 1, false),
                None => {
                    broken = Some(Broken { line: number, reason, lines: 1, cut_off: !whole && !too_long })
                }
            },
        }
    }
    Ok(match (begun, broken) {
        (true, broken) => Outcome::Session(broken),
        (false, None) => Outcome::SomethingElse("it is empty".into()),
        (false, Some(broken)) => Outcome::SomethingElse(format!(
            "none of its lines can be read (line {}: {})",
            broken.line, broken.reason
        )),
    })
}

/// `None` for an empty line.
fn parse(bytes: &[u8]) -> Result<Option<Entry>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8".to_owned())?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    Entry::parse(text).map(Some).map_err(|error| error.to_string())
}

/// Why a file does not go on after its first line.
fn refusal(first: &Entry) -> Option<Outcome> {
    match &first.what {
        What::Session(session) if session.format != Session::FORMAT => {
            Some(Outcome::SomethingElse(format!("it calls itself \"{}\"", session.format)))
        }
        What::Session(session) if session.version > Session::VERSION => Some(Outcome::Newer(session.version)),
        What::Session(_) => None,
        _ => Some(Outcome::SomethingElse("its first line does not say that it is one".into())),
    }
}

fn skip_line(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let waiting = source.fill_buf()?;
        let end = waiting.iter().position(|byte| *byte == b'\n');
        let (used, done) = (end.map_or(waiting.len(), |at| at + 1), end.is_some() || waiting.is_empty());
        source.consume(used);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rtc::IceState;
    use crate::rtc::stats::{Entry as Stat, InboundRtp, Kind, Report};

    /// Some entries as a call makes them.
    pub fn call(seconds: u32) -> Vec<Entry> {
        let begun = 1_795_402_800_000.0;
        let mut entries = vec![
            Entry::new(begun, What::Session(Session::default())),
            Entry::new(begun + 1.5, What::WsOpen),
            Entry::new(begun + 20.25, What::Ice { state: IceState::Checking }),
        ];
        for second in 0..seconds {
            let stream = InboundRtp {
                id: "IT8".into(),
                ssrc: 8,
                kind: Kind::Video,
                bytes_received: Some(u64::from(second) * 125_000),
                jitter: Some(f64::from(second % 7) / 1024.0),
                ..Default::default()
            };
            let timestamp = begun + f64::from(second) * 1e3;
            entries.push(Entry::stats(Report { entries: vec![Stat::InboundRtp(stream)], timestamp }));
        }
        entries
    }

    pub fn text(entries: &[Entry]) -> String {
        entries.iter().map(|entry| entry.to_line() + "\n").collect()
    }

    fn folded(entries: impl IntoIterator<Item = Entry>) -> History {
        let mut history = History::default();
        entries.into_iter().for_each(|entry| history.push(entry));
        history
    }

    fn read_text(text: &[u8]) -> (Outcome, History) {
        let mut history = History::default();
        let outcome = read(text, |entry| history.push(entry)).unwrap();
        (outcome, history)
    }

    #[test]
    fn what_is_written_gives_the_same_history() {
        let entries = call(200);
        let (outcome, history) = read_text(text(&entries).as_bytes());
        assert_eq!(outcome, Outcome::Session(None));
        assert_eq!(history, folded(entries));
    }

    #[test]
    fn a_file_that_is_cut_off_opens_up_to_there() {
        let entries = call(10);
        let text = text(&entries);
        let (outcome, history) = read_text(&text.as_bytes()[..text.len() - 9]);
        let Outcome::Session(Some(broken)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((broken.line, broken.cut_off), (13, true));
        assert!(broken.to_string().contains("in the middle of line 13"), "{broken}");
        assert_eq!(history, folded(entries[..12].iter().cloned()));
    }

    #[test]
    fn broken_lines_cost_themselves_only_and_the_first_is_named() {
        let mut lines: Vec<Vec<u8>> = text(&call(10)).lines().map(|line| line.as_bytes().to_vec()).collect();
        lines[4] = b"\xff\xfe".to_vec();
        lines[7] = b"{\"t\":1}".to_vec();
        let (outcome, history) = read_text(&lines.join(&b'\n'));
        let Outcome::Session(Some(broken)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((broken.line, broken.lines, broken.cut_off), (5, 2, false));
        assert_eq!(history.report.map(|report| report.timestamp), Some(1_795_402_809_000.0));
    }

    #[test]
    fn a_line_without_end_costs_no_memory_and_no_more_than_itself() {
        let mut bytes = text(&call(1)).into_bytes();
        bytes.extend(std::iter::repeat_n(b'x', LONGEST_LINE as usize + 5));
        bytes.extend(b"\n{\"t\":5.0,\"ev\":\"bye\"}\n");
        let (outcome, history) = read_text(&bytes);
        assert!(matches!(outcome, Outcome::Session(Some(broken)) if broken.line == 5 && broken.lines == 1));
        assert_eq!(history.first("bye"), Some(5.0));
    }

    #[test]
    fn what_is_no_session_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it.jsonl");
        for (content, why) in [
            (&b""[..], "it is empty"),
            (b"\x7fELF\0\0\n", "none of its lines can be read"),
            (b"{\"t\":1.0,\"ev\":\"ready\"}\n", "its first line"),
            (b"{\"t\":1.0,\"ev\":\"session\",\"format\":\"other\",\"version\":1,\"application\":\"x\"}\n", "\"other\""),
            (b"{\"t\":1.0,\"ev\":\"session\",\"format\":\"sightline-session\",\"version\":2,\"application\":\"x\"}\n", "format 2"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = load(&path).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("it.jsonl"), "{error}");
        }
        assert!(load(&folder.path().join("gone")).unwrap_err().to_string().contains("cannot be read"));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            read_text(&bytes);
        }

        #[test]
        fn a_damaged_file_is_read(at in 0usize..2_000, damage in proptest::collection::vec(any::<u8>(), 1..40)) {
            let mut bytes = text(&call(5)).into_bytes();
            let at = at % bytes.len();
            let end = (at + damage.len()).min(bytes.len());
            bytes.splice(at..end, damage);
            read_text(&bytes);
        }
    }
}
