//! All sessions and rooms, and what each message does to them.
//!
//! Pure: [`Hub::handle`] takes what happened and the time, and returns what to do. It knows sockets
//! by number only. One task owns it (`server.rs`), so nothing here is shared or locked.
//!
//! ```text
//!   Input ──▶ Hub::handle ──▶ [Effect]
//!    Connected, Text, Broken, Gone, Tick, Drain      Send, Close
//! ```

mod requests;
mod resume;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, net::IpAddr, time::Duration};

use signaling_protocol::{
    ClientMessage, Envelope, ErrorCode, IceServer, LeaveReason, MAX_NAME, Message, ParseError, PeerId,
    PeerInfo, RoomId, ServerMessage, VERSION,
};

use crate::{
    bucket::{Buckets, Rate},
    ice::{self, IceServers, Reached},
    room::Room,
    secret::{Key, random_id},
    session::{Arrival, Attachment, Place, Session, SocketId, Told},
    ticket::{self, RoomTicket, Ticket},
};

/// Time for the first message on a socket.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// How often the server asks whether a client is there.
pub const PING_EVERY: Duration = Duration::from_secs(10);

/// Silence after which a socket is taken for dead.
const DEAD_AFTER: Duration = Duration::from_secs(25);

/// How long a session without a socket is kept.
pub const RESUME_WITHIN: Duration = Duration::from_secs(180);

/// How often the token of a quiet session is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(6 * 3600);

/// Wrong guesses of rooms that an address has free, and how fast it gets new ones. Room codes have
/// 80 bits and more, so this only has to keep guessing from costing anything.
const GUESSES: Rate = Rate { per_second: 0.5, burst: 30.0 };

/// Shortest and longest wait that clients are asked for when the server goes down, in ms.
const DRAIN_RETRY: [u64; 2] = [200, 3000];

/// WebSocket close codes of the protocol.
pub mod close {
    /// `bye`, from either side.
    pub const BYE: u16 = 4000;
    /// No common version.
    pub const VERSION: u16 = 4002;
    /// A newer socket has the session.
    pub const REPLACED: u16 = 4004;
    /// Not of the protocol.
    pub const PROTOCOL: u16 = 4005;
    /// Too many messages.
    pub const RATE: u16 = 4008;
    /// The client reads too slowly; the session can be resumed.
    pub const SLOW: u16 = 4009;
    /// The session is over.
    pub const RESUME_EXPIRED: u16 = 4010;
    /// The server restarts (RFC 6455 registry).
    pub const RESTART: u16 = 1012;
}

/// How much the server takes on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most rooms.
    pub rooms: usize,
    /// Most sessions, with and without a socket.
    pub sessions: usize,
    /// Most sockets that have not said hello.
    pub strangers: usize,
    /// Most participants in a room, whatever the opener asks for.
    pub participants: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rooms: 10_000, sessions: 20_000, strangers: 256, participants: 8 }
    }
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A WebSocket is open.
    Connected {
        /// Its number.
        socket: SocketId,
        /// Who is on the other side.
        from: IpAddr,
        /// How it reached us.
        reached: Reached,
    },
    /// A text frame.
    Text {
        /// On which socket.
        socket: SocketId,
        /// Its content.
        text: String,
    },
    /// The client broke a limit of the socket; its session ends.
    Broken {
        /// On which socket.
        socket: SocketId,
        /// Which limit.
        code: ErrorCode,
        /// One sentence.
        message: String,
    },
    /// The socket is closed.
    Gone {
        /// Which.
        socket: SocketId,
    },
    /// Time has passed.
    Tick,
    /// The server goes down.
    Drain,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a text frame.
    Send {
        /// On which socket.
        socket: SocketId,
        /// Its content.
        text: String,
    },
    /// Close a socket after what was sent.
    Close {
        /// Which.
        socket: SocketId,
        /// WebSocket close code.
        code: u16,
        /// One sentence.
        reason: &'static str,
    },
}

#[derive(Debug)]
struct Socket {
    from: IpAddr,
    reached: Reached,
    peer: Option<PeerId>,
    opened: Duration,
    heard: Duration,
    pinged: Duration,
    renewed: Duration,
}

/// All sessions and rooms.
#[derive(Debug)]
pub struct Hub {
    key: Key,
    ice: Option<IceServers>,
    limits: Limits,
    started: Duration,
    draining: bool,
    sockets: HashMap<SocketId, Socket>,
    sessions: HashMap<PeerId, Session>,
    rooms: HashMap<RoomId, Room>,
    guesses: Buckets<IpAddr>,
    effects: Vec<Effect>,
}

impl Hub {
    /// Nobody is there yet. `key` signs resume tokens.
    pub fn new(key: Key, ice: Option<IceServers>, limits: Limits, now: Duration) -> Self {
        Self {
            key,
            ice,
            limits,
            started: now,
            draining: false,
            sockets: HashMap::new(),
            sessions: HashMap::new(),
            rooms: HashMap::new(),
            guesses: Buckets::new(GUESSES, 10_000),
            effects: Vec::new(),
        }
    }

    /// Takes in what happened; returns what to do, in order.
    pub fn handle(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        match input {
            Input::Connected { socket, from, reached } => self.connected(socket, from, reached, now),
            Input::Text { socket, text } => self.text(socket, &text, now),
            Input::Broken { socket, code, message } => self.refuse_socket(socket, code, &message, now),
            Input::Gone { socket } => self.gone(socket, now),
            Input::Tick => self.tick(now),
            Input::Drain => self.drain(),
        }
        std::mem::take(&mut self.effects)
    }

    /// How many sessions there are, with and without a socket.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    fn connected(&mut self, socket: SocketId, from: IpAddr, reached: Reached, now: Duration) {
        let strangers = self.sockets.values().filter(|s| s.peer.is_none()).count();
        self.sockets.insert(
            socket,
            Socket { from, reached, peer: None, opened: now, heard: now, pinged: now, renewed: now },
        );
        if self.draining {
            self.refuse_socket(socket, ErrorCode::Draining, "The server is going down.", now);
        } else if strangers >= self.limits.strangers || self.sessions.len() >= self.limits.sessions {
            self.refuse_socket(socket, ErrorCode::ServerFull, "The server has no room for more people.", now);
        }
    }

    fn text(&mut self, socket: SocketId, text: &str, now: Duration) {
        let Some(known) = self.sockets.get_mut(&socket) else { return };
        known.heard = now;
        let peer = known.peer.clone();
        let envelope = match Envelope::parse(text) {
            Ok(envelope) => envelope,
            Err(error @ ParseError::TooLarge(_)) => {
                return self.refuse_socket(socket, ErrorCode::TooLarge, &error.to_string(), now);
            }
            Err(error) => {
                return self.refuse_socket(socket, ErrorCode::BadRequest, &error.to_string(), now);
            }
        };
        match peer {
            None => self.first_message(socket, &envelope, now),
            Some(peer) => self.message(socket, &peer, envelope, now),
        }
    }

    fn first_message(&mut self, socket: SocketId, envelope: &Envelope, now: Duration) {
        match envelope.message::<ClientMessage>() {
            Ok(ClientMessage::Hello { v, client, name }) => self.hello(socket, &v, &client, name, now),
            Ok(ClientMessage::Resume { token, last }) => self.resume(socket, &token, last, now),
            Ok(_) | Err(ParseError::UnknownType(_)) => {
                let text = "The first message on a socket must be hello or resume.";
                self.refuse_socket(socket, ErrorCode::BadRequest, text, now);
            }
            Err(error) => self.refuse_socket(socket, ErrorCode::BadRequest, &error.to_string(), now),
        }
    }

    fn hello(&mut self, socket: SocketId, versions: &[u32], client: &str, name: String, now: Duration) {
        if !versions.contains(&VERSION) {
            let text =
                format!("This server speaks version {VERSION} of the protocol, the application does not.");
            return self.refuse_socket(socket, ErrorCode::BadVersion, &text, now);
        }
        if let Err(text) = check_name(&name) {
            return self.refuse_socket(socket, ErrorCode::BadRequest, text, now);
        }
        let Some(peer) = self.new_peer() else {
            return self.refuse_socket(socket, ErrorCode::Internal, "No identifier could be made.", now);
        };
        tracing::debug!(%peer, client = client.escape_debug().to_string(), "hello");
        self.sessions.insert(peer.clone(), Session::new(peer.clone(), name, random_id(), socket));
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.peer = Some(peer.clone());
            socket.renewed = now;
        }
        let resume = self.ticket(&peer, now).unwrap_or_default();
        let welcome = ServerMessage::Welcome {
            v: VERSION,
            peer: peer.clone(),
            resume,
            ping_ms: millis(PING_EVERY),
            resume_ms: millis(RESUME_WITHIN),
            server: concat!("sightline-server ", env!("CARGO_PKG_VERSION")).to_owned(),
            time: millis(now),
        };
        self.send(&peer, &welcome, now);
    }

    fn new_peer(&self) -> Option<PeerId> {
        PeerId::new(random_id()).ok().filter(|peer| !self.sessions.contains_key(peer))
    }

    fn message(&mut self, socket: SocketId, peer: &PeerId, envelope: Envelope, now: Duration) {
        if let (Some(a), Some(session)) = (envelope.a, self.sessions.get_mut(peer)) {
            session.acknowledge(a);
        }
        let message = envelope.message::<ClientMessage>();
        let is_control = matches!(&message, Ok(message) if !message.is_sequenced());
        if !is_control {
            let Some(session) = self.sessions.get_mut(peer) else { return };
            match session.incoming(envelope.s, now) {
                Arrival::Next => {}
                Arrival::Duplicate => return,
                Arrival::Gap => {
                    let expected = session.received() + 1;
                    let text = format!(
                        "A message came out of order: its number is {}, expected was {expected}.",
                        envelope.s.map_or("missing".to_owned(), |s| s.to_string())
                    );
                    return self.refuse_socket(socket, ErrorCode::BadRequest, &text, now);
                }
            }
        }
        match message {
            Ok(message) => self.request(socket, peer, message, envelope.id, now),
            Err(ParseError::UnknownType(_)) if envelope.id.is_none() => {}
            Err(error @ ParseError::UnknownType(_)) => {
                self.refuse(peer, envelope.id, ErrorCode::Unsupported, &error.to_string(), None, now);
            }
            Err(error) => {
                self.refuse(peer, envelope.id, ErrorCode::BadRequest, &error.to_string(), None, now);
            }
        }
        if self.sessions.get(peer).is_some_and(|session| session.ack_is_due(now)) {
            self.send(peer, &ServerMessage::Ack, now);
        }
    }

    /// Sends to a participant: now if there is a socket, after the resume if not.
    fn send(&mut self, peer: &PeerId, message: &ServerMessage, now: Duration) {
        self.reply(peer, message, None, now);
    }

    fn reply(&mut self, peer: &PeerId, message: &ServerMessage, re: Option<u64>, now: Duration) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        match (session.outgoing(message, re), session.socket()) {
            (Ok(text), Some(socket)) => self.effects.push(Effect::Send { socket, text }),
            (Ok(_), None) => {}
            (Err(_), Some(socket)) => {
                let text = "Too many messages are not acknowledged.";
                self.refuse_socket(socket, ErrorCode::TooLarge, text, now);
            }
            (Err(_), None) => {
                tracing::warn!(%peer, "more messages wait for a lost session than are kept; it ends");
                self.end_session(peer, LeaveReason::TimedOut, now);
            }
        }
    }

    /// Answers a request that can't be done; the session goes on.
    fn refuse(
        &mut self,
        peer: &PeerId,
        re: Option<u64>,
        code: ErrorCode,
        message: &str,
        retry: Option<Duration>,
        now: Duration,
    ) {
        tracing::debug!(%peer, ?code, message, "refused");
        let error = ServerMessage::Error {
            code,
            message: message.to_owned(),
            retry_ms: retry.map(millis),
            fatal: false,
        };
        self.reply(peer, &error, re, now);
    }

    /// Ends a socket, and its session if it has one, with an error.
    fn refuse_socket(&mut self, socket: SocketId, code: ErrorCode, message: &str, now: Duration) {
        let Some(known) = self.sockets.remove(&socket) else { return };
        tracing::debug!(socket, ?code, message, "socket refused");
        let error = ServerMessage::Error { code, message: message.to_owned(), retry_ms: None, fatal: true };
        self.effects.push(Effect::Send { socket, text: Envelope::wrap(&error).to_text() });
        let (code, reason) = match code {
            ErrorCode::BadVersion => (close::VERSION, "version"),
            ErrorCode::RateLimited => (close::RATE, "too many messages"),
            ErrorCode::ResumeExpired => (close::RESUME_EXPIRED, "the session is over"),
            ErrorCode::Draining => (close::RESTART, "the server is going down"),
            _ => (close::PROTOCOL, "refused"),
        };
        self.effects.push(Effect::Close { socket, code, reason });
        if let Some(peer) = known.peer {
            self.detach(&peer, now);
            self.end_session(&peer, LeaveReason::TimedOut, now);
        }
    }

    fn gone(&mut self, socket: SocketId, now: Duration) {
        let Some(Socket { peer: Some(peer), .. }) = self.sockets.remove(&socket) else { return };
        if self.sessions.get(&peer).is_some_and(|session| session.socket() == Some(socket)) {
            self.detach(&peer, now);
            self.tell_others(&peer, &ServerMessage::PeerAway { peer: peer.clone() }, now);
        }
    }

    fn detach(&mut self, peer: &PeerId, now: Duration) {
        if let Some(session) = self.sessions.get_mut(peer) {
            session.attachment = Attachment::Away { since: now };
        }
    }

    /// Sends to everybody else in the participant's room.
    fn tell_others(&mut self, peer: &PeerId, message: &ServerMessage, now: Duration) {
        let Some(Place::Inside(room)) = self.sessions.get(peer).map(|session| &session.place) else { return };
        let Some(room) = self.rooms.get(room) else { return };
        let others: Vec<_> = room.members().iter().filter(|other| *other != peer).cloned().collect();
        for other in others {
            self.send(&other, message, now);
        }
    }

    fn end_session(&mut self, peer: &PeerId, reason: LeaveReason, now: Duration) {
        self.leave_place(peer, reason, now);
        if let Some(session) = self.sessions.remove(peer)
            && let Some(socket) = session.socket()
        {
            self.sockets.remove(&socket);
        }
    }

    fn tick(&mut self, now: Duration) {
        let mut dead = Vec::new();
        let mut pings = Vec::new();
        let mut renewals = Vec::new();
        for (number, socket) in &mut self.sockets {
            let silent = now.saturating_sub(socket.heard);
            match &socket.peer {
                None if now.saturating_sub(socket.opened) >= HELLO_WITHIN => dead.push((*number, None)),
                None => {}
                Some(peer) if silent >= DEAD_AFTER => dead.push((*number, Some(peer.clone()))),
                Some(peer) => {
                    if now.saturating_sub(socket.pinged) >= PING_EVERY {
                        socket.pinged = now;
                        pings.push(peer.clone());
                    }
                    if now.saturating_sub(socket.renewed) >= RENEW_EVERY {
                        socket.renewed = now;
                        renewals.push(peer.clone());
                    }
                }
            }
        }
        for (socket, peer) in dead {
            match peer {
                None => self.refuse_socket(socket, ErrorCode::BadRequest, "No hello came within 5 s.", now),
                Some(_) => {
                    let reason = "no sign of life";
                    self.effects.push(Effect::Close { socket, code: close::SLOW, reason });
                    self.gone(socket, now);
                }
            }
        }
        for peer in pings {
            self.send(&peer, &ServerMessage::Ping, now);
        }
        for peer in renewals {
            self.renew_ticket(&peer, now);
        }
        self.expire_sessions(now);
    }

    fn expire_sessions(&mut self, now: Duration) {
        let mut expired = Vec::new();
        let mut acks = Vec::new();
        for (peer, session) in &self.sessions {
            match session.attachment {
                Attachment::Away { since } if now.saturating_sub(since) >= RESUME_WITHIN => {
                    expired.push(peer.clone());
                }
                Attachment::Away { .. } => {}
                Attachment::Socket(_) if session.ack_is_due(now) => acks.push(peer.clone()),
                Attachment::Socket(_) => {}
            }
        }
        for peer in expired {
            tracing::debug!(%peer, "session not resumed in time");
            self.end_session(&peer, LeaveReason::TimedOut, now);
        }
        for peer in acks {
            self.send(&peer, &ServerMessage::Ack, now);
        }
        let all: Vec<PeerId> = self.sessions.keys().cloned().collect();
        for peer in all {
            self.renew_ice_servers(&peer, now);
        }
    }

    fn drain(&mut self) {
        self.draining = true;
        let drain = Envelope::wrap(&ServerMessage::Drain { retry_ms: DRAIN_RETRY }).to_text();
        for socket in self.sockets.keys() {
            self.effects.push(Effect::Send { socket: *socket, text: drain.clone() });
            self.effects.push(Effect::Close {
                socket: *socket,
                code: close::RESTART,
                reason: "the server is going down",
            });
        }
        self.sockets.clear();
    }

    /// A participant as the others see it.
    fn info(&self, peer: &PeerId) -> Option<PeerInfo> {
        let session = self.sessions.get(peer)?;
        Some(PeerInfo {
            peer: peer.clone(),
            name: session.name.clone(),
            media: session.media,
            away: session.is_away(),
        })
    }

    /// The relays for a participant, with new credentials.
    fn ice_servers(&mut self, peer: &PeerId, now: Duration) -> Vec<IceServer> {
        let Some(session) = self.sessions.get_mut(peer) else { return Vec::new() };
        let socket = session.socket().and_then(|socket| self.sockets.get(&socket));
        match (&self.ice, socket) {
            (Some(ice), Some(socket)) => {
                session.told = Some(Told { at: now, reached: socket.reached.clone() });
                ice.for_peer(peer, &socket.reached, now)
            }
            // Without a socket there is no address to tell; its resume brings it.
            (None, _) | (_, None) => Vec::new(),
        }
    }

    /// When a participant should ask for new ones, if it has heard nothing by then.
    fn refresh_after(&self) -> Duration {
        self.ice.as_ref().map_or(ice::LIFETIME, IceServers::refresh_after)
    }

    /// Tells a participant its relays again when the credentials get old, when it has come back
    /// another way, or to another process.
    fn renew_ice_servers(&mut self, peer: &PeerId, now: Duration) {
        if self.ice.is_none() || !self.needs_ice_servers(peer, now) {
            return;
        }
        let refresh_s = self.refresh_after().as_secs();
        let message = ServerMessage::TurnServers { ice_servers: self.ice_servers(peer, now), refresh_s };
        self.send(peer, &message, now);
    }

    fn needs_ice_servers(&self, peer: &PeerId, now: Duration) -> bool {
        let Some(session) = self.sessions.get(peer) else { return false };
        let socket = session.socket().and_then(|socket| self.sockets.get(&socket));
        let Some(socket) = socket.filter(|_| session.place != Place::Nowhere) else { return false };
        session.told.as_ref().is_none_or(|told| {
            told.reached != socket.reached || now.saturating_sub(told.at) >= self.refresh_after()
        })
    }
}

/// Names are shown to other people: no control characters, and nothing that turns text around.
fn check_name(name: &str) -> Result<(), &'static str> {
    if name.len() > MAX_NAME {
        return Err("The name is longer than 64 bytes.");
    }
    let turns = |c| matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if name.chars().any(|c| c.is_control() || turns(c) || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("The name has characters that can't be shown.");
    }
    Ok(())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
