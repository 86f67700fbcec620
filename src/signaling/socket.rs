//! One WebSocket to the server: how it is opened, and what can go wrong, in words.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use signaling_protocol::{MAX_MESSAGE, SUBPROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::error::SignalingError;
use super::tls;
use crate::server_url::{Host, Security, ServerUrl};

/// One address of a name that has several has this long before the next is tried.
const ADDRESS_WITHIN: Duration = Duration::from_secs(3);

/// Addresses of a name that are tried.
const MOST_ADDRESSES: usize = 6;

/// TCP, or TLS over it.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// An open WebSocket.
pub type Socket = WebSocketStream<Box<dyn Stream>>;

/// Opens a WebSocket. `tls` is asked for only when the server has TLS.
pub async fn open(
    server: &ServerUrl,
    within: Duration,
    tls: impl Future<Output = Arc<rustls::ClientConfig>>,
) -> Result<Socket, SignalingError> {
    let opening = async {
        let tcp = connect(server, within).await?;
        tcp.set_nodelay(true).ok();
        let stream: Box<dyn Stream> = match server.security() {
            Security::Plain => Box::new(tcp),
            Security::Tls => secure(server, tcp, tls.await).await?,
        };
        upgrade(server, stream).await
    };
    match timeout(within, opening).await {
        Ok(result) => result,
        Err(_) => Err(SignalingError::TimedOut { server: server.authority() }),
    }
}

async fn connect(server: &ServerUrl, within: Duration) -> Result<TcpStream, SignalingError> {
    let port = server.port();
    let addresses: Vec<SocketAddr> = match server.host() {
        Host::V4(ip) => vec![SocketAddr::new(IpAddr::V4(*ip), port)],
        Host::V6(ip) => vec![SocketAddr::new(IpAddr::V6(*ip), port)],
        Host::Name(name) => lookup_host((name.as_str(), port))
            .await
            .map_err(|error| SignalingError::NameNotFound {
                server: server.authority(),
                reason: error.to_string(),
            })?
            .take(MOST_ADDRESSES)
            .collect(),
    };
    let alone = addresses.len() == 1;
    let mut last =
        SignalingError::NameNotFound { server: server.authority(), reason: "the name has no address".into() };
    for address in addresses {
        let patience = if alone { within } else { ADDRESS_WITHIN };
        last = match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                SignalingError::Refused { server: server.authority() }
            }
            Ok(Err(error)) => {
                SignalingError::Unreachable { server: server.authority(), reason: error.to_string() }
            }
            Err(_) => SignalingError::TimedOut { server: server.authority() },
        };
    }
    Err(last)
}

async fn secure(
    server: &ServerUrl,
    tcp: TcpStream,
    config: Arc<rustls::ClientConfig>,
) -> Result<Box<dyn Stream>, SignalingError> {
    let failed = |reason: String| SignalingError::Tls { server: server.authority(), reason };
    let name = match server.host() {
        Host::Name(name) => rustls_pki_types::ServerName::try_from(name.clone())
            .map_err(|_| failed("a certificate cannot carry such a name".into()))?,
        Host::V4(ip) => IpAddr::V4(*ip).into(),
        Host::V6(ip) => IpAddr::V6(*ip).into(),
    };
    let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(|error| {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        failed(match inner {
            Some(error) => tls::in_words(error),
            None if error.kind() == io::ErrorKind::UnexpectedEof => "it hangs up during the handshake".into(),
            None => error.to_string(),
        })
    })?;
    Ok(Box::new(stream))
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
