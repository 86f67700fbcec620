//! The messages of the chat channel: JSON, one object a message (`docs/channels.md`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of UTF-8 that one text may have: two printed pages.
pub const LONGEST_TEXT: usize = 8_000;

/// Bytes that a message may have: a text in which every character is escaped, and its frame.
const LONGEST_MESSAGE: usize = 6 * LONGEST_TEXT + 256;

/// Said to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Message {
    /// Something written.
    Text {
        /// At most [`LONGEST_TEXT`].
        text: String,
    },
    /// Something is being written.
    Typing,
    /// A hand goes up, or down.
    Hand {
        /// Up.
        up: bool,
    },
    /// A reaction to what is said or shown.
    Reaction {
        /// Which.
        reaction: Reaction,
    },
    /// Whether one may point at the sender's screen. One may until something else is said.
    Pointing {
        /// One may.
        allowed: bool,
    },
}

/// What can be shown in a moment, without words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Reaction {
    ThumbsUp,
    Heart,
    Laugh,
    Wow,
    Party,
    Clap,
}

impl Reaction {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 6] = [Self::ThumbsUp, Self::Heart, Self::Laugh, Self::Wow, Self::Party, Self::Clap];
}

/// Why a message of a stranger is not used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than anything we read.
    #[error("it has {0} bytes; {LONGEST_TEXT} is the most")]
    TooLong(usize),
    /// Another version's, or nonsense.
    #[error("it cannot be read")]
    Unreadable,
}

impl Message {
    /// Its bytes.
    pub fn write(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Reads what a stranger sent.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > LONGEST_MESSAGE {
            return Err(MessageError::TooLong(bytes.len()));
        }
        match serde_json::from_slice(bytes) {
            Ok(Message::Text { text }) if text.len() > LONGEST_TEXT => Err(MessageError::TooLong(text.len())),
            Ok(message) => Ok(message),
            Err(_) => Err(MessageError::Unreadable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wire_format_is_as_documented() {
        let check = |message: Message, json: &str| {
            assert_eq!(message.write(), json.as_bytes());
            assert_eq!(Message::parse(json.as_bytes()), Ok(message));
        };
        check(Message::Text { text: "hi".into() }, r#"{"t":"text","text":"hi"}"#);
        check(Message::Typing, r#"{"t":"typing"}"#);
        check(Message::Pointing { allowed: false }, r#"{"t":"pointing","allowed":false}"#);
        check(Message::Hand { up: true }, r#"{"t":"hand","up":true}"#);
        check(
            Message::Reaction { reaction: Reaction::ThumbsUp },
            r#"{"t":"reaction","reaction":"thumbs_up"}"#,
        );
    }

    #[test]
    fn what_is_too_long_or_unknown_is_refused_in_words() {
        let long = Message::Text { text: "x".repeat(LONGEST_TEXT + 1) }.write();
        assert_eq!(Message::parse(&long).unwrap_err().to_string(), "it has 8001 bytes; 8000 is the most");
        assert!(matches!(Message::parse(&vec![b'x'; 10 << 20]), Err(MessageError::TooLong(_))));
        for bad in ["", "7", r#"{"t":"text"}"#, r#"{"t":"teleport"}"#, r#"{"t":"hand","up":"yes"}"#] {
            assert_eq!(Message::parse(bad.as_bytes()), Err(MessageError::Unreadable), "{bad}");
        }
        let most = Message::Text { text: "\u{1}".repeat(LONGEST_TEXT) };
        assert_eq!(Message::parse(&most.write()), Ok(most));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(0..=255_u8, 0..200)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn every_text_arrives_as_it_was_written(text in "\\PC{0,80}") {
            let message = Message::Text { text };
            prop_assert_eq!(Message::parse(&message.write()), Ok(message));
        }
    }
}
