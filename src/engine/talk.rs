//! What people say and send each other beside picture and sound: between the channels, the
//! conversation, the files, and the record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use signaling_protocol::PeerId;
use tokio::sync::watch;

use super::command::{ChatCommand, FileCommand, PointerCommand};
use super::view::{CallView, PeerView};
use crate::chat::{Conversation, Message, News};
use crate::files::{FileId, FileView, Files, Folder, Input, Way};
use crate::pointer::{Board, Hand, Heard, Marks, Message as Gesture};
use crate::record::{Side, What};
use crate::rtc::channel::{Channel, ChannelState, DataSender, Refusal};

/// See the module.
pub struct Talk {
    data: DataSender,
    chat: Conversation,
    /// `None`: its thread could not be started, which was logged.
    files: Option<Files>,
    /// Whether they have channels, of those of whom it is known.
    people: BTreeMap<PeerId, ChannelState>,
    /// Told that the chat does not reach them.
    told_absent: BTreeSet<PeerId>,
    /// What the server calls us.
    me: Option<PeerId>,
    /// Ours, over somebody's screen.
    hand: Hand,
    /// Everybody's.
    board: Board,
    /// Our screen is shared.
    sharing: bool,
    /// The others may point at it.
    pointing_allowed: bool,
    marks: watch::Sender<Arc<Vec<Marks>>>,
    /// Those on our screen, if they are others than the last time they were asked for.
    ours: Option<Vec<Marks>>,
    /// The state of each file, as it was recorded.
    recorded: BTreeMap<FileId, &'static str>,
}

impl Talk {
    /// Nobody is there yet.
    pub fn new(data: DataSender, folder: Folder, marks: watch::Sender<Arc<Vec<Marks>>>) -> Self {
        let files = Files::start(folder, data.clone())
            .inspect_err(|error| tracing::error!(%error, "files cannot be sent or received"));
        Self {
            data,
            chat: Conversation::default(),
            files: files.ok(),
            people: BTreeMap::new(),
            told_absent: BTreeSet::new(),
            me: None,
            hand: Hand::default(),
            board: Board::default(),
            sharing: false,
            pointing_allowed: true,
            marks,
            ours: None,
            recorded: BTreeMap::new(),
        }
    }

    /// A new call begins with nothing.
    pub fn reset(&mut self) {
        self.chat.reset();
        self.told_absent.clear();
        self.pointing_allowed = true;
        self.board.clear();
        self.show_marks();
        self.tell_files(Input::Reset);
    }

    fn tell_files(&self, input: Input) {
        if let Some(files) = &self.files {
            files.tell(input);
        }
    }

    /// Somebody left.
    pub fn forget(&mut self, peer: &PeerId) {
        self.people.remove(peer);
        self.chat.forget(peer);
        self.board.forget(peer);
        self.show_marks();
        self.tell_files(Input::Gone(peer.clone()));
    }

    /// Everybody is gone.
    pub fn forget_all(&mut self) {
        for peer in self.people.keys().cloned().collect::<Vec<_>>() {
            self.forget(&peer);
        }
    }

    /// Times of what is said count from here, if the call has just begun.
    pub fn begin(&mut self, now: Instant) {
        self.chat.begin(now);
    }

    /// Resolves when something is new about files.
    pub async fn files_changed(&mut self) {
        match &mut self.files {
            Some(files) => files.changed().await,
            None => std::future::pending().await,
        }
    }

    /// When [`Talk::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.chat.poll_timeout(), self.hand.poll_timeout(), self.board.poll_timeout()];
        times.into_iter().flatten().min()
    }

    /// What was seen long enough goes, and what waited for its turn leaves.
    pub fn handle_timeout(&mut self, people: &[PeerView], now: Instant) {
        self.chat.handle_timeout(now);
        self.board.handle_timeout(now);
        self.point(people, now);
        self.show_marks();
    }

    fn show_marks(&mut self) {
        let marks = self.board.marks();
        if *self.marks.borrow() == marks {
            return;
        }
        let ours = |marks: &&Marks| Some(&marks.screen) == self.me.as_ref();
        self.ours = Some(marks.iter().filter(ours).cloned().collect());
        self.marks.send_replace(marks);
    }

    /// What is seen on our screen, if that is news.
    pub fn take_ours(&mut self) -> Option<Vec<Marks>> {
        self.ours.take()
    }

    /// What the server calls us now.
    pub fn on_me(&mut self, me: Option<&PeerId>) {
        if self.me.as_ref() != me {
            self.me = me.cloned();
        }
    }

    /// Our screen is shared, or not any more; or another part of it.
    pub fn on_share(&mut self, sharing: bool) {
        self.sharing = sharing;
        if let Some(me) = &self.me {
            self.board.wipe(me);
        }
        self.show_marks();
    }

    /// Tells where our hand is, if it is time. What it draws is seen here too.
    fn point(&mut self, people: &[PeerView], now: Instant) {
        let Some(message) = self.hand.poll(now) else { return };
        let bytes = message.write();
        for person in people {
            // Newer ones follow; what is refused is lost.
            self.data.send(&person.peer, Channel::Pointer, bytes.clone()).ok();
        }
        if let Some(me) = &self.me {
            // The system draws our pointer.
            let drawn = Gesture { at: None, ..message }.write();
            self.board.on_message(me, "", &drawn, |_| true, now);
            self.show_marks();
        }
    }

    /// Something that the person does with the pointer.
    pub fn on_pointer(&mut self, command: PointerCommand, people: &[PeerView], now: Instant) {
        match command {
            PointerCommand::Move { screen, at, draws } => {
                let at = at.filter(|_| self.chat.allows_pointing(&screen));
                self.hand.moved(&screen, at, draws && at.is_some());
                self.point(people, now);
            }
            PointerCommand::Allow(switch) => {
                self.pointing_allowed = switch.is_on();
                if let Some(me) = &self.me {
                    self.board.wipe(me);
                }
                self.show_marks();
                self.broadcast(&Message::Pointing { allowed: switch.is_on() }, people, now);
            }
        }
    }

    /// A gesture of somebody over a screen.
    fn on_gesture(&mut self, peer: &PeerId, name: &str, message: &[u8], now: Instant) -> Option<What> {
        let (me, chat, ours) = (&self.me, &self.chat, self.sharing && self.pointing_allowed);
        let may_point = |screen: &PeerId| match me.as_ref() == Some(screen) {
            true => ours,
            false => chat.allows_pointing(screen),
        };
        match self.board.on_message(peer, name, message, may_point, now) {
            Heard::New => self.show_marks(),
            Heard::Nothing => {}
            Heard::Flood => {
                let dropped = self.board.dropped();
                let text = format!(
                    "{name} points more often than any hand can; most of it is not looked at ({dropped} so far)."
                );
                self.chat.note(text.clone(), now);
                return Some(What::Error { text });
            }
        }
        None
    }

    /// What a face shows.
    pub fn fill(&self, view: &mut CallView) {
        view.chat = self.chat.view();
        view.files = self.files.as_ref().map(Files::view).unwrap_or_default();
        view.pointing_allowed = self.pointing_allowed;
        let absent = |(_, state): &(&PeerId, &ChannelState)| **state == ChannelState::Absent;
        view.without_channels = self.people.iter().filter(absent).map(|(peer, _)| peer.clone()).collect();
    }

    /// Says to everybody who can hear it; what could not be told is said in the chat.
    fn broadcast(&mut self, message: &Message, people: &[PeerView], now: Instant) {
        let bytes = message.write();
        for person in people {
            let absent = self.people.get(&person.peer) == Some(&ChannelState::Absent);
            let sent = match absent {
                true => Err(Refusal::Nobody),
                false => self.data.send(&person.peer, Channel::Chat, bytes.clone()),
            };
            let (Err(refusal), Message::Text { .. }) = (sent, message) else { continue };
            let note = match refusal {
                Refusal::Full => format!("{} does not get it: too much waits to be sent.", person.name),
                Refusal::TooLong => format!("{} does not get it: it is too long.", person.name),
                Refusal::Nobody if !absent => format!("{} is not there.", person.name),
                Refusal::Nobody => {
                    if !self.told_absent.insert(person.peer.clone()) {
                        continue;
                    }
                    format!("The program of {} has no chat; messages and files do not reach it.", person.name)
                }
            };
            self.chat.note(note, now);
        }
    }

    /// Something that the person does in the chat.
    pub fn on_chat(&mut self, command: ChatCommand, people: &[PeerView], now: Instant) -> Option<What> {
        let message = match command {
            ChatCommand::Say(text) => match self.chat.say(&text, now) {
                Ok(message) => {
                    let (bytes, text) = (text.trim().len(), Some(text));
                    self.broadcast(&message, people, now);
                    return Some(What::Chat { side: Side::Local, bytes, text });
                }
                Err(error) => {
                    self.chat.note(format!("{error}."), now);
                    return Some(What::Error { text: format!("chat: {error}") });
                }
            },
            ChatCommand::Typing => self.chat.typing(now)?,
            ChatCommand::Raise(switch) => self.chat.raise(switch.is_on()),
            ChatCommand::React(reaction) => self.chat.react(reaction, now),
            ChatCommand::Read => {
                self.chat.read();
                return None;
            }
        };
        self.broadcast(&message, people, now);
        None
    }

    /// Something that the person does with a file.
    pub fn on_file(&mut self, command: FileCommand, people: &[PeerView]) -> Option<What> {
        let input = match command {
            FileCommand::Send(paths) if paths.is_empty() => return None,
            FileCommand::Send(paths) => {
                let reachable =
                    |person: &&PeerView| self.people.get(&person.peer) == Some(&ChannelState::Open);
                let to: Vec<_> = people
                    .iter()
                    .filter(reachable)
                    .map(|person| (person.peer.clone(), person.name.clone()))
                    .collect();
                if to.is_empty() {
                    let what = match paths.as_slice() {
                        [path] => format!("{} is", path.display()),
                        paths => format!("{} files are", paths.len()),
                    };
                    let text = format!("{what} not sent: nobody is there who could take it.");
                    return Some(What::Error { text });
                }
                Input::Send { paths, to }
            }
            FileCommand::NoDialog => {
                let text =
                    "This desktop has no dialog to choose files with. Drag them onto the window instead.";
                return Some(What::Error { text: text.to_owned() });
            }
            FileCommand::Accept(id) => Input::Accept(id),
            FileCommand::Decline(id) => Input::Decline(id),
            FileCommand::Cancel(id) => Input::Cancel(id),
            FileCommand::Dismiss(id) => Input::Dismiss(id),
        };
        self.tell_files(input);
        None
    }

    /// A message of somebody, who is called `name`.
    pub fn on_data(
        &mut self,
        peer: PeerId,
        name: &str,
        channel: Channel,
        message: Bytes,
        now: Instant,
    ) -> Option<What> {
        match channel {
            Channel::Chat => match self.chat.on_message(&peer, name, &message, now) {
                News::Text(text) => {
                    Some(What::Chat { side: Side::Remote, bytes: text.len(), text: Some(text) })
                }
                News::Refused(text) => Some(What::Error { text }),
                News::Shown | News::Nothing => None,
            },
            Channel::Files => {
                self.tell_files(Input::Data { peer, person: name.to_owned(), message });
                None
            }
            Channel::Pointer => self.on_gesture(&peer, name, &message, now),
        }
    }

    /// There is room again.
    pub fn on_room(&self, peer: PeerId, channel: Channel) {
        if channel == Channel::Files {
            self.tell_files(Input::Room(peer));
        }
    }

    /// Whether somebody has channels is known now.
    pub fn on_channels(&mut self, peer: PeerId, state: ChannelState) {
        if state == ChannelState::Open {
            let off = (!self.pointing_allowed).then_some(Message::Pointing { allowed: false });
            for greeting in self.chat.greeting().into_iter().chain(off) {
                // Full or gone: then there are worse things than a hand that is not seen.
                self.data.send(&peer, Channel::Chat, greeting.write()).ok();
            }
        }
        self.people.insert(peer, state);
    }

    /// What is new about files, for the record.
    pub fn file_news(&mut self) -> Vec<What> {
        let Some(files) = &self.files else { return Vec::new() };
        let files = files.view();
        self.recorded.retain(|id, _| files.iter().any(|file| file.id == *id));
        let news = |file: &&FileView| self.recorded.get(&file.id) != Some(&file.state.word());
        let news: Vec<FileView> = files.iter().filter(news).cloned().collect();
        news.into_iter()
            .map(|file| {
                self.recorded.insert(file.id, file.state.word());
                entry(&file)
            })
            .collect()
    }
}

fn entry(file: &FileView) -> What {
    use crate::files::FileState;
    let (path, reason) = match &file.state {
        FileState::Done { path } => (path.as_ref().map(|path| path.display().to_string()), None),
        FileState::Cancelled { reason } | FileState::Ended { reason } => (None, Some(reason.clone())),
        FileState::Preparing
        | FileState::Offered
        | FileState::Asking
        | FileState::Moving
        | FileState::Checking
        | FileState::Declined => (None, None),
    };
    What::File {
        side: match file.way {
            Way::Sending => Side::Local,
            Way::Receiving => Side::Remote,
        },
        id: file.id.0,
        state: file.state.word().to_owned(),
        size: file.size,
        moved: file.moved,
        name: Some(file.name.clone()),
        path,
        reason,
    }
}
