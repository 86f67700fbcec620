//! All pairs and servers of one connection, and when each step was first reached. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use super::message::{Class, Message, Method, channel_data};
use super::pair::Pair;
use super::server::Server;
use crate::rtc::engine::Direction;
use crate::rtc::nat::Mapped;
use crate::rtc::stats::{ServerFailure, ServerTransport, Step};

/// Pairs of one connection: 8 sockets and a few relays, times 64 candidates. When full, a pair on
/// which nothing was ever answered makes room; when there is none, the new one is not counted.
const MOST_PAIRS: usize = 512;

/// Servers of one connection, each once for its transport. More are counted with the last one.
const MOST_SERVERS: usize = 64;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// In the order in which they became known.
    pub servers: Vec<Server>,
    /// In the order in which something first passed.
    pub pairs: Vec<Pair>,
    /// When steps were first reached.
    pub marks: BTreeMap<Step, Instant>,
    /// The newest ICE generation of ours.
    pub generation: u32,
    /// Answers that belong to no check of ours.
    pub strays: u64,
    /// Our user fragment of that generation.
    fragment: Vec<u8>,
    /// The pair that was last looked up; media stays on one.
    last: usize,
}

impl Accounts {
    /// The index of a server, known from now on.
    pub fn server(&mut self, url: &str, transport: ServerTransport) -> usize {
        let same = |server: &Server| server.transport == transport && server.url == url;
        match self.servers.iter().position(same) {
            Some(index) => index,
            None => {
                if self.servers.len() < MOST_SERVERS {
                    self.servers.push(Server::new(url, transport));
                }
                self.servers.len() - 1
            }
        }
    }

    /// A server cannot be used.
    pub fn on_failure(&mut self, server: usize, failure: ServerFailure) {
        if let Some(server) = self.servers.get_mut(server) {
            server.failure = Some(failure);
        }
    }

    /// The relay of a server is let go.
    pub fn on_spare(&mut self, server: usize) {
        if let Some(server) = self.servers.get_mut(server) {
            server.spare = server.relayed.is_none();
        }
    }

    /// A datagram passes a socket, to or from anybody but a server.
    pub fn on_datagram(
        &mut self,
        now: Instant,
        direction: Direction,
        local: SocketAddr,
        remote: SocketAddr,
        datagram: &[u8],
    ) {
        self.on_path(now, direction, local, remote, None, datagram);
    }

    /// A message passes to or from a server.
    pub fn on_server(
        &mut self,
        now: Instant,
        direction: Direction,
        server: usize,
        local: SocketAddr,
        address: SocketAddr,
        datagram: &[u8],
    ) {
        let Some(account) = self.servers.get_mut(server) else { return };
        let inside = match datagram.first() {
            Some(0..=3) => {
                let Some(message) = Message::parse(datagram) else { return };
                match (message.method, message.class) {
                    (Method::Send | Method::Data, Class::Indication) => message.peer().zip(message.data()),
                    _ => return account.on_message(now, direction, local, address, &message),
                }
            }
            Some(_) => channel_data(datagram)
                .and_then(|(channel, data)| Some((account.peer_of(local, channel)?, data))),
            None => None,
        };
        if let (Some(relayed), Some((peer, data))) = (account.relay_of(local), inside) {
            self.on_path(now, direction, relayed, peer, Some(server), data);
        }
    }

    /// Whatever the servers said of our addresses.
    pub fn answers(&self) -> Vec<Mapped> {
        self.servers.iter().flat_map(|server| server.answers.iter().copied()).collect()
    }

    /// Whether the newest generation has chosen a pair.
    pub fn has_chosen(&self) -> bool {
        self.pairs.iter().any(|pair| pair.nominated && pair.generation == self.generation)
    }

    fn on_path(
        &mut self,
        now: Instant,
        direction: Direction,
        local: SocketAddr,
        remote: SocketAddr,
        relay: Option<usize>,
        datagram: &[u8],
    ) {
        // RFC 7983: what it is, by its first byte.
        match datagram {
            [0..=3, ..] => {
                if let Some(message) = Message::parse(datagram).filter(|it| it.method == Method::Binding) {
                    self.on_binding(now, direction, (local, remote, relay), &message);
                }
                return;
            }
            [20..=63, ..] => self.mark(now, Step::DtlsStarted),
            // RFC 5761 section 4: RTCP, not RTP.
            [128..=191, 192..=223, ..] => {}
            [128..=191, ..] => self.mark(
                now,
                match direction {
                    Direction::Sent => Step::FirstPacketSent,
                    Direction::Received => Step::FirstPacketReceived,
                },
            ),
            _ => return,
        }
        // Datagrams alone make no pair: nobody has agreed to them.
        if let Some(index) = self.find(local, remote) {
            self.pairs[index].on_packet(now, direction, datagram.len());
        }
    }

    fn on_binding(
        &mut self,
        now: Instant,
        direction: Direction,
        (local, remote, relay): (SocketAddr, SocketAddr, Option<usize>),
        message: &Message<'_>,
    ) {
        let known = match (direction, message.class) {
            // A request without a name is for a STUN server, not for a participant.
            (_, Class::Request) if message.username().is_none() => None,
            (_, Class::Request) => self.find_or_add(local, remote, relay),
            (_, Class::Success | Class::Error) => self.find(local, remote),
            (_, Class::Indication) => None,
        };
        let Some(index) = known else { return };
        if (direction, message.class) == (Direction::Sent, Class::Request) {
            self.on_fragment(message);
            let pair = &mut self.pairs[index];
            if pair.generation != self.generation {
                pair.generation = self.generation;
                pair.nominated = false;
            }
        }
        let ours = self.pairs[index].on_binding(now, direction, message);
        match (direction, message.class) {
            (Direction::Sent, Class::Request) => self.mark(now, Step::FirstCheckSent),
            (Direction::Received, Class::Request) => self.mark(now, Step::FirstCheckReceived),
            (Direction::Received, Class::Success) if ours => self.mark(now, Step::FirstCheckAnswered),
            (Direction::Received, Class::Success | Class::Error) if !ours => self.strays += 1,
            _ => {}
        }
    }

    /// A check of ours names both fragments, ours behind the colon; a new one of ours begins a new
    /// generation.
    fn on_fragment(&mut self, message: &Message<'_>) {
        let Some(username) = message.username() else { return };
        let ours = username.split(|byte| *byte == b':').nth(1).unwrap_or_default();
        if self.fragment != ours {
            self.generation += u32::from(!self.fragment.is_empty());
            self.fragment = ours.to_vec();
        }
    }

    fn find(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<usize> {
        let is = |pair: &Pair| pair.remote == remote && pair.local == local;
        if !self.pairs.get(self.last).is_some_and(is) {
            self.last = self.pairs.iter().position(is)?;
        }
        Some(self.last)
    }

    fn find_or_add(&mut self, local: SocketAddr, remote: SocketAddr, relay: Option<usize>) -> Option<usize> {
        if let Some(index) = self.find(local, remote) {
            return Some(index);
        }
        if self.pairs.len() == MOST_PAIRS {
            let unanswered = |pair: &(usize, &Pair)| pair.1.successes == 0;
            let idle = |pair: &(usize, &Pair)| pair.1.last_activity();
            let (index, _) = self.pairs.iter().enumerate().filter(unanswered).min_by_key(idle)?;
            self.pairs.remove(index);
        }
        let mut pair = Pair::new(local, remote, relay);
        pair.generation = self.generation;
        self.pairs.push(pair);
        Some(self.pairs.len() - 1)
    }

    fn mark(&mut self, now: Instant, step: Step) {
        self.marks.entry(step).or_insert(now);
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::tests::{error, masked, wire};
    use super::*;
    use crate::rtc::stats::PairState;
    use proptest::prelude::*;
    use std::time::Duration;

    const USERNAME: u16 = 0x0006;
    const USE_CANDIDATE: u16 = 0x0025;
    const OURS: &str = "192.168.1.5:5000";
    const THEIRS: &str = "203.0.113.9:6000";
    const RELAY: &str = "198.51.100.1:3478";

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// Accounts and a clock.
    struct Seen {
        accounts: Accounts,
        now: Instant,
    }

    impl Seen {
        fn new() -> Self {
            Self { accounts: Accounts::default(), now: crate::clock::now() + Duration::from_secs(3_600) }
        }

        fn wait(&mut self, ms: u64) {
            self.now += Duration::from_millis(ms);
        }

        fn path(&mut self, direction: Direction, datagram: &[u8]) {
            self.accounts.on_datagram(self.now, direction, at(OURS), at(THEIRS), datagram);
        }

        fn relay(&mut self, direction: Direction, datagram: &[u8]) {
            let server = self.accounts.server("turn:relay.example", ServerTransport::Udp);
            self.accounts.on_server(self.now, direction, server, at(OURS), at(RELAY), datagram);
        }

        fn state(&self) -> (PairState, Option<String>) {
            let accounts = &self.accounts;
            let standing = accounts.pairs[0].standing(self.now, accounts.generation, accounts.has_chosen());
            (standing.state, standing.reason)
        }
    }

    fn check(id: u8, names: &str, nominates: bool) -> Vec<u8> {
        let mut attributes = vec![(USERNAME, names.as_bytes().to_vec())];
        attributes.extend(nominates.then(|| (USE_CANDIDATE, vec![])));
        wire(0x0001, id, &attributes)
    }

    #[test]
    fn checks_and_answers_are_counted_both_ways_with_their_round_trip() {
        let mut seen = Seen::new();
        seen.path(Direction::Sent, &check(1, "them:us", false));
        seen.wait(40);
        seen.path(Direction::Received, &wire(0x0101, 1, &[]));
        seen.path(Direction::Received, &check(9, "us:them", false));
        seen.path(Direction::Sent, &wire(0x0101, 9, &[]));
        seen.path(Direction::Sent, &check(2, "them:us", true));
        seen.wait(60);
        seen.path(Direction::Received, &wire(0x0101, 2, &[]));
        seen.path(Direction::Sent, &check(3, "them:us", false));
        let pair = &seen.accounts.pairs[0];
        assert_eq!((pair.requests_sent, pair.consent_requests_sent), (2, 1));
        assert_eq!((pair.responses_received, pair.requests_received, pair.responses_sent), (2, 1, 1));
        assert_eq!(pair.round_trip, Some(Duration::from_millis(60)));
        assert_eq!(pair.total_round_trip, Duration::from_millis(100));
        assert!(pair.nominated && seen.accounts.has_chosen());
        assert_eq!(seen.state(), (PairState::Succeeded, None));
        let after = |step: Step| seen.now - seen.accounts.marks[&step];
        assert_eq!(after(Step::FirstCheckSent).as_millis(), 100);
        assert_eq!(after(Step::FirstCheckAnswered).as_millis(), 60);
    }

    #[test]
    fn the_other_side_nominates_when_we_have_answered_it() {
        let mut seen = Seen::new();
        seen.path(Direction::Received, &check(9, "us:them", true));
        assert!(!seen.accounts.has_chosen());
        assert_eq!(seen.state().0, PairState::Waiting);
        seen.path(Direction::Sent, &wire(0x0101, 9, &[]));
        assert!(seen.accounts.has_chosen());
    }

    #[test]
    fn a_pair_that_never_answers_fails_and_says_after_how_many_checks() {
        let mut seen = Seen::new();
        for id in 0..10 {
            seen.path(Direction::Sent, &check(id, "them:us", false));
            seen.wait(100);
        }
        assert_eq!(seen.state(), (PairState::InProgress, None), "one second is early");
        seen.wait(5_000);
        assert_eq!(seen.state(), (PairState::Failed, Some("no answer to 10 checks".to_owned())));
        seen.path(Direction::Received, &wire(0x0101, 9, &[]));
        assert_eq!(seen.state().0, PairState::Succeeded, "late is not never");
    }

    #[test]
    fn an_answer_to_nothing_is_a_stray_and_an_error_is_kept_with_its_words() {
        let mut seen = Seen::new();
        seen.path(Direction::Received, &wire(0x0101, 7, &[]));
        assert!(seen.accounts.pairs.is_empty());
        seen.path(Direction::Sent, &check(1, "them:us", false));
        seen.path(Direction::Received, &wire(0x0101, 7, &[]));
        assert_eq!((seen.accounts.strays, seen.accounts.pairs[0].responses_received), (1, 0));
        seen.path(Direction::Received, &wire(0x0111, 1, &[error(487, "Role Conflict")]));
        assert_eq!(seen.state(), (PairState::Failed, Some("answered with 487 Role Conflict".to_owned())));
    }

    #[test]
    fn a_restart_begins_a_new_generation_and_the_old_pairs_say_so() {
        let mut seen = Seen::new();
        seen.path(Direction::Sent, &check(1, "them:us", true));
        seen.path(Direction::Received, &wire(0x0101, 1, &[]));
        let other = at("192.168.1.5:5001");
        let again = check(2, "them:new", false);
        seen.accounts.on_datagram(seen.now, Direction::Sent, other, at(THEIRS), &again);
        assert!(!seen.accounts.has_chosen());
        assert_eq!(seen.state(), (PairState::Failed, Some("replaced by an ICE restart".to_owned())));
    }

    #[test]
    fn media_is_counted_on_its_pair_and_makes_none() {
        let mut seen = Seen::new();
        seen.path(Direction::Received, &[0x80, 96, 0, 1]);
        assert!(seen.accounts.pairs.is_empty());
        seen.path(Direction::Sent, &check(1, "them:us", false));
        for datagram in [&[22, 0xfe, 0xfd][..], &[0x80, 96, 0, 1], &[0x80, 200, 0, 1]] {
            seen.path(Direction::Sent, datagram);
        }
        let pair = &seen.accounts.pairs[0];
        assert_eq!((pair.packets_sent, pair.bytes_sent, pair.packets_received), (3, 11, 0));
        for step in [Step::DtlsStarted, Step::FirstPacketSent, Step::FirstPacketReceived] {
            assert!(seen.accounts.marks.contains_key(&step), "{step:?}");
        }
    }

    #[test]
    fn a_server_is_told_by_its_requests_answers_errors_and_addresses() {
        let mut seen = Seen::new();
        seen.relay(Direction::Sent, &wire(0x0003, 1, &[]));
        seen.wait(250);
        seen.relay(Direction::Sent, &wire(0x0003, 1, &[]));
        seen.wait(50);
        seen.relay(Direction::Received, &wire(0x0113, 1, &[error(401, "Unauthorized")]));
        seen.relay(Direction::Sent, &wire(0x0003, 2, &[(USERNAME, b"u".to_vec())]));
        seen.wait(30);
        let lifetime = (0x000d, 600_u32.to_be_bytes().to_vec());
        let addresses = [(0x0016, masked("198.51.100.1:49200", 2)), (0x0020, masked("203.0.113.4:7000", 2))];
        seen.relay(Direction::Received, &wire(0x0103, 2, &[&addresses[..], &[lifetime]].concat()));
        seen.relay(Direction::Sent, &wire(0x0008, 3, &[(USERNAME, b"u".to_vec())]));
        seen.relay(Direction::Received, &wire(0x0118, 3, &[error(401, "Unauthorized")]));
        let server = &seen.accounts.servers[0];
        assert_eq!((server.requests_sent, server.responses_received, server.retransmissions), (4, 3, 1));
        assert_eq!(server.first_response, Some(Duration::from_millis(300)));
        assert_eq!((server.total_round_trip.as_millis(), server.round_trip), (30, Some(Duration::ZERO)));
        assert_eq!(
            (server.mapped, server.relayed),
            (Some(at("203.0.113.4:7000")), Some(at("198.51.100.1:49200")))
        );
        assert_eq!((server.lifetime, server.refreshed), (Some(Duration::from_secs(600)), Some(seen.now)));
        let refused = &server.errors[&401];
        assert_eq!((refused.count, refused.expected, refused.text.as_str()), (2, 1, "Unauthorized"));
        assert_eq!(seen.accounts.answers().len(), 1);
    }

    #[test]
    fn checks_inside_of_what_a_relay_carries_belong_to_the_relayed_pair() {
        let mut seen = Seen::new();
        seen.relay(Direction::Sent, &wire(0x0003, 1, &[(USERNAME, b"u".to_vec())]));
        seen.relay(Direction::Received, &wire(0x0103, 1, &[(0x0016, masked("198.51.100.1:49200", 1))]));
        let inside = |kind: u16, id: u8, data: Vec<u8>| {
            wire(kind, id, &[(0x0012, masked(THEIRS, id)), (0x0013, data)])
        };
        seen.relay(Direction::Sent, &inside(0x0016, 2, check(5, "them:us", true)));
        seen.wait(80);
        seen.relay(Direction::Received, &inside(0x0017, 3, wire(0x0101, 5, &[])));
        let channel = [(0x000c, vec![0x40, 0x01, 0, 0]), (0x0012, masked(THEIRS, 4))];
        seen.relay(Direction::Sent, &wire(0x0009, 4, &channel));
        seen.relay(Direction::Received, &wire(0x0109, 4, &[]));
        seen.relay(Direction::Sent, &[0x40, 0x01, 0, 4, 0x80, 96, 0, 1]);
        seen.relay(Direction::Sent, &[0x40, 0x02, 0, 4, 0x80, 96, 0, 1]);
        assert_eq!(seen.accounts.pairs.len(), 1);
        let pair = &seen.accounts.pairs[0];
        assert_eq!((pair.local, pair.remote, pair.relay), (at("198.51.100.1:49200"), at(THEIRS), Some(0)));
        assert_eq!(pair.round_trip, Some(Duration::from_millis(80)));
        assert_eq!((pair.packets_sent, pair.bytes_sent), (1, 4), "channel 0x4002 leads nowhere");
        assert_eq!(seen.accounts.servers[0].requests_sent, 2, "indications are no requests");
    }

    #[test]
    fn a_flood_of_strangers_costs_bounded_memory_and_spares_the_pair_in_use() {
        let mut seen = Seen::new();
        seen.path(Direction::Sent, &check(1, "them:us", true));
        seen.path(Direction::Received, &wire(0x0101, 1, &[]));
        for port in 1..2_000 {
            seen.wait(1);
            let stranger = SocketAddr::new(at(THEIRS).ip(), port);
            seen.accounts.on_datagram(
                seen.now,
                Direction::Received,
                at(OURS),
                stranger,
                &check(1, "us:x", true),
            );
        }
        assert_eq!(seen.accounts.pairs.len(), MOST_PAIRS);
        assert!(seen.accounts.pairs[0].nominated);
        for n in 0..100 {
            seen.accounts.server(&format!("stun:{n}.example"), ServerTransport::Udp);
        }
        assert_eq!(seen.accounts.servers.len(), MOST_SERVERS);
    }

    proptest! {
        #[test]
        fn nothing_that_passes_breaks_the_accounts(
            datagrams in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u16..0x200, 0u8..4, proptest::collection::vec(any::<u8>(), 0..40)), 0..30)
        ) {
            let mut seen = Seen::new();
            for (sent, server, kind, id, bytes) in datagrams {
                let direction = if sent { Direction::Sent } else { Direction::Received };
                let data = (0x0013, bytes.clone());
                let stun = wire(kind, id, &[(0x0012, masked(THEIRS, id)), (0x0016, masked(RELAY, id)), data]);
                for datagram in [bytes, stun] {
                    if server { seen.relay(direction, &datagram) } else { seen.path(direction, &datagram) }
                }
            }
            for pair in &seen.accounts.pairs {
                prop_assert!(pair.responses_received <= pair.requests_sent + pair.consent_requests_sent);
                let _ = pair.standing(seen.now, seen.accounts.generation, true);
            }
        }
    }
}
