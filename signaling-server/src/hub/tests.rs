//! The hub with given time: what a real socket would make a test wait for.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;
use signaling_protocol::{Admission, DeclineReason, MediaState, ServerMessage as M};

use super::*;
use crate::{ice::TurnSecret, secret::Secret, turn::Reach};

const START: Duration = Duration::from_secs(1_000_000);

/// A hub, its clock, and what each socket was sent.
struct Scene {
    hub: Hub,
    now: Duration,
    key: Key,
    mail: HashMap<SocketId, Vec<M>>,
    closed: HashMap<SocketId, u16>,
    sent: HashMap<SocketId, u64>,
    peers: HashMap<SocketId, (PeerId, String)>,
}

impl Scene {
    fn new() -> Self {
        let key = Secret::random().key("resume");
        let hub = Hub::new(key.clone(), None, Limits::default(), START);
        Self {
            hub,
            now: START,
            key,
            mail: HashMap::new(),
            closed: HashMap::new(),
            sent: HashMap::new(),
            peers: HashMap::new(),
        }
    }

    /// With a relay whose credentials last for `lifetime`.
    fn with_relay(lifetime: Duration) -> Self {
        let mut scene = Self::new();
        let reach = Reach { stun: vec![3478], udp: vec![3478], ..Reach::default() };
        let ice = IceServers::own(TurnSecret::new("s"), lifetime, reach, None);
        scene.hub = Hub::new(scene.key.clone(), Some(ice), Limits::default(), START);
        scene
    }

    /// How often a socket was told of relays unasked, and the newest username.
    fn told(&mut self, socket: SocketId) -> (usize, Option<String>) {
        let mail = self.mail.entry(socket).or_default();
        let told = mail.iter().filter_map(|message| match message {
            M::TurnServers { ice_servers, .. } => ice_servers.last()?.username.clone(),
            _ => None,
        });
        let told: Vec<_> = told.collect();
        (told.len(), told.last().cloned())
    }

    /// The process dies and another one starts with the same secret.
    fn restart(&mut self) {
        self.hub = Hub::new(self.key.clone(), None, Limits::default(), self.now);
    }

    fn input(&mut self, input: Input) {
        for effect in self.hub.handle(input, self.now) {
            match effect {
                Effect::Send { socket, text } => {
                    let message = Envelope::parse(&text).expect("ours").message().expect("ours");
                    if let M::ResumeToken { resume } | M::Welcome { resume, .. } | M::Resumed { resume, .. } =
                        &message
                        && let Some((_, token)) = self.peers.get_mut(&socket)
                    {
                        token.clone_from(resume);
                    }
                    self.mail.entry(socket).or_default().push(message);
                }
                Effect::Close { socket, code, .. } => {
                    self.closed.insert(socket, code);
                }
            }
        }
    }

    fn connect(&mut self, socket: SocketId) {
        self.connect_to(socket, IpAddr::from([127, 0, 0, 1]));
    }

    fn connect_to(&mut self, socket: SocketId, ip: IpAddr) {
        let from = IpAddr::from([127, 0, 0, 1]);
        self.input(Input::Connected { socket, from, reached: Reached { ip, door: None } });
    }

    fn say(&mut self, socket: SocketId, message: &ClientMessage) {
        let mut envelope = Envelope::wrap(message);
        if message.is_sequenced() {
            let sent = self.sent.entry(socket).or_default();
            *sent += 1;
            envelope.s = Some(*sent);
        }
        self.input(Input::Text { socket, text: envelope.to_text() });
    }

    fn hello(&mut self, socket: SocketId, name: &str) -> PeerId {
        self.connect(socket);
        let anybody = PeerId::new("x").expect("valid");
        self.peers.insert(socket, (anybody, String::new()));
        self.say(socket, &ClientMessage::Hello { v: vec![1], client: "t".into(), name: name.into() });
        let Some(M::Welcome { peer, .. }) = self.take(socket).pop() else { panic!("no welcome") };
        if let Some((of, _)) = self.peers.get_mut(&socket) {
            *of = peer.clone();
        }
        peer
    }

    fn resume(&mut self, old: SocketId, new: SocketId) {
        self.resume_at(old, new, IpAddr::from([127, 0, 0, 1]));
    }

    fn resume_at(&mut self, old: SocketId, new: SocketId, ip: IpAddr) {
        let (peer, token) = self.peers[&old].clone();
        self.connect_to(new, ip);
        self.peers.insert(new, (peer, token.clone()));
        let sent = self.sent.get(&old).copied().unwrap_or(0);
        self.sent.insert(new, sent);
        self.say(new, &ClientMessage::Resume { token, last: 0 });
    }

    fn take(&mut self, socket: SocketId) -> Vec<M> {
        self.mail.remove(&socket).unwrap_or_default()
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.input(Input::Tick);
    }

    /// Ada on socket 1 and Bob on socket 2, in one room.
    fn call(&mut self) -> (PeerId, PeerId) {
        let (ada, bob) = (self.hello(1, "Ada"), self.hello(2, "Bob"));
        self.say(1, &open());
        self.say(2, &knock("north"));
        self.say(1, &admit(&bob));
        self.take(1);
        self.take(2);
        (ada, bob)
    }
}

fn room() -> RoomId {
    RoomId::new("north").expect("valid")
}

fn open() -> ClientMessage {
    ClientMessage::RoomOpen {
        room: room(),
        admission: Admission::Knock,
        max: 2,
        media: MediaState::default(),
    }
}

fn knock(name: &str) -> ClientMessage {
    let room = RoomId::new(name).expect("valid");
    ClientMessage::RoomKnock { room, signals: vec![json!({})], media: MediaState::default() }
}

fn admit(peer: &PeerId) -> ClientMessage {
    ClientMessage::RoomAdmit { room: room(), peer: peer.clone(), signals: Vec::new() }
}

#[test]
fn who_says_nothing_for_five_seconds_is_sent_away() {
    let mut scene = Scene::new();
    scene.connect(1);
    scene.pass(HELLO_WITHIN - Duration::from_millis(1));
    assert!(scene.closed.is_empty());
    scene.pass(Duration::from_millis(1));
    assert!(scene.closed.contains_key(&1));
    assert!(matches!(scene.take(1).pop(), Some(M::Error { fatal: true, .. })));
}

#[test]
fn a_silent_socket_is_given_up_and_its_session_kept() {
    let mut scene = Scene::new();
    let (ada, _) = scene.call();
    for _ in 0..3 {
        scene.pass(PING_EVERY);
        scene.say(2, &ClientMessage::Pong);
    }
    assert!(scene.closed.contains_key(&1) && !scene.closed.contains_key(&2));
    assert!(scene.take(2).contains(&M::PeerAway { peer: ada.clone() }));
    scene.resume(1, 3);
    assert!(scene.take(2).contains(&M::PeerBack { peer: ada }));
}

#[test]
fn a_lost_session_is_kept_for_three_minutes_and_then_its_participant_has_left() {
    let mut scene = Scene::new();
    let (ada, _) = scene.call();
    scene.input(Input::Gone { socket: 1 });
    assert_eq!(scene.take(2), [M::PeerAway { peer: ada.clone() }]);
    let mut passed = Duration::ZERO;
    while passed < RESUME_WITHIN {
        assert!(!scene.take(2).iter().any(|m| matches!(m, M::PeerLeft { .. })), "after {passed:?}");
        scene.say(2, &ClientMessage::Pong);
        scene.pass(PING_EVERY);
        passed += PING_EVERY;
    }
    assert!(scene.take(2).contains(&M::PeerLeft { peer: ada, reason: LeaveReason::TimedOut }));
    scene.resume(1, 3);
    assert!(matches!(scene.take(3)[..], [M::Error { code: ErrorCode::ResumeExpired, fatal: true, .. }]));
    assert_eq!(scene.closed[&3], close::RESUME_EXPIRED);
}

#[test]
fn the_place_of_somebody_away_is_given_to_whoever_is_let_in_and_to_nobody_else() {
    let mut scene = Scene::new();
    let (ada, bob) = scene.call();
    scene.input(Input::Gone { socket: 2 });
    scene.take(1);
    let again = scene.hello(3, "Bob");
    scene.say(3, &knock("north"));
    assert!(matches!(scene.take(3)[..], [M::RoomKnocking { .. }]));
    assert!(matches!(&scene.take(1)[..], [M::RoomKnocked { from, .. }] if from.peer == again));
    assert!(scene.hub.sessions.contains_key(&bob), "nobody has decided yet");
    scene.say(1, &admit(&again));
    let left = M::PeerLeft { peer: bob, reason: LeaveReason::TimedOut };
    let mail = scene.take(1);
    let place = |wanted: &dyn Fn(&M) -> bool| mail.iter().position(wanted);
    let (gone, came) = (place(&|m| *m == left), place(&|m| matches!(m, M::PeerJoined { .. })));
    assert!(gone.is_some() && gone < came, "{mail:?}");
    let mail = scene.take(3);
    let inside = |message: &M| {
        matches!(message, M::RoomJoined { peers, by, .. }
        if peers.len() == 1 && *by == Some(ada.clone()))
    };
    assert!(mail.iter().any(inside), "{mail:?}");
    scene.resume(2, 12);
    assert!(matches!(scene.take(12)[..], [M::Error { code: ErrorCode::ResumeExpired, fatal: true, .. }]));
    scene.hello(20, "Eve");
    scene.say(20, &knock("north"));
    assert!(matches!(scene.take(20)[..], [M::Error { code: ErrorCode::RoomFull, .. }]));
}

#[test]
fn somebody_away_who_is_back_before_the_decision_keeps_the_place() {
    let mut scene = Scene::new();
    let (_, bob) = scene.call();
    scene.input(Input::Gone { socket: 2 });
    let eve = scene.hello(3, "Eve");
    scene.say(3, &knock("north"));
    scene.resume(2, 12);
    scene.take(1);
    scene.say(1, &admit(&eve));
    assert!(matches!(scene.take(1)[..], [M::Error { code: ErrorCode::RoomFull, .. }]));
    assert!(scene.hub.rooms[&room()].has(&bob));
}

#[test]
fn after_a_restart_both_are_in_their_room_without_a_knock() {
    let mut scene = Scene::new();
    let (ada, bob) = scene.call();
    scene.restart();
    scene.resume(2, 12);
    let mail = scene.take(12);
    assert!(matches!(mail[..], [M::Resumed { fresh: true, last: 0, .. }, M::PeerAway { .. }]), "{mail:?}");
    scene.resume(1, 11);
    assert!(scene.take(12).contains(&M::PeerBack { peer: ada.clone() }));
    assert!(matches!(scene.take(11)[..], [M::Resumed { fresh: true, .. }, M::PeerBack { .. }]));
    // Both count from 1 again.
    scene.sent.clear();
    scene.say(11, &ClientMessage::Sig { to: bob, signal: json!(1) });
    assert!(scene.take(12).contains(&M::Sig { from: ada, signal: json!(1) }));
    // And the room is as it was: full, and Ada's.
    scene.hello(20, "Eve");
    scene.say(20, &knock("north"));
    assert!(matches!(scene.take(20)[..], [M::Error { code: ErrorCode::RoomFull, .. }]));
    scene.say(11, &ClientMessage::RoomSet { room: room(), locked: Some(true), admission: None });
    assert!(scene.take(12).iter().any(|m| matches!(m, M::RoomUpdate { locked: true, .. })));
}

#[test]
fn somebody_who_does_not_come_back_after_a_restart_has_left() {
    let mut scene = Scene::new();
    let (ada, _) = scene.call();
    scene.restart();
    scene.resume(2, 12);
    scene.sent.insert(12, 0);
    let mut left = false;
    for _ in 0..=RESUME_WITHIN.as_secs() / PING_EVERY.as_secs() {
        scene.pass(PING_EVERY);
        scene.say(12, &ClientMessage::Pong);
        left |= scene.take(12).contains(&M::PeerLeft { peer: ada.clone(), reason: LeaveReason::TimedOut });
    }
    assert!(left);
}

#[test]
fn a_token_of_somebody_who_had_left_does_not_open_the_room_again() {
    let mut scene = Scene::new();
    let (_, bob) = scene.call();
    let old = scene.peers[&2].clone();
    scene.say(2, &ClientMessage::Bye);
    scene.restart();
    scene.resume(1, 11);
    scene.peers.insert(2, old.clone());
    scene.resume(2, 12);
    assert!(matches!(scene.take(12)[..], [M::Error { code: ErrorCode::ResumeExpired, .. }]));

    // The same when the one who had left comes first: the newer token decides.
    scene.restart();
    scene.peers.insert(2, old);
    scene.resume(2, 22);
    scene.take(22);
    scene.resume(1, 21);
    assert!(matches!(scene.take(22).last(), Some(M::Error { code: ErrorCode::ResumeExpired, .. })));
    assert!(!scene.take(21).iter().any(|m| matches!(m, M::PeerAway { peer } if *peer == bob)));
}

#[test]
fn a_restarted_server_believes_tokens_only_for_three_minutes() {
    let mut scene = Scene::new();
    scene.call();
    scene.restart();
    scene.now += RESUME_WITHIN;
    scene.resume(1, 11);
    assert!(matches!(scene.take(11)[..], [M::Error { code: ErrorCode::ResumeExpired, .. }]));
}

#[test]
fn new_credentials_come_after_three_quarters_of_the_life_of_the_old_ones() {
    let mut scene = Scene::with_relay(Duration::from_secs(40));
    scene.call();
    let mut seen = Vec::new();
    for _ in 0..9 {
        scene.say(1, &ClientMessage::Ping);
        scene.say(2, &ClientMessage::Ping);
        scene.pass(Duration::from_secs(10));
        seen.push(scene.told(1).0);
    }
    assert_eq!(seen, [0, 0, 1, 1, 1, 2, 2, 2, 3]);
    let expiry = (START + Duration::from_secs(90 + 40)).as_secs();
    assert!(scene.told(1).1.is_some_and(|user| user.starts_with(&expiry.to_string())));
    assert_eq!(scene.told(2).0, 3);
}

#[test]
fn who_comes_back_another_way_is_told_relays_anew() {
    let mut scene = Scene::with_relay(Duration::from_secs(3600));
    scene.call();
    scene.input(Input::Gone { socket: 1 });
    scene.resume(1, 3);
    assert_eq!(scene.told(3).0, 0, "what it knows is still good");
    scene.input(Input::Gone { socket: 3 });
    scene.resume_at(3, 4, IpAddr::from([192, 168, 1, 5]));
    assert_eq!(scene.told(4).0, 1);
}

#[test]
fn who_is_in_no_room_is_told_of_no_relay() {
    let mut scene = Scene::with_relay(Duration::from_secs(4));
    scene.hello(1, "Ada");
    scene.pass(Duration::from_secs(8));
    assert_eq!(scene.told(1).0, 0);
}

#[test]
fn a_newer_socket_takes_the_session_over() {
    let mut scene = Scene::new();
    let (_, bob) = scene.call();
    scene.resume(1, 3);
    assert_eq!(scene.closed[&1], close::REPLACED);
    assert!(scene.take(2).is_empty(), "nobody was away");
    scene.input(Input::Gone { socket: 1 });
    scene.say(3, &ClientMessage::Sig { to: bob, signal: json!(1) });
    assert!(matches!(scene.take(2)[..], [M::Sig { .. }]));
}

#[test]
fn guessing_rooms_is_slowed_down_and_those_who_know_theirs_are_not() {
    let mut scene = Scene::new();
    scene.hello(1, "Ada");
    scene.say(1, &open());
    scene.hello(2, "Eve");
    for i in 0..100 {
        scene.say(2, &knock(&format!("guess{i}")));
    }
    let refused: Vec<_> = scene.take(2);
    let count = |code| refused.iter().filter(|m| matches!(m, M::Error { code: c, .. } if *c == code)).count();
    assert_eq!((count(ErrorCode::NotFound), count(ErrorCode::RateLimited)), (30, 70));
    scene.say(2, &knock("north"));
    assert!(matches!(scene.take(2)[..], [M::RoomKnocking { .. }]));
    scene.say(
        1,
        &ClientMessage::RoomDecline {
            room: room(),
            peer: scene.peers[&2].0.clone(),
            reason: DeclineReason::Busy,
        },
    );
    assert!(matches!(scene.take(2)[..], [M::RoomDeclined { reason: DeclineReason::Busy, .. }]));
}

#[test]
fn somebody_away_who_is_sent_too_much_is_given_up() {
    let mut scene = Scene::new();
    let (ada, _) = scene.call();
    scene.input(Input::Gone { socket: 1 });
    for i in 0..300 {
        scene.say(2, &ClientMessage::Sig { to: ada.clone(), signal: json!(i) });
    }
    let mail = scene.take(2);
    assert!(mail.contains(&M::PeerLeft { peer: ada, reason: LeaveReason::TimedOut }));
    assert_eq!(scene.hub.sessions(), 1);
}

#[test]
fn a_server_that_goes_down_says_so_and_takes_nobody_new() {
    let mut scene = Scene::new();
    scene.call();
    scene.input(Input::Drain);
    assert!(matches!(scene.take(1)[..], [M::Drain { .. }]));
    assert_eq!(scene.closed[&2], close::RESTART);
    scene.connect(9);
    assert!(matches!(scene.take(9)[..], [M::Error { code: ErrorCode::Draining, fatal: true, .. }]));
}

#[test]
fn names_that_would_deceive_are_refused() {
    for name in ["a\nb", "\u{202e}eve", "\u{2066}x", "tab\t", &"x".repeat(65)] {
        assert!(check_name(name).is_err(), "{name:?}");
    }
    for name in ["", "Ada Lovelace", "Zoë", "李雷", "🙂"] {
        assert!(check_name(name).is_ok(), "{name:?}");
    }
}

proptest! {
    #[test]
    fn no_text_from_a_stranger_upsets_the_hub(texts in prop::collection::vec("\\PC{0,200}", 0..20)) {
        let mut scene = Scene::new();
        let bob = scene.hello(2, "Bob");
        scene.say(2, &open());
        scene.hello(1, "Eve");
        for text in texts {
            scene.input(Input::Text { socket: 1, text });
        }
        scene.take(2);
        scene.say(2, &ClientMessage::State { media: MediaState::default() });
        prop_assert!(scene.hub.info(&bob).is_some());
    }

    #[test]
    fn no_order_of_requests_upsets_the_hub(choices in prop::collection::vec((1u64..5, 0usize..12), 0..200)) {
        let mut scene = Scene::new();
        let peers: Vec<_> = (1..5).map(|socket| scene.hello(socket, "x")).collect();
        for (socket, choice) in choices {
            let other = peers[(choice + socket as usize) % 4].clone();
            let message = match choice {
                0 | 1 => open(),
                2 | 3 => knock("north"),
                4 | 5 => admit(&other),
                6 => ClientMessage::RoomDecline { room: room(), peer: other, reason: DeclineReason::Busy },
                7 => ClientMessage::RoomLeave { room: room() },
                8 => ClientMessage::RoomUnknock { room: room() },
                9 => ClientMessage::Sig { to: other, signal: json!(1) },
                10 => ClientMessage::RoomSet { room: room(), locked: Some(socket == 1), admission: None },
                _ => ClientMessage::TurnGet { room: room() },
            };
            scene.say(socket, &message);
            for mail in scene.mail.values_mut() {
                mail.clear();
            }
            // Everybody acknowledges, as clients do.
            for session in scene.hub.sessions.values_mut() {
                session.acknowledge(session.sent());
            }
            if let Some(found) = scene.hub.rooms.get(&room()) {
                prop_assert!(!found.members().is_empty() && found.members().len() <= found.max);
                prop_assert!(found.has(&found.owner));
                for peer in found.members() {
                    prop_assert_eq!(&scene.hub.sessions[peer].place, &Place::Inside(room()));
                }
                for peer in found.knocks() {
                    prop_assert_eq!(&scene.hub.sessions[peer].place, &Place::Knocking(room()));
                }
            } else {
                prop_assert!(scene.hub.sessions.values().all(|s| s.place == Place::Nowhere));
            }
        }
    }
}
