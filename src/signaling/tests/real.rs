//! Against the real server.

use super::*;

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
