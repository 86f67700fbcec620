//! The connection to the X server, and what it must be able to do.

use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::composite::ConnectionExt as _;
use x11rb::protocol::damage::ConnectionExt as _;
use x11rb::protocol::randr::{self, ConnectionExt as _};
use x11rb::protocol::xfixes::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{Atom, ConnectionExt as _, ImageOrder, Screen, Window};
use x11rb::protocol::{composite, damage};
use x11rb::rust_connection::RustConnection;

use crate::media::DeviceError;
use crate::media::convert::ConvertError;
use crate::media::source::screen::cursor::CursorImage;
use crate::media::source::screen::rect::Rect;

/// Why the X server did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum XError {
    /// The connection is gone.
    #[error("the X server is gone: {0}")]
    Gone(#[from] ConnectionError),
    /// The server refused one request.
    #[error("the X server refused: {0}")]
    Request(String),
    /// Pixels could not be read from shared memory.
    #[error("shared memory cannot be read: {0}")]
    Memory(#[from] std::io::Error),
    /// The pixels are not what they should be.
    #[error(transparent)]
    Pixels(#[from] ConvertError),
    /// The monitor or window is not there any more.
    #[error("it is gone")]
    Ended,
    /// This screen is of another kind.
    #[error("{0}")]
    Unsupported(String),
}

impl From<ReplyError> for XError {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::ConnectionError(error) => XError::Gone(error),
            ReplyError::X11Error(error) => XError::Request(format!("{:?}", error.error_kind)),
        }
    }
}

impl From<ReplyOrIdError> for XError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(error) => XError::Gone(error),
            ReplyOrIdError::X11Error(error) => XError::Request(format!("{:?}", error.error_kind)),
            ReplyOrIdError::IdsExhausted => XError::Request("no more numbers".to_owned()),
        }
    }
}

impl XError {
    /// What people are told of `device`.
    pub fn into_device_error(self, device: &str) -> DeviceError {
        DeviceError::Broken { device: device.to_owned(), reason: self.to_string() }
    }
}

/// The connection, with the extensions that capturing needs.
pub struct Desktop {
    /// The connection.
    pub conn: RustConnection,
    screen: usize,
}

impl Desktop {
    /// Connects to the server of the environment, and hears of cursors and monitors.
    pub fn connect() -> Result<Self, DeviceError> {
        let desktop = Self::connect_silently()?;
        desktop.listen().map_err(|error| error.into_device_error("Screen sharing"))?;
        Ok(desktop)
    }

    /// Connects to the server of the environment, and hears of nothing.
    pub fn connect_silently() -> Result<Self, DeviceError> {
        let device = || "Screen sharing".to_owned();
        let (conn, screen) = RustConnection::connect(None).map_err(|error| DeviceError::Broken {
            device: device(),
            reason: format!("there is no X server to ask ({error})"),
        })?;
        let desktop = Self { conn, screen };
        desktop.prepare().map_err(|error| error.into_device_error(&device()))?;
        Ok(desktop)
    }

    /// What we want to hear of.
    fn listen(&self) -> Result<(), XError> {
        let conn = &self.conn;
        conn.xfixes_select_cursor_input(self.root(), xfixes::CursorNotifyMask::DISPLAY_CURSOR)?;
        let changes = randr::NotifyMask::SCREEN_CHANGE | randr::NotifyMask::CRTC_CHANGE;
        conn.randr_select_input(self.root(), changes)?;
        Ok(())
    }

    /// Says which versions we speak.
    fn prepare(&self) -> Result<(), XError> {
        let conn = &self.conn;
        for (name, extension) in [
            ("XFIXES", xfixes::X11_EXTENSION_NAME),
            ("DAMAGE", damage::X11_EXTENSION_NAME),
            ("Composite", composite::X11_EXTENSION_NAME),
            ("RANDR", randr::X11_EXTENSION_NAME),
        ] {
            if conn.extension_information(extension)?.is_none() {
                return Err(XError::Unsupported(format!("the X server lacks the extension {name}")));
            }
        }
        // Composite needs 0.2 for pixmaps of windows, XFixes 2 for regions and cursors.
        conn.xfixes_query_version(4, 0)?.reply()?;
        conn.damage_query_version(1, 1)?.reply()?;
        conn.composite_query_version(0, 3)?.reply()?;
        conn.randr_query_version(1, 5)?.reply()?;
        if conn.setup().image_byte_order != ImageOrder::LSB_FIRST {
            return Err(XError::Unsupported("the X server's pictures have another byte order".to_owned()));
        }
        Ok(())
    }

    /// The screen of the environment.
    pub fn screen(&self) -> &Screen {
        &self.conn.setup().roots[self.screen]
    }

    /// The window behind all others.
    pub fn root(&self) -> Window {
        self.screen().root
    }

    /// A new number for something of ours on the server.
    pub fn id(&self) -> Result<u32, XError> {
        Ok(self.conn.generate_id()?)
    }

    /// The whole desktop; it changes with the monitors.
    pub fn bounds(&self) -> Result<Rect, XError> {
        let geometry = self.conn.get_geometry(self.root())?.reply()?;
        Ok(Rect::new(0, 0, geometry.width.into(), geometry.height.into()))
    }

    /// Monitors by name, the primary one first.
    pub fn monitors(&self) -> Result<Vec<(String, Rect)>, XError> {
        let mut monitors = self.conn.randr_get_monitors(self.root(), true)?.reply()?.monitors;
        monitors.sort_by_key(|monitor| (!monitor.primary, monitor.x, monitor.y));
        let mut found = Vec::new();
        for monitor in monitors {
            let name = self.conn.get_atom_name(monitor.name)?.reply()?.name;
            let place =
                Rect::new(monitor.x.into(), monitor.y.into(), monitor.width.into(), monitor.height.into());
            if place.pixels() > 0 {
                found.push((String::from_utf8_lossy(&name).into_owned(), place));
            }
        }
        Ok(found)
    }

    /// The ancestor of a window that lies directly on the root: its frame, if a window manager gave it
    /// one.
    pub fn top_of(&self, window: Window) -> Result<Window, XError> {
        let mut top = window;
        loop {
            let tree = self.conn.query_tree(top)?.reply()?;
            if tree.parent == tree.root || tree.parent == x11rb::NONE {
                return Ok(top);
            }
            top = tree.parent;
        }
    }

    /// The number of a name.
    pub fn atom(&self, name: &str) -> Result<Atom, XError> {
        Ok(self.conn.intern_atom(false, name.as_bytes())?.reply()?.atom)
    }

    /// Whether pixels of this drawable are 32 bits of blue, green, red and nothing.
    pub fn understands(&self, drawable: u32) -> Result<(), XError> {
        let depth = self.conn.get_geometry(drawable)?.reply()?.depth;
        let setup = self.conn.setup();
        let bits = setup.pixmap_formats.iter().find(|f| f.depth == depth).map_or(0, |f| f.bits_per_pixel);
        let visuals =
            self.screen().allowed_depths.iter().filter(|d| d.depth == depth).flat_map(|d| &d.visuals);
        let ordinary = |mask: (u32, u32, u32)| mask == (0xff_0000, 0xff00, 0xff);
        let mut masks = visuals.map(|v| (v.red_mask, v.green_mask, v.blue_mask));
        if bits == 32 && masks.any(ordinary) {
            return Ok(());
        }
        Err(XError::Unsupported(format!(
            "its pixels have {depth} bits; only 24 bits (8 each for red, green and blue) are understood"
        )))
    }

    /// How the cursor looks now.
    pub fn cursor(&self) -> Result<CursorImage, XError> {
        let reply = self.conn.xfixes_get_cursor_image()?.reply()?;
        Ok(CursorImage {
            width: reply.width.into(),
            height: reply.height.into(),
            hot: (reply.xhot.into(), reply.yhot.into()),
            pixels: reply.cursor_image.iter().map(|argb| argb.to_le_bytes()).collect(),
        })
    }
}
