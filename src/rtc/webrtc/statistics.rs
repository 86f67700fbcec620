//! The crate's statistics as W3C dictionaries, as far as they can be trusted.
//!
//! Left out: what the crate derives from RTCP (always 0), its jitter (not in seconds), its
//! candidate priorities (cut to 16 bits) and every empty text. What passed is counted by our own
//! accounting.

use std::net::SocketAddr;
use std::time::Duration;

use ::rtc::peer_connection::transport::{RTCDtlsTransportState, RTCIceCandidatePair};
use ::rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use ::rtc::shared::time::SystemInstant;
use ::rtc::statistics::stats::RTCStats;
use ::rtc::statistics::stats::certificate::RTCCertificateStats;
use ::rtc::statistics::stats::codec::RTCCodecStats;
use ::rtc::statistics::stats::data_channel::RTCDataChannelStats;
use ::rtc::statistics::stats::ice_candidate::RTCIceCandidateStats;
use ::rtc::statistics::stats::ice_candidate_pair::{RTCIceCandidatePairStats, RTCStatsIceCandidatePairState};
use ::rtc::statistics::stats::peer_connection::RTCPeerConnectionStats;
use ::rtc::statistics::stats::rtp_stream::received::inbound::RTCInboundRtpStreamStats;
use ::rtc::statistics::stats::rtp_stream::sent::outbound::RTCOutboundRtpStreamStats;
use ::rtc::statistics::stats::transport::RTCTransportStats;
use ::webrtc::peer_connection::{
    RTCIceCandidate, RTCIceCandidateType, RTCStatsReport, RTCStatsReportEntry as Theirs,
};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::servers::Servers;
use crate::rtc::stats::{
    Candidate, CandidatePair, Certificate, Codec, DataChannel, Entry, InboundRtp, Kind, OutboundRtp,
    PairState, PeerConnection, Report, Transport,
};
use crate::rtc::{CandidateType, DtlsState, PairEnd, SelectedPair};

/// What the crate puts before the id of a local candidate.
const LOCAL: &str = "RTCLocalIceCandidate_";

/// The same of a remote one.
const REMOTE: &str = "RTCRemoteIceCandidate_";

/// What the crate's ICE transport knows and its report does not: candidates that were in a
/// description or found by a check, and whole priorities.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Ours.
    pub local: Vec<RTCIceCandidate>,
    /// Of the other side.
    pub remote: Vec<RTCIceCandidate>,
    /// The path in use.
    pub selected: Option<RTCIceCandidatePair>,
}

/// All dictionaries, at `timestamp` milliseconds since the Unix epoch.
pub fn report(theirs: &RTCStatsReport, candidates: &Candidates, servers: &Servers, timestamp: f64) -> Report {
    let mut report = Report::new(timestamp);
    report.entries = theirs.iter().filter_map(entry).collect();
    complete(&mut report, candidates);
    name_servers(&mut report, servers);
    report
}

fn entry(theirs: &Theirs) -> Option<Entry> {
    Some(match theirs {
        Theirs::PeerConnection(theirs) => Entry::PeerConnection(peer_connection(theirs)),
        Theirs::Transport(theirs) => Entry::Transport(transport(theirs)),
        Theirs::LocalCandidate(theirs) => Entry::LocalCandidate(candidate(theirs)),
        Theirs::RemoteCandidate(theirs) => Entry::RemoteCandidate(candidate(theirs)),
        Theirs::IceCandidatePair(theirs) => Entry::CandidatePair(pair(theirs)),
        Theirs::Certificate(theirs) => Entry::Certificate(certificate(theirs)),
        Theirs::Codec(theirs) => Entry::Codec(codec(theirs)),
        Theirs::InboundRtp(theirs) => Entry::InboundRtp(inbound(theirs)),
        Theirs::OutboundRtp(theirs) => Entry::OutboundRtp(outbound(theirs)),
        Theirs::DataChannel(theirs) => Entry::DataChannel(data_channel(theirs)),
        // Those that the crate cannot fill.
        _ => return None,
    })
}

fn complete(report: &mut Report, candidates: &Candidates) {
    let transport_id = report.transports().next().map(|transport| transport.id.clone()).unwrap_or_default();
    let ends = candidates.selected.as_ref();
    let local = ends.into_iter().map(|pair| (LOCAL, pair.local()));
    let selected = ends.into_iter().map(|pair| (REMOTE, pair.remote()));
    for entry in &mut report.entries {
        if let Entry::Codec(codec) = entry {
            codec.transport_id.clone_from(&transport_id);
        }
    }
    for entry in &mut report.entries {
        let Entry::LocalCandidate(candidate) = entry else { continue };
        let same = |known: &&RTCIceCandidate| prefixed(LOCAL, &known.id) == candidate.id;
        candidate.priority = candidates.local.iter().find(same).map(|known| known.priority);
    }
    for (prefix, known) in local.chain(selected).chain(candidates.remote.iter().map(|known| (REMOTE, known)))
    {
        let id = prefixed(prefix, &known.id);
        let found = report.entries.iter_mut().find_map(|entry| match entry {
            Entry::LocalCandidate(candidate) | Entry::RemoteCandidate(candidate) if candidate.id == id => {
                Some(candidate)
            }
            _ => None,
        });
        if let Some(candidate) = found {
            candidate.priority = Some(known.priority);
            continue;
        }
        let candidate = known_candidate(known, id, report.timestamp, &transport_id);
        report.entries.push(match prefix {
            LOCAL => Entry::LocalCandidate(candidate),
            _ => Entry::RemoteCandidate(candidate),
        });
    }
}

fn known_candidate(known: &RTCIceCandidate, id: String, timestamp: f64, transport_id: &str) -> Candidate {
    let related = text(&known.related_address);
    Candidate {
        id,
        timestamp,
        transport_id: transport_id.to_owned(),
        port: known.port,
        protocol: known.protocol.to_string().to_ascii_lowercase(),
        address: Some(known.address.clone()),
        candidate_type: candidate_type(known.typ),
        priority: Some(known.priority),
        foundation: text(&known.foundation),
        related_port: related.as_ref().map(|_| known.related_port),
        related_address: related,
        ..Default::default()
    }
}

fn peer_connection(theirs: &RTCPeerConnectionStats) -> PeerConnection {
    let (id, timestamp) = head(&theirs.stats);
    PeerConnection {
        id,
        timestamp,
        data_channels_opened: theirs.data_channels_opened,
        data_channels_closed: theirs.data_channels_closed,
    }
}

fn transport(theirs: &RTCTransportStats) -> Transport {
    let (id, timestamp) = head(&theirs.stats);
    Transport {
        id,
        timestamp,
        packets_sent: theirs.packets_sent,
        packets_received: theirs.packets_received,
        bytes_sent: theirs.bytes_sent,
        bytes_received: theirs.bytes_received,
        dtls_state: match theirs.dtls_state {
            RTCDtlsTransportState::Connecting => DtlsState::Connecting,
            RTCDtlsTransportState::Connected => DtlsState::Connected,
            RTCDtlsTransportState::Closed => DtlsState::Closed,
            RTCDtlsTransportState::Failed => DtlsState::Failed,
            _ => DtlsState::New,
        },
        selected_candidate_pair_changes: theirs.selected_candidate_pair_changes,
        ice_role: text(theirs.ice_role),
        ice_state: text(theirs.ice_state),
        ice_local_username_fragment: text(&theirs.ice_local_username_fragment),
        selected_candidate_pair_id: text(&theirs.selected_candidate_pair_id),
        local_certificate_id: text(&theirs.local_certificate_id),
        remote_certificate_id: text(&theirs.remote_certificate_id),
        tls_version: text(&theirs.tls_version),
        dtls_cipher: text(&theirs.dtls_cipher),
        dtls_role: text(theirs.dtls_role),
        srtp_cipher: text(&theirs.srtp_cipher),
    }
}

/// Says of our candidates which server told them, and how it is spoken to. What the crate writes
/// there are stand-ins.
fn name_servers(report: &mut Report, servers: &Servers) {
    for entry in &mut report.entries {
        let Entry::LocalCandidate(candidate) = entry else { continue };
        let address = candidate.address.as_deref().and_then(|ip| ip.parse().ok());
        let server = address.and_then(|ip| servers.origin(SocketAddr::new(ip, candidate.port)));
        let relayed = candidate.candidate_type == Some(CandidateType::Relay);
        candidate.relay_protocol =
            server.as_ref().filter(|_| relayed).map(|server| server.place.transport.name().to_owned());
        // A host candidate without a NAT has the address that servers see, and owes them nothing.
        let owed = candidate.candidate_type != Some(CandidateType::Host);
        candidate.url = server.filter(|_| owed).map(|server| server.url.clone());
    }
}

fn candidate(theirs: &RTCIceCandidateStats) -> Candidate {
    let (id, timestamp) = head(&theirs.stats);
    let related = text(&theirs.related_address);
    Candidate {
        id,
        timestamp,
        transport_id: theirs.transport_id.clone(),
        port: theirs.port,
        protocol: theirs.protocol.to_ascii_lowercase(),
        address: theirs.address.clone(),
        candidate_type: candidate_type(theirs.candidate_type),
        priority: None,
        url: text(&theirs.url),
        relay_protocol: None,
        foundation: text(&theirs.foundation),
        related_port: related.as_ref().map(|_| theirs.related_port),
        related_address: related,
        username_fragment: text(&theirs.username_fragment),
        tcp_type: None,
    }
}

fn pair(theirs: &RTCIceCandidatePairStats) -> CandidatePair {
    let (id, timestamp) = head(&theirs.stats);
    CandidatePair {
        id,
        timestamp,
        transport_id: theirs.transport_id.clone(),
        local_candidate_id: prefixed(LOCAL, &theirs.local_candidate_id),
        remote_candidate_id: prefixed(REMOTE, &theirs.remote_candidate_id),
        state: match theirs.state {
            RTCStatsIceCandidatePairState::Frozen => PairState::Frozen,
            RTCStatsIceCandidatePairState::InProgress => PairState::InProgress,
            RTCStatsIceCandidatePairState::Failed => PairState::Failed,
            RTCStatsIceCandidatePairState::Succeeded => PairState::Succeeded,
            _ => PairState::Waiting,
        },
        nominated: theirs.nominated,
        packets_sent: theirs.packets_sent,
        packets_received: theirs.packets_received,
        bytes_sent: theirs.bytes_sent,
        bytes_received: theirs.bytes_received,
        total_round_trip_time: theirs.total_round_trip_time,
        requests_received: theirs.requests_received,
        requests_sent: theirs.requests_sent,
        responses_received: theirs.responses_received,
        responses_sent: theirs.responses_sent,
        consent_requests_sent: theirs.consent_requests_sent,
        last_packet_sent_timestamp: (theirs.packets_sent > 0)
            .then(|| millis(&theirs.last_packet_sent_timestamp)),
        last_packet_received_timestamp: (theirs.packets_received > 0)
            .then(|| millis(&theirs.last_packet_received_timestamp)),
        current_round_trip_time: (theirs.responses_received > 0).then_some(theirs.current_round_trip_time),
        ..Default::default()
    }
}

/// The crate's pairs name their candidates without the prefix of the candidates' own ids.
fn prefixed(prefix: &str, id: &str) -> String {
    if id.starts_with(prefix) { id.to_owned() } else { format!("{prefix}{id}") }
}

fn certificate(theirs: &RTCCertificateStats) -> Certificate {
    let (id, timestamp) = head(&theirs.stats);
    Certificate {
        id,
        timestamp,
        fingerprint: theirs.fingerprint.clone(),
        fingerprint_algorithm: theirs.fingerprint_algorithm.clone(),
        base64_certificate: base64_of_hex(&theirs.base64_certificate),
    }
}

/// The crate writes the certificate in hexadecimal digits.
fn base64_of_hex(hex: &str) -> String {
    let pairs = hex.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes.map(|bytes| STANDARD.encode(bytes)).unwrap_or_default()
}

fn codec(theirs: &RTCCodecStats) -> Codec {
    let (id, timestamp) = head(&theirs.stats);
    Codec {
        id,
        timestamp,
        payload_type: theirs.payload_type,
        transport_id: String::new(),
        mime_type: theirs.mime_type.clone(),
        clock_rate: theirs.clock_rate,
        channels: (theirs.channels > 0).then_some(theirs.channels),
        sdp_fmtp_line: text(&theirs.sdp_fmtp_line),
    }
}

fn data_channel(theirs: &RTCDataChannelStats) -> DataChannel {
    let (id, timestamp) = head(&theirs.stats);
    DataChannel {
        id,
        timestamp,
        label: theirs.label.clone(),
        protocol: theirs.protocol.clone(),
        state: theirs.state.to_string(),
        messages_sent: theirs.messages_sent,
        bytes_sent: theirs.bytes_sent,
        messages_received: theirs.messages_received,
        bytes_received: theirs.bytes_received,
        data_channel_identifier: Some(theirs.data_channel_identifier),
    }
}

fn inbound(theirs: &RTCInboundRtpStreamStats) -> InboundRtp {
    let stream = &theirs.received_rtp_stream_stats.rtp_stream_stats;
    let (id, timestamp) = head(&stream.stats);
    InboundRtp {
        id,
        timestamp,
        ssrc: stream.ssrc,
        kind: kind(stream.kind),
        transport_id: text(&stream.transport_id),
        codec_id: text(&stream.codec_id),
        track_identifier: text(&theirs.track_identifier),
        mid: text(&theirs.mid),
        ..Default::default()
    }
}

fn outbound(theirs: &RTCOutboundRtpStreamStats) -> OutboundRtp {
    let stream = &theirs.sent_rtp_stream_stats.rtp_stream_stats;
    let (id, timestamp) = head(&stream.stats);
    OutboundRtp {
        id,
        timestamp,
        ssrc: stream.ssrc,
        kind: kind(stream.kind),
        transport_id: text(&stream.transport_id),
        codec_id: text(&stream.codec_id),
        mid: text(&theirs.mid),
        ..Default::default()
    }
}

fn head(stats: &RTCStats) -> (String, f64) {
    (stats.id.clone(), millis(&stats.timestamp))
}

fn millis(time: &SystemInstant) -> f64 {
    let since: Duration = time.duration_since_unix_epoch();
    since.as_secs_f64() * 1e3
}

/// The crate writes an empty text for what it does not know, and this word for states of the kind.
fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string()).filter(|value| !value.is_empty() && value != "Unspecified")
}

fn kind(kind: RtpCodecKind) -> Kind {
    match kind {
        RtpCodecKind::Video => Kind::Video,
        _ => Kind::Audio,
    }
}

/// The path in use.
pub fn selected_pair(pair: &RTCIceCandidatePair, servers: &Servers) -> Option<SelectedPair> {
    let mut local = pair_end(pair.local())?;
    if local.kind == CandidateType::Relay {
        let ip = local.address.parse().ok();
        let server = ip.and_then(|ip| servers.origin(SocketAddr::new(ip, local.port)));
        local.relay_protocol = server.map(|server| server.place.transport.name().to_owned());
    }
    Some(SelectedPair { local, remote: pair_end(pair.remote())? })
}

fn pair_end(candidate: &RTCIceCandidate) -> Option<PairEnd> {
    Some(PairEnd {
        kind: candidate_type(candidate.typ)?,
        protocol: candidate.protocol.to_string().to_ascii_lowercase(),
        relay_protocol: None,
        address: candidate.address.clone(),
        port: candidate.port,
    })
}

fn candidate_type(kind: RTCIceCandidateType) -> Option<CandidateType> {
    match kind {
        RTCIceCandidateType::Host => Some(CandidateType::Host),
        RTCIceCandidateType::Srflx => Some(CandidateType::Srflx),
        RTCIceCandidateType::Prflx => Some(CandidateType::Prflx),
        RTCIceCandidateType::Relay => Some(CandidateType::Relay),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_written_in_base64() {
        assert_eq!(base64_of_hex("3082ff"), "MIL/");
        assert_eq!(base64_of_hex("3082f"), "MIIP");
        assert_eq!(base64_of_hex("no hex"), "");
    }
}
