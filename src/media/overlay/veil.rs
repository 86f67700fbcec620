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

/// A square of the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    row: i32,
    column: i32,
}

impl Tile {
    /// Its pixels.
    pub fn rect(self) -> Rect {
        Rect::new(self.column * TILE as i32, self.row * TILE as i32, TILE, TILE)
    }
}

/// What is covered now, and was a moment ago. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Veil(Arc<Mutex<Covers>>);

#[derive(Debug, Default)]
struct Covers {
    now: BTreeSet<Tile>,
    /// Until when each counts.
    before: Vec<(BTreeSet<Tile>, Instant)>,
}

impl Veil {
    fn covers(&self) -> MutexGuard<'_, Covers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on marks are drawn in these rectangles of the desktop, and nowhere else.
    pub fn cover(&self, rects: impl IntoIterator<Item = Rect>, now: Instant) {
        let tiles = tiles(rects);
        let mut covers = self.covers();
        covers.before.retain(|(_, until)| *until > now);
        if covers.now != tiles {
            let gone = std::mem::replace(&mut covers.now, tiles);
            covers.before.push((gone, now + LINGERS));
        }
    }

    /// Where marks may be seen now.
    pub fn covered(&self, now: Instant) -> BTreeSet<Tile> {
        let mut covers = self.covers();
        covers.before.retain(|(_, until)| *until > now);
        let before = covers.before.iter().flat_map(|(tiles, _)| tiles);
        covers.now.iter().chain(before).copied().collect()
    }
}

/// The squares that these rectangles touch.
fn tiles(rects: impl IntoIterator<Item = Rect>) -> BTreeSet<Tile> {
    let edge = TILE as i32;
    let touched = |at: i32, length: u32| {
        let last = at.saturating_add_unsigned(length.saturating_sub(1));
        at.div_euclid(edge)..=last.div_euclid(edge)
    };
    let mut tiles = BTreeSet::new();
    for rect in rects {
        for row in touched(rect.y, rect.height) {
            tiles.extend(touched(rect.x, rect.width).map(|column| Tile { row, column }));
        }
    }
    tiles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    fn rects(tiles: BTreeSet<Tile>) -> Vec<Rect> {
        tiles.into_iter().map(Tile::rect).collect()
    }

    #[test]
    fn what_is_drawn_is_covered_with_all_of_the_squares_that_it_touches() {
        let touched = |rect| rects(tiles([rect]));
        assert_eq!(touched(Rect::new(7, 0, 2, 1)), [Rect::new(0, 0, 8, 8), Rect::new(8, 0, 8, 8)]);
        assert_eq!(touched(Rect::new(-1, -1, 1, 1)), [Rect::new(-8, -8, 8, 8)]);
        assert_eq!(touched(Rect::new(16, 0, 1, 9)), [Rect::new(16, 0, 8, 8), Rect::new(16, 8, 8, 8)]);
    }

    #[test]
    fn what_was_taken_away_counts_a_moment_longer() {
        let (veil, now) = (Veil::default(), start());
        let covered = |millis| rects(veil.covered(now + Duration::from_millis(millis)));
        let (here, there) = (Rect::new(0, 0, 8, 8), Rect::new(80, 80, 8, 8));
        veil.cover([here], now);
        veil.cover([there], now + Duration::from_millis(10));
        assert_eq!(covered(60), [here, there]);
        assert_eq!(covered(111), [there]);
        veil.cover([], now + Duration::from_millis(200));
        assert_eq!(covered(250), [there]);
        assert!(covered(301).is_empty());
    }
}
