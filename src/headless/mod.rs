//! `sightline probe`: a scripted call on the window's own engine.
//!
//! Commands come as lines on standard input, events go out as JSON lines, pictures and sound go to
//! files. Formats are a contract: `docs/probe.md`. This module decides nothing about the call; it
//! translates.

mod args;
mod doctor;
pub mod files;
mod log;
mod pointer;
mod servers;
mod share;

use std::io::BufRead;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use signaling_protocol::Admission;
use tokio::sync::mpsc;

pub use args::ProbeArgs;
use args::Role;
pub use doctor::{DoctorArgs, run as run_doctor};
use log::{Log, LogFile, LogWriter};

use crate::clock;
use crate::config::Settings;
use crate::dial::{Dialer, Trust};
use crate::engine::command::{ChatCommand, Command, FileCommand, Switch};
use crate::engine::frames::{FrameKey, FrameSlots};
use crate::engine::parts::{AudioChoice, EngineParts, SinkChoice, VideoChoice};
use crate::engine::view::EndReason;
use crate::engine::{Engine, EngineHandle};
use crate::files::{Accept, Folder};
use crate::link::Link;
use crate::media::frame::VideoFrame;
use crate::media::source::wav::WavFile;
use crate::media::source::y4m::Y4mFile;
use crate::media::{DeviceError, marker};
use crate::proxy::Proxies;
use crate::record::{Entry, What};
use crate::rtc::{IcePolicy, IceState};
use crate::server_url::ServerUrlError;

/// Lines typed faster than they are carried out wait here; when it is full the reader of standard
/// input waits.
const COMMANDS: usize = 64;

/// Events waiting to be written; when it is full the engine drops and counts them.
const EVENTS: usize = 1024;

/// A caller without a connection gives up after this long.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// After the other side left, a script still has this long to say `hangup` itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the engine may take to say goodbye.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// Why a probe ends, and the exit code that says so.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Arguments(String),
    #[error("could not reach the server: {0}")]
    Server(String),
    #[error("no connection to the peer: {0}")]
    NoConnection(String),
    #[error("{0}")]
    Unexpected(String),
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Failure::Arguments(_) => 2,
            Failure::Server(_) => 3,
            Failure::NoConnection(_) => 4,
            Failure::Unexpected(_) => 1,
        }
    }
}

/// Runs a probe to its end. Every error is one line on standard error.
pub fn run(args: &ProbeArgs) -> ExitCode {
    match probe(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("sightline probe: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn probe(args: &ProbeArgs) -> Result<(), Failure> {
    let link = link(args)?;
    let duration = args.duration().map_err(Failure::Arguments)?;
    let parts = parts(args)?;
    let io = |error| Failure::Unexpected(format!("cannot write the logs: {error}"));
    let (writer, log) = LogWriter::start(args.out.as_deref()).map_err(io)?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .thread_name("probe")
        .build()
        .map_err(|error| Failure::Unexpected(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        let (observer, events) = mpsc::channel(EVENTS);
        let engine = Engine::start(parts, Some(observer));
        log_frames(&engine.frames, &log, args.dump_ms);
        let mut script = Script {
            args,
            link,
            duration,
            engine,
            events,
            log: log.clone(),
            called_at: None,
            connected: false,
            seen: pointer::Seen::default(),
        };
        let outcome = script.run().await;
        script.goodbye().await;
        outcome
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    let lines = log.dropped();
    if lines > 0 {
        eprintln!("sightline probe: the disk was too slow for {lines} log lines; they are missing");
        log.entry(Entry::new(clock::unix_ms(), What::Lost { lines }));
    }
    drop(log);
    writer.finish().map_err(io)?;
    outcome
}

fn link(args: &ProbeArgs) -> Result<Link, Failure> {
    let server =
        args.server.parse().map_err(|error: ServerUrlError| Failure::Arguments(error.to_string()))?;
    Ok(Link { server, room: args.room.clone(), secret: None })
}

fn parts(args: &ProbeArgs) -> Result<EngineParts, Failure> {
    let ice_servers = args.servers.ice_servers().map_err(Failure::Arguments)?;
    let trust = args.servers.trust().map_err(Failure::Arguments)?.unwrap_or_else(Trust::system);
    let proxies = Proxies::named(args.proxy.as_deref().unwrap_or_default())
        .map_err(|error| Failure::Arguments(format!("--proxy: {error}")))?;
    let video = if args.no_video { VideoChoice::None } else { args.video_choice() };
    let audio = args.audio_choice();
    let wrong = |error: DeviceError| Failure::Arguments(error.to_string());
    if let VideoChoice::File(path) = &video {
        Y4mFile::open(path).map_err(wrong)?;
    }
    if let AudioChoice::File(path) = &audio {
        WavFile::open(path).map_err(wrong)?;
    }
    let sink = match &args.out {
        Some(folder) => SinkChoice::File(folder.join("audio.wav")),
        None => SinkChoice::None,
    };
    let settings = Settings {
        name: args.name.clone(),
        echo_cancellation: false,
        noise_suppression: false,
        gain_control: false,
        ..Settings::default()
    };
    Ok(EngineParts {
        video,
        audio,
        sink,
        ice_servers,
        ice_policy: IcePolicy::from(args.ice_policy),
        with_video: !args.no_video,
        files: Folder { path: args.out.as_ref().map(|out| out.join("files")), accept: Accept::Always },
        max_bitrate: args.max_bitrate().map_err(Failure::Arguments)?,
        dialer: Dialer::new(trust, proxies),
        ..EngineParts::devices(settings)
    })
}

/// `cap.log`, `ren.log`, the same of a shared screen, and `frames/`: a line for each picture captured and
/// shown.
fn log_frames(frames: &FrameSlots, log: &Log, dump_ms: u64) {
    let log = log.clone();
    let last_dump = std::sync::Mutex::new(None::<Instant>);
    let last_screen = std::sync::Mutex::new(None::<Instant>);
    frames.on_new_frame(move |key, frame| {
        let number = marker::read(frame).map_or(-1, i64::from);
        let size = frame.resolution();
        let (file, at) = match key {
            FrameKey::Local => (LogFile::Captured, clock::unix_ms_at(frame.captured_at)),
            FrameKey::OwnScreen => (LogFile::CapturedScreen, clock::unix_ms_at(frame.captured_at)),
            FrameKey::Remote(_) => (LogFile::Rendered, clock::unix_ms()),
            FrameKey::Screen(_) => (LogFile::RenderedScreen, clock::unix_ms()),
            FrameKey::Listed(_) => return,
        };
        log.line(file, format!("{at:.3} {number} {size}"));
        let (dump, what) = match key {
            FrameKey::Local | FrameKey::OwnScreen | FrameKey::Listed(_) => return,
            FrameKey::Remote(_) => (&last_dump, ""),
            FrameKey::Screen(_) => (&last_screen, "share_"),
        };
        if dump_ms > 0 && dump_is_due(dump, Duration::from_millis(dump_ms)) {
            log.picture(format!("{what}{at:.0}_{number}_{size}.i420"), VideoFrame::clone(frame));
        }
    });
}

fn dump_is_due(last: &std::sync::Mutex<Option<Instant>>, every: Duration) -> bool {
    let now = clock::now();
    let Ok(mut last) = last.lock() else { return false };
    let due = last.is_none_or(|last| now.saturating_duration_since(last) >= every);
    if due {
        *last = Some(now);
    }
    due
}

struct Script<'a> {
    args: &'a ProbeArgs,
    link: Link,
    duration: Option<Duration>,
    engine: EngineHandle,
    events: mpsc::Receiver<Entry>,
    log: Log,
    called_at: Option<Instant>,
    connected: bool,
    seen: pointer::Seen,
}

/// What a line or an event leads to.
enum Next {
    GoOn,
    HangUp,
    /// The call is over; a script may still say `hangup` for a moment.
    Ended,
}

impl Script<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let mut lines = read_lines()?;
        let mut terminate = terminations()?;
        let first = match self.args.role {
            Role::Callee => Command::Open { link: self.link.clone(), admission: Admission::Open },
            Role::Caller => Command::Prepare(self.link.clone()),
        };
        self.command(first).await?;
        let mut farewell: Option<Instant> = None;
        loop {
            let deadline = [farewell, self.give_up_at(), self.hang_up_at()].into_iter().flatten().min();
            let next = tokio::select! {
                Some(entry) = self.events.recv() => self.on_entry(entry)?,
                line = lines.recv() => self.on_line(line.as_deref()).await?,
                Ok(()) = self.engine.marks.changed() => self.on_marks(),
                () = terminate.recv() => Next::HangUp,
                () = until(deadline) => self.on_deadline(farewell)?,
            };
            match next {
                Next::GoOn => {}
                Next::Ended => farewell = Some(clock::now() + FAREWELL),
                Next::HangUp => return Ok(()),
            }
        }
    }

    fn give_up_at(&self) -> Option<Instant> {
        let called = self.called_at.filter(|_| !self.connected && self.args.role == Role::Caller);
        called.map(|at| at + CONNECT_LIMIT)
    }

    fn hang_up_at(&self) -> Option<Instant> {
        Some(self.called_at? + self.duration?)
    }

    fn on_deadline(&self, farewell: Option<Instant>) -> Result<Next, Failure> {
        let now = clock::now();
        let passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if passed(self.give_up_at()) {
            let seconds = CONNECT_LIMIT.as_secs();
            return Err(Failure::NoConnection(format!("nothing after {seconds} s")));
        }
        Ok(if passed(farewell) || passed(self.hang_up_at()) { Next::HangUp } else { Next::GoOn })
    }

    async fn command(&self, command: Command) -> Result<(), Failure> {
        let gone = |_| Failure::Unexpected("the engine stopped unexpectedly".into());
        self.engine.commands.send(command).await.map_err(gone)
    }

    async fn on_line(&mut self, line: Option<&str>) -> Result<Next, Failure> {
        let Some(line) = line else { return Ok(Next::HangUp) };
        match line.trim() {
            "" => {}
            "call" => {
                if self.args.role == Role::Caller && self.called_at.is_none() {
                    self.called_at = Some(clock::now());
                    self.command(Command::Join(self.link.clone())).await?;
                } else {
                    self.complain("`call` is for the caller, and only once");
                }
            }
            "restart" => self.command(Command::RestartIce).await?,
            "mute" => self.command(Command::Microphone(Switch::Off)).await?,
            "unmute" => self.command(Command::Microphone(Switch::On)).await?,
            "hangup" => return Ok(Next::HangUp),
            other if let Some(text) = other.strip_prefix("chat ") => {
                self.command(Command::Chat(ChatCommand::Say(text.to_owned()))).await?;
            }
            other if let Some(file) = other.strip_prefix("send ") => {
                self.command(Command::File(FileCommand::Send(file.trim().into()))).await?;
            }
            "unshare" => self.command(Command::StopShare).await?,
            other => match self.on_pointer(other) {
                Some(Ok(command)) => self.command(command).await?,
                Some(Err(reason)) => self.complain(&format!("{other}: {reason}")),
                None => self.on_share(other).await?,
            },
        }
        Ok(Next::GoOn)
    }

    fn on_pointer(&self, line: &str) -> Option<Result<Command, String>> {
        pointer::parse(line, &self.engine.view.borrow())
    }

    fn on_marks(&mut self) -> Next {
        let (marks, view) =
            (self.engine.marks.borrow_and_update().clone(), self.engine.view.borrow().clone());
        self.seen.news(&marks, &view).into_iter().for_each(|news| self.tell(news));
        Next::GoOn
    }

    async fn on_share(&self, line: &str) -> Result<(), Failure> {
        match line.strip_prefix("share ").map(share::parse) {
            Some(Ok(command)) => self.command(command).await?,
            Some(Err(reason)) => self.complain(&format!("{line}: {reason}")),
            None => {
                let what = "unknown command; known are call, restart, mute, unmute, share, unshare, point, draw, \
                    pointing, chat, send, hangup";
                self.complain(&format!("{line}: {what}"));
            }
        }
        Ok(())
    }

    fn complain(&self, text: &str) {
        eprintln!("sightline probe: {text}");
        self.tell(What::Error { text: text.to_owned() });
    }

    /// What the engine does not know of.
    fn tell(&self, what: What) {
        self.log.entry(Entry::new(clock::unix_ms(), what));
    }

    fn on_entry(&mut self, entry: Entry) -> Result<Next, Failure> {
        let mut next = Ok(Next::GoOn);
        match &entry.what {
            What::Ice { state: IceState::Connected | IceState::Completed } => self.connected = true,
            What::Ice { state: IceState::Checking } if self.args.role == Role::Callee => {
                self.called_at.get_or_insert_with(clock::now);
            }
            What::Ended(reason) => next = self.on_end(reason),
            _ => {}
        }
        self.log.entry(entry);
        next
    }

    fn on_end(&self, reason: &EndReason) -> Result<Next, Failure> {
        let text = reason.to_string();
        match reason {
            EndReason::Left => Ok(Next::HangUp),
            EndReason::PeerLeft { .. } | EndReason::PeerLost { .. } if self.connected => Ok(Next::Ended),
            EndReason::Server(_) if !self.connected => Err(Failure::Server(text)),
            EndReason::Server(_) | EndReason::Failed(_) => Err(Failure::Unexpected(text)),
            EndReason::NotAuthentic
            | EndReason::PeerLeft { .. }
            | EndReason::PeerLost { .. }
            | EndReason::Declined(_)
            | EndReason::RoomFull
            | EndReason::RoomLocked
            | EndReason::NotFound
            | EndReason::NoPath => Err(Failure::NoConnection(text)),
        }
    }

    async fn goodbye(&mut self) {
        self.command(Command::Leave).await.ok();
        self.engine.shutdown(SHUTDOWN).await;
        while let Ok(entry) = self.events.try_recv() {
            self.on_entry(entry).ok();
        }
        self.tell(What::Bye);
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

fn read_lines() -> Result<mpsc::Receiver<String>, Failure> {
    let (sender, lines) = mpsc::channel(COMMANDS);
    // The thread ends with standard input; reading it cannot be interrupted, so nobody joins it.
    std::thread::Builder::new()
        .name("stdin".into())
        .spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        })
        .map_err(|error| Failure::Unexpected(format!("cannot read standard input: {error}")))?;
    Ok(lines)
}

/// Resolves when the system asks the process to end.
struct Terminations {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Terminations {
    async fn recv(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await.ok();
    }
}

fn terminations() -> Result<Terminations, Failure> {
    #[cfg(unix)]
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(|error| Failure::Unexpected(format!("cannot listen for signals: {error}")))?;
    Ok(Terminations {
        #[cfg(unix)]
        terminate,
    })
}
