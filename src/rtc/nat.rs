//! What stands between this computer and the internet, from what STUN servers and interfaces say.
//!
//! Pure: told what was seen, it says what that means, and nothing that was not seen. One local
//! socket that two servers see under two ports is behind a NAT whose mapping depends on the
//! destination (RFC 4787 section 4.1, "symmetric" in older words); one answer alone tells nothing
//! about that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::stats::{InterfaceKind, NetworkInterface, Report, ServerTransport, SignalingState};

/// How a NAT chooses the port that others see (RFC 4787 section 4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mapping {
    /// Fewer than two servers, or two ports of one, have answered on one socket.
    #[default]
    Unknown,
    /// The servers see the socket's own address: there is no NAT.
    None,
    /// The same for every destination: others can reach us where a server saw us.
    EndpointIndependent,
    /// Another one for other destinations ("symmetric"): nobody but that server can.
    EndpointDependent,
}

/// Whether UDP leaves the network and answers come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Udp {
    /// Too little was tried.
    #[default]
    Unknown,
    /// A server on the internet answered over UDP.
    Works,
    /// No server answered over UDP, although one is reached over TCP.
    Blocked,
}

/// One answer of a server: where a local socket seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mapped {
    /// The socket.
    pub local: SocketAddr,
    /// Who answered.
    pub server: SocketAddr,
    /// XOR-MAPPED-ADDRESS.
    pub mapped: SocketAddr,
}

/// What is seen so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Observed<'a> {
    /// Answers of servers over UDP.
    pub answers: &'a [Mapped],
    /// Requests that left to servers over UDP.
    pub udp_requests: u64,
    /// Whether the signaling server or a relay is reached over TCP.
    pub tcp_works: bool,
    /// This computer's interfaces.
    pub interfaces: &'a [NetworkInterface],
    /// The local address that the call, or else the default route, uses.
    pub local: Option<IpAddr>,
}

/// What that means.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Verdict {
    /// Of IPv4, or of IPv6 when nothing else answered.
    pub mapping: Mapping,
    /// Does UDP pass?
    pub udp: Udp,
    /// The provider shares one address among many customers (RFC 6598: 100.64.0.0/10 is seen on an
    /// interface, or as the mapped address).
    pub cgnat: bool,
    /// The interface of the VPN that the call goes through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpn: Option<String>,
    /// An interface has a global IPv6 address.
    pub ipv6: bool,
    /// The answers behind the mapping: one socket, as the servers see it.
    pub answers: Vec<Mapped>,
}

/// RFC 8489 section 6.2.1: so many requests without an answer are all there are.
const ALL_REQUESTS: u64 = 7;

impl Verdict {
    /// The verdict on what a report shows.
    pub fn of_report(report: &Report) -> Self {
        let udp = |transport| transport == ServerTransport::Udp;
        let answers: Vec<Mapped> =
            report.ice_servers().flat_map(|server| server.mappings.iter().copied()).collect();
        let requests = report.ice_servers().filter(|server| udp(server.transport));
        let streams = report.ice_servers().filter(|server| !udp(server.transport));
        let interfaces: Vec<NetworkInterface> = report.interfaces().cloned().collect();
        let local = report.selected_pair().and_then(|pair| {
            let of = report.local_candidates().find(|candidate| candidate.id == pair.local_candidate_id)?;
            of.related_address.as_ref().or(of.address.as_ref())?.parse().ok()
        });
        Self::of(&Observed {
            answers: &answers,
            udp_requests: requests.map(|server| server.requests_sent).sum(),
            tcp_works: streams.map(|server| server.responses_received).sum::<u64>() > 0
                || report.signaling().any(|signaling| signaling.state == SignalingState::Open),
            interfaces: &interfaces,
            local,
        })
    }

    /// The most important thing about the network, in a word.
    pub const fn word(&self) -> &'static str {
        match (self.udp, self.mapping) {
            (Udp::Blocked, _) => "udp-blocked",
            (_, Mapping::None) => "no-nat",
            (_, Mapping::EndpointIndependent) => "endpoint-independent",
            (_, Mapping::EndpointDependent) => "endpoint-dependent",
            (Udp::Unknown | Udp::Works, Mapping::Unknown) => "unknown",
        }
    }

    /// Whether it says nothing yet.
    pub fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    /// The verdict on what was seen.
    pub fn of(seen: &Observed<'_>) -> Self {
        let (mapping, answers) = mapping(seen.answers);
        let udp = if !seen.answers.is_empty() {
            Udp::Works
        } else if seen.udp_requests >= ALL_REQUESTS && seen.tcp_works {
            Udp::Blocked
        } else {
            Udp::Unknown
        };
        let addresses = || {
            let up = seen.interfaces.iter().filter(|interface| interface.up);
            up.flat_map(|interface| interface.addresses.iter().filter_map(|address| address.parse().ok()))
        };
        let vpn = seen.local.and_then(|local| {
            let of_vpn = |interface: &&NetworkInterface| {
                let same = |address: &String| address.parse() == Ok(local);
                interface.kind == InterfaceKind::Vpn && interface.addresses.iter().any(same)
            };
            seen.interfaces.iter().find(of_vpn).map(|interface| interface.name.clone())
        });
        // A VPN may use the provider's range for itself.
        let shared = |address: IpAddr| is_shared(address) && vpn.is_none();
        Self {
            mapping,
            udp,
            cgnat: addresses().any(shared) || seen.answers.iter().any(|answer| is_shared(answer.mapped.ip())),
            ipv6: addresses().any(is_global_v6),
            vpn,
            answers,
        }
    }
}

/// What two sides' mappings mean for a direct path between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direct {
    /// Not enough is known.
    Unknown,
    /// Expected, unless a firewall forbids it.
    Expected,
    /// Only where the side with the predictable port lets packets of unknown ports in.
    Unlikely,
    /// Neither side can know where to send: a relay is needed.
    Impossible,
}

/// Whether a direct path can be expected between `ours` and `theirs` (RFC 5128 section 3.3).
pub fn direct(ours: Mapping, theirs: Mapping) -> Direct {
    use Mapping::{EndpointDependent, EndpointIndependent, None, Unknown};
    match (ours, theirs) {
        (None, _) | (_, None) => Direct::Expected,
        (Unknown, _) | (_, Unknown) => Direct::Unknown,
        (EndpointIndependent, EndpointIndependent) => Direct::Expected,
        (EndpointDependent, EndpointDependent) => Direct::Impossible,
        (EndpointDependent, EndpointIndependent) | (EndpointIndependent, EndpointDependent) => {
            Direct::Unlikely
        }
    }
}

/// The mapping, and the answers that prove it: those of the socket that tells most, IPv4 first.
fn mapping(answers: &[Mapped]) -> (Mapping, Vec<Mapped>) {
    let mut sockets: Vec<SocketAddr> = answers.iter().map(|answer| answer.local).collect();
    sockets.sort_by_key(|local| (local.is_ipv6(), *local));
    sockets.dedup();
    let of_socket = |local: SocketAddr| {
        // A NAT that rebinds later (after sleep, or a new lease) is not a symmetric one: the newest
        // answer of each server counts.
        let mut newest: Vec<Mapped> = Vec::new();
        for answer in answers.iter().filter(|answer| answer.local == local) {
            newest.retain(|other| other.server != answer.server);
            newest.push(*answer);
        }
        let mapping = match newest.as_slice() {
            [] => Mapping::Unknown,
            all if all.iter().all(|answer| answer.mapped == local) => Mapping::None,
            [_] => Mapping::Unknown,
            [first, rest @ ..] if rest.iter().all(|answer| answer.mapped == first.mapped) => {
                Mapping::EndpointIndependent
            }
            _ => Mapping::EndpointDependent,
        };
        (mapping, newest)
    };
    let tells = |mapping: Mapping| match mapping {
        Mapping::Unknown => 0,
        Mapping::None => 1,
        Mapping::EndpointIndependent => 2,
        Mapping::EndpointDependent => 3,
    };
    let mut best = (Mapping::Unknown, Vec::new());
    for local in sockets {
        let found = of_socket(local);
        let same_family =
            best.1.first().is_none_or(|first: &Mapped| first.local.is_ipv4() == local.is_ipv4());
        if best.1.is_empty() || (same_family && tells(found.0) > tells(best.0)) {
            best = found;
        }
    }
    best
}

/// RFC 6598.
fn is_shared(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => u32::from(address) & 0xffc0_0000 == u32::from(Ipv4Addr::new(100, 64, 0, 0)),
        IpAddr::V6(_) => false,
    }
}

/// RFC 4291 section 2.4, without unique local addresses (RFC 4193) and documentation.
fn is_global_v6(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.segments()[0] & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(local: &str, server: &str, mapped: &str) -> Mapped {
        let parse = |text: &str| text.parse().expect("an address");
        Mapped { local: parse(local), server: parse(server), mapped: parse(mapped) }
    }

    fn interface(name: &str, kind: InterfaceKind, addresses: &[&str]) -> NetworkInterface {
        NetworkInterface {
            name: name.to_owned(),
            kind,
            up: true,
            addresses: addresses.iter().map(|&address| address.to_owned()).collect(),
            ..Default::default()
        }
    }

    const HOME: &str = "192.168.1.5:5000";

    #[test]
    fn one_socket_seen_under_two_ports_is_behind_a_symmetric_nat() {
        let answers = [
            answer(HOME, "198.51.100.1:3478", "203.0.113.9:40000"),
            answer(HOME, "198.51.100.2:3478", "203.0.113.9:40001"),
        ];
        let verdict = Verdict::of(&Observed { answers: &answers, ..Default::default() });
        assert_eq!((verdict.mapping, verdict.udp), (Mapping::EndpointDependent, Udp::Works));
        assert_eq!(verdict.answers, answers);
    }

    #[test]
    fn one_socket_seen_under_one_port_by_two_servers_can_be_reached_there() {
        let answers = [
            answer(HOME, "198.51.100.1:3478", "203.0.113.9:40000"),
            answer(HOME, "198.51.100.1:3479", "203.0.113.9:40000"),
        ];
        let verdict = Verdict::of(&Observed { answers: &answers, ..Default::default() });
        assert_eq!(verdict.mapping, Mapping::EndpointIndependent);
    }

    #[test]
    fn one_answer_alone_proves_a_nat_but_not_its_kind() {
        let answers = [answer(HOME, "198.51.100.1:3478", "203.0.113.9:40000")];
        assert_eq!(
            Verdict::of(&Observed { answers: &answers, ..Default::default() }).mapping,
            Mapping::Unknown
        );
        let open = [answer("203.0.113.9:5000", "198.51.100.1:3478", "203.0.113.9:5000")];
        assert_eq!(Verdict::of(&Observed { answers: &open, ..Default::default() }).mapping, Mapping::None);
    }

    #[test]
    fn two_sockets_with_two_ports_prove_nothing() {
        let answers = [
            answer(HOME, "198.51.100.1:3478", "203.0.113.9:40000"),
            answer("192.168.1.5:5001", "198.51.100.2:3478", "203.0.113.9:40001"),
        ];
        let verdict = Verdict::of(&Observed { answers: &answers, ..Default::default() });
        assert_eq!(verdict.mapping, Mapping::Unknown);
    }

    #[test]
    fn a_binding_that_changed_later_is_no_symmetric_nat() {
        let answers = [
            answer(HOME, "198.51.100.1:3478", "203.0.113.9:40000"),
            answer(HOME, "198.51.100.2:3478", "203.0.113.9:40000"),
            answer(HOME, "198.51.100.1:3478", "203.0.113.9:50000"),
            answer(HOME, "198.51.100.2:3478", "203.0.113.9:50000"),
        ];
        let verdict = Verdict::of(&Observed { answers: &answers, ..Default::default() });
        assert_eq!(verdict.mapping, Mapping::EndpointIndependent);
    }

    #[test]
    fn udp_is_called_blocked_only_when_all_requests_are_unanswered_and_tcp_works() {
        let udp = |udp_requests, tcp_works| {
            Verdict::of(&Observed { udp_requests, tcp_works, ..Default::default() }).udp
        };
        assert_eq!(udp(7, true), Udp::Blocked);
        assert_eq!(udp(3, true), Udp::Unknown, "too early to say");
        assert_eq!(udp(7, false), Udp::Unknown, "there may be no network at all");
    }

    #[test]
    fn a_providers_shared_address_is_told_from_a_vpn_that_uses_the_range() {
        let shared = [interface("wwan0", InterfaceKind::Cellular, &["100.72.1.2"])];
        assert!(Verdict::of(&Observed { interfaces: &shared, ..Default::default() }).cgnat);
        let home = [interface("eth0", InterfaceKind::Ethernet, &["100.128.1.2", "192.168.1.5"])];
        assert!(!Verdict::of(&Observed { interfaces: &home, ..Default::default() }).cgnat);
        let tunnel = [interface("tailscale0", InterfaceKind::Vpn, &["100.72.1.2"])];
        let local = "100.72.1.2".parse().ok();
        let verdict = Verdict::of(&Observed { interfaces: &tunnel, local, ..Default::default() });
        assert_eq!((verdict.cgnat, verdict.vpn.as_deref()), (false, Some("tailscale0")));
    }

    #[test]
    fn a_vpn_that_does_not_carry_the_call_is_not_named() {
        let interfaces = [
            interface("eth0", InterfaceKind::Ethernet, &["192.168.1.5", "fd00::1", "fe80::1"]),
            interface("tun0", InterfaceKind::Vpn, &["10.8.0.2"]),
        ];
        let local = "192.168.1.5".parse().ok();
        let verdict = Verdict::of(&Observed { interfaces: &interfaces, local, ..Default::default() });
        assert_eq!((verdict.vpn, verdict.ipv6), (None, false));
        let six = [interface("eth0", InterfaceKind::Ethernet, &["2a00:1450::1"])];
        assert!(Verdict::of(&Observed { interfaces: &six, ..Default::default() }).ipv6);
    }

    #[test]
    fn only_two_symmetric_nats_make_a_direct_path_impossible() {
        use Mapping::{EndpointDependent, EndpointIndependent, None, Unknown};
        assert_eq!(direct(EndpointDependent, EndpointDependent), Direct::Impossible);
        assert_eq!(direct(EndpointDependent, EndpointIndependent), Direct::Unlikely);
        assert_eq!(direct(EndpointDependent, None), Direct::Expected);
        assert_eq!(direct(EndpointIndependent, EndpointIndependent), Direct::Expected);
        assert_eq!(direct(Unknown, EndpointDependent), Direct::Unknown);
    }

    proptest! {
        #[test]
        fn the_order_of_servers_does_not_matter(ports in proptest::collection::vec(0u16..3, 1..6)) {
            let mut answers: Vec<Mapped> = ports.iter().enumerate().map(|(n, port)| {
                answer(HOME, &format!("198.51.100.1:{}", n + 1), &format!("203.0.113.9:{}", 40_000 + port))
            }).collect();
            let forward = Verdict::of(&Observed { answers: &answers, ..Default::default() });
            answers.reverse();
            let back = Verdict::of(&Observed { answers: &answers, ..Default::default() });
            prop_assert_eq!(forward.mapping, back.mapping);
        }
    }
}
