//! What this computer has: microphones, speakers, cameras, with stable ids and names for people.
//!
//! Knows how to list and to watch, not what is in use. The system tells nobody when a sound
//! device comes or goes, so the lists are read again and again; reading takes a few ms.

#[cfg(feature = "devices")]
pub(in crate::media) mod sound;

use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

#[cfg(feature = "devices")]
use crate::media::source::camera;
use crate::media::worker::Worker;

/// Time between two looks at the devices: a plugged-in headset is there while one still puts it on.
const EVERY: Duration = Duration::from_millis(1_500);

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

impl Devices {
    /// Looks once. What cannot be listed is empty.
    pub fn list() -> Self {
        Lister::default().list()
    }
}

/// What to do about a device in use after the lists changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Nothing: it is the right one.
    Keep,
    /// It was unplugged (a sound server then moves its streams wherever it likes): open the
    /// default and say so.
    Unplugged,
    /// It was unplugged and there is no other: say so.
    NothingLeft,
    /// The system's default changed: open that.
    NewDefault,
    /// The chosen one is back: open that.
    ChosenIsBack,
}

impl Follow {
    /// Decides from the new list, the chosen id (`None`: the default) and the id in use.
    pub fn decide(list: &[Device], chosen: Option<&str>, in_use: &str) -> Self {
        let is_there = |id: &str| list.iter().any(|device| device.id == id);
        match chosen {
            Some(chosen) if chosen == in_use && is_there(in_use) => Follow::Keep,
            Some(chosen) if is_there(chosen) => Follow::ChosenIsBack,
            None if is_there(in_use) && list[0].id != in_use => Follow::NewDefault,
            Some(_) | None if is_there(in_use) => Follow::Keep,
            Some(_) | None if list.is_empty() => Follow::NothingLeft,
            Some(_) | None => Follow::Unplugged,
        }
    }
}

/// Keeps the connection to the sound system between two looks.
#[derive(Default)]
struct Lister {
    #[cfg(feature = "devices")]
    sound: sound::Lister,
}

impl Lister {
    #[cfg(feature = "devices")]
    fn list(&mut self) -> Devices {
        let (microphones, speakers) = self.sound.list();
        Devices { cameras: camera::cameras(), microphones, speakers }
    }

    #[cfg(not(feature = "devices"))]
    fn list(&mut self) -> Devices {
        Devices::default()
    }
}

/// Watches the devices until it is dropped.
pub struct DeviceWatch {
    // Before the worker: closing it is what ends the thread.
    _stop: SyncSender<()>,
    _worker: Worker,
}

impl DeviceWatch {
    /// Starts the thread `devices`. It calls `on_change` with the first lists and after each change.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(on_change: impl Fn(Devices) + Send + 'static) -> io::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(1);
        let worker = Worker::spawn("devices", move || {
            let mut lister = Lister::default();
            let mut known = None;
            loop {
                let devices = lister.list();
                if known.as_ref() != Some(&devices) {
                    on_change(devices.clone());
                    known = Some(devices);
                }
                match stopped.recv_timeout(EVERY) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        })?;
        Ok(Self { _stop: stop, _worker: worker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_when_devices_come_and_go() {
        let list = |ids: &[&str]| -> Vec<Device> {
            ids.iter().map(|id| Device { id: (*id).to_owned(), name: String::new() }).collect()
        };
        let cases = [
            (list(&["a", "b"]), None, "a", Follow::Keep),
            (list(&["b", "a"]), None, "a", Follow::NewDefault),
            (list(&["b"]), None, "a", Follow::Unplugged),
            (list(&[]), None, "a", Follow::NothingLeft),
            (list(&["b", "a"]), Some("a"), "a", Follow::Keep),
            (list(&["b"]), Some("a"), "a", Follow::Unplugged),
            (list(&["b"]), Some("a"), "b", Follow::Keep),
            (list(&["b", "a"]), Some("a"), "b", Follow::ChosenIsBack),
            (list(&[]), Some("a"), "a", Follow::NothingLeft),
        ];
        for (list, chosen, in_use, expected) in cases {
            assert_eq!(Follow::decide(&list, chosen, in_use), expected, "{list:?} {chosen:?} {in_use}");
        }
    }
}
