//! The picture of people without a camera: soft shapes of light that drift over a dusk gradient.
//!
//! Its top carries the [marker], so that every call between two patterns
//! measures its own delay. Everything in it is smooth, so it is computed at a sixteenth of the
//! size and enlarged, which costs less than a millisecond at 720p.

use std::time::Duration;

use super::pace::Pace;
use crate::media::frame::{FramePool, Planes, VideoFrame};
use crate::media::{DeviceError, VideoSource, marker};
use crate::units::Resolution;

/// Luma pixels from one computed point to the next.
const CELL: usize = 16;
/// One step of brightness in the computed points. With [`CELL`] times as much, 255 steps still fit
/// into 16 bits, which lets the compiler enlarge eight or sixteen pixels at once.
const ONE: f32 = 16.0;

/// The test pattern, 30 pictures a second.
#[derive(Debug)]
pub struct Pattern {
    resolution: Resolution,
    pace: Pace,
    pool: FramePool,
}

impl Pattern {
    /// A pattern of this size.
    pub fn new(resolution: Resolution) -> Self {
        Self { resolution, pace: Pace::new(30, 1), pool: FramePool::new() }
    }
}

impl VideoSource for Pattern {
    fn name(&self) -> &str {
        "Test pattern"
    }

    fn format(&self) -> (Resolution, f64) {
        (self.resolution, self.pace.fps())
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Option<VideoFrame>, DeviceError> {
        let Some(index) = self.pace.wait(timeout) else { return Ok(None) };
        let mut planes = self.pool.take(self.resolution);
        paint(&mut planes, self.pace.offset(index).as_secs_f64());
        marker::draw(&mut planes, index as u16);
        Ok(Some(VideoFrame::new(planes, crate::clock::now())))
    }
}

/// A shape of light: where it goes and what it does to the three planes.
struct Light {
    /// Centre at rest, in widths and heights of the picture.
    centre: (f32, f32),
    /// How far it wanders, in the same measures.
    reach: (f32, f32),
    /// Turns a second, across and down.
    pace: (f32, f32),
    /// Distance at which it has faded, in heights of the picture.
    radius: f32,
    /// What it adds to Y, U and V in its middle.
    glow: [f32; 3],
}

const LIGHTS: [Light; 4] = [
    // Peach.
    Light {
        centre: (0.30, 0.42),
        reach: (0.16, 0.14),
        pace: (0.050, 0.071),
        radius: 0.62,
        glow: [74.0, -20.0, 26.0],
    },
    // Turquoise.
    Light {
        centre: (0.72, 0.58),
        reach: (0.14, 0.16),
        pace: (0.061, 0.043),
        radius: 0.70,
        glow: [46.0, 12.0, -34.0],
    },
    // Rose.
    Light {
        centre: (0.55, 0.90),
        reach: (0.24, 0.10),
        pace: (0.037, 0.053),
        radius: 0.55,
        glow: [40.0, 6.0, 30.0],
    },
    // A small pale one in front, which moves visibly.
    Light {
        centre: (0.50, 0.50),
        reach: (0.34, 0.24),
        pace: (0.125, 0.083),
        radius: 0.20,
        glow: [62.0, -4.0, 2.0],
    },
];

/// Y, U and V of the gradient behind, at the top and at the bottom.
const SKY: ([f32; 3], [f32; 3]) = ([44.0, 150.0, 122.0], [78.0, 142.0, 138.0]);

/// Paints the whole picture as it looks `seconds` after the first.
pub fn paint(planes: &mut Planes, seconds: f64) {
    let resolution = planes.resolution();
    let columns = (resolution.width as usize).div_ceil(CELL) + 1;
    let rows = (resolution.height as usize).div_ceil(CELL) + 1;
    let points = points(resolution, columns, rows, seconds);
    let (width, half) = (resolution.width as usize, resolution.width.div_ceil(2) as usize);
    let (y, u, v) = planes.planes_mut();
    enlarge::<CELL>(&points[0], columns, y, width);
    enlarge::<{ CELL / 2 }>(&points[1], columns, u, half);
    enlarge::<{ CELL / 2 }>(&points[2], columns, v, half);
}

/// The three planes at every [`CELL`]th pixel, in steps of 1/16.
fn points(resolution: Resolution, columns: usize, rows: usize, seconds: f64) -> [Vec<u16>; 3] {
    let (width, height) = (resolution.width as f32, resolution.height as f32);
    let aspect = width / height;
    let lights = LIGHTS.map(|light| {
        let swing = |pace: f32| ((seconds * f64::from(pace)).fract() * std::f64::consts::TAU).sin() as f32;
        let x = (light.centre.0 + light.reach.0 * swing(light.pace.0)) * aspect;
        let y = light.centre.1 + light.reach.1 * swing(light.pace.1);
        (x, y, 1.0 / (light.radius * light.radius), light.glow)
    });
    let mut planes = [(); 3].map(|()| Vec::with_capacity(columns * rows));
    for row in 0..rows {
        let y = (row * CELL) as f32 / height;
        let sky: [f32; 3] = std::array::from_fn(|i| SKY.0[i] + (SKY.1[i] - SKY.0[i]) * y.min(1.0));
        for column in 0..columns {
            let x = (column * CELL) as f32 / height;
            let mut value = sky;
            for (cx, cy, sharpness, glow) in &lights {
                let distance = ((x - cx).powi(2) + (y - cy).powi(2)) * sharpness;
                let fade = (1.0 - distance).max(0.0);
                let fade = fade * fade;
                for (value, glow) in value.iter_mut().zip(glow) {
                    *value += glow * fade;
                }
            }
            for (plane, value) in planes.iter_mut().zip(value) {
                plane.push((value.clamp(16.0, 235.0) * ONE) as u16);
            }
        }
    }
    planes
}

/// `from` and `to`, weighted by the way between them; `steps` times as much. Nothing can wrap (see
/// [`ONE`]); saying so keeps checks out of the innermost loop.
fn mix(from: u16, to: u16, steps: u16, step: u16) -> u16 {
    from.wrapping_mul(steps.wrapping_sub(step)).wrapping_add(to.wrapping_mul(step))
}

/// Enlarges points to a plane, `STEP` pixels from point to point, with even transitions.
fn enlarge<const STEP: usize>(points: &[u16], columns: usize, plane: &mut [u8], width: usize) {
    let mut line = vec![0u16; columns];
    let shift = ONE.log2() as u32 + STEP.ilog2();
    // A fixed grain of less than a step hides the bands that 8 bits leave in a smooth gradient.
    let grain: [u16; CELL] = std::array::from_fn(|x| ((x as u16 * 99 + 5) % 128) << (shift - 7));
    for (row, target) in plane.chunks_exact_mut(width).enumerate() {
        let (above, below) = (row / STEP * columns, (row / STEP + 1) * columns);
        let weight = (row % STEP) as u16;
        let pairs = points[above..above + columns].iter().zip(&points[below..below + columns]);
        for (line, (above, below)) in line.iter_mut().zip(pairs) {
            *line = mix(*above, *below, STEP as u16, weight) / STEP as u16;
        }
        let offset = row * 5 % STEP;
        let grain: [u16; STEP] = std::array::from_fn(|x| grain[(x + offset) % STEP]);
        for (cell, target) in target.chunks_mut(STEP).enumerate() {
            let (left, right) = (line[cell], line[cell + 1]);
            let mut pixels = [0; STEP];
            for (x, pixel) in pixels.iter_mut().enumerate() {
                let value = mix(left, right, STEP as u16, x as u16).wrapping_add(grain[x]);
                *pixel = (value >> shift) as u8;
            }
            target.copy_from_slice(&pixels[..target.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(resolution: Resolution, seconds: f64) -> Planes {
        let mut planes = FramePool::new().take(resolution);
        paint(&mut planes, seconds);
        planes
    }

    #[test]
    fn any_size_is_painted_without_leaving_the_limited_range() {
        for (width, height) in [(16, 16), (17, 19), (640, 360), (1281, 721)] {
            let planes = picture(Resolution::new(width, height), 3.0);
            assert!(planes.y().iter().all(|y| (16..=236).contains(y)), "{width}x{height}");
            let chroma = planes.u().iter().chain(planes.v());
            assert!(chroma.into_iter().all(|c| (16..=240).contains(c)), "{width}x{height}");
        }
    }

    #[test]
    fn it_moves_gently() {
        let resolution = Resolution::new(640, 360);
        let (before, after) = (picture(resolution, 2.0), picture(resolution, 2.0 + 1.0 / 30.0));
        let differences = before.y().iter().zip(after.y()).map(|(a, b)| u32::from(a.abs_diff(*b)));
        let (changed, most) =
            differences.fold((0, 0), |(changed, most), d| (changed + u32::from(d > 0), d.max(most)));
        assert!(changed > 1_000, "{changed} pixels changed");
        assert!(most < 16, "a pixel changed by {most}");
    }

    #[test]
    fn numbers_follow_one_another() {
        let mut source = Pattern::new(Resolution::new(160, 90));
        let mut numbers = Vec::new();
        while numbers.len() < 3 {
            if let Some(frame) = source.next_frame(Duration::from_secs(1)).unwrap() {
                numbers.push(marker::read(&frame).unwrap());
            }
        }
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    }
}
