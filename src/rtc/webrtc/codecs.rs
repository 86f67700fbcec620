//! What we offer and understand: Opus, VP8, and the feedback they need.

use ::rtc::peer_connection::configuration::media_engine::{MIME_TYPE_OPUS, MIME_TYPE_VP8, MediaEngine};
use ::rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use ::rtc::shared::error::Result;

use crate::media::encoded::TrackKind;
use crate::units::MediaTime;

/// Payload type of VP8 in our offers.
pub const VP8: u8 = 96;
/// Payload type of Opus in our offers.
pub const OPUS: u8 = 111;

/// The name of a kind's codec in `a=rtpmap`.
pub fn name(kind: TrackKind) -> &'static str {
    match kind {
        TrackKind::Audio => "opus",
        TrackKind::Video | TrackKind::Screen => "VP8",
    }
}

/// The kind of a codec.
pub fn kind_of(mime_type: &str) -> Option<TrackKind> {
    if mime_type.eq_ignore_ascii_case(MIME_TYPE_OPUS) {
        Some(TrackKind::Audio)
    } else if mime_type.eq_ignore_ascii_case(MIME_TYPE_VP8) {
        Some(TrackKind::Video)
    } else {
        None
    }
}

/// The crate's name for a kind.
pub fn crate_kind(kind: TrackKind) -> RtpCodecKind {
    match kind {
        TrackKind::Audio => RtpCodecKind::Audio,
        TrackKind::Video | TrackKind::Screen => RtpCodecKind::Video,
    }
}

/// The codec of a kind.
pub fn codec(kind: TrackKind) -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    match kind {
        TrackKind::Audio => RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.into(),
            clock_rate: MediaTime::AUDIO_CLOCK,
            channels: 2, // RFC 7587 section 7: always 2 in the SDP.
            sdp_fmtp_line: "minptime=10;useinbandfec=1;usedtx=1".into(),
            rtcp_feedback: vec![feedback("transport-cc", "")],
        },
        // No RTX: the crate asks for recovered packets again and again. NACK resends in band.
        TrackKind::Video | TrackKind::Screen => RTCRtpCodec {
            mime_type: MIME_TYPE_VP8.into(),
            clock_rate: MediaTime::VIDEO_CLOCK,
            channels: 0,
            sdp_fmtp_line: String::new(),
            rtcp_feedback: vec![
                feedback("nack", ""),
                feedback("nack", "pli"),
                feedback("ccm", "fir"),
                feedback("transport-cc", ""),
            ],
        },
    }
}

/// Everything for the negotiation.
pub fn media_engine() -> Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    for (kind, payload_type) in [(TrackKind::Audio, OPUS), (TrackKind::Video, VP8)] {
        engine.register_codec(
            RTCRtpCodecParameters { rtp_codec: codec(kind), payload_type },
            crate_kind(kind),
        )?;
        for uri in [::rtc::sdp::extmap::SDES_MID_URI, ::rtc::sdp::extmap::TRANSPORT_CC_URI] {
            let extension = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
            engine.register_header_extension(extension, crate_kind(kind), None)?;
        }
    }
    Ok(engine)
}
