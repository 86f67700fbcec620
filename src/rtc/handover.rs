//! When media moves from one connection to the next, pure; time is given.
//!
//! ```text
//!  next connection:  begun ──▶ up ──▶ taken ──▶ carries media
//!                      │        └──▶ dropped (not better after all)
//!                      └──▶ dropped (it does not come up)
//!  the one before:   carries media ──▶ lingers ──▶ closed
//! ```
//!
//! Whoever begins a connection says whether it replaces the one in use. If it only may, the side that
//! began it decides and the other follows the media, so that both come to the same end without a word.
//! Knows neither engine nor signals.

use std::time::{Duration, Instant};

/// A connection that is not up by then will not come up: a dozen round trips of a satellite and two
/// retransmissions of DTLS.
pub const PATIENCE: Duration = Duration::from_secs(12);

/// A connection that is up and not wanted waits so long for the other side's media: its reasons to
/// move may be better than ours.
const HESITATION: Duration = Duration::from_secs(1);

/// Packets on their way by the old connection, and requests to send them again, have this long
/// after both sides have moved.
const LINGER: Duration = Duration::from_secs(1);

/// The old connection is closed after this even if nothing was heard by the new one: the other side
/// has nothing to send, or is very slow.
const LINGER_UNHEARD: Duration = Duration::from_secs(6);

/// So many packets leave by both connections, so that none is lost whose keys are not yet in place
/// on the other side. Enough for the round trips of a second at the rate of sound, few enough not to
/// fill the queue of a link that both share.
const BOTH: u32 = 50;

/// And for so long.
const BOTH_FOR: Duration = Duration::from_secs(1);

/// Why a connection was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// One of the two sides needs it: both take it as soon as it is up.
    Replace,
    /// To see whether there is a better path: it is taken if it is one.
    Better,
    /// The other side began it to see: it is taken when media comes by it.
    Follow,
}

/// What a path costs; less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// 0 direct, 1 relayed, more for a relay that is reached by TCP or TLS.
    pub relay: u8,
    /// What kind of interface it leaves by, the cheapest first.
    pub interface: u8,
}

/// How it stands with the next connection.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Since when it is there.
    pub begun: Instant,
    /// Since when media could go by it.
    pub up: Option<Instant>,
    /// The other side sends by it.
    pub heard: bool,
    /// Its path, once known.
    pub cost: Option<Cost>,
}

/// What to do with the next connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait, at most until then.
    Wait(Instant),
    /// Media goes by it from now on.
    Take,
    /// Close it.
    Drop,
}

/// Decides about the next connection; `carrier` is the cost of the path in use if that works.
pub fn judge(purpose: Purpose, next: &Standing, carrier: Option<Option<Cost>>, now: Instant) -> Verdict {
    let Some(up) = next.up else {
        let until = next.begun + PATIENCE;
        return if until <= now { Verdict::Drop } else { Verdict::Wait(until) };
    };
    let better = match (carrier, next.cost) {
        (None, _) => true,
        (Some(Some(old)), Some(new)) => new < old,
        (Some(_), _) => false,
    };
    match purpose {
        Purpose::Replace => Verdict::Take,
        Purpose::Better | Purpose::Follow if next.heard || carrier.is_none() => Verdict::Take,
        Purpose::Better if better => Verdict::Take,
        Purpose::Better if up + HESITATION <= now => Verdict::Drop,
        Purpose::Better => Verdict::Wait(up + HESITATION),
        Purpose::Follow if up + PATIENCE <= now => Verdict::Drop,
        Purpose::Follow => Verdict::Wait(up + PATIENCE),
    }
}

/// When a connection that media has left is closed, given when it was left and when the other side
/// was first heard by the new one.
pub fn close_at(left: Instant, heard: Option<Instant>) -> Instant {
    heard.map_or(left + LINGER_UNHEARD, |heard| (heard.max(left) + LINGER).min(left + LINGER_UNHEARD))
}

/// Packets that leave by both connections after a hand-over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overlap {
    left: u32,
    until: Option<Instant>,
}

impl Overlap {
    /// Media moves now.
    pub fn begin(now: Instant) -> Self {
        Self { left: BOTH, until: Some(now + BOTH_FOR) }
    }

    /// The other side is heard by the new connection, so it hears us, too.
    pub fn end(&mut self) {
        self.left = 0;
    }

    /// Whether the packet that leaves now goes by both.
    pub fn take(&mut self, now: Instant) -> bool {
        if self.left == 0 || self.until.is_none_or(|until| until <= now) {
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAYED: Cost = Cost { relay: 1, interface: 1 };
    const DIRECT: Cost = Cost { relay: 0, interface: 1 };

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    fn up(now: Instant, cost: Cost) -> Standing {
        Standing { begun: now, up: Some(now), heard: false, cost: Some(cost) }
    }

    #[test]
    fn a_connection_that_replaces_another_is_taken_as_soon_as_it_is_up() {
        let now = start();
        let begun = Standing { begun: now, up: None, heard: false, cost: None };
        assert_eq!(judge(Purpose::Replace, &begun, None, now), Verdict::Wait(now + PATIENCE));
        assert_eq!(judge(Purpose::Replace, &up(now, RELAYED), Some(Some(DIRECT)), now), Verdict::Take);
    }

    #[test]
    fn one_that_does_not_come_up_is_dropped() {
        let now = start();
        let begun = Standing { begun: now, up: None, heard: false, cost: None };
        for purpose in [Purpose::Replace, Purpose::Better, Purpose::Follow] {
            assert_eq!(judge(purpose, &begun, Some(None), now + PATIENCE), Verdict::Drop);
        }
    }

    #[test]
    fn a_better_path_is_taken_and_one_that_is_no_better_is_dropped_after_a_moment() {
        let now = start();
        let judge = |new, old, now| judge(Purpose::Better, &new, Some(Some(old)), now);
        assert_eq!(judge(up(now, DIRECT), RELAYED, now), Verdict::Take);
        assert_eq!(judge(up(now, RELAYED), RELAYED, now), Verdict::Wait(now + HESITATION));
        assert_eq!(judge(up(now, RELAYED), RELAYED, now + HESITATION), Verdict::Drop);
        let over_cable = Cost { relay: 1, interface: 0 };
        assert_eq!(judge(up(now, over_cable), DIRECT, now + HESITATION), Verdict::Drop, "a relay costs more");
        assert_eq!(judge(up(now, over_cable), RELAYED, now), Verdict::Take);
    }

    #[test]
    fn whoever_did_not_begin_it_follows_the_media_or_takes_it_when_nothing_else_works() {
        let now = start();
        let next = up(now, DIRECT);
        assert_eq!(judge(Purpose::Follow, &next, Some(Some(RELAYED)), now), Verdict::Wait(now + PATIENCE));
        assert_eq!(judge(Purpose::Follow, &next, None, now), Verdict::Take);
        let heard = Standing { heard: true, ..next };
        assert_eq!(judge(Purpose::Follow, &heard, Some(Some(RELAYED)), now), Verdict::Take);
        assert_eq!(judge(Purpose::Better, &heard, Some(Some(DIRECT)), now), Verdict::Take, "they moved");
    }

    #[test]
    fn the_connection_that_is_left_lingers_until_both_have_moved_and_a_little_longer() {
        let left = start();
        assert_eq!(close_at(left, None), left + LINGER_UNHEARD);
        assert_eq!(
            close_at(left, Some(left + Duration::from_millis(40))),
            left + Duration::from_millis(1_040)
        );
        assert_eq!(close_at(left, Some(left - Duration::from_secs(3))), left + LINGER);
    }

    #[test]
    fn only_the_first_packets_after_a_hand_over_leave_by_both() {
        let now = start();
        assert!(!Overlap::default().take(now));
        let mut overlap = Overlap::begin(now);
        assert_eq!((0..BOTH + 9).filter(|_| overlap.take(now)).count() as u32, BOTH);
        assert!(!Overlap::begin(now).take(now + BOTH_FOR));
        let mut overlap = Overlap::begin(now);
        overlap.end();
        assert!(!overlap.take(now));
    }
}
