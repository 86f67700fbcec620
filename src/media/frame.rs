//! Raw media as it passes between sources, codecs and sinks.

use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use crate::units::Resolution;

/// One picture in planar YUV 4:2:0, BT.601 limited range (what VP8 carries by definition).
///
/// Cheap to clone: the planes are shared. They go back to the pool when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct VideoFrame {
    planes: Arc<Planes>,
    /// When the source handed the picture over (monotonic clock); for a received frame, when it
    /// was decoded.
    pub captured_at: Instant,
}

impl VideoFrame {
    /// Wraps filled planes.
    pub fn new(planes: Planes, captured_at: Instant) -> Self {
        Self { planes: Arc::new(planes), captured_at }
    }

    /// The same picture, seen again at another time.
    pub fn seen_at(self, captured_at: Instant) -> Self {
        Self { captured_at, ..self }
    }

    /// Width and height of the luma plane.
    pub fn resolution(&self) -> Resolution {
        self.planes.resolution
    }

    /// Luma, `height` rows of `y_stride()` bytes.
    pub fn y(&self) -> &[u8] {
        self.planes.y()
    }

    /// Blue difference, half size (rounded up) both ways.
    pub fn u(&self) -> &[u8] {
        self.planes.u()
    }

    /// Red difference, half size (rounded up) both ways.
    pub fn v(&self) -> &[u8] {
        self.planes.v()
    }

    /// Bytes from one luma row to the next.
    pub fn y_stride(&self) -> usize {
        self.planes.resolution.width as usize
    }

    /// Bytes from one chroma row to the next.
    pub fn uv_stride(&self) -> usize {
        self.planes.resolution.width.div_ceil(2) as usize
    }

    /// Whether both are the same picture (the same memory), which says that nothing new is there.
    pub fn is_same_picture(&self, other: &VideoFrame) -> bool {
        Arc::ptr_eq(&self.planes, &other.planes)
    }
}

/// The three planes of one picture, tightly packed one after the other: Y, U, V.
#[derive(Debug)]
pub struct Planes {
    resolution: Resolution,
    data: Vec<u8>,
    home: Weak<Mutex<Vec<Vec<u8>>>>,
}

impl Planes {
    fn luma_len(resolution: Resolution) -> usize {
        resolution.width as usize * resolution.height as usize
    }

    fn chroma_len(resolution: Resolution) -> usize {
        resolution.width.div_ceil(2) as usize * resolution.height.div_ceil(2) as usize
    }

    /// Bytes that one picture of this size takes.
    pub fn len_of(resolution: Resolution) -> usize {
        Self::luma_len(resolution) + 2 * Self::chroma_len(resolution)
    }

    /// Width and height of the luma plane.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// The whole picture: Y, then U, then V.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Luma.
    pub fn y(&self) -> &[u8] {
        &self.data[..Self::luma_len(self.resolution)]
    }

    /// Blue difference.
    pub fn u(&self) -> &[u8] {
        let start = Self::luma_len(self.resolution);
        &self.data[start..start + Self::chroma_len(self.resolution)]
    }

    /// Red difference.
    pub fn v(&self) -> &[u8] {
        &self.data[Self::luma_len(self.resolution) + Self::chroma_len(self.resolution)..]
    }

    /// All three planes for writing, as (Y, U, V).
    pub fn planes_mut(&mut self) -> (&mut [u8], &mut [u8], &mut [u8]) {
        let (y, chroma) = self.data.split_at_mut(Self::luma_len(self.resolution));
        let (u, v) = chroma.split_at_mut(Self::chroma_len(self.resolution));
        (y, u, v)
    }
}

impl Drop for Planes {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        let Ok(mut spare) = home.lock() else { return };
        if spare.len() < FramePool::SPARE {
            spare.push(std::mem::take(&mut self.data));
        }
    }
}

/// Hands out picture buffers and takes them back, so that a running call allocates none.
#[derive(Clone, Debug, Default)]
pub struct FramePool {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FramePool {
    /// Buffers kept for reuse. A track has at most four pictures alive: captured, in the encoder
    /// or decoder, in the slot, and on the screen.
    const SPARE: usize = 4;

    /// A pool of its own for one track.
    pub fn new() -> Self {
        Self::default()
    }

    /// A buffer for one picture. Its content is whatever was there before.
    pub fn take(&self, resolution: Resolution) -> Planes {
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.pop());
        let mut data = spare.unwrap_or_default();
        data.resize(Planes::len_of(resolution), 0);
        Planes { resolution, data, home: Arc::downgrade(&self.spare) }
    }
}

/// Samples in one [`AudioBlock`] or [`StereoBlock`]: 10 ms at 48 kHz.
pub const BLOCK_SAMPLES: usize = 480;

/// The sample rate of everything inside the application, in Hz.
pub const SAMPLE_RATE: u32 = 48_000;

/// 10 ms of mono sound at 48 kHz, samples in -1.0 to 1.0.
#[derive(Clone, Copy, Debug)]
pub struct AudioBlock {
    /// The samples.
    pub samples: [f32; BLOCK_SAMPLES],
    /// When the first sample was captured, or is to be played (monotonic clock).
    pub captured_at: Instant,
}

impl AudioBlock {
    /// 10 ms of silence.
    pub fn silence(captured_at: Instant) -> Self {
        Self { samples: [0.0; BLOCK_SAMPLES], captured_at }
    }

    /// Root mean square of the samples, 0.0 to 1.0.
    pub fn level(&self) -> f32 {
        let sum: f32 = self.samples.iter().map(|s| s * s).sum();
        (sum / BLOCK_SAMPLES as f32).sqrt()
    }
}

/// One moment of stereo: left, right.
pub type Stereo = [f32; 2];

/// Both channels as one.
pub fn mono(sample: &Stereo) -> f32 {
    0.5 * (sample[0] + sample[1])
}

/// 10 ms of stereo at 48 kHz, samples in -1.0 to 1.0: what is played, and what others' programs play.
#[derive(Clone, Copy, Debug)]
pub struct StereoBlock {
    /// The samples.
    pub samples: [Stereo; BLOCK_SAMPLES],
    /// When the first sample was captured, or is to be played (monotonic clock).
    pub captured_at: Instant,
}

impl StereoBlock {
    /// 10 ms of silence.
    pub fn silence(captured_at: Instant) -> Self {
        Self { samples: [[0.0; 2]; BLOCK_SAMPLES], captured_at }
    }

    /// Both channels as one.
    pub fn mono(&self) -> [f32; BLOCK_SAMPLES] {
        self.samples.each_ref().map(mono)
    }

    /// Root mean square of all samples, 0.0 to 1.0.
    pub fn level(&self) -> f32 {
        level(&self.samples)
    }
}

/// Root mean square of all samples of both channels.
pub fn level(samples: &[Stereo]) -> f32 {
    let all = samples.as_flattened();
    let sum: f32 = all.iter().map(|s| s * s).sum();
    (sum / all.len().max(1) as f32).sqrt()
}

impl From<AudioBlock> for StereoBlock {
    /// The same on both sides.
    fn from(block: AudioBlock) -> Self {
        Self { samples: block.samples.map(|s| [s, s]), captured_at: block.captured_at }
    }
}
