//! Marks on an X server: a window without any frame, of the shape of the marks, above what is shared.
//!
//! A shape needs no compositor and no transparency. Its content is its background, so that the server
//! paints what is uncovered by itself. Clicks go through, because as far as input is concerned its
//! shape is empty.

mod place;

use std::time::{Duration, Instant};

use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::shape::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    self, Char2b, ClipOrdering, ConfigureWindowAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
    Fontable, Gcontext, Pixmap, PropMode, StackMode, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use super::Veil;
use super::raster::{self, Colour, Drawing};
use crate::clock;
use crate::media::latest::{Empty, Latest};
use crate::media::source::screen::x11::desktop::{Desktop, XError};
use crate::media::source::screen::{Rect, ScreenTarget};
use crate::pointer::Marks;
use crate::units::Resolution;
use place::{Place, Seen};

/// While marks are seen, so often is looked where what is shared has gone.
const FOLLOW: Duration = Duration::from_millis(33);

/// Without marks there is nothing to do; a wait must end some time.
const IDLE: Duration = Duration::from_secs(60);

/// Rectangles in one request: 32 KiB of them, which every server takes.
const AT_ONCE: usize = 4_000;

/// Letters for names, the nicest first; the last one is built into every server.
const FONTS: [&str; 3] = [
    "-*-dejavu sans-bold-r-normal--13-*-*-*-*-*-iso10646-1",
    "-misc-fixed-bold-r-normal--13-*-*-*-*-*-iso10646-1",
    "fixed",
];

/// Draws until `newest` is closed, or the server refuses.
pub fn run(target: &ScreenTarget, newest: &Latest<Vec<Marks>>, veil: &Veil) {
    let outcome = Desktop::connect_silently().map_err(|error| error.to_string()).and_then(|desktop| {
        let surface = Surface::new(&desktop, target).map_err(|error| error.to_string())?;
        follow(surface, newest, veil).map_err(|error| error.to_string())
    });
    veil.cover([], clock::now());
    if let Err(error) = outcome {
        tracing::warn!(error, "what others point at is not drawn on the screen itself");
    }
}

fn follow(mut surface: Surface, newest: &Latest<Vec<Marks>>, veil: &Veil) -> Result<(), XError> {
    let mut marks: Vec<Marks> = Vec::new();
    loop {
        let now = clock::now();
        surface.show(&marks, veil, now)?;
        let change = raster::next_change(&marks, now);
        let fade = change.map_or(IDLE, |at| at.saturating_duration_since(now));
        let wait = if marks.is_empty() { IDLE } else { fade.min(FOLLOW) };
        match newest.take(wait) {
            Ok(news) => marks = news,
            Err(Empty::TimedOut) => {}
            Err(Empty::Closed) => return Ok(()),
        }
    }
}

/// The window, and what is on it.
struct Surface<'a> {
    desktop: &'a Desktop,
    place: Place,
    window: Window,
    gc: Gcontext,
    font: xproto::Font,
    /// Rows above and below the line that letters stand on.
    ascent: u32,
    descent: u32,
    /// What is drawn, as large as the window.
    content: Option<(Pixmap, Resolution)>,
    /// What is seen, and where; `None`: nothing.
    shown: Option<(Seen, Drawing)>,
}

impl<'a> Surface<'a> {
    fn new(desktop: &'a Desktop, target: &ScreenTarget) -> Result<Self, XError> {
        let conn = &desktop.conn;
        if conn.extension_information(shape::X11_EXTENSION_NAME)?.is_none() {
            return Err(XError::Unsupported("the X server lacks the extension SHAPE".to_owned()));
        }
        conn.shape_query_version()?.reply()?;
        let (window, gc, font) = (desktop.id()?, desktop.id()?, desktop.id()?);
        let unmanaged = CreateWindowAux::new().override_redirect(1).border_pixel(0);
        let class = WindowClass::INPUT_OUTPUT;
        conn.create_window(0, window, desktop.root(), 0, 0, 1, 1, 0, class, 0, &unmanaged)?.check()?;
        // No window to compositors, which then draw no shadow around it.
        let kind = desktop.atom("_NET_WM_WINDOW_TYPE")?;
        let dragged = desktop.atom("_NET_WM_WINDOW_TYPE_DND")?;
        conn.change_property32(PropMode::REPLACE, window, kind, xproto::AtomEnum::ATOM, &[dragged])?;
        let title = b"Sightline pointers";
        conn.change_property8(
            PropMode::REPLACE,
            window,
            xproto::AtomEnum::WM_NAME,
            xproto::AtomEnum::STRING,
            title,
        )?;
        let nowhere = (shape::SO::SET, shape::SK::INPUT, ClipOrdering::UNSORTED);
        conn.shape_rectangles(nowhere.0, nowhere.1, nowhere.2, window, 0, 0, &[])?;
        open_font(desktop, font)?;
        conn.create_gc(gc, desktop.root(), &CreateGCAux::new().font(font).graphics_exposures(0))?.check()?;
        let metrics = conn.query_font(font)?.reply()?;
        let rows = |rows: i16| u32::try_from(rows).unwrap_or(0);
        Ok(Self {
            desktop,
            place: Place::of(target),
            window,
            gc,
            font,
            ascent: rows(metrics.font_ascent),
            descent: rows(metrics.font_descent),
            content: None,
            shown: None,
        })
    }

    /// Shows these where what is shared is now, or nothing.
    fn show(&mut self, marks: &[Marks], veil: &Veil, now: Instant) -> Result<(), XError> {
        let conn = &self.desktop.conn;
        // Refusals of requests whose answers nobody waits for.
        while let Some(event) = conn.poll_for_event()? {
            tracing::debug!(?event, "the X server, of the marks");
        }
        let seen = match marks.is_empty() {
            true => None,
            false => self.place.look(self.desktop, now)?,
        };
        let Some(seen) = seen else { return self.hide(veil, now) };
        let drawing = raster::draw(marks, seen.area.resolution(), now, |text| self.measure(text));
        if self.shown.as_ref().is_some_and(|shown| *shown == (seen, drawing.clone())) {
            return self.raise(seen);
        }
        if seen.is_captured {
            veil.cover(drawing.rects().map(|rect| rect.moved(seen.area.x, seen.area.y)), now);
        }
        self.draw(seen, &drawing)?;
        self.shown = Some((seen, drawing));
        Ok(())
    }

    fn hide(&mut self, veil: &Veil, now: Instant) -> Result<(), XError> {
        if self.shown.take().is_some() {
            self.desktop.conn.unmap_window(self.window)?;
            self.desktop.conn.flush()?;
            veil.cover([], now);
        }
        Ok(())
    }

    /// Above what is shared, and below what lies above that.
    fn raise(&self, seen: Seen) -> Result<(), XError> {
        let stack = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
        let stack = match seen.above {
            Some(window) => stack.sibling(window),
            None => stack,
        };
        self.desktop.conn.configure_window(self.window, &stack)?;
        Ok(self.desktop.conn.flush()?)
    }

    fn draw(&mut self, seen: Seen, drawing: &Drawing) -> Result<(), XError> {
        let conn = &self.desktop.conn;
        let Rect { x, y, width, height } = seen.area;
        let before = self.shown.as_ref().map(|(seen, _)| seen.area);
        if before != Some(seen.area) {
            let place = ConfigureWindowAux::new().x(x).y(y).width(width).height(height);
            conn.configure_window(self.window, &place)?;
        }
        let content = self.content(seen.area.resolution())?;
        for (colour, rects) in &drawing.fills {
            self.choose(*colour, *colour)?;
            for rects in rectangles(rects.iter()).chunks(AT_ONCE) {
                conn.poly_fill_rectangle(content, self.gc, rects)?;
            }
        }
        for name in &drawing.names {
            self.choose([0xff; 3], name.ground)?;
            let baseline = (name.at.1 + self.ascent as i32) as i16;
            conn.image_text16(content, self.gc, name.at.0 as i16, baseline, &letters(&name.text))?;
        }
        let mut how = shape::SO::SET;
        for rects in rectangles(drawing.rects().collect::<Vec<_>>().iter()).chunks(AT_ONCE) {
            let order = ClipOrdering::UNSORTED;
            conn.shape_rectangles(how, shape::SK::BOUNDING, order, self.window, 0, 0, rects)?;
            how = shape::SO::UNION;
        }
        // What was seen before in another colour is painted anew.
        conn.clear_area(false, self.window, 0, 0, 0, 0)?;
        if self.shown.is_none() {
            conn.map_window(self.window)?;
        }
        self.raise(seen)
    }

    /// What is drawn on, of this size.
    fn content(&mut self, size: Resolution) -> Result<Pixmap, XError> {
        let conn = &self.desktop.conn;
        match self.content {
            Some((pixmap, there)) if there == size => return Ok(pixmap),
            Some((pixmap, _)) => drop(conn.free_pixmap(pixmap)?),
            None => {}
        }
        let (width, height) = (size.width as u16, size.height as u16);
        let pixmap = self.desktop.id()?;
        conn.create_pixmap(self.desktop.screen().root_depth, pixmap, self.window, width, height)?.check()?;
        let background = xproto::ChangeWindowAttributesAux::new().background_pixmap(pixmap);
        conn.change_window_attributes(self.window, &background)?;
        self.content = Some((pixmap, size));
        Ok(pixmap)
    }

    fn choose(&self, front: Colour, ground: Colour) -> Result<(), XError> {
        let pixel = |[r, g, b]: Colour| u32::from_be_bytes([0, r, g, b]);
        let colours = xproto::ChangeGCAux::new().foreground(pixel(front)).background(pixel(ground));
        self.desktop.conn.change_gc(self.gc, &colours)?;
        Ok(())
    }

    /// How large a text is.
    fn measure(&self, text: &str) -> (u32, u32) {
        let extents = self.desktop.conn.query_text_extents(self.font as Fontable, &letters(text));
        let width =
            extents.ok().and_then(|cookie| cookie.reply().ok()).map_or(0, |reply| reply.overall_width);
        (u32::try_from(width).unwrap_or(0), self.ascent + self.descent)
    }
}

fn open_font(desktop: &Desktop, font: xproto::Font) -> Result<(), XError> {
    let mut refused = Ok(());
    for name in FONTS {
        refused = desktop.conn.open_font(font, name.as_bytes())?.check().map_err(XError::from);
        if refused.is_ok() {
            break;
        }
    }
    refused
}

/// As the server takes letters; those of other scripts than its fonts know become a question mark.
fn letters(text: &str) -> Vec<Char2b> {
    let codes = text.chars().map(|c| u16::try_from(u32::from(c)).unwrap_or(u16::from(b'?')));
    codes.map(|code| Char2b { byte1: (code >> 8) as u8, byte2: code as u8 }).take(255).collect()
}

fn rectangles<'r>(rects: impl Iterator<Item = &'r Rect>) -> Vec<xproto::Rectangle> {
    let rectangle = |rect: &Rect| xproto::Rectangle {
        x: rect.x as i16,
        y: rect.y as i16,
        width: rect.width as u16,
        height: rect.height as u16,
    };
    rects.map(rectangle).collect()
}
