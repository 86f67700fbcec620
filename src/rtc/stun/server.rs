//! What passes between us and one STUN or TURN server over one transport.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::message::{Class, Message, Method, TransactionId};
use crate::rtc::engine::Direction;
use crate::rtc::nat::Mapped;
use crate::rtc::stats::{ServerFailure, ServerTransport, StunErrors};

/// Requests that an answer may still come for; the oldest is forgotten.
const UNANSWERED: usize = 64;

/// Codes that are told apart, answers that are kept for the NAT verdict, allocations, and channels
/// (RFC 8656 has 4096; a participant has a few candidates). What is more is not kept.
const MOST: usize = 64;

/// See the module.
#[derive(Clone, Debug)]
pub struct Server {
    /// As configured.
    pub url: String,
    /// Over which transport.
    pub transport: ServerTransport,
    /// Behind the URL, as last used.
    pub address: Option<SocketAddr>,
    /// All, those sent again included.
    pub requests_sent: u64,
    /// Success and error answers.
    pub responses_received: u64,
    /// Sent again under the same transaction.
    pub retransmissions: u64,
    /// Of the last answer to a request that was sent once.
    pub round_trip: Option<Duration>,
    /// Of all of those.
    pub total_round_trip: Duration,
    /// From the first request to the first answer.
    pub first_response: Option<Duration>,
    /// Error answers by code.
    pub errors: BTreeMap<u16, StunErrors>,
    /// Where we seem to come from, as last told.
    pub mapped: Option<SocketAddr>,
    /// Our address at the relay.
    pub relayed: Option<SocketAddr>,
    /// For how long the relay was granted last; zero once it is given back.
    pub lifetime: Option<Duration>,
    /// When it was granted last.
    pub refreshed: Option<Instant>,
    /// Where it sends us instead.
    pub alternate: Option<SocketAddr>,
    /// When the last request left.
    pub last_request: Option<Instant>,
    /// When the last answer came.
    pub last_response: Option<Instant>,
    /// Why it cannot be used.
    pub failure: Option<ServerFailure>,
    /// Its relay was let go because a cheaper transport has one.
    pub spare: bool,
    /// What it told each socket about its address (UDP only).
    pub answers: Vec<Mapped>,
    first_request: Option<Instant>,
    unanswered: VecDeque<Request>,
    /// Our address at the relay, by the socket that asked for it.
    relays: BTreeMap<SocketAddr, SocketAddr>,
    /// Who is behind a channel of a socket's allocation.
    channels: BTreeMap<(SocketAddr, u16), SocketAddr>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    id: TransactionId,
    local: SocketAddr,
    at: Instant,
    again: bool,
    signed: bool,
    binds: Option<(u16, SocketAddr)>,
}

impl Server {
    pub(super) fn new(url: &str, transport: ServerTransport) -> Self {
        Self {
            url: url.to_owned(),
            transport,
            address: None,
            requests_sent: 0,
            responses_received: 0,
            retransmissions: 0,
            round_trip: None,
            total_round_trip: Duration::ZERO,
            first_response: None,
            errors: BTreeMap::new(),
            mapped: None,
            relayed: None,
            lifetime: None,
            refreshed: None,
            alternate: None,
            last_request: None,
            last_response: None,
            failure: None,
            spare: false,
            answers: Vec::new(),
            first_request: None,
            unanswered: VecDeque::new(),
            relays: BTreeMap::new(),
            channels: BTreeMap::new(),
        }
    }

    /// Who is behind a channel of the allocation of `local`.
    pub(super) fn peer_of(&self, local: SocketAddr, channel: u16) -> Option<SocketAddr> {
        self.channels.get(&(local, channel)).copied()
    }

    /// Where the allocation of `local` is reached.
    pub(super) fn relay_of(&self, local: SocketAddr) -> Option<SocketAddr> {
        self.relays.get(&local).copied()
    }

    /// A request leaves or an answer comes, at the socket `local`.
    pub(super) fn on_message(
        &mut self,
        now: Instant,
        direction: Direction,
        local: SocketAddr,
        address: SocketAddr,
        message: &Message<'_>,
    ) {
        match (direction, message.class) {
            (Direction::Sent, Class::Request) => {
                self.address = Some(address);
                self.on_request(now, local, message);
            }
            (Direction::Received, Class::Success | Class::Error) => {
                self.on_answer(now, local, address, message);
            }
            (Direction::Sent, Class::Success | Class::Error | Class::Indication)
            | (Direction::Received, Class::Request | Class::Indication) => {}
        }
    }

    fn on_request(&mut self, now: Instant, local: SocketAddr, message: &Message<'_>) {
        self.requests_sent += 1;
        self.first_request.get_or_insert(now);
        self.last_request = Some(now);
        let same = |request: &&mut Request| request.id == message.id && request.local == local;
        if let Some(request) = self.unanswered.iter_mut().find(same) {
            request.again = true;
            self.retransmissions += 1;
            return;
        }
        if self.unanswered.len() == UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(Request {
            id: message.id,
            local,
            at: now,
            again: false,
            signed: message.username().is_some(),
            binds: message.channel().zip(message.peer()),
        });
    }

    fn on_answer(&mut self, now: Instant, local: SocketAddr, address: SocketAddr, message: &Message<'_>) {
        let same = |request: &Request| request.id == message.id && request.local == local;
        let Some(request) =
            self.unanswered.iter().position(same).and_then(|index| self.unanswered.remove(index))
        else {
            return;
        };
        self.responses_received += 1;
        self.last_response = Some(now);
        let first = self.first_request.unwrap_or(request.at);
        self.first_response.get_or_insert(now.saturating_duration_since(first));
        if !request.again {
            // Whose answer it is after a retransmission cannot be told.
            let round_trip = now.saturating_duration_since(request.at);
            self.round_trip = Some(round_trip);
            self.total_round_trip += round_trip;
        }
        match message.class {
            Class::Error => self.on_error(&request, message),
            Class::Success | Class::Request | Class::Indication => {
                self.failure = None;
                self.on_success(now, &request, address, message);
            }
        }
    }

    fn on_success(&mut self, now: Instant, request: &Request, address: SocketAddr, message: &Message<'_>) {
        if let Some(mapped) = message.mapped() {
            self.mapped = Some(mapped);
            let answer = Mapped { local: request.local, server: address, mapped };
            if self.transport == ServerTransport::Udp && self.answers.last() != Some(&answer) {
                if self.answers.len() == MOST {
                    self.answers.remove(0);
                }
                self.answers.push(answer);
            }
        }
        match message.method {
            Method::Allocate | Method::Refresh => {
                if let Some(relayed) = message.relayed() {
                    self.relayed = Some(relayed);
                    self.spare = false;
                    if self.relays.len() < MOST || self.relays.contains_key(&request.local) {
                        self.relays.insert(request.local, relayed);
                    }
                }
                if let Some(lifetime) = message.lifetime() {
                    self.lifetime = Some(Duration::from_secs(lifetime.into()));
                    self.refreshed = Some(now);
                }
            }
            Method::ChannelBind => {
                if let Some((channel, peer)) = request.binds {
                    let key = (request.local, channel);
                    if self.channels.len() < MOST || self.channels.contains_key(&key) {
                        self.channels.insert(key, peer);
                    }
                }
            }
            Method::Binding | Method::Send | Method::Data | Method::CreatePermission | Method::Other => {}
        }
    }

    fn on_error(&mut self, request: &Request, message: &Message<'_>) {
        let (code, text) = message.error();
        self.alternate = message.alternate().or(self.alternate);
        if self.errors.len() == MOST && !self.errors.contains_key(&code) {
            return;
        }
        let errors = self.errors.entry(code).or_insert(StunErrors { code, ..Default::default() });
        errors.text = text;
        errors.count += 1;
        errors.expected += u64::from((code == 401 && !request.signed) || code == 438);
    }
}
