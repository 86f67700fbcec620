//! The path media takes.

use super::super::facts::{Interface, Move};
use super::super::path::*;
use super::super::peer::NatKind;
use super::*;
use crate::rtc::stats::InterfaceKind;

#[test]
fn a_silent_path_is_told_with_its_silence() {
    let mut facts = talking();
    facts.path.as_mut().unwrap().silent_for = s(5);
    says(path_silent, &facts, "went silent 5.0 s ago");
    facts.peer.away = true;
    assert_eq!(says(path_silent, &facts, "network seems to be gone").side, Side::There);
    silent_on(path_silent, &talking());
}

#[test]
fn a_move_is_news_for_a_while() {
    let mut facts = talking();
    let to_cable = |gone, ago| Some(Move { from: "wlan0".into(), gone, to: "eth0".into(), ago });
    facts.network.moved = to_cable(true, s(3));
    says(moved, &facts, "wlan0 went away; the call moved to eth0");
    facts.network.moved = to_cable(false, s(3));
    says(moved, &facts, "moved from wlan0 to eth0");
    facts.network.moved = to_cable(true, s(60));
    silent_on(moved, &facts);
}

#[test]
fn a_symmetric_nat_is_told_on_each_side() {
    let mut facts = connecting();
    facts.network.nat = NatKind::EndpointDependent;
    facts.network.mapped = vec!["203.0.113.9:4000".into(), "203.0.113.9:4001".into()];
    let verdict = says(symmetric_here, &facts, "symmetric NAT");
    assert_eq!((verdict.side, verdict.evidence.len()), (Side::Here, 2));
    silent_on(symmetric_there, &facts);
    let mut facts = connecting();
    facts.peer.facts.nat = NatKind::EndpointDependent;
    assert_eq!(says(symmetric_there, &facts, "other side's network").side, Side::There);
    silent_on(symmetric_here, &facts);
    let mut facts = talking();
    facts.network.nat = NatKind::EndpointDependent;
    silent_on(symmetric_here, &facts);
}

#[test]
fn a_relay_over_tcp_is_told_and_over_udp_is_not() {
    let mut facts = talking();
    facts.path = Some(relayed(Transport::Tls));
    let verdict = says(relayed_stream, &facts, "relayed over TLS");
    assert!(verdict.evidence[0].contains("turn:relay.example"));
    facts.path = Some(relayed(Transport::Udp));
    silent_on(relayed_stream, &facts);
}

#[test]
fn a_relay_inside_one_network_is_strange() {
    let mut facts = talking();
    facts.path = Some(relayed(Transport::Udp));
    facts.local = vec![host([192, 168, 1, 5])];
    facts.remote = vec![host([192, 168, 1, 9])];
    says(relayed_in_lan, &facts, "look like those of one network");
    facts.relay_only = true;
    silent_on(relayed_in_lan, &facts);
    facts.relay_only = false;
    facts.remote = vec![host([192, 168, 2, 9])];
    silent_on(relayed_in_lan, &facts);
}

#[test]
fn a_vpn_that_carries_the_call_is_named() {
    let mut facts = talking();
    let interface = |kind| Interface { name: "tun0".into(), kind, in_use: true };
    facts.network.interfaces = Some(vec![interface(InterfaceKind::Vpn)]);
    says(vpn, &facts, "VPN (tun0)");
    facts.network.interfaces = Some(vec![interface(InterfaceKind::Wifi)]);
    silent_on(vpn, &facts);
}

#[test]
fn what_is_no_trouble_explains_why_the_call_is_relayed() {
    let mut facts = talking();
    facts.path = Some(Path { remote: CandidateType::Relay, ..direct() });
    facts.network.nat = NatKind::EndpointDependent;
    let told = verdicts(&facts);
    assert_eq!((told[0].rule, told[1].rule), (Rule::Fine, Rule::SymmetricHere));
    assert!(told[0].evidence.contains(&told[1].text), "{:?}", told[0].evidence);
}
