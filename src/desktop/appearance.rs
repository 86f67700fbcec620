//! Whether the desktop prefers light or dark.
//!
//! macOS and Windows tell the window toolkit; Linux desktops tell whoever asks their settings portal
//! (org.freedesktop.portal.Settings, `color-scheme`). A desktop without one is no error.

use tokio::sync::watch;

/// What the desktop prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appearance {
    /// Light text on dark.
    Dark,
    /// Dark text on light.
    Light,
}

/// Follows the desktop until `tell` has no receiver; `None` while it says nothing.
#[cfg(not(target_os = "linux"))]
pub async fn follow(tell: watch::Sender<Option<Appearance>>) {
    tell.closed().await;
}

/// Follows the desktop until `tell` has no receiver; `None` while it says nothing.
#[cfg(target_os = "linux")]
pub async fn follow(tell: watch::Sender<Option<Appearance>>) {
    tokio::select! {
        () = tell.closed() => {}
        end = portal::follow(&tell) => {
            if let Err(error) = end {
                tracing::info!("the desktop does not say whether it is light or dark: {error}");
            }
        }
    }
}

#[cfg(target_os = "linux")]
mod portal {
    use futures_util::StreamExt;
    use tokio::sync::watch;
    use zbus::zvariant::{OwnedValue, Value};

    use super::Appearance;

    const NAMESPACE: &str = "org.freedesktop.appearance";
    const KEY: &str = "color-scheme";

    pub async fn follow(tell: &watch::Sender<Option<Appearance>>) -> zbus::Result<()> {
        let bus = zbus::Connection::session().await?;
        let settings = zbus::Proxy::new(
            &bus,
            "org.freedesktop.portal.Desktop",
            "/org/freedesktop/portal/desktop",
            "org.freedesktop.portal.Settings",
        )
        .await?;
        // Asked for before the value is read, so that no change falls between the two.
        let mut changes = settings.receive_signal("SettingChanged").await?;
        // `ReadOne` would not wrap the value twice, but is missing before version 2 of the portal.
        let value: OwnedValue = settings.call("Read", &(NAMESPACE, KEY)).await?;
        tell.send_replace(meaning(&value));
        while let Some(change) = changes.next().await {
            let body = change.body();
            let Ok((namespace, key, value)) = body.deserialize::<(&str, &str, Value<'_>)>() else {
                continue;
            };
            if (namespace, key) == (NAMESPACE, KEY) {
                tell.send_replace(meaning(&value));
            }
        }
        Ok(())
    }

    /// 1 is dark, 2 is light, everything else no preference; variants may be wrapped in variants.
    pub fn meaning(value: &Value<'_>) -> Option<Appearance> {
        match value {
            Value::U32(1) => Some(Appearance::Dark),
            Value::U32(2) => Some(Appearance::Light),
            Value::Value(inner) => meaning(inner),
            _ => None,
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use zbus::zvariant::Value;

    #[test]
    fn the_portals_numbers_are_understood_however_they_are_wrapped() {
        assert_eq!(portal::meaning(&Value::U32(1)), Some(Appearance::Dark));
        assert_eq!(portal::meaning(&Value::new(Value::U32(2))), Some(Appearance::Light));
        assert_eq!(portal::meaning(&Value::U32(0)), None);
        assert_eq!(portal::meaning(&Value::new("dark")), None);
    }
}
