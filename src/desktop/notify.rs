//! Notifications of the desktop: a question with two answers.
//!
//! Linux shows the answers as buttons (org.freedesktop.Notifications); elsewhere the notification
//! only says that somebody is there, and the window asks.

use tokio::sync::mpsc;

use crate::engine::command::Command;

/// A button, and what it does.
pub struct Answer<'a> {
    /// What stands on it.
    pub text: &'a str,
    /// What the engine is told.
    pub command: Command,
}

/// Shows notifications; answers go straight to the engine.
pub struct Notifier {
    commands: mpsc::Sender<Command>,
}

impl Notifier {
    /// Answers go to `commands`.
    pub fn new(commands: mpsc::Sender<Command>) -> Self {
        Self { commands }
    }

    /// Asks. Returns at once: a thread of its own speaks with the desktop, and ends with the
    /// notification. A desktop without notifications is no error; the window asks too.
    pub fn ask(&self, question: &str, yes: Answer, no: Answer) {
        let mut notification = notify_rust::Notification::new();
        // The name of a stranger must not become mark-up: it goes into the summary, which is plain.
        notification.appname("Sightline").summary(question).icon("sightline");
        let commands = self.commands.clone();
        let (yes, no) = ((yes.text.to_owned(), yes.command), (no.text.to_owned(), no.command));
        let asked = std::thread::Builder::new().name("notify".into()).spawn(move || {
            show(notification, &commands, yes, no);
        });
        if let Err(error) = asked {
            tracing::warn!("no thread for a notification: {error}");
        }
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
fn show(
    mut notification: notify_rust::Notification,
    commands: &mpsc::Sender<Command>,
    yes: (String, Command),
    no: (String, Command),
) {
    notification.action("accept", &yes.0).action("decline", &no.0);
    notification.hint(notify_rust::Hint::Category("call.incoming".into()));
    match notification.show() {
        Ok(shown) => shown.wait_for_action(|action| {
            let command = match action {
                "accept" => yes.1,
                "decline" => no.1,
                _ => return,
            };
            if let Err(error) = commands.try_send(command) {
                tracing::error!("the answer to a notification was lost: {error}");
            }
        }),
        Err(error) => tracing::info!("the desktop shows no notifications: {error}"),
    }
}

#[cfg(not(all(unix, not(target_os = "macos"))))]
fn show(
    notification: notify_rust::Notification,
    _: &mpsc::Sender<Command>,
    _: (String, Command),
    _: (String, Command),
) {
    if let Err(error) = notification.show() {
        tracing::info!("the desktop shows no notifications: {error}");
    }
}
