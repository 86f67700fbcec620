//! Calling through a link.

use super::*;

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
