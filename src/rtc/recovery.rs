//! When to look for a new path, and what people are told meanwhile. Pure; time is given.
//!
//! The side that offered first restarts at once, the other a little later, so that two restarts
//! rarely meet. Every further attempt waits longer. An attempt whose offer is unanswered is not
//! repeated: signaling keeps messages while a socket is away.

use std::time::{Duration, Instant};

use super::PeerPhase;

/// How much later the side that answered first restarts.
const YIELD: Duration = Duration::from_millis(1_500);

/// Waits before the first, second, … attempt; the last one is repeated.
const BACKOFF: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// So long without a path, people are told that it failed. Attempts go on.
const GIVE_UP: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    attempts: usize,
    restart_at: Option<Instant>,
    without_path_since: Option<Instant>,
    was_connected: bool,
}

impl Recovery {
    /// A fresh connection was made.
    pub fn opened(&mut self, now: Instant) {
        self.restart_at = None;
        self.without_path_since.get_or_insert(now);
    }

    /// There is a path.
    pub fn connected(&mut self) {
        self.attempts = 0;
        self.restart_at = None;
        self.without_path_since = None;
        self.was_connected = true;
    }

    /// The path is silent.
    pub fn silent(&mut self, now: Instant, offerer: bool) {
        self.without_path_since.get_or_insert(now);
        self.schedule(now, offerer);
    }

    /// No pair works.
    pub fn failed(&mut self, now: Instant, offerer: bool) {
        self.without_path_since.get_or_insert(now);
        self.schedule(now, offerer);
    }

    /// Somebody asked for a new path.
    pub fn restarted(&mut self, now: Instant) {
        self.restart_at = None;
        self.without_path_since = Some(now);
    }

    fn schedule(&mut self, now: Instant, offerer: bool) {
        if self.restart_at.is_some() {
            return;
        }
        let wait = BACKOFF[self.attempts.min(BACKOFF.len() - 1)];
        self.restart_at = Some(now + wait + if offerer { Duration::ZERO } else { YIELD });
    }

    /// Whether to restart now.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let due = self.restart_at.is_some_and(|at| at <= now);
        if due {
            self.restart_at = None;
            self.attempts += 1;
        }
        due
    }

    /// When something is to be done or the phase changes by itself.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.restart_at, self.gives_up_at()].into_iter().flatten().min()
    }

    fn gives_up_at(&self) -> Option<Instant> {
        self.without_path_since.map(|since| since + GIVE_UP)
    }

    /// The summary for people; `up` says whether media flows.
    pub fn phase(&mut self, now: Instant, up: bool) -> PeerPhase {
        if up {
            return PeerPhase::Connected;
        }
        if self.gives_up_at().is_some_and(|at| at <= now) {
            // Told once; the clock begins again with the next attempt that somebody asks for.
            self.without_path_since = None;
            self.was_connected = false;
            return PeerPhase::Failed;
        }
        match (self.without_path_since, self.was_connected) {
            (Some(_), false) => PeerPhase::Connecting,
            (Some(_), true) => PeerPhase::Reconnecting,
            (None, true) => PeerPhase::Connecting,
            (None, false) => PeerPhase::Failed,
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
    fn the_first_offerer_restarts_at_once_and_the_other_gives_it_time() {
        let now = start();
        let (mut first, mut second) = (Recovery::default(), Recovery::default());
        first.silent(now, true);
        second.silent(now, false);
        assert!(first.handle_timeout(now));
        assert!(!second.handle_timeout(now));
        second.connected();
        assert!(!second.handle_timeout(now + YIELD));
    }

    #[test]
    fn attempts_wait_longer_and_longer_and_never_stop() {
        let mut now = start();
        let mut recovery = Recovery::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            recovery.failed(now, true);
            let at = recovery.restart_at.unwrap();
            waits.push((at - now).as_secs());
            now = at;
            assert!(recovery.handle_timeout(now));
        }
        assert_eq!(waits, [0, 1, 2, 4, 8, 15, 15, 15]);
    }

    #[test]
    fn people_are_told_connecting_then_failed_or_reconnecting_then_failed() {
        let now = start();
        let mut recovery = Recovery::default();
        recovery.opened(now);
        assert_eq!(recovery.phase(now, false), PeerPhase::Connecting);
        assert_eq!(recovery.phase(now + GIVE_UP, false), PeerPhase::Failed);
        assert_eq!(recovery.phase(now + GIVE_UP * 2, false), PeerPhase::Failed);
        recovery.connected();
        assert_eq!(recovery.phase(now, true), PeerPhase::Connected);
        recovery.silent(now, true);
        assert_eq!(recovery.phase(now, false), PeerPhase::Reconnecting);
        assert_eq!(recovery.phase(now + GIVE_UP, false), PeerPhase::Failed);
    }
}
