//! STUN and TURN over TCP and TLS: on their own port, on that of HTTP, and told nonsense.

mod common;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use common::{Client as Participant, PATIENCE, Server};
use rustls_pki_types::ServerName;
use sightline_server::{
    ice::TurnSecret,
    turn::client::{Client, ClientError, Via},
};
use signaling_protocol::{IceServer, ServerMessage};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

const SECRET: &str = "a secret of this test";

/// A server with a certificate for `localhost`, and what a client needs to believe it.
struct Secured {
    server: Server,
    client: Arc<rustls::ClientConfig>,
}

async fn plain() -> Server {
    Server::with(|config| {
        if let Some(turn) = &mut config.turn {
            turn.secret = Some(TurnSecret::new(SECRET));
            turn.relay_ports = 40_000..=50_000;
        }
    })
    .await
}

async fn secured(versions: &[&'static rustls::SupportedProtocolVersion]) -> Secured {
    let folder = tempfile::tempdir().expect("a folder");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    let server = Server::with(|config| {
        config.tls = Some(sightline_server::config::read_tls(&cert, &key).expect("a certificate"));
        if let Some(turn) = &mut config.turn {
            turn.secret = Some(TurnSecret::new(SECRET));
            turn.relay_ports = 30_000..=40_000;
        }
    })
    .await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("of ring")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Secured { server, client: Arc::new(client) }
}

impl Secured {
    fn via(&self, address: SocketAddr) -> Via {
        Via::Tls(address, self.client.clone(), ServerName::try_from("localhost").expect("a name"))
    }
}

/// Everything that a participant is told about relays, and how to get there.
async fn told<S: AsyncRead + AsyncWrite + Unpin>(
    mut participant: Participant<S>,
    room: &str,
) -> Vec<IceServer> {
    participant.hello("Ada").await;
    match participant.open(room).await {
        ServerMessage::RoomJoined { ice_servers, .. } => ice_servers,
        other => panic!("{other:?} instead of room.joined"),
    }
}

/// Scheme, transport and port of a URL on this computer.
fn parts(url: &str) -> (String, String, u16) {
    let (scheme, rest) = url.split_once(':').expect("a scheme");
    let (authority, transport) = rest.split_once("?transport=").unwrap_or((rest, "udp"));
    let (_, port) = authority.rsplit_once(':').expect("a port");
    (scheme.to_owned(), transport.to_owned(), port.parse().expect("a number"))
}

fn credentials() -> (String, String) {
    let username = "9000000000:ada".to_owned();
    let password = TurnSecret::new(SECRET).password(&username);
    (username, password)
}

async fn allocate(via: Via) -> Client {
    let (user, password) = credentials();
    Client::allocate(via, &user, &password).await.expect("an allocation")
}

/// Packets of all sizes there and back, by channel and by indication.
async fn relays_both_ways(via: Via) {
    let mut client = allocate(via).await;
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = peer.local_addr().expect("bound");
    client.bind_channel(0x4001, address).await.expect("a channel");
    let mut packet = [0; 2000];
    for size in [1, 2, 3, 4, 5, 1199, 1200] {
        client.send_channel(0x4001, &vec![7; size]).await.expect("sent");
        let received = timeout(PATIENCE, peer.recv_from(&mut packet)).await.expect("in time").expect("ok");
        assert_eq!(received, (size, client.relayed()));
        peer.send_to(&vec![8; size], client.relayed()).await.expect("sent");
        assert_eq!(client.receive().await.expect("data").1, vec![8; size]);
    }
    let other = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = other.local_addr().expect("bound");
    client.permit(address).await.expect("a permission");
    client.send_indication(address, b"by indication").await.expect("sent");
    let (length, _) = timeout(PATIENCE, other.recv_from(&mut packet)).await.expect("in time").expect("ok");
    assert_eq!(&packet[..length], b"by indication");
    other.send_to(b"back", client.relayed()).await.expect("sent");
    assert_eq!(client.receive().await.expect("data"), (address, b"back".to_vec()));
    client.refresh().await.expect("prolonged");
    client.release().await.expect("given back");
    assert!(matches!(client.refresh().await, Err(ClientError::Refused(437))));
}

#[tokio::test]
async fn a_relay_over_tcp_carries_packets_both_ways() {
    let server = plain().await;
    relays_both_ways(Via::Tcp(server.turn().await)).await;
}

#[tokio::test]
async fn a_relay_over_tcp_is_on_the_port_of_http_too() {
    let server = plain().await;
    relays_both_ways(Via::Tcp(server.address)).await;
    server.client("Ada").await.open("north").await;
}

#[tokio::test]
async fn a_relay_over_tls_is_on_its_own_port_and_on_that_of_https() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let secured = secured(&[version]).await;
        relays_both_ways(secured.via(secured.server.address)).await;
    }
    let secured = secured(rustls::ALL_VERSIONS).await;
    let mut stream = TcpStream::connect(secured.server.address).await.expect("the server listens");
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an end").expect("text");
    assert!(answer.contains("400") && answer.contains("https://"), "{answer}");
}

#[tokio::test]
async fn every_way_that_a_participant_is_told_works() {
    let secured = secured(rustls::ALL_VERSIONS).await;
    let at = secured.server.address;
    let connector = tokio_rustls::TlsConnector::from(secured.client.clone());
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(at).await.expect("the server listens");
    let stream = connector.connect(name, stream).await.expect("a TLS session");
    let servers = told(Participant::over(stream, &format!("localhost:{}", at.port())).await, "north").await;
    assert!(servers[1].urls.contains(&format!("turns:localhost:{}?transport=tcp", at.port())), "{servers:?}");

    let plain = plain().await;
    let told_plain = told(Participant::connect(plain.address).await, "north").await;
    for server in servers.into_iter().chain(told_plain) {
        for url in &server.urls {
            let (scheme, transport, port) = parts(url);
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let via = match (scheme.as_str(), transport.as_str()) {
                ("stun" | "turn", "udp") => Via::Udp(address),
                ("turn", "tcp") => Via::Tcp(address),
                ("turns", "tcp") => secured.via(address),
                other => panic!("{other:?}"),
            };
            match (&server.username, &server.credential) {
                (Some(user), Some(password)) => {
                    Client::allocate(via, user, password).await.unwrap_or_else(|e| panic!("{url}: {e}"));
                }
                _ => {
                    Client::mapped_address(via).await.unwrap_or_else(|e| panic!("{url}: {e}"));
                }
            }
        }
        let transports: Vec<_> = server.urls.iter().map(|url| parts(url)).collect();
        let has =
            |scheme: &str, transport: &str| transports.iter().any(|(s, t, _)| s == scheme && t == transport);
        assert!(has("stun", "udp") || has("turn", "udp") && has("turn", "tcp"), "{transports:?}");
    }
    // On the relay's own port as well, for who is told so behind a proxy.
    let stream = TcpStream::connect(at).await.expect("the server listens");
    let stream = connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await;
    let servers = told(Participant::over(stream.expect("a TLS session"), "localhost").await, "south").await;
    let (_, _, port) = parts(&servers[0].urls[0]);
    relays_both_ways(secured.via(SocketAddr::from(([127, 0, 0, 1], port)))).await;
}

#[tokio::test]
async fn one_address_has_no_more_than_its_share_of_connections_to_the_relay() {
    let server = plain().await;
    let relay = server.turn().await;
    let mut held = Vec::new();
    for _ in 0..1000 {
        held.push(TcpStream::connect(relay).await.expect("the system accepts"));
    }
    let closed = async {
        let mut closed = 0;
        for stream in &mut held[64..] {
            let mut byte = [0];
            // At the limit the connection is closed without an answer.
            closed += usize::from(!matches!(stream.read(&mut byte).await, Ok(1..)));
        }
        closed
    };
    assert_eq!(timeout(PATIENCE, closed).await.expect("they are closed"), 1000 - 64);
    drop(held);
    let again = async {
        let (user, password) = credentials();
        while Client::allocate(Via::Tcp(relay), &user, &password).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, again).await.expect("there is a place again");
}

#[tokio::test]
async fn somebody_over_tcp_reaches_somebody_over_udp() {
    let server = plain().await;
    let relay = server.turn().await;
    let (mut ada, mut bob) = (allocate(Via::Tcp(relay)).await, allocate(Via::Udp(relay)).await);
    ada.bind_channel(0x4000, bob.relayed()).await.expect("a channel");
    bob.bind_channel(0x4000, ada.relayed()).await.expect("a channel");
    ada.send_channel(0x4000, b"hello").await.expect("sent");
    assert_eq!(bob.receive().await.expect("data").1, b"hello");
    bob.send_channel(0x4000, b"hello yourself").await.expect("sent");
    assert_eq!(ada.receive().await.expect("data").1, b"hello yourself");
}

#[tokio::test]
async fn a_binding_over_tcp_tells_the_client_its_address() {
    let server = plain().await;
    let mapped = Client::mapped_address(Via::Tcp(server.turn().await)).await.expect("an answer");
    assert!(mapped.ip().is_loopback() && mapped.port() != 0);
}

#[tokio::test]
async fn an_allocation_ends_with_its_connection() {
    let server = plain().await;
    let relay = server.turn().await;
    let mut held = Vec::new();
    while let Ok(client) = {
        let (user, password) = credentials();
        Client::allocate(Via::Tcp(relay), &user, &password).await
    } {
        held.push(client);
        assert!(held.len() <= 32, "the quota of one user holds over TCP too");
    }
    assert_eq!(held.len(), 32);
    drop(held);
    // The server notices the closed connections in its own time.
    let again = async {
        loop {
            let (user, password) = credentials();
            match Client::allocate(Via::Tcp(relay), &user, &password).await {
                Ok(_) => break,
                Err(ClientError::Refused(486)) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    timeout(PATIENCE, again).await.expect("there is a place again");
}

#[tokio::test]
async fn who_does_not_read_loses_packets_and_hurts_nobody() {
    let server = plain().await;
    let relay = server.turn().await;
    let (mut slow, mut quick) = (allocate(Via::Tcp(relay)).await, allocate(Via::Tcp(relay)).await);
    let peer = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = peer.local_addr().expect("bound");
    slow.bind_channel(0x4000, address).await.expect("a channel");
    quick.bind_channel(0x4000, address).await.expect("a channel");
    // Far more than buffers hold.
    for _ in 0..20_000 {
        peer.send_to(&[1; 1200], slow.relayed()).await.expect("sent");
    }
    peer.send_to(b"still here", quick.relayed()).await.expect("sent");
    assert_eq!(quick.receive().await.expect("data").1, b"still here");
    let mut read = 0;
    while let Ok((_, data)) = slow.receive().await {
        assert_eq!(data, [1; 1200], "what arrives is whole");
        read += 1;
    }
    println!("{read} of 20000 packets were kept for a client that did not read");
    assert!((1..20_000).contains(&read));
    peer.send_to(b"afterwards", slow.relayed()).await.expect("sent");
    assert_eq!(slow.receive().await.expect("data").1, b"afterwards");
}

#[tokio::test]
async fn nonsense_ends_its_connection_and_no_other() {
    let server = plain().await;
    let relay = server.turn().await;
    let mut good = allocate(Via::Tcp(relay)).await;
    let giant = [&b"\0\x01\xff\xfc\x21\x12\xa4\x42"[..], &[0; 12]].concat();
    let no_cookie = b"\0\x01\0\0not a cookie of stun".to_vec();
    let odd = b"\0\x01\0\x03\x21\x12\xa4\x42".to_vec();
    let other_tls = [&b"\x16\x03\x01\x02\0"[..], &[9; 512]].concat();
    let late_garbage = [&b"\0\x01\0\0\x21\x12\xa4\x42"[..], &[5; 12], &[0xff; 64]].concat();
    for bytes in
        [giant, no_cookie, odd, other_tls, late_garbage, b"GET / HTTP/1.1\r\n\r\n".to_vec(), vec![0xff; 99]]
    {
        let mut stream = TcpStream::connect(relay).await.expect("the server listens");
        stream.write_all(&bytes).await.ok();
        let mut answer = Vec::new();
        // Closed or reset, whichever comes first.
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end").ok();
    }
    good.refresh().await.expect("it still works");
}

#[tokio::test]
async fn random_bytes_hurt_neither_port_with_and_without_tls() {
    let secured = secured(rustls::ALL_VERSIONS).await;
    let plain = plain().await;
    let ports = [plain.address, plain.turn().await, secured.server.address];
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..300usize {
        let bytes = (0..round % 100 + 1).map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        });
        // What looks like TLS, like STUN, and like anything.
        let mut bytes: Vec<u8> = bytes.collect();
        bytes[0] = [0x16, 0, 1, bytes[0]][round % 4];
        let mut stream = TcpStream::connect(ports[round % 3]).await.expect("the server listens");
        stream.write_all(&bytes).await.ok();
        stream.shutdown().await.ok();
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an end").ok();
    }
    allocate(Via::Tcp(ports[0])).await;
    allocate(Via::Tcp(ports[1])).await;
    allocate(secured.via(ports[2])).await;
}

#[tokio::test]
async fn half_a_frame_is_waited_for() {
    let server = plain().await;
    let mut stream = TcpStream::connect(server.turn().await).await.expect("the server listens");
    let binding = [&b"\0\x01\0\0\x21\x12\xa4\x42"[..], &[5; 12]].concat();
    for byte in binding {
        stream.write_all(&[byte]).await.expect("sent");
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 20];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    assert_eq!(answer[..2], [1, 1], "a success response");
}

#[tokio::test]
async fn the_room_s_credentials_open_the_relay_over_tcp() {
    let server = Server::start().await;
    let mut ada = server.client("Ada").await;
    let ServerMessage::RoomJoined { ice_servers, .. } = ada.open("north").await else { panic!("no room") };
    let turn = ice_servers.into_iter().find(|server| server.username.is_some()).expect("a relay");
    let (user, password) = (turn.username.expect("checked"), turn.credential.expect("with the name"));
    Client::allocate(Via::Tcp(server.address), &user, &password).await.expect("an allocation");
    assert!(matches!(
        Client::allocate(Via::Tcp(server.address), &user, "wrong").await,
        Err(ClientError::Refused(401))
    ));
}
