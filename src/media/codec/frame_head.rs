//! What the first bytes of a coded picture say, read before libvpx sees them: whether it builds on
//! others, and how large it claims to be. Pure.
//!
//! A stranger's few bytes may claim a picture of hundreds of megabytes; libvpx would take the memory
//! first and ask later.

use super::vpx::VpxError;
use crate::media::encoded::VideoCodec;
use crate::units::Resolution;

/// Largest picture that is encoded or decoded, in pixels (4096x2304).
pub const MAX_PIXELS: u64 = 4096 * 2304;

/// The head of one coded picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameHead {
    /// Depends on nothing before; has this size.
    Key(Resolution),
    /// Depends on pictures before.
    Inter,
}

impl FrameHead {
    /// Reads the first bytes of a picture.
    pub fn parse(codec: VideoCodec, frame: &[u8]) -> Result<Self, VpxError> {
        match codec {
            VideoCodec::Vp8 => vp8(frame),
            VideoCodec::Vp9 => vp9(frame),
        }
    }
}

fn possible(resolution: Resolution) -> Result<Resolution, VpxError> {
    match resolution.pixels() {
        0 => Err(VpxError::Malformed("a picture without a size")),
        pixels if pixels > MAX_PIXELS => Err(VpxError::TooLarge(resolution)),
        _ => Ok(resolution),
    }
}

/// RFC 6386 section 9.1.
fn vp8(frame: &[u8]) -> Result<FrameHead, VpxError> {
    match *frame {
        [tag, _, _, ..] if tag & 1 == 1 => Ok(FrameHead::Inter),
        [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] => {
            // The two highest bits ask for upscaling, which nobody does.
            let size = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
            possible(Resolution::new(size(w0, w1), size(h0, h1))).map(FrameHead::Key)
        }
        [_, _, _, _, _, _, _, _, _, _, ..] => Err(VpxError::Malformed("no start code in a key frame")),
        _ => Err(VpxError::Malformed("too short")),
    }
}

/// Reads a header from its highest bit on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn read(&mut self, count: usize) -> Result<u32, VpxError> {
        (0..count).try_fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8).ok_or(VpxError::Malformed("too short"))?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Ok(value << 1 | u32::from(bit))
        })
    }

    fn flag(&mut self) -> Result<bool, VpxError> {
        self.read(1).map(|bit| bit == 1)
    }

    fn size(&mut self) -> Result<Resolution, VpxError> {
        let (width, height) = (self.read(16)? + 1, self.read(16)? + 1);
        possible(Resolution::new(width, height))
    }

    fn sync_code(&mut self) -> Result<(), VpxError> {
        match self.read(24)? {
            0x49_83_42 => Ok(()),
            _ => Err(VpxError::Malformed("no sync code")),
        }
    }
}

/// The uncompressed header of the VP9 bitstream, section 6.2 of its specification, version 0.6.
/// Only profile 0 (8 bit, 4:2:0) is understood, and only one picture at a time: nobody whom we talk
/// to sends superframes, and a second picture could hide its size in one.
fn vp9(frame: &[u8]) -> Result<FrameHead, VpxError> {
    if is_superframe(frame) {
        return Err(VpxError::Malformed("a superframe"));
    }
    let mut bits = Bits { bytes: frame, at: 0 };
    if bits.read(2)? != 2 {
        return Err(VpxError::Malformed("no frame marker"));
    }
    if bits.read(2)? != 0 {
        return Err(VpxError::Malformed("another profile than 0"));
    }
    if bits.flag()? {
        return Ok(FrameHead::Inter); // Shows an earlier picture again.
    }
    let inter = bits.flag()?;
    let (shown, resilient) = (bits.flag()?, bits.flag()?);
    if !inter {
        bits.sync_code()?;
        if bits.read(3)? == 7 {
            return Err(VpxError::Malformed("RGB in profile 0"));
        }
        bits.read(1)?; // The range of colours.
        return bits.size().map(FrameHead::Key);
    }
    let intra_only = !shown && bits.flag()?;
    if !resilient {
        bits.read(2)?; // Which contexts to reset.
    }
    if intra_only {
        bits.sync_code()?;
        bits.read(8)?; // Which references to refresh.
        bits.size()?;
        return Ok(FrameHead::Inter);
    }
    bits.read(8 + 3 * 4)?; // Which references to refresh, and to use.
    for _ in 0..3 {
        if bits.flag()? {
            return Ok(FrameHead::Inter); // As large as that reference.
        }
    }
    bits.size()?;
    Ok(FrameHead::Inter)
}

/// Annex B: the last byte and the first one of the index are the same marker.
fn is_superframe(frame: &[u8]) -> bool {
    let Some(marker) = frame.last().copied().filter(|last| last & 0xe0 == 0xc0) else { return false };
    let (frames, bytes) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
    let index = 2 + frames * bytes;
    frame.len() >= index && frame[frame.len() - index] == marker
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_frame_that_claims_an_absurd_size_is_refused_before_memory_is_taken() {
        let vp8 = |bytes: &[u8]| FrameHead::parse(VideoCodec::Vp8, bytes);
        let huge = [0x10, 0, 0, 0x9d, 1, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 1, 2, 3];
        assert_eq!(vp8(&huge), Err(VpxError::TooLarge(Resolution::new(16_383, 16_383))));
        let none = [0x10, 0, 0, 0x9d, 1, 0x2a, 0, 0, 0xff, 0x3f, 1, 2, 3];
        assert!(matches!(vp8(&none), Err(VpxError::Malformed(_))));
        let scaled = [0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 0xc1, 0xb4, 0x80, 1, 2, 3];
        assert_eq!(vp8(&scaled), Ok(FrameHead::Key(Resolution::new(320, 180))));
    }

    /// Bits of a VP9 header, as text.
    fn vp9(bits: &str) -> Result<FrameHead, VpxError> {
        let bits: Vec<u8> = bits.bytes().filter(|b| matches!(b, b'0' | b'1')).map(|b| b - b'0').collect();
        let bytes: Vec<u8> = bits
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |value, bit| value << 1 | bit) << (8 - byte.len()))
            .collect();
        FrameHead::parse(VideoCodec::Vp9, &[&bytes[..], &[0; 4]].concat())
    }

    const SYNC: &str = "01001001 10000011 01000010";

    #[test]
    fn the_head_of_a_vp9_picture_says_its_size_wherever_it_stands() {
        let size = |width: u32, height: u32| format!("{:016b}{:016b}", width - 1, height - 1);
        let (hd, huge) = (size(1920, 1080), size(65_536, 65_536));
        let key = |size: &str| vp9(&format!("10 00 0 0 1 0 {SYNC} 010 0 {size}"));
        assert_eq!(key(&hd), Ok(FrameHead::Key(Resolution::new(1920, 1080))));
        let too_large = Err(VpxError::TooLarge(Resolution::new(65_536, 65_536)));
        assert_eq!(key(&huge), too_large);
        let inter = |size: &str| vp9(&format!("10 00 0 1 1 0 00 00000001 000000010010 000 {size}"));
        assert_eq!(inter(&hd), Ok(FrameHead::Inter));
        assert_eq!(inter(&huge), too_large);
        let intra_only = |size: &str| vp9(&format!("10 00 0 1 0 0 1 00 {SYNC} 00000001 {size}"));
        assert_eq!(intra_only(&hd), Ok(FrameHead::Inter));
        assert_eq!(intra_only(&huge), too_large);
        assert_eq!(vp9("10 00 0 1 1 0 00 00000001 000000010010 1"), Ok(FrameHead::Inter));
        assert!(matches!(vp9("10 10 0 0 1 0"), Err(VpxError::Malformed(_))), "profile 1");
    }

    #[test]
    fn a_superframe_is_refused() {
        let frame = [0x82, 0x49, 0x83, 0x42, 0, 0xc1, 2, 3, 0xc1];
        assert_eq!(FrameHead::parse(VideoCodec::Vp9, &frame), Err(VpxError::Malformed("a superframe")));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            FrameHead::parse(VideoCodec::Vp8, &bytes).ok();
            FrameHead::parse(VideoCodec::Vp9, &bytes).ok();
        }
    }
}
