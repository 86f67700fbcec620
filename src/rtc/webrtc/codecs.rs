//! What we offer and understand: Opus, VP8, for screens VP9, and the feedback they need.
//!
//! The crate settles the codecs of all video sections by the first one that it reads, and never adds
//! to them. VP9 is only offered for screens, which come later; so the engine registers it, and shows
//! the crate a first description in which it stands beside VP8 (`sdp::with_codec`).

use ::rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_OPUS, MIME_TYPE_VP8, MIME_TYPE_VP9, MediaEngine,
};
use ::rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use ::rtc::shared::error::Result;

use crate::media::encoded::{Codec, VideoCodec};
use crate::units::MediaTime;

/// Payload type of VP8 in our offers.
pub const VP8: u8 = 96;
/// Payload type of Opus in our offers.
pub const OPUS: u8 = 111;

/// Payload type of VP9 in our offers.
pub const VP9: u8 = 98;

/// What a screen may be encoded with, the best first: VP9 spends about half of what VP8 does on text.
pub const FOR_SCREENS: [VideoCodec; 2] = [VideoCodec::Vp9, VideoCodec::Vp8];

/// The attributes of VP9 as our offers write them.
pub const VP9_LINES: [&str; 6] = [
    "a=rtpmap:98 VP9/90000",
    "a=fmtp:98 profile-id=0",
    "a=rtcp-fb:98 nack",
    "a=rtcp-fb:98 nack pli",
    "a=rtcp-fb:98 ccm fir",
    "a=rtcp-fb:98 transport-cc",
];

/// The name of a codec in `a=rtpmap`.
pub fn name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
    }
}

/// The payload type of a codec in our offers.
pub fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => OPUS,
        Codec::Vp8 => VP8,
        Codec::Vp9 => VP9,
    }
}

/// The codec of a MIME type.
pub fn of(mime_type: &str) -> Option<Codec> {
    [(MIME_TYPE_OPUS, Codec::Opus), (MIME_TYPE_VP8, Codec::Vp8), (MIME_TYPE_VP9, Codec::Vp9)]
        .into_iter()
        .find_map(|(name, codec)| mime_type.eq_ignore_ascii_case(name).then_some(codec))
}

/// The crate's name for the kind of a codec.
pub fn kind(codec: Codec) -> RtpCodecKind {
    match codec {
        Codec::Opus => RtpCodecKind::Audio,
        Codec::Vp8 | Codec::Vp9 => RtpCodecKind::Video,
    }
}

/// A codec as the crate describes it.
pub fn describe(codec: Codec) -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    // No RTX: the crate asks for recovered packets again and again. NACK resends in band.
    let picture = |mime_type: &str, fmtp: &str| RTCRtpCodec {
        mime_type: mime_type.into(),
        clock_rate: MediaTime::VIDEO_CLOCK,
        channels: 0,
        sdp_fmtp_line: fmtp.into(),
        rtcp_feedback: vec![
            feedback("nack", ""),
            feedback("nack", "pli"),
            feedback("ccm", "fir"),
            feedback("transport-cc", ""),
        ],
    };
    match codec {
        Codec::Opus => RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.into(),
            clock_rate: MediaTime::AUDIO_CLOCK,
            channels: 2, // RFC 7587 section 7: always 2 in the SDP.
            sdp_fmtp_line: "minptime=10;useinbandfec=1;usedtx=1".into(),
            rtcp_feedback: vec![feedback("transport-cc", "")],
        },
        Codec::Vp8 => picture(MIME_TYPE_VP8, ""),
        Codec::Vp9 => picture(MIME_TYPE_VP9, "profile-id=0"),
    }
}

/// Codecs in order of preference, as a transceiver wants them.
pub fn preferences(codecs: impl IntoIterator<Item = Codec>) -> Vec<RTCRtpCodecParameters> {
    let parameters =
        |codec| RTCRtpCodecParameters { rtp_codec: describe(codec), payload_type: payload_type(codec) };
    codecs.into_iter().map(parameters).collect()
}

/// Everything for the negotiation.
pub fn media_engine() -> Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    for parameters in preferences([Codec::Opus, Codec::Vp8, Codec::Vp9]) {
        let kind = of(&parameters.rtp_codec.mime_type).map_or(RtpCodecKind::Unspecified, kind);
        engine.register_codec(parameters, kind)?;
    }
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        for uri in [::rtc::sdp::extmap::SDES_MID_URI, ::rtc::sdp::extmap::TRANSPORT_CC_URI] {
            let extension = RTCRtpHeaderExtensionCapability { uri: uri.to_owned() };
            engine.register_header_extension(extension, kind, None)?;
        }
    }
    Ok(engine)
}
