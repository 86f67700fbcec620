//! The machine: what it remembers, its timers, and what it shows.
//!
//! What it does with each kind of input stands beside it: `person`, `server`, `path`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use signaling_protocol::{Admission, ClientMessage, DeclineReason, IceServer, MediaState, PeerId};
use tracing::debug;

use super::adapt::{Adapter, Targets};
use super::input::{Effect, Input};
use super::notices::Notices;
use super::phase::{Attempt, Role, Room, Servers, Stage};
use super::proof;
use super::reconnect::{PathAdvice, Reach};
use super::roster::{Entry, Knocker, Member};
use crate::engine::command::{ShareMode, Switch};
use crate::engine::view::{CallView, EndReason, Invite, Quality, Severity, SignalingStatus, Summary};
use crate::rtc::Signal;
use crate::units::Bitrate;

/// The server has this long to answer a request that a person waits for.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// A person inside has this long to decide about our knock.
pub const KNOCK_WITHIN: Duration = Duration::from_secs(60);

/// First pause before asking again for the servers of a room that is not there yet.
pub const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Requests whose answer is still expected; the oldest is forgotten beyond that.
const MOST_REQUESTS: usize = 64;

/// Decides what a call does next. See the module.
#[derive(Debug)]
pub struct CallMachine {
    pub(super) name: String,
    pub(super) media: MediaState,
    /// What the others know of it, through the server.
    told_media: MediaState,
    pub(super) max_bitrate: Option<Bitrate>,
    pub(super) stage: Stage,
    pub(super) session: Session,
    pub(super) room: Option<Room>,
    pub(super) admission: Admission,
    pub(super) locked: bool,
    pub(super) members: Vec<Member>,
    pub(super) knockers: Vec<Knocker>,
    pub(super) notices: Notices,
    pub(super) adapter: Adapter,
    pub(super) share: (Option<ShareMode>, Switch),
    pub(super) quality: Option<Quality>,
    pub(super) connected_since: Option<Instant>,
    pub(super) refresh_at: Option<Instant>,
    pub(super) dirty: bool,
    targets: Option<Targets>,
    /// What the person is told of the camera's pause.
    pause_told: Option<(u64, &'static str)>,
    requests: BTreeMap<u64, Request>,
    next_request: u64,
    next_second: Option<Instant>,
    ringing: bool,
    pub(super) media_open: bool,
    pub(super) connections_open: bool,
    pub(super) reconnects: u32,
}

/// The session with the server.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Session {
    None,
    Connecting,
    Up { me: PeerId },
    Lost { me: PeerId, reason: String },
    Over { reason: String },
}

/// A request whose answer is expected.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Request {
    Open,
    Servers,
    Knock,
    Admit(PeerId),
    Set,
    Refresh,
}

/// What the link's secret says about a signal.
pub(super) enum Vetted {
    /// It is vouched for, or it is not a description.
    Fine,
    /// Nobody vouches for it.
    Unproven,
    /// It claims what is not true, or lacks what must be there.
    Forged,
}

impl Default for CallMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl CallMachine {
    /// Nothing going on.
    pub fn new() -> Self {
        Self {
            name: String::new(),
            media: MediaState::default(),
            told_media: MediaState::default(),
            max_bitrate: None,
            stage: Stage::Idle,
            session: Session::None,
            room: None,
            admission: Admission::default(),
            locked: false,
            members: Vec::new(),
            knockers: Vec::new(),
            notices: Notices::default(),
            adapter: Adapter::new(None),
            share: (None, Switch::Off),
            quality: None,
            connected_since: None,
            refresh_at: None,
            dirty: false,
            targets: None,
            pause_told: None,
            requests: BTreeMap::new(),
            next_request: 1,
            next_second: None,
            ringing: false,
            media_open: false,
            connections_open: false,
            reconnects: 0,
        }
    }

    /// Takes one input and says what is to be done, in order. Timers that are due are handled, too.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Effect> {
        let mut out = Vec::new();
        match input {
            Input::Signaling(event) => self.on_signaling(event, now, &mut out),
            Input::Transport(event) => self.on_transport(event, now, &mut out),
            Input::Tick => {}
            Input::Facts(facts) => self.share(&facts, &mut out),
            person => self.on_person(person, now, &mut out),
        }
        self.on_time(now, &mut out);
        self.set_ringing(&mut out);
        if std::mem::take(&mut self.dirty) {
            out.push(Effect::ViewChanged);
        }
        out
    }

    /// When to give [`Input::Tick`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Opening { until } | Stage::Joining { until, .. } | Stage::Knocking { until, .. } => {
                Some(*until)
            }
            Stage::Prepared(Attempt { servers: Servers::AskAgain { at, .. }, .. }) => Some(*at),
            Stage::Prepared(_)
            | Stage::Idle
            | Stage::Hosting
            | Stage::Waiting
            | Stage::InCall
            | Stage::Ended(_) => None,
        };
        let doors = self.knockers.iter().map(|knocker| knocker.until);
        let members = self.members.iter().filter_map(|member| match &member.entry {
            Entry::Answering { until, .. } => Some(*until),
            Entry::Inside => member.watch.next(member.reach(self.our_reach())),
        });
        [stage, self.notices.next(), self.refresh_at, self.next_second]
            .into_iter()
            .flatten()
            .chain(doors)
            .chain(members)
            .min()
    }

    /// Writes what the machine owns into a view: phase, invite, participants (measured values are
    /// left empty), visitors, duration, lock, admission, signaling, notices.
    pub fn fill(&self, view: &mut CallView, now: Instant) {
        view.phase = self.stage.shown();
        view.my_id = self.me().cloned();
        view.invite = self
            .room
            .as_ref()
            .filter(|room| self.stage.is_inside() && room.role == Role::Owner)
            .map(|room| Invite { link: room.link.invite_url(), lan_only: room.lan_only });
        view.peers = self.members.iter().map(Member::view).collect();
        view.visitors = self.knockers.iter().map(Knocker::view).collect();
        view.duration = self
            .connected_since
            .map(|since| Duration::from_secs(now.saturating_duration_since(since).as_secs()));
        view.locked = self.locked;
        view.admission = self.admission;
        view.signaling = match &self.session {
            Session::None => SignalingStatus::Off,
            Session::Connecting => SignalingStatus::Connecting,
            Session::Up { .. } => SignalingStatus::Connected,
            Session::Lost { reason, .. } | Session::Over { reason } => {
                SignalingStatus::Lost { reason: reason.clone() }
            }
        };
        view.notices = self.notices.to_vec();
    }

    fn on_time(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.dirty |= self.notices.expire(now);
        self.on_stage_time(now, out);
        self.on_door_time(now, out);
        self.on_path_time(now, out);
        if self.refresh_at.is_some_and(|at| now >= at) {
            self.refresh_at = None;
            if let Some(room) = self.room.as_ref().filter(|_| self.stage.is_inside()) {
                let message = ClientMessage::TurnGet { room: room.id().clone() };
                self.request(Request::Refresh, message, out);
            }
        }
        if let Some(at) = self.next_second
            && now >= at
        {
            let behind = now.saturating_duration_since(at).as_secs();
            self.next_second = Some(at + Duration::from_secs(behind + 1));
            self.dirty = true;
            // There may have been room for a picture for long enough now; no estimate need say so.
            if self.adapter.is_paused() {
                self.encode(now, out);
            }
        }
    }

    fn on_stage_time(&mut self, now: Instant, out: &mut Vec<Effect>) {
        match &mut self.stage {
            Stage::Opening { until } | Stage::Joining { until, .. } if now >= *until => {
                let server = self.room.as_ref().map(|room| room.server.authority()).unwrap_or_default();
                self.end(EndReason::Server(format!("the server {server} does not answer")), now, out);
            }
            Stage::Knocking { until, .. } if now >= *until => {
                self.end(EndReason::Declined(DeclineReason::NoAnswer), now, out);
            }
            Stage::Prepared(attempt) => {
                if let Servers::AskAgain { at, .. } = attempt.servers
                    && now >= at
                {
                    self.advance(now, out);
                }
            }
            Stage::Idle
            | Stage::Hosting
            | Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Joining { .. }
            | Stage::Knocking { .. }
            | Stage::InCall
            | Stage::Ended(_) => {}
        }
    }

    fn on_door_time(&mut self, now: Instant, out: &mut Vec<Effect>) {
        while let Some(at) = self.knockers.iter().position(|knocker| now >= knocker.until) {
            let peer = self.knockers[at].info.peer.clone();
            self.turn_away(&peer, DeclineReason::NoAnswer, out);
        }
        let late = self.members.iter().find(|member| match &member.entry {
            Entry::Answering { until, .. } => now >= *until,
            Entry::Inside => false,
        });
        if let Some(peer) = late.map(|member| member.peer.clone()) {
            self.entry_failed(&peer, "no answer to their offer could be made", now, out);
        }
    }

    fn on_path_time(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let ours = self.our_reach();
        let mut end = None;
        for member in self.members.iter_mut().filter(|member| matches!(member.entry, Entry::Inside)) {
            match member.watch.poll(member.reach(ours), now) {
                Some(PathAdvice::Restart) => {
                    debug!(peer = %member.peer, "looking for a new path");
                    out.push(Effect::RestartIce(member.peer.clone()));
                }
                Some(PathAdvice::NoPath) => end = Some(EndReason::NoPath),
                Some(PathAdvice::Lost) => end = Some(EndReason::PeerLost { name: member.name.clone() }),
                None => {}
            }
        }
        if let Some(reason) = end {
            self.end(reason, now, out);
        }
    }

    /// Who can be told about new paths, as far as it is up to us; `None`: our session is fine.
    pub(super) fn our_reach(&self) -> Option<Reach> {
        match &self.session {
            Session::Up { .. } => None,
            Session::Connecting | Session::Lost { .. } => Some(Reach::WeAreAway),
            Session::None | Session::Over { .. } => Some(Reach::NoServer),
        }
    }

    /// Our id, once there is a session.
    pub(super) fn me(&self) -> Option<&PeerId> {
        match &self.session {
            Session::Up { me } | Session::Lost { me, .. } => Some(me),
            Session::None | Session::Connecting | Session::Over { .. } => None,
        }
    }

    pub(super) fn member(&mut self, peer: &PeerId) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.peer == *peer)
    }

    pub(super) fn send(&self, message: ClientMessage, out: &mut Vec<Effect>) {
        out.push(Effect::Send { message, id: None });
    }

    /// Facts for the diagnosis of those who are inside; nobody at the door is told any.
    fn share(&self, facts: &serde_json::Value, out: &mut Vec<Effect>) {
        for member in self.members.iter().filter(|member| matches!(member.entry, Entry::Inside)) {
            self.send(ClientMessage::Facts { to: member.peer.clone(), facts: facts.clone() }, out);
        }
    }

    pub(super) fn request(&mut self, request: Request, message: ClientMessage, out: &mut Vec<Effect>) {
        let id = self.next_request;
        self.next_request += 1;
        self.requests.insert(id, request);
        if self.requests.len() > MOST_REQUESTS {
            self.requests.pop_first();
        }
        out.push(Effect::Send { message, id: Some(id) });
    }

    /// The request that `re` answers; it is answered with that.
    pub(super) fn answered(&mut self, re: Option<u64>) -> Option<Request> {
        self.requests.remove(&re?)
    }

    pub(super) fn notice(&mut self, severity: Severity, text: impl Into<String>, now: Instant) {
        self.notices.add(severity, text.into(), now);
        self.dirty = true;
    }

    pub(super) fn configure(&mut self, servers: Vec<IceServer>, out: &mut Vec<Effect>) {
        self.connections_open = true;
        out.push(Effect::Configure(servers));
    }

    /// Camera and microphone are wanted from here on.
    pub(super) fn start_media(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.media_open, true) {
            out.push(Effect::StartMedia);
            self.targets = None;
            self.adapter = Adapter::new(self.max_bitrate);
            self.adapter.set_camera(Switch::from(self.media.camera));
            let (mode, sound) = self.share;
            self.adapter.set_share(mode, sound);
            self.encode(now, out);
        }
    }

    /// Tells the encoders if something changed for them.
    pub(super) fn encode(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let targets = self.adapter.targets(now);
        if self.targets.replace(targets) != Some(targets) {
            out.push(Effect::Encode(targets));
        }
        // Where nothing gets through at all, that is told instead.
        let up = self.members.iter().any(|member| member.watch.is_up());
        let text = match (self.adapter.is_paused() && up, targets.screen) {
            (true, None) => Some("The connection is too slow for your picture; only your sound is sent."),
            (true, Some(_)) => {
                Some("Your camera rests while your screen is shown: the connection is too slow for both.")
            }
            (false, _) => None,
        };
        if text != self.pause_told.map(|(_, text)| text) {
            if let Some((id, _)) = self.pause_told {
                self.notices.dismiss(id);
            }
            self.pause_told =
                text.map(|text| (self.notices.add_lasting(Severity::Warning, text.into()), text));
            self.dirty = true;
        }
    }

    /// Brings an attempt to knock one step further, as far as it can go now.
    pub(super) fn advance(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(room) = self.room.as_ref().map(|room| room.id().clone()) else { return };
        let up = matches!(self.session, Session::Up { .. });
        let (attempt, wanted) = match &mut self.stage {
            Stage::Prepared(attempt) => (attempt, false),
            Stage::Joining { attempt, .. } => (attempt, true),
            Stage::Idle
            | Stage::Hosting
            | Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Knocking { .. }
            | Stage::InCall
            | Stage::Ended(_) => return,
        };
        if !up {
            return;
        }
        match &attempt.servers {
            Servers::Wanted => {
                attempt.servers = Servers::Asked { pause: ASK_AGAIN };
                self.request(Request::Servers, ClientMessage::TurnGet { room }, out);
            }
            Servers::AskAgain { at, pause } if wanted || now >= *at => {
                attempt.servers = Servers::Asked { pause: *pause };
                self.request(Request::Servers, ClientMessage::TurnGet { room }, out);
            }
            Servers::Known if wanted && !attempt.knocked => {
                let Some(offer) = attempt.offer.clone() else { return };
                attempt.knocked = true;
                let signals = std::iter::once(&offer).chain(&attempt.candidates).cloned().collect::<Vec<_>>();
                self.knock(signals, out);
            }
            Servers::Asked { .. } | Servers::AskAgain { .. } | Servers::Known => {}
        }
    }

    /// Knocks with an offer and its candidates.
    pub(super) fn knock(&mut self, signals: Vec<Signal>, out: &mut Vec<Effect>) {
        let Some(room) = self.room.as_ref().map(|room| room.id().clone()) else { return };
        let signals = signals.into_iter().filter_map(|signal| self.outgoing(signal)).collect();
        let message = ClientMessage::RoomKnock { room, signals, media: self.media_told() };
        self.request(Request::Knock, message, out);
    }

    /// Tells those inside what is switched on here, if they know otherwise.
    pub(super) fn tell_media(&mut self, out: &mut Vec<Effect>) {
        if self.stage.is_inside() && self.told_media != self.media {
            self.told_media = self.media;
            self.send(ClientMessage::State { media: self.media }, out);
        }
    }

    /// What is switched on here, to be told to the server.
    pub(super) fn media_told(&mut self) -> MediaState {
        self.told_media = self.media;
        self.media
    }

    /// A signal as the server carries it, vouched for by the link's secret.
    pub(super) fn outgoing(&self, mut signal: Signal) -> Option<serde_json::Value> {
        if let Signal::Description { kind, sdp, proof, .. } = &mut signal {
            *proof = self
                .room
                .as_ref()
                .and_then(|room| Some((room.link.secret.as_ref()?, room.id())))
                .and_then(|(secret, room)| proof::make(secret, room, *kind, sdp));
        }
        serde_json::to_value(&signal).inspect_err(|error| debug!(%error, "a signal cannot be written")).ok()
    }

    /// What the link's secret says about a signal from the other side. Who came by the link must
    /// find its proof in every description; who opened the room also lets people in who have only
    /// the room's code, as unproven, but nobody falls back to that.
    pub(super) fn vet(&self, signal: &Signal, must: bool) -> Vetted {
        let Signal::Description { kind, sdp, proof, .. } = signal else { return Vetted::Fine };
        let Some(room) = &self.room else { return Vetted::Forged };
        match (&room.link.secret, proof) {
            (None, _) => Vetted::Unproven,
            (Some(_), None) if must || room.role == Role::Guest => Vetted::Forged,
            (Some(_), None) => Vetted::Unproven,
            (Some(secret), Some(proof)) if proof::holds(secret, room.id(), *kind, sdp, proof) => Vetted::Fine,
            (Some(_), Some(_)) => Vetted::Forged,
        }
    }

    /// The first participant has a path.
    pub(super) fn connected(&mut self, now: Instant) {
        if self.connected_since.is_none() {
            self.connected_since = Some(now);
            self.next_second = Some(now + Duration::from_secs(1));
        }
    }

    /// Sends somebody away from the door.
    pub(super) fn turn_away(&mut self, peer: &PeerId, reason: DeclineReason, out: &mut Vec<Effect>) {
        self.knockers.retain(|knocker| knocker.info.peer != *peer);
        self.dirty = true;
        if let Some(room) = &self.room {
            let message = ClientMessage::RoomDecline { room: room.id().clone(), peer: peer.clone(), reason };
            self.send(message, out);
        }
    }

    /// Somebody was accepted, but does not come in after all.
    pub(super) fn entry_failed(&mut self, peer: &PeerId, why: &str, now: Instant, out: &mut Vec<Effect>) {
        let Some(member) = self.member(peer) else { return };
        let text = format!("{} could not be let in: {why}.", member.name);
        self.turn_away(peer, DeclineReason::Declined, out);
        self.notice(Severity::Warning, text, now);
        self.drop_member(peer, out);
    }

    /// Forgets a participant and ends the connection; without any, we wait again.
    pub(super) fn drop_member(&mut self, peer: &PeerId, out: &mut Vec<Effect>) {
        self.members.retain(|member| member.peer != *peer);
        self.adapter.forget(peer);
        self.dirty = true;
        out.push(Effect::Remove(peer.clone()));
        if self.members.is_empty() {
            self.stage = Stage::Waiting;
            out.push(Effect::ExpectOffer);
        }
    }

    /// Ends whatever is going on, with a summary for the person.
    pub(super) fn end(&mut self, reason: EndReason, now: Instant, out: &mut Vec<Effect>) {
        let duration =
            self.connected_since.map(|since| now.saturating_duration_since(since)).unwrap_or_default();
        let quality = self
            .connected_since
            .and(self.quality.take())
            .map(|quality| Quality { reconnects: quality.reconnects.max(self.reconnects), ..quality });
        self.tear_down(out);
        self.stage = Stage::Ended(Summary { reason, duration, quality });
    }

    /// Ends whatever is going on, without a word.
    pub(super) fn tear_down(&mut self, out: &mut Vec<Effect>) {
        self.dirty = true;
        if let Some(room) =
            self.room.take().filter(|_| matches!(self.session, Session::Up { .. } | Session::Lost { .. }))
        {
            let room = room.id().clone();
            match &self.stage {
                Stage::Waiting | Stage::InCall => self.send(ClientMessage::RoomLeave { room }, out),
                Stage::Joining { attempt, .. } | Stage::Knocking { attempt, .. } if attempt.knocked => {
                    self.send(ClientMessage::RoomUnknock { room }, out);
                }
                Stage::Joining { .. }
                | Stage::Knocking { .. }
                | Stage::Idle
                | Stage::Hosting
                | Stage::Opening { .. }
                | Stage::Prepared(_)
                | Stage::Ended(_) => {}
            }
        }
        match std::mem::replace(&mut self.session, Session::None) {
            Session::Connecting | Session::Up { .. } | Session::Lost { .. } => {
                out.push(Effect::CloseSignaling)
            }
            Session::None | Session::Over { .. } => {}
        }
        if std::mem::take(&mut self.connections_open) {
            out.push(Effect::CloseConnections);
        }
        if std::mem::take(&mut self.media_open) {
            out.push(Effect::StopMedia);
        }
        if let Some((id, _)) = self.pause_told.take() {
            self.notices.dismiss(id);
        }
        self.stage = Stage::Idle;
        self.members.clear();
        self.knockers.clear();
        self.requests.clear();
        self.adapter = Adapter::new(self.max_bitrate);
        self.targets = None;
        self.quality = None;
        self.connected_since = None;
        self.next_second = None;
        self.refresh_at = None;
        self.locked = false;
        self.admission = Admission::default();
        self.reconnects = 0;
    }

    fn set_ringing(&mut self, out: &mut Vec<Effect>) {
        let ring = !self.knockers.is_empty();
        if self.ringing != ring {
            self.ringing = ring;
            out.push(Effect::Ring(Switch::from(ring)));
        }
    }
}
