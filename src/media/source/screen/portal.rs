//! The screen through the desktop's portal (`org.freedesktop.portal.ScreenCast`) and PipeWire: the
//! only way on Wayland.
//!
//! ```text
//!  thread "screen-portal": dialog ─▶ session, held until the end ─▶ who ended it
//!  thread "screen-stream": PipeWire buffers ─▶ Scene: pixels, what changed, cursor ─▶ next_frame: I420
//! ```
//!
//! The desktop's own dialog chooses; where we may, we are remembered and it does not ask again. The
//! cursor comes beside the pictures, if the desktop can do that, and is drawn in by us: so a cursor that
//! moves over what stands still costs the desktop no picture.

mod additions;
mod buffer;
mod scene;
mod stream;
mod wanted;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ashpd::desktop::screencast::{CursorMode, Screencast, SelectSourcesOptions, SourceType};
use ashpd::desktop::{PersistMode, ResponseError, Session};
use futures_util::StreamExt;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ScreenEvent, ScreenEvents, ShareMode};
use crate::clock;
use crate::media::frame::VideoFrame;
use crate::media::latest::{Empty, Latest};
use crate::media::worker::Worker;
use crate::media::{DeviceError, VideoSource};
use crate::units::Resolution;
use scene::Scene;
use stream::Stream;

/// How long the desktop may take to send its first picture.
const FIRST: Duration = Duration::from_secs(20);

/// What people are told the source is. The desktop does not tell the title of a window.
fn name(kind: Option<SourceType>) -> &'static str {
    if kind == Some(SourceType::Window) { "The window" } else { "The screen" }
}

/// How it ends: the window was closed, or somebody ended the share in the desktop's bar, which are told
/// alike.
fn ended(name: &str) -> DeviceError {
    DeviceError::Closed(format!("The share of {}", name.to_lowercase()))
}

/// From the threads that listen to the desktop to the one that asks for pictures.
#[derive(Default)]
struct Feed {
    scene: Mutex<Scene>,
    /// That there is news of the scene, or why there will be none.
    news: Latest<Result<(), DeviceError>>,
}

impl Feed {
    fn scene(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scene may look different.
    fn tell(&self) {
        self.news.put_if_empty(Ok(()));
    }

    fn end(&self, error: DeviceError) {
        self.news.put(Err(error));
        self.news.close();
    }
}

/// A screen or window that the desktop gives us. Dropping it ends the session.
pub struct PortalScreen {
    /// Dropped first, so that the threads end.
    _stop: DropGuard,
    name: &'static str,
    mode: ShareMode,
    resolution: Resolution,
    /// When the first picture must be there, until it is.
    overdue: Option<Instant>,
    /// No picture before this: a desktop may tell of every step of the cursor.
    next_look: Instant,
    feed: Arc<Feed>,
    events: ScreenEvents,
    /// Both held for their drop.
    _stream: Stream,
    _session: Worker,
}

/// What the dialog led to.
struct Opened {
    remote: OwnedFd,
    node: u32,
    name: &'static str,
    remember: Option<String>,
}

impl PortalScreen {
    /// Lets the desktop ask, unless `remembered` says that it need not, and waits for the answer:
    /// as long as a person takes, or until `stop`, which ends it later on as well.
    pub fn open(
        mode: ShareMode,
        remembered: Option<&str>,
        stop: &CancellationToken,
        events: ScreenEvents,
    ) -> Result<Self, DeviceError> {
        let (feed, stop) = (Arc::new(Feed::default()), stop.child_token());
        let (tell, answer) = sync_channel(1);
        let work =
            Asking { remembered: remembered.map(str::to_owned), feed: Arc::clone(&feed), stop: stop.clone() };
        let session = Worker::spawn("screen-portal", move || work.run(tell)).map_err(|e| broken(&e))?;
        let stop = stop.drop_guard();
        let mut opened = answer.recv().map_err(|_| broken(&"the desktop's portal gave no answer"))??;
        let (name, remember) = (opened.name, opened.remember.take());
        let stream = Stream::start(opened, mode.fps(), Arc::clone(&feed))?;
        if let Some(token) = remember {
            events(ScreenEvent::Remember(token));
        }
        let now = clock::now();
        Ok(Self {
            name,
            mode,
            resolution: Resolution::new(1920, 1080),
            overdue: Some(now + FIRST),
            next_look: now,
            feed,
            events,
            _stop: stop,
            _stream: stream,
            _session: session,
        })
    }
}

impl VideoSource for PortalScreen {
    fn name(&self) -> &str {
        self.name
    }

    fn format(&self) -> (Resolution, f64) {
        (self.resolution, self.mode.fps())
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Option<VideoFrame>, DeviceError> {
        let deadline = clock::now() + timeout;
        loop {
            std::thread::sleep(self.next_look.min(deadline).saturating_duration_since(clock::now()));
            let now = clock::now();
            if now < self.next_look {
                return Ok(None);
            }
            match self.feed.news.take(deadline.saturating_duration_since(now)) {
                Ok(news) => news?,
                Err(Empty::TimedOut) if self.overdue.is_some_and(|overdue| overdue < clock::now()) => {
                    return Err(broken(&"the desktop sends no pictures"));
                }
                Err(Empty::TimedOut) => return Ok(None),
                Err(Empty::Closed) => return Err(ended(self.name)),
            }
            let drawn = self.feed.scene().draw().map_err(|error| broken(&error))?;
            if let Some(frame) = drawn {
                self.overdue = None;
                // One after the other as the desktop sends them; only faster ones wait.
                self.next_look = (self.next_look + self.mode.interval()).max(now);
                if std::mem::replace(&mut self.resolution, frame.resolution()) != frame.resolution() {
                    (self.events)(ScreenEvent::Resized(frame.resolution()));
                }
                return Ok(Some(frame));
            }
        }
    }
}

fn broken(reason: &dyn std::fmt::Display) -> DeviceError {
    DeviceError::Broken { device: "Screen sharing".to_owned(), reason: reason.to_string() }
}

/// What the portal's refusals mean to people.
fn refusal(error: ashpd::Error) -> DeviceError {
    match error {
        ashpd::Error::Response(ResponseError::Cancelled) => {
            DeviceError::Closed("The desktop's dialog for sharing".to_owned())
        }
        ashpd::Error::Response(ResponseError::Other) => DeviceError::Refused("the screen".to_owned()),
        ashpd::Error::PortalNotFound(_) => {
            broken(&"this desktop has no portal for it (xdg-desktop-portal with ScreenCast)")
        }
        ashpd::Error::Zbus(error) => broken(&format!(
            "the desktop's portal cannot be asked ({error}); is xdg-desktop-portal installed?"
        )),
        error => broken(&format!("the desktop's portal answered: {error}")),
    }
}

/// The thread that talks with the portal.
struct Asking {
    remembered: Option<String>,
    feed: Arc<Feed>,
    stop: CancellationToken,
}

impl Asking {
    fn run(self, tell: SyncSender<Result<Opened, DeviceError>>) {
        // Nothing here needs a reactor of its own: the bus has one.
        match tokio::runtime::Builder::new_current_thread().build() {
            Ok(runtime) => {
                if let Err(error) = runtime.block_on(self.hold(&tell)) {
                    tell.try_send(Err(refusal(error))).ok();
                }
            }
            Err(error) => drop(tell.try_send(Err(broken(&error)))),
        }
    }

    /// Opens the session, tells of it, and holds it until either side ends it.
    async fn hold(&self, tell: &SyncSender<Result<Opened, DeviceError>>) -> Result<(), ashpd::Error> {
        let portal = Screencast::new().await?;
        let session = portal.create_session(Default::default()).await?;
        let mut closed = session.receive_closed().await?;
        let opened = tokio::select! {
            opened = self.choose(&portal, &session) => opened?,
            () = self.stop.cancelled() => {
                // The dialog with it. To take the request back instead makes GNOME's portal end with a fault.
                session.close().await?;
                return Err(ashpd::Error::Response(ResponseError::Cancelled));
            }
        };
        let name = opened.name;
        tell.try_send(Ok(opened)).ok();
        tokio::select! {
            _ = closed.next() => {
                self.feed.end(ended(name));
                Ok(())
            }
            () = self.stop.cancelled() => session.close().await,
        }
    }

    /// Lets the person choose in the desktop's dialog.
    async fn choose(
        &self,
        portal: &Screencast,
        session: &Session<Screencast>,
    ) -> Result<Opened, ashpd::Error> {
        let cursors = portal.available_cursor_modes().await.unwrap_or(CursorMode::Hidden.into());
        let wanted = [CursorMode::Metadata, CursorMode::Embedded];
        let cursor = wanted.into_iter().find(|mode| cursors.contains(*mode)).unwrap_or(CursorMode::Hidden);
        let kinds = portal.available_source_types().await?;
        let options = SelectSourcesOptions::default()
            .set_cursor_mode(cursor)
            .set_sources(kinds & (SourceType::Monitor | SourceType::Window))
            .set_multiple(false)
            .set_persist_mode((portal.version() >= 4).then_some(PersistMode::ExplicitlyRevoked))
            .set_restore_token(self.remembered.as_deref());
        portal.select_sources(session, options).await?.response()?;
        let chosen = portal.start(session, None, Default::default()).await?.response()?;
        let first = chosen.streams().first().ok_or(ashpd::Error::Response(ResponseError::Other))?;
        Ok(Opened {
            node: first.pipe_wire_node_id(),
            name: name(first.source_type()),
            remember: chosen.restore_token().map(str::to_owned),
            remote: portal.open_pipe_wire_remote(session, Default::default()).await?,
        })
    }
}
