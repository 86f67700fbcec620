//! Makes other files of a session file: one without people and places, one for other tools.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::anonymise::Anonymiser;
use super::entry::Entry;
use super::export::Export;
use super::read::{Broken, SessionError, visit};

/// Whether people and places are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// Everything stays as it is.
    AsItIs,
    /// Names, rooms, hosts and addresses are replaced, see [`Anonymiser`].
    Anonymous,
}

/// Writes `to`, a session file that tells what `from` tells, but not of whom. Says what of `from`
/// could not be read.
pub fn anonymise(from: &Path, to: &Path) -> Result<Option<Broken>, SessionError> {
    let mut anonymiser = learned(from)?;
    let mut broken = None;
    write(to, |out| {
        let mut written = Ok(());
        let read = visit(from, |entry| {
            if written.is_ok() {
                written = writeln!(out, "{}", anonymiser.hide(&entry));
            }
        });
        broken = read.map_err(io::Error::other)?;
        written
    })?;
    Ok(broken)
}

/// Writes `to`, a dump for tools that read those of `chrome://webrtc-internals`.
pub fn export(from: &Path, to: &Path, privacy: Privacy) -> Result<Option<Broken>, SessionError> {
    let mut export = Export::default();
    let broken = match privacy {
        Privacy::AsItIs => visit(from, |entry| export.push(entry))?,
        Privacy::Anonymous => {
            let mut anonymiser = learned(from)?;
            visit(from, |entry| {
                // What was written can be read.
                if let Ok(entry) = Entry::parse(&anonymiser.hide(&entry)) {
                    export.push(entry);
                }
            })?
        }
    };
    write(to, |out| out.write_all(export.finish().as_bytes()))?;
    Ok(broken)
}

fn learned(from: &Path) -> Result<Anonymiser, SessionError> {
    let mut anonymiser = Anonymiser::default();
    visit(from, |entry| anonymiser.learn(&entry))?;
    Ok(anonymiser)
}

/// Written beside and renamed, so that there is never half a file, and a file may replace itself.
fn write(
    to: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), SessionError> {
    let mut beside = to.as_os_str().to_owned();
    beside.push(".part");
    let beside = Path::new(&beside);
    let written = (|| {
        let mut out = BufWriter::new(File::create(beside)?);
        content(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(beside, to)
    })();
    written.map_err(|error| {
        std::fs::remove_file(beside).ok();
        SessionError::File { action: "written", path: to.to_owned(), error }
    })
}

#[cfg(test)]
mod tests {
    use super::super::entry::What;
    use super::super::read::load;
    use super::super::read::tests::{call, text};
    use super::*;

    #[test]
    fn a_file_is_anonymised_and_exported() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut entries = call(3);
        entries.push(Entry::new(2e12, What::Error { text: "8.8.8.8 does not answer".into() }));
        std::fs::write(path("call.jsonl"), text(&entries) + "{\"t\":").unwrap();

        let broken = anonymise(&path("call.jsonl"), &path("call.jsonl")).unwrap();
        assert!(broken.is_some_and(|broken| broken.cut_off && broken.line == 8));
        let hidden = std::fs::read_to_string(path("call.jsonl")).unwrap();
        assert!(hidden.contains("203.0.113.1 does not answer") && !hidden.contains("8.8.8.8"));
        let loaded = load(&path("call.jsonl")).unwrap();
        assert_eq!((loaded.broken, loaded.history.events.len()), (None, 4));

        export(&path("call.jsonl"), &path("dump.json"), Privacy::Anonymous).unwrap();
        let dump = std::fs::read_to_string(path("dump.json")).unwrap();
        assert!(dump.contains("IT8-bytesReceived") && dump.contains("sightline.error"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let from = folder.path().join("call.jsonl");
        std::fs::write(&from, text(&call(1))).unwrap();
        let error = export(&from, &folder.path().join("no/such/place"), Privacy::AsItIs).unwrap_err();
        assert!(error.to_string().contains("no/such/place cannot be written"), "{error}");
    }
}
