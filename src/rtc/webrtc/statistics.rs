//! The crate's statistics as W3C dictionaries, as far as they can be trusted.

use ::rtc::peer_connection::transport::RTCIceCandidatePair;
use ::webrtc::peer_connection::{
    RTCIceCandidate, RTCIceCandidateType, RTCStatsReport, RTCStatsReportEntry as Entry,
};
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
        Entry::IceCandidatePair(stats) => serde_json::to_value(stats).map(point_to_candidates),
        Entry::LocalCandidate(stats) | Entry::RemoteCandidate(stats) => serde_json::to_value(stats),
        Entry::Certificate(stats) => serde_json::to_value(stats),
        Entry::Codec(stats) => serde_json::to_value(stats),
        Entry::InboundRtp(stats) => serde_json::to_value(stats),
        Entry::OutboundRtp(stats) => serde_json::to_value(stats),
        _ => return None,
    }
    .ok()
}

/// The crate's pairs name their candidates without the prefix of the candidates' own ids.
fn point_to_candidates(mut pair: Value) -> Value {
    for (field, prefix) in
        [("localCandidateId", "RTCLocalIceCandidate_"), ("remoteCandidateId", "RTCRemoteIceCandidate_")]
    {
        if let Some(Value::String(id)) = pair.get_mut(field)
            && !id.starts_with(prefix)
        {
            id.insert_str(0, prefix);
        }
    }
    pair
}

/// The path in use.
pub fn selected_pair(pair: &RTCIceCandidatePair) -> Option<SelectedPair> {
    let mut local = pair_end(pair.local())?;
    if local.kind == CandidateType::Relay {
        // The crate's TURN client speaks nothing else.
        local.relay_protocol = Some("udp".to_owned());
    }
    Some(SelectedPair { local, remote: pair_end(pair.remote())? })
}

fn pair_end(candidate: &RTCIceCandidate) -> Option<PairEnd> {
    Some(PairEnd {
        kind: match candidate.typ {
            RTCIceCandidateType::Host => CandidateType::Host,
            RTCIceCandidateType::Srflx => CandidateType::Srflx,
            RTCIceCandidateType::Prflx => CandidateType::Prflx,
            RTCIceCandidateType::Relay => CandidateType::Relay,
            _ => return None,
        },
        protocol: candidate.protocol.to_string().to_ascii_lowercase(),
        relay_protocol: None,
        address: candidate.address.clone(),
        port: candidate.port,
    })
}
