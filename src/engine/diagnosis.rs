//! Runs the diagnosis on the newest recording, once a second, and says what is new about it.
//!
//! Pure but for its memory of what was told: time and the recording are given.

use crate::diagnosis::facts::Stage;
use crate::diagnosis::{self, PeerFacts, Rule, Severity, Side, Verdict, Watch};
use crate::record::{self, History};

use super::view;

/// Facts about ourselves leave at most so often, in ms.
const SHARE_EVERY: f64 = 2_000.0;

/// What the last round found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The first sentence means something else than before: for the recording.
    pub news: Option<record::Diagnosis>,
    /// Our facts have changed: for the other side.
    pub share: Option<PeerFacts>,
}

/// Remembers what was told.
#[derive(Debug, Default)]
pub struct Diagnostician {
    watch: Watch,
    first: Option<Verdict>,
    told: Option<(Rule, Severity, Side)>,
    shared: Option<(PeerFacts, f64)>,
}

impl Diagnostician {
    /// A new call begins.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Another participant: it has been told nothing yet.
    pub fn forget_shared(&mut self) {
        self.shared = None;
    }

    /// The first sentence, as it stands.
    pub fn first(&self) -> Option<&Verdict> {
        self.first.as_ref()
    }

    /// Judges the recording at `now` (milliseconds since the Unix epoch).
    pub fn update(&mut self, history: &History, now: f64) -> Findings {
        let facts = diagnosis::facts(history, now);
        let first = self.watch.update(&facts).first().cloned();
        let mut findings = Findings::default();
        // What was said last explains the end; that it is over is no news.
        let over = facts.stage.state == Stage::Ended
            && first.as_ref().is_some_and(|first| first.rule == Rule::Working);
        if over {
            return findings;
        }
        self.first = first;
        if let Some(first) = &self.first {
            let meaning = (first.rule, first.severity, first.side);
            if self.told.replace(meaning) != Some(meaning) {
                findings.news = Some(recorded(first));
            }
        }
        if facts.stage.state.wants_a_path() {
            let mine = PeerFacts::of(&facts);
            let due = match self.shared {
                None => mine != PeerFacts::default(),
                Some((told, at)) => told != mine && now - at >= SHARE_EVERY,
            };
            if due {
                self.shared = Some((mine, now));
                findings.share = Some(mine);
            }
        }
        findings
    }
}

fn recorded(verdict: &Verdict) -> record::Diagnosis {
    record::Diagnosis {
        rule: verdict.rule.id().to_owned(),
        severity: match verdict.severity {
            Severity::Fine | Severity::Info => view::Severity::Info,
            Severity::Warning => view::Severity::Warning,
            Severity::Error => view::Severity::Error,
        },
        text: verdict.text.clone(),
        evidence: verdict.evidence.clone(),
        advice: verdict.advice.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Device, DeviceKind, DeviceWord, Entry, Phase, SignalingState, What};
    use crate::rtc::{DtlsState, IceState, PeerPhase};

    fn talking() -> History {
        let mut history = History::default();
        for what in [
            What::Phase { phase: Phase::InCall, server: None },
            What::WsOpen,
            What::Connection { state: PeerPhase::Connected },
            What::Ice { state: IceState::Connected },
            What::Dtls { state: DtlsState::Connected },
        ] {
            history.push(Entry::new(1e12, what));
        }
        history
    }

    #[test]
    fn news_comes_once_for_each_meaning() {
        let mut history = talking();
        let mut diagnostician = Diagnostician::default();
        let rule = |findings: Findings| findings.news.map(|news| news.rule);
        assert_eq!(rule(diagnostician.update(&history, 1e12)).as_deref(), Some("working"));
        assert_eq!(rule(diagnostician.update(&history, 1e12 + 1e3)), None);
        history.push(Entry::new(1e12 + 1e3, What::Signaling { state: SignalingState::Lost, reason: None }));
        assert_eq!(rule(diagnostician.update(&history, 1e12 + 4e3)).as_deref(), Some("signaling_lost"));
        assert_eq!(diagnostician.first().map(|first| first.rule), Some(Rule::SignalingLost));
    }

    #[test]
    fn what_was_said_last_stays_when_the_call_is_over() {
        let mut history = talking();
        history.push(Entry::new(1e12, What::Signaling { state: SignalingState::Lost, reason: None }));
        let mut diagnostician = Diagnostician::default();
        assert!(diagnostician.update(&history, 1e12 + 4e3).news.is_some());
        history.push(Entry::new(1e12 + 5e3, What::Phase { phase: Phase::Ended, server: None }));
        for second in 5..20 {
            assert_eq!(diagnostician.update(&history, 1e12 + f64::from(second) * 1e3).news, None);
        }
        assert_eq!(diagnostician.first().map(|first| first.rule), Some(Rule::SignalingLost));
    }

    #[test]
    fn facts_are_shared_when_they_change_and_not_too_often() {
        let mut history = talking();
        let mut diagnostician = Diagnostician::default();
        let mut shared = |history: &History, second: f64| {
            diagnostician.update(history, 1e12 + second * 1e3).share.is_some()
        };
        assert!(shared(&history, 0.0));
        let device = Device {
            device: DeviceKind::Microphone,
            state: DeviceWord::Off,
            about: String::new(),
            id: None,
            muted_but_speaking: false,
        };
        history.push(Entry::new(1e12 + 1e3, What::Device(device)));
        assert!(!shared(&history, 1.0), "too soon");
        assert!(shared(&history, 2.0));
        assert!(!shared(&history, 5.0), "nothing new");
        diagnostician.forget_shared();
        assert!(diagnostician.update(&history, 1e12 + 7e3).share.is_some());
        assert!(Diagnostician::default().update(&History::default(), 1e12).share.is_none());
    }
}
