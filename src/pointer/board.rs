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
}

/// What one person shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Who.
    pub peer: PeerId,
    /// As called.
    pub name: String,
    /// Where the pointer is, if it is on the picture.
    pub pointer: Option<Point>,
    /// What was drawn, oldest first.
    pub strokes: Vec<Mark>,
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
    newest: Option<u32>,
    at: Option<(Point, Instant)>,
    strokes: Vec<Stroke>,
    allowance: (f64, Instant),
}

/// Everything that is seen over one shared picture.
#[derive(Debug, Default)]
pub struct Board {
    people: BTreeMap<PeerId, Person>,
    dropped: u64,
}

impl Board {
    /// A message of somebody. Says whether something is new.
    pub fn on_message(&mut self, peer: &PeerId, name: &str, bytes: &[u8], now: Instant) -> bool {
        let person = self.people.entry(peer.clone()).or_insert_with(|| Person {
            name: name.to_owned(),
            newest: None,
            at: None,
            strokes: Vec::new(),
            allowance: (BURST, now),
        });
        let (left, since) = person.allowance;
        let left = (left + now.saturating_duration_since(since).as_secs_f64() * PER_SECOND).min(BURST);
        person.allowance = ((left - 1.0).max(0.0), now);
        let message = if left < 1.0 { None } else { Message::parse(bytes) };
        let Some(message) = message else {
            self.dropped += 1;
            return false;
        };
        let is_newest = person.newest.is_none_or(|newest| message.number.wrapping_sub(newest) < 1 << 31);
        if is_newest {
            person.newest = Some(message.number);
            person.at = message.at.map(|at| (at, now));
        }
        // An older message may still bring points that were missing.
        if let Some(tail) = message.stroke {
            let known = person.strokes.iter().position(|stroke| stroke.id == tail.stroke);
            let stroke = match known {
                Some(known) => &mut person.strokes[known],
                None if !is_newest => return false,
                None => {
                    if person.strokes.len() == STROKES {
                        person.strokes.remove(0);
                    }
                    let stroke = Stroke { id: tail.stroke, points: BTreeMap::new(), since: now };
                    person.strokes.push(stroke);
                    let last = person.strokes.len() - 1;
                    &mut person.strokes[last]
                }
            };
            for (number, point) in (tail.first..=u16::MAX).zip(tail.points) {
                if stroke.points.len() < POINTS && stroke.points.insert(number, point).is_none() {
                    stroke.since = now;
                }
            }
        }
        true
    }

    /// Somebody left, or may not point any more.
    pub fn forget(&mut self, peer: &PeerId) {
        self.people.remove(peer);
    }

    /// The picture is another one, or pointing was switched off.
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

    /// A second of drawing, a message every 16.6 ms of which some are lost; the numbers of the points
    /// that are seen, with how long after they were drawn.
    fn draw(loses: impl Fn(u32) -> bool) -> (Vec<u16>, Vec<Duration>) {
        let (mut hand, mut board, begin) = (Hand::default(), Board::default(), start());
        let (mut delays, mut seen) = (Vec::new(), 0);
        let mut drawn = Vec::new();
        for n in 0..60_u16 {
            let now = begin + Duration::from_millis(17) * u32::from(n);
            hand.moved(Some(Point { x: n, y: 0 }), true);
            drawn.push(now);
            let Some(message) = hand.poll(now) else { continue };
            if !loses(message.number) {
                board.on_message(&bob(), "Bob", &message.write(), now);
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
        let at = |number: u32, x: u16| Message { number, at: Some(Point { x, y: 0 }), stroke: None }.write();
        for (number, x) in [(5, 50), (4, 40), (5, 51), (6, 60)] {
            board.on_message(&bob(), "Bob", &at(number, x), now);
        }
        assert_eq!(board.marks()[0].pointer, Some(Point { x: 60, y: 0 }));
    }

    #[test]
    fn pointers_and_strokes_fade_and_nothing_is_left() {
        let (mut hand, mut board, now) = (Hand::default(), Board::default(), start());
        hand.moved(Some(Point { x: 1, y: 1 }), true);
        board.on_message(&bob(), "Bob", &hand.poll(now).unwrap().write(), now);
        let mark = board.marks()[0].strokes[0].clone();
        assert_eq!(mark.strength(now + STAYS), 1.0);
        assert_eq!(mark.strength(now + STAYS + FADES / 2), 0.5);
        board.handle_timeout(now + STAYS + FADES);
        assert!(board.marks().is_empty() && board.poll_timeout().is_none());
    }

    #[test]
    fn a_flood_is_dropped_and_counted() {
        let (mut board, now) = (Board::default(), start());
        let message = Message { number: 1, at: None, stroke: None }.write();
        for _ in 0..10_000 {
            board.on_message(&bob(), "Bob", &message, now);
        }
        assert_eq!(board.dropped(), 10_000 - BURST as u64);
    }

    proptest! {
        #[test]
        fn no_stranger_fills_the_memory(messages in proptest::collection::vec((any::<u32>(), any::<u16>(), any::<u16>()), 0..300)) {
            let (mut board, mut now) = (Board::default(), start());
            for (number, stroke, first) in messages {
                now += Duration::from_millis(20);
                let points = vec![Point { x: 0, y: 0 }; 16];
                let stroke = Some(super::super::message::Tail { stroke, first, points });
                board.on_message(&bob(), "Bob", &Message { number, at: None, stroke }.write(), now);
            }
            if let Some(marks) = board.marks().first() {
                prop_assert!(marks.strokes.len() <= STROKES);
                prop_assert!(marks.strokes.iter().all(|stroke| stroke.points.len() <= POINTS));
            }
        }
    }
}
