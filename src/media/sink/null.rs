//! Nobody listens: takes sound at the right pace and forgets it.

use std::time::Duration;

use crate::clock;
use crate::media::beat::Beat;
use crate::media::frame::StereoBlock;
use crate::media::{AudioSink, DeviceError};

/// Keeps a call without a speaker going, and stands in while a lost speaker is being replaced.
pub struct NullSink {
    beat: Beat,
}

impl NullSink {
    /// Wants its first block now.
    pub fn new() -> Self {
        Self { beat: Beat::new(clock::now()) }
    }
}

impl Default for NullSink {
    fn default() -> Self {
        Self::new()
    }
}

impl AudioSink for NullSink {
    fn name(&self) -> &str {
        "No speaker"
    }

    fn is_heard(&self) -> bool {
        false
    }

    fn wait_wanted(&mut self, timeout: Duration) -> Result<bool, DeviceError> {
        Ok(self.beat.wait(timeout).is_some())
    }

    fn play(&mut self, _block: &StereoBlock) -> Result<(), DeviceError> {
        Ok(())
    }

    fn latency(&self) -> Duration {
        Duration::ZERO
    }
}
