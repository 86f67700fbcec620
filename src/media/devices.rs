//! What this computer has: microphones, speakers, cameras, with stable ids and names for people.
//!
//! Knows how to list, not how to open.

/// A device in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Stable id.
    pub id: String,
    /// The name shown to people.
    pub name: String,
}

/// What this computer has. The system's default comes first in each list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Cameras.
    pub cameras: Vec<Device>,
    /// Microphones (without the monitors of speakers).
    pub microphones: Vec<Device>,
    /// Speakers and headphones.
    pub speakers: Vec<Device>,
}
