//! A socket is lost, and the session is not.

use super::*;

#[tokio::test]
async fn a_lost_socket_is_replaced_and_nothing_is_lost_or_comes_twice() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(Pace::default()).await;
    for microphone in [true, false] {
        client.send(state(microphone), None).expect("taken");
        line.next_numbered().await;
    }
    line.numbered("peer.away", json!({"peer": "bob"})).await;
    next(&mut client).await;
    drop(line);
    assert!(matches!(next(&mut client).await, SignalEvent::Lost { .. }));
    client.send(state(true), None).expect("it waits");

    let mut line = fake.accept().await;
    let ClientMessage::Resume { token, last } = line.next().await else { panic!("no resume") };
    assert_eq!((token.as_str(), last), ("token", 1));
    line.json(resumed(1, false)).await;
    assert_eq!(next(&mut client).await, SignalEvent::Resumed { fresh: false });
    assert_eq!((line.next_numbered().await.0, line.next_numbered().await.0), (2, 3));
    line.sent = 0;
    line.numbered("peer.away", json!({"peer": "bob"})).await;
    line.numbered("peer.back", json!({"peer": "bob"})).await;
    let SignalEvent::Message { message, .. } = next(&mut client).await else { panic!("no message") };
    assert!(matches!(message, ServerMessage::PeerBack { .. }), "the first one had come before");
}

#[tokio::test]
async fn a_socket_in_doubt_is_kept_if_the_server_answers_and_replaced_if_it_does_not() {
    let fake = Fake::new().await;
    let pace = Pace { tick: Duration::from_secs(3600), ..quick() };
    let (mut client, mut line) = fake.session(pace).await;
    client.doubt();
    while line.next().await != ClientMessage::Ping {}
    line.json(json!({"t": "pong"})).await;
    tokio::time::sleep(2 * pace.answer).await;
    line.numbered("peer.away", json!({"peer": "bob"})).await;
    assert!(matches!(next(&mut client).await, SignalEvent::Message { .. }), "the socket is still there");

    client.doubt();
    assert!(matches!(next(&mut client).await, SignalEvent::Lost { .. }));
    let mut line = fake.accept().await;
    assert!(matches!(line.next().await, ClientMessage::Resume { .. }));
}

#[tokio::test]
async fn a_restarted_server_counts_from_one_in_both_directions() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(Pace::default()).await;
    line.numbered("peer.away", json!({"peer": "bob"})).await;
    next(&mut client).await;
    line.json(json!({"t": "resume.token", "d": {"resume": "newer"}})).await;
    line.json(json!({"t": "ping"})).await;
    while line.next().await != ClientMessage::Pong {}
    client.send(state(true), None).expect("taken");
    assert_eq!(line.next_numbered().await.0, 1);
    line.json(json!({"t": "ack", "a": 1})).await;
    client.send(state(false), None).expect("taken");
    assert_eq!(line.next_numbered().await.0, 2);
    drop(line);

    let mut line = fake.accept().await;
    assert!(matches!(line.next().await, ClientMessage::Resume { token, .. } if token == "newer"));
    line.json(resumed(0, true)).await;
    let (s, envelope) = line.next_numbered().await;
    assert_eq!((s, envelope.a), (1, None));
    line.numbered("peer.back", json!({"peer": "bob"})).await;
    assert!(matches!(next(&mut client).await, SignalEvent::Lost { .. }));
    assert_eq!(next(&mut client).await, SignalEvent::Resumed { fresh: true });
    assert!(matches!(next(&mut client).await, SignalEvent::Message { .. }));
}

#[tokio::test]
async fn a_server_that_lost_messages_without_knowing_it_ends_the_session() {
    let fake = Fake::new().await;
    let (mut client, line) = fake.session(Pace::default()).await;
    drop(line);
    let mut line = fake.accept().await;
    line.next().await;
    line.json(resumed(7, false)).await;
    assert!(matches!(failure(&mut client).await, SignalingError::Garbage { .. }));
}

#[tokio::test]
async fn a_session_that_the_server_has_forgotten_is_over() {
    let fake = Fake::new().await;
    let (mut client, line) = fake.session(Pace::default()).await;
    drop(line);
    let mut line = fake.accept().await;
    line.next().await;
    line.json(json!({"t": "error", "d": {"code": "resume_expired", "message": "Too late.", "fatal": true}}))
        .await;
    assert!(matches!(failure(&mut client).await, SignalingError::Expired { .. }));
}

#[tokio::test]
async fn a_server_that_does_not_come_back_is_given_up_when_its_time_is_over() {
    let fake = Fake::new().await;
    let (mut client, line) = fake.session_with(quick(), json!({"resume_ms": 400})).await;
    drop(line);
    drop(fake);
    assert!(matches!(next(&mut client).await, SignalEvent::Lost { .. }));
    let error = failure(&mut client).await;
    assert!(matches!(error, SignalingError::Expired { .. }), "{error:?}");
}

#[tokio::test]
async fn garbage_during_a_resume_is_met_with_another_attempt() {
    let fake = Fake::new().await;
    let (mut client, line) = fake.session(Pace::default()).await;
    drop(line);
    let mut line = fake.accept().await;
    line.next().await;
    line.raw(Message::text("garbage")).await;
    let mut line = fake.accept().await;
    line.next().await;
    line.json(resumed(0, false)).await;
    assert!(matches!(next(&mut client).await, SignalEvent::Lost { .. }));
    assert_eq!(next(&mut client).await, SignalEvent::Resumed { fresh: false });
}

#[tokio::test]
async fn a_silent_server_is_left_and_found_again() {
    let fake = Fake::new().await;
    let (mut client, _line) = fake.session_with(quick(), json!({"ping_ms": 1000})).await;
    assert!(matches!(next(&mut client).await, SignalEvent::Lost { reason } if reason.contains("silent")));
    let mut line = fake.accept().await;
    line.next().await;
    line.json(resumed(0, false)).await;
    assert_eq!(next(&mut client).await, SignalEvent::Resumed { fresh: false });
}

#[tokio::test]
async fn a_draining_server_is_met_again_when_it_says() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(Pace::default()).await;
    line.json(json!({"t": "drain", "d": {"retry_ms": [40, 60]}})).await;
    line.raw(Message::Close(Some(CloseFrame { code: 1012.into(), reason: "restarting".into() }))).await;
    let event = next(&mut client).await;
    assert!(matches!(&event, SignalEvent::Lost { reason } if reason.contains("restarting")), "{event:?}");
    let mut line = fake.accept().await;
    assert!(matches!(line.next().await, ClientMessage::Resume { .. }));
}

#[tokio::test]
async fn a_server_that_ends_the_session_is_believed() {
    let bye = Message::text(json!({"t": "bye", "d": {"reason": "closing time"}}).to_string());
    let fatal = json!({"t": "error", "d": {"code": "bad_request", "message": "closing time", "fatal": true}});
    let replaced = Message::Close(Some(CloseFrame { code: 4004.into(), reason: "closing time".into() }));
    for message in [bye, Message::text(fatal.to_string()), replaced] {
        let fake = Fake::new().await;
        let (mut client, mut line) = fake.session(Pace::default()).await;
        line.raw(message).await;
        let error = failure(&mut client).await;
        assert!(matches!(&error, SignalingError::Told { .. }), "{error:?}");
        assert!(error.to_string().contains("closing time"));
    }
}
