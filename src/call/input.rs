//! What the call machine is told, and what it wants done. Ids and plain data only.

use signaling_protocol::{Admission, ClientMessage, IceServer, MediaState, PeerId};

use super::adapt::Targets;
use crate::engine::command::{ShareMode, Switch};
use crate::engine::view::{Quality, Severity};
use crate::link::Link;
use crate::rtc::{IceState, PeerPhase, SelectedPair, Signal, TransportEvent, Trouble};
use crate::server_url::ServerUrl;
use crate::signaling::SignalEvent;
use crate::units::Bitrate;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The person's name, for the next session.
    Name(String),
    /// What is switched on here.
    Media(MediaState),
    /// Our cap on the picture's bitrate.
    MaxBitrate(Option<Bitrate>),
    /// A screen of ours is shown, or none.
    Share {
        /// How; `None`: none is shown.
        mode: Option<ShareMode>,
        /// Whether its sound is shared too.
        sound: Switch,
    },
    /// A server is being started in this process; `Open` or `OpenFailed` follows.
    Hosting,
    /// The server in this process could not be started.
    OpenFailed {
        /// One sentence.
        reason: String,
    },
    /// Makes the room of a link.
    Open {
        /// Where the server is for us (a server inside this process is nearer than its link says).
        server: ServerUrl,
        /// What to give to others.
        link: Link,
        /// Whether newcomers need consent.
        admission: Admission,
        /// The link works in this network only.
        lan_only: bool,
    },
    /// Reaches the server of a link and gathers candidates; tells the room nothing.
    Prepare(Link),
    /// Knocks at the room of a link.
    Join(Link),
    /// Lets a visitor in.
    Accept(PeerId),
    /// Turns a visitor away.
    Decline(PeerId),
    /// Leaves the call or stops trying; clears a summary.
    Leave,
    /// Clears a summary.
    Dismiss,
    /// Keeps newcomers out, or lets them knock again.
    LockRoom(Switch),
    /// Looks for new paths to everybody.
    RestartIce,
    /// Something that the person should read.
    Notice {
        /// How serious.
        severity: Severity,
        /// One sentence.
        text: String,
    },
    /// A notice was read.
    DismissNotice(u64),
    /// From the signaling session.
    Signaling(SignalEvent),
    /// From the transport.
    Transport(TransportInput),
    /// What our side knows of its own network and devices, in enumerated words; for those inside.
    Facts(serde_json::Value),
    /// How good the call has been so far; the last one before the end goes into the summary.
    Quality(Quality),
    /// `poll_timeout` has passed.
    Tick,
}

/// What a transport tells that is not media.
#[derive(Clone, Debug, PartialEq)]
pub enum TransportInput {
    /// The prepared connection has its offer.
    OfferReady {
        /// Always an offer.
        offer: Signal,
    },
    /// Relay this; `None`: it belongs to the prepared connection.
    Signal {
        /// For whom.
        to: Option<PeerId>,
        /// What.
        signal: Signal,
    },
    /// W3C iceConnectionState.
    Ice {
        /// Whose connection; `None` while it has no participant.
        peer: Option<PeerId>,
        /// The new state.
        state: IceState,
    },
    /// The summary for people.
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
    /// What may be sent to the participant, all tracks together.
    TargetRate {
        /// To whom.
        peer: PeerId,
        /// The estimate.
        bitrate: Bitrate,
        /// Share of our packets that was lost lately, 0.0 to 1.0.
        loss: f32,
    },
    /// Something cannot be used.
    Problem {
        /// One sentence.
        text: String,
    },
}

impl TransportInput {
    /// The part of an event that concerns the call; media and statistics do not.
    pub fn from_event(event: &TransportEvent) -> Option<Self> {
        Some(match event {
            TransportEvent::OfferReady { offer } => Self::OfferReady { offer: offer.clone() },
            TransportEvent::Signal { to, signal } => Self::Signal { to: to.clone(), signal: signal.clone() },
            TransportEvent::Ice { peer, state } => Self::Ice { peer: peer.clone(), state: *state },
            TransportEvent::Phase { peer, phase, trouble } => {
                Self::Phase { peer: peer.clone(), phase: *phase, trouble: *trouble }
            }
            TransportEvent::SelectedPair { peer, pair } => {
                Self::SelectedPair { peer: peer.clone(), pair: pair.clone() }
            }
            TransportEvent::TargetRate { peer, bitrate, loss } => {
                Self::TargetRate { peer: peer.clone(), bitrate: *bitrate, loss: *loss }
            }
            TransportEvent::Problem { text } => Self::Problem { text: text.clone() },
            TransportEvent::Dtls { .. }
            | TransportEvent::NetworkChange { .. }
            | TransportEvent::TrackAdded { .. }
            | TransportEvent::SenderReport { .. }
            | TransportEvent::KeyframeWanted { .. }
            | TransportEvent::Data { .. }
            | TransportEvent::Room { .. }
            | TransportEvent::Channels { .. }
            | TransportEvent::Screen { .. }
            | TransportEvent::Stats { .. } => return None,
        })
    }
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Begin a session with a server.
    ConnectSignaling {
        /// Which server.
        server: ServerUrl,
        /// The person's name.
        name: String,
    },
    /// Send to the server; `id` is set on requests and comes back as `re`.
    Send {
        /// What.
        message: ClientMessage,
        /// Request id.
        id: Option<u64>,
    },
    /// Say goodbye to the server, after everything that was sent. No event of that session may
    /// reach the machine any more.
    CloseSignaling,
    /// `Transport::configure` with these servers (and the flags and settings that the engine knows).
    Configure(Vec<IceServer>),
    /// `Transport::prepare_offer`.
    PrepareOffer,
    /// `Transport::expect_offer`.
    ExpectOffer,
    /// `Transport::adopt_prepared`.
    AdoptPrepared(PeerId),
    /// `Transport::handle_signal`. Never before the participant was accepted.
    HandleSignal {
        /// From whom.
        from: PeerId,
        /// What.
        signal: Signal,
    },
    /// `Transport::restart_ice`.
    RestartIce(PeerId),
    /// `Transport::remove`.
    Remove(PeerId),
    /// End every connection, prepared ones too; the next call begins with none.
    CloseConnections,
    /// Open camera and microphone as chosen.
    StartMedia,
    /// Close them, unless the start screen shows them.
    StopMedia,
    /// New targets for the encoders.
    Encode(Targets),
    /// The sound of somebody knocking.
    Ring(Switch),
    /// Tell a person who looks elsewhere that somebody knocks.
    Notify {
        /// Who, as shown.
        name: String,
    },
    /// `fill` gives something new.
    ViewChanged,
}
