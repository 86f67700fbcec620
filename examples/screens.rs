//! Shows one screen of the window from a view made by hand, with no engine behind it:
//! `cargo run --example screens -- call dark`.

#[path = "../tests/support/views.rs"]
mod views;

use std::sync::Arc;

use sightline::config::Theme;
use sightline::engine::frames::{FrameKey, FrameSlots};
use sightline::ui::{self, UiEngine};
use sightline::units::Resolution;
use tokio::sync::{mpsc, watch};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().unwrap_or_default();
    let Some(mut view) = views::view(&name) else {
        anyhow::bail!("name a screen: {}", views::NAMES.join(", "));
    };
    view.settings.theme = match args.next().as_deref() {
        Some("light") => Theme::Light,
        _ => Theme::Dark,
    };
    let moves = args.next().as_deref() == Some("moving");
    let frames = FrameSlots::new();
    let bars = std::env::var_os("BARS").is_some();
    let picture =
        |blue| if bars { views::bars(Resolution::HD) } else { views::portrait(Resolution::HD, blue) };
    let (local, remote) = (picture(false), picture(true));
    frames.put(&FrameKey::Local, local.clone());
    for peer in &view.peers {
        frames.put(&FrameKey::Remote(peer.peer.clone()), remote.clone());
    }
    let runtime = tokio::runtime::Runtime::new()?;
    if moves {
        // New pictures at a camera's rate, to see what drawing them costs.
        let (frames, peers) = (frames.clone(), view.peers.clone());
        runtime.spawn(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_micros(33_333));
            loop {
                tick.tick().await;
                frames.put(&FrameKey::Local, views::bars(Resolution::new(64, 36)));
                for peer in &peers {
                    frames.put(&FrameKey::Remote(peer.peer.clone()), views::bars(Resolution::new(64, 36)));
                }
            }
        });
    }
    let (_keep, view) = watch::channel(Arc::new(view));
    let (commands, mut wanted) = mpsc::channel(16);
    runtime.spawn(async move {
        while let Some(command) = wanted.recv().await {
            println!("{command:?}");
        }
    });
    ui::run(UiEngine { view, commands, frames, handovers: None, runtime: runtime.handle().clone() })
}
