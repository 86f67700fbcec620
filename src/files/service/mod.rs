//! The thread that sends and receives files, and its handle.

mod end;
mod receive;
mod send;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use signaling_protocol::PeerId;
use tokio::sync::watch;

use crate::chat::text;
use crate::clock;
use crate::files::inbox::{Inbox, Input, Inputs, inbox};
use crate::files::message::{Hash, Message};
use crate::files::transfer::{Folder, Role, Transfer, told};
use crate::files::{FileId, FileState, FileView, Way};
use crate::rtc::channel::{Channel, DataSender, Refusal};

/// Files of one person that may wait for an answer or move. Ours wait for their turn, unoffered; more of
/// somebody else's are declined.
const FROM_ONE: usize = 16;

/// Files that move at once to one person; others wait for their turn.
const AT_ONCE: usize = 4;

/// Pieces of a file in one turn.
const TURN: usize = 16;

/// How often a view is made while files move.
const VIEW: Duration = Duration::from_millis(150);

/// A refused piece is tried again after this, should nobody tell that there is room.
const RETRY: Duration = Duration::from_millis(50);

/// Messages other than pieces that wait for room in one person's channel. Honest files cause a few each;
/// who causes more, and takes none, gets no further answers.
const ANSWERS: usize = 512;

/// What broke off and is gone on with unasked; of more the oldest is asked about again.
const INTERRUPTED: usize = 64;

/// Files that are over and still shown; when there are more the oldest goes.
const OVER: usize = 50;

/// Sends and receives files. Dropping it ends the thread, which keeps what it has of them.
#[derive(Debug)]
pub struct Files {
    inbox: Option<Inbox>,
    view: watch::Receiver<Arc<Vec<FileView>>>,
    thread: Option<JoinHandle<()>>,
}

impl Files {
    /// Starts the thread.
    pub fn start(folder: Folder, data: DataSender) -> std::io::Result<Self> {
        let (inbox, inputs) = inbox();
        let (tell, view) = watch::channel(Arc::default());
        let service = Service {
            folder,
            data,
            transfers: Vec::new(),
            control: BTreeMap::new(),
            interrupted: VecDeque::new(),
            made: 0,
            blocked: BTreeMap::new(),
            buffer: Vec::new(),
            tell,
            told_at: None,
            news: false,
        };
        let thread = std::thread::Builder::new().name("files".into()).spawn(move || service.run(&inputs))?;
        Ok(Self { inbox: Some(inbox), view, thread: Some(thread) })
    }

    /// Tells the thread; never waits.
    pub fn tell(&self, input: Input) {
        if let Some(inbox) = &self.inbox {
            inbox.put(input);
        }
    }

    /// All files, oldest first.
    pub fn view(&self) -> Arc<Vec<FileView>> {
        Arc::clone(&self.view.borrow())
    }

    /// Resolves when the view is another one.
    pub async fn changed(&mut self) {
        if self.view.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.inbox = None;
        if let Some(thread) = self.thread.take() {
            // A slice of work at most, unless the disk hangs; then nobody waits for it.
            let deadline = clock::now() + Duration::from_secs(1);
            while !thread.is_finished() && clock::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

/// A file that a person wanted: the same content under the same name.
#[derive(Debug, PartialEq, Eq)]
struct Consent {
    hash: Hash,
    size: u64,
    name: String,
}

impl Consent {
    fn to(view: &FileView, hash: Hash) -> Self {
        Self { hash, size: view.size, name: view.name.clone() }
    }
}

struct Service {
    folder: Folder,
    data: DataSender,
    transfers: Vec<Transfer>,
    /// Messages, other than pieces, that wait for room.
    control: BTreeMap<PeerId, VecDeque<Bytes>>,
    /// What was accepted and broke off: it needs no second consent.
    interrupted: VecDeque<Consent>,
    made: u64,
    /// To whom a piece was refused; when to try again.
    blocked: BTreeMap<PeerId, Instant>,
    buffer: Vec<u8>,
    tell: watch::Sender<Arc<Vec<FileView>>>,
    told_at: Option<Instant>,
    /// Something is new that should be seen at once.
    news: bool,
}

impl Service {
    fn run(mut self, inputs: &Inputs) {
        loop {
            let now = clock::now();
            let busy = self.work(now);
            self.publish(now);
            let wait = if busy { Duration::ZERO } else { self.patience(now) };
            match inputs.take(wait) {
                Ok(input) => {
                    self.on_input(input);
                    // Whatever came meanwhile, before the next turn.
                    for _ in 0..TURN * AT_ONCE {
                        let Ok(input) = inputs.take(Duration::ZERO) else { break };
                        self.on_input(input);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// How long nothing has to be done.
    fn patience(&self, now: Instant) -> Duration {
        match self.blocked.values().min() {
            Some(at) => at.saturating_duration_since(now),
            None if self.transfers.iter().all(|transfer| transfer.view.state.is_over()) => {
                Duration::from_secs(3_600)
            }
            None => VIEW,
        }
    }

    fn on_input(&mut self, input: Input) {
        match input {
            Input::Send { paths, to } => self.send_all(paths, &to),
            Input::Accept(id) => self.accept(id),
            Input::Decline(id) => self.decline(id),
            Input::Cancel(id) => self.cancel(id),
            Input::Dismiss(id) => {
                self.transfers.retain(|transfer| transfer.view.id != id || !transfer.view.state.is_over());
                self.news = true;
            }
            Input::Data { peer, person, message } => match Message::parse(&message) {
                Some(message) => self.on_message(peer, &person, message),
                None => tracing::debug!("a message about a file cannot be read"),
            },
            Input::Room(peer) => {
                self.blocked.remove(&peer);
            }
            Input::Gone(peer) => self.gone(&peer),
            Input::Reset => {
                self.transfers.retain(|transfer| !transfer.view.state.is_over());
                self.news = true;
            }
        }
    }

    fn on_message(&mut self, peer: PeerId, person: &str, message: Message) {
        let now = clock::now();
        let (wire, way) = match &message {
            Message::Offer { id, .. } | Message::Piece { id, .. } | Message::Cancel { id, .. } => {
                (*id, Way::Receiving)
            }
            Message::Accept { id, .. }
            | Message::Decline { id }
            | Message::Got { id, .. }
            | Message::Done { id }
            | Message::Stop { id, .. } => (*id, Way::Sending),
        };
        let found = self.find(&peer, wire, way);
        if let Message::Offer { id, name, size, sha256 } = message {
            return match found {
                Some(_) => tracing::debug!("a file was offered twice"),
                None => self.on_offer(peer, person, id, &name, size, sha256),
            };
        }
        // About a file that is over: both may have ended it at once.
        let Some(at) = found else { return };
        let outcome = match message {
            Message::Offer { .. } => Ok(()),
            Message::Piece { offset, content, .. } => self.on_piece(at, offset, &content, now),
            Message::Accept { from, .. } => self.on_accept(at, from, now),
            Message::Got { bytes, .. } => {
                let Transfer { role, .. } = &mut self.transfers[at];
                if let Role::Sending(sending) = role {
                    let got = sending.on_got(bytes);
                    self.transfers[at].moved(got, now);
                }
                Ok(())
            }
            Message::Done { .. } => {
                let whole = matches!(&self.transfers[at].role, Role::Sending(sending) if sending.is_sent());
                if whole {
                    let size = self.transfers[at].view.size;
                    self.transfers[at].moved(size, now);
                    self.end(at, FileState::Done { path: None });
                }
                Ok(())
            }
            Message::Decline { .. } => {
                self.end(at, FileState::Declined);
                Ok(())
            }
            Message::Stop { why, .. } | Message::Cancel { why, .. } => {
                let end = told(why, &self.transfers[at].view.person);
                self.discard(at, why);
                self.end(at, end);
                Ok(())
            }
        };
        if let Err(failure) = outcome {
            self.fail(at, failure);
        }
    }

    /// One turn for every file; says whether there is more to do at once.
    fn work(&mut self, now: Instant) -> bool {
        self.flush();
        let mut busy = false;
        let mut moving: BTreeMap<PeerId, usize> = BTreeMap::new();
        let mut sent: BTreeMap<PeerId, usize> = BTreeMap::new();
        self.blocked.retain(|_, at| *at > now);
        for at in 0..self.transfers.len() {
            let peer = self.transfers[at].view.peer.clone();
            if let Role::Waiting(_) | Role::Preparing(_) | Role::Sending(_) = self.transfers[at].role {
                *sent.entry(peer.clone()).or_default() += 1;
            }
            let outcome = match &self.transfers[at].role {
                Role::Waiting(_) if sent[&peer] <= FROM_ONE => self.begin(at),
                Role::Preparing(_) => self.hash(at, now),
                Role::Checking(..) => self.check(at, now),
                Role::Sending(sending) if sending.is_sending() => {
                    let is_blocked = self.blocked.contains_key(&peer);
                    let turn = moving.entry(peer).or_default();
                    *turn += 1;
                    if *turn > AT_ONCE || is_blocked { Ok(false) } else { self.send_pieces(at, now) }
                }
                Role::Waiting(_) | Role::Sending(_) | Role::Asked(_) | Role::Receiving(_) | Role::Over => {
                    Ok(false)
                }
            };
            match outcome {
                Ok(more) => busy |= more,
                Err(failure) => self.fail(at, failure),
            }
        }
        busy
    }

    fn add(&mut self, peer: PeerId, person: String, name: String, size: u64, way: Way) -> usize {
        self.made += 1;
        let over = self.transfers.iter().filter(|transfer| transfer.view.state.is_over()).count();
        if over > OVER
            && let Some(oldest) = self.transfers.iter().position(|transfer| transfer.view.state.is_over())
        {
            self.transfers.remove(oldest);
        }
        let view = FileView {
            id: FileId(self.made),
            peer,
            person: text::one_line(&person, 40),
            name,
            size,
            way,
            state: FileState::Preparing,
            moved: 0,
            rate: 0,
            over_since: None,
        };
        let (wire, progress) = (self.made as u32, Default::default());
        self.transfers.push(Transfer { view, wire, progress, role: Role::Over });
        self.news = true;
        self.transfers.len() - 1
    }

    fn find(&self, peer: &PeerId, wire: u32, way: Way) -> Option<usize> {
        self.transfers.iter().position(|transfer| {
            transfer.wire == wire
                && transfer.view.way == way
                && transfer.view.peer == *peer
                && !transfer.view.state.is_over()
        })
    }

    fn position(&self, id: FileId) -> Option<usize> {
        self.transfers.iter().position(|transfer| transfer.view.id == id)
    }

    /// A message that is not lost while the other side takes any.
    fn send(&mut self, peer: &PeerId, message: &Message) {
        let queue = self.control.entry(peer.clone()).or_default();
        if queue.len() < ANSWERS {
            queue.push_back(message.write());
        } else {
            tracing::warn!(%peer, "takes no answers about files; one is dropped");
        }
        self.flush();
    }

    fn flush(&mut self) {
        let data = &self.data;
        self.control.retain(|peer, queue| {
            while let Some(message) = queue.front() {
                match data.send(peer, Channel::Files, message.clone()) {
                    Ok(()) | Err(Refusal::TooLong) => queue.pop_front(),
                    Err(Refusal::Full) => return true,
                    Err(Refusal::Nobody) => return false,
                };
            }
            false
        });
    }

    fn publish(&mut self, now: Instant) {
        let due = self.told_at.is_none_or(|at| now.saturating_duration_since(at) >= VIEW);
        if !(self.news || due) {
            return;
        }
        (self.news, self.told_at) = (false, Some(now));
        for transfer in &mut self.transfers {
            transfer.view.rate = match transfer.view.state {
                FileState::Moving => transfer.progress.rate(now),
                _ => 0,
            };
            if transfer.view.state.is_over() {
                transfer.view.over_since.get_or_insert(now);
            }
        }
        let views: Vec<FileView> = self.transfers.iter().map(|transfer| transfer.view.clone()).collect();
        self.tell.send_if_modified(|shown| {
            let changed = **shown != views;
            if changed {
                *shown = Arc::new(views);
            }
            changed
        });
    }
}
