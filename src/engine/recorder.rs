//! Gives the time to what happens, and takes it to everybody who wants to know: the history that
//! faces read, a script, and the session file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use signaling_protocol::{ClientMessage, Envelope, MediaState, Message, PeerId, ServerMessage};
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock;
use crate::record::changes::Changes;
use crate::record::write::{Keep, SessionWriter};
use crate::record::{
    Device, DeviceKind, DeviceWord, Direction, Entry, History, Of, Phase, Session, Side, What, mask,
};
use crate::rtc::network_monitor::Change;
use crate::rtc::reaction::Reaction;
use crate::rtc::stats::Report;
use crate::rtc::{ConnectionNumber, Signal};

use super::story::Story;

/// One call after another.
pub struct Recorder {
    history: watch::Sender<Arc<History>>,
    observer: Option<mpsc::Sender<Entry>>,
    changes: Changes,
    phase: Option<Phase>,
    devices: BTreeMap<DeviceKind, Device>,
    story: Story,
    /// Where session files are; `None`: there are none.
    folder: Option<PathBuf>,
    writer: Option<SessionWriter>,
    /// There was a call already.
    begun: bool,
}

impl Recorder {
    /// Tells `history` and, if there is one, `observer`, which loses what it does not take in time.
    /// Session files are in `folder`.
    pub fn new(
        history: watch::Sender<Arc<History>>,
        observer: Option<mpsc::Sender<Entry>>,
        folder: Option<PathBuf>,
    ) -> Self {
        let mut recorder = Self {
            history,
            observer,
            changes: Changes::default(),
            story: Story::default(),
            phase: None,
            devices: BTreeMap::new(),
            folder,
            writer: None,
            begun: false,
        };
        recorder.tell(What::Session(Session::default()));
        recorder
    }

    /// A new call; what is known of the last one is forgotten, and its file too unless it is kept.
    pub fn begin(&mut self, keep: Keep) {
        self.changes = Changes::default();
        self.phase = None;
        self.devices.clear();
        self.story = Story::default();
        let start = |folder: &PathBuf| SessionWriter::start(folder, clock::unix_ms(), keep);
        self.writer = self.folder.as_ref().map(start).transpose().unwrap_or_else(|error| {
            tracing::error!(%error, "the call is not recorded");
            None
        });
        self.history.send_replace(Arc::default());
        let session = Entry::new(clock::unix_ms(), What::Session(Session::default()));
        // To a script everything is one session, which it knows to have begun.
        if std::mem::replace(&mut self.begun, true) {
            self.observe(&session);
        }
        self.write(session);
    }

    /// Lets the file of this call stay, and tells where it is.
    pub fn keep(&self) -> oneshot::Receiver<Result<PathBuf, String>> {
        let (tell, told) = oneshot::channel();
        match &self.writer {
            Some(writer) => writer.keep(Box::new(move |kept| {
                tell.send(kept.map_err(|error| error.to_string())).ok();
            })),
            None => {
                tell.send(Err("there is no record of a call".into())).ok();
            }
        }
        told
    }

    /// Why the file is not written any more; said once.
    pub fn problem(&mut self) -> Option<String> {
        self.writer.as_mut()?.problem()
    }

    /// Ends the file; may wait for the disk.
    pub fn finish(self) {
        if let Some(writer) = self.writer {
            writer.finish();
        }
    }

    /// It happens now.
    pub fn tell(&mut self, what: What) {
        self.take(Entry::new(clock::unix_ms(), what));
    }

    /// It happened at an instant of the monotonic clock.
    pub fn tell_at(&mut self, at: Instant, what: What) {
        self.take(Entry::new(clock::unix_ms_at(at), what));
    }

    /// It happens now, to a participant's connection in use.
    pub fn tell_of(&mut self, peer: &PeerId, what: What) {
        self.take(Entry::new(clock::unix_ms(), what).of(Of::peer(peer)));
    }

    /// The call as it is recorded so far.
    pub fn history(&self) -> watch::Ref<'_, Arc<History>> {
        self.history.borrow()
    }

    /// How far the call is, with the server's `HOST[:PORT]`; says whether that is news.
    pub fn phase(&mut self, phase: Phase, server: Option<&str>) -> bool {
        let is_new = self.phase.replace(phase) != Some(phase);
        if is_new {
            self.tell(What::Phase { phase, server: server.map(str::to_owned) });
        }
        is_new
    }

    /// How our devices are.
    pub fn devices(&mut self, devices: [Device; 3]) {
        for device in devices {
            let told = self.devices.get(&device.device);
            if told.map_or(device.state != DeviceWord::Closed, |told| *told != device) {
                self.devices.insert(device.device, device.clone());
                self.tell(What::Device(device));
            }
        }
    }

    /// All statistics of a participant, of the connection in use, and what they change.
    pub fn report(&mut self, peer: &PeerId, connection: ConnectionNumber, mut report: Report) {
        let network = self.story.fill(&mut report);
        let changes = self.changes.of(&report);
        self.take(Entry::stats(report).of(Of { peer: Some(peer.to_string()), connection }));
        for what in changes.into_iter().chain(network) {
            self.tell(what);
        }
    }

    /// The server that messages go through.
    pub fn server(&mut self, url: String) {
        self.story.server(url);
    }

    /// The round trip to it.
    pub fn round_trip(&mut self, time: Duration) {
        self.story.round_trip(time.as_secs_f64());
    }

    /// A message leaves.
    pub fn sent(&mut self, message: &ClientMessage) {
        self.message(Direction::Sent, message);
        match message {
            ClientMessage::RoomKnock { signals, .. } => {
                let sdp = signals.iter().find_map(|signal| signal.get("sdp")?.as_str());
                self.tell(What::OfferSent { bytes: sdp.map_or(0, str::len) });
            }
            ClientMessage::Facts { facts, .. } => {
                self.tell(What::Facts { side: Side::Local, facts: facts.clone() });
            }
            _ => {}
        }
    }

    /// A message came.
    pub fn received(&mut self, message: &ServerMessage) {
        self.message(Direction::Received, message);
        match message {
            ServerMessage::Facts { facts, .. } => {
                self.tell(What::Facts { side: Side::Remote, facts: facts.clone() });
            }
            ServerMessage::State { media, .. } => self.media(Side::Remote, *media),
            ServerMessage::PeerJoined { peer } | ServerMessage::RoomKnocked { from: peer, .. } => {
                self.media(Side::Remote, peer.media);
            }
            ServerMessage::RoomJoined { peers, .. } => {
                peers.iter().for_each(|peer| self.media(Side::Remote, peer.media));
            }
            _ => {}
        }
    }

    /// What a side has switched on.
    pub fn media(&mut self, side: Side, state: MediaState) {
        let MediaState { microphone, camera, screen } = state;
        self.tell(What::Media { side, microphone, camera, screen });
    }

    /// A description or candidate of a side, to or from a participant; `None` while it has none.
    pub fn signal(&mut self, side: Side, peer: Option<&PeerId>, signal: &Signal) {
        let of = Of { peer: peer.map(PeerId::to_string), connection: signal.connection() };
        let what = match signal {
            Signal::Description { kind, sdp, .. } => {
                What::Description { side, kind: *kind, sdp: mask::sdp(sdp).into_owned() }
            }
            Signal::Candidate { candidate, mid, .. } => {
                What::Candidate { side, candidate: candidate.clone(), mid: mid.clone() }
            }
            Signal::EndOfCandidates { .. } => What::EndOfCandidates { side },
        };
        self.take(Entry::new(clock::unix_ms(), what).of(of));
    }

    /// This computer's network changed, and what was done about it.
    pub fn network(&mut self, change: &Change, reaction: &Reaction) {
        let text = change.news.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let interfaces: Vec<_> = change
            .now
            .usable()
            .map(|interface| {
                json!({
                    "name": interface.name,
                    "kind": interface.kind,
                    "addresses": interface.addresses,
                    "default_route": interface.default_route,
                })
            })
            .collect();
        let more =
            [("reaction".to_owned(), json!(reaction.as_str())), ("interfaces".to_owned(), json!(interfaces))];
        self.tell(What::NetworkChange { text, more: more.into_iter().collect() });
    }

    /// This computer, or this program, has slept.
    pub fn woke(&mut self, slept: Duration) {
        let text = format!("this computer slept for {} s", slept.as_secs());
        let more = [("slept_ms".to_owned(), json!(slept.as_millis() as u64))].into_iter().collect();
        self.tell(What::NetworkChange { text, more });
    }

    fn message<M: Message>(&mut self, direction: Direction, message: &M) {
        let mut envelope = Envelope::wrap(message);
        let bytes = envelope.to_text().len();
        mask::message(&mut envelope.d);
        let text = envelope.to_text();
        self.tell(What::SignalingMessage { direction, kind: envelope.t, bytes, text });
    }

    fn take(&mut self, entry: Entry) {
        self.story.on(&entry);
        self.observe(&entry);
        self.write(entry);
    }

    fn observe(&self, entry: &Entry) {
        if let Some(observer) = &self.observer
            && observer.try_send(entry.clone()).is_err()
        {
            tracing::warn!("the script reads events too slowly; one is lost");
        }
    }

    fn write(&mut self, entry: Entry) {
        // What people write to each other is not kept.
        let entry = entry.without_words();
        if let Some(writer) = &mut self.writer {
            writer.take(entry.clone());
        }
        self.history.send_modify(|history| Arc::make_mut(history).push(entry));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_in_the_history_and_with_the_script_without_secrets() {
        let (history, shown) = watch::channel(Arc::default());
        let (observer, mut told) = mpsc::channel(16);
        let mut recorder = Recorder::new(history, Some(observer), None);
        let sdp = "v=0\r\na=ice-pwd:hunter2\r\n";
        let offer = json!({"k": "description", "type": "offer", "sdp": sdp, "proof": "hunter2"});
        recorder.signal(Side::Local, None, &serde_json::from_value(offer.clone()).unwrap());
        let room = signaling_protocol::RoomId::new("room").unwrap();
        let signals = vec![offer];
        recorder.sent(&ClientMessage::RoomKnock { room, signals, media: MediaState::default() });

        let names: Vec<String> =
            shown.borrow().events.iter().map(|entry| entry.what.name().to_owned()).collect();
        assert_eq!(names, ["session", "description", "signaling_message", "offer_sent"]);
        let mut lines = Vec::new();
        while let Ok(entry) = told.try_recv() {
            lines.push(entry.to_line());
        }
        assert_eq!(lines.len(), 4);
        assert!(!lines.concat().contains("hunter2"), "{lines:?}");

        recorder.begin(Keep::WhenAsked);
        assert_eq!(shown.borrow().events.len(), 1, "a new call begins with nothing");
        assert!(told.try_recv().is_err(), "the script has heard that the session began");
    }
}
