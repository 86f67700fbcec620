//! A stream of pictures from PipeWire, on a thread of its own.
//!
//! Pictures come in whatever size the desktop says, and of them the part that it says, both of which
//! may change at any time.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use pipewire as pw;
use pw::properties::properties;
use pw::spa;
use pw::spa::param::video::{VideoFormat, VideoInfoRaw};
use pw::spa::pod::Pod;
use pw::stream::{StreamFlags, StreamRef, StreamState};

use super::buffer::Buffer;
use super::{Opened, Slot, broken, ended, wanted};
use crate::clock;
use crate::media::DeviceError;
use crate::media::convert::{PixelFormat, RawPicture, to_i420};
use crate::media::frame::{FramePool, VideoFrame};
use crate::media::source::screen::Rect;
use crate::media::worker::Worker;

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
    pub fn start(opened: Opened, fps: f64, pictures: Arc<Slot>) -> Result<Self, DeviceError> {
        let (stop, stopped) = pw::channel::channel();
        let (tell, answer) = sync_channel(1);
        let thread = Worker::spawn("screen-stream", move || {
            let told = tell.clone();
            let connected = move || drop(tell.try_send(Ok(())));
            if let Err(error) = run(opened, fps, pictures, stopped, connected) {
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
    pool: FramePool,
    pictures: Arc<Slot>,
    last: Option<VideoFrame>,
    main_loop: pw::main_loop::MainLoop,
}

fn run(
    opened: Opened,
    fps: f64,
    pictures: Arc<Slot>,
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
        pool: FramePool::new(),
        pictures,
        last: None,
        main_loop: main_loop.clone(),
    };
    let _listener = stream
        .add_local_listener_with_user_data(state)
        .state_changed(|_, state, _, now| state.on_state(now))
        .param_changed(|stream, state, id, param| state.on_param(stream, id, param))
        .process(|stream, state| state.on_buffer(stream))
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
        self.pictures.put(Err(error));
        self.pictures.close();
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
        let (memory, crop) = (wanted::memory(), wanted::crop());
        let mut wanted: Vec<&Pod> =
            [&memory, &crop].into_iter().filter_map(|bytes| Pod::from_bytes(bytes)).collect();
        if let Err(error) = stream.update_params(&mut wanted) {
            self.end(broken(&format!("PipeWire refused the kind of memory: {error}")));
        }
    }

    fn on_buffer(&mut self, stream: &StreamRef) {
        // Only the newest picture counts.
        let mut newest: Option<Buffer> = None;
        while let Some(buffer) = Buffer::next(stream) {
            if buffer.pixels().is_some() {
                newest = Some(buffer);
            }
        }
        let Some(buffer) = newest else { return };
        let Some((pixels, stride)) = buffer.pixels() else { return };
        let format = match self.format.format() {
            VideoFormat::BGRx | VideoFormat::BGRA => PixelFormat::Bgra,
            VideoFormat::RGBx | VideoFormat::RGBA => PixelFormat::Rgba,
            _ => return,
        };
        let size = self.format.size();
        let whole = Rect::new(0, 0, size.width, size.height);
        let part = buffer.crop().and_then(|crop| crop.common(whole)).unwrap_or(whole);
        let stride = stride.unwrap_or(whole.width as usize * 4);
        let first = part.y as usize * stride + part.x as usize * 4;
        let resolution = part.resolution();
        let data = pixels.get(first..).unwrap_or_default();
        match to_i420(&RawPicture { format, resolution, stride: Some(stride), data }, &self.pool) {
            Ok(planes) => {
                let same = |last: &VideoFrame| {
                    last.resolution() == resolution
                        && (last.y(), last.u(), last.v()) == (planes.y(), planes.u(), planes.v())
                };
                if self.last.as_ref().is_some_and(same) {
                    return;
                }
                let frame = VideoFrame::new(planes, clock::now());
                self.last = Some(frame.clone());
                self.pictures.put(Ok(frame));
            }
            Err(error) => self.end(broken(&error)),
        }
    }
}
