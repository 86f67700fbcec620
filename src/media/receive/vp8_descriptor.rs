//! The head of every VP8 RTP payload (RFC 7741 section 4.2). Pure.
//!
//! ```text
//!  |X|R|N|S|R| PID |   required
//!  |I|L|T|K|  RSV  |   if X
//!  |M| PictureID   |   if I; 15 bits if M
//!  |   TL0PICIDX   |   if L
//!  |TID|Y| KEYIDX  |   if T or K
//! ```

/// What the descriptor says. Fields that we have no use for are read over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// This packet begins a partition (S).
    pub partition_start: bool,
    /// The partition (PID); the frame begins with the start of partition 0.
    pub partition: u8,
    /// No other frame refers to this one (N).
    pub non_reference: bool,
    /// 7 or 15 bits that grow by one from frame to frame.
    pub picture_id: Option<u16>,
    /// Temporal layer.
    pub temporal_layer: Option<u8>,
}

impl Descriptor {
    /// Whether the frame begins with this packet.
    pub fn frame_start(&self) -> bool {
        self.partition_start && self.partition == 0
    }

    /// Splits a payload into descriptor and VP8 data; `None` if it is cut off or holds no data.
    pub fn parse(payload: &[u8]) -> Option<(Self, usize)> {
        let mut bytes = payload.iter().copied();
        let first = bytes.next()?;
        let mut descriptor = Descriptor {
            partition_start: first & 0x10 != 0,
            partition: first & 0x07,
            non_reference: first & 0x20 != 0,
            ..Descriptor::default()
        };
        if first & 0x80 != 0 {
            let extensions = bytes.next()?;
            if extensions & 0x80 != 0 {
                let high = bytes.next()?;
                let id = if high & 0x80 != 0 {
                    u16::from_be_bytes([high & 0x7f, bytes.next()?])
                } else {
                    u16::from(high)
                };
                descriptor.picture_id = Some(id);
            }
            if extensions & 0x40 != 0 {
                bytes.next()?;
            }
            if extensions & 0x30 != 0 {
                let layer = bytes.next()?;
                descriptor.temporal_layer = (extensions & 0x20 != 0).then_some(layer >> 6);
            }
        }
        let length = payload.len() - bytes.len();
        (length < payload.len()).then_some((descriptor, length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_short_form_says_where_a_frame_begins() {
        let (descriptor, length) = Descriptor::parse(&[0x10, 0xaa]).unwrap();
        assert!(descriptor.frame_start());
        assert_eq!(length, 1);
        let (descriptor, _) = Descriptor::parse(&[0x00, 0xaa]).unwrap();
        assert!(!descriptor.frame_start());
        let (descriptor, _) = Descriptor::parse(&[0x11, 0xaa]).unwrap();
        assert!(descriptor.partition_start && !descriptor.frame_start(), "another partition");
    }

    #[test]
    fn every_extension_is_read_over_or_understood() {
        let (descriptor, length) = Descriptor::parse(&[0xb0, 0xf0, 0x92, 0x34, 0x07, 0x9f, 0xaa]).unwrap();
        assert_eq!(length, 6);
        let expected = Descriptor {
            partition_start: true,
            partition: 0,
            non_reference: true,
            picture_id: Some(0x1234),
            temporal_layer: Some(2),
        };
        assert_eq!(descriptor, expected);
        let (descriptor, length) = Descriptor::parse(&[0x90, 0x80, 0x7f, 0xaa]).unwrap();
        assert_eq!((descriptor.picture_id, length), (Some(0x7f), 3));
        let (descriptor, length) = Descriptor::parse(&[0x90, 0x10, 0xff, 0xaa]).unwrap();
        assert_eq!((descriptor.temporal_layer, length), (None, 3), "a key index only");
    }

    #[test]
    fn what_is_cut_off_or_empty_is_refused() {
        for payload in
            [&[][..], &[0x10], &[0x80], &[0x90, 0x80], &[0x90, 0x80, 0x80], &[0x90, 0xf0, 0x80, 1, 2, 3]]
        {
            assert_eq!(Descriptor::parse(payload), None, "{payload:x?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_arrives_data_is_left_behind_the_descriptor(payload: Vec<u8>) {
            if let Some((_, length)) = Descriptor::parse(&payload) {
                prop_assert!((1..=6).contains(&length) && length < payload.len());
            }
        }
    }
}
