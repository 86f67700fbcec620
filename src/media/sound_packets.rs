//! Blocks of sound become packets, on the RTP clock. Pure: it is told when each block was captured.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::media::codec::opus::PACKET_SAMPLES;
use crate::media::encoded::{Codec, EncodedFrame, TrackKind};
use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE};
use crate::units::MediaTime;

/// A hole in the capture times longer than this is a hole in the sound: the RTP clock steps over it.
const GAP: Duration = Duration::from_millis(100);

/// Of one block.
pub const BLOCK: Duration = Duration::from_millis(10);

/// Counts samples, and steps over holes in what was captured, so that the RTP clock keeps to real
/// time across mute, a lost device and a new one. `S` is a sample of all channels.
#[derive(Debug)]
pub struct SoundPackets<S> {
    samples: Box<[S; PACKET_SAMPLES]>,
    /// The first half of `samples` is filled.
    half: Option<Stamp>,
    ticks: u64,
    last: Option<Instant>,
}

/// When a packet begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stamp {
    /// On the RTP clock.
    pub time: MediaTime,
    /// By the capture clock.
    pub captured_at: Instant,
}

impl Stamp {
    /// What leaves for it.
    pub fn frame(self, kind: TrackKind, payload: Bytes) -> EncodedFrame {
        let Self { time, captured_at } = self;
        EncodedFrame {
            kind,
            codec: Codec::Opus,
            time,
            captured_at,
            keyframe: true,
            resolution: None,
            payload,
        }
    }
}

impl<S: Copy + Default> Default for SoundPackets<S> {
    fn default() -> Self {
        Self { samples: Box::new([S::default(); PACKET_SAMPLES]), half: None, ticks: 0, last: None }
    }
}

impl<S: Copy> SoundPackets<S> {
    /// Takes the next block; says when the packet begins that it completes.
    pub fn push(&mut self, block: &[S; BLOCK_SAMPLES], captured_at: Instant) -> Option<Stamp> {
        let stamp = self.stamp(captured_at);
        let (first, second) = self.samples.split_at_mut(BLOCK_SAMPLES);
        match self.half.take() {
            None => {
                first.copy_from_slice(block);
                self.half = Some(stamp);
                None
            }
            Some(begun) => {
                second.copy_from_slice(block);
                Some(begun)
            }
        }
    }

    /// The packet that was just completed.
    pub fn samples(&self) -> &[S; PACKET_SAMPLES] {
        &self.samples
    }

    fn stamp(&mut self, captured_at: Instant) -> Stamp {
        let late = match self.last {
            Some(last) => captured_at.saturating_duration_since(last + BLOCK),
            None => Duration::ZERO,
        };
        self.last = Some(captured_at);
        if late > GAP {
            let blocks = late.as_millis() as u64 / BLOCK.as_millis() as u64;
            self.ticks += blocks * u64::from(SAMPLE_RATE) / 100;
            // The half from before the hole does not belong to what comes now.
            self.half = None;
        }
        let time = MediaTime { ticks: self.ticks, clock_rate: MediaTime::AUDIO_CLOCK };
        self.ticks += BLOCK_SAMPLES as u64;
        Stamp { time, captured_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn two_blocks_are_a_packet_and_a_hole_is_stepped_over_with_the_half_before_it() {
        let (mut packets, start) = (SoundPackets::<f32>::default(), clock::now());
        let at = |ms| start + Duration::from_millis(ms);
        let block = |value| [value; BLOCK_SAMPLES];
        assert_eq!(packets.push(&block(1.0), at(0)), None);
        let first = packets.push(&block(2.0), at(10)).unwrap();
        assert_eq!((first.time.ticks, first.captured_at), (0, at(0)));
        assert_eq!((packets.samples()[0], packets.samples()[PACKET_SAMPLES - 1]), (1.0, 2.0));
        assert_eq!(packets.push(&block(3.0), at(20)), None);
        // The device was lost here for half a second.
        assert_eq!(packets.push(&block(4.0), at(530)), None);
        let second = packets.push(&block(5.0), at(540)).unwrap();
        assert_eq!((second.time.ticks, second.captured_at), (53 * BLOCK_SAMPLES as u64, at(530)));
        assert_eq!((packets.samples()[0], packets.samples()[PACKET_SAMPLES - 1]), (4.0, 5.0));
    }
}
