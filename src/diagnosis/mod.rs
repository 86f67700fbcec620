//! Says in words why a call does not connect, or why it looks or sounds bad.
//!
//! ```text
//!  recording ─▶ Facts ─┬─▶ rules (one pure function each) ─▶ ranked ─▶ Watch (no flicker) ─▶ sentence
//!  the other side's facts ┘
//! ```
//!
//! Pure: it knows no sockets, no devices, no clock and no window. What it does not know it does not
//! say. `docs/diagnosis.md` lists the rules, what each needs, and which are left out.

mod devices;
pub mod facts;
mod fine;
mod from_history;
mod handshake;
mod media;
mod path;
pub mod peer;
mod quality;
mod reach;
mod signaling;
#[cfg(test)]
mod tests;
mod verdict;
mod watch;
mod words;

pub use facts::Facts;
pub use from_history::facts;
pub use peer::PeerFacts;
pub use verdict::{Rule, Severity, Side, Verdict};
pub use watch::Watch;

/// One rule: what the facts say of one thing, if anything.
type Judge = fn(&Facts) -> Option<Verdict>;

/// Everything that can be wrong.
const JUDGES: &[&[Judge]] = &[
    reach::RULES,
    path::RULES,
    handshake::RULES,
    media::RULES,
    devices::RULES,
    quality::RULES,
    signaling::RULES,
];

/// All that the facts say, the most important first; never empty.
pub fn verdicts(facts: &Facts) -> Vec<Verdict> {
    let mut found: Vec<Verdict> =
        JUDGES.iter().flat_map(|rules| rules.iter()).filter_map(|judge| judge(facts)).collect();
    found.sort_by_key(|verdict| (std::cmp::Reverse(verdict.severity), verdict.rule));
    if found.first().is_none_or(|first| first.severity <= Severity::Info) {
        // What is no trouble explains: why the call is relayed, that it goes through a VPN.
        let mut calm = fine::verdict(facts);
        calm.evidence.extend(found.iter().map(|info| info.text.clone()));
        found.insert(0, calm);
    }
    found
}
