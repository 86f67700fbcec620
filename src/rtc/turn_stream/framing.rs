//! STUN messages and ChannelData on a stream (RFC 8489 section 6.2.2, RFC 8656 section 12.5). Pure.
//!
//! Both say how long they are. On a stream ChannelData is padded to a multiple of four bytes, which
//! its length does not count; as a datagram it needs no padding.

use bytes::{Buf, Bytes, BytesMut};

/// The other side does not speak TURN, or speaks it wrongly; where the next message begins is lost.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("it sends what is no TURN message")]
pub struct Garbage;

/// Bytes of a STUN header without the message's type and length.
const STUN_REST: usize = 16;

/// Length of the message that begins with these four bytes, and with its padding.
fn lengths(head: [u8; 4]) -> Result<(usize, usize), Garbage> {
    let [first, _, high, low] = head;
    let len = usize::from(u16::from_be_bytes([high, low]));
    match first {
        0..=3 if len.is_multiple_of(4) => Ok((4 + STUN_REST + len, 4 + STUN_REST + len)),
        0x40..=0x4f => Ok((4 + len, 4 + len.next_multiple_of(4))),
        _ => Err(Garbage),
    }
}

/// A datagram as it goes onto the stream; `None` when it is not one whole message.
pub fn framed(datagram: &[u8]) -> Option<Bytes> {
    let (len, padded) = lengths(*datagram.first_chunk()?).ok()?;
    let message = datagram.get(..len)?;
    if datagram.len() > padded {
        return None;
    }
    let mut framed = BytesMut::with_capacity(padded);
    framed.extend_from_slice(message);
    framed.resize(padded, 0);
    Some(framed.freeze())
}

/// Cuts what comes from the stream into messages.
#[derive(Debug, Default)]
pub struct Deframer {
    buffer: BytesMut,
}

impl Deframer {
    /// Where to read the next bytes to.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole message, without its padding. After an error the stream is of no more use.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, Garbage> {
        let Some(head) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let (len, padded) = lengths(*head)?;
        if self.buffer.len() < padded {
            return Ok(None);
        }
        let message = self.buffer.copy_to_bytes(len);
        self.buffer.advance(padded - len);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let stun = (0u8..=3, any::<u8>(), proptest::collection::vec(any::<[u8; 4]>(), 0..40)).prop_map(
            |(high, low, words)| {
                let len = (words.len() * 4) as u16;
                let mut message = vec![high, low];
                message.extend(len.to_be_bytes());
                message.extend([7; STUN_REST]);
                message.extend(words.concat());
                message
            },
        );
        let channel =
            (0x40u8..=0x4f, proptest::collection::vec(any::<u8>(), 0..1500)).prop_map(|(high, data)| {
                let mut message = vec![high, 1];
                message.extend((data.len() as u16).to_be_bytes());
                message.extend(data);
                message
            });
        prop_oneof![stun, channel]
    }

    fn drain(deframer: &mut Deframer) -> Result<Vec<Vec<u8>>, Garbage> {
        let mut all = Vec::new();
        while let Some(message) = deframer.next_message()? {
            all.push(message.to_vec());
        }
        Ok(all)
    }

    #[test]
    fn channel_data_is_padded_on_the_stream_only() {
        let datagram = [0x40, 1, 0, 3, 9, 9, 9];
        assert_eq!(framed(&datagram).as_deref(), Some(&[0x40, 1, 0, 3, 9, 9, 9, 0][..]));
        // The crate pads its datagrams already.
        assert_eq!(framed(&[0x40, 1, 0, 3, 9, 9, 9, 0]), framed(&datagram));
        let mut deframer = Deframer::default();
        deframer.buffer().extend_from_slice(&[0x40, 1, 0, 3, 9, 9, 9]);
        assert_eq!(drain(&mut deframer), Ok(vec![]), "its padding is still to come");
        deframer.buffer().extend_from_slice(&[0]);
        assert_eq!(drain(&mut deframer), Ok(vec![datagram.to_vec()]));
    }

    #[test]
    fn what_is_no_turn_message_ends_the_stream() {
        for garbage in [&b"SSH-2.0-OpenSSH"[..], &[0, 1, 0, 3], &[22, 3, 1, 2], &[0x50, 0, 0, 0]] {
            let mut deframer = Deframer::default();
            deframer.buffer().extend_from_slice(garbage);
            assert_eq!(drain(&mut deframer), Err(Garbage), "{garbage:?}");
            assert_eq!(framed(garbage), None);
        }
        assert_eq!(framed(&[0x40, 1, 0, 9, 1]), None, "shorter than it says");
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
            messages in proptest::collection::vec(message(), 1..12),
            cuts in proptest::collection::vec(1usize..700, 1..30),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(|m| framed(m).expect("whole")).collect();
            let mut deframer = Deframer::default();
            let mut out = Vec::new();
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*cuts.next().expect("a cycle")).min(rest.len()));
                deframer.buffer().extend_from_slice(now);
                out.extend(drain(&mut deframer).expect("no garbage"));
                rest = later;
            }
            prop_assert_eq!(out, messages);
        }

        #[test]
        fn no_stream_is_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = framed(&bytes);
            let mut deframer = Deframer::default();
            deframer.buffer().extend_from_slice(&bytes);
            let _ = drain(&mut deframer);
        }
    }
}
