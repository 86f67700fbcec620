//! The resume token: a signed statement of the server about a session, kept by its client.
//!
//! A running server finds the session by it. A restarted one has forgotten everything but its
//! secret, and puts sessions and rooms together again from what the tokens say.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use signaling_protocol::{Admission, PeerId, RoomId};

use crate::secret::Key;

/// Tokens older than this are refused; the server renews them long before.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What the server knows about a participant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Who.
    pub peer: PeerId,
    /// The name that the person gave.
    pub name: String,
    /// Which session of that participant.
    pub serial: String,
    /// Unix seconds.
    pub expires: u64,
    /// The room that the participant is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomTicket>,
}

/// What the server knows about a participant's room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomTicket {
    /// Which room.
    pub room: RoomId,
    /// Who may change it.
    pub owner: PeerId,
    /// Whether newcomers need consent.
    pub admission: Admission,
    /// Nobody new may knock.
    pub locked: bool,
    /// Most members.
    pub max: usize,
    /// Age of the statement about the members.
    pub epoch: u64,
    /// Everybody inside, the participant included.
    pub members: Vec<(PeerId, String)>,
}

/// Why a text is not a token of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token is not one of this server's, or too old")]
pub struct BadTicket;

impl Ticket {
    /// The token.
    pub fn seal(&self, key: &Key) -> String {
        let body = serde_json::to_vec(self).unwrap_or_default();
        let tag = key.sign(&[&body]);
        format!("{}.{}", URL_SAFE_NO_PAD.encode(body), URL_SAFE_NO_PAD.encode(tag))
    }

    /// Reads a token.
    pub fn unseal(text: &str, key: &Key, now: Duration) -> Result<Self, BadTicket> {
        let (body, tag) = text.split_once('.').ok_or(BadTicket)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| BadTicket)?;
        let tag: [u8; 32] =
            URL_SAFE_NO_PAD.decode(tag).ok().and_then(|tag| tag.try_into().ok()).ok_or(BadTicket)?;
        if !key.verify(&[&body], &tag) {
            return Err(BadTicket);
        }
        let ticket: Self = serde_json::from_slice(&body).map_err(|_| BadTicket)?;
        if ticket.expires <= now.as_secs() {
            return Err(BadTicket);
        }
        Ok(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn ticket() -> Ticket {
        let ada = PeerId::new("ada").expect("valid");
        Ticket {
            peer: ada.clone(),
            name: "Ada \"A\" Lovelace".into(),
            serial: "serial".into(),
            expires: (NOW + LIFETIME).as_secs(),
            room: Some(RoomTicket {
                room: RoomId::new("r").expect("valid"),
                owner: ada.clone(),
                admission: Admission::Knock,
                locked: true,
                max: 2,
                epoch: 7,
                members: vec![(ada, "Ada".into())],
            }),
        }
    }

    #[test]
    fn a_token_says_what_was_put_into_it_until_it_expires() {
        let key = Secret::random().key("resume");
        let text = ticket().seal(&key);
        assert_eq!(Ticket::unseal(&text, &key, NOW), Ok(ticket()));
        assert_eq!(Ticket::unseal(&text, &key, NOW + LIFETIME), Err(BadTicket));
    }

    #[test]
    fn another_server_does_not_take_it() {
        let text = ticket().seal(&Secret::random().key("resume"));
        assert_eq!(Ticket::unseal(&text, &Secret::random().key("resume"), NOW), Err(BadTicket));
    }

    proptest! {
        #[test]
        fn no_other_text_is_a_token(text in "\\PC{0,200}") {
            prop_assert_eq!(Ticket::unseal(&text, &Secret::random().key("resume"), NOW), Err(BadTicket));
        }

        #[test]
        fn a_token_with_any_character_changed_is_refused(at in 0usize..400, with in "[A-Za-z0-9_-]") {
            let key = Secret::random().key("resume");
            let mut text = ticket().seal(&key);
            let at = at % text.len();
            prop_assume!(text[at..=at] != with && &text[at..=at] != ".");
            text.replace_range(at..=at, &with);
            prop_assert_eq!(Ticket::unseal(&text, &key, NOW), Err(BadTicket));
        }
    }
}
