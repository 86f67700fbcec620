//! The jitter buffer against made-up arrivals: real Opus packets, invented networks, given time.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::clock;
use crate::media::codec::opus::OpusEncoder;
use crate::media::encoded::{Codec, TrackKind};
use crate::media::test_signal::{Random, Voice, rms, snr_of_tone, tone};
use crate::units::Bitrate;

/// What the network does to a packet: `None` loses it, else it takes so many ms.
type Network<'a> = &'a mut dyn FnMut(usize) -> Option<f64>;

/// Sends `samples` and gives the packets in the order of their arrival.
fn send(samples: &[f32], loss: f32, network: Network) -> Vec<RemotePacket> {
    let mut encoder = OpusEncoder::new().unwrap();
    encoder.set_expected_loss(loss).unwrap();
    if loss > 0.0 {
        encoder.set_bitrate(Bitrate::from_kbps(32)).unwrap();
    }
    let start = clock::now() + Duration::from_secs(3_600);
    let mut sequence = 65_500u16;
    let mut packets = Vec::new();
    for (n, block) in samples.as_chunks::<PACKET_SAMPLES>().0.iter().enumerate() {
        let Some(payload) = encoder.encode(block).unwrap() else { continue };
        sequence = sequence.wrapping_add(1);
        let Some(ms) = network(n) else { continue };
        packets.push(RemotePacket {
            kind: TrackKind::Audio,
            codec: Codec::Opus,
            sequence,
            timestamp: (u32::MAX - 20_000).wrapping_add((n * PACKET_SAMPLES) as u32),
            marker: false,
            ssrc: 7,
            payload,
            arrived_at: start + Duration::from_secs_f64((n as f64 * 20.0 + ms) / 1e3),
        });
    }
    packets.sort_by_key(|packet| packet.arrived_at);
    packets
}

struct Heard {
    sound: Vec<f32>,
    jitter: AudioJitter,
    /// Smoothed delay at each block, in ms.
    delays: Vec<f64>,
}

/// Plays packets for `seconds`, on a device whose clock runs `ppm` too fast.
fn play(packets: &[RemotePacket], seconds: f64, ppm: f64) -> Heard {
    let mut jitter = AudioJitter::new().unwrap();
    let (mut sound, mut delays) = (Vec::new(), Vec::new());
    let Some(start) = packets.first().map(|packet| packet.arrived_at) else { panic!("nothing was sent") };
    let mut next = packets.iter().peekable();
    let mut out = [SILENT; BLOCK_SAMPLES];
    for block in 0..(seconds * 100.0) as usize {
        let now = start + Duration::from_secs_f64(block as f64 * 0.01 / (1.0 + ppm / 1e6) + 0.0037);
        while let Some(packet) = next.next_if(|packet| packet.arrived_at <= now) {
            jitter.insert(packet.clone());
        }
        jitter.pull(now, &mut out);
        sound.extend(out.iter().map(|[left, _]| left));
        delays.push(jitter.smoothed.unwrap_or(0.0) * 1e3);
    }
    Heard { sound, jitter, delays }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn on_a_clean_network_it_settles_at_one_to_two_packets_and_touches_nothing() {
    let mut random = Random(3);
    let packets = send(&tone(440.0, 0.3, 10 * 48_000), 0.0, &mut |_| Some(20.0 + f64::from(random.next())));
    let heard = play(&packets, 9.5, 0.0);
    let stats = heard.jitter.stats();
    assert_eq!(stats.concealed_samples, 0);
    assert_eq!(stats.packets_discarded, 0);
    let delay = mean(&heard.delays[500..]);
    assert!((15.0..=40.0).contains(&delay), "{delay:.1} ms");
    assert!(snr_of_tone(&heard.sound[6 * 48_000..7 * 48_000], 440.0) > 25.0);
    let waited = stats.jitter_buffer_delay.as_secs_f64() / stats.jitter_buffer_emitted_count as f64;
    assert!((0.005..0.045).contains(&waited), "{waited} s");
}

#[test]
fn twins_and_packets_out_of_order_are_not_heard() {
    let mut packets =
        send(&tone(440.0, 0.3, 6 * 48_000), 0.0, &mut |n| Some(if n % 7 == 0 { 65.0 } else { 20.0 }));
    let twins: Vec<_> = packets.iter().step_by(3).cloned().collect();
    packets.extend(twins);
    packets.sort_by_key(|packet| packet.arrived_at);
    let heard = play(&packets, 5.9, 0.0);
    let stats = heard.jitter.stats();
    assert!(stats.packets_duplicated + stats.packets_discarded >= 90);
    let late = &heard.sound[3 * 48_000..];
    assert!(snr_of_tone(&late[..48_000], 440.0) > 15.0);
    let concealed = stats.concealed_samples;
    assert!(concealed < 9_600, "{concealed} samples before the delay was right");
}

#[test]
fn a_lost_packet_is_replaced_by_the_copy_in_the_next_one() {
    let speech = Voice::new(11).take(20 * 48_000);
    let packets = send(&speech, 0.2, &mut |n| (n % 10 != 4).then_some(20.0));
    let heard = play(&packets, 19.0, 0.0);
    let after_a_lost_one = |packet: &&RemotePacket| {
        packet.timestamp.wrapping_sub(u32::MAX - 20_000) as usize / PACKET_SAMPLES % 10 == 5
    };
    let copies = packets.iter().filter(after_a_lost_one).filter(|packet| has_fec(&packet.payload)).count();
    let used = heard.jitter.stats().fec_packets_received as usize;
    assert!(copies > 40 && used * 10 > copies * 7, "{used} of {copies} copies were used");
}

#[test]
fn without_a_copy_a_lost_packet_of_a_tone_is_guessed_well() {
    let packets = send(&tone(440.0, 0.3, 6 * 48_000), 0.0, &mut |n| (n % 25 != 4).then_some(20.0));
    let heard = play(&packets, 5.9, 0.0);
    let stats = heard.jitter.stats();
    assert!(stats.concealment_events >= 8);
    assert!(stats.concealed_samples >= 8 * 480);
    let snr = snr_of_tone(&heard.sound[3 * 48_000..5 * 48_000], 440.0);
    assert!(snr > 8.0, "{snr:.1} dB");
    let steepest = heard.sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
    assert!(steepest < 0.1, "a click of {steepest}");
}

#[test]
fn jitter_is_bought_off_with_delay_and_the_delay_is_given_back() {
    let mut random = Random(5);
    let speech = Voice::new(12).take(60 * 48_000);
    let packets = send(&speech, 0.0, &mut |n| {
        let jittery = (250..1_000).contains(&n);
        Some(20.0 + if jittery { 40.0 * f64::from(random.next().abs()) } else { 0.0 })
    });
    let heard = play(&packets, 59.0, 0.0);
    let in_it = mean(&heard.delays[1_500..2_000]);
    let after = mean(&heard.delays[5_500..5_900]);
    assert!((35.0..80.0).contains(&in_it), "{in_it:.1} ms in jitter");
    assert!(after < 40.0, "{after:.1} ms after it");
    let stats = heard.jitter.stats();
    assert!(stats.inserted_samples_for_deceleration > 0 && stats.removed_samples_for_acceleration > 0);
    let concealed = stats.concealed_samples as f64 / 48.0;
    assert!(concealed < 300.0, "{concealed:.0} ms were made up");
}

#[test]
fn a_stretched_tone_is_still_that_tone() {
    let packets = send(&tone(440.0, 0.3, 12 * 48_000), 0.0, &mut |n| {
        Some(if (150..200).contains(&n) && n % 5 == 0 { 90.0 } else { 20.0 })
    });
    let heard = play(&packets, 11.5, 0.0);
    let stats = heard.jitter.stats();
    assert!(stats.removed_samples_for_acceleration + stats.inserted_samples_for_deceleration > 480);
    // Pieces so short that a seam between two phases is in few of them.
    let mut pieces: Vec<f64> =
        heard.sound[6 * 48_000..11 * 48_000].chunks(4_800).map(|piece| snr_of_tone(piece, 440.0)).collect();
    pieces.sort_by(f64::total_cmp);
    assert!(pieces[0] > 15.0, "worst 100 ms: {:.1} dB", pieces[0]);
}

#[test]
fn a_burst_after_a_stall_is_caught_up_with() {
    let speech = Voice::new(13).take(12 * 48_000);
    let packets = send(&speech, 0.0, &mut |n| {
        let sent = n as f64 * 20.0;
        Some(20.0 + if (4_000.0..4_800.0).contains(&sent) { 4_800.0 - sent } else { 0.0 })
    });
    let heard = play(&packets, 11.5, 0.0);
    let at_the_end = mean(&heard.delays[1_050..1_140]);
    assert!(at_the_end < 100.0, "{at_the_end:.0} ms");
    assert!(heard.jitter.stats().packets_discarded > 0, "what cannot be caught up with is skipped");
}

#[test]
fn drifting_clocks_neither_starve_it_nor_let_it_grow() {
    for ppm in [-300.0, 300.0] {
        let packets = send(&Voice::new(14).take(120 * 48_000), 0.0, &mut |_| Some(20.0));
        let heard = play(&packets, 118.0, ppm);
        let delay = mean(&heard.delays[11_000..]);
        assert!((8.0..50.0).contains(&delay), "{ppm} ppm: {delay:.1} ms");
        let concealed = heard.jitter.stats().concealed_samples as f64 / 48.0;
        assert!(concealed < 60.0, "{ppm} ppm: {concealed:.0} ms were made up");
    }
}

#[test]
fn announced_silence_is_not_loss() {
    let mut sound = Voice::new(15).take(3 * 48_000);
    sound.extend([0.0; 3 * 48_000]);
    sound.extend(tone(440.0, 0.3, 2 * 48_000));
    let heard = play(&send(&sound, 0.0, &mut |_| Some(20.0)), 8.0, 0.0);
    assert_eq!(heard.jitter.stats().concealed_samples, 0);
    assert!(rms(&heard.sound[4 * 48_000..5 * 48_000]) < 0.001);
    assert!(snr_of_tone(&heard.sound[7 * 48_000..8 * 48_000 - 4_800], 440.0) > 20.0);
}

#[test]
fn a_broken_off_voice_fades_instead_of_droning() {
    let packets = send(&tone(440.0, 0.3, 2 * 48_000), 0.0, &mut |_| Some(20.0));
    let heard = play(&packets, 4.0, 0.0);
    assert_eq!(rms(&heard.sound[3 * 48_000..]), 0.0);
    let stats = heard.jitter.stats();
    assert!(
        stats.silent_concealed_samples > 48_000 && stats.concealed_samples > stats.silent_concealed_samples
    );
    assert_eq!(stats.concealment_events, 1);
}

#[test]
fn another_ssrc_starts_anew_and_stragglers_of_the_old_one_do_not() {
    let mut packets = send(&tone(440.0, 0.3, 2 * 48_000), 0.0, &mut |_| Some(20.0));
    let mut second = send(&tone(1_000.0, 0.3, 2 * 48_000), 0.0, &mut |_| Some(20.0));
    let straggler = packets.last().unwrap().clone();
    let after = packets.last().unwrap().arrived_at + Duration::from_millis(20);
    let first = second[0].arrived_at;
    for (n, packet) in second.iter_mut().enumerate() {
        packet.ssrc = 8;
        packet.sequence = n as u16;
        packet.timestamp = 1_000_000_000u32.wrapping_add(packet.timestamp);
        packet.arrived_at = after + (packet.arrived_at - first);
    }
    packets.extend(second);
    packets.insert(130, RemotePacket { arrived_at: packets[130].arrived_at, ..straggler });
    let heard = play(&packets, 4.0, 0.0);
    assert!(snr_of_tone(&heard.sound[3 * 48_000..4 * 48_000 - 4_800], 1_000.0) > 20.0);
    assert!(heard.jitter.stats().packets_discarded >= 1);
}

#[test]
fn a_time_stamp_that_jumps_costs_a_moment_and_not_the_call() {
    for jump in [480_000u32, 480_000u32.wrapping_neg(), 1 << 31] {
        let mut packets = send(&tone(440.0, 0.3, 6 * 48_000), 0.0, &mut |_| Some(20.0));
        for packet in &mut packets[100..] {
            packet.timestamp = packet.timestamp.wrapping_add(jump);
        }
        let heard = play(&packets, 5.9, 0.0);
        assert!(snr_of_tone(&heard.sound[4 * 48_000..5 * 48_000], 440.0) > 20.0, "jump of {jump}");
    }
}

#[test]
fn lip_sync_can_ask_for_more_delay() {
    let packets = send(&Voice::new(16).take(8 * 48_000), 0.0, &mut |_| Some(20.0));
    let mut jitter = AudioJitter::new().unwrap();
    jitter.set_extra_delay(Duration::from_millis(100));
    let start = packets[0].arrived_at;
    let mut out = [SILENT; BLOCK_SAMPLES];
    let mut next = packets.iter().peekable();
    for block in 0..750 {
        let now = start + Duration::from_millis(10) * block;
        while let Some(packet) = next.next_if(|packet| packet.arrived_at <= now) {
            jitter.insert(packet.clone());
        }
        jitter.pull(now, &mut out);
    }
    let delay = jitter.smoothed.unwrap() * 1e3;
    assert!((100.0..150.0).contains(&delay), "{delay:.1} ms");
    let point = jitter.playout().unwrap();
    let played = f64::from(point.rtp.wrapping_sub(packets[0].timestamp)) / 48.0;
    let lag = (point.at - start).as_secs_f64() * 1e3 - played;
    assert!((lag - delay).abs() < 15.0, "{lag:.1} ms");
}

#[test]
fn sound_that_is_made_up_in_an_outage_is_not_taken_for_late_sound() {
    let packets = send(&Voice::new(16).take(2 * 48_000), 0.0, &mut |_| Some(20.0));
    let mut jitter = play(&packets, 1.9, 0.0).jitter;
    let point = jitter.playout().expect("it plays");
    let mut out = [SILENT; BLOCK_SAMPLES];
    for block in 1..100 {
        let now = point.at + Duration::from_millis(10) * block;
        jitter.pull(now, &mut out);
        if let Some(later) = jitter.playout() {
            let played = f64::from(later.rtp.wrapping_sub(point.rtp)) / 48.0;
            let passed = (now - point.at).as_secs_f64() * 1e3;
            assert!((passed - played).abs() < 25.0, "{passed:.0} ms have passed, {played:.0} ms were played");
        }
    }
    assert_eq!(jitter.playout(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_arrives_there_is_always_sound_to_play(
        packets in prop::collection::vec(
            (any::<u16>(), any::<u32>(), 0u32..3, prop::collection::vec(any::<u8>(), 0..60), 0u64..200),
            0..120,
        ),
        near in any::<bool>(),
    ) {
        let mut jitter = AudioJitter::new().unwrap();
        let mut now: Instant = clock::now();
        let mut out = [SILENT; BLOCK_SAMPLES];
        for (sequence, timestamp, ssrc, payload, ms) in packets {
            // Half of the cases stay close together, so that they reach further than the first checks.
            let (sequence, timestamp) =
                if near { (sequence % 64, timestamp % 64 * 500) } else { (sequence, timestamp) };
            jitter.insert(RemotePacket {
                kind: TrackKind::Audio,
                codec: Codec::Opus,
                sequence,
                timestamp,
                marker: false,
                ssrc: ssrc / 2,
                payload: Bytes::from(payload),
                arrived_at: now,
            });
            now += Duration::from_millis(ms);
            jitter.pull(now, &mut out);
            prop_assert!(out.as_flattened().iter().all(|s| s.is_finite()));
            prop_assert!(jitter.sound.len() < 200_000);
        }
    }
}
