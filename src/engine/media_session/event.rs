//! What happens in the media part, and what the person should know of it.

use std::time::Instant;

use signaling_protocol::PeerId;

use crate::media::encoded::TrackKind;
use crate::media::source::screen::{ScreenEvent, Targets};
use crate::media::{AudioSink, AudioSource, DeviceError, StereoSource, VideoSource};

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// Pictures in.
    Camera,
    /// Sound in.
    Microphone,
    /// Sound out.
    Speaker,
}

/// Counts the openings of a device, so that the result of an earlier one is recognised.
pub type Generation = u64;

/// What happens in the media part.
pub enum MediaEvent {
    /// A camera was opened, or not.
    Camera(Generation, Result<Box<dyn VideoSource>, DeviceError>),
    /// A microphone was opened, or not.
    Microphone(Generation, Result<Box<dyn AudioSource>, DeviceError>),
    /// A speaker was opened, or not.
    Speaker(Generation, Result<Box<dyn AudioSink>, DeviceError>),
    /// A device that ran is gone or broken.
    Ended(DeviceKind, DeviceError),
    /// A screen was opened to be shown, or not; or the one that was shown is gone.
    Screen(Generation, Result<Box<dyn VideoSource>, DeviceError>),
    /// Something happened to the screen that is shown.
    ScreenNews(Generation, ScreenEvent),
    /// The sound of our screen was opened, or not; or the one that was shared has ended.
    ShareSound(Generation, Result<Box<dyn StereoSource>, DeviceError>),
    /// Why the sound of our screen could not be shared, if somebody wanted to.
    ShareSoundReach(Generation, Option<DeviceError>),
    /// What could be shown of our screen.
    Screens(Generation, Result<Targets, DeviceError>),
    /// The decoder of a track cannot go on without a key frame.
    KeyframeNeeded(PeerId, TrackKind),
    /// The first picture of a participant is in its slot.
    FirstFrame(Instant),
    /// The first picture of a participant's screen is in its slot.
    FirstScreen(Instant),
    /// The first sound of a participant goes to the speaker.
    FirstAudio(Instant),
}

/// What became of a device; the actor tells the person.
#[derive(Clone, Debug, PartialEq)]
pub enum DeviceChange {
    /// It runs now, in place of another that failed.
    Replaced {
        /// Which.
        kind: DeviceKind,
        /// What it is called.
        name: String,
        /// What was wrong with the other.
        reason: String,
    },
    /// It cannot be used, and there is no other.
    Lost {
        /// Which.
        kind: DeviceKind,
        /// One sentence.
        reason: String,
    },
}
