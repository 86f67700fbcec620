//! When to look for a better path than the one in use, pure; time is given.
//!
//! A call begins on the first path that works, a relay too. Whether a cheaper one has become
//! possible can only be found out by trying, which costs both sides a few sockets and checks: so
//! attempts wait longer and longer, and begin anew when the network changes.

use std::time::{Duration, Instant};

use super::IcePolicy;
use super::handover::Cost;

/// Waits before the first, second, … attempt; the last one is repeated. The first lets the call
/// begin in peace.
const WAITS: [Duration; 6] = [
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(120),
    Duration::from_secs(300),
];

/// How much longer the side that answered first waits: one attempt serves both.
const YIELD: Duration = Duration::from_secs(4);

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Improvement {
    attempts: usize,
    at: Option<Instant>,
    known: Option<(Option<Cost>, IcePolicy)>,
}

impl Improvement {
    /// What the path in use costs now; `None`: there is none, which is not for us to mend.
    pub fn on_path(&mut self, cost: Option<Cost>, policy: IcePolicy, offerer: bool, now: Instant) {
        if self.known == Some((cost, policy)) {
            return;
        }
        *self = Self { known: Some((cost, policy)), ..Self::default() };
        if cost.is_some_and(|cost| can_be_better(cost, policy)) {
            self.schedule(offerer, now);
        }
    }

    /// The network has changed: what did not work before may work now.
    pub fn on_change(&mut self, offerer: bool, now: Instant) {
        if self.at.is_some() {
            self.attempts = 0;
            self.schedule(offerer, now);
        }
    }

    /// Whether to try now.
    pub fn handle_timeout(&mut self, offerer: bool, now: Instant) -> bool {
        let due = self.at.is_some_and(|at| at <= now);
        if due {
            self.attempts += 1;
            self.schedule(offerer, now);
        }
        due
    }

    /// When to try next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.at
    }

    fn schedule(&mut self, offerer: bool, now: Instant) {
        let wait = WAITS[self.attempts.min(WAITS.len() - 1)];
        self.at = Some(now + wait + if offerer { Duration::ZERO } else { YIELD });
    }
}

/// Whether the policy allows a path that costs less.
fn can_be_better(cost: Cost, policy: IcePolicy) -> bool {
    match policy {
        IcePolicy::All => cost.relay > 0,
        IcePolicy::Relay => cost.relay > 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECT: Option<Cost> = Some(Cost { relay: 0, interface: 0 });
    const UDP: Option<Cost> = Some(Cost { relay: 1, interface: 0 });
    const TLS: Option<Cost> = Some(Cost { relay: 3, interface: 0 });

    fn waits(cost: Option<Cost>, policy: IcePolicy, count: usize) -> Vec<u64> {
        let mut now = crate::clock::now();
        let mut improvement = Improvement::default();
        improvement.on_path(cost, policy, true, now);
        let mut waits = Vec::new();
        while let Some(at) = improvement.poll_timeout().filter(|_| waits.len() < count) {
            waits.push((at - now).as_secs());
            now = at;
            assert!(improvement.handle_timeout(true, now));
        }
        waits
    }

    #[test]
    fn a_relayed_call_looks_for_a_direct_path_less_and_less_often_and_never_stops() {
        assert_eq!(waits(UDP, IcePolicy::All, 8), [3, 10, 30, 60, 120, 300, 300, 300]);
    }

    #[test]
    fn a_direct_call_and_one_that_must_be_relayed_are_left_alone() {
        assert_eq!(waits(DIRECT, IcePolicy::All, 8), [0_u64; 0]);
        assert_eq!(waits(UDP, IcePolicy::Relay, 8), [0_u64; 0]);
        assert_eq!(waits(None, IcePolicy::All, 8), [0_u64; 0]);
        assert_eq!(waits(TLS, IcePolicy::Relay, 2), [3_u64, 10], "the relay may be reached by UDP later");
    }

    #[test]
    fn a_change_of_the_network_begins_the_waits_anew_and_a_better_path_ends_them() {
        let now = crate::clock::now();
        let mut improvement = Improvement::default();
        improvement.on_path(UDP, IcePolicy::All, true, now);
        for _ in 0..4 {
            improvement.handle_timeout(true, improvement.poll_timeout().unwrap());
        }
        improvement.on_change(true, now);
        assert_eq!(improvement.poll_timeout(), Some(now + WAITS[0]));
        improvement.on_path(DIRECT, IcePolicy::All, true, now);
        assert_eq!(improvement.poll_timeout(), None);
        improvement.on_change(true, now);
        assert_eq!(improvement.poll_timeout(), None);
    }

    #[test]
    fn the_two_sides_do_not_try_at_the_same_moment() {
        let now = crate::clock::now();
        let (mut first, mut second) = (Improvement::default(), Improvement::default());
        first.on_path(UDP, IcePolicy::All, true, now);
        second.on_path(UDP, IcePolicy::All, false, now);
        assert!(first.poll_timeout() < second.poll_timeout());
    }
}
