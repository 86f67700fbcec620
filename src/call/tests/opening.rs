//! Opening a room.

use super::*;

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
