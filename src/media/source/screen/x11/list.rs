//! What an X server has to share, with thumbnails.

use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, MapState, Window, WindowClass};

use super::desktop::{Desktop, XError};
use super::grabber::Grabber;
use crate::media::DeviceError;
use crate::media::frame::{FramePool, VideoFrame};
use crate::media::scale::scale;
use crate::media::source::screen::canvas::Canvas;
use crate::media::source::screen::rect::Rect;
use crate::media::source::screen::{Listed, ScreenTarget};
use crate::units::Resolution;

/// Windows smaller than this both ways are not for sharing (trays, helpers).
const SMALLEST: u32 = 32;
/// Most windows listed.
const MOST: usize = 100;
/// Thumbnails fit into this.
const THUMBNAIL: Resolution = Resolution::new(320, 180);

/// Monitors, the primary one first, then windows, the topmost first. Our own windows are left out.
pub fn targets() -> Result<Vec<Listed>, DeviceError> {
    let desktop = Desktop::connect()?;
    let broken = |error: XError| error.into_device_error("The list of screens");
    let bounds = desktop.bounds().map_err(broken)?;
    let grabber = Grabber::new(&desktop, bounds.resolution());
    let mut list = Vec::new();
    for (name, place) in desktop.monitors().map_err(broken)? {
        let thumbnail = place.common(bounds).and_then(|at| thumbnail(&desktop, &grabber, desktop.root(), at));
        let resolution = place.resolution();
        let target = ScreenTarget::Monitor(name.clone());
        list.push(Listed { target, name, resolution, place: Some(place), thumbnail });
    }
    for window in windows(&desktop).map_err(broken)? {
        // One that closes while we look is just not listed.
        if let Ok(Some(listed)) = describe(&desktop, &grabber, window, bounds) {
            list.push(listed);
        }
    }
    Ok(list)
}

/// Windows of applications, the topmost first: the window manager's list, or without one whatever
/// lies directly on the root.
fn windows(desktop: &Desktop) -> Result<Vec<Window>, XError> {
    let managed = |name: &str| -> Result<Vec<Window>, XError> {
        let atom = desktop.atom(name)?;
        let list =
            desktop.conn.get_property(false, desktop.root(), atom, AtomEnum::WINDOW, 0, 4_096)?.reply()?;
        Ok(list.value32().map(Iterator::collect).unwrap_or_default())
    };
    let mut windows = managed("_NET_CLIENT_LIST_STACKING")?;
    if windows.is_empty() {
        windows = managed("_NET_CLIENT_LIST")?;
    }
    if windows.is_empty() {
        windows = desktop.conn.query_tree(desktop.root())?.reply()?.children;
    }
    windows.reverse();
    windows.truncate(MOST);
    Ok(windows)
}

fn describe(
    desktop: &Desktop,
    grabber: &Grabber,
    window: Window,
    bounds: Rect,
) -> Result<Option<Listed>, XError> {
    let conn = &desktop.conn;
    let attributes = conn.get_window_attributes(window)?;
    let geometry = conn.get_geometry(window)?;
    let place = conn.translate_coordinates(window, desktop.root(), 0, 0)?;
    let (attributes, geometry, place) = (attributes.reply()?, geometry.reply()?, place.reply()?);
    let resolution = Resolution::new(geometry.width.into(), geometry.height.into());
    let usable = attributes.class == WindowClass::INPUT_OUTPUT
        && !attributes.override_redirect
        && resolution.width >= SMALLEST
        && resolution.height >= SMALLEST;
    let Some(title) = title(desktop, window)?.filter(|_| usable && !is_ours(desktop, window)) else {
        return Ok(None);
    };
    let place = Rect::new(place.dst_x.into(), place.dst_y.into(), resolution.width, resolution.height);
    // What is not redirected can only be read where it is on the screen.
    let visible = place.common(bounds).filter(|_| attributes.map_state == MapState::VIEWABLE);
    let thumbnail = visible.and_then(|at| thumbnail(desktop, grabber, window, at.moved(-place.x, -place.y)));
    let target = ScreenTarget::Window { id: window, title: title.clone() };
    Ok(Some(Listed { target, name: title, resolution, place: Some(place), thumbnail }))
}

/// The title; `None` for a window without one, which nobody could choose by name.
fn title(desktop: &Desktop, window: Window) -> Result<Option<String>, XError> {
    let utf8 = desktop.atom("UTF8_STRING")?;
    for (name, kind) in
        [(desktop.atom("_NET_WM_NAME")?, utf8), (AtomEnum::WM_NAME.into(), AtomEnum::ANY.into())]
    {
        let text = desktop.conn.get_property(false, window, name, kind, 0, 256)?.reply()?.value;
        let text: String =
            String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).take(200).collect();
        if !text.trim().is_empty() {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn is_ours(desktop: &Desktop, window: Window) -> bool {
    let own = || -> Result<bool, XError> {
        let atom = desktop.atom("_NET_WM_PID")?;
        let pid = desktop.conn.get_property(false, window, atom, AtomEnum::CARDINAL, 0, 1)?.reply()?;
        Ok(pid.value32().and_then(|mut values| values.next()) == Some(std::process::id()))
    };
    own().unwrap_or(false)
}

fn thumbnail(desktop: &Desktop, grabber: &Grabber, drawable: u32, at: Rect) -> Option<VideoFrame> {
    desktop.understands(drawable).ok()?;
    let mut canvas = Canvas::new(at.resolution());
    let whole = Rect::of(at.resolution());
    let grabbed = grabber.grab(desktop, drawable, at).ok()?;
    let mut planes = canvas.begin(&[whole]);
    let mut offset = 0;
    let read = |_, pixels: &mut [u8]| {
        grabbed.read(offset, pixels)?;
        offset += pixels.len();
        Ok::<_, XError>(())
    };
    canvas.fill(&mut planes, whole, read).ok()?;
    let frame = canvas.finish(planes, &[])?;
    Some(VideoFrame::new(scale(&frame, fitted(at.resolution()), &FramePool::new()), frame.captured_at))
}

/// The size that fits into [`THUMBNAIL`], in the same proportions.
fn fitted(size: Resolution) -> Resolution {
    let share = (f64::from(THUMBNAIL.width) / f64::from(size.width))
        .min(f64::from(THUMBNAIL.height) / f64::from(size.height))
        .min(1.0);
    let side = |length: u32| ((f64::from(length) * share).round() as u32).max(2);
    Resolution::new(side(size.width), side(size.height))
}
