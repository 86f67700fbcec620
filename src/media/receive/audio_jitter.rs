//! The jitter buffer of one participant's voice, or of the sound of their screen: packets in, 10 ms of
//! stereo out whenever asked.
//!
//! ```text
//!            ┌ Idle: nothing has come ──▶ Waiting ◀── silence announced, or long nothing
//!  packets ▶ queue ───────────────────────▶ │ due
//!                                           ▼
//!                                        Playing ── missing? copy in the next packet (FEC),
//!                                           │       else a guess that fades (concealment)
//!                                           ▼
//!                                    shorten / lengthen towards the target delay ──▶ 10 ms
//! ```
//!
//! Delay is not judged by how much is buffered, which goes up and down with every packet, but by
//! the clock: how long after the earliest possible moment a sample is played. Pure: time comes in,
//! nothing waits. Differs from libwebrtc's NetEq in that, and in cutting only between its own
//! decoder's samples; the names of what is counted are W3C webrtc-stats.

mod delay;
mod queue;
mod stretch;

use std::time::{Duration, Instant};

use delay::DelayEstimator;
use queue::{Extender, Inserted, Place, Queue, Queued};
use stretch::Care;

use crate::media::RemotePacket;
use crate::media::codec::opus::{
    MAX_PACKET_SAMPLES, OpusDecoder, OpusError, PACKET_SAMPLES, has_fec, is_dtx, packet_samples,
};
use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE, Stereo};
use crate::media::stats::AudioReceiveStats;

const RATE: f64 = SAMPLE_RATE as f64;

const SILENT: Stereo = [0.0; 2];

/// Played samples kept as the pattern for lengthening.
const HISTORY: usize = stretch::MAX_PERIOD + BLOCK_SAMPLES;

/// The decoder's grain, 2.5 ms: concealment comes in multiples of it.
const GRAIN: i64 = 120;

/// Later than the target by this much: shorten (seconds).
const TOO_LATE: f64 = 0.015;

/// Earlier than the target by this much: lengthen (seconds).
const TOO_EARLY: f64 = 0.005;

/// Later than this (seconds): hurry, even if it can be heard a little.
const MUCH_TOO_LATE: f64 = 0.080;

/// Later than this (seconds), cutting takes too long: packets are skipped.
const HOPELESSLY_LATE: f64 = 0.300;

/// Blocks between two changes of length, at most one period each: a quarter faster or slower.
const STRETCH_PAUSE: u32 = 4;

/// Share of a new reading in the smoothed delay: 200 ms at 100 blocks a second.
const SMOOTHING: f64 = 0.05;

/// A guess is played in full for this long, then fades...
const FADE_START: usize = 80 * SAMPLE_RATE as usize / 1000;

/// ...and is silent after this long.
const FADE_END: usize = 240 * SAMPLE_RATE as usize / 1000;

/// After so much without a packet the next one is timed anew.
const GIVE_UP: usize = SAMPLE_RATE as usize;

/// Sound that begins after a cut or silence takes this long to full loudness.
const RAMP: usize = 240;

/// A capture time that jumps by more than this (seconds) is a new time line.
const TIME_JUMP: f64 = 2.0;

/// Loss above this share makes it worth waiting for the next packet's copy of the lost one.
const FEC_LOSS: f64 = 0.01;

/// What is played at a moment, for lip sync.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlayoutPoint {
    /// RTP timestamp of the next sample to leave the buffer.
    pub rtp: u32,
    /// When it leaves.
    pub at: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has come yet.
    Idle,
    /// The other side is silent, and may have said so; the next packet is played when it is due.
    Waiting { announced: bool },
    /// In the middle of sound.
    Playing,
}

/// The jitter buffer.
pub struct AudioJitter {
    decoder: OpusDecoder,
    extender: Extender,
    queue: Queue,
    delay: DelayEstimator,
    ssrc: Option<u32>,
    former_ssrc: Option<u32>,
    /// All times are counted from the first packet's arrival.
    epoch: Option<Instant>,
    phase: Phase,
    next_sequence: i64,
    next_timestamp: i64,
    last_samples: usize,
    last_was_dtx: bool,
    /// Samples made up since the queue ran dry, not yet set against a gap in the time stamps.
    starved: i64,
    /// Samples made up without a pause, for fading.
    made_up: usize,
    /// Played and unplayed sound; `position` is the first unplayed sample.
    sound: Vec<Stereo>,
    position: usize,
    /// Samples of the ramp still to come.
    ramp: usize,
    smoothed: Option<f64>,
    stretch_pause: u32,
    loss: f64,
    fec_seen: bool,
    extra: Duration,
    played: Option<PlayoutPoint>,
    heard: bool,
    stats: AudioReceiveStats,
    scratch: Box<[Stereo; MAX_PACKET_SAMPLES]>,
}

impl AudioJitter {
    /// An empty buffer.
    pub fn new() -> Result<Self, OpusError> {
        Ok(Self {
            decoder: OpusDecoder::new()?,
            extender: Extender::default(),
            queue: Queue::default(),
            delay: DelayEstimator::default(),
            ssrc: None,
            former_ssrc: None,
            epoch: None,
            phase: Phase::Idle,
            next_sequence: 0,
            next_timestamp: 0,
            last_samples: PACKET_SAMPLES,
            last_was_dtx: false,
            starved: 0,
            made_up: 0,
            sound: Vec::with_capacity(HISTORY * 2 + MAX_PACKET_SAMPLES),
            position: 0,
            ramp: RAMP,
            smoothed: None,
            stretch_pause: 0,
            loss: 0.0,
            fec_seen: false,
            extra: Duration::ZERO,
            played: None,
            heard: false,
            stats: AudioReceiveStats::default(),
            scratch: Box::new([SILENT; MAX_PACKET_SAMPLES]),
        })
    }

    /// Play so much later than the network asks for; lip sync wants it. At most one second counts.
    pub fn set_extra_delay(&mut self, extra: Duration) {
        self.extra = extra.min(Duration::from_secs(1));
    }

    /// The delay that is aimed at now.
    pub fn target(&self) -> Duration {
        self.network_target() + self.extra
    }

    /// Whether anything that arrived was played already.
    pub fn heard(&self) -> bool {
        self.heard
    }

    /// What was played last and when; `None` before the first sound, during silence, and while what is
    /// missing is made up.
    pub fn playout(&self) -> Option<PlayoutPoint> {
        self.played
    }

    /// What was counted so far.
    pub fn stats(&self) -> &AudioReceiveStats {
        &self.stats
    }

    fn network_target(&self) -> Duration {
        let target = self.delay.target();
        if self.fec_seen && self.loss > FEC_LOSS {
            let two_packets = 2.0 * self.last_samples as f64 / RATE;
            return target.max(Duration::from_secs_f64(two_packets + 0.005));
        }
        target
    }

    fn seconds(&self, at: Instant) -> f64 {
        self.epoch.map_or(0.0, |epoch| at.saturating_duration_since(epoch).as_secs_f64())
    }

    /// Takes a packet, in whatever order and however often it comes.
    pub fn insert(&mut self, packet: RemotePacket) {
        if self.ssrc != Some(packet.ssrc) {
            // Stragglers of the stream before do not begin it again.
            if self.former_ssrc == Some(packet.ssrc) && self.starved < GIVE_UP as i64 / 2 {
                self.stats.packets_discarded += 1;
                return;
            }
            self.former_ssrc = self.ssrc.replace(packet.ssrc);
            self.restart();
        }
        let samples = match packet_samples(&packet.payload) {
            Ok(samples) => samples,
            Err(error) => {
                self.stats.packets_invalid += 1;
                tracing::trace!("a packet of sound was not used: {error}");
                return;
            }
        };
        let place = match self.extender.place(packet.sequence, packet.timestamp) {
            Place::Restarted => {
                self.restart();
                self.extender.place(packet.sequence, packet.timestamp)
            }
            place @ (Place::At { .. } | Place::Suspicious) => place,
        };
        let Place::At { sequence, timestamp } = place else {
            self.stats.packets_discarded += 1;
            return;
        };
        self.epoch.get_or_insert(packet.arrived_at);
        let arrival = self.seconds(packet.arrived_at);
        let media = timestamp as f64 / RATE;
        if self.delay.base().is_some_and(|base| (arrival - media - base).abs() > TIME_JUMP) {
            self.forget_time();
        }
        self.delay.observe(media, arrival);
        if self.phase == Phase::Idle {
            self.phase = Phase::Waiting { announced: true };
        }
        if self.phase == Phase::Playing && sequence < self.next_sequence {
            self.stats.packets_discarded += 1;
            return;
        }
        self.fec_seen |= has_fec(&packet.payload);
        let queued =
            Queued { sequence, timestamp, samples, payload: packet.payload, arrived_at: packet.arrived_at };
        match self.queue.insert(queued) {
            Inserted::New => {}
            Inserted::Duplicate => self.stats.packets_duplicated += 1,
            Inserted::Displaced => self.stats.packets_discarded += 1,
        }
    }

    /// A new stream: everything that was learnt about the old one is void.
    fn restart(&mut self) {
        self.extender = Extender::default();
        self.forget_time();
        // A decoder that cannot be reset goes on with what it has heard, which is no harm.
        self.decoder.reset().ok();
        self.last_was_dtx = false;
        self.fec_seen = false;
        self.loss = 0.0;
    }

    /// The time line is void; what is in the queue belongs to the old one.
    fn forget_time(&mut self) {
        self.stats.packets_discarded += self.queue.clear() as u64;
        self.delay = DelayEstimator::default();
        self.smoothed = None;
        self.starved = 0;
        if self.phase == Phase::Playing {
            self.phase = Phase::Waiting { announced: false };
        }
    }

    /// The next 10 ms, played at `now`.
    pub fn pull(&mut self, now: Instant, out: &mut [Stereo; BLOCK_SAMPLES]) {
        if self.phase == Phase::Idle {
            out.fill(SILENT);
            return;
        }
        self.skip_if_hopeless(now);
        while self.pending() < BLOCK_SAMPLES {
            self.refill(now);
        }
        self.steer(now);
        while self.pending() < BLOCK_SAMPLES {
            self.refill(now);
        }
        self.remember(now);
        out.copy_from_slice(&self.sound[self.position..self.position + BLOCK_SAMPLES]);
        self.position += BLOCK_SAMPLES;
        if self.position > 2 * HISTORY {
            self.sound.drain(..self.position - HISTORY);
            self.position = HISTORY;
        }
        self.stats.total_samples_received += BLOCK_SAMPLES as u64;
    }

    fn pending(&self) -> usize {
        self.sound.len() - self.position
    }

    /// How long after its earliest moment the sound at `timestamp` would be played at `now`.
    fn delay_of(&self, timestamp: i64, now: Instant) -> Option<f64> {
        Some(self.seconds(now) - timestamp as f64 / RATE - self.delay.base()?)
    }

    /// The same for what is decoded next, which is played after what is pending.
    fn delay_now(&self, now: Instant) -> Option<f64> {
        Some(self.delay_of(self.next_timestamp, now)? + self.pending() as f64 / RATE)
    }

    fn remember(&mut self, now: Instant) {
        self.played = match self.phase {
            Phase::Playing if self.starved == 0 => {
                Some(PlayoutPoint { rtp: (self.next_timestamp - self.pending() as i64) as u32, at: now })
            }
            // What is made up has no place in time: it would look as if the sound came later and later.
            Phase::Playing | Phase::Idle | Phase::Waiting { .. } => None,
        };
    }

    /// Appends at least one grain of sound.
    fn refill(&mut self, now: Instant) {
        match self.phase {
            Phase::Idle => self.append_silence(BLOCK_SAMPLES),
            Phase::Waiting { announced } => self.wait(announced, now),
            Phase::Playing => self.play(now),
        }
    }

    fn wait(&mut self, announced: bool, now: Instant) {
        let target = self.target().as_secs_f64();
        let due = self.queue.first().is_some_and(|first| {
            let delay = self.delay_of(first.timestamp, now);
            // A time line that makes no sense must not keep sound back for ever.
            let overdue = self.seconds(now) - self.seconds(first.arrived_at) > target + 0.1;
            overdue || delay.is_none_or(|delay| delay + TOO_EARLY >= target)
        });
        if due && let Some(first) = self.queue.first() {
            self.next_sequence = first.sequence;
            self.next_timestamp = first.timestamp;
            self.phase = Phase::Playing;
            self.smoothed = None;
            self.starved = 0;
            self.play(now);
            return;
        }
        if announced && self.last_was_dtx {
            self.append_comfort_noise();
        } else {
            let concealed = !announced && self.heard;
            if concealed {
                self.stats.concealed_samples += BLOCK_SAMPLES as u64;
                self.stats.silent_concealed_samples += BLOCK_SAMPLES as u64;
            }
            self.append_silence(BLOCK_SAMPLES);
        }
    }

    fn play(&mut self, now: Instant) {
        while let Some(first) = self.queue.first() {
            let gap = first.timestamp - self.next_timestamp;
            if first.sequence < self.next_sequence || gap < 0 {
                self.queue.pop();
                self.stats.packets_discarded += 1;
                continue;
            }
            if gap == 0 {
                return self.play_first(now);
            }
            let lost = first.sequence - self.next_sequence;
            if gap > (lost + 1) * self.last_samples as i64 || lost == 0 {
                // More time than packets are missing: the other side was silent in between.
                self.phase = Phase::Waiting { announced: true };
                return self.wait(true, now);
            }
            return self.bridge(gap);
        }
        self.starve();
    }

    /// Decodes the packet whose time it is.
    fn play_first(&mut self, now: Instant) {
        let Some(packet) = self.queue.pop() else { return self.starve() };
        let lost = packet.sequence - self.next_sequence;
        self.learn_loss(lost);
        self.next_sequence = packet.sequence + 1;
        self.next_timestamp = packet.timestamp + packet.samples as i64;
        self.last_samples = packet.samples;
        self.last_was_dtx = is_dtx(&packet.payload);
        self.starved = 0;
        let waited = now.saturating_duration_since(packet.arrived_at).as_secs_f64();
        let waited = waited + self.pending() as f64 / RATE;
        match self.decoder.decode(&packet.payload, &mut self.scratch[..]) {
            Ok(samples) => {
                self.heard = true;
                self.count_emitted(samples, waited);
                self.append_decoded(samples);
            }
            Err(error) => {
                self.stats.packets_invalid += 1;
                tracing::trace!("a packet of sound was not used: {error}");
                self.make_up(packet.samples);
            }
        }
    }

    fn count_emitted(&mut self, samples: usize, waited: f64) {
        let count = samples as f64;
        self.stats.jitter_buffer_emitted_count += samples as u64;
        self.stats.jitter_buffer_delay += Duration::from_secs_f64(waited * count);
        self.stats.jitter_buffer_target_delay += self.target().mul_f64(count);
        self.stats.jitter_buffer_minimum_delay += self.network_target().mul_f64(count);
    }

    fn learn_loss(&mut self, lost: i64) {
        const SHARE: f64 = 0.02;
        for _ in 0..lost.clamp(0, 50) {
            self.loss += (1.0 - self.loss) * SHARE;
        }
        self.loss -= self.loss * SHARE;
    }

    /// Something is missing before the first packet in the queue.
    fn bridge(&mut self, gap: i64) {
        // What was made up while nothing was there has filled a part of the gap already.
        let filled = self.starved.min(gap);
        self.starved = 0;
        self.next_timestamp += filled;
        let gap = gap - filled;
        let Some(first) = self.queue.first() else { return };
        if gap < GRAIN {
            self.next_timestamp += gap;
            return;
        }
        let (samples, copy) = (first.samples as i64, has_fec(&first.payload));
        if gap == samples && copy && gap as usize <= MAX_PACKET_SAMPLES {
            let next = first.payload.clone();
            let samples = gap as usize;
            self.next_timestamp += gap;
            match self.decoder.decode_fec(&next, &mut self.scratch[..samples]) {
                Ok(()) => {
                    self.stats.fec_packets_received += 1;
                    self.append_decoded(samples);
                }
                Err(_) => self.make_up(samples),
            }
            return;
        }
        let piece = if gap > samples && copy { gap - samples } else { gap };
        let piece = piece.min(PACKET_SAMPLES as i64) / GRAIN * GRAIN;
        let piece = piece.max(GRAIN);
        self.next_timestamp += piece;
        self.make_up(piece as usize);
    }

    /// Nothing is there.
    fn starve(&mut self) {
        if self.last_was_dtx {
            self.phase = Phase::Waiting { announced: true };
            return self.append_comfort_noise();
        }
        if self.starved >= GIVE_UP as i64 {
            self.phase = Phase::Waiting { announced: false };
        }
        self.starved += BLOCK_SAMPLES as i64;
        self.make_up(BLOCK_SAMPLES);
    }

    /// Appends a guess of what is missing, fading with time.
    fn make_up(&mut self, samples: usize) {
        if self.made_up == 0 {
            self.stats.concealment_events += 1;
        }
        self.stats.concealed_samples += samples as u64;
        let from = self.made_up;
        self.made_up += samples;
        if from >= FADE_END || self.decoder.conceal(&mut self.scratch[..samples]).is_err() {
            self.stats.silent_concealed_samples += samples as u64;
            self.append_silence(samples);
            return;
        }
        let loudness = |n: usize| {
            let into = (from + n).saturating_sub(FADE_START) as f32;
            (1.0 - into / (FADE_END - FADE_START) as f32).max(0.0)
        };
        let guess = self.scratch[..samples].iter().enumerate().map(|(n, s)| s.map(|s| s * loudness(n)));
        self.sound.extend(guess);
        if self.made_up > FADE_START {
            self.ramp = RAMP;
        }
    }

    fn append_comfort_noise(&mut self) {
        match self.decoder.conceal(&mut self.scratch[..BLOCK_SAMPLES]) {
            Ok(()) => self.sound.extend_from_slice(&self.scratch[..BLOCK_SAMPLES]),
            Err(_) => self.append_silence(BLOCK_SAMPLES),
        }
    }

    fn append_silence(&mut self, samples: usize) {
        self.sound.resize(self.sound.len() + samples, SILENT);
        self.ramp = RAMP;
    }

    /// Appends what the decoder left in `scratch`.
    fn append_decoded(&mut self, samples: usize) {
        self.made_up = 0;
        let ramp = self.ramp.min(samples);
        for sample in &mut self.scratch[..ramp] {
            let loudness = 1.0 - self.ramp as f32 / RAMP as f32;
            *sample = sample.map(|s| s * loudness);
            self.ramp -= 1;
        }
        self.sound.extend_from_slice(&self.scratch[..samples]);
    }

    /// Moves the delay towards its target by making the sound a little shorter or longer.
    fn steer(&mut self, now: Instant) {
        if self.phase != Phase::Playing || self.starved > 0 || self.made_up > 0 {
            return;
        }
        let Some(delay) = self.delay_now(now) else { return };
        let smoothed = self.smoothed.map_or(delay, |old| old + (delay - old) * SMOOTHING);
        self.smoothed = Some(smoothed);
        if self.stretch_pause > 0 {
            self.stretch_pause -= 1;
            return;
        }
        let error = smoothed - self.target().as_secs_f64();
        let care = if error.abs() > MUCH_TOO_LATE { Care::Hasty } else { Care::Patient };
        let change = if error > TOO_LATE {
            self.decode_ahead(now);
            let removed = stretch::shorten(&mut self.sound, self.position, care);
            self.stats.removed_samples_for_acceleration += removed as u64;
            -(removed as i64)
        } else if error < -TOO_EARLY {
            let inserted = stretch::lengthen(&mut self.sound, self.position, care);
            self.stats.inserted_samples_for_deceleration += inserted as u64;
            inserted as i64
        } else {
            0
        };
        if change != 0 {
            self.smoothed = Some(smoothed + change as f64 / RATE);
            self.stretch_pause = STRETCH_PAUSE;
        }
    }

    /// Shortening needs two periods at hand.
    fn decode_ahead(&mut self, now: Instant) {
        let is_next = |first: &Queued, next: i64| first.timestamp == next;
        while self.pending() < 2 * stretch::MAX_PERIOD
            && self.queue.first().is_some_and(|first| is_next(first, self.next_timestamp))
        {
            self.play_first(now);
        }
    }

    /// After a stall everything comes at once: what is too late to be caught up with is skipped.
    fn skip_if_hopeless(&mut self, now: Instant) {
        if self.phase != Phase::Playing {
            return;
        }
        let target = self.target().as_secs_f64();
        let mut skipped = false;
        while let (Some(delay), Some(first)) = (self.delay_now(now), self.queue.first()) {
            let limit = if skipped { 0.0 } else { HOPELESSLY_LATE };
            if delay <= target + limit || first.timestamp < self.next_timestamp {
                break;
            }
            self.next_sequence = first.sequence + 1;
            self.next_timestamp = first.timestamp + first.samples as i64;
            self.queue.pop();
            self.stats.packets_discarded += 1;
            skipped = true;
        }
        if skipped {
            self.starved = 0;
            self.smoothed = None;
            self.fade_out_pending();
        }
    }

    /// What is left before a cut ends softly; what follows begins softly.
    fn fade_out_pending(&mut self) {
        let pending = &mut self.sound[self.position..];
        let len = pending.len();
        for (n, sample) in pending.iter_mut().enumerate() {
            let loudness = 1.0 - (n + 1) as f32 / len as f32;
            *sample = sample.map(|s| s * loudness);
        }
        self.ramp = RAMP;
    }
}

#[cfg(test)]
mod tests;
