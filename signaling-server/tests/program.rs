//! The program itself: killed and started again under a call, and told nonsense.

mod common;

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use common::{Client, room};
use serde_json::json;
use signaling_protocol::{Admission, ClientMessage, ErrorCode, MediaState, ServerMessage as M};

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sightline-server"))
}

/// The program, ended when dropped.
struct Program(Child);

impl Program {
    fn start(address: SocketAddr, state: &Path) -> Self {
        Self::with(address, state, "http", &[])
    }

    fn with(address: SocketAddr, state: &Path, scheme: &str, flags: &[&OsStr]) -> Self {
        let mut child = command()
            .args(["--listen", &address.to_string(), "--turn-listen", "127.0.0.1:0", "--state-dir"])
            .arg(state)
            .args(flags)
            .env("RUST_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = child.stderr.take().expect("piped");
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let connect = format!("{scheme}://{address}/");
        assert!(lines.any(|line| line.contains(&connect)), "the log says where to connect");
        assert!(lines.any(|line| line.contains("The relay works")), "the log says that the relay works");
        // Somebody has to read on, or the program would wait for it.
        std::thread::Builder::new().spawn(move || lines.count()).expect("a thread");
        Self(child)
    }

    /// kill -9: no goodbye.
    fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ends");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port")
}

async fn joined(address: SocketAddr) -> (Client, Client) {
    let mut ada = Client::connect(address).await;
    ada.hello("Ada").await;
    let mut bob = Client::connect(address).await;
    bob.hello("Bob").await;
    ada.open("north").await;
    bob.knock("north").await;
    ada.next().await;
    ada.send(&ClientMessage::RoomAdmit { room: room("north"), peer: bob.peer.clone(), signals: vec![] })
        .await;
    bob.next().await;
    ada.next().await;
    let (of_ada, of_bob) = (ada.token.clone(), bob.token.clone());
    ada.newer_token(&of_ada).await;
    bob.newer_token(&of_bob).await;
    (ada, bob)
}

async fn come_back(address: SocketAddr, old: &Client) -> Client {
    let mut new = Client::connect(address).await;
    new.peer = old.peer.clone();
    new.control(&ClientMessage::Resume { token: old.token.clone(), last: old.received }).await;
    match new.next().await {
        M::Resumed { fresh: true, last: 0, resume } => new.token = resume,
        other => panic!("{other:?} instead of resumed"),
    }
    new
}

#[tokio::test]
async fn a_call_survives_a_killed_server_without_a_knock() {
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let program = Program::start(address, folder.path());
    let (ada, bob) = joined(address).await;
    program.kill();
    let _program = Program::start(address, folder.path());

    let mut bob = come_back(address, &bob).await;
    assert_eq!(bob.next().await, M::PeerAway { peer: ada.peer.clone() });
    assert!(matches!(bob.next().await, M::TurnServers { .. }), "the relay is another one now");
    let mut ada = come_back(address, &ada).await;
    assert_eq!(ada.next().await, M::PeerBack { peer: bob.peer.clone() });
    assert!(matches!(ada.next().await, M::TurnServers { .. }));
    assert_eq!(bob.next().await, M::PeerBack { peer: ada.peer.clone() });
    ada.sig(&bob.peer, json!("restart")).await;
    assert_eq!(bob.next().await, M::Sig { from: ada.peer.clone(), signal: json!("restart") });
    bob.send(&ClientMessage::TurnGet { room: room("north") }).await;
    let M::TurnServers { ice_servers, .. } = bob.next().await else { panic!("no relay") };
    assert_eq!(ice_servers.len(), 2);
}

#[tokio::test]
async fn a_server_with_another_secret_does_not_take_anybody_back() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let address = free_address();
    let program = Program::start(address, one.path());
    let (ada, _bob) = joined(address).await;
    program.kill();
    let _program = Program::start(address, other.path());
    let mut client = Client::connect(address).await;
    client.control(&ClientMessage::Resume { token: ada.token, last: 0 }).await;
    assert!(matches!(client.next().await, M::Error { code: ErrorCode::ResumeExpired, fatal: true, .. }));
    let mut ada = Client::connect(address).await;
    ada.hello("Ada").await;
    let open = ClientMessage::RoomOpen {
        room: room("north"),
        admission: Admission::Knock,
        max: 2,
        media: MediaState::default(),
    };
    ada.send(&open).await;
    assert!(matches!(ada.next().await, M::RoomJoined { .. }), "the room can be opened again");
}

/// Exit code and standard error of a start that fails.
fn failing(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let output = command().args(arguments).env("XDG_STATE_HOME", folder.path()).output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, text) = failing(&["--listen", &address, "--no-turn"]);
    assert_eq!(code, Some(1));
    assert!(text.contains(&address) && text.contains("another server"), "{text}");

    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, text) = failing(&["--listen", "127.0.0.1:0", "--turn-listen", &address]);
    assert_eq!(code, Some(1));
    assert!(text.contains("STUN and TURN") && text.contains(&address), "{text}");
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cert.pem");
    std::fs::write(&file, "nothing of the kind").expect("written");
    let path = file.to_str().expect("a plain path");
    let (code, text) = failing(&["--listen", "127.0.0.1:0", "--tls-cert", path, "--tls-key", path]);
    assert_eq!(code, Some(1));
    assert!(text.contains("cert.pem") && text.contains("no certificate"), "{text}");
    let (code, text) = failing(&["--tls-cert", "/nowhere/x.pem", "--tls-key", "/nowhere/x.key"]);
    assert!(code == Some(1) && text.contains("/nowhere/x.pem"), "{text}");
}

/// What the server shows to who connects with TLS now.
async fn certificate(address: SocketAddr) -> Vec<u8> {
    let seen = std::sync::Arc::new(Seen(std::sync::Mutex::default()));
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("of ring")
        .dangerous()
        .with_custom_certificate_verifier(seen.clone())
        .with_no_client_auth();
    let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
    let stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    connector.connect(name, stream).await.ok();
    let seen = seen.0.lock().expect("nobody panicked").clone();
    assert!(!seen.is_empty(), "there was a handshake");
    seen
}

/// Looks at a certificate and goes no further.
#[derive(Debug)]
struct Seen(std::sync::Mutex<Vec<u8>>);

impl rustls::client::danger::ServerCertVerifier for Seen {
    fn verify_server_cert(
        &self,
        certificate: &rustls_pki_types::CertificateDer<'_>,
        _: &[rustls_pki_types::CertificateDer<'_>],
        _: &rustls_pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls_pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        *self.0.lock().expect("nobody panicked") = certificate.to_vec();
        Err(rustls::Error::General("seen".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("not asked".into()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls_pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("not asked".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_renewed_certificate_is_taken_up_on_sighup() {
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let renew = || {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(&cert, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    };
    renew();
    let address = free_address();
    let program = Program::with(
        address,
        folder.path(),
        "https",
        &["--tls-cert".as_ref(), cert.as_os_str(), "--tls-key".as_ref(), key.as_os_str()],
    );
    let old = certificate(address).await;
    renew();
    let hup = || Command::new("kill").args(["-HUP", &program.0.id().to_string()]).status().expect("it runs");
    let renewed = async {
        // The clock of the file system may be coarse.
        while certificate(address).await == old {
            renew();
            hup();
        }
    };
    tokio::time::timeout(common::PATIENCE, renewed).await.expect("the new one is shown");
}

#[test]
fn wrong_flags_end_with_2_and_a_reason() {
    for (arguments, about) in [
        (&["--relay-ports", "9-1"][..], "smaller one first"),
        (&["--relay-ports", "x"], "two ports"),
        (&["--public-ip", "example.org"], "--public-ip"),
        (&["--tls-cert", "x"], "--tls-key"),
        (&["--turn-listen", "127.0.0.1:1", "--no-turn"], "--no-turn"),
        (&["--turn-lifetime", "0"], "--turn-lifetime"),
        (&["--external-turn", "coturn.example"], "begins with turn:"),
        (&["--external-turn", "turn:x", "--turn-listen", "127.0.0.1:1"], "--external-turn"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let (code, text) = failing(arguments);
        assert!(code == Some(2) && text.contains(about), "{arguments:?}: {code:?} {text}");
    }
    let (code, text) = failing(&["--listen", "nowhere"]);
    assert!(code == Some(1) && text.contains("HOST:PORT"), "{text}");
    let (code, text) = failing(&["--external-turn", "turn:coturn.example", "--listen", "127.0.0.1:0"]);
    assert!(code == Some(1) && text.contains("--turn-secret"), "{text}");
    let (code, text) = failing(&["--turn-secret", "short", "--listen", "127.0.0.1:0"]);
    assert!(code == Some(1) && text.contains("too short"), "{text}");
}
