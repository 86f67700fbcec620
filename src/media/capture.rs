//! Drives a video source on a thread of its own.
//!
//! It does not know what the source is nor who looks at its pictures.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::frame::VideoFrame;
use super::worker::Worker;
use super::{DeviceError, VideoSource};

/// How long a source may keep the thread from seeing that it is to stop.
const PATIENCE: Duration = Duration::from_millis(100);

/// A running source. Dropping it stops the source, and waits for that at most two seconds.
#[derive(Debug)]
pub struct Capture {
    stop: Arc<AtomicBool>,
    /// Held for its drop.
    _thread: Worker,
}

impl Capture {
    /// Starts the thread `name`. `on_frame` gets every picture on that thread and must not block;
    /// `on_end` is told when the source fails, but not when it is stopped.
    pub fn spawn(
        name: &str,
        source: Box<dyn VideoSource>,
        on_frame: impl Fn(VideoFrame) + Send + 'static,
        on_end: impl FnOnce(DeviceError) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = Worker::spawn(name, move || {
            if let Err(error) = run(source, &stopped, on_frame) {
                on_end(error);
            }
        })?;
        Ok(Self { stop, _thread: thread })
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn run(
    mut source: Box<dyn VideoSource>,
    stopped: &AtomicBool,
    on_frame: impl Fn(VideoFrame),
) -> Result<(), DeviceError> {
    while !stopped.load(Ordering::Relaxed) {
        if let Some(frame) = source.next_frame(PATIENCE)? {
            on_frame(frame);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::source::pattern::Pattern;
    use crate::units::Resolution;
    use std::sync::mpsc::sync_channel;

    struct Unplugged(Pattern);

    impl VideoSource for Unplugged {
        fn name(&self) -> &str {
            "Unplugged"
        }

        fn format(&self) -> (Resolution, f64) {
            self.0.format()
        }

        fn next_frame(&mut self, _: Duration) -> Result<Option<VideoFrame>, DeviceError> {
            Err(DeviceError::Gone("Unplugged".to_owned()))
        }
    }

    #[test]
    fn pictures_arrive_until_it_is_dropped() {
        let (frames, arrived) = sync_channel(1);
        let source = Box::new(Pattern::new(Resolution::new(160, 90)));
        let send = move |frame| drop(frames.try_send(frame));
        let capture = Capture::spawn("cam", source, send, |error| panic!("{error}")).unwrap();
        assert_eq!(arrived.recv().unwrap().resolution(), Resolution::new(160, 90));
        drop(capture);
        while arrived.try_recv().is_ok() {}
        assert!(arrived.recv().is_err(), "the thread has ended and its sender with it");
    }

    #[test]
    fn an_unplugged_source_says_so() {
        let (ends, ended) = sync_channel(1);
        let source = Box::new(Unplugged(Pattern::new(Resolution::new(160, 90))));
        let _capture = Capture::spawn("cam", source, |_| {}, move |error| ends.send(error).unwrap()).unwrap();
        assert_eq!(ended.recv().unwrap(), DeviceError::Gone("Unplugged".to_owned()));
    }
}
