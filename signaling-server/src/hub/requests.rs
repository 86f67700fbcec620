//! What each request of a participant does.

use std::time::Duration;

use serde_json::Value;
use signaling_protocol::{
    Admission, ClientMessage, DeclineReason, ErrorCode, LeaveReason, MAX_SIGNAL, MediaState, PeerId, RoomId,
    ServerMessage,
};

use super::{Effect, Hub, close, millis};
use crate::{
    room::{Refusal, Room},
    session::{Attachment, Place, SocketId},
};

/// Most signals in one message: an offer and its candidates.
const MAX_SIGNALS: usize = 64;

/// A request that can't be done.
struct Refused {
    code: ErrorCode,
    message: String,
    retry: Option<Duration>,
}

impl Refused {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry: None }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = refusal.explain();
        Self::new(code, message)
    }
}

/// Who asks, and when.
struct Asking<'a> {
    peer: &'a PeerId,
    id: Option<u64>,
    now: Duration,
}

impl Hub {
    pub(super) fn request(
        &mut self,
        socket: SocketId,
        peer: &PeerId,
        message: ClientMessage,
        id: Option<u64>,
        now: Duration,
    ) {
        let by = Asking { peer, id, now };
        use ClientMessage as M;
        let done = match message {
            M::Hello { .. } | M::Resume { .. } => {
                Err(Refused::new(ErrorCode::BadRequest, "hello and resume come first, and once."))
            }
            M::Bye => {
                self.effects.push(Effect::Close { socket, code: close::BYE, reason: "bye" });
                self.end_session(peer, LeaveReason::Left, now);
                Ok(())
            }
            M::Ping => {
                self.reply(peer, &ServerMessage::Pong, id, now);
                Ok(())
            }
            M::Pong | M::Ack => Ok(()),
            M::RoomOpen { room, admission, max, media } => self.open(&by, room, admission, max, media),
            M::RoomKnock { room, signals, media } => self.knock(&by, room, signals, media),
            M::RoomKnockSignal { room, signals } => self.knock_signal(&by, room, signals),
            M::RoomUnknock { room } => self.unknock(&by, &room),
            M::RoomAdmit { room, peer, signals } => self.admit(&by, room, &peer, signals),
            M::RoomDecline { room, peer, reason } => self.decline(&by, room, &peer, reason),
            M::RoomSet { room, locked, admission } => self.set(&by, room, locked, admission),
            M::RoomLeave { room } => self.leave(&by, &room),
            M::Sig { to, signal } => self.sig(&by, &to, signal),
            M::State { media } => self.state(&by, media),
            M::Facts { to, facts } => self.facts(&by, &to, facts),
            M::TurnGet { room } => self.turn_get(&by, &room),
        };
        if let Err(Refused { code, message, retry }) = done {
            self.refuse(peer, id, code, &message, retry, now);
        }
    }

    fn place(&self, peer: &PeerId) -> Place {
        self.sessions.get(peer).map_or(Place::Nowhere, |session| session.place.clone())
    }

    fn settle(&mut self, peer: &PeerId, place: Place) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.place = place;
        }
    }

    fn set_media(&mut self, peer: &PeerId, media: MediaState) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.media = media;
        }
    }

    /// The room of that name. Somebody who keeps naming rooms that are not there is slowed down.
    fn find(&mut self, by: &Asking<'_>, room: &RoomId) -> Result<&mut Room, Refused> {
        if !self.rooms.contains_key(room) {
            let from = self.sessions.get(by.peer).and_then(|s| s.socket()).and_then(|s| self.sockets.get(&s));
            if let Some(from) = from.map(|socket| socket.from)
                && let Err(wait) = self.guesses.take(from, by.now)
            {
                let text = "Too many attempts with rooms that do not exist.";
                return Err(Refused { retry: Some(wait), ..Refused::new(ErrorCode::RateLimited, text) });
            }
        }
        let not_found = || Refused::new(ErrorCode::NotFound, "There is no such room, or nobody is in it.");
        self.rooms.get_mut(room).ok_or_else(not_found)
    }

    /// The room, if the one who asks is inside.
    fn inside(&mut self, by: &Asking<'_>, room: &RoomId) -> Result<&mut Room, Refused> {
        match self.rooms.get_mut(room) {
            Some(found) if found.has(by.peer) => Ok(found),
            Some(_) | None => Err(Refusal::NotInside.into()),
        }
    }

    fn open(
        &mut self,
        by: &Asking<'_>,
        room: RoomId,
        admission: Admission,
        max: u32,
        media: MediaState,
    ) -> Result<(), Refused> {
        match self.place(by.peer) {
            Place::Nowhere => {}
            Place::Inside(inside) if inside == room => {}
            Place::Inside(_) | Place::Knocking(_) => return Err(Refusal::AlreadyThere.into()),
        }
        match self.rooms.get(&room) {
            Some(found) if found.owner != *by.peer => return Err(Refusal::Taken.into()),
            Some(_) => {}
            None if self.rooms.len() >= self.limits.rooms => {
                return Err(Refused::new(ErrorCode::ServerFull, "The server has no place for another room."));
            }
            None => {
                let max = usize::try_from(max).unwrap_or(usize::MAX).clamp(2, self.limits.participants);
                self.rooms.insert(room.clone(), Room::open(by.peer.clone(), admission, max, millis(by.now)));
            }
        }
        self.set_media(by.peer, media);
        self.settle(by.peer, Place::Inside(room.clone()));
        self.joined(by, &room, Vec::new(), None);
        self.renew_ticket(by.peer, by.now);
        Ok(())
    }

    /// Tells a participant that it is inside.
    fn joined(&mut self, by: &Asking<'_>, room: &RoomId, signals: Vec<Value>, admitter: Option<&PeerId>) {
        let Some(found) = self.rooms.get(room) else { return };
        let others = found.members().iter().filter(|other| *other != by.peer);
        let message = ServerMessage::RoomJoined {
            room: room.clone(),
            peers: others.filter_map(|other| self.info(other)).collect(),
            signals,
            by: admitter.cloned(),
            admission: found.admission,
            locked: found.locked,
            ice_servers: self.ice_servers(by.peer, by.now),
            refresh_s: self.refresh_after().as_secs(),
        };
        self.reply(by.peer, &message, by.id, by.now);
    }

    fn knock(
        &mut self,
        by: &Asking<'_>,
        room: RoomId,
        signals: Vec<Value>,
        media: MediaState,
    ) -> Result<(), Refused> {
        check_signals(&signals)?;
        if self.place(by.peer) != Place::Nowhere {
            return Err(Refusal::AlreadyThere.into());
        }
        let away = self.away(&room).len();
        let found = self.find(by, &room)?;
        found.knock(by.peer, away)?;
        let inside = found.members().to_vec();
        self.set_media(by.peer, media);
        self.settle(by.peer, Place::Knocking(room.clone()));
        let ice_servers = self.ice_servers(by.peer, by.now);
        self.reply(by.peer, &ServerMessage::RoomKnocking { room: room.clone(), ice_servers }, by.id, by.now);
        if let Some(from) = self.info(by.peer) {
            let knocked = ServerMessage::RoomKnocked { room, from, signals };
            for member in inside {
                self.send(&member, &knocked, by.now);
            }
        }
        Ok(())
    }

    fn knock_signal(&mut self, by: &Asking<'_>, room: RoomId, signals: Vec<Value>) -> Result<(), Refused> {
        check_signals(&signals)?;
        if self.place(by.peer) != Place::Knocking(room.clone()) {
            // Decided in this moment; what belongs to a knock is of no use any more.
            return Ok(());
        }
        let inside = self.rooms.get(&room).map_or(Vec::new(), |found| found.members().to_vec());
        let message = ServerMessage::RoomKnockSignal { room, from: by.peer.clone(), signals };
        for member in inside {
            self.send(&member, &message, by.now);
        }
        Ok(())
    }

    fn unknock(&mut self, by: &Asking<'_>, room: &RoomId) -> Result<(), Refused> {
        if self.place(by.peer) == Place::Knocking(room.clone()) {
            self.leave_place(by.peer, LeaveReason::Left, by.now);
        }
        Ok(())
    }

    fn admit(
        &mut self,
        by: &Asking<'_>,
        room: RoomId,
        newcomer: &PeerId,
        signals: Vec<Value>,
    ) -> Result<(), Refused> {
        check_signals(&signals)?;
        let found = self.inside(by, &room)?;
        if found.is_full() && found.knocks().contains(newcomer) {
            self.give_place(&room, by.now);
        }
        let found = self.inside(by, &room)?;
        let too_late = found.admit(by.peer, newcomer)?;
        let members = found.members().to_vec();
        self.settle(newcomer, Place::Inside(room.clone()));
        let asking = Asking { peer: newcomer, id: None, now: by.now };
        self.joined(&asking, &room, signals, Some(by.peer));
        let info = self.info(newcomer);
        for member in members.iter().filter(|member| *member != newcomer) {
            if member != by.peer {
                let message = ServerMessage::RoomUnknocked { room: room.clone(), peer: newcomer.clone() };
                self.send(member, &message, by.now);
            }
            if let Some(peer) = info.clone() {
                self.send(member, &ServerMessage::PeerJoined { peer }, by.now);
            }
        }
        for peer in too_late {
            self.turn_away(&room, &peer, DeclineReason::Full, by.now);
        }
        self.renew_room_tickets(&room, by.now);
        Ok(())
    }

    /// Those inside who have lost their socket, and since when.
    fn away(&self, room: &RoomId) -> Vec<(PeerId, Duration)> {
        let inside = self.rooms.get(room).map_or(&[][..], |found| found.members());
        let since = |peer: &PeerId| match self.sessions.get(peer)?.attachment {
            Attachment::Away { since } => Some((peer.clone(), since)),
            Attachment::Socket(_) => None,
        };
        inside.iter().filter_map(since).collect()
    }

    /// Ends the session of whoever has been away for longest: their place is wanted.
    fn give_place(&mut self, room: &RoomId, now: Duration) {
        if let Some((peer, _)) = self.away(room).into_iter().min_by_key(|(_, since)| *since) {
            tracing::debug!(%peer, "away, and somebody else is let in");
            self.end_session(&peer, LeaveReason::TimedOut, now);
        }
    }

    fn decline(
        &mut self,
        by: &Asking<'_>,
        room: RoomId,
        newcomer: &PeerId,
        reason: DeclineReason,
    ) -> Result<(), Refused> {
        let found = self.inside(by, &room)?;
        found.decline(by.peer, newcomer)?;
        self.settle(newcomer, Place::Nowhere);
        self.send(newcomer, &ServerMessage::RoomDeclined { room: room.clone(), reason }, by.now);
        self.tell_others(by.peer, &ServerMessage::RoomUnknocked { room, peer: newcomer.clone() }, by.now);
        Ok(())
    }

    /// A knock that nobody can answer any more: tells the newcomer, and those inside.
    fn turn_away(&mut self, room: &RoomId, newcomer: &PeerId, reason: DeclineReason, now: Duration) {
        self.settle(newcomer, Place::Nowhere);
        self.send(newcomer, &ServerMessage::RoomDeclined { room: room.clone(), reason }, now);
        let inside = self.rooms.get(room).map_or(Vec::new(), |found| found.members().to_vec());
        let message = ServerMessage::RoomUnknocked { room: room.clone(), peer: newcomer.clone() };
        for member in inside {
            self.send(&member, &message, now);
        }
    }

    fn set(
        &mut self,
        by: &Asking<'_>,
        room: RoomId,
        locked: Option<bool>,
        admission: Option<Admission>,
    ) -> Result<(), Refused> {
        let found = self.inside(by, &room)?;
        found.set(by.peer, locked, admission)?;
        let message = ServerMessage::RoomUpdate {
            room: room.clone(),
            locked: found.locked,
            admission: found.admission,
        };
        self.reply(by.peer, &message, by.id, by.now);
        self.tell_others(by.peer, &message, by.now);
        self.renew_room_tickets(&room, by.now);
        Ok(())
    }

    fn leave(&mut self, by: &Asking<'_>, room: &RoomId) -> Result<(), Refused> {
        if self.place(by.peer) != Place::Inside(room.clone()) {
            return Err(Refusal::NotInside.into());
        }
        self.leave_place(by.peer, LeaveReason::Left, by.now);
        self.renew_ticket(by.peer, by.now);
        Ok(())
    }

    /// Takes a participant out of its room, or away from the door, and tells those concerned.
    pub(super) fn leave_place(&mut self, peer: &PeerId, reason: LeaveReason, now: Duration) {
        match self.place(peer) {
            Place::Nowhere => {}
            Place::Knocking(room) => {
                self.settle(peer, Place::Nowhere);
                let Some(found) = self.rooms.get_mut(&room) else { return };
                if found.unknock(peer).is_ok() {
                    let inside = found.members().to_vec();
                    let message = ServerMessage::RoomUnknocked { room, peer: peer.clone() };
                    inside.iter().for_each(|member| self.send(member, &message, now));
                }
            }
            Place::Inside(room) => {
                self.tell_others(peer, &ServerMessage::PeerLeft { peer: peer.clone(), reason }, now);
                self.settle(peer, Place::Nowhere);
                let Some(found) = self.rooms.get_mut(&room) else { return };
                // Not there any more only if telling the others ended this very session.
                if found.leave(peer).is_err() {
                    return;
                }
                if found.members().is_empty() {
                    let knocks = found.knocks().to_vec();
                    self.rooms.remove(&room);
                    for newcomer in knocks {
                        self.turn_away(&room, &newcomer, DeclineReason::NoAnswer, now);
                    }
                } else {
                    self.renew_room_tickets(&room, now);
                }
            }
        }
    }

    /// Checks that `to` is in the same room as the one who asks.
    fn beside(&self, by: &Asking<'_>, to: &PeerId) -> Result<(), Refused> {
        let Place::Inside(room) = self.place(by.peer) else { return Err(Refusal::NotInside.into()) };
        match self.rooms.get(&room) {
            Some(found) if found.has(to) && to != by.peer => Ok(()),
            Some(_) | None => Err(Refusal::PeerGone.into()),
        }
    }

    fn sig(&mut self, by: &Asking<'_>, to: &PeerId, signal: Value) -> Result<(), Refused> {
        check_signals(std::slice::from_ref(&signal))?;
        self.beside(by, to)?;
        self.send(to, &ServerMessage::Sig { from: by.peer.clone(), signal }, by.now);
        Ok(())
    }

    fn facts(&mut self, by: &Asking<'_>, to: &PeerId, facts: Value) -> Result<(), Refused> {
        check_signals(std::slice::from_ref(&facts))?;
        self.beside(by, to)?;
        self.send(to, &ServerMessage::Facts { from: by.peer.clone(), facts }, by.now);
        Ok(())
    }

    fn state(&mut self, by: &Asking<'_>, media: MediaState) -> Result<(), Refused> {
        self.set_media(by.peer, media);
        self.tell_others(by.peer, &ServerMessage::State { from: by.peer.clone(), media }, by.now);
        Ok(())
    }

    fn turn_get(&mut self, by: &Asking<'_>, room: &RoomId) -> Result<(), Refused> {
        self.find(by, room)?;
        let message = ServerMessage::TurnServers {
            ice_servers: self.ice_servers(by.peer, by.now),
            refresh_s: self.refresh_after().as_secs(),
        };
        self.reply(by.peer, &message, by.id, by.now);
        Ok(())
    }
}

fn check_signals(signals: &[Value]) -> Result<(), Refused> {
    if signals.len() > MAX_SIGNALS {
        let text = format!("A message has {} signals; at most {MAX_SIGNALS} are allowed.", signals.len());
        return Err(Refused::new(ErrorCode::TooLarge, text));
    }
    for signal in signals {
        let length = serde_json::to_vec(signal).map_or(usize::MAX, |bytes| bytes.len());
        if length > MAX_SIGNAL {
            let text = format!("A signal has {length} bytes; at most {MAX_SIGNAL} are allowed.");
            return Err(Refused::new(ErrorCode::TooLarge, text));
        }
    }
    Ok(())
}
