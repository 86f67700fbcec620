//! What others point at, drawn on our own screen over what we share.
//!
//! ```text
//!  marks ─▶ newest ─▶ raster: rectangles ─▶ a window above what is shared, that lets clicks through
//!                          └─▶ Veil: what the capture leaves as it was
//! ```
//!
//! The seam lies here, where marks come in: each window system places and draws in its own way. Knows
//! neither channels nor who may point.

#[cfg_attr(
    not(all(feature = "devices", target_os = "linux")),
    allow(dead_code, reason = "nothing can be drawn on a screen")
)]
#[cfg(all(feature = "devices", target_os = "linux"))]
mod raster;
mod veil;
#[cfg(all(feature = "devices", target_os = "linux"))]
mod x11;

use std::io;
use std::sync::Arc;

pub use veil::{Tile, Veil};

use crate::media::latest::Latest;
use crate::media::source::screen::ScreenTarget;
use crate::media::worker::Worker;
use crate::pointer::Marks;

/// Marks over something that is shared. Dropping it takes them away.
#[derive(Debug)]
pub struct Overlay {
    newest: Arc<Latest<Vec<Marks>>>,
    thread: Worker,
}

impl Overlay {
    /// Prepares to draw over `target`; `None` where that cannot be done, so that marks are seen on the
    /// application's own picture of it only. What covers the capture is told to `veil`.
    pub fn start(target: &ScreenTarget, veil: Veil) -> io::Result<Option<Self>> {
        match target {
            #[cfg(all(feature = "devices", target_os = "linux"))]
            ScreenTarget::Monitor(_) | ScreenTarget::Window { .. } | ScreenTarget::Region(_) => {
                let newest = Arc::new(Latest::new());
                let (marks, target) = (Arc::clone(&newest), target.clone());
                let thread = Worker::spawn("overlay", move || x11::run(&target, &marks, &veil))?;
                Ok(Some(Self { newest, thread }))
            }
            #[cfg(not(all(feature = "devices", target_os = "linux")))]
            ScreenTarget::Monitor(_) | ScreenTarget::Window { .. } | ScreenTarget::Region(_) => {
                drop(veil);
                Ok(None)
            }
            // A desktop with a portal lets nobody draw on it.
            ScreenTarget::Portal { .. } | ScreenTarget::Pattern(_) => Ok(None),
        }
    }

    /// Draws these from now on.
    pub fn show(&self, marks: Vec<Marks>) {
        self.newest.put(marks);
    }

    /// Whether anything is drawn: the window system may have refused.
    pub fn works(&self) -> bool {
        !self.thread.is_finished()
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        self.newest.close();
    }
}
