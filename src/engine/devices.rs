//! What this computer has, kept current.

use tokio::sync::watch;

use super::view::Devices;

/// The newest list of devices.
pub struct DeviceList {
    list: watch::Receiver<Devices>,
    #[cfg(any())]
    _watch: Option<crate::media::devices::DeviceWatch>,
    #[cfg(all())]
    _keep: watch::Sender<Devices>,
}

impl DeviceList {
    /// Starts watching. The first list comes as a change.
    #[cfg(any())]
    pub fn watch() -> Self {
        let (sender, list) = watch::channel(Devices::default());
        let on_change = move |devices: Devices| {
            sender.send_replace(devices);
        };
        let _watch = crate::media::devices::DeviceWatch::spawn(on_change)
            .inspect_err(|error| tracing::error!(%error, "devices cannot be watched"))
            .ok();
        Self { list, _watch }
    }

    /// This build knows no devices.
    #[cfg(all())]
    pub fn watch() -> Self {
        let (_keep, list) = watch::channel(Devices::default());
        Self { list, _keep }
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
