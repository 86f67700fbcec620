//! Shows one screen of the window from a view made by hand, with no engine behind it:
//! `cargo run --example screens -- call dark`. The connection panel (Ctrl+I) shows the record of a call of
//! `RECORD` seconds, 600 by default; 0: of one that failed.

#[path = "../support/histories.rs"]
mod histories;
#[path = "../support/views.rs"]
mod views;

use std::sync::Arc;

use sightline::config::{Settings, Theme};
use sightline::doctor;
use sightline::engine::frames::{FrameKey, FrameSlots};
use sightline::media::frame::VideoFrame;
use sightline::record::History;
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
    let picture = |blue| if bars { views::bars(Resolution::HD) } else { portrait(Resolution::HD, blue) };
    let (local, remote) = (picture(false), picture(true));
    frames.put(&FrameKey::Local, local.clone());
    for peer in &view.peers {
        frames.put(&FrameKey::Remote(peer.peer.clone()), remote.clone());
        frames.put(&FrameKey::Screen(peer.peer.clone()), views::bars(Resolution::new(1920, 1080)));
    }
    frames.put(&FrameKey::OwnScreen, views::bars(Resolution::new(1920, 1080)));
    let runtime = tokio::runtime::Runtime::new()?;
    if moves {
        // New pictures at a camera's rate, to see what drawing them costs.
        let (frames, peers, pictures) = (frames.clone(), view.peers.clone(), [local.clone(), remote.clone()]);
        runtime.spawn(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_micros(33_333));
            for picture in pictures.iter().cycle() {
                tick.tick().await;
                frames.put(&FrameKey::Local, picture.clone());
                for peer in &peers {
                    frames.put(&FrameKey::Remote(peer.peer.clone()), picture.clone());
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
    let seconds = std::env::var("RECORD").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    let history = match seconds {
        0 => histories::failed(),
        seconds => histories::call(seconds),
    };
    let (newer, history) = watch::channel(Arc::new(history));
    if moves {
        // Something new once a second, as in a call.
        runtime.spawn(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
            loop {
                tick.tick().await;
                newer.send_modify(|history| *history = Arc::new(History::clone(history)));
            }
        });
    }
    let handle = runtime.handle().clone();
    let checkup = Box::new(move |settings: &Settings| {
        let _inside = handle.enter();
        doctor::start(doctor::Plan::of(settings))
    });
    let runtime = runtime.handle().clone();
    let (_still, marks) = watch::channel(Arc::default());
    ui::run(UiEngine { view, commands, frames, marks, history, checkup, handovers: None, runtime })
}

/// Somebody in front of something blue or brown.
fn portrait(size: Resolution, blue: bool) -> VideoFrame {
    let shape = size.width as f32 / size.height as f32;
    views::picture(size, move |x, y| {
        let (dx, far) = ((x - 0.5) * shape, |dx: f32, dy: f32| (dx * dx + dy * dy).sqrt());
        let face = far(dx / 0.78, y - 0.45) < 0.2;
        let hair = far(dx / 0.85, y - 0.40) < 0.24;
        let body = far(dx / 1.5, (y - 1.1) / 1.05) < 0.38;
        let neck = dx.abs() < 0.085 && y > 0.5 && y < 0.85;
        let light = [(-0.62, 0.25, 0.1), (0.6, 0.3, 0.12), (0.66, 0.75, 0.08), (-0.5, 0.72, 0.07)];
        let glow: f32 =
            light.iter().map(|(lx, ly, r)| if far(dx - lx, y - ly) < *r { 0.16 } else { 0.0 }).sum();
        match (face || neck, hair, body, blue) {
            (true, ..) => [0.68 - 0.1 * y, 0.40, 0.62],
            (false, true, ..) => [0.13, 0.48, 0.53],
            (_, _, true, true) => [0.40, 0.62, 0.40],
            (_, _, true, false) => [0.42, 0.42, 0.68],
            (.., true) => [0.30 - 0.16 * y + glow, 0.58, 0.46],
            (.., false) => [0.32 - 0.14 * y + glow, 0.44, 0.55],
        }
    })
}
