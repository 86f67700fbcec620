//! From the first path to the end.

use super::*;

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
    test.camera(Switch::On);
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
fn a_camera_that_rests_beside_a_screen_is_explained_to_those_who_have_one() {
    let mut test = Test::calling();
    let rate =
        |kbps| TransportInput::TargetRate { peer: peer("bob"), bitrate: Bitrate::from_kbps(kbps), loss: 0.0 };
    test.give(Input::Share { mode: Some(ShareMode::Text), sound: Switch::Off });
    test.transport(rate(250));
    assert_eq!(test.notices(), "", "nobody misses a camera that is off");
    test.camera(Switch::On);
    assert!(test.notices().starts_with("Your camera rests while your screen is shown"));
    // No room for the screen either.
    test.transport(rate(30));
    assert!(test.notices().ends_with("only your sound is sent.") && !test.notices().contains("rests"));
    test.transport(rate(250));
    assert!(test.notices().starts_with("Your camera rests"));
    test.camera(Switch::Off);
    assert_eq!(test.notices(), "");
    let effects = test.camera(Switch::On);
    assert!(effects.contains(&Effect::ViewChanged), "{effects:?}");
}

#[test]
fn the_last_estimates_of_a_lost_path_do_not_hold_the_picture_back_on_the_next_one() {
    let mut test = Test::calling();
    test.camera(Switch::On);
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
