//! How good a call is: each participant's latest reading, and the sums for the summary at the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use signaling_protocol::PeerId;

use crate::rtc::stats::Report;
use crate::rtc::stats::quality::{LinkQuality, QualityMeter};

use super::media_session::MediaStats;
use super::view::{CallView, Quality};

/// Readings of all participants, once a second.
#[derive(Debug, Default)]
pub struct QualityLog {
    peers: HashMap<PeerId, Reading>,
    round_trips: Duration,
    readings: u32,
    /// Of those who left; what stands in `peers` comes on top.
    past: Totals,
}

#[derive(Debug, Default)]
struct Reading {
    meter: QualityMeter,
    link: LinkQuality,
    totals: Totals,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    received: u64,
    lost: u64,
    frozen: Duration,
}

impl Totals {
    fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            lost: self.lost + other.lost,
            frozen: self.frozen + other.frozen,
        }
    }
}

impl QualityLog {
    /// A new call begins.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// A participant left.
    pub fn remove(&mut self, peer: &PeerId) {
        if let Some(reading) = self.peers.remove(peer) {
            self.past = self.past.plus(reading.totals);
        }
    }

    /// Takes the statistics of one participant; gives the round trip of the path.
    pub fn update(
        &mut self,
        peer: &PeerId,
        now: Instant,
        report: &Report,
        media: &MediaStats,
    ) -> Option<Duration> {
        let reading = self.peers.entry(peer.clone()).or_default();
        reading.link = reading.meter.update(now, report);
        let received = report.inbound().filter_map(|stream| stream.packets_received).sum();
        let lost: i64 = report.inbound().filter_map(|stream| stream.packets_lost).sum();
        let frozen = media.video_receive.as_ref().map(|video| video.total_freezes_duration);
        reading.totals =
            Totals { received, lost: lost.max(0).unsigned_abs(), frozen: frozen.unwrap_or_default() };
        if let Some(round_trip) = reading.link.round_trip {
            self.round_trips += round_trip;
            self.readings += 1;
        }
        reading.link.round_trip
    }

    /// The sums of the call so far. Reconnects are counted by the call machine.
    pub fn quality(&self) -> Quality {
        let totals = self.peers.values().fold(self.past, |sum, reading| sum.plus(reading.totals));
        let sent = totals.received + totals.lost;
        Quality {
            loss: if sent == 0 { 0.0 } else { totals.lost as f32 / sent as f32 },
            round_trip: (self.readings > 0).then(|| self.round_trips / self.readings),
            frozen: totals.frozen,
            reconnects: 0,
        }
    }

    /// Writes the latest readings into a view.
    pub fn fill(&self, view: &mut CallView) {
        for peer in &mut view.peers {
            if let Some(reading) = self.peers.get(&peer.peer) {
                peer.round_trip = reading.link.round_trip;
                peer.bars = reading.link.bars;
            }
        }
    }
}
