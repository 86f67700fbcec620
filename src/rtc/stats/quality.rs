//! How good a connection is right now, from one report a second.

use std::time::{Duration, Instant};

use super::Report;
use crate::units::Bitrate;

/// Readings that must agree before the bars fall.
const WORSE: u32 = 2;

/// Readings that must agree before the bars rise: good news can wait, flicker cannot be read.
const BETTER: u32 = 4;

/// Nothing has come for so long: no bars.
const SILENT: Duration = Duration::from_secs(3);

/// Up to this loss and this round trip a connection deserves so many bars. Below 1 % loss and
/// 150 ms (ITU-T G.114) nobody notices; beyond the last row there is one bar.
const LEVELS: [(f64, Duration, u8); 3] = [
    (0.01, Duration::from_millis(200), 4),
    (0.03, Duration::from_millis(400), 3),
    (0.08, Duration::from_millis(800), 2),
];

/// The summary for the view.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkQuality {
    /// Round trip of media, or of connectivity checks before the first report.
    pub round_trip: Option<Duration>,
    /// Share of our packets that the other side lost lately, 0.0 to 1.0.
    pub loss_up: f64,
    /// Share of its packets that we lost since the last reading.
    pub loss_down: f64,
    /// RTP that left since the last reading, headers included.
    pub bitrate_up: Bitrate,
    /// RTP that arrived.
    pub bitrate_down: Bitrate,
    /// 0 (nothing) to 4 (very good).
    pub bars: u8,
}

/// The rate of a counter.
#[derive(Clone, Copy, Debug, Default)]
pub struct RateMeter {
    last: Option<(Instant, u64)>,
}

impl RateMeter {
    /// How much came since the last reading and how long that took; `None` at the first one and
    /// after the counter began anew.
    pub fn update(&mut self, now: Instant, total: u64) -> Option<(u64, Duration)> {
        let (then, before) = self.last.replace((now, total))?;
        Some((total.checked_sub(before)?, now.saturating_duration_since(then)))
    }

    /// The same for a counter of bytes, in bits per second.
    pub fn bitrate(&mut self, now: Instant, bytes: u64) -> Option<Bitrate> {
        self.update(now, bytes).map(|(bytes, elapsed)| Bitrate::of(bytes, elapsed))
    }
}

/// Makes the summary, reading by reading.
#[derive(Debug, Default)]
pub struct QualityMeter {
    sent: RateMeter,
    arrived: RateMeter,
    expected: RateMeter,
    packets: RateMeter,
    heard: Option<Instant>,
    shown: Option<u8>,
    /// A different number of bars, and how many readings have agreed on the direction.
    pending: (i8, u32),
}

impl QualityMeter {
    /// The summary at `now`.
    pub fn update(&mut self, now: Instant, report: &Report) -> LinkQuality {
        let sum = |values: &mut dyn Iterator<Item = Option<u64>>| values.flatten().sum::<u64>();
        let sent = sum(&mut report.outbound().flat_map(|s| [s.bytes_sent, s.header_bytes_sent]));
        let arrived = sum(&mut report.inbound().flat_map(|s| [s.bytes_received, s.header_bytes_received]));
        let packets = sum(&mut report.inbound().map(|s| s.packets_received));
        let lost: i64 = report.inbound().filter_map(|s| s.packets_lost).sum();

        let bitrate_down = self.arrived.bitrate(now, arrived).unwrap_or_default();
        if bitrate_down > Bitrate::ZERO || self.heard.is_none() {
            self.heard = Some(now);
        }
        let expected = self.expected.update(now, packets.saturating_add_signed(lost));
        let came = self.packets.update(now, packets);
        let loss_down = match (expected, came) {
            (Some((expected, _)), Some((came, _))) if expected > 0 => {
                expected.saturating_sub(came) as f64 / expected as f64
            }
            _ => 0.0,
        };
        let mut quality = LinkQuality {
            round_trip: round_trip(report),
            loss_up: loss_up(report),
            loss_down,
            bitrate_up: self.sent.bitrate(now, sent).unwrap_or_default(),
            bitrate_down,
            bars: 0,
        };
        let silent = self.heard.is_some_and(|at| now.saturating_duration_since(at) >= SILENT);
        quality.bars = self.show(if silent { 0 } else { deserved(&quality) });
        quality
    }

    fn show(&mut self, bars: u8) -> u8 {
        let shown = *self.shown.get_or_insert(bars);
        let direction = (bars as i8 - shown as i8).signum();
        let (pending, count) = self.pending;
        let count = if direction == pending { count + 1 } else { 1 };
        let needed = if direction < 0 { WORSE } else { BETTER };
        if direction != 0 && count >= needed {
            self.shown = Some(bars);
            self.pending = (0, 0);
            return bars;
        }
        self.pending = (direction, count);
        shown
    }
}

fn deserved(quality: &LinkQuality) -> u8 {
    let loss = quality.loss_up.max(quality.loss_down);
    let round_trip = quality.round_trip.unwrap_or_default();
    let level = LEVELS.iter().find(|(most_loss, longest, _)| loss <= *most_loss && round_trip <= *longest);
    level.map_or(1, |(_, _, bars)| *bars)
}

fn round_trip(report: &Report) -> Option<Duration> {
    let media = report.remote_inbound().filter_map(|stream| stream.round_trip_time).reduce(f64::min);
    let checks = || report.selected_pair()?.current_round_trip_time;
    Duration::try_from_secs_f64(media.or_else(checks)?).ok()
}

/// Streams weigh by what they have sent.
fn loss_up(report: &Report) -> f64 {
    let (mut lost, mut all) = (0.0, 0.0);
    for remote in report.remote_inbound() {
        let stream = report.outbound().find(|stream| stream.id == remote.local_id);
        let weight = stream.and_then(|stream| stream.packets_sent).unwrap_or(1).max(1) as f64;
        lost += remote.fraction_lost * weight;
        all += weight;
    }
    if all > 0.0 { lost / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::super::{Entry, InboundRtp, OutboundRtp, RemoteInboundRtp};
    use super::*;

    /// A call seen once a second.
    struct Call {
        now: Instant,
        meter: QualityMeter,
        sent: u64,
        received: u64,
        lost: i64,
    }

    impl Call {
        fn new() -> Self {
            let now = crate::clock::now() + Duration::from_secs(3_600);
            let mut call = Self { now, meter: QualityMeter::default(), sent: 0, received: 0, lost: 0 };
            call.second(100, 0, 0.0, 0.05);
            call
        }

        /// A second in which `received` packets came and `lost` did not.
        fn second(&mut self, received: u64, lost: i64, loss_up: f64, round_trip: f64) -> LinkQuality {
            self.now += Duration::from_secs(1);
            self.sent += 50;
            self.received += received;
            self.lost += lost;
            let entries = vec![
                Entry::OutboundRtp(OutboundRtp {
                    id: "out".to_owned(),
                    packets_sent: Some(self.sent),
                    bytes_sent: Some(self.sent * 980),
                    header_bytes_sent: Some(self.sent * 20),
                    ..Default::default()
                }),
                Entry::RemoteInboundRtp(RemoteInboundRtp {
                    local_id: "out".to_owned(),
                    fraction_lost: loss_up,
                    round_trip_time: Some(round_trip),
                    ..Default::default()
                }),
                Entry::InboundRtp(InboundRtp {
                    packets_received: Some(self.received),
                    packets_lost: Some(self.lost),
                    bytes_received: Some(self.received * 1_000),
                    ..Default::default()
                }),
            ];
            self.meter.update(self.now, &Report { entries, timestamp: 0.0 })
        }
    }

    #[test]
    fn rates_and_loss_are_those_of_the_last_second() {
        let mut call = Call::new();
        let quality = call.second(90, 10, 0.25, 0.05);
        assert_eq!(quality.bitrate_up, Bitrate::from_kbps(400));
        assert_eq!(quality.bitrate_down, Bitrate::from_kbps(720));
        assert_eq!((quality.loss_down, quality.loss_up), (0.1, 0.25));
        assert_eq!(quality.round_trip, Some(Duration::from_millis(50)));
        assert_eq!(call.second(100, 0, 0.0, 0.05).loss_down, 0.0);
    }

    #[test]
    fn packets_that_come_late_are_no_negative_loss() {
        let mut call = Call::new();
        call.second(90, 10, 0.0, 0.05);
        assert_eq!(call.second(110, -10, 0.0, 0.05).loss_down, 0.0);
    }

    #[test]
    fn one_bad_second_does_not_move_the_bars_and_two_do() {
        let mut call = Call::new();
        assert_eq!(call.second(95, 5, 0.0, 0.05).bars, 4);
        assert_eq!(call.second(100, 0, 0.0, 0.05).bars, 4);
        assert_eq!(call.second(95, 5, 0.0, 0.05).bars, 4);
        assert_eq!(call.second(95, 5, 0.0, 0.05).bars, 2);
    }

    #[test]
    fn the_bars_rise_again_after_four_good_seconds() {
        let mut call = Call::new();
        call.second(100, 0, 0.5, 0.05);
        assert_eq!(call.second(100, 0, 0.5, 0.05).bars, 1);
        let bars: Vec<_> = (0..5).map(|_| call.second(100, 0, 0.0, 0.05).bars).collect();
        assert_eq!(bars, [1, 1, 1, 4, 4]);
    }

    #[test]
    fn a_long_round_trip_costs_bars_and_silence_costs_all() {
        let mut call = Call::new();
        call.second(100, 0, 0.0, 0.5);
        assert_eq!(call.second(100, 0, 0.0, 0.5).bars, 2);
        let bars: Vec<_> = (0..5).map(|_| call.second(0, 0, 0.0, 0.5).bars).collect();
        assert_eq!(bars, [2, 2, 2, 0, 0]);
    }

    #[test]
    fn counters_that_begin_anew_give_no_rate() {
        let mut meter = RateMeter::default();
        let now = crate::clock::now();
        assert_eq!(meter.bitrate(now, 5_000), None);
        assert_eq!(meter.bitrate(now + Duration::from_secs(1), 100), None);
        assert_eq!(meter.bitrate(now + Duration::from_secs(2), 1_100), Some(Bitrate::from_kbps(8)));
    }
}
