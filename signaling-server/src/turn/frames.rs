//! STUN messages and ChannelData in a stream of bytes: where one ends and the next begins.
//!
//! Both carry their length (RFC 8489, section 6.2.2; RFC 8656, section 12.5: over a stream,
//! ChannelData is padded to a multiple of four). Knows no sockets.

use super::relay::MAX_PACKET;

/// The longest frame that is taken: a packet that may be relayed, and what is around it in an
/// indication. Nobody has to send longer ones, so a longer one is garbage.
const MAX_FRAME: usize = MAX_PACKET + 128;

/// What is read at a time; more than a frame, so that there is always room to go on.
const BUFFER: usize = 8 * 1024;

/// Every STUN message has it (RFC 8489, section 5).
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

/// What came is neither STUN nor ChannelData. Nobody can tell where the next frame would begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAFrame;

/// The length of the frame that `bytes` begin with, padding included; `None` if its end has not
/// come yet.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, NotAFrame> {
    let is_stun = match bytes.first() {
        Some(0..=0x3f) => true,
        Some(0x40..=0x7f) => false,
        Some(_) => return Err(NotAFrame),
        None => return Ok(None),
    };
    let Some(&[_, _, l0, l1]) = bytes.first_chunk::<4>() else { return Ok(None) };
    let body = usize::from(u16::from_be_bytes([l0, l1]));
    let cookie = bytes.get(4..8).is_none_or(|cookie| cookie == MAGIC_COOKIE);
    let length = if is_stun { 20 + body } else { (4 + body).next_multiple_of(4) };
    if length > MAX_FRAME || (is_stun && (!cookie || body % 4 != 0)) {
        return Err(NotAFrame);
    }
    Ok((length <= bytes.len()).then_some(length))
}

/// Gathers bytes, gives frames.
#[derive(Debug)]
pub struct Frames {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Frames {
    /// Nothing has come yet.
    pub fn new() -> Self {
        Self { buffer: vec![0; BUFFER].into(), start: 0, end: 0 }
    }

    /// Where to read the next bytes into; never empty when all frames have been taken.
    pub fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        &mut self.buffer[self.end..]
    }

    /// So many bytes were read into [`Self::space`].
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next whole frame.
    pub fn next(&mut self) -> Result<Option<&[u8]>, NotAFrame> {
        let bytes = &self.buffer[self.start..self.end];
        let Some(length) = length(bytes)? else { return Ok(None) };
        self.start += length;
        Ok(bytes.get(..length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stun(body: usize) -> Vec<u8> {
        let mut message = vec![0; 20 + body];
        message[2..4].copy_from_slice(&(body as u16).to_be_bytes());
        message[4..8].copy_from_slice(&MAGIC_COOKIE);
        message
    }

    fn channel_data(length: usize) -> Vec<u8> {
        let mut frame = vec![7; (4 + length).next_multiple_of(4)];
        frame[..2].copy_from_slice(&0x4001u16.to_be_bytes());
        frame[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        frame
    }

    #[test]
    fn what_is_neither_stun_nor_channel_data_is_seen_at_once() {
        for bytes in [&b"\x80"[..], b"\xff\0\0\0", b"\0\x01\0\x03", b"\0\x01\xff\xf0", b"\x40\0\xff\xff"] {
            assert_eq!(length(bytes), Err(NotAFrame), "{bytes:?}");
        }
        assert_eq!(length(b"\0\x01\0\0\x21\x12\xa4\x43"), Err(NotAFrame), "the cookie");
        assert_eq!(length(b"\0\x01\0\0\x21\x12\xa4"), Ok(None));
    }

    #[test]
    fn channel_data_is_padded() {
        assert_eq!(length(&channel_data(0)), Ok(Some(4)));
        assert_eq!(length(&channel_data(5)), Ok(Some(12)));
        assert_eq!(length(&channel_data(5)[..9]), Ok(None), "the padding is still to come");
    }

    proptest! {
        #[test]
        fn frames_are_found_however_the_stream_is_cut(
            sizes in prop::collection::vec((any::<bool>(), 0usize..MAX_PACKET), 1..30),
            cuts in prop::collection::vec(1usize..6000, 1..60),
        ) {
            let sent: Vec<Vec<u8>> = sizes
                .iter()
                .map(|(is_stun, size)| if *is_stun { stun(size & !3) } else { channel_data(*size) })
                .collect();
            let stream = sent.concat();
            let mut rest = &stream[..];
            let mut frames = Frames::new();
            let mut received = Vec::new();
            for cut in cuts.iter().cycle() {
                while let Some(frame) = frames.next().expect("only frames were sent") {
                    received.push(frame.to_vec());
                }
                if rest.is_empty() {
                    break;
                }
                let space = frames.space();
                prop_assert!(!space.is_empty());
                let count = (*cut).min(rest.len()).min(space.len());
                space[..count].copy_from_slice(&rest[..count]);
                rest = &rest[count..];
                frames.filled(count);
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn garbage_ends_and_never_takes_more_than_the_buffer(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..3000), 1..40),
        ) {
            let mut frames = Frames::new();
            'stream: for piece in pieces {
                let mut piece = &piece[..];
                while !piece.is_empty() {
                    let space = frames.space();
                    prop_assert!(!space.is_empty());
                    let count = piece.len().min(space.len());
                    space[..count].copy_from_slice(&piece[..count]);
                    piece = &piece[count..];
                    frames.filled(count);
                    loop {
                        match frames.next() {
                            Ok(Some(frame)) => prop_assert!(!frame.is_empty() && frame.len() <= MAX_FRAME),
                            Ok(None) => break,
                            Err(NotAFrame) => break 'stream,
                        }
                    }
                }
            }
        }
    }
}
