//! Packets of one video track, as the network gave them, to complete frames in order.
//!
//! ```text
//!  insert(packet) ─▶ by sequence number ─▶ next_frame(): the next in the chain, if complete
//!                                     └─▶ a hole: wait for its repair, then skip to a key frame
//! ```
//!
//! Every frame, of VP8 as of VP9, builds on the one before, so frames leave in unbroken order of sequence numbers,
//! or the chain begins anew with a key frame. Lost packets are asked for again by somebody below;
//! here they are only waited for. Pure: time comes in, nothing is sent.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::{vp8_descriptor, vp9_descriptor};
use crate::media::RemotePacket;
use crate::media::codec::frame_head::FrameHead;
use crate::media::encoded::{Codec, VideoCodec};
use crate::media::stats::VideoReceiveStats;

/// Packets kept while a hole is waited for: over a second of 4 Mbit/s. When full, the chain is
/// given up and begins anew with a key frame.
const MOST_PACKETS: usize = 1024;

/// Packets this far behind belong to another run of the sequence numbers (RFC 3550 appendix A.1),
/// if two of them follow one another.
const MISORDER: i64 = 1_000;

/// How long a repair may take beyond the round trips it needs: the sender of requests works in
/// ticks, and the first request may be lost too.
const REPAIR_SLACK: Duration = Duration::from_millis(100);
/// Bounds of the wait for a repair.
const REPAIR: std::ops::RangeInclusive<Duration> = Duration::from_millis(120)..=Duration::from_millis(400);
/// Without a measurement.
const FIRST_ROUND_TRIP: Duration = Duration::from_millis(100);
/// Packets of the first key frame may come out of order; only after this is one asked for.
const START_PATIENCE: Duration = Duration::from_millis(40);
/// A hole of so many packets, or one after so long a silence, is the path's and not a packet's: what
/// would repair it is more than a key frame has, and older than what is wanted.
const OUTAGE_PACKETS: i64 = 100;
/// See [`OUTAGE_PACKETS`].
const OUTAGE: Duration = Duration::from_millis(400);
/// A key frame asked for is asked for again after the round trips and this.
const RETRY_SLACK: Duration = Duration::from_millis(200);

/// A complete frame.
#[derive(Clone, Debug)]
pub struct AssembledFrame {
    /// One frame.
    pub data: Bytes,
    /// Of this codec.
    pub codec: VideoCodec,
    /// RTP timestamp.
    pub timestamp: u32,
    /// Can be decoded without anything before it.
    pub keyframe: bool,
    /// When its first packet arrived.
    pub first_arrival: Instant,
    /// When its last packet arrived.
    pub complete_at: Instant,
    /// Packets it came in.
    pub packets: usize,
}

#[derive(Clone, Debug)]
struct Packet {
    codec: Codec,
    timestamp: u32,
    marker: bool,
    arrived_at: Instant,
    /// `None`: padding, which only takes a sequence number.
    content: Option<Content>,
}

#[derive(Clone, Debug)]
struct Content {
    /// A key frame begins with this packet.
    key_start: bool,
    data: Bytes,
}

impl Content {
    /// `None` if it is no payload of that codec.
    fn parse(codec: Codec, payload: &Bytes) -> Option<Self> {
        let (key_start, length) = match codec {
            Codec::Vp8 => {
                let (descriptor, length) = vp8_descriptor::Descriptor::parse(payload)?;
                // The lowest bit of the first byte is 0 in a key frame (RFC 6386 section 9.1).
                (descriptor.frame_start() && payload[length] & 1 == 0, length)
            }
            Codec::Vp9 => {
                let (descriptor, length) = vp9_descriptor::Descriptor::parse(payload)?;
                (descriptor.key_start(), length)
            }
            Codec::Opus => return None,
        };
        Some(Self { key_start, data: payload.slice(length..) })
    }
}

/// Where the chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    /// Nothing can be decoded before a key frame. Since when that is so.
    Broken { since: Instant },
    /// The next frame begins with this packet.
    Next(i64),
}

/// Sorts, completes and releases the frames of one track.
#[derive(Debug)]
pub struct FrameAssembler {
    ssrc: Option<u32>,
    /// Newest sequence number, extended past its wraps, and when it came.
    newest: i64,
    newest_at: Option<Instant>,
    /// Sequence number expected after the last one that lay far behind.
    restart: Option<u16>,
    packets: BTreeMap<i64, Packet>,
    /// Packets up to here are done with.
    released: i64,
    chain: Chain,
    round_trip: Duration,
    asked_at: Option<Instant>,
    /// Wraps of the sequence number aside, packets that came again, too late, or broken.
    duplicated: u64,
    discarded: u64,
    malformed: u64,
}

/// How a frame in the buffer stands.
enum Scan {
    Complete { last: i64 },
    Incomplete,
}

impl FrameAssembler {
    /// Waits for a key frame.
    pub fn new(now: Instant) -> Self {
        Self {
            ssrc: None,
            newest: 0,
            newest_at: None,
            restart: None,
            packets: BTreeMap::new(),
            released: i64::MIN,
            chain: Chain::Broken { since: now },
            round_trip: FIRST_ROUND_TRIP,
            asked_at: None,
            duplicated: 0,
            discarded: 0,
            malformed: 0,
        }
    }

    /// How long a packet and its answer take, for the waits.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// Writes what was counted here into `stats`.
    pub fn write_stats(&self, stats: &mut VideoReceiveStats) {
        stats.packets_duplicated = self.duplicated;
        stats.packets_discarded = self.discarded;
        stats.packets_malformed = self.malformed;
    }

    /// Takes a packet.
    pub fn insert(&mut self, packet: RemotePacket) {
        if self.ssrc != Some(packet.ssrc) {
            self.ssrc = Some(packet.ssrc);
            self.begin_at(packet.sequence, packet.arrived_at);
        }
        let delta = i64::from(packet.sequence.wrapping_sub(self.newest as u16) as i16);
        let sequence = self.newest + delta;
        if delta < -MISORDER {
            // One stray is dropped; two in a row mean that the sender counts anew.
            if self.restart.replace(packet.sequence.wrapping_add(1)) != Some(packet.sequence) {
                self.discarded += 1;
                return;
            }
            self.begin_at(packet.sequence, packet.arrived_at);
            return self.insert(packet);
        }
        self.restart = None;
        if sequence <= self.released {
            self.discarded += 1;
            return;
        }
        if self.packets.contains_key(&sequence) {
            self.duplicated += 1;
            return;
        }
        let content = if packet.payload.is_empty() {
            None
        } else {
            let Some(content) = Content::parse(packet.codec, &packet.payload) else {
                self.malformed += 1;
                return;
            };
            Some(content)
        };
        if self.packets.len() >= MOST_PACKETS {
            self.give_up(packet.arrived_at);
        }
        let silence =
            self.newest_at.map_or(Duration::ZERO, |at| packet.arrived_at.saturating_duration_since(at));
        if delta > OUTAGE_PACKETS || (delta > 1 && silence > OUTAGE) {
            self.break_chain(packet.arrived_at);
        }
        if sequence >= self.newest {
            (self.newest, self.newest_at) = (sequence, Some(packet.arrived_at));
        }
        let RemotePacket { codec, timestamp, marker, arrived_at, .. } = packet;
        self.packets.insert(sequence, Packet { codec, timestamp, marker, arrived_at, content });
    }

    /// Forgets everything and expects sequence numbers around this one.
    fn begin_at(&mut self, sequence: u16, now: Instant) {
        (self.newest, self.newest_at) = (i64::from(sequence), None);
        self.released = i64::MIN;
        self.restart = None;
        self.discarded += self.packets.len() as u64;
        self.packets.clear();
        self.chain = Chain::Broken { since: now };
        self.asked_at = None;
    }

    /// Drops all that is buffered; a key frame must come.
    fn give_up(&mut self, now: Instant) {
        self.discarded += self.packets.len() as u64;
        if let Some((last, _)) = self.packets.pop_last() {
            self.released = last;
        }
        self.packets.clear();
        self.break_chain(now);
    }

    fn break_chain(&mut self, now: Instant) {
        if let Chain::Next(_) = self.chain {
            // Long known to be needed: asked for without further patience.
            self.chain = Chain::Broken { since: now.checked_sub(START_PATIENCE).unwrap_or(now) };
        }
    }

    /// The decoder could not decode what came out: only a key frame helps.
    pub fn require_keyframe(&mut self, now: Instant) {
        self.break_chain(now);
    }

    /// The next frame in the chain, if it is complete, or a key frame that begins a new chain.
    pub fn next_frame(&mut self, now: Instant) -> Option<AssembledFrame> {
        if let Chain::Next(next) = self.chain {
            let start = self.skip_padding(next);
            if let Scan::Complete { last } = self.scan(start) {
                return self.release(start, last);
            }
            if let Some((start, last)) = self.complete_keyframe() {
                // Everything before it would be decoded only to be shown too late.
                return self.release(start, last);
            }
            if self.repair_deadline().is_none_or(|deadline| now < deadline) {
                return None;
            }
            self.break_chain(now);
        }
        if let Some((start, last)) = self.complete_keyframe() {
            return self.release(start, last);
        }
        self.drop_hopeless(now);
        None
    }

    /// When [`FrameAssembler::next_frame`] may say something new without another packet.
    pub fn deadline(&self) -> Option<Instant> {
        match self.chain {
            Chain::Next(_) => self.repair_deadline(),
            Chain::Broken { .. } => self.ask_at(),
        }
    }

    /// Whether a key frame is to be asked for now. Saying so counts as asking.
    pub fn take_keyframe_request(&mut self, now: Instant) -> bool {
        let due = self.ask_at().is_some_and(|at| now >= at);
        if due {
            self.asked_at = Some(now);
        }
        due
    }

    /// When a key frame is to be asked for, as things stand.
    fn ask_at(&self) -> Option<Instant> {
        let Chain::Broken { since } = self.chain else { return None };
        // Nobody sends yet: nobody to ask.
        self.ssrc?;
        let starts_key = |packet: &Packet| packet.content.as_ref().is_some_and(|c| c.key_start);
        let begun = self.packets.iter().rev().find(|(_, packet)| starts_key(packet));
        let patient = match begun {
            // A key frame is on its way. A large one takes its time; a hole in it may be repaired.
            Some((start, _)) => self.hole_noticed(*start).or(self.newest_at)? + self.patience(),
            None => since + START_PATIENCE,
        };
        let retry = self.asked_at.map(|at| at + 2 * self.round_trip + RETRY_SLACK);
        Some(retry.map_or(patient, |retry| retry.max(patient)))
    }

    fn patience(&self) -> Duration {
        (2 * self.round_trip + REPAIR_SLACK).clamp(*REPAIR.start(), *REPAIR.end())
    }

    /// When the first hole in the chain is given up; `None` without a hole.
    fn repair_deadline(&self) -> Option<Instant> {
        let Chain::Next(next) = self.chain else { return None };
        self.hole_noticed(next).map(|noticed| noticed + self.patience())
    }

    /// When the first packet behind the first hole after `start` came.
    fn hole_noticed(&self, start: i64) -> Option<Instant> {
        let mut expected = start;
        let contiguous = |(sequence, _): &(&i64, &Packet)| {
            let fits = **sequence == expected;
            expected += 1;
            fits
        };
        self.packets.range(start..).skip_while(contiguous).map(|(_, packet)| packet.arrived_at).min()
    }

    /// Leaves out the padding between two frames, of which there may be any amount while the camera
    /// is off.
    fn skip_padding(&mut self, mut sequence: i64) -> i64 {
        while self.packets.get(&sequence).is_some_and(|packet| packet.content.is_none()) {
            self.packets.remove(&sequence);
            self.released = sequence;
            sequence += 1;
        }
        self.chain = Chain::Next(sequence);
        sequence
    }

    /// Whether the frame that begins with packet `start` is complete.
    fn scan(&self, start: i64) -> Scan {
        let mut timestamp = None;
        let mut last = None;
        for (expected, (sequence, packet)) in (start..).zip(self.packets.range(start..)) {
            if *sequence != expected {
                return Scan::Incomplete;
            }
            if packet.content.is_none() {
                continue;
            }
            let first = *timestamp.get_or_insert(packet.timestamp);
            match last {
                // The sender forgot the marker: the next frame ends this one.
                Some(last) if packet.timestamp != first => return Scan::Complete { last },
                _ if packet.marker => return Scan::Complete { last: *sequence },
                _ => last = Some(*sequence),
            }
        }
        Scan::Incomplete
    }

    /// The newest complete key frame behind the chain's end.
    fn complete_keyframe(&self) -> Option<(i64, i64)> {
        let keys = self
            .packets
            .iter()
            .rev()
            .filter(|(_, packet)| packet.content.as_ref().is_some_and(|c| c.key_start));
        keys.map(|(start, _)| *start).find_map(|start| match self.scan(start) {
            Scan::Complete { last } => Some((start, last)),
            Scan::Incomplete => None,
        })
    }

    /// Takes the frame from `start` to `last` out, and everything before it.
    fn release(&mut self, start: i64, last: i64) -> Option<AssembledFrame> {
        let later = self.packets.split_off(&(last + 1));
        let frame = self.packets.split_off(&start);
        self.discarded += self.packets.values().filter(|packet| packet.content.is_some()).count() as u64;
        self.packets = later;
        self.released = last;
        self.chain = Chain::Next(last + 1);
        let first = frame.get(&start)?;
        let (codec, timestamp) = (first.codec, first.timestamp);
        let key_start = first.content.as_ref().is_some_and(|content| content.key_start);
        let arrivals = || frame.values().map(|packet| packet.arrived_at);
        let (first_arrival, complete_at) = (arrivals().min()?, arrivals().max()?);
        let parts: Vec<Bytes> = frame.into_values().filter_map(|packet| Some(packet.content?.data)).collect();
        let packets = parts.len();
        let data = join(parts);
        let codec = VideoCodec::try_from(codec).ok()?;
        let keyframe = key_start && matches!(FrameHead::parse(codec, &data), Ok(FrameHead::Key(_)));
        if keyframe {
            self.asked_at = None;
        }
        Some(AssembledFrame { data, codec, timestamp, keyframe, first_arrival, complete_at, packets })
    }

    /// While a key frame is needed: forgets packets that cannot belong to one any more.
    fn drop_hopeless(&mut self, now: Instant) {
        let patience = self.patience();
        let key =
            self.packets.iter().find(|(_, packet)| packet.content.as_ref().is_some_and(|c| c.key_start));
        let first_key = key.map(|(sequence, _)| *sequence);
        let hopeless = |sequence: &i64, packet: &Packet| {
            first_key.is_none_or(|key| *sequence < key)
                && now.saturating_duration_since(packet.arrived_at) > patience
        };
        while let Some(entry) = self.packets.first_entry() {
            if !hopeless(entry.key(), entry.get()) {
                break;
            }
            self.released = *entry.key();
            self.discarded += u64::from(entry.get().content.is_some());
            entry.remove();
        }
    }
}

/// One piece of memory; without a copy if it was one already.
fn join(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() == 1 {
        return parts.swap_remove(0);
    }
    let mut whole = BytesMut::with_capacity(parts.iter().map(Bytes::len).sum());
    parts.iter().for_each(|part| whole.extend_from_slice(part));
    whole.freeze()
}

#[cfg(test)]
#[path = "video_assembler_tests.rs"]
mod tests;
