//! Calls over relays that are reached by TCP and TLS, and beside servers that misbehave.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::dial::{Dialer, Stream, Trust};
use crate::proxy::Proxies;
use crate::rtc::stats::ServerTransport;
use crate::rtc::turn_stream::framing::{Deframer, framed};

/// What a stream to a relay leads through.
pub struct Gate {
    pub address: SocketAddr,
    /// Cuts the streams that are open.
    cut: Arc<tokio::sync::Notify>,
}

/// How much longer the way through a gate is.
const DETOUR: Duration = Duration::from_millis(30);

/// A door to a relay for streams: each gets a UDP socket of its own.
pub async fn gate(relay: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> Gate {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let cut = Arc::new(tokio::sync::Notify::new());
    let cuts = cut.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (tls, cuts) = (tls.clone(), cuts.clone());
            tokio::spawn(async move {
                let carrying = async {
                    tokio::time::sleep(DETOUR).await;
                    match tls {
                        Some(config) => {
                            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(config).accept(tcp).await {
                                carry_to(relay, Box::new(stream)).await;
                            }
                        }
                        None => carry_to(relay, Box::new(tcp)).await,
                    }
                };
                tokio::select! {
                    () = carrying => {}
                    () = cuts.notified() => {}
                }
            });
        }
    });
    Gate { address, cut }
}

async fn carry_to(relay: SocketAddr, mut stream: Box<dyn Stream>) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    socket.connect(relay).await.unwrap();
    let (mut deframer, mut datagram) = (Deframer::default(), vec![0; 2048]);
    loop {
        tokio::select! {
            read = stream.read_buf(deframer.buffer()) => {
                if !read.is_ok_and(|read| read > 0) {
                    return;
                }
                while let Some(message) = deframer.next_message().expect("TURN messages only") {
                    socket.send(&message).await.unwrap();
                }
            }
            received = socket.recv(&mut datagram) => {
                let message: Bytes = framed(&datagram[..received.unwrap()]).expect("a TURN message");
                if stream.write_all(&message).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A certificate for `localhost`, and a dialer that trusts it.
pub fn certificate() -> (Arc<rustls::ServerConfig>, Dialer) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).expect("written");
    let trust = Trust::with_file(&file).expect("a certificate");
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a pair");
    (Arc::new(config), Dialer::new(trust, Proxies::None))
}

/// Two who may meet at relays only. What carries the path is `expected`.
pub async fn meet(servers: Vec<IceServer>, dialer: &Dialer, expected: &str) -> Call {
    let config = TransportConfig { ice_servers: servers, ice_policy: IcePolicy::Relay, ..config() };
    let options = || Options {
        addresses: Addresses::Only(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]),
        ..Options::new(dialer.clone())
    };
    let mut call =
        Call::between(Side::new("aaaa", config.clone(), options()), Side::new("bbbb", config, options()));
    let start = clock::now();
    call.begin();
    call.connected().await;
    println!("connected over {expected} after {:?}", start.elapsed());
    call.until("the path", |call| call.a.pair.is_some() && call.b.pair.is_some()).await;
    for side in [&call.a, &call.b] {
        let pair = side.pair.as_ref().expect("just seen");
        assert_eq!(
            (pair.local.kind, pair.local.relay_protocol.as_deref()),
            (CandidateType::Relay, Some(expected))
        );
    }
    call.first_picture().await;
    call
}

pub fn with_url(server: &IceServer, urls: &[String]) -> IceServer {
    IceServer { urls: urls.to_vec(), ..server.clone() }
}

pub fn udp_address(server: &IceServer) -> SocketAddr {
    server.urls[0].trim_start_matches("turn:").parse().expect("an address")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_participants_meet_at_a_relay_that_is_reached_over_tcp() {
    let (server, _relay) = relay().await;
    let gate = gate(udp_address(&server), None).await;
    let url = format!("turn:{}?transport=tcp", gate.address);
    let mut call = meet(vec![with_url(&server, std::slice::from_ref(&url))], &Dialer::default(), "tcp").await;
    call.a.mesh.request_stats(clock::now());
    call.until("statistics", |call| call.a.stats.is_some()).await;
    let report = call.a.stats.as_ref().expect("just seen");
    let relayed = report.entries.iter().find_map(|entry| match entry {
        stats::Entry::LocalCandidate(candidate) => Some(candidate),
        _ => None,
    });
    let relayed = relayed.expect("our relayed candidate");
    assert_eq!(
        (relayed.url.as_deref(), relayed.relay_protocol.as_deref()),
        (Some(url.as_str()), Some("tcp"))
    );
    assert!(call.a.problems.is_empty() && call.b.problems.is_empty());
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_participants_meet_at_a_relay_that_is_reached_over_tls_by_name() {
    let (server, _relay) = relay().await;
    let (config, dialer) = certificate();
    let gate = gate(udp_address(&server), Some(config)).await;
    let url = format!("turns:localhost:{}?transport=tcp", gate.address.port());
    let call = meet(vec![with_url(&server, &[url])], &dialer, "tls").await;
    assert!(call.a.problems.is_empty() && call.b.problems.is_empty(), "{:?}", call.a.problems);
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_ways_to_a_relay_the_cheapest_that_works_is_used() {
    let (server, _relay) = relay().await;
    let (config, dialer) = certificate();
    let udp = udp_address(&server);
    let (tcp, tls) = (gate(udp, None).await, gate(udp, Some(config)).await);
    let tls = format!("turns:localhost:{}", tls.address.port());
    let tcp = format!("turn:{}?transport=tcp", tcp.address);
    let blocked = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let nowhere = format!("turn:{}", blocked.local_addr().unwrap());
    let ways = [(format!("turn:{udp}"), "udp"), (nowhere, "tcp")];
    for (first, expected) in ways {
        let list = vec![with_url(&server, &[tls.clone(), tcp.clone(), first])];
        let mut call = meet(list, &dialer, expected).await;
        call.gathered().await;
        call.a.mesh.request_stats(clock::now());
        call.until("statistics", |call| call.a.stats.is_some()).await;
        let report = call.a.stats.as_ref().expect("just seen");
        for server in report.ice_servers() {
            let used = server.transport.name() == expected;
            let spare = server.transport > ServerTransport::Udp && !used;
            assert_eq!(
                (server.relayed_address.is_some(), server.not_needed),
                (used, spare.then_some(true)),
                "{server:?}"
            );
        }
        call.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_in_a_call_is_replaced_at_once() {
    let (server, _relay) = relay().await;
    let gate = gate(udp_address(&server), None).await;
    let url = format!("turn:{}?transport=tcp", gate.address);
    let mut call = meet(vec![with_url(&server, &[url])], &Dialer::default(), "tcp").await;
    let start = clock::now();
    gate.cut.notify_waiters();
    call.until("the loss", |call| call.a.phase == Some(PeerPhase::Reconnecting)).await;
    println!("noticed after {:?}", start.elapsed());
    call.connected().await;
    println!("back after {:?}", start.elapsed());
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_expects_an_offer_has_a_relay_before_it_comes_and_nobody_hears_of_it() {
    let (server, _relay) = relay().await;
    let config = TransportConfig { ice_servers: vec![server], ice_policy: IcePolicy::Relay, ..config() };
    let mut call = Call::with(config);
    call.b.mesh.expect_offer();
    call.spend(Duration::from_millis(500)).await;
    assert!(call.b.roles.is_empty() && !call.b.gathered && call.to_a.is_empty(), "B keeps silent");
    call.hold = true;
    call.begin();
    call.until("the offer", |call| call.a.gathered).await;
    call.deliver();
    call.until("the answer", |call| !call.to_a.is_empty()).await;
    let Signal::Description { kind: DescriptionKind::Answer, sdp, .. } = &call.to_a[0] else {
        panic!("no answer: {:?}", call.to_a)
    };
    assert!(sdp.contains("typ relay"), "{sdp}");
    call.hold = false;
    call.deliver();
    call.connected().await;
    call.gathered().await;
    let media = call.a.mesh.media();
    media.send(picture(0, true, 3_000));
    call.until("the picture", |call| !call.b.tracks.is_empty()).await;
    assert!(call.a.problems.is_empty() && call.b.problems.is_empty(), "{:?}", call.b.problems);
    call.close().await;
}

/// A proxy that leads to `target`, whatever it is asked for.
async fn proxy_to(target: SocketAddr) -> (SocketAddr, Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tcp.read_u8().await.expect("a request"));
                }
                log.lock().unwrap().push(String::from_utf8(head).expect("text"));
                tcp.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.expect("written");
                let mut there = tokio::net::TcpStream::connect(target).await.expect("the target");
                tokio::io::copy_bidirectional(&mut tcp, &mut there).await.ok();
            });
        }
    });
    (address, asked)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_behind_a_proxy_is_named_to_the_proxy_and_not_to_the_name_service() {
    let (server, relay) = relay().await;
    let gate = gate(udp_address(&server), None).await;
    let (proxy, asked) = proxy_to(gate.address).await;
    let dialer = Dialer::new(Trust::system(), Proxies::named(&proxy.to_string()).expect("a proxy"));
    let url = "turn:relay.invalid:443?transport=tcp".to_owned();
    meet(vec![with_url(&server, &[url])], &dialer, "tcp").await.close().await;
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|head| head.starts_with("CONNECT relay.invalid:443 HTTP/1.1\r\n")), "{asked:?}");
    drop(relay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_participants_who_hide_their_addresses_meet_at_the_relay() {
    let (server, _relay) = relay().await;
    let config = TransportConfig { ice_servers: vec![server], ice_policy: IcePolicy::Relay, ..config() };
    let mut call = Call::with(config);
    let start = clock::now();
    call.begin();
    call.connected().await;
    println!("connected over the relay after {:?}", start.elapsed());
    call.until("the path", |call| call.a.pair.is_some()).await;
    let pair = call.a.pair.clone().expect("just seen");
    assert_eq!((pair.local.kind, pair.local.relay_protocol.as_deref()), (CandidateType::Relay, Some("udp")));
    call.first_picture().await;
    assert!(
        call.a.problems.is_empty() && call.b.problems.is_empty(),
        "{:?} {:?}",
        call.a.problems,
        call.b.problems
    );
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_become_known_after_the_offer_are_used_for_it() {
    let (server, _relay) = relay().await;
    let hidden = TransportConfig { ice_policy: IcePolicy::Relay, ..config() };
    let mut call = Call::with(hidden.clone());
    call.hold = true;
    call.a.mesh.prepare_offer();
    call.until("the offer", |call| !call.to_b.is_empty()).await;
    let Signal::Description { sdp, .. } = &call.to_b[0] else { panic!("not an offer") };
    assert!(!sdp.contains("a=candidate:"), "no address leaves with this policy");
    let known = TransportConfig { ice_servers: vec![server], ..hidden };
    call.a.mesh.configure(known.clone());
    call.b.mesh.configure(known);
    call.a.mesh.adopt_prepared(&call.b.id);
    call.hold = false;
    call.deliver();
    call.connected().await;
    call.close().await;
}
