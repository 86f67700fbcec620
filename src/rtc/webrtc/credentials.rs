//! The name and password of a server, and how a request is signed with them (RFC 8489 section 9.2).
//!
//! The crate signs its own requests. It gives a server up whose first nonce is stale, and waits half
//! a lifetime before it signs a refresh anew; so this is done in its place ([`super::talk`]).

use std::fmt;
use std::sync::Arc;

use ::rtc::crypto;
use ::rtc::stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME, AttrType};
use ::rtc::stun::fingerprint::FINGERPRINT;
use ::rtc::stun::integrity::MessageIntegrity;
use ::rtc::stun::message::{Message as Draft, Setter, TransactionId as DraftId};
use ::rtc::stun::textattrs::TextAttribute;
use arc_swap::ArcSwap;
use signaling_protocol::IceServer;

use crate::rtc::stun::message::{Message, TransactionId, renamed};

/// What a signature consists of, in the order of the RFC: USERNAME, REALM, NONCE, MESSAGE-INTEGRITY and
/// its successor, FINGERPRINT.
const SIGNATURE: [u16; 6] = [0x0006, 0x0014, 0x0015, 0x0008, 0x001c, 0x8028];

/// What a server wants to be answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
}

impl Challenge {
    /// What `message` says, or was signed with; its realm is `before` if it names none.
    pub fn of(message: &Message<'_>, before: Option<&[u8]>) -> Option<Self> {
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).ok();
        Some(Self { realm: text(message.realm().or(before)?)?, nonce: text(message.nonce()?)? })
    }
}

/// Name and password as they are now; clones see the newest.
#[derive(Clone, Default)]
pub struct Credentials(Arc<ArcSwap<(String, String)>>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Takes over those of a list of servers.
    pub fn set(&self, server: &IceServer) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        self.0.store(Arc::new((text(&server.username), text(&server.credential))));
    }

    /// `request` as transaction `id`, signed as `challenge` wants it; `None` when it cannot be.
    pub fn sign(&self, request: &[u8], id: TransactionId, challenge: &Challenge) -> Option<Vec<u8>> {
        let request = renamed(request, id)?;
        let message = Message::parse(&request)?;
        let (username, password) = &**self.0.load();
        let provider = crypto::default_provider().ok()?;
        let Challenge { realm, nonce } = challenge;
        let integrity = MessageIntegrity::new_long_term_integrity_with_provider(
            username.clone(),
            realm.clone(),
            password.clone(),
            provider.crypto(),
        );
        let mut draft = Draft::new();
        draft.typ.read_value(u16::from_be_bytes([request[0], request[1]]));
        draft.transaction_id = DraftId(id);
        draft.write_header();
        for (kind, value) in message.attributes().filter(|(kind, _)| !SIGNATURE.contains(kind)) {
            draft.add(AttrType(kind), value);
        }
        for (kind, text) in [(ATTR_USERNAME, username), (ATTR_REALM, realm), (ATTR_NONCE, nonce)] {
            TextAttribute::new(kind, text.clone()).add_to(&mut draft).ok()?;
        }
        integrity.ok()?.add_to(&mut draft).ok()?;
        FINGERPRINT.add_to(&mut draft).ok()?;
        Some(draft.raw)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A name and a password.
    pub fn credentials() -> Credentials {
        let credentials = Credentials::default();
        credentials.set(&IceServer {
            urls: Vec::new(),
            username: Some("ada".to_owned()),
            credential: Some("secret".to_owned()),
        });
        credentials
    }

    /// Whether the request is signed with [`credentials`] of the realm.
    pub fn is_signed(request: &[u8], realm: &str) -> bool {
        let mut message = Draft::new();
        message.raw = request.to_vec();
        message.decode().expect("a message");
        let provider = crypto::default_provider().expect("ring");
        let words = ["ada", realm, "secret"].map(str::to_owned);
        let [name, realm, password] = words;
        let key = MessageIntegrity::long_term_integrity_key(name, realm, password, provider.crypto());
        MessageIntegrity::check(&mut message, &key.expect("MD5"), provider.crypto()).is_ok()
    }

    #[test]
    fn a_request_is_signed_anew_with_another_nonce_and_keeps_what_it_asks_for() {
        // CreatePermission for [2001:db8::7]:9, signed by nobody.
        let mut request = vec![0x00, 0x08, 0, 24, 0x21, 0x12, 0xa4, 0x42];
        request.extend([3; 12]);
        request.extend([0x00, 0x12, 0, 20, 0, 2, 0x21, 0x1b]);
        let ip = [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let mask = [[0x21, 0x12, 0xa4, 0x42].as_slice(), &[3; 12]].concat();
        request.extend(ip.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        let peer = Message::parse(&request).and_then(|message| message.peer());
        assert_eq!(peer, "[2001:db8::7]:9".parse().ok());
        let challenge = Challenge { realm: "here".to_owned(), nonce: "new".to_owned() };
        let first = credentials().sign(&request, [4; 12], &challenge).expect("signed");
        let again = Challenge { nonce: "newer".to_owned(), ..challenge };
        let signed = credentials().sign(&first, [5; 12], &again).expect("signed");
        let message = Message::parse(&signed).expect("a message");
        assert_eq!((message.id, message.peer()), ([5; 12], peer));
        assert_eq!((message.username(), message.nonce()), (Some(&b"ada"[..]), Some(&b"newer"[..])));
        assert!(is_signed(&signed, "here") && !is_signed(&signed, "there"));
        assert_eq!(message.attributes().count(), 6, "nothing twice");
    }
}
