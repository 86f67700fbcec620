//! The screen through the desktop's portal (`org.freedesktop.portal.ScreenCast`) and PipeWire: the
//! only way on Wayland.
//!
//! ```text
//!  thread "screen-portal": dialog ─▶ session, held until the end ─▶ who ended it
//!  thread "screen-stream": PipeWire buffers ─▶ I420 ─▶ Latest slot ─▶ next_frame
//! ```
//!
//! The desktop's own dialog chooses; where we may, we are remembered and it does not ask again. The
//! desktop draws the cursor into the pictures.

mod buffer;
mod stream;
mod wanted;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use ashpd::desktop::screencast::{CursorMode, Screencast, SelectSourcesOptions, SourceType};
use ashpd::desktop::{PersistMode, ResponseError};
use futures_util::StreamExt;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ScreenEvent, ScreenEvents, ShareMode};
use crate::media::frame::VideoFrame;
use crate::media::latest::{Empty, Latest};
use crate::media::worker::Worker;
use crate::media::{DeviceError, VideoSource};
use crate::units::Resolution;
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

/// Pictures, or why there are no more.
type Slot = Latest<Result<VideoFrame, DeviceError>>;

/// A screen or window that the desktop gives us. Dropping it ends the session.
pub struct PortalScreen {
    /// Dropped first, so that the threads end.
    _stop: DropGuard,
    name: &'static str,
    mode: ShareMode,
    resolution: Resolution,
    /// How long was waited for the first picture, until it came.
    waited: Option<Duration>,
    pictures: Arc<Slot>,
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
    /// as long as a person takes.
    pub fn open(
        mode: ShareMode,
        remembered: Option<&str>,
        events: ScreenEvents,
    ) -> Result<Self, DeviceError> {
        let (pictures, stop) = (Arc::new(Slot::new()), CancellationToken::new());
        let (tell, answer) = sync_channel(1);
        let work = Session {
            remembered: remembered.map(str::to_owned),
            pictures: pictures.clone(),
            stop: stop.clone(),
        };
        let session = Worker::spawn("screen-portal", move || work.run(tell)).map_err(|e| broken(&e))?;
        let stop = stop.drop_guard();
        let mut opened = answer.recv().map_err(|_| broken(&"the desktop's portal gave no answer"))??;
        let (name, remember) = (opened.name, opened.remember.take());
        let stream = Stream::start(opened, mode.fps(), pictures.clone())?;
        if let Some(token) = remember {
            events(ScreenEvent::Remember(token));
        }
        let resolution = Resolution::new(1920, 1080);
        let waited = Some(Duration::ZERO);
        Ok(Self {
            name,
            mode,
            resolution,
            waited,
            pictures,
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
        match self.pictures.take(timeout) {
            Ok(Ok(frame)) => {
                self.waited = None;
                if std::mem::replace(&mut self.resolution, frame.resolution()) != frame.resolution() {
                    (self.events)(ScreenEvent::Resized(frame.resolution()));
                }
                Ok(Some(frame))
            }
            Ok(Err(error)) => Err(error),
            Err(Empty::TimedOut) => {
                if let Some(waited) = &mut self.waited {
                    *waited += timeout;
                    if *waited > FIRST {
                        return Err(broken(&"the desktop sends no pictures"));
                    }
                }
                Ok(None)
            }
            Err(Empty::Closed) => Err(ended(self.name)),
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
struct Session {
    remembered: Option<String>,
    pictures: Arc<Slot>,
    stop: CancellationToken,
}

impl Session {
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
        let cursors = portal.available_cursor_modes().await.unwrap_or(CursorMode::Hidden.into());
        let cursor =
            if cursors.contains(CursorMode::Embedded) { CursorMode::Embedded } else { CursorMode::Hidden };
        let kinds = portal.available_source_types().await?;
        let options = SelectSourcesOptions::default()
            .set_cursor_mode(cursor)
            .set_sources(kinds & (SourceType::Monitor | SourceType::Window))
            .set_multiple(false)
            .set_persist_mode((portal.version() >= 4).then_some(PersistMode::ExplicitlyRevoked))
            .set_restore_token(self.remembered.as_deref());
        portal.select_sources(&session, options).await?.response()?;
        let mut closed = session.receive_closed().await?;
        let chosen = tokio::select! {
            chosen = portal.start(&session, None, Default::default()) => chosen?.response()?,
            () = self.stop.cancelled() => return session.close().await,
        };
        let Some(first) = chosen.streams().first() else {
            return Err(ashpd::Error::Response(ResponseError::Other));
        };
        let (node, name) = (first.pipe_wire_node_id(), name(first.source_type()));
        let remember = chosen.restore_token().map(str::to_owned);
        let remote = portal.open_pipe_wire_remote(&session, Default::default()).await?;
        tell.try_send(Ok(Opened { remote, node, name, remember })).ok();
        tokio::select! {
            _ = closed.next() => {
                self.pictures.put(Err(ended(name)));
                self.pictures.close();
                Ok(())
            }
            () = self.stop.cancelled() => session.close().await,
        }
    }
}
