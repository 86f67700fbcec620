//! Reads RTCP: reports and requests, as far as statistics need them (RFC 3550 section 6, RFC 4585,
//! RFC 5104).
//!
//! The bytes come from a stranger. What is cut short or lies about its length is reported as
//! [`Malformed`] and ends the compound packet; types we have no use for are passed over.

/// Receiver reports, sender reports and feedback are told apart by these (RFC 3550 section 12.1,
/// RFC 4585 section 6.1).
const SENDER_REPORT: u8 = 200;
/// See [`SENDER_REPORT`].
const RECEIVER_REPORT: u8 = 201;
/// See [`SENDER_REPORT`].
const TRANSPORT_FEEDBACK: u8 = 205;
/// See [`SENDER_REPORT`].
const PAYLOAD_FEEDBACK: u8 = 206;

/// One packet of a compound packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// What a sender has sent until when, and what it has received.
    SenderReport {
        /// Who sends.
        ssrc: u32,
        /// Wall clock: seconds since 1900 in the upper half, a fraction in the lower.
        ntp: u64,
        /// The same moment on the RTP clock.
        rtp: u32,
        /// RTP packets sent so far.
        packets: u32,
        /// Payload bytes sent so far.
        octets: u32,
        /// What was received.
        blocks: Vec<ReportBlock>,
    },
    /// What somebody has received.
    ReceiverReport {
        /// What was received.
        blocks: Vec<ReportBlock>,
    },
    /// Packets are missing (generic NACK).
    Nack {
        /// Of which stream.
        media: u32,
    },
    /// A picture cannot be decoded (PLI).
    PictureLoss {
        /// Of which stream.
        media: u32,
    },
    /// A key frame is wanted (FIR).
    FullIntra {
        /// Of which streams.
        media: Vec<u32>,
    },
    /// Anything else.
    Other,
}

/// How well a stream is received (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Share lost since the report before, in 256ths.
    pub fraction_lost: u8,
    /// Lost since the beginning; duplicates make it smaller, even negative.
    pub lost: i32,
    /// Highest sequence number, extended by the number of wraps.
    pub highest: u32,
    /// Mean deviation of the spacing, in ticks of the stream's RTP clock.
    pub jitter: u32,
    /// The middle 32 bits of `ntp` of the last sender report; 0 if there was none.
    pub last_report: u32,
    /// Between that report's arrival and this one's sending, in 65536ths of a second.
    pub delay: u32,
}

/// A compound packet that cannot be read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an RTCP packet is cut short or has the wrong version")]
pub struct Malformed;

/// The packets of a compound packet, in order; after an error nothing comes.
pub fn packets(mut compound: &[u8]) -> impl Iterator<Item = Result<Packet, Malformed>> {
    std::iter::from_fn(move || {
        if compound.is_empty() {
            return None;
        }
        let read = next(&mut compound).ok_or(Malformed);
        if read.is_err() {
            compound = &[];
        }
        Some(read)
    })
}

fn next(rest: &mut &[u8]) -> Option<Packet> {
    let [first, kind, high, low, ..] = **rest else { return None };
    let size = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
    let (packet, after) = rest.split_at_checked(size)?;
    if first >> 6 != 2 {
        return None;
    }
    let padded = first & 0x20 != 0;
    let padding = if padded { usize::from(*packet.last()?) } else { 0 };
    let body = packet.get(4..size.checked_sub(padding)?)?;
    *rest = after;
    read(kind, first & 0x1f, body)
}

/// `count` is the number of blocks in a report, the format in feedback.
fn read(kind: u8, count: u8, body: &[u8]) -> Option<Packet> {
    Some(match (kind, count) {
        (SENDER_REPORT, _) => Packet::SenderReport {
            ssrc: word(body, 0)?,
            ntp: u64::from(word(body, 1)?) << 32 | u64::from(word(body, 2)?),
            rtp: word(body, 3)?,
            packets: word(body, 4)?,
            octets: word(body, 5)?,
            blocks: blocks(body.get(24..)?, count)?,
        },
        (RECEIVER_REPORT, _) => Packet::ReceiverReport { blocks: blocks(body.get(4..)?, count)? },
        (TRANSPORT_FEEDBACK, 1) => Packet::Nack { media: word(body, 1)? },
        (PAYLOAD_FEEDBACK, 1) => Packet::PictureLoss { media: word(body, 1)? },
        (PAYLOAD_FEEDBACK, 4) => {
            // The media field of the header is unused; each entry of eight bytes names a stream.
            let entries = body.get(8..)?.chunks_exact(8);
            Packet::FullIntra { media: entries.filter_map(|entry| word(entry, 0)).collect() }
        }
        _ => Packet::Other,
    })
}

fn blocks(body: &[u8], count: u8) -> Option<Vec<ReportBlock>> {
    let bytes = body.get(..usize::from(count) * 24)?;
    bytes.chunks_exact(24).map(block).collect()
}

fn block(bytes: &[u8]) -> Option<ReportBlock> {
    let lost = word(bytes, 1)?;
    Some(ReportBlock {
        ssrc: word(bytes, 0)?,
        fraction_lost: (lost >> 24) as u8,
        // 24 bits with a sign.
        lost: (lost << 8) as i32 >> 8,
        highest: word(bytes, 2)?,
        jitter: word(bytes, 3)?,
        last_report: word(bytes, 4)?,
        delay: word(bytes, 5)?,
    })
}

fn word(bytes: &[u8], index: usize) -> Option<u32> {
    let word = bytes.get(index * 4..index * 4 + 4)?;
    Some(u32::from_be_bytes(word.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A packet on the wire.
    pub(crate) fn wire(kind: u8, count: u8, words: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0x80 | count, kind];
        bytes.extend((words.len() as u16).to_be_bytes());
        bytes.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        bytes
    }

    #[test]
    fn a_compound_packet_is_read_to_its_end() {
        let mut compound = wire(200, 1, &[1, 2, 3, 4, 5, 6, 7, 0x80ff_fffe, 9, 10, 11, 12]);
        compound.extend(wire(202, 1, &[1, 0]));
        compound.extend(wire(205, 1, &[1, 77, 0]));
        compound.extend(wire(206, 1, &[1, 78]));
        compound.extend(wire(206, 4, &[1, 0, 79, 0, 80, 0]));
        let read: Vec<_> = packets(&compound).collect::<Result<_, _>>().unwrap();
        let block = ReportBlock {
            ssrc: 7,
            fraction_lost: 128,
            lost: -2,
            highest: 9,
            jitter: 10,
            last_report: 11,
            delay: 12,
        };
        let sender = Packet::SenderReport {
            ssrc: 1,
            ntp: 2 << 32 | 3,
            rtp: 4,
            packets: 5,
            octets: 6,
            blocks: vec![block],
        };
        assert_eq!(
            read,
            [
                sender,
                Packet::Other,
                Packet::Nack { media: 77 },
                Packet::PictureLoss { media: 78 },
                Packet::FullIntra { media: vec![79, 80] },
            ]
        );
    }

    #[test]
    fn a_report_that_promises_more_blocks_than_it_has_ends_the_compound_packet() {
        let mut compound = wire(201, 2, &[1, 7, 0, 0, 0, 0, 0]);
        compound.extend(wire(206, 1, &[1, 78]));
        assert_eq!(packets(&compound).collect::<Vec<_>>(), [Err(Malformed)]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(packets(&bytes).count() <= bytes.len() / 4 + 1);
        }

        #[test]
        fn any_body_behind_a_good_header_is_read_or_refused(
            kind in 199u8..210, count in 0u8..32, words in proptest::collection::vec(any::<u32>(), 0..40), padding: bool
        ) {
            let mut bytes = wire(kind, count, &words);
            bytes[0] |= u8::from(padding) << 5;
            prop_assert_eq!(packets(&bytes).count(), 1);
        }
    }
}
