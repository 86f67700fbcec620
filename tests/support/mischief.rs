//! Servers and links that misbehave, on loopback.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use sightline::clock;

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// A thread that ends with its owner.
struct Mischief {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mischief {
    fn start(mut turn: impl FnMut() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("mischief".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    turn();
                }
            })
            .unwrap();
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Mischief {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    socket
}

/// Takes every request and answers none.
pub struct Mute {
    pub address: SocketAddr,
    _socket: UdpSocket,
}

impl Mute {
    pub fn start(ip: &str) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }
}

/// Answers STUN with an address of its own invention, as the far side of a NAT would see it.
pub struct Liar {
    pub address: SocketAddr,
    _mischief: Mischief,
}

impl Liar {
    pub fn start(mapped: &str) -> Self {
        let mapped: SocketAddr = mapped.parse().unwrap();
        let socket = socket();
        let address = socket.local_addr().unwrap();
        let mut buffer = [0; 2_048];
        let mischief = Mischief::start(move || {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { return };
            if let Some(answer) = lie(&buffer[..length], mapped) {
                socket.send_to(&answer, from).ok();
            }
        });
        Self { address, _mischief: mischief }
    }
}

/// A binding success (RFC 8489 sections 5 and 14.2) for a binding request.
fn lie(request: &[u8], mapped: SocketAddr) -> Option<Vec<u8>> {
    let SocketAddr::V4(mapped) = mapped else { return None };
    if request.get(..2)? != [0, 1] || request.get(4..8)? != COOKIE {
        return None;
    }
    let mut answer = vec![1, 1, 0, 12];
    answer.extend(&request[4..20]);
    answer.extend([0, 0x20, 0, 8, 0, 1]);
    answer.extend((mapped.port() ^ 0x2112).to_be_bytes());
    answer.extend(mapped.ip().octets().iter().zip(COOKIE).map(|(byte, key)| byte ^ key));
    Some(answer)
}

/// What a link does to media; everything else passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Weather {
    /// Nothing.
    Fair,
    /// Media towards the client is lost.
    OneWay,
    /// Every eighth packet of media from the client is lost.
    Lossy,
    /// All packets wait 400 ms, and some media is lost: somebody else fills the queue.
    Queue,
}

/// A link between one client and a server, with weather.
pub struct Link {
    pub address: SocketAddr,
    weather: Arc<AtomicU8>,
    _mischief: Mischief,
}

impl Link {
    pub fn to(server: SocketAddr) -> Self {
        let (near, far) = (socket(), UdpSocket::bind("127.0.0.1:0").unwrap());
        far.connect(server).unwrap();
        far.set_nonblocking(true).unwrap();
        near.set_nonblocking(true).unwrap();
        let address = near.local_addr().unwrap();
        let weather = Arc::new(AtomicU8::new(Weather::Fair as u8));
        let mut line = Line { near, far, client: None, waiting: VecDeque::new(), media: 0 };
        let now_weather = Arc::clone(&weather);
        let mischief = Mischief::start(move || line.turn(now_weather.load(Ordering::Relaxed)));
        Self { address, weather, _mischief: mischief }
    }

    pub fn set(&self, weather: Weather) {
        self.weather.store(weather as u8, Ordering::Relaxed);
    }
}

struct Line {
    near: UdpSocket,
    far: UdpSocket,
    client: Option<SocketAddr>,
    waiting: VecDeque<(Instant, bool, Vec<u8>)>,
    media: u64,
}

impl Line {
    fn turn(&mut self, weather: u8) {
        let mut buffer = [0; 2_048];
        let mut idle = true;
        while let Ok((length, from)) = self.near.recv_from(&mut buffer) {
            self.client = Some(from);
            self.take(weather, true, &buffer[..length]);
            idle = false;
        }
        while let Ok(length) = self.far.recv(&mut buffer) {
            self.take(weather, false, &buffer[..length]);
            idle = false;
        }
        let now = clock::now();
        while self.waiting.front().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, up, packet)) = self.waiting.pop_front() else { break };
            match (up, self.client) {
                (true, _) => drop(self.far.send(&packet)),
                (false, Some(client)) => drop(self.near.send_to(&packet, client)),
                (false, None) => {}
            }
        }
        if idle {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn take(&mut self, weather: u8, up: bool, packet: &[u8]) {
        let media = is_media(packet);
        self.media += u64::from(media && up);
        let lost = match weather {
            w if w == Weather::OneWay as u8 => media && !up,
            w if w == Weather::Lossy as u8 => media && up && self.media.is_multiple_of(8),
            w if w == Weather::Queue as u8 => media && up && self.media.is_multiple_of(20),
            _ => false,
        };
        if lost {
            return;
        }
        let delay = if weather == Weather::Queue as u8 { Duration::from_millis(400) } else { Duration::ZERO };
        let at = (clock::now() + delay).max(self.waiting.back().map_or(clock::now(), |(at, ..)| *at));
        self.waiting.push_back((at, up, packet.to_vec()));
    }
}

/// SRTP or SRTCP (RFC 7983) inside a TURN channel or a Send or Data indication.
fn is_media(packet: &[u8]) -> bool {
    let inner = match packet {
        [0x40..=0x4f, _, _, _, inner @ ..] => inner.first(),
        // DATA is the last attribute that we and our server write.
        [0, 0x16 | 0x17, ..] => data(packet).and_then(|data| data.first()),
        _ => None,
    };
    inner.is_some_and(|first| (128..192).contains(first))
}

fn data(message: &[u8]) -> Option<&[u8]> {
    let mut rest = message.get(20..)?;
    while let [t0, t1, l0, l1, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if [*t0, *t1] == [0, 0x13] {
            return after.get(..length);
        }
        rest = after.get(length.next_multiple_of(4)..)?;
    }
    None
}
