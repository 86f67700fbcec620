//! A TCP port of its own for STUN and TURN, plain and over TLS.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{service::Service, stream};
use crate::door::{Places, Wants, accept, handshake};

/// Most connections from one address: as many people may be behind it, in an office.
const PER_ADDRESS: usize = 64;

/// Serves until `shutdown`.
pub async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    shutdown: CancellationToken,
) {
    let places = Places::new(PER_ADDRESS);
    let tracker = TaskTracker::new();
    let accepting = accept(&listener, &places, |stream, from, place| {
        let (tls, service, shutdown) = (tls.clone(), service.clone(), shutdown.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = connection(stream, from, tls.as_ref(), &service) => {}
                () = shutdown.cancelled() => {}
            }
            drop(place);
        });
    });
    tokio::select! {
        () = accepting => {}
        () = shutdown.cancelled() => {}
    }
    tracker.close();
    tracker.wait().await;
}

async fn connection(stream: TcpStream, from: SocketAddr, tls: Option<&TlsAcceptor>, service: &Service) {
    stream::prepare(&stream);
    match (Wants::of(&stream).await, tls) {
        (Some(Wants::Turn), _) => stream::serve(service, stream, from).await,
        (Some(Wants::Tls), Some(tls)) => {
            if let Some(stream) = handshake(tls, stream).await {
                stream::serve(service, stream, from).await;
            }
        }
        (Some(Wants::Tls | Wants::Http) | None, _) => {}
    }
}
