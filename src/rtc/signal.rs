//! What two participants' transports tell one another by way of the signaling server.

use serde::{Deserialize, Serialize};

/// A message for the other side's transport, relayed by the signaling server, which does not look
/// inside. Follows perfect negotiation (W3C webrtc-pc section 10.7).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "k", rename_all = "snake_case")]
pub enum Signal {
    /// A session description.
    Description {
        /// Offer or answer.
        #[serde(rename = "type")]
        kind: DescriptionKind,
        /// SDP (RFC 8866).
        sdp: String,
        /// Authenticates the certificate fingerprints inside by the link's secret; see
        /// `call::proof`. Filled in and checked by the engine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
        /// The sender can have two connections at once, and move media from one to the other.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        moves: bool,
        /// The sender knows what to do with a screen beside the camera.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        screens: bool,
        /// The sender knows that a screen can have a sound of its own, beside the microphone's.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        screen_sound: bool,
        /// The sender goes over to this connection as soon as it is up. Without it, the connection is
        /// brought up to see whether it is better than the one in use.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        replaces: bool,
        /// Which connection is described.
        #[serde(default, skip_serializing_if = "ConnectionNumber::is_first")]
        connection: ConnectionNumber,
    },
    /// A trickled candidate (RFC 8838).
    Candidate {
        /// The `candidate:` attribute, without `a=`.
        candidate: String,
        /// The media identification it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mid: Option<String>,
        /// The username fragment of the ICE generation it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ufrag: Option<String>,
        /// Which connection it is for.
        #[serde(default, skip_serializing_if = "ConnectionNumber::is_first")]
        connection: ConnectionNumber,
    },
    /// No more candidates of this ICE generation.
    EndOfCandidates {
        /// The username fragment of the ICE generation that is complete.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ufrag: Option<String>,
        /// Which connection it is about.
        #[serde(default, skip_serializing_if = "ConnectionNumber::is_first")]
        connection: ConnectionNumber,
    },
}

/// Which of the connections between two participants, counted from 0 in the order in which they
/// were begun. Both sides count together: who begins one takes the number after the newest that it
/// knows; when both begin one at the same moment, both offers are about the same connection, and
/// perfect negotiation settles whose counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectionNumber(u32);

impl ConnectionNumber {
    /// The one that a call begins with; it is left out of signals.
    pub const FIRST: Self = Self(0);

    /// A side may have begun so many that the other never heard of, while signaling was away.
    const FARTHEST: u32 = 1_000;

    /// Whether it is the one that a call begins with.
    pub fn is_first(&self) -> bool {
        *self == Self::FIRST
    }

    /// The one after it; `None` after four thousand million.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// Whether it can be one that the other side has begun after `newest`.
    pub fn follows(self, newest: Self) -> bool {
        self > newest && self.0 - newest.0 <= Self::FARTHEST
    }
}

impl std::fmt::Display for ConnectionNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Signal {
    /// Which connection it is about.
    pub fn connection(&self) -> ConnectionNumber {
        match self {
            Self::Description { connection, .. }
            | Self::Candidate { connection, .. }
            | Self::EndOfCandidates { connection, .. } => *connection,
        }
    }
}

/// Offer or answer (RFC 3264).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DescriptionKind {
    /// Proposes a session.
    Offer,
    /// Accepts one.
    Answer,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn json(signal: &Signal) -> String {
        serde_json::to_string(signal).unwrap()
    }

    #[test]
    fn the_first_connection_is_not_numbered_and_an_unnumbered_signal_is_about_the_first() {
        let first = Signal::EndOfCandidates { ufrag: None, connection: ConnectionNumber::FIRST };
        assert_eq!(json(&first), r#"{"k":"end_of_candidates"}"#);
        assert_eq!(serde_json::from_str::<Signal>(&json(&first)).unwrap(), first);
        let second = Signal::EndOfCandidates { ufrag: None, connection: ConnectionNumber(1) };
        assert_eq!(json(&second), r#"{"k":"end_of_candidates","connection":1}"#);
    }

    #[test]
    fn a_side_of_an_earlier_version_does_not_move_and_sees_and_hears_no_screens() {
        let text = r#"{"k":"description","type":"offer","sdp":"v=0"}"#;
        let Signal::Description { moves, screens, screen_sound, .. } = serde_json::from_str(text).unwrap()
        else {
            panic!()
        };
        assert!(!moves && !screens && !screen_sound);
    }

    #[test]
    fn only_a_number_a_little_after_the_newest_follows_it() {
        let at = ConnectionNumber;
        assert!(at(1).follows(at(0)) && at(9).follows(at(3)));
        assert!(!at(3).follows(at(3)) && !at(2).follows(at(3)));
        assert!(!at(u32::MAX).follows(at(0)), "nobody has begun so many that we never heard of");
        assert_eq!(at(u32::MAX).next(), None);
    }

    proptest! {
        #[test]
        fn any_signal_that_parses_is_one_that_we_could_have_sent(
            text in "\\{\"k\":\"(candidate|description|end_of_candidates)\"(,\"(type|sdp|proof|moves|screens|screen_sound|replaces|connection|candidate|mid|ufrag|[a-z]{1,9})\":(\"(offer|answer|[ -!#-Z^-~]{0,9})\"|null|true|false|-?[0-9]{1,11}|1.5)){0,5}\\}"
        ) {
            if let Ok(signal) = serde_json::from_str::<Signal>(&text) {
                prop_assert_eq!(serde_json::from_str::<Signal>(&json(&signal)).unwrap(), signal);
            }
        }
    }
}
