//! What the capture of a screen leaves as it was, because marks are drawn over it. Pure.
//!
//! Marks on the screen itself would come back in the captured picture: seen twice by those who draw
//! them anyway, and encoded although nothing of the person's own changed. So whoever draws them says
//! where, before it does, and the capture keeps what it saw there before. What changes underneath is
//! seen when the mark is gone. A compositor shows windows a picture or two late; so what was covered
//! stays covered a little longer.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::media::source::screen::Rect;

/// How long it takes until what was taken away is certainly gone from the screen.
const LINGERS: Duration = Duration::from_millis(100);

/// Edge of the squares that are kept, in pixels; even, so that they hold whole pixels of colour.
const TILE: u32 = 8;

/// What is covered now, and was a moment ago. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Veil(Arc<Mutex<Covers>>);

#[derive(Debug, Default)]
struct Covers {
    now: Arc<Vec<Rect>>,
    /// Until when each counts.
    before: Vec<(Arc<Vec<Rect>>, Instant)>,
}

impl Veil {
    fn covers(&self) -> MutexGuard<'_, Covers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on marks are drawn in these rectangles of the desktop, and nowhere else.
    pub fn cover(&self, rects: impl IntoIterator<Item = Rect>, now: Instant) {
        let tiles = Arc::new(tiles(rects));
        let mut covers = self.covers();
        if *covers.now != *tiles {
            let gone = std::mem::replace(&mut covers.now, tiles);
            covers.before.push((gone, now + LINGERS));
            covers.before.retain(|(_, until)| *until > now);
        }
    }

    /// Where marks may be seen now, in pixels of the desktop; rectangles may overlap.
    pub fn covered(&self, now: Instant) -> Vec<Rect> {
        let mut covers = self.covers();
        covers.before.retain(|(_, until)| *until > now);
        let before = covers.before.iter().flat_map(|(rects, _)| rects.iter());
        covers.now.iter().chain(before).copied().collect()
    }
}

/// The squares that these rectangles touch, in runs.
fn tiles(rects: impl IntoIterator<Item = Rect>) -> Vec<Rect> {
    let edge = TILE as i32;
    let mut touched = BTreeSet::new();
    for rect in rects {
        let last =
            |at: i32, length: u32| at.saturating_add_unsigned(length.saturating_sub(1)).div_euclid(edge);
        for row in rect.y.div_euclid(edge)..=last(rect.y, rect.height) {
            for column in rect.x.div_euclid(edge)..=last(rect.x, rect.width) {
                touched.insert((row, column));
            }
        }
    }
    let mut runs: Vec<Rect> = Vec::new();
    for (row, column) in touched {
        let (x, y) = (column * edge, row * edge);
        match runs.last_mut() {
            Some(run) if run.y == y && run.x + run.width as i32 == x => run.width += TILE,
            _ => runs.push(Rect::new(x, y, TILE, TILE)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    #[test]
    fn what_is_drawn_is_covered_with_all_of_the_squares_that_it_touches() {
        assert_eq!(tiles([Rect::new(7, 0, 2, 1)]), [Rect::new(0, 0, 16, 8)]);
        assert_eq!(tiles([Rect::new(-1, -1, 1, 1)]), [Rect::new(-8, -8, 8, 8)]);
        let far = tiles([Rect::new(0, 0, 8, 8), Rect::new(16, 0, 1, 9)]);
        assert_eq!(far, [Rect::new(0, 0, 8, 8), Rect::new(16, 0, 8, 8), Rect::new(16, 8, 8, 8)]);
    }

    #[test]
    fn what_was_taken_away_counts_a_moment_longer() {
        let (veil, now) = (Veil::default(), start());
        let (here, there) = (Rect::new(0, 0, 8, 8), Rect::new(80, 80, 8, 8));
        veil.cover([here], now);
        veil.cover([there], now + Duration::from_millis(10));
        assert_eq!(veil.covered(now + Duration::from_millis(60)), [there, here]);
        assert_eq!(veil.covered(now + Duration::from_millis(111)), [there]);
        veil.cover([], now + Duration::from_millis(200));
        assert_eq!(veil.covered(now + Duration::from_millis(250)), [there]);
        assert!(veil.covered(now + Duration::from_millis(301)).is_empty());
    }
}
