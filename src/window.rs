//! Starts the window on an engine, and the demonstration of two windows that call each other.
//!
//! Knows both sides, the engine and `ui`, and nothing of what either does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use signaling_protocol::Admission;
use tokio::runtime::Runtime;

use crate::config::{Loaded, Settings, SettingsFile, records_folder};
use crate::desktop::instance::{self, Claim};
use crate::dial::{Dialer, Trust};
use crate::doctor::{self, Plan};
use crate::engine::command::Command;
use crate::engine::parts::{AudioChoice, EngineParts, SinkChoice, VideoChoice};
use crate::engine::{Engine, Hosting};
use crate::link::Link;
use crate::proxy::Proxies;
use crate::record::convert::{self, Privacy};
use crate::record::read;
use crate::server_url::ServerUrl;
use crate::ui::file::OpenedFile;
use crate::ui::{self, UiEngine};
use crate::units::Resolution;

/// How long saying goodbye may take after the window is closed.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Flags of the window; all but the first are for demonstrations and tests.
#[derive(Args, Clone, Debug, Default)]
pub struct WindowArgs {
    /// HTTP proxy for servers and relays, http://[USER:PASSWORD@]HOST[:PORT], or `none`; otherwise
    /// that of the settings, or of the environment (https_proxy, all_proxy, no_proxy)
    #[arg(long, value_name = "URL|none")]
    proxy: Option<String>,
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

/// Fails with a sentence when there is no screen to open a window on.
fn look_for_screen() -> anyhow::Result<()> {
    // Elsewhere there is always one.
    let named = ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"];
    let found = named.iter().any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    anyhow::ensure!(
        found || !cfg!(target_os = "linux"),
        "there is no screen to open the window on: neither DISPLAY nor WAYLAND_DISPLAY is set. \
         `sightline probe --help` tells how to take part in a call without one."
    );
    Ok(())
}

/// Opens the window and returns when it is closed.
pub fn run(link: Option<&str>, args: &WindowArgs) -> anyhow::Result<()> {
    look_for_screen()?;
    let (settings_file, loaded) = settings();
    let known = loaded.settings.server.parse::<ServerUrl>().ok();
    let link = link.map(|text| Link::parse(text, known.as_ref())).transpose()?;
    let handovers = if args.separate {
        None
    } else {
        let url = link.as_ref().map(Link::app_url);
        match instance::claim(url.as_deref()) {
            Claim::First(handovers) => Some(handovers),
            Claim::HandedOver => return Ok(()),
        }
    };

    let mut parts = EngineParts::devices(loaded.settings);
    parts.settings_file = settings_file;
    parts.records = records_folder();
    parts.first_notice = loaded.notice.or(parts.first_notice);
    if let Some(proxy) = &args.proxy {
        parts.dialer = Dialer::new(Trust::system(), Proxies::named(proxy)?);
        parts.first_notice = None;
    }
    args.apply(&mut parts);
    let runtime = runtime()?;
    let mut engine = {
        let _inside = runtime.enter();
        Engine::start(parts, None)
    };
    if let Some(link) = link {
        let first =
            if args.open { Command::Open { link, admission: Admission::Open } } else { Command::Join(link) };
        engine.commands.try_send(first).context("the engine stopped unexpectedly")?;
    }
    let checkup = {
        let (runtime, args) = (runtime.handle().clone(), args.clone());
        move |settings: &Settings| {
            let _inside = runtime.enter();
            doctor::start(plan(settings, &args))
        }
    };
    let outcome = ui::run(UiEngine {
        view: engine.view.clone(),
        commands: engine.commands.clone(),
        frames: engine.frames.clone(),
        marks: engine.marks.clone(),
        history: engine.history.clone(),
        checkup: Box::new(checkup),
        handovers,
        runtime: runtime.handle().clone(),
    });
    runtime.block_on(engine.shutdown(SHUTDOWN));
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

/// Opens a window over the record of a call in a file.
pub fn open(path: &Path) -> anyhow::Result<()> {
    look_for_screen()?;
    let read::Loaded { history, broken } = read::load(path)?;
    let name = path.file_name().map_or(path.to_string_lossy(), OsStr::to_string_lossy).into_owned();
    let from = path.to_owned();
    // Beside the record, under its name.
    let export = move || {
        let to = from.with_extension("webrtc-internals.json");
        match convert::export(&from, &to, Privacy::AsItIs) {
            Ok(None) => format!("Written to {}.", to.display()),
            Ok(Some(broken)) => format!("Written to {}; {broken}.", to.display()),
            Err(error) => error.to_string(),
        }
    };
    ui::file::run(OpenedFile {
        history: Arc::new(history),
        name,
        problem: broken.map(|broken| sentence(&broken.to_string())),
        settings: settings().1.settings,
        export: Box::new(export),
    })
}

/// With a capital at its beginning and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// What a test of the connection uses: what a call would.
fn plan(settings: &Settings, args: &WindowArgs) -> Plan {
    let mut parts = EngineParts::devices(settings.clone());
    args.apply(&mut parts);
    let mut plan = Plan::of(settings);
    plan.camera = plan.camera.map(|(_, choice)| (parts.video, choice));
    plan.microphone = plan.microphone.map(|(_, choice)| (parts.audio, choice));
    plan.speaker = plan.speaker.map(|(_, choice)| (parts.sink, choice));
    plan
}

/// A system without a place for settings still makes calls; the person is told.
fn settings() -> (Option<SettingsFile>, Loaded) {
    match SettingsFile::of_this_person() {
        Ok(file) => {
            let loaded = file.load();
            (Some(file), loaded)
        }
        Err(error) => (None, Loaded { settings: Settings::default(), notice: Some(error.to_string()) }),
    }
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
    look_for_screen()?;
    let runtime = runtime()?;
    let hosting = runtime.block_on(Hosting::start()).context("cannot open a port for the server")?;
    let link = hosting.link(hosting.near).map_err(anyhow::Error::msg)?.invite_url();
    let mut ada = demo_window(&link, "Ada", &["--open"])?;
    // The second window knocks; until the first one has opened the room nobody is there.
    std::thread::sleep(Duration::from_secs(1));
    let mut grace = demo_window(&link, "Grace", &[])?;
    ada.wait().context("the first window")?;
    grace.wait().context("the second window")?;
    Ok(())
}

fn demo_window(link: &str, name: &str, more: &[&str]) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    Process::new(program)
        .args([link, "--separate", "--video", "demo", "--sink", "none", "--name", name])
        .args(more)
        .spawn()
        .with_context(|| format!("cannot open the window of {name}"))
}
