//! The few facts that we read from session descriptions as text (RFC 8866).
//!
//! Descriptions are made and understood by the engine; this module knows no grammar beyond "one
//! attribute a line" and changes only `a=setup` and what candidates must not or need not say.

/// The value of the first `a=NAME:` line.
pub fn attribute<'a>(sdp: &'a str, name: &str) -> Option<&'a str> {
    sdp.lines().find_map(|line| {
        let value = line.trim_end().strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':')?;
        Some(value.trim())
    })
}

/// The ICE username fragment (RFC 8839 section 5.4).
pub fn ufrag(sdp: &str) -> Option<&str> {
    attribute(sdp, "ice-ufrag")
}

/// The DTLS certificate fingerprint (RFC 8122 section 5); names the connection's other end.
pub fn fingerprint(sdp: &str) -> Option<&str> {
    attribute(sdp, "fingerprint")
}

/// The media identification of the first media section, which all others are bundled with.
pub fn first_mid(sdp: &str) -> Option<&str> {
    attribute(sdp, "mid")
}

/// The payload type of a codec, from `a=rtpmap:PT NAME/CLOCK` (RFC 8866 section 6.6).
pub fn payload_type(sdp: &str, codec: &str) -> Option<u8> {
    sdp.lines().find_map(|line| {
        let (pt, name) = line.trim_end().strip_prefix("a=rtpmap:")?.split_once(' ')?;
        let (name, _) = name.trim().split_once('/')?;
        if !name.eq_ignore_ascii_case(codec) {
            return None;
        }
        pt.parse().ok().filter(|pt| *pt < 128)
    })
}

/// The same description without candidates for a separate RTCP port, which rtcp-mux makes useless
/// (RFC 8839 section 5.1: the second field is the component).
pub fn without_rtcp_candidates(sdp: &str) -> String {
    let of_rtcp = |line: &str| {
        line.strip_prefix("a=candidate:")
            .is_some_and(|rest| rest.split(' ').nth(1).is_some_and(|id| id == "2"))
    };
    sdp.split_inclusive('\n').filter(|line| !of_rtcp(line)).collect()
}

/// The same description, or a single candidate, in which relayed candidates do not say which address
/// lies behind the relay. RFC 8839 section 5.1 wants `raddr` for diagnostics only; whoever chose to be
/// reached over relays alone did so to keep that address to himself.
pub fn without_addresses_behind_relays(text: &str) -> String {
    text.split_inclusive('\n').map(without_address_behind_relay).collect()
}

fn without_address_behind_relay(line: &str) -> String {
    let of_relay = line.contains(" typ relay");
    let Some((before, related)) = line.split_once(" raddr ").filter(|_| of_relay) else {
        return line.to_owned();
    };
    // ADDRESS " rport " PORT, then perhaps more.
    let port = related.split_once(" rport ").map_or("", |(_, port)| port);
    let rest = port.find([' ', '\r', '\n']).map_or("", |end| &port[end..]);
    format!("{before}{rest}")
}

/// Who opens the DTLS handshake (RFC 8842 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Opens it: the client.
    Active,
    /// Waits for it: the server.
    Passive,
    /// An offer that leaves it to the answer.
    ActPass,
}

impl Setup {
    /// What a description says.
    pub fn of(sdp: &str) -> Option<Self> {
        match attribute(sdp, "setup")? {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "actpass" => Some(Self::ActPass),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::ActPass => "actpass",
        }
    }

    /// The same description with this in every media section.
    pub fn write_into(self, sdp: &str) -> String {
        let mut out = String::with_capacity(sdp.len() + 8);
        for line in sdp.split_inclusive('\n') {
            if line.starts_with("a=setup:") {
                out.push_str("a=setup:");
                out.push_str(self.as_str());
                out.push_str("\r\n");
            } else {
                out.push_str(line);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SDP: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=setup:active\r\na=ice-ufrag:Ab1\r\n\
        a=fingerprint:sha-256 AA:BB\r\na=rtpmap:111 opus/48000/2\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n\
        a=setup:active\r\na=rtpmap:96 VP8/90000\r\n";

    #[test]
    fn the_facts_are_found() {
        assert_eq!(ufrag(SDP), Some("Ab1"));
        assert_eq!(fingerprint(SDP), Some("sha-256 AA:BB"));
        assert_eq!(first_mid(SDP), Some("0"));
        assert_eq!(payload_type(SDP, "vp8"), Some(96));
        assert_eq!(payload_type(SDP, "opus"), Some(111));
        assert_eq!(payload_type(SDP, "H264"), None);
        assert_eq!(Setup::of(SDP), Some(Setup::Active));
    }

    #[test]
    fn the_role_is_changed_in_every_section_and_nothing_else() {
        let changed = Setup::Passive.write_into(SDP);
        assert_eq!(changed, SDP.replace("setup:active", "setup:passive"));
    }

    #[test]
    fn a_relayed_candidate_does_not_say_who_is_behind_it() {
        let sdp = "a=candidate:1 1 udp 9 192.0.2.1 5 typ srflx raddr 10.0.0.1 rport 7\r\n\
            a=candidate:2 1 udp 2 192.0.2.9 5 typ relay raddr 192.0.2.1 rport 7 ufrag x\r\na=mid:0\r\n";
        let expected = "a=candidate:1 1 udp 9 192.0.2.1 5 typ srflx raddr 10.0.0.1 rport 7\r\n\
            a=candidate:2 1 udp 2 192.0.2.9 5 typ relay ufrag x\r\na=mid:0\r\n";
        assert_eq!(without_addresses_behind_relays(sdp), expected);
        let alone = "candidate:2 1 udp 2 192.0.2.9 5 typ relay raddr 192.0.2.1 rport 7";
        assert_eq!(without_addresses_behind_relays(alone), "candidate:2 1 udp 2 192.0.2.9 5 typ relay");
    }

    #[test]
    fn only_candidates_of_the_second_component_go() {
        let sdp =
            "a=candidate:1 1 udp 2 192.0.2.1 5 typ host\r\na=candidate:1 2 udp 2 192.0.2.1 5 typ host\r\n";
        assert_eq!(without_rtcp_candidates(sdp), "a=candidate:1 1 udp 2 192.0.2.1 5 typ host\r\n");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "(a=(setup|mid|rtpmap|ice-ufrag|fingerprint)?[: ]?[ -~é]{0,12}\r?\n){0,8}") {
            let _ = (ufrag(&text), fingerprint(&text), first_mid(&text), payload_type(&text, "VP8"));
            let _ = Setup::of(&Setup::Passive.write_into(&text));
        }
    }
}
