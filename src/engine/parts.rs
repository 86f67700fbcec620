//! What an engine is built from: devices, or what stands in for them.

use std::path::PathBuf;

use signaling_protocol::IceServer;

use crate::config::{Settings, SettingsFile};
use crate::dial::{Dialer, Trust};
use crate::files::{Accept, Folder};
use crate::proxy::Proxies;
use crate::rtc::IcePolicy;
use crate::units::{Bitrate, Resolution};

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoChoice {
    /// The camera of the settings; the test pattern instead of it when there is none and `demo`.
    Camera {
        /// The pattern stands in for a camera that is not there.
        demo: bool,
    },
    /// The moving test pattern with the marker.
    Pattern(Resolution),
    /// A Y4M file, looped.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// Where sound comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioChoice {
    /// The microphone of the settings.
    Microphone,
    /// A tone with a beep each second.
    Tone,
    /// A WAV file, looped.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// What a shared screen sounds like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ShareSoundChoice {
    /// Like what the other programs of this computer play.
    #[default]
    System,
    /// Like a WAV file, looped.
    File(PathBuf),
}

/// Where sound goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkChoice {
    /// The speaker of the settings.
    Speaker,
    /// A WAV file.
    File(PathBuf),
    /// Nowhere, but at the pace of a speaker.
    None,
}

/// Everything that is decided before an engine starts.
#[derive(Clone, Debug)]
pub struct EngineParts {
    /// What the person has set.
    pub settings: Settings,
    /// Where the settings are saved; `None`: they are not.
    pub settings_file: Option<SettingsFile>,
    /// Where the records of calls are; `None`: there are none.
    pub records: Option<PathBuf>,
    /// Something the person should read at the start.
    pub first_notice: Option<String>,
    /// Where pictures come from.
    pub video: VideoChoice,
    /// Where sound comes from.
    pub audio: AudioChoice,
    /// What a shared screen sounds like, if its sound is shared.
    pub share_sound: ShareSoundChoice,
    /// Where sound goes.
    pub sink: SinkChoice,
    /// Servers beside those that the signaling server hands out.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used; `relay_only` in the settings has the same effect as `Relay`.
    pub ice_policy: IcePolicy,
    /// Send and receive pictures at all.
    pub with_video: bool,
    /// Cap on the video bitrate.
    pub max_bitrate: Option<Bitrate>,
    /// Where files go that others send.
    pub files: Folder,
    /// How servers are reached.
    pub dialer: Dialer,
}

impl EngineParts {
    /// The devices of this computer, as the settings name them.
    pub fn devices(settings: Settings) -> Self {
        let (proxies, first_notice) = match Proxies::named(&settings.proxy) {
            Ok(proxies) => (proxies, None),
            Err(error) => (Proxies::None, Some(format!("No proxy is used: {error}."))),
        };
        Self {
            settings,
            settings_file: None,
            records: None,
            first_notice,
            video: VideoChoice::Camera { demo: false },
            audio: AudioChoice::Microphone,
            share_sound: ShareSoundChoice::System,
            sink: SinkChoice::Speaker,
            ice_servers: Vec::new(),
            ice_policy: IcePolicy::All,
            with_video: true,
            max_bitrate: None,
            files: Folder { path: Folder::downloads(), accept: Accept::Ask },
            dialer: Dialer::new(Trust::system(), proxies),
        }
    }
}
