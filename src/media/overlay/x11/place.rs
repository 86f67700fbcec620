//! Where on the desktop what is shared is seen now.

use std::time::{Duration, Instant};

use x11rb::protocol::xproto::{ConnectionExt as _, MapState, Window};

use crate::media::source::screen::x11::desktop::{Desktop, XError};
use crate::media::source::screen::{Rect, ScreenTarget};

/// Monitors are moved by hand; so often is looked.
const MONITORS: Duration = Duration::from_secs(1);

/// Where something is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// In pixels of the desktop.
    pub area: Rect,
    /// What is drawn lies directly above this window; `None`: above everything.
    pub above: Option<Window>,
    /// What is drawn there is in the captured picture too, unless that leaves it out.
    pub is_captured: bool,
}

/// What is shared.
pub enum Place {
    /// A part of the desktop.
    Fixed {
        /// Which.
        target: ScreenTarget,
        /// Where it was, and when that was looked up.
        known: Option<(Option<Rect>, Instant)>,
    },
    /// A window.
    Window(Window),
}

impl Place {
    /// Of what was chosen.
    pub fn of(target: &ScreenTarget) -> Self {
        match target {
            ScreenTarget::Window { id, .. } => Place::Window(*id),
            target => Place::Fixed { target: target.clone(), known: None },
        }
    }

    /// Where it is; `None` while it is not seen.
    pub fn look(&mut self, desktop: &Desktop, now: Instant) -> Result<Option<Seen>, XError> {
        match self {
            Place::Fixed { target, known } => {
                let area = match *known {
                    Some((area, at)) if now.saturating_duration_since(at) < MONITORS => area,
                    _ => fixed(desktop, target)?,
                };
                if known.is_none_or(|(_, at)| now.saturating_duration_since(at) >= MONITORS) {
                    *known = Some((area, now));
                }
                Ok(area.map(|area| Seen { area, above: None, is_captured: true }))
            }
            Place::Window(window) => match window_place(desktop, *window) {
                Ok(seen) => Ok(seen),
                // It was closed, or changes just now.
                Err(XError::Request(_)) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

fn fixed(desktop: &Desktop, target: &ScreenTarget) -> Result<Option<Rect>, XError> {
    let bounds = desktop.bounds()?;
    Ok(match target {
        ScreenTarget::Monitor(name) => {
            let found = desktop.monitors()?.into_iter().find(|(found, _)| found == name);
            found.and_then(|(_, area)| area.common(bounds))
        }
        ScreenTarget::Region(region) => region.common(bounds),
        ScreenTarget::Window { .. } | ScreenTarget::Portal { .. } | ScreenTarget::Pattern(_) => None,
    })
}

fn window_place(desktop: &Desktop, window: Window) -> Result<Option<Seen>, XError> {
    let conn = &desktop.conn;
    let attributes = conn.get_window_attributes(window)?;
    let geometry = conn.get_geometry(window)?;
    let corner = conn.translate_coordinates(window, desktop.root(), 0, 0)?;
    let (attributes, geometry, corner) = (attributes.reply()?, geometry.reply()?, corner.reply()?);
    if attributes.map_state != MapState::VIEWABLE {
        return Ok(None);
    }
    let area =
        Rect::new(corner.dst_x.into(), corner.dst_y.into(), geometry.width.into(), geometry.height.into());
    // Its own pixmap is captured, in which nothing of ours is.
    Ok(Some(Seen { area, above: Some(desktop.top_of(window)?), is_captured: false }))
}
