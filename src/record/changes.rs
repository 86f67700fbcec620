//! What changed from one report to the next and deserves a line of its own. Pure.

use serde_json::{Value, json};

use super::What;
use crate::rtc::stats::{Candidate, Report};

/// Remembers what was told last.
#[derive(Debug, Default)]
pub struct Changes {
    servers: Vec<Value>,
    pairs: Vec<Value>,
}

impl Changes {
    /// What is new in `report`.
    pub fn of(&mut self, report: &Report) -> Vec<What> {
        let mut new = Vec::new();
        let servers = servers(report);
        if servers != self.servers {
            self.servers.clone_from(&servers);
            new.push(What::IceServers { servers });
        }
        let pairs = pairs(report);
        if pairs != self.pairs {
            self.pairs.clone_from(&pairs);
            new.push(What::Pairs { pairs });
        }
        new
    }
}

fn servers(report: &Report) -> Vec<Value> {
    let one = |server: &crate::rtc::stats::IceServer| {
        json!({
            "url": server.url,
            "transport": server.transport,
            "requestsSent": server.requests_sent,
            "responsesReceived": server.responses_received,
            "errors": server.errors,
            "rtt": server.round_trip_time,
            "mapped": server.mapped_address,
        })
    };
    report.ice_servers().map(one).collect()
}

fn pairs(report: &Report) -> Vec<Value> {
    let end = |candidate: Option<&Candidate>| {
        candidate.map(|end| {
            json!({
                "type": end.candidate_type,
                "protocol": end.protocol,
                "address": end.address,
                "port": end.port,
            })
        })
    };
    let local = |id: &str| end(report.local_candidates().find(|candidate| candidate.id == id));
    let remote = |id: &str| end(report.remote_candidates().find(|candidate| candidate.id == id));
    let one = |pair: &crate::rtc::stats::CandidatePair| {
        json!({
            "id": pair.id,
            "local": local(&pair.local_candidate_id),
            "remote": remote(&pair.remote_candidate_id),
            "state": pair.state,
            "nominated": pair.nominated,
        })
    };
    report.pairs().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::stats::{CandidatePair, Entry, PairState};

    #[test]
    fn pairs_are_told_when_their_state_changes_and_not_when_their_bytes_do() {
        let report = |state, bytes_sent| {
            let pair = CandidatePair { id: "P".into(), state, bytes_sent, ..Default::default() };
            Report { entries: vec![Entry::CandidatePair(pair)], timestamp: 0.0 }
        };
        let mut changes = Changes::default();
        assert!(changes.of(&Report::default()).is_empty());
        let told = changes.of(&report(PairState::InProgress, 1));
        assert!(matches!(&told[..], [What::Pairs { pairs }] if pairs[0]["state"] == "in-progress"));
        assert!(changes.of(&report(PairState::InProgress, 2)).is_empty());
        assert_eq!(changes.of(&report(PairState::Succeeded, 2)).len(), 1);
    }
}
