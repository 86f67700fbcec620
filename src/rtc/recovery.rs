//! When to look for a new path, and what people are told meanwhile. Pure; time is given.
//!
//! The side that offered first tries at once, the other a little later, so that two attempts rarely
//! meet; who knows the reason (its own network changed) does not wait. Attempts go on, further and
//! further apart, until there is a path. A path that comes back by itself is as good as a new one.

use std::time::{Duration, Instant};

use super::PeerPhase;

/// How much later the side that answered first tries.
const YIELD: Duration = Duration::from_millis(1_500);

/// Waits after the first, second, … attempt; the last one is repeated. An attempt needs its time:
/// the offer may wait for signaling, too.
const WAITS: [Duration; 4] =
    [Duration::from_secs(5), Duration::from_secs(8), Duration::from_secs(12), Duration::from_secs(15)];

/// So long without a first path, people are told that it failed. Attempts go on.
const GIVE_UP_FIRST: Duration = Duration::from_secs(30);

/// The same for a path that was there. The call ends sooner if nobody can be told about a new one.
const GIVE_UP: Duration = Duration::from_secs(150);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    attempts: usize,
    try_at: Option<Instant>,
    without_path_since: Option<Instant>,
    was_connected: bool,
    gave_up: bool,
}

impl Recovery {
    /// Media can flow.
    pub fn connected(&mut self) {
        *self = Self { was_connected: true, ..Self::default() };
    }

    /// The path is silent, or there is none.
    pub fn lost(&mut self, now: Instant, offerer: bool) {
        self.without_path_since.get_or_insert(now);
        self.try_at.get_or_insert(now + if offerer { Duration::ZERO } else { YIELD });
    }

    /// An attempt begins.
    pub fn began(&mut self, now: Instant) {
        if self.without_path_since.is_some() {
            self.try_at = Some(now + WAITS[self.attempts.min(WAITS.len() - 1)]);
            self.attempts += 1;
        }
    }

    /// Somebody asked for a new path: there is hope again.
    pub fn asked(&mut self, now: Instant) {
        if self.gave_up {
            self.gave_up = false;
            self.without_path_since = Some(now);
        }
    }

    /// Whether to try now; [`Recovery::began`] is to follow.
    pub fn is_due(&self, now: Instant) -> bool {
        self.try_at.is_some_and(|at| at <= now)
    }

    /// When something is to be done or the phase changes by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.try_at, self.gives_up_at()].into_iter().flatten().min()
    }

    fn gives_up_at(&self) -> Option<Instant> {
        let patience = if self.was_connected { GIVE_UP } else { GIVE_UP_FIRST };
        self.without_path_since.filter(|_| !self.gave_up).map(|since| since + patience)
    }

    /// The summary for people; `up` says whether media can flow.
    pub fn phase(&mut self, now: Instant, up: bool) -> PeerPhase {
        if up {
            return PeerPhase::Connected;
        }
        self.without_path_since.get_or_insert(now);
        self.gave_up |= self.gives_up_at().is_some_and(|at| at <= now);
        match (self.gave_up, self.was_connected) {
            (true, _) => PeerPhase::Failed,
            (false, true) => PeerPhase::Reconnecting,
            (false, false) => PeerPhase::Connecting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    #[test]
    fn the_first_offerer_tries_at_once_and_the_other_gives_it_time() {
        let now = start();
        let (mut first, mut second) = (Recovery::default(), Recovery::default());
        first.lost(now, true);
        second.lost(now, false);
        assert!(first.is_due(now));
        assert!(!second.is_due(now));
        second.connected();
        assert!(!second.is_due(now + YIELD), "theirs has worked");
    }

    #[test]
    fn attempts_wait_longer_and_longer_and_never_stop() {
        let mut now = start();
        let mut recovery = Recovery::default();
        recovery.connected();
        recovery.lost(now, true);
        let mut waits = Vec::new();
        for _ in 0..7 {
            let at = recovery.try_at.unwrap();
            waits.push((at - now).as_secs());
            now = at;
            assert!(recovery.is_due(now));
            recovery.began(now);
            recovery.lost(now, true);
        }
        assert_eq!(waits, [0, 5, 8, 12, 15, 15, 15]);
    }

    #[test]
    fn an_attempt_for_another_reason_counts_as_one_while_there_is_no_path() {
        let now = start();
        let mut recovery = Recovery::default();
        recovery.connected();
        recovery.began(now);
        assert_eq!(recovery.poll_timeout(), None, "the path works");
        recovery.lost(now, true);
        recovery.began(now);
        assert!(!recovery.is_due(now + WAITS[0] - Duration::from_millis(1)));
        assert!(recovery.is_due(now + WAITS[0]));
    }

    #[test]
    fn people_are_told_connecting_then_failed_or_reconnecting_then_failed() {
        let now = start();
        let mut recovery = Recovery::default();
        assert_eq!(recovery.phase(now, false), PeerPhase::Connecting);
        assert_eq!(recovery.phase(now + GIVE_UP_FIRST, false), PeerPhase::Failed);
        assert_eq!(recovery.phase(now + GIVE_UP_FIRST * 2, false), PeerPhase::Failed);
        recovery.asked(now + GIVE_UP_FIRST * 2);
        assert_eq!(recovery.phase(now + GIVE_UP_FIRST * 2, false), PeerPhase::Connecting);
        recovery.connected();
        assert_eq!(recovery.phase(now, true), PeerPhase::Connected);
        recovery.lost(now, true);
        assert_eq!(recovery.phase(now + Duration::from_secs(60), false), PeerPhase::Reconnecting);
        assert_eq!(recovery.phase(now + GIVE_UP, false), PeerPhase::Failed);
        assert_eq!(recovery.poll_timeout(), Some(now), "attempts go on");
    }
}
