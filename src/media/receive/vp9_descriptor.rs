//! The head of every VP9 RTP payload (RFC 9628 section 4.2). Pure.
//!
//! ```text
//!  |I|P|L|F|B|E|V|Z|   required
//!  |M| PICTURE ID  |   if I; 15 bits if M
//!  | TID |U| SID |D|   if L
//!  |   TL0PICIDX   |   if L and not F
//!  | P_DIFF      |N|   if F and P, at most three times
//!  | N_S |Y|G|-|-|-|   if V: the scalability structure, of any length
//! ```

/// Most references that one picture may name (RFC 9628 section 4.2: up to three P_DIFF).
const MOST_REFERENCES: usize = 3;

/// What the descriptor says. Fields that we have no use for are read over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The frame begins with this packet (B).
    pub frame_start: bool,
    /// The frame ends with this packet (E).
    pub frame_end: bool,
    /// The picture builds on earlier ones (P).
    pub predicted: bool,
    /// 7 or 15 bits that grow by one from picture to picture.
    pub picture_id: Option<u16>,
    /// Spatial layer; a sender of one layer does not say.
    pub spatial_layer: u8,
}

impl Descriptor {
    /// Whether a key frame begins with this packet.
    pub fn key_start(&self) -> bool {
        self.frame_start && !self.predicted && self.spatial_layer == 0
    }

    /// Splits a payload into descriptor and VP9 data; `None` if it is cut off or holds no data.
    pub fn parse(payload: &[u8]) -> Option<(Self, usize)> {
        let mut bytes = payload.iter().copied();
        let first = bytes.next()?;
        let is = |bit: u8| first & bit != 0;
        let (flexible, layered) = (is(0x10), is(0x20));
        let mut descriptor = Descriptor {
            frame_start: is(0x08),
            frame_end: is(0x04),
            predicted: is(0x40),
            ..Descriptor::default()
        };
        if is(0x80) {
            let high = bytes.next()?;
            let id = if high & 0x80 != 0 {
                u16::from_be_bytes([high & 0x7f, bytes.next()?])
            } else {
                u16::from(high)
            };
            descriptor.picture_id = Some(id);
        }
        if layered {
            descriptor.spatial_layer = (bytes.next()? >> 1) & 0x07;
            if !flexible {
                bytes.next()?;
            }
        }
        if flexible && descriptor.predicted {
            let mut references = 1;
            while bytes.next()? & 1 != 0 {
                references += 1;
                if references > MOST_REFERENCES {
                    return None;
                }
            }
        }
        if is(0x02) {
            skip_structure(&mut bytes)?;
        }
        let length = payload.len() - bytes.len();
        (length < payload.len()).then_some((descriptor, length))
    }
}

/// Reads over a scalability structure.
fn skip_structure(bytes: &mut impl Iterator<Item = u8>) -> Option<()> {
    let head = bytes.next()?;
    let mut skip = |count: usize| (0..count).try_for_each(|_| bytes.next().map(drop));
    if head & 0x10 != 0 {
        // Width and height of each spatial layer.
        skip(4 * (usize::from(head >> 5) + 1))?;
    }
    if head & 0x08 != 0 {
        let pictures = bytes.next()?;
        for _ in 0..pictures {
            let references = usize::from((bytes.next()? >> 2) & 0x03);
            (0..references).try_for_each(|_| bytes.next().map(drop))?;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_without_layers_says_where_it_begins_and_ends_and_whether_it_builds_on_others() {
        let (key, length) = Descriptor::parse(&[0x8c, 0x92, 0x34, 0xaa]).unwrap();
        assert!(key.key_start() && key.frame_end);
        assert_eq!((key.picture_id, length), (Some(0x1234), 3));
        let (inter, length) = Descriptor::parse(&[0xc8, 0x07, 0xaa]).unwrap();
        assert!(inter.frame_start && !inter.frame_end && !inter.key_start());
        assert_eq!((inter.picture_id, length), (Some(7), 2));
    }

    #[test]
    fn layers_references_and_structures_are_read_over() {
        // Layers in both modes.
        assert_eq!(Descriptor::parse(&[0x28, 0x02, 9, 0xaa]).unwrap().1, 3);
        assert_eq!(Descriptor::parse(&[0x38, 0x02, 0xaa]).unwrap().1, 2);
        assert!(!Descriptor::parse(&[0x28, 0x02, 9, 0xaa]).unwrap().0.key_start(), "not the lowest layer");
        // Two references in flexible mode.
        assert_eq!(Descriptor::parse(&[0x58, 0x03, 0x04, 0xaa]).unwrap().1, 3);
        // One layer with its size, and two pictures in the group, one of which has a reference.
        let structure = [0x0a, 0x18, 5, 0, 3, 0, 2, 0x00, 0x04, 1, 0xaa];
        assert_eq!(Descriptor::parse(&structure).unwrap().1, 10);
    }

    #[test]
    fn what_is_cut_off_or_empty_is_refused() {
        for payload in [
            &[][..],
            &[0x08],
            &[0x80],
            &[0x80, 0x80],
            &[0x20, 1],
            &[0x50, 1, 1, 1, 1, 0xaa],
            &[0x02, 0x18, 0, 0, 0],
            &[0x02, 0x08, 9, 0],
        ] {
            assert_eq!(Descriptor::parse(payload), None, "{payload:x?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_arrives_data_is_left_behind_the_descriptor(payload: Vec<u8>) {
            if let Some((_, length)) = Descriptor::parse(&payload) {
                prop_assert!((1..payload.len()).contains(&length));
            }
        }
    }
}
