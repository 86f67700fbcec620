//! One running application a person: a second start hands its link to the first and ends.
//!
//! Over a local socket (a file that only this person may open on Unix, a named pipe on Windows).
//! What arrives there comes from another process and is treated as a stranger's.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
#[cfg(unix)]
use std::path::PathBuf;

use interprocess::local_socket::traits::{ListenerExt as _, Stream as _};
use interprocess::local_socket::{ConnectOptions, Listener, ListenerOptions, Name, Stream};
use tokio::sync::mpsc;

use crate::link::Link;

/// The longest line that is read: longer than every link.
const LONGEST: u64 = 4096;

/// Second starts that wait for the window. More at once than these are somebody's mistake and are
/// dropped with a line in the log.
const WAITING: usize = 4;

/// A second start: it wants the window in front, and perhaps a call joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Handover {
    /// What it was started with.
    pub link: Option<Link>,
}

/// Whether this is the first start or another.
pub enum Claim {
    /// The first; here come the others.
    First(mpsc::Receiver<Handover>),
    /// Another one runs and has the link now.
    HandedOver,
}

/// Hands `link` to the running application, or becomes it. Where the system gives no socket the
/// application runs alone.
pub fn claim(link: Option<&str>) -> Claim {
    let (send, others) = mpsc::channel(WAITING);
    let arrived = move |text: String| {
        let link = match text.as_str() {
            "" => None,
            text => text.parse().inspect_err(|error| tracing::warn!("a second start's link: {error}")).ok(),
        };
        if send.try_send(Handover { link }).is_err() {
            tracing::warn!("the window does not take second starts; one is ignored");
        }
    };
    match start_at(|| name("sightline"), link.unwrap_or_default()) {
        Ok(Start::HandedOver) => return Claim::HandedOver,
        Ok(Start::First(first)) => {
            if let Err(error) = first.listen(arrived) {
                tracing::warn!("second starts will not find this one: {error}");
            }
        }
        Err(error) => tracing::warn!("second starts will not find this one: {error}"),
    }
    Claim::First(others)
}

enum Start {
    First(Instance),
    HandedOver,
}

/// The place where second starts knock.
struct Instance {
    listener: Listener,
}

fn start_at<'a>(name: impl Fn() -> io::Result<Name<'a>>, text: &str) -> io::Result<Start> {
    match ConnectOptions::new().name(name()?).connect_sync() {
        Ok(stream) => hand_over(stream, text),
        // Nobody there, or only the socket file of one that was killed.
        Err(_) => {
            let listener = ListenerOptions::new().name(name()?).try_overwrite(true).create_sync()?;
            Ok(Start::First(Instance { listener }))
        }
    }
}

fn hand_over(mut stream: Stream, text: &str) -> io::Result<Start> {
    let line = text.replace(['\n', '\r'], " ");
    stream.write_all(line.as_bytes())?;
    stream.write_all(b"\n")?;
    stream.flush()?;
    // The other says that it has it, so that the text is not lost with this process.
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    Ok(Start::HandedOver)
}

impl Instance {
    /// Calls `arrived` with the text of each second start, on a thread of its own, which lasts as
    /// long as the process.
    fn listen(self, arrived: impl Fn(String) + Send + 'static) -> io::Result<()> {
        let listen = move || {
            for stream in self.listener.incoming() {
                match stream.and_then(receive) {
                    Ok(text) => arrived(text),
                    Err(error) => tracing::warn!("a second start could not say what it wants: {error}"),
                }
            }
        };
        std::thread::Builder::new().name("second-starts".into()).spawn(listen).map(drop)
    }
}

fn receive(stream: Stream) -> io::Result<String> {
    // One that connects and says nothing must not keep the others out for ever.
    stream.set_recv_timeout(Some(std::time::Duration::from_secs(2)))?;
    let mut reader = BufReader::new(stream.take(LONGEST));
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the text is cut off or too long"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the text is not UTF-8"))?;
    reader.into_inner().into_inner().write_all(b"+")?;
    Ok(text)
}

/// The socket of this person.
#[cfg(unix)]
fn name(application: &str) -> io::Result<Name<'static>> {
    use interprocess::local_socket::{GenericFilePath, ToFsName as _};
    folder()?.join(format!("{application}.sock")).to_fs_name::<GenericFilePath>()
}

/// The pipe of this person.
#[cfg(not(unix))]
fn name(application: &str) -> io::Result<Name<'static>> {
    use interprocess::local_socket::{GenericNamespaced, ToNsName as _};
    let person = std::env::var("USERNAME").unwrap_or_default();
    format!("{application}-{person}").to_ns_name::<GenericNamespaced>()
}

/// A folder of this person alone: the system's for running programs, else the settings'.
#[cfg(unix)]
fn folder() -> io::Result<PathBuf> {
    let folders = directories::ProjectDirs::from("", "", "Sightline")
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this person has no home folder"))?;
    let folder = folders.runtime_dir().unwrap_or_else(|| folders.config_dir()).to_path_buf();
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[cfg(all(test, unix))]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use interprocess::local_socket::{GenericFilePath, ToFsName as _};

    use super::*;

    fn start_in(folder: &std::path::Path, text: &str) -> Start {
        start_at(|| folder.join("s").to_fs_name::<GenericFilePath>(), text).expect("a socket in a new folder")
    }

    #[test]
    fn a_second_start_hands_its_link_to_the_first_even_after_a_crash() {
        let folder = tempfile::tempdir().unwrap();
        // What a killed application leaves behind.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap());
        let Start::First(first) = start_in(folder.path(), "") else { panic!("nobody runs") };
        let (send, arrived) = sync_channel(4);
        first.listen(move |text| send.send(text).unwrap()).unwrap();
        assert!(matches!(start_in(folder.path(), "sightline://host/r/room#x\ny"), Start::HandedOver));
        let text = arrived.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(text, "sightline://host/r/room#x y");
    }

    #[test]
    fn garbage_from_another_process_is_refused_and_the_next_one_heard() {
        let folder = tempfile::tempdir().unwrap();
        let Start::First(first) = start_in(folder.path(), "") else { panic!("nobody runs") };
        let (send, arrived) = sync_channel(4);
        first.listen(move |text| send.send(text).unwrap()).unwrap();
        for garbage in [&b"\xff\xfe\n"[..], &[b'a'; 9000], b"no end"] {
            let mut stream = std::os::unix::net::UnixStream::connect(folder.path().join("s")).unwrap();
            // The other side may hang up in the middle of it.
            stream.write_all(garbage).ok();
        }
        assert!(matches!(start_in(folder.path(), "after"), Start::HandedOver));
        assert_eq!(arrived.recv_timeout(Duration::from_secs(10)).unwrap(), "after");
    }
}
