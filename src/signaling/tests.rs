//! Against servers that misbehave in every way there is, and against the real one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use signaling_protocol::{
    Admission, ClientMessage, Envelope, ErrorCode, MAX_MESSAGE, MediaState, RoomId, SUBPROTOCOL,
    ServerMessage,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::*;
use crate::clock;
use crate::dial::{Dialer, Trust};
use crate::proxy::Proxies;
use crate::server_url::ServerUrl;

/// Never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Limits that a test can wait for.
fn quick() -> Pace {
    Pace {
        open: Duration::from_millis(300),
        greet: Duration::from_millis(300),
        write: Duration::from_millis(500),
        answer: Duration::from_millis(50),
        tick: Duration::from_millis(10),
    }
}

/// A server that does what its test says.
struct Fake {
    listener: TcpListener,
}

/// One socket of it.
struct Line<S = TcpStream> {
    stream: WebSocketStream<S>,
    sent: u64,
}

impl Fake {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port") }
    }

    fn url(&self) -> ServerUrl {
        format!("ws://{}/", self.listener.local_addr().expect("bound")).parse().expect("a URL")
    }

    async fn tcp(&self) -> TcpStream {
        timeout(PATIENCE, self.listener.accept()).await.expect("somebody connects").expect("a socket").0
    }

    async fn accept(&self) -> Line {
        Line::over(self.tcp().await).await
    }

    /// A client with a session, and the server's end of it.
    async fn session(&self, pace: Pace) -> (SignalingHandle, Line) {
        self.session_with(pace, json!({})).await
    }

    async fn session_with(&self, pace: Pace, change: Value) -> (SignalingHandle, Line) {
        let mut client = connect_at_pace(self.url(), "Ada".into(), Dialer::default(), pace);
        let mut line = self.accept().await;
        assert!(matches!(line.next().await, ClientMessage::Hello { name, .. } if name == "Ada"));
        line.welcome(change).await;
        assert!(
            matches!(next(&mut client).await, SignalEvent::Connected { peer, .. } if peer.as_str() == "ada")
        );
        (client, line)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    async fn over(stream: S) -> Self {
        #[allow(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let protocol = |request: &Request, mut response: Response| {
            assert_eq!(
                request.headers().get("sec-websocket-protocol"),
                Some(&HeaderValue::from_static(SUBPROTOCOL))
            );
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        let stream = tokio_tungstenite::accept_hdr_async(stream, protocol).await.expect("a WebSocket");
        Self { stream, sent: 0 }
    }

    async fn raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("the socket is open");
    }

    async fn json(&mut self, value: Value) {
        self.raw(Message::text(value.to_string())).await;
    }

    async fn welcome(&mut self, change: Value) {
        let mut d = json!({"v": 1, "peer": "ada", "resume": "token", "ping_ms": 10_000, "resume_ms": 60_000,
            "server": "fake", "time": 0});
        d.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.json(json!({"t": "welcome", "d": d})).await;
    }

    /// A numbered message.
    async fn numbered(&mut self, t: &str, d: Value) {
        self.sent += 1;
        self.json(json!({"t": t, "s": self.sent, "d": d})).await;
    }

    async fn envelope(&mut self) -> Envelope {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await.expect("something comes");
            match frame.expect("open").expect("a frame") {
                Message::Text(text) => return Envelope::parse(text.as_str()).expect("an envelope"),
                Message::Close(_) => panic!("the client closed"),
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> ClientMessage {
        self.envelope().await.message().expect("a message")
    }

    /// The next message with a number.
    async fn next_numbered(&mut self) -> (u64, Envelope) {
        loop {
            let envelope = self.envelope().await;
            if let Some(s) = envelope.s {
                return (s, envelope);
            }
        }
    }
}

async fn next(client: &mut SignalingHandle) -> SignalEvent {
    loop {
        let event = timeout(PATIENCE, client.next_event()).await.expect("something happens");
        match event.expect("the session tells something") {
            SignalEvent::RoundTrip(_) => {}
            event => return event,
        }
    }
}

async fn failure(client: &mut SignalingHandle) -> SignalingError {
    loop {
        if let SignalEvent::Failed(error) = next(client).await {
            assert!(client.next_event().await.is_none(), "a failure is the last event");
            return error;
        }
    }
}

fn state(microphone: bool) -> ClientMessage {
    ClientMessage::State { media: MediaState { microphone, camera: false, screen: false } }
}

fn resumed(last: u64, fresh: bool) -> Value {
    json!({"t": "resumed", "d": {"resume": "token2", "last": last, "fresh": fresh}})
}

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

#[tokio::test]
async fn requests_carry_their_id_and_answers_bring_it_back() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(Pace::default()).await;
    client.send(state(true), Some(42)).expect("taken");
    let (s, envelope) = line.next_numbered().await;
    assert_eq!((s, envelope.id), (1, Some(42)));
    line.sent += 1;
    line.json(json!({"t": "error", "s": 1, "re": 42, "a": 1, "d": {"code": "not_found", "message": "No."}}))
        .await;
    assert!(matches!(next(&mut client).await, SignalEvent::Message { re: Some(42), .. }));
}

#[tokio::test]
async fn pings_are_answered_and_the_round_trip_is_measured() {
    let fake = Fake::new().await;
    let (mut client, mut line) = fake.session(quick()).await;
    line.json(json!({"t": "ping"})).await;
    let (mut ponged, mut pinged) = (false, false);
    while !(ponged && pinged) {
        match line.next().await {
            ClientMessage::Pong => ponged = true,
            ClientMessage::Ping => {
                pinged = true;
                line.json(json!({"t": "pong"})).await;
            }
            _ => {}
        }
    }
    let event = timeout(PATIENCE, client.next_event()).await.expect("an event");
    assert!(matches!(event, Some(SignalEvent::RoundTrip(time)) if time < PATIENCE));
}

#[tokio::test]
async fn sixteen_messages_are_acknowledged_at_once_and_one_within_a_tick() {
    let fake = Fake::new().await;
    let (_client, mut line) = fake.session(Pace { tick: Duration::from_secs(3600), ..Pace::default() }).await;
    for _ in 0..16 {
        line.numbered("peer.away", json!({"peer": "bob"})).await;
    }
    while line.envelope().await.a != Some(16) {}

    let (_client, mut line) = fake.session(quick()).await;
    line.numbered("peer.away", json!({"peer": "bob"})).await;
    while line.envelope().await.a != Some(1) {}
}

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

#[tokio::test]
async fn closing_sends_what_waits_and_then_says_goodbye() {
    let fake = Fake::new().await;
    let (client, mut line) = fake.session(Pace::default()).await;
    for _ in 0..20 {
        client.send(state(true), None).expect("taken");
    }
    let closing = tokio::spawn(client.close(clock::now() + PATIENCE));
    for s in 1..=20 {
        assert_eq!(line.next_numbered().await.0, s);
    }
    assert_eq!(line.next().await, ClientMessage::Bye);
    drop(line);
    closing.await.expect("closed");
}

#[tokio::test]
async fn closing_does_not_wait_beyond_its_deadline() {
    let fake = Fake::new().await;
    let (client, _line) = fake.session(Pace::default()).await;
    timeout(PATIENCE, client.close(clock::now() + Duration::from_millis(50))).await.expect("given up");
    // While nothing is connected there is nothing to wait for.
    let client = connect(fake.url(), "Ada".into(), Dialer::default());
    timeout(PATIENCE, client.close(clock::now() + PATIENCE)).await.expect("closed");
}

#[tokio::test]
async fn dropping_the_handle_says_goodbye_too() {
    let fake = Fake::new().await;
    let (client, mut line) = fake.session(Pace::default()).await;
    drop(client);
    assert_eq!(line.next().await, ClientMessage::Bye);
}

#[tokio::test]
async fn a_certificate_is_trusted_from_a_file_and_refused_in_words_without_it() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = rustls_pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("a certificate");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let fake = Fake::new().await;
    let port = fake.url().port();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, own.cert.pem()).expect("written");
    let trust = Dialer::new(Trust::with_file(&file).expect("a certificate"), Proxies::None);

    let serving = tokio::spawn(async move {
        acceptor.accept(fake.tcp().await).await.err();
        acceptor.accept(fake.tcp().await).await.err();
        let mut line = Line::over(acceptor.accept(fake.tcp().await).await.expect("TLS")).await;
        line.next().await;
        line.welcome(json!({})).await;
        // Plain text where TLS is expected.
        let mut tcp = fake.tcp().await;
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        (line, tcp)
    });
    let url = |host: &str| -> ServerUrl { format!("wss://{host}:{port}/").parse().expect("a URL") };
    let fails = async |host: &str, trust: &Dialer, part: &str| {
        let error = failure(&mut connect(url(host), "Ada".into(), trust.clone())).await;
        assert!(matches!(error, SignalingError::Tls { .. }) && error.to_string().contains(part), "{error}");
    };
    fails("127.0.0.1", &Dialer::default(), "certificate").await;
    fails("127.0.0.1", &trust, "another name").await;
    // `localhost` may be `::1` first, where nobody listens: the next address is tried.
    let mut client = connect(url("localhost"), "Ada".into(), trust.clone());
    assert!(matches!(next(&mut client).await, SignalEvent::Connected { .. }));
    fails("127.0.0.1", &trust, "does not speak TLS").await;
    serving.await.expect("served");
}

#[tokio::test]
async fn a_session_goes_through_the_proxy_that_is_named_and_its_refusals_are_told() {
    let fake = Fake::new().await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let through = format!("http://ann:secret@{}", proxy.local_addr().expect("an address"));
    let dialer = Dialer::new(Trust::system(), Proxies::named(&through).expect("a proxy"));
    // The name means something to the proxy only.
    let url: ServerUrl = "ws://signaling.invalid:7443/".parse().expect("a URL");
    let server = fake.url().port();
    let proxying = tokio::spawn(async move {
        for answer in
            ["HTTP/1.1 407 Who?\r\n\r\n", "HTTP/1.1 403 Not there\r\n\r\n", "", "HTTP/1.1 200 OK\r\n\r\n"]
        {
            let (mut tcp, _) = proxy.accept().await.expect("somebody");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(tcp.read_u8().await.expect("a request"));
            }
            let head = String::from_utf8(head).expect("text");
            assert!(head.starts_with("CONNECT signaling.invalid:7443 HTTP/1.1\r\n"), "{head}");
            assert!(head.contains("Proxy-Authorization: Basic YW5uOnNlY3JldA=="), "{head}");
            tcp.write_all(answer.as_bytes()).await.expect("written");
            if answer.contains("200") {
                let mut there = TcpStream::connect(("127.0.0.1", server)).await.expect("the server");
                tokio::io::copy_bidirectional(&mut tcp, &mut there).await.ok();
            }
        }
    });
    for part in ["refuses the user name", "to signaling.invalid:7443: it says 403", "closes the connection"] {
        let error = failure(&mut connect(url.clone(), "Ada".into(), dialer.clone())).await.to_string();
        assert!(error.contains(part) && error.contains("the proxy 127.0.0.1:"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let mut client = connect(url.clone(), "Ada".into(), dialer);
    let mut line = fake.accept().await;
    line.next().await;
    line.welcome(json!({})).await;
    assert!(matches!(next(&mut client).await, SignalEvent::Connected { .. }));
    client.close(clock::now()).await;
    proxying.abort();
    let dead = Dialer::new(Trust::system(), Proxies::named("127.0.0.1:9").expect("a proxy"));
    let error = failure(&mut connect(url, "Ada".into(), dead)).await.to_string();
    assert!(error.contains("the proxy 127.0.0.1:9 cannot be used: nothing answers"), "{error}");
}

mod anything {
    use super::*;
    use proptest::prelude::*;

    fn any_frame() -> impl Strategy<Value = Message> {
        prop_oneof![
            "\\PC{0,80}".prop_map(Message::text),
            proptest::collection::vec(any::<u8>(), 0..80).prop_map(Message::binary),
            (
                proptest::sample::select(<ServerMessage as signaling_protocol::Message>::TYPES),
                any::<Option<u8>>(),
                any::<Option<u64>>()
            )
                .prop_map(|(t, s, a)| Message::text(json!({"t": t, "s": s, "a": a, "d": {}}).to_string())),
            Just(Message::Ping(vec![1, 2, 3].into())),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn whatever_a_server_sends_the_session_goes_on_or_ends_in_words(
            frames in proptest::collection::vec(any_frame(), 1..12),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let fake = Fake::new().await;
                let (mut client, mut line) = fake.session(Pace::default()).await;
                for frame in frames {
                    if line.stream.send(frame).await.is_err() {
                        break;
                    }
                }
                line.stream.send(Message::text("the end")).await.ok();
                let error = failure(&mut client).await;
                assert!(!error.to_string().is_empty());
            });
        }
    }
}

/// The real server, as the application starts it.
struct Real {
    address: std::net::SocketAddr,
    stop: sightline_server::CancellationToken,
}

impl Real {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut config = sightline_server::Config::lan(address);
        if let Some(turn) = &mut config.turn {
            turn.listen.set_port(0);
        }
        let stop = sightline_server::CancellationToken::new();
        tokio::spawn(sightline_server::run(listener, config, stop.clone()));
        Self { address, stop }
    }

    async fn client(&self, name: &str) -> (SignalingHandle, PeerId) {
        let url = format!("ws://{}/", self.address).parse().expect("a URL");
        let mut client = connect(url, name.into(), Dialer::default());
        let SignalEvent::Connected { peer, .. } = next(&mut client).await else { panic!("not connected") };
        (client, peer)
    }
}

async fn message(client: &mut SignalingHandle) -> (ServerMessage, Option<u64>) {
    match next(client).await {
        SignalEvent::Message { message, re } => (message, re),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn two_people_meet_at_the_real_server() {
    let real = Real::start().await;
    let room = RoomId::new("room").expect("a room");
    let (mut ada, ada_id) = real.client("Ada").await;
    let (mut bob, bob_id) = real.client("Bob").await;
    let media = MediaState::default();
    ada.send(
        ClientMessage::RoomOpen { room: room.clone(), admission: Admission::Knock, max: 2, media },
        Some(1),
    )
    .expect("taken");
    assert!(matches!(message(&mut ada).await, (ServerMessage::RoomJoined { .. }, Some(1))));
    bob.send(ClientMessage::RoomKnock { room: room.clone(), signals: vec![json!("offer")], media }, Some(7))
        .expect("taken");
    assert!(matches!(message(&mut bob).await, (ServerMessage::RoomKnocking { .. }, Some(7))));
    let (ServerMessage::RoomKnocked { from, signals, .. }, _) = message(&mut ada).await else {
        panic!("no knock")
    };
    assert_eq!((from.peer.clone(), from.name.as_str(), signals), (bob_id, "Bob", vec![json!("offer")]));
    ada.send(ClientMessage::RoomAdmit { room, peer: from.peer, signals: vec![json!("answer")] }, Some(2))
        .expect("taken");
    let (ServerMessage::RoomJoined { by, signals, .. }, _) = message(&mut bob).await else {
        panic!("not in")
    };
    assert_eq!((by, signals), (Some(ada_id), vec![json!("answer")]));
    bob.close(clock::now() + PATIENCE).await;
    assert!(matches!(message(&mut ada).await, (ServerMessage::PeerJoined { .. }, _)));
    let (left, _) = message(&mut ada).await;
    assert!(matches!(left, ServerMessage::PeerLeft { .. }), "{left:?}");
    real.stop.cancel();
}

#[tokio::test]
async fn a_session_with_the_real_server_survives_its_socket() {
    let real = Real::start().await;
    let cut = Cut::between(real.address).await;
    let mut ada = connect(cut.url(), "Ada".into(), Dialer::default());
    assert!(matches!(next(&mut ada).await, SignalEvent::Connected { .. }));
    let room = RoomId::new("room").expect("a room");
    let open = ClientMessage::RoomOpen {
        room: room.clone(),
        admission: Admission::Open,
        max: 2,
        media: MediaState::default(),
    };
    ada.send(open, Some(1)).expect("taken");
    assert!(matches!(message(&mut ada).await, (ServerMessage::RoomJoined { .. }, Some(1))));
    for round in 0..3 {
        cut.cut();
        assert!(matches!(next(&mut ada).await, SignalEvent::Lost { .. }));
        ada.send(ClientMessage::TurnGet { room: room.clone() }, Some(100 + round)).expect("it waits");
        assert_eq!(next(&mut ada).await, SignalEvent::Resumed { fresh: false });
        assert!(
            matches!(message(&mut ada).await, (ServerMessage::TurnServers { .. }, Some(re)) if re == 100 + round)
        );
    }
    real.stop.cancel();
}

/// The real server in a runtime of its own, which can be killed: every task is gone at once and no
/// socket is said goodbye to.
struct Mortal {
    runtime: tokio::runtime::Runtime,
    address: std::net::SocketAddr,
}

impl Mortal {
    fn start(address: std::net::SocketAddr, secret: &sightline_server::secret::Secret) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let secret = secret.clone();
        let address = runtime.block_on(async move {
            // The old process's sockets may take a moment to be gone.
            let listener = loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            };
            let address = listener.local_addr().expect("bound");
            let config =
                sightline_server::Config { turn: None, secret, ..sightline_server::Config::lan(address) };
            let stop = sightline_server::CancellationToken::new();
            tokio::spawn(sightline_server::run(listener, config, stop));
            address
        });
        Self { runtime, address }
    }

    fn kill(self) {
        self.runtime.shutdown_background();
    }
}

#[test]
fn a_session_and_its_room_survive_the_death_of_the_real_server() {
    let secret = sightline_server::secret::Secret::random();
    let mortal = Mortal::start("127.0.0.1:0".parse().expect("an address"), &secret);
    let address = mortal.address;
    let url: ServerUrl = format!("ws://{address}/").parse().expect("a URL");
    let clients = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let room = RoomId::new("room").expect("a room");
    let media = MediaState::default();
    let (mut ada, mut bob) = clients.block_on(async {
        let mut ada = connect(url.clone(), "Ada".into(), Dialer::default());
        let mut bob = connect(url.clone(), "Bob".into(), Dialer::default());
        assert!(matches!(next(&mut ada).await, SignalEvent::Connected { .. }));
        assert!(matches!(next(&mut bob).await, SignalEvent::Connected { .. }));
        let open = ClientMessage::RoomOpen { room: room.clone(), admission: Admission::Knock, max: 2, media };
        ada.send(open, Some(1)).expect("taken");
        message(&mut ada).await;
        bob.send(
            ClientMessage::RoomKnock { room: room.clone(), signals: vec![json!("offer")], media },
            Some(1),
        )
        .expect("taken");
        let (ServerMessage::RoomKnocked { from, .. }, _) = message(&mut ada).await else {
            panic!("no knock")
        };
        ada.send(ClientMessage::RoomAdmit { room, peer: from.peer, signals: vec![json!("answer")] }, Some(2))
            .expect("taken");
        assert!(matches!(message(&mut ada).await, (ServerMessage::PeerJoined { .. }, _)));
        message(&mut bob).await;
        assert!(matches!(message(&mut bob).await, (ServerMessage::RoomJoined { .. }, _)));
        (ada, bob)
    });
    mortal.kill();
    clients.block_on(async {
        assert!(matches!(next(&mut ada).await, SignalEvent::Lost { .. }));
        assert!(matches!(next(&mut bob).await, SignalEvent::Lost { .. }));
    });
    let mortal = Mortal::start(address, &secret);
    clients.block_on(async {
        assert_eq!(next(&mut ada).await, SignalEvent::Resumed { fresh: true });
        assert_eq!(next(&mut bob).await, SignalEvent::Resumed { fresh: true });
        bob.send(
            ClientMessage::State { media: MediaState { microphone: true, camera: true, screen: false } },
            None,
        )
        .expect("taken");
        // In between, Ada may hear that Bob was away and is back.
        loop {
            if let (ServerMessage::State { media, .. }, _) = message(&mut ada).await {
                assert!(media.camera);
                break;
            }
        }
    });
    drop((ada, bob));
    drop(clients);
    mortal.kill();
}

/// A wire that can be cut.
struct Cut {
    address: std::net::SocketAddr,
    cut: Arc<tokio::sync::Notify>,
}

impl Cut {
    async fn between(server: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let cut = Arc::new(tokio::sync::Notify::new());
        let wait = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Ok(mut far) = TcpStream::connect(server).await else { return };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    () = wait.notified() => {}
                }
            }
        });
        Self { address, cut }
    }

    fn url(&self) -> ServerUrl {
        format!("ws://{}/", self.address).parse().expect("a URL")
    }

    fn cut(&self) {
        self.cut.notify_one();
    }
}
