//! Addresses, names and codes in records are replaced consistently, and nothing of them stays behind.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn anonymous(lines: &[Value]) -> Vec<Value> {
    let entries: Vec<Entry> = lines.iter().map(|line| Entry::parse(&line.to_string()).unwrap()).collect();
    let mut anonymiser = Anonymiser::default();
    entries.iter().for_each(|entry| anonymiser.learn(entry));
    entries.iter().map(|entry| serde_json::from_str(&anonymiser.hide(entry)).unwrap()).collect()
}

#[test]
fn people_and_places_are_gone_and_the_story_stays() {
    let sdp = "v=0\r\no=- 1 1 IN IP4 198.19.7.7\r\na=ice-ufrag:Xy+9\r\na=extmap:1 http://www.webrtc.org/x\r\n\
        a=candidate:77123 1 udp 2122 198.19.7.7 5000 typ host\r\n";
    let message = json!({"t": "room.joined", "d": {"room": "adas-room", "peers": [{"peer": "p1", "name": "Ada"}],
        "ice_servers": [{"urls": ["turn:relay.acme.test:3478"], "username": "1700000000:ada", "credential": "***"}]}});
    let shown = anonymous(&[
        json!({"t": 1.0, "ev": "description", "side": "local", "kind": "offer", "sdp": sdp}),
        json!({"t": 2.0, "ev": "candidate", "side": "remote", "mid": "0",
            "candidate": "candidate:77123 1 udp 9 3fa-9.local 5 typ host ufrag Xy+9"}),
        json!({"t": 3.0, "ev": "signaling_message", "direction": "received", "kind": "room.joined", "bytes": 9,
            "text": message.to_string()}),
        json!({"t": 4.0, "ev": "error", "text": "Ada hung up; relay.acme.test (198.19.7.7) and other.acme.test say no, see /home/ada/log"}),
        json!({"t": 5.0, "stats": [
            {"type": "network-interface", "id": "N1", "name": "wlan0", "addresses": ["198.19.7.7"]},
            {"type": "network-interface", "id": "N2", "name": "acme-vpn", "addresses": []}]}),
        json!({"t": 6.0, "ev": "configuration", "iceServers": [{"urls": ["turns:relay.acme.test:443?transport=tcp"], "username": "1700000000:ada"}],
            "iceTransportPolicy": "all"}),
        json!({"t": 7.0, "ev": "phase", "phase": "joining", "server": "call.acme.test:8443"}),
        json!({"t": 8.0, "ev": "device", "device": "microphone", "state": "on", "about": "Ada's headset"}),
        json!({"t": 9.0, "ev": "notice", "severity": "info", "text": "Your microphone is now Ada's headset."}),
    ]);
    assert_eq!(shown[6]["server"], "host-4.example:8443");
    assert_eq!(shown[7]["about"], "device 1");
    assert_eq!(shown[8]["text"], "Your microphone is now device 1.");
    let text = serde_json::to_string(&shown).unwrap();
    for secret in ["Ada", "ada", "acme", "Xy+9", "77123", "198.19", "3fa-9", "adas-room"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for kept in [
        "www.webrtc.org",
        "wlan0",
        "1700000000:user-1",
        "turns:host-2.example:443?transport=tcp",
        "Person 1 hung up",
    ] {
        assert!(text.contains(kept), "{kept} not in {text}");
    }
    let ufrag = shown[0]["sdp"].as_str().unwrap().split_once("a=ice-ufrag:").unwrap().1;
    assert!(ufrag.starts_with("ufrag1\r\n"));
    assert!(shown[1]["candidate"].as_str().unwrap().ends_with(" ufrag ufrag1"), "the same word everywhere");
}

fn address() -> impl Strategy<Value = IpAddr> {
    let hidden = |address: &IpAddr| {
        !address.is_loopback()
            && !address.is_unspecified()
            && !address.is_multicast()
            && *address != IpAddr::from([255, 255, 255, 255])
    };
    let v4 = prop_oneof![
        any::<[u8; 4]>(),
        any::<[u8; 2]>().prop_map(|[c, d]| [192, 168, c, d]),
        Just([203, 0, 113, 1])
    ];
    let v6 = prop_oneof![any::<[u16; 8]>(), any::<u16>().prop_map(|n| [0xfd00, 0, 0, 0, 0, 0, 0, n])];
    prop_oneof![v4.prop_map(IpAddr::from), v6.prop_map(IpAddr::from)].prop_filter("one to hide", hidden)
}

/// Everything between characters that no address has.
fn tokens(text: &str) -> BTreeSet<IpAddr> {
    text.split(|c: char| !c.is_ascii_hexdigit() && c != ':' && c != '.')
        .flat_map(|token| {
            [token.parse().ok(), token.rsplit_once(':').and_then(|(address, _)| address.parse().ok())]
        })
        .flatten()
        .collect()
}

proptest! {
    #[test]
    fn no_address_is_left(addresses in proptest::collection::vec(address(), 1..12), port in 1u16..) {
        let lines: Vec<Value> = addresses.iter().flat_map(|address| [
            json!({"t": 1.0, "ev": "candidate", "side": "local",
                "candidate": format!("candidate:1 1 udp 7 {address} {port} typ srflx raddr {address} rport 9")}),
            json!({"t": 2.0, "ev": "description", "side": "remote", "kind": "answer",
                "sdp": format!("c=IN IP4 {address}\r\na=candidate:1 1 udp 7 {address} {port} typ host\r\n")}),
            json!({"t": 3.0, "stats": [{"type": "local-candidate", "id": format!("I{address}"), "address": address.to_string()},
                {"type": "later", "id": "x", "url": format!("turn:{}", std::net::SocketAddr::new(*address, port))}]}),
            json!({"t": 4.0, "ev": "error", "text": format!("no answer from {}.", std::net::SocketAddr::new(*address, port))}),
        ]).collect();
        let shown = anonymous(&lines);
        let text = serde_json::to_string(&shown).unwrap().replace("\\r\\n", " ");
        let left = tokens(&text);
        for address in &addresses {
            prop_assert!(!left.contains(address), "{address} in {text}");
        }
        // What was one address is one address, and what were two are two.
        let stand_ins: BTreeSet<String> = shown
            .iter()
            .filter_map(|line| line["stats"][0]["address"].as_str().map(str::to_owned))
            .collect();
        prop_assert_eq!(stand_ins.len(), addresses.iter().collect::<BTreeSet<_>>().len());
    }

    #[test]
    fn any_entry_can_be_hidden(text in "\\PC{0,80}", name in "(name|room|url|sdp|candidate|username|text)") {
        anonymous(&[json!({"t": 1.0, "ev": "later", name: text})]);
    }
}
