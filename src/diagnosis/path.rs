//! The path media takes: NATs, relays, VPN, silence, moves.

use std::net::IpAddr;
use std::time::Duration;

use super::Judge;
use super::facts::{Address, Facts, Transport};
use super::peer::NatKind;
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::{time, transport};
use crate::rtc::CandidateType;
use crate::rtc::stats::InterfaceKind;

pub(super) const RULES: &[Judge] =
    &[path_silent, moved, symmetric_here, symmetric_there, relayed_stream, relayed_in_lan, vpn];

/// Media comes every 20 ms and checks every few seconds (RFC 7675): silence for so long is none of
/// either.
const SILENT: Duration = Duration::from_secs(3);

/// How long a move to another interface is worth a line.
const NEWS: Duration = Duration::from_secs(20);

pub(super) fn path_silent(facts: &Facts) -> Option<Verdict> {
    let path = facts.path.as_ref()?;
    if path.silent_for < SILENT || !facts.stage.state.wants_a_path() {
        return None;
    }
    let (silent, from) =
        (time(path.silent_for), facts.download.sound.packets + facts.download.picture.packets);
    let what = if facts.peer.away {
        "The other side has lost the server, too: its network seems to be gone"
    } else {
        "Looking for another path"
    };
    let side = if facts.peer.away { Side::There } else { Side::Between };
    Some(
        Verdict::new(
            Rule::PathSilent,
            Severity::Error,
            side,
            format!("The path went silent {silent} ago. {what}."),
            if facts.peer.away {
                "Their network seems to be gone"
            } else {
                "The path went silent; looking for another"
            },
        )
        .because([format!("{from} packets came before, none in the last {silent}")]),
    )
}

pub(super) fn moved(facts: &Facts) -> Option<Verdict> {
    let moved = facts.network.moved.as_ref().filter(|moved| moved.ago <= NEWS)?;
    if !facts.is_connected() {
        return None;
    }
    let text = if moved.gone {
        format!("{} went away; the call moved to {}.", moved.from, moved.to)
    } else {
        format!("The call moved from {} to {}.", moved.from, moved.to)
    };
    let short = format!("Moved to {}", moved.to);
    Some(Verdict::new(Rule::Moved, Severity::Info, Side::Here, text, short))
}

/// Known from servers that see one socket under two ports; a fact, whatever becomes of the call.
pub(super) fn symmetric_here(facts: &Facts) -> Option<Verdict> {
    if facts.network.nat != NatKind::EndpointDependent || facts.is_connected_directly() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::SymmetricHere,
            relay_severity(facts),
            Side::Here,
            "Your network has a symmetric NAT: each server sees you under another port, so a direct path is unlikely.",
            "Symmetric NAT on your side",
        )
        .because(facts.network.mapped.iter().map(|mapped| format!("seen as {mapped}")))
        .advise("The relay carries the call; another network or UPnP in the router may allow a direct path."),
    )
}

pub(super) fn symmetric_there(facts: &Facts) -> Option<Verdict> {
    if facts.peer.facts.nat != NatKind::EndpointDependent || facts.is_connected_directly() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::SymmetricThere,
            relay_severity(facts),
            Side::There,
            "The other side's network has a symmetric NAT, so a direct path is unlikely.",
            "Symmetric NAT on the other side",
        )
        .because(["the other side reports: endpoint-dependent mapping".to_owned()])
        .advise("The relay carries the call; another network over there may allow a direct path."),
    )
}

/// A NAT explains a relay; where nothing connects it is part of the trouble.
fn relay_severity(facts: &Facts) -> Severity {
    if facts.is_connected() || !facts.stage.state.wants_a_path() { Severity::Info } else { Severity::Warning }
}

pub(super) fn relayed_stream(facts: &Facts) -> Option<Verdict> {
    let path = facts.path.as_ref().filter(|_| facts.is_connected())?;
    let transport = match path.relay_transport? {
        Transport::Udp => return None,
        stream @ (Transport::Tcp | Transport::Tls) => transport(stream),
    };
    Some(
        Verdict::new(
            Rule::RelayedStream,
            Severity::Warning,
            Side::Here,
            format!(
                "The call is relayed over {transport}: expect more delay, and freezes when packets get lost."
            ),
            format!("Relayed over {transport}"),
        )
        .because(
            path.relay_url
                .iter()
                .cloned()
                .chain(facts.upload.round_trip.map(|round_trip| format!("round trip {}", time(round_trip)))),
        )
        .advise("A network that lets UDP through gives a better call."),
    )
}

pub(super) fn relayed_in_lan(facts: &Facts) -> Option<Verdict> {
    let path = facts.path.as_ref().filter(|path| path.is_relayed() && facts.is_connected())?;
    if facts.relay_only {
        return None;
    }
    let hosts = |list: &[Address]| -> Vec<IpAddr> {
        list.iter()
            .filter(|address| address.kind == CandidateType::Host)
            .filter_map(|address| address.ip)
            .collect()
    };
    let (ours, theirs) = (hosts(&facts.local), hosts(&facts.remote));
    let (one, other) = ours
        .iter()
        .find_map(|one| theirs.iter().find(|other| same_lan(*one, **other)).map(|other| (one, other)))?;
    Some(
        Verdict::new(
            Rule::RelayedInLan,
            Severity::Warning,
            Side::Between,
            "Your addresses look like those of one network, but the call goes through the relay: client isolation or a firewall may keep you apart.",
            "Same network, yet relayed",
        )
        .because([
            format!("ours {one}, theirs {other}"),
            path.relay_url.clone().map_or_else(|| "their relay".to_owned(), |url| format!("relay {url}")),
        ])
        .advise("Guest networks often keep computers apart; try the main network."),
    )
}

/// The same /24 of a private range (RFC 1918), or the same /64 of a global or unique local IPv6
/// prefix. Two home networks may use the same private range: the verdict says "look like".
fn same_lan(one: IpAddr, other: IpAddr) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            one.is_private() && one.octets()[..3] == other.octets()[..3] && one != other
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            one.segments()[..4] == other.segments()[..4]
                && one.segments()[0] & 0xffc0 != 0xfe80
                && !one.is_loopback()
                && one != other
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

pub(super) fn vpn(facts: &Facts) -> Option<Verdict> {
    let used = facts.network.interfaces.as_ref()?.iter().find(|interface| interface.in_use)?;
    if used.kind != InterfaceKind::Vpn || !facts.is_connected() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::Vpn,
            Severity::Info,
            Side::Here,
            format!("You call through a VPN ({}).", used.name),
            "You call through a VPN",
        )
        .because(facts.upload.round_trip.map(|round_trip| format!("round trip {}", time(round_trip))))
        .advise("Without it the path may be shorter."),
    )
}

impl Facts {
    /// Connected, and no relay on the way.
    pub(super) fn is_connected_directly(&self) -> bool {
        self.is_connected() && self.path.as_ref().is_some_and(|path| !path.is_relayed())
    }
}
