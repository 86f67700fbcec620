//! The link's secret vouches for the certificates of both sides.
//!
//! The server relays the session descriptions and could put its own certificate fingerprints into
//! them. So each description carries an HMAC-SHA256 (RFC 2104) under the link's secret over the
//! room, the direction, and every `a=fingerprint` line (RFC 8122) in the order in which they stand.
//! Whoever does not have the link cannot make one. A description without any fingerprint has no
//! proof: DTLS could not check it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use signaling_protocol::RoomId;

use crate::link::Secret;
use crate::rtc::DescriptionKind;

/// Separates this use of the secret from any later one.
const CONTEXT: &[u8] = b"sightline proof v1";

/// Vouches for a description; `None` if it has no fingerprint.
pub fn make(secret: &Secret, room: &RoomId, kind: DescriptionKind, sdp: &str) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(mac(secret, room, kind, sdp)?.finalize().into_bytes()))
}

/// Whether the proof of a description is right. Takes the same time for every wrong one.
pub fn holds(secret: &Secret, room: &RoomId, kind: DescriptionKind, sdp: &str, proof: &str) -> bool {
    let Ok(claimed) = URL_SAFE_NO_PAD.decode(proof) else { return false };
    mac(secret, room, kind, sdp).is_some_and(|mac| mac.verify_slice(&claimed).is_ok())
}

fn mac(secret: &Secret, room: &RoomId, kind: DescriptionKind, sdp: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    let direction: &[u8] = match kind {
        DescriptionKind::Offer => b"offer",
        DescriptionKind::Answer => b"answer",
    };
    let mut field = |bytes: &[u8]| {
        mac.update(&(bytes.len() as u64).to_be_bytes());
        mac.update(bytes);
    };
    field(CONTEXT);
    field(room.as_str().as_bytes());
    field(direction);
    let mut any = false;
    for value in fingerprints(sdp) {
        any = true;
        field(value.as_bytes());
    }
    any.then_some(mac)
}

/// The values of all `a=fingerprint` lines. The attribute's name is matched without regard to case
/// and surrounding blanks, so that a parser more liberal than this one cannot be fed another.
fn fingerprints(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.split(['\r', '\n']).filter_map(|line| {
        let attribute = line.trim_start().strip_prefix(['a', 'A'])?.trim_start().strip_prefix('=')?;
        let (name, value) = attribute.split_once(':')?;
        name.trim().eq_ignore_ascii_case("fingerprint").then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SDP: &str = "v=0\r\na=fingerprint:sha-256 AB:CD\r\nm=audio 9 X 0\r\na=mid:0\r\n";

    fn secret(byte: u8) -> Secret {
        Secret::from_bytes([byte; 16])
    }

    fn room(text: &str) -> RoomId {
        RoomId::new(text).expect("a room")
    }

    fn check(sdp: &str) -> bool {
        let proof = make(&secret(1), &room("r"), DescriptionKind::Offer, SDP).expect("a proof");
        holds(&secret(1), &room("r"), DescriptionKind::Offer, sdp, &proof)
    }

    #[test]
    fn a_proof_holds_for_its_own_description() {
        assert!(check(SDP));
    }

    #[test]
    fn candidates_and_media_lines_may_change_but_no_fingerprint() {
        assert!(check(&SDP.replace("a=mid:0", "a=candidate:1")));
        assert!(!check(&SDP.replace("AB:CD", "AB:CE")));
        assert!(!check(&format!("{SDP}a=fingerprint:sha-256 00:11\r\n")));
        assert!(!check(&format!("{SDP}A=Fingerprint : sha-1 00\n")));
        assert!(!check(&SDP.replace("a=fingerprint", "b=fingerprint")));
        assert!(!check(""));
    }

    #[test]
    fn a_proof_belongs_to_one_secret_room_and_direction() {
        let proof = make(&secret(1), &room("r"), DescriptionKind::Offer, SDP).expect("a proof");
        assert!(!holds(&secret(2), &room("r"), DescriptionKind::Offer, SDP, &proof));
        assert!(!holds(&secret(1), &room("s"), DescriptionKind::Offer, SDP, &proof));
        assert!(!holds(&secret(1), &room("r"), DescriptionKind::Answer, SDP, &proof));
        assert!(!holds(&secret(1), &room("r"), DescriptionKind::Offer, SDP, &proof[1..]));
        assert!(!holds(&secret(1), &room("r"), DescriptionKind::Offer, SDP, ""));
    }

    #[test]
    fn a_description_without_fingerprint_cannot_be_vouched_for() {
        assert_eq!(make(&secret(1), &room("r"), DescriptionKind::Offer, "v=0\r\n"), None);
        assert!(!holds(&secret(1), &room("r"), DescriptionKind::Offer, "v=0\r\n", ""));
    }

    proptest! {
        #[test]
        fn no_text_from_a_stranger_is_taken_for_a_proof(sdp in "\\PC{0,200}", proof in "\\PC{0,60}") {
            prop_assert!(!holds(&secret(1), &room("r"), DescriptionKind::Answer, &sdp, &proof));
        }
    }
}
