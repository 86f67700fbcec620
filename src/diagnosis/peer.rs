//! What each side tells the other about itself, so that a sentence can say whose network it is.
//!
//! Enumerated values only: no address, no name, no free text leaves (`docs/protocol.md`, `facts`).
//! Sent after acceptance, when something in it has changed. A value of a later version reads as
//! unknown.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::facts::{Facts, IceServerFacts, LimitSeen, SignalingLink, Stream};

/// What lasts so long is told.
const SETTLED: Duration = Duration::from_secs(3);

macro_rules! enumerated {
    ($(#[$about:meta])* $name:ident { $($(#[$of:meta])* $value:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$of])* $value,)*
            /// Not known yet, or a value of a later version.
            #[default]
            #[serde(other)]
            Unknown,
        }
    };
}

enumerated! {
    /// How a NAT gives out ports (RFC 4787 section 4.1).
    NatKind {
        /// No NAT: the address outside is one of ours.
        Open,
        /// One port outside, whoever is spoken to.
        EndpointIndependent,
        /// Another port for each server ("symmetric").
        EndpointDependent,
    }
}

enumerated! {
    /// Whether UDP gets out.
    Udp {
        /// A server answered over UDP.
        Works,
        /// No server did.
        Blocked,
    }
}

enumerated! {
    /// How it stands with the relay.
    Relay {
        /// None is configured.
        Missing,
        /// It gave us an address.
        Works,
        /// It refused us.
        Refused,
        /// It does not answer.
        Silent,
    }
}

enumerated! {
    /// What becomes of connectivity checks.
    ChecksSeen {
        /// The other side's checks arrive here.
        Arrive,
        /// None of them did.
        NoneArrive,
    }
}

enumerated! {
    /// What arrives of the other side's sound or picture.
    Arrival {
        /// Packets arrive and are played or shown.
        Plays,
        /// Packets arrive, but nothing can be decoded.
        Undecodable,
        /// Nothing arrives.
        Nothing,
    }
}

enumerated! {
    /// What keeps a sent picture small.
    Limit {
        /// Nothing.
        None,
        /// The processor.
        Cpu,
        /// The upload.
        Bandwidth,
    }
}

enumerated! {
    /// The microphone.
    Voice {
        /// Sound comes from it.
        Heard,
        /// It is on, but gives silence.
        Silent,
        /// Switched off by the person.
        Muted,
        /// There is none, or it cannot be used.
        Unusable,
    }
}

/// A side's facts about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerFacts {
    /// Its NAT.
    #[serde(default)]
    pub nat: NatKind,
    /// Whether UDP gets out of its network.
    #[serde(default)]
    pub udp: Udp,
    /// Its relay.
    #[serde(default)]
    pub relay: Relay,
    /// Whether our checks arrive there.
    #[serde(default)]
    pub checks: ChecksSeen,
    /// What arrives there of our sound.
    #[serde(default)]
    pub sound: Arrival,
    /// What arrives there of our picture.
    #[serde(default)]
    pub picture: Arrival,
    /// What keeps its picture small.
    #[serde(default)]
    pub limit: Limit,
    /// Its microphone.
    #[serde(default)]
    pub voice: Voice,
}

impl PeerFacts {
    /// What our facts say of us, in words that may leave.
    pub fn of(facts: &Facts) -> Self {
        let arrival = |stream: &Stream| {
            let connected = facts.is_connected() && facts.dtls.held >= SETTLED;
            if !connected {
                Arrival::Unknown
            } else if stream.silent_for >= SETTLED {
                Arrival::Nothing
            } else if stream.packets > 0 && stream.undecoded_for >= SETTLED {
                Arrival::Undecodable
            } else if stream.packets > 0 {
                Arrival::Plays
            } else {
                Arrival::Unknown
            }
        };
        let mut relays = facts.relays().peekable();
        let relay = if relays.peek().is_none() {
            if facts.servers.is_empty() { Relay::Unknown } else { Relay::Missing }
        } else if facts.relays().any(|relay| relay.useful) {
            Relay::Works
        } else if facts.relays().any(|relay| relay.refused.is_some()) {
            Relay::Refused
        } else if facts.relays().all(|relay| relay.is_silent() || relay.obstacle.is_some()) {
            Relay::Silent
        } else {
            Relay::Unknown
        };
        let blocked =
            facts.udp_servers().next().is_some() && facts.udp_servers().all(IceServerFacts::is_silent);
        let tcp = facts.signaling.link.state == SignalingLink::Up;
        Self {
            nat: facts.network.nat,
            udp: match (facts.udp_works(), blocked && tcp) {
                (true, _) => Udp::Works,
                (false, true) => Udp::Blocked,
                (false, false) => Udp::Unknown,
            },
            relay,
            checks: match (facts.checks.received, facts.checks.running) {
                (1.., _) => ChecksSeen::Arrive,
                (0, running) if running >= SETTLED => ChecksSeen::NoneArrive,
                (0, _) => ChecksSeen::Unknown,
            },
            sound: arrival(&facts.download.sound),
            picture: arrival(&facts.download.picture),
            limit: match facts.upload.limit.state {
                _ if !facts.is_connected() => Limit::Unknown,
                LimitSeen::None => Limit::None,
                LimitSeen::Cpu => Limit::Cpu,
                LimitSeen::Bandwidth => Limit::Bandwidth,
            },
            voice: facts.voice(),
        }
    }

    /// Reads what a stranger sent; what is not an object of facts is `None`.
    pub fn read(value: serde_json::Value) -> Option<Self> {
        serde_json::from_value(value).ok()
    }

    /// As the message carries it.
    pub fn write(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn facts_travel_and_what_a_later_version_adds_reads_as_unknown() {
        let facts = PeerFacts { nat: NatKind::EndpointDependent, udp: Udp::Blocked, ..PeerFacts::default() };
        assert_eq!(PeerFacts::read(facts.write()), Some(facts));
        assert_eq!(facts.write()["nat"], "endpoint_dependent");
        let later = json!({ "nat": "quantum", "weather": "rain", "udp": "works" });
        let read = PeerFacts::read(later).unwrap();
        assert_eq!((read.nat, read.udp), (NatKind::Unknown, Udp::Works));
        assert_eq!(PeerFacts::read(json!({ "nat": 7 })), None);
        assert_eq!(PeerFacts::read(json!("x")), None);
    }

    #[test]
    fn nothing_but_words_of_ours_leaves() {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(PeerFacts::default()) else {
            panic!("not an object")
        };
        assert!(fields.values().all(|value| value == "unknown"), "{fields:?}");
    }

    proptest! {
        #[test]
        fn no_message_is_too_strange(text in "\\PC{0,100}", nat in "[a-z_]{0,20}") {
            let value = serde_json::from_str(&text).unwrap_or(json!({ "nat": nat, "udp": [text] }));
            let _ = PeerFacts::read(value);
        }
    }
}
