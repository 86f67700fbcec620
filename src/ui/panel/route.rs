//! The path that media takes, as a picture of stations: you, NAT, relay, NAT, them. Pure.

use std::net::IpAddr;

use super::connection::{endpoint, interface_of};
use crate::rtc::CandidateType;
use crate::rtc::stats::{Candidate, Report};

/// A place that packets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// This computer.
    You,
    /// A router that changes addresses.
    Nat,
    /// A TURN server.
    Relay,
    /// The other computer.
    Them,
}

/// A place with its address, and how packets get from it to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// What it is.
    pub place: Place,
    /// Address and port, as far as they are known.
    pub address: String,
    /// The interface, or the URL of the server.
    pub about: String,
    /// The protocol towards the next one: `UDP`, `TCP`, `TLS`.
    pub onward: String,
}

/// The stations of the path in use; empty while there is none.
pub fn stations(report: &Report) -> Vec<Station> {
    let Some(pair) = report.selected_pair() else { return Vec::new() };
    let local = report.local_candidates().find(|candidate| candidate.id == pair.local_candidate_id);
    let remote = report.remote_candidates().find(|candidate| candidate.id == pair.remote_candidate_id);
    let (Some(local), Some(remote)) = (local, remote) else { return Vec::new() };
    let protocol = local.protocol.to_uppercase();
    let station =
        |place, address: String, about: String| Station { place, address, about, onward: protocol.clone() };
    let mut path = near(report, local, remote, &station);
    path.extend(far(remote, &station));
    path
}

fn near(
    report: &Report,
    local: &Candidate,
    remote: &Candidate,
    station: &impl Fn(Place, String, String) -> Station,
) -> Vec<Station> {
    let address = local.address.as_deref();
    let interface = |address: Option<&str>| {
        address.and_then(|address| interface_of(report.interfaces(), address)).unwrap_or_default()
    };
    match local.candidate_type {
        Some(CandidateType::Relay) => {
            // The host's own address is only in the base of a reflexive candidate, or unknown.
            let seen = local.related_address.as_deref();
            let base = reflexive(report).find(|candidate| candidate.address.as_deref() == seen);
            let own = match base {
                Some(base) => {
                    endpoint(base.related_address.as_deref(), base.related_port.unwrap_or_default())
                }
                None => String::new(),
            };
            let url = local.url.clone().unwrap_or_default();
            let to_relay = local.relay_protocol.as_deref().unwrap_or("udp").to_uppercase();
            let behind_nat = base.is_some();
            let from = match behind_nat {
                true => base.and_then(|base| base.related_address.clone()),
                false => local.related_address.clone(),
            };
            let own = if behind_nat { own } else { endpoint(seen, local.related_port.unwrap_or_default()) };
            let mut path = vec![Station {
                onward: to_relay.clone(),
                ..station(Place::You, own, interface(from.as_deref()))
            }];
            if behind_nat {
                let outside = endpoint(seen, local.related_port.unwrap_or_default());
                path.push(Station { onward: to_relay, ..station(Place::Nat, outside, String::new()) });
            }
            path.push(station(Place::Relay, endpoint(address, local.port), url));
            path
        }
        Some(CandidateType::Srflx | CandidateType::Prflx) => {
            let base = local.related_address.as_deref();
            let own = endpoint(base, local.related_port.unwrap_or_default());
            vec![
                station(Place::You, own, interface(base)),
                station(Place::Nat, endpoint(address, local.port), String::new()),
            ]
        }
        Some(CandidateType::Host) | None => {
            let own = endpoint(address, local.port);
            let mut path = vec![station(Place::You, own, interface(address))];
            // ICE sends from the base (RFC 8445 section 6.1.2.2): the NAT shows in a sibling only.
            let outside = reflexive(report).find(|candidate| candidate.related_address.as_deref() == address);
            if let Some(outside) = outside.filter(|_| is_public(remote)) {
                path.push(station(
                    Place::Nat,
                    endpoint(outside.address.as_deref(), outside.port),
                    String::new(),
                ));
            }
            path
        }
    }
}

fn far(remote: &Candidate, station: &impl Fn(Place, String, String) -> Station) -> Vec<Station> {
    let outside = endpoint(remote.address.as_deref(), remote.port);
    let inside = endpoint(remote.related_address.as_deref(), remote.related_port.unwrap_or_default());
    let mut path = match remote.candidate_type {
        Some(CandidateType::Relay) => {
            vec![station(Place::Relay, outside, String::new()), station(Place::Them, inside, String::new())]
        }
        // What a peer-reflexive address hides we do not know.
        Some(CandidateType::Srflx) => {
            vec![station(Place::Nat, outside, String::new()), station(Place::Them, inside, String::new())]
        }
        Some(CandidateType::Prflx) if is_public(remote) => {
            vec![
                station(Place::Nat, outside, String::new()),
                station(Place::Them, String::new(), String::new()),
            ]
        }
        Some(CandidateType::Host | CandidateType::Prflx) | None => {
            vec![station(Place::Them, outside, String::new())]
        }
    };
    if let Some(last) = path.last_mut() {
        last.onward.clear();
    }
    path
}

/// Our server-reflexive candidates that differ from their base.
fn reflexive(report: &Report) -> impl Iterator<Item = &Candidate> {
    report.local_candidates().filter(|candidate| {
        candidate.candidate_type == Some(CandidateType::Srflx)
            && candidate.address != candidate.related_address
    })
}

/// Whether an address is one of the internet, and not of somebody's own network.
fn is_public(candidate: &Candidate) -> bool {
    match candidate.address.as_deref().and_then(|address| address.parse::<IpAddr>().ok()) {
        Some(IpAddr::V4(address)) => {
            !(address.is_private() || address.is_loopback() || address.is_link_local())
        }
        Some(IpAddr::V6(address)) => {
            let first = address.segments()[0];
            !(address.is_loopback() || first & 0xffc0 == 0xfe80 || first & 0xfe00 == 0xfc00)
        }
        // A name that hides a local address (RFC 8828 section 5.3).
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::stats::{CandidatePair, Entry, Transport};

    fn candidate(id: &str, kind: CandidateType, address: &str, related: Option<&str>) -> Candidate {
        Candidate {
            id: id.into(),
            protocol: "udp".into(),
            port: 5,
            address: Some(address.into()),
            candidate_type: Some(kind),
            related_address: related.map(str::to_owned),
            related_port: related.map(|_| 4),
            ..Candidate::default()
        }
    }

    fn path(locals: Vec<Candidate>, remote: Candidate) -> Vec<(Place, String)> {
        let mut report = Report::new(0.0);
        let transport = Transport { selected_candidate_pair_id: Some("P".into()), ..Default::default() };
        report.entries.push(Entry::Transport(transport));
        report.entries.push(Entry::CandidatePair(CandidatePair {
            id: "P".into(),
            local_candidate_id: locals[0].id.clone(),
            remote_candidate_id: remote.id.clone(),
            ..CandidatePair::default()
        }));
        report.entries.extend(locals.into_iter().map(Entry::LocalCandidate));
        report.entries.push(Entry::RemoteCandidate(remote));
        stations(&report).into_iter().map(|station| (station.place, station.address)).collect()
    }

    use CandidateType::{Host, Prflx, Relay, Srflx};

    #[test]
    fn in_one_network_there_is_nothing_between_two_computers_although_we_have_a_nat() {
        let ours = candidate("L", Host, "10.0.0.2", None);
        let nat = candidate("S", Srflx, "192.0.2.1", Some("10.0.0.2"));
        let theirs = candidate("R", Prflx, "10.0.0.3", None);
        let found = path(vec![ours, nat], theirs);
        assert_eq!(found, [(Place::You, "10.0.0.2:5".into()), (Place::Them, "10.0.0.3:5".into())]);
    }

    #[test]
    fn our_nat_shows_in_a_sibling_of_the_host_candidate_and_theirs_in_the_type() {
        let ours = candidate("L", Host, "10.0.0.2", None);
        let nat = candidate("S", Srflx, "192.0.2.1", Some("10.0.0.2"));
        let theirs = candidate("R", Srflx, "198.51.100.9", Some("192.168.7.3"));
        let places: Vec<Place> = path(vec![ours, nat], theirs).into_iter().map(|(place, _)| place).collect();
        assert_eq!(places, [Place::You, Place::Nat, Place::Nat, Place::Them]);
    }

    #[test]
    fn a_relay_of_ours_stands_behind_our_nat() {
        let ours = candidate("L", Relay, "203.0.113.5", Some("192.0.2.1"));
        let nat = candidate("S", Srflx, "192.0.2.1", Some("10.0.0.2"));
        let theirs = candidate("R", Relay, "203.0.113.6", None);
        let found = path(vec![ours, nat], theirs);
        let places: Vec<Place> = found.iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [Place::You, Place::Nat, Place::Relay, Place::Relay, Place::Them]);
        assert_eq!(found[0].1, "10.0.0.2:4");
        assert_eq!(found[4].1, "");
    }

    #[test]
    fn without_a_pair_there_is_no_path() {
        assert_eq!(stations(&Report::new(0.0)), []);
    }
}
