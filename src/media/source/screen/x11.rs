//! A monitor, a window or a part of the desktop of an X server.
//!
//! ```text
//!  XDamage: what changed ─┐
//!  pointer: where it is  ─┴▶ rectangles ─▶ MIT-SHM: their pixels ─▶ cursor drawn in ─▶ I420
//! ```
//!
//! A window is read from the pixmap that XComposite keeps of it, so that it may be covered. The
//! thread that asks for pictures does all the work; between two looks it sleeps.

pub(in crate::media) mod desktop;
mod grabber;
mod list;
mod subject;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xfixes::ConnectionExt as _;

use super::canvas::Canvas;
use super::cursor::Cursor;
use super::rect::{Changes, Rect};
use super::{ScreenEvent, ScreenEvents, ScreenTarget, ShareMode};
use crate::clock;
use crate::media::frame::VideoFrame;
use crate::media::overlay::{Tile, Veil};
use crate::media::{DeviceError, VideoSource};
use crate::units::Resolution;
use desktop::{Desktop, XError};
use grabber::Grabber;
pub use list::targets;
use subject::{Presence, Subject};

/// Monitors may change without a word; so often is looked.
const RECHECK: Duration = Duration::from_secs(1);

/// Refusals in a row that may come from something changing while it is read.
const REFUSALS: u32 = 30;

/// A part of an X server's screen that is shared.
pub struct X11Screen {
    desktop: Desktop,
    subject: Subject,
    name: String,
    mode: ShareMode,
    events: ScreenEvents,
    /// Whether there is something to see, as far as was told.
    told: Presence,
    grabber: Grabber,
    canvas: Canvas,
    /// Watches the root or the window; both numbers are ours on the server.
    damage: u32,
    region: u32,
    /// The server has changes for us to fetch.
    damaged: bool,
    changes: Changes,
    /// Where marks are drawn, which are no part of the picture.
    veil: Veil,
    /// What changed under them, and is looked at when they are gone.
    withheld: BTreeSet<Tile>,
    cursor: Cursor,
    /// The cursor's shape is known to be old.
    reshaped: bool,
    /// Looks in a row that the server refused.
    refusals: u32,
    /// No look before this.
    next_look: Instant,
    recheck: Instant,
}

impl X11Screen {
    /// Begins to capture.
    pub fn open(
        target: &ScreenTarget,
        mode: ShareMode,
        veil: Veil,
        events: ScreenEvents,
    ) -> Result<Self, DeviceError> {
        let name = target.to_string();
        let broken = |error: XError| error.into_device_error(&name);
        let desktop = Desktop::connect()?;
        let subject = Subject::find(&desktop, target).map_err(broken)?;
        let Some(subject) = subject else { return Err(DeviceError::NotFound(name)) };
        let resolution = subject.resolution();
        let start = || -> Result<_, XError> {
            desktop.understands(subject.drawable())?;
            let grabber = Grabber::new(&desktop, resolution);
            let (damage, region) = (desktop.id()?, desktop.id()?);
            desktop.conn.damage_create(damage, subject.watched(), ReportLevel::NON_EMPTY)?.check()?;
            desktop.conn.xfixes_create_region(region, &[])?;
            Ok((grabber, damage, region))
        };
        let (grabber, damage, region) = start().map_err(broken)?;
        let now = clock::now();
        Ok(Self {
            canvas: Canvas::new(resolution),
            subject,
            name,
            mode,
            events,
            told: Presence::Visible,
            grabber,
            damage,
            region,
            damaged: false,
            changes: Changes::default(),
            veil,
            withheld: BTreeSet::new(),
            cursor: Cursor::default(),
            reshaped: true,
            refusals: 0,
            next_look: now,
            recheck: now + RECHECK,
            desktop,
        })
    }

    /// Looks whether something changed; a picture if it did.
    fn look(&mut self, now: Instant) -> Result<Option<VideoFrame>, XError> {
        self.next_look = now + self.mode.look();
        self.read_events()?;
        if now >= self.recheck {
            self.recheck = now + RECHECK;
            self.locate()?;
        }
        self.tell_presence();
        if self.subject.presence() == Presence::Hidden {
            return Ok(None);
        }
        if self.canvas.is_empty() {
            self.changes.add(Rect::of(self.canvas.resolution()));
        }
        if std::mem::take(&mut self.damaged) {
            self.fetch_damage()?;
        }
        self.follow_cursor()?;
        self.unveil();
        if self.changes.is_empty() {
            return Ok(None);
        }
        let frame = self.draw()?;
        if frame.is_some() {
            self.next_look = now + self.mode.interval();
        }
        Ok(frame)
    }

    /// Where marks are drawn on what is captured.
    fn veiled(&self) -> BTreeSet<Tile> {
        match &self.subject {
            Subject::Place { .. } => self.veil.covered(clock::now()),
            // It is read from a pixmap of its own, where there are none.
            Subject::Window(_) => BTreeSet::new(),
        }
    }

    /// What lies there in the picture.
    fn in_picture(&self, tile: Tile) -> Option<Rect> {
        let (x, y) = self.subject.watched_origin();
        tile.rect().moved(-x, -y).even(self.canvas.resolution())
    }

    /// What was under a mark that is gone has changed, as far as we know.
    fn unveil(&mut self) {
        if self.withheld.is_empty() {
            return;
        }
        let veiled = self.veiled();
        let (still, free): (BTreeSet<Tile>, BTreeSet<Tile>) =
            std::mem::take(&mut self.withheld).into_iter().partition(|tile| veiled.contains(tile));
        self.withheld = still;
        for tile in free {
            if let Some(rect) = self.in_picture(tile) {
                self.changes.add(rect);
            }
        }
    }

    fn read_events(&mut self) -> Result<(), XError> {
        while let Some(event) = self.desktop.conn.poll_for_event()? {
            match event {
                Event::DamageNotify(_) => self.damaged = true,
                Event::XfixesCursorNotify(_) => self.reshaped = true,
                Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_) => self.locate()?,
                event => {
                    if self.subject.on_event(&event)? {
                        self.locate()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Sees where the subject is now, and how large.
    fn locate(&mut self) -> Result<(), XError> {
        let renewed = self.subject.locate(&self.desktop)?;
        let resolution = self.subject.resolution();
        if resolution != self.canvas.resolution() {
            self.canvas = Canvas::new(resolution);
            self.grabber.release(&self.desktop);
            self.grabber = Grabber::new(&self.desktop, resolution);
            self.changes.take();
            self.withheld.clear();
            (self.events)(ScreenEvent::Resized(resolution));
        } else if renewed {
            self.changes.add(Rect::of(resolution));
        }
        Ok(())
    }

    /// Tells whether there is something to see, where that is news: also of a window that is minimised from
    /// the beginning, or became so while the server refused to say more.
    fn tell_presence(&mut self) {
        let presence = self.subject.presence();
        if std::mem::replace(&mut self.told, presence) != presence {
            (self.events)(match presence {
                Presence::Visible => ScreenEvent::Restored,
                Presence::Hidden => ScreenEvent::Minimised,
            });
        }
    }

    /// Takes what XDamage collected, in coordinates of the picture.
    fn fetch_damage(&mut self) -> Result<(), XError> {
        let conn = &self.desktop.conn;
        conn.damage_subtract(self.damage, x11rb::NONE, self.region)?;
        let region = conn.xfixes_fetch_region(self.region)?.reply()?;
        let (x, y) = self.subject.watched_origin();
        let bounds = self.canvas.resolution();
        for rect in region.rectangles {
            let rect = Rect::new(rect.x.into(), rect.y.into(), rect.width.into(), rect.height.into());
            if let Some(rect) = rect.moved(-x, -y).even(bounds) {
                self.changes.add(rect);
            }
        }
        Ok(())
    }

    /// What the cursor covered and what it covers now has changed, if it moved or looks different.
    fn follow_cursor(&mut self) -> Result<(), XError> {
        let bounds = self.canvas.resolution();
        let at = self.subject.pointer(&self.desktop)?;
        let at = at.filter(|(x, y)| {
            // One just outside may still reach in.
            Rect::new(-64, -64, bounds.width + 128, bounds.height + 128).contains(*x, *y)
        });
        // Nobody sees the shape of one that is elsewhere.
        let image = if at.is_some() && std::mem::take(&mut self.reshaped) {
            Some(self.desktop.cursor()?)
        } else {
            None
        };
        for rect in self.cursor.turn_to(at, image).into_iter().filter_map(|rect| rect.even(bounds)) {
            self.changes.add(rect);
        }
        Ok(())
    }

    /// A picture, if what changed is not only under marks.
    fn draw(&mut self) -> Result<Option<VideoFrame>, XError> {
        let bounds = self.canvas.resolution();
        let parts: Vec<Rect> = self.changes.take().into_iter().filter_map(|rect| rect.even(bounds)).collect();
        let mut planes = self.canvas.begin(&parts);
        let (x, y) = self.subject.drawable_origin();
        for part in &parts {
            let grabbed = self.grabber.grab(&self.desktop, self.subject.drawable(), part.moved(x, y))?;
            let (cursor, mut offset) = (&self.cursor, 0);
            self.canvas.fill(&mut planes, *part, |band, pixels| {
                grabbed.read(offset, pixels)?;
                offset += pixels.len();
                cursor.draw(band, pixels);
                Ok::<_, XError>(())
            })?;
        }
        // Asked for after the pixels were read: whoever draws says so before.
        for tile in self.veiled() {
            let Some(under) = self.in_picture(tile) else { continue };
            if parts.iter().any(|part| part.common(under).is_some()) && self.canvas.keep(&mut planes, under) {
                self.withheld.insert(tile);
            }
        }
        Ok(self.canvas.finish(planes, &parts))
    }
}

impl VideoSource for X11Screen {
    fn name(&self) -> &str {
        &self.name
    }

    fn format(&self) -> (Resolution, f64) {
        (self.canvas.resolution(), self.mode.fps())
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Option<VideoFrame>, DeviceError> {
        let deadline = clock::now() + timeout;
        loop {
            let wait = self.next_look.min(deadline).saturating_duration_since(clock::now());
            if !wait.is_zero() {
                std::thread::sleep(wait);
            }
            let now = clock::now();
            if now < self.next_look {
                return Ok(None);
            }
            match self.look(now) {
                Ok(frame) => {
                    self.refusals = 0;
                    if frame.is_some() {
                        return Ok(frame);
                    }
                }
                // What is read while a window changes may be gone for a moment; the next look sees
                // what became of it.
                Err(XError::Request(_))
                    if self.refusals < REFUSALS && self.subject.still_there(&self.desktop) =>
                {
                    self.refusals += 1;
                    self.changes.add(Rect::of(self.canvas.resolution()));
                    self.locate().map_err(|error| self.subject.end(&self.name, error))?;
                }
                Err(error) => return Err(self.subject.end(&self.name, error)),
            }
        }
    }
}
