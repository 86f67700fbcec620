//! A message of the pointer channel: where the pointer is, and the newest part of what it drew
//! (`docs/channels.md`).
//!
//! Every message stands for itself and repeats the last points of the stroke, so that one that is
//! lost leaves no gap.

use bytes::{BufMut, Bytes, BytesMut};
use signaling_protocol::PeerId;

/// The version of this format.
const VERSION: u8 = 1;

/// Points of a stroke in one message: a quarter of a second of them, so that as much may be lost in a
/// row.
pub const POINTS: usize = 16;

/// A place on the shared picture: shares of its width and height, in 65535ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// From the left.
    pub x: u16,
    /// From the top.
    pub y: u16,
}

impl Point {
    /// Of shares of width and height, 0.0 to 1.0; `None` beside the picture.
    pub fn of(x: f32, y: f32) -> Option<Self> {
        let inside = |share: f32| (0.0..=1.0).contains(&share);
        let whole = |share: f32| (share * f32::from(u16::MAX)).round() as u16;
        (inside(x) && inside(y)).then(|| Self { x: whole(x), y: whole(y) })
    }

    /// Shares of width and height, 0.0 to 1.0.
    pub fn shares(self) -> (f32, f32) {
        (f32::from(self.x) / f32::from(u16::MAX), f32::from(self.y) / f32::from(u16::MAX))
    }
}

/// What a viewer's hand does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Counts up; newer ones win.
    pub number: u32,
    /// Whose screen it is about.
    pub screen: PeerId,
    /// Where the pointer is; `None`: it left the picture.
    pub at: Option<Point>,
    /// What is being drawn, or was drawn last.
    pub stroke: Option<Tail>,
}

/// The newest points of a stroke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Which stroke, counting up.
    pub stroke: u16,
    /// The number of its first point here, from the beginning of the stroke.
    pub first: u16,
    /// At most [`POINTS`], oldest first.
    pub points: Vec<Point>,
}

impl Message {
    /// Its bytes.
    pub fn write(&self) -> Bytes {
        let screen = self.screen.as_str().as_bytes();
        let mut out = BytesMut::with_capacity(16 + screen.len() + 4 * POINTS);
        out.put_u8(VERSION);
        out.put_u32(self.number);
        // Identifiers have 64 bytes at most.
        out.put_u8(screen.len() as u8);
        out.put_slice(screen);
        out.put_u8(u8::from(self.at.is_some()));
        if let Some(at) = self.at {
            out.put_u16(at.x);
            out.put_u16(at.y);
        }
        if let Some(tail) = &self.stroke {
            out.put_u16(tail.stroke);
            out.put_u16(tail.first);
            for point in tail.points.iter().take(POINTS) {
                out.put_u16(point.x);
                out.put_u16(point.y);
            }
        }
        out.freeze()
    }

    /// Reads what a stranger sent; `None` if it is not in this format.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(6)?;
        let number = u32::from_be_bytes(head[1..5].try_into().ok()?);
        let (screen, rest) = rest.split_at_checked(head[5].into())?;
        let screen = PeerId::new(std::str::from_utf8(screen).ok()?).ok()?;
        let (presence, rest) = rest.split_first()?;
        if head[0] != VERSION || !rest.len().is_multiple_of(4) {
            return None;
        }
        let mut points = rest.chunks_exact(4).map(|four| Point {
            x: u16::from_be_bytes([four[0], four[1]]),
            y: u16::from_be_bytes([four[2], four[3]]),
        });
        let at = match *presence {
            0 => None,
            1 => Some(points.next()?),
            _ => return None,
        };
        // The head of a tail has the size of a point.
        let stroke = match points.next() {
            None => None,
            Some(Point { x: stroke, y: first }) => {
                let points: Vec<Point> = points.collect();
                if points.is_empty() || points.len() > POINTS {
                    return None;
                }
                Some(Tail { stroke, first, points })
            }
        };
        Some(Self { number, screen, at, stroke })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn positions_survive_the_wire_within_a_tenth_of_a_pixel_of_a_large_screen() {
        for share in [0.0_f32, 0.1, 0.333_33, 0.999, 1.0] {
            let (x, _) = Point::of(share, 0.5).unwrap().shares();
            assert!((x - share).abs() * 7_680.0 < 0.1, "{share}: {x}");
        }
        for beside in [-0.01, 1.01, f32::NAN, f32::INFINITY] {
            assert_eq!(Point::of(beside, 0.5), None);
        }
    }

    proptest! {
        #[test]
        fn every_message_arrives_as_it_was(number: u32, screen in "[A-Za-z0-9_-]{1,64}", at: Option<(u16, u16)>, tail: Option<(u16, u16)>, points in proptest::collection::vec((any::<u16>(), any::<u16>()), 1..=POINTS)) {
            let point = |(x, y): (u16, u16)| Point { x, y };
            let points: Vec<Point> = points.into_iter().map(point).collect();
            let stroke = tail.map(|(stroke, first)| Tail { stroke, first, points });
            let screen = PeerId::new(screen).unwrap();
            let message = Message { number, screen, at: at.map(point), stroke };
            prop_assert_eq!(Message::parse(&message.write()), Some(message));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(0..=255_u8, 0..100)) {
            if let Some(message) = Message::parse(&bytes) {
                prop_assert!(message.write() == bytes);
            }
        }
    }
}
