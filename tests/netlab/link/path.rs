//! One direction of an emulated link: what becomes of a packet, and when. It is told the time and does
//! no I/O of its own.
//!
//! ```text
//! push ─ outage? ─ loss? ─▶ queue (drop-tail, drained at `rate`) ─▶ line (`delay` + 0..`jitter`) ─▶ take
//! ```
//!
//! Packets never overtake each other, as on a real wire: jitter is a wait, not a shuffle.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::Serialize;

/// The largest packet that a TUN device without offloads hands over.
const MTU: usize = 1500;

/// Packets under way in one direction; the next one is dropped and counted as `overflow`. Enough for
/// 50 Mbit/s with a second of delay.
const UNDER_WAY: usize = 4096;

/// One packet, in memory that is used again.
pub struct Packet {
    pub bytes: Box<[u8; MTU]>,
    pub len: usize,
}

/// How one direction behaves; it may change at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Time from the end of the queue to the other side.
    pub delay: Duration,
    /// Up to so much is added to it, evenly distributed.
    pub jitter: Duration,
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// How many packets are lost in a row on average (Gilbert); 1: each by itself.
    pub burst: f64,
    /// Bits per second; 0: no limit.
    pub rate: u64,
    /// Bytes that may wait for their turn at that rate.
    pub queue: usize,
    /// Everything that arrives is lost.
    pub outage: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            rate: 0,
            queue: 64 * 1024,
            outage: false,
        }
    }
}

impl Settings {
    /// Sets one value from a word like `delay=20` (milliseconds, percent, kbit/s, bytes, on or off).
    pub fn set(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').ok_or_else(|| format!("{word}: expected KEY=VALUE"))?;
        let number = || match value.parse::<f64>() {
            Ok(number) if (0.0..=1e9).contains(&number) => Ok(number),
            _ => Err(format!("{word}: expected a number from 0 up")),
        };
        let milliseconds = || number().map(|ms| Duration::from_secs_f64(ms / 1e3));
        match key {
            "delay" => self.delay = milliseconds()?,
            "jitter" => self.jitter = milliseconds()?,
            "loss" => self.loss = number()?.min(100.0) / 100.0,
            "burst" => self.burst = number()?.max(1.0),
            "rate" => self.rate = (number()? * 1e3) as u64,
            "queue" => self.queue = number()? as usize,
            "outage" => self.outage = value == "on",
            _ => return Err(format!("{word}: unknown; delay, jitter, loss, burst, rate, queue, outage")),
        }
        Ok(())
    }
}

/// What became of the packets so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counters {
    /// Packets that arrived at the other side.
    pub passed: u64,
    /// Their bytes, IP headers included.
    pub bytes: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped because the queue was full.
    pub overflow: u64,
    /// Dropped during an outage.
    pub outage: u64,
    /// The most bytes that ever waited in the queue.
    pub deepest: usize,
}

/// One direction.
pub struct Path {
    pub settings: Settings,
    pub counters: Counters,
    chance: Chance,
    in_burst: bool,
    queue: VecDeque<(Instant, Packet)>,
    queued: usize,
    /// When the last packet had left the queue.
    sent: Option<Instant>,
    line: VecDeque<(Instant, Packet)>,
    spare: Vec<Packet>,
}

impl Path {
    pub fn new(seed: u64) -> Self {
        Self {
            settings: Settings::default(),
            counters: Counters::default(),
            chance: Chance(seed),
            in_burst: false,
            queue: VecDeque::new(),
            queued: 0,
            sent: None,
            line: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Memory for the next packet.
    pub fn spare(&mut self) -> Packet {
        self.spare.pop().unwrap_or_else(|| Packet { bytes: Box::new([0; MTU]), len: 0 })
    }

    /// Gives memory back.
    pub fn recycle(&mut self, packets: impl IntoIterator<Item = Packet>) {
        self.spare.extend(packets);
    }

    /// Whether nothing is under way, so that nobody waits for a time.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.line.is_empty()
    }

    /// A packet arrives at this side.
    pub fn push(&mut self, packet: Packet, now: Instant) {
        let settings = &self.settings;
        let full = settings.rate > 0 && self.queued + packet.len > settings.queue;
        let dropped = if settings.outage {
            &mut self.counters.outage
        } else if self.is_lost() {
            &mut self.counters.lost
        } else if full || self.queue.len() + self.line.len() >= UNDER_WAY {
            &mut self.counters.overflow
        } else {
            self.queued += packet.len;
            self.counters.deepest = self.counters.deepest.max(self.queued);
            self.queue.push_back((now, packet));
            return;
        };
        *dropped += 1;
        self.spare.push(packet);
    }

    fn is_lost(&mut self) -> bool {
        let Settings { loss, burst, .. } = self.settings;
        if burst <= 1.0 || loss >= 1.0 {
            return self.chance.next() < loss;
        }
        // Two states with these chances of a change have the wanted share and mean length.
        let (end, begin) = (1.0 / burst, loss / (burst * (1.0 - loss)));
        self.in_burst = self.chance.next() < if self.in_burst { 1.0 - end } else { begin };
        self.in_burst
    }

    /// Moves what has arrived by `now` into `arrived`, and says when to ask again.
    pub fn take(&mut self, now: Instant, arrived: &mut Vec<Packet>) -> Option<Instant> {
        let mut next = None;
        while let Some((came, packet)) = self.queue.front() {
            let begins = self.sent.map_or(*came, |sent| sent.max(*came));
            let ends = begins + self.time_to_send(packet.len);
            if ends > now {
                next = Some(ends);
                break;
            }
            let Some((_, packet)) = self.queue.pop_front() else { break };
            self.sent = Some(ends);
            self.queued -= packet.len;
            let wait = self.settings.delay + self.settings.jitter.mul_f64(self.chance.next());
            let after = self.line.back().map_or(ends, |(last, _)| *last);
            self.line.push_back(((ends + wait).max(after), packet));
        }
        while let Some((due, _)) = self.line.front() {
            if *due > now {
                next = Some(next.map_or(*due, |other: Instant| other.min(*due)));
                break;
            }
            let Some((_, packet)) = self.line.pop_front() else { break };
            self.counters.passed += 1;
            self.counters.bytes += packet.len as u64;
            arrived.push(packet);
        }
        next
    }

    fn time_to_send(&self, bytes: usize) -> Duration {
        match self.settings.rate {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64),
        }
    }
}

/// Evenly distributed numbers from 0 up to 1 (the SplitMix64 sequence), the same for the same seed.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn path(words: &str) -> Path {
        let mut path = Path::new(7);
        for word in words.split_whitespace() {
            path.settings.set(word).unwrap();
        }
        path
    }

    fn push(path: &mut Path, now: Instant, len: usize) {
        let packet = Packet { len, ..path.spare() };
        path.push(packet, now);
    }

    /// When each packet arrives, in milliseconds after the first was pushed.
    fn arrivals(path: &mut Path, began: Instant) -> Vec<f64> {
        let (mut times, mut now) = (Vec::new(), began);
        loop {
            let mut arrived = Vec::new();
            let next = path.take(now, &mut arrived);
            times.extend(arrived.iter().map(|_| (now - began).as_secs_f64() * 1e3));
            let Some(next) = next else { return times };
            now = next;
        }
    }

    #[test]
    fn a_packet_arrives_after_the_delay() {
        let (mut path, began) = (path("delay=20"), sightline::clock::now());
        push(&mut path, began, 100);
        let mut arrived = Vec::new();
        assert_eq!(path.take(began + MS, &mut arrived), Some(began + 20 * MS));
        assert_eq!(path.take(began + 20 * MS, &mut arrived), None);
        assert_eq!(arrived.len(), 1);
    }

    #[test]
    fn a_limited_rate_spaces_packets_and_the_full_queue_drops_the_newest() {
        // 1000 bytes at 1 Mbit/s take 8 ms; three fit.
        let (mut path, began) = (path("rate=1000 queue=3000 delay=5"), sightline::clock::now());
        for _ in 0..5 {
            push(&mut path, began, 1000);
        }
        assert_eq!(arrivals(&mut path, began), [13.0, 21.0, 29.0]);
        assert_eq!((path.counters.passed, path.counters.overflow, path.counters.deepest), (3, 2, 3000));
    }

    #[test]
    fn jitter_delays_but_never_reorders() {
        let (mut path, began) = (path("delay=10 jitter=30"), sightline::clock::now());
        for number in 0..200 {
            let packet = Packet { len: number + 1, ..path.spare() };
            path.push(packet, began + (number as u32) * MS);
        }
        let (mut arrived, mut now) = (Vec::new(), began);
        while let Some(next) = path.take(now, &mut arrived) {
            now = next;
        }
        let order: Vec<usize> = arrived.iter().map(|packet| packet.len).collect();
        assert_eq!(order, (1..=200).collect::<Vec<_>>());
        assert!((209..=239).contains(&(now - began).as_millis()), "{:?}", now - began);
    }

    #[test]
    fn losses_have_the_wanted_share_and_length() {
        for (words, length) in [("loss=5", 1.05), ("loss=5 burst=8", 8.0)] {
            let mut path = path(words);
            let lost: Vec<bool> = (0..200_000).map(|_| path.is_lost()).collect();
            let share = lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
            let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
            let mean = share * lost.len() as f64 / bursts;
            assert!((share - 0.05).abs() < 0.005, "{words}: {share}");
            assert!((mean / length - 1.0).abs() < 0.1, "{words}: bursts of {mean}");
        }
    }

    #[test]
    fn during_an_outage_everything_is_lost_and_counted() {
        let (mut path, began) = (path("outage=on"), sightline::clock::now());
        push(&mut path, began, 100);
        assert_eq!((arrivals(&mut path, began).len(), path.counters.outage), (0, 1));
        path.settings.set("outage=off").unwrap();
        push(&mut path, began, 100);
        assert_eq!(arrivals(&mut path, began).len(), 1);
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for word in ["delay", "delay=x", "delay=-1", "colour=1", "loss=NaN"] {
            assert!(Settings::default().set(word).unwrap_err().contains(word));
        }
    }
}
