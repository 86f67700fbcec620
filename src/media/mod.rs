//! Devices to encoded frames, and encoded frames to pictures and sound.
//!
//! ```text
//!  VideoSource ─▶ Latest slot ─▶ send_video (scale, encode) ─▶ FrameSink
//!  AudioSource ─▶ process (echo, noise, gain) ─▶ send_audio (encode) ─▶ FrameSink
//!  packets ─▶ receive::video (order, assemble, decode) ─▶ FrameSlots
//!  packets ─▶ receive::audio_jitter (order, conceal, stretch) ─▶ mixer ─▶ AudioSink
//! ```
//!
//! This module knows no PeerConnections, no SDP, no rooms, no window, and not how many
//! participants there are. The seam to the network lies below the encoder, so that one encode
//! serves every receiver.

pub mod adaptation;
mod beat;
pub mod capture;
pub mod codec;
pub mod convert;
pub mod devices;
pub mod encoded;
pub mod frame;
pub mod latest;
mod limiter;
pub mod marker;
pub mod mixer;
pub mod novelty;
pub mod overlay;
pub mod playout;
pub mod process;
pub mod rate;
pub mod receive;
mod resample;
pub mod scale;
pub mod send_audio;
pub mod send_sound;
pub mod send_video;
pub mod sink;
mod sound_packets;
pub mod sounds;
pub mod source;
pub mod stats;
#[cfg(test)]
mod test_signal;
pub mod voice;
pub mod worker;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use encoded::{Codec, EncodedFrame, TrackKind};
use frame::{AudioBlock, StereoBlock, VideoFrame};

use crate::media::stats::Synthesized;
use crate::units::{Bitrate, Resolution};

/// Why a source or a sink cannot go on.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceError {
    /// There is no device of that kind, or not the named one.
    #[error("{0} was not found")]
    NotFound(String),
    /// Another program uses it.
    #[error("{0} is in use by another program")]
    Busy(String),
    /// The system does not let us use it.
    #[error("the system does not allow access to {0}")]
    Refused(String),
    /// It was there and is gone now.
    #[error("{0} was unplugged")]
    Gone(String),
    /// Somebody ended it, as it may be ended: a window was closed.
    #[error("{0} was closed")]
    Closed(String),
    /// It opens but gives nothing we can use.
    #[error("{device} does not work: {reason}")]
    Broken {
        /// The name shown to people.
        device: String,
        /// What the system or the file said.
        reason: String,
    },
}

/// Gives pictures: a camera, a screen, a file, a test pattern.
///
/// The seam lies at the finished I420 frame: whatever a device speaks (YUYV, NV12, MJPEG) is
/// converted behind it, on the thread that calls [`VideoSource::next_frame`].
pub trait VideoSource: Send {
    /// The name shown to people.
    fn name(&self) -> &str;

    /// The size and the nominal frame rate it runs at.
    fn format(&self) -> (Resolution, f64);

    /// The next picture, in real time. `Ok(None)` when there was none within `timeout`, so that
    /// the caller can stop. After an error the source is finished.
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<VideoFrame>, DeviceError>;
}

/// Gives sound in blocks of 10 ms: a microphone, a file, a tone.
pub trait AudioSource: Send {
    /// The name shown to people.
    fn name(&self) -> &str;

    /// The id of the device in use, as [`devices::Devices`] lists it; `None` if it is not a device.
    fn device_id(&self) -> Option<&str> {
        None
    }

    /// The next block, in real time. `Ok(None)` when there was none within `timeout`.
    fn next_block(&mut self, timeout: Duration) -> Result<Option<AudioBlock>, DeviceError>;
}

/// Gives sound in stereo blocks of 10 ms: what the programs of a computer play, or a file in its place.
pub trait StereoSource: Send {
    /// The name shown to people.
    fn name(&self) -> &str;

    /// The next block, in real time, silent ones too. `Ok(None)` when there was none within `timeout`.
    /// After an error the source is finished.
    fn next_block(&mut self, timeout: Duration) -> Result<Option<StereoBlock>, DeviceError>;
}

/// Takes sound in stereo blocks of 10 ms and sets the pace of playing: a speaker, a file, nothing.
pub trait AudioSink: Send {
    /// The name shown to people.
    fn name(&self) -> &str;

    /// The id of the device in use, as [`devices::Devices`] lists it; `None` if it is not a device.
    fn device_id(&self) -> Option<&str> {
        None
    }

    /// Whether what it takes goes anywhere; silence need not be given to one where it does not.
    fn is_heard(&self) -> bool {
        true
    }

    /// Waits until the next block is wanted, at most `timeout`; says whether it is.
    fn wait_wanted(&mut self, timeout: Duration) -> Result<bool, DeviceError>;

    /// Takes the next block. Call it once after each `wait_wanted` that said yes.
    fn play(&mut self, block: &StereoBlock) -> Result<(), DeviceError>;

    /// Sound that is handed over but not heard yet.
    fn latency(&self) -> Duration;

    /// Silence that was played since it was opened because nothing was handed over in time.
    fn synthesized(&self) -> Synthesized {
        Synthesized::default()
    }
}

/// What an encoder is asked for; it may change at any frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderTarget {
    /// Bits per second of the encoded stream.
    pub bitrate: Bitrate,
    /// Largest picture to send; smaller sources are not enlarged.
    pub max_resolution: Resolution,
    /// Most frames a second to send.
    pub max_fps: f64,
}

/// Where encoded frames go. Called from the encode thread; must not block.
pub type FrameSink = Arc<dyn Fn(EncodedFrame) + Send + Sync>;

/// One RTP packet of a remote track, freed of everything the network needs.
///
/// Packets may come twice and out of order (the engine below does neither sorting nor
/// de-duplication).
#[derive(Clone, Debug)]
pub struct RemotePacket {
    /// Which track of the participant.
    pub kind: TrackKind,
    /// How the payload is made; a sender may change it during a track.
    pub codec: Codec,
    /// RTP sequence number as on the wire.
    pub sequence: u16,
    /// RTP timestamp as on the wire.
    pub timestamp: u32,
    /// RTP marker bit: the last packet of a picture.
    pub marker: bool,
    /// Synchronisation source; a change means that the sender began anew.
    pub ssrc: u32,
    /// RTP payload, without padding.
    pub payload: Bytes,
    /// When it arrived (monotonic clock).
    pub arrived_at: Instant,
}

/// From a sender report: the RTP timestamp `rtp` was captured at `ntp` (RFC 3550 section 6.4.1).
///
/// Lip sync puts the tracks of one participant on one time line by it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SenderReport {
    /// Which track of the participant.
    pub kind: TrackKind,
    /// RTP timestamp.
    pub rtp: u32,
    /// The sender's wall clock, as time since the NTP epoch.
    pub ntp: Duration,
}
