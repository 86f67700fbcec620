//! Two people find each other through a real server, and others do not get in.

mod common;

use common::{Server, call, room};
use serde_json::json;
use signaling_protocol::{
    Admission, ClientMessage, DeclineReason, ErrorCode, LeaveReason, MediaState, ServerMessage as M,
};

fn refused(message: M) -> ErrorCode {
    match message {
        M::Error { code, message, fatal: false, .. } => {
            assert!(message.ends_with('.'), "a sentence: {message}");
            code
        }
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[tokio::test]
async fn a_knock_carries_the_offer_and_the_admission_the_answer() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    let mut bob = server.client("Bob").await;
    let M::RoomJoined { peers, by, signals, .. } = ada.open("north").await else { panic!("not joined") };
    assert!(peers.is_empty() && by.is_none() && signals.is_empty());

    assert!(matches!(bob.knock("north").await, M::RoomKnocking { .. }));
    let M::RoomKnocked { from, signals, .. } = ada.next().await else { panic!("no knock") };
    assert_eq!((from.name.as_str(), &from.peer), ("Bob", &bob.peer));
    assert_eq!(signals, [json!({"offer": "o"})]);

    bob.send(&ClientMessage::RoomKnockSignal { room: room("north"), signals: vec![json!("candidate")] })
        .await;
    let M::RoomKnockSignal { from, signals, .. } = ada.next().await else { panic!("no candidate") };
    assert_eq!((from, signals), (bob.peer.clone(), vec![json!("candidate")]));

    let admit = ClientMessage::RoomAdmit {
        room: room("north"),
        peer: bob.peer.clone(),
        signals: vec![json!({"answer": "a"})],
    };
    ada.send(&admit).await;
    let M::RoomJoined { peers, signals, by, .. } = bob.next().await else { panic!("not joined") };
    assert_eq!(signals, [json!({"answer": "a"})]);
    assert_eq!(by, Some(ada.peer.clone()));
    assert_eq!(peers[0].name, "Ada");
    assert!(peers[0].media.camera);
    let M::PeerJoined { peer } = ada.next().await else { panic!("nobody joined") };
    assert_eq!(peer.peer, bob.peer);

    ada.sig(&bob.peer.clone(), json!({"c": 1})).await;
    assert_eq!(bob.next().await, M::Sig { from: ada.peer.clone(), signal: json!({"c": 1}) });
    bob.send(&ClientMessage::State { media: MediaState { microphone: true, camera: false, screen: false } })
        .await;
    let M::State { from, media } = ada.next().await else { panic!("no state") };
    assert!(from == bob.peer && media.microphone);
    bob.send(&ClientMessage::Facts { to: ada.peer.clone(), facts: json!({"nat": "open"}) }).await;
    assert_eq!(ada.next().await, M::Facts { from: bob.peer.clone(), facts: json!({"nat": "open"}) });

    bob.send(&ClientMessage::RoomLeave { room: room("north") }).await;
    assert_eq!(ada.next().await, M::PeerLeft { peer: bob.peer.clone(), reason: LeaveReason::Left });
}

#[tokio::test]
async fn nothing_of_those_inside_goes_to_somebody_who_was_not_admitted() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    let mut bob = server.client("Bob").await;
    ada.open("north").await;
    bob.knock("north").await;
    ada.next().await;
    ada.sig(&bob.peer.clone(), json!("too early")).await;
    assert_eq!(refused(ada.next().await), ErrorCode::PeerGone);
    bob.sig(&ada.peer.clone(), json!("too early")).await;
    assert_eq!(refused(bob.next().await), ErrorCode::NotJoined);
    let decline = ClientMessage::RoomDecline {
        room: room("north"),
        peer: bob.peer.clone(),
        reason: DeclineReason::Declined,
    };
    ada.send(&decline).await;
    assert_eq!(bob.next().await, M::RoomDeclined { room: room("north"), reason: DeclineReason::Declined });
}

#[tokio::test]
async fn a_third_person_finds_the_room_full() {
    let server = Server::start().await;
    let (_ada, _bob) = call(&server, "north").await;
    let mut eve = server.client("Eve").await;
    assert_eq!(refused(eve.knock("north").await), ErrorCode::RoomFull);
}

#[tokio::test]
async fn a_locked_a_foreign_and_an_unknown_room_each_say_so() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    let mut bob = server.client("Bob").await;
    ada.open("north").await;
    ada.send(&ClientMessage::RoomSet { room: room("north"), locked: Some(true), admission: None }).await;
    assert!(matches!(ada.next().await, M::RoomUpdate { locked: true, .. }));
    assert_eq!(refused(bob.knock("north").await), ErrorCode::RoomLocked);
    assert_eq!(refused(bob.open("north").await), ErrorCode::RoomTaken);
    assert_eq!(refused(bob.knock("south").await), ErrorCode::NotFound);
    bob.send(&ClientMessage::RoomLeave { room: room("north") }).await;
    assert_eq!(refused(bob.next().await), ErrorCode::NotJoined);
}

#[tokio::test]
async fn a_knock_can_be_taken_back_and_one_on_an_open_room_is_only_told() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    let mut bob = server.client("Bob").await;
    let open = ClientMessage::RoomOpen {
        room: room("north"),
        admission: Admission::Open,
        max: 2,
        media: MediaState::default(),
    };
    ada.send(&open).await;
    assert!(matches!(ada.next().await, M::RoomJoined { admission: Admission::Open, .. }));
    bob.knock("north").await;
    assert!(matches!(ada.next().await, M::RoomKnocked { .. }));
    bob.send(&ClientMessage::RoomUnknock { room: room("north") }).await;
    assert_eq!(ada.next().await, M::RoomUnknocked { room: room("north"), peer: bob.peer.clone() });
    assert!(matches!(bob.knock("north").await, M::RoomKnocking { .. }), "and knock again");
}

#[tokio::test]
async fn everybody_leaving_answers_those_who_still_wait() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    let mut bob = server.client("Bob").await;
    ada.open("north").await;
    bob.knock("north").await;
    ada.next().await;
    ada.control(&ClientMessage::Bye).await;
    assert_eq!(bob.next().await, M::RoomDeclined { room: room("north"), reason: DeclineReason::NoAnswer });
    assert_eq!(ada.close_code().await, Some(4000));
}

#[tokio::test]
async fn the_last_place_taken_turns_the_others_away() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    let mut bob = server.client("Bob").await;
    let mut eve = server.client("Eve").await;
    ada.open("north").await;
    bob.knock("north").await;
    eve.knock("north").await;
    let admit = ClientMessage::RoomAdmit { room: room("north"), peer: bob.peer.clone(), signals: Vec::new() };
    ada.send(&admit).await;
    assert_eq!(eve.next().await, M::RoomDeclined { room: room("north"), reason: DeclineReason::Full });
}
