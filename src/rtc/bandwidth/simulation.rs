//! The estimator, the pacer and a bottleneck in virtual time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use signaling_protocol::PeerId;

use super::*;
use crate::call::adapt::Adapter;
use crate::rtc::pacer::{Pacer, Priority};

const SEED: u64 = 0x5eed;

/// One path and one sender, stepped by a millisecond.
struct Simulation {
    start: Instant,
    now: Duration,
    random: u64,
    estimator: PathEstimator,
    pacer: Pacer<usize>,
    /// What the path carries.
    link: Bitrate,
    /// Longest wait in the path's buffer, as time at the present rate.
    buffer: Duration,
    loss: f64,
    propagation: Duration,
    /// What the product makes of an estimate.
    adapter: Adapter,
    peer: PeerId,
    /// When the bottleneck has sent everything in it, virtual seconds.
    busy_until: f64,
    on_path: VecDeque<(PacketFate, Duration)>,
    feedback: VecDeque<(Duration, Vec<PacketFate>)>,
    delivered_bits: f64,
    longest_queue: Duration,
}

impl Simulation {
    fn new(link: Bitrate) -> Self {
        println!("seed {SEED:#x}");
        let start = crate::clock::now() + Duration::from_secs(3_600);
        Self {
            start,
            now: Duration::ZERO,
            random: SEED,
            estimator: PathEstimator::new(None),
            pacer: Pacer::new(FIRST_PACE),
            link,
            buffer: Duration::from_millis(500),
            loss: 0.0,
            propagation: Duration::from_millis(20),
            adapter: Adapter::new(Some(Bitrate::from_kbps(20_000))),
            peer: PeerId::new("far").unwrap(),
            busy_until: 0.0,
            on_path: VecDeque::new(),
            feedback: VecDeque::new(),
            delivered_bits: 0.0,
            longest_queue: Duration::ZERO,
        }
    }

    /// Uniform between 0 and 1 (xorshift64*).
    fn random(&mut self) -> f64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn target(&self) -> f64 {
        self.estimator.target().as_bps() as f64 / 1e6
    }

    /// Runs for `seconds`; gives the target in Mbit/s at the end of each half second.
    fn run(&mut self, seconds: f64) -> Vec<f64> {
        let end = self.now + Duration::from_secs_f64(seconds);
        let mut targets = Vec::new();
        while self.now < end {
            self.step();
            if self.now.as_millis().is_multiple_of(500) {
                targets.push(self.target());
            }
        }
        println!("{:>5.1} s: {:.2?}", self.now.as_secs_f64(), targets);
        targets
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(1);
        let now = self.start + self.now;
        let millis = self.now.as_millis() as u64;
        let target = self.estimator.target();
        self.pacer.set_target(now, self.estimator.pace());
        if millis.is_multiple_of(20) {
            self.pacer.enqueue(now, Priority::Audio, 180, 180).unwrap();
        }
        if millis.is_multiple_of(33) {
            self.encode(now, target);
        }
        while let Some(size) = self.pacer.poll(now) {
            self.send(now, size);
        }
        if millis.is_multiple_of(50) {
            self.report();
        }
        while let Some((at, _)) = self.feedback.front()
            && *at <= self.now
        {
            let (_, packets) = self.feedback.pop_front().unwrap();
            self.estimator.on_feedback(now, &packets);
        }
        if self.estimator.poll_timeout().is_some_and(|at| at <= now) {
            self.estimator.handle_timeout(now);
        }
    }

    fn encode(&mut self, now: Instant, target: Bitrate) {
        self.adapter.on_estimate(&self.peer, target, self.estimator.loss());
        let video = self.adapter.targets(now).video.map_or(Bitrate::ZERO, |video| video.bitrate);
        let spread = 0.7 + 0.6 * self.random();
        let mut bytes = (video.as_bps() as f64 * 0.033 / 8.0 * spread) as usize;
        while bytes > 0 {
            let size = bytes.min(1_200);
            bytes -= size;
            self.pacer.enqueue(now, Priority::Camera, size + 40, size + 40).unwrap();
        }
    }

    fn send(&mut self, now: Instant, size: usize) {
        self.estimator.on_sent(now, size);
        let at = self.now.as_secs_f64();
        let waits = (self.busy_until - at).max(0.0);
        self.longest_queue = self.longest_queue.max(Duration::from_secs_f64(waits));
        let mut fate = PacketFate { sequence: 0, size, sent_at: now, arrived_at: None };
        let lost = waits > self.buffer.as_secs_f64() || self.random() < self.loss;
        if !lost {
            self.busy_until = self.busy_until.max(at) + size as f64 * 8.0 / self.link.as_bps() as f64;
            let arrives = Duration::from_secs_f64(self.busy_until) + self.propagation;
            // The wire counts in 250 µs on a clock of its own.
            let ticks = (arrives.as_micros() / 250) as u64;
            fate.arrived_at = Some(Duration::from_micros(ticks * 250) + Duration::from_secs(40_000));
            self.delivered_bits += size as f64 * 8.0;
            self.on_path.push_back((fate, arrives));
        } else {
            self.on_path.push_back((fate, Duration::ZERO));
        }
    }

    /// Feedback names packets up to the last that has arrived.
    fn report(&mut self) {
        let last = self.on_path.iter().rposition(|(fate, at)| fate.arrived_at.is_some() && *at <= self.now);
        if let Some(last) = last {
            let packets = self.on_path.drain(..=last).map(|(fate, _)| fate).collect();
            self.feedback.push_back((self.now + self.propagation, packets));
        }
    }
}

impl Simulation {
    /// Puts a page of so many bytes in line; when the last of it has left.
    fn page(&mut self, bytes: usize) -> Duration {
        let (now, began) = (self.start + self.now, self.now);
        for _ in 0..bytes / 1_200 {
            self.pacer.enqueue(now, Priority::Screen, 1_240, 1_240).unwrap();
        }
        while !self.pacer.is_empty() {
            self.step();
        }
        self.now - began
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_good_link_gives_a_good_picture_within_three_seconds() {
    let mut call = Simulation::new(Bitrate::from_kbps(10_000));
    call.run(3.0);
    assert!(call.target() > 2.0, "{:.2}", call.target());
}

#[test]
fn the_target_follows_a_link_that_shrinks_and_grows() {
    let mut call = Simulation::new(Bitrate::from_kbps(2_000));
    call.run(5.0);
    let steady = call.run(10.0);
    assert!(mean(&steady) > 1.3 && mean(&steady) < 2.1, "{:.2}", mean(&steady));

    call.link = Bitrate::from_kbps(500);
    call.run(2.0);
    assert!(call.target() < 0.55, "two seconds later: {:.2}", call.target());
    call.run(3.0);
    call.longest_queue = Duration::ZERO;
    let small = call.run(15.0);
    assert!(mean(&small) > 0.33 && mean(&small) < 0.55, "{:.2}", mean(&small));
    assert!(call.longest_queue < Duration::from_millis(250), "{:?}", call.longest_queue);

    call.link = Bitrate::from_kbps(2_000);
    call.run(10.0);
    let again = call.run(5.0);
    assert!(mean(&again) > 1.2, "{:.2}", mean(&again));
}

#[test]
fn a_link_of_300_kilobit_from_the_start_is_found_within_two_seconds() {
    let mut call = Simulation::new(Bitrate::from_kbps(300));
    call.run(2.0);
    assert!(call.target() < 0.35, "{:.2}", call.target());
    call.run(3.0);
    let small = call.run(20.0);
    assert!(mean(&small) > 0.18 && mean(&small) < 0.33, "{:.2}", mean(&small));
}

#[test]
fn an_encoder_with_little_to_say_does_not_run_the_target_away() {
    let mut call = Simulation::new(Bitrate::from_kbps(2_000));
    call.adapter.set_cap(Some(Bitrate::from_kbps(400)));
    let targets = call.run(60.0);
    assert!(
        targets.iter().all(|target| *target <= 1.05),
        "{:.2}",
        targets.iter().copied().fold(0.0, f64::max)
    );
    call.adapter.set_cap(Some(Bitrate::from_kbps(20_000)));
    call.run(5.0);
    assert!(call.target() > 1.3, "it grows when there is something to say: {:.2}", call.target());
}

#[test]
fn an_encoder_that_falls_quiet_takes_the_target_back_to_the_start() {
    let mut call = Simulation::new(Bitrate::from_kbps(10_000));
    call.run(8.0);
    assert!(call.target() > 3.0);
    call.adapter.set_cap(Some(Bitrate::from_kbps(100)));
    call.run(15.0);
    assert!(call.target() <= 1.05, "{:.2}", call.target());
}

#[test]
fn a_page_waits_for_the_target_only_on_a_path_that_was_full_before() {
    let mut call = Simulation::new(Bitrate::from_kbps(10_000));
    call.adapter.set_cap(Some(Bitrate::from_kbps(10)));
    call.run(5.0);
    let page = call.page(70_000);
    println!("at {:.2} Mbit/s: {page:?}", call.target());
    assert!(page < Duration::from_millis(70), "{page:?}");
    call.link = Bitrate::from_kbps(400);
    call.adapter.set_cap(Some(Bitrate::from_kbps(20_000)));
    call.run(5.0);
    call.adapter.set_cap(Some(Bitrate::from_kbps(10)));
    call.link = Bitrate::from_kbps(10_000);
    call.run(2.0);
    let page = call.page(70_000);
    println!("at {:.2} Mbit/s: {page:?}", call.target());
    assert!(page > Duration::from_millis(300), "{page:?}");
}

#[test]
fn five_percent_of_random_loss_costs_less_than_two_fifths() {
    let mut call = Simulation::new(Bitrate::from_kbps(2_000));
    call.loss = 0.05;
    call.run(10.0);
    let (mut targets, mut losses) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        targets.extend(call.run(1.0));
        losses.push(f64::from(call.estimator.loss()));
    }
    assert!(mean(&targets) > 1.2, "{:.2}", mean(&targets));
    assert!((0.035..0.065).contains(&mean(&losses)), "{losses:?}");
}

#[test]
fn fifteen_percent_of_random_loss_does_not_end_in_the_cellar() {
    let mut call = Simulation::new(Bitrate::from_kbps(2_000));
    call.loss = 0.15;
    call.run(20.0);
    let targets = call.run(30.0);
    assert!(mean(&targets) > 0.5, "{:.2}", mean(&targets));
}

#[test]
fn a_path_that_drops_instead_of_queueing_is_not_overrun() {
    let mut call = Simulation::new(Bitrate::from_kbps(600));
    call.buffer = Duration::from_millis(15);
    call.run(5.0);
    let targets = call.run(20.0);
    assert!(mean(&targets) < 0.75 && mean(&targets) > 0.3, "{:.2}", mean(&targets));
}
