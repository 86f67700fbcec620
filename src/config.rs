//! What a person sets and the application remembers.

use serde::{Deserialize, Serialize};

/// Remembered between starts, as TOML in the system's place for settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Format of the file.
    pub version: u32,
    /// The name that others see.
    pub name: String,
    /// Signaling server (`ws://`, `wss://`, `http://` or `https://`); empty: this computer hosts.
    pub server: String,
    /// Device id; empty: the system's default; `none`: none.
    pub camera: String,
    /// Device id; empty: the system's default; `none`: none.
    pub microphone: String,
    /// Device id; empty: the system's default; `none`: none.
    pub speaker: String,
    /// Removes the speaker's sound from the microphone.
    pub echo_cancellation: bool,
    /// Removes steady noise from the microphone.
    pub noise_suppression: bool,
    /// Evens out the microphone's level.
    pub gain_control: bool,
    /// Never tell the other side our addresses.
    pub relay_only: bool,
    /// How the window looks.
    pub theme: Theme,
}

/// How the window looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Theme {
    /// Follows the system.
    #[default]
    System,
    /// Dark.
    Dark,
    /// Light.
    Light,
}

impl Settings {
    /// The format written by this version.
    pub const VERSION: u32 = 1;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: Self::VERSION,
            name: String::new(),
            server: String::new(),
            camera: String::new(),
            microphone: String::new(),
            speaker: String::new(),
            echo_cancellation: true,
            noise_suppression: true,
            gain_control: true,
            relay_only: false,
            theme: Theme::System,
        }
    }
}
