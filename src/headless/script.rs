//! What a script asks and hears during a call, and when the call is over.

use std::time::{Duration, Instant};

use signaling_protocol::Admission;
use tokio::sync::mpsc;

use super::args::Role;
use super::log::Log;
use super::{Failure, ProbeArgs, outside, pointer, share};
use crate::clock;
use crate::engine::EngineHandle;
use crate::engine::command::{ChatCommand, Command, FileCommand, Switch};
use crate::engine::view::EndReason;
use crate::link::Link;
use crate::record::{Entry, What};
use crate::rtc::IceState;

/// A caller without a connection gives up after this long.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// After the other side left, a script still has this long to say `hangup` itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long the engine may take to say goodbye.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// The call of a probe: commands in, events out.
pub struct Script<'a> {
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

impl<'a> Script<'a> {
    /// A script that has not begun; it hangs up `duration` after the call began.
    pub fn new(
        args: &'a ProbeArgs,
        link: Link,
        duration: Option<Duration>,
        engine: EngineHandle,
        events: mpsc::Receiver<Entry>,
        log: Log,
    ) -> Self {
        let seen = pointer::Seen::default();
        Self { args, link, duration, engine, events, log, called_at: None, connected: false, seen }
    }

    /// Does what the lines say, until one of them, the other side, or the time ends it.
    pub async fn run(&mut self) -> Result<(), Failure> {
        let mut lines = outside::lines()?;
        let mut terminate = outside::terminations()?;
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
                self.command(Command::File(FileCommand::Send(vec![file.trim().into()]))).await?;
            }
            "choose" => self.command(Command::LookAtScreens(Switch::On)).await?,
            "sound on" => self.command(Command::ShareSound(Switch::On)).await?,
            "sound off" => self.command(Command::ShareSound(Switch::Off)).await?,
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
            Some(Ok(command)) => {
                self.command(command).await?;
                self.command(Command::LookAtScreens(Switch::Off)).await?;
            }
            Some(Err(reason)) => self.complain(&format!("{line}: {reason}")),
            None => {
                let what = "unknown command; known are call, restart, mute, unmute, choose, share, sound, unshare, \
                    point, draw, pointing, chat, send, hangup";
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

    /// Leaves, and writes what is still to be told.
    pub async fn goodbye(&mut self) {
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
