//! Which of a camera's formats to use. Pure: it knows no device.

use crate::media::convert::PixelFormat;
use crate::units::Resolution;

/// One mode that a camera offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Size of the picture.
    pub resolution: Resolution,
    /// Pictures a second.
    pub fps: u32,
    /// How the pixels come.
    pub pixels: PixelFormat,
}

/// What a call wants: 1280x720 at 30 pictures a second.
const WANTED_FPS: f64 = 30.0;

/// Up to this size uncompressed pictures fit through USB 2 at full rate (640 x 480 x 2 bytes x 30
/// are 18 MB/s of about 40), and beyond it a camera that offers them usually slows down.
const RAW_PIXELS: u64 = 640 * 480;

/// The modes in the order in which to try them, best first; what cannot be true is left out.
///
/// Drivers may refuse a mode that they list, so the caller needs more than one.
pub fn ranked(modes: &[Mode]) -> Vec<Mode> {
    let mut ranked: Vec<Mode> = modes.iter().copied().filter(is_plausible).collect();
    ranked.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
    ranked.dedup();
    ranked
}

/// Some drivers report 30000/1001 pictures a second as 30000.
fn is_plausible(mode: &Mode) -> bool {
    let Resolution { width, height } = mode.resolution;
    (1..=240).contains(&mode.fps) && (16..=7680).contains(&width) && (16..=7680).contains(&height)
}

/// How far a mode is from what a call wants, in halvings and doublings.
fn cost(mode: &Mode) -> f64 {
    let size = (mode.resolution.pixels() as f64 / Resolution::HD.pixels() as f64).log2();
    let rate = (f64::from(mode.fps) / WANTED_FPS).log2();
    // A jerky picture is worse than a small one; one that is too fast costs a little to thin out.
    let rate_cost = if rate < 0.0 { -4.0 * rate } else { 0.5 * rate };
    // Pixels beyond the wanted size are captured, converted and thrown away.
    let size_cost = if size > 0.0 { 2.5 * size } else { -2.0 * size };
    let fits_raw = mode.resolution.pixels() <= RAW_PIXELS;
    let pixels_cost = match mode.pixels {
        PixelFormat::Nv12 if fits_raw => 0.0,
        PixelFormat::Yuyv if fits_raw => 0.01,
        PixelFormat::Mjpeg if fits_raw => 0.1,
        PixelFormat::Mjpeg => 0.0,
        PixelFormat::Nv12 => 0.1,
        PixelFormat::Yuyv => 0.11,
        PixelFormat::Rgb | PixelFormat::Bgra | PixelFormat::Rgba => 0.2,
    };
    // 16:9 before 4:3 where both are as far away.
    let wide = f64::from(mode.resolution.width) / f64::from(mode.resolution.height.max(1));
    let shape_cost = 0.3 * (wide / (16.0 / 9.0)).log2().abs();
    rate_cost + size_cost + pixels_cost + shape_cost
}

#[cfg(test)]
mod tests {
    use super::*;
    use PixelFormat::{Mjpeg, Nv12, Yuyv};

    fn mode(width: u32, height: u32, fps: u32, pixels: PixelFormat) -> Mode {
        Mode { resolution: Resolution::new(width, height), fps, pixels }
    }

    fn best(modes: &[Mode]) -> Option<Mode> {
        ranked(modes).first().copied()
    }

    #[test]
    fn an_ordinary_webcam_gives_720p30_as_mjpeg() {
        let modes = [
            mode(640, 480, 30, Yuyv),
            mode(1280, 720, 10, Yuyv),
            mode(1920, 1080, 5, Yuyv),
            mode(640, 480, 30, Mjpeg),
            mode(1280, 720, 30, Mjpeg),
            mode(1920, 1080, 30, Mjpeg),
        ];
        assert_eq!(best(&modes), Some(mode(1280, 720, 30, Mjpeg)));
    }

    #[test]
    fn a_camera_without_mjpeg_gives_a_smooth_small_picture_instead_of_a_jerky_large_one() {
        let modes = [mode(1280, 720, 10, Yuyv), mode(640, 480, 30, Yuyv), mode(320, 240, 30, Yuyv)];
        assert_eq!(best(&modes), Some(mode(640, 480, 30, Yuyv)));
    }

    #[test]
    fn small_pictures_come_uncompressed_and_large_ones_as_mjpeg() {
        let small = [mode(640, 480, 30, Mjpeg), mode(640, 480, 30, Yuyv), mode(640, 480, 30, Nv12)];
        assert_eq!(best(&small).map(|mode| mode.pixels), Some(Nv12));
        let large = [mode(1280, 720, 30, Yuyv), mode(1280, 720, 30, Mjpeg)];
        assert_eq!(best(&large).map(|mode| mode.pixels), Some(Mjpeg));
    }

    #[test]
    fn a_camera_with_one_mode_is_taken_as_it_is() {
        for only in [mode(160, 120, 5, Mjpeg), mode(3840, 2160, 60, Nv12), mode(720, 1280, 30, Yuyv)] {
            assert_eq!(best(&[only]), Some(only));
        }
    }

    #[test]
    fn tiny_and_smooth_loses_against_large_and_a_little_slow() {
        let modes = [mode(160, 120, 30, Yuyv), mode(1280, 720, 20, Mjpeg)];
        assert_eq!(best(&modes), Some(mode(1280, 720, 20, Mjpeg)));
    }

    #[test]
    fn modes_that_cannot_be_true_are_left_out() {
        let modes = [mode(1280, 720, 30_000, Mjpeg), mode(1280, 720, 0, Mjpeg), mode(0, 0, 30, Yuyv)];
        assert_eq!(ranked(&modes), []);
    }
}
