//! All participants' voices, the sound of their screens, ring tones and the speaker test as one stereo
//! stream of 10 ms blocks. A voice is in the middle.
//!
//! Knows neither the thread it runs on nor where the sound goes; time comes in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;

use crate::media::RemotePacket;
use crate::media::codec::opus::OpusError;
use crate::media::frame::{self, BLOCK_SAMPLES, Stereo, StereoBlock};
use crate::media::limiter::Limiter;
use crate::media::receive::audio_jitter::{AudioJitter, PlayoutPoint};
use crate::media::stats::AudioReceiveStats;
use crate::media::voice::{LevelMeter, VoiceActivity};

/// Most clips at once; the oldest ends when there are more.
const MAX_CLIPS: usize = 4;

/// Blocks between two updates of what is published about a track, except level and lamp.
const PUBLISH_EVERY: u32 = 10;

/// What others may know about a track while the mixer runs.
#[derive(Debug, Default)]
pub struct TrackReadings {
    level: AtomicU32,
    speaking: AtomicBool,
    slow: Mutex<SlowReadings>,
}

#[derive(Clone, Debug, Default)]
struct SlowReadings {
    stats: AudioReceiveStats,
    playout: Option<PlayoutPoint>,
    target: Duration,
}

impl TrackReadings {
    /// Level, 0.0 to 1.0.
    pub fn level(&self) -> f32 {
        f32::from_bits(self.level.load(Ordering::Relaxed))
    }

    /// Whether the participant speaks.
    pub fn speaking(&self) -> bool {
        self.speaking.load(Ordering::Relaxed)
    }

    /// What was counted, as of the last 100 ms.
    pub fn stats(&self) -> AudioReceiveStats {
        self.slow().stats.clone()
    }

    /// What left the jitter buffer last; `None` while nothing is played.
    pub fn playout(&self) -> Option<PlayoutPoint> {
        self.slow().playout
    }

    /// The delay that the jitter buffer aims at.
    pub fn target_delay(&self) -> Duration {
        self.slow().target
    }

    fn slow(&self) -> std::sync::MutexGuard<'_, SlowReadings> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Track {
    key: String,
    packets: Receiver<RemotePacket>,
    jitter: AudioJitter,
    voice: VoiceActivity,
    meter: LevelMeter,
    readings: Arc<TrackReadings>,
    announced: bool,
    blocks: u32,
}

impl Track {
    fn collect(&mut self) {
        while let Ok(packet) = self.packets.try_recv() {
            self.jitter.insert(packet);
        }
    }

    fn pull(&mut self, now: Instant, out: &mut [Stereo; BLOCK_SAMPLES]) {
        self.jitter.pull(now, out);
        let level = frame::level(out);
        self.meter.update(level);
        self.readings.level.store(self.meter.level.to_bits(), Ordering::Relaxed);
        self.readings.speaking.store(self.voice.update(level), Ordering::Relaxed);
        if self.blocks.is_multiple_of(PUBLISH_EVERY) {
            self.publish();
        }
        self.blocks = self.blocks.wrapping_add(1);
    }

    fn publish(&self) {
        let stats = AudioReceiveStats {
            audio_level: f64::from(self.meter.level),
            total_audio_energy: self.meter.energy,
            total_samples_duration: self.meter.duration,
            ..self.jitter.stats().clone()
        };
        *self.readings.slow() =
            SlowReadings { stats, playout: self.jitter.playout(), target: self.jitter.target() };
    }
}

struct Clip {
    samples: Arc<[f32]>,
    position: usize,
}

/// Mixes.
#[derive(Default)]
pub struct Mixer {
    tracks: Vec<Track>,
    clips: Vec<Clip>,
    limiter: Limiter,
}

impl Mixer {
    /// Nothing to mix yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a participant's voice, or the sound of a screen; one of the same name is replaced.
    pub fn add_track(
        &mut self,
        key: String,
        packets: Receiver<RemotePacket>,
        readings: Arc<TrackReadings>,
    ) -> Result<(), OpusError> {
        let jitter = AudioJitter::new()?;
        self.remove_track(&key);
        self.tracks.push(Track {
            key,
            packets,
            jitter,
            voice: VoiceActivity::default(),
            meter: LevelMeter::default(),
            readings,
            announced: false,
            blocks: 0,
        });
        Ok(())
    }

    /// Removes what was added under this name, if it is there.
    pub fn remove_track(&mut self, key: &str) {
        self.tracks.retain(|track| track.key != key);
    }

    /// Plays so much later than the network asks for, for lip sync.
    pub fn set_extra_delay(&mut self, key: &str, delay: Duration) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.key == key) {
            track.jitter.set_extra_delay(delay);
        }
    }

    /// Plays a clip (mono, 48 kHz) once, beside everything else.
    pub fn play_clip(&mut self, samples: Arc<[f32]>) {
        if self.clips.len() == MAX_CLIPS {
            self.clips.remove(0);
        }
        self.clips.push(Clip { samples, position: 0 });
    }

    /// Whether there is nothing to mix.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty() && self.clips.is_empty()
    }

    /// Ends all clips.
    pub fn stop_clips(&mut self) {
        self.clips.clear();
    }

    /// The next 10 ms, to be played at `now`. `first_sound` hears the name of each track whose
    /// first sound is inside.
    pub fn mix(&mut self, now: Instant, mut first_sound: impl FnMut(&str)) -> StereoBlock {
        let mut mixed = StereoBlock::silence(now);
        let mut sound = [[0.0; 2]; BLOCK_SAMPLES];
        for track in &mut self.tracks {
            track.collect();
            track.pull(now, &mut sound);
            for (sum, sample) in mixed.samples.as_flattened_mut().iter_mut().zip(sound.as_flattened()) {
                *sum += sample;
            }
            if !track.announced && track.jitter.heard() {
                track.announced = true;
                first_sound(&track.key);
            }
        }
        for clip in &mut self.clips {
            let rest = &clip.samples[clip.position..];
            for (sum, sample) in mixed.samples.iter_mut().zip(rest) {
                *sum = sum.map(|side| side + sample);
            }
            clip.position += rest.len().min(BLOCK_SAMPLES);
        }
        self.clips.retain(|clip| clip.position < clip.samples.len());
        self.limiter.apply(&mut mixed.samples);
        mixed
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::clock;
    use crate::media::codec::opus::{OpusEncoder, PACKET_SAMPLES};
    use crate::media::encoded::{Codec, TrackKind};
    use crate::media::test_signal::{left, rms, snr_of_tone, tone};

    /// A participant who says `samples`, all of it already on its way in real time.
    fn speaker(samples: &[f32], start: Instant) -> Vec<RemotePacket> {
        let mut encoder = OpusEncoder::new().unwrap();
        let packets = samples.as_chunks::<PACKET_SAMPLES>().0.iter().enumerate();
        packets
            .filter_map(|(n, block)| {
                Some(RemotePacket {
                    kind: TrackKind::Audio,
                    codec: Codec::Opus,
                    sequence: n as u16,
                    timestamp: (n * PACKET_SAMPLES) as u32,
                    marker: false,
                    ssrc: 1,
                    payload: encoder.encode(block).unwrap()?,
                    arrived_at: start + Duration::from_millis(20) * n as u32,
                })
            })
            .collect()
    }

    fn mix(
        mixer: &mut Mixer,
        start: Instant,
        voices: &[Vec<RemotePacket>],
        seconds: usize,
    ) -> (Vec<f32>, usize) {
        let mut inputs = Vec::new();
        for (n, _) in voices.iter().enumerate() {
            let (tx, rx) = channel(100);
            mixer.add_track(format!("p{n}"), rx, Arc::default()).unwrap();
            inputs.push(tx);
        }
        let (mut heard, mut firsts) = (Vec::new(), 0);
        let mut next = vec![0; voices.len()];
        for block in 0..seconds * 100 {
            let now = start + Duration::from_millis(10) * block as u32 + Duration::from_millis(3);
            for (n, voice) in voices.iter().enumerate() {
                while next[n] < voice.len() && voice[next[n]].arrived_at <= now {
                    inputs[n].try_send(voice[next[n]].clone()).unwrap();
                    next[n] += 1;
                }
            }
            heard.extend(left(&mixer.mix(now, |_| firsts += 1).samples));
        }
        (heard, firsts)
    }

    #[test]
    fn two_voices_are_heard_together_and_each_first_sound_is_told_once() {
        let start = clock::now();
        let voices =
            [speaker(&tone(440.0, 0.2, 3 * 48_000), start), speaker(&tone(1_000.0, 0.2, 3 * 48_000), start)];
        let (heard, firsts) = mix(&mut Mixer::new(), start, &voices, 2);
        assert_eq!(firsts, 2);
        let level = rms(&heard[48_000..]);
        assert!((0.17..0.23).contains(&level), "{level}");
        assert!(snr_of_tone(&heard[48_000..], 440.0) > -1.0);
        assert!(snr_of_tone(&heard[48_000..], 1_000.0) > -1.0);
    }

    #[test]
    fn a_crowd_does_not_overdrive_the_speaker() {
        let start = clock::now();
        let voices: Vec<_> =
            (0..4).map(|n| speaker(&tone(300.0 + 50.0 * n as f64, 0.8, 96_000), start)).collect();
        let (heard, _) = mix(&mut Mixer::new(), start, &voices, 2);
        assert!(heard.iter().all(|s| s.abs() <= 1.0));
        let clipped = heard[48_000..].iter().filter(|s| s.abs() > 0.99).count();
        assert!(clipped < 50, "{clipped} samples at full scale");
    }

    #[test]
    fn a_clip_plays_once_and_can_be_ended() {
        let mut mixer = Mixer::new();
        let now = clock::now();
        mixer.play_clip(tone(1_000.0, 0.5, 700).into());
        let first = mixer.mix(now, |_| ());
        let second = mixer.mix(now, |_| ());
        assert!(first.samples.iter().all(|[left, right]| left == right), "it is in the middle");
        let heard = left(&[first.samples, second.samples].concat());
        assert!(snr_of_tone(&heard[..700], 1_000.0) > 60.0);
        assert!(rms(&heard[700..]) == 0.0 && mixer.clips.is_empty());
        mixer.play_clip(tone(1_000.0, 0.5, 48_000).into());
        mixer.stop_clips();
        assert_eq!(mixer.mix(now, |_| ()).level(), 0.0);
    }
}
