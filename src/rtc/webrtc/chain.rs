//! What packets pass inside the crate on their way between network and tracks.
//!
//! ```text
//!  network ─▶ Tap ─▶ estimator ─▶ TWCC numbers ─▶ NACK ─▶ TWCC feedback ─▶ receiver reports ─▶ Delivery
//!  network ◀─ Tap ◀─ estimator ◀─ TWCC numbers ◀─ NACK ◀─────────────────────────────────── tracks
//! ```
//!
//! [`Tap`] shows every packet to accounting and picks out what the peer must hear of (key-frame
//! requests, sender reports). [`Delivery`] hands received media to the participant's sinks right
//! here: the crate's own way loses packets that arrive before its track event was handled.
//! Sender reports are written by the peer, who knows capture times.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::rtc::interceptor::{
    Attribute, BandwidthEstimator, CongestionControlBuilder, Interceptor, NackGeneratorBuilder,
    NackResponderBuilder, Packet, PacketReport, ReceiverReportBuilder, Registry, Slot, StreamInfo,
    TaggedPacket, TwccReceiverBuilder, TwccSenderBuilder,
};
use ::rtc::rtcp;
use ::rtc::rtcp::transport_feedbacks::transport_layer_nack::{
    NackPair, TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use ::rtc::rtp;
use ::rtc::sansio::Protocol;
use ::rtc::shared::error::Error;
use ::rtc::shared::marshal::MarshalSize;

use super::codecs;
use super::resting::Resting;
use crate::media::encoded::{Codec, TrackKind};
use crate::media::{RemotePacket, SenderReport};
use crate::rtc::engine::{
    Direction, Estimate, Estimator, Event, EventSender, PacketFate, PacketSinks, RtpFacts, WireTap,
};
use crate::rtc::nack::NackPacing;

/// How often the receiver looks for gaps: at the default of 100 ms a lost packet is a visible
/// freeze, at 20 ms it is back within a round trip and a frame.
const NACK_INTERVAL: Duration = Duration::from_millis(20);

/// How often one packet is looked for: for a second, in which [`NackPacing`] asks as often as answers
/// can come. After that a key frame helps more.
const MAX_NACKS: u16 = 50;

/// How far back gaps are looked for, in packets (a power of two): half a second of 2.5 Mbit/s. After an
/// outage a key frame is asked for; everything that was lost meanwhile would only stand in its way.
const NACK_WINDOW: u16 = 128;

/// How often feedback for the other side's estimator leaves (libwebrtc: 50 to 250 ms).
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);

/// Estimates are told to the peer when they moved by this share, or after [`TARGET_INTERVAL`].
const TARGET_STEP: f64 = 0.05;

/// See [`TARGET_STEP`].
const TARGET_INTERVAL: Duration = Duration::from_millis(200);

/// Next to the network: after everything else on the way out, before everything on the way in.
const TAP: usize = 500;

/// Next to the tracks.
const DELIVERY: usize = 20_000;

/// What the chain learns and the connection needs, and the other way round.
#[derive(Debug, Default)]
pub struct Learned {
    /// SSRC of the other side's camera, 0 while unknown.
    pub remote_video: AtomicU32,
    /// SSRC of the other side's screen, by its last description; 0 while there is none.
    pub remote_screen: AtomicU32,
    /// The same of its sound.
    pub remote_screen_sound: AtomicU32,
    /// SSRC of our screen; known from the beginning.
    pub own_screen: u32,
    /// SSRC of its sound.
    pub own_screen_sound: u32,
}

impl Learned {
    /// Which track a stream is: descriptions name screens, the rest follows from the codec.
    fn track(&self, ssrc: u32, codec: Codec) -> TrackKind {
        let screen = ssrc == self.own_screen || ssrc == self.remote_screen.load(Ordering::Relaxed);
        let its_sound =
            ssrc == self.own_screen_sound || ssrc == self.remote_screen_sound.load(Ordering::Relaxed);
        match codec {
            Codec::Opus if its_sound => TrackKind::ScreenSound,
            Codec::Opus => TrackKind::Audio,
            Codec::Vp8 | Codec::Vp9 if screen => TrackKind::Screen,
            Codec::Vp8 | Codec::Vp9 => TrackKind::Video,
        }
    }
}

/// What the chain of one connection works with.
pub struct Parts {
    /// Where received media goes.
    pub sinks: PacketSinks,
    /// Accounting.
    pub tap: Box<dyn WireTap>,
    /// Estimation.
    pub estimator: Box<dyn Estimator>,
    /// News for the peer.
    pub events: EventSender,
    /// News for the connection.
    pub learned: Arc<Learned>,
}

/// All interceptors, in their places.
pub fn registry(parts: Parts) -> Registry {
    let estimator = SharedEstimator(Arc::new(Mutex::new(parts.estimator)));
    let tap = Tap {
        tap: parts.tap,
        estimator: estimator.clone(),
        events: parts.events.clone(),
        learned: parts.learned.clone(),
        kinds: HashMap::new(),
        nacks: NackPacing::default(),
        queue: Queues::default(),
    };
    let delivery = Delivery {
        sinks: parts.sinks,
        events: parts.events.clone(),
        learned: parts.learned,
        streams: HashMap::new(),
        started: [false; 4],
        queue: Queues::default(),
    };
    let target = Targets { estimator, events: parts.events, told: None };
    Registry::new()
        .with(Slot::from(TAP), tap)
        .with(Slot::CongestionControl, CongestionControlBuilder::new(target).build())
        .with(Slot::TwccSender, TwccSenderBuilder::new().build())
        .with(Slot::NackResponder, NackResponderBuilder::new().build())
        .with(
            Slot::NackGenerator,
            Resting::new(
                NackGeneratorBuilder::new()
                    .with_size(NACK_WINDOW)
                    .with_interval(NACK_INTERVAL)
                    .with_max_nacks_per_packet(MAX_NACKS)
                    .build(),
            ),
        )
        .with(
            Slot::TwccReceiver,
            Resting::new(TwccReceiverBuilder::new().with_interval(FEEDBACK_INTERVAL).build()),
        )
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(Slot::from(DELIVERY), delivery)
}

/// The chain polls what it has handed in; these are the two ends of a pass-through.
#[derive(Default)]
struct Queues {
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

/// Both the tap (departures) and the crate's feedback interceptor speak to one estimator. Both run
/// under the connection's lock, so the mutex is never contended.
#[derive(Clone)]
struct SharedEstimator(Arc<Mutex<Box<dyn Estimator>>>);

impl SharedEstimator {
    fn lock(&self) -> MutexGuard<'_, Box<dyn Estimator>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Our estimator behind the crate's trait; tells the peer when the target moved.
struct Targets {
    estimator: SharedEstimator,
    events: EventSender,
    told: Option<(Instant, Estimate)>,
}

impl Targets {
    fn tell(&mut self, now: Instant) {
        let estimate = {
            let estimator = self.estimator.lock();
            Estimate { target: estimator.target(), pace: estimator.pace(), loss: estimator.loss() }
        };
        let news = match self.told {
            None => true,
            Some((at, told)) => {
                let waited = now.saturating_duration_since(at) >= TARGET_INTERVAL;
                [(told.target, estimate.target), (told.pace, estimate.pace)].iter().any(|(before, after)| {
                    let moved = (after.as_bps() as f64 - before.as_bps() as f64).abs();
                    moved > before.as_bps() as f64 * TARGET_STEP || (before != after && waited)
                })
            }
        };
        if news {
            self.told = Some((now, estimate));
            self.events.send(Event::Target(estimate));
        }
    }
}

impl BandwidthEstimator for Targets {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        let fates: Vec<PacketFate> = reports
            .iter()
            .map(|report| PacketFate {
                sequence: report.twcc_sequence_number,
                size: report.size,
                sent_at: report.departure,
                arrived_at: report.arrival.filter(|_| report.arrived),
            })
            .collect();
        self.estimator.lock().on_feedback(now, &fates);
        self.tell(now);
    }

    fn target_bitrate(&self) -> f64 {
        self.estimator.lock().target().as_bps() as f64
    }

    fn handle_timeout(&mut self, now: Instant) {
        let due = self.estimator.lock().poll_timeout().is_some_and(|at| at <= now);
        if due {
            self.estimator.lock().handle_timeout(now);
            self.tell(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.estimator.lock().poll_timeout()
    }
}

/// Next to the network.
struct Tap {
    tap: Box<dyn WireTap>,
    estimator: SharedEstimator,
    events: EventSender,
    learned: Arc<Learned>,
    kinds: HashMap<u32, TrackKind>,
    nacks: NackPacing,
    queue: Queues,
}

impl Tap {
    fn rtp(&mut self, now: Instant, direction: Direction, packet: &rtp::Packet, retransmission: bool) {
        let Some(kind) = self.kinds.get(&packet.header.ssrc).copied() else { return };
        let facts = RtpFacts {
            kind,
            ssrc: packet.header.ssrc,
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            header_len: packet.header.marshal_size(),
            payload_len: packet.payload.len(),
            retransmission,
        };
        self.tap.rtp(now, direction, &facts);
        if direction == Direction::Sent {
            self.estimator.lock().on_sent(now, facts.header_len + facts.payload_len);
        }
    }

    /// Takes requests out that have been made a moment ago; `None` if nothing is left to send.
    fn pace_requests(&mut self, mut packet: TaggedPacket) -> Option<TaggedPacket> {
        let Packet::Rtcp(compound) = &mut packet.message.packet else { return Some(packet) };
        let round_trip = self.tap.round_trip();
        for part in compound.iter_mut() {
            let Some(nack) = part.as_any().downcast_ref::<TransportLayerNack>() else { continue };
            let missing: Vec<u16> = nack.nacks.iter().flat_map(NackPair::packet_list).collect();
            let due = self.nacks.due(nack.media_ssrc, &missing, round_trip, packet.now);
            *part = Box::new(TransportLayerNack {
                nacks: nack_pairs_from_sequence_numbers(&due),
                sender_ssrc: nack.sender_ssrc,
                media_ssrc: nack.media_ssrc,
            });
        }
        compound.retain(|part| {
            part.as_any().downcast_ref::<TransportLayerNack>().is_none_or(|nack| !nack.nacks.is_empty())
        });
        (!compound.is_empty()).then_some(packet)
    }

    fn rtcp(&mut self, now: Instant, direction: Direction, packets: &[Box<dyn rtcp::Packet>]) {
        if let Ok(compound) = rtcp::packet::marshal(packets) {
            self.tap.rtcp(now, direction, &compound);
        }
    }

    /// What the peer must hear of.
    fn read_feedback(&self, packets: &[Box<dyn rtcp::Packet>]) {
        use rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
        use rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
        let (mut camera, mut screen) = (false, false);
        let mut wanted = |ssrc: u32| match ssrc == self.learned.own_screen {
            true => screen = true,
            false => camera = true,
        };
        for packet in packets {
            let packet = packet.as_any();
            if let Some(request) = packet.downcast_ref::<PictureLossIndication>() {
                wanted(request.media_ssrc);
            }
            if let Some(request) = packet.downcast_ref::<FullIntraRequest>() {
                request.fir.iter().for_each(|entry| wanted(entry.ssrc));
            }
            if let Some(report) = packet.downcast_ref::<rtcp::sender_report::SenderReport>()
                && let Some(kind) = self.kinds.get(&report.ssrc).copied()
            {
                let report =
                    SenderReport { kind, rtp: report.rtp_time, ntp: duration_of_ntp(report.ntp_time) };
                self.events.send(Event::SenderReport(report));
            }
        }
        for (kind, wanted) in [(TrackKind::Video, camera), (TrackKind::Screen, screen)] {
            if wanted {
                self.events.send(Event::KeyframeWanted(kind));
            }
        }
    }
}

/// RFC 3550 section 4: seconds in the upper half, a fraction of 2^32 in the lower.
fn duration_of_ntp(ntp: u64) -> Duration {
    let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    Duration::new(ntp >> 32, nanos as u32)
}

/// The inverse of [`duration_of_ntp`].
pub fn ntp_of_duration(time: Duration) -> u64 {
    let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
    (time.as_secs() & 0xffff_ffff) << 32 | fraction
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Tap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        match &packet.message.packet {
            Packet::Rtp(rtp) => self.rtp(packet.now, Direction::Received, rtp, false),
            Packet::Rtcp(rtcp) => {
                self.rtcp(packet.now, Direction::Received, rtcp);
                self.read_feedback(rtcp);
            }
            _ => {}
        }
        self.queue.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.queue.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        let Some(packet) = self.pace_requests(packet) else { return Ok(()) };
        match &packet.message.packet {
            Packet::Rtp(rtp) => {
                let again = packet.message.has(&Attribute::Retransmission);
                self.rtp(packet.now, Direction::Sent, rtp, again);
            }
            Packet::Rtcp(rtcp) => self.rtcp(packet.now, Direction::Sent, rtcp),
            _ => {}
        }
        self.queue.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.queue.write.pop_front()
    }
}

impl Interceptor for Tap {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        if let Some(codec) = codecs::of(&info.mime_type) {
            self.kinds.insert(info.ssrc, self.learned.track(info.ssrc, codec));
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.kinds.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.bind_local_stream(info);
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.unbind_local_stream(info);
    }
}

/// Next to the tracks.
struct Delivery {
    sinks: PacketSinks,
    events: EventSender,
    learned: Arc<Learned>,
    streams: HashMap<u32, (TrackKind, Codec)>,
    started: [bool; 4],
    queue: Queues,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Delivery {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        let Packet::Rtp(rtp) = packet.message.packet else {
            self.queue.read.push_back(packet);
            return Ok(());
        };
        let header = rtp.header;
        let Some((kind, codec)) = self.streams.get(&header.ssrc).copied() else { return Ok(()) };
        if !std::mem::replace(&mut self.started[kind.index()], true) {
            self.events.send(Event::TrackStarted(kind));
        }
        self.sinks.put(RemotePacket {
            kind,
            codec,
            sequence: header.sequence_number,
            timestamp: header.timestamp,
            marker: header.marker,
            ssrc: header.ssrc,
            payload: rtp.payload,
            arrived_at: packet.now,
        });
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.queue.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.queue.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.queue.write.pop_front()
    }
}

impl Interceptor for Delivery {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        let Some(codec) = codecs::of(&info.mime_type) else { return };
        let kind = self.learned.track(info.ssrc, codec);
        self.streams.insert(info.ssrc, (kind, codec));
        if kind == TrackKind::Video {
            self.learned.remote_video.store(info.ssrc, Ordering::Relaxed);
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_survives_the_wire_within_a_nanosecond() {
        let time = Duration::new(3_900_000_000, 123_456_789);
        let back = duration_of_ntp(ntp_of_duration(time));
        assert!(time - back <= Duration::from_nanos(1), "{back:?}");
    }
}
