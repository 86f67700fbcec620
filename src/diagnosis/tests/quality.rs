//! How good it looks and sounds.

use super::super::facts::LimitSeen;
use super::super::peer::Limit;
use super::super::quality::*;
use super::*;

#[test]
fn loss_with_a_steady_round_trip_is_random_and_with_a_rising_one_a_queue() {
    let mut facts = talking();
    facts.upload.loss = Some(0.08);
    says(random_loss, &facts, "8 % of what you send gets lost while the round trip stays at 24 ms");
    silent_on(congestion, &facts);
    facts.upload.round_trip = Some(ms(260));
    says(congestion, &facts, "rose by 238 ms to 260 ms, 8 % lost");
    silent_on(random_loss, &facts);
    silent_on(congestion, &talking());
    silent_on(random_loss, &talking());
}

#[test]
fn a_long_queue_is_told_even_before_it_loses() {
    let mut facts = talking();
    facts.upload.round_trip = Some(ms(400));
    says(congestion, &facts, "rose by 378 ms");
    facts.upload.round_trip = Some(ms(120));
    silent_on(congestion, &facts);
}

#[test]
fn loss_of_what_comes_is_told_per_stream() {
    let mut facts = talking();
    facts.download.picture.loss = Some(0.09);
    let verdict = says(loss_incoming, &facts, "9 % of what the other side sends");
    assert_eq!(verdict.evidence, ["sound: 0.0 % lost", "picture: 9 % lost"]);
    silent_on(loss_incoming, &talking());
}

#[test]
fn a_processor_that_limits_is_told_after_five_seconds_on_each_side() {
    let mut facts = talking();
    facts.upload.limit = Held::new(LimitSeen::Cpu, s(12));
    facts.upload.encode_time = Some(ms(41));
    let verdict = says(cpu_limit, &facts, "too slow");
    assert!(verdict.evidence.contains(&"41 ms to encode one".to_owned()), "{verdict:?}");
    facts.upload.limit.held = s(2);
    silent_on(cpu_limit, &facts);
    facts.upload.encode_time = Some(ms(88));
    says(cpu_limit, &facts, "88 ms to encode one picture");
    facts.peer.facts.limit = Limit::Cpu;
    assert_eq!(says(peer_cpu_limit, &facts, "other side's computer").side, Side::There);
    silent_on(peer_cpu_limit, &talking());
}

#[test]
fn a_line_that_limits_is_told_with_its_estimate_on_each_side() {
    let mut facts = talking();
    facts.upload.limit = Held::new(LimitSeen::Bandwidth, s(12));
    facts.upload.estimate = Some(Bitrate::from_kbps(480));
    says(bandwidth_limit, &facts, "480 kbit/s");
    silent_on(bandwidth_limit, &talking());
    facts.peer.facts.limit = Limit::Bandwidth;
    says(peer_bandwidth_limit, &facts, "you receive");
    silent_on(peer_bandwidth_limit, &talking());
}

#[test]
fn freezes_are_counted() {
    let mut facts = talking();
    facts.download.picture.freezes = (3, ms(1_900));
    says(freezes, &facts, "3 times in the last 20 s, 1.9 s in all");
    facts.download.picture.freezes = (1, ms(300));
    silent_on(freezes, &facts);
}

#[test]
fn sound_that_is_made_up_is_told() {
    let mut facts = talking();
    facts.download.sound.concealed = Some(0.12);
    says(concealment, &facts, "12 %");
    facts.download.sound.concealed = Some(0.01);
    silent_on(concealment, &facts);
}

#[test]
fn a_long_path_is_no_queue() {
    let mut facts = talking();
    facts.upload.round_trip = Some(ms(620));
    facts.upload.round_trip_floor = Some(ms(600));
    says(long_round_trip, &facts, "620 ms");
    silent_on(congestion, &facts);
    facts.upload.round_trip_floor = Some(ms(40));
    silent_on(long_round_trip, &facts);
}

#[test]
fn an_unsteady_line_is_told() {
    let mut facts = talking();
    facts.download.sound.jitter = Some(ms(90));
    says(jitter, &facts, "90 ms");
    silent_on(jitter, &talking());
}
