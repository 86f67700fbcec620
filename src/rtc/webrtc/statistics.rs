//! The crate's statistics as W3C dictionaries, as far as they can be trusted.

use ::rtc::statistics::stats::ice_candidate::RTCIceCandidateStats;
use ::webrtc::peer_connection::{RTCIceCandidateType, RTCStatsReport, RTCStatsReportEntry as Entry};
use serde_json::Value;

use crate::rtc::{CandidateType, PairEnd, SelectedPair, stats};

/// All dictionaries. What the crate derives from RTCP is always 0 and is left to our own
/// accounting.
pub fn report(report: &RTCStatsReport) -> stats::Report {
    stats::Report { objects: report.iter().filter_map(dictionary).collect() }
}

fn dictionary(entry: &Entry) -> Option<Value> {
    match entry {
        Entry::PeerConnection(stats) => serde_json::to_value(stats),
        Entry::Transport(stats) => serde_json::to_value(stats),
        Entry::IceCandidatePair(stats) => serde_json::to_value(stats),
        Entry::LocalCandidate(stats) | Entry::RemoteCandidate(stats) => serde_json::to_value(stats),
        Entry::Certificate(stats) => serde_json::to_value(stats),
        Entry::Codec(stats) => serde_json::to_value(stats),
        Entry::InboundRtp(stats) => serde_json::to_value(stats),
        Entry::OutboundRtp(stats) => serde_json::to_value(stats),
        _ => return None,
    }
    .ok()
}

/// The path in use.
pub fn selected_pair(report: &RTCStatsReport) -> Option<SelectedPair> {
    let id = &report.transport()?.selected_candidate_pair_id;
    let pair = report.candidate_pairs().find(|pair| pair.stats.id == *id)?;
    let end = |id: &str| match report.get(id) {
        Some(Entry::LocalCandidate(candidate) | Entry::RemoteCandidate(candidate)) => pair_end(candidate),
        _ => None,
    };
    let mut local = end(&pair.local_candidate_id)?;
    let remote = end(&pair.remote_candidate_id)?;
    if local.kind == CandidateType::Relay {
        // The crate's TURN client speaks nothing else.
        local.relay_protocol = Some("udp".to_owned());
    }
    Some(SelectedPair { local, remote })
}

fn pair_end(candidate: &RTCIceCandidateStats) -> Option<PairEnd> {
    Some(PairEnd {
        kind: match candidate.candidate_type {
            RTCIceCandidateType::Host => CandidateType::Host,
            RTCIceCandidateType::Srflx => CandidateType::Srflx,
            RTCIceCandidateType::Prflx => CandidateType::Prflx,
            RTCIceCandidateType::Relay => CandidateType::Relay,
            _ => return None,
        },
        protocol: candidate.protocol.to_ascii_lowercase(),
        relay_protocol: None,
        address: candidate.address.clone()?,
        port: candidate.port,
    })
}
