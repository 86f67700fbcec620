//! What the diagnosis says: one sentence for a person, with what it rests on and what to do.
//!
//! A verdict says what was seen; where it concludes, it says "seems". It is plain data: recorded,
//! shown and written by the probe in the same shape.

use serde::{Deserialize, Serialize};

/// How serious. The order is that of ranking: the last is told first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing is wrong, and why we believe it.
    Fine,
    /// Good to know; nobody has to do anything.
    Info,
    /// The call goes on, but worse than it could.
    Warning,
    /// Something does not work.
    Error,
}

/// Whose computer or network it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Ours.
    Here,
    /// Theirs.
    There,
    /// Both.
    Both,
    /// Between us, or not known.
    Between,
}

/// One diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which rule speaks.
    pub rule: Rule,
    /// How serious.
    pub severity: Severity,
    /// Whose network or computer.
    pub side: Side,
    /// One sentence for a person, with its numbers.
    pub text: String,
    /// The same in a few words, for a line on the call screen.
    pub short: String,
    /// What it rests on: numbers, the URLs of servers.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Verdict {
    /// A verdict without evidence or advice.
    pub fn new(
        rule: Rule,
        severity: Severity,
        side: Side,
        text: impl Into<String>,
        short: impl Into<String>,
    ) -> Self {
        let (text, short) = (text.into(), short.into());
        Self { rule, severity, side, text, short, evidence: Vec::new(), advice: None }
    }

    /// With what it rests on.
    #[must_use]
    pub fn because(mut self, evidence: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// With what to do.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Whether it deserves a line on the call screen of somebody who did not ask.
    pub fn concerns_a_caller(&self) -> bool {
        self.severity >= Severity::Warning
    }
}

macro_rules! rules {
    ($($(#[doc = $about:literal])* $name:ident = $id:literal,)*) => {
        /// The rules, by name. The names in files are stable; `docs/diagnosis.md` lists them.
        ///
        /// The order is that of ranking among equally serious ones: a cause stands before what
        /// follows from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule {
            $($(#[doc = $about])* #[serde(rename = $id)] $name,)*
        }

        impl Rule {
            /// All of them, in order.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// The stable name.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Rule::$name => $id,)*
                }
            }
        }
    };
}

rules! {
    /// The certificate that arrived is not the signalled one.
    Interception = "interception",
    /// This computer has no network.
    Offline = "offline",
    /// The signaling server cannot be reached.
    ServerUnreachable = "server_unreachable",
    /// Nobody has answered the knock.
    NoAnswer = "no_answer",
    /// The name of a STUN or TURN server is not known.
    NameUnknown = "name_unknown",
    /// Credentials for the relay have run out.
    CredentialsExpired = "credentials_expired",
    /// The relay refuses.
    RelayRefused = "relay_refused",
    /// No server answers over UDP.
    UdpBlocked = "udp_blocked",
    /// The relay does not answer.
    RelayUnreachable = "relay_unreachable",
    /// A STUN server does not answer.
    StunUnreachable = "stun_unreachable",
    /// There is no relay, and the two networks need one.
    RelayMissing = "relay_missing",
    /// The path is silent.
    PathSilent = "path_silent",
    /// Neither side's checks arrive.
    ChecksBlocked = "checks_blocked",
    /// Their checks arrive, ours get no answer.
    ChecksOneWay = "checks_one_way",
    /// No addresses of theirs.
    PeerWithoutAddresses = "peer_without_addresses",
    /// Only mDNS names from a browser.
    HiddenAddresses = "hidden_addresses",
    /// Checks began before addresses were known.
    WarmUp = "warm_up",
    /// The path is open, the handshake is not.
    HandshakeStuck = "handshake_stuck",
    /// The handshake failed.
    HandshakeFailed = "handshake_failed",
    /// The system does not let us use the microphone.
    MicrophoneDenied = "microphone_denied",
    /// The microphone does not work.
    MicrophoneFailed = "microphone_failed",
    /// The system does not let us use the camera, or it fails.
    CameraFailed = "camera_failed",
    /// The speaker does not work.
    SpeakerFailed = "speaker_failed",
    /// Connected, but nothing arrives.
    NothingArrives = "nothing_arrives",
    /// What we send does not arrive.
    NothingGetsThrough = "nothing_gets_through",
    /// One of sound and picture is missing.
    TrackMissing = "track_missing",
    /// Packets, but no picture.
    WaitingForKeyFrame = "waiting_for_key_frame",
    /// The microphone gives silence.
    MicrophoneSilent = "microphone_silent",
    /// Talking while muted.
    MutedSpeaking = "muted_speaking",
    /// The session with the server is lost; the call goes on.
    SignalingLost = "signaling_lost",
    /// The queue before our upload grows.
    Congestion = "congestion",
    /// Packets of ours get lost at random.
    RandomLoss = "random_loss",
    /// Packets of theirs get lost.
    LossIncoming = "loss_incoming",
    /// This computer is too slow.
    CpuLimit = "cpu_limit",
    /// The other computer is too slow.
    PeerCpuLimit = "peer_cpu_limit",
    /// Our upload is too slow for the picture.
    BandwidthLimit = "bandwidth_limit",
    /// Their upload is too slow for the picture.
    PeerBandwidthLimit = "peer_bandwidth_limit",
    /// The picture stands still now and then.
    Freezes = "freezes",
    /// Sound is made up.
    Concealment = "concealment",
    /// The round trip is long.
    LongRoundTrip = "long_round_trip",
    /// The delay varies.
    Jitter = "jitter",
    /// The speaker is heard by the microphone.
    Echo = "echo",
    /// Too loud.
    Clipping = "clipping",
    /// A headset in its mode for telephone calls.
    PhoneMode = "phone_mode",
    /// Relayed over TCP or TLS.
    RelayedStream = "relayed_stream",
    /// Relayed although both are on one network.
    RelayedInLan = "relayed_in_lan",
    /// They have lost the server.
    PeerAway = "peer_away",
    /// The server answers slowly.
    SignalingSlow = "signaling_slow",
    /// The STUN server is slow.
    StunSlow = "stun_slow",
    /// The computer's clock is wrong.
    ClockSkew = "clock_skew",
    /// Moved to another interface.
    Moved = "moved",
    /// A symmetric NAT here.
    SymmetricHere = "symmetric_here",
    /// A symmetric NAT over there.
    SymmetricThere = "symmetric_there",
    /// The call goes through a VPN.
    Vpn = "vpn",
    /// They are muted, or show no picture.
    PeerMuted = "peer_muted",
    /// Candidates came before the description.
    EarlyCandidates = "early_candidates",
    /// No STUN or TURN server is known.
    NoServers = "no_servers",
    /// Waiting or connecting.
    Working = "working",
    /// Nothing is wrong.
    Fine = "fine",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_own_name_in_files_and_keeps_it() {
        let names: std::collections::BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(names.len(), Rule::ALL.len());
        for rule in Rule::ALL {
            assert_eq!(serde_json::to_value(rule).unwrap(), rule.id());
        }
    }

    #[test]
    fn a_verdict_reads_back_as_it_was_written() {
        let verdict = Verdict::new(Rule::Vpn, Severity::Info, Side::Here, "a", "b")
            .because(["tun0".to_owned()])
            .advise("c");
        let text = serde_json::to_string(&verdict).unwrap();
        assert_eq!(serde_json::from_str::<Verdict>(&text).unwrap(), verdict);
    }
}
