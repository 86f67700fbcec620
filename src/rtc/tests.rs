//! Two meshes over real PeerConnections on loopback, joined by channels in place of signaling.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::engine::Addresses;
use super::mesh::{Mesh, Options};
use super::*;
use crate::clock;
use crate::media::encoded::{EncodedFrame, TrackKind};
use crate::units::MediaTime;

/// Nothing on loopback takes this long; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// One participant: its mesh, and everything that it has told so far.
struct Side {
    id: PeerId,
    mesh: Mesh,
    events: mpsc::Receiver<TransportEvent>,
    log: Vec<String>,
    tracks: Vec<(TrackKind, mpsc::Receiver<RemotePacket>)>,
    keyframes_wanted: usize,
    reports: Vec<SenderReport>,
    phase: Option<PeerPhase>,
    pair: Option<SelectedPair>,
    ice: IceState,
    problems: Vec<String>,
}

fn config() -> TransportConfig {
    TransportConfig { video: true, ..TransportConfig::default() }
}

fn loopback() -> Options {
    Options { addresses: Addresses::Only(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), ..Options::default() }
}

impl Side {
    fn new(name: &str, config: TransportConfig) -> Self {
        let (sender, events) = mpsc::channel(256);
        Self {
            id: PeerId::new(name).unwrap(),
            mesh: Mesh::new(loopback(), config, Handle::current(), sender),
            events,
            log: Vec::new(),
            tracks: Vec::new(),
            keyframes_wanted: 0,
            reports: Vec::new(),
            phase: None,
            pair: None,
            ice: IceState::New,
            problems: Vec::new(),
        }
    }

    /// Notes one event; gives what is to be relayed.
    fn note(&mut self, event: TransportEvent) -> Option<Signal> {
        match event {
            TransportEvent::OfferReady { offer } => return Some(offer),
            TransportEvent::Signal { signal, .. } => return Some(signal),
            TransportEvent::TrackAdded { kind, packets, .. } => {
                self.log.push(format!("track {kind:?}"));
                self.tracks.push((kind, packets));
            }
            TransportEvent::KeyframeWanted { .. } => self.keyframes_wanted += 1,
            TransportEvent::SenderReport { report, .. } => self.reports.push(report),
            TransportEvent::Phase { phase, .. } => {
                self.log.push(format!("phase {phase:?}"));
                self.phase = Some(phase);
            }
            TransportEvent::SelectedPair { pair, .. } => self.pair = Some(pair),
            TransportEvent::Ice { state, .. } => self.ice = state,
            TransportEvent::Problem { text } => self.problems.push(text),
            TransportEvent::Dtls { .. } | TransportEvent::TargetRate { .. } | TransportEvent::Stats { .. } => {}
        }
        None
    }

    fn track(&mut self, kind: TrackKind) -> Option<&mut mpsc::Receiver<RemotePacket>> {
        self.tracks.iter_mut().find(|(k, _)| *k == kind).map(|(_, packets)| packets)
    }
}

/// Two participants and the way between them.
struct Call {
    a: Side,
    b: Side,
    /// Signals are kept here instead of being delivered, when set.
    hold: bool,
    to_a: Vec<Signal>,
    to_b: Vec<Signal>,
}

impl Call {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: TransportConfig) -> Self {
        let (a, b) = (Side::new("aaaa", config.clone()), Side::new("bbbb", config));
        Self { a, b, hold: false, to_a: Vec::new(), to_b: Vec::new() }
    }

    /// A offers to B, who was known before.
    fn begin(&mut self) {
        self.a.mesh.prepare_offer();
        self.a.mesh.adopt_prepared(&self.b.id);
    }

    fn deliver(&mut self) {
        for signal in std::mem::take(&mut self.to_b) {
            self.b.mesh.handle_signal(&self.a.id, signal);
        }
        for signal in std::mem::take(&mut self.to_a) {
            self.a.mesh.handle_signal(&self.b.id, signal);
        }
    }

    /// Relays and notes until `done`, at most [`PATIENCE`].
    async fn until(&mut self, what: &str, done: impl Fn(&Call) -> bool) {
        let relay = async {
            while !done(self) {
                tokio::select! {
                    Some(event) = self.a.events.recv() => self.to_b.extend(self.a.note(event)),
                    Some(event) = self.b.events.recv() => self.to_a.extend(self.b.note(event)),
                }
                if !self.hold {
                    self.deliver();
                }
            }
        };
        if timeout(PATIENCE, relay).await.is_err() {
            panic!(
                "never {what}; a: {:?} {:?}, b: {:?} {:?}",
                self.a.log, self.a.problems, self.b.log, self.b.problems
            );
        }
    }

    /// Relays and notes for a while.
    async fn spend(&mut self, time: Duration) {
        let until = clock::now() + time;
        while let Some(left) = until.checked_duration_since(clock::now()) {
            tokio::select! {
                Some(event) = self.a.events.recv() => self.to_b.extend(self.a.note(event)),
                Some(event) = self.b.events.recv() => self.to_a.extend(self.b.note(event)),
                () = tokio::time::sleep(left) => return,
            }
            if !self.hold {
                self.deliver();
            }
        }
    }

    async fn connected(&mut self) {
        let up = |side: &Side| side.phase == Some(PeerPhase::Connected);
        self.until("connected", |call| up(&call.a) && up(&call.b)).await;
    }

    async fn close(mut self) {
        let deadline = clock::now() + Duration::from_secs(1);
        self.a.mesh.close(deadline).await;
        self.b.mesh.close(deadline).await;
        assert!(clock::now() < deadline, "closing took too long");
    }
}

fn picture(n: u64, keyframe: bool, size: usize) -> EncodedFrame {
    EncodedFrame {
        kind: TrackKind::Video,
        time: MediaTime { ticks: 3_000 * n, clock_rate: MediaTime::VIDEO_CLOCK },
        captured_at: clock::now(),
        keyframe,
        resolution: None,
        payload: Bytes::from(vec![n as u8; size]),
    }
}

fn sound(n: u64) -> EncodedFrame {
    EncodedFrame {
        kind: TrackKind::Audio,
        time: MediaTime { ticks: 960 * n, clock_rate: MediaTime::AUDIO_CLOCK },
        captured_at: clock::now(),
        keyframe: true,
        resolution: None,
        payload: Bytes::from(vec![n as u8; 80]),
    }
}

async fn next(packets: &mut mpsc::Receiver<RemotePacket>) -> RemotePacket {
    timeout(PATIENCE, packets.recv()).await.expect("a packet in time").expect("the track goes on")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_participants_connect_and_media_arrives_both_ways_in_order_with_its_times() {
    let mut call = Call::new();
    let start: Instant = clock::now();
    call.begin();
    call.connected().await;
    let connected = start.elapsed();
    assert!(call.a.keyframes_wanted > 0 && call.b.keyframes_wanted > 0, "both encoders are asked for a key frame");
    let (to_b, to_a) = (call.a.mesh.media(), call.b.mesh.media());
    for n in 0..20 {
        for media in [&to_b, &to_a] {
            media.send(sound(n));
            media.send(picture(n, n == 0, 3_000));
        }
    }
    call.until("both tracks on both sides", |call| call.a.tracks.len() == 2 && call.b.tracks.len() == 2).await;
    println!("connected after {connected:?}, first RTP after {:?}", start.elapsed());
    for side in [&mut call.a, &mut call.b] {
        let packets = side.track(TrackKind::Audio).unwrap();
        let first = next(packets).await;
        assert_eq!((first.timestamp, first.payload.len()), (0, 80));
        for n in 1..20_u16 {
            let packet = next(packets).await;
            assert_eq!(packet.sequence, first.sequence.wrapping_add(n));
            assert_eq!(packet.timestamp, 960 * u32::from(n));
        }
        let packets = side.track(TrackKind::Video).unwrap();
        let first = next(packets).await;
        assert_eq!(first.payload[0], 0x90, "the first packet of the key frame");
        for n in 1..60_u16 {
            let packet = next(packets).await;
            assert_eq!(packet.sequence, first.sequence.wrapping_add(n));
            assert_eq!(packet.timestamp, 3_000 * u32::from(n / 3));
            assert_eq!(packet.marker, n % 3 == 2);
        }
    }
    call.until("the path", |call| call.a.pair.is_some() && call.b.pair.is_some()).await;
    let pair = call.a.pair.clone().expect("just seen");
    assert_eq!((pair.remote.address.as_str(), pair.local.protocol.as_str()), ("127.0.0.1", "udp"));
    assert!(call.a.problems.is_empty() && call.b.problems.is_empty());
    call.close().await;
}
