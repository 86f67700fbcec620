//! Keeps the sentence readable: what flickers is not told, what was told stays for a moment.
//!
//! Pure: time comes with the facts.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::verdict::{Rule, Severity, Verdict};
use super::verdicts;

/// A measured verdict must hold for so long (ms) before it is told; what failed is told at once.
const SETTLE: f64 = 2_000.0;

/// A verdict that does not hold any more stays for so long (ms): somebody may be reading it.
const LINGER: f64 = 4_000.0;

/// Numbers in a sentence move at most so often (ms).
const REWORD: f64 = 5_000.0;

/// Verdicts over time.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    held: BTreeMap<Rule, Told>,
    shown: Vec<Verdict>,
}

#[derive(Clone, Debug)]
struct Told {
    verdict: Verdict,
    since: f64,
    last: f64,
    worded: f64,
}

impl Watch {
    /// The verdicts as they are told now, the most important first. Call it once a second.
    pub fn update(&mut self, facts: &Facts) -> &[Verdict] {
        self.update_with(verdicts(facts), facts.now)
    }

    fn update_with(&mut self, found: Vec<Verdict>, now: f64) -> &[Verdict] {
        // Of "working" and "fine" only the newest is true.
        let calm =
            found.iter().find(|verdict| verdict.severity == Severity::Fine).map(|verdict| verdict.rule);
        if let Some(calm) = calm {
            self.held.retain(|rule, told| told.verdict.severity != Severity::Fine || *rule == calm);
        }
        for verdict in found {
            let told = self.held.entry(verdict.rule).or_insert_with(|| Told {
                verdict: verdict.clone(),
                since: now,
                last: now,
                worded: now,
            });
            told.last = now;
            // Another meaning is told at once, other numbers now and then.
            let same = told.verdict.severity == verdict.severity && told.verdict.side == verdict.side;
            if !same || now - told.worded >= REWORD {
                told.verdict = verdict;
                told.worded = now;
            }
        }
        self.held
            .retain(|rule, told| told.last >= now || now - told.last < linger(*rule, told.verdict.severity));
        let settled = |told: &&Told| told.last - told.since >= settle(&told.verdict);
        let mut shown: Vec<Verdict> =
            self.held.values().filter(settled).map(|told| told.verdict.clone()).collect();
        // Between two certainties the last one stays.
        if shown.is_empty() {
            return &self.shown;
        }
        shown.sort_by_key(|verdict| (std::cmp::Reverse(verdict.severity), verdict.rule));
        // That all is well is said only when nothing else is.
        let trouble = shown.first().is_some_and(|first| first.severity >= Severity::Warning);
        if trouble {
            shown.retain(|verdict| verdict.severity > Severity::Fine);
        } else if let Some(at) = shown.iter().position(|verdict| verdict.severity == Severity::Fine) {
            shown[..=at].rotate_right(1);
        }
        self.shown = shown;
        &self.shown
    }

    /// What was told last.
    pub fn told(&self) -> &[Verdict] {
        &self.shown
    }
}

/// What is counted or failed is certain at once; what is measured may be one bad second.
fn settle(verdict: &Verdict) -> f64 {
    let measured = matches!(
        verdict.rule,
        Rule::Congestion
            | Rule::RandomLoss
            | Rule::LossIncoming
            | Rule::Freezes
            | Rule::Concealment
            | Rule::LongRoundTrip
            | Rule::Jitter
            | Rule::Echo
            | Rule::Clipping
            | Rule::SignalingSlow
            | Rule::CpuLimit
            | Rule::BandwidthLimit
            | Rule::PeerBandwidthLimit
            | Rule::PeerCpuLimit
    );
    if measured { SETTLE } else { 0.0 }
}

/// "All is well" stays until it is certain that it is not.
fn linger(rule: Rule, severity: Severity) -> f64 {
    match (rule, severity) {
        (Rule::Fine | Rule::Working, _) => SETTLE + 1_000.0,
        (Rule::MutedSpeaking | Rule::PathSilent, _) => 0.0,
        (_, Severity::Fine | Severity::Info | Severity::Warning | Severity::Error) => LINGER,
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::Side;
    use super::*;

    fn verdict(rule: Rule, severity: Severity, text: &str) -> Verdict {
        Verdict::new(rule, severity, Side::Here, text, text)
    }

    fn fine() -> Verdict {
        verdict(Rule::Fine, Severity::Fine, "fine")
    }

    fn first(watch: &mut Watch, found: Vec<Verdict>, second: u32) -> Option<String> {
        let shown = watch.update_with(found, 1e12 + f64::from(second) * 1e3);
        shown.first().map(|verdict| verdict.text.clone())
    }

    #[test]
    fn one_bad_second_is_not_told_and_three_are() {
        let mut watch = Watch::default();
        let bad = || vec![verdict(Rule::RandomLoss, Severity::Warning, "loss")];
        assert_eq!(first(&mut watch, vec![fine()], 0).as_deref(), Some("fine"));
        assert_ne!(first(&mut watch, bad(), 1).as_deref(), Some("loss"));
        assert_ne!(first(&mut watch, bad(), 2).as_deref(), Some("loss"));
        assert_eq!(first(&mut watch, bad(), 3).as_deref(), Some("loss"));
    }

    #[test]
    fn what_comes_and_goes_each_second_is_told_without_a_break() {
        let mut watch = Watch::default();
        let bad = || vec![verdict(Rule::TrackMissing, Severity::Warning, "bad")];
        for second in 0..20 {
            let found = if second % 2 == 0 { bad() } else { vec![fine()] };
            assert_eq!(first(&mut watch, found, second).as_deref(), Some("bad"), "second {second}");
        }
        for second in 20..30 {
            let told = first(&mut watch, vec![fine()], second);
            assert_eq!(told.as_deref(), Some(if second < 22 { "bad" } else { "fine" }), "second {second}");
        }
    }

    #[test]
    fn trouble_that_is_not_certain_yet_lets_nothing_else_come_first() {
        let mut watch = Watch::default();
        let muted = || verdict(Rule::PeerMuted, Severity::Info, "muted");
        let bad = || verdict(Rule::Concealment, Severity::Warning, "bad");
        assert_eq!(first(&mut watch, vec![fine(), muted()], 0).as_deref(), Some("fine"));
        assert_eq!(first(&mut watch, vec![bad(), muted()], 1).as_deref(), Some("fine"));
        assert_eq!(first(&mut watch, vec![fine(), muted()], 2).as_deref(), Some("fine"));
        let working = verdict(Rule::Working, Severity::Fine, "working");
        assert_eq!(first(&mut watch, vec![working], 3).as_deref(), Some("working"), "and not both");
    }

    #[test]
    fn numbers_move_every_five_seconds_and_another_meaning_at_once() {
        let mut watch = Watch::default();
        let say = |second: u32| vec![verdict(Rule::Fine, Severity::Fine, &format!("{second} ms"))];
        let told: Vec<_> = (0..7).filter_map(|second| first(&mut watch, say(second), second)).collect();
        assert_eq!(told, ["0 ms", "0 ms", "0 ms", "0 ms", "0 ms", "5 ms", "5 ms"]);
        let mut watch = Watch::default();
        first(&mut watch, vec![verdict(Rule::Vpn, Severity::Info, "a")], 0);
        let worse = vec![verdict(Rule::Vpn, Severity::Error, "b")];
        assert_eq!(first(&mut watch, worse, 1).as_deref(), Some("b"));
    }
}
