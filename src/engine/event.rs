//! What happens, with the time it happened, for scripts and for the timeline of a call.
//!
//! The view says how things stand; events say when they changed. The window does not need them.

use std::time::Instant;

use signaling_protocol::PeerId;

use crate::rtc::stats::Report;
use crate::rtc::{DtlsState, IceState, SelectedPair};

use super::view::EndReason;

/// Something happened.
#[derive(Clone, Debug)]
pub struct EngineEvent {
    /// When (monotonic clock).
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// The signaling server said welcome.
    SignalingOpen,
    /// The signaling server is lost; the call goes on.
    SignalingLost {
        /// One sentence.
        reason: String,
    },
    /// The session with the signaling server goes on.
    SignalingResumed,
    /// Our sources run, the room is open (callee) or the offer is ready (caller).
    Prepared,
    /// Our offer left.
    OfferSent {
        /// Length of the SDP.
        bytes: usize,
    },
    /// W3C iceConnectionState.
    Ice {
        /// The new state.
        state: IceState,
    },
    /// W3C RTCDtlsTransport.state.
    Dtls {
        /// The new state.
        state: DtlsState,
    },
    /// Media takes another path.
    SelectedPair {
        /// The path.
        pair: SelectedPair,
    },
    /// The first picture of a participant is in its slot.
    FirstFrame {
        /// Whose.
        peer: PeerId,
    },
    /// The first sound of a participant goes to the speaker.
    FirstAudio {
        /// Whose.
        peer: PeerId,
    },
    /// Somebody knocks; a person who looks elsewhere should be told.
    Visitor {
        /// Who, as shown.
        name: String,
    },
    /// We look for a new path.
    IceRestart {
        /// For whom.
        peer: PeerId,
    },
    /// Once a second: all statistics.
    Stats {
        /// W3C webrtc-stats dictionaries.
        report: Report,
    },
    /// Something does not work; the call may go on.
    Problem {
        /// One sentence.
        text: String,
    },
    /// The call is over.
    Ended {
        /// Why.
        reason: EndReason,
    },
}
