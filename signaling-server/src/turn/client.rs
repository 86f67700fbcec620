//! A small TURN client over UDP, TCP and TLS, with which the server tests itself (and its tests the
//! server).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use turn_types::{
    attribute::{ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress},
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND},
    stun::{
        attribute::{ErrorCode, Nonce, Realm, Username, XorMappedAddress},
        message::{
            BINDING, IntegrityAlgorithm, IntegrityKey, LongTermCredentials, Message, MessageClass,
            MessageWriteVec, Method,
        },
        prelude::{AttributeWrite, MessageWrite, MessageWriteExt},
    },
};

use super::frames::Frames;

/// How long one attempt waits for its answer; packets are lost now and then.
const ATTEMPT: Duration = Duration::from_millis(500);

/// Attempts of one request.
const ATTEMPTS: usize = 4;

/// How long to wait for data.
const DATA_WITHIN: Duration = Duration::from_secs(2);

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused.
    #[error("the relay refused with {0} ({reason})", reason = ErrorCode::default_reason_for_code(*.0))]
    Refused(u16),
    /// Nothing came back.
    #[error("the relay did not answer")]
    Silent,
    /// What came back is not an answer.
    #[error("the relay's answer makes no sense")]
    Garbled,
    /// The socket failed.
    #[error("the socket: {0}")]
    Socket(#[from] io::Error),
}

/// How to reach a server.
#[derive(Clone, Debug)]
pub enum Via {
    /// In datagrams.
    Udp(SocketAddr),
    /// Over a connection.
    Tcp(SocketAddr),
    /// Over a connection with TLS, to a server of this name.
    Tls(SocketAddr, Arc<rustls::ClientConfig>, ServerName<'static>),
}

impl From<SocketAddr> for Via {
    fn from(address: SocketAddr) -> Self {
        Self::Udp(address)
    }
}

/// Bytes both ways.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A way to the server that is open.
enum Link {
    Datagrams(UdpSocket),
    Connection { stream: Box<dyn Stream>, frames: Frames },
}

/// A client with an allocation.
pub struct Client {
    link: Link,
    username: String,
    key: IntegrityKey,
    realm: String,
    nonce: String,
    relayed: SocketAddr,
}

impl Client {
    /// The address that the server sees (a STUN binding).
    pub async fn mapped_address(server: impl Into<Via>) -> Result<SocketAddr, ClientError> {
        let mut link = Link::open(server.into()).await?;
        let request = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
        let reply = link.transact(&request).await?;
        let message = Message::from_bytes(&reply).map_err(|_| ClientError::Garbled)?;
        let mapped = message.attribute::<XorMappedAddress>().map_err(|_| ClientError::Garbled)?;
        Ok(mapped.addr(message.transaction_id()))
    }

    /// Gets a relay address.
    pub async fn allocate(
        server: impl Into<Via>,
        username: &str,
        password: &str,
    ) -> Result<Self, ClientError> {
        Self::allocate_over(Link::open(server.into()).await?, username, password).await
    }

    /// As [`Client::allocate`], over a connection to the server that is open.
    pub async fn allocate_by(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        username: &str,
        password: &str,
    ) -> Result<Self, ClientError> {
        let link = Link::Connection { stream: Box::new(stream), frames: Frames::new() };
        Self::allocate_over(link, username, password).await
    }

    async fn allocate_over(mut link: Link, username: &str, password: &str) -> Result<Self, ClientError> {
        let udp = RequestedTransport::new(RequestedTransport::UDP);
        let mut first = Message::builder_request(ALLOCATE, MessageWriteVec::new());
        first.add_attribute(&udp).map_err(|_| ClientError::Garbled)?;
        let challenge = link.transact(&first.finish()).await?;
        let challenge = Message::from_bytes(&challenge).map_err(|_| ClientError::Garbled)?;
        let realm = challenge.attribute::<Realm>().map_err(|_| ClientError::Garbled)?.realm().to_owned();
        let nonce = challenge.attribute::<Nonce>().map_err(|_| ClientError::Garbled)?.nonce().to_owned();
        let key = LongTermCredentials::new(username.to_owned(), password.to_owned())
            .to_key(realm.clone())
            .make_key(IntegrityAlgorithm::Sha1);
        let relayed = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut client = Self { link, username: username.to_owned(), key, realm, nonce, relayed };
        let reply = client.request(ALLOCATE, |_| vec![Box::new(udp.clone())]).await?;
        let message = Message::from_bytes(&reply).map_err(|_| ClientError::Garbled)?;
        let relayed = message.attribute::<XorRelayedAddress>().map_err(|_| ClientError::Garbled)?;
        client.relayed = relayed.addr(message.transaction_id());
        Ok(client)
    }

    /// The relay address.
    pub fn relayed(&self) -> SocketAddr {
        self.relayed
    }

    /// Lets a peer's packets through.
    pub async fn permit(&mut self, peer: SocketAddr) -> Result<(), ClientError> {
        self.request(CREATE_PERMISSION, |id| vec![Box::new(XorPeerAddress::new(peer, id))]).await?;
        Ok(())
    }

    /// Binds a channel to a peer.
    pub async fn bind_channel(&mut self, number: u16, peer: SocketAddr) -> Result<(), ClientError> {
        self.request(CHANNEL_BIND, |id| {
            vec![Box::new(ChannelNumber::new(number)), Box::new(XorPeerAddress::new(peer, id))]
        })
        .await?;
        Ok(())
    }

    /// Prolongs the allocation.
    pub async fn refresh(&mut self) -> Result<(), ClientError> {
        self.request(REFRESH, |_| vec![Box::new(Lifetime::new(600))]).await?;
        Ok(())
    }

    /// Gives the relay address back.
    pub async fn release(&mut self) -> Result<(), ClientError> {
        self.request(REFRESH, |_| vec![Box::new(Lifetime::new(0))]).await?;
        Ok(())
    }

    /// Sends over a channel.
    pub async fn send_channel(&mut self, number: u16, data: &[u8]) -> Result<(), ClientError> {
        let length = u16::try_from(data.len()).map_err(|_| ClientError::Garbled)?;
        let packet = [&number.to_be_bytes()[..], &length.to_be_bytes(), data].concat();
        self.link.send(&packet).await
    }

    /// Sends without a channel.
    pub async fn send_indication(&mut self, peer: SocketAddr, data: &[u8]) -> Result<(), ClientError> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let id = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, id)).map_err(|_| ClientError::Garbled)?;
        message.add_attribute(&Data::new(data)).map_err(|_| ClientError::Garbled)?;
        self.link.send(&message.finish()).await
    }

    /// The next data of a peer: from an indication its address; from a channel the number in the
    /// port of the unspecified address.
    pub async fn receive(&mut self) -> Result<(SocketAddr, Vec<u8>), ClientError> {
        let packet = timeout(DATA_WITHIN, self.link.receive()).await.map_err(|_| ClientError::Silent)??;
        let packet = &packet[..];
        if let Some((&[a @ 0x40..=0x4f, b, l0, l1], data)) = packet.split_first_chunk::<4>() {
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            let data = data.get(..length).ok_or(ClientError::Garbled)?;
            let number = u16::from_be_bytes([a, b]);
            return Ok((SocketAddr::new(IpAddr::from([0, 0, 0, 0]), number), data.to_vec()));
        }
        let message = Message::from_bytes(packet).map_err(|_| ClientError::Garbled)?;
        let peer = message.attribute::<XorPeerAddress>().map_err(|_| ClientError::Garbled)?;
        let data = message.attribute::<Data<'_>>().map_err(|_| ClientError::Garbled)?;
        Ok((peer.addr(message.transaction_id()), data.data().to_vec()))
    }

    /// A request with credentials; once more with a new nonce if the old one is stale.
    async fn request(
        &mut self,
        method: Method,
        attributes: impl Fn(turn_types::stun::message::TransactionId) -> Vec<Box<dyn AttributeWrite>>,
    ) -> Result<Vec<u8>, ClientError> {
        for _ in 0..2 {
            let mut message = Message::builder_request(method, MessageWriteVec::new());
            for attribute in attributes(message.transaction_id()) {
                message.add_attribute(&*attribute).map_err(|_| ClientError::Garbled)?;
            }
            self.sign(&mut message).map_err(|_| ClientError::Garbled)?;
            let reply = self.link.transact(&message.finish()).await?;
            let response = Message::from_bytes(&reply).map_err(|_| ClientError::Garbled)?;
            if response.has_class(MessageClass::Success) {
                response.validate_integrity_with_key(&self.key).map_err(|_| ClientError::Garbled)?;
                return Ok(reply);
            }
            let code = response.attribute::<ErrorCode>().map_err(|_| ClientError::Garbled)?.code();
            match response.attribute::<Nonce>() {
                Ok(nonce) if code == ErrorCode::STALE_NONCE => self.nonce = nonce.nonce().to_owned(),
                _ => return Err(ClientError::Refused(code)),
            }
        }
        Err(ClientError::Refused(ErrorCode::STALE_NONCE))
    }

    fn sign(&self, message: &mut MessageWriteVec) -> Result<(), turn_types::stun::message::StunWriteError> {
        message.add_attribute(&Username::new(&self.username)?)?;
        message.add_attribute(&Realm::new(&self.realm)?)?;
        message.add_attribute(&Nonce::new(&self.nonce)?)?;
        message.add_message_integrity_with_key(&self.key, IntegrityAlgorithm::Sha1)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("username", &self.username).field("relayed", &self.relayed).finish()
    }
}

impl Link {
    async fn open(via: Via) -> Result<Self, ClientError> {
        let connect = async |server| {
            let stream = TcpStream::connect(server).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        let stream: Box<dyn Stream> = match via {
            Via::Udp(server) => {
                let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any).await?;
                socket.connect(server).await?;
                return Ok(Self::Datagrams(socket));
            }
            Via::Tcp(server) => Box::new(connect(server).await?),
            Via::Tls(server, config, name) => {
                let stream = connect(server).await?;
                Box::new(TlsConnector::from(config).connect(name, stream).await?)
            }
        };
        Ok(Self::Connection { stream, frames: Frames::new() })
    }

    async fn send(&mut self, packet: &[u8]) -> Result<(), ClientError> {
        match self {
            Self::Datagrams(socket) => {
                socket.send(packet).await?;
            }
            Self::Connection { stream, .. } => {
                let padding = packet.len().next_multiple_of(4) - packet.len();
                stream.write_all(&[packet, &[0; 3][..padding]].concat()).await?;
                stream.flush().await?;
            }
        }
        Ok(())
    }

    /// The next packet. Nothing is lost if the future is dropped.
    async fn receive(&mut self) -> Result<Vec<u8>, ClientError> {
        match self {
            Self::Datagrams(socket) => {
                let mut packet = vec![0; 65_536];
                let length = socket.recv(&mut packet).await?;
                packet.truncate(length);
                Ok(packet)
            }
            Self::Connection { stream, frames } => loop {
                if let Some(frame) = frames.next().map_err(|_| ClientError::Garbled)? {
                    return Ok(frame.to_vec());
                }
                match stream.read(frames.space()).await? {
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    count => frames.filled(count),
                }
            },
        }
    }

    /// Sends a request until its answer comes; once over a connection, which loses nothing.
    async fn transact(&mut self, request: &[u8]) -> Result<Vec<u8>, ClientError> {
        let id = request.get(4..20).ok_or(ClientError::Garbled)?;
        for attempt in 0..ATTEMPTS {
            if attempt == 0 || matches!(self, Self::Datagrams(_)) {
                self.send(request).await?;
            }
            let answer = async {
                loop {
                    let packet = self.receive().await?;
                    if packet.get(4..20) == Some(id) {
                        return Ok::<_, ClientError>(packet);
                    }
                }
            };
            if let Ok(answer) = timeout(ATTEMPT, answer).await {
                return answer;
            }
        }
        Err(ClientError::Silent)
    }
}
