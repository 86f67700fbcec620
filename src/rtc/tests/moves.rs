//! Media moves from one connection to another, and nobody sees or hears it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::super::network_monitor::network::Interface;
use super::super::network_monitor::network::tests::{interface, network};
use super::super::network_monitor::{Change, News};
use super::wire::Wire;
use super::*;

/// Every sequence number that one receiver got of one track.
#[derive(Default)]
struct Heard(BTreeSet<u16>);

impl Heard {
    fn missing(&self) -> Vec<u16> {
        let (Some(first), Some(last)) = (self.0.first(), self.0.last()) else { return Vec::new() };
        (*first..*last).filter(|n| !self.0.contains(n)).collect()
    }
}

/// A call in which both sides send sound and pictures all the time, and everything is noted.
struct Talk {
    call: Call,
    frame: u64,
    /// Of A's and of B's receivers, sound and pictures.
    heard: [[Heard; 2]; 2],
    /// Phases that were seen after the beginning.
    phases: [Vec<PeerPhase>; 2],
}

impl Talk {
    async fn begin(mut call: Call) -> Self {
        call.begin();
        call.connected().await;
        let mut talk = Self { call, frame: 0, heard: Default::default(), phases: Default::default() };
        talk.go_on("both tracks on both sides", |call| {
            call.a.tracks.len() == 2 && call.b.tracks.len() == 2 && call.a.pair.is_some()
        })
        .await;
        talk
    }

    /// Sends 100 sounds and 33 pictures a second for one turn, and notes what has come.
    async fn turn(&mut self) {
        for media in [self.call.a.mesh.media(), self.call.b.mesh.media()] {
            media.send(sound(self.frame));
            if self.frame.is_multiple_of(3) {
                media.send(picture(self.frame / 3, self.frame == 0, 2_500));
            }
        }
        self.frame += 1;
        self.call.spend(Duration::from_millis(10)).await;
        for (side, heard) in [&mut self.call.a, &mut self.call.b].into_iter().zip(&mut self.heard) {
            for (kind, packets) in &mut side.tracks {
                while let Ok(packet) = packets.try_recv() {
                    heard[usize::from(*kind == TrackKind::Video)].0.insert(packet.sequence);
                }
            }
        }
        for (side, phases) in [&self.call.a, &self.call.b].into_iter().zip(&mut self.phases) {
            phases.extend(side.phase);
        }
    }

    async fn turns(&mut self, count: usize) {
        for _ in 0..count {
            self.turn().await;
        }
    }

    async fn go_on(&mut self, what: &str, done: impl Fn(&Call) -> bool) {
        let start = clock::now();
        while !done(&self.call) {
            assert!(start.elapsed() < PATIENCE, "never {what}; {:?} {:?}", self.call.a.log, self.call.b.log);
            self.turn().await;
        }
    }

    fn assert_whole(&self) {
        for (side, heard) in ["a", "b"].iter().zip(&self.heard) {
            for (kind, heard) in ["sound", "pictures"].iter().zip(heard) {
                assert!(heard.0.len() > 10, "{kind} at {side}");
                assert_eq!(heard.missing(), [0_u16; 0], "{kind} at {side}, {} came", heard.0.len());
            }
        }
        let connected = |phase: &PeerPhase| *phase == PeerPhase::Connected;
        assert!(self.phases.iter().flatten().all(connected), "{:?} {:?}", self.call.a.log, self.call.b.log);
        let problems = (&self.call.a.problems, &self.call.b.problems);
        assert!(problems.0.is_empty() && problems.1.is_empty(), "{problems:?}");
        assert_eq!(
            (self.call.a.tracks.len(), self.call.b.tracks.len()),
            (2, 2),
            "no track is announced again"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_path_at_either_sides_wish_loses_no_packet_and_nobody_is_told_of_a_gap() {
    let mut talk = Talk::begin(Call::new()).await;
    for by_offerer in [true, false] {
        let before = (talk.call.a.pair.clone(), talk.call.b.pair.clone());
        let keyframes = (talk.call.a.keyframes_wanted, talk.call.b.keyframes_wanted);
        if by_offerer {
            talk.call.a.mesh.restart_ice(&talk.call.b.id);
        } else {
            talk.call.b.mesh.restart_ice(&talk.call.a.id);
        }
        let start = clock::now();
        talk.go_on("moved", |call| call.a.pair != before.0 && call.b.pair != before.1).await;
        println!("moved after {:?}", start.elapsed());
        talk.turns(130).await;
        let after = (talk.call.a.keyframes_wanted, talk.call.b.keyframes_wanted);
        assert_eq!(after, keyframes, "no key frame is needed");
    }
    talk.assert_whole();
    talk.call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_look_for_a_new_path_at_the_same_moment_and_end_on_one() {
    let mut talk = Talk::begin(Call::new()).await;
    let before = (talk.call.a.pair.clone(), talk.call.b.pair.clone());
    talk.call.hold = true;
    talk.call.a.mesh.restart_ice(&talk.call.b.id);
    talk.call.b.mesh.restart_ice(&talk.call.a.id);
    let offers = |signals: &[Signal]| {
        signals.iter().any(|s| matches!(s, Signal::Description { kind: DescriptionKind::Offer, .. }))
    };
    talk.go_on("both offer", |call| offers(&call.to_a) && offers(&call.to_b)).await;
    talk.call.hold = false;
    talk.call.deliver();
    talk.go_on("moved", |call| call.a.pair != before.0 && call.b.pair != before.1).await;
    talk.turns(130).await;
    talk.assert_whole();
    let (a, b) = (talk.call.a.pair.clone().unwrap(), talk.call.b.pair.clone().unwrap());
    assert_eq!((a.local.port, a.remote.port), (b.remote.port, b.local.port), "one path for both");
    talk.call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_of_a_new_path_that_never_arrives_changes_nothing_and_the_next_one_works() {
    let mut talk = Talk::begin(Call::new()).await;
    let before = (talk.call.a.pair.clone(), talk.call.b.pair.clone());
    talk.call.hold = true;
    talk.call.a.mesh.restart_ice(&talk.call.b.id);
    talk.go_on("an offer", |call| !call.to_b.is_empty()).await;
    talk.turns(220).await;
    talk.call.to_b.clear();
    talk.call.to_a.clear();
    talk.call.hold = false;
    talk.call.a.mesh.restart_ice(&talk.call.b.id);
    talk.go_on("moved", |call| call.a.pair != before.0 && call.b.pair != before.1).await;
    talk.turns(130).await;
    talk.assert_whole();
    talk.call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_is_heard_again_after_an_outage_is_kept_and_the_new_one_is_given_up() {
    let mut call = Call::new();
    call.wire = Some(Wire::new().await);
    let mut talk = Talk::begin(call).await;
    talk.turns(50).await;
    let wire = talk.call.wire.as_mut().expect("just set");
    let (lose, traffic) = (wire.lose_every.clone(), wire.to_b_traffic.clone());
    // A second connection would be reached directly.
    wire.ends = true;
    // Signaling is cut off, too.
    talk.call.hold = true;
    lose.store(1, Ordering::Relaxed);
    let offered = |call: &Call| call.to_b.iter().any(|signal| matches!(signal, Signal::Description { .. }));
    talk.go_on("an attempt", offered).await;
    lose.store(0, Ordering::Relaxed);
    talk.go_on("the path", |call| call.a.phase == Some(PeerPhase::Connected)).await;
    talk.turns(10).await;
    talk.call.hold = false;
    talk.call.deliver();
    talk.turns(150).await;
    let before = traffic.carried()[0];
    talk.turns(50).await;
    let by_wire = traffic.carried()[0] - before;
    assert!(by_wire > 50, "media has moved: {by_wire} packets of 500 ms went by the first path");
    talk.call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_side_of_an_earlier_version_is_met_anew_instead_of_beside() {
    let mut call = Call::new();
    call.earlier_version = true;
    call.begin();
    call.connected().await;
    let media = call.a.mesh.media();
    media.send(sound(0));
    call.until("sound", |call| !call.b.tracks.is_empty()).await;
    let before = (call.a.pair.clone(), call.b.pair.clone());
    call.a.mesh.restart_ice(&call.b.id);
    call.until("moved", |call| call.a.pair != before.0 && call.b.pair != before.1).await;
    call.connected().await;
    while call.b.track(TrackKind::Audio).unwrap().try_recv().is_ok() {}
    media.send(sound(7));
    assert_eq!(next(call.b.track(TrackKind::Audio).unwrap()).await.timestamp, 960 * 7);
    call.close().await;
}

fn relayed(side: &Side) -> bool {
    side.pair.as_ref().is_some_and(|pair| pair.local.kind == CandidateType::Relay)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayed_call_moves_to_the_direct_path_when_it_may_and_back_when_it_must() {
    let (server, _relay) = relay().await;
    let open = TransportConfig { ice_servers: vec![server], ..config() };
    let hidden = TransportConfig { ice_policy: IcePolicy::Relay, ..open.clone() };
    let mut talk = Talk::begin(Call::with(hidden.clone())).await;
    assert!(relayed(&talk.call.a) && relayed(&talk.call.b));
    talk.call.a.mesh.configure(open.clone());
    talk.call.b.mesh.configure(open);
    let start = clock::now();
    talk.go_on("direct", |call| !relayed(&call.a) && !relayed(&call.b)).await;
    println!("direct after {:?}", start.elapsed());
    talk.turns(130).await;
    talk.call.a.mesh.configure(hidden);
    talk.go_on("relayed", |call| relayed(&call.a)).await;
    talk.turns(130).await;
    talk.assert_whole();
    talk.call.close().await;
}

/// A call whose side A is at 127.0.0.1, which is its WLAN.
async fn on_wifi() -> Talk {
    let known = Options { network: Some(Arc::new(network(&[wifi()]))), ..loopback() };
    let call = Call::between(Side::new("aaaa", config(), known), Side::new("bbbb", config(), loopback()));
    Talk::begin(call).await
}

fn wifi() -> Interface {
    interface("wlan0", &["127.0.0.1"])
}

impl Talk {
    /// A's network is another one now.
    fn network_of_a(&mut self, before: &[Interface], now: &[Interface]) {
        let change =
            Change::between(Arc::new(network(before)), Arc::new(network(now))).expect("a difference");
        self.call.a.mesh.network_news(&News::Change(change));
    }

    fn address_of_a(&self) -> &str {
        self.call.a.pair.as_ref().map_or("", |pair| &pair.local.address)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interface_that_the_call_does_not_use_may_come_and_go() {
    let mut talk = on_wifi().await;
    let before = talk.call.a.pair.clone();
    let docker = interface("docker0", &["127.0.0.9"]);
    talk.network_of_a(&[wifi()], &[wifi(), docker.clone()]);
    talk.turns(20).await;
    talk.network_of_a(&[wifi(), docker], &[wifi()]);
    talk.turns(20).await;
    assert_eq!(talk.call.a.reactions, [Reaction::Nothing, Reaction::Nothing]);
    assert_eq!(talk.call.a.pair, before, "the path stays");
    talk.assert_whole();
    talk.call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cable_that_is_plugged_in_takes_the_call_over_without_losing_a_packet() {
    let mut talk = on_wifi().await;
    let cable = interface("eth0", &["127.0.0.2"]);
    talk.network_of_a(&[wifi()], &[wifi(), cable.clone()]);
    let start = clock::now();
    let over_cable = |call: &Call| call.a.pair.as_ref().is_some_and(|pair| pair.local.address == "127.0.0.2");
    talk.go_on("the cable", over_cable).await;
    println!("over the cable after {:?}", start.elapsed());
    talk.turns(130).await;
    assert_eq!(talk.call.a.reactions, [Reaction::Try(cable)]);
    assert_eq!(talk.address_of_a(), "127.0.0.2");
    talk.assert_whole();
    talk.call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_interface_in_use_is_gone_another_path_is_there_before_the_silence_is_noticed() {
    let mut call = Call::between(
        Side::new("aaaa", config(), Options { network: Some(Arc::new(network(&[wifi()]))), ..loopback() }),
        Side::new("bbbb", config(), loopback()),
    );
    call.wire = Some(wire::Wire::new().await);
    let lose_every = call.wire.as_ref().map(|wire| wire.lose_every.clone()).expect("just set");
    let mut talk = Talk::begin(call).await;
    talk.turns(10).await;
    lose_every.store(1, std::sync::atomic::Ordering::Relaxed);
    talk.network_of_a(&[wifi()], &[]);
    talk.turns(50).await;
    assert_eq!(talk.call.a.trouble, Some(Trouble::NoNetwork));
    // Another one, whose way is free.
    talk.call.wire.as_mut().expect("set").ends = true;
    let start = clock::now();
    talk.network_of_a(&[], &[interface("wwan0", &["127.0.0.1"])]);
    talk.go_on("connected", |call| {
        [&call.a, &call.b].iter().all(|side| side.phase == Some(PeerPhase::Connected) && side.pair.is_some())
            && call.a.trouble.is_none()
    })
    .await;
    println!("media can flow {:?} after there is a network", start.elapsed());
    assert_eq!(talk.call.a.reactions, [Reaction::Wait, Reaction::Replace]);
    let received = talk.heard[0][0].0.len();
    talk.turns(50).await;
    assert!(talk.heard[0][0].0.len() > received + 30, "sound goes on");
    talk.call.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_sleep_a_path_that_does_not_answer_is_replaced_at_once() {
    let mut call = Call::new();
    call.wire = Some(wire::Wire::new().await);
    let lose_every = call.wire.as_ref().map(|wire| wire.lose_every.clone()).expect("just set");
    let mut talk = Talk::begin(call).await;
    let before = talk.call.a.pair.clone();
    talk.call.a.mesh.network_news(&News::Woke { slept: Duration::from_secs(10) });
    talk.turns(150).await;
    assert_eq!(talk.call.a.pair, before, "it answers");
    lose_every.store(1, std::sync::atomic::Ordering::Relaxed);
    talk.call.wire.as_mut().expect("set").ends = true;
    let start = clock::now();
    talk.call.a.mesh.network_news(&News::Woke { slept: Duration::from_secs(10) });
    talk.go_on("replaced", |call| call.a.pair != before).await;
    println!("replaced after {:?}", start.elapsed());
    talk.call.close().await;
}

/// As 13 hours with credentials for 12 of them: what runs out is replaced before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayed_call_outlives_its_credentials_on_fresh_relays() {
    const LIFETIME: Duration = Duration::from_secs(3);
    let relay = Relay::start().await;
    let config = || TransportConfig {
        ice_servers: vec![relay.server(LIFETIME)],
        ice_policy: IcePolicy::Relay,
        ..config()
    };
    let mut talk = Talk::begin(Call::with(config())).await;
    let start = clock::now();
    for _ in 0..3 {
        talk.turns(180).await;
        let before = talk.call.a.pair.clone();
        let fresh = config();
        talk.call.a.mesh.configure(fresh.clone());
        talk.call.b.mesh.configure(fresh);
        talk.go_on("moved", |call| call.a.pair != before).await;
    }
    talk.turns(130).await;
    assert!(start.elapsed() > LIFETIME * 2);
    talk.assert_whole();
    talk.call.close().await;
}
