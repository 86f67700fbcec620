//! What [`super`] must do, and what it must survive.

use super::*;
use crate::media::encoded::{Codec, TrackKind};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

/// A sender, a network that the test bends, and the assembler.
struct Rig {
    assembler: FrameAssembler,
    now: Instant,
    sequence: u16,
    timestamp: u32,
}

impl Rig {
    fn new(first_sequence: u16) -> Self {
        let now = crate::clock::now() + Duration::from_secs(3_600);
        Self { assembler: FrameAssembler::new(now), now, sequence: first_sequence, timestamp: 0x1000 }
    }

    /// The packets of the next frame.
    fn frame(&mut self, keyframe: bool, packets: usize) -> Vec<RemotePacket> {
        self.timestamp = self.timestamp.wrapping_add(3_000);
        (0..packets).map(|index| self.packet(keyframe, index == 0, index + 1 == packets)).collect()
    }

    fn packet(&mut self, keyframe: bool, first: bool, marker: bool) -> RemotePacket {
        let mut payload = vec![if first { 0x10 } else { 0 }];
        match (first, keyframe) {
            (true, true) => payload.extend([0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0, 7]),
            (true, false) => payload.extend([0x11, 0, 0, 7]),
            (false, _) => payload.extend([8, 9]),
        }
        self.numbered(payload, marker)
    }

    fn padding(&mut self) -> RemotePacket {
        self.numbered(Vec::new(), false)
    }

    fn numbered(&mut self, payload: Vec<u8>, marker: bool) -> RemotePacket {
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        RemotePacket {
            kind: TrackKind::Video,
            codec: Codec::Vp8,
            sequence,
            timestamp: self.timestamp,
            marker,
            ssrc: 1,
            payload: payload.into(),
            arrived_at: self.now,
        }
    }

    fn deliver(&mut self, packets: impl IntoIterator<Item = RemotePacket>) {
        for packet in packets {
            self.assembler.insert(RemotePacket { arrived_at: self.now, ..packet });
        }
    }

    /// Timestamps of the frames that come out, in thousands after the first.
    fn out(&mut self) -> Vec<u32> {
        let mut out = Vec::new();
        while let Some(frame) = self.assembler.next_frame(self.now) {
            out.push((frame.timestamp - 0x1000) / 3_000);
        }
        out
    }

    fn asks(&mut self) -> bool {
        self.assembler.take_keyframe_request(self.now)
    }

    /// A rig whose chain was begun by a key frame, number 1.
    fn started() -> Self {
        let mut rig = Rig::new(65_530);
        let packets = rig.frame(true, 3);
        rig.deliver(packets);
        assert_eq!(rig.out(), [1]);
        rig
    }
}

#[test]
fn frames_come_out_whole_and_in_order_across_the_wrap_of_sequence_numbers() {
    let mut rig = Rig::new(65_533);
    for number in 1..10 {
        let packets = rig.frame(number == 1, 4);
        rig.deliver(packets[..3].to_vec());
        assert_eq!(rig.out(), [0; 0]);
        rig.deliver(packets[3..].to_vec());
        assert_eq!(rig.out(), [number]);
    }
    assert!(!rig.asks());
}

#[test]
fn the_payloads_are_put_together_without_their_descriptors() {
    let mut rig = Rig::new(0);
    let packets = rig.frame(true, 3);
    rig.deliver(packets);
    let frame = rig.assembler.next_frame(rig.now).unwrap();
    assert_eq!(frame.data[..], [0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0, 7, 8, 9, 8, 9]);
    assert!(frame.keyframe);
    assert_eq!(frame.packets, 3);
}

#[test]
fn packets_out_of_order_and_twice_change_nothing() {
    let mut rig = Rig::new(100);
    let mut packets: Vec<_> = (0..5).flat_map(|n| rig.frame(n == 0, 3)).collect();
    packets.reverse();
    let again = packets.clone();
    rig.deliver(packets);
    rig.deliver(again);
    assert_eq!(rig.out(), [1, 2, 3, 4, 5]);
    let mut stats = VideoReceiveStats::default();
    rig.assembler.write_stats(&mut stats);
    assert_eq!((stats.packets_duplicated, stats.packets_discarded), (15, 0));
}

#[test]
fn a_lost_packet_that_is_repaired_in_time_costs_no_frame_and_no_keyframe() {
    let mut rig = Rig::started();
    let lost = rig.frame(false, 2);
    rig.deliver(lost[..1].to_vec());
    for _ in 0..4 {
        rig.now += 33 * MS;
        let packets = rig.frame(false, 1);
        rig.deliver(packets);
        assert_eq!(rig.out(), [0; 0]);
        assert!(!rig.asks());
    }
    rig.deliver(lost);
    assert_eq!(rig.out(), [2, 3, 4, 5, 6]);
}

#[test]
fn a_hole_that_stays_asks_for_a_keyframe_and_goes_on_with_it() {
    let mut rig = Rig::started();
    rig.assembler.set_round_trip(20 * MS);
    rig.frame(false, 1);
    let packets = rig.frame(false, 1);
    rig.deliver(packets);
    assert_eq!(rig.out(), [0; 0]);
    assert_eq!(rig.assembler.deadline(), Some(rig.now + 140 * MS));
    rig.now += 139 * MS;
    assert_eq!(rig.out(), [0; 0]);
    assert!(!rig.asks());
    rig.now += MS;
    assert_eq!(rig.out(), [0; 0]);
    assert!(rig.asks());
    assert!(!rig.asks(), "once");
    let inter = rig.frame(false, 1);
    let key = rig.frame(true, 2);
    rig.deliver(inter);
    rig.deliver(key);
    assert_eq!(rig.out(), [5]);
    assert!(!rig.asks());
    assert_eq!(rig.assembler.deadline(), None);
}

#[test]
fn after_an_outage_a_keyframe_is_asked_for_with_the_first_packet_that_comes() {
    for (silence, lost) in [(OUTAGE + MS, 1), (MS, OUTAGE_PACKETS)] {
        let mut rig = Rig::started();
        rig.now += silence;
        rig.frame(false, usize::try_from(lost).unwrap());
        let first = rig.frame(false, 1);
        rig.deliver(first);
        assert!((rig.out().is_empty(), rig.asks()) == (true, true), "{silence:?}, {lost} packets");
        let key = rig.frame(true, 1);
        rig.deliver(key);
        assert_eq!(rig.out().len(), 1);
    }
}

#[test]
fn a_camera_that_was_off_for_long_is_no_outage() {
    let mut rig = Rig::started();
    rig.now += 10 * OUTAGE;
    let next = rig.frame(false, 1);
    rig.deliver(next);
    assert_eq!(rig.out(), [2]);
}

#[test]
fn an_unanswered_request_is_repeated_but_not_at_once() {
    let mut rig = Rig::started();
    rig.assembler.set_round_trip(50 * MS);
    rig.assembler.require_keyframe(rig.now);
    assert!(rig.asks());
    rig.now += 299 * MS;
    assert!(!rig.asks());
    rig.now += MS;
    assert!(rig.asks());
}

#[test]
fn a_keyframe_behind_a_hole_is_taken_without_waiting() {
    let mut rig = Rig::started();
    rig.frame(false, 1);
    let later = rig.frame(false, 1);
    let key = rig.frame(true, 3);
    let after = rig.frame(false, 1);
    rig.deliver(later.into_iter().chain(key).chain(after));
    assert_eq!(rig.out(), [4, 5]);
    assert!(!rig.asks());
}

#[test]
fn joining_in_the_middle_asks_for_a_keyframe_after_a_moment() {
    let mut rig = Rig::new(500);
    let packets = rig.frame(false, 2);
    rig.deliver(packets);
    assert_eq!(rig.out(), [0; 0]);
    assert!(!rig.asks(), "its key frame may be on the way");
    rig.now += 40 * MS;
    assert!(rig.asks());
    let key = rig.frame(true, 1);
    rig.deliver(key);
    assert_eq!(rig.out(), [2]);
}

#[test]
fn without_a_sender_nobody_is_asked() {
    let mut rig = Rig::new(0);
    rig.now += 10_000 * MS;
    assert!(!rig.asks());
    assert_eq!(rig.assembler.deadline(), None);
}

#[test]
fn a_first_keyframe_in_disorder_needs_no_request() {
    let mut rig = Rig::new(0);
    let mut packets = rig.frame(true, 6);
    packets.swap(0, 5);
    for packet in packets {
        rig.now += 3 * MS;
        assert!(!rig.asks());
        rig.deliver([packet]);
    }
    assert_eq!(rig.out(), [1]);
}

#[test]
fn a_large_keyframe_that_takes_its_time_needs_no_request_unless_it_stops() {
    let mut rig = Rig::new(0);
    rig.assembler.set_round_trip(MS);
    let mut packets = rig.frame(true, 60);
    let last = packets.split_off(59);
    for packet in packets {
        rig.now += 10 * MS;
        rig.deliver([packet]);
        assert!(!rig.asks());
    }
    rig.now += 119 * MS;
    assert!(!rig.asks());
    rig.now += MS;
    assert!(rig.asks(), "the rest does not come");
    rig.deliver(last);
    assert_eq!(rig.out(), [1]);
}

#[test]
fn a_hole_in_a_first_keyframe_is_not_waited_for_until_the_rest_is_there() {
    let mut rig = Rig::new(0);
    rig.assembler.set_round_trip(MS);
    let mut packets = rig.frame(true, 60);
    packets.remove(5);
    let asked = packets.into_iter().position(|packet| {
        rig.now += 10 * MS;
        rig.deliver([packet]);
        rig.asks()
    });
    assert_eq!(asked, Some(5 + 12), "120 ms after the packet behind the hole");
}

#[test]
fn another_ssrc_begins_anew_with_its_keyframe() {
    let mut rig = Rig::started();
    let key = rig.frame(true, 2);
    let inter = rig.frame(false, 1);
    let other = |packet: RemotePacket| RemotePacket {
        ssrc: 2,
        sequence: packet.sequence.wrapping_sub(30_000),
        ..packet
    };
    rig.deliver(key.into_iter().chain(inter).map(other));
    assert_eq!(rig.out(), [2, 3]);
}

#[test]
fn a_sender_that_counts_anew_is_followed_and_one_stray_packet_is_not() {
    let mut rig = Rig::started();
    let inter = rig.frame(false, 1);
    let stray = RemotePacket { sequence: inter[0].sequence.wrapping_sub(20_000), ..inter[0].clone() };
    rig.deliver([stray]);
    rig.deliver(inter);
    assert_eq!(rig.out(), [2]);
    rig.sequence = rig.sequence.wrapping_sub(20_000);
    let packets: Vec<_> = rig.frame(false, 1).into_iter().chain(rig.frame(true, 2)).collect();
    rig.deliver(packets);
    assert_eq!(rig.out(), [4]);
}

#[test]
fn padding_between_frames_is_left_out_however_much_it_is() {
    let mut rig = Rig::started();
    for _ in 0..3 * MOST_PACKETS {
        let padding = rig.padding();
        rig.deliver([padding]);
        assert_eq!(rig.out(), [0; 0]);
    }
    assert!(!rig.asks());
    let mut packets = rig.frame(false, 2);
    packets.swap(0, 1);
    rig.deliver(packets);
    assert_eq!(rig.out(), [2]);
    assert_eq!(rig.assembler.packets.len(), 0);
}

#[test]
fn a_sender_that_forgets_the_marker_is_understood() {
    let mut rig = Rig::started();
    let unmarked: Vec<_> =
        rig.frame(false, 2).into_iter().map(|packet| RemotePacket { marker: false, ..packet }).collect();
    rig.deliver(unmarked);
    assert_eq!(rig.out(), [0; 0]);
    let next = rig.frame(false, 1);
    rig.deliver(next);
    assert_eq!(rig.out(), [2, 3]);
}

#[test]
fn a_flood_behind_a_hole_stays_bounded() {
    let mut rig = Rig::started();
    rig.frame(false, 1);
    for _ in 0..3 * MOST_PACKETS {
        let packets = rig.frame(false, 1);
        rig.deliver(packets);
        assert!(rig.assembler.packets.len() <= MOST_PACKETS);
    }
    assert_eq!(rig.out(), [0; 0]);
    assert!(rig.asks());
    let key = rig.frame(true, 1);
    rig.deliver(key);
    assert_eq!(rig.out().len(), 1);
}

fn any_packet(now: Instant) -> impl Strategy<Value = RemotePacket> {
    let payload = proptest::collection::vec(any::<u8>(), 0..12);
    (any::<u16>(), 0u32..4, any::<bool>(), 0u32..2, payload).prop_map(
        move |(sequence, timestamp, marker, ssrc, payload)| RemotePacket {
            kind: TrackKind::Video,
            codec: Codec::Vp8,
            sequence,
            timestamp,
            marker,
            ssrc,
            payload: payload.into(),
            arrived_at: now,
        },
    )
}

proptest! {
    #[test]
    fn whatever_arrives_it_neither_panics_nor_grows(
        packets in proptest::collection::vec(any_packet(crate::clock::now()), 0..200),
    ) {
        let mut now = crate::clock::now();
        let mut assembler = FrameAssembler::new(now);
        for packet in packets {
            now += 5 * MS;
            assembler.insert(RemotePacket { arrived_at: now, ..packet });
            while assembler.next_frame(now).is_some() {}
            assembler.take_keyframe_request(now);
            prop_assert!(assembler.packets.len() <= MOST_PACKETS);
            if let Some(deadline) = assembler.deadline() {
                // A deadline that lies in the past for good would keep the thread busy.
                prop_assert!(deadline > now, "{:?}", assembler.chain);
            }
        }
    }

    #[test]
    fn any_order_within_patience_gives_every_frame(
        order in Just((0..40usize).collect::<Vec<_>>()).prop_shuffle(), first in any::<u16>(),
    ) {
        let mut rig = Rig::new(first);
        let packets: Vec<_> = (0..20).flat_map(|n| rig.frame(n == 0, 2)).collect();
        let mut out = Vec::new();
        for index in order {
            rig.now += MS;
            rig.deliver([packets[index].clone()]);
            out.extend(rig.out());
        }
        prop_assert_eq!(out, (1..=20).collect::<Vec<_>>());
    }
}
