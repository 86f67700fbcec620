//! What a receiver says to a sender that does as it likes.

use super::*;

/// A receiver, and words of any kind for it.
struct Hostile {
    b: Side,
    a: PeerId,
    folder: tempfile::TempDir,
}

impl Hostile {
    fn new(offer: Message) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let b = Side::new("b", "a", Some(folder.path()), Accept::Always);
        let hostile = Self { b, a: PeerId::new("a").unwrap(), folder };
        hostile.say(offer);
        hostile
    }

    fn say(&self, message: Message) {
        self.b.hear(&self.a, message.write());
    }

    fn piece(&self, offset: u64, content: &'static [u8]) {
        self.say(Message::Piece { id: 7, offset, content: content.into() });
    }

    /// Waits until the receiver says something.
    #[track_caller]
    fn hears(&mut self, wanted: &Message) {
        let deadline = crate::clock::now() + Duration::from_secs(30);
        let mut said = Vec::new();
        while !said.contains(wanted) {
            assert!(crate::clock::now() < deadline, "said {said:?}, {:?}", self.b.states());
            said.extend(self.b.post().and_then(|message| Message::parse(&message)));
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for what the receiver says and keeps.
    #[track_caller]
    fn ends(mut self, why: Stop, words: &str) {
        self.hears(&Message::Stop { id: 7, why });
        // What is seen follows what is said.
        eventually(|| self.b.states() == [FileState::Ended { reason: words.into() }]);
        eventually(|| entries(self.folder.path()) == 0);
    }
}

fn offer(name: &str, size: u64) -> Message {
    Message::Offer { id: 7, name: name.into(), size, sha256: Hash([3; 32]) }
}

#[test]
fn who_sends_something_else_than_offered_is_stopped_with_a_sentence() {
    let hostile = Hostile::new(offer("../../x", 4));
    hostile.piece(0, b"12345");
    hostile.ends(Stop::NotAsOffered, "More came than was offered.");

    let hostile = Hostile::new(offer("CON", 9));
    hostile.piece(0, b"12345");
    hostile.piece(7, b"89");
    hostile.ends(Stop::NotAsOffered, "A piece came that does not belong there.");

    let hostile = Hostile::new(offer("x", 5));
    hostile.piece(0, b"12345");
    hostile.ends(Stop::Changed, "What came is not what was offered: its hash is another one.");

    let hostile = Hostile::new(offer("x", u64::MAX));
    hostile.piece(u64::MAX, b"1");
    hostile.ends(Stop::NotAsOffered, "A piece came that does not belong there.");
}

#[test]
fn a_file_that_is_all_there_arrives_though_its_sender_leaves_while_it_is_checked() {
    let content = vec![5; 32 << 20];
    let hostile = Hostile::new(Message::Offer {
        id: 7,
        name: "x".into(),
        size: content.len() as u64,
        sha256: Hash(Sha256::digest(&content).into()),
    });
    hostile.say(Message::Piece { id: 7, offset: 0, content: content.clone().into() });
    hostile.b.files.tell(Input::Gone(hostile.a.clone()));
    eventually(|| hostile.b.states().iter().any(FileState::is_over));
    assert!(fs::read(arrived(&hostile.b)).unwrap() == content);
}

#[test]
fn a_second_offer_of_a_file_that_comes_does_not_touch_what_is_there() {
    let content = b"0123456789";
    let sha256 = Hash(Sha256::digest(content).into());
    let mut hostile = Hostile::new(Message::Offer { id: 7, name: "x".into(), size: 10, sha256 });
    hostile.piece(0, &content[..5]);
    hostile.say(Message::Offer { id: 8, name: "y".into(), size: 1, sha256 });
    hostile.hears(&Message::Stop { id: 8, why: Stop::Cancelled });
    hostile.piece(5, &content[5..]);
    hostile.hears(&Message::Done { id: 7 });
    assert_eq!(fs::read(hostile.folder.path().join("x")).unwrap(), content);
}

#[test]
fn what_broke_off_is_gone_on_with_unasked_only_as_the_person_accepted_it() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (PeerId::new("a").unwrap(), Side::new("b", "a", Some(folder.path()), Accept::Ask));
    let offer = |id, name: &str, size| {
        b.hear(&a, Message::Offer { id, name: name.into(), size, sha256: Hash([3; 32]) }.write());
    };
    let state = |n: usize| b.states().get(n).cloned();
    offer(1, "notes.txt", 9);
    eventually(|| state(0) == Some(FileState::Asking));
    b.files.tell(Input::Accept(b.files.view()[0].id));
    b.files.tell(Input::Gone(a.clone()));
    eventually(|| state(0).is_some_and(|state| state.is_over()));
    offer(2, "invoice.exe", 9);
    offer(3, "notes.txt", 1);
    offer(4, "notes.txt", 9);
    eventually(|| state(3) == Some(FileState::Moving));
    assert_eq!((state(1), state(2)), (Some(FileState::Asking), Some(FileState::Asking)));
}

#[test]
fn what_is_there_stays_when_the_sender_cannot_read_on() {
    let hostile = Hostile::new(offer("x", 9));
    hostile.piece(0, b"12345");
    hostile.say(Message::Cancel { id: 7, why: Stop::CannotRead });
    eventually(|| hostile.b.states().iter().any(FileState::is_over));
    assert_eq!(entries(hostile.folder.path()), 1);
}

#[test]
fn what_is_about_no_file_changes_nothing_and_too_many_offers_are_declined() {
    let mut hostile = Hostile::new(Message::Done { id: 1 });
    hostile.b.files.tell(Input::Gone(PeerId::new("nobody").unwrap()));
    hostile.piece(0, b"1");
    hostile.say(Message::Accept { id: 9, from: 3 });
    hostile.say(Message::Got { id: 9, bytes: 3 });
    for id in 0..40 {
        hostile.say(Message::Offer { id, name: "x".into(), size: 9, sha256: Hash([id as u8; 32]) });
    }
    let deadline = crate::clock::now() + Duration::from_secs(30);
    let mut declined = 0;
    while declined < 24 {
        assert!(crate::clock::now() < deadline, "{declined} were declined");
        let said = hostile.b.post().and_then(|message| Message::parse(&message));
        declined += usize::from(matches!(said, Some(Message::Decline { .. })));
        std::thread::yield_now();
    }
    // What is seen follows what is said.
    while hostile.b.states().len() != 16 {
        assert!(crate::clock::now() < deadline, "{:?}", hostile.b.states());
        std::thread::yield_now();
    }
}
