//! Until the session begins, or is given up.

use super::*;

#[tokio::test]
async fn a_name_that_does_not_exist_is_told() {
    let url: ServerUrl = "ws://no-such-host.invalid:7000/".parse().expect("a URL");
    let error = failure(&mut connect(url, "Ada".into(), Dialer::default())).await;
    // Where DNS itself cannot be reached, only the time runs out.
    assert!(
        matches!(error, SignalingError::NameNotFound { .. } | SignalingError::TimedOut { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("no-such-host.invalid:7000"));
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told() {
    let url = Fake::new().await.url();
    let error = failure(&mut connect(url.clone(), "Ada".into(), Dialer::default())).await;
    assert_eq!(error, SignalingError::Refused { server: url.authority() });
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let fake = Fake::new().await;
    let mut client = connect_at_pace(fake.url(), "Ada".into(), Dialer::default(), quick());
    let _open = fake.tcp().await;
    assert!(matches!(failure(&mut client).await, SignalingError::TimedOut { .. }));
}

#[tokio::test]
async fn a_server_that_greets_too_late_is_given_up() {
    let fake = Fake::new().await;
    let pace = Pace { greet: Duration::from_millis(50), ..Pace::default() };
    let mut client = connect_at_pace(fake.url(), "Ada".into(), Dialer::default(), pace);
    let _line = fake.accept().await;
    assert!(matches!(failure(&mut client).await, SignalingError::TimedOut { .. }));
}

#[tokio::test]
async fn something_else_than_our_server_is_told() {
    for (answer, part) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "200"),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "not a Sightline server"),
        ("", "not a Sightline server"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: wrong\r\n\r\n",
            "not a Sightline server",
        ),
    ] {
        let fake = Fake::new().await;
        let mut client = connect(fake.url(), "Ada".into(), Dialer::default());
        let mut tcp = fake.tcp().await;
        let mut request = [0; 4096];
        assert!(tcp.read(&mut request).await.expect("a request") > 0);
        tcp.write_all(answer.as_bytes()).await.expect("written");
        tcp.shutdown().await.ok();
        let error = failure(&mut client).await;
        assert!(matches!(error, SignalingError::NotSightline { .. }), "{answer:?}: {error:?}");
        assert!(error.to_string().contains(part), "{answer:?}: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let fake = Fake::new().await;
    let mut client = connect_at_pace(fake.url(), "Ada".into(), Dialer::default(), quick());
    let mut tcp = fake.tcp().await;
    tcp.write_all(b"HTTP/1.1 101 X\r\n").await.expect("written");
    let flood = tokio::spawn(async move { while tcp.write_all(&[b'x'; 65536]).await.is_ok() {} });
    let error = failure(&mut client).await;
    assert!(
        matches!(error, SignalingError::NotSightline { .. } | SignalingError::TimedOut { .. }),
        "{error:?}"
    );
    timeout(PATIENCE, flood).await.expect("the client hangs up").expect("no panic");
}

#[tokio::test]
async fn another_version_is_told() {
    let fatal = json!({"t": "error", "d": {"code": "bad_version", "message": "Only 7.", "fatal": true}});
    let later = json!({"t": "welcome", "d": {"v": 2, "peer": "a", "resume": "t", "ping_ms": 1, "resume_ms": 1,
        "server": "x", "time": 0}});
    for answer in [fatal, later] {
        let fake = Fake::new().await;
        let mut client = connect(fake.url(), "Ada".into(), Dialer::default());
        let mut line = fake.accept().await;
        line.json(answer).await;
        let error = failure(&mut client).await;
        assert!(matches!(error, SignalingError::Version { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_full_says_so_in_its_own_words() {
    let fake = Fake::new().await;
    let mut client = connect(fake.url(), "Ada".into(), Dialer::default());
    let mut line = fake.accept().await;
    line.json(
        json!({"t": "error", "d": {"code": "server_full", "message": "No more room here.", "fatal": true}}),
    )
    .await;
    let error = failure(&mut client).await;
    assert!(matches!(&error, SignalingError::Told { code: Some(ErrorCode::ServerFull), .. }), "{error:?}");
    assert!(error.to_string().contains("No more room here."));
}

#[tokio::test]
async fn what_is_not_of_the_protocol_ends_the_session_in_words() {
    let sig = |s: Value| json!({"t": "peer.away", "s": s, "d": {"peer": "bob"}}).to_string();
    for (message, part) in [
        (Message::text("not json"), "not valid JSON"),
        (Message::text("{}"), "not valid JSON"),
        (Message::text("x".repeat(MAX_MESSAGE + 1)), "bytes; at most 65536"),
        (Message::text("x".repeat(3_000_000)), "at most 65536"),
        (Message::binary(vec![0; 10]), "binary"),
        (Message::text(sig(json!(5))), "number 5 instead of 1"),
        (Message::text(sig(json!(0))), "number 0 instead of 1"),
        (Message::text(sig(Value::Null)), "number none instead of 1"),
        (
            Message::text(json!({"t": "peer.away", "s": 1, "d": {"peer": "not an id"}}).to_string()),
            "peer.away",
        ),
        (Message::text(resumed(0, false).to_string()), "in the middle"),
    ] {
        let fake = Fake::new().await;
        let (mut client, mut line) = fake.session(Pace::default()).await;
        line.stream.send(message).await.ok();
        let error = failure(&mut client).await;
        assert!(matches!(error, SignalingError::Garbage { .. }), "{part}: {error:?}");
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn unknown_messages_and_fields_of_a_later_version_are_skipped_but_counted() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(Pace::default()).await;
    line.json(json!({"t": "later.control", "d": {"x": 1}})).await;
    line.numbered("later", json!({"x": 1})).await;
    line.numbered("peer.away", json!({"peer": "bob", "later": 1})).await;
    let SignalEvent::Message { message, .. } = next(&mut client).await else { panic!("no message") };
    assert!(matches!(message, ServerMessage::PeerAway { .. }));
}
