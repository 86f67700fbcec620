//! A WAV file in place of a speaker: what would have been heard, at the pace of real time.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hound::{SampleFormat, WavSpec, WavWriter};

use crate::clock;
use crate::media::beat::Beat;
use crate::media::frame::{BLOCK_SAMPLES, SAMPLE_RATE, StereoBlock};
use crate::media::{AudioSink, DeviceError};

/// Mixer to writing thread: 5 s of blocks. When the disk is slower than that, blocks are left out
/// and written as silence later, so that the file stays true in time.
const QUEUE: usize = 500;

/// Blocks between two updates of the header (1 s): if the process is killed, the file is valid up
/// to the last of them.
const FLUSH_EVERY: u32 = 100;

enum Item {
    Sound(Box<[[i16; 2]; BLOCK_SAMPLES]>),
    /// So many blocks did not fit into the queue.
    Gap(u32),
}

/// Writes 48 kHz stereo with 16 bits.
pub struct WavSink {
    name: String,
    beat: Beat,
    queue: Option<SyncSender<Item>>,
    left_out: u32,
    writer: Option<JoinHandle<Result<(), hound::Error>>>,
}

impl WavSink {
    /// Creates the file, or replaces it.
    ///
    /// # Errors
    /// [`DeviceError`] with the file's name.
    pub fn create(path: &Path) -> Result<Self, DeviceError> {
        let name = path.display().to_string();
        let spec = WavSpec {
            channels: 2,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let broken = |reason: String| DeviceError::Broken { device: name.clone(), reason };
        let mut file = WavWriter::create(path, spec).map_err(|error| broken(error.to_string()))?;
        file.flush().map_err(|error| broken(error.to_string()))?;
        let (queue, items) = sync_channel(QUEUE);
        let path = PathBuf::from(path);
        let writer = thread::Builder::new()
            .name("wav-out".to_owned())
            .spawn(move || {
                let written = write(file, &items);
                if let Err(error) = &written {
                    tracing::error!("cannot write {}: {error}", path.display());
                }
                written
            })
            .map_err(|error| broken(error.to_string()))?;
        let beat = Beat::new(clock::now());
        Ok(Self { name, beat, queue: Some(queue), left_out: 0, writer: Some(writer) })
    }

    fn send(&mut self, item: Item, blocks: u32) -> Result<(), DeviceError> {
        let Some(queue) = &self.queue else { return Ok(()) };
        match queue.try_send(item) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => self.left_out += blocks,
            Err(TrySendError::Disconnected(_)) => return Err(self.why_it_ended()),
        }
        Ok(())
    }

    fn why_it_ended(&mut self) -> DeviceError {
        let ended = self.writer.take().map(JoinHandle::join);
        let reason = match ended {
            Some(Ok(Err(error))) => error.to_string(),
            Some(Ok(Ok(())) | Err(_)) | None => "writing ended early".to_owned(),
        };
        DeviceError::Broken { device: self.name.clone(), reason }
    }
}

fn write(mut file: WavWriter<BufWriter<File>>, items: &Receiver<Item>) -> Result<(), hound::Error> {
    let mut since_flush = 0;
    for item in items {
        let blocks = match item {
            Item::Sound(samples) => {
                let mut block = file.get_i16_writer(2 * BLOCK_SAMPLES as u32);
                samples.as_flattened().iter().for_each(|&sample| block.write_sample(sample));
                block.flush()?;
                1
            }
            Item::Gap(blocks) => {
                for _ in 0..2 * u64::from(blocks) * BLOCK_SAMPLES as u64 {
                    file.write_sample(0i16)?;
                }
                blocks
            }
        };
        since_flush += blocks;
        if since_flush >= FLUSH_EVERY {
            file.flush()?;
            since_flush = 0;
        }
    }
    file.finalize()
}

impl AudioSink for WavSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn wait_wanted(&mut self, timeout: Duration) -> Result<bool, DeviceError> {
        Ok(self.beat.wait(timeout).is_some())
    }

    fn play(&mut self, block: &StereoBlock) -> Result<(), DeviceError> {
        if self.left_out > 0 {
            let blocks = std::mem::take(&mut self.left_out);
            self.send(Item::Gap(blocks), blocks)?;
        }
        let coarse = |s: f32| (s * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16;
        let samples = block.samples.map(|sample| sample.map(coarse));
        self.send(Item::Sound(Box::new(samples)), 1)
    }

    fn latency(&self) -> Duration {
        Duration::ZERO
    }
}

impl Drop for WavSink {
    fn drop(&mut self) {
        // Closing the queue lets the writer finish the file.
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::AudioBlock;
    use crate::media::source::wav::read_mono;
    use crate::media::test_signal::{snr_of_tone, tone};

    fn play(sink: &mut WavSink, samples: &[f32]) {
        for block in samples.as_chunks::<BLOCK_SAMPLES>().0 {
            let block = AudioBlock { samples: *block, captured_at: clock::now() };
            sink.play(&block.into()).unwrap();
        }
    }

    #[test]
    fn what_was_played_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let mut sink = WavSink::create(&path).unwrap();
        play(&mut sink, &tone(440.0, 0.5, 48_000));
        drop(sink);
        let heard = read_mono(&path).unwrap();
        assert_eq!(heard.len(), 48_000);
        assert!(snr_of_tone(&heard, 440.0) > 70.0);
    }

    #[test]
    fn the_file_is_valid_while_it_is_being_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.wav");
        let mut sink = WavSink::create(&path).unwrap();
        play(&mut sink, &tone(440.0, 0.5, 2 * 48_000 + 4_800));
        // The writer is a thread of its own: it gets there, and what it has left so far is valid at any time.
        let full = || std::fs::metadata(&path).unwrap().len() >= 2 * 48_000 * 4;
        while !full() {
            thread::yield_now();
        }
        assert!(hound::WavReader::open(&path).is_ok());
        drop(sink);
        assert_eq!(read_mono(&path).unwrap().len(), 2 * 48_000 + 4_800);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let error = WavSink::create(Path::new("/nonexistent/out.wav")).err().unwrap().to_string();
        assert!(error.contains("/nonexistent/out.wav"), "{error}");
    }
}
