//! One WebSocket to the server: how it is opened, and what can go wrong, in words.

use std::time::Duration;

use signaling_protocol::{MAX_MESSAGE, SUBPROTOCOL};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::error::SignalingError;
use crate::dial::{DialError, Dialer, Stream};
use crate::server_url::ServerUrl;

/// An open WebSocket.
pub type Socket = WebSocketStream<Box<dyn Stream>>;

/// Opens a WebSocket.
pub async fn open(server: &ServerUrl, within: Duration, dialer: &Dialer) -> Result<Socket, SignalingError> {
    let opening = async {
        let failed = |error| in_words(server, error);
        let tcp = dialer.connect(server.host(), server.port(), None).await.map_err(failed)?;
        let stream = dialer.secure(server.security(), server.host(), tcp).await.map_err(failed)?;
        upgrade(server, stream).await
    };
    match timeout(within, opening).await {
        Ok(result) => result,
        Err(_) => Err(SignalingError::TimedOut { server: server.authority() }),
    }
}

/// What went wrong on the way, with the server's name in it.
fn in_words(server: &ServerUrl, error: DialError) -> SignalingError {
    let server = server.authority();
    match error {
        DialError::Name(reason) => SignalingError::NameNotFound { server, reason },
        DialError::Refused => SignalingError::Refused { server },
        DialError::Unreachable(reason) | DialError::Proxy(reason) => {
            SignalingError::Unreachable { server, reason }
        }
        DialError::Silent => SignalingError::TimedOut { server },
        DialError::Tls(reason) => SignalingError::Tls { server, reason },
        error @ DialError::Family(_) => SignalingError::Unreachable { server, reason: error.to_string() },
    }
}

async fn upgrade(server: &ServerUrl, stream: Box<dyn Stream>) -> Result<Socket, SignalingError> {
    let not_ours = |reason: String| SignalingError::NotSightline { server: server.authority(), reason };
    let mut request =
        server.to_string().into_client_request().map_err(|error| not_ours(error.to_string()))?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
    let config = WebSocketConfig::default()
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_MESSAGE)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(not_ours(format!("it says HTTP {}", response.status()))),
        Err(Error::Io(error)) => {
            Err(SignalingError::Unreachable { server: server.authority(), reason: error.to_string() })
        }
        Err(Error::Protocol(ProtocolError::HandshakeIncomplete)) | Err(Error::ConnectionClosed) => {
            Err(not_ours("it hangs up".into()))
        }
        Err(Error::AttackAttempt) => Err(not_ours("its answer does not end".into())),
        Err(error) => Err(not_ours(error.to_string())),
    }
}

/// What ended a WebSocket, in words; `Err` if the server broke the rules.
pub fn end_in_words(error: Error) -> Result<String, String> {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Ok("it was closed".into()),
        Error::Io(error) => Ok(error.to_string()),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ok("it was cut off".into()),
        Error::Capacity(CapacityError::MessageTooLong { size, .. }) => {
            Err(format!("a message of {size} bytes; at most {MAX_MESSAGE} are allowed"))
        }
        other => Err(other.to_string()),
    }
}
