//! When to try again, and when to stop.
//!
//! [`backoff`] is for sockets; [`PathWatch`] is for the path to one participant. The transport looks
//! for a new path by itself; here it is known who can be told about one, so here is decided when to
//! look at once, and when to give up. Time and chance come from the caller.

use std::time::{Duration, Instant};

use crate::rtc::PeerPhase;

/// First step of the backoff.
const STEP: Duration = Duration::from_millis(300);

/// Longest wait between two of the first attempts: a server that is only started again is back within
/// seconds, and whose path broke meanwhile hears nothing until then.
const LONGEST_AT_FIRST: Duration = Duration::from_millis(1_500);

/// So many attempts are the first ones: some ten seconds.
const FIRST: u32 = 15;

/// Longest wait between two later attempts.
const LONGEST: Duration = Duration::from_secs(10);

/// How long to wait before attempt number `attempt` (from 0): full jitter over `0.3 s · 2^attempt`,
/// at most 1.5 s and later 10 s, so that a server that comes back is not met by everybody at once.
/// `chance` is uniform in 0.0..1.0.
pub fn backoff(attempt: u32, chance: f64) -> Duration {
    let longest = if attempt < FIRST { LONGEST_AT_FIRST } else { LONGEST };
    let ceiling = STEP.saturating_mul(2u32.saturating_pow(attempt.min(10))).min(longest);
    ceiling.mul_f64(chance.clamp(0.0, 1.0))
}

/// A first path that takes longer than this will not come any more: RFC 8445 checks end sooner.
pub const FIRST_PATH: Duration = Duration::from_secs(30);

/// How long to look for a new path while both sides can talk about it.
pub const LOST_PATH: Duration = Duration::from_secs(90);

/// How long to wait for a participant who has neither a path nor a server: a walk through a tunnel,
/// and less than the server keeps their session.
pub const AWAY: Duration = Duration::from_secs(150);

/// How much later the second side looks for a path after the server is back.
const SECOND_AFTER: Duration = Duration::from_secs(2);

/// Who can be told about a new path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Both sides are connected to the server.
    Both,
    /// They have lost the server.
    TheyAreAway,
    /// We have lost the server and are looking for it.
    WeAreAway,
    /// We have lost the server for good.
    NoServer,
}

/// Which side looks for a new path first, so that both do not do it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// We do.
    First,
    /// They do.
    Second,
}

/// What to do about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathAdvice {
    /// Look for a new path now.
    Restart,
    /// There never was a path.
    NoPath,
    /// There will be no path again.
    Lost,
}

/// Watches over the path to one participant.
#[derive(Clone, Debug)]
pub struct PathWatch {
    turn: Turn,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Never connected.
    First { since: Instant },
    /// Up.
    Up,
    /// Was up.
    Down { since: Instant, restart_at: Option<Instant> },
}

impl PathWatch {
    /// A path that is wanted from `now` on.
    pub fn new(turn: Turn, now: Instant) -> Self {
        Self { turn, state: State::First { since: now } }
    }

    /// What the transport says. True if a path that was up is down now.
    pub fn on_phase(&mut self, phase: PeerPhase, now: Instant) -> bool {
        match (phase, &self.state) {
            (PeerPhase::Connected, _) => {
                self.state = State::Up;
                false
            }
            (PeerPhase::Connecting | PeerPhase::Reconnecting | PeerPhase::Failed, State::Up) => {
                self.state = State::Down { since: now, restart_at: None };
                true
            }
            (
                PeerPhase::Connecting | PeerPhase::Reconnecting | PeerPhase::Failed,
                State::First { .. } | State::Down { .. },
            ) => false,
        }
    }

    /// The server is back for one of us: whatever is down can be talked about again, and offers that
    /// were on their way may be lost.
    pub fn on_reachable(&mut self, now: Instant) {
        match &mut self.state {
            State::Down { since, restart_at } => {
                *since = now;
                *restart_at = Some(match self.turn {
                    Turn::First => now,
                    Turn::Second => now + SECOND_AFTER,
                });
            }
            State::First { since } => *since = now,
            State::Up => {}
        }
    }

    /// A restart was made for another reason.
    pub fn on_restart(&mut self) {
        if let State::Down { restart_at, .. } = &mut self.state {
            *restart_at = None;
        }
    }

    /// Whether media can flow.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up)
    }

    /// What is due at `now`.
    pub fn poll(&mut self, reach: Reach, now: Instant) -> Option<PathAdvice> {
        if self.give_up_at(reach).is_some_and(|at| now >= at) {
            return Some(match self.state {
                State::First { .. } => PathAdvice::NoPath,
                State::Up | State::Down { .. } => PathAdvice::Lost,
            });
        }
        match (&mut self.state, reach) {
            (State::Down { restart_at, .. }, Reach::Both) if restart_at.is_some_and(|at| now >= at) => {
                *restart_at = None;
                Some(PathAdvice::Restart)
            }
            (State::First { .. } | State::Up | State::Down { .. }, _) => None,
        }
    }

    /// When to poll next.
    pub fn next(&self, reach: Reach) -> Option<Instant> {
        let restart = match (&self.state, reach) {
            (State::Down { restart_at, .. }, Reach::Both) => *restart_at,
            (State::First { .. } | State::Up | State::Down { .. }, _) => None,
        };
        [restart, self.give_up_at(reach)].into_iter().flatten().min()
    }

    fn give_up_at(&self, reach: Reach) -> Option<Instant> {
        match &self.state {
            State::First { since } => Some(*since + FIRST_PATH),
            State::Up => None,
            State::Down { since, .. } => match reach {
                Reach::Both => Some(*since + LOST_PATH),
                Reach::TheyAreAway => Some(*since + AWAY),
                // The session decides: it is resumed, or it is over.
                Reach::WeAreAway => None,
                Reach::NoServer => Some(*since + FIRST_PATH),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3600)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// All advice given until `until`, with seconds since the start.
    fn advice(watch: &mut PathWatch, reach: Reach, start: Instant, until: u64) -> Vec<(u64, PathAdvice)> {
        let mut all = Vec::new();
        while let Some(at) = watch.next(reach) {
            if at > start + seconds(until) {
                break;
            }
            if let Some(advice) = watch.poll(reach, at) {
                all.push((at.duration_since(start).as_secs(), advice));
                if advice != PathAdvice::Restart {
                    break;
                }
            }
        }
        all
    }

    fn down(turn: Turn, now: Instant) -> PathWatch {
        let mut watch = PathWatch::new(turn, now);
        assert!(!watch.on_phase(PeerPhase::Connected, now));
        assert!(watch.on_phase(PeerPhase::Reconnecting, now));
        watch
    }

    #[test]
    fn waits_grow_to_ten_seconds_and_are_spread_from_zero() {
        assert_eq!(backoff(0, 1.0), Duration::from_millis(300));
        assert_eq!(backoff(1, 1.0), Duration::from_millis(600));
        assert_eq!(backoff(3, 0.5), Duration::from_millis(750));
        assert_eq!(backoff(u32::MAX, 1.0), seconds(10));
        assert_eq!(backoff(7, 0.0), Duration::ZERO);
    }

    #[test]
    fn a_first_path_has_thirty_seconds() {
        let now = start();
        let mut watch = PathWatch::new(Turn::First, now);
        assert_eq!(advice(&mut watch, Reach::Both, now, 100), [(30, PathAdvice::NoPath)]);
    }

    #[test]
    fn a_lost_path_is_waited_for_while_the_transport_looks_for_another() {
        let now = start();
        assert_eq!(advice(&mut down(Turn::First, now), Reach::Both, now, 200), [(90, PathAdvice::Lost)]);
    }

    #[test]
    fn the_two_sides_do_not_restart_at_the_same_moment() {
        let now = start();
        let (mut first, mut second) = (down(Turn::First, now), down(Turn::Second, now));
        first.on_reachable(now);
        second.on_reachable(now);
        use PathAdvice::{Lost, Restart};
        assert_eq!(advice(&mut first, Reach::Both, now, 200), [(0, Restart), (90, Lost)]);
        assert_eq!(advice(&mut second, Reach::Both, now, 200), [(2, Restart), (90, Lost)]);
    }

    #[test]
    fn nothing_is_restarted_and_nobody_gives_up_while_our_own_server_is_looked_for() {
        let now = start();
        assert_eq!(advice(&mut down(Turn::First, now), Reach::WeAreAway, now, 10_000), []);
    }

    #[test]
    fn somebody_without_path_and_server_is_waited_for_more_than_two_minutes() {
        let now = start();
        assert_eq!(
            advice(&mut down(Turn::First, now), Reach::TheyAreAway, now, 200),
            [(150, PathAdvice::Lost)]
        );
    }

    #[test]
    fn when_the_server_is_back_a_lost_path_is_looked_for_at_once() {
        let now = start();
        let mut watch = down(Turn::First, now);
        watch.on_reachable(now + seconds(100));
        assert_eq!(watch.poll(Reach::Both, now + seconds(100)), Some(PathAdvice::Restart));
    }

    #[test]
    fn a_path_that_comes_back_is_left_alone() {
        let now = start();
        let mut watch = down(Turn::First, now);
        watch.on_reachable(now);
        watch.on_phase(PeerPhase::Connected, now + seconds(1));
        assert_eq!(advice(&mut watch, Reach::Both, now, 1000), []);
        assert!(watch.is_up());
    }
}
