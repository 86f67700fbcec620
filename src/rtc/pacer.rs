//! Spreads packets over time, so that a key frame does not flood the first queue on the path.
//!
//! A leaky bucket: every packet fills it, time empties it at [`PACE`] times the target rate, and a
//! packet may leave while the bucket holds less than [`BURST`]. Sound never waits; retransmissions
//! go before new pictures. The pacer is pure: it knows neither packets nor sockets nor a clock.
//!
//! ```text
//!  enqueue(now, priority, size, item) ──▶ [audio][retransmission][camera][screen] ──▶ poll(now) ──▶ item
//!                                                              next_deadline() ──▶ when to poll again
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::units::Bitrate;

/// How much faster than the target pictures leave, as libwebrtc does: the encoder overshoots for a
/// frame at a time, and waiting for it costs more delay than the short burst.
pub const PACE: f64 = 2.5;

/// What may leave in one go: short against the time a receiver can tell apart (bandwidth
/// estimation groups packets of 5 ms), long enough that a timer of 1 ms is no bottleneck.
pub const BURST: Duration = Duration::from_millis(4);

/// When more is queued than [`PACE`] carries away in this time, the pacer goes faster: a picture that
/// comes seconds late is worth nothing.
pub const MAX_WAIT: Duration = Duration::from_millis(1_000);

/// Packets waiting in all, towards the network; when full, [`Pacer::enqueue`] gives the item back
/// and the sender skips to its next key frame. 2048 packets are 2.4 MB, 10 s at 2 Mbit/s.
pub const CAPACITY: usize = 2_048;

/// Slower than this the pacer never goes, whatever the target: a call without an estimate must
/// still get its first key frame across.
const SLOWEST: Bitrate = Bitrate::from_kbps(100);

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Leaves at once and is charged to the others.
    Audio,
    /// Asked for again by the receiver, who cannot go on without it.
    Retransmission,
    /// New pictures of the camera. They are small when there is a screen beside them, so that faces go
    /// on moving while a page of text is on its way.
    Camera,
    /// New pictures of the screen.
    Screen,
}

/// The queue is full; the item comes back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

/// See the module.
#[derive(Debug)]
pub struct Pacer<T> {
    audio: VecDeque<Queued<T>>,
    retransmissions: VecDeque<Queued<T>>,
    camera: VecDeque<Queued<T>>,
    screen: VecDeque<Queued<T>>,
    /// Bits queued that are paced (all but audio).
    waiting: f64,
    /// Bits in the bucket at `updated`.
    level: f64,
    updated: Option<Instant>,
    target: Bitrate,
    waited: Duration,
}

#[derive(Debug)]
struct Queued<T> {
    bits: f64,
    since: Instant,
    item: T,
}

impl<T> Pacer<T> {
    /// An empty pacer for `target` bits per second.
    pub fn new(target: Bitrate) -> Self {
        Self {
            audio: VecDeque::new(),
            retransmissions: VecDeque::new(),
            camera: VecDeque::new(),
            screen: VecDeque::new(),
            waiting: 0.0,
            level: 0.0,
            updated: None,
            target,
            waited: Duration::ZERO,
        }
    }

    /// A new target, in force from `now` on.
    pub fn set_target(&mut self, now: Instant, target: Bitrate) {
        self.drain_to(now);
        self.target = target;
    }

    /// Puts `item`, which takes `size` bytes on the wire, in line.
    pub fn enqueue(&mut self, now: Instant, priority: Priority, size: usize, item: T) -> Result<(), Full<T>> {
        if self.len() >= CAPACITY {
            return Err(Full(item));
        }
        self.drain_to(now);
        let queued = Queued { bits: size as f64 * 8.0, since: now, item };
        if priority != Priority::Audio {
            self.waiting += queued.bits;
        }
        self.line(priority).push_back(queued);
        Ok(())
    }

    /// The next item that may leave at `now`. Call it until it gives nothing.
    pub fn poll(&mut self, now: Instant) -> Option<T> {
        self.drain_to(now);
        if let Some(queued) = self.audio.pop_front() {
            self.level += queued.bits;
            return Some(queued.item);
        }
        if self.level >= self.burst() {
            return None;
        }
        let paced = [&mut self.retransmissions, &mut self.camera, &mut self.screen];
        let queued = paced.into_iter().find_map(VecDeque::pop_front)?;
        self.level += queued.bits;
        self.waiting = (self.waiting - queued.bits).max(0.0);
        self.waited += now.saturating_duration_since(queued.since);
        Some(queued.item)
    }

    /// How long all pictures' packets that have left had waited, summed.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// When [`Pacer::poll`] has something again; `None` while nothing waits. An instant that has
    /// passed means at once.
    pub fn next_deadline(&self) -> Option<Instant> {
        let updated = self.updated?;
        if !self.audio.is_empty() {
            return Some(updated);
        }
        if self.is_empty() {
            return None;
        }
        if self.level < self.burst() {
            return Some(updated);
        }
        // Waiting for the empty bucket rather than for room in it gives one wake a burst instead
        // of one a packet.
        Some(updated + Duration::from_secs_f64(self.level / self.rate()))
    }

    /// How many packets wait.
    pub fn len(&self) -> usize {
        self.audio.len() + self.retransmissions.len() + self.camera.len() + self.screen.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long the last packet in line will wait.
    pub fn backlog(&self) -> Duration {
        Duration::from_secs_f64((self.level + self.waiting) / self.rate())
    }

    /// Forgets everything in a line, because the decoder over there can do nothing with it; says how
    /// many items there were.
    pub fn clear(&mut self, priority: Priority) -> usize {
        let line = std::mem::take(self.line(priority));
        if priority != Priority::Audio {
            let bits: f64 = line.iter().map(|queued| queued.bits).sum();
            self.waiting = (self.waiting - bits).max(0.0);
        }
        line.len()
    }

    fn line(&mut self, priority: Priority) -> &mut VecDeque<Queued<T>> {
        match priority {
            Priority::Audio => &mut self.audio,
            Priority::Retransmission => &mut self.retransmissions,
            Priority::Camera => &mut self.camera,
            Priority::Screen => &mut self.screen,
        }
    }

    /// Bits per second out of the bucket.
    fn rate(&self) -> f64 {
        let paced = self.target.max(SLOWEST).scaled(PACE).as_bps() as f64;
        paced.max(self.waiting / MAX_WAIT.as_secs_f64())
    }

    fn burst(&self) -> f64 {
        self.rate() * BURST.as_secs_f64()
    }

    fn drain_to(&mut self, now: Instant) {
        let elapsed = self.updated.map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        self.level = (self.level - self.rate() * elapsed.as_secs_f64()).max(0.0);
        self.updated = Some(self.updated.map_or(now, |then| then.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    /// Polls as a task would, sleeping until each deadline; gives every item with its time.
    fn run<T>(pacer: &mut Pacer<T>, start: Instant) -> Vec<(Duration, T)> {
        let mut now = start;
        let mut out = Vec::new();
        loop {
            while let Some(item) = pacer.poll(now) {
                out.push((now - start, item));
            }
            match pacer.next_deadline() {
                Some(at) => {
                    assert!(at > now, "a deadline that does not advance spins");
                    now = at;
                }
                None => return out,
            }
        }
    }

    #[test]
    fn a_key_frame_is_spread_at_two_and_a_half_times_the_target() {
        let start = start();
        let mut pacer = Pacer::new(Bitrate::from_kbps(1_000));
        for n in 0..50 {
            pacer.enqueue(start, Priority::Camera, 1_200, n).unwrap();
        }
        let sent = run(&mut pacer, start);
        assert_eq!(sent.iter().map(|(_, n)| *n).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
        let last = sent[49].0;
        assert_eq!(pacer.waited(), sent.iter().map(|(at, _)| *at).sum::<Duration>());
        let ideal = Duration::from_secs_f64(50.0 * 9_600.0 / 2_500_000.0);
        assert!(last < ideal && last > ideal - Duration::from_millis(12), "{last:?}, ideally {ideal:?}");
    }

    #[test]
    fn nothing_leaves_in_larger_bursts_than_a_few_milliseconds_of_the_rate() {
        let start = start();
        let mut pacer = Pacer::new(Bitrate::from_kbps(2_000));
        for n in 0..100 {
            pacer.enqueue(start, Priority::Camera, 1_200, n).unwrap();
        }
        let sent = run(&mut pacer, start);
        for (at, _) in &sent {
            let together = sent.iter().filter(|(other, _)| other == at).count();
            assert!(together <= 3, "{together} packets at {at:?}");
        }
    }

    #[test]
    fn sound_overtakes_everything_and_retransmissions_overtake_pictures() {
        let start = start();
        let mut pacer = Pacer::new(Bitrate::from_kbps(500));
        for n in 0..10 {
            pacer.enqueue(start, Priority::Camera, 1_200, ("video", n)).unwrap();
        }
        while pacer.poll(start).is_some() {}
        pacer.enqueue(start, Priority::Retransmission, 1_200, ("again", 0)).unwrap();
        pacer.enqueue(start, Priority::Audio, 200, ("audio", 0)).unwrap();
        assert_eq!(pacer.poll(start), Some(("audio", 0)), "although the bucket is full");
        assert_eq!(pacer.poll(start), None);
        assert_eq!(run(&mut pacer, start)[0].1, ("again", 0));
    }

    #[test]
    fn a_long_queue_speeds_the_pacer_up_beyond_a_tiny_target() {
        let start = start();
        let mut pacer = Pacer::new(Bitrate::ZERO);
        for n in 0..400 {
            pacer.enqueue(start, Priority::Camera, 1_200, n).unwrap();
        }
        assert!(pacer.backlog() <= MAX_WAIT);
        let sent = run(&mut pacer, start);
        // The rate falls with the queue, so the tail takes longer than the second of the front.
        assert!(sent[250].0 <= MAX_WAIT, "{:?}", sent[250].0);
    }

    #[test]
    fn a_higher_target_is_in_force_at_once() {
        let start = start();
        let mut pacer = Pacer::new(Bitrate::from_kbps(100));
        for n in 0..20 {
            pacer.enqueue(start, Priority::Camera, 1_200, n).unwrap();
        }
        while pacer.poll(start).is_some() {}
        let slow = pacer.next_deadline().unwrap();
        pacer.set_target(start, Bitrate::from_kbps(5_000));
        assert!(pacer.next_deadline().unwrap() - start < (slow - start) / 10);
    }

    #[test]
    fn a_full_queue_gives_the_item_back() {
        let start = start();
        let mut pacer = Pacer::new(Bitrate::from_kbps(1_000));
        for n in 0..CAPACITY {
            pacer.enqueue(start, Priority::Camera, 1_200, n).unwrap();
        }
        assert_eq!(pacer.enqueue(start, Priority::Camera, 1_200, 7), Err(Full(7)));
        assert_eq!(pacer.clear(Priority::Camera), CAPACITY);
        assert!(pacer.is_empty());
        assert_eq!(pacer.next_deadline(), None);
    }
}
