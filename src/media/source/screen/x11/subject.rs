//! What of the X server's screen is shared: where it is, how large, and whether it is there at all.

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::composite::{ConnectionExt as _, Redirect};
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, EventMask, MapState, Pixmap, Window,
};

use super::desktop::{Desktop, XError};
use crate::media::DeviceError;
use crate::media::source::screen::ScreenTarget;
use crate::media::source::screen::rect::Rect;
use crate::units::Resolution;

/// What is shared.
pub enum Subject {
    /// A part of the root.
    Place {
        /// The root.
        root: Window,
        /// What was chosen.
        kind: Place,
        /// Where it is now.
        area: Rect,
    },
    /// A window.
    Window(SharedWindow),
}

/// A part of the desktop.
pub enum Place {
    /// The monitor of this name.
    Monitor(String),
    /// A fixed part.
    Region(Rect),
}

/// A window, read from the pixmap that XComposite keeps of it.
pub struct SharedWindow {
    window: Window,
    /// Its ancestor below the root, by which is seen whether the pointer is on it.
    top: Window,
    border: u16,
    resolution: Resolution,
    /// Content of the window; made anew when its size changes.
    pixmap: Option<Pixmap>,
    /// The content may be another one, even if the size is the same again.
    stale: bool,
}

/// Whether there is something to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// There is.
    Visible,
    /// The window is minimised.
    Hidden,
}

impl Subject {
    /// Finds what was chosen; `None` if it is not there.
    pub fn find(desktop: &Desktop, target: &ScreenTarget) -> Result<Option<Self>, XError> {
        let kind = match target {
            ScreenTarget::Monitor(name) => Place::Monitor(name.clone()),
            ScreenTarget::Region(region) => Place::Region(*region),
            ScreenTarget::Window { id, .. } => {
                return Ok(SharedWindow::find(desktop, *id)?.map(Subject::Window));
            }
            ScreenTarget::Portal { .. } | ScreenTarget::Pattern(_) => return Ok(None),
        };
        let area = kind.area(desktop)?;
        Ok(area.map(|area| Subject::Place { root: desktop.root(), kind, area }))
    }

    /// The size of its picture.
    pub fn resolution(&self) -> Resolution {
        match self {
            Subject::Place { area, .. } => area.resolution(),
            Subject::Window(window) => window.resolution,
        }
    }

    /// Whether there is something to see.
    pub fn presence(&self) -> Presence {
        match self {
            Subject::Window(window) if window.pixmap.is_none() => Presence::Hidden,
            Subject::Place { .. } | Subject::Window(_) => Presence::Visible,
        }
    }

    /// Where pixels are read from.
    pub fn drawable(&self) -> u32 {
        match self {
            Subject::Place { root, .. } => *root,
            Subject::Window(window) => window.pixmap.unwrap_or(window.window),
        }
    }

    /// Where the picture begins there.
    pub fn drawable_origin(&self) -> (i32, i32) {
        match self {
            Subject::Place { area, .. } => (area.x, area.y),
            Subject::Window(window) => (window.border.into(), window.border.into()),
        }
    }

    /// The window whose changes matter.
    pub fn watched(&self) -> Window {
        match self {
            Subject::Place { root, .. } => *root,
            Subject::Window(window) => window.window,
        }
    }

    /// Where the picture begins there.
    pub fn watched_origin(&self) -> (i32, i32) {
        match self {
            Subject::Place { area, .. } => (area.x, area.y),
            Subject::Window(_) => (0, 0),
        }
    }

    /// Takes note of an event; whether [`Subject::locate`] is to look.
    pub fn on_event(&mut self, event: &Event) -> Result<bool, XError> {
        match self {
            Subject::Place { root, .. } => {
                Ok(matches!(event, Event::ConfigureNotify(event) if event.window == *root))
            }
            Subject::Window(window) => window.on_event(event),
        }
    }

    /// Looks where it is now. Whether its content must be read anew.
    pub fn locate(&mut self, desktop: &Desktop) -> Result<bool, XError> {
        match self {
            Subject::Place { kind, area, .. } => {
                let now = kind.area(desktop)?.ok_or(XError::Ended)?;
                Ok(std::mem::replace(area, now) != now)
            }
            Subject::Window(window) => window.locate(desktop),
        }
    }

    /// Where the pointer is in the picture; `None`: on something else.
    pub fn pointer(&self, desktop: &Desktop) -> Result<Option<(i32, i32)>, XError> {
        let conn = &desktop.conn;
        match self {
            Subject::Place { root, area, .. } => {
                let pointer = conn.query_pointer(*root)?.reply()?;
                Ok(Some((i32::from(pointer.root_x) - area.x, i32::from(pointer.root_y) - area.y)))
            }
            Subject::Window(window) => {
                let pointer = conn.query_pointer(desktop.root())?;
                let here = conn.query_pointer(window.window)?;
                let (pointer, here) = (pointer.reply()?, here.reply()?);
                let on_it = pointer.child == window.top;
                Ok(on_it.then_some((here.win_x.into(), here.win_y.into())))
            }
        }
    }

    /// Whether it is still there, after something about it was refused.
    pub fn still_there(&self, desktop: &Desktop) -> bool {
        match self {
            // The next look at the monitors tells.
            Subject::Place { .. } => true,
            Subject::Window(window) => {
                let attributes = desktop.conn.get_window_attributes(window.window);
                attributes.is_ok_and(|cookie| cookie.reply().is_ok())
            }
        }
    }

    /// What people are told when it cannot go on.
    pub fn end(&self, name: &str, error: XError) -> DeviceError {
        match (self, error) {
            (Subject::Place { kind: Place::Monitor(_), .. }, XError::Ended) => {
                DeviceError::Gone(name.to_owned())
            }
            (Subject::Place { kind: Place::Region(_), .. }, XError::Ended) => DeviceError::Broken {
                device: name.to_owned(),
                reason: "no monitor shows it any more".to_owned(),
            },
            (Subject::Window(_), XError::Ended | XError::Request(_)) => DeviceError::Closed(name.to_owned()),
            (_, error) => error.into_device_error(name),
        }
    }
}

impl Place {
    /// Where it is now; `None`: nowhere.
    fn area(&self, desktop: &Desktop) -> Result<Option<Rect>, XError> {
        let bounds = desktop.bounds()?;
        Ok(match self {
            Place::Monitor(name) => {
                let monitors = desktop.monitors()?;
                let found = monitors.into_iter().find(|(found, _)| found == name);
                found.and_then(|(_, area)| area.common(bounds))
            }
            Place::Region(region) => region.common(bounds),
        })
    }
}

impl SharedWindow {
    fn find(desktop: &Desktop, window: Window) -> Result<Option<Self>, XError> {
        let conn = &desktop.conn;
        // Events first, so that nothing is missed between looking and hearing.
        let events = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        match conn.change_window_attributes(window, &events)?.check().map_err(XError::from) {
            Ok(()) => {}
            Err(XError::Request(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        conn.composite_redirect_window(window, Redirect::AUTOMATIC)?.check()?;
        let mut found = Self {
            window,
            top: window,
            border: 0,
            resolution: Resolution::new(1, 1),
            pixmap: None,
            stale: true,
        };
        found.locate(desktop)?;
        Ok(Some(found))
    }

    fn on_event(&mut self, event: &Event) -> Result<bool, XError> {
        match event {
            Event::DestroyNotify(event) if event.window == self.window => Err(XError::Ended),
            Event::ConfigureNotify(event) if event.window == self.window => {
                let now = (Resolution::new(event.width.into(), event.height.into()), event.border_width);
                self.stale |= now != (self.resolution, self.border);
                Ok(self.stale)
            }
            Event::UnmapNotify(event) if event.window == self.window => {
                self.stale = true;
                Ok(true)
            }
            Event::MapNotify(event) if event.window == self.window => {
                self.stale = true;
                Ok(true)
            }
            // A window manager came or went.
            Event::ReparentNotify(event) if event.window == self.window => {
                self.stale = true;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Sees its size and whether it is mapped, and takes hold of its content anew if that changed.
    fn locate(&mut self, desktop: &Desktop) -> Result<bool, XError> {
        let conn = &desktop.conn;
        let (attributes, geometry) =
            (conn.get_window_attributes(self.window)?, conn.get_geometry(self.window)?);
        let (attributes, geometry) = (attributes.reply()?, geometry.reply()?);
        let mapped = attributes.map_state == MapState::VIEWABLE;
        let resolution = Resolution::new(geometry.width.into(), geometry.height.into());
        let visible = self.pixmap.is_some();
        let same = (mapped, resolution, geometry.border_width) == (visible, self.resolution, self.border);
        if same && !self.stale {
            return Ok(false);
        }
        if let Some(old) = self.pixmap.take() {
            conn.free_pixmap(old)?;
        }
        (self.resolution, self.border) = (resolution, geometry.border_width);
        if mapped {
            let pixmap = desktop.id()?;
            conn.composite_name_window_pixmap(self.window, pixmap)?.check()?;
            self.pixmap = Some(pixmap);
            self.top = desktop.top_of(self.window)?;
        }
        self.stale = false;
        conn.flush()?;
        Ok(mapped)
    }
}
