//! From acceptance to a secured path: candidates, connectivity checks, DTLS.

use std::time::Duration;

use super::Judge;
use super::facts::{Facts, Stage};
use super::peer::{ChecksSeen, Udp};
use super::verdict::{Rule, Severity, Side, Verdict};
use super::words::{count, time};
use crate::rtc::{CandidateType, DtlsState, IceState};

pub(super) const RULES: &[Judge] = &[
    interception,
    no_answer,
    checks_blocked,
    checks_one_way,
    peer_without_addresses,
    hidden_addresses,
    warm_up,
    handshake_stuck,
    handshake_failed,
    early_candidates,
];

/// Checks are repeated from 50 ms on (RFC 8445 section 14.3); without an answer for so long, none
/// will come by itself.
const CHECKS_DUE: Duration = Duration::from_secs(4);

/// A DTLS handshake takes two round trips; its first repetition comes after a second (RFC 9147
/// section 5.8.2), the second after three.
const HANDSHAKE_DUE: Duration = Duration::from_secs(3);

/// From here on a person at the door wonders.
const ANSWER_DUE: Duration = Duration::from_secs(10);

pub(super) fn interception(facts: &Facts) -> Option<Verdict> {
    facts.fingerprint_mismatch.then(|| {
        Verdict::new(
            Rule::Interception,
            Severity::Error,
            Side::Between,
            "The certificate that arrived does not match the one that was signalled: somebody may be listening in. The call was stopped.",
            "Not the expected certificate; the call was stopped",
        )
        .advise("Call again by a fresh link; if it happens again, do not talk over this server.")
    })
}

/// The knock was delivered, nobody has decided.
pub(super) fn no_answer(facts: &Facts) -> Option<Verdict> {
    facts.stage.is(Stage::Knocking, ANSWER_DUE).then(|| {
        Verdict::new(
            Rule::NoAnswer,
            Severity::Warning,
            Side::There,
            format!(
                "The server has delivered your call {} ago, but nobody over there has answered yet.",
                time(facts.stage.held)
            ),
            "Nobody has answered yet",
        )
        .because([format!("signaling server {}: connected", facts.signaling.server)])
        .advise("Ask the other person by other means whether Sightline is open there.")
    })
}

fn is_checking(facts: &Facts) -> bool {
    match facts.ice.state {
        IceState::New | IceState::Checking | IceState::Disconnected | IceState::Failed => {
            facts.stage.state.wants_a_path()
        }
        IceState::Connected | IceState::Completed | IceState::Closed => false,
    }
}

fn check_counts(facts: &Facts) -> Vec<String> {
    vec![
        format!(
            "{} sent over {}, {} answered",
            count(facts.checks.sent, "check"),
            count(facts.checks.pairs as u64, "pair"),
            facts.checks.answered
        ),
        format!("{} of theirs arrived", count(facts.checks.received, "check")),
    ]
}

pub(super) fn checks_blocked(facts: &Facts) -> Option<Verdict> {
    let checks = &facts.checks;
    let due = checks.running >= CHECKS_DUE && checks.sent >= 5;
    if !is_checking(facts) || !due || checks.answered > 0 || checks.received > 0 {
        return None;
    }
    let (side, whose) = match (facts.udp_works(), facts.peer.facts.udp) {
        (false, Udp::Blocked) => (Side::Both, " UDP seems blocked on both sides."),
        (true, Udp::Blocked) => (Side::There, " UDP seems blocked on the other side."),
        (false, _) if facts.udp_servers().any(|server| server.is_silent()) => {
            (Side::Here, " UDP seems blocked on your side.")
        }
        (true, Udp::Works) => (
            Side::Between,
            " Servers are reached from both sides: a firewall or NAT lets no direct path through.",
        ),
        (true | false, _) => (Side::Between, ""),
    };
    let advice = if facts.relays().any(|relay| relay.useful) {
        "The relay is there; wait for its checks, or restart the connection."
    } else {
        "A relay (TURN server) that both sides reach would carry the call."
    };
    Some(
        Verdict::new(
            Rule::ChecksBlocked,
            Severity::Error,
            side,
            format!(
                "Our checks get no answer and none of theirs arrives: both directions are blocked.{whose}"
            ),
            "No path: both directions are blocked",
        )
        .because(check_counts(facts))
        .advise(advice),
    )
}

pub(super) fn checks_one_way(facts: &Facts) -> Option<Verdict> {
    let checks = &facts.checks;
    let due = checks.running >= CHECKS_DUE && checks.sent >= 5;
    if !is_checking(facts) || !due || checks.answered > 0 {
        return None;
    }
    let (side, text) = match (checks.received > 0, facts.peer.facts.checks) {
        (true, ChecksSeen::NoneArrive) => (
            Side::Between,
            "Their checks reach us, ours do not reach them: a firewall on the way lets only one direction through.",
        ),
        (true, ChecksSeen::Arrive) => (
            Side::Here,
            "Checks pass in both directions, but no answer to ours comes back: your firewall seems to drop the answers.",
        ),
        (true, ChecksSeen::Unknown) => (
            Side::Between,
            "Their checks reach us, but ours get no answer: a firewall lets only one direction through.",
        ),
        (false, ChecksSeen::Arrive) => (
            Side::Here,
            "Our checks reach the other side, but nothing of theirs reaches us: your network seems to drop what comes in.",
        ),
        (false, ChecksSeen::NoneArrive | ChecksSeen::Unknown) => return None,
    };
    Some(
        Verdict::new(Rule::ChecksOneWay, Severity::Error, side, text, "Only one direction gets through")
            .because(check_counts(facts))
            .advise("Look at the firewalls; a relay (TURN server) would carry the call."),
    )
}

pub(super) fn peer_without_addresses(facts: &Facts) -> Option<Verdict> {
    let due = facts.stage.is(Stage::Connecting, CHECKS_DUE);
    if !due || !facts.remote.is_empty() || facts.checks.received > 0 || !is_checking(facts) {
        return None;
    }
    Some(
        Verdict::new(
            Rule::PeerWithoutAddresses,
            Severity::Error,
            Side::There,
            format!(
                "The other side has sent no address at which it can be reached, for {}.",
                time(facts.stage.held)
            ),
            "No address of the other side",
        )
        .because([format!("{} of ours were found", count(facts.local.len() as u64, "candidate"))])
        .advise("If they allow relayed paths only, their relay may be out of reach for them."),
    )
}

/// A browser hides its addresses behind names that only multicast DNS knows (RFC 8828, mDNS
/// candidates); nothing else came, and no check did.
pub(super) fn hidden_addresses(facts: &Facts) -> Option<Verdict> {
    let hidden = !facts.remote.is_empty()
        && facts.remote.iter().all(|address| address.kind == CandidateType::Host && address.ip.is_none());
    if !hidden || facts.checks.received > 0 || facts.checks.running < CHECKS_DUE || !is_checking(facts) {
        return None;
    }
    Some(
        Verdict::new(
            Rule::HiddenAddresses,
            Severity::Error,
            Side::There,
            "The other side's browser hides its local address behind a name, and that name cannot be found in this network.",
            "Their browser hides its address",
        )
        .because([format!("{} with an mDNS name, no other", count(facts.remote.len() as u64, "candidate"))])
        .advise("A STUN or TURN server that the browser reaches solves it, as does allowing multicast DNS."),
    )
}

pub(super) fn warm_up(facts: &Facts) -> Option<Verdict> {
    let early = facts.checks.failed_before_addresses && !facts.is_connected();
    (early && facts.stage.state.wants_a_path()).then(|| {
        Verdict::new(
            Rule::WarmUp,
            Severity::Warning,
            Side::Here,
            "The connection was tried before our addresses outside were known, and failed; they are known now.",
            "Tried before addresses were known",
        )
        .because(check_counts(facts))
        .advise("Restart the connection.")
    })
}

pub(super) fn handshake_stuck(facts: &Facts) -> Option<Verdict> {
    let open = matches!(facts.ice.state, IceState::Connected | IceState::Completed);
    let connecting = facts.dtls.is(DtlsState::Connecting, HANDSHAKE_DUE)
        || (facts.dtls.state == DtlsState::New && facts.ice.held >= HANDSHAKE_DUE);
    if !open || !connecting || !facts.stage.state.wants_a_path() {
        return None;
    }
    let held = facts.dtls.held.min(facts.ice.held);
    Some(
        Verdict::new(
            Rule::HandshakeStuck,
            Severity::Error,
            Side::Between,
            format!("The path is open, but the encryption handshake has not finished for {}: large UDP packets may get lost on the way (MTU).", time(held)),
            "Path open, handshake stuck",
        )
        .because(check_counts(facts))
        .advise("A VPN or tunnel with a small MTU is the usual reason; try without it."),
    )
}

pub(super) fn handshake_failed(facts: &Facts) -> Option<Verdict> {
    if facts.dtls.state != DtlsState::Failed || facts.fingerprint_mismatch {
        return None;
    }
    Some(
        Verdict::new(
            Rule::HandshakeFailed,
            Severity::Error,
            Side::Between,
            "The encryption handshake failed, so nothing is sent.",
            "The encryption handshake failed",
        )
        .advise("Call again; if it happens again, the two programs may not fit together."),
    )
}

pub(super) fn early_candidates(facts: &Facts) -> Option<Verdict> {
    let early = facts.checks.early_candidates;
    (early > 0 && facts.stage.state.wants_a_path()).then(|| {
        Verdict::new(
            Rule::EarlyCandidates,
            Severity::Info,
            Side::There,
            format!("{} came before the description (held, then applied).", count(early, "candidate")),
            "Candidates came early",
        )
    })
}
