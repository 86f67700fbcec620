//! From acceptance to a secured path.

use super::super::handshake::*;
use super::super::peer::{ChecksSeen, Udp};
use super::*;

#[test]
fn another_certificate_is_told_first_of_all() {
    let mut facts = connecting();
    facts.fingerprint_mismatch = true;
    says(interception, &facts, "does not match");
    assert_eq!(verdicts(&facts)[0].rule, Rule::Interception);
    silent_on(interception, &connecting());
}

#[test]
fn nobody_answers_the_door() {
    let mut facts = Facts { stage: Held::new(Stage::Knocking, s(25)), ..Facts::default() };
    says(no_answer, &facts, "25 s ago");
    facts.stage.held = s(3);
    silent_on(no_answer, &facts);
}

#[test]
fn checks_without_any_answer_say_whose_network_blocks_when_it_is_known() {
    let mut facts = connecting();
    let verdict = says(checks_blocked, &facts, "both directions are blocked");
    assert!(verdict.evidence[0].contains("30 checks sent over 2 pairs, 0 answered"), "{verdict:?}");
    assert_eq!(verdict.side, Side::Between);
    facts.peer.facts.udp = Udp::Blocked;
    assert_eq!(says(checks_blocked, &facts, "on the other side").side, Side::There);
    facts.servers = vec![silent(stun())];
    assert_eq!(says(checks_blocked, &facts, "on both sides").side, Side::Both);
    facts.peer.facts.udp = Udp::Works;
    assert_eq!(says(checks_blocked, &facts, "on your side").side, Side::Here);
    facts.checks.running = s(1);
    silent_on(checks_blocked, &facts);
    silent_on(checks_blocked, &talking());
}

#[test]
fn checks_in_one_direction_say_which() {
    let mut facts = connecting();
    facts.checks.received = 10;
    says(checks_one_way, &facts, "Their checks reach us");
    facts.peer.facts.checks = ChecksSeen::Arrive;
    assert_eq!(says(checks_one_way, &facts, "your firewall").side, Side::Here);
    facts.checks.received = 0;
    says(checks_one_way, &facts, "nothing of theirs reaches us");
    facts.peer.facts.checks = ChecksSeen::NoneArrive;
    silent_on(checks_one_way, &facts);
    facts.checks.received = 10;
    facts.checks.answered = 1;
    silent_on(checks_one_way, &facts);
}

#[test]
fn a_peer_without_addresses_is_told() {
    let mut facts = connecting();
    facts.remote.clear();
    facts.checks = Checks::default();
    says(peer_without_addresses, &facts, "no address");
    silent_on(peer_without_addresses, &connecting());
}

#[test]
fn only_hidden_names_of_a_browser_are_told() {
    let mut facts = connecting();
    facts.remote = vec![Address { kind: CandidateType::Host, ip: None }];
    says(hidden_addresses, &facts, "hides its local address");
    facts.remote.push(Address { kind: CandidateType::Srflx, ip: Some([203, 0, 113, 9].into()) });
    silent_on(hidden_addresses, &facts);
}

#[test]
fn a_connection_that_was_tried_too_early_is_told() {
    let mut facts = connecting();
    facts.checks.failed_before_addresses = true;
    says(warm_up, &facts, "before our addresses outside were known");
    silent_on(warm_up, &connecting());
}

#[test]
fn an_open_path_with_a_stuck_handshake_is_told() {
    let mut facts = connecting();
    facts.ice = Held::new(IceState::Connected, s(5));
    facts.dtls = Held::new(DtlsState::Connecting, s(5));
    says(handshake_stuck, &facts, "has not finished for 5.0 s");
    facts.dtls.held = s(1);
    silent_on(handshake_stuck, &facts);
    silent_on(handshake_stuck, &connecting());
}

#[test]
fn a_failed_handshake_is_not_called_an_interception() {
    let mut facts = connecting();
    facts.dtls.state = DtlsState::Failed;
    says(handshake_failed, &facts, "handshake failed");
    facts.fingerprint_mismatch = true;
    silent_on(handshake_failed, &facts);
    silent_on(handshake_failed, &talking());
}

#[test]
fn early_candidates_are_counted() {
    let mut facts = talking();
    facts.checks.early_candidates = 2;
    says(early_candidates, &facts, "2 candidates came before the description");
    silent_on(early_candidates, &talking());
}
