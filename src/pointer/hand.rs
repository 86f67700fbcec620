//! The viewer's side: what the hand does, as messages, 60 a second at most.

use std::time::{Duration, Instant};

use signaling_protocol::PeerId;

use super::message::{Message, POINTS, Point, Tail};

/// Between two messages: the pace of most screens.
const PACE: Duration = Duration::from_micros(16_600);

/// What was done last is repeated so often, in case the last message is lost: nothing follows it.
const REPEATS: u8 = 3;

/// Between these.
const REPEAT: Duration = Duration::from_millis(30);

/// The end of a stroke is repeated for so long with whatever the hand does next. Much later it would bring
/// a stroke back that has faded.
const REPEATED: Duration = Duration::from_millis(300);

/// A stroke of so many points ends, and another begins where it ended.
const LONGEST: usize = 4_000;

/// A hand over a shared picture.
#[derive(Debug, Default)]
pub struct Hand {
    number: u32,
    /// Whose screen it is over, or was last.
    screen: Option<PeerId>,
    at: Option<Point>,
    stroke: u16,
    /// Points of the current stroke, all that may still be repeated.
    points: Vec<Point>,
    /// How many came before those.
    before: usize,
    drawing: bool,
    /// Something was drawn that no message has told yet.
    fresh: bool,
    /// When something drawn was told for the first time.
    drawn_at: Option<Instant>,
    sent_at: Option<Instant>,
    /// Messages that are still to be sent about what is known.
    due: u8,
}

impl Hand {
    /// The pointer is there on somebody's screen, or beside the picture; `draws`: a button is down.
    pub fn moved(&mut self, screen: &PeerId, at: Option<Point>, draws: bool) {
        let elsewhere = self.screen.as_ref() != Some(screen);
        let begins = elsewhere || (draws && !self.drawing);
        if !elsewhere && self.at == at && self.drawing == draws {
            return;
        }
        self.screen = Some(screen.clone());
        if begins || self.before + self.points.len() >= LONGEST {
            self.stroke = self.stroke.wrapping_add(1);
            self.points.clear();
            self.before = 0;
        }
        if draws && let Some(point) = at {
            self.points.push(point);
            self.fresh = true;
            if self.points.len() > POINTS {
                self.points.remove(0);
                self.before += 1;
            }
        }
        (self.at, self.drawing, self.due) = (at, draws, 1 + REPEATS);
    }

    /// When [`Hand::poll`] gives something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let wait = if self.due > REPEATS { PACE } else { REPEAT };
        (self.due > 0).then_some(self.sent_at? + wait)
    }

    /// The next message, if it is time.
    pub fn poll(&mut self, now: Instant) -> Option<Message> {
        if self.due == 0 || self.poll_timeout().is_some_and(|at| at > now) {
            return None;
        }
        let screen = self.screen.clone()?;
        if std::mem::take(&mut self.fresh) {
            self.drawn_at = Some(now);
        } else if !self.drawing
            && self.drawn_at.is_some_and(|at| now.saturating_duration_since(at) > REPEATED)
        {
            (self.drawn_at, self.before) = (None, 0);
            self.points.clear();
        }
        self.sent_at = Some(now);
        self.due -= 1;
        self.number = self.number.wrapping_add(1);
        let tail = Tail { stroke: self.stroke, first: self.before as u16, points: self.points.clone() };
        let stroke = (!self.points.is_empty()).then_some(tail);
        Some(Message { number: self.number, screen, at: self.at, stroke })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    fn ada() -> PeerId {
        PeerId::new("ada").unwrap()
    }

    fn point(n: u16) -> Option<Point> {
        Some(Point { x: n, y: n })
    }

    #[test]
    fn a_fast_hand_is_told_sixty_times_a_second_and_a_quiet_one_not_at_all() {
        let (mut hand, begin) = (Hand::default(), start());
        let mut sent = 0;
        for millis in 0..1_000_u16 {
            hand.moved(&ada(), point(millis), false);
            sent += usize::from(hand.poll(begin + Duration::from_millis(millis.into())).is_some());
        }
        assert!((55..=61).contains(&sent), "{sent}");
        let quiet = (1_000..9_000).filter(|ms| hand.poll(begin + Duration::from_millis(*ms)).is_some());
        assert!(quiet.count() <= 4);
        assert_eq!(hand.poll_timeout(), None);
    }

    #[test]
    fn a_stroke_that_is_over_is_repeated_for_a_moment_and_never_brought_back() {
        let (mut hand, mut now) = (Hand::default(), start());
        let mut told = |hand: &mut Hand, n: u16, draws: bool, wait: u64| {
            now += Duration::from_millis(wait);
            hand.moved(&ada(), point(n), draws);
            hand.poll(now).expect("it moved").stroke.is_some()
        };
        // A press and release within one message is told too.
        hand.moved(&ada(), point(1), true);
        assert!(told(&mut hand, 1, false, 20));
        assert!(told(&mut hand, 2, false, 100));
        assert!(!told(&mut hand, 3, false, 250));
        assert!(!told(&mut hand, 4, false, 20));
        assert!(told(&mut hand, 5, true, 20));
        assert!(!told(&mut hand, 6, false, 6_000));
    }

    #[test]
    fn a_message_repeats_what_the_last_ones_drew() {
        let (mut hand, mut now) = (Hand::default(), start());
        let mut last = None;
        for n in 0..40 {
            hand.moved(&ada(), point(n), true);
            now += Duration::from_millis(20);
            last = hand.poll(now);
        }
        let tail = last.unwrap().stroke.unwrap();
        assert_eq!((tail.first, tail.points.len()), (24, POINTS));
        hand.moved(&ada(), point(40), false);
        hand.moved(&ada(), point(50), true);
        let next = hand.poll(now + Duration::from_millis(20)).unwrap().stroke.unwrap();
        assert_eq!((next.stroke, next.first, next.points.as_slice()), (2, 0, &[Point { x: 50, y: 50 }][..]));
    }
}
