//! `cap.log`, `ren.log`, the same of a shared screen, and `frames/`: what was captured and shown, and when.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::log::{Log, LogFile};
use crate::clock;
use crate::engine::frames::{FrameKey, FrameSlots};
use crate::media::frame::VideoFrame;
use crate::media::marker;

/// Writes a line for each picture, and one about every `dump_ms` ms itself; 0: none.
pub fn log_frames(frames: &FrameSlots, log: &Log, dump_ms: u64) {
    let log = log.clone();
    let last_dump = Mutex::new(None::<Instant>);
    let last_screen = Mutex::new(None::<Instant>);
    frames.on_new_frame(move |key, frame| {
        let number = marker::read(frame).map_or(-1, i64::from);
        let size = frame.resolution();
        let file = match key {
            FrameKey::Local => LogFile::Captured,
            FrameKey::OwnScreen => LogFile::CapturedScreen,
            FrameKey::Remote(_) => LogFile::Rendered,
            FrameKey::Screen(_) => LogFile::RenderedScreen,
            FrameKey::Listed(_) => return,
        };
        // Of a picture of the other side: when it was decoded, on its way to the screen.
        let at = clock::unix_ms_at(frame.captured_at);
        log.line(file, format!("{at:.3} {number} {size}"));
        let (dump, what) = match key {
            FrameKey::Local | FrameKey::OwnScreen | FrameKey::Listed(_) => return,
            FrameKey::Remote(_) => (&last_dump, ""),
            FrameKey::Screen(_) => (&last_screen, "share_"),
        };
        if dump_ms > 0 && dump_is_due(dump, Duration::from_millis(dump_ms)) {
            log.picture(format!("{what}{at:.0}_{number}_{size}.i420"), VideoFrame::clone(frame));
        }
    });
}

fn dump_is_due(last: &Mutex<Option<Instant>>, every: Duration) -> bool {
    let now = clock::now();
    let Ok(mut last) = last.lock() else { return false };
    let due = last.is_none_or(|last| now.saturating_duration_since(last) >= every);
    if due {
        *last = Some(now);
    }
    due
}
