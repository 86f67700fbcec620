//! A stream of buffers from PipeWire, on a thread of its own, which tell a [`Scene`] of pictures and of
//! the cursor.
//!
//! Pictures come in whatever size the desktop says, and of them the part that it says, both of which
//! may change at any time.
//!
//! [`Scene`]: super::scene::Scene

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use pipewire as pw;
use pw::properties::properties;
use pw::spa;
use pw::spa::param::video::{VideoFormat, VideoInfoRaw};
use pw::spa::pod::Pod;
use pw::stream::{StreamFlags, StreamRef, StreamState};

use super::buffer::Buffer;
use super::{Feed, Opened, additions, broken, ended, wanted};
use crate::media::DeviceError;
use crate::media::convert::{ConvertError, PixelFormat, RawPicture};
use crate::media::worker::Worker;
use crate::units::Resolution;

/// Asks the thread to end.
struct Stop;

/// A running stream.
pub struct Stream {
    stop: pw::channel::Sender<Stop>,
    /// Held for its drop.
    _thread: Worker,
}

impl Stream {
    /// Connects to the node that the portal gave.
    pub fn start(opened: Opened, fps: f64, feed: Arc<Feed>) -> Result<Self, DeviceError> {
        let (stop, stopped) = pw::channel::channel();
        let (tell, answer) = sync_channel(1);
        let thread = Worker::spawn("screen-stream", move || {
            let told = tell.clone();
            let connected = move || drop(tell.try_send(Ok(())));
            if let Err(error) = run(opened, fps, feed, stopped, connected) {
                told.try_send(Err(broken(&format!("PipeWire refused: {error}")))).ok();
            }
        });
        let thread = thread.map_err(|error| broken(&error))?;
        answer.recv().map_err(|_| broken(&"PipeWire ended at once"))??;
        Ok(Self { stop, _thread: thread })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.send(Stop).ok();
    }
}

/// What the callbacks share.
struct State {
    name: &'static str,
    format: VideoInfoRaw,
    /// The next picture is the first one of this format.
    renewed: bool,
    feed: Arc<Feed>,
    /// What the desktop said of its cursor could not be, once.
    complained: bool,
    main_loop: pw::main_loop::MainLoop,
}

fn run(
    opened: Opened,
    fps: f64,
    feed: Arc<Feed>,
    stopped: pw::channel::Receiver<Stop>,
    connected: impl FnOnce(),
) -> Result<(), pw::Error> {
    pw::init();
    let main_loop = pw::main_loop::MainLoop::new(None)?;
    let quit = main_loop.clone();
    let _stopped = stopped.attach(main_loop.loop_(), move |Stop| quit.quit());
    let context = pw::context::Context::new(&main_loop)?;
    let core = context.connect_fd(opened.remote, None)?;
    let stream = pw::stream::Stream::new(
        &core,
        "sightline-screen",
        properties! {
            *pw::keys::MEDIA_TYPE => "Video",
            *pw::keys::MEDIA_CATEGORY => "Capture",
            *pw::keys::MEDIA_ROLE => "Screen",
            // When the desktop is gone, nobody may give us another one's pictures in its place.
            *pw::keys::NODE_DONT_RECONNECT => "true",
        },
    )?;
    let state = State {
        name: opened.name,
        format: VideoInfoRaw::default(),
        renewed: true,
        feed,
        complained: false,
        main_loop: main_loop.clone(),
    };
    let _listener = stream
        .add_local_listener_with_user_data(state)
        .state_changed(|_, state, _, now| state.on_state(now))
        .param_changed(|stream, state, id, param| state.on_param(stream, id, param))
        .process(|stream, state| state.on_buffers(stream))
        .register()?;
    let wanted = wanted::formats(fps);
    let Some(wanted) = Pod::from_bytes(&wanted) else { return Err(pw::Error::CreationFailed) };
    let flags = StreamFlags::AUTOCONNECT | StreamFlags::MAP_BUFFERS;
    stream.connect(spa::utils::Direction::Input, Some(opened.node), flags, &mut [wanted])?;
    connected();
    main_loop.run();
    Ok(())
}

impl State {
    fn end(&self, error: DeviceError) {
        self.feed.end(error);
        self.main_loop.quit();
    }

    fn on_state(&mut self, now: StreamState) {
        match now {
            StreamState::Error(reason) => self.end(broken(&format!("PipeWire: {reason}"))),
            // The window was closed, or the desktop stopped the share.
            StreamState::Unconnected => self.end(ended(self.name)),
            StreamState::Connecting | StreamState::Paused | StreamState::Streaming => {}
        }
    }

    fn on_param(&mut self, stream: &StreamRef, id: u32, param: Option<&Pod>) {
        let Some(param) = param.filter(|_| id == spa::param::ParamType::Format.as_raw()) else { return };
        if self.format.parse(param).is_err() {
            return self.end(broken(&"PipeWire offers pictures of a kind that is not understood"));
        }
        self.renewed = true;
        let wanted = [wanted::memory(), wanted::crop(), wanted::damage(), wanted::cursor()];
        let mut wanted: Vec<&Pod> = wanted.iter().filter_map(|bytes| Pod::from_bytes(bytes)).collect();
        if let Err(error) = stream.update_params(&mut wanted) {
            self.end(broken(&format!("PipeWire refused the kind of memory: {error}")));
        }
    }

    fn on_buffers(&mut self, stream: &StreamRef) {
        while let Some(buffer) = Buffer::next(stream) {
            if let Err(error) = self.take_in(&buffer) {
                return self.end(broken(&error));
            }
        }
        self.feed.tell();
    }

    /// Every buffer counts, also one that is old already: only one of them may say how the cursor looks.
    fn take_in(&mut self, buffer: &Buffer) -> Result<(), ConvertError> {
        let mut scene = self.feed.scene();
        match buffer.addition(spa::sys::SPA_META_Cursor).map(additions::cursor) {
            Some(Ok(news)) => scene.point(news),
            Some(Err(error)) if !std::mem::replace(&mut self.complained, true) => {
                tracing::warn!(%error, "the desktop's cursor is not understood");
            }
            Some(Err(_)) | None => {}
        }
        let format = match self.format.format() {
            VideoFormat::BGRx | VideoFormat::BGRA => PixelFormat::Bgra,
            VideoFormat::RGBx | VideoFormat::RGBA => PixelFormat::Rgba,
            _ => return Ok(()),
        };
        let Some((data, stride)) = buffer.pixels() else { return Ok(()) };
        let size = self.format.size();
        let resolution = Resolution::new(size.width, size.height);
        let crop = buffer.addition(spa::sys::SPA_META_VideoCrop).and_then(additions::crop);
        let damage = buffer.addition(spa::sys::SPA_META_VideoDamage).and_then(additions::damage);
        let damage = damage.filter(|_| !std::mem::take(&mut self.renewed));
        scene.show(&RawPicture { format, resolution, stride, data }, crop, damage)
    }
}
