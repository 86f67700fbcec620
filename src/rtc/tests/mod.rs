//! Two meshes over real PeerConnections on loopback, joined by channels in place of signaling.

mod bad_servers;
mod channels;
mod counted;
mod measured;
mod meeting;
mod moves;
mod relay;
mod relays;
mod screens;
mod wire;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::engine::{Addresses, Connection, Engine, EngineError, Event, EventSender, Setup};
use super::mesh::{Mesh, Options};
use super::webrtc::CrateEngine;
use super::*;
use crate::clock;
use crate::media::encoded::{Codec, EncodedFrame, TrackKind};
use crate::units::MediaTime;
use relay::{Relay, relay};

/// Nothing on loopback takes this long, on a busy computer either; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

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
    /// Who sees our screen.
    reach: ScreenReach,
    /// What our descriptions said of the DTLS roles.
    roles: Vec<(DescriptionKind, Option<sdp::Setup>)>,
    target: Option<Bitrate>,
    loss: f32,
    stats: Option<stats::Report>,
    reactions: Vec<Reaction>,
    trouble: Option<Trouble>,
    messages: Vec<(Channel, Bytes)>,
    channels: Option<ChannelState>,
    /// It has told all its addresses.
    gathered: bool,
}

fn config() -> TransportConfig {
    TransportConfig { video: true, ..TransportConfig::default() }
}

/// A description as somebody writes it who has no VP9.
fn without_vp9(sdp: &str) -> String {
    let named = ["a=rtpmap:98 ", "a=fmtp:98 ", "a=rtcp-fb:98 "];
    let lines = sdp.lines().filter(|line| !named.iter().any(|start| line.starts_with(start)));
    let plain = |line: &str| match line.starts_with("m=video") {
        true => line.split(' ').filter(|word| *word != "98").collect::<Vec<_>>().join(" "),
        false => line.to_owned(),
    };
    lines.map(|line| plain(line) + "\r\n").collect()
}

fn loopback() -> Options {
    Options { addresses: Addresses::Only(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]), ..Options::default() }
}

impl Side {
    fn new(name: &str, config: TransportConfig, options: Options) -> Self {
        let (sender, events) = mpsc::channel(256);
        Self {
            id: PeerId::new(name).unwrap(),
            mesh: Mesh::new(options, config, Handle::current(), sender),
            events,
            log: Vec::new(),
            tracks: Vec::new(),
            keyframes_wanted: 0,
            reports: Vec::new(),
            phase: None,
            pair: None,
            ice: IceState::New,
            problems: Vec::new(),
            reach: ScreenReach::NotShared,
            roles: Vec::new(),
            target: None,
            loss: 0.0,
            stats: None,
            reactions: Vec::new(),
            trouble: None,
            messages: Vec::new(),
            channels: None,
            gathered: false,
        }
    }

    /// Notes one event; gives what is to be relayed.
    fn note(&mut self, event: TransportEvent) -> Option<Signal> {
        match event {
            TransportEvent::OfferReady { offer: signal } | TransportEvent::Signal { signal, .. } => {
                match &signal {
                    Signal::Description { kind, sdp, .. } => self.roles.push((*kind, sdp::Setup::of(sdp))),
                    Signal::EndOfCandidates { .. } => self.gathered = true,
                    Signal::Candidate { .. } => {}
                }
                return Some(signal);
            }
            TransportEvent::TrackAdded { kind, packets, .. } => {
                self.log.push(format!("track {kind:?}"));
                self.tracks.push((kind, packets));
            }
            TransportEvent::KeyframeWanted { kind, .. } => {
                self.keyframes_wanted += usize::from(kind == TrackKind::Video);
            }
            TransportEvent::Screen { reach, .. } => self.reach = reach,
            TransportEvent::SenderReport { report, .. } => self.reports.push(report),
            TransportEvent::Phase { phase, trouble, .. } => {
                self.trouble = trouble;
                self.log.push(format!("phase {phase:?}"));
                self.phase = Some(phase);
            }
            TransportEvent::SelectedPair { pair, .. } => self.pair = Some(pair),
            TransportEvent::Ice { state, .. } => self.ice = state,
            TransportEvent::Problem { text } => self.problems.push(text),
            TransportEvent::TargetRate { bitrate, loss, .. } => {
                self.target = Some(bitrate);
                self.loss = loss;
            }
            TransportEvent::Stats { report, .. } => self.stats = Some(report),
            TransportEvent::NetworkChange { reaction, .. } => self.reactions.push(reaction),
            TransportEvent::Data { channel, message, .. } => self.messages.push((channel, message)),
            TransportEvent::Channels { state, .. } => self.channels = Some(state),
            TransportEvent::Dtls { .. } | TransportEvent::Room { .. } => {}
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
    /// What their packets go through, if not directly.
    wire: Option<wire::Wire>,
    /// Signals lose on their way what earlier versions do not know.
    earlier_version: bool,
    /// B's descriptions lose VP9 on their way.
    b_without_vp9: bool,
    /// Signals do not say that the sound of a screen is understood.
    silent_screens: bool,
}

impl Call {
    fn new() -> Self {
        Self::with(config())
    }

    fn with(config: TransportConfig) -> Self {
        Self::between(Side::new("aaaa", config.clone(), loopback()), Side::new("bbbb", config, loopback()))
    }

    fn between(a: Side, b: Side) -> Self {
        let (to_a, to_b) = (Vec::new(), Vec::new());
        Self {
            a,
            b,
            hold: false,
            to_a,
            to_b,
            wire: None,
            earlier_version: false,
            b_without_vp9: false,
            silent_screens: false,
        }
    }

    /// A offers to B, who was known before.
    fn begin(&mut self) {
        self.a.mesh.prepare_offer();
        self.a.mesh.adopt_prepared(&self.b.id);
    }

    fn deliver(&mut self) {
        if self.earlier_version {
            for signal in self.to_a.iter_mut().chain(&mut self.to_b) {
                assert_eq!(signal.connection(), ConnectionNumber::FIRST);
                if let Signal::Description { moves, screens, screen_sound, .. } = signal {
                    (*moves, *screens, *screen_sound) = (false, false, false);
                }
            }
        }
        for signal in self.to_a.iter_mut().chain(&mut self.to_b).filter(|_| self.silent_screens) {
            if let Signal::Description { screen_sound, .. } = signal {
                *screen_sound = false;
            }
        }
        for signal in self.to_a.iter_mut().filter(|_| self.b_without_vp9) {
            if let Signal::Description { sdp, .. } = signal {
                *sdp = without_vp9(sdp);
            }
        }
        for mut signal in std::mem::take(&mut self.to_b) {
            if let Some(wire) = &mut self.wire {
                signal = wire.redirect_a(signal);
            }
            self.b.mesh.handle_signal(&self.a.id, signal);
        }
        for mut signal in std::mem::take(&mut self.to_a) {
            if let Some(wire) = &mut self.wire {
                signal = wire.redirect_b(signal);
            }
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

    /// The same over a wire, of which it says that one of so many packets is lost; 0: none.
    async fn connected_by_wire(&mut self) -> Arc<AtomicU32> {
        let wire = wire::Wire::new().await;
        let lose_every = wire.lose_every.clone();
        self.wire = Some(wire);
        self.begin();
        self.connected().await;
        lose_every
    }

    /// A picture in three packets from A, and it at B.
    async fn first_picture(&mut self) {
        self.a.mesh.media().send(picture(0, true, 3_000));
        self.until("the picture", |call| !call.b.tracks.is_empty()).await;
        let packets = self.b.track(TrackKind::Video).unwrap();
        for last in [false, false, true] {
            assert_eq!(next(packets).await.marker, last);
        }
    }

    async fn gathered(&mut self) {
        self.until("the end of gathering", |call| call.a.gathered && call.b.gathered).await;
    }

    async fn close(mut self) {
        let deadline = clock::now() + PATIENCE;
        self.a.mesh.close(deadline).await;
        self.b.mesh.close(deadline).await;
        assert!(clock::now() < deadline, "closing took too long");
    }
}

fn picture(n: u64, keyframe: bool, size: usize) -> EncodedFrame {
    EncodedFrame {
        kind: TrackKind::Video,
        codec: Codec::Vp8,
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
        codec: Codec::Opus,
        time: MediaTime { ticks: 960 * n, clock_rate: MediaTime::AUDIO_CLOCK },
        captured_at: clock::now(),
        keyframe: true,
        resolution: None,
        payload: Bytes::from(vec![n as u8; 80]),
    }
}

fn description(kind: DescriptionKind, sdp: &str) -> Signal {
    let connection = ConnectionNumber::FIRST;
    let (sdp, proof) = (sdp.to_owned(), None);
    Signal::Description {
        kind,
        sdp,
        proof,
        moves: true,
        screens: true,
        screen_sound: true,
        replaces: false,
        connection,
    }
}

async fn next(packets: &mut mpsc::Receiver<RemotePacket>) -> RemotePacket {
    timeout(PATIENCE, packets.recv()).await.expect("a packet in time").expect("the track goes on")
}
