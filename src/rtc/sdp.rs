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

/// One media section of a description.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a>(&'a str);

/// The media sections of a description.
pub fn sections(sdp: &str) -> impl Iterator<Item = Section<'_>> {
    let starts =
        sdp.match_indices("m=").map(|(at, _)| at).filter(|at| *at == 0 || sdp[..*at].ends_with('\n'));
    let starts: Vec<usize> = starts.chain([sdp.len()]).collect();
    (1..starts.len()).map(move |n| Section(&sdp[starts[n - 1]..starts[n]]))
}

/// The sections for pictures that are not refused.
pub fn videos(sdp: &str) -> impl Iterator<Item = Section<'_>> {
    sections(sdp).filter(|section| section.0.starts_with("m=video ") && section.is_accepted())
}

/// The sections for sound that are not refused.
fn audios(sdp: &str) -> impl Iterator<Item = Section<'_>> {
    sections(sdp).filter(|section| section.0.starts_with("m=audio ") && section.is_accepted())
}

/// The section in which somebody sends a screen: ours say so, and in others' every section for pictures
/// after the first is one.
pub fn screen(sdp: &str) -> Option<Section<'_>> {
    let named = videos(sdp).find(|section| section.track() == Some(SCREEN));
    named.or_else(|| videos(sdp).skip(1).find(|section| section.sends()))
}

/// The same for the sound of a screen.
pub fn screen_sound(sdp: &str) -> Option<Section<'_>> {
    let named = audios(sdp).find(|section| section.track() == Some(SCREEN_SOUND));
    named.or_else(|| audios(sdp).skip(1).find(|section| section.sends()))
}

/// What our track of a screen is called in `a=msid`.
pub const SCREEN: &str = "screen";

/// What the track of its sound is called.
pub const SCREEN_SOUND: &str = "screen-sound";

impl<'a> Section<'a> {
    /// Whether it is used: a refused one has port 0 (RFC 3264 section 6).
    pub fn is_accepted(&self) -> bool {
        self.0.split_once(' ').is_some_and(|(_, rest)| !rest.starts_with("0 "))
    }

    /// Its media identification.
    pub fn mid(&self) -> Option<&'a str> {
        attribute(self.0, "mid")
    }

    /// The synchronisation source that it names first (RFC 5576).
    pub fn ssrc(&self) -> Option<u32> {
        attribute(self.0, "ssrc")?.split(' ').next()?.parse().ok()
    }

    /// The name of its track (RFC 8830).
    pub fn track(&self) -> Option<&'a str> {
        attribute(self.0, "msid")?.split(' ').nth(1)
    }

    /// The payload type of a codec.
    pub fn payload_type(&self, codec: &str) -> Option<u8> {
        payload_type(self.0, codec)
    }

    /// Whether whoever wrote it sends there.
    pub fn sends(&self) -> bool {
        !self.says("recvonly") && !self.says("inactive")
    }

    /// Whether whoever wrote it receives there.
    pub fn receives(&self) -> bool {
        !self.says("sendonly") && !self.says("inactive")
    }

    fn says(&self, flag: &str) -> bool {
        self.0.lines().any(|line| line.trim_end().strip_prefix("a=") == Some(flag))
    }
}

/// The same description with another codec in the first section for pictures, unless it is there or
/// its payload type is taken. `lines` are its attributes, `a=rtpmap:` first.
pub fn with_codec(sdp: &str, payload_type: u8, lines: &[&str]) -> String {
    let taken = |section: &Section| {
        let codec = lines.first().and_then(|line| line.split([' ', '/']).nth(1)).unwrap_or_default();
        section.payload_type(codec).is_some() || section.0.contains(&format!("a=rtpmap:{payload_type} "))
    };
    let Some(Section(section)) = videos(sdp).next().filter(|section| !taken(section)) else {
        return sdp.to_owned();
    };
    let end = section.as_ptr() as usize - sdp.as_ptr() as usize + section.len();
    let begin = end - section.len();
    let (line, rest) = section.split_once('\n').unwrap_or((section, ""));
    let mut out = format!("{}{} {payload_type}\r\n{rest}", &sdp[..begin], line.trim_end());
    if !out.ends_with('\n') {
        out.push_str("\r\n");
    }
    for line in lines {
        out.push_str(line);
        out.push_str("\r\n");
    }
    out + &sdp[end..]
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

    #[test]
    fn a_screen_is_what_is_called_so_or_a_second_picture() {
        assert!(screen(SDP).is_none());
        let second = format!(
            "{SDP}m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\na=mid:2\r\na=ssrc:77 cname:x\r\n\
            a=rtpmap:98 VP9/90000\r\na=sendonly\r\n"
        );
        let found = screen(&second).unwrap();
        assert_eq!((found.mid(), found.ssrc(), found.payload_type("VP9")), (Some("2"), Some(77), Some(98)));
        assert!(found.sends() && !found.receives());
        assert!(screen(&second.replace("sendonly", "inactive")).is_none());
        assert!(
            screen(&second.replace("m=video 9 UDP/TLS/RTP/SAVPF 96 98", "m=video 0 UDP/TLS/RTP/SAVPF 0"))
                .is_none()
        );
        let named = SDP.replace("a=rtpmap:96", "a=msid:sightline screen\r\na=rtpmap:96");
        assert_eq!(screen(&named).and_then(|section| section.mid()), Some("1"));
    }

    #[test]
    fn a_codec_is_added_to_the_first_section_for_pictures_and_once() {
        let lines = ["a=rtpmap:98 VP9/90000", "a=fmtp:98 profile-id=0"];
        let more = with_codec(SDP, 98, &lines);
        assert_eq!(videos(&more).next().unwrap().payload_type("VP9"), Some(98));
        assert!(more.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 98\r\n"));
        assert!(more.starts_with(&SDP[..SDP.find("m=video").unwrap()]));
        assert_eq!(with_codec(&more, 98, &lines), more);
        assert_eq!(with_codec(SDP, 96, &lines), SDP, "the payload type is another codec's");
        assert_eq!(with_codec("v=0\r\n", 98, &lines), "v=0\r\n");
    }

    proptest! {
        #[test]
        fn no_section_is_too_strange(
            text in "((m=(video|audio|v)? ?[0-9]? ?[ -~é]{0,12}|a=(mid|ssrc|msid|rtpmap|sendonly)?[: ]?[ -~é]{0,12})\r?\n?){0,9}"
        ) {
            if let Some(section) = screen(&text) {
                let _ = (section.mid(), section.ssrc(), section.payload_type("VP9"));
            }
            let more = with_codec(&text, 98, &["a=rtpmap:98 VP9/90000"]);
            prop_assert_eq!(videos(&text).count(), videos(&more).count());
        }

        #[test]
        fn no_text_is_too_strange(text in "(a=(setup|mid|rtpmap|ice-ufrag|fingerprint)?[: ]?[ -~é]{0,12}\r?\n){0,8}") {
            let _ = (ufrag(&text), fingerprint(&text), first_mid(&text), payload_type(&text, "VP8"));
            let _ = Setup::of(&Setup::Passive.write_into(&text));
        }
    }
}
