//! What two consecutive reports say about the time between them.
//!
//! Counters become rates; a counter that began anew, or that one of both reports lacks, gives no
//! value instead of a wrong one. Pure.

use super::Direction;
use super::series::{Metric, Scope, StreamId};
use crate::rtc::stats::{InboundRtp, Kind, OutboundRtp, Report};

/// A value and what it is about.
pub type Value = (Scope, Metric, f64);

/// All values at the moment of `report`; rates need the report before.
pub fn values(report: &Report, previous: Option<&Report>) -> Vec<Value> {
    let mut values = Values { of: Scope::Connection, all: Vec::new() };
    let elapsed = previous.map_or(0.0, |previous| (report.timestamp - previous.timestamp) / 1e3);
    let previous = previous.filter(|_| elapsed > 0.0);
    connection(report, previous, elapsed, &mut values);
    for stream in report.outbound() {
        let before = previous.and_then(|report| report.outbound().find(|before| before.ssrc == stream.ssrc));
        values.of = scope(Direction::Sent, stream.kind, &stream.content_type, stream.ssrc);
        sent(report, stream, before, elapsed, &mut values);
    }
    for stream in report.inbound() {
        let before = previous.and_then(|report| report.inbound().find(|before| before.ssrc == stream.ssrc));
        values.of = scope(Direction::Received, stream.kind, &stream.content_type, stream.ssrc);
        received(stream, before, elapsed, &mut values);
    }
    values.all
}

fn scope(direction: Direction, kind: Kind, content: &Option<String>, ssrc: u32) -> Scope {
    Scope::Stream(StreamId { direction, kind, of_screen: content.is_some(), ssrc })
}

struct Values {
    of: Scope,
    all: Vec<Value>,
}

impl Values {
    fn add(&mut self, metric: Metric, value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.all.push((self.of, metric, value));
        }
    }
}

fn connection(report: &Report, previous: Option<&Report>, elapsed: f64, values: &mut Values) {
    let media = report.remote_inbound().filter_map(|stream| stream.round_trip_time).reduce(f64::min);
    let pair = report.selected_pair();
    let checks = || pair?.current_round_trip_time;
    values.add(Metric::RoundTrip, media.or_else(checks).map(millis));
    values.add(Metric::AvailableOutgoingBitrate, pair.and_then(|pair| pair.available_outgoing_bitrate));
    let transport = |report: &Report| {
        report.transports().next().map(|transport| (transport.bytes_sent, transport.bytes_received))
    };
    let now = transport(report);
    let before = previous.and_then(transport);
    let bits = |bytes: Option<f64>| bytes.map(|bytes| bytes * 8.0 / elapsed);
    values.add(Metric::SentBitrate, bits(since(now.map(|now| now.0), before.map(|before| before.0))));
    values.add(Metric::ReceivedBitrate, bits(since(now.map(|now| now.1), before.map(|before| before.1))));
}

fn sent(
    report: &Report,
    stream: &OutboundRtp,
    before: Option<&OutboundRtp>,
    elapsed: f64,
    values: &mut Values,
) {
    values.add(Metric::TargetBitrate, stream.target_bitrate);
    let bytes = |stream: &OutboundRtp| all(stream.bytes_sent, stream.header_bytes_sent);
    values.add(Metric::SentBitrate, since(bytes(stream), before.and_then(bytes)).map(|b| b * 8.0 / elapsed));
    if let Some(remote) = report.remote_inbound().find(|remote| remote.ssrc == stream.ssrc) {
        values.add(Metric::RoundTrip, remote.round_trip_time.map(millis));
        values.add(Metric::Loss, Some(remote.fraction_lost));
        values.add(Metric::Jitter, Some(millis(remote.jitter)));
    }
    let per_second = |count: fn(&OutboundRtp) -> Option<u64>| {
        since(count(stream), before.and_then(count)).map(|count| count / elapsed)
    };
    values.add(Metric::FrameRate, stream.frames_per_second.or_else(|| per_second(|s| s.frames_encoded)));
    values.add(Metric::FrameWidth, stream.frame_width.map(f64::from));
    values.add(Metric::FrameHeight, stream.frame_height.map(f64::from));
    let frames = since(stream.frames_encoded, before.and_then(|before| before.frames_encoded));
    values.add(Metric::Qp, mean(since(stream.qp_sum, before.and_then(|before| before.qp_sum)), frames));
    let time = grown(stream.total_encode_time, before.and_then(|before| before.total_encode_time));
    values.add(Metric::EncodeTime, mean(time.map(millis), frames));
    values.add(Metric::Nack, per_second(|stream| stream.nack_count));
    values.add(Metric::Pli, per_second(|stream| stream.pli_count));
    let source = stream.media_source_id.as_deref();
    let source = source.and_then(|id| report.media_sources().find(|source| source.id == id));
    values.add(Metric::AudioLevel, source.and_then(|source| source.audio_level));
}

fn received(stream: &InboundRtp, before: Option<&InboundRtp>, elapsed: f64, values: &mut Values) {
    let bytes = |stream: &InboundRtp| all(stream.bytes_received, stream.header_bytes_received);
    let rate = since(bytes(stream), before.and_then(bytes)).map(|bytes| bytes * 8.0 / elapsed);
    values.add(Metric::ReceivedBitrate, rate);
    values.add(Metric::Loss, before.and_then(|before| lost_share(stream, before)));
    values.add(Metric::Jitter, stream.jitter.map(millis));
    let delay = grown(stream.jitter_buffer_delay, before.and_then(|before| before.jitter_buffer_delay));
    let emitted =
        since(stream.jitter_buffer_emitted_count, before.and_then(|b| b.jitter_buffer_emitted_count));
    values.add(Metric::JitterBufferDelay, mean(delay.map(millis), emitted));
    let per_second = |count: fn(&InboundRtp) -> Option<u64>| {
        since(count(stream), before.and_then(count)).map(|count| count / elapsed)
    };
    values.add(Metric::FrameRate, stream.frames_per_second.or_else(|| per_second(|s| s.frames_decoded)));
    values.add(Metric::FrameWidth, stream.frame_width.map(f64::from));
    values.add(Metric::FrameHeight, stream.frame_height.map(f64::from));
    let frames = since(stream.frames_decoded, before.and_then(|before| before.frames_decoded));
    values.add(Metric::Qp, mean(since(stream.qp_sum, before.and_then(|before| before.qp_sum)), frames));
    let time = grown(stream.total_decode_time, before.and_then(|before| before.total_decode_time));
    values.add(Metric::DecodeTime, mean(time.map(millis), frames));
    values.add(Metric::Nack, per_second(|stream| stream.nack_count));
    values.add(Metric::Pli, per_second(|stream| stream.pli_count));
    values.add(Metric::Freezes, per_second(|stream| stream.freeze_count));
    values.add(Metric::AudioLevel, stream.audio_level);
    let concealed = since(stream.concealed_samples, before.and_then(|before| before.concealed_samples));
    let samples = since(stream.total_samples_received, before.and_then(|b| b.total_samples_received));
    values.add(Metric::Concealment, mean(concealed, samples));
}

/// Packets that come late make `packetsLost` fall; that is no negative loss.
fn lost_share(stream: &InboundRtp, before: &InboundRtp) -> Option<f64> {
    let came = since(stream.packets_received, before.packets_received)?;
    let lost = stream.packets_lost?.checked_sub(before.packets_lost?)?.max(0) as f64;
    mean(Some(lost), Some(came + lost))
}

/// How much a counter grew; `None` if it is unknown or began anew.
fn since(now: Option<u64>, before: Option<u64>) -> Option<f64> {
    Some(now?.checked_sub(before?)? as f64)
}

/// The same for a sum of durations.
fn grown(now: Option<f64>, before: Option<f64>) -> Option<f64> {
    Some(now? - before?).filter(|grown| *grown >= 0.0)
}

fn mean(sum: Option<f64>, count: Option<f64>) -> Option<f64> {
    let count = count.filter(|count| *count > 0.0)?;
    Some(sum? / count)
}

/// Payload and, where known, headers.
fn all(payload: Option<u64>, headers: Option<u64>) -> Option<u64> {
    payload?.checked_add(headers.unwrap_or(0))
}

fn millis(seconds: f64) -> f64 {
    seconds * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtc::stats::{CandidatePair, Entry, MediaSource, RemoteInboundRtp, Transport};

    fn report(second: f64, entries: Vec<Entry>) -> Report {
        Report { entries, timestamp: 1e12 + second * 1e3 }
    }

    fn video_in(received: u64, lost: i64) -> Entry {
        Entry::InboundRtp(InboundRtp {
            ssrc: 8,
            kind: Kind::Video,
            packets_received: Some(received),
            packets_lost: Some(lost),
            bytes_received: Some(received * 900),
            header_bytes_received: Some(received * 100),
            frames_decoded: Some(received / 10),
            qp_sum: Some(received * 4),
            total_decode_time: Some(received as f64 / 1e3),
            jitter: Some(0.003),
            ..Default::default()
        })
    }

    #[track_caller]
    fn check(values: &[Value], of: Scope, metric: Metric, expected: Option<f64>) {
        let found =
            values.iter().find(|(scope, m, _)| (*scope, *m) == (of, metric)).map(|(.., value)| *value);
        match (found, expected) {
            (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-6, "{metric:?}: {found}"),
            (found, expected) => assert_eq!(found, expected, "{metric:?}"),
        }
    }

    const VIDEO_IN: Scope = Scope::Stream(StreamId {
        direction: Direction::Received,
        kind: Kind::Video,
        of_screen: false,
        ssrc: 8,
    });
    const AUDIO_OUT: Scope =
        Scope::Stream(StreamId { direction: Direction::Sent, kind: Kind::Audio, of_screen: false, ssrc: 9 });

    #[test]
    fn counters_become_rates_over_the_time_that_passed() {
        let before = report(0.0, vec![video_in(1_000, 0)]);
        let now = report(2.0, vec![video_in(1_900, 100)]);
        let found = values(&now, Some(&before));
        check(&found, VIDEO_IN, Metric::ReceivedBitrate, Some(3_600_000.0));
        check(&found, VIDEO_IN, Metric::Loss, Some(0.1));
        check(&found, VIDEO_IN, Metric::FrameRate, Some(45.0));
        check(&found, VIDEO_IN, Metric::Qp, Some(40.0));
        check(&found, VIDEO_IN, Metric::DecodeTime, Some(10.0));
        check(&found, VIDEO_IN, Metric::Jitter, Some(3.0));
        check(&found, VIDEO_IN, Metric::Nack, None);
    }

    #[test]
    fn the_first_report_and_one_after_a_reset_give_no_rates() {
        let now = report(1.0, vec![video_in(100, 0)]);
        for before in [None, Some(report(0.0, vec![video_in(5_000, 0)])), Some(report(0.0, vec![]))] {
            let found = values(&now, before.as_ref());
            check(&found, VIDEO_IN, Metric::ReceivedBitrate, None);
            check(&found, VIDEO_IN, Metric::Loss, None);
            check(&found, VIDEO_IN, Metric::Jitter, Some(3.0));
        }
    }

    #[test]
    fn time_that_stands_still_gives_no_rates() {
        let before = report(1.0, vec![video_in(100, 0)]);
        let now = report(1.0, vec![video_in(200, 0)]);
        check(&values(&now, Some(&before)), VIDEO_IN, Metric::ReceivedBitrate, None);
    }

    #[test]
    fn late_packets_are_no_negative_loss() {
        let before = report(0.0, vec![video_in(100, 10)]);
        let now = report(1.0, vec![video_in(210, 0)]);
        check(&values(&now, Some(&before)), VIDEO_IN, Metric::Loss, Some(0.0));
    }

    #[test]
    fn the_other_sides_view_and_the_source_belong_to_the_sent_stream() {
        let entries = |sent: u64| {
            vec![
                Entry::Transport(Transport {
                    bytes_sent: sent,
                    selected_candidate_pair_id: Some("P".into()),
                    ..Default::default()
                }),
                Entry::CandidatePair(CandidatePair {
                    id: "P".into(),
                    available_outgoing_bitrate: Some(2e6),
                    current_round_trip_time: Some(0.5),
                    ..Default::default()
                }),
                Entry::OutboundRtp(OutboundRtp {
                    ssrc: 9,
                    kind: Kind::Audio,
                    media_source_id: Some("S".into()),
                    target_bitrate: Some(32_000.0),
                    ..Default::default()
                }),
                Entry::MediaSource(MediaSource {
                    id: "S".into(),
                    audio_level: Some(0.25),
                    ..Default::default()
                }),
                Entry::RemoteInboundRtp(RemoteInboundRtp {
                    ssrc: 9,
                    round_trip_time: Some(0.02),
                    fraction_lost: 0.125,
                    ..Default::default()
                }),
            ]
        };
        let found = values(&report(1.0, entries(2_000)), Some(&report(0.0, entries(1_000))));
        check(&found, AUDIO_OUT, Metric::RoundTrip, Some(20.0));
        check(&found, AUDIO_OUT, Metric::Loss, Some(0.125));
        check(&found, AUDIO_OUT, Metric::AudioLevel, Some(0.25));
        check(&found, AUDIO_OUT, Metric::SentBitrate, None);
        check(&found, Scope::Connection, Metric::RoundTrip, Some(20.0));
        check(&found, Scope::Connection, Metric::AvailableOutgoingBitrate, Some(2e6));
        check(&found, Scope::Connection, Metric::SentBitrate, Some(8_000.0));
    }
}
