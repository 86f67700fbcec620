//! The side where it is seen: the pointers and strokes of everybody, until they fade.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signaling_protocol::PeerId;

use super::message::{Message, Point};

/// A pointer that has not moved for so long is gone.
const POINTER: Duration = Duration::from_secs(4);

/// A stroke stays for so long after its last point, and then fades.
pub const STAYS: Duration = Duration::from_secs(4);

/// It fades within this time.
pub const FADES: Duration = Duration::from_secs(1);

/// Strokes of one person; when there are more the oldest goes.
const STROKES: usize = 32;

/// Points of one stroke; more are not drawn.
const POINTS: usize = 4_096;

/// Messages of one person that are looked at: what comes at once, and each second after that. An
/// honest hand sends 60.
const BURST: f64 = 60.0;
const PER_SECOND: f64 = 90.0;

/// That somebody sends more is said so often at most.
const SCOLD: Duration = Duration::from_secs(10);

/// A stroke as it is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its points in order. Where some were lost for good the line is straight.
    pub points: Vec<Point>,
    /// When its last point came.
    pub since: Instant,
}

impl Mark {
    /// How much of it is seen, 1.0 to 0.0.
    pub fn strength(&self, now: Instant) -> f32 {
        let faded = now.saturating_duration_since(self.since).saturating_sub(STAYS);
        1.0 - (faded.as_secs_f32() / FADES.as_secs_f32()).min(1.0)
    }

    /// When it begins to fade.
    pub fn fades_at(&self) -> Instant {
        self.since + STAYS
    }
}

/// What one person shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Who.
    pub peer: PeerId,
    /// As called.
    pub name: String,
    /// Whose screen it is on.
    pub screen: PeerId,
    /// Where the pointer is, if it is on the picture.
    pub pointer: Option<Point>,
    /// What was drawn, oldest first.
    pub strokes: Vec<Mark>,
}

/// What a message brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Something to draw.
    New,
    /// Nothing, or nothing that is allowed.
    Nothing,
    /// More than a hand can do; the rest is dropped. Told once in a while.
    Flood,
}

#[derive(Debug)]
struct Stroke {
    id: u16,
    /// By number; what is missing may still come with the next message.
    points: BTreeMap<u16, Point>,
    since: Instant,
}

#[derive(Debug)]
struct Person {
    name: String,
    screen: PeerId,
    newest: Option<u32>,
    at: Option<(Point, Instant)>,
    strokes: Vec<Stroke>,
    allowance: (f64, Instant),
    scolded: Option<Instant>,
}

impl Person {
    /// Whether one more message may be looked at.
    fn affords(&mut self, now: Instant) -> bool {
        let (left, since) = self.allowance;
        let left = (left + now.saturating_duration_since(since).as_secs_f64() * PER_SECOND).min(BURST);
        self.allowance = ((left - 1.0).max(0.0), now);
        left >= 1.0
    }

    /// The stroke of this number; `None`: an old one that is gone.
    fn stroke(&mut self, id: u16, is_newest: bool, now: Instant) -> Option<&mut Stroke> {
        if let Some(known) = self.strokes.iter().position(|stroke| stroke.id == id) {
            return self.strokes.get_mut(known);
        }
        if !is_newest {
            return None;
        }
        if self.strokes.len() == STROKES {
            self.strokes.remove(0);
        }
        self.strokes.push(Stroke { id, points: BTreeMap::new(), since: now });
        self.strokes.last_mut()
    }
}

/// Everything that is seen over one shared picture.
#[derive(Debug, Default)]
pub struct Board {
    people: BTreeMap<PeerId, Person>,
    dropped: u64,
}

impl Board {
    /// A message of somebody; `allowed` says on whose screens one may point.
    pub fn on_message(
        &mut self,
        peer: &PeerId,
        name: &str,
        bytes: &[u8],
        allowed: impl Fn(&PeerId) -> bool,
        now: Instant,
    ) -> Heard {
        let person = self.people.entry(peer.clone()).or_insert_with(|| Person {
            name: name.to_owned(),
            screen: peer.clone(),
            newest: None,
            at: None,
            strokes: Vec::new(),
            allowance: (BURST, now),
            scolded: None,
        });
        if !person.affords(now) {
            self.dropped += 1;
            if person.scolded.is_some_and(|at| now.saturating_duration_since(at) < SCOLD) {
                return Heard::Nothing;
            }
            person.scolded = Some(now);
            return Heard::Flood;
        }
        let Some(message) = Message::parse(bytes).filter(|message| allowed(&message.screen)) else {
            self.dropped += 1;
            return Heard::Nothing;
        };
        let is_newest = person.newest.is_none_or(|newest| message.number.wrapping_sub(newest) < 1 << 31);
        if is_newest {
            person.newest = Some(message.number);
            person.at = message.at.map(|at| (at, now));
            if person.screen != message.screen {
                person.screen = message.screen;
                person.strokes.clear();
            }
        } else if person.screen != message.screen {
            return Heard::Nothing;
        }
        // An older message may still bring points that were missing.
        if let Some(tail) = message.stroke {
            let Some(stroke) = person.stroke(tail.stroke, is_newest, now) else { return Heard::Nothing };
            for (number, point) in (tail.first..=u16::MAX).zip(tail.points) {
                if stroke.points.len() < POINTS && stroke.points.insert(number, point).is_none() {
                    stroke.since = now;
                }
            }
        }
        Heard::New
    }

    /// Somebody left, or may not point any more.
    pub fn forget(&mut self, peer: &PeerId) {
        self.people.remove(peer);
    }

    /// Nobody points at this screen any more.
    pub fn wipe(&mut self, screen: &PeerId) {
        for person in self.people.values_mut().filter(|person| person.screen == *screen) {
            person.at = None;
            person.strokes.clear();
        }
    }

    /// Another call.
    pub fn clear(&mut self) {
        self.people.clear();
    }

    /// Messages that were not looked at.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Puts away what has faded.
    pub fn handle_timeout(&mut self, now: Instant) {
        let age = |since: Instant| now.saturating_duration_since(since);
        for person in self.people.values_mut() {
            person.at = person.at.filter(|(_, since)| age(*since) < POINTER);
            person.strokes.retain(|stroke| age(stroke.since) < STAYS + FADES);
        }
    }

    /// When something fades.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pointers = self.people.values().filter_map(|person| Some(person.at?.1 + POINTER));
        let strokes = self.people.values().flat_map(|person| &person.strokes);
        pointers.chain(strokes.map(|stroke| stroke.since + STAYS + FADES)).min()
    }

    /// What is seen.
    pub fn marks(&self) -> Arc<Vec<Marks>> {
        let seen = self.people.iter().filter(|(_, person)| person.at.is_some() || !person.strokes.is_empty());
        let mark =
            |stroke: &Stroke| Mark { points: stroke.points.values().copied().collect(), since: stroke.since };
        let marks = seen.map(|(peer, person)| Marks {
            peer: peer.clone(),
            name: person.name.clone(),
            screen: person.screen.clone(),
            pointer: person.at.map(|(at, _)| at),
            strokes: person.strokes.iter().map(mark).collect(),
        });
        Arc::new(marks.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hand;
    use super::*;
    use proptest::prelude::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    fn bob() -> PeerId {
        PeerId::new("bob").unwrap()
    }

    fn ada() -> PeerId {
        PeerId::new("ada").unwrap()
    }

    fn hear(board: &mut Board, message: &Message, now: Instant) -> Heard {
        board.on_message(&bob(), "Bob", &message.write(), |_| true, now)
    }

    /// A second of drawing, a message every 16.6 ms of which some are lost; the numbers of the points
    /// that are seen, with how long after they were drawn.
    fn draw(loses: impl Fn(u32) -> bool) -> (Vec<u16>, Vec<Duration>) {
        let (mut hand, mut board, begin) = (Hand::default(), Board::default(), start());
        let (mut delays, mut seen) = (Vec::new(), 0);
        let mut drawn = Vec::new();
        for n in 0..60_u16 {
            let now = begin + Duration::from_millis(17) * u32::from(n);
            hand.moved(&ada(), Some(Point { x: n, y: 0 }), true);
            drawn.push(now);
            let Some(message) = hand.poll(now) else { continue };
            if !loses(message.number) {
                hear(&mut board, &message, now);
            }
            let there = board.marks().first().map_or(0, |marks| marks.strokes[0].points.len());
            delays.extend((seen..there).map(|at| now - drawn[at]));
            seen = there;
        }
        let points = board.marks()[0].strokes[0].points.iter().map(|point| point.x).collect();
        (points, delays)
    }

    #[test]
    fn at_five_percent_loss_a_stroke_has_no_gaps_and_is_seen_at_once() {
        let (points, mut delays) = draw(|number| number % 20 == 7 || number % 20 == 8);
        assert_eq!(points, (0..60).collect::<Vec<_>>());
        delays.sort();
        let p95 = delays[delays.len() * 95 / 100];
        assert!(p95 < Duration::from_millis(50), "{p95:?}");
    }

    #[test]
    fn what_comes_late_or_twice_moves_no_pointer_back() {
        let (mut board, now) = (Board::default(), start());
        let at = |number: u32, x: u16| Message {
            number,
            screen: ada(),
            at: Some(Point { x, y: 0 }),
            stroke: None,
        };
        for (number, x) in [(5, 50), (4, 40), (5, 51), (6, 60)] {
            hear(&mut board, &at(number, x), now);
        }
        assert_eq!(board.marks()[0].pointer, Some(Point { x: 60, y: 0 }));
    }

    #[test]
    fn pointers_and_strokes_fade_and_nothing_is_left() {
        let (mut hand, mut board, now) = (Hand::default(), Board::default(), start());
        hand.moved(&ada(), Some(Point { x: 1, y: 1 }), true);
        hear(&mut board, &hand.poll(now).unwrap(), now);
        let mark = board.marks()[0].strokes[0].clone();
        assert_eq!(mark.strength(now + STAYS), 1.0);
        assert_eq!(mark.strength(now + STAYS + FADES / 2), 0.5);
        board.handle_timeout(now + STAYS + FADES);
        assert!(board.marks().is_empty() && board.poll_timeout().is_none());
    }

    #[test]
    fn a_flood_is_dropped_counted_and_told_once() {
        let (mut board, now) = (Board::default(), start());
        let message = Message { number: 1, screen: ada(), at: None, stroke: None };
        let told = (0..10_000).filter(|_| hear(&mut board, &message, now) == Heard::Flood).count();
        assert_eq!((board.dropped(), told), (10_000 - BURST as u64, 1));
    }

    #[test]
    fn nothing_is_seen_on_a_screen_that_must_not_be_pointed_at() {
        let (mut hand, mut board, now) = (Hand::default(), Board::default(), start());
        hand.moved(&ada(), Some(Point { x: 1, y: 1 }), true);
        let bytes = hand.poll(now).unwrap().write();
        assert_eq!(board.on_message(&bob(), "Bob", &bytes, |screen| *screen != ada(), now), Heard::Nothing);
        assert!(board.marks().is_empty());
        assert_eq!(board.on_message(&bob(), "Bob", &bytes, |_| true, now), Heard::New);
        board.wipe(&bob());
        assert_eq!(board.marks()[0].screen, ada());
        board.wipe(&ada());
        assert!(board.marks().is_empty());
    }

    #[test]
    fn who_goes_on_to_another_screen_leaves_nothing_on_the_first() {
        let (mut hand, mut board, mut now) = (Hand::default(), Board::default(), start());
        for screen in [ada(), bob()] {
            hand.moved(&screen, Some(Point { x: 1, y: 1 }), true);
            hear(&mut board, &hand.poll(now).unwrap(), now);
            now += Duration::from_millis(50);
        }
        let marks = board.marks();
        assert_eq!((marks.len(), marks[0].screen.clone(), marks[0].strokes.len()), (1, bob(), 1));
    }

    proptest! {
        #[test]
        fn no_stranger_fills_the_memory(messages in proptest::collection::vec((any::<u32>(), any::<u16>(), any::<u16>()), 0..300)) {
            let (mut board, mut now) = (Board::default(), start());
            for (number, stroke, first) in messages {
                now += Duration::from_millis(20);
                let points = vec![Point { x: 0, y: 0 }; 16];
                let stroke = Some(super::super::message::Tail { stroke, first, points });
                hear(&mut board, &Message { number, screen: ada(), at: None, stroke }, now);
            }
            if let Some(marks) = board.marks().first() {
                prop_assert!(marks.strokes.len() <= STROKES);
                prop_assert!(marks.strokes.iter().all(|stroke| stroke.points.len() <= POINTS));
            }
        }
    }
}
