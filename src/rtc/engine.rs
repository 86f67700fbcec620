//! What a participant's connection needs of a WebRTC engine, and no more.
//!
//! The seam lies at SDP text, RTP packets and raw RTCP: a second engine is one folder that
//! implements [`Engine`] and [`Connection`]. Which participant a connection belongs to, when to
//! offer and when to move to another connection is decided above; gathering, checks, DTLS, SRTP, NACK and feedback are
//! the engine's. Instants are on the monotonic clock.
//!
//! ```text
//!  link ──offer/answer/candidate/send──▶ Connection ──▶ network
//!  link ◀──────────Event (bounded)────── Connection ◀── network
//!  receivers ◀── PacketSinks (bounded) ──┘    │
//!  channels  ◀── DataSink (bounded) ──────────┤
//!  accounting ◀── WireTap (every packet) ─────┤
//!  estimate   ◀── Estimator (feedback) ───────┘
//! ```

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use signaling_protocol::IceServer;
use tokio::sync::mpsc;

use super::channel::Channel;
use super::{DtlsState, IcePolicy, IceState, SelectedPair, Shared, stats};
use crate::media::encoded::{Codec, TrackKind, VideoCodec};
use crate::media::{RemotePacket, SenderReport};
use crate::units::Bitrate;

/// Events on their way from the engine to the peer. A connection makes a few dozen while it is set
/// up and a few a second later; when the peer is stuck for so long that this is full, the newest
/// are lost and logged.
pub const EVENTS: usize = 512;

/// Packets of one track on their way to its receiver: about a second of 4 Mbit/s video. When full,
/// the newest are dropped and counted, as if the network had lost them.
pub const PACKETS: usize = 512;

/// Why an engine did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No socket could be opened, or the engine could not be set up.
    #[error("no connection could be set up: {0}")]
    Setup(String),
    /// A description or candidate of the other side cannot be used.
    #[error("the {what} of the other side cannot be used: {reason}")]
    Refused {
        /// `offer`, `answer` or `candidate`.
        what: &'static str,
        /// What the engine says.
        reason: String,
    },
    /// The engine could not do it now.
    #[error("the connection cannot {what}: {reason}")]
    Failed {
        /// A verb.
        what: &'static str,
        /// What the engine says.
        reason: String,
    },
}

/// Makes connections.
#[async_trait]
pub trait Engine: Send + Sync {
    /// A connection with sockets, that has not offered or gathered anything yet.
    async fn open(&self, setup: Setup, events: EventSender) -> Result<Box<dyn Connection>, EngineError>;
}

/// Where the messages of a participant's data channels go, whatever connection they come by. When it
/// is full the engine stops reading them.
pub type DataSink = mpsc::Sender<(Channel, Bytes)>;

/// Everything a connection is made of.
pub struct Setup {
    /// STUN and TURN servers.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used.
    pub ice_policy: IcePolicy,
    /// Which of this computer's addresses to use.
    pub addresses: Addresses,
    /// Whether there is a video track besides the audio track.
    pub video: bool,
    /// What is shared from the beginning.
    pub shared: Shared,
    /// What our tracks are called on the wire.
    pub ssrcs: Ssrcs,
    /// Where received packets go.
    pub sinks: PacketSinks,
    /// Where received messages go.
    pub data: DataSink,
    /// Counts what passes.
    pub tap: Box<dyn WireTap>,
    /// Says how much the path carries.
    pub estimator: Box<dyn Estimator>,
}

/// The synchronisation sources of our tracks towards one participant, the same in all of its
/// connections: for its receivers a new one is a sender that began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ssrcs {
    /// Of the microphone.
    pub audio: u32,
    /// Of the camera.
    pub video: u32,
    /// Of the screen.
    pub screen: u32,
    /// Of the screen's sound.
    pub screen_sound: u32,
}

impl Ssrcs {
    /// Different ones (RFC 3550 section 8.1), none of them 0.
    pub fn random() -> Self {
        let audio = getrandom::u32().unwrap_or(0x51a7) | 1;
        let [video, screen, screen_sound] = [0x8000_0000, 0x4000_0000, 0x2000_0000].map(|bit| audio ^ bit);
        Self { audio, video, screen, screen_sound }
    }
}

/// Which of this computer's addresses a connection uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// All but loopback and link-local; loopback only when there is nothing else.
    #[default]
    Interfaces,
    /// Those of `Interfaces`, and loopback.
    WithLoopback,
    /// These.
    Only(Vec<IpAddr>),
}

/// A candidate of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The `candidate:` attribute, without `a=`.
    pub candidate: String,
    /// The media identification it belongs to.
    pub mid: Option<String>,
    /// The username fragment of its ICE generation.
    pub ufrag: Option<String>,
}

/// An RTP packet to send; the engine adds SSRC, payload type and extensions.
#[derive(Clone, Debug)]
pub struct OutgoingPacket {
    /// Which track.
    pub kind: TrackKind,
    /// What the payload is made of; settles the payload type.
    pub codec: Codec,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// RTP marker bit.
    pub marker: bool,
    /// RTP payload.
    pub payload: Bytes,
}

/// The content of a sender report (RFC 3550 section 6.4.1); the engine adds the SSRC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutgoingReport {
    /// Which track.
    pub kind: TrackKind,
    /// The wall clock as time since the NTP epoch.
    pub ntp: Duration,
    /// The RTP timestamp of what was captured at `ntp`.
    pub rtp: u32,
    /// RTP packets sent so far, without retransmissions.
    pub packets: u32,
    /// RTP payload bytes sent so far.
    pub octets: u32,
}

/// One connection to one participant. All calls return soon; none waits for the network.
#[async_trait]
pub trait Connection: Send + Sync {
    /// Makes an offer and applies it locally.
    async fn offer(&self) -> Result<(), EngineError>;

    /// Applies an offer of the other side, makes an answer, and applies it locally.
    async fn answer(&self, offer: &str) -> Result<(), EngineError>;

    /// What to send to the other side: the pending or else the current local description, with the
    /// candidates gathered so far.
    async fn local_description(&self) -> Option<String>;

    /// Applies the answer of the other side.
    async fn accept(&self, answer: &str) -> Result<(), EngineError>;

    /// Takes the pending local offer back.
    async fn rollback(&self) -> Result<(), EngineError>;

    /// Adds the tracks of the screen and of its sound, or takes them away. The other side learns of it by
    /// the next exchange of descriptions, for which [`Connection::wants_offer`] asks.
    async fn share(&self, shared: Shared) -> Result<(), EngineError>;

    /// How it stands with the screen's track.
    fn screen(&self) -> ScreenTrack;

    /// Whether tracks changed in a way that the exchanged descriptions do not say yet.
    fn wants_offer(&self) -> bool;

    /// Uses a candidate of the other side. Only after a remote description.
    async fn add_candidate(&self, candidate: &Candidate) -> Result<(), EngineError>;

    /// Other servers or credentials. A local offer that still waits for its answer gathers from
    /// the new ones at once.
    async fn configure(&self, servers: &[IceServer], policy: IcePolicy) -> Result<(), EngineError>;

    /// Sends one packet of a track.
    async fn send(&self, packet: OutgoingPacket) -> Result<(), EngineError>;

    /// Sends a sender report.
    async fn report(&self, report: OutgoingReport) -> Result<(), EngineError>;

    /// Sends one message by a data channel that is open. All of [`Channel::ALL`] are there from the
    /// beginning (RFC 8832 section 3, negotiated by the application), if the other side has them.
    async fn send_data(&self, channel: Channel, message: Bytes) -> Result<(), EngineError>;

    /// Asks for a key frame of a track (PLI). Does nothing before its first packet.
    async fn request_keyframe(&self, kind: TrackKind) -> Result<(), EngineError>;

    /// What was heard last by it.
    fn heard(&self) -> Option<Heard>;

    /// The path in use.
    async fn selected_pair(&self) -> Option<SelectedPair>;

    /// W3C webrtc-stats dictionaries, as far as the engine knows them.
    async fn stats(&self, now: Instant) -> stats::Report;

    /// Ends it; the other side is told if it can be reached.
    async fn close(&self);
}

/// How it stands with the track of our screen in one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScreenTrack {
    /// There is none.
    #[default]
    Absent,
    /// The other side has not answered to it yet.
    Offered,
    /// The other side takes it, encoded with this.
    Sent(VideoCodec),
    /// The other side does not want it, or knows none of our codecs.
    Refused,
}

/// What a connection has heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When anything came last.
    pub at: Instant,
    /// The address of ours where media, or what secures it, comes; `None` before the first.
    pub local: Option<IpAddr>,
}

/// What happens in a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A local candidate.
    Candidate(Candidate),
    /// No more local candidates of this ICE generation.
    Gathered {
        /// Its username fragment.
        ufrag: Option<String>,
    },
    /// ICE state.
    Ice(IceState),
    /// DTLS state.
    Dtls(DtlsState),
    /// The first packet of a track has come.
    TrackStarted(TrackKind),
    /// A sender report has come.
    SenderReport(SenderReport),
    /// The other side wants a key frame of this track (PLI or FIR).
    KeyframeWanted(TrackKind),
    /// Messages can go by a data channel.
    ChannelOpen(Channel),
    /// The estimate changed.
    Target(Estimate),
    /// Our relayed address is gone. If the path leads over it, that is dead.
    RelayLost(SocketAddr),
    /// The other side's media is heard again after a silence of several seconds.
    HeardAgain,
    /// Something cannot be used; one sentence.
    Problem(String),
    /// The engine is gone without having been closed; nothing comes any more.
    Ended,
}

/// The way for events out of an engine. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct EventSender(mpsc::Sender<Event>);

impl EventSender {
    /// A bounded channel for the events of one connection.
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(EVENTS);
        (Self(sender), receiver)
    }

    /// Tells the peer.
    pub fn send(&self, event: Event) {
        if let Err(mpsc::error::TrySendError::Full(event)) = self.0.try_send(event) {
            tracing::error!(?event, "an event of a connection is lost: its peer does not read");
        }
    }
}

/// Where the packets of a participant's tracks go, whatever connection they come by.
#[derive(Clone, Debug)]
pub struct PacketSinks {
    /// By [`TrackKind::index`].
    tracks: [mpsc::Sender<RemotePacket>; 4],
    dropped: Arc<AtomicU64>,
}

/// The other ends of [`PacketSinks`]; each is given away once.
#[derive(Debug)]
pub struct PacketSources {
    tracks: [Option<mpsc::Receiver<RemotePacket>>; 4],
}

impl PacketSources {
    /// The packets of a track; `None` if somebody has them already.
    pub fn take(&mut self, kind: TrackKind) -> Option<mpsc::Receiver<RemotePacket>> {
        self.tracks[kind.index()].take()
    }
}

impl PacketSinks {
    /// The sinks with their receivers.
    pub fn channels() -> (Self, PacketSources) {
        let channels = TrackKind::ALL.map(|_| mpsc::channel(PACKETS));
        let tracks = channels.each_ref().map(|(sink, _)| sink.clone());
        let sources = PacketSources { tracks: channels.map(|(_, packets)| Some(packets)) };
        (Self { tracks, dropped: Arc::default() }, sources)
    }

    /// Hands over one packet; drops and counts it when its receiver is too slow.
    pub fn put(&self, packet: RemotePacket) {
        if self.tracks[packet.kind.index()].try_send(packet).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Packets that nobody took.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the network.
    Sent,
    /// From the network.
    Received,
}

/// What accounting needs to know of an RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpFacts {
    /// Which track.
    pub kind: TrackKind,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Sequence number.
    pub sequence: u16,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Marker bit.
    pub marker: bool,
    /// Bytes of header and extensions.
    pub header_len: usize,
    /// Bytes of payload, padding included.
    pub payload_len: usize,
    /// Sent before under the same sequence number.
    pub retransmission: bool,
}

/// Sees every packet of one connection next to the network, sent ones after everything else.
pub trait WireTap: Send + Sync {
    /// An RTP packet passes.
    fn rtp(&mut self, now: Instant, direction: Direction, packet: &RtpFacts);

    /// An RTCP packet passes: a compound packet in the clear (RFC 3550 section 6.1).
    fn rtcp(&mut self, now: Instant, direction: Direction, compound: &[u8]);

    /// The newest round trip that the other side's reports told.
    fn round_trip(&self) -> Option<Duration>;
}

/// What became of a packet that we sent, by the other side's feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketFate {
    /// Transport-wide sequence number.
    pub sequence: u16,
    /// Bytes of RTP header and payload.
    pub size: usize,
    /// When it left.
    pub sent_at: Instant,
    /// When it arrived, on the other side's clock (arbitrary zero); `None` when it was lost.
    pub arrived_at: Option<Duration>,
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// What it carries, all tracks together.
    pub target: Bitrate,
    /// By what the pacer goes.
    pub pace: Bitrate,
    /// Share of packets lost, 0.0 to 1.0.
    pub loss: f32,
}

/// Estimates what the path carries. Told everything, asks no clock.
pub trait Estimator: Send + Sync {
    /// A packet left.
    fn on_sent(&mut self, now: Instant, size: usize) {
        let _ = (now, size);
    }

    /// Feedback came, in sending order.
    fn on_feedback(&mut self, now: Instant, packets: &[PacketFate]);

    /// The time given by [`Estimator::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);

    /// When it wants to be woken; must lie after the `now` of the last call.
    fn poll_timeout(&self) -> Option<Instant>;

    /// What may be sent, all tracks together.
    fn target(&self) -> Bitrate;

    /// By what the pacer goes: not less than the target.
    fn pace(&self) -> Bitrate;

    /// Share of our packets lost lately, 0.0 to 1.0.
    fn loss(&self) -> f32;
}
