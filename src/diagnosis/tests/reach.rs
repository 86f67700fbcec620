//! Servers that cannot be reached.

use super::super::facts::{Interface, Obstacle};
use super::super::peer::{NatKind, Udp};
use super::super::reach::*;
use super::*;

#[test]
fn no_interface_is_no_network() {
    let mut facts = connecting();
    facts.network.interfaces = Some(Vec::new());
    says(offline, &facts, "no network");
    facts.network.interfaces = Some(vec![Interface::default()]);
    silent_on(offline, &facts);
    facts.network.interfaces = None;
    silent_on(offline, &facts);
}

#[test]
fn a_name_that_is_not_known_is_not_called_blocked() {
    let mut facts = connecting();
    let obstacle = Some(Obstacle::Name("no such host".into()));
    facts.servers = vec![IceServerFacts { obstacle, requests: 0, responses: 0, ..silent(turn()) }];
    let verdict = says(name_unknown, &facts, "relay.example cannot be resolved");
    assert!(verdict.evidence[0].contains("turn:relay.example:3478: no such host"), "{verdict:?}");
    silent_on(udp_blocked, &facts);
    silent_on(relay_unreachable, &facts);
    silent_on(name_unknown, &talking());
}

#[test]
fn credentials_that_ran_out_are_named_with_the_clock() {
    let mut facts = connecting();
    facts.servers = vec![IceServerFacts { expires: Some(facts.now - 120_000.0), useful: false, ..turn() }];
    facts.signaling.clock_skew = Some(-4_000.0);
    let verdict = says(credentials_expired, &facts, "ran out 120 s ago");
    assert!(verdict.text.contains("differs from ours by -4000 s"), "{}", verdict.text);
    facts.servers[0].expires = Some(facts.now + 1.0);
    silent_on(credentials_expired, &facts);
}

#[test]
fn a_relay_that_refuses_says_why() {
    let mut facts = connecting();
    for (code, words) in
        [(401, "password"), (438, "nonce"), (441, "credentials"), (486, "quota"), (508, "no ports")]
    {
        facts.servers = vec![IceServerFacts { refused: Some(code), useful: false, ..turn() }];
        let verdict = says(relay_refused, &facts, words);
        assert_eq!(verdict.severity, Severity::Error);
        assert!(verdict.evidence[0].contains("turn:relay.example:3478"), "{verdict:?}");
    }
    facts.servers.push(turn());
    assert_eq!(relay_refused(&facts).unwrap().severity, Severity::Info, "another relay works");
    silent_on(relay_refused, &talking());
}

#[test]
fn silence_over_udp_while_tcp_works_is_called_blocked() {
    let mut facts = connecting();
    facts.servers = vec![silent(stun()), silent(turn())];
    let verdict = says(udp_blocked, &facts, "24 requests to relay.example and stun.example, 0 answers");
    assert!(verdict.text.contains("seems to be filtered in your network."), "{}", verdict.text);
    assert_eq!(verdict.side, Side::Here);
    facts.servers.push(IceServerFacts { transport: Transport::Tls, ..turn() });
    says(udp_blocked, &facts, "relay.example is reached over TLS");
    facts.servers = vec![silent(stun())];
    says(udp_blocked, &facts, "or this server is down");
    facts.servers.push(turn());
    silent_on(udp_blocked, &facts);
    facts.servers = vec![silent(stun())];
    facts.signaling.link = Held::new(SignalingLink::Connecting, s(9));
    silent_on(udp_blocked, &facts);
    facts.servers = vec![IceServerFacts { requests: 2, asked_for: ms(300), ..silent(stun()) }];
    facts.signaling.link = Held::new(SignalingLink::Up, s(9));
    silent_on(udp_blocked, &facts);
}

#[test]
fn udp_that_is_blocked_over_there_is_told_by_them() {
    let mut facts = connecting();
    facts.peer.facts.udp = Udp::Blocked;
    assert_eq!(says(udp_blocked, &facts, "other side's network").side, Side::There);
    facts.peer.facts.udp = Udp::Works;
    silent_on(udp_blocked, &facts);
}

#[test]
fn a_relay_that_does_not_answer_is_named() {
    let mut facts = connecting();
    facts.servers = vec![stun(), silent(turn())];
    says(relay_unreachable, &facts, "relay.example does not answer: 12 requests");
    let obstacle = Some(Obstacle::Connect("connection refused".into()));
    let tcp = IceServerFacts { obstacle, transport: Transport::Tcp, ..silent(turn()) };
    facts.servers = vec![stun(), tcp];
    says(relay_unreachable, &facts, "over TCP: connection refused");
    facts.servers[1].obstacle = Some(Obstacle::Tls("bad certificate".into()));
    says(relay_unreachable, &facts, "No secure connection");
    facts.servers = vec![stun(), turn()];
    silent_on(relay_unreachable, &facts);
}

#[test]
fn one_silent_stun_server_among_others_is_no_trouble() {
    let mut facts = talking();
    let other = IceServerFacts { url: "stun:other.example".into(), ..silent(stun()) };
    facts.servers.push(other);
    assert_eq!(says(stun_unreachable, &facts, "other.example").severity, Severity::Info);
    silent_on(stun_unreachable, &talking());
}

#[test]
fn two_symmetric_nats_without_a_relay_need_one() {
    let mut facts = connecting();
    facts.network.nat = NatKind::EndpointDependent;
    facts.peer.facts.nat = NatKind::EndpointDependent;
    assert_eq!(says(relay_missing, &facts, "both networks need one").side, Side::Both);
    facts.peer.facts.nat = NatKind::EndpointIndependent;
    assert_eq!(says(relay_missing, &facts, "one side has a symmetric NAT").side, Side::Here);
    facts.servers.push(turn());
    silent_on(relay_missing, &facts);
    silent_on(relay_missing, &connecting());
}

#[test]
fn a_slow_stun_server_is_named_with_its_time() {
    let mut facts = talking();
    facts.servers[0].first_answer = Some(ms(740));
    says(stun_slow, &facts, "740 ms");
    facts.servers.push(turn());
    silent_on(stun_slow, &facts);
}

#[test]
fn a_wrong_clock_is_told_with_its_direction() {
    let mut facts = talking();
    facts.signaling.clock_skew = Some(600.0);
    says(clock_skew, &facts, "behind");
    facts.signaling.clock_skew = Some(-600.0);
    says(clock_skew, &facts, "ahead of");
    facts.signaling.clock_skew = Some(2.0);
    silent_on(clock_skew, &facts);
}

#[test]
fn a_connection_without_any_server_reaches_the_same_network_only() {
    let mut facts = connecting();
    facts.servers.clear();
    says(no_servers, &facts, "same network");
    silent_on(no_servers, &connecting());
}
