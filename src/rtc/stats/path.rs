//! Puts what the sockets saw into a report: every pair, every server, and when each step was reached.
//!
//! The engine's own report has the pair in use and little else; its candidates are taken as they
//! are, and completed by those that only the wire knows (a restart's old sockets, addresses found
//! by checks).

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::timeline::Steps;
use super::{Candidate, CandidatePair, Entry, IceServer, PairState, Report, millis};
use crate::rtc::CandidateType;
use crate::rtc::stun::{Accounts, Pair, Server};

/// Pairs that nothing passed on are listed up to so many; more tell nothing new.
const MOST_UNCHECKED: usize = 64;

/// Generations that are told of: the newest, and the one that it replaced.
const GENERATIONS: u32 = 2;

impl Report {
    /// Everything in `accounts`, as of `now` (the report's moment).
    pub fn fill_stun(&mut self, now: Instant, accounts: &Accounts) {
        let clock = Clock { now, unix_ms: self.timestamp };
        let transport_id = self.transports().next().map(|transport| transport.id.clone()).unwrap_or_default();
        let recent = |pair: &&Pair| accounts.generation.saturating_sub(pair.generation) < GENERATIONS;
        for pair in accounts.pairs.iter().filter(recent) {
            self.fill_pair(clock, accounts, pair, &transport_id);
        }
        self.add_unchecked(accounts, &transport_id);
        self.fill_transport(accounts);
        for (index, server) in accounts.servers.iter().enumerate() {
            self.entries.push(Entry::IceServer(ice_server(clock, index, server)));
        }
        let mut steps = Steps::default();
        for (step, at) in &accounts.marks {
            steps.note(*step, clock.unix_ms(*at));
        }
        steps.fill(self);
    }

    fn fill_pair(&mut self, clock: Clock, accounts: &Accounts, seen: &Pair, transport_id: &str) {
        let index = match self.find_pair(seen) {
            Some(index) => index,
            None => {
                let local_candidate_id = self.local_id(accounts, seen, transport_id);
                let remote_candidate_id = self.remote_id(seen, transport_id);
                let pair = CandidatePair {
                    id: format!("CP{}_{}", seen.local, seen.remote),
                    transport_id: transport_id.to_owned(),
                    local_candidate_id,
                    remote_candidate_id,
                    ..Default::default()
                };
                self.entries.push(Entry::CandidatePair(pair));
                self.entries.len() - 1
            }
        };
        let Some(Entry::CandidatePair(pair)) = self.entries.get_mut(index) else { return };
        let standing = seen.standing(clock.now, accounts.generation, accounts.has_chosen());
        pair.timestamp = clock.unix_ms;
        pair.state = standing.state;
        pair.last_error = standing.reason;
        pair.nominated = seen.nominated && seen.generation == accounts.generation;
        pair.packets_sent = seen.packets_sent;
        pair.packets_received = seen.packets_received;
        pair.bytes_sent = seen.bytes_sent;
        pair.bytes_received = seen.bytes_received;
        pair.total_round_trip_time = seen.total_round_trip.as_secs_f64();
        pair.current_round_trip_time = seen.round_trip.map(|time| time.as_secs_f64());
        pair.requests_sent = seen.requests_sent;
        pair.requests_received = seen.requests_received;
        pair.responses_sent = seen.responses_sent;
        pair.responses_received = seen.responses_received;
        pair.consent_requests_sent = seen.consent_requests_sent;
        let at = |instant: Option<Instant>| instant.map(|instant| clock.unix_ms(instant));
        pair.last_packet_sent_timestamp = at(seen.last_sent);
        pair.last_packet_received_timestamp = at(seen.last_received);
        pair.last_request_timestamp = at(seen.last_request);
        pair.last_response_timestamp = at(seen.last_response);
    }

    /// The engine's entry for a pair, whatever kind of local candidate it names: what leaves from a
    /// server-reflexive or peer-reflexive one leaves from its base.
    fn find_pair(&self, seen: &Pair) -> Option<usize> {
        let remote: BTreeSet<&str> = self
            .remote_candidates()
            .filter(|candidate| address(candidate) == Some(seen.remote))
            .map(|candidate| candidate.id.as_str())
            .collect();
        let local: BTreeSet<&str> = self
            .local_candidates()
            .filter(|candidate| [address(candidate), base(candidate)].contains(&Some(seen.local)))
            .map(|candidate| candidate.id.as_str())
            .collect();
        let selected = self.selected_pair().map(|pair| pair.id.as_str());
        let matches = |entry: &Entry| match entry {
            Entry::CandidatePair(pair) => {
                let ends = local.contains(pair.local_candidate_id.as_str())
                    && remote.contains(pair.remote_candidate_id.as_str());
                ends.then(|| Some(pair.id.as_str()) == selected)
            }
            _ => None,
        };
        let found = self.entries.iter().enumerate().filter_map(|(n, entry)| Some((matches(entry)?, n)));
        found.max_by_key(|(selected, _)| *selected).map(|(_, index)| index)
    }

    fn local_id(&mut self, accounts: &Accounts, seen: &Pair, transport_id: &str) -> String {
        let known = |candidate: &&Candidate| address(candidate) == Some(seen.local);
        if let Some(candidate) = self.local_candidates().find(known) {
            return candidate.id.clone();
        }
        let relay = seen.relay.and_then(|index| accounts.servers.get(index));
        let candidate = Candidate {
            candidate_type: Some(if relay.is_some() { CandidateType::Relay } else { CandidateType::Host }),
            url: relay.map(|server| server.url.clone()),
            relay_protocol: relay.map(|server| server.transport.name().to_owned()),
            ..self.new_candidate(format!("LS{}", seen.local), seen.local, transport_id)
        };
        let id = candidate.id.clone();
        self.entries.push(Entry::LocalCandidate(candidate));
        id
    }

    fn remote_id(&mut self, seen: &Pair, transport_id: &str) -> String {
        let known = |candidate: &&Candidate| address(candidate) == Some(seen.remote);
        if let Some(candidate) = self.remote_candidates().find(known) {
            return candidate.id.clone();
        }
        let candidate = Candidate {
            candidate_type: Some(CandidateType::Prflx),
            ..self.new_candidate(format!("RS{}", seen.remote), seen.remote, transport_id)
        };
        let id = candidate.id.clone();
        self.entries.push(Entry::RemoteCandidate(candidate));
        id
    }

    fn new_candidate(&self, id: String, address: SocketAddr, transport_id: &str) -> Candidate {
        Candidate {
            id,
            timestamp: self.timestamp,
            transport_id: transport_id.to_owned(),
            address: Some(address.ip().to_string()),
            port: address.port(),
            protocol: "udp".to_owned(),
            ..Default::default()
        }
    }

    /// Pairs of one family that were never checked, of addresses that are in use: known too late, or
    /// not needed.
    fn add_unchecked(&mut self, accounts: &Accounts, transport_id: &str) {
        let current = |pair: &&Pair| pair.generation == accounts.generation;
        let locals: BTreeSet<SocketAddr> =
            accounts.pairs.iter().filter(current).map(|pair| pair.local).collect();
        let reason = accounts.has_chosen().then(|| "not checked when another pair was chosen".to_owned());
        let mut unchecked = Vec::new();
        for local in self.local_candidates().filter(|it| address(it).is_some_and(|it| locals.contains(&it))) {
            for remote in self.remote_candidates() {
                let (Some(from), Some(to)) = (address(local), address(remote)) else { continue };
                let checked = accounts.pairs.iter().any(|pair| pair.local == from && pair.remote == to);
                if checked || from.is_ipv4() != to.is_ipv4() || unchecked.len() == MOST_UNCHECKED {
                    continue;
                }
                unchecked.push(CandidatePair {
                    id: format!("CP{from}_{to}"),
                    timestamp: self.timestamp,
                    transport_id: transport_id.to_owned(),
                    local_candidate_id: local.id.clone(),
                    remote_candidate_id: remote.id.clone(),
                    state: PairState::Waiting,
                    last_error: reason.clone(),
                    ..Default::default()
                });
            }
        }
        unchecked.retain(|new| {
            let same = |pair: &CandidatePair| {
                pair.local_candidate_id == new.local_candidate_id
                    && pair.remote_candidate_id == new.remote_candidate_id
            };
            !self.pairs().any(same)
        });
        self.entries.extend(unchecked.into_iter().map(Entry::CandidatePair));
    }

    /// W3C counts for the transport what its pairs carried, over all of them.
    fn fill_transport(&mut self, accounts: &Accounts) {
        let sum = |of: fn(&Pair) -> u64| accounts.pairs.iter().map(of).sum();
        let Some(transport) = self.transports_mut().next() else { return };
        transport.packets_sent = sum(|pair| pair.packets_sent);
        transport.packets_received = sum(|pair| pair.packets_received);
        transport.bytes_sent = sum(|pair| pair.bytes_sent);
        transport.bytes_received = sum(|pair| pair.bytes_received);
    }
}

/// Translates instants into the report's wall-clock time.
#[derive(Clone, Copy)]
struct Clock {
    now: Instant,
    unix_ms: f64,
}

impl Clock {
    fn unix_ms(self, at: Instant) -> f64 {
        self.unix_ms - millis(self.now.saturating_duration_since(at))
    }
}

fn address(candidate: &Candidate) -> Option<SocketAddr> {
    let ip: IpAddr = candidate.address.as_ref()?.parse().ok()?;
    Some(SocketAddr::new(ip, candidate.port))
}

/// Where packets of a reflexive candidate leave from; of a relayed one they leave at the relay.
fn base(candidate: &Candidate) -> Option<SocketAddr> {
    match candidate.candidate_type? {
        CandidateType::Srflx | CandidateType::Prflx => {
            let ip: IpAddr = candidate.related_address.as_ref()?.parse().ok()?;
            Some(SocketAddr::new(ip, candidate.related_port?))
        }
        CandidateType::Host | CandidateType::Relay => address(candidate),
    }
}

fn ice_server(clock: Clock, index: usize, server: &Server) -> IceServer {
    let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    let text = |address: Option<SocketAddr>| address.map(|address| address.to_string());
    let at = |instant: Option<Instant>| instant.map(|instant| clock.unix_ms(instant));
    IceServer {
        id: format!("IS{index}"),
        timestamp: clock.unix_ms,
        url: server.url.clone(),
        transport: server.transport,
        requests_sent: server.requests_sent,
        responses_received: server.responses_received,
        retransmissions: server.retransmissions,
        total_round_trip_time: server.total_round_trip.as_secs_f64(),
        errors: server.errors.values().cloned().collect(),
        mappings: server.answers.clone(),
        address: text(server.address),
        round_trip_time: seconds(server.round_trip),
        first_response_time: seconds(server.first_response),
        mapped_address: text(server.mapped),
        relayed_address: text(server.relayed),
        allocation_lifetime: seconds(server.lifetime),
        last_refresh_timestamp: at(server.refreshed),
        last_request_timestamp: at(server.last_request),
        last_response_timestamp: at(server.last_response),
        alternate_server: text(server.alternate),
        failure: server.failure.clone(),
        not_needed: server.spare.then_some(true),
    }
}
