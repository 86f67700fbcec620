//! The transition table: one sentence a test, time given.

use std::time::{Duration, Instant};

use signaling_protocol::{
    Admission, ClientMessage, DeclineReason, ErrorCode, IceServer, LeaveReason, MediaState, PeerId, PeerInfo,
    RoomId, ServerMessage,
};

use super::input::{Effect, Input, TransportInput};
use super::machine::CallMachine;
use crate::engine::command::Switch;
use crate::engine::view::{CallPhase, CallView, EndReason, Quality, Severity, SignalingStatus, Summary};
use crate::link::{Link, Secret};
use crate::rtc::{ConnectionNumber, DescriptionKind, PeerPhase, Signal};
use crate::server_url::ServerUrl;
use crate::signaling::{SignalEvent, SignalingError};
use crate::units::Bitrate;

const SDP: &str = "v=0\r\na=fingerprint:sha-256 AB:CD\r\n";

const FIRST: ConnectionNumber = ConnectionNumber::FIRST;

fn peer(name: &str) -> PeerId {
    PeerId::new(name).expect("a peer")
}

fn info(name: &str) -> PeerInfo {
    PeerInfo { peer: peer(name), name: name.to_uppercase(), media: MediaState::default(), away: false }
}

fn server() -> ServerUrl {
    "ws://10.0.0.1:7000/".parse().expect("a server")
}

fn link() -> Link {
    Link { server: server(), room: room(), secret: Some(Secret::from_bytes([7; 16])) }
}

fn room() -> RoomId {
    RoomId::new("room").expect("a room")
}

fn description(kind: DescriptionKind) -> Signal {
    Signal::Description {
        kind,
        sdp: SDP.into(),
        proof: None,
        moves: true,
        screens: true,
        screen_sound: true,
        replaces: false,
        connection: FIRST,
    }
}

fn candidate(text: &str) -> Signal {
    Signal::Candidate { candidate: text.into(), mid: None, ufrag: None, connection: FIRST }
}

fn value(signal: Signal) -> serde_json::Value {
    serde_json::to_value(signal).expect("a value")
}

/// As somebody with the link (or another one) writes it.
fn proven(kind: DescriptionKind, secret: u8) -> serde_json::Value {
    let secret = Secret::from_bytes([secret; 16]);
    let proof = super::proof::make(&secret, &room(), kind, SDP);
    value(Signal::Description {
        kind,
        sdp: SDP.into(),
        proof,
        moves: true,
        screens: true,
        screen_sound: true,
        replaces: false,
        connection: FIRST,
    })
}

fn ice() -> Vec<IceServer> {
    vec![IceServer { urls: vec!["stun:10.0.0.1".into()], username: None, credential: None }]
}

/// A machine with a clock of its own.
struct Test {
    machine: CallMachine,
    now: Instant,
}

impl Test {
    fn new() -> Self {
        let mut machine = CallMachine::new();
        // Away from now, so that a look at the real clock would show.
        let now = crate::clock::now() + Duration::from_secs(3600);
        machine.handle(Input::Name("Ada".into()), now);
        Self { machine, now }
    }

    fn give(&mut self, input: Input) -> Vec<Effect> {
        self.machine.handle(input, self.now)
    }

    fn event(&mut self, event: SignalEvent) -> Vec<Effect> {
        self.give(Input::Signaling(event))
    }

    fn says(&mut self, message: ServerMessage) -> Vec<Effect> {
        self.event(SignalEvent::Message { message, re: None })
    }

    /// An error that answers the request among `effects`.
    fn refuses(&mut self, effects: &[Effect], code: ErrorCode) -> Vec<Effect> {
        let re = effects.iter().find_map(|effect| match effect {
            Effect::Send { id, .. } => *id,
            _ => None,
        });
        assert!(re.is_some(), "no request in {effects:?}");
        let message = ServerMessage::Error { code, message: "No.".into(), retry_ms: None, fatal: false };
        self.event(SignalEvent::Message { message, re })
    }

    fn transport(&mut self, event: TransportInput) -> Vec<Effect> {
        self.give(Input::Transport(event))
    }

    fn path(&mut self, name: &str, phase: PeerPhase) -> Vec<Effect> {
        self.transport(TransportInput::Phase { peer: peer(name), phase, trouble: None })
    }

    /// Lets time pass as an engine does: by the machine's own timers.
    fn pass(&mut self, time: Duration) -> Vec<Effect> {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some(at) = self.machine.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            all.extend(self.give(Input::Tick));
            let next = self.machine.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a timer that does not stop: {:?}",
                self.machine
            );
        }
        self.now = end;
        all.extend(self.give(Input::Tick));
        all
    }

    fn seconds(&mut self, seconds: u64) -> Vec<Effect> {
        self.pass(Duration::from_secs(seconds))
    }

    fn view(&self) -> CallView {
        let mut view = CallView::default();
        self.machine.fill(&mut view, self.now);
        view
    }

    fn ended(&self) -> EndReason {
        match self.view().phase {
            CallPhase::Ended(Summary { reason, .. }) => reason,
            other => panic!("not ended, but {other:?}"),
        }
    }

    fn notices(&self) -> String {
        self.view().notices.into_iter().map(|notice| notice.text).collect::<Vec<_>>().join("\n")
    }

    fn connected(&mut self, me: &str) -> Vec<Effect> {
        self.event(SignalEvent::Connected {
            peer: peer(me),
            resume_window: Duration::from_secs(180),
            server_time: Duration::ZERO,
        })
    }

    fn open(&mut self, admission: Admission) -> Vec<Effect> {
        self.give(Input::Open { server: server(), link: link(), admission, lan_only: true })
    }

    fn joined(&mut self, by: Option<&str>, signals: Vec<serde_json::Value>) -> Vec<Effect> {
        self.says(ServerMessage::RoomJoined {
            room: room(),
            peers: by.map(info).into_iter().collect(),
            signals,
            by: by.map(peer),
            admission: self.machine.admission,
            locked: false,
            ice_servers: ice(),
            refresh_s: 3600,
        })
    }

    fn knocks(&mut self, name: &str, signals: Vec<serde_json::Value>) -> Vec<Effect> {
        self.says(ServerMessage::RoomKnocked { room: room(), from: info(name), signals })
    }

    /// Alone in a room of one's own.
    fn waiting(admission: Admission) -> Self {
        let mut test = Self::new();
        test.open(admission);
        test.connected("ada");
        test.joined(None, vec![]);
        test
    }

    /// The owner with somebody inside, no path yet.
    fn answering() -> Self {
        let mut test = Self::waiting(Admission::Knock);
        test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
        test.give(Input::Accept(peer("bob")));
        test
    }

    fn inside() -> Self {
        let mut test = Self::answering();
        test.answers("bob");
        test
    }

    fn answers(&mut self, name: &str) -> Vec<Effect> {
        let signal = description(DescriptionKind::Answer);
        self.transport(TransportInput::Signal { to: Some(peer(name)), signal })
    }

    /// The owner in a call with a path.
    fn calling() -> Self {
        let mut test = Self::inside();
        test.path("bob", PeerPhase::Connected);
        test
    }

    /// A guest with everything ready to knock.
    fn offering(first: Input) -> (Self, Vec<Effect>) {
        let mut test = Self::new();
        test.give(first);
        test.connected("bob");
        test.says(ServerMessage::TurnServers { ice_servers: ice(), refresh_s: 3600 });
        let effects =
            test.transport(TransportInput::OfferReady { offer: description(DescriptionKind::Offer) });
        (test, effects)
    }

    /// A guest at the door.
    fn knocking() -> Self {
        let (mut test, _) = Self::offering(Input::Join(link()));
        test.says(ServerMessage::RoomKnocking { room: room(), ice_servers: ice() });
        test
    }
}

fn sent(effects: &[Effect]) -> Vec<&ClientMessage> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { message, .. } => Some(message),
            _ => None,
        })
        .collect()
}

fn restarts(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::RestartIce(_))).count()
}

/// Whether anything of us goes to a stranger: an answer, a candidate, or a connection that would.
fn tells_the_visitor(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::HandleSignal { .. } | Effect::AdoptPrepared(_) | Effect::PrepareOffer => true,
        Effect::Send { message, .. } => {
            matches!(message, ClientMessage::RoomAdmit { .. } | ClientMessage::Sig { .. })
        }
        _ => false,
    })
}

#[test]
fn opening_a_room_connects_opens_and_shows_the_link_once_inside() {
    let mut test = Test::new();
    let effects = test.open(Admission::Knock);
    assert_eq!(effects[0], Effect::ConnectSignaling { server: server(), name: "Ada".into() });
    assert!(effects.contains(&Effect::StartMedia));
    assert_eq!((test.view().phase, test.view().invite), (CallPhase::Opening, None));
    let effects = test.connected("ada");
    assert!(matches!(
        sent(&effects)[..],
        [ClientMessage::RoomOpen { max: 2, admission: Admission::Knock, .. }]
    ));
    let effects = test.joined(None, vec![]);
    assert!(effects.contains(&Effect::Configure(ice())));
    let invite = test.view().invite.expect("an invitation");
    assert_eq!((invite.link, invite.lan_only), (link().invite_url(), true));
    assert_eq!(test.view().phase, CallPhase::Waiting);
}

#[test]
fn hosting_shows_as_opening_and_a_server_that_does_not_start_is_told() {
    let mut test = Test::new();
    test.give(Input::Hosting);
    assert_eq!(test.view().phase, CallPhase::Opening);
    test.give(Input::OpenFailed { reason: "port 7000 is taken".into() });
    assert_eq!(test.ended(), EndReason::Failed("port 7000 is taken".into()));
}

#[test]
fn a_room_of_somebody_else_cannot_be_opened() {
    let mut test = Test::new();
    test.open(Admission::Knock);
    let effects = test.connected("ada");
    let effects = test.refuses(&effects, ErrorCode::RoomTaken);
    assert_eq!(test.ended(), EndReason::Failed("this room belongs to somebody else".into()));
    assert!(effects.contains(&Effect::CloseSignaling) && effects.contains(&Effect::StopMedia));
}

#[test]
fn a_server_that_does_not_answer_is_given_up_after_fifteen_seconds() {
    for first in [
        Input::Join(link()),
        Input::Open { server: server(), link: link(), admission: Admission::Knock, lan_only: false },
    ] {
        let mut test = Test::new();
        test.give(first);
        test.connected("ada");
        test.seconds(14);
        assert!(!matches!(test.view().phase, CallPhase::Ended(_)));
        test.seconds(1);
        assert!(matches!(test.ended(), EndReason::Server(text) if text.contains("10.0.0.1:7000")));
    }
}

#[test]
fn nothing_goes_to_a_visitor_before_somebody_accepts() {
    let mut test = Test::waiting(Admission::Knock);
    let effects = test.knocks("bob", vec![proven(DescriptionKind::Offer, 7), value(candidate("a"))]);
    assert!(!tells_the_visitor(&effects), "{effects:?}");
    assert!(effects.contains(&Effect::Ring(Switch::On)));
    assert!(effects.contains(&Effect::Notify { name: "BOB".into() }));
    let more = ServerMessage::RoomKnockSignal {
        room: room(),
        from: peer("bob"),
        signals: vec![value(candidate("b"))],
    };
    assert!(!tells_the_visitor(&test.says(more)));
    assert!(!tells_the_visitor(&test.seconds(30)));
    assert_eq!(test.view().visitors.len(), 1);

    let effects = test.give(Input::Accept(peer("bob")));
    assert!(effects.contains(&Effect::Ring(Switch::Off)));
    let handled: Vec<&Signal> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::HandleSignal { from, signal } if *from == peer("bob") => Some(signal),
            _ => None,
        })
        .collect();
    assert!(matches!(
        handled[..],
        [Signal::Description { .. }, Signal::Candidate { .. }, Signal::Candidate { .. }]
    ));
    assert_eq!(test.view().phase, CallPhase::InCall);
    assert!(test.view().peers[0].verified);
}

#[test]
fn the_admission_carries_the_answer_first_and_the_candidates_that_came_before_it() {
    let mut test = Test::answering();
    let early = TransportInput::Signal { to: Some(peer("bob")), signal: candidate("early") };
    assert!(sent(&test.transport(early)).is_empty());
    let effects = test.answers("bob");
    let [ClientMessage::RoomAdmit { peer: admitted, signals, .. }] = sent(&effects)[..] else {
        panic!("{effects:?}");
    };
    assert_eq!(*admitted, peer("bob"));
    assert_eq!(signals[..], [proven(DescriptionKind::Answer, 7), value(candidate("early"))]);
    let late = TransportInput::Signal { to: Some(peer("bob")), signal: candidate("late") };
    assert!(matches!(sent(&test.transport(late))[..], [ClientMessage::Sig { .. }]));
}

#[test]
fn an_open_room_admits_by_itself() {
    let mut test = Test::waiting(Admission::Open);
    let effects = test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    assert!(tells_the_visitor(&effects) && !effects.contains(&Effect::Ring(Switch::On)));
    assert_eq!(test.view().phase, CallPhase::InCall);
}

#[test]
fn a_declined_visitor_is_told_and_forgotten() {
    let mut test = Test::waiting(Admission::Knock);
    test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    let effects = test.give(Input::Decline(peer("bob")));
    assert!(matches!(
        sent(&effects)[..],
        [ClientMessage::RoomDecline { reason: DeclineReason::Declined, .. }]
    ));
    assert!(effects.contains(&Effect::Ring(Switch::Off)) && test.view().visitors.is_empty());
    assert!(test.give(Input::Accept(peer("bob"))).is_empty());
}

#[test]
fn a_visitor_whom_nobody_answers_is_sent_away_after_a_minute() {
    let mut test = Test::waiting(Admission::Knock);
    test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    let effects = test.seconds(60);
    assert!(matches!(
        sent(&effects)[..],
        [ClientMessage::RoomDecline { reason: DeclineReason::NoAnswer, .. }]
    ));
    assert!(test.view().visitors.is_empty());
}

#[test]
fn a_visitor_who_does_not_wait_is_forgotten_before_and_after_being_accepted() {
    let gone = || ServerMessage::RoomUnknocked { room: room(), peer: peer("bob") };
    let mut test = Test::waiting(Admission::Knock);
    test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    assert!(test.says(gone()).contains(&Effect::Ring(Switch::Off)));

    let mut test = Test::answering();
    assert!(test.says(gone()).contains(&Effect::Remove(peer("bob"))));
    assert_eq!(test.view().phase, CallPhase::Waiting);
}

#[test]
fn a_visitor_with_another_secret_is_turned_away_with_a_word_to_us() {
    let mut test = Test::waiting(Admission::Open);
    let effects = test.knocks("eve", vec![proven(DescriptionKind::Offer, 8)]);
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomDecline { .. }]));
    assert!(!tells_the_visitor(&effects) && test.notices().contains("EVE was turned away"));
}

#[test]
fn a_visitor_with_a_bare_room_code_comes_in_unverified() {
    let mut test = Test::waiting(Admission::Open);
    test.knocks("bob", vec![value(description(DescriptionKind::Offer))]);
    assert!(!test.view().peers[0].verified);
}

#[test]
fn a_visitor_without_a_readable_offer_is_turned_away_in_words() {
    for signals in [vec![], vec![serde_json::json!({"k": "nonsense"})], vec![value(candidate("only"))]] {
        let mut test = Test::waiting(Admission::Open);
        let effects = test.knocks("bob", signals);
        assert!(matches!(sent(&effects)[..], [ClientMessage::RoomDecline { .. }]));
        assert!(test.notices().contains("no offer that can be read"));
    }
}

#[test]
fn a_visitor_whose_offer_cannot_be_used_is_turned_away_and_we_wait_on() {
    let mut test = Test::answering();
    let effects = test.path("bob", PeerPhase::Failed);
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomDecline { .. }]));
    assert_eq!(test.view().phase, CallPhase::Waiting);

    let mut test = Test::answering();
    test.seconds(15);
    assert_eq!(test.view().phase, CallPhase::Waiting);
    assert!(test.notices().contains("could not be let in"));
}

#[test]
fn whoever_knocks_during_a_call_is_told_that_we_are_busy_and_we_are_told_too() {
    let mut test = Test::calling();
    let effects = test.knocks("eve", vec![proven(DescriptionKind::Offer, 7)]);
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomDecline { reason: DeclineReason::Busy, .. }]));
    assert!(test.notices().contains("EVE wanted to join") && !effects.contains(&Effect::Ring(Switch::On)));
}

#[test]
fn the_second_of_two_at_the_door_is_mentioned_when_the_first_comes_in() {
    let mut test = Test::waiting(Admission::Knock);
    test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    test.knocks("eve", vec![proven(DescriptionKind::Offer, 7)]);
    test.give(Input::Accept(peer("bob")));
    test.give(Input::Accept(peer("eve")));
    assert!(test.notices().contains("one visitor only"));
    test.answers("bob");
    assert!(test.view().visitors.is_empty() && test.notices().contains("EVE wanted to join, too"));
}

#[test]
fn a_crowd_at_the_door_is_bounded() {
    let mut test = Test::waiting(Admission::Knock);
    for n in 0..50 {
        let many = vec![value(candidate("x")); 200];
        test.knocks(&format!("p{n}"), [vec![proven(DescriptionKind::Offer, 7)], many].concat());
    }
    assert_eq!(test.view().visitors.len(), 8);
    assert!(test.machine.knockers.iter().all(|knocker| knocker.signals.len() <= 65));
}

#[test]
fn a_visitor_who_is_gone_when_admitted_leaves_us_waiting() {
    let mut test = Test::answering();
    let effects = test.answers("bob");
    let effects = test.refuses(&effects, ErrorCode::PeerGone);
    assert!(effects.contains(&Effect::Remove(peer("bob"))));
    assert_eq!(test.view().phase, CallPhase::Waiting);
}

#[test]
fn joining_asks_for_servers_gathers_and_knocks_with_the_proven_offer() {
    let mut test = Test::new();
    let effects = test.give(Input::Join(link()));
    assert!(effects.contains(&Effect::StartMedia));
    assert_eq!(test.view().phase, CallPhase::Joining);
    assert!(matches!(sent(&test.connected("bob"))[..], [ClientMessage::TurnGet { .. }]));
    let effects = test.says(ServerMessage::TurnServers { ice_servers: ice(), refresh_s: 3600 });
    assert_eq!(effects[..2], [Effect::Configure(ice()), Effect::PrepareOffer]);
    let effects = test.transport(TransportInput::OfferReady { offer: description(DescriptionKind::Offer) });
    let [ClientMessage::RoomKnock { signals, .. }] = sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(signals[..], [proven(DescriptionKind::Offer, 7)]);
    test.says(ServerMessage::RoomKnocking { room: room(), ice_servers: ice() });
    assert_eq!(test.view().phase, CallPhase::Knocking);
    let effects = test.transport(TransportInput::Signal { to: None, signal: candidate("late") });
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomKnockSignal { .. }]));
}

#[test]
fn a_prepared_call_needs_nothing_but_the_knock() {
    let (mut test, effects) = Test::offering(Input::Prepare(link()));
    assert!(sent(&effects).is_empty());
    assert_eq!((test.view().phase, test.view().signaling), (CallPhase::Idle, SignalingStatus::Connected));
    test.transport(TransportInput::Signal { to: None, signal: candidate("a") });
    let effects = test.give(Input::Join(link()));
    let [ClientMessage::RoomKnock { signals, .. }] = sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(signals.len(), 2);
}

#[test]
fn preparing_for_a_room_that_is_not_there_yet_asks_again() {
    let mut test = Test::new();
    test.give(Input::Prepare(link()));
    let mut effects = test.connected("bob");
    let mut asked = Vec::new();
    for _ in 0..6 {
        test.refuses(&effects, ErrorCode::NotFound);
        let before = test.now;
        while sent(&effects).is_empty() || test.now == before {
            effects = test.pass(Duration::from_millis(100));
        }
        asked.push(test.now.duration_since(before).as_millis());
    }
    assert_eq!(asked, [500, 1000, 2000, 4000, 8000, 8000]);
}

#[test]
fn being_let_in_hands_the_answer_to_the_prepared_connection() {
    let mut test = Test::knocking();
    let effects = test.joined(Some("ada"), vec![proven(DescriptionKind::Answer, 7), value(candidate("a"))]);
    let order: Vec<&Effect> = effects
        .iter()
        .filter(|e| matches!(e, Effect::AdoptPrepared(_) | Effect::HandleSignal { .. }))
        .collect();
    assert!(matches!(
        order[..],
        [Effect::AdoptPrepared(_), Effect::HandleSignal { .. }, Effect::HandleSignal { .. }]
    ));
    let view = test.view();
    assert_eq!(
        (view.phase, view.peers[0].name.as_str(), view.peers[0].verified),
        (CallPhase::InCall, "ADA", true)
    );
    let effects = test.transport(TransportInput::Signal { to: None, signal: candidate("crossed") });
    assert!(matches!(sent(&effects)[..], [ClientMessage::Sig { .. }]));
}

#[test]
fn an_answer_that_the_link_does_not_vouch_for_ends_the_call_before_it_begins() {
    for answer in [
        proven(DescriptionKind::Answer, 8),
        value(description(DescriptionKind::Answer)),
        proven(DescriptionKind::Offer, 7),
    ] {
        let mut test = Test::knocking();
        let mut forged = serde_json::from_value::<Signal>(answer).expect("a signal");
        if let Signal::Description { kind, .. } = &mut forged {
            *kind = DescriptionKind::Answer;
        }
        let answer = value(forged);
        let effects = test.joined(Some("ada"), vec![answer]);
        assert_eq!(test.ended(), EndReason::NotAuthentic);
        assert!(!tells_the_visitor(&effects));
        assert!(matches!(sent(&effects)[..], [ClientMessage::RoomLeave { .. }]));
    }
}

#[test]
fn every_refusal_of_a_knock_has_its_own_reason() {
    for (code, reason) in [
        (ErrorCode::RoomFull, EndReason::RoomFull),
        (ErrorCode::RoomLocked, EndReason::RoomLocked),
        (ErrorCode::NotFound, EndReason::NotFound),
        (ErrorCode::RateLimited, EndReason::Server("the server says: No.".into())),
    ] {
        let (mut test, effects) = Test::offering(Input::Join(link()));
        let effects = test.refuses(&effects, code);
        assert_eq!(test.ended(), reason);
        assert!(sent(&effects).is_empty(), "there is no knock to take back: {effects:?}");
    }
    for (reason, end) in [
        (DeclineReason::Declined, EndReason::Declined(DeclineReason::Declined)),
        (DeclineReason::Busy, EndReason::Declined(DeclineReason::Busy)),
        (DeclineReason::Full, EndReason::RoomFull),
    ] {
        let mut test = Test::knocking();
        test.says(ServerMessage::RoomDeclined { room: room(), reason });
        assert_eq!(test.ended(), end);
    }
}

#[test]
fn a_knock_that_nobody_answers_is_taken_back_after_a_minute() {
    let mut test = Test::knocking();
    let effects = test.seconds(60);
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomUnknock { .. }]));
    assert_eq!(test.ended(), EndReason::Declined(DeclineReason::NoAnswer));
}

#[test]
fn joining_during_a_call_asks_to_leave_first() {
    let mut test = Test::calling();
    let other = Link { room: RoomId::new("other").expect("a room"), ..link() };
    for input in [Input::Join(other.clone()), Input::Prepare(other), Input::Hosting] {
        assert!(sent(&test.give(input)).is_empty());
        assert_eq!(test.view().phase, CallPhase::InCall);
    }
    assert!(test.notices().contains("Leave it before"));
}

#[test]
fn a_call_without_a_path_ends_after_thirty_seconds() {
    for mut test in [Test::inside(), {
        let mut guest = Test::knocking();
        guest.joined(Some("ada"), vec![proven(DescriptionKind::Answer, 7)]);
        guest
    }] {
        test.seconds(29);
        assert_eq!(test.view().phase, CallPhase::InCall);
        let effects = test.seconds(1);
        assert_eq!(test.ended(), EndReason::NoPath);
        assert!(effects.contains(&Effect::CloseConnections) && effects.contains(&Effect::CloseSignaling));
    }
}

#[test]
fn the_time_runs_from_the_first_path_in_whole_seconds() {
    let mut test = Test::inside();
    assert_eq!(test.view().duration, None);
    test.path("bob", PeerPhase::Connected);
    assert_eq!(test.view().duration, Some(Duration::ZERO));
    let changes =
        test.pass(Duration::from_millis(2500)).into_iter().filter(|e| *e == Effect::ViewChanged).count();
    assert_eq!((changes, test.view().duration), (2, Some(Duration::from_secs(2))));
}

#[test]
fn hanging_up_says_so_closes_everything_and_sums_up() {
    let mut test = Test::calling();
    test.seconds(90);
    test.path("bob", PeerPhase::Reconnecting);
    test.path("bob", PeerPhase::Connected);
    test.give(Input::Quality(Quality { loss: 0.1, round_trip: None, frozen: Duration::ZERO, reconnects: 0 }));
    let effects = test.give(Input::Leave);
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomLeave { .. }]));
    for wanted in [Effect::CloseSignaling, Effect::CloseConnections, Effect::StopMedia] {
        assert!(effects.contains(&wanted), "{wanted:?}");
    }
    let CallPhase::Ended(summary) = test.view().phase else { panic!("not ended") };
    assert_eq!((summary.reason, summary.duration), (EndReason::Left, Duration::from_secs(90)));
    assert_eq!(summary.quality.map(|quality| (quality.loss, quality.reconnects)), Some((0.1, 1)));
    test.give(Input::Dismiss);
    assert_eq!(test.view(), CallView::default());
    assert_eq!(test.machine.poll_timeout(), None);
}

#[test]
fn leaving_before_anybody_came_goes_back_to_the_start() {
    for (mut test, message) in [
        (Test::waiting(Admission::Knock), Some(ClientMessage::RoomLeave { room: room() })),
        (Test::knocking(), Some(ClientMessage::RoomUnknock { room: room() })),
        (Test::offering(Input::Prepare(link())).0, None),
    ] {
        let effects = test.give(Input::Leave);
        assert_eq!(sent(&effects), message.iter().collect::<Vec<_>>());
        assert_eq!(test.view().phase, CallPhase::Idle);
    }
}

#[test]
fn the_other_one_hanging_up_ends_the_call_with_a_summary() {
    let mut test = Test::calling();
    test.says(ServerMessage::PeerLeft { peer: peer("bob"), reason: LeaveReason::Left });
    assert_eq!(test.ended(), EndReason::PeerLeft { name: "BOB".into() });
}

#[test]
fn somebody_away_keeps_the_call() {
    let mut test = Test::calling();
    let effects = test.says(ServerMessage::PeerAway { peer: peer("bob") });
    assert_eq!(effects, [Effect::ViewChanged]);
    assert!(test.view().peers[0].away);
    test.seconds(600);
    test.says(ServerMessage::PeerBack { peer: peer("bob") });
    assert!(!test.view().peers[0].away && test.view().phase == CallPhase::InCall);
}

#[test]
fn somebody_the_server_gave_up_on_stays_as_long_as_there_is_a_path() {
    let mut test = Test::calling();
    test.says(ServerMessage::PeerLeft { peer: peer("bob"), reason: LeaveReason::TimedOut });
    test.seconds(600);
    assert_eq!(test.view().phase, CallPhase::InCall);
    test.path("bob", PeerPhase::Failed);
    assert_eq!(test.ended(), EndReason::PeerLost { name: "BOB".into() });

    let mut test = Test::calling();
    test.path("bob", PeerPhase::Reconnecting);
    test.says(ServerMessage::PeerLeft { peer: peer("bob"), reason: LeaveReason::TimedOut });
    assert_eq!(test.ended(), EndReason::PeerLost { name: "BOB".into() });
}

#[test]
fn a_lost_path_is_left_to_the_transport_and_given_up_after_90_seconds() {
    let mut test = Test::calling();
    test.path("bob", PeerPhase::Reconnecting);
    assert_eq!(restarts(&test.seconds(89)), 0);
    assert_eq!(test.view().phase, CallPhase::InCall);
    test.seconds(1);
    assert_eq!(test.ended(), EndReason::PeerLost { name: "BOB".into() });
}

#[test]
fn losing_the_server_keeps_the_call_and_says_so() {
    let mut test = Test::calling();
    let effects = test.event(SignalEvent::Lost { reason: "it was cut off".into() });
    assert_eq!(effects, [Effect::ViewChanged]);
    assert_eq!(test.view().signaling, SignalingStatus::Lost { reason: "it was cut off".into() });
    test.seconds(170);
    let effects = test.event(SignalEvent::Resumed { fresh: false });
    assert_eq!((effects, test.view().signaling), (vec![Effect::ViewChanged], SignalingStatus::Connected));
}

#[test]
fn a_path_that_died_with_the_server_is_looked_for_when_it_is_back() {
    let mut test = Test::calling();
    test.event(SignalEvent::Lost { reason: "x".into() });
    test.path("bob", PeerPhase::Reconnecting);
    assert_eq!(restarts(&test.seconds(150)), 0);
    assert_eq!(test.view().phase, CallPhase::InCall);
    let effects = test.event(SignalEvent::Resumed { fresh: true });
    // A server that was restarted may have another secret for its relay.
    assert!(matches!(sent(&effects)[..], [ClientMessage::State { .. }, ClientMessage::TurnGet { .. }]));
    assert_eq!(restarts(&effects) + restarts(&test.seconds(3)), 1);
}

#[test]
fn a_restarted_server_hears_our_knock_again() {
    let mut test = Test::knocking();
    test.transport(TransportInput::Signal { to: None, signal: candidate("a") });
    test.event(SignalEvent::Lost { reason: "x".into() });
    let effects = test.event(SignalEvent::Resumed { fresh: true });
    let [ClientMessage::RoomKnock { signals, .. }] = sent(&effects)[..] else { panic!("{effects:?}") };
    assert_eq!(signals.len(), 2);
}

#[test]
fn somebody_at_the_door_who_knocks_again_does_not_ring_again() {
    let mut test = Test::waiting(Admission::Knock);
    test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    let effects = test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    assert_eq!((effects, test.view().visitors.len()), (vec![Effect::ViewChanged], 1));
}

#[test]
fn somebody_let_in_whom_a_restarted_server_forgot_is_back_at_the_door() {
    let mut test = Test::answering();
    let effects = test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    assert!(effects.contains(&Effect::Remove(peer("bob"))) && effects.contains(&Effect::Ring(Switch::On)));
    assert_eq!((test.view().phase, test.view().visitors.len()), (CallPhase::Waiting, 1));
}

#[test]
fn a_session_that_is_over_ends_what_needs_the_server_and_nothing_else() {
    let gone = || SignalingError::Refused { server: "10.0.0.1:7000".into() };
    for mut test in [
        Test::waiting(Admission::Knock),
        Test::knocking(),
        Test::offering(Input::Prepare(link())).0,
        Test::inside(),
    ] {
        let effects = test.event(SignalEvent::Failed(gone()));
        assert_eq!(test.ended(), EndReason::Server(gone().to_string()));
        assert!(!effects.contains(&Effect::CloseSignaling), "it is closed already");
    }
    let mut test = Test::calling();
    test.event(SignalEvent::Failed(gone()));
    assert!(test.notices().contains("goes on without the server"));
    test.seconds(600);
    assert_eq!(test.view().phase, CallPhase::InCall);
    test.path("bob", PeerPhase::Reconnecting);
    test.seconds(30);
    assert_eq!(test.ended(), EndReason::PeerLost { name: "BOB".into() });
}

#[test]
fn a_later_description_must_be_vouched_for_if_the_first_one_was() {
    let mut test = Test::calling();
    for forged in [value(description(DescriptionKind::Offer)), proven(DescriptionKind::Offer, 8)] {
        let effects = test.says(ServerMessage::Sig { from: peer("bob"), signal: forged });
        assert!(!tells_the_visitor(&effects) && test.notices().contains("BOB's place"));
    }
    let effects =
        test.says(ServerMessage::Sig { from: peer("bob"), signal: proven(DescriptionKind::Offer, 7) });
    assert!(matches!(effects[..], [Effect::HandleSignal { .. }]));
    let effects =
        test.says(ServerMessage::Sig { from: peer("eve"), signal: proven(DescriptionKind::Offer, 7) });
    assert!(effects.is_empty());
}

#[test]
fn what_is_switched_on_is_told_while_inside_and_shown() {
    let media = MediaState { microphone: true, camera: false, screen: false };
    let mut test = Test::new();
    assert!(test.give(Input::Media(media)).is_empty());
    let mut test = Test::calling();
    assert!(matches!(sent(&test.give(Input::Media(media)))[..], [ClientMessage::State { .. }]));
    assert!(sent(&test.give(Input::Media(media))).is_empty(), "nothing changed");
    test.says(ServerMessage::State { from: peer("bob"), media });
    assert_eq!(test.view().peers[0].media, media);
}

#[test]
fn what_is_switched_on_while_knocking_is_told_as_soon_as_inside() {
    let media = MediaState { microphone: true, camera: true, screen: false };
    let mut test = Test::knocking();
    assert!(sent(&test.give(Input::Media(media))).is_empty(), "nobody inside knows us yet");
    let effects = test.joined(Some("ada"), vec![proven(DescriptionKind::Answer, 7)]);
    assert!(sent(&effects).contains(&&ClientMessage::State { media }), "{effects:?}");
    assert!(sent(&test.give(Input::Media(media))).is_empty(), "it is known now");
}

#[test]
fn facts_go_to_who_is_inside_and_to_nobody_at_the_door() {
    let facts = || Input::Facts(serde_json::json!({ "udp": "works" }));
    let mut test = Test::waiting(Admission::Knock);
    test.knocks("bob", vec![proven(DescriptionKind::Offer, 7)]);
    assert!(test.give(facts()).is_empty());
    let mut test = Test::calling();
    assert!(
        matches!(&sent(&test.give(facts()))[..], [ClientMessage::Facts { to, .. }] if to.as_str() == "bob")
    );
}

#[test]
fn only_the_owner_locks_the_room() {
    let mut test = Test::waiting(Admission::Knock);
    let effects = test.give(Input::LockRoom(Switch::On));
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomSet { locked: Some(true), .. }]));
    test.says(ServerMessage::RoomUpdate { room: room(), locked: true, admission: Admission::Knock });
    assert!(test.view().locked);

    let mut test = Test::knocking();
    test.joined(Some("ada"), vec![proven(DescriptionKind::Answer, 7)]);
    assert!(sent(&test.give(Input::LockRoom(Switch::On))).is_empty());
    assert!(test.notices().contains("Only the person who opened"));
}

#[test]
fn credentials_are_renewed_in_time() {
    let mut test = Test::calling();
    let effects = test.seconds(3600);
    assert!(matches!(sent(&effects)[..], [ClientMessage::TurnGet { .. }]));
    test.refuses(&effects, ErrorCode::RateLimited);
    let effects = test.seconds(60);
    assert!(matches!(sent(&effects)[..], [ClientMessage::TurnGet { .. }]));
    let effects = test.says(ServerMessage::TurnServers { ice_servers: ice(), refresh_s: 3600 });
    assert!(effects.contains(&Effect::Configure(ice())));
}

#[test]
fn estimates_reach_the_encoders_and_a_missing_picture_is_explained() {
    let mut test = Test::calling();
    let rate =
        |kbps| TransportInput::TargetRate { peer: peer("bob"), bitrate: Bitrate::from_kbps(kbps), loss: 0.0 };
    let effects = test.transport(rate(500));
    assert!(matches!(effects[..], [Effect::Encode(targets)] if targets.video.is_some()));
    assert!(test.transport(rate(500)).is_empty(), "nothing changed");
    let effects = test.transport(rate(30));
    assert!(matches!(effects[..], [Effect::Encode(targets), Effect::ViewChanged] if targets.video.is_none()));
    assert!(test.notices().contains("too slow for your picture"));
    // A path on which nothing passes is not slow, and is told of by others.
    test.path("bob", PeerPhase::Reconnecting);
    test.seconds(2);
    assert!(!test.notices().contains("too slow"));
    test.path("bob", PeerPhase::Connected);
    test.transport(rate(30));
    assert!(test.notices().contains("too slow"));
    test.transport(rate(800));
    test.seconds(3);
    test.transport(rate(801));
    assert_eq!(test.notices(), "");
}

#[test]
fn the_last_estimates_of_a_lost_path_do_not_hold_the_picture_back_on_the_next_one() {
    let mut test = Test::calling();
    let rate =
        |kbps| TransportInput::TargetRate { peer: peer("bob"), bitrate: Bitrate::from_kbps(kbps), loss: 0.0 };
    test.path("bob", PeerPhase::Connected);
    test.transport(rate(30));
    assert!(test.notices().contains("too slow for your picture"));
    test.path("bob", PeerPhase::Reconnecting);
    test.seconds(5);
    test.path("bob", PeerPhase::Connected);
    let effects = test.transport(rate(500));
    let sent = |effect: &Effect| matches!(effect, Effect::Encode(targets) if targets.video.is_some());
    assert!(effects.iter().any(sent), "{effects:?}");
}

#[test]
fn a_person_may_ask_for_a_new_path() {
    assert_eq!(restarts(&Test::calling().give(Input::RestartIce)), 1);
    assert_eq!(restarts(&Test::waiting(Admission::Knock).give(Input::RestartIce)), 0);
}

#[test]
fn notices_are_shown_until_they_are_dismissed() {
    let mut test = Test::new();
    test.give(Input::Notice { severity: Severity::Error, text: "The camera is busy.".into() });
    let id = test.view().notices[0].id;
    assert_eq!(test.give(Input::DismissNotice(id)), [Effect::ViewChanged]);
    assert!(test.view().notices.is_empty());
}

mod anything {
    //! Whatever comes in whatever order, the machine stays whole.

    use super::*;
    use proptest::prelude::*;

    fn any_input(kind: u8, name: u8) -> Input {
        let who = ["ada", "bob", "eve"][usize::from(name % 3)];
        let message = |message| Input::Signaling(SignalEvent::Message { message, re: Some(u64::from(name)) });
        match kind % 34 {
            0 => Input::Open { server: server(), link: link(), admission: Admission::Knock, lan_only: false },
            1 => Input::Open { server: server(), link: link(), admission: Admission::Open, lan_only: false },
            2 => Input::Join(link()),
            3 => Input::Prepare(link()),
            4 => Input::Accept(peer(who)),
            5 => Input::Decline(peer(who)),
            6 => Input::Leave,
            7 => Input::Dismiss,
            8 => Input::Hosting,
            9 => Input::OpenFailed { reason: "x".into() },
            10 => Input::LockRoom(Switch::On),
            11 => Input::RestartIce,
            12 => Input::Signaling(SignalEvent::Connected {
                peer: peer("ada"),
                resume_window: Duration::ZERO,
                server_time: Duration::ZERO,
            }),
            13 => Input::Signaling(SignalEvent::Lost { reason: "x".into() }),
            14 => Input::Signaling(SignalEvent::Resumed { fresh: name.is_multiple_of(2) }),
            15 => Input::Signaling(SignalEvent::Failed(SignalingError::TimedOut { server: "x".into() })),
            16 | 17 => message(ServerMessage::RoomJoined {
                room: room(),
                peers: vec![info(who)],
                signals: vec![proven(DescriptionKind::Answer, 7)],
                by: (name > 100).then(|| peer(who)),
                admission: Admission::Knock,
                locked: false,
                ice_servers: ice(),
                refresh_s: u64::MAX >> name.min(63),
            }),
            18 => message(ServerMessage::RoomKnocking { room: room(), ice_servers: ice() }),
            19 | 20 => message(ServerMessage::RoomKnocked {
                room: room(),
                from: info(who),
                signals: vec![proven(DescriptionKind::Offer, 7)],
            }),
            21 => message(ServerMessage::RoomUnknocked { room: room(), peer: peer(who) }),
            22 => message(ServerMessage::RoomDeclined { room: room(), reason: DeclineReason::Busy }),
            23 => message(ServerMessage::PeerLeft { peer: peer(who), reason: LeaveReason::Left }),
            24 => message(ServerMessage::PeerLeft { peer: peer(who), reason: LeaveReason::TimedOut }),
            25 => message(ServerMessage::PeerAway { peer: peer(who) }),
            26 => message(ServerMessage::TurnServers { ice_servers: ice(), refresh_s: u64::from(name) }),
            27 => message(ServerMessage::Error {
                code: ErrorCode::NotFound,
                message: "x".into(),
                retry_ms: Some(u64::MAX),
                fatal: false,
            }),
            28 => message(ServerMessage::Sig {
                from: peer(who),
                signal: proven(DescriptionKind::Offer, name % 9),
            }),
            29 => Input::Transport(TransportInput::OfferReady { offer: description(DescriptionKind::Offer) }),
            30 | 31 => Input::Transport(TransportInput::Signal {
                to: (name > 50).then(|| peer(who)),
                signal: description(DescriptionKind::Answer),
            }),
            32 => Input::Transport(TransportInput::Phase {
                peer: peer(who),
                phase: [PeerPhase::Connected, PeerPhase::Reconnecting, PeerPhase::Failed]
                    [usize::from(name % 3)],
                trouble: None,
            }),
            _ => Input::Tick,
        }
    }

    proptest! {
        #[test]
        fn every_input_is_handled_in_every_state(
            steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 0u64..40), 1..80),
        ) {
            let mut test = Test::new();
            let mut ringing = false;
            let mut accepted: Vec<PeerId> = Vec::new();
            for (kind, name, pause) in steps {
                let input = any_input(kind, name);
                if let Input::Accept(peer) = &input {
                    accepted.push(peer.clone());
                }
                let open = test.machine.admission == Admission::Open;
                let mut effects = test.give(input);
                effects.extend(test.pass(Duration::from_millis(pause * 250)));
                for effect in &effects {
                    match effect {
                        Effect::Ring(switch) => ringing = switch.is_on(),
                        Effect::Send { message: ClientMessage::RoomAdmit { peer, .. }, .. } => {
                            prop_assert!(open || accepted.contains(peer), "let in unasked");
                        }
                        _ => {}
                    }
                }
                let view = test.view();
                prop_assert_eq!(ringing, !view.visitors.is_empty());
                prop_assert_eq!(view.phase == CallPhase::InCall, !view.peers.is_empty());
                let quiet = matches!(view.phase, CallPhase::Ended(_));
                prop_assert!(!quiet || view.signaling == SignalingStatus::Off);
                prop_assert!(view.notices.len() <= 5 && view.peers.len() <= 1);
            }
        }
    }
}
