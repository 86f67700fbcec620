//! What encoders give and decoders take.

use std::time::Instant;

use bytes::Bytes;

use crate::units::{MediaTime, Resolution};

/// Which of a participant's tracks something belongs to.
///
/// A participant has at most one track of each; the SDP media identification follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TrackKind {
    /// The microphone.
    Audio,
    /// The camera.
    Video,
}

/// One encoded picture or one packet of sound. Cheap to clone: the payload is shared.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// Microphone or camera.
    pub kind: TrackKind,
    /// When it is to be shown, on the track's RTP clock.
    pub time: MediaTime,
    /// When it was captured (monotonic clock); sender reports map `time` to wall-clock time by it.
    pub captured_at: Instant,
    /// Can be decoded without anything before it. Always true for sound.
    pub keyframe: bool,
    /// Size of the picture; `None` for sound.
    pub resolution: Option<Resolution>,
    /// The codec's bitstream: one VP8 frame (RFC 6386) or one Opus packet (RFC 6716).
    pub payload: Bytes,
}
