//! What this computer has, kept current.

use tokio::sync::watch;

use crate::media::devices::DeviceWatch;

use super::view::Devices;

/// The newest list of devices.
pub struct DeviceList {
    list: watch::Receiver<Devices>,
    /// Held for its drop; without it the list stays empty.
    _watch: Option<DeviceWatch>,
}

impl DeviceList {
    /// Starts watching. The first list comes as a change.
    pub fn watch() -> Self {
        let (sender, list) = watch::channel(Devices::default());
        let on_change = move |devices: Devices| {
            sender.send_replace(devices);
        };
        let watch = DeviceWatch::spawn(on_change)
            .inspect_err(|error| tracing::error!(%error, "devices cannot be watched"));
        Self { list, _watch: watch.ok() }
    }

    /// Waits for the next change.
    pub async fn changed(&mut self) {
        if self.list.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// The newest list.
    pub fn current(&self) -> Devices {
        self.list.borrow().clone()
    }
}
