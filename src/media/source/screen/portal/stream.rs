//! A stream of pictures from PipeWire, on a thread of its own.
//!
//! Pictures come in memory that both sides see (no graphics memory is asked for), in whatever size
//! the desktop says, which may change at any time.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use pipewire as pw;
use pw::properties::properties;
use pw::spa;
use pw::spa::param::format::{FormatProperties, MediaSubtype, MediaType};
use pw::spa::param::video::{VideoFormat, VideoInfoRaw};
use pw::spa::pod::Pod;
use pw::spa::pod::serialize::PodSerializer;
use pw::stream::{StreamFlags, StreamRef, StreamState};

use super::{NAME, Slot, broken};
use crate::clock;
use crate::media::DeviceError;
use crate::media::convert::{PixelFormat, RawPicture, to_i420};
use crate::media::frame::{FramePool, VideoFrame};
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
    pub fn start(remote: OwnedFd, node: u32, fps: f64, pictures: Arc<Slot>) -> Result<Self, DeviceError> {
        let (stop, stopped) = pw::channel::channel();
        let (tell, answer) = sync_channel(1);
        let thread = Worker::spawn("screen-stream", move || {
            let told = tell.clone();
            let connected = move || drop(tell.try_send(Ok(())));
            if let Err(error) = run(remote, node, fps, pictures, stopped, connected) {
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
    format: VideoInfoRaw,
    pool: FramePool,
    pictures: Arc<Slot>,
    last: Option<VideoFrame>,
    main_loop: pw::main_loop::MainLoop,
}

fn run(
    remote: OwnedFd,
    node: u32,
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
    let core = context.connect_fd(remote, None)?;
    let stream = pw::stream::Stream::new(
        &core,
        "sightline-screen",
        properties! {
            *pw::keys::MEDIA_TYPE => "Video",
            *pw::keys::MEDIA_CATEGORY => "Capture",
            *pw::keys::MEDIA_ROLE => "Screen",
        },
    )?;
    let state = State {
        format: VideoInfoRaw::default(),
        pool: FramePool::new(),
        pictures,
        last: None,
        main_loop: main_loop.clone(),
    };
    let _listener = stream
        .add_local_listener_with_user_data(state)
        .state_changed(|_, state, _, now| state.on_state(now))
        .param_changed(|_, state, id, param| state.on_param(id, param))
        .process(|stream, state| state.on_buffer(stream))
        .register()?;
    let wanted = formats(fps);
    let Some(wanted) = Pod::from_bytes(&wanted) else { return Err(pw::Error::CreationFailed) };
    let flags = StreamFlags::AUTOCONNECT | StreamFlags::MAP_BUFFERS;
    stream.connect(spa::utils::Direction::Input, Some(node), flags, &mut [wanted])?;
    connected();
    main_loop.run();
    Ok(())
}

/// What we can take: 32 bits a pixel in four orders, any size, at most so many pictures a second.
fn formats(fps: f64) -> Vec<u8> {
    let fps = fps.clamp(1.0, 240.0) as u32;
    let size = |width, height| spa::utils::Rectangle { width, height };
    let rate = |num| spa::utils::Fraction { num, denom: 1 };
    let object = spa::pod::object!(
        spa::utils::SpaTypes::ObjectParamFormat,
        spa::param::ParamType::EnumFormat,
        spa::pod::property!(FormatProperties::MediaType, Id, MediaType::Video),
        spa::pod::property!(FormatProperties::MediaSubtype, Id, MediaSubtype::Raw),
        spa::pod::property!(
            FormatProperties::VideoFormat,
            Choice,
            Enum,
            Id,
            VideoFormat::BGRx,
            VideoFormat::BGRx,
            VideoFormat::BGRA,
            VideoFormat::RGBx,
            VideoFormat::RGBA
        ),
        spa::pod::property!(
            FormatProperties::VideoSize,
            Choice,
            Range,
            Rectangle,
            size(1920, 1080),
            size(1, 1),
            size(16_384, 16_384)
        ),
        spa::pod::property!(
            FormatProperties::VideoFramerate,
            Choice,
            Range,
            Fraction,
            rate(fps),
            rate(0),
            rate(fps)
        ),
        spa::pod::property!(
            FormatProperties::VideoMaxFramerate,
            Choice,
            Range,
            Fraction,
            rate(fps),
            rate(1),
            rate(fps)
        ),
    );
    let written =
        PodSerializer::serialize(std::io::Cursor::new(Vec::new()), &spa::pod::Value::Object(object));
    written.map(|(cursor, _)| cursor.into_inner()).unwrap_or_default()
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
            StreamState::Unconnected => self.end(DeviceError::Closed(NAME.to_owned())),
            StreamState::Connecting | StreamState::Paused | StreamState::Streaming => {}
        }
    }

    fn on_param(&mut self, id: u32, param: Option<&Pod>) {
        let Some(param) = param.filter(|_| id == spa::param::ParamType::Format.as_raw()) else { return };
        if self.format.parse(param).is_err() {
            self.end(broken(&"PipeWire offers pictures of a kind that is not understood"));
        }
    }

    fn on_buffer(&mut self, stream: &StreamRef) {
        // Only the newest counts.
        let mut newest = None;
        while let Some(buffer) = stream.dequeue_buffer() {
            newest = Some(buffer);
        }
        let Some(mut buffer) = newest else { return };
        let Some(data) = buffer.datas_mut().first_mut() else { return };
        let chunk = data.chunk();
        let (offset, size, stride) = (chunk.offset() as usize, chunk.size() as usize, chunk.stride());
        let format = match self.format.format() {
            VideoFormat::BGRx | VideoFormat::BGRA => PixelFormat::Bgra,
            VideoFormat::RGBx | VideoFormat::RGBA => PixelFormat::Rgba,
            _ => return,
        };
        let resolution = Resolution::new(self.format.size().width, self.format.size().height);
        // An empty chunk says that only the cursor moved.
        let pixels = data.data().and_then(|data| data.get(offset..)).filter(|_| size > 0);
        let (Some(pixels), Ok(stride)) = (pixels, usize::try_from(stride)) else { return };
        let stride = Some(stride).filter(|stride| *stride > 0);
        let raw = RawPicture { format, resolution, stride, data: pixels };
        match to_i420(&raw, &self.pool) {
            Ok(planes) => {
                let same = |last: &VideoFrame| {
                    last.resolution() == resolution && last.y() == planes.y() && last.u() == planes.u()
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
