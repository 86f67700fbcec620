//! What two connected meshes say about their connection.

use serde_json::Value;

use super::*;
use crate::rtc::stats::quality::QualityMeter;

impl Call {
    /// Both sides send sound and pictures for `time`, as much as the estimate allows.
    pub(super) async fn talk(&mut self, time: Duration) {
        let sides = [self.a.mesh.media(), self.b.mesh.media()];
        let start = clock::now();
        let mut frame = 0;
        while clock::now() - start < time {
            let targets = [&self.a, &self.b].map(|side| side.target.unwrap_or(Bitrate::from_kbps(1_000)));
            for (media, target) in sides.iter().zip(targets) {
                media.send(picture(frame, frame == 0, (target.as_bps() / 8 / 33) as usize));
                media.send(sound(2 * frame));
                media.send(sound(2 * frame + 1));
            }
            frame += 1;
            for side in [&mut self.a, &mut self.b] {
                for (_, packets) in &mut side.tracks {
                    while packets.try_recv().is_ok() {}
                }
            }
            self.spend(Duration::from_millis(33)).await;
        }
    }

    /// A's statistics.
    pub(super) async fn stats(&mut self) -> stats::Report {
        self.a.stats = None;
        self.a.mesh.request_stats(clock::now());
        self.until("statistics", |call| call.a.stats.is_some()).await;
        self.a.stats.take().expect("just seen")
    }

    /// B's.
    pub(super) async fn stats_of_b(&mut self) -> stats::Report {
        self.b.stats = None;
        self.b.mesh.request_stats(clock::now());
        self.until("statistics", |call| call.b.stats.is_some()).await;
        self.b.stats.take().expect("just seen")
    }
}

fn all<'a>(json: &'a Value, kind: &str) -> Vec<&'a Value> {
    let found: Vec<_> = json.as_array().unwrap().iter().filter(|entry| entry["type"] == kind).collect();
    assert!(!found.is_empty(), "no {kind} in {json:#}");
    found
}

/// Whether the other side's reports on our streams went round in so many seconds.
fn answered_within(report: &stats::Report, seconds: f64) -> bool {
    let json = serde_json::to_value(report).unwrap();
    let quick = |remote: &&Value| remote["roundTripTime"].as_f64().is_some_and(|time| time < seconds);
    all(&json, "remote-inbound-rtp").iter().all(quick)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn round_trip_loss_and_bitrate_are_measured_and_written_as_the_w3c_says() {
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    let mut meter = QualityMeter::default();
    call.talk(Duration::from_millis(1_500)).await;
    let early = call.stats().await;
    meter.update(clock::now(), &early);
    let end = clock::now() + PATIENCE;
    let (report, quality) = loop {
        call.talk(Duration::from_millis(2_000)).await;
        let report = call.stats().await;
        let quality = meter.update(clock::now(), &report);
        println!("{quality:?}, target {:?}", call.a.target);
        // A busy computer keeps some answers waiting, but not all of them.
        let round_trip = quality.round_trip.expect("reports went both ways");
        if round_trip < Duration::from_millis(100) && answered_within(&report, 0.1) {
            break (report, quality);
        }
        assert!(clock::now() < end, "{round_trip:?} {report:?}");
    };
    assert!(quality.loss_up < 0.05 && quality.loss_down < 0.05);
    assert!(quality.bitrate_up > Bitrate::from_kbps(500), "{}", quality.bitrate_up);
    assert!(quality.bitrate_down > Bitrate::from_kbps(500), "{}", quality.bitrate_down);
    assert!(call.a.target.is_some_and(|target| target > Bitrate::from_kbps(1_200)), "{:?}", call.a.target);

    let json = serde_json::to_value(&report).unwrap();
    for kind in [
        "transport",
        "candidate-pair",
        "local-candidate",
        "remote-candidate",
        "codec",
        "certificate",
        "peer-connection",
    ] {
        all(&json, kind);
    }
    for kind in ["outbound-rtp", "inbound-rtp", "remote-inbound-rtp", "remote-outbound-rtp"] {
        assert_eq!(all(&json, kind).len(), 2, "sound and pictures");
    }
    let now = clock::unix_ms();
    for entry in json.as_array().unwrap() {
        let timestamp = entry["timestamp"].as_f64().unwrap();
        assert!((now - 10_000.0..now + 1_000.0).contains(&timestamp), "milliseconds since 1970: {entry}");
        assert!(entry["id"].as_str().is_some_and(|id| !id.is_empty()));
    }
    for remote in all(&json, "remote-inbound-rtp") {
        assert!(remote["roundTripTimeMeasurements"].as_u64().unwrap() > 0);
        let id = remote["localId"].as_str().unwrap();
        assert!(all(&json, "outbound-rtp").iter().any(|stream| stream["id"] == id));
    }
    for sender in all(&json, "remote-outbound-rtp") {
        let said = sender["remoteTimestamp"].as_f64().unwrap();
        assert!((now - 10_000.0..now + 1_000.0).contains(&said), "{sender}");
    }
    let transport = all(&json, "transport")[0];
    assert_eq!(
        (transport["dtlsState"].as_str(), transport["tlsVersion"].as_str().is_some()),
        (Some("connected"), true)
    );
    let pair = report.selected_pair().expect("connected");
    assert!(pair.available_outgoing_bitrate.is_some() && pair.bytes_sent > 100_000);
    let ends =
        [("local-candidate", &pair.local_candidate_id), ("remote-candidate", &pair.remote_candidate_id)];
    for (kind, id) in ends {
        assert!(all(&json, kind).iter().any(|candidate| candidate["id"] == id.as_str()), "{kind} {id}");
    }
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lossy_path_is_told_and_does_not_stop_the_pictures() {
    let mut call = Call::new();
    let lose_every = call.connected_by_wire().await;
    lose_every.store(10, std::sync::atomic::Ordering::Relaxed);
    call.talk(Duration::from_millis(3_000)).await;
    let report = call.stats().await;
    let video =
        report.outbound().find(|stream| stream.kind == stats::Kind::Video).expect("pictures were sent");
    println!("target {:?}, loss {}, {video:?}", call.a.target, call.a.loss);
    assert!((0.03..0.2).contains(&call.a.loss), "a tenth of the pictures' packets: {}", call.a.loss);
    assert!(video.nack_count.is_some_and(|count| count > 0));
    assert!(video.retransmitted_packets_sent.is_some_and(|count| count > 0));
    assert!(call.a.target.is_some_and(|target| target > Bitrate::from_kbps(600)), "{:?}", call.a.target);
    assert!(call.b.loss < 0.02, "the way back loses nothing: {}", call.b.loss);
    call.close().await;
}
