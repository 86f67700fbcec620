//! What clients send that are broken, or hostile, and what a browser sees.

mod common;

use std::time::Duration;

use common::{Client, PATIENCE, Server, call};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use signaling_protocol::{ClientMessage, ErrorCode, MAX_MESSAGE, ServerMessage as M};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest, http::HeaderValue};

async fn fatal(client: &mut Client) -> ErrorCode {
    match client.next().await {
        M::Error { code, message, fatal: true, .. } => {
            assert!(!message.is_empty());
            code
        }
        other => panic!("{other:?} instead of a fatal error"),
    }
}

#[tokio::test]
async fn a_version_that_nobody_speaks_is_refused() {
    let server = Server::start().await;
    let mut client = Client::connect(server.address).await;
    client.control(&ClientMessage::Hello { v: vec![7, 9], client: "t".into(), name: "Ada".into() }).await;
    assert_eq!(fatal(&mut client).await, ErrorCode::BadVersion);
    assert_eq!(client.close_code().await, Some(4002));
}

#[tokio::test]
async fn the_first_message_has_to_be_hello() {
    let server = Server::start().await;
    for text in
        [r#"{"t":"room.leave","s":1,"d":{"room":"r"}}"#, "hello", "{}", "[]", "", r#"{"t":"hello"}"#, "\u{0}"]
    {
        let mut client = Client::connect(server.address).await;
        client.raw(text).await;
        assert_eq!(fatal(&mut client).await, ErrorCode::BadRequest, "{text:?}");
    }
}

#[tokio::test]
async fn garbage_of_one_participant_does_not_touch_the_other() {
    let server = Server::start().await;
    let (mut ada, mut bob) = call(&server, "north").await;
    ada.raw("\u{1F4A9} not json").await;
    assert_eq!(fatal(&mut ada).await, ErrorCode::BadRequest);
    assert!(matches!(bob.next().await, M::PeerLeft { .. }));
    bob.control(&ClientMessage::Ping).await;
    assert_eq!(bob.next().await, M::Pong);
}

#[tokio::test]
async fn wrong_content_is_refused_and_the_session_goes_on() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    ada.raw(r#"{"t":"room.open","s":1,"id":5,"d":{"room":"no spaces allowed"}}"#).await;
    let envelope = ada.envelope().await.expect("an answer");
    assert_eq!(envelope.re, Some(5));
    assert!(matches!(envelope.message(), Ok(M::Error { code: ErrorCode::BadRequest, fatal: false, .. })));
    ada.raw(r#"{"t":"of.the.future","s":2,"id":6}"#).await;
    assert!(matches!(ada.next().await, M::Error { code: ErrorCode::Unsupported, .. }));
    ada.raw(r#"{"t":"of.the.future","s":3,"d":{"ignored":true}}"#).await;
    ada.sent = 3;
    assert!(matches!(ada.open("north").await, M::RoomJoined { .. }));
}

#[tokio::test]
async fn a_number_out_of_order_ends_the_session_with_a_reason() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    ada.raw(r#"{"t":"state","s":2,"d":{"media":{"microphone":true,"camera":true}}}"#).await;
    let M::Error { code, message, fatal: true, .. } = ada.next().await else { panic!("accepted") };
    assert_eq!(code, ErrorCode::BadRequest);
    assert!(message.contains('2') && message.contains("expected was 1"), "{message}");
}

#[tokio::test]
async fn megabytes_are_refused_before_they_are_read() {
    let server = Server::start().await;
    let mut client = server.client("Ada").await;
    client.raw("x".repeat(MAX_MESSAGE + 1)).await;
    assert_eq!(fatal(&mut client).await, ErrorCode::TooLarge);

    let mut client = server.client("Ada").await;
    // The server may close before all is written.
    client.stream.send(Message::text("x".repeat(20 << 20))).await.ok();
    timeout(PATIENCE, client.close_code()).await.expect("an end");
}

#[tokio::test]
async fn a_signal_that_is_too_large_is_refused_and_the_session_goes_on() {
    let server = Server::start().await;
    let (mut ada, mut bob) = call(&server, "north").await;
    ada.sig(&bob.peer, json!("x".repeat(33 * 1024))).await;
    assert!(matches!(ada.next().await, M::Error { code: ErrorCode::TooLarge, fatal: false, .. }));
    ada.sig(&bob.peer, json!("x".repeat(31 * 1024))).await;
    assert!(matches!(bob.next().await, M::Sig { .. }));
}

#[tokio::test]
async fn binary_frames_are_refused() {
    let server = Server::start().await;
    let mut client = server.client("Ada").await;
    client.stream.send(Message::binary(vec![1, 2, 3])).await.expect("sent");
    assert_eq!(fatal(&mut client).await, ErrorCode::BadRequest);
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_then_cut_off() {
    let server = Server::start().await;
    let client = server.client("Ada").await;
    let ping = r#"{"t":"ping"}"#;
    let (mut write, read) = client.stream.split();
    let flood = tokio::spawn(async move {
        for _ in 0..5000 {
            if write.send(Message::text(ping)).await.is_err() {
                return;
            }
        }
    });
    let frames: Vec<_> = timeout(PATIENCE, read.collect()).await.expect("it is cut off");
    flood.await.expect("no panic");
    let pongs =
        frames.iter().filter(|frame| matches!(frame, Ok(Message::Text(t)) if t.contains("pong"))).count();
    assert!((200..1000).contains(&pongs), "{pongs} of 5000 were answered");
}

#[tokio::test]
async fn one_address_has_no_more_than_its_share_of_sockets() {
    let server = Server::with(|config| config.sockets_per_address = 3).await;
    let mut held = Vec::new();
    for name in ["a", "b", "c"] {
        held.push(server.client(name).await);
    }
    let mut fourth = TcpStream::connect(server.address).await.expect("the system accepts");
    fourth.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.ok();
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, fourth.read_to_end(&mut answer)).await.expect("an end");
    assert!(read.is_err() || answer.is_empty(), "no answer");
    held.pop();
    // The server notices the closed socket in its own time.
    let again = async {
        while !get(&server, "/healthz", "").await.starts_with("HTTP/1.1 200") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("there is a place again");
}

async fn get(server: &Server, path: &str, headers: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(server.address).await else { return String::new() };
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n", server.address);
    if stream.write_all(request.as_bytes()).await.is_err() {
        return String::new();
    }
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_browser_sees_a_page_for_a_link_and_nothing_else() {
    let server = Server::start().await;
    let page = get(&server, "/r/amber-otter-42", "").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("sightline://"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(!page.contains("amber"), "nothing of the request is in the page");
    assert!(get(&server, "/", "").await.contains("A Sightline server"));
    assert!(get(&server, "/healthz", "").await.ends_with("ok\n"));
    for path in ["/r/", "/r/a/b", "/r/%3Cscript%3E", "/etc/passwd", "/../x", "/metrics"] {
        assert!(get(&server, path, "").await.starts_with("HTTP/1.1 404"), "{path}");
    }
    let long = format!("/{}", "x".repeat(100_000));
    assert!(!get(&server, &long, "").await.contains("200 OK"));
}

#[tokio::test]
async fn a_web_page_of_another_site_and_a_client_of_another_protocol_are_kept_out() {
    let server = Server::start().await;
    let connect = async |protocol: Option<&'static str>, origin: Option<&'static str>| {
        let mut request = format!("ws://{}/", server.address).into_client_request().expect("a URL");
        let mut add = |name: &'static str, value: Option<&'static str>| {
            if let Some(value) = value {
                request.headers_mut().insert(name, HeaderValue::from_static(value));
            }
        };
        add("sec-websocket-protocol", protocol);
        add("origin", origin);
        let stream = TcpStream::connect(server.address).await.expect("the server listens");
        match tokio_tungstenite::client_async(request, stream).await {
            Ok(_) => 101,
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => answer.status().as_u16(),
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(connect(Some("sightline.v1"), None).await, 101);
    assert_eq!(connect(Some("sightline.v1"), Some("https://evil.example")).await, 403);
    assert_eq!(connect(Some("sightline.v2"), None).await, 400);
    assert_eq!(connect(None, None).await, 400);
}

#[tokio::test]
async fn tls_works_with_the_certificate_from_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let tls = sightline_server::config::read_tls(&cert, &key).expect("a certificate and its key");
    let server = Server::with(|config| config.tls = Some(tls)).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("of ring")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(server.address).await.expect("the server listens");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let mut stream = connector.connect(name, stream).await.expect("a TLS session");
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200"));

    // Plain HTTP on the same port gets nowhere, and hurts nobody.
    assert!(!get(&server, "/healthz", "").await.contains("200 OK"));
}
