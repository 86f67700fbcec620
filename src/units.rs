//! Quantities with their unit in the type, so that a bitrate is never mistaken for a byte count.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A data rate in bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bitrate(u64);

impl Bitrate {
    /// No data at all.
    pub const ZERO: Bitrate = Bitrate(0);

    /// `bps` bits per second.
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }

    /// `kbps` thousand bits per second.
    pub const fn from_kbps(kbps: u64) -> Self {
        Self(kbps * 1_000)
    }

    /// The rate at which `bytes` pass in `elapsed`; zero when no time passed.
    pub fn of(bytes: u64, elapsed: Duration) -> Self {
        if elapsed.is_zero() {
            return Self::ZERO;
        }
        Self((bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64)
    }

    /// Bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// Thousands of bits per second, rounded down.
    pub const fn as_kbps(self) -> u64 {
        self.0 / 1_000
    }

    /// This rate times a factor (negative factors give zero).
    pub fn scaled(self, factor: f64) -> Self {
        Self((self.0 as f64 * factor).max(0.0) as u64)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 1_000_000 {
            write!(f, "{:.2} Mbit/s", self.0 as f64 / 1e6)
        } else {
            write!(f, "{} kbit/s", self.0 / 1_000)
        }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resolution {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

impl Resolution {
    /// 1280x720, what a camera is asked for first.
    pub const HD: Resolution = Resolution::new(1280, 720);

    /// `width` x `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl std::str::FromStr for Resolution {
    type Err = String;

    /// Reads `WxH`, for example `1280x720`; both even and between 16 and 7680.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("\"{text}\" is not a size; write it as WIDTHxHEIGHT, for example 1280x720");
        let (width, height) = text.split_once('x').ok_or_else(bad)?;
        let width: u32 = width.parse().map_err(|_| bad())?;
        let height: u32 = height.parse().map_err(|_| bad())?;
        let fits = |n: u32| (16..=7680).contains(&n) && n.is_multiple_of(2);
        if fits(width) && fits(height) {
            Ok(Self { width, height })
        } else {
            Err(format!("the size {text} is out of range: both numbers must be even, from 16 to 7680"))
        }
    }
}

/// A point on a track's RTP time line, extended past the 32-bit wrap.
///
/// Ticks of `clock_rate` Hz: 90 000 for video, 48 000 for Opus (RFC 7587 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaTime {
    /// Ticks since an arbitrary zero.
    pub ticks: u64,
    /// Ticks per second.
    pub clock_rate: u32,
}

impl MediaTime {
    /// The RTP clock of every video codec we use.
    pub const VIDEO_CLOCK: u32 = 90_000;
    /// The RTP clock of Opus.
    pub const AUDIO_CLOCK: u32 = 48_000;

    /// The low 32 bits, as they stand in an RTP header.
    pub const fn rtp(self) -> u32 {
        self.ticks as u32
    }
}
