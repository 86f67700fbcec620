//! Whether servers can be reached: no network, names, UDP, relays that refuse or stay silent.

use std::time::Duration;

use super::Judge;
use super::facts::{Facts, IceServerFacts, Obstacle, SignalingLink, Transport};
use super::peer::{NatKind, Relay, Udp};
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::{count, list, time, transport};

pub(super) const RULES: &[Judge] = &[
    offline,
    name_unknown,
    credentials_expired,
    relay_refused,
    udp_blocked,
    relay_unreachable,
    stun_unreachable,
    relay_missing,
    stun_slow,
    clock_skew,
    no_servers,
];

/// From here on a STUN answer is slow enough to be felt in the set-up (rtcstats uses the same).
const SLOW: Duration = Duration::from_millis(500);

/// A clock that is wrong by more than this breaks time-limited credentials.
const SKEWED: f64 = 60.0;

/// Without a path every unreachable server matters; with one, it is worth knowing.
fn weight(facts: &Facts) -> Severity {
    if facts.is_connected() || !facts.stage.state.wants_a_path() { Severity::Info } else { Severity::Error }
}

fn hosts(servers: &[&IceServerFacts]) -> String {
    let mut hosts: Vec<&str> = servers.iter().map(|server| server.host()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    list(hosts)
}

fn counts(servers: &[&IceServerFacts]) -> Vec<String> {
    servers.iter().map(|server| server.count()).collect()
}

pub(super) fn offline(facts: &Facts) -> Option<Verdict> {
    let interfaces = facts.network.interfaces.as_ref()?;
    let wanted = facts.signaling.link.state != SignalingLink::Off || facts.stage.state.wants_a_path();
    if !interfaces.is_empty() || !wanted || facts.is_connected() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::Offline,
            Severity::Error,
            Side::Here,
            "This computer has no network: no interface has an address.",
            "No network on this computer",
        )
        .advise("Connect to Wi-Fi or plug in a cable."),
    )
}

/// A name that cannot be resolved is not a blocked server, and says so.
pub(super) fn name_unknown(facts: &Facts) -> Option<Verdict> {
    let unknown: Vec<&IceServerFacts> =
        facts.servers.iter().filter(|server| matches!(server.obstacle, Some(Obstacle::Name(_)))).collect();
    let first = unknown.first()?;
    let hosts = hosts(&unknown);
    let reasons = unknown.iter().map(|server| match &server.obstacle {
        Some(Obstacle::Name(reason)) => format!("{}: {reason}", server.url),
        Some(Obstacle::Connect(_) | Obstacle::Tls(_) | Obstacle::Other(_)) | None => server.url.clone(),
    });
    let what = if unknown.iter().any(|server| server.relay) { "relay" } else { "STUN server" };
    Some(
        Verdict::new(
            Rule::NameUnknown,
            weight(facts).max(if first.relay { Severity::Warning } else { Severity::Info }),
            Side::Here,
            format!("The name of the {what} {hosts} cannot be resolved."),
            format!("Cannot find {hosts}"),
        )
        .because(reasons)
        .advise("Check the name for typing errors, and this network's DNS."),
    )
}

pub(super) fn credentials_expired(facts: &Facts) -> Option<Verdict> {
    let over: Vec<&IceServerFacts> = facts
        .relays()
        .filter(|relay| relay.expires.is_some_and(|at| at < facts.now) && !relay.useful)
        .collect();
    let latest = over.iter().filter_map(|relay| relay.expires).reduce(f64::max)?;
    let ago = Duration::from_secs_f64(((facts.now - latest) / 1e3).clamp(0.0, 1e9));
    let skew = facts.signaling.clock_skew.filter(|skew| skew.abs() >= SKEWED);
    let clock = skew.map(|skew| format!("the server's clock differs from ours by {skew:.0} s"));
    let text = match &clock {
        Some(clock) => format!(
            "The credentials for the relay {} ran out {} ago by this computer's clock; {clock}.",
            hosts(&over),
            time(ago)
        ),
        None => format!("The credentials for the relay {} ran out {} ago.", hosts(&over), time(ago)),
    };
    Some(
        Verdict::new(
            Rule::CredentialsExpired,
            weight(facts).max(Severity::Warning),
            Side::Here,
            text,
            "The relay's credentials have run out",
        )
        .because(counts(&over).into_iter().chain(clock))
        .advise("Rejoin the call to get new ones, and check this computer's clock."),
    )
}

/// Codes of RFC 8489 section 14.8 and RFC 8656 section 19.
fn refusal(code: u16) -> (&'static str, &'static str) {
    match code {
        401 => (
            "wrong or expired user name or password (401)",
            "Check the user name and the password of the relay.",
        ),
        403 => ("it forbids this use (403)", "Ask the relay's operator which addresses it may reach."),
        437 => ("it has forgotten our address (437)", "Restart the connection."),
        438 => ("our nonce is too old, again and again (438)", "The relay's clock or nonces are broken."),
        441 => ("it knows us under other credentials (441)", "Restart the call, so that it begins anew."),
        442 => ("it does not relay UDP (442)", "Use another relay."),
        486 => ("our quota of addresses is used up (486)", "Wait, or raise the relay's quota per user."),
        508 => ("it has no ports left (508)", "The relay's operator has to give it more ports."),
        300 => ("it sends us to another server (300)", "Configure the other server."),
        500..=599 => ("it has a fault of its own", "Ask the relay's operator."),
        _ => ("it gives an error that we do not know", "Ask the relay's operator."),
    }
}

pub(super) fn relay_refused(facts: &Facts) -> Option<Verdict> {
    let refusing: Vec<&IceServerFacts> =
        facts.relays().filter(|relay| relay.refused.is_some() && !relay.useful).collect();
    let first = refusing.first()?;
    let code = first.refused?;
    let (reason, advice) = refusal(code);
    let others = facts.relays().any(|relay| relay.useful);
    let evidence = refusing.iter().map(|relay| {
        format!(
            "{}, refused with {}",
            relay.count(),
            relay.refused.map_or(String::new(), |code| code.to_string())
        )
    });
    let severity = if others { Severity::Info } else { weight(facts).max(Severity::Warning) };
    Some(
        Verdict::new(
            Rule::RelayRefused,
            severity,
            Side::Here,
            format!("The relay {} answered but refused us: {reason}.", hosts(&refusing)),
            match code {
                401 => "The relay refused us: wrong password?".to_owned(),
                486 | 508 => "The relay is full".to_owned(),
                code => format!("The relay refused us ({code})"),
            },
        )
        .because(evidence)
        .advise(advice),
    )
}

/// All servers over UDP stay silent while TCP works.
pub(super) fn udp_blocked(facts: &Facts) -> Option<Verdict> {
    let asked: Vec<&IceServerFacts> = facts.udp_servers().collect();
    if facts.udp_works() || asked.is_empty() || !asked.iter().all(|server| server.is_silent()) {
        return there_is_udp_blocked(facts);
    }
    let tcp: Vec<&IceServerFacts> = facts
        .servers
        .iter()
        .filter(|server| server.transport != Transport::Udp && server.responses > 0)
        .collect();
    let signaling = facts.signaling.link.state == SignalingLink::Up;
    if !signaling && tcp.is_empty() {
        return None;
    }
    let requests: u64 = asked.iter().map(|server| server.requests).sum();
    let mut apart: Vec<&str> = asked.iter().map(|server| server.host()).collect();
    apart.sort_unstable();
    apart.dedup();
    let conclusion = if apart.len() > 1 {
        "UDP seems to be filtered in your network"
    } else {
        "UDP seems to be filtered in your network, or this server is down"
    };
    let stream = facts.servers.iter().any(|server| server.relay && server.transport != Transport::Udp);
    let (next, advice) = if !tcp.is_empty() {
        (format!("; {} is reached over {}", tcp[0].host(), transport(tcp[0].transport)), None)
    } else if stream {
        ("; trying the relay over TCP and TLS".to_owned(), None)
    } else {
        (String::new(), Some("Add a relay over TCP or TLS (turns:HOST:443), or allow UDP in the firewall."))
    };
    let text = format!(
        "No server answers over UDP: {} to {}, 0 answers. {conclusion}{next}.",
        count(requests, "request"),
        hosts(&asked)
    );
    let mut evidence = counts(&asked);
    evidence.extend(counts(&tcp));
    if signaling {
        evidence.push(format!("the signaling server {} is reached over TCP", facts.signaling.server));
    }
    let severity =
        if facts.is_connected() { Severity::Warning } else { weight(facts).max(Severity::Warning) };
    let verdict =
        Verdict::new(Rule::UdpBlocked, severity, Side::Here, text, "UDP seems blocked in your network")
            .because(evidence);
    Some(match advice {
        Some(advice) => verdict.advise(advice),
        None => verdict,
    })
}

/// The other side found that UDP does not get out of its network, and there is no path.
fn there_is_udp_blocked(facts: &Facts) -> Option<Verdict> {
    if facts.peer.facts.udp != Udp::Blocked || facts.is_connected() || !facts.stage.state.wants_a_path() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::UdpBlocked,
            Severity::Error,
            Side::There,
            "UDP seems to be filtered in the other side's network: no server answers it over UDP.",
            "UDP seems blocked in their network",
        )
        .because(["the other side reports: UDP blocked".to_owned()])
        .advise("A relay over TCP or TLS helps them; or another network."),
    )
}

pub(super) fn relay_unreachable(facts: &Facts) -> Option<Verdict> {
    let unreachable = |relay: &&IceServerFacts| {
        relay.is_silent()
            || matches!(relay.obstacle, Some(Obstacle::Connect(_) | Obstacle::Tls(_) | Obstacle::Other(_)))
    };
    let silent: Vec<&IceServerFacts> = facts.relays().filter(unreachable).collect();
    let first = silent.first()?;
    let others = facts.relays().any(|relay| relay.useful);
    let text = match &first.obstacle {
        Some(Obstacle::Connect(reason)) => {
            format!(
                "The relay {} cannot be reached over {}: {reason}.",
                first.host(),
                transport(first.transport)
            )
        }
        Some(Obstacle::Tls(reason)) => {
            format!("No secure connection to the relay {} can be made: {reason}.", first.host())
        }
        Some(Obstacle::Other(reason)) => format!("The relay {} cannot be used: {reason}.", first.url),
        Some(Obstacle::Name(_)) | None => format!(
            "The relay {} does not answer: {}, 0 answers.",
            hosts(&silent),
            count(silent.iter().map(|relay| relay.requests).sum(), "request")
        ),
    };
    let severity = if others { Severity::Info } else { weight(facts).max(Severity::Warning) };
    let evidence = silent.iter().map(|relay| match &relay.obstacle {
        Some(Obstacle::Connect(reason) | Obstacle::Tls(reason) | Obstacle::Other(reason)) => {
            format!("{}: {reason}", relay.url)
        }
        Some(Obstacle::Name(_)) | None => relay.count(),
    });
    Some(
        Verdict::new(Rule::RelayUnreachable, severity, Side::Here, text, "The relay cannot be reached")
            .because(evidence)
            .advise("Check its address and port, whether it runs, and the firewalls on the way."),
    )
}

/// One STUN server is silent while UDP as such works.
pub(super) fn stun_unreachable(facts: &Facts) -> Option<Verdict> {
    let silent: Vec<&IceServerFacts> = facts
        .servers
        .iter()
        .filter(|server| !server.relay && (server.is_silent() || is_obstructed(server)))
        .collect();
    if silent.is_empty() || !facts.udp_works() {
        return None;
    }
    Some(
        Verdict::new(
            Rule::StunUnreachable,
            Severity::Info,
            Side::Here,
            format!("The STUN server {} does not answer, others do.", hosts(&silent)),
            "A STUN server does not answer",
        )
        .because(counts(&silent))
        .advise("Check its address; the call does not depend on it."),
    )
}

fn is_obstructed(server: &IceServerFacts) -> bool {
    match &server.obstacle {
        Some(Obstacle::Connect(_) | Obstacle::Tls(_) | Obstacle::Other(_)) => true,
        Some(Obstacle::Name(_)) | None => false,
    }
}

/// Both mappings depend on the destination, and nobody has a relay.
pub(super) fn relay_missing(facts: &Facts) -> Option<Verdict> {
    if facts.relays().next().is_some() || facts.is_connected() || !facts.stage.state.wants_a_path() {
        return None;
    }
    if matches!(facts.peer.facts.relay, Relay::Works) {
        return None;
    }
    let (ours, theirs) = (facts.network.nat, facts.peer.facts.nat);
    let needed = matches!((ours, theirs), (NatKind::EndpointDependent, NatKind::EndpointDependent));
    let likely = matches!(
        (ours, theirs),
        (NatKind::EndpointDependent, NatKind::EndpointIndependent | NatKind::Unknown)
            | (NatKind::EndpointIndependent | NatKind::Unknown, NatKind::EndpointDependent)
    );
    let waited = facts.checks.running >= Duration::from_secs(5);
    let (side, text) = if needed {
        (
            Side::Both,
            "No relay (TURN server) is configured, and both networks need one: both have a symmetric NAT.",
        )
    } else if likely && waited {
        let side = if ours == NatKind::EndpointDependent { Side::Here } else { Side::There };
        (
            side,
            "No relay (TURN server) is configured, and a direct path has not been found: one side has a symmetric NAT.",
        )
    } else {
        return None;
    };
    Some(
        Verdict::new(
            Rule::RelayMissing,
            Severity::Error,
            side,
            text,
            "These networks need a relay, and there is none",
        )
        .because(facts.network.mapped.iter().map(|mapped| format!("we are seen as {mapped}")).chain([
            format!("{} sent, {} answered", count(facts.checks.sent, "check"), facts.checks.answered),
        ]))
        .advise("Use a server with its relay on, or add a TURN server in the settings."),
    )
}

pub(super) fn stun_slow(facts: &Facts) -> Option<Verdict> {
    let fastest = facts.servers.iter().filter_map(|server| Some((server.first_answer?, server)));
    let (took, server) = fastest.min_by_key(|(took, _)| *took)?;
    if took <= SLOW {
        return None;
    }
    Some(
        Verdict::new(
            Rule::StunSlow,
            Severity::Info,
            Side::Here,
            format!("The STUN server {} was slow: its first answer took {}.", server.host(), time(took)),
            "The STUN server is slow",
        )
        .because([server.count()])
        .advise("A nearer server makes calls begin sooner."),
    )
}

pub(super) fn clock_skew(facts: &Facts) -> Option<Verdict> {
    let skew = facts.signaling.clock_skew.filter(|skew| skew.abs() >= SKEWED)?;
    let direction = if skew > 0.0 { "behind" } else { "ahead of" };
    Some(
        Verdict::new(
            Rule::ClockSkew,
            Severity::Info,
            Side::Here,
            format!(
                "This computer's clock is {} {direction} the server's.",
                time(Duration::from_secs_f64(skew.abs().min(1e9)))
            ),
            "This computer's clock differs from the server's",
        )
        .advise("Set the clock by the network; relays and certificates depend on it."),
    )
}

pub(super) fn no_servers(facts: &Facts) -> Option<Verdict> {
    let waited = facts.stage.held >= Duration::from_secs(5);
    if !facts.servers.is_empty() || facts.is_connected() || !facts.stage.state.wants_a_path() || !waited {
        return None;
    }
    Some(
        Verdict::new(
            Rule::NoServers,
            Severity::Warning,
            Side::Here,
            "No STUN or TURN server is configured: only computers of the same network can be reached.",
            "No STUN or TURN server is configured",
        )
        .advise("Use a server that hands them out."),
    )
}
