//! Somebody knocks.

use super::*;

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
fn somebody_whose_program_crashed_may_come_back_while_we_look_for_their_path() {
    let mut test = Test::calling();
    test.says(ServerMessage::PeerAway { peer: peer("bob") });
    let effects = test.knocks("bob2", vec![proven(DescriptionKind::Offer, 7)]);
    let busy = |effects: &[Effect]| {
        matches!(sent(effects)[..], [ClientMessage::RoomDecline { reason: DeclineReason::Busy, .. }])
    };
    assert!(busy(&effects), "their media still arrives: it is somebody else");
    test.path("bob", PeerPhase::Reconnecting);
    let effects = test.knocks("bob3", vec![proven(DescriptionKind::Offer, 7)]);
    assert!(!busy(&effects) && effects.contains(&Effect::Ring(Switch::On)));
    assert_eq!(test.view().phase, CallPhase::InCall);
    let effects = test.give(Input::Accept(peer("bob3")));
    let place = |wanted: &Effect| effects.iter().position(|effect| effect == wanted);
    let removed = place(&Effect::Remove(peer("bob"))).expect("the old one goes");
    let heard = effects.iter().position(|effect| matches!(effect, Effect::HandleSignal { .. }));
    assert!(heard.is_some_and(|heard| removed < heard), "before the new one comes");
    assert_eq!(test.view().peers.iter().map(|peer| peer.name.as_str()).collect::<Vec<_>>(), ["BOB3"]);
    test.answers("bob3");
    test.path("bob3", PeerPhase::Connected);
    test.says(ServerMessage::PeerLeft { peer: peer("bob"), reason: LeaveReason::TimedOut });
    assert_eq!(test.view().phase, CallPhase::InCall);
}

/// In a call whose other side is away, with somebody else at the door.
fn knocking_for_a_place() -> Test {
    let mut test = Test::calling();
    test.says(ServerMessage::PeerAway { peer: peer("bob") });
    test.path("bob", PeerPhase::Reconnecting);
    test.knocks("eve", vec![proven(DescriptionKind::Offer, 7)]);
    test
}

#[test]
fn somebody_who_is_back_before_we_decide_keeps_the_place() {
    let mut test = knocking_for_a_place();
    let effects = test.says(ServerMessage::PeerBack { peer: peer("bob") });
    assert!(
        matches!(sent(&effects)[..], [ClientMessage::RoomDecline { reason: DeclineReason::Busy, .. }]),
        "who hoped for it does not wait any longer"
    );
    assert!(test.view().visitors.is_empty());
    assert!(!tells_the_visitor(&test.give(Input::Accept(peer("eve")))));
    assert_eq!(test.view().peers[0].name, "BOB");
}

#[test]
fn somebody_who_is_back_while_we_answer_their_successor_does_not_sit_in_a_dead_call() {
    let mut test = knocking_for_a_place();
    test.give(Input::Accept(peer("eve")));
    test.says(ServerMessage::PeerBack { peer: peer("bob") });
    let effects = test.answers("eve");
    let effects = test.refuses(&effects, ErrorCode::RoomFull);
    assert!(matches!(sent(&effects)[..], [ClientMessage::RoomLeave { .. }]), "{effects:?}");
    assert!(matches!(test.ended(), EndReason::Failed(why) if why.contains("EVE")));
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
