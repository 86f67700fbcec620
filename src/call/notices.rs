//! Short messages for the person: kept in order, never twice, gone by themselves.

use std::time::{Duration, Instant};

use crate::engine::view::{Notice, Severity};

/// Most at once; the oldest goes first.
const MOST: usize = 5;

/// The list.
#[derive(Debug, Default)]
pub struct Notices {
    next_id: u64,
    shown: Vec<(Notice, Option<Instant>)>,
}

impl Notices {
    /// Shows a sentence; one that is shown already starts its time again.
    pub fn add(&mut self, severity: Severity, text: String, now: Instant) -> u64 {
        let until = lifetime(severity).map(|lifetime| now + lifetime);
        self.put(severity, text, until)
    }

    /// Shows a sentence until it is dismissed: for a state that lasts.
    pub fn add_lasting(&mut self, severity: Severity, text: String) -> u64 {
        self.put(severity, text, None)
    }

    fn put(&mut self, severity: Severity, text: String, until: Option<Instant>) -> u64 {
        if let Some(at) = self.shown.iter().position(|(n, _)| n.severity == severity && n.text == text) {
            self.shown[at].1 = until;
            return self.shown[at].0.id;
        }
        self.next_id += 1;
        self.shown.push((Notice { id: self.next_id, severity, text }, until));
        if self.shown.len() > MOST {
            self.shown.remove(0);
        }
        self.next_id
    }

    /// Takes one away; false if there is none with this id.
    pub fn dismiss(&mut self, id: u64) -> bool {
        let before = self.shown.len();
        self.shown.retain(|(notice, _)| notice.id != id);
        self.shown.len() != before
    }

    /// Takes away those whose time is over; true if there was one.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.shown.len();
        self.shown.retain(|(_, until)| until.is_none_or(|until| now < until));
        self.shown.len() != before
    }

    /// When to call `expire` next.
    pub fn next(&self) -> Option<Instant> {
        self.shown.iter().filter_map(|(_, until)| *until).min()
    }

    /// Oldest first.
    pub fn to_vec(&self) -> Vec<Notice> {
        self.shown.iter().map(|(notice, _)| notice.clone()).collect()
    }
}

/// Long enough to be read; what does not work stays until it is dismissed.
fn lifetime(severity: Severity) -> Option<Duration> {
    match severity {
        Severity::Info => Some(Duration::from_secs(8)),
        Severity::Warning => Some(Duration::from_secs(15)),
        Severity::Error => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_news_goes_by_itself_and_errors_stay_until_they_are_dismissed() {
        let now = crate::clock::now();
        let mut notices = Notices::default();
        notices.add(Severity::Info, "a".into(), now);
        let error = notices.add(Severity::Error, "b".into(), now);
        assert_eq!(notices.next(), Some(now + Duration::from_secs(8)));
        assert!(notices.expire(now + Duration::from_secs(8)));
        assert_eq!(notices.to_vec().len(), 1);
        assert!(notices.dismiss(error) && !notices.dismiss(error));
    }

    #[test]
    fn the_same_sentence_is_shown_once_and_a_flood_pushes_the_oldest_out() {
        let now = crate::clock::now();
        let mut notices = Notices::default();
        assert_eq!(
            notices.add(Severity::Info, "a".into(), now),
            notices.add(Severity::Info, "a".into(), now)
        );
        for n in 0..10 {
            notices.add(Severity::Error, n.to_string(), now);
        }
        let texts: Vec<String> = notices.to_vec().into_iter().map(|notice| notice.text).collect();
        assert_eq!(texts, ["5", "6", "7", "8", "9"]);
    }
}
