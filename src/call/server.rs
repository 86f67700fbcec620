//! What the machine does when the signaling session tells something.

use std::time::{Duration, Instant};

use signaling_protocol::{
    ClientMessage, DeclineReason, ErrorCode, IceServer, LeaveReason, PeerId, PeerInfo, RoomId, ServerMessage,
};
use tracing::debug;

use super::input::Effect;
use super::machine::{ASK_AGAIN, CallMachine, KNOCK_WITHIN, Request, Session, Vetted};
use super::phase::{Servers, Stage};
use super::reconnect::{PathWatch, Turn};
use super::roster::{Entry, Knocker, MOST_SIGNALS, MOST_VISITORS, Member, PATIENCE, display_name};
use crate::engine::view::{EndReason, Severity};
use crate::rtc::Signal;
use crate::signaling::{SignalEvent, SignalingError};

/// Longest pause between two questions for a room that is not there yet.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Not more often than this are new credentials asked for, whatever the server says: relayed calls
/// move to a new relay each time.
const SHORTEST_REFRESH: Duration = Duration::from_secs(2);

/// Before asking again when the server refused.
const REFRESH_AGAIN: Duration = Duration::from_secs(60);

impl CallMachine {
    pub(super) fn on_signaling(&mut self, event: SignalEvent, now: Instant, out: &mut Vec<Effect>) {
        if !self.stage.wants_signaling() {
            debug!(?event, "from a session that is over");
            return;
        }
        match event {
            SignalEvent::Connected { peer, .. } => {
                self.session = Session::Up { me: peer };
                self.dirty = true;
                self.ask_to_open(out);
                self.advance(now, out);
            }
            SignalEvent::Message { message, re } => self.on_message(message, re, now, out),
            SignalEvent::Lost { reason } => {
                if let Some(me) = self.me().cloned() {
                    self.session = Session::Lost { me, reason };
                    self.dirty = true;
                }
            }
            SignalEvent::Resumed { fresh } => self.on_resumed(fresh, now, out),
            SignalEvent::RoundTrip(_) => {}
            SignalEvent::Failed(error) => self.on_failed(&error, now, out),
        }
    }

    fn ask_to_open(&mut self, out: &mut Vec<Effect>) {
        let Some(room) = self.room.as_ref().filter(|_| matches!(self.stage, Stage::Opening { .. })) else {
            return;
        };
        let (room, admission) = (room.id().clone(), self.admission);
        let message = ClientMessage::RoomOpen { room, admission, max: 2, media: self.media_told() };
        self.request(Request::Open, message, out);
    }

    fn on_resumed(&mut self, fresh: bool, now: Instant, out: &mut Vec<Effect>) {
        let Some(me) = self.me().cloned() else { return };
        self.session = Session::Up { me };
        self.dirty = true;
        for member in &mut self.members {
            member.watch.on_reachable(now);
        }
        if !fresh {
            return;
        }
        match &mut self.stage {
            Stage::Waiting | Stage::InCall => {
                let media = self.media_told();
                self.send(ClientMessage::State { media }, out);
                // A server that was restarted may have another secret for its relay.
                self.refresh_at = Some(now);
            }
            Stage::Knocking { attempt, .. } => {
                let signals = attempt.offer.iter().chain(&attempt.candidates).cloned().collect();
                self.knock(signals, out);
            }
            // Their requests are unanswered, so the session sends them again.
            Stage::Opening { .. } | Stage::Prepared(_) | Stage::Joining { .. } => {}
            Stage::Idle | Stage::Hosting | Stage::Ended(_) => {}
        }
    }

    fn on_failed(&mut self, error: &SignalingError, now: Instant, out: &mut Vec<Effect>) {
        self.session = Session::Over { reason: error.to_string() };
        self.dirty = true;
        let up = self.members.iter().any(|member| member.watch.is_up());
        match &self.stage {
            Stage::InCall if up => {
                let text = format!("The call goes on without the server: {error}.");
                self.notice(Severity::Warning, text, now);
            }
            Stage::InCall if self.connected_since.is_some() => {
                let name = self.members.first().map(|member| member.name.clone()).unwrap_or_default();
                self.end(EndReason::PeerLost { name }, now, out);
            }
            Stage::InCall
            | Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Prepared(_)
            | Stage::Joining { .. }
            | Stage::Knocking { .. } => self.end(EndReason::Server(error.to_string()), now, out),
            Stage::Idle | Stage::Hosting | Stage::Ended(_) => {}
        }
    }

    fn on_message(&mut self, message: ServerMessage, re: Option<u64>, now: Instant, out: &mut Vec<Effect>) {
        let request = self.answered(re);
        match message {
            ServerMessage::RoomJoined {
                room,
                peers,
                signals,
                by,
                admission,
                locked,
                ice_servers,
                refresh_s,
            } => {
                if !self.is_here(&room) {
                    return;
                }
                self.on_joined(peers, signals, by, now, out, ice_servers, refresh_s);
                if self.stage.is_inside() {
                    self.admission = admission;
                    self.locked = locked;
                    // Devices were opened since the knock, or the request for a room.
                    self.tell_media(out);
                }
            }
            ServerMessage::RoomKnocking { room, ice_servers } => {
                if self.is_here(&room) {
                    self.on_knocking(ice_servers, now, out);
                }
            }
            ServerMessage::RoomKnocked { room, from, signals } => {
                if self.is_here(&room) && self.stage.is_inside() {
                    self.on_knocked(from, signals, now, out);
                }
            }
            ServerMessage::RoomKnockSignal { room, from, signals } => {
                if self.is_here(&room) {
                    self.on_knock_signals(&from, signals, out);
                }
            }
            ServerMessage::RoomUnknocked { room, peer } => {
                if self.is_here(&room) {
                    self.on_unknocked(&peer, now, out);
                }
            }
            ServerMessage::RoomDeclined { room, reason } => {
                if self.is_here(&room) && self.is_knocking() {
                    let reason = match reason {
                        DeclineReason::Full => EndReason::RoomFull,
                        DeclineReason::Declined | DeclineReason::Busy | DeclineReason::NoAnswer => {
                            EndReason::Declined(reason)
                        }
                    };
                    self.end(reason, now, out);
                }
            }
            ServerMessage::RoomUpdate { room, locked, admission } => {
                if self.is_here(&room) {
                    self.locked = locked;
                    self.admission = admission;
                    self.dirty = true;
                }
            }
            // Whom we have let in is here already; nobody else can come into a room for two.
            ServerMessage::PeerJoined { peer } => {
                if let Some(member) = self.member(&peer.peer) {
                    member.media = peer.media;
                }
                self.on_back(&peer.peer, now, out);
            }
            ServerMessage::PeerLeft { peer, reason } => self.on_left(&peer, reason, now, out),
            ServerMessage::PeerAway { peer } => {
                if let Some(member) = self.member(&peer) {
                    member.away = true;
                    self.dirty = true;
                }
            }
            ServerMessage::PeerBack { peer } => self.on_back(&peer, now, out),
            ServerMessage::Sig { from, signal } => self.on_sig(&from, signal, now, out),
            ServerMessage::State { from, media } => {
                if let Some(member) = self.member(&from) {
                    member.media = media;
                    self.dirty = true;
                }
            }
            ServerMessage::TurnServers { ice_servers, refresh_s } => {
                self.on_servers(ice_servers, refresh_s, now, out);
            }
            ServerMessage::Error { code, message, retry_ms, fatal } => {
                debug!(?code, message, fatal, ?request, "the server refuses");
                self.on_error(request, code, message, retry_ms, now, out);
            }
            message @ (ServerMessage::Facts { .. }
            | ServerMessage::Drain { .. }
            | ServerMessage::Welcome { .. }
            | ServerMessage::Resumed { .. }
            | ServerMessage::ResumeToken { .. }
            | ServerMessage::Bye { .. }
            | ServerMessage::Ping
            | ServerMessage::Pong
            | ServerMessage::Ack) => debug!(?message, "of no concern to the call"),
        }
    }

    fn is_here(&self, room: &RoomId) -> bool {
        let here = self.room.as_ref().is_some_and(|ours| ours.id() == room);
        if !here {
            debug!(%room, "about a room that is not ours");
        }
        here
    }

    fn is_knocking(&self) -> bool {
        match &self.stage {
            Stage::Joining { attempt, .. } | Stage::Knocking { attempt, .. } => attempt.knocked,
            Stage::Idle
            | Stage::Hosting
            | Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Prepared(_)
            | Stage::InCall
            | Stage::Ended(_) => false,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    fn on_joined(
        &mut self,
        peers: Vec<PeerInfo>,
        signals: Vec<serde_json::Value>,
        by: Option<PeerId>,
        now: Instant,
        out: &mut Vec<Effect>,
        ice_servers: Vec<IceServer>,
        refresh_s: u64,
    ) {
        if matches!(self.stage, Stage::Opening { .. }) {
            self.stage = Stage::Waiting;
            self.dirty = true;
            self.set_refresh(refresh_s, now);
            self.configure(ice_servers, out);
            out.push(Effect::ExpectOffer);
        } else if self.is_knocking() {
            let host = by.and_then(|by| peers.into_iter().find(|info| info.peer == by));
            let Some(host) = host else {
                self.end(EndReason::Failed("the server did not say who let us in".into()), now, out);
                return;
            };
            self.set_refresh(refresh_s, now);
            self.configure(ice_servers, out);
            self.enter(&host, signals, now, out);
        } else {
            debug!("let into a room where nobody knocks");
        }
    }

    /// We are let in: the prepared connection gets its participant and the answer.
    fn enter(
        &mut self,
        host: &PeerInfo,
        signals: Vec<serde_json::Value>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) {
        let signals = readable(signals);
        let mut member = Member::new(host, Entry::Inside, PathWatch::new(self.turn(&host.peer), now));
        for signal in &signals {
            match (self.vet(signal, false), signal) {
                (Vetted::Fine, Signal::Description { .. }) => member.verified = true,
                (Vetted::Fine | Vetted::Unproven, _) => {}
                (Vetted::Forged, _) => {
                    self.stage = Stage::InCall;
                    self.end(EndReason::NotAuthentic, now, out);
                    return;
                }
            }
        }
        self.members.push(member);
        self.stage = Stage::InCall;
        self.dirty = true;
        out.push(Effect::AdoptPrepared(host.peer.clone()));
        out.extend(
            signals.into_iter().map(|signal| Effect::HandleSignal { from: host.peer.clone(), signal }),
        );
    }

    fn on_knocking(&mut self, ice_servers: Vec<IceServer>, now: Instant, out: &mut Vec<Effect>) {
        if let Stage::Joining { attempt, .. } = &mut self.stage
            && attempt.knocked
        {
            let attempt = std::mem::take(attempt);
            self.stage = Stage::Knocking { attempt, until: now + KNOCK_WITHIN };
            self.dirty = true;
            self.configure(ice_servers, out);
        }
    }

    fn on_knocked(
        &mut self,
        from: PeerInfo,
        signals: Vec<serde_json::Value>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) {
        let (peer, name) = (from.peer.clone(), display_name(&from.name));
        match self.member(&peer) {
            Some(member) if member.watch.is_up() => {
                debug!(%peer, "knocks, but is inside");
                return;
            }
            // The server was restarted before it let them in.
            Some(_) => self.drop_member(&peer, out),
            None => {}
        }
        if !self.members.iter().all(Member::is_gone) || self.knockers.len() >= MOST_VISITORS {
            self.turn_away(&peer, DeclineReason::Busy, out);
            self.notice(
                Severity::Info,
                format!("{name} wanted to join and was told that you are busy."),
                now,
            );
            return;
        }
        let signals = readable(signals);
        let Some(offer @ Signal::Description { .. }) = signals.first() else {
            self.turn_away(&peer, DeclineReason::Declined, out);
            let text = format!("{name} could not join: their program sent no offer that can be read.");
            self.notice(Severity::Warning, text, now);
            return;
        };
        let verified = match self.vet(offer, false) {
            Vetted::Fine => true,
            Vetted::Unproven => false,
            Vetted::Forged => {
                self.turn_away(&peer, DeclineReason::Declined, out);
                let text = format!("{name} was turned away: their link is not the one that you gave.");
                self.notice(Severity::Warning, text, now);
                return;
            }
        };
        // After a restart of the server somebody at the door knocks again.
        let again = self.knockers.iter().any(|knocker| knocker.info.peer == peer);
        self.knockers.retain(|knocker| knocker.info.peer != peer);
        self.knockers.push(Knocker {
            info: from,
            name: name.clone(),
            signals,
            verified,
            until: now + PATIENCE,
        });
        self.dirty = true;
        if self.is_open() {
            self.accept(&peer, now, out);
        } else if !again {
            out.push(Effect::Notify { name });
        }
    }

    fn on_knock_signals(&mut self, from: &PeerId, signals: Vec<serde_json::Value>, out: &mut Vec<Effect>) {
        // Only candidates: a second description would not be the one that was vetted.
        let signals =
            readable(signals).into_iter().filter(|signal| !matches!(signal, Signal::Description { .. }));
        if let Some(knocker) = self.knockers.iter_mut().find(|knocker| knocker.info.peer == *from) {
            let room = MOST_SIGNALS.saturating_sub(knocker.signals.len());
            knocker.signals.extend(signals.take(room));
        } else if self.member(from).is_some() {
            out.extend(signals.map(|signal| Effect::HandleSignal { from: from.clone(), signal }));
        }
    }

    fn on_unknocked(&mut self, peer: &PeerId, now: Instant, out: &mut Vec<Effect>) {
        self.knockers.retain(|knocker| knocker.info.peer != *peer);
        self.dirty = true;
        let Some(member) = self.member(peer) else { return };
        if matches!(member.entry, Entry::Answering { .. }) {
            let text = format!("{} did not wait.", member.name);
            self.drop_member(peer, out);
            self.notice(Severity::Info, text, now);
        }
    }

    /// The answer for somebody we accepted is there: they come in.
    pub(super) fn admit(&mut self, peer: &PeerId, signals: Vec<Signal>, now: Instant, out: &mut Vec<Effect>) {
        let Some(room) = self.room.as_ref().map(|room| room.id().clone()) else { return };
        let signals = signals.into_iter().filter_map(|signal| self.outgoing(signal)).collect();
        let message = ClientMessage::RoomAdmit { room, peer: peer.clone(), signals };
        self.request(Request::Admit(peer.clone()), message, out);
        // The server tells the others that the room is full.
        for knocker in std::mem::take(&mut self.knockers) {
            let text = format!("{} wanted to join, too, and was told that the room is full.", knocker.name);
            self.notice(Severity::Info, text, now);
        }
    }

    fn on_back(&mut self, peer: &PeerId, now: Instant, out: &mut Vec<Effect>) {
        let Some(member) = self.member(peer) else { return };
        member.away = false;
        member.orphaned = false;
        member.watch.on_reachable(now);
        self.dirty = true;
        // Whoever hoped for their place does not get it.
        let knockers: Vec<PeerId> = self.knockers.iter().map(|knocker| knocker.info.peer.clone()).collect();
        knockers.iter().for_each(|knocker| self.turn_away(knocker, DeclineReason::Busy, out));
    }

    fn on_left(&mut self, peer: &PeerId, reason: LeaveReason, now: Instant, out: &mut Vec<Effect>) {
        let Some(member) = self.member(peer) else { return };
        let name = member.name.clone();
        match reason {
            LeaveReason::Left => {
                self.drop_member(peer, out);
                if self.members.is_empty() {
                    self.end(EndReason::PeerLeft { name }, now, out);
                }
            }
            // The server has given up on them, but their media may still arrive.
            LeaveReason::TimedOut | LeaveReason::ServerClosed if member.watch.is_up() => {
                member.away = true;
                member.orphaned = true;
                self.dirty = true;
            }
            LeaveReason::TimedOut | LeaveReason::ServerClosed => {
                self.drop_member(peer, out);
                if self.members.is_empty() {
                    self.end(EndReason::PeerLost { name }, now, out);
                }
            }
        }
    }

    fn on_sig(&mut self, from: &PeerId, signal: serde_json::Value, now: Instant, out: &mut Vec<Effect>) {
        let Some(member) = self.member(from) else {
            debug!(%from, "a signal from somebody who is not inside");
            return;
        };
        let (verified, name) = (member.verified, member.name.clone());
        let Some(signal) = readable(vec![signal]).pop() else { return };
        match self.vet(&signal, verified) {
            Vetted::Fine | Vetted::Unproven => out.push(Effect::HandleSignal { from: from.clone(), signal }),
            Vetted::Forged => {
                let text = format!("Somebody tried to take {name}'s place in the call; it was ignored.");
                self.notice(Severity::Warning, text, now);
            }
        }
    }

    fn on_servers(&mut self, servers: Vec<IceServer>, refresh_s: u64, now: Instant, out: &mut Vec<Effect>) {
        match &mut self.stage {
            Stage::Prepared(attempt) | Stage::Joining { attempt, .. } => {
                if let Servers::Asked { .. } = attempt.servers {
                    attempt.servers = Servers::Known;
                    self.configure(servers, out);
                    out.push(Effect::PrepareOffer);
                }
            }
            Stage::Waiting | Stage::InCall | Stage::Knocking { .. } => {
                self.set_refresh(refresh_s, now);
                self.configure(servers, out);
            }
            Stage::Idle | Stage::Hosting | Stage::Opening { .. } | Stage::Ended(_) => {}
        }
    }

    fn set_refresh(&mut self, refresh_s: u64, now: Instant) {
        /// A day: beyond that, and for what overflows, nobody asks.
        const LONGEST: u64 = 24 * 3600;
        self.refresh_at = (1..=LONGEST)
            .contains(&refresh_s)
            .then(|| now + Duration::from_secs(refresh_s).max(SHORTEST_REFRESH));
    }

    fn on_error(
        &mut self,
        request: Option<Request>,
        code: ErrorCode,
        message: String,
        retry_ms: Option<u64>,
        now: Instant,
        out: &mut Vec<Effect>,
    ) {
        match request {
            Some(Request::Servers) if matches!(self.stage, Stage::Prepared(_)) => {
                self.ask_again_later(retry_ms, now);
            }
            Some(Request::Servers | Request::Knock | Request::Open) => self.refused(code, message, now, out),
            Some(Request::Admit(peer)) => {
                let Some(member) = self.member(&peer) else { return };
                let text = format!("{} could not be let in: {message}", member.name);
                self.drop_member(&peer, out);
                match code {
                    // Who had been away was back before their place could be given: they hear of our end, and
                    // find us again.
                    ErrorCode::RoomFull => self.end(EndReason::Failed(text), now, out),
                    _ => self.notice(Severity::Warning, text, now),
                }
            }
            Some(Request::Set) => self.notice(Severity::Warning, message, now),
            Some(Request::Refresh) => self.refresh_at = Some(now + REFRESH_AGAIN),
            // About a signal that came too late, or the like: nobody waits for it.
            None => {}
        }
    }

    fn ask_again_later(&mut self, retry_ms: Option<u64>, now: Instant) {
        let Stage::Prepared(attempt) = &mut self.stage else { return };
        let Servers::Asked { pause } = attempt.servers else { return };
        let told = Duration::from_millis(retry_ms.unwrap_or(0)).min(LONGEST_PAUSE);
        attempt.servers = Servers::AskAgain {
            at: now + pause.max(told),
            pause: (pause * 2).clamp(ASK_AGAIN, LONGEST_PAUSE),
        };
    }

    fn refused(&mut self, code: ErrorCode, message: String, now: Instant, out: &mut Vec<Effect>) {
        let reason = match code {
            ErrorCode::NotFound => EndReason::NotFound,
            ErrorCode::RoomFull => EndReason::RoomFull,
            ErrorCode::RoomLocked => EndReason::RoomLocked,
            ErrorCode::RoomTaken => EndReason::Failed("this room belongs to somebody else".into()),
            ErrorCode::BadRequest
            | ErrorCode::Unsupported
            | ErrorCode::BadVersion
            | ErrorCode::AlreadyJoined
            | ErrorCode::NotJoined
            | ErrorCode::PeerGone
            | ErrorCode::RateLimited
            | ErrorCode::TooLarge
            | ErrorCode::ResumeExpired
            | ErrorCode::ServerFull
            | ErrorCode::Draining
            | ErrorCode::Internal
            | ErrorCode::Unknown => EndReason::Server(format!("the server says: {message}")),
        };
        // The server knows no knock of ours: there is nothing to take back.
        if let Stage::Joining { attempt, .. } | Stage::Knocking { attempt, .. } = &mut self.stage {
            attempt.knocked = false;
        }
        self.end(reason, now, out);
    }

    /// Who restarts ICE first: the one whose id is greater.
    pub(super) fn turn(&self, peer: &PeerId) -> Turn {
        if self.me() > Some(peer) { Turn::First } else { Turn::Second }
    }
}

/// The signals that can be read; what cannot is left out, as an unknown kind of a later version.
fn readable(signals: Vec<serde_json::Value>) -> Vec<Signal> {
    signals
        .into_iter()
        .take(MOST_SIGNALS + 1)
        .filter_map(|value| {
            serde_json::from_value(value).inspect_err(|error| debug!(%error, "a signal cannot be read")).ok()
        })
        .collect()
}
