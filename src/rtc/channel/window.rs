//! How much of a file may be on its way, pure; time is given.
//!
//! Files are to take what media leaves. Two rules: while media has less than it needs, files go at a
//! rate that they are given ([`super::giving_way`]); otherwise the window follows the delay that the files themselves
//! cause, after LEDBAT (RFC 6817): it grows while a message comes back about as fast as on an empty
//! path, and shrinks as soon as it waits in a queue. We differ from the RFC: the delay is that of a
//! whole round trip, a queue of twice the target shrinks the window at once, and the first growth
//! is a slow start.

use std::time::{Duration, Instant};

use crate::units::Bitrate;

/// The queue that files may fill on a path: too short to be heard or seen.
const TARGET: Duration = Duration::from_millis(40);

/// What the window grows by in a round trip, and its least size: one piece of a file.
const STEP: f64 = 4_500.0;

/// A bandwidth-delay product of 80 Mbit/s and 100 ms.
const LARGEST: f64 = 1_000_000.0;

/// At the beginning.
const FIRST: f64 = 4.0 * STEP;

/// The shortest round trip is forgotten after one to two of these: the path may have changed.
const MEMORY: Duration = Duration::from_secs(30);

/// Under a cap: a message that leaves later than it might, because a timer was late, does not delay the next.
const LATE: Duration = Duration::from_millis(10);

/// How much of a file may be on its way.
#[derive(Debug)]
pub struct Window {
    size: f64,
    /// It has not been too large yet.
    fresh: bool,
    shortest: [Option<Duration>; 2],
    bucket: Option<Instant>,
    shrunk_at: Option<Instant>,
    cap: Option<Bitrate>,
    /// Under a cap: when the next message may leave.
    free_at: Option<Instant>,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: FIRST,
            fresh: true,
            shortest: [None; 2],
            bucket: None,
            shrunk_at: None,
            cap: None,
            free_at: None,
        }
    }
}

/// Whether a message may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Now.
    Now,
    /// Not before this.
    At(Instant),
    /// When something on its way has arrived.
    Later,
}

impl Window {
    /// Another connection carries from now on; its path is not known.
    pub fn moved(&mut self) {
        *self = Self { cap: self.cap, ..Self::default() };
    }

    /// Media has less than it needs: files go at this rate at most. `None`: it has enough.
    pub fn set_cap(&mut self, cap: Option<Bitrate>) {
        self.cap = cap;
        if cap.is_none() {
            self.free_at = None;
        }
    }

    /// Whether the next message may leave while `in_flight` bytes are on their way.
    pub fn admits(&self, in_flight: usize, now: Instant) -> Admission {
        if in_flight > 0 && in_flight as f64 + STEP > self.size {
            return Admission::Later;
        }
        match self.free_at {
            Some(at) if at > now => Admission::At(at),
            Some(_) | None => Admission::Now,
        }
    }

    /// A message of so many bytes leaves.
    pub fn on_sent(&mut self, bytes: usize, now: Instant) {
        if let Some(cap) = self.cap {
            let time = Duration::from_secs_f64(bytes as f64 * 8.0 / cap.as_bps().max(1) as f64);
            let earliest = now.checked_sub(LATE).unwrap_or(now);
            self.free_at = Some(self.free_at.map_or(now, |at| at.max(earliest)) + time);
        }
    }

    /// So many bytes arrived after a round trip, while `in_flight` were on their way.
    pub fn on_ack(&mut self, bytes: usize, round_trip: Duration, in_flight: usize, now: Instant) {
        if self.bucket.is_none_or(|since| now.saturating_duration_since(since) >= MEMORY) {
            self.bucket = Some(now);
            self.shortest = [None, self.shortest[0]];
        }
        self.shortest[0] = Some(self.shortest[0].map_or(round_trip, |shortest| shortest.min(round_trip)));
        let shortest = self.shortest.iter().flatten().min().copied().unwrap_or(round_trip);
        let queue = round_trip.saturating_sub(shortest);
        if queue > 2 * TARGET {
            self.fresh = false;
            if self.shrunk_at.is_none_or(|at| now.saturating_duration_since(at) >= round_trip) {
                self.shrunk_at = Some(now);
                self.size = (self.size * 0.6).max(STEP);
            }
            return;
        }
        let off_target = 1.0 - queue.as_secs_f64() / TARGET.as_secs_f64();
        let full = in_flight as f64 >= self.size / 2.0;
        if off_target < 0.5 {
            self.fresh = false;
        }
        let change = match self.fresh {
            true => bytes as f64,
            false => off_target * STEP * bytes as f64 / self.size,
        };
        if change < 0.0 || full {
            self.size = (self.size + change).clamp(STEP, LARGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    /// A bottleneck with a queue: how fast files go, and the longest delay they caused, after
    /// `seconds` beside media that takes `media` of its `capacity` (bits per second).
    fn run(window: &mut Window, capacity: f64, media: f64, seconds: f64) -> (f64, Duration) {
        let propagation = Duration::from_millis(20);
        let rate = (capacity - media) / 8.0;
        let begin = start();
        let (mut now, mut free_at, mut flying) = (begin, begin, std::collections::VecDeque::new());
        let (mut arrived, mut worst) = (0.0, Duration::ZERO);
        let mut in_flight = 0;
        while now < begin + Duration::from_secs_f64(seconds) {
            while window.admits(in_flight, now) == Admission::Now {
                free_at = free_at.max(now) + Duration::from_secs_f64(4_096.0 / rate);
                flying.push_back((now, free_at + propagation));
                window.on_sent(4_096, now);
                in_flight += 4_096;
            }
            let waits = match window.admits(in_flight, now) {
                Admission::At(at) => Some(at),
                Admission::Now | Admission::Later => None,
            };
            let back = flying.front().map(|(_, back)| *back);
            now = [waits, back].into_iter().flatten().min().unwrap();
            while let Some((sent, _)) = flying.pop_front_if(|(_, back)| *back <= now) {
                window.on_ack(4_096, now - sent, in_flight, now);
                in_flight -= 4_096;
                arrived += 4_096.0 * 8.0;
                if now > begin + Duration::from_secs(5) {
                    worst = worst.max(now - sent - propagation);
                }
            }
        }
        (arrived / seconds, worst)
    }

    #[test]
    fn files_fill_a_path_and_cause_little_delay() {
        for capacity in [5e6, 20e6, 80e6] {
            let (rate, delay) = run(&mut Window::default(), capacity, 2.5e6, 20.0);
            println!("{capacity}: {rate} bit/s, {delay:?}");
            assert!(rate > 0.75 * (capacity - 2.5e6), "{capacity}: {rate}");
            assert!(delay <= 3 * TARGET, "{capacity}: {delay:?}");
        }
    }

    #[test]
    fn files_get_out_of_the_way_when_the_path_becomes_slow() {
        let mut window = Window::default();
        run(&mut window, 50e6, 2e6, 10.0);
        let (_, delay) = run(&mut window, 4e6, 2e6, 20.0);
        assert!(delay <= 3 * TARGET, "{delay:?}");
    }

    #[test]
    fn while_media_has_too_little_files_go_at_the_rate_they_are_given() {
        let mut window = Window::default();
        window.set_cap(Some(Bitrate::from_kbps(128)));
        let (rate, _) = run(&mut window, 50e6, 2e6, 20.0);
        assert!((110e3..160e3).contains(&rate), "{rate}");
    }

    #[test]
    fn one_message_may_always_be_on_its_way() {
        let mut window = Window::default();
        window.on_ack(4_096, Duration::from_millis(20), 4_096, start());
        for n in 0..50 {
            let now = start() + Duration::from_secs(4) * n;
            window.on_ack(4_096, Duration::from_secs(3), 4_096, now);
            if n == 5 {
                assert_eq!(window.admits(STEP as usize, now), Admission::Later);
            }
        }
        assert_eq!(window.admits(0, start()), Admission::Now);
    }
}
