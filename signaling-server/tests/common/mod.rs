//! A server on this computer and participants that speak the protocol to it.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sightline_server::{CancellationToken, Config, run};
use signaling_protocol::{
    Admission, ClientMessage, Envelope, MediaState, PeerId, RoomId, SUBPROTOCOL, ServerMessage,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// How long a test waits for what has to happen. Never reached when all is well.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, change).await
    }

    pub async fn on(listener: TcpListener, change: impl FnOnce(&mut Config)) -> Self {
        let address = listener.local_addr().expect("bound");
        let mut config = Config::lan(address);
        if let Some(turn) = &mut config.turn {
            turn.listen.set_port(0);
        }
        change(&mut config);
        let stop = CancellationToken::new();
        let stopping = stop.clone();
        let task = tokio::spawn(async move { run(listener, config, stopping).await.expect("it starts") });
        Self { address, stop, task }
    }

    /// Where STUN and TURN are.
    pub async fn turn(&self) -> SocketAddr {
        let mut client = self.client("nobody").await;
        let ServerMessage::RoomJoined { ice_servers, .. } = client.open("a-room-to-ask-in").await else {
            panic!("no room");
        };
        let url = ice_servers[0].urls[0].strip_prefix("stun:").expect("STUN comes first");
        url.parse().expect("an address")
    }

    /// Says goodbye to everybody.
    pub async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE, self.task).await.expect("it stops").expect("without a panic");
    }

    /// As `kill -9` does: every task of the server is gone at once. The caller runs it in a
    /// runtime of its own and drops that.
    pub async fn client(&self, name: &str) -> Client {
        let mut client = Client::connect(self.address).await;
        client.hello(name).await;
        client
    }
}

/// A participant.
pub struct Client<S = TcpStream> {
    pub stream: WebSocketStream<S>,
    pub peer: PeerId,
    pub token: String,
    pub sent: u64,
    pub received: u64,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("the server listens");
        Self::over(stream, &address.to_string()).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// On a connection to the server that is known as `host`.
    pub async fn over(stream: S, host: &str) -> Self {
        let mut request = format!("ws://{host}/").into_client_request().expect("a URL");
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let (stream, _) = client_async(request, stream).await.expect("a WebSocket");
        let peer = PeerId::new("nobody").expect("valid");
        Self { stream, peer, token: String::new(), sent: 0, received: 0 }
    }

    pub async fn hello(&mut self, name: &str) {
        let hello = ClientMessage::Hello { v: vec![1], client: "test".into(), name: name.into() };
        self.control(&hello).await;
        match self.next().await {
            ServerMessage::Welcome { peer, resume, .. } => {
                self.peer = peer;
                self.token = resume;
            }
            other => panic!("{other:?} instead of welcome"),
        }
    }

    pub async fn raw(&mut self, text: impl Into<String>) {
        self.stream.send(Message::text(text.into())).await.expect("the socket is open");
    }

    pub async fn control(&mut self, message: &ClientMessage) {
        self.raw(Envelope { a: Some(self.received), ..Envelope::wrap(message) }.to_text()).await;
    }

    /// Sends a numbered message.
    pub async fn send(&mut self, message: &ClientMessage) {
        self.sent += 1;
        let envelope = Envelope {
            s: Some(self.sent),
            a: Some(self.received),
            id: Some(self.sent + 1000),
            ..Envelope::wrap(message)
        };
        self.raw(envelope.to_text()).await;
    }

    /// The next envelope, or `None` when the server has closed.
    pub async fn envelope(&mut self) -> Option<Envelope> {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("an answer in time") {
                Some(Ok(Message::Text(text))) => {
                    let envelope = Envelope::parse(&text).expect("of the protocol");
                    if let Some(s) = envelope.s {
                        assert_eq!(s, self.received + 1, "the server's numbers have no gaps");
                        self.received = s;
                    }
                    return Some(envelope);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next message that is not housekeeping; keeps the newest token.
    pub async fn next(&mut self) -> ServerMessage {
        loop {
            let envelope = self.envelope().await.expect("the socket is open");
            match envelope.message().expect("known to this version") {
                ServerMessage::ResumeToken { resume } => self.token = resume,
                ServerMessage::Ping => self.control(&ClientMessage::Pong).await,
                ServerMessage::Ack => {}
                message => return message,
            }
        }
    }

    /// Waits until a token has come that is not `old`.
    pub async fn newer_token(&mut self, old: &str) {
        while self.token == old {
            let envelope = self.envelope().await.expect("the socket is open");
            if let ServerMessage::ResumeToken { resume } = envelope.message().expect("known") {
                self.token = resume;
            }
        }
    }

    /// The close code that the server ends with, after any messages.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.stream.next()).await.expect("an end in time") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    pub async fn open(&mut self, name: &str) -> ServerMessage {
        self.send(&ClientMessage::RoomOpen {
            room: room(name),
            admission: Admission::Knock,
            max: 2,
            media: MediaState { microphone: true, camera: true, screen: false },
        })
        .await;
        self.next().await
    }

    pub async fn knock(&mut self, name: &str) -> ServerMessage {
        self.send(&ClientMessage::RoomKnock {
            room: room(name),
            signals: vec![json!({"offer": "o"})],
            media: MediaState::default(),
        })
        .await;
        self.next().await
    }

    pub async fn sig(&mut self, to: &PeerId, signal: Value) {
        self.send(&ClientMessage::Sig { to: to.clone(), signal }).await;
    }
}

pub fn room(name: &str) -> RoomId {
    RoomId::new(name).expect("a room code")
}

/// Two participants in one room.
pub async fn call(server: &Server, name: &str) -> (Client, Client) {
    let mut ada = server.client("Ada").await;
    let mut bob = server.client("Bob").await;
    assert!(matches!(ada.open(name).await, ServerMessage::RoomJoined { .. }));
    assert!(matches!(bob.knock(name).await, ServerMessage::RoomKnocking { .. }));
    let ServerMessage::RoomKnocked { from, .. } = ada.next().await else { panic!("a knock was due") };
    ada.send(&ClientMessage::RoomAdmit {
        room: room(name),
        peer: from.peer,
        signals: vec![json!({"answer": "a"})],
    })
    .await;
    assert!(matches!(bob.next().await, ServerMessage::RoomJoined { .. }));
    assert!(matches!(ada.next().await, ServerMessage::PeerJoined { .. }));
    let (of_ada, of_bob) = (ada.token.clone(), bob.token.clone());
    ada.newer_token(&of_ada).await;
    bob.newer_token(&of_bob).await;
    (ada, bob)
}
