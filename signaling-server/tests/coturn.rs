//! coturn in the place of our own relay, configured as the README says: credentials that our server
//! makes are good there over UDP, TCP and TLS.
//!
//! Brings its own `main`, to say so where coturn is not installed.

mod common;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use common::{PATIENCE, Server};
use rustls_pki_types::ServerName;
use sightline_server::{
    External,
    ice::{TurnSecret, TurnUrl},
    turn::client::{Client, ClientError, Via},
};
use signaling_protocol::ServerMessage;
use tokio::time::{sleep, timeout};

const SECRET: &str = "shared-by-both";

/// How long the credentials of the third test are good, in seconds.
const SHORT: u64 = 3;

const TESTS: usize = 4;

fn main() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let Some(program) = find("turnserver") else {
        println!("coturn: skipped {TESTS} tests, turnserver is not installed (Debian: apt install coturn)");
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let coturn = Coturn::start(&program, &readme).await;
        let told = told(&coturn, 43_200).await;
        assert_eq!(told.stun, [format!("stun:127.0.0.1:{}", coturn.plain.port())]);
        for (name, url) in [("UDP", 0), ("TCP", 1), ("TLS", 2)] {
            assert_eq!(told.turn[url], coturn.urls()[url].to_string());
            relays(&coturn, name, &told).await;
            println!("credentials of ours open a relay of coturn over {name}: ok");
        }
        what_has_run_out_opens_nothing(&coturn).await;
    });
    println!("coturn: {TESTS} passed, 0 failed");
}

fn find(program: &str) -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    folders.push("/usr/sbin".into());
    folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A running coturn, ended when dropped.
struct Coturn {
    child: Child,
    plain: SocketAddr,
    tls: SocketAddr,
    client: Arc<rustls::ClientConfig>,
    _folder: tempfile::TempDir,
}

impl Drop for Coturn {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Free for UDP and TCP.
fn free_address() -> SocketAddr {
    loop {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = tcp.local_addr().expect("bound");
        if UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// The configuration of the README, for this computer.
fn configuration(readme: &Path, change: &[(&str, String)]) -> String {
    let text = std::fs::read_to_string(readme).expect("the README is there");
    let (_, rest) = text.split_once("```ini\n").expect("the README shows coturn's configuration");
    let (block, _) = rest.split_once("```").expect("the block ends");
    let kept = block.lines().filter(|line| {
        let key = line.split('=').next().unwrap_or_default().trim();
        // Here the peers are on this computer.
        key != "denied-peer-ip" && !change.iter().any(|(changed, _)| *changed == key)
    });
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    change.iter().fold(kept, |text, (key, value)| format!("{text}{key}={value}\n"))
}

impl Coturn {
    async fn start(program: &Path, readme: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).to_str().expect("a plain path").to_owned();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(path("cert.pem"), made.cert.pem()).expect("written");
        std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).expect("written");
        let (plain, tls) = (free_address(), free_address());
        let text = configuration(
            readme,
            &[
                ("listening-ip", "127.0.0.1".to_owned()),
                ("relay-ip", "127.0.0.1".to_owned()),
                ("listening-port", plain.port().to_string()),
                ("tls-listening-port", tls.port().to_string()),
                ("static-auth-secret", SECRET.to_owned()),
                ("cert", path("cert.pem")),
                ("pkey", path("key.pem")),
                ("min-port", "46000".to_owned()),
                ("max-port", "46999".to_owned()),
                ("allow-loopback-peers", "true".to_owned()),
                ("userdb", path("turndb")),
                ("pidfile", path("pid")),
                ("log-file", path("log")),
            ],
        );
        std::fs::write(path("turnserver.conf"), &text).expect("written");
        let child = Command::new(program)
            .args(["-c", &path("turnserver.conf")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn starts");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("of ring")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let coturn = Self { child, plain, tls, client: Arc::new(client), _folder: folder };
        for via in [Via::Udp(plain), Via::Tcp(plain), coturn.via_tls()] {
            let ready = async {
                while Client::mapped_address(via.clone()).await.is_err() {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(PATIENCE, ready).await.unwrap_or_else(|_| panic!("coturn does not answer, with\n{text}"));
        }
        coturn
    }

    fn via_tls(&self) -> Via {
        Via::Tls(self.tls, self.client.clone(), ServerName::try_from("localhost").expect("a name"))
    }

    fn urls(&self) -> [TurnUrl; 3] {
        [
            format!("turn:{}?transport=udp", self.plain),
            format!("turn:{}?transport=tcp", self.plain),
            format!("turns:{}?transport=tcp", self.tls),
        ]
        .map(|url| url.parse().expect("a URL"))
    }
}

/// What a participant of our server is told.
struct Told {
    stun: Vec<String>,
    turn: Vec<String>,
    user: String,
    password: String,
}

async fn told(coturn: &Coturn, lifetime: u64) -> Told {
    let server = Server::with(|config| {
        config.turn = None;
        config.external = Some(External {
            urls: coturn.urls().to_vec(),
            secret: TurnSecret::new(SECRET),
            lifetime: Duration::from_secs(lifetime),
        });
    })
    .await;
    let ServerMessage::RoomJoined { ice_servers, .. } = server.client("Ada").await.open("north").await else {
        panic!("no room")
    };
    let [stun, turn] = <[_; 2]>::try_from(ice_servers).expect("STUN and TURN");
    Told {
        stun: stun.urls,
        turn: turn.urls,
        user: turn.username.expect("with a name"),
        password: turn.credential.expect("with a password"),
    }
}

/// A packet there and one back.
async fn relays(coturn: &Coturn, name: &str, told: &Told) {
    let via = match name {
        "UDP" => Via::Udp(coturn.plain),
        "TCP" => Via::Tcp(coturn.plain),
        _ => coturn.via_tls(),
    };
    let mut client = Client::allocate(via, &told.user, &told.password).await.expect("an allocation");
    let peer = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    client.bind_channel(0x4000, peer.local_addr().expect("bound")).await.expect("a channel");
    client.send_channel(0x4000, b"there").await.expect("sent");
    let mut packet = [0; 100];
    let (length, from) = timeout(PATIENCE, peer.recv_from(&mut packet)).await.expect("in time").expect("ok");
    assert_eq!((&packet[..length], from), (&b"there"[..], client.relayed()), "{name}");
    peer.send_to(b"and back", client.relayed()).await.expect("sent");
    assert_eq!(client.receive().await.expect("data").1, b"and back", "{name}");
}

async fn what_has_run_out_opens_nothing(coturn: &Coturn) {
    let told = told(coturn, SHORT).await;
    let mut client = Client::allocate(coturn.plain, &told.user, &told.password).await.expect("still good");
    let run_out = async {
        loop {
            match Client::allocate(coturn.plain, &told.user, &told.password).await {
                Ok(mut another) => another.release().await.expect("given back"),
                Err(ClientError::Refused(code)) => break code,
                Err(other) => panic!("{other}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    };
    let code = timeout(PATIENCE, run_out).await.expect("credentials run out");
    println!(
        "what has run out opens no relay of coturn: ok ({code}; an allocation of before: {})",
        match client.refresh().await {
            Ok(()) => "prolonged".to_owned(),
            Err(error) => error.to_string(),
        }
    );
}
