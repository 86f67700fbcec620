//! Many channels to one, wherever the voice is: some devices have their microphone on one channel
//! only, and the mean of all would halve it or worse.

/// A channel this far below the loudest (20 dB, as a share of energy) carries no voice.
const SILENT: f32 = 0.01;

/// Share of new energy in the memory of a channel, for each block.
const LEARN: f32 = 0.05;

/// Mixes the channels that carry something.
#[derive(Clone, Debug)]
pub struct Downmix {
    energy: Vec<f32>,
    weights: Vec<f32>,
}

impl Downmix {
    /// For this many interleaved channels, at least one.
    pub fn new(channels: usize) -> Self {
        let channels = channels.max(1);
        Self { energy: vec![0.0; channels], weights: vec![1.0 / channels as f32; channels] }
    }

    /// Mixes one block of whole frames and appends it to `out`.
    pub fn mix(&mut self, interleaved: &[f32], out: &mut Vec<f32>) {
        let channels = self.energy.len();
        let frames = interleaved.len() / channels;
        if channels == 1 || frames == 0 {
            out.extend(interleaved);
            return;
        }
        for (channel, energy) in self.energy.iter_mut().enumerate() {
            let sum: f32 = interleaved.iter().skip(channel).step_by(channels).map(|s| s * s).sum();
            *energy += (sum / frames as f32 - *energy) * LEARN;
        }
        let loudest = self.energy.iter().fold(0.0f32, |max, &energy| max.max(energy));
        let carries = |energy: &f32| *energy >= loudest * SILENT;
        let active = self.energy.iter().filter(|energy| carries(energy)).count().max(1);
        let targets: Vec<f32> =
            self.energy.iter().map(|e| if carries(e) { 1.0 / active as f32 } else { 0.0 }).collect();
        for (n, frame) in interleaved.chunks_exact(channels).enumerate() {
            let along = n as f32 / frames as f32;
            let weigh =
                |(c, s): (usize, &f32)| s * (self.weights[c] + (targets[c] - self.weights[c]) * along);
            out.push(frame.iter().enumerate().map(weigh).sum());
        }
        self.weights = targets;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::test_signal::{Voice, rms};

    fn mix(left: &[f32], right: &[f32]) -> Vec<f32> {
        let interleaved: Vec<f32> = left.iter().zip(right).flat_map(|(l, r)| [*l, *r]).collect();
        let mut downmix = Downmix::new(2);
        let mut out = Vec::new();
        interleaved.chunks(960).for_each(|block| downmix.mix(block, &mut out));
        out
    }

    #[test]
    fn a_voice_on_one_channel_only_keeps_its_loudness() {
        let voice = Voice::new(1).take(48_000);
        let mixed = mix(&vec![0.0; 48_000], &voice);
        assert!(rms(&mixed[4_800..]) > 0.99 * rms(&voice[4_800..]));
    }

    #[test]
    fn the_same_voice_on_both_stays_as_it_is() {
        let voice = Voice::new(1).take(48_000);
        let mixed = mix(&voice, &voice);
        assert!(mixed.iter().zip(&voice).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}
