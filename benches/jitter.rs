//! What one participant's voice costs: the jitter buffer with its decoder, for each 10 ms.

use std::time::{Duration, Instant};

use sightline::clock;
use sightline::media::RemotePacket;
use sightline::media::codec::opus::{OpusEncoder, PACKET_SAMPLES};
use sightline::media::encoded::{Codec, TrackKind};
use sightline::media::frame::AudioBlock;
use sightline::media::frame::BLOCK_SAMPLES;
use sightline::media::process::{FarEnd, ProcessingConfig, Processor};
use sightline::media::receive::audio_jitter::AudioJitter;

const SECONDS: usize = 60;

/// CPU time of this thread, so that a busy machine does not count; wall-clock time where the
/// system does not tell (the first number of Linux' schedstat is in ns).
fn spent() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(clock::unix, Duration::from_nanos)
}

/// Noise in syllables: as expensive as speech.
fn sound() -> Vec<f32> {
    let mut random = 88_172_645_463_325_252u64;
    let mut low = 0.0f32;
    (0..SECONDS * 48_000)
        .map(|n| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let noise = (random >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
            low += (noise - low) * 0.2;
            let tone = (n as f32 * 0.02).sin();
            (0.3 * low + 0.2 * tone) * (n as f32 * 0.0003).sin().abs()
        })
        .collect()
}

fn packets(sound: &[f32], start: Instant) -> (Vec<RemotePacket>, Duration) {
    let mut encoder = OpusEncoder::new().expect("Opus can be set up");
    let began = spent();
    let blocks = sound.as_chunks::<PACKET_SAMPLES>().0.iter().enumerate();
    let packets = blocks
        .filter_map(|(n, block)| {
            Some(RemotePacket {
                kind: TrackKind::Audio,
                codec: Codec::Opus,
                sequence: n as u16,
                timestamp: (n * PACKET_SAMPLES) as u32,
                marker: false,
                ssrc: 1,
                payload: encoder.encode(block).expect("samples can be encoded")?,
                arrived_at: start + Duration::from_millis(20) * n as u32,
            })
        })
        .collect();
    (packets, spent() - began)
}

/// Plays all packets, late by `late` of their number in ms, and says how long that took.
fn play(
    packets: &[RemotePacket],
    start: Instant,
    late: impl Fn(usize) -> Option<u64>,
) -> (Duration, AudioJitter) {
    let mut arriving: Vec<_> = packets
        .iter()
        .enumerate()
        .filter_map(|(n, packet)| {
            let arrived_at = packet.arrived_at + Duration::from_millis(late(n)?);
            Some(RemotePacket { arrived_at, ..packet.clone() })
        })
        .collect();
    arriving.sort_by_key(|packet| packet.arrived_at);
    let mut arriving = arriving.into_iter().peekable();
    let mut jitter = AudioJitter::new().expect("Opus can be set up");
    let mut out = [[0.0; 2]; BLOCK_SAMPLES];
    let began = spent();
    for block in 0..SECONDS * 100 {
        let now = start + Duration::from_millis(10) * block as u32;
        while let Some(packet) = arriving.next_if(|packet| packet.arrived_at <= now) {
            jitter.insert(packet);
        }
        jitter.pull(now, &mut out);
    }
    (spent() - began, jitter)
}

/// Milliseconds that a packet is late; `None` for one that is lost.
type Network<'a> = &'a dyn Fn(usize) -> Option<u64>;

fn main() {
    let start = clock::now();
    let sound = sound();
    let per_block = |time: Duration| time.as_secs_f64() * 1e6 / (SECONDS * 100) as f64;
    let (packets, encoding) = packets(&sound, start);
    println!("{:<40} {:>8.1} µs per 10 ms", "Opus encoder", per_block(encoding));
    let clean = |_: usize| Some(0);
    let jittery = |n: usize| Some(if n.is_multiple_of(7) { 60 } else { 0 });
    let lossy = |n: usize| (n % 10 != 3).then_some(0);
    let networks: [(&str, Network); 3] =
        [("clean network", &clean), ("60 ms of jitter", &jittery), ("10 % loss", &lossy)];
    for (name, late) in networks {
        let (time, jitter) = play(&packets, start, late);
        let stats = jitter.stats();
        println!(
            "{:<40} {:>8.1} µs per 10 ms   {} samples made up, {} put in, {} taken out",
            format!("jitter buffer and decoder, {name}"),
            per_block(time),
            stats.concealed_samples,
            stats.inserted_samples_for_deceleration,
            stats.removed_samples_for_acceleration,
        );
    }
    let (mut writer, far_end) = FarEnd::pair();
    let mut processor = Processor::new(ProcessingConfig::ALL, far_end);
    let began = spent();
    for samples in sound.as_chunks::<BLOCK_SAMPLES>().0 {
        let mut block = AudioBlock { samples: *samples, captured_at: start };
        writer.push(&block.into(), Duration::from_millis(20));
        processor.process(&mut block, Duration::from_millis(10));
    }
    println!(
        "{:<40} {:>8.1} µs per 10 ms",
        "echo, noise and gain of the microphone",
        per_block(spent() - began)
    );
}
