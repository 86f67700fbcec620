//! What a device of ours does.

use serde::{Deserialize, Serialize};

/// What a device of ours does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Which.
    pub device: DeviceKind,
    /// What it does.
    pub state: DeviceWord,
    /// Its name, or why it cannot be used.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The system's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Somebody talks while it is muted (the microphone only).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub muted_but_speaking: bool,
}

/// Which device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words say it")]
pub enum DeviceKind {
    Microphone,
    Camera,
    Speaker,
}

/// What a device does, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceWord {
    /// Not opened.
    Closed,
    /// Being opened.
    Opening,
    /// Running.
    On,
    /// Switched off by the person.
    Off,
    /// There is none.
    Absent,
    /// The system does not let us use it.
    Denied,
    /// It cannot be used for another reason.
    Failed,
}
