//! A path that counts, delays and loses packets or goes silent: a forwarder between two sides on
//! loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::clock;
use crate::rtc::Signal;

/// Packets on their way in one direction; more are lost.
const ON_THE_WAY: usize = 4_096;

/// What has come through in one direction, counted by what is on the wire and nothing else.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    packets: u64,
    bytes: u64,
    stun: Stun,
    rtp: BTreeMap<u32, (u64, u64)>,
    dropped: u64,
}

/// STUN messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stun {
    /// Binding requests.
    pub requests: u64,
    /// Success and error answers.
    pub answers: u64,
}

impl Traffic {
    /// Packets that are not STUN, and their bytes.
    pub fn carried(&self) -> [u64; 2] {
        let counts = self.0.lock().unwrap();
        [counts.packets, counts.bytes]
    }

    /// STUN messages.
    pub fn stun(&self) -> Stun {
        self.0.lock().unwrap().stun
    }

    /// RTP packets of a source, and their bytes.
    pub fn rtp(&self, ssrc: u32) -> (u64, u64) {
        self.0.lock().unwrap().rtp.get(&ssrc).copied().unwrap_or_default()
    }

    /// RTP packets that did not come through.
    pub fn dropped(&self) -> u64 {
        self.0.lock().unwrap().dropped
    }

    fn drop_one(&self) {
        self.0.lock().unwrap().dropped += 1;
    }

    fn count(&self, datagram: &[u8]) {
        let mut counts = self.0.lock().unwrap();
        match datagram {
            [0, 1, ..] => counts.stun.requests += 1,
            [1, 1 | 0x11, ..] => counts.stun.answers += 1,
            [0..=3, ..] => {}
            _ => {
                counts.packets += 1;
                counts.bytes += datagram.len() as u64;
            }
        }
        if let [128..=191, kind, _, _, _, _, _, _, a, b, c, d, ..] = *datagram
            && !(192..=223).contains(&kind)
        {
            let (packets, bytes) = counts.rtp.entry(u32::from_be_bytes([a, b, c, d])).or_default();
            *packets += 1;
            *bytes += datagram.len() as u64;
        }
    }
}

/// Two sockets: A's packets for B arrive at one and leave from the other.
pub struct Wire {
    /// Where A thinks B is, and B thinks A is.
    to_b: Arc<UdpSocket>,
    to_a: Arc<UdpSocket>,
    /// One packet of so many is lost; 0 for none, 1 for all.
    pub lose_every: Arc<AtomicU32>,
    /// From A to B.
    pub to_b_traffic: Arc<Traffic>,
    /// From B to A.
    pub to_a_traffic: Arc<Traffic>,
    /// Milliseconds from one side to the other.
    delay: Arc<AtomicU32>,
    /// What is described from now on is reached directly.
    pub ends: bool,
    tasks: Vec<JoinHandle<()>>,
}

impl Wire {
    /// A path without ends yet.
    pub async fn new() -> Self {
        let socket = || async { Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap()) };
        Self {
            to_b: socket().await,
            to_a: socket().await,
            lose_every: Arc::default(),
            to_b_traffic: Arc::default(),
            to_a_traffic: Arc::default(),
            delay: Arc::default(),
            ends: false,
            tasks: Vec::new(),
        }
    }

    /// From now on packets take so long from one side to the other.
    pub fn delay(&self, one_way: Duration) {
        self.delay.store(one_way.as_millis() as u32, Ordering::Relaxed);
    }

    /// Rewrites the candidates of A's signal to lead through the path.
    pub fn redirect_a(&mut self, signal: Signal) -> Signal {
        if self.ends {
            return signal;
        }
        let (signal, end) = redirected(signal, self.to_a.local_addr().unwrap());
        if let Some(a) = end {
            self.carry(self.to_a.clone(), self.to_b.clone(), a, self.to_a_traffic.clone(), false);
        }
        signal
    }

    /// The same for B.
    pub fn redirect_b(&mut self, signal: Signal) -> Signal {
        if self.ends {
            return signal;
        }
        let (signal, end) = redirected(signal, self.to_b.local_addr().unwrap());
        if let Some(b) = end {
            self.carry(self.to_b.clone(), self.to_a.clone(), b, self.to_b_traffic.clone(), true);
        }
        signal
    }

    /// What arrives at `from` leaves from `out` to `end`, after the delay.
    fn carry(
        &mut self,
        from: Arc<UdpSocket>,
        out: Arc<UdpSocket>,
        end: SocketAddr,
        traffic: Arc<Traffic>,
        lossy: bool,
    ) {
        let (lose_every, delay) = (self.lose_every.clone(), self.delay.clone());
        let (leaving, mut on_the_way) = mpsc::channel::<(std::time::Instant, Vec<u8>)>(ON_THE_WAY);
        self.tasks.push(tokio::spawn(async move {
            while let Some((at, datagram)) = on_the_way.recv().await {
                tokio::time::sleep_until(at.into()).await;
                out.send_to(&datagram, end).await.ok();
            }
        }));
        self.tasks.push(tokio::spawn(async move {
            let mut buffer = [0; 2_000];
            let mut count = 0_u32;
            while let Ok((len, _)) = from.recv_from(&mut buffer).await {
                count = count.wrapping_add(1);
                let every = lose_every.load(Ordering::Relaxed);
                let media = (128..192).contains(&buffer[0]) && len > 200;
                let lost = every == 1 || (lossy && media && every > 0 && count.is_multiple_of(every));
                if lost {
                    traffic.drop_one();
                    continue;
                }
                traffic.count(&buffer[..len]);
                let delay = Duration::from_millis(delay.load(Ordering::Relaxed).into());
                leaving.try_send((clock::now() + delay, buffer[..len].to_vec())).ok();
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
        Signal::Description { kind, sdp, proof, moves, screens, screen_sound, replaces, connection } => {
            let lines = sdp
                .lines()
                .map(|line| if line.starts_with("a=candidate:") { redirect(line) } else { line.to_owned() });
            let sdp = lines.map(|line| line + "\r\n").collect();
            Signal::Description { kind, sdp, proof, moves, screens, screen_sound, replaces, connection }
        }
        Signal::Candidate { candidate, mid, ufrag, connection } => {
            Signal::Candidate { candidate: redirect(&candidate), mid, ufrag, connection }
        }
        end @ Signal::EndOfCandidates { .. } => end,
    };
    (signal, end)
}
