//! Two participants find each other, and media goes both ways.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_participants_connect_and_media_arrives_both_ways_in_order_with_its_times() {
    let mut call = Call::new();
    let start: Instant = clock::now();
    call.begin();
    call.connected().await;
    let connected = start.elapsed();
    assert!(
        call.a.keyframes_wanted > 0 && call.b.keyframes_wanted > 0,
        "both encoders are asked for a key frame"
    );
    let (to_b, to_a) = (call.a.mesh.media(), call.b.mesh.media());
    for n in 0..20 {
        for media in [&to_b, &to_a] {
            media.send(sound(n));
            media.send(picture(n, n == 0, 3_000));
        }
    }
    call.until("both tracks on both sides", |call| call.a.tracks.len() == 2 && call.b.tracks.len() == 2)
        .await;
    println!("connected after {connected:?}, first RTP after {:?}", start.elapsed());
    for side in [&mut call.a, &mut call.b] {
        let packets = side.track(TrackKind::Audio).unwrap();
        let first = next(packets).await;
        assert_eq!((first.timestamp, first.payload.len()), (0, 80));
        for n in 1..20_u16 {
            let packet = next(packets).await;
            assert_eq!(packet.sequence, first.sequence.wrapping_add(n));
            assert_eq!(packet.timestamp, 960 * u32::from(n));
        }
        let packets = side.track(TrackKind::Video).unwrap();
        let first = next(packets).await;
        assert_eq!(first.payload[0], 0x90, "the first packet of the key frame");
        for n in 1..60_u16 {
            let packet = next(packets).await;
            assert_eq!(packet.sequence, first.sequence.wrapping_add(n));
            assert_eq!(packet.timestamp, 3_000 * u32::from(n / 3));
            assert_eq!(packet.marker, n % 3 == 2);
        }
    }
    call.until("the path", |call| call.a.pair.is_some() && call.b.pair.is_some()).await;
    let pair = call.a.pair.clone().expect("just seen");
    call.until("feedback", |call| call.a.target.is_some() && call.b.target.is_some()).await;
    assert_eq!((pair.remote.address.as_str(), pair.local.protocol.as_str()), ("127.0.0.1", "udp"));
    assert!(call.a.problems.is_empty() && call.b.problems.is_empty());
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_offer_is_small_and_holds_nothing_that_is_not_needed() {
    let mut call = Call::new();
    call.hold = true;
    call.begin();
    call.until("the offer", |call| !call.to_b.is_empty()).await;
    let Signal::Description { sdp, .. } = &call.to_b[0] else { panic!("not an offer: {:?}", call.to_b) };
    println!("{} bytes\n{sdp}", sdp.len());
    assert!(sdp.len() < 2_000, "{} bytes", sdp.len());
    assert_eq!(sdp.matches("a=rtpmap:").count(), 2);
    assert_eq!(sdp.matches("m=").count(), 3);
    for needed in [
        "VP8/90000",
        "opus/48000/2",
        "transport-cc",
        "nack pli",
        "sdes:mid",
        "a=rtcp-mux",
        "a=group:BUNDLE",
        "a=candidate:",
    ] {
        assert!(sdp.contains(needed), "{needed} is missing");
    }
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_that_come_before_their_description_are_used() {
    let mut call = Call::new();
    call.hold = true;
    call.begin();
    call.until("the offer", |call| {
        call.to_b.iter().any(|signal| matches!(signal, Signal::EndOfCandidates { .. }))
    })
    .await;
    // As if the offer had been made without candidates and overtaken by them.
    let Signal::Description { sdp, kind, proof, moves, screens, screen_sound, replaces, connection } =
        call.to_b.remove(0)
    else {
        panic!("not an offer")
    };
    let ufrag = sdp::ufrag(&sdp).map(str::to_owned);
    let (candidates, rest): (Vec<_>, Vec<_>) = sdp.lines().partition(|line| line.starts_with("a=candidate:"));
    assert!(!candidates.is_empty());
    for line in candidates {
        let signal = Signal::Candidate {
            candidate: line[2..].to_owned(),
            mid: Some("0".to_owned()),
            ufrag: ufrag.clone(),
            connection,
        };
        call.b.mesh.handle_signal(&call.a.id, signal);
    }
    let sdp = rest.join("\r\n") + "\r\n";
    call.b.mesh.handle_signal(
        &call.a.id,
        Signal::Description { kind, sdp, proof, moves, screens, screen_sound, replaces, connection },
    );
    call.hold = false;
    call.deliver();
    call.connected().await;
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_participant_who_begins_anew_replaces_the_connection_and_keeps_its_tracks() {
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    call.a.mesh.media().send(sound(0));
    call.until("sound", |call| !call.b.tracks.is_empty()).await;
    call.a.phase = None;
    call.begin();
    call.until("anew", |call| {
        call.a.phase == Some(PeerPhase::Connected) && call.b.ice == IceState::Connected
    })
    .await;
    call.connected().await;
    while call.b.track(TrackKind::Audio).unwrap().try_recv().is_ok() {}
    call.a.mesh.media().send(sound(9));
    let packet = next(call.b.track(TrackKind::Audio).unwrap()).await;
    assert_eq!(packet.timestamp, 960 * 9);
    assert_eq!(call.b.tracks.len(), 1);
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_frame_that_is_asked_for_is_asked_of_the_sender() {
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    call.a.mesh.media().send(picture(0, true, 100));
    call.until("the picture", |call| !call.b.tracks.is_empty()).await;
    let before = call.a.keyframes_wanted;
    call.b.mesh.request_keyframe(&call.a.id, TrackKind::Video);
    call.until("the request", |call| call.a.keyframes_wanted > before).await;
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sender_reports_put_both_tracks_on_one_clock() {
    let mut call = Call::new();
    call.begin();
    call.connected().await;
    let media = call.a.mesh.media();
    let captured_at = clock::now();
    media.send(EncodedFrame { captured_at, ..sound(50) });
    media.send(EncodedFrame {
        captured_at: captured_at + Duration::from_millis(40),
        ..picture(30, true, 100)
    });
    let both = |side: &Side| {
        [TrackKind::Audio, TrackKind::Video]
            .map(|kind| side.reports.iter().find(|report| report.kind == kind).copied())
    };
    call.until("reports", |call| both(&call.b).iter().all(Option::is_some)).await;
    let [Some(audio), Some(video)] = both(&call.b) else { unreachable!() };
    assert_eq!((audio.rtp, video.rtp), (960 * 50, 3_000 * 30));
    let apart = video.ntp.as_secs_f64() - audio.ntp.as_secs_f64();
    assert!((apart - 0.040).abs() < 0.005, "{apart} s apart");
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_cannot_be_used_are_named() {
    let server = signaling_protocol::IceServer {
        urls: vec!["turns:relay.example:443?transport=udp".to_owned()],
        username: Some("u".to_owned()),
        credential: Some("c".to_owned()),
    };
    let mut call = Call::with(TransportConfig { ice_servers: vec![server], ..config() });
    call.begin();
    call.until("the problem", |call| !call.a.problems.is_empty()).await;
    assert!(call.a.problems[0].contains("turns:relay.example:443"), "{:?}", call.a.problems);
    call.connected().await;
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_descriptions_give_a_problem_and_the_next_good_one_still_connects() {
    let mut call = Call::new();
    call.hold = true;
    call.begin();
    call.until("the offer", |call| !call.to_b.is_empty()).await;
    let Signal::Description { sdp, .. } = call.to_b[0].clone() else { panic!("not an offer") };
    let without = |what: &str| {
        sdp.lines().filter(|l| !l.contains(what)).map(|l| format!("{l}\r\n")).collect::<String>()
    };
    let hostile = [
        String::new(),
        "v=0".to_owned(),
        without("m="),
        without("ice-ufrag"),
        without("ice-pwd"),
        without("mid:"),
        without("rtpmap"),
        without("fingerprint"),
        without("setup"),
        without("BUNDLE"),
        without("ssrc"),
        sdp.replace("sha-256 ", "sha-256 zz:"),
        sdp.replace("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVPF 300 -1"),
        sdp.replace("a=ssrc:", "a=ssrc:99999999999"),
        sdp.replace("a=mid:1", "a=mid:0"),
        sdp.replace("a=extmap:", "a=extmap:99"),
        sdp.replace("a=candidate:", "a=candidate:x y z "),
        sdp[..sdp.len() / 2].to_owned(),
        sdp.replace("m=video", "m=application"),
        sdp.replace("a=sendrecv", "a=inactive"),
    ];
    let mallory = PeerId::new("mallory").unwrap();
    for text in hostile {
        for kind in [DescriptionKind::Offer, DescriptionKind::Answer] {
            call.b.mesh.handle_signal(&mallory, description(kind, &text));
        }
    }
    for candidate in [
        "",
        "candidate:1 1 udp x x x",
        "candidate:1 1 udp 99999999999 ::: 70000 typ host",
        "a b udp c d e typ f",
    ] {
        let signal = Signal::Candidate {
            candidate: candidate.to_owned(),
            mid: Some("9".to_owned()),
            ufrag: None,
            connection: ConnectionNumber::FIRST,
        };
        call.b.mesh.handle_signal(&mallory, signal);
    }
    call.until("a problem", |call| !call.b.problems.is_empty()).await;
    call.spend(Duration::from_millis(300)).await;
    println!("{:#?}", call.b.problems);
    call.b.mesh.remove(&mallory);
    call.to_a.clear();
    call.b.phase = None;
    call.hold = false;
    call.deliver();
    call.connected().await;
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_packets_are_sent_again_once_and_none_comes_twice() {
    let mut call = Call::new();
    let lose_every = call.connected_by_wire().await;
    lose_every.store(10, std::sync::atomic::Ordering::Relaxed);
    let media = call.a.mesh.media();
    media.send(picture(0, true, 2_000));
    call.until("the picture", |call| !call.b.tracks.is_empty()).await;
    for n in 1..100 {
        media.send(picture(n, false, 2_000));
        call.spend(Duration::from_millis(10)).await;
    }
    lose_every.store(0, std::sync::atomic::Ordering::Relaxed);
    media.send(picture(100, false, 2_000));
    call.spend(Duration::from_millis(150)).await;
    let mut sequences = Vec::new();
    while let Ok(packet) = call.b.track(TrackKind::Video).unwrap().try_recv() {
        sequences.push(packet.sequence);
    }
    let first = *sequences.iter().min_by_key(|s| s.wrapping_sub(sequences[0]) as i16).unwrap();
    let mut places: Vec<u16> = sequences.iter().map(|s| s.wrapping_sub(first)).collect();
    assert!(!places.is_sorted(), "some were sent again");
    places.sort_unstable();
    assert_eq!(places, (0..places.len() as u16).collect::<Vec<_>>(), "no hole and nothing twice");
    assert!(places.len() >= 200, "{} of 202", places.len());
    call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_goes_silent_is_replaced_without_anybody_asking() {
    let mut call = Call::new();
    call.wire = Some(wire::Wire::new().await);
    call.begin();
    call.connected().await;
    // The old path dies; new descriptions lead directly.
    call.wire = None;
    let start = clock::now();
    call.until("silence", |call| call.a.phase == Some(PeerPhase::Reconnecting)).await;
    println!("noticed after {:?}", start.elapsed());
    call.connected().await;
    println!("back after {:?}", start.elapsed());
    assert_eq!(call.a.phase, Some(PeerPhase::Connected));
    call.close().await;
}

/// An engine whose connections can be made to break.
#[derive(Default)]
struct Fragile {
    made: std::sync::Mutex<Vec<EventSender>>,
}

#[async_trait::async_trait]
impl Engine for Fragile {
    async fn open(&self, setup: Setup, events: EventSender) -> Result<Box<dyn Connection>, EngineError> {
        self.made.lock().unwrap().push(events.clone());
        CrateEngine::default().open(setup, events).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_inside_is_made_anew_by_either_side() {
    for broken in 0..2 {
        let engines = [Arc::new(Fragile::default()), Arc::new(Fragile::default())];
        let [a, b] = ["aaaa", "bbbb"];
        let side = |name, engine: &Arc<Fragile>| {
            Side::new(name, config(), Options { engine: engine.clone(), ..loopback() })
        };
        let mut call = Call::between(side(a, &engines[0]), side(b, &engines[1]));
        call.begin();
        call.connected().await;
        let media = call.a.mesh.media();
        media.send(sound(0));
        call.until("sound", |call| !call.b.tracks.is_empty()).await;
        engines[broken].made.lock().unwrap()[0].send(Event::Ended);
        let anew = |engine: &Arc<Fragile>| engine.made.lock().unwrap().len() == 2;
        call.until("anew", |_| engines.iter().all(anew)).await;
        call.spend(Duration::from_millis(50)).await;
        call.connected().await;
        while call.b.track(TrackKind::Audio).unwrap().try_recv().is_ok() {}
        media.send(sound(7));
        assert_eq!(next(call.b.track(TrackKind::Audio).unwrap()).await.timestamp, 960 * 7);
        assert_eq!(call.b.tracks.len(), 1, "no track is announced again");
        call.close().await;
    }
}
