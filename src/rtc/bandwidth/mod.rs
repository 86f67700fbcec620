//! How much the path to one participant carries, learned from the other side's feedback.
//!
//! ```text
//!  feedback ─┬─▶ rate   what arrives, bits per second ─────────┐
//!            ├─▶ delay  is a queue growing? how long is it? ───┼─▶ control ─▶ target
//!            └─▶ loss   is more lost than the path always loses? ┘
//! ```
//!
//! Of the family of Google Congestion Control (draft-ietf-rmcat-gcc-02; the trend filter of
//! Carlucci et al., "Analysis and Design of the Google Congestion Control for Web Real-time
//! Communication", 2016), with three differences that calls between few people need: it grows
//! by half a second's share while no queue is seen, instead of by 8 % a second; it never grows
//! beyond 1.5 times what arrives, so that an encoder with little to say does not run it away; and
//! it tells loss that has nothing to do with our rate from loss that has.
//!
//! It knows neither packets' contents nor an engine nor a clock.

mod control;
mod delay;
mod loss;
mod rate;

#[cfg(test)]
mod simulation;

use std::time::{Duration, Instant};

use control::{Control, News};
use delay::DelayDetector;
use loss::LossWindow;
use rate::{AcknowledgedRate, Peak};

use super::engine::{Estimator, PacketFate};
use crate::units::Bitrate;

/// What is assumed before anything is known: enough for a decent picture, and most paths have it.
pub const START: Bitrate = Bitrate::from_kbps(1_000);

/// By what the pacer goes while the path was never full: a first key frame of 40 kB leaves within 32 ms (at
/// the pacer's 2.5 times this), and fits the queue of any link that can carry a call.
pub const FIRST_PACE: Bitrate = Bitrate::from_kbps(4_000);

/// Never less: sound with its headers.
pub const LEAST: Bitrate = Bitrate::from_kbps(50);

/// Never more, unless the caller wants less: 720p at 30 pictures a second gains nothing beyond.
pub const MOST: Bitrate = Bitrate::from_kbps(6_000);

/// Sending for so long without any feedback means that the path, or the way back, is dead or
/// deeply queued.
const SILENCE: Duration = Duration::from_millis(1_000);

/// After this many of those in a row it was no queue that held the feedback back, but an outage:
/// what answers afterwards is another path, or the same one with nothing left in it.
const OUTAGE: u32 = 2;

/// Estimates one path. See the module.
#[derive(Debug)]
pub struct PathEstimator {
    most: Bitrate,
    /// The target before the silence that lasts, and how often it was acted on.
    silence: Option<(Bitrate, u32)>,
    /// When the first packet left that arrived after an outage. What was lost before it says nothing about
    /// the path that there is now, in whichever feedback it is told.
    outage_until: Option<Instant>,
    rate: AcknowledgedRate,
    peak: Peak,
    delay: DelayDetector,
    loss: LossWindow,
    control: Control,
    round_trip: Duration,
    /// The last feedback, or the last time that silence was acted on.
    heard: Option<Instant>,
    /// The first packet that left since then.
    unanswered: Option<Instant>,
}

impl PathEstimator {
    /// Starts at [`START`] and stays below `most` (or [`MOST`]).
    pub fn new(most: Option<Bitrate>) -> Self {
        Self::starting_at(START, most)
    }

    /// Starts at what another path carried.
    pub fn starting_at(start: Bitrate, most: Option<Bitrate>) -> Self {
        let most = most.unwrap_or(MOST).max(LEAST);
        Self {
            most,
            silence: None,
            outage_until: None,
            rate: AcknowledgedRate::default(),
            peak: Peak::default(),
            delay: DelayDetector::default(),
            loss: LossWindow::default(),
            control: Control::new(start.clamp(LEAST, most), LEAST, most),
            round_trip: Duration::from_millis(100),
            heard: None,
            unanswered: None,
        }
    }
}

impl PathEstimator {
    /// Begins anew after an outage, with what was there before it or the usual start.
    fn end_silence(&mut self, packets: &[PacketFate]) {
        let arrived = packets.iter().filter(|packet| packet.arrived_at.is_some());
        let Some(first) = arrived.map(|packet| packet.sent_at).min() else { return };
        let Some((before, times)) = self.silence.take() else { return };
        if times >= OUTAGE {
            let (round_trip, outage_until) = (self.round_trip, Some(first));
            let start = before.min(START);
            *self = Self { round_trip, outage_until, ..Self::starting_at(start, Some(self.most)) };
        }
    }

    fn is_of_an_outage(&self, packet: &PacketFate) -> bool {
        packet.arrived_at.is_none() && self.outage_until.is_some_and(|until| packet.sent_at < until)
    }
}

impl Estimator for PathEstimator {
    fn on_sent(&mut self, now: Instant, _size: usize) {
        self.unanswered.get_or_insert(now);
    }

    fn on_feedback(&mut self, now: Instant, packets: &[PacketFate]) {
        if packets.is_empty() {
            return;
        }
        self.end_silence(packets);
        self.heard = Some(now);
        self.unanswered = None;
        for packet in packets {
            if !self.is_of_an_outage(packet) {
                self.loss.on_packet(packet.arrived_at.is_some());
            }
            if let Some(arrived) = packet.arrived_at {
                self.rate.on_packet(arrived, packet.size);
                self.delay.on_packet(packet.sent_at, arrived, packet.size);
            }
        }
        if let Some(last) = packets.iter().rev().find(|packet| packet.arrived_at.is_some()) {
            let sample = now.saturating_duration_since(last.sent_at);
            self.round_trip = (self.round_trip * 7 + sample) / 8;
        }
        let acknowledged = self.rate.get();
        if let Some(rate) = acknowledged {
            self.peak.on_rate(now, rate);
        }
        let news = News {
            usage: self.delay.take_usage(),
            queue: self.delay.queue(),
            loss: self.loss.update(now),
            acknowledged,
            peak: self.peak.get(),
            round_trip: self.round_trip,
        };
        if self.control.update(now, &news) {
            self.loss.restart(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            let (_, times) = self.silence.get_or_insert((self.control.target(), 0));
            *times += 1;
            self.control.on_silence(now);
            self.heard = Some(now);
            self.unanswered = Some(now);
        }
    }

    /// Silence means something only while we send, and only to a path that has answered before:
    /// the other side may not speak transport-wide feedback at all.
    fn poll_timeout(&self) -> Option<Instant> {
        let heard = self.heard?;
        Some(self.unanswered?.max(heard) + SILENCE + self.round_trip)
    }

    fn target(&self) -> Bitrate {
        self.control.target()
    }

    fn pace(&self) -> Bitrate {
        self.control.pace()
    }

    fn loss(&self) -> f32 {
        self.loss.recent() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_starts_at_one_megabit_and_below_the_cap() {
        assert_eq!(PathEstimator::new(None).target(), START);
        assert_eq!(PathEstimator::new(Some(Bitrate::from_kbps(300))).target(), Bitrate::from_kbps(300));
    }

    #[test]
    fn a_path_that_falls_silent_gets_less_and_less() {
        let start = crate::clock::now() + Duration::from_secs(3_600);
        let mut estimator = PathEstimator::new(None);
        assert_eq!(estimator.poll_timeout(), None);
        estimator.on_sent(start, 1_200);
        assert_eq!(estimator.poll_timeout(), None, "no feedback has ever come");
        let fate = PacketFate { sequence: 1, size: 1_200, sent_at: start, arrived_at: Some(Duration::ZERO) };
        estimator.on_feedback(start + Duration::from_millis(50), &[fate]);
        assert_eq!(estimator.poll_timeout(), None, "nothing is on the way");
        estimator.on_sent(start + Duration::from_millis(60), 1_200);
        for _ in 0..3 {
            let at = estimator.poll_timeout().unwrap();
            let before = estimator.target();
            estimator.handle_timeout(at);
            assert!(estimator.target() < before);
            assert!(estimator.poll_timeout().unwrap() > at);
        }
    }

    #[test]
    fn after_an_outage_the_path_is_worth_what_it_was_at_the_start() {
        let start = crate::clock::now() + Duration::from_secs(3_600);
        let mut estimator = PathEstimator::new(None);
        let fate = |sequence: u16, arrived_at| PacketFate {
            sequence,
            size: 1_200,
            sent_at: start + Duration::from_millis(60) * u32::from(sequence),
            arrived_at,
        };
        estimator.on_sent(start, 1_200);
        estimator.on_feedback(start + Duration::from_millis(50), &[fate(1, Some(Duration::ZERO))]);
        estimator.on_sent(start + Duration::from_millis(60), 1_200);
        for _ in 0..5 {
            let at = estimator.poll_timeout().unwrap();
            estimator.handle_timeout(at);
        }
        assert!(estimator.target() < START.scaled(0.1));
        let later = Duration::from_secs(9);
        let lost: Vec<PacketFate> = (2..60).map(|sequence| fate(sequence, None)).collect();
        estimator.on_feedback(start + later, &lost);
        assert!(estimator.target() < START.scaled(0.1), "nothing has arrived yet");
        estimator.on_feedback(start + later, &[fate(120, Some(later))]);
        assert_eq!(estimator.target(), START);
        // The rest of what was lost is told piece by piece.
        for tenths in 1..10 {
            let step = later + Duration::from_millis(100) * tenths;
            let lost = (60..120).map(|sequence| fate(sequence, None));
            let news: Vec<PacketFate> = lost.chain([fate(120 + tenths as u16, Some(step))]).collect();
            estimator.on_feedback(start + step, &news);
        }
        assert!(estimator.target() >= START, "{}", estimator.target());
    }

    proptest! {
        #[test]
        fn no_feedback_however_absurd_leaves_the_bounds(
            packets in proptest::collection::vec((0u64..10_000, 0usize..70_000, proptest::option::of(0u64..u64::MAX / 2_000), 0u64..5_000), 0..200)
        ) {
            let start = crate::clock::now() + Duration::from_secs(3_600);
            let mut estimator = PathEstimator::new(None);
            for chunk in packets.chunks(7) {
                let fates: Vec<_> = chunk.iter().map(|&(sent, size, arrived, _)| PacketFate {
                    sequence: sent as u16,
                    size,
                    sent_at: start + Duration::from_millis(sent),
                    arrived_at: arrived.map(Duration::from_micros),
                }).collect();
                let now = start + Duration::from_millis(chunk[0].3);
                estimator.on_feedback(now, &fates);
                estimator.on_sent(now, 1_200);
                estimator.handle_timeout(now + Duration::from_secs(2));
                prop_assert!(estimator.target() >= LEAST && estimator.target() <= MOST);
                prop_assert!((0.0..=1.0).contains(&estimator.loss()));
            }
        }
    }
}
