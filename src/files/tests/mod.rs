//! Two sides with disks of their own, joined by channels in place of a connection.

mod hostile;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::message::{Hash, Message, Stop};
use super::*;
use crate::rtc::channel::{Channel, DataSender, Mailbox};

struct Side {
    id: PeerId,
    files: Files,
    mailbox: Mailbox,
    posts: mpsc::Receiver<(Channel, bytes::Bytes)>,
}

impl Side {
    fn new(id: &str, other: &str, folder: Option<&Path>, accept: Accept) -> Self {
        let data = DataSender::default();
        let (mailbox, posts) = Mailbox::new();
        data.add(PeerId::new(other).unwrap(), mailbox.clone());
        let folder = Folder { path: folder.map(Path::to_owned), accept };
        Self { id: PeerId::new(id).unwrap(), files: Files::start(folder, data).unwrap(), mailbox, posts }
    }

    /// What this side has posted, on its way.
    fn post(&mut self) -> Option<bytes::Bytes> {
        let (channel, message) = self.posts.try_recv().ok()?;
        if self.mailbox.done(channel, message.len()) {
            let other = if self.id.as_str() == "a" { "b" } else { "a" };
            self.files.tell(Input::Room(PeerId::new(other).unwrap()));
        }
        Some(message)
    }

    fn hear(&self, from: &PeerId, message: bytes::Bytes) {
        self.files.tell(Input::Data { peer: from.clone(), person: "Bob".into(), message });
    }

    fn states(&self) -> Vec<FileState> {
        self.files.view().iter().map(|file| file.state.clone()).collect()
    }
}

/// Carries messages both ways until `done`, or until `budget` messages have passed.
fn carry(a: &mut Side, b: &mut Side, budget: usize, done: impl Fn(&Side, &Side) -> bool) -> bool {
    let deadline = crate::clock::now() + Duration::from_secs(30);
    let mut passed = 0;
    while crate::clock::now() < deadline {
        let mut quiet = true;
        while passed < budget
            && let Some(message) = a.post()
        {
            b.hear(&a.id, message);
            passed += 1;
            quiet = false;
        }
        while let Some(message) = b.post() {
            a.hear(&b.id, message);
            quiet = false;
        }
        if done(a, b) || passed >= budget {
            return passed < budget;
        }
        if quiet {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    panic!("never done: {:?} {:?}", a.states(), b.states());
}

fn source(folder: &Path, name: &str, size: usize) -> (PathBuf, Vec<u8>) {
    let mut seed = size as u32 | 1;
    let content: Vec<u8> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    })
    .take(size)
    .collect();
    let path = folder.join(name);
    fs::write(&path, &content).unwrap();
    (path, content)
}

fn pair(folder: &Path, accept: Accept) -> (Side, Side) {
    (Side::new("a", "b", None, Accept::Ask), Side::new("b", "a", Some(folder), accept))
}

fn send(a: &Side, b: &Side, path: &Path) {
    a.files.tell(Input::Send { paths: vec![path.to_owned()], to: vec![(b.id.clone(), "Bob".into())] });
}

/// How many things lie in a folder.
fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Waits for what must become true on a machine that may be busy.
#[track_caller]
fn eventually(is_so: impl Fn() -> bool) {
    let deadline = crate::clock::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(crate::clock::now() < deadline, "it never became so");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn all_over(a: &Side, b: &Side, count: usize) -> bool {
    [a, b].iter().all(|side| {
        let states = side.states();
        states.len() == count && states.iter().all(FileState::is_over)
    })
}

/// The path of the only file that came.
fn arrived(side: &Side) -> PathBuf {
    match side.states().as_slice() {
        [FileState::Done { path: Some(path) }] => path.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_of_any_size_arrive_as_they_were_and_several_at_once() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut a, mut b) = pair(to.path(), Accept::Always);
    let sizes = [0, 1, 4_095, 4_096, 4_097, 700_000, 3_000_000];
    let sources: Vec<_> =
        sizes.iter().map(|size| source(from.path(), &format!("{size}.bin"), *size)).collect();
    sources.iter().for_each(|(path, _)| send(&a, &b, path));
    carry(&mut a, &mut b, usize::MAX, |a, b| all_over(a, b, sizes.len()));
    for (path, content) in &sources {
        assert!(fs::read(to.path().join(path.file_name().unwrap())).unwrap() == *content, "{path:?}");
    }
    assert_eq!(entries(to.path()), sizes.len(), "nothing else is left");
    assert!(a.files.view().iter().all(|file| file.moved == file.size && file.person == "Bob"));
}

#[test]
fn a_file_waits_for_consent_and_goes_nowhere_without() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut a, mut b) = pair(to.path(), Accept::Ask);
    let (path, _) = source(from.path(), "x", 10_000);
    send(&a, &b, &path);
    carry(&mut a, &mut b, usize::MAX, |_, b| b.states() == [FileState::Asking]);
    b.files.tell(Input::Decline(b.files.view()[0].id));
    carry(&mut a, &mut b, usize::MAX, |a, b| all_over(a, b, 1));
    assert_eq!((a.states(), b.states()), (vec![FileState::Declined], vec![FileState::Declined]));
    assert_eq!(entries(to.path()), 0);
}

#[test]
fn nothing_is_overwritten() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(to.path().join("x.txt"), "mine").unwrap();
    let (mut a, mut b) = pair(to.path(), Accept::Always);
    let (path, content) = source(from.path(), "x.txt", 100);
    send(&a, &b, &path);
    carry(&mut a, &mut b, usize::MAX, |a, b| all_over(a, b, 1));
    assert_eq!(arrived(&b), to.path().join("x (2).txt"));
    assert_eq!(fs::read(to.path().join("x.txt")).unwrap(), b"mine");
    assert_eq!(fs::read(arrived(&b)).unwrap(), content);
}

#[test]
fn a_file_goes_on_where_it_broke_off_even_in_another_process() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut a, mut b) = pair(to.path(), Accept::Always);
    let (path, content) = source(from.path(), "x", 2_000_000);
    send(&a, &b, &path);
    assert!(!carry(&mut a, &mut b, 250, |_, _| false));
    // The receiver is gone without a word, and another one comes.
    std::thread::sleep(Duration::from_millis(50));
    a.files.tell(Input::Gone(b.id.clone()));
    drop(b);
    let (mut a, mut b) = pair(to.path(), Accept::Always);
    send(&a, &b, &path);
    let mut sent = 0;
    while sent == 0 {
        carry(&mut a, &mut b, 2, |_, b| b.files.view().iter().any(|file| file.state == FileState::Moving));
        sent = b.files.view().first().map_or(0, |file| file.moved);
    }
    assert!(sent >= 200 * 4_096, "went on from {sent}");
    carry(&mut a, &mut b, usize::MAX, |a, b| all_over(a, b, 1));
    assert!(fs::read(arrived(&b)).unwrap() == content);
}

#[test]
fn either_side_may_cancel_and_nothing_stays() {
    for receiver_cancels in [true, false] {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut a, mut b) = pair(to.path(), Accept::Always);
        let (path, _) = source(from.path(), "x", 2_000_000);
        send(&a, &b, &path);
        carry(&mut a, &mut b, 50, |_, _| false);
        let side = if receiver_cancels { &b } else { &a };
        side.files.tell(Input::Cancel(side.files.view()[0].id));
        carry(&mut a, &mut b, usize::MAX, |a, b| all_over(a, b, 1));
        let reason = |text: &str| vec![FileState::Cancelled { reason: text.into() }];
        let (mine, theirs) = (reason("You cancelled it."), reason("Bob cancelled it."));
        let expected = if receiver_cancels { (theirs, mine) } else { (mine, theirs) };
        assert_eq!((a.states(), b.states()), expected);
        assert_eq!(entries(to.path()), 0);
    }
}

#[test]
fn a_name_that_was_taken_for_a_file_is_given_back_when_the_file_cannot_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let hash = Hash([3; 32]);
    let part = transfer::part_of(folder.path(), hash);
    let receiving = transfer::Receiving::open(part.clone(), hash, 0).unwrap();
    // Somebody tidied up.
    fs::remove_file(part).unwrap();
    let (why, _) = receiving.finish(hash, folder.path(), "x").unwrap_err();
    assert_eq!((why, entries(folder.path())), (Stop::CannotWrite, 0));
}

#[test]
fn who_sends_many_files_offers_a_few_and_the_others_as_those_end() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut a, mut b) = pair(to.path(), Accept::Ask);
    let paths: Vec<PathBuf> = (1..=20).map(|n| source(from.path(), &format!("{n}"), n).0).collect();
    a.files.tell(Input::Send { paths, to: vec![(b.id.clone(), "Bob".into())] });
    let count =
        |side: &Side, wanted: FileState| side.states().iter().filter(|state| **state == wanted).count();
    carry(&mut a, &mut b, usize::MAX, |_, b| count(b, FileState::Asking) == 16);
    assert_eq!((count(&a, FileState::Preparing), count(&a, FileState::Declined)), (4, 0));
    for file in &b.files.view()[..3] {
        b.files.tell(Input::Accept(file.id));
    }
    carry(&mut a, &mut b, usize::MAX, |_, b| b.states().len() == 19 && count(b, FileState::Asking) == 16);
    assert_eq!(count(&a, FileState::Done { path: None }), 3);
}

/// To open a pipe is to wait for somebody who writes into it.
#[cfg(unix)]
#[test]
fn a_pipe_is_no_file_and_holds_up_no_other() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut a, mut b) = pair(to.path(), Accept::Always);
    let pipe = from.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (path, _) = source(from.path(), "x", 10);
    [pipe, path].iter().for_each(|path| send(&a, &b, path));
    carry(&mut a, &mut b, usize::MAX, |a, b| a.states().len() == 2 && all_over(b, b, 1));
    assert!(matches!(&a.states()[0], FileState::Ended { reason } if reason.contains("not a file")));
    assert!(arrived(&b).ends_with("x"));
}

#[test]
fn what_cannot_be_read_or_written_is_said() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The folder cannot be made: a file has its name.
    let (occupied, _) = source(to.path(), "occupied", 1);
    let (mut a, mut b) = pair(&occupied, Accept::Always);
    send(&a, &b, &from.path().join("nothing"));
    send(&a, &b, from.path());
    let (path, _) = source(from.path(), "x", 10);
    send(&a, &b, &path);
    carry(&mut a, &mut b, usize::MAX, |a, b| {
        a.states().len() == 3 && all_over(a, b, 3) || {
            a.states().iter().all(FileState::is_over) && a.states().len() == 3 && b.states().len() == 1
        }
    });
    let reasons: Vec<String> = a
        .states()
        .into_iter()
        .map(|state| match state {
            FileState::Ended { reason } => reason,
            other => format!("{other:?}"),
        })
        .collect();
    assert!(reasons[0].starts_with("nothing cannot be read: "), "{reasons:?}");
    assert!(reasons[1].contains("it is a folder or a device"), "{reasons:?}");
    assert_eq!(reasons[2], "Bob cannot write it to the disk.");
    assert!(
        matches!(&b.states()[0], FileState::Ended { reason } if reason.starts_with("The file cannot be written: "))
    );
}

/// `/dev/full` is a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_as_such() {
    use std::io::Write as _;
    let mut full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = full.write_all(b"x").unwrap_err();
    assert_eq!(transfer::cannot_write(&error), (Stop::DiskFull, "The disk is full".to_owned()));
}
