//! The crate's window to sockets and timers, with five of its habits mended.
//!
//! 1. A DTLS flight that overtakes the end of the connectivity checks would be thrown away and come
//!    again after a second: [`Socket`] keeps it until the path is chosen.
//! 2. Media that follows the last DTLS flight in the same burst would be thrown away, because the
//!    keys are put in place only between bursts: [`Socket`] ends a burst after a DTLS datagram.
//! 3. The first DTLS flight would wait for the next timer: [`Path::nudge`] ends the crate's sleep.
//! 4. Checks of every pair leave at every tick: [`Checks`] lets the first ones of a destination
//!    pass at that pace, for a fast start, and later ones every 50 ms (RFC 8445 section 14).
//! 5. What goes out over a relay is put in line behind the point where the crate's loop sends it,
//!    and would wait there for the next packet or timer: with a relay in use, every turn of the
//!    loop is followed by two more ([`Path::take_extra_turn`]).
//!
//! A panic inside the crate ends one connection with an event, not the program.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ::webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};
use futures_util::FutureExt;
use tokio::sync::Notify;

use super::routes::Routes;
use super::servers::Servers;
use crate::clock;
use crate::rtc::engine::{Event, EventSender, Heard};

/// DTLS datagrams kept until the path is chosen. A flight has at most four; more are dropped and
/// come again by DTLS's own timer.
const HELD: usize = 8;

/// Socket buffers in bytes: half a second of 16 Mbit/s, so that a key frame from several
/// participants at once is not lost in the kernel while the driver is busy.
const SOCKET_BUFFER: usize = 1 << 20;

/// Nothing for so long is an outage: media comes all the time, and with nothing to show or to say a
/// report every second.
const SILENCE: Duration = Duration::from_millis(1_500);

/// How far a connection's first path has come.
#[derive(Debug, Default)]
pub struct Path {
    chosen: AtomicBool,
    sleepers: Arc<Notify>,
    relayed: AtomicBool,
    turns: AtomicU32,
    waiting: Mutex<Vec<Waker>>,
    heard: Mutex<Option<Heard>>,
    media_at: Mutex<Option<Instant>>,
}

impl Path {
    /// Ends the crate's sleep, now or the next one.
    pub fn nudge(&self) {
        self.sleepers.notify_one();
    }

    /// ICE has chosen a path: DTLS may pass.
    pub fn choose(&self) {
        self.chosen.store(true, Ordering::Release);
        for waker in self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            waker.wake();
        }
        self.nudge();
    }

    /// What came last.
    pub fn heard(&self) -> Option<Heard> {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a datagram; says whether it ends a silence.
    fn hear(&self, datagram: &[u8], local: io::Result<SocketAddr>) -> bool {
        let now = clock::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = heard.and_then(|heard| heard.local);
        let secured = is_secured(datagram);
        let new = if secured { local.ok().map(|local| local.ip()) } else { None };
        *heard = Some(Heard { at: now, local: new.or(before) });
        secured && self.ends_silence(now)
    }

    fn ends_silence(&self, now: Instant) -> bool {
        let last = self.media_at.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        last.is_some_and(|last| now.saturating_duration_since(last) >= SILENCE)
    }

    /// Whether packets may go out over a relay.
    pub fn set_relayed(&self, relayed: bool) {
        self.relayed.store(relayed, Ordering::Relaxed);
    }

    /// Whether the loop, about to sleep, is to turn once more instead: twice before each sleep while
    /// packets may go out over a relay. A reply needs one turn from the core to the relay's client
    /// and one from there to the socket.
    fn take_extra_turn(&self) -> bool {
        self.relayed.load(Ordering::Relaxed) && !self.turns.fetch_add(1, Ordering::Relaxed).is_multiple_of(3)
    }

    fn is_chosen(&self) -> bool {
        self.chosen.load(Ordering::Acquire)
    }

    fn wake_when_chosen(&self, waker: &Waker) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|other| other.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }
}

/// One connection's runtime; the crate's own for tokio, but for what the module says.
#[derive(Debug)]
pub struct ConnectionRuntime {
    path: Arc<Path>,
    events: EventSender,
    closing: Arc<AtomicBool>,
    servers: Arc<Servers>,
}

impl ConnectionRuntime {
    /// `closing` is set before the connection is closed on purpose.
    pub fn new(
        path: Arc<Path>,
        events: EventSender,
        closing: Arc<AtomicBool>,
        servers: Arc<Servers>,
    ) -> Self {
        Self { path, events, closing, servers }
    }
}

impl Runtime for ConnectionRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        let (events, closing) = (self.events.clone(), self.closing.clone());
        TokioRuntime.spawn(Box::pin(async move {
            let end = AssertUnwindSafe(future).catch_unwind().await;
            if end.is_err() {
                tracing::error!("the WebRTC engine panicked; the connection is lost");
            }
            if !closing.load(Ordering::Acquire) {
                events.send(Event::Ended);
            }
        }))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let options = socket2::SockRef::from(&socket);
        // Systems may allow less; the default works as well, only with less reserve.
        options.set_recv_buffer_size(SOCKET_BUFFER).ok();
        options.set_send_buffer_size(SOCKET_BUFFER).ok();
        let handle = socket.try_clone()?;
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        let inner = Arc::new(Routes::new(inner, handle, self.servers.clone())?);
        let (path, events) = (self.path.clone(), self.events.clone());
        Ok(Arc::new(Socket { inner, path, events, state: Mutex::default() }))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        TokioRuntime.connect_tcp(remote)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        // Names are resolved beside the crate's loop, which would stand still here.
        Box::pin(std::future::ready(Ok(self.servers.resolve(host))))
    }

    fn now(&self) -> Instant {
        clock::now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        if self.path.take_extra_turn() {
            return Box::pin(std::future::ready(()));
        }
        let sleepers = self.path.sleepers.clone();
        Box::pin(async move {
            tokio::select! {
                () = tokio::time::sleep(duration) => {}
                () = sleepers.notified() => {}
            }
        })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }
}

/// A UDP socket, with the module's points but the third.
#[derive(Debug)]
struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    path: Arc<Path>,
    events: EventSender,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: VecDeque<(Vec<u8>, RecvMeta)>,
    /// The last datagram handed out was DTLS.
    pause: bool,
    checks: Checks,
}

/// What a relay wrapped: as ChannelData (RFC 8656 section 12.4) or in a Data indication (section
/// 11.6). `None` for what came directly.
fn relayed(datagram: &[u8]) -> Option<&[u8]> {
    match datagram.first() {
        Some(64..=79) => datagram.get(4..),
        Some(0) if datagram.starts_with(&DATA_INDICATION) => {
            attributes(datagram).find(|(kind, _)| *kind == DATA).map(|(_, value)| value)
        }
        _ => None,
    }
}

/// Whether a datagram carries DTLS, directly or relayed (RFC 7983: by its first byte).
fn is_dtls(datagram: &[u8]) -> bool {
    matches!(relayed(datagram).unwrap_or(datagram).first(), Some(20..=63))
}

/// Whether a datagram carries DTLS, SRTP or SRTCP, which go by the chosen path only (RFC 7983).
pub(super) fn is_secured(datagram: &[u8]) -> bool {
    matches!(relayed(datagram).unwrap_or(datagram).first(), Some(20..=63 | 128..=191))
}

const DATA_INDICATION: [u8; 2] = [0x00, 0x17];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;
const DATA: u16 = 0x0013;
const USE_CANDIDATE: u16 = 0x0025;

/// The attributes of a STUN message (RFC 8489 section 14): type and value; none when it is not one.
fn attributes(datagram: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = match datagram.split_at_checked(20) {
        Some((header, rest)) if header[4..8] == COOKIE => rest,
        Some(_) | None => &[],
    };
    std::iter::from_fn(move || {
        let [t0, t1, l0, l1, after @ ..] = rest else { return None };
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = after.get(..len)?;
        rest = after.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_be_bytes([*t0, *t1]), value))
    })
}

impl Socket {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncUdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if !self.path.is_chosen()
            && is_plain_check(transmit.contents)
            && !self.lock().checks.allow(clock::now(), transmit.destination)
        {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        if std::mem::take(&mut state.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            let chosen = self.path.is_chosen();
            if chosen && let Some((datagram, about)) = state.held.pop_front() {
                let (Some(buf), Some(meta)) = (bufs.first_mut(), meta.first_mut()) else {
                    return Poll::Ready(Ok(0));
                };
                let len = datagram.len().min(buf.len());
                buf[..len].copy_from_slice(&datagram[..len]);
                *meta = about;
                state.pause = true;
                return Poll::Ready(Ok(1));
            }
            let received = match self.inner.poll_recv(cx, bufs, meta) {
                Poll::Ready(received) => received,
                Poll::Pending => {
                    if !chosen {
                        self.path.wake_when_chosen(cx.waker());
                    }
                    return Poll::Pending;
                }
            };
            let (Ok(1..), Some(buf), Some(about)) = (&received, bufs.first(), meta.first()) else {
                return Poll::Ready(received);
            };
            let datagram = &buf[..about.len.min(buf.len())];
            let dtls = is_dtls(datagram);
            if self.path.hear(datagram, self.inner.local_addr()) {
                self.events.send(Event::HeardAgain);
            }
            if chosen || !dtls {
                state.pause = dtls;
                return Poll::Ready(received);
            }
            if state.held.len() < HELD {
                state.held.push_back((datagram.to_vec(), *about));
            }
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

/// A STUN binding request to another participant, which names its user (RFC 8445 section 7.2.2),
/// without USE-CANDIDATE (section 7.1.2).
fn is_plain_check(datagram: &[u8]) -> bool {
    datagram.starts_with(&BINDING_REQUEST)
        && attributes(datagram).any(|(kind, _)| kind == USERNAME)
        && attributes(datagram).all(|(kind, _)| kind != USE_CANDIDATE)
}

/// When checks of a destination may leave.
#[derive(Debug, Default)]
struct Checks {
    sent: HashMap<SocketAddr, (u32, Instant)>,
}

impl Checks {
    /// So many leave as fast as they come: 100 ms at the pace of the ticks.
    const FAST: u32 = 20;
    /// Then one in this time.
    const SLOW: Duration = Duration::from_millis(50);

    fn allow(&mut self, now: Instant, to: SocketAddr) -> bool {
        let (count, last) = self.sent.entry(to).or_insert((0, now));
        if *count >= Self::FAST && now.saturating_duration_since(*last) < Self::SLOW {
            return false;
        }
        *count = count.saturating_add(1);
        *last = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(attributes: &[u8]) -> Vec<u8> {
        let mut datagram = vec![0, 1, 0, attributes.len() as u8, 0x21, 0x12, 0xa4, 0x42];
        datagram.extend([7; 12]);
        datagram.extend(attributes);
        datagram
    }

    #[test]
    fn only_checks_without_nomination_are_slowed_down() {
        let username = [0, 6, 0, 3, b'a', b':', b'b', 0];
        let nominates = [0, 6, 0, 3, b'a', b':', b'b', 0, 0, 0x25, 0, 0];
        assert!(is_plain_check(&check(&username)));
        assert!(!is_plain_check(&check(&nominates)));
        assert!(!is_plain_check(&check(&[])), "a request to a STUN server has no user name");
    }

    #[test]
    fn dtls_is_known_also_inside_of_what_a_relay_sends() {
        assert!(is_dtls(&[22, 0xfe, 0xff]));
        assert!(is_dtls(&[0x40, 0, 0, 3, 22, 0xfe, 0xff]));
        assert!(!is_dtls(&[0x40, 0, 0, 3, 0x80, 0xfe, 0xff]), "media over a channel");
        let mut indication = check(&[0, 0x12, 0, 1, 9, 0, 0, 0, 0, 0x13, 0, 2, 22, 0xfe, 0, 0]);
        indication[1] = 0x17;
        assert!(is_dtls(&indication));
        indication[32] = 0x80;
        assert!(!is_dtls(&indication), "media in an indication");
        assert!(!is_dtls(&[0x80, 96]));
    }

    #[test]
    fn the_loop_turns_twice_more_while_a_relay_is_in_use() {
        let path = Path::default();
        assert!(!path.take_extra_turn());
        path.set_relayed(true);
        assert_eq!([(); 6].map(|()| path.take_extra_turn()), [false, true, true, false, true, true]);
        path.set_relayed(false);
        assert!(!path.take_extra_turn());
    }

    #[test]
    fn only_what_comes_after_a_long_silence_ends_one() {
        let path = Path::default();
        let start = clock::now();
        let ends =
            [0, 1_000, 1_020, 2_520, 2_540].map(|ms| path.ends_silence(start + Duration::from_millis(ms)));
        assert_eq!(ends, [false, false, false, true, false]);
    }

    #[test]
    fn checks_start_fast_and_slow_down_for_each_destination() {
        let mut checks = Checks::default();
        let (a, b) = ("192.0.2.1:1".parse().unwrap(), "192.0.2.2:1".parse().unwrap());
        let start = clock::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let passed = (0..200).filter(|n| checks.allow(at(n * 5), a)).count();
        assert_eq!(passed, 20 + 18, "20 in the first 100 ms, then 20 a second");
        assert!(checks.allow(at(1_000), b));
    }

    proptest! {
        #[test]
        fn no_datagram_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = (is_plain_check(&bytes), is_dtls(&bytes));
            let mut message = check(&bytes);
            let _ = is_plain_check(&message);
            message[1] = 0x17;
            let _ = relayed(&message);
        }
    }
}
