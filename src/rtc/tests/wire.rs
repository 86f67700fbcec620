//! A path that loses packets or goes silent: a forwarder between two sides on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use crate::rtc::Signal;

/// Two sockets: A's packets for B arrive at one and leave from the other.
pub struct Wire {
    /// Where A thinks B is, and B thinks A is.
    to_b: Arc<UdpSocket>,
    to_a: Arc<UdpSocket>,
    /// One packet of so many is lost; 0 for none, 1 for all.
    pub lose_every: Arc<AtomicU32>,
    tasks: Vec<JoinHandle<()>>,
}

impl Wire {
    /// A path without ends yet.
    pub async fn new() -> Self {
        let socket = || async { Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()) };
        Self { to_b: socket().await, to_a: socket().await, lose_every: Arc::default(), tasks: Vec::new() }
    }

    /// Rewrites the candidates of A's signal to lead through the path.
    pub fn redirect_a(&mut self, signal: Signal) -> Signal {
        let (signal, end) = redirected(signal, self.to_a.local_addr().unwrap());
        if let Some(a) = end {
            self.carry(self.to_a.clone(), self.to_b.clone(), a, false);
        }
        signal
    }

    /// The same for B.
    pub fn redirect_b(&mut self, signal: Signal) -> Signal {
        let (signal, end) = redirected(signal, self.to_b.local_addr().unwrap());
        if let Some(b) = end {
            self.carry(self.to_b.clone(), self.to_a.clone(), b, true);
        }
        signal
    }

    /// What arrives at `from` leaves from `out` to `end`.
    fn carry(&mut self, from: Arc<UdpSocket>, out: Arc<UdpSocket>, end: SocketAddr, lossy: bool) {
        let lose_every = self.lose_every.clone();
        self.tasks.push(tokio::spawn(async move {
            let mut buffer = [0; 2_000];
            let mut count = 0_u32;
            while let Ok((len, _)) = from.recv_from(&mut buffer).await {
                count = count.wrapping_add(1);
                let every = lose_every.load(Ordering::Relaxed);
                let media = (128..192).contains(&buffer[0]) && len > 200;
                let lost = every == 1 || (lossy && media && every > 0 && count.is_multiple_of(every));
                if !lost {
                    out.send_to(&buffer[..len], end).await.ok();
                }
            }
        }));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The signal with `through` as its only address, and the address that it had.
fn redirected(signal: Signal, through: SocketAddr) -> (Signal, Option<SocketAddr>) {
    let mut end = None;
    let mut redirect = |line: &str| {
        let mut fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
        end = format!("{}:{}", fields[4], fields[5]).parse().ok();
        fields[5] = through.port().to_string();
        fields.join(" ")
    };
    let signal = match signal {
        Signal::Description { kind, sdp, proof, moves, replaces, connection } => {
            let lines = sdp
                .lines()
                .map(|line| if line.starts_with("a=candidate:") { redirect(line) } else { line.to_owned() });
            let sdp = lines.map(|line| line + "\r\n").collect();
            Signal::Description { kind, sdp, proof, moves, replaces, connection }
        }
        Signal::Candidate { candidate, mid, ufrag, connection } => {
            Signal::Candidate { candidate: redirect(&candidate), mid, ufrag, connection }
        }
        end @ Signal::EndOfCandidates { .. } => end,
    };
    (signal, end)
}
