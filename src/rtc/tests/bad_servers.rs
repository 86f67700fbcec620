//! Servers and candidates that are wrong in every way we know of. Each is told once, with its URL;
//! the call connects over the one relay that works.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::relays::{certificate, gate, udp_address, with_url};
use super::*;
use crate::dial::Dialer;
use crate::rtc::stun::message::{Message, Method};

/// What a server says, as STUN error codes; 401 and 438 come with realm and nonce.
#[derive(Clone, Copy)]
enum Says {
    /// Nothing.
    Nothing,
    /// To the first request, then to the signed one.
    Errors(u16, u16),
    /// 401 without realm and nonce.
    BareChallenge,
    /// 401 for another transaction.
    Mistaken,
    /// Success without an address.
    Emptiness,
    /// 300 with an address.
    Elsewhere(SocketAddr),
    /// 300 with its own address.
    Here,
    /// 401, each time from another realm.
    OtherRealm,
}

/// A STUN message of the type, with attributes; padded.
fn message(kind: u16, id: [u8; 12], attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (attribute, value) in attributes {
        body.extend(attribute.to_be_bytes());
        body.extend((value.len() as u16).to_be_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend((body.len() as u16).to_be_bytes());
    message.extend([0x21, 0x12, 0xa4, 0x42]);
    message.extend(id);
    message.extend(body);
    message
}

fn error(code: u16) -> (u16, Vec<u8>) {
    (0x0009, [&[0, 0, (code / 100) as u8, (code % 100) as u8], &b"because"[..]].concat())
}

fn answer(says: Says, request: &[u8]) -> Option<Vec<u8>> {
    const ALLOCATE_ERROR: u16 = 0x0113;
    let request = Message::parse(request).filter(|message| message.method == Method::Allocate)?;
    let challenge = || [(0x0014, b"somewhere".to_vec()), (0x0015, b"nonce".to_vec())];
    let with = |code: u16| {
        let extra = if matches!(code, 401 | 438) { challenge().to_vec() } else { Vec::new() };
        message(ALLOCATE_ERROR, request.id, &[vec![error(code)], extra].concat())
    };
    let signed = request.username().is_some();
    match says {
        Says::Nothing => None,
        Says::Errors(first, _) if !signed => Some(with(first)),
        Says::Errors(_, second) => Some(with(second)),
        Says::BareChallenge => Some(message(ALLOCATE_ERROR, request.id, &[error(401)])),
        Says::Mistaken => {
            Some(message(ALLOCATE_ERROR, [9; 12], &[vec![error(401)], challenge().to_vec()].concat()))
        }
        Says::Emptiness if !signed => Some(with(401)),
        Says::Emptiness => Some(message(0x0103, request.id, &[])),
        Says::OtherRealm => {
            let realm = (0x0014, if signed { &b"there"[..] } else { b"here" }.to_vec());
            let nonce = (0x0015, b"nonce".to_vec());
            Some(message(ALLOCATE_ERROR, request.id, &[error(401), realm, nonce]))
        }
        Says::Here => None,
        Says::Elsewhere(address) => {
            let SocketAddr::V4(v4) = address else { panic!("IPv4") };
            let value = [&[0, 1][..], &v4.port().to_be_bytes(), &v4.ip().octets()].concat();
            Some(message(ALLOCATE_ERROR, request.id, &[error(300), (0x8023, value)]))
        }
    }
}

async fn udp_server(says: Says) -> String {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    let says = if let Says::Here = says { Says::Elsewhere(address) } else { says };
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut buffer).await {
            if let Some(answer) = answer(says, &buffer[..len]) {
                socket.send_to(&answer, from).await.ok();
            }
        }
    });
    format!("turn:{address}")
}

/// Takes connections, says `greeting`, and then nothing.
async fn tcp_server(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            tokio::spawn(async move {
                tcp.write_all(greeting).await.ok();
                let mut rest = Vec::new();
                tcp.read_to_end(&mut rest).await.ok();
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_server_is_told_once_with_its_url_while_the_call_goes_over_the_good_one() {
    let (good, relay) = relay().await;
    let (stranger, _) = certificate();
    let untrusted = gate(udp_address(&good), Some(stranger)).await.address;
    let refused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap();
    let silent = udp_server(Says::Nothing).await;
    let nowhere = silent.trim_start_matches("turn:").parse().unwrap();
    let tcp = |address: SocketAddr| format!("turn:{address}?transport=tcp");
    let tls = |address: SocketAddr| format!("turns:localhost:{}", address.port());
    let bad = [
        (silent, "does not answer"),
        (udp_server(Says::Mistaken).await, "belong to no question"),
        (udp_server(Says::Errors(401, 401)).await, "user name and password (401)"),
        (udp_server(Says::BareChallenge).await, "without realm or nonce"),
        (udp_server(Says::Errors(401, 438)).await, "nonce stale (438)"),
        (udp_server(Says::Errors(401, 486)).await, "all relays of this user are taken (486)"),
        (udp_server(Says::Errors(401, 508)).await, "no relay left (508)"),
        (udp_server(Says::Errors(401, 403)).await, "forbids it (403)"),
        (udp_server(Says::Errors(420, 420)).await, "error 420, because"),
        (udp_server(Says::Emptiness).await, "makes no sense"),
        (udp_server(Says::Elsewhere(nowhere)).await, "does not answer"),
        (udp_server(Says::Here).await, "only sends us on to another server (300)"),
        (udp_server(Says::OtherRealm).await, "user name and password (401)"),
        (tcp(tcp_server(b"").await), "takes the connection, but it does not answer"),
        (tcp(tcp_server(b"SSH-2.0-x\r\n").await), "no TURN message"),
        (tcp(refused), "nothing answers there"),
        (tls(untrusted), "issued by nobody that this computer trusts"),
        (tls(tcp_server(b"").await), "says nothing"),
        (tls(tcp_server(b"220 mail\r\n").await), "does not speak TLS"),
        ("turn:nobody.invalid:3478".to_owned(), "cannot resolve its name"),
        ("turns:nobody.invalid:443".to_owned(), "cannot resolve its name"),
        ("turn:[::1]:1".to_owned(), "no IPv4 address"),
        ("turn:nonsense:99999".to_owned(), "not a STUN or TURN address"),
    ];
    let mut urls: Vec<String> = bad.iter().map(|(url, _)| url.clone()).collect();
    urls.push(good.urls[0].clone());
    let servers = vec![with_url(&good, &urls)];
    let config = TransportConfig { ice_servers: servers, ice_policy: IcePolicy::Relay, ..config() };
    let mut call = Call::with(config);
    let start = clock::now();
    call.begin();
    call.connected().await;
    println!("connected after {:?}", start.elapsed());
    call.until("all problems", |call| call.a.problems.len() >= bad.len()).await;
    println!("all told after {:?}", start.elapsed());
    call.spend(Duration::from_millis(500)).await;
    for (url, reason) in &bad {
        let told: Vec<&String> =
            call.a.problems.iter().filter(|text| text.contains(&format!("{url:?}"))).collect();
        assert_eq!(told.len(), 1, "{url}: {told:?} of {:#?}", call.a.problems);
        assert!(told[0].contains(reason), "{reason}: {}", told[0]);
    }
    assert_eq!(call.a.problems.len(), bad.len(), "{:#?}", call.a.problems);
    call.gathered().await;
    println!("gathered after {:?}", start.elapsed());
    call.close().await;
    drop(relay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_sends_us_to_another_is_followed_once() {
    let (good, relay) = relay().await;
    let elsewhere = udp_server(Says::Elsewhere(udp_address(&good))).await;
    let call = super::relays::meet(vec![with_url(&good, &[elsewhere])], &Dialer::default(), "udp").await;
    assert!(call.a.problems.is_empty(), "{:?}", call.a.problems);
    call.close().await;
    drop(relay);
}

/// Stands before a relay and calls the first nonce that it gave stale, whatever is asked with it; says
/// how often it did.
async fn nitpicker(relay: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    const STALE: &[u8] = b"old";
    let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = front.local_addr().unwrap();
    let stale = Arc::new(AtomicUsize::new(0));
    let count = stale.clone();
    tokio::spawn(async move {
        let (front, mut buffer) = (Arc::new(front), [0; 2048]);
        let mut ways: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let nonces: Arc<std::sync::Mutex<HashMap<SocketAddr, Challenge>>> = Arc::default();
        while let Ok((len, from)) = front.recv_from(&mut buffer).await {
            let datagram = &buffer[..len];
            if let Some(request) = Message::parse(datagram).filter(|it| it.nonce() == Some(STALE)) {
                count.fetch_add(1, Ordering::Relaxed);
                let (realm, nonce) = nonces.lock().unwrap().get(&from).cloned().expect("asked before");
                let kind = u16::from_be_bytes([datagram[0], datagram[1]]) | 0x0110;
                let answer = message(kind, request.id, &[error(438), (0x0014, realm), (0x0015, nonce)]);
                front.send_to(&answer, from).await.unwrap();
                continue;
            }
            if let Entry::Vacant(new) = ways.entry(from) {
                let way = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
                way.connect(relay).await.unwrap();
                new.insert(way.clone());
                let (front, nonces) = (front.clone(), nonces.clone());
                tokio::spawn(async move {
                    let mut buffer = [0; 2048];
                    while let Ok(len) = way.recv(&mut buffer).await {
                        let mut answer = buffer[..len].to_vec();
                        let challenge = Message::parse(&answer).filter(|answer| answer.error().0 == 401);
                        let said = challenge
                            .and_then(|it| Some((it.id, it.realm()?.to_vec(), it.nonce()?.to_vec())));
                        if let Some((id, realm, nonce)) = said {
                            let old = (0x0015, STALE.to_vec());
                            answer = message(0x0113, id, &[error(401), (0x0014, realm.clone()), old]);
                            nonces.lock().unwrap().insert(from, (realm, nonce));
                        }
                        front.send_to(&answer, from).await.ok();
                    }
                });
            }
            ways[&from].send(datagram).await.ok();
        }
    });
    (address, stale)
}

/// Realm and nonce.
type Challenge = (Vec<u8>, Vec<u8>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_first_nonce_is_stale_is_asked_again_with_the_new_one() {
    let (good, relay) = relay().await;
    let (front, stale) = nitpicker(udp_address(&good)).await;
    let gate = gate(front, None).await;
    for (url, protocol) in
        [(format!("turn:{front}"), "udp"), (format!("turn:{}?transport=tcp", gate.address), "tcp")]
    {
        stale.store(0, Ordering::Relaxed);
        let mut call = super::relays::meet(vec![with_url(&good, &[url])], &Dialer::default(), protocol).await;
        call.gathered().await;
        assert!(call.a.problems.is_empty(), "{:?}", call.a.problems);
        assert_eq!(stale.load(Ordering::Relaxed), 2, "one request of each side, and none after it");
        call.close().await;
    }
    drop(relay);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_candidates_to_nowhere_do_not_keep_a_call_from_connecting() {
    let (good, relay) = relay().await;
    let mut call = Call::with(TransportConfig { ice_servers: vec![good.clone()], ..config() });
    call.hold = true;
    call.begin();
    call.until("the offer", |call| !call.to_b.is_empty()).await;
    let Signal::Description { sdp, connection, .. } = call.to_b[0].clone() else { panic!("not an offer") };
    let ufrag = sdp::ufrag(&sdp).map(str::to_owned);
    let server = udp_address(&good);
    let hostile = (0..1000u16).map(|n| {
        let (ip, port) = match n % 6 {
            0 => ("127.0.0.1".to_owned(), 1 + n),
            1 => ("224.0.0.251".to_owned(), 5353),
            2 => ("0.0.0.0".to_owned(), 1 + n),
            3 => ("255.255.255.255".to_owned(), 1 + n),
            4 => (server.ip().to_string(), server.port()),
            _ => (format!("::ffff:127.0.0.{}", n % 250), 1 + n),
        };
        let candidate = format!("candidate:{n} 1 udp 2130706431 {ip} {port} typ host");
        Signal::Candidate { candidate, mid: Some("0".to_owned()), ufrag: ufrag.clone(), connection }
    });
    call.to_b.splice(1..1, hostile);
    call.hold = false;
    call.deliver();
    call.connected().await;
    call.close().await;
    drop(relay);
}
