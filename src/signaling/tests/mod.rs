//! Against servers that misbehave in every way there is, and against the real one.

mod anything;
mod closing;
mod fake;
mod greeting;
mod numbers;
mod reach;
mod real;
mod resume;

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
use fake::{Fake, Line, quick};

/// Never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(30);

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
