//! Pixels from the X server: through shared memory where server and application share a computer,
//! over the connection otherwise.

use std::fs::File;
use std::os::unix::fs::FileExt;

use x11rb::connection::RequestConnection;
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat};

use super::desktop::{Desktop, XError};
use crate::media::source::screen::rect::Rect;
use crate::units::Resolution;

/// How pixels come.
pub enum Grabber {
    /// The server writes them into memory that it made for us. We read it as a file: the server may
    /// write while we read, which mapped memory would not forgive.
    Shared {
        /// The segment's number on the server.
        segment: u32,
        /// The same memory.
        memory: File,
    },
    /// In the server's answers; ten times as slow.
    Answers,
}

/// Pixels of one rectangle, rows without gaps.
pub enum Grabbed<'a> {
    /// In the shared memory.
    Shared(&'a File),
    /// In the answer.
    Answer(Vec<u8>),
}

impl Grabber {
    /// For rectangles up to this size.
    pub fn new(desktop: &Desktop, most: Resolution) -> Self {
        match shared(desktop, most) {
            Ok(grabber) => grabber,
            Err(error) => {
                tracing::info!(%error, "no memory is shared with the X server; capturing is slower");
                Grabber::Answers
            }
        }
    }

    /// Fetches a rectangle of `drawable`.
    pub fn grab(&self, desktop: &Desktop, drawable: u32, rect: Rect) -> Result<Grabbed<'_>, XError> {
        let size = |side: u32| u16::try_from(side).map_err(|_| too_large(rect.resolution()));
        let corner = |at: i32| i16::try_from(at).map_err(|_| too_large(rect.resolution()));
        let (x, y, width, height) = (corner(rect.x)?, corner(rect.y)?, size(rect.width)?, size(rect.height)?);
        let conn = &desktop.conn;
        match self {
            Grabber::Shared { segment, memory } => {
                let format = ImageFormat::Z_PIXMAP.into();
                conn.shm_get_image(drawable, x, y, width, height, !0, format, *segment, 0)?.reply()?;
                Ok(Grabbed::Shared(memory))
            }
            Grabber::Answers => {
                let image =
                    conn.get_image(ImageFormat::Z_PIXMAP, drawable, x, y, width, height, !0)?.reply()?;
                Ok(Grabbed::Answer(image.data))
            }
        }
    }

    /// Gives the memory back.
    pub fn release(&self, desktop: &Desktop) {
        if let Grabber::Shared { segment, .. } = self {
            desktop.conn.shm_detach(*segment).map(|_| ()).ok();
        }
    }
}

impl Grabbed<'_> {
    /// Fills `pixels` from byte `offset` on.
    pub fn read(&self, offset: usize, pixels: &mut [u8]) -> Result<(), XError> {
        match self {
            Grabbed::Shared(memory) => memory.read_exact_at(pixels, offset as u64)?,
            Grabbed::Answer(data) => {
                let part = data.get(offset..offset + pixels.len());
                let part = part.ok_or_else(|| XError::Request("too few pixels".to_owned()))?;
                pixels.copy_from_slice(part);
            }
        }
        Ok(())
    }
}

fn too_large(resolution: Resolution) -> XError {
    XError::Unsupported(format!("{resolution} is too large"))
}

fn shared(desktop: &Desktop, most: Resolution) -> Result<Grabber, XError> {
    let conn = &desktop.conn;
    if conn.extension_information(shm::X11_EXTENSION_NAME)?.is_none() {
        return Err(XError::Unsupported("the X server lacks the extension MIT-SHM".to_owned()));
    }
    // Version 1.2 hands memory over as a file.
    let version = conn.shm_query_version()?.reply()?;
    if (version.major_version, version.minor_version) < (1, 2) {
        return Err(XError::Unsupported("the X server's MIT-SHM is too old".to_owned()));
    }
    let bytes = u32::try_from(most.pixels() * 4).map_err(|_| too_large(most))?;
    let segment = desktop.id()?;
    let reply = conn.shm_create_segment(segment, bytes, false)?.reply()?;
    Ok(Grabber::Shared { segment, memory: File::from(reply.shm_fd) })
}
