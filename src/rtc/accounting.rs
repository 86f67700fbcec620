//! Counts everything that passes between us and one participant, and learns from reports what the
//! other side received.
//!
//! The engine's own statistics leave all of this at zero. Streams are known by their first RTP
//! packet; reports about others are ignored, so that a stranger's numbers cannot fill memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::engine::{Direction, RtpFacts, WireTap};
use super::reception::{Arrival, Reception};
use super::rtcp::{self, Packet, ReportBlock};
use crate::media::encoded::TrackKind;
use crate::units::MediaTime;

/// Streams each way; a participant has two, and two more after each new connection. When full, the
/// one that was silent longest goes.
const MOST_STREAMS: usize = 8;

/// Sender reports of ours that an answer may refer to.
const REPORTS: usize = 16;

/// Ticks a second of a track's RTP clock.
const fn clock_rate(kind: TrackKind) -> u32 {
    match kind {
        TrackKind::Audio | TrackKind::ScreenSound => MediaTime::AUDIO_CLOCK,
        TrackKind::Video | TrackKind::Screen => MediaTime::VIDEO_CLOCK,
    }
}

/// Requests about one stream, counted as packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Generic NACK.
    pub nack: u64,
    /// PLI.
    pub pli: u64,
    /// FIR.
    pub fir: u64,
}

/// A stream that we send.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Microphone or camera.
    pub kind: TrackKind,
    /// RTP packets, retransmissions included.
    pub packets: u64,
    /// Payload bytes, retransmissions included.
    pub payload_bytes: u64,
    /// Header bytes.
    pub header_bytes: u64,
    /// Packets sent again.
    pub retransmitted_packets: u64,
    /// Payload bytes sent again.
    pub retransmitted_bytes: u64,
    /// What the other side asked for.
    pub requests: Requests,
    /// What the other side says about it.
    pub remote: Option<RemoteReception>,
    /// Middle 32 bits of the NTP time of our sender reports, and when they left.
    reports: VecDeque<(u32, Instant)>,
    last_at: Instant,
}

/// How well the other side receives a stream of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemoteReception {
    /// When it said so.
    pub at: Instant,
    /// Share lost between the last two reports, 0.0 to 1.0.
    pub fraction_lost: f64,
    /// Packets lost since the beginning; negative when some came twice.
    pub lost: i32,
    /// Mean deviation of the spacing in seconds.
    pub jitter: f64,
    /// The last round trip, if one could be measured.
    pub round_trip: Option<Duration>,
    /// Sum of all round trips.
    pub total_round_trip: Duration,
    /// How many they are.
    pub round_trips: u64,
}

/// A stream that we receive.
#[derive(Clone, Debug)]
pub struct Received {
    /// Microphone or camera.
    pub kind: TrackKind,
    /// What its headers say.
    pub reception: Reception,
    /// What we asked for.
    pub requests: Requests,
    /// What its sender says.
    pub remote: Option<RemoteSending>,
}

/// What the sender of a stream says it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteSending {
    /// Its wall clock, since the NTP epoch.
    pub ntp: Duration,
    /// RTP packets.
    pub packets: u32,
    /// Payload bytes.
    pub octets: u32,
    /// Sender reports that came.
    pub reports: u64,
    /// When the last one came.
    pub at: Instant,
}

/// All streams of one connection by SSRC. See the module.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Streams that we send.
    pub sent: BTreeMap<u32, Sent>,
    /// Streams that we receive.
    pub received: BTreeMap<u32, Received>,
    /// Compound RTCP packets that could not be read to their end.
    pub malformed: u64,
}

impl Accounts {
    /// An RTP packet passes.
    pub fn on_rtp(&mut self, now: Instant, direction: Direction, packet: &RtpFacts) {
        match direction {
            Direction::Sent => self.on_sent(now, packet),
            Direction::Received => self.on_received(now, packet),
        }
    }

    /// A compound RTCP packet passes.
    pub fn on_rtcp(&mut self, now: Instant, direction: Direction, compound: &[u8]) {
        for packet in rtcp::packets(compound) {
            let Ok(packet) = packet else {
                self.malformed += 1;
                return;
            };
            match direction {
                Direction::Sent => self.on_rtcp_sent(now, &packet),
                Direction::Received => self.on_rtcp_received(now, &packet),
            }
        }
    }

    fn on_sent(&mut self, now: Instant, packet: &RtpFacts) {
        if !self.sent.contains_key(&packet.ssrc) {
            make_room(&mut self.sent, |sent| Some(sent.last_at));
        }
        let sent = self.sent.entry(packet.ssrc).or_insert_with(|| Sent {
            kind: packet.kind,
            packets: 0,
            payload_bytes: 0,
            header_bytes: 0,
            retransmitted_packets: 0,
            retransmitted_bytes: 0,
            requests: Requests::default(),
            remote: None,
            reports: VecDeque::with_capacity(REPORTS),
            last_at: now,
        });
        sent.last_at = now;
        sent.packets += 1;
        sent.payload_bytes += packet.payload_len as u64;
        sent.header_bytes += packet.header_len as u64;
        if packet.retransmission {
            sent.retransmitted_packets += 1;
            sent.retransmitted_bytes += packet.payload_len as u64;
        }
    }

    fn on_received(&mut self, now: Instant, packet: &RtpFacts) {
        if !self.received.contains_key(&packet.ssrc) {
            make_room(&mut self.received, |received| received.reception.last_at());
        }
        let received = self.received.entry(packet.ssrc).or_insert_with(|| Received {
            kind: packet.kind,
            reception: Reception::new(clock_rate(packet.kind)),
            requests: Requests::default(),
            remote: None,
        });
        received.reception.on_packet(&Arrival {
            at: now,
            sequence: packet.sequence,
            timestamp: packet.timestamp,
            header_len: packet.header_len,
            payload_len: packet.payload_len,
        });
    }

    fn on_rtcp_sent(&mut self, now: Instant, packet: &Packet) {
        match packet {
            Packet::SenderReport { ssrc, ntp, .. } => {
                if let Some(sent) = self.sent.get_mut(ssrc) {
                    if sent.reports.len() == REPORTS {
                        sent.reports.pop_front();
                    }
                    sent.reports.push_back(((ntp >> 16) as u32, now));
                }
            }
            request => count(request, &mut self.received, |received| &mut received.requests),
        }
    }

    fn on_rtcp_received(&mut self, now: Instant, packet: &Packet) {
        match packet {
            Packet::SenderReport { ssrc, ntp, packets, octets, blocks, .. } => {
                if let Some(received) = self.received.get_mut(ssrc) {
                    let reports = received.remote.map_or(0, |remote| remote.reports) + 1;
                    received.remote = Some(RemoteSending {
                        ntp: since_ntp_epoch(*ntp),
                        packets: *packets,
                        octets: *octets,
                        reports,
                        at: now,
                    });
                }
                self.on_blocks(now, blocks);
            }
            Packet::ReceiverReport { blocks } => self.on_blocks(now, blocks),
            request => count(request, &mut self.sent, |sent| &mut sent.requests),
        }
    }

    fn on_blocks(&mut self, now: Instant, blocks: &[ReportBlock]) {
        for block in blocks {
            if let Some(sent) = self.sent.get_mut(&block.ssrc) {
                sent.on_block(now, block);
            }
        }
    }
}

impl Sent {
    fn on_block(&mut self, now: Instant, block: &ReportBlock) {
        let (total, count) =
            self.remote.map_or((Duration::ZERO, 0), |remote| (remote.total_round_trip, remote.round_trips));
        let sample = self.round_trip(now, block);
        self.remote = Some(RemoteReception {
            at: now,
            fraction_lost: f64::from(block.fraction_lost) / 256.0,
            lost: block.lost,
            jitter: f64::from(block.jitter) / f64::from(clock_rate(self.kind)),
            round_trip: sample.or(self.remote.and_then(|remote| remote.round_trip)),
            total_round_trip: total + sample.unwrap_or_default(),
            round_trips: count + u64::from(sample.is_some()),
        });
    }

    /// Since our report left, less what the other side kept it. Looking the report up instead of
    /// subtracting wall-clock times makes it independent of a clock that is set during the call,
    /// and of reports that we never sent.
    fn round_trip(&self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        let (_, left) = self.reports.iter().rev().find(|(middle, _)| *middle == block.last_report)?;
        let kept = Duration::from_secs_f64(f64::from(block.delay) / 65_536.0);
        let away = now.saturating_duration_since(*left);
        // Rounding may make the other side's stay look longer than the whole.
        (kept <= away + Duration::from_millis(2)).then(|| away.saturating_sub(kept))
    }
}

fn count<T>(request: &Packet, streams: &mut BTreeMap<u32, T>, requests: fn(&mut T) -> &mut Requests) {
    let mut add = |media: &u32, field: fn(&mut Requests) -> &mut u64| {
        if let Some(stream) = streams.get_mut(media) {
            *field(requests(stream)) += 1;
        }
    };
    match request {
        Packet::Nack { media } => add(media, |requests| &mut requests.nack),
        Packet::PictureLoss { media } => add(media, |requests| &mut requests.pli),
        Packet::FullIntra { media } => {
            media.iter().for_each(|media| add(media, |requests| &mut requests.fir))
        }
        Packet::SenderReport { .. } | Packet::ReceiverReport { .. } | Packet::Other => {}
    }
}

fn make_room<T>(streams: &mut BTreeMap<u32, T>, last_at: impl Fn(&T) -> Option<Instant>) {
    if streams.len() >= MOST_STREAMS
        && let Some(oldest) = streams.iter().min_by_key(|(_, stream)| last_at(stream)).map(|(ssrc, _)| *ssrc)
    {
        streams.remove(&oldest);
    }
}

/// RFC 3550 section 4: seconds in the upper half, a fraction of 2^32 in the lower.
fn since_ntp_epoch(ntp: u64) -> Duration {
    let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    Duration::new(ntp >> 32, nanos as u32)
}

/// The accounts of one connection, written by its engine and read by whoever wants statistics. The
/// lock is held for the length of a few additions.
#[derive(Clone, Debug, Default)]
pub struct SharedAccounts(Arc<Mutex<Accounts>>);

impl SharedAccounts {
    /// How they stand.
    pub fn read(&self) -> Accounts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WireTap for SharedAccounts {
    fn rtp(&mut self, now: Instant, direction: Direction, packet: &RtpFacts) {
        self.lock().on_rtp(now, direction, packet);
    }

    fn rtcp(&mut self, now: Instant, direction: Direction, compound: &[u8]) {
        self.lock().on_rtcp(now, direction, compound);
    }

    fn round_trip(&self) -> Option<Duration> {
        let accounts = self.lock();
        let newest = accounts.sent.values().filter_map(|sent| sent.remote).max_by_key(|remote| remote.at);
        newest.and_then(|remote| remote.round_trip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::rtcp::tests::wire;
    use proptest::prelude::*;

    const OURS: u32 = 100;
    const THEIRS: u32 = 200;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    fn rtp(kind: TrackKind, ssrc: u32, sequence: u16, retransmission: bool) -> RtpFacts {
        RtpFacts {
            kind,
            ssrc,
            sequence,
            timestamp: u32::from(sequence) * 3_000,
            marker: false,
            header_len: 20,
            payload_len: 1_000,
            retransmission,
        }
    }

    fn accounts(now: Instant) -> Accounts {
        let mut accounts = Accounts::default();
        accounts.on_rtp(now, Direction::Sent, &rtp(TrackKind::Video, OURS, 1, false));
        accounts.on_rtp(now, Direction::Received, &rtp(TrackKind::Audio, THEIRS, 1, false));
        accounts
    }

    #[test]
    fn the_round_trip_is_what_our_report_took_less_what_the_other_side_kept_it() {
        let now = start();
        let mut accounts = accounts(now);
        accounts.on_rtcp(now, Direction::Sent, &wire(200, 0, &[OURS, 0x1111_2222, 0x3333_4444, 0, 1, 1_000]));
        // A quarter lost, 5 of all, 900 ticks of 90 kHz, kept for half a second; inside a sender
        // report, as somebody who sends too would do.
        let block = [OURS, 64 << 24 | 5, 17, 900, 0x2222_3333, 32_768];
        let report = [&[THEIRS, 0, 0, 0, 7, 700][..], &block].concat();
        accounts.on_rtcp(now + Duration::from_millis(580), Direction::Received, &wire(200, 1, &report));
        let remote = accounts.sent[&OURS].remote.unwrap();
        let round_trip = remote.round_trip.unwrap();
        assert_eq!((round_trip.as_millis(), remote.round_trips), (80, 1));
        assert_eq!((remote.fraction_lost, remote.lost, remote.jitter), (0.25, 5, 0.01));
        let sender = accounts.received[&THEIRS].remote.unwrap();
        assert_eq!((sender.packets, sender.octets, sender.reports), (7, 700, 1));
    }

    #[test]
    fn an_answer_to_a_report_that_we_never_sent_measures_nothing() {
        let now = start();
        let mut accounts = accounts(now);
        let block = [1, OURS, 0, 17, 0, 0xdead_beef, 0];
        accounts.on_rtcp(now, Direction::Received, &wire(201, 1, &block));
        let remote = accounts.sent[&OURS].remote.unwrap();
        assert_eq!((remote.round_trip, remote.round_trips), (None, 0));
    }

    #[test]
    fn requests_are_counted_where_they_belong_and_nowhere_else() {
        let now = start();
        let mut accounts = accounts(now);
        accounts.on_rtcp(now, Direction::Received, &wire(205, 1, &[1, OURS, 0]));
        accounts.on_rtcp(now, Direction::Received, &wire(206, 1, &[1, OURS]));
        accounts.on_rtcp(now, Direction::Received, &wire(206, 4, &[1, 0, OURS, 0, 999, 0]));
        accounts.on_rtcp(now, Direction::Sent, &wire(206, 1, &[1, THEIRS]));
        accounts.on_rtcp(now, Direction::Sent, &wire(206, 1, &[1, 999]));
        assert_eq!(accounts.sent[&OURS].requests, Requests { nack: 1, pli: 1, fir: 1 });
        assert_eq!(accounts.received[&THEIRS].requests, Requests { nack: 0, pli: 1, fir: 0 });
        assert_eq!((accounts.sent.len(), accounts.received.len()), (1, 1));
    }

    #[test]
    fn what_is_sent_again_is_counted_in_both_places() {
        let now = start();
        let mut accounts = accounts(now);
        accounts.on_rtp(now, Direction::Sent, &rtp(TrackKind::Video, OURS, 1, true));
        let sent = &accounts.sent[&OURS];
        assert_eq!((sent.packets, sent.payload_bytes, sent.header_bytes), (2, 2_000, 40));
        assert_eq!((sent.retransmitted_packets, sent.retransmitted_bytes), (1, 1_000));
    }

    #[test]
    fn the_stream_that_was_silent_longest_makes_room() {
        let mut now = start();
        let mut accounts = accounts(now);
        for ssrc in 0..20 {
            now += Duration::from_secs(1);
            accounts.on_rtp(now, Direction::Received, &rtp(TrackKind::Video, ssrc, 1, false));
        }
        assert_eq!(accounts.received.len(), MOST_STREAMS);
        assert!(accounts.received.contains_key(&19) && !accounts.received.contains_key(&THEIRS));
    }

    proptest! {
        #[test]
        fn nothing_that_a_stranger_reports_breaks_the_accounts(
            words in proptest::collection::vec(prop_oneof![Just(OURS), Just(THEIRS), any::<u32>()], 0..40),
            kind in 200u8..207, count in 0u8..32
        ) {
            let now = start();
            let mut accounts = accounts(now);
            accounts.on_rtcp(now, Direction::Sent, &wire(200, 0, &[OURS, 0, 0, 0, 0, 0]));
            accounts.on_rtcp(now + Duration::from_secs(1), Direction::Received, &wire(kind, count, &words));
            let remote = accounts.sent[&OURS].remote;
            prop_assert!(remote.is_none_or(|remote| remote.fraction_lost < 1.0 && remote.total_round_trip <= Duration::from_secs(1)));
        }
    }
}
