//! Turns a choice into an open source or sink. Blocks; runs on a thread of its own.

use crate::media::sink::{null::NullSink, wav::WavSink};
use crate::media::source::{
    pattern::Pattern,
    tone::Tone,
    wav::{StereoWavFile, WavFile},
    y4m::Y4mFile,
};
use crate::media::{AudioSink, AudioSource, DeviceError, StereoSource, VideoSource};
use crate::units::Resolution;

use super::command::DeviceChoice;
use super::parts::{AudioChoice, ShareSoundChoice, SinkChoice, VideoChoice};

/// Opens what gives the pictures.
pub fn camera(video: &VideoChoice, choice: &DeviceChoice) -> Result<Box<dyn VideoSource>, DeviceError> {
    match video {
        VideoChoice::None => Err(DeviceError::NotFound("A camera".into())),
        VideoChoice::Pattern(size) => Ok(Box::new(Pattern::new(*size))),
        VideoChoice::File(path) => Ok(Box::new(Y4mFile::open(path)?)),
        VideoChoice::Camera { demo } => match (device::camera(choice), demo) {
            (Err(_), true) => Ok(Box::new(Pattern::new(Resolution::HD))),
            (result, _) => result,
        },
    }
}

/// Opens what gives the sound.
pub fn microphone(audio: &AudioChoice, choice: &DeviceChoice) -> Result<Box<dyn AudioSource>, DeviceError> {
    match audio {
        AudioChoice::None => Err(DeviceError::NotFound("A microphone".into())),
        AudioChoice::Tone => Ok(Box::new(Tone::new())),
        AudioChoice::File(path) => Ok(Box::new(WavFile::open(path)?)),
        AudioChoice::Microphone => device::microphone(choice),
    }
}

/// Opens what a shared screen sounds like.
pub fn share_sound(choice: &ShareSoundChoice) -> Result<Box<dyn StereoSource>, DeviceError> {
    match choice {
        ShareSoundChoice::System => screen_sound::open(),
        ShareSoundChoice::File(path) => Ok(Box::new(StereoWavFile::open(path)?)),
    }
}

/// Opens what takes the sound.
pub fn speaker(sink: &SinkChoice, choice: &DeviceChoice) -> Result<Box<dyn AudioSink>, DeviceError> {
    match sink {
        SinkChoice::None => Ok(Box::new(NullSink::new())),
        SinkChoice::File(path) => Ok(Box::new(WavSink::create(path)?)),
        SinkChoice::Speaker => device::speaker(choice),
    }
}

#[cfg(feature = "devices")]
mod device {
    use super::{AudioSink, AudioSource, DeviceChoice, DeviceError, VideoSource};
    use crate::media::sink::speaker::Speaker;
    use crate::media::source::{camera::Camera, microphone::Microphone};

    /// The id to ask for: `None` is whatever the system prefers.
    fn wanted<'a>(choice: &'a DeviceChoice, what: &str) -> Result<Option<&'a str>, DeviceError> {
        match choice {
            DeviceChoice::Default => Ok(None),
            DeviceChoice::Id(id) => Ok(Some(id)),
            DeviceChoice::None => Err(DeviceError::NotFound(what.into())),
        }
    }

    /// A device that is not there any more is no reason to have none. What goes while it is being
    /// opened, or is only a name of the sound system with nothing behind it, was never there.
    fn or_default<T>(
        id: Option<&str>,
        open: impl Fn(Option<&str>) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let open = |id| match open(id) {
            Err(DeviceError::Gone(name)) => Err(DeviceError::NotFound(name)),
            result => result,
        };
        match (open(id), id) {
            (Err(DeviceError::NotFound(_)), Some(_)) => open(None),
            (result, _) => result,
        }
    }

    pub fn camera(choice: &DeviceChoice) -> Result<Box<dyn VideoSource>, DeviceError> {
        let id = wanted(choice, "A camera")?;
        or_default(id, |id| Ok(Box::new(Camera::open(id)?) as Box<dyn VideoSource>))
    }

    pub fn microphone(choice: &DeviceChoice) -> Result<Box<dyn AudioSource>, DeviceError> {
        let id = wanted(choice, "A microphone")?;
        or_default(id, |id| Ok(Box::new(Microphone::open(id)?) as Box<dyn AudioSource>))
    }

    pub fn speaker(choice: &DeviceChoice) -> Result<Box<dyn AudioSink>, DeviceError> {
        let id = wanted(choice, "A speaker")?;
        or_default(id, |id| Ok(Box::new(Speaker::open(id)?) as Box<dyn AudioSink>))
    }
}

#[cfg(not(feature = "devices"))]
mod device {
    use super::{AudioSink, AudioSource, DeviceChoice, DeviceError, VideoSource};

    fn none<T>(what: &str) -> Result<T, DeviceError> {
        Err(DeviceError::NotFound(format!("{what} (this build knows no devices)")))
    }

    pub fn camera(_: &DeviceChoice) -> Result<Box<dyn VideoSource>, DeviceError> {
        none("A camera")
    }

    pub fn microphone(_: &DeviceChoice) -> Result<Box<dyn AudioSource>, DeviceError> {
        none("A microphone")
    }

    pub fn speaker(_: &DeviceChoice) -> Result<Box<dyn AudioSink>, DeviceError> {
        none("A speaker")
    }
}

#[cfg(all(feature = "devices", target_os = "linux"))]
mod screen_sound {
    use super::{DeviceError, StereoSource};
    use crate::media::source::system_sound::SystemSound;

    pub fn open() -> Result<Box<dyn StereoSource>, DeviceError> {
        Ok(Box::new(SystemSound::open()?))
    }
}

#[cfg(not(all(feature = "devices", target_os = "linux")))]
mod screen_sound {
    use super::{DeviceError, StereoSource};

    pub fn open() -> Result<Box<dyn StereoSource>, DeviceError> {
        let reason = "it cannot be shared by this version on this system".to_owned();
        Err(DeviceError::Broken { device: "The sound of this computer".to_owned(), reason })
    }
}
