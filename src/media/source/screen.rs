//! The screen as a source of pictures: a monitor, a window, a part of the desktop, or whatever the
//! desktop's own dialog was told.
//!
//! ```text
//!  targets() ─▶ a person chooses ─▶ open() ─▶ next_frame(): only when something changed
//!                                        └─▶ ScreenEvent: resized, minimised, …
//! ```
//!
//! A picture comes only when something on it changed; an unchanged screen costs next to nothing. The
//! cursor is drawn in. This module knows no encoder and nobody who looks.

#[cfg_attr(
    not(all(feature = "devices", target_os = "linux")),
    allow(dead_code, reason = "no capture is built")
)]
mod canvas;
#[cfg_attr(
    not(all(feature = "devices", target_os = "linux")),
    allow(dead_code, reason = "no capture is built")
)]
mod cursor;
#[cfg(all(feature = "devices", target_os = "linux"))]
mod portal;
#[cfg_attr(
    not(all(feature = "devices", target_os = "linux")),
    allow(dead_code, reason = "no capture is built")
)]
mod rect;
#[cfg(all(feature = "devices", target_os = "linux"))]
pub(in crate::media) mod x11;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pattern::Pattern;
use crate::media::codec::tuning::Content;
use crate::media::frame::VideoFrame;
use crate::media::overlay::Veil;
use crate::media::{DeviceError, VideoSource};
use crate::units::Resolution;

pub use rect::Rect;

/// What a share is for, which decides how it is captured and encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ShareMode {
    /// To be read: full size, sharp before smooth.
    #[default]
    Text,
    /// To be watched: smooth before sharp.
    Motion,
}

#[cfg_attr(
    not(all(feature = "devices", target_os = "linux")),
    allow(dead_code, reason = "no capture is built")
)]
impl ShareMode {
    /// How its pictures are encoded.
    pub fn content(self) -> Content {
        match self {
            ShareMode::Text => Content::Text,
            ShareMode::Motion => Content::Motion,
        }
    }

    /// The least time from one picture to the next.
    fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.fps())
    }

    /// Most pictures a second.
    fn fps(self) -> f64 {
        match self {
            ShareMode::Text => 15.0,
            // Two cores cannot encode 60 a second of anything large.
            ShareMode::Motion if std::thread::available_parallelism().is_ok_and(|n| n.get() >= 4) => 60.0,
            ShareMode::Motion => 30.0,
        }
    }

    /// How often is looked whether something changed.
    fn look(self) -> Duration {
        self.interval().min(Duration::from_millis(33))
    }
}

/// What can be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScreenTarget {
    /// The monitor of this name.
    Monitor(String),
    /// A window, also while it is covered.
    Window {
        /// The window system's number.
        id: u32,
        /// Its title when it was chosen.
        title: String,
    },
    /// A part of the desktop, in its pixels.
    Region(Rect),
    /// Whatever the person chooses in the desktop's own dialog.
    Portal {
        /// The same as the last time, without the dialog, if the desktop remembers.
        again: bool,
    },
    /// The moving test pattern with the marker.
    Pattern(Resolution),
}

impl fmt::Display for ScreenTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScreenTarget::Monitor(name) => write!(f, "The monitor {name}"),
            ScreenTarget::Window { title, .. } => write!(f, "The window \"{title}\""),
            ScreenTarget::Region(_) => write!(f, "A part of the screen"),
            ScreenTarget::Portal { .. } => write!(f, "The screen"),
            ScreenTarget::Pattern(_) => write!(f, "Test pattern"),
        }
    }
}

/// One thing that can be shared, as a picker shows it.
#[derive(Clone, Debug)]
pub struct Listed {
    /// What to open.
    pub target: ScreenTarget,
    /// The name shown to people.
    pub name: String,
    /// Its size in pixels.
    pub resolution: Resolution,
    /// Where it is on the desktop, if the window system tells.
    pub place: Option<Rect>,
    /// How it looks now, small; `None` while it is minimised.
    pub thumbnail: Option<VideoFrame>,
}

/// What can be shared now.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Everything there is, monitors first. Ask again for newer thumbnails.
    List(Vec<Listed>),
    /// The desktop has a dialog of its own, and no other way: open [`ScreenTarget::Portal`].
    Portal,
}

/// What happens to what is shared while it goes on. Its end comes from
/// [`VideoSource::next_frame`], as an error that says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScreenEvent {
    /// It has another size now.
    Resized(Resolution),
    /// The window was minimised; until it is back there are no pictures.
    Minimised,
    /// The window is back.
    Restored,
    /// Keep this and give it to [`open`] the next time: then the dialog need not ask again.
    Remember(String),
}

/// Who hears of [`ScreenEvent`]s; called on the capturing thread, must not block.
pub type ScreenEvents = Arc<dyn Fn(ScreenEvent) + Send + Sync>;

/// Lists what can be shared, with thumbnails. Takes some milliseconds for each window.
pub fn targets() -> Result<Targets, DeviceError> {
    #[cfg(all(feature = "devices", target_os = "linux"))]
    {
        if wayland() {
            return Ok(Targets::Portal);
        }
        x11::targets().map(Targets::List)
    }
    #[cfg(not(all(feature = "devices", target_os = "linux")))]
    Err(not_built())
}

/// Opens what was chosen. For [`ScreenTarget::Portal`] that takes as long as a person takes to answer
/// the desktop's dialog, which `stop` closes. `remembered` is what [`ScreenEvent::Remember`] told the last
/// time; what is under `veil` is captured as it was before.
pub fn open(
    target: &ScreenTarget,
    mode: ShareMode,
    remembered: Option<&str>,
    stop: &CancellationToken,
    veil: Veil,
    events: ScreenEvents,
) -> Result<Box<dyn VideoSource>, DeviceError> {
    if let ScreenTarget::Pattern(resolution) = target {
        return Ok(Box::new(Pattern::new(*resolution)));
    }
    #[cfg(all(feature = "devices", target_os = "linux"))]
    match target {
        ScreenTarget::Portal { again } => {
            let remembered = remembered.filter(|_| *again);
            Ok(Box::new(portal::PortalScreen::open(mode, remembered, stop, events)?))
        }
        _ => Ok(Box::new(x11::X11Screen::open(target, mode, veil, events)?)),
    }
    #[cfg(not(all(feature = "devices", target_os = "linux")))]
    {
        let _ = (mode, remembered, stop, veil, events);
        Err(not_built())
    }
}

/// Finds what a script means: `monitor`, `monitor:N` (from 1), `window:TITLE` (a part of it),
/// `region:X,Y,WxH`, `portal` or `pattern`.
pub fn find(text: &str) -> Result<ScreenTarget, DeviceError> {
    let missing = || DeviceError::NotFound(format!("\"{text}\""));
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let listed = || match targets()? {
        Targets::List(list) => Ok(list),
        Targets::Portal => Err(DeviceError::Broken {
            device: "Screen sharing".to_owned(),
            reason: "here only the desktop's own dialog can choose; share `portal`".to_owned(),
        }),
    };
    match kind {
        "pattern" => Ok(ScreenTarget::Pattern(rest.parse().unwrap_or(Resolution::new(1920, 1080)))),
        "portal" => Ok(ScreenTarget::Portal { again: true }),
        "region" => rest.parse().map(ScreenTarget::Region).map_err(|_| missing()),
        "monitor" => {
            let index: usize = if rest.is_empty() { 1 } else { rest.parse().map_err(|_| missing())? };
            let is_monitor = |listed: &Listed| matches!(listed.target, ScreenTarget::Monitor(_));
            let found = listed()?.into_iter().filter(is_monitor).nth(index.wrapping_sub(1));
            found.map(|listed| listed.target).ok_or_else(missing)
        }
        "window" => {
            let named = |listed: &Listed| matches!(&listed.target, ScreenTarget::Window { title, .. } if title.contains(rest));
            listed()?.into_iter().find(named).map(|listed| listed.target).ok_or_else(missing)
        }
        _ => Err(missing()),
    }
}

/// Whether the session is Wayland's, where X11 shows only what its own clients draw.
#[cfg(all(feature = "devices", target_os = "linux"))]
fn wayland() -> bool {
    std::env::var_os("WAYLAND_DISPLAY").is_some_and(|name| !name.is_empty())
}

#[cfg(not(all(feature = "devices", target_os = "linux")))]
fn not_built() -> DeviceError {
    DeviceError::Broken {
        device: "Screen sharing".to_owned(),
        reason: "this build of the application cannot capture screens".to_owned(),
    }
}
