//! How much of a path files leave to picture and sound, pure.
//!
//! Media that has less than it needs shows in its estimate of the path: it takes nearly all of it. Files
//! then go slower by what media lacks, not down to nothing: on a wide path that is a small part of what
//! they have, and media's estimate, which they have frightened, takes many seconds to come back.

use crate::units::Bitrate;

/// With this much a path carries picture and sound at their best (`docs/bandwidth.md`).
const ENOUGH_FOR_MEDIA: Bitrate = Bitrate::from_kbps(3_000);

/// Media that takes this share of the estimate would take more if it could. The estimate follows what
/// arrives at 1.5 times at most, so pictures that need no more than they have take two thirds.
const HUNGRY: f64 = 0.8;

/// What files get at least: this share of the estimate, and this much.
const SHARE_OF_FILES: f64 = 0.12;
const LEAST_FOR_FILES: Bitrate = Bitrate::from_kbps(64);

/// The room that files make is so many times what media lacks: a queue has to drain, too.
const ROOM: f64 = 2.0;

/// An estimate that fell by less stands still.
const STANDS: f64 = 0.95;

/// How files come back, a measurement, while media has what it needs.
const FASTER: f64 = 1.5;

/// What files may take at most; `None`: whatever their window lets through.
#[derive(Debug, Default)]
pub struct GivingWay {
    cap: Option<Bitrate>,
    estimate: Bitrate,
}

impl GivingWay {
    /// What media is thought to get, and what it and the files took in the last moment.
    pub fn measured(&mut self, estimate: Bitrate, media: Bitrate, files: Bitrate) -> Option<Bitrate> {
        let before = std::mem::replace(&mut self.estimate, estimate);
        let starves = estimate < ENOUGH_FOR_MEDIA && media > estimate.scaled(HUNGRY);
        self.cap = match (starves, self.cap) {
            (false, None) => None,
            // Something else holds them back.
            (false, Some(cap)) if files < cap.scaled(0.5) => None,
            (false, Some(cap)) => Some(cap.scaled(FASTER)),
            (true, Some(cap)) if estimate >= before.scaled(STANDS) => Some(cap),
            (true, _) => {
                let lacks = ENOUGH_FOR_MEDIA.as_bps() - estimate.as_bps();
                let rest = files.as_bps() as f64 - ROOM * lacks as f64;
                let least = estimate.scaled(SHARE_OF_FILES).max(LEAST_FOR_FILES);
                Some(Bitrate::from_bps(rest.max(0.0) as u64).max(least))
            }
        };
        self.cap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn kbps(kbps: u64) -> Bitrate {
        Bitrate::from_kbps(kbps)
    }

    #[test]
    fn files_leave_a_narrow_path_to_the_pictures() {
        let mut way = GivingWay::default();
        assert_eq!(way.measured(kbps(1_500), kbps(1_450), kbps(400)), Some(kbps(180)));
        assert_eq!(way.measured(kbps(1_700), kbps(1_650), kbps(180)), Some(kbps(180)), "it recovers");
        assert_eq!(way.measured(kbps(300), kbps(290), kbps(180)), Some(kbps(64)), "it became narrower");
    }

    #[test]
    fn on_a_wide_path_they_leave_as_much_as_is_missing() {
        let mut way = GivingWay::default();
        assert_eq!(way.measured(kbps(2_500), kbps(1_600), kbps(17_000)), None);
        assert_eq!(way.measured(kbps(1_500), kbps(1_500), kbps(17_000)), Some(kbps(14_000)));
        assert_eq!(way.measured(kbps(1_600), kbps(1_600), kbps(14_000)), Some(kbps(14_000)));
        assert_eq!(way.measured(kbps(2_400), kbps(1_600), kbps(14_000)), Some(kbps(21_000)), "more again");
    }

    #[test]
    fn a_camera_that_needs_little_does_not_hold_them_back() {
        let mut way = GivingWay::default();
        assert_eq!(way.measured(kbps(1_500), kbps(1_000), kbps(9_000)), None);
        assert_eq!(way.measured(kbps(4_000), kbps(3_900), kbps(9_000)), None, "as good as it gets");
    }

    #[test]
    fn a_limit_that_is_not_reached_goes() {
        let mut way = GivingWay::default();
        assert!(way.measured(kbps(1_500), kbps(1_500), kbps(0)).is_some());
        assert_eq!(way.measured(kbps(2_500), kbps(1_500), kbps(0)), None);
    }
}
