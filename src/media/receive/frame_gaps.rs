//! How evenly pictures are shown: frame rate, freezes and pauses as W3C webrtc-stats counts them.
//! Pure: time comes in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::media::stats::VideoReceiveStats;

/// Gaps that the mean is taken over.
const HISTORY: usize = 30;
/// A gap this long is a pause (the camera was switched off), not a freeze.
const PAUSE: Duration = Duration::from_secs(5);
/// A gap is no freeze unless it is this much over the mean.
const LEAST_EXCESS: Duration = Duration::from_millis(150);

/// The gaps between the pictures shown last.
#[derive(Clone, Debug, Default)]
pub struct FrameGaps {
    last: Option<Instant>,
    gaps: VecDeque<Duration>,
}

impl FrameGaps {
    /// A picture is shown at `now`; counts it in `stats`.
    pub fn shown(&mut self, now: Instant, stats: &mut VideoReceiveStats) {
        stats.frames_rendered += 1;
        let Some(last) = self.last.replace(now) else { return };
        let gap = now.saturating_duration_since(last);
        if gap >= PAUSE {
            stats.pause_count += 1;
            stats.total_pauses_duration += gap;
            self.gaps.clear();
            return;
        }
        stats.total_inter_frame_delay += gap;
        stats.total_squared_inter_frame_delay += gap.as_secs_f64().powi(2);
        if !self.gaps.is_empty() {
            let mean = self.gaps.iter().sum::<Duration>() / self.gaps.len() as u32;
            if gap > (3 * mean).max(mean + LEAST_EXCESS) {
                stats.freeze_count += 1;
                stats.total_freezes_duration += gap;
            }
        }
        if self.gaps.len() == HISTORY {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows pictures with these gaps, in milliseconds.
    fn show(gaps: &[u64]) -> VideoReceiveStats {
        let (mut frames, mut stats) = (FrameGaps::default(), VideoReceiveStats::default());
        let mut now = crate::clock::now();
        frames.shown(now, &mut stats);
        for gap in gaps {
            now += Duration::from_millis(*gap);
            frames.shown(now, &mut stats);
        }
        stats
    }

    #[test]
    fn a_gap_over_three_times_the_mean_and_150_ms_over_it_is_a_freeze() {
        let even = [33; 30];
        assert_eq!(show(&even).freeze_count, 0);
        assert_eq!(show(&[&even[..], &[180]].concat()).freeze_count, 0, "less than 150 ms over the mean");
        let frozen = show(&[&even[..], &[190]].concat());
        assert_eq!((frozen.freeze_count, frozen.total_freezes_duration), (1, Duration::from_millis(190)));
        let slow = [100; 30];
        assert_eq!(show(&[&slow[..], &[290]].concat()).freeze_count, 0, "less than three times the mean");
        assert_eq!(show(&[&slow[..], &[310]].concat()).freeze_count, 1);
    }

    #[test]
    fn five_seconds_are_a_pause_and_no_freeze() {
        let stats = show(&[33, 33, 5_000, 33]);
        assert_eq!((stats.freeze_count, stats.pause_count), (0, 1));
        assert_eq!(stats.total_inter_frame_delay, Duration::from_millis(99));
        assert_eq!(stats.frames_rendered, 5);
    }
}
