//! The server through which the two sides find each other.

use std::time::Duration;

use super::Judge;
use super::facts::{Facts, SignalingLink, Stage};
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::time;

pub(super) const RULES: &[Judge] = &[server_unreachable, signaling_lost, peer_away, signaling_slow];

/// A session is resumed in under a second as a rule.
const LOST: Duration = Duration::from_secs(2);

/// Reaching a server takes a few round trips.
const UNANSWERED: Duration = Duration::from_secs(4);

/// From here on, invitations and restarts feel slow.
const SLOW: Duration = Duration::from_millis(1_000);

fn because(facts: &Facts) -> Vec<String> {
    let server = &facts.signaling.server;
    match &facts.signaling.reason {
        Some(reason) => vec![format!("{server}: {reason}")],
        None => vec![server.clone()],
    }
}

/// There is no call without it.
pub(super) fn server_unreachable(facts: &Facts) -> Option<Verdict> {
    let link = &facts.signaling.link;
    let gone = link.is(SignalingLink::Connecting, UNANSWERED)
        || link.is(SignalingLink::Lost, LOST)
        || link.state == SignalingLink::Failed;
    let needs_it = match facts.stage.state {
        Stage::Reaching | Stage::Waiting | Stage::Knocking | Stage::Connecting => true,
        Stage::Ended => link.state == SignalingLink::Failed,
        Stage::Idle | Stage::Talking => false,
    };
    if !gone || !needs_it {
        return None;
    }
    let server = &facts.signaling.server;
    let text = match &facts.signaling.reason {
        Some(reason) => format!("The server cannot be reached: {}.", reason.trim_end_matches('.')),
        None => format!("The server {server} has not answered for {}.", time(link.held)),
    };
    Some(
        Verdict::new(
            Rule::ServerUnreachable,
            Severity::Error,
            Side::Here,
            text,
            "The server cannot be reached",
        )
        .because(because(facts))
        .advise("Check the address in the link and this computer's network."),
    )
}

pub(super) fn signaling_lost(facts: &Facts) -> Option<Verdict> {
    let link = &facts.signaling.link;
    let lost = link.is(SignalingLink::Lost, LOST) || link.state == SignalingLink::Failed;
    if !lost || facts.stage.state != Stage::Talking || !facts.is_connected() {
        return None;
    }
    let hope = if link.state == SignalingLink::Failed { "" } else { " Trying again." };
    Some(
        Verdict::new(
            Rule::SignalingLost,
            Severity::Warning,
            Side::Here,
            format!("The connection to the server is lost; your call continues. Invitations and a new path are not available.{hope}"),
            "Server lost; the call continues",
        )
        .because(because(facts)),
    )
}

pub(super) fn peer_away(facts: &Facts) -> Option<Verdict> {
    (facts.peer.away && facts.is_connected()).then(|| {
        Verdict::new(
            Rule::PeerAway,
            Severity::Info,
            Side::There,
            "The other side has lost the server; the call continues.",
            "They have lost the server",
        )
    })
}

pub(super) fn signaling_slow(facts: &Facts) -> Option<Verdict> {
    let round_trip = facts.signaling.round_trip.filter(|round_trip| *round_trip >= SLOW)?;
    (facts.signaling.link.state == SignalingLink::Up).then(|| {
        Verdict::new(
            Rule::SignalingSlow,
            Severity::Info,
            Side::Here,
            format!("The server {} answers slowly ({}).", facts.signaling.server, time(round_trip)),
            "The server answers slowly",
        )
    })
}
