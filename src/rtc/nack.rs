//! When a lost packet is asked for again (RFC 4585 section 6.2.1).
//!
//! Whoever notices gaps looks for them far more often than an answer can come. Every request makes the
//! sender send the packet again, so what passes here is the first request at once and each further one
//! only after the answer to the one before is overdue. Pure: it sends nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How much longer than a round trip an answer may take: the sender's pacing, and the tick with which
/// gaps are looked for.
const SLACK: Duration = Duration::from_millis(20);

/// Without a measurement (as libwebrtc's NackRequester begins).
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);

/// Requests remembered; beyond that, those that are long answered or given up are forgotten.
const MOST: usize = 1_024;

/// A request this old is forgotten when there are many.
const OLD: Duration = Duration::from_secs(2);

/// Remembers what was asked for and when.
#[derive(Debug, Default)]
pub struct NackPacing {
    asked: HashMap<(u32, u16), Instant>,
}

impl NackPacing {
    /// Which of a stream's missing packets a request is due for at `now`; they count as asked for.
    pub fn due(
        &mut self,
        ssrc: u32,
        missing: &[u16],
        round_trip: Option<Duration>,
        now: Instant,
    ) -> Vec<u16> {
        let patience = round_trip.unwrap_or(FIRST_ROUND_TRIP) + SLACK;
        if self.asked.len() > MOST {
            self.asked.retain(|_, at| now.saturating_duration_since(*at) < OLD);
        }
        let is_due = |sequence: &&u16| {
            let asked = self.asked.get(&(ssrc, **sequence));
            asked.is_none_or(|at| now.saturating_duration_since(*at) >= patience)
        };
        let due: Vec<u16> = missing.iter().filter(is_due).copied().collect();
        self.asked.extend(due.iter().map(|sequence| ((ssrc, *sequence), now)));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_packet_is_asked_for_at_once_and_again_when_the_answer_is_overdue() {
        let start = crate::clock::now() + Duration::from_secs(3_600);
        let mut pacing = NackPacing::default();
        let round_trip = Some(100 * MS);
        let asked: Vec<u32> = (0..20)
            .map(|tick| tick * 20)
            .filter(|at| !pacing.due(1, &[7], round_trip, start + *at * MS).is_empty())
            .collect();
        assert_eq!(asked, [0, 120, 240, 360]);
    }

    #[test]
    fn packets_and_streams_are_told_apart() {
        let now = crate::clock::now();
        let mut pacing = NackPacing::default();
        assert_eq!(pacing.due(1, &[7, 8], None, now), [7, 8]);
        assert_eq!(pacing.due(1, &[7, 8, 9], None, now + 20 * MS), [9]);
        assert_eq!(pacing.due(2, &[7], None, now + 20 * MS), [7]);
    }

    #[test]
    fn numbers_that_come_round_again_are_asked_for_and_memory_stays_bounded() {
        let start = crate::clock::now();
        let mut pacing = NackPacing::default();
        for second in 0..100 {
            let all: Vec<u16> = (0..900).map(|n| n + second * 500).collect();
            let now = start + Duration::from_secs(u64::from(second) * 3);
            assert_eq!(pacing.due(1, &all, Some(50 * MS), now).len(), 900);
            assert!(pacing.asked.len() <= MOST + 900, "{}", pacing.asked.len());
        }
    }
}
