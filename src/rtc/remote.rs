//! The other side's end of a connection, as far as descriptions and candidates tell of it, and how much
//! of them is looked at: they come from a stranger.
//!
//! It does not know what is done with a candidate that it admits.

use std::collections::VecDeque;

use super::engine::Candidate;
use super::sdp;

/// Candidates kept until their description comes; when full, the oldest goes.
const HELD: usize = 64;

/// Candidates used of one ICE generation of the other side; more only cost checks.
const MOST_CANDIDATES: usize = 64;

/// Longest candidate line and description that we look at.
const LONGEST_CANDIDATE: usize = 512;
/// See [`LONGEST_CANDIDATE`]; what signaling carries at most.
const LONGEST_DESCRIPTION: usize = signaling_protocol::MAX_SIGNAL;

/// Media sections that a description may have: ours have up to five, a browser's a few more.
const MOST_SECTIONS: usize = 16;

/// See the module.
#[derive(Default)]
pub struct Remote {
    described: Option<Described>,
    /// Candidates of a description that has not come yet.
    held: VecDeque<Candidate>,
}

/// What we know of the latest description.
struct Described {
    fingerprint: Option<String>,
    ufrag: Option<String>,
    candidates: usize,
}

impl Remote {
    /// Whether a description has come.
    pub fn is_described(&self) -> bool {
        self.described.is_some()
    }

    /// Whether a description comes from another end than the one that is known.
    pub fn is_elsewhere(&self, description: &str) -> bool {
        let known = self.described.as_ref().map(|known| known.fingerprint.as_deref());
        known.is_some_and(|known| known != sdp::fingerprint(description))
    }

    /// A description is in place; gives back the candidates that came before it.
    pub fn describe(&mut self, description: &str) -> VecDeque<Candidate> {
        let ufrag = sdp::ufrag(description).map(str::to_owned);
        let known = self.described.take();
        let candidates = known.filter(|known| known.ufrag == ufrag).map_or(0, |known| known.candidates);
        let fingerprint = sdp::fingerprint(description).map(str::to_owned);
        self.described = Some(Described { fingerprint, ufrag, candidates });
        std::mem::take(&mut self.held)
    }

    /// Gives a candidate back that can be used now; keeps one that comes before its description, and
    /// drops what is of no use or too much.
    pub fn admit(&mut self, candidate: Candidate) -> Option<Candidate> {
        if !is_usable(&candidate.candidate) {
            return None;
        }
        let fits = |known: &Described| candidate.ufrag.is_none() || candidate.ufrag == known.ufrag;
        let Some(known) = self.described.as_mut().filter(|known| fits(known)) else {
            if self.held.len() == HELD {
                self.held.pop_front();
            }
            self.held.push_back(candidate);
            return None;
        };
        known.candidates += 1;
        (known.candidates <= MOST_CANDIDATES).then_some(candidate)
    }
}

/// Refuses what costs time or memory before the engine looks at it.
pub fn check_description(sdp: &str) -> Result<(), &'static str> {
    if sdp.len() > LONGEST_DESCRIPTION {
        return Err("it is too long");
    }
    if sdp.lines().filter(|line| line.starts_with("m=")).count() > MOST_SECTIONS {
        return Err("it has too many media sections");
    }
    if sdp.lines().filter(|line| line.starts_with("a=candidate:")).count() > MOST_CANDIDATES {
        return Err("it has too many candidates");
    }
    if sdp::fingerprint(sdp).is_none() {
        return Err("it names no certificate");
    }
    Ok(())
}

/// UDP candidates with an address; the engine would open TCP connections to wherever it is told,
/// and `.local` names are found by the checks themselves.
fn is_usable(candidate: &str) -> bool {
    if candidate.len() > LONGEST_CANDIDATE {
        return false;
    }
    let mut fields = candidate.split_ascii_whitespace();
    let protocol = fields.nth(2);
    let address = fields.nth(1);
    protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("udp"))
        && address.is_some_and(|address| !address.ends_with(".local"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(number: usize, ufrag: Option<&str>) -> Candidate {
        let candidate = format!("candidate:{number} 1 udp 1 192.0.2.1 {} typ host", 1_000 + number);
        Candidate { candidate, mid: None, ufrag: ufrag.map(str::to_owned) }
    }

    #[test]
    fn candidates_wait_for_their_description_and_a_flood_of_them_is_cut() {
        let mut remote = Remote::default();
        for number in 0..HELD + 3 {
            assert!(remote.admit(candidate(number, Some("u"))).is_none());
        }
        let held = remote.describe("a=fingerprint:sha-256 AA\r\na=ice-ufrag:u\r\n");
        assert_eq!(held.front(), Some(&candidate(3, Some("u"))));
        let used = held.into_iter().filter_map(|candidate| remote.admit(candidate)).count();
        assert_eq!(used, HELD);
        assert!(remote.admit(candidate(0, None)).is_none(), "one more than are used");
        // A new generation may have as many again; the old one's are not taken for its own.
        remote.describe("a=fingerprint:sha-256 AA\r\na=ice-ufrag:v\r\n");
        assert!(remote.admit(candidate(0, Some("u"))).is_none());
        assert!(remote.admit(candidate(0, Some("v"))).is_some());
    }

    #[test]
    fn another_certificate_is_another_end() {
        let mut remote = Remote::default();
        assert!(!remote.is_elsewhere("a=fingerprint:sha-256 BB\r\n"), "nothing is known yet");
        remote.describe("a=fingerprint:sha-256 AA\r\n");
        assert!(!remote.is_elsewhere("a=fingerprint:sha-256 AA\r\n"));
        assert!(remote.is_elsewhere("a=fingerprint:sha-256 BB\r\n"));
    }

    #[test]
    fn only_udp_candidates_with_an_address_are_used() {
        assert!(is_usable("candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"));
        assert!(is_usable("candidate:1 1 UDP 2130706431 2001:db8::1 5000 typ host"));
        assert!(!is_usable("candidate:1 1 tcp 1 192.0.2.1 22 typ host tcptype passive"));
        assert!(!is_usable("candidate:1 1 udp 1 0a1b.local 5000 typ host"));
        assert!(!is_usable(""));
    }

    #[test]
    fn descriptions_that_only_cost_time_are_refused() {
        let good = "v=0\r\na=fingerprint:sha-256 AA\r\n";
        assert_eq!(check_description(good), Ok(()));
        assert!(check_description("v=0\r\n").is_err());
        assert!(check_description(&format!("{good}{}", "m=audio 9 RTP 0\r\n".repeat(17))).is_err());
        assert!(check_description(&format!("{good}{}", "a=candidate:1 1 udp\r\n".repeat(65))).is_err());
        assert!(check_description(&good.repeat(2_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_candidate_is_too_strange(text in "[ -~é]{0,80}") {
            let _ = is_usable(&text);
        }
    }
}
