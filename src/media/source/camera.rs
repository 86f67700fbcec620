//! A camera of this computer, through `nokhwa`.
//!
//! ```text
//!  thread "cam-device": open ─▶ choose a mode ─▶ read ─▶ I420 ─▶ Latest slot ─▶ next_frame
//! ```
//!
//! The device has a thread of its own because its driver may wait for the next picture for ever;
//! whoever asks for pictures, or stops asking, never waits with it. This module knows no encoder
//! and does not try other cameras when one fails: it says what is wrong.

mod choice;
mod list;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use nokhwa::NokhwaError;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, FrameFormat, RequestedFormat, RequestedFormatType,
};

pub use choice::Mode;
use list::CameraEntry;
pub use list::cameras;

use crate::clock;
use crate::media::convert::{self, PixelFormat, RawPicture};
use crate::media::frame::{FramePool, VideoFrame};
use crate::media::latest::{Empty, Latest};
use crate::media::worker::Worker;
use crate::media::{DeviceError, VideoSource};
use crate::units::Resolution;

/// Opening takes half a second for most cameras; some need two to wake up.
const OPENING: Duration = Duration::from_secs(8);

/// A camera that sends nothing for so long has failed; the slowest mode has one picture a second.
const SILENCE: Duration = Duration::from_secs(5);

/// Damaged pictures in a row after which a camera counts as broken: one second at 30 a second.
/// A single one is normal while a camera starts or its cable is touched.
const DAMAGED: u32 = 30;

/// The pixel formats that can be converted.
const UNDERSTOOD: [FrameFormat; 4] =
    [FrameFormat::NV12, FrameFormat::YUYV, FrameFormat::MJPEG, FrameFormat::RAWRGB];

type Slot = Latest<Result<VideoFrame, DeviceError>>;

/// An open camera. Dropping it closes the device.
#[derive(Debug)]
pub struct Camera {
    entry: CameraEntry,
    mode: Mode,
    pictures: Arc<Slot>,
    stop: Arc<AtomicBool>,
    last_picture: Instant,
    /// Held for its drop, which waits for the device to be closed, but not for ever.
    _thread: Worker,
}

impl Camera {
    /// Opens the camera with this id ([`cameras`]), or the first one, in the mode that suits a call
    /// best.
    ///
    /// Takes as long as the device needs, at most eight seconds.
    pub fn open(id: Option<&str>) -> Result<Self, DeviceError> {
        let found = list::entries().into_iter().find(|camera| id.is_none_or(|id| camera.id == id));
        let missing = || id.map_or("A camera".to_owned(), |id| format!("The camera \"{id}\""));
        let entry = found.ok_or_else(|| DeviceError::NotFound(missing()))?;

        let pictures = Arc::new(Slot::new());
        let stop = Arc::new(AtomicBool::new(false));
        let (opened, answer) = sync_channel(1);
        let work = Work { entry: entry.clone(), pictures: pictures.clone(), stop: stop.clone() };
        let thread = Worker::spawn("cam-device", move || work.run(&opened));
        let thread = thread.map_err(|why| broken(&entry.name, why.to_string()))?;
        let mut camera = Self {
            mode: Mode { resolution: Resolution::HD, fps: 30, pixels: PixelFormat::Yuyv },
            entry,
            pictures,
            stop,
            _thread: thread,
            last_picture: clock::now(),
        };
        camera.mode = match answer.recv_timeout(OPENING) {
            Ok(opened) => opened?,
            Err(RecvTimeoutError::Timeout) => {
                return Err(broken(&camera.entry.name, "it does not answer".into()));
            }
            Err(RecvTimeoutError::Disconnected) => return Err(driver_failed(&camera.entry.name)),
        };
        camera.last_picture = clock::now();
        Ok(camera)
    }

    /// The mode that was chosen.
    pub fn mode(&self) -> Mode {
        self.mode
    }
}

impl VideoSource for Camera {
    fn name(&self) -> &str {
        &self.entry.name
    }

    fn format(&self) -> (Resolution, f64) {
        (self.mode.resolution, f64::from(self.mode.fps))
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Option<VideoFrame>, DeviceError> {
        match self.pictures.take(timeout) {
            Ok(Ok(picture)) => {
                self.last_picture = picture.captured_at;
                Ok(Some(picture))
            }
            Ok(Err(error)) => Err(error),
            Err(Empty::Closed) => Err(driver_failed(&self.entry.name)),
            Err(Empty::TimedOut) => {
                if clock::now().saturating_duration_since(self.last_picture) < SILENCE {
                    Ok(None)
                } else if is_plugged_in(&self.entry) {
                    let reason = format!("it has sent no picture for {} s", SILENCE.as_secs());
                    Err(broken(&self.entry.name, reason))
                } else {
                    Err(DeviceError::Gone(self.entry.name.clone()))
                }
            }
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What the camera's thread works with.
struct Work {
    entry: CameraEntry,
    pictures: Arc<Slot>,
    stop: Arc<AtomicBool>,
}

/// Closes the slot when the thread ends, in whatever way, after the device is closed.
struct CloseAtEnd(Arc<Slot>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Work {
    fn run(&self, opened: &SyncSender<Result<Mode, DeviceError>>) {
        let _closed_last = CloseAtEnd(self.pictures.clone());
        let (mut device, mode) = match self.open() {
            Ok(open) => open,
            Err(error) => return opened.send(Err(error)).unwrap_or_default(),
        };
        if opened.send(Ok(mode)).is_err() {
            return;
        }
        if let Err(error) = self.read(&mut device, mode) {
            self.pictures.put(Err(error));
        }
    }

    /// Opens the device and starts the best mode that it does not refuse.
    fn open(&self) -> Result<(nokhwa::Camera, Mode), DeviceError> {
        let blame = |why: NokhwaError| blame(&self.entry, Stage::Opening, &why.to_string());
        let any = RequestedFormat::with_formats(RequestedFormatType::None, &UNDERSTOOD);
        let index = CameraIndex::Index(self.entry.node);
        let mut device = nokhwa::Camera::with_backend(index, any, ApiBackend::Auto).map_err(blame)?;

        let offered = device.compatible_camera_formats().map_err(blame)?;
        let modes: Vec<Mode> = offered.iter().copied().filter_map(mode_of).collect();
        for mode in choice::ranked(&modes) {
            let same = |format: &CameraFormat| mode_of(*format) == Some(mode);
            let Some(format) = offered.iter().copied().find(same) else { continue };
            let exactly = RequestedFormatType::Exact(format);
            match device.set_camera_requset(RequestedFormat::with_formats(exactly, &UNDERSTOOD)) {
                Ok(_) => break,
                Err(why) if is_final(&why) => return Err(blame(why)),
                Err(why) => tracing::debug!(?mode, %why, "the camera refuses a mode that it offers"),
            }
        }
        device.open_stream().map_err(blame)?;
        let mode = device.refresh_camera_format().ok().and_then(mode_of);
        let mode = mode.ok_or_else(|| broken(&self.entry.name, "it has no picture format we know".into()))?;
        Ok((device, mode))
    }

    fn read(&self, device: &mut nokhwa::Camera, mode: Mode) -> Result<(), DeviceError> {
        let pool = FramePool::new();
        let mut damaged = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let data =
                device.frame_raw().map_err(|why| blame(&self.entry, Stage::Running, &why.to_string()))?;
            let captured_at = clock::now();
            let raw =
                RawPicture { format: mode.pixels, resolution: mode.resolution, stride: None, data: &data };
            match convert::to_i420(&raw, &pool) {
                Ok(planes) => {
                    damaged = 0;
                    self.pictures.put(Ok(VideoFrame::new(planes, captured_at)));
                }
                Err(why) => {
                    damaged += 1;
                    tracing::debug!(damaged, %why, "a damaged picture from the camera");
                    if damaged >= DAMAGED {
                        return Err(broken(&self.entry.name, format!("its pictures are damaged: {why}")));
                    }
                }
            }
        }
        Ok(())
    }
}

fn mode_of(format: CameraFormat) -> Option<Mode> {
    let pixels = match format.format() {
        FrameFormat::YUYV => PixelFormat::Yuyv,
        FrameFormat::NV12 => PixelFormat::Nv12,
        FrameFormat::MJPEG => PixelFormat::Mjpeg,
        FrameFormat::RAWRGB => PixelFormat::Rgb,
        FrameFormat::GRAY | FrameFormat::RAWBGR => return None,
    };
    let resolution = Resolution::new(format.width(), format.height());
    Some(Mode { resolution, fps: format.frame_rate(), pixels })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opening,
    Running,
}

/// What went wrong, from the text of the library, which carries the system's error number.
fn blame(entry: &CameraEntry, stage: Stage, text: &str) -> DeviceError {
    let error = judge(&entry.name, stage, text);
    match error {
        // A camera that is pulled out may fail in any way before it vanishes.
        DeviceError::Broken { .. } if stage == Stage::Running && !is_plugged_in(entry) => {
            DeviceError::Gone(entry.name.clone())
        }
        error => error,
    }
}

fn judge(name: &str, stage: Stage, text: &str) -> DeviceError {
    match (os_error(text), stage) {
        (Some(EBUSY), _) => DeviceError::Busy(name.to_owned()),
        (Some(EACCES | EPERM), _) => DeviceError::Refused(name.to_owned()),
        (Some(ENODEV | ENXIO | ENOENT), Stage::Running) => DeviceError::Gone(name.to_owned()),
        (Some(ENODEV | ENXIO | ENOENT), Stage::Opening) => DeviceError::NotFound(name.to_owned()),
        _ => broken(name, text.to_owned()),
    }
}

// The numbers of errno, the same on every Linux and on macOS.
const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ENXIO: i32 = 6;
const EACCES: i32 = 13;
const EBUSY: i32 = 16;
const ENODEV: i32 = 19;

/// The number in "… (os error 16)", which is how the standard library prints a system error.
fn os_error(text: &str) -> Option<i32> {
    let (_, rest) = text.rsplit_once("(os error ")?;
    rest.split_once(')')?.0.parse().ok()
}

/// Whether trying another mode is pointless.
fn is_final(why: &NokhwaError) -> bool {
    matches!(os_error(&why.to_string()), Some(EBUSY | EACCES | EPERM | ENODEV))
}

fn is_plugged_in(entry: &CameraEntry) -> bool {
    list::entries().iter().any(|camera| camera.id == entry.id)
}

fn broken(name: &str, reason: String) -> DeviceError {
    DeviceError::Broken { device: name.to_owned(), reason }
}

fn driver_failed(name: &str) -> DeviceError {
    broken(name, "its driver failed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(stage: Stage, text: &str) -> DeviceError {
        judge("Webcam", stage, text)
    }

    #[test]
    fn a_camera_in_use_a_refused_one_and_a_missing_one_are_told_apart() {
        let busy = "Could not open device stream: Device or resource busy (os error 16)";
        assert_eq!(judged(Stage::Opening, busy), DeviceError::Busy("Webcam".into()));
        let refused = "Could not open device 0: V4L2 Error: Permission denied (os error 13)";
        assert_eq!(judged(Stage::Opening, refused), DeviceError::Refused("Webcam".into()));
        let missing = "Could not open device 0: V4L2 Error: No such file or directory (os error 2)";
        assert_eq!(judged(Stage::Opening, missing), DeviceError::NotFound("Webcam".into()));
    }

    #[test]
    fn a_camera_that_is_pulled_out_is_gone() {
        let pulled = "Could not capture frame: No such device (os error 19)";
        assert_eq!(judged(Stage::Running, pulled), DeviceError::Gone("Webcam".into()));
    }

    #[test]
    fn whatever_else_happens_keeps_its_reason() {
        let text = "Could not get device property CameraFormat: Failed to Fufill";
        assert_eq!(judged(Stage::Opening, text), broken("Webcam", text.into()));
    }

    #[test]
    fn the_system_error_is_read_from_the_end_of_the_text() {
        assert_eq!(os_error("x (os error 5): y (os error 16)"), Some(16));
        assert_eq!(os_error("(os error )"), None);
        assert_eq!(os_error("busy"), None);
    }

    #[test]
    fn a_camera_that_does_not_exist_is_named() {
        let error = Camera::open(Some("no-such-camera")).expect_err("there is no such camera");
        assert_eq!(error.to_string(), "The camera \"no-such-camera\" was not found");
    }
}
