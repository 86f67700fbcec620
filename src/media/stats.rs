//! What the media part counts, with the members and units of W3C webrtc-stats.
//!
//! Counters only grow while the track lives; rates are left to whoever takes two readings. Times
//! are durations here and become seconds where the W3C objects are written.

use std::time::Duration;

use crate::media::encoded::VideoCodec;
use crate::units::{Bitrate, Resolution};

/// Why the sent picture is worse than the source's (W3C `RTCQualityLimitationReason`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum QualityLimitation {
    /// It is not.
    #[default]
    None,
    /// Encoding at full size takes longer than there is time between two pictures.
    Cpu,
    /// The bitrate does not suffice for the full size.
    Bandwidth,
}

impl QualityLimitation {
    /// The W3C name.
    pub const fn w3c(self) -> &'static str {
        match self {
            QualityLimitation::None => "none",
            QualityLimitation::Cpu => "cpu",
            QualityLimitation::Bandwidth => "bandwidth",
        }
    }
}

/// How long each reason has applied (W3C `qualityLimitationDurations`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QualityLimitationDurations {
    /// Nothing limited.
    pub none: Duration,
    /// The processor limited.
    pub cpu: Duration,
    /// The bitrate limited.
    pub bandwidth: Duration,
}

/// Our camera on its way out: members of `RTCOutboundRtpStreamStats` and `RTCVideoSourceStats`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoSendStats {
    /// Media source: pictures that came from the source.
    pub source_frames: u64,
    /// Media source: its size.
    pub source_resolution: Option<Resolution>,
    /// Media source: pictures in the last second.
    pub source_fps: f64,
    /// `framesEncoded`.
    pub frames_encoded: u64,
    /// `keyFramesEncoded`.
    pub key_frames_encoded: u64,
    /// `framesSent`; the same as encoded, since every encoded picture is handed on.
    pub frames_sent: u64,
    /// `hugeFramesSent`: pictures of more than 2.5 times the average size.
    pub huge_frames_sent: u64,
    /// Pictures that the encoder's rate control left out.
    pub frames_dropped: u64,
    /// `qpSum`: sum of the VP8 quantizer index (0 to 127) of all encoded pictures.
    pub qp_sum: u64,
    /// `totalEncodeTime`.
    pub total_encode_time: Duration,
    /// Bytes of all encoded pictures, without any header of RTP.
    pub bytes_encoded: u64,
    /// `frameWidth` and `frameHeight` of the last encoded picture.
    pub resolution: Option<Resolution>,
    /// `framesPerSecond`: pictures encoded in the last second.
    pub fps: f64,
    /// `targetBitrate`.
    pub target_bitrate: Bitrate,
    /// `qualityLimitationReason`.
    pub quality_limitation: QualityLimitation,
    /// `qualityLimitationDurations`.
    pub quality_limitation_durations: QualityLimitationDurations,
    /// `qualityLimitationResolutionChanges`.
    pub quality_limitation_resolution_changes: u64,
    /// Whether pictures go out at all (`active`).
    pub active: bool,
}

/// A participant's camera on its way in: members of `RTCInboundRtpStreamStats`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VideoReceiveStats {
    /// `framesReceived`: complete pictures.
    pub frames_received: u64,
    /// `framesDecoded`.
    pub frames_decoded: u64,
    /// `framesDropped`: complete pictures that were not shown.
    pub frames_dropped: u64,
    /// `framesRendered`: pictures handed to the screen.
    pub frames_rendered: u64,
    /// `keyFramesDecoded`.
    pub key_frames_decoded: u64,
    /// `frameWidth` and `frameHeight` of the last decoded picture.
    pub resolution: Option<Resolution>,
    /// What the last decoded picture was encoded with.
    pub codec: Option<VideoCodec>,
    /// `framesPerSecond`: pictures decoded in the last second.
    pub fps: f64,
    /// `qpSum`: sum of the VP8 quantizer index (0 to 127) of all decoded pictures.
    pub qp_sum: u64,
    /// `totalDecodeTime`.
    pub total_decode_time: Duration,
    /// `totalInterFrameDelay`: between pictures shown one after the other.
    pub total_inter_frame_delay: Duration,
    /// `totalSquaredInterFrameDelay`, in seconds squared.
    pub total_squared_inter_frame_delay: f64,
    /// `freezeCount`: gaps over max(3 x mean gap, mean gap + 150 ms).
    pub freeze_count: u64,
    /// `totalFreezesDuration`.
    pub total_freezes_duration: Duration,
    /// `pauseCount`: gaps of five seconds and more.
    pub pause_count: u64,
    /// `totalPausesDuration`.
    pub total_pauses_duration: Duration,
    /// `pliCount`: key frames asked for.
    pub pli_count: u64,
    /// `jitterBufferDelay`: from a picture's first packet to the decoder, summed.
    pub jitter_buffer_delay: Duration,
    /// `jitterBufferEmittedCount`: pictures in that sum.
    pub jitter_buffer_emitted_count: u64,
    /// `totalAssemblyTime`: from a picture's first packet to its last, summed over pictures of
    /// several packets.
    pub total_assembly_time: Duration,
    /// `framesAssembledFromMultiplePackets`: pictures in that sum.
    pub frames_assembled_from_multiple_packets: u64,
    /// `packetsDiscarded`: packets that came too late, or belong to a picture that was given up.
    pub packets_discarded: u64,
    /// Packets that came again; not a W3C member.
    pub packets_duplicated: u64,
    /// Packets that are not VP8 payload (RFC 7741); not a W3C member.
    pub packets_malformed: u64,
}

/// Of a received track, for `inbound-rtp` of kind audio.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioReceiveStats {
    /// Time that samples spent in the jitter buffer, summed over all emitted samples.
    pub jitter_buffer_delay: Duration,
    /// The same sum for the delay that the buffer aimed at.
    pub jitter_buffer_target_delay: Duration,
    /// The same sum for the delay that the network alone would have asked for.
    pub jitter_buffer_minimum_delay: Duration,
    /// Samples that left the buffer.
    pub jitter_buffer_emitted_count: u64,
    /// All samples played, concealed ones included.
    pub total_samples_received: u64,
    /// Samples made up because nothing had arrived.
    pub concealed_samples: u64,
    /// Those of them that were silence.
    pub silent_concealed_samples: u64,
    /// How often concealment began.
    pub concealment_events: u64,
    /// Samples inserted to slow down.
    pub inserted_samples_for_deceleration: u64,
    /// Samples removed to speed up.
    pub removed_samples_for_acceleration: u64,
    /// Packets that came too late, or too many, to be played.
    pub packets_discarded: u64,
    /// Packets whose content was played from the copy in the next one (Opus in-band FEC).
    pub fec_packets_received: u64,
    /// Packets that came twice (not in W3C).
    pub packets_duplicated: u64,
    /// Packets that were not Opus (not in W3C).
    pub packets_invalid: u64,
    /// Loudness now, 0.0 to 1.0.
    pub audio_level: f64,
    /// Sum of squared loudness times seconds.
    pub total_audio_energy: f64,
    /// How long was played.
    pub total_samples_duration: Duration,
}

/// Of the microphone, for `media-source` of kind audio and its `outbound-rtp`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioSendStats {
    /// Loudness now, 0.0 to 1.0.
    pub audio_level: f64,
    /// Sum of squared loudness times seconds.
    pub total_audio_energy: f64,
    /// How long was captured.
    pub total_samples_duration: Duration,
    /// Echo that comes back without the canceller, in dB.
    pub echo_return_loss: Option<f64>,
    /// Echo that the canceller removes, in dB.
    pub echo_return_loss_enhancement: Option<f64>,
    /// `targetBitrate`.
    pub target_bitrate: Bitrate,
    /// Packets of 20 ms given to the network.
    pub packets: u64,
    /// Packets of 20 ms not sent because there was nothing to say.
    pub packets_silent: u64,
}

/// What a speaker played of its own accord.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Synthesized {
    /// How long it lasted, summed.
    pub duration: Duration,
    /// How often it began.
    pub events: u64,
}

impl std::ops::Add for Synthesized {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { duration: self.duration + other.duration, events: self.events + other.events }
    }
}

/// Of the speaker, for `media-playout`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudioPlayoutStats {
    /// How long the speaker was fed.
    pub total_samples_duration: Duration,
    /// Samples handed to the speaker.
    pub total_samples_count: u64,
    /// Time between handing over and hearing, summed over all samples.
    pub total_playout_delay: Duration,
    /// Silence that the speaker made up because nothing was handed over in time.
    pub synthesized: Synthesized,
}
