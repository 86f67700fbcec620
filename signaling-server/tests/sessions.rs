//! Sessions over sockets that come and go.

mod common;

use common::{Client, Server, call};
use serde_json::json;
use signaling_protocol::{ClientMessage, ErrorCode, ServerMessage as M};

async fn resume(server: &Server, old: &Client) -> Client {
    let mut new = Client::connect(server.address).await;
    new.peer = old.peer.clone();
    new.token = old.token.clone();
    new.sent = old.sent;
    new.received = old.received;
    new.control(&ClientMessage::Resume { token: old.token.clone(), last: old.received }).await;
    new
}

#[tokio::test]
async fn a_dropped_socket_loses_no_message_and_repeats_none() {
    let server = Server::start().await;
    let (mut ada, bob) = call(&server, "north").await;
    ada.sig(&bob.peer, json!(1)).await;
    // Bob's socket breaks before he has read anything; Ada goes on.
    let mut gone = bob;
    gone.stream.get_mut().set_zero_linger().expect("a TCP socket");
    let (peer, token, sent, received) = (gone.peer.clone(), gone.token.clone(), gone.sent, gone.received);
    drop(gone.stream);
    assert_eq!(ada.next().await, M::PeerAway { peer: peer.clone() });
    ada.sig(&peer, json!(2)).await;
    ada.sig(&peer, json!(3)).await;

    let mut bob = Client::connect(server.address).await;
    bob.received = received;
    bob.sent = sent;
    bob.control(&ClientMessage::Resume { token, last: received }).await;
    let M::Resumed { fresh: false, last, .. } = bob.next().await else { panic!("not resumed") };
    assert_eq!(last, sent);
    for expected in 1..=3 {
        // The client itself checks that the numbers have no gaps.
        assert_eq!(bob.next().await, M::Sig { from: ada.peer.clone(), signal: json!(expected) });
    }
    assert_eq!(ada.next().await, M::PeerBack { peer: peer.clone() });
    bob.sig(&ada.peer, json!("back")).await;
    assert_eq!(ada.next().await, M::Sig { from: peer, signal: json!("back") });
}

#[tokio::test]
async fn everything_that_was_missed_comes_at_once() {
    let server = Server::start().await;
    let (mut ada, bob) = call(&server, "north").await;
    let (peer, token, sent, received) = (bob.peer.clone(), bob.token.clone(), bob.sent, bob.received);
    drop(bob);
    assert_eq!(ada.next().await, M::PeerAway { peer: peer.clone() });
    for i in 0..180 {
        ada.sig(&peer, json!(i)).await;
    }
    ada.control(&ClientMessage::Ping).await;
    assert_eq!(ada.next().await, M::Pong);
    let mut bob = Client::connect(server.address).await;
    bob.received = received;
    bob.sent = sent;
    bob.control(&ClientMessage::Resume { token, last: received }).await;
    assert!(matches!(bob.next().await, M::Resumed { .. }));
    for i in 0..180 {
        assert_eq!(bob.next().await, M::Sig { from: ada.peer.clone(), signal: json!(i) });
    }
}

#[tokio::test]
async fn a_message_sent_again_after_a_resume_arrives_once() {
    let server = Server::start().await;
    let (mut ada, bob) = call(&server, "north").await;
    let mut bob = resume(&server, &bob).await;
    bob.next().await;
    bob.sig(&ada.peer, json!("once")).await;
    bob.sent -= 1;
    bob.sig(&ada.peer, json!("once")).await;
    bob.sig(&ada.peer, json!("then")).await;
    assert_eq!(ada.next().await, M::Sig { from: bob.peer.clone(), signal: json!("once") });
    assert_eq!(ada.next().await, M::Sig { from: bob.peer.clone(), signal: json!("then") });
}

#[tokio::test]
async fn a_newer_socket_replaces_the_older_one_without_the_other_side_noticing() {
    let server = Server::start().await;
    let (mut ada, mut bob) = call(&server, "north").await;
    let mut newer = resume(&server, &bob).await;
    assert!(matches!(newer.next().await, M::Resumed { .. }));
    assert_eq!(bob.close_code().await, Some(4004));
    newer.sig(&ada.peer, json!(1)).await;
    assert_eq!(ada.next().await, M::Sig { from: newer.peer.clone(), signal: json!(1) });
}

#[tokio::test]
async fn a_token_that_is_not_ours_ends_in_a_clear_error() {
    let server = Server::start().await;
    for token in ["", "x", "e30.e30", &"a".repeat(5000)] {
        let mut client = Client::connect(server.address).await;
        client.control(&ClientMessage::Resume { token: token.into(), last: 0 }).await;
        let M::Error { code: ErrorCode::ResumeExpired, fatal: true, .. } = client.next().await else {
            panic!("accepted {token:?}")
        };
        assert_eq!(client.close_code().await, Some(4010));
    }
}

#[tokio::test]
async fn a_server_that_stops_tells_everybody_to_come_back() {
    let server = Server::start().await;
    let (mut ada, _bob) = call(&server, "north").await;
    let stopping = tokio::spawn(server.stop());
    assert!(matches!(ada.next().await, M::Drain { .. }));
    assert_eq!(ada.close_code().await, Some(1012));
    stopping.await.expect("it stops");
}
