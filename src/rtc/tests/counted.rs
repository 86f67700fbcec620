//! What statistics say, against what a path between two sides has counted, delayed and lost.

use super::wire::{Traffic, Wire};
use super::*;
use crate::rtc::stats::{CandidatePair, Kind, PairState, Report, Step};

/// Two sides whose packets go through a path that counts them.
async fn through(wire: Wire) -> (Call, [Arc<Traffic>; 2]) {
    let traffic = [wire.to_b_traffic.clone(), wire.to_a_traffic.clone()];
    let mut call = Call::new();
    call.wire = Some(wire);
    call.begin();
    call.connected().await;
    (call, traffic)
}

/// Packets and bytes that are not STUN, as statistics of the pair count them.
fn carried(pair: &CandidatePair) -> [u64; 4] {
    [pair.packets_sent, pair.bytes_sent, pair.packets_received, pair.bytes_received]
}

fn selected(report: &Report) -> &CandidatePair {
    report.selected_pair().expect("connected")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_and_bytes_are_those_that_the_path_has_counted() {
    let (mut call, [to_b, to_a]) = through(Wire::new().await).await;
    call.talk(Duration::from_millis(1_200)).await;
    call.spend(Duration::from_millis(300)).await;
    // Reports and checks go on meanwhile: what is said lies between two counts.
    let before = [to_b.carried(), to_a.carried()];
    let report = call.stats().await;
    let after = [to_b.carried(), to_a.carried()];
    let pair = carried(selected(&report));
    println!("path {before:?} to {after:?}, said {pair:?}");
    for (n, (low, high)) in before.concat().into_iter().zip(after.concat()).enumerate() {
        assert!((low..=high).contains(&pair[n]), "{n}: {} is not in {low}..={high}", pair[n]);
    }
    let transport = report.transports().next().expect("there is one");
    let whole =
        [transport.packets_sent, transport.bytes_sent, transport.packets_received, transport.bytes_received];
    assert_eq!(whole, pair, "one pair has carried everything");

    // RTP alone: by its SSRC on the wire, which SRTP leaves in the clear. SRTP adds a tag to each
    // packet, and nothing else.
    let tag = 16;
    for stream in report.outbound() {
        let (packets, bytes) = to_b.rtp(stream.ssrc);
        let said = [stream.packets_sent, stream.bytes_sent, stream.header_bytes_sent].map(Option::unwrap);
        assert_eq!((said[0], said[1] + said[2] + tag * said[0]), (packets, bytes), "{stream:?}");
    }
    for stream in report.inbound() {
        let (packets, bytes) = to_a.rtp(stream.ssrc);
        let said = [stream.packets_received, stream.bytes_received, stream.header_bytes_received]
            .map(Option::unwrap);
        assert_eq!((said[0], said[1] + said[2] + tag * said[0]), (packets, bytes), "{stream:?}");
        assert_eq!(stream.packets_lost, Some(0));
    }
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_are_counted_as_the_path_has_seen_them_and_every_pair_is_listed() {
    let (mut call, [to_b, to_a]) = through(Wire::new().await).await;
    call.talk(Duration::from_millis(2_200)).await;
    let report = call.stats().await;
    let pair = selected(&report);
    assert_eq!((pair.state, pair.nominated), (PairState::Succeeded, true));
    let (sent, received) = (to_b.stun(), to_a.stun());
    println!("to B {sent:?}, to A {received:?}, {pair:?}");
    let close = |said: u64, seen: u64| said.abs_diff(seen) <= 1;
    assert!(close(pair.requests_sent + pair.consent_requests_sent, sent.requests));
    assert!(close(pair.responses_sent, sent.answers));
    assert!(close(pair.requests_received, received.requests));
    assert!(close(pair.responses_received, received.answers));
    assert!(pair.consent_requests_sent >= 1, "two seconds of a connection");
    assert!(pair.requests_sent >= 1);
    for other in report.pairs() {
        let local = report.local_candidates().any(|candidate| candidate.id == other.local_candidate_id);
        let remote = report.remote_candidates().any(|candidate| candidate.id == other.remote_candidate_id);
        assert!(local && remote, "a pair without its ends: {other:?}");
    }
    assert_eq!(report.pairs().filter(|pair| pair.nominated).count(), 1);
    let steps: Vec<Step> = report
        .timelines()
        .flat_map(|timeline| &timeline.marks)
        .map(|mark| mark.step)
        .filter(|step| *step != Step::FirstCheckReceived)
        .collect();
    use Step::{DtlsStarted, FirstCheckAnswered, FirstCheckSent, FirstPacketReceived, FirstPacketSent};
    assert_eq!(steps[..3], [FirstCheckSent, FirstCheckAnswered, DtlsStarted]);
    assert!(steps.contains(&FirstPacketSent) && steps.contains(&FirstPacketReceived));
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_round_trip_is_the_delay_of_the_path_there_and_back() {
    let wire = Wire::new().await;
    let one_way = Duration::from_millis(40);
    wire.delay(one_way);
    let (mut call, _) = through(wire).await;
    call.talk(Duration::from_millis(2_500)).await;
    let report = call.stats().await;
    let by_checks = selected(&report).current_round_trip_time.expect("checks are answered");
    println!("checks {by_checks} s");
    // The sides share two busy cores; the path never takes less than its delay.
    let around = |seconds: f64| (0.079..0.160).contains(&seconds);
    assert!(around(by_checks), "{by_checks}");
    for remote in report.remote_inbound() {
        let by_reports = remote.round_trip_time.expect("reports went both ways");
        println!("reports {by_reports} s ({:?})", remote.kind);
        assert!(around(by_reports), "{by_reports}");
        let mean = remote.total_round_trip_time / remote.round_trip_time_measurements as f64;
        assert!(around(mean), "{mean}");
    }
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_is_what_the_path_has_dropped() {
    let (mut call, [to_b, _]) = through(Wire::new().await).await;
    let lose_every = call.wire.as_ref().expect("it is there").lose_every.clone();
    call.talk(Duration::from_millis(500)).await;
    lose_every.store(10, std::sync::atomic::Ordering::Relaxed);
    call.talk(Duration::from_millis(2_000)).await;
    lose_every.store(0, std::sync::atomic::Ordering::Relaxed);
    call.talk(Duration::from_millis(1_500)).await;
    let report = call.stats_of_b().await;
    let dropped = to_b.dropped();
    let video = report.inbound().find(|stream| stream.kind == Kind::Video).expect("pictures came");
    let (received, lost) = (video.packets_received.unwrap(), video.packets_lost.unwrap());
    println!("dropped {dropped}, received {received}, lost {lost}, {:?} NACKs", video.nack_count);
    assert!(dropped > 10, "{dropped}");
    // What was asked for again and came is not lost (RFC 3550 appendix A.3 counts what came).
    assert!(video.nack_count.is_some_and(|count| count > 0));
    assert!((0..=dropped as i64).contains(&lost), "{lost} of {dropped}");
    let (arrived, _) = to_b.rtp(video.ssrc);
    assert_eq!(received, arrived, "the path counts what it let through");
    let report = call.stats().await;
    let sent = report.outbound().find(|stream| stream.kind == Kind::Video).expect("pictures were sent");
    let again = sent.retransmitted_packets_sent.unwrap();
    println!("{again} sent again");
    assert!(again.abs_diff(dropped) <= dropped / 2, "{again} sent again for {dropped} dropped");
    call.close().await;
}
