//! Carries encoded media between this participant and the others of one room.
//!
//! ```text
//!  MediaSender ──▶ mesh ──▶ peer (gate, numbers, pace) ──▶ link ──▶ engine ──▶ network
//!  network ──▶ engine ──▶ link ──▶ peer ──▶ TransportEvent::TrackAdded { packets } ──▶ media::receive
//!  Signal in/out ◀──▶ peer (which link?) ◀──▶ link ◀──▶ negotiation (pure) ◀──▶ engine
//! ```
//!
//! The seam lies *below* the encoder, so that one encoded frame can go to every participant and a
//! mesh and an SFU differ only here. A transport knows no devices, no pixels, no window. Only
//! `rtc::webrtc` may name the crate of that name; everything else speaks through
//! [`engine`].

pub mod accounting;
pub mod bandwidth;
pub mod channel;
pub mod engine;
mod handover;
mod improvement;
mod link;
pub mod mesh;
pub mod nack;
pub mod nat;
pub mod negotiation;
pub mod network_monitor;
mod outlet;
pub mod pacer;
pub mod packetizer;
mod peer;
pub mod reaction;
pub mod reception;
mod recovery;
mod remote;
pub mod rtcp;
pub mod sdp;
pub mod sender;
mod signal;
pub mod stats;
pub mod stun;
#[cfg(test)]
mod tests;
pub mod turn_stream;
pub mod webrtc;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use signaling_protocol::{IceServer, PeerId};
use tokio::sync::mpsc;

pub use signal::{ConnectionNumber, DescriptionKind, Signal};

use crate::media::encoded::{EncodedFrame, TrackKind, VideoCodec};
use crate::media::{RemotePacket, SenderReport};
use crate::units::Bitrate;
use channel::{Channel, ChannelState, DataSender};
use network_monitor::{Change, News};
use reaction::Reaction;

/// Which candidates may be used (W3C `RTCIceTransportPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IcePolicy {
    /// Host, server-reflexive and relayed candidates.
    #[default]
    All,
    /// Relayed candidates only: the other side never learns our addresses.
    Relay,
}

/// What a transport needs to know before it makes a connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransportConfig {
    /// STUN and TURN servers, with credentials.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used.
    pub ice_policy: IcePolicy,
    /// Whether we send and receive pictures, or sound only.
    pub video: bool,
    /// Never send more than this, whatever the estimate.
    pub max_bitrate: Option<Bitrate>,
}

/// W3C `RTCIceConnectionState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the W3C names")]
pub enum IceState {
    #[default]
    New,
    Checking,
    Connected,
    Completed,
    Disconnected,
    Failed,
    Closed,
}

/// W3C `RTCDtlsTransportState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the W3C names")]
pub enum DtlsState {
    #[default]
    New,
    Connecting,
    Connected,
    Closed,
    Failed,
}

/// W3C `RTCIceCandidateType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the W3C names")]
pub enum CandidateType {
    Host,
    Srflx,
    Prflx,
    Relay,
}

/// One end of the selected candidate pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PairEnd {
    /// Host, server-reflexive, peer-reflexive or relayed.
    #[serde(rename = "type")]
    pub kind: CandidateType,
    /// `udp` or `tcp`: what the other side sees.
    pub protocol: String,
    /// How we reach our relay: `udp`, `tcp` or `tls`; only on our own relayed candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_protocol: Option<String>,
    /// IP address.
    pub address: String,
    /// Port.
    pub port: u16,
}

/// The path in use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectedPair {
    /// Our end.
    pub local: PairEnd,
    /// Their end.
    pub remote: PairEnd,
}

/// How it stands with one participant's connection.
///
/// ```text
///  Connecting ──▶ Connected ──▶ Reconnecting ──▶ Connected
///       └───────────┴───────────────┴──▶ Failed ──▶ (restart) Connecting
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerPhase {
    /// No path yet.
    Connecting,
    /// ICE and DTLS are up.
    Connected,
    /// The path is silent; a new one is being looked for.
    Reconnecting,
    /// Given up until somebody restarts.
    Failed,
}

/// Why a path is lost, as far as this side knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// This computer has no interface that a call could go by.
    NoNetwork,
    /// The interface in use, or its address, is gone.
    NetworkChanged,
    /// Nothing comes from the other side.
    Silent,
}

/// What is shared with everybody beside camera and microphone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shared {
    /// Our screen.
    pub screen: bool,
    /// What our computer plays; never without the screen.
    pub sound: bool,
}

/// Whether a participant can see our screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScreenReach {
    /// It is not shared with them.
    #[default]
    NotShared,
    /// They are being told of it.
    Offered,
    /// They see it.
    Sent {
        /// If it is encoded with this.
        codec: VideoCodec,
        /// They hear its sound, if it is shared.
        sound: bool,
    },
    /// Their application does not show screens.
    Unable,
}

/// What happens in a transport.
#[derive(Debug)]
pub enum TransportEvent {
    /// The connection made by [`Transport::prepare_offer`] has its offer; candidates gathered so
    /// far are inside the SDP.
    OfferReady {
        /// Always an offer.
        offer: Signal,
    },
    /// Relay this to the participant; `None` while the prepared connection has no participant yet
    /// (then it belongs to the knock).
    Signal {
        /// For whom.
        to: Option<PeerId>,
        /// What.
        signal: Signal,
    },
    /// W3C iceConnectionState changed.
    Ice {
        /// Whose connection; `None` while it has no participant.
        peer: Option<PeerId>,
        /// The new state.
        state: IceState,
    },
    /// W3C RTCDtlsTransport.state changed.
    Dtls {
        /// Whose connection.
        peer: PeerId,
        /// The new state.
        state: DtlsState,
    },
    /// The summary for people changed.
    Phase {
        /// Whose connection.
        peer: PeerId,
        /// The new phase.
        phase: PeerPhase,
        /// Why there is no path, if there was one.
        trouble: Option<Trouble>,
    },
    /// Media takes another path.
    SelectedPair {
        /// Whose connection.
        peer: PeerId,
        /// The path.
        pair: SelectedPair,
    },
    /// The participant began to send a track. Comes once for a participant and kind, whatever
    /// happens to the connection below.
    TrackAdded {
        /// Who sends.
        peer: PeerId,
        /// Which track.
        kind: TrackKind,
        /// Its packets. Bounded: when the reader is slower than the network, the newest packets
        /// are dropped and counted, as if the network had lost them.
        packets: mpsc::Receiver<RemotePacket>,
    },
    /// Maps the track's RTP clock to the sender's wall clock.
    SenderReport {
        /// Who sends.
        peer: PeerId,
        /// The mapping.
        report: SenderReport,
    },
    /// The participant asks for a key frame of a track of ours (PLI or FIR, RFC 4585, RFC 5104).
    KeyframeWanted {
        /// Who asks.
        peer: PeerId,
        /// Camera or screen.
        kind: TrackKind,
    },
    /// Whether the participant can see our screen has changed.
    Screen {
        /// Who.
        peer: PeerId,
        /// How it stands.
        reach: ScreenReach,
    },
    /// What may be sent to the participant, all tracks together.
    TargetRate {
        /// To whom.
        peer: PeerId,
        /// The estimate, capped.
        bitrate: Bitrate,
        /// Share of our packets that the participant reported lost lately, 0.0 to 1.0.
        loss: f32,
    },
    /// A message of the participant's. Comes once, whatever happens to the connection below; those of
    /// a reliable channel come in order.
    Data {
        /// Who sent it.
        peer: PeerId,
        /// By which channel.
        channel: Channel,
        /// At most 64 KiB.
        message: Bytes,
    },
    /// A message was refused, and now there is room for more.
    Room {
        /// For whom.
        peer: PeerId,
        /// In which channel.
        channel: Channel,
    },
    /// Whether the participant has data channels. Told once it is known.
    Channels {
        /// Who.
        peer: PeerId,
        /// Whether.
        state: ChannelState,
    },
    /// The answer to [`Transport::request_stats`].
    Stats {
        /// Whose connection.
        peer: PeerId,
        /// Which one: the one that carries media.
        connection: ConnectionNumber,
        /// W3C webrtc-stats dictionaries of this connection.
        report: stats::Report,
    },
    /// This computer's network changed.
    NetworkChange {
        /// Whose connection was looked at; `None` when there is none.
        peer: Option<PeerId>,
        /// What changed.
        change: Change,
        /// What is done about it.
        reaction: Reaction,
    },
    /// Something cannot be used and the user should know, with the URL or name in the text.
    Problem {
        /// One sentence.
        text: String,
    },
}

/// Takes encoded frames from the encode threads; clones go to the same transport.
///
/// Never blocks: a participant whose queue is full skips to the next key frame.
#[derive(Clone)]
pub struct MediaSender(Arc<dyn Fn(EncodedFrame) + Send + Sync>);

impl MediaSender {
    /// A sender that calls `send` from whatever thread encodes.
    pub fn new(send: impl Fn(EncodedFrame) + Send + Sync + 'static) -> Self {
        Self(Arc::new(send))
    }

    /// Hands over one frame for every participant.
    pub fn send(&self, frame: EncodedFrame) {
        (self.0)(frame);
    }
}

/// Carries encoded media between this participant and the others of one room.
///
/// All calls return at once; what they lead to comes as a [`TransportEvent`]. Instants are on the
/// monotonic clock.
pub trait Transport: Send {
    /// Where the encode threads put their frames.
    fn media(&self) -> MediaSender;

    /// Where messages for participants are posted.
    fn data(&self) -> DataSender;

    /// New servers or credentials, for connections made from now on.
    fn configure(&mut self, config: TransportConfig);

    /// Makes a connection before its participant is known: gathers, and tells its offer.
    fn prepare_offer(&mut self);

    /// Makes a connection for whoever offers next: gathers ahead, so that the answer holds every
    /// address, and tells nobody anything.
    fn expect_offer(&mut self);

    /// The prepared connection belongs to `peer`, who has answered our knock. Signals without a
    /// participant go nowhere after this.
    fn adopt_prepared(&mut self, peer: &PeerId);

    /// A signal from a participant. The first offer from an unknown one makes a connection; its
    /// answer and candidates come as [`TransportEvent::Signal`].
    fn handle_signal(&mut self, from: &PeerId, signal: Signal);

    /// Asks a participant for a key frame of its camera or its screen (PLI).
    fn request_keyframe(&mut self, peer: &PeerId, kind: TrackKind);

    /// Shows our screen to everybody, with its sound or without, or stops showing it: tracks of their own
    /// beside camera and microphone, in connections that there are and in those to come.
    fn share(&mut self, shared: Shared);

    /// Looks for a new path to a participant, by another connection beside the one in use; media
    /// moves without a gap.
    fn restart_ice(&mut self, peer: &PeerId);

    /// Something is new about this computer's network.
    fn network_news(&mut self, news: &News);

    /// Ends the connection to a participant who left.
    fn remove(&mut self, peer: &PeerId);

    /// Ends every connection, the prepared one too.
    fn remove_all(&mut self);

    /// Asks for the statistics of every connection.
    fn request_stats(&mut self, now: Instant);

    /// Ends everything; gives up waiting at `deadline`.
    fn close(&mut self, deadline: Instant) -> impl Future<Output = ()> + Send;
}
