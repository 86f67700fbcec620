//! The dictionaries of W3C webrtc-stats, with the members that we can tell the truth about.
//!
//! Names and units are those of the specification (section 8); a member that is not known is left
//! out, and one that is missing when read has its zero. Durations are seconds, timestamps
//! milliseconds since the Unix epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::media::encoded::TrackKind;
use crate::rtc::{CandidateType, DtlsState};

/// W3C `kind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sound.
    #[default]
    Audio,
    /// Pictures.
    Video,
}

impl From<TrackKind> for Kind {
    fn from(kind: TrackKind) -> Self {
        match kind {
            TrackKind::Audio | TrackKind::ScreenSound => Kind::Audio,
            TrackKind::Video | TrackKind::Screen => Kind::Video,
        }
    }
}

/// W3C `RTCStatsIceCandidatePairState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the W3C names")]
pub enum PairState {
    Frozen,
    #[default]
    Waiting,
    InProgress,
    Failed,
    Succeeded,
}

macro_rules! dictionary {
    (
        $(#[$about:meta])*
        $name:ident { $($(#[$note:meta])* $required:ident: $type:ty,)* }
        optional { $($(#[$remark:meta])* $optional:ident: $inner:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[allow(missing_docs, reason = "the members are those of W3C webrtc-stats, or say it by their name")]
        pub struct $name {
            pub id: String,
            pub timestamp: f64,
            $($(#[$note])* pub $required: $type,)*
            $($(#[$remark])* #[serde(skip_serializing_if = "Option::is_none")] pub $optional: Option<$inner>,)*
        }
    };
}

pub(super) use dictionary;

dictionary! {
    /// `RTCPeerConnectionStats`.
    PeerConnection {
        data_channels_opened: u32,
        data_channels_closed: u32,
    } optional {}
}

dictionary! {
    /// `RTCTransportStats`.
    Transport {
        packets_sent: u64,
        packets_received: u64,
        bytes_sent: u64,
        bytes_received: u64,
        dtls_state: DtlsState,
        selected_candidate_pair_changes: u32,
    } optional {
        ice_role: String,
        ice_state: String,
        ice_local_username_fragment: String,
        selected_candidate_pair_id: String,
        local_certificate_id: String,
        remote_certificate_id: String,
        tls_version: String,
        dtls_cipher: String,
        dtls_role: String,
        srtp_cipher: String,
    }
}

dictionary! {
    /// `RTCIceCandidateStats`, local or remote.
    Candidate {
        transport_id: String,
        port: u16,
        protocol: String,
    } optional {
        address: String,
        candidate_type: CandidateType,
        priority: u32,
        url: String,
        relay_protocol: String,
        foundation: String,
        related_address: String,
        related_port: u16,
        username_fragment: String,
        tcp_type: String,
    }
}

dictionary! {
    /// `RTCIceCandidatePairStats`.
    CandidatePair {
        transport_id: String,
        local_candidate_id: String,
        remote_candidate_id: String,
        state: PairState,
        nominated: bool,
        packets_sent: u64,
        packets_received: u64,
        bytes_sent: u64,
        bytes_received: u64,
        total_round_trip_time: f64,
        requests_received: u64,
        requests_sent: u64,
        responses_received: u64,
        responses_sent: u64,
        consent_requests_sent: u64,
    } optional {
        last_packet_sent_timestamp: f64,
        last_packet_received_timestamp: f64,
        current_round_trip_time: f64,
        available_outgoing_bitrate: f64,
        available_incoming_bitrate: f64,
        packets_discarded_on_send: u64,
        bytes_discarded_on_send: u64,
        /// Ours: when a check or consent request last left.
        last_request_timestamp: f64,
        /// Ours: when one was last answered.
        last_response_timestamp: f64,
        /// Ours: what was last answered with an error, or why it was given up.
        last_error: String,
    }
}

dictionary! {
    /// `RTCCertificateStats`.
    Certificate {
        fingerprint: String,
        fingerprint_algorithm: String,
        base64_certificate: String,
    } optional {}
}

dictionary! {
    /// `RTCCodecStats`.
    Codec {
        payload_type: u8,
        transport_id: String,
        mime_type: String,
        clock_rate: u32,
    } optional {
        channels: u16,
        sdp_fmtp_line: String,
    }
}

dictionary! {
    /// `RTCInboundRtpStreamStats`.
    InboundRtp {
        ssrc: u32,
        kind: Kind,
    } optional {
        transport_id: String,
        codec_id: String,
        track_identifier: String,
        mid: String,
        remote_id: String,
        playout_id: String,
        packets_received: u64,
        packets_lost: i64,
        jitter: f64,
        last_packet_received_timestamp: f64,
        header_bytes_received: u64,
        bytes_received: u64,
        packets_discarded: u64,
        fec_packets_received: u64,
        nack_count: u64,
        fir_count: u64,
        pli_count: u64,
        frames_received: u64,
        frames_decoded: u64,
        frames_rendered: u64,
        frames_dropped: u64,
        key_frames_decoded: u64,
        content_type: String,
        frame_width: u32,
        frame_height: u32,
        frames_per_second: f64,
        qp_sum: u64,
        total_decode_time: f64,
        total_processing_delay: f64,
        total_inter_frame_delay: f64,
        total_squared_inter_frame_delay: f64,
        pause_count: u64,
        total_pauses_duration: f64,
        freeze_count: u64,
        total_freezes_duration: f64,
        frames_assembled_from_multiple_packets: u64,
        total_assembly_time: f64,
        decoder_implementation: String,
        power_efficient_decoder: bool,
        jitter_buffer_delay: f64,
        jitter_buffer_target_delay: f64,
        jitter_buffer_minimum_delay: f64,
        jitter_buffer_emitted_count: u64,
        total_samples_received: u64,
        concealed_samples: u64,
        silent_concealed_samples: u64,
        concealment_events: u64,
        inserted_samples_for_deceleration: u64,
        removed_samples_for_acceleration: u64,
        audio_level: f64,
        total_audio_energy: f64,
        total_samples_duration: f64,
    }
}

dictionary! {
    /// `RTCOutboundRtpStreamStats`.
    OutboundRtp {
        ssrc: u32,
        kind: Kind,
    } optional {
        transport_id: String,
        codec_id: String,
        mid: String,
        media_source_id: String,
        remote_id: String,
        packets_sent: u64,
        bytes_sent: u64,
        header_bytes_sent: u64,
        retransmitted_packets_sent: u64,
        retransmitted_bytes_sent: u64,
        target_bitrate: f64,
        nack_count: u64,
        fir_count: u64,
        pli_count: u64,
        content_type: String,
        frame_width: u32,
        frame_height: u32,
        frames_per_second: f64,
        frames_sent: u64,
        huge_frames_sent: u64,
        frames_encoded: u64,
        key_frames_encoded: u64,
        qp_sum: u64,
        total_encode_time: f64,
        total_packet_send_delay: f64,
        quality_limitation_reason: String,
        quality_limitation_durations: BTreeMap<String, f64>,
        quality_limitation_resolution_changes: u64,
        encoder_implementation: String,
        power_efficient_encoder: bool,
        active: bool,
    }
}

dictionary! {
    /// `RTCRemoteInboundRtpStreamStats`: what the other side receives of ours.
    RemoteInboundRtp {
        ssrc: u32,
        kind: Kind,
        local_id: String,
        packets_lost: i64,
        jitter: f64,
        fraction_lost: f64,
        total_round_trip_time: f64,
        round_trip_time_measurements: u64,
    } optional {
        transport_id: String,
        codec_id: String,
        round_trip_time: f64,
    }
}

dictionary! {
    /// `RTCRemoteOutboundRtpStreamStats`: what the other side says it has sent.
    RemoteOutboundRtp {
        ssrc: u32,
        kind: Kind,
        local_id: String,
        packets_sent: u64,
        bytes_sent: u64,
        remote_timestamp: f64,
        reports_sent: u64,
    } optional {
        transport_id: String,
        codec_id: String,
    }
}

dictionary! {
    /// `RTCAudioSourceStats` or `RTCVideoSourceStats`.
    MediaSource {
        kind: Kind,
    } optional {
        track_identifier: String,
        audio_level: f64,
        total_audio_energy: f64,
        total_samples_duration: f64,
        echo_return_loss: f64,
        echo_return_loss_enhancement: f64,
        width: u32,
        height: u32,
        frames: u64,
        frames_per_second: f64,
    }
}

dictionary! {
    /// `RTCAudioPlayoutStats`.
    MediaPlayout {
        kind: Kind,
        synthesized_samples_duration: f64,
        synthesized_samples_events: u64,
        total_samples_duration: f64,
        total_playout_delay: f64,
        total_samples_count: u64,
    } optional {}
}

dictionary! {
    /// `RTCDataChannelStats`.
    DataChannel {
        label: String,
        protocol: String,
        state: String,
        messages_sent: u32,
        bytes_sent: u64,
        messages_received: u32,
        bytes_received: u64,
    } optional {
        data_channel_identifier: u16,
    }
}
