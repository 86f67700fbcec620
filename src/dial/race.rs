//! One TCP connection to whichever of several addresses answers first (RFC 8305, "happy eyeballs").

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::DialError;

/// Head start of an address before the next one is tried beside it (RFC 8305 section 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// How long one address may take.
const ADDRESS_WITHIN: Duration = Duration::from_secs(4);

/// The first that answers. The error is that of the last to fail, but a telling one rather than
/// silence.
pub async fn connect(addresses: Vec<SocketAddr>, from: Option<IpAddr>) -> Result<TcpStream, DialError> {
    let mut waiting = addresses.into_iter();
    let mut racing = JoinSet::new();
    let mut worst: Option<DialError> = None;
    let mut next = waiting.next();
    loop {
        if let Some(address) = next.take() {
            racing.spawn(connect_one(address, from));
        }
        let finished = match timeout(HEAD_START, racing.join_next()).await {
            Ok(finished) => finished,
            Err(_) => {
                next = waiting.next();
                continue;
            }
        };
        match finished {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => {
                if worst.is_none() || error != DialError::Silent {
                    worst = Some(error);
                }
                next = waiting.next();
            }
            // A task of ours that was cut off: the runtime is going down.
            Some(Err(_)) => next = waiting.next(),
            None => return Err(worst.unwrap_or(DialError::Silent)),
        }
    }
}

async fn connect_one(address: SocketAddr, from: Option<IpAddr>) -> Result<TcpStream, DialError> {
    let connecting = async {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        socket.connect(address).await
    };
    match timeout(ADDRESS_WITHIN, connecting).await {
        Ok(connected) => connected.map_err(|error: io::Error| DialError::of(&error)),
        Err(_) => Err(DialError::Silent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn the_address_that_answers_is_found_behind_one_that_refuses_and_one_that_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        // A listener whose queue is full drops what comes: nothing answers.
        let silent = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        silent.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        silent.listen(0).unwrap();
        let full = silent.local_addr().unwrap().as_socket().unwrap();
        let brief = Duration::from_millis(50);
        let _fills = [full; 3].map(|full| std::net::TcpStream::connect_timeout(&full, brief).ok());
        let stream = connect(vec![closed, full, good], None).await.expect("one answers");
        assert_eq!(stream.peer_addr().unwrap(), good);
        let error = connect(vec![closed, closed], None).await.expect_err("nobody listens");
        assert_eq!(error, DialError::Refused);
    }

    #[tokio::test]
    async fn a_connection_leaves_from_the_address_that_is_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let from = IpAddr::from([127, 0, 0, 2]);
        let stream = connect(vec![listener.local_addr().unwrap()], Some(from)).await.expect("connected");
        assert_eq!(stream.local_addr().unwrap().ip(), from);
    }
}
