//! Starts the window on an engine, and the demonstration of two windows that call each other.
//!
//! Knows both sides, the engine and `ui`, and nothing of what either does.

use std::path::PathBuf;
use std::process::{Child, Command as Process};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use signaling_protocol::Admission;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::config;
use crate::desktop::instance::{self, Claim};
use crate::engine::Engine;
use crate::engine::command::Command;
use crate::engine::parts::{AudioChoice, EngineParts, SinkChoice, VideoChoice};
use crate::link::Link;
use crate::ui::{self, UiEngine};
use crate::units::Resolution;

/// How long saying goodbye may take after the window is closed.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Flags of the window; all of them are for demonstrations and tests.
#[derive(Args, Clone, Debug, Default)]
pub struct WindowArgs {
    /// Camera: a Y4M file, `pattern`, `demo` (the pattern if there is no camera) or `none`
    #[arg(long, value_name = "FILE|pattern|demo|none")]
    video: Option<String>,
    /// Microphone: a WAV file, `tone` or `none`
    #[arg(long, value_name = "FILE|tone|none")]
    audio: Option<String>,
    /// Speaker: a WAV file to write, or `none`
    #[arg(long, value_name = "FILE|none")]
    sink: Option<String>,
    /// Name for this start, not remembered
    #[arg(long)]
    name: Option<String>,
    /// Open the room of the link instead of knocking at it; whoever has the link comes in
    #[arg(long)]
    open: bool,
    /// Do not hand the link to a window that runs already
    #[arg(long)]
    separate: bool,
}

impl WindowArgs {
    fn apply(&self, parts: &mut EngineParts) {
        match self.video.as_deref() {
            None => {}
            Some("none") => parts.video = VideoChoice::None,
            Some("pattern") => parts.video = VideoChoice::Pattern(Resolution::HD),
            Some("demo") => parts.video = VideoChoice::Camera { demo: true },
            Some(file) => parts.video = VideoChoice::File(PathBuf::from(file)),
        }
        match self.audio.as_deref() {
            None => {}
            Some("none") => parts.audio = AudioChoice::None,
            Some("tone") => parts.audio = AudioChoice::Tone,
            Some(file) => parts.audio = AudioChoice::File(PathBuf::from(file)),
        }
        match self.sink.as_deref() {
            None => {}
            Some("none") => parts.sink = SinkChoice::None,
            Some(file) => parts.sink = SinkChoice::File(PathBuf::from(file)),
        }
        if let Some(name) = &self.name {
            parts.settings.name.clone_from(name);
            parts.settings_file = None;
        }
    }
}

/// Opens the window and returns when it is closed.
pub fn run(link: Option<&str>, args: &WindowArgs) -> anyhow::Result<()> {
    let loaded = config::load();
    let link = link.map(|text| Link::parse(text, &loaded.settings.server)).transpose()?;
    let runtime = runtime()?;
    let links = if args.separate {
        None
    } else {
        let invite = link.as_ref().map(Link::invite_url);
        match runtime.block_on(instance::claim(invite.as_deref()))? {
            Claim::First(links) => Some(links),
            Claim::HandedOver => return Ok(()),
        }
    };

    let mut parts = EngineParts::devices(loaded.settings);
    parts.settings_file = loaded.file;
    parts.first_notice = loaded.problem;
    args.apply(&mut parts);
    let engine = {
        let _runtime = runtime.enter();
        Engine::start(parts, None)?
    };
    if let Some(link) = link {
        let first = if args.open { Command::Open { link, admission: Admission::Open } } else { Command::Join(link) };
        engine.commands.try_send(first).context("the engine stopped unexpectedly")?;
    }
    let outcome = ui::run(UiEngine {
        view: engine.view.clone(),
        commands: engine.commands.clone(),
        frames: engine.frames.clone(),
        links,
    });
    runtime.block_on(engine.shutdown(SHUTDOWN));
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .thread_name("net")
        .build()
        .context("cannot start the runtime")
}

/// Two windows on this computer that call each other over a server inside this process.
pub fn demo() -> anyhow::Result<()> {
    let runtime = runtime()?;
    let hosting = runtime.block_on(Hosting::start_here()).context("cannot open a port on 127.0.0.1")?;
    let link = hosting.link()?.invite_url();
    let mut ada = demo_window(&link, "Ada", &["--open", "--sink", "none"])?;
    // The second window knocks; until the first one has opened the room nobody is there.
    std::thread::sleep(Duration::from_secs(1));
    let mut grace = demo_window(&link, "Grace", &["--sink", "none"])?;
    ada.wait()?;
    grace.wait()?;
    Ok(())
}

fn demo_window(link: &str, name: &str, more: &[&str]) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    Process::new(program)
        .args([link, "--separate", "--video", "demo", "--name", name])
        .args(more)
        .spawn()
        .with_context(|| format!("cannot open the window of {name}"))
}
