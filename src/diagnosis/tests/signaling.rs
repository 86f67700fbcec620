//! The server.

use super::super::signaling::*;
use super::*;

#[test]
fn a_server_that_cannot_be_reached_is_told_before_a_call_with_its_reason() {
    let mut facts = Facts { stage: Held::new(Stage::Reaching, s(6)), ..Facts::default() };
    facts.signaling.server = "call.example".into();
    facts.signaling.link = Held::new(SignalingLink::Connecting, s(6));
    says(server_unreachable, &facts, "call.example has not answered for 6.0 s");
    facts.signaling.reason =
        Some("the name of the server call.example cannot be found (no such host)".into());
    says(server_unreachable, &facts, "cannot be found");
    facts.signaling.link = Held::new(SignalingLink::Up, s(6));
    silent_on(server_unreachable, &facts);
}

#[test]
fn a_server_lost_in_a_call_leaves_the_call() {
    let mut facts = talking();
    facts.signaling.link = Held::new(SignalingLink::Lost, s(4));
    let verdict = says(signaling_lost, &facts, "your call continues");
    assert_eq!(verdict.severity, Severity::Warning);
    silent_on(server_unreachable, &facts);
    facts.signaling.link.held = s(1);
    silent_on(signaling_lost, &facts);
}

#[test]
fn a_peer_without_the_server_is_told() {
    let mut facts = talking();
    facts.peer.away = true;
    says(peer_away, &facts, "other side has lost the server");
    silent_on(peer_away, &talking());
}

#[test]
fn a_slow_server_is_told() {
    let mut facts = talking();
    facts.signaling.round_trip = Some(ms(1_400));
    says(signaling_slow, &facts, "1.4 s");
    facts.signaling.round_trip = Some(ms(40));
    silent_on(signaling_slow, &facts);
}
