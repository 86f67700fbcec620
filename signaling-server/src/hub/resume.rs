//! How a session comes back: over a new socket, or to a server that was restarted.

use std::time::Duration;

use signaling_protocol::{ErrorCode, LeaveReason, PeerId, RoomId, ServerMessage};

use super::{Effect, Hub, RESUME_WITHIN, RoomTicket, Ticket, close, ticket};
use crate::{
    room::Room,
    session::{Attachment, Place, Session, SocketId},
};

impl Hub {
    pub(super) fn resume(&mut self, socket: SocketId, token: &str, last: u64, now: Duration) {
        let expired = "The session is over; start a new one.";
        let Ok(ticket) = Ticket::unseal(token, &self.key, now) else {
            return self.refuse_socket(socket, ErrorCode::ResumeExpired, expired, now);
        };
        if !self.sessions.contains_key(&ticket.peer) {
            self.restore(&ticket, now);
        }
        let Some(session) = self.sessions.get_mut(&ticket.peer) else {
            return self.refuse_socket(socket, ErrorCode::ResumeExpired, expired, now);
        };
        if session.serial.get_or_insert_with(|| ticket.serial.clone()) != &ticket.serial {
            return self.refuse_socket(socket, ErrorCode::ResumeExpired, expired, now);
        }
        if session.fresh {
            self.update_room(&ticket, now);
        }
        self.attach(socket, &ticket.peer, last, now);
    }

    /// Gives a session its new socket, sends what was missed, and tells the others.
    fn attach(&mut self, socket: SocketId, peer: &PeerId, last: u64, now: Duration) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        let was_away = session.is_away();
        if let Some(old) = session.socket() {
            let reason = "a newer socket has the session";
            self.effects.push(Effect::Close { socket: old, code: close::REPLACED, reason });
            self.sockets.remove(&old);
        }
        session.attachment = Attachment::Socket(socket);
        let fresh = std::mem::take(&mut session.fresh);
        // What the others did meanwhile goes out again after `resumed`; a restarted server has
        // numbered from 1 and nothing of it was received.
        let missed = session.replay(if fresh { 0 } else { last });
        let received = session.received();
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.peer = Some(peer.clone());
            socket.renewed = now;
        }
        let resume = self.ticket(peer, now).unwrap_or_default();
        self.send(peer, &ServerMessage::Resumed { resume, last: received, fresh }, now);
        self.effects.extend(missed.into_iter().map(|text| Effect::Send { socket, text }));
        if fresh {
            self.tell_who_is_away(peer, now);
        }
        if was_away {
            self.tell_others(peer, &ServerMessage::PeerBack { peer: peer.clone() }, now);
        }
        self.renew_ice_servers(peer, now);
    }

    /// After a restart, the others may not have come back yet.
    fn tell_who_is_away(&mut self, peer: &PeerId, now: Duration) {
        let Some(Place::Inside(room)) = self.sessions.get(peer).map(|session| session.place.clone()) else {
            return;
        };
        let members = self.rooms.get(&room).map_or(Vec::new(), |room| room.members().to_vec());
        for other in members.into_iter().filter(|other| other != peer) {
            if self.sessions.get(&other).is_some_and(Session::is_away) {
                self.send(peer, &ServerMessage::PeerAway { peer: other }, now);
            }
        }
    }

    /// Believes a token about a session that this process has never seen. Only for as long after
    /// the start as a session would have been kept without a restart.
    fn restore(&mut self, ticket: &Ticket, now: Duration) {
        let is_late = now.saturating_sub(self.started) >= RESUME_WITHIN;
        if is_late || self.sessions.len() >= self.limits.sessions {
            return;
        }
        let known = ticket.room.as_ref().and_then(|room| self.rooms.get(&room.room));
        let is_outdated = match (&ticket.room, known) {
            (Some(theirs), Some(ours)) => theirs.epoch <= ours.epoch && !ours.has(&ticket.peer),
            (Some(_), None) => self.rooms.len() >= self.limits.rooms,
            (None, _) => false,
        };
        if is_outdated {
            // The room went on without this participant: it has to knock again.
            return;
        }
        tracing::debug!(peer = %ticket.peer, "session restored after a restart");
        self.expect(ticket.peer.clone(), ticket.name.clone(), Place::Nowhere, now);
    }

    fn expect(&mut self, peer: PeerId, name: String, place: Place, now: Duration) {
        self.sessions
            .entry(peer.clone())
            .or_insert_with(|| Session::expected(peer, name, Place::Nowhere, now))
            .place = place;
    }

    /// Puts the room of a token together, or brings it up to date.
    fn update_room(&mut self, ticket: &Ticket, now: Duration) {
        let Some(theirs) = &ticket.room else { return };
        let ids: Vec<PeerId> = theirs.members.iter().map(|(peer, _)| peer.clone()).collect();
        match self.rooms.get_mut(&theirs.room) {
            Some(ours) if theirs.epoch <= ours.epoch => return,
            Some(ours) => {
                ours.owner = theirs.owner.clone();
                ours.locked = theirs.locked;
                ours.admission = theirs.admission;
                for peer in ours.adopt(theirs.epoch, ids) {
                    self.evict(&peer, now);
                }
            }
            None => {
                let room = Room::restore(
                    theirs.owner.clone(),
                    theirs.admission,
                    theirs.locked,
                    theirs.max,
                    theirs.epoch,
                    ids,
                );
                self.rooms.insert(theirs.room.clone(), room);
            }
        }
        for (peer, name) in &theirs.members {
            self.expect(peer.clone(), name.clone(), Place::Inside(theirs.room.clone()), now);
        }
    }

    /// Somebody who had left before the restart, by a newer token than its own.
    fn evict(&mut self, peer: &PeerId, now: Duration) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.place = Place::Nowhere;
            if let Some(socket) = session.socket() {
                let text = "You had left the room before the server was restarted.";
                return self.refuse_socket(socket, ErrorCode::ResumeExpired, text, now);
            }
            self.end_session(peer, LeaveReason::Left, now);
        }
    }

    /// The token of a session as it is now.
    pub(super) fn ticket(&self, peer: &PeerId, now: Duration) -> Option<String> {
        let session = self.sessions.get(peer)?;
        let room = match &session.place {
            Place::Inside(room) => self.room_ticket(room),
            Place::Nowhere | Place::Knocking(_) => None,
        };
        let ticket = Ticket {
            peer: peer.clone(),
            name: session.name.clone(),
            serial: session.serial.clone()?,
            expires: (now + ticket::LIFETIME).as_secs(),
            room,
        };
        Some(ticket.seal(&self.key))
    }

    fn room_ticket(&self, id: &RoomId) -> Option<RoomTicket> {
        let room = self.rooms.get(id)?;
        let name = |peer: &PeerId| self.sessions.get(peer).map(|s| s.name.clone()).unwrap_or_default();
        Some(RoomTicket {
            room: id.clone(),
            owner: room.owner.clone(),
            admission: room.admission,
            locked: room.locked,
            max: room.max,
            epoch: room.epoch,
            members: room.members().iter().map(|peer| (peer.clone(), name(peer))).collect(),
        })
    }

    /// Sends a participant its new token, if it can be reached; otherwise the resume brings it.
    pub(super) fn renew_ticket(&mut self, peer: &PeerId, now: Duration) {
        if self.sessions.get(peer).is_some_and(|session| !session.is_away())
            && let Some(resume) = self.ticket(peer, now)
        {
            self.send(peer, &ServerMessage::ResumeToken { resume }, now);
        }
    }

    pub(super) fn renew_room_tickets(&mut self, room: &RoomId, now: Duration) {
        let members = self.rooms.get(room).map_or(Vec::new(), |room| room.members().to_vec());
        for member in members {
            self.renew_ticket(&member, now);
        }
    }
}
