//! How an encoder is set up for what it shows: numbers only, no library.
//!
//! A camera's settings are libwebrtc's. A screen is another matter: still for long, then new all
//! over, and read rather than watched.

use crate::media::encoded::VideoCodec;
use crate::units::Resolution;

/// What the pictures show, which decides what gives way when bits are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Faces: quality gives way, slightly, everywhere.
    Camera,
    /// A screen that is read: pictures are left out before letters blur.
    Text,
    /// A screen that is watched: quality gives way before the motion stutters.
    Motion,
}

/// What an encoder is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuning {
    /// The bitstream.
    pub codec: VideoCodec,
    /// What it shows.
    pub content: Content,
}

/// Quantizers on libvpx's common scale of 0 (finest) to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantizers {
    /// Finer ones bring nothing.
    pub finest: u32,
    /// Coarser ones show nothing.
    pub coarsest: u32,
}

impl Quantizers {
    /// The nearest of them.
    pub fn within(self, quantizer: f64) -> u32 {
        quantizer.ceil().clamp(f64::from(self.finest), f64::from(self.coarsest)) as u32
    }
}

impl Tuning {
    /// The camera of every call.
    pub const CAMERA: Tuning = Tuning { codec: VideoCodec::Vp8, content: Content::Camera };

    /// What it may be quantized with.
    ///
    /// Text may not become coarser than what stays legible; what does not fit then costs pictures. Nor
    /// need it become finer than 45 to 51 dB (measured on pages of text), which nobody sees.
    /// VP9's scale is finer than VP8's at the same number.
    pub fn quantizers(self) -> Quantizers {
        let (finest, coarsest) = match (self.content, self.codec) {
            (Content::Camera, VideoCodec::Vp8) => (2, 56),
            (Content::Camera, VideoCodec::Vp9) => (2, 52),
            (Content::Text, VideoCodec::Vp8) => (12, 46),
            (Content::Text, VideoCodec::Vp9) => (16, 44),
            (Content::Motion, _) => (4, 56),
        };
        Quantizers { finest, coarsest }
    }

    /// How full the rate controller's buffer must be, in percent, for a picture not to be left out.
    /// Text has a control of its own (`adaptation::reading`), and nothing is left out.
    pub fn drop_threshold(self) -> u32 {
        match self.content {
            Content::Camera | Content::Motion => 30,
            Content::Text => 0,
        }
    }

    /// Speed on libvpx's scale of the codec: for VP8 fixed speeds are negative, and 0 to 15 follow
    /// libvpx's own clock, which a loaded computer upsets.
    pub fn speed(self, resolution: Resolution) -> i32 {
        match (self.codec, self.content) {
            // Below CIF there is time for better motion search (libwebrtc: at least -4).
            (VideoCodec::Vp8, Content::Camera) if resolution.pixels() < 352 * 288 => -4,
            (VideoCodec::Vp8, Content::Camera | Content::Text) => -6,
            (VideoCodec::Vp8, Content::Motion) => -10,
            (VideoCodec::Vp9, Content::Camera | Content::Text) => 7,
            (VideoCodec::Vp9, Content::Motion) => 8,
        }
    }

    /// Most bits a key frame may take, in percent of one picture's share of the bitrate.
    ///
    /// Half of the optimal buffer (600 ms), as in libwebrtc; 900 at 30 pictures a second. What a page of
    /// text may take is decided elsewhere: 0 is no limit.
    pub fn max_intra(self, fps: f64) -> i32 {
        match self.content {
            Content::Camera | Content::Motion => ((600.0 * 0.5 * fps / 10.0) as i32).max(300),
            Content::Text => 0,
        }
    }

    /// Threads: libwebrtc's choice. libvpx's row threads spin while they wait, so that fewer than
    /// three cores are worse off with two threads than with one.
    pub fn threads(self, resolution: Resolution, cores: usize) -> u32 {
        match resolution.pixels() {
            pixels if pixels >= 1920 * 1080 && cores > 8 => 8,
            pixels if pixels > 640 * 480 && cores >= 6 => 3,
            pixels if pixels > 640 * 480 && cores >= 3 => 2,
            _ => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_libwebrtcs_choice() {
        for (width, height, cores, expected) in [
            (640, 360, 16, 1),
            (1280, 720, 2, 1),
            (1280, 720, 3, 2),
            (1280, 720, 8, 3),
            (1920, 1080, 2, 1),
            (1920, 1080, 16, 8),
        ] {
            let threads = Tuning::CAMERA.threads(Resolution::new(width, height), cores);
            assert_eq!(threads, expected, "{width}x{height}, {cores} cores");
        }
    }
}
