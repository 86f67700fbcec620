//! Nonces that need no memory: the time, and a signature over it and the client's address.

use std::{net::SocketAddr, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::secret::Key;

/// How long a nonce is good for. A client with an old one is told a new one (438).
const LIFETIME: Duration = Duration::from_secs(3600);

/// Bytes of the signature that are sent.
const TAG: usize = 12;

/// Makes and checks nonces.
#[derive(Clone, Debug)]
pub struct Nonces {
    key: Key,
}

impl Nonces {
    /// Nonces signed with `key`.
    pub fn new(key: Key) -> Self {
        Self { key }
    }

    /// A nonce for `client`.
    pub fn issue(&self, client: SocketAddr, now: Duration) -> String {
        let time = now.as_secs().to_be_bytes();
        let tag = self.key.sign(&[&time, client.to_string().as_bytes()]);
        URL_SAFE_NO_PAD.encode([&time[..], &tag[..TAG]].concat())
    }

    /// Whether `nonce` was made for `client` and is not too old.
    pub fn accepts(&self, nonce: &str, client: SocketAddr, now: Duration) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
        let Some((time, tag)) = bytes.split_first_chunk::<8>() else { return false };
        let made = Duration::from_secs(u64::from_be_bytes(*time));
        let is_recent = made <= now && now - made < LIFETIME;
        is_recent && tag.len() == TAG && self.key.verify(&[time, client.to_string().as_bytes()], tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_nonce_is_good_for_its_client_and_its_time() {
        let nonces = Nonces::new(Secret::random().key("nonce"));
        let nonce = nonces.issue(address("192.0.2.1:5"), NOW);
        assert!(nonces.accepts(&nonce, address("192.0.2.1:5"), NOW));
        assert!(nonces.accepts(&nonce, address("192.0.2.1:5"), NOW + LIFETIME / 2));
        assert!(!nonces.accepts(&nonce, address("192.0.2.1:6"), NOW));
        assert!(!nonces.accepts(&nonce, address("192.0.2.1:5"), NOW + LIFETIME));
        assert!(!nonces.accepts(&nonce, address("192.0.2.1:5"), NOW - Duration::from_secs(1)));
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_nonce(text in "\\PC{0,64}") {
            let nonces = Nonces::new(Secret::random().key("nonce"));
            prop_assert!(!nonces.accepts(&text, address("192.0.2.1:5"), NOW));
        }
    }
}
