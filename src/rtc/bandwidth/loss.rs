//! Whether more is lost than the path loses anyway.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A verdict needs so many packets and so much time, whichever takes longer.
const LEAST_PACKETS: u32 = 20;
/// See [`LEAST_PACKETS`].
const LEAST_TIME: Duration = Duration::from_millis(400);

/// What a radio link may lose without being full; beyond that the path is unusable anyway, and
/// sending less is right whatever the cause.
const MOST_INHERENT: f64 = 0.2;

/// Verdicts whose minimum counts as inherent: about five seconds.
const MEMORY: usize = 12;

/// Counts and judges.
#[derive(Debug, Default)]
pub struct LossWindow {
    since: Option<Instant>,
    packets: u32,
    lost: u32,
    verdicts: VecDeque<f64>,
}

/// What a window of packets said.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss {
    /// Share lost, 0.0 to 1.0.
    pub share: f64,
    /// What of it comes on top of what is lost at any rate.
    pub excess: f64,
}

impl LossWindow {
    /// The fate of one packet is known.
    pub fn on_packet(&mut self, arrived: bool) {
        self.packets += 1;
        self.lost += u32::from(!arrived);
    }

    /// The verdict on the packets since the last one, once there are enough.
    pub fn update(&mut self, now: Instant) -> Option<Loss> {
        let since = *self.since.get_or_insert(now);
        if self.packets < LEAST_PACKETS || now.saturating_duration_since(since) < LEAST_TIME {
            return None;
        }
        let share = f64::from(self.lost) / f64::from(self.packets);
        // Nothing is inherent before it has lasted: the start may be far too fast.
        let enough = self.verdicts.len() >= MEMORY;
        let inherent = if enough { self.verdicts.iter().copied().fold(MOST_INHERENT, f64::min) } else { 0.0 };
        if enough {
            self.verdicts.pop_front();
        }
        self.verdicts.push_back(share);
        self.restart(now);
        Some(Loss { share, excess: (share - inherent).max(0.0) })
    }

    /// Forgets what is counted: it belongs to a rate that is no longer sent.
    pub fn restart(&mut self, now: Instant) {
        self.since = Some(now);
        self.packets = 0;
        self.lost = 0;
    }

    /// Share lost in the last verdicts, about a second.
    pub fn recent(&self) -> f64 {
        let last = self.verdicts.iter().rev().take(2);
        let count = last.len();
        if count == 0 { 0.0 } else { last.sum::<f64>() / count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One verdict at a time, `percent` lost.
    fn feed(window: &mut LossWindow, now: &mut Instant, percent: u32) -> Loss {
        for n in 0..100 {
            window.on_packet(n >= percent);
        }
        *now += LEAST_TIME;
        window.update(*now).unwrap()
    }

    #[test]
    fn loss_is_excess_until_it_has_lasted_at_every_rate() {
        let mut now = crate::clock::now() + Duration::from_secs(3_600);
        let mut window = LossWindow::default();
        window.update(now);
        for _ in 0..MEMORY {
            assert_eq!(feed(&mut window, &mut now, 15), Loss { share: 0.15, excess: 0.15 });
        }
        assert_eq!(feed(&mut window, &mut now, 15).excess, 0.0);
        assert!(feed(&mut window, &mut now, 40).excess > 0.2);
        assert!((window.recent() - 0.275).abs() < 1e-9);
    }

    #[test]
    fn a_single_lost_packet_of_a_few_is_no_verdict() {
        let mut now = crate::clock::now() + Duration::from_secs(3_600);
        let mut window = LossWindow::default();
        window.update(now);
        window.on_packet(false);
        now += Duration::from_secs(2);
        assert_eq!(window.update(now), None);
        assert_eq!(window.recent(), 0.0);
    }
}
