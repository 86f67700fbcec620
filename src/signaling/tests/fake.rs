//! A server that does what its test says.

use super::*;

/// Limits that a test can wait for.
pub fn quick() -> Pace {
    Pace {
        open: Duration::from_millis(300),
        greet: Duration::from_millis(300),
        write: Duration::from_millis(500),
        answer: Duration::from_millis(50),
        tick: Duration::from_millis(10),
    }
}

/// A server that does what its test says.
pub struct Fake {
    pub listener: TcpListener,
}

/// One socket of it.
pub struct Line<S = TcpStream> {
    pub stream: WebSocketStream<S>,
    pub sent: u64,
}

impl Fake {
    pub async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a free port") }
    }

    pub fn url(&self) -> ServerUrl {
        format!("ws://{}/", self.listener.local_addr().expect("bound")).parse().expect("a URL")
    }

    pub async fn tcp(&self) -> TcpStream {
        timeout(PATIENCE, self.listener.accept()).await.expect("somebody connects").expect("a socket").0
    }

    pub async fn accept(&self) -> Line {
        Line::over(self.tcp().await).await
    }

    /// A client with a session, and the server's end of it.
    pub async fn session(&self, pace: Pace) -> (SignalingHandle, Line) {
        self.session_with(pace, json!({})).await
    }

    pub async fn session_with(&self, pace: Pace, change: Value) -> (SignalingHandle, Line) {
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
    pub async fn over(stream: S) -> Self {
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

    pub async fn raw(&mut self, message: Message) {
        self.stream.send(message).await.expect("the socket is open");
    }

    pub async fn json(&mut self, value: Value) {
        self.raw(Message::text(value.to_string())).await;
    }

    pub async fn welcome(&mut self, change: Value) {
        let mut d = json!({"v": 1, "peer": "ada", "resume": "token", "ping_ms": 10_000, "resume_ms": 60_000,
            "server": "fake", "time": 0});
        d.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        self.json(json!({"t": "welcome", "d": d})).await;
    }

    /// A numbered message.
    pub async fn numbered(&mut self, t: &str, d: Value) {
        self.sent += 1;
        self.json(json!({"t": t, "s": self.sent, "d": d})).await;
    }

    pub async fn envelope(&mut self) -> Envelope {
        loop {
            let frame = timeout(PATIENCE, self.stream.next()).await.expect("something comes");
            match frame.expect("open").expect("a frame") {
                Message::Text(text) => return Envelope::parse(text.as_str()).expect("an envelope"),
                Message::Close(_) => panic!("the client closed"),
                _ => {}
            }
        }
    }

    pub async fn next(&mut self) -> ClientMessage {
        self.envelope().await.message().expect("a message")
    }

    /// The next message with a number.
    pub async fn next_numbered(&mut self) -> (u64, Envelope) {
        loop {
            let envelope = self.envelope().await;
            if let Some(s) = envelope.s {
                return (s, envelope);
            }
        }
    }
}
