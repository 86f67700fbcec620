//! What encoders give and decoders take.

use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

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
    /// The shared screen.
    Screen,
    /// What the computer plays whose screen is shared, in stereo.
    ScreenSound,
}

impl TrackKind {
    /// All of them; at the place of each its number.
    pub const ALL: [Self; 4] = [Self::Audio, Self::Video, Self::Screen, Self::ScreenSound];

    /// Its place in a list with something for each kind.
    pub const fn index(self) -> usize {
        match self {
            TrackKind::Audio => 0,
            TrackKind::Video => 1,
            TrackKind::Screen => 2,
            TrackKind::ScreenSound => 3,
        }
    }

    /// Sound, not pictures: every packet is whole by itself and none waits.
    pub const fn is_sound(self) -> bool {
        match self {
            TrackKind::Audio | TrackKind::ScreenSound => true,
            TrackKind::Video | TrackKind::Screen => false,
        }
    }
}

/// What an [`EncodedFrame`] is encoded with. A codec belongs to a track: a shared screen may be VP9
/// while the camera beside it is VP8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// RFC 6716.
    Opus,
    /// RFC 6386.
    Vp8,
    /// The bitstream of libvpx, profile 0 (RTP: RFC 9628).
    Vp9,
}

/// The codecs of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VideoCodec {
    /// RFC 6386.
    #[serde(rename = "VP8")]
    Vp8,
    /// The bitstream of libvpx, profile 0 (RTP: RFC 9628).
    #[serde(rename = "VP9")]
    Vp9,
}

impl std::fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            VideoCodec::Vp8 => "VP8",
            VideoCodec::Vp9 => "VP9",
        })
    }
}

impl From<VideoCodec> for Codec {
    fn from(codec: VideoCodec) -> Self {
        match codec {
            VideoCodec::Vp8 => Codec::Vp8,
            VideoCodec::Vp9 => Codec::Vp9,
        }
    }
}

impl TryFrom<Codec> for VideoCodec {
    type Error = ();

    fn try_from(codec: Codec) -> Result<Self, ()> {
        match codec {
            Codec::Vp8 => Ok(VideoCodec::Vp8),
            Codec::Vp9 => Ok(VideoCodec::Vp9),
            Codec::Opus => Err(()),
        }
    }
}

/// One encoded picture or one packet of sound. Cheap to clone: the payload is shared.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// Microphone, camera, screen or its sound.
    pub kind: TrackKind,
    /// What the payload is encoded with.
    pub codec: Codec,
    /// When it is to be shown, on the track's RTP clock.
    pub time: MediaTime,
    /// When it was captured (monotonic clock); sender reports map `time` to wall-clock time by it.
    pub captured_at: Instant,
    /// Can be decoded without anything before it. Always true for sound.
    pub keyframe: bool,
    /// Size of the picture; `None` for sound.
    pub resolution: Option<Resolution>,
    /// The codec's bitstream: one picture of VP8 or VP9, or one Opus packet.
    pub payload: Bytes,
}
