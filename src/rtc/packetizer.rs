//! Splits encoded frames into RTP payloads, once for all participants.
//!
//! Knows payload formats (RFC 7741 for VP8, RFC 9628 for VP9, RFC 7587 for Opus) and no RTP headers:
//! those are each participant's own. The media bytes are shared; only the few bytes of a descriptor
//! are new.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use crate::media::encoded::{Codec, EncodedFrame, TrackKind};
use crate::units::MediaTime;

/// Largest RTP payload in bytes. With RTP header and extensions (20), SRTP tag (16), UDP and IPv6
/// (48) and a TURN ChannelData header (4) a packet stays under the 1280 bytes that every IPv6 path
/// carries, and under the usual 1200 bytes of WebRTC implementations.
pub const MAX_PAYLOAD: usize = 1_180;

/// Bytes of our VP8 payload descriptor: X|S, I, and a PictureID of 15 bits.
const VP8_DESCRIPTOR: usize = 4;

/// Bytes of our VP9 payload descriptor: I|P|B|E, and a PictureID of 15 bits. We send one layer, in
/// non-flexible mode: every picture builds on the one before.
const VP9_DESCRIPTOR: usize = 3;

/// One frame as RTP payloads, ready for every participant's headers.
#[derive(Clone, Debug)]
pub struct Packets {
    /// Microphone, camera, screen or its sound.
    pub kind: TrackKind,
    /// What the payloads are made of.
    pub codec: Codec,
    /// When it is to be shown.
    pub time: MediaTime,
    /// When it was captured.
    pub captured_at: Instant,
    /// Can be decoded without anything before it.
    pub keyframe: bool,
    /// The payloads in order; never empty. The last one carries the marker bit for video.
    pub payloads: Vec<Bytes>,
}

impl Packets {
    /// All payload bytes.
    pub fn len_bytes(&self) -> usize {
        self.payloads.iter().map(Bytes::len).sum()
    }
}

/// Counts the pictures of one track; one for all participants.
#[derive(Debug, Default)]
pub struct Packetizer {
    picture_id: u16,
}

impl Packetizer {
    /// Begins with PictureID `first` (its low 15 bits).
    pub fn new(first: u16) -> Self {
        Self { picture_id: first & 0x7fff }
    }

    /// Splits one frame. Gives `None` for a frame without content.
    pub fn split(&mut self, frame: EncodedFrame) -> Option<Packets> {
        if frame.payload.is_empty() {
            return None;
        }
        let payloads = match frame.codec {
            Codec::Opus => vec![frame.payload],
            Codec::Vp8 => vp8_payloads(self.next_id(), &frame.payload),
            Codec::Vp9 => vp9_payloads(self.next_id(), frame.keyframe, &frame.payload),
        };
        Some(Packets {
            kind: frame.kind,
            codec: frame.codec,
            time: frame.time,
            captured_at: frame.captured_at,
            keyframe: frame.keyframe,
            payloads,
        })
    }

    fn next_id(&mut self) -> u16 {
        let id = self.picture_id;
        self.picture_id = (id + 1) & 0x7fff;
        id
    }
}

/// Pieces of about equal size, so that the last packet is not a tiny one, that leave room for a
/// descriptor of so many bytes.
fn pieces(frame: &Bytes, descriptor: usize) -> std::slice::Chunks<'_, u8> {
    let count = frame.len().div_ceil(MAX_PAYLOAD - descriptor);
    frame.chunks(frame.len().div_ceil(count))
}

/// RFC 7741 section 4.2.
fn vp8_payloads(picture_id: u16, frame: &Bytes) -> Vec<Bytes> {
    pieces(frame, VP8_DESCRIPTOR)
        .enumerate()
        .map(|(n, bytes)| {
            let mut payload = BytesMut::with_capacity(VP8_DESCRIPTOR + bytes.len());
            // X=1 (extension follows), S=1 on the start of partition 0, PID=0.
            payload.put_u8(0x80 | if n == 0 { 0x10 } else { 0 });
            payload.put_u8(0x80); // I=1: a PictureID follows.
            payload.put_u16(0x8000 | picture_id); // M=1: 15 bits.
            payload.put_slice(bytes);
            payload.freeze()
        })
        .collect()
}

/// RFC 9628 section 4.2.
fn vp9_payloads(picture_id: u16, keyframe: bool, frame: &Bytes) -> Vec<Bytes> {
    let pieces = pieces(frame, VP9_DESCRIPTOR);
    let last = pieces.len() - 1;
    pieces
        .enumerate()
        .map(|(n, bytes)| {
            let mut payload = BytesMut::with_capacity(VP9_DESCRIPTOR + bytes.len());
            let predicted = if keyframe { 0 } else { 0x40 };
            let begins = if n == 0 { 0x08 } else { 0 };
            let ends = if n == last { 0x04 } else { 0 };
            payload.put_u8(0x80 | predicted | begins | ends); // I=1: a PictureID follows.
            payload.put_u16(0x8000 | picture_id); // M=1: 15 bits.
            payload.put_slice(bytes);
            payload.freeze()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: TrackKind, payload: Vec<u8>) -> EncodedFrame {
        EncodedFrame {
            kind,
            codec: if kind == TrackKind::Audio { Codec::Opus } else { Codec::Vp8 },
            time: MediaTime { ticks: 90_000, clock_rate: MediaTime::VIDEO_CLOCK },
            captured_at: crate::clock::now(),
            keyframe: true,
            resolution: None,
            payload: payload.into(),
        }
    }

    #[test]
    fn a_small_picture_is_one_payload_with_the_start_bit_and_its_number() {
        let packets = Packetizer::new(0x7fff).split(frame(TrackKind::Video, vec![1, 2, 3])).unwrap();
        assert_eq!(packets.payloads, [Bytes::from_static(&[0x90, 0x80, 0xff, 0xff, 1, 2, 3])]);
    }

    #[test]
    fn picture_numbers_wrap_at_15_bits_and_sound_does_not_count() {
        let mut packetizer = Packetizer::new(0x7fff);
        packetizer.split(frame(TrackKind::Video, vec![1]));
        packetizer.split(frame(TrackKind::Audio, vec![1]));
        let packets = packetizer.split(frame(TrackKind::Video, vec![1])).unwrap();
        assert_eq!(packets.payloads[0][2..4], [0x80, 0x00]);
    }

    #[test]
    fn a_picture_of_vp9_says_where_it_begins_and_ends_and_whether_it_is_a_key_frame() {
        let mut packetizer = Packetizer::new(7);
        let screen = |keyframe, size| EncodedFrame {
            codec: Codec::Vp9,
            keyframe,
            ..frame(TrackKind::Screen, vec![9; size])
        };
        let key = packetizer.split(screen(true, 2 * MAX_PAYLOAD)).unwrap();
        let heads: Vec<u8> = key.payloads.iter().map(|payload| payload[0]).collect();
        assert_eq!(heads, [0x88, 0x80, 0x84]);
        let inter = packetizer.split(screen(false, 1)).unwrap();
        assert_eq!(inter.payloads, [Bytes::from_static(&[0xcc, 0x80, 0x08, 9])]);
    }

    #[test]
    fn sound_passes_as_it_is_and_nothing_makes_no_packet() {
        let mut packetizer = Packetizer::default();
        let packets = packetizer.split(frame(TrackKind::Audio, vec![9; 80])).unwrap();
        assert_eq!(packets.payloads, [Bytes::from(vec![9; 80])]);
        assert!(packetizer.split(frame(TrackKind::Video, vec![])).is_none());
    }

    proptest! {
        #[test]
        fn what_is_split_for_vp9_can_be_read_by_its_receiver(size in 1_usize..40_000, keyframe: bool) {
            use crate::media::receive::vp9_descriptor::Descriptor;
            let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let picture = EncodedFrame { codec: Codec::Vp9, keyframe, ..frame(TrackKind::Screen, bytes.clone()) };
            let packets = Packetizer::new(7).split(picture).unwrap();
            let mut together = Vec::new();
            for (n, payload) in packets.payloads.iter().enumerate() {
                prop_assert!(payload.len() <= MAX_PAYLOAD);
                let (descriptor, length) = Descriptor::parse(payload).unwrap();
                prop_assert_eq!(descriptor.key_start(), keyframe && n == 0);
                prop_assert_eq!(descriptor.frame_start, n == 0);
                prop_assert_eq!(descriptor.frame_end, n + 1 == packets.payloads.len());
                prop_assert_eq!(descriptor.picture_id, Some(7));
                together.extend_from_slice(&payload[length..]);
            }
            prop_assert_eq!(together, bytes);
        }

        #[test]
        fn the_pieces_of_a_picture_fit_and_add_up(size in 1_usize..40_000) {
            let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let packets = Packetizer::new(7).split(frame(TrackKind::Video, bytes.clone())).unwrap();
            let mut together = Vec::new();
            for (n, payload) in packets.payloads.iter().enumerate() {
                prop_assert!(payload.len() <= MAX_PAYLOAD);
                prop_assert_eq!(payload[0], if n == 0 { 0x90 } else { 0x80 });
                together.extend_from_slice(&payload[VP8_DESCRIPTOR..]);
            }
            prop_assert_eq!(together, bytes);
        }
    }
}
