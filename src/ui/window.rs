//! The window itself: eframe's loop around the model and the screens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use eframe::egui::{self, Context, ViewportBuilder, ViewportCommand};
use eframe::{CreationContext, Frame, NativeOptions, glow};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::model::{Effect, UiModel};
use super::panel::SharedPanel;
use super::screens::{self, Screen};
use super::texture;
use super::theme;
use super::video::Pictures;
use super::wake::{FrameWaker, IN_SOFTWARE, ON_CARD, SOON};
use super::{keys, words::Word};
use crate::config::{Settings, Theme};
use crate::desktop::appearance::{self, Appearance};
use crate::desktop::choose;
use crate::desktop::instance::Handover;
use crate::desktop::notify::{Answer, Notifier};
use crate::desktop::reveal;
use crate::doctor::Running;
use crate::engine::command::{Command, FileCommand};
use crate::engine::frames::FrameSlots;
use crate::engine::view::{CallPhase, CallView, Visitor};
use crate::pointer::Marks;
use crate::record::History;

/// Hand-overs that wait for the window. More than these within one frame are somebody's mistake,
/// and are dropped.
const HANDOVERS: usize = 4;

/// How often the window asks how far a test of the connection is.
const CHECKUP: Duration = Duration::from_millis(100);

/// What the window needs of the rest.
pub struct UiEngine {
    /// The newest view.
    pub view: watch::Receiver<Arc<CallView>>,
    /// Commands. Bounded: the window does not wait; a command that finds it full is logged and lost.
    pub commands: mpsc::Sender<Command>,
    /// The pictures.
    pub frames: FrameSlots,
    /// What people point at on shared screens.
    pub marks: watch::Receiver<Arc<Vec<Marks>>>,
    /// What is remembered of the call.
    pub history: watch::Receiver<Arc<History>>,
    /// Begins to test the connection with these settings.
    pub checkup: Box<dyn Fn(&Settings) -> Running + Send>,
    /// Second starts, if this is the one they find.
    pub handovers: Option<mpsc::Receiver<Handover>>,
    /// Runs the task that wakes the window.
    pub runtime: Handle,
}

/// Opens the window and stays until it is closed. Must be called on the main thread. The engine is
/// told to leave when the window closes; ending it is the caller's business.
pub fn run(engine: UiEngine) -> anyhow::Result<()> {
    let viewport = ViewportBuilder::default()
        .with_title(Word::AppName.text())
        .with_app_id(APP_ID)
        .with_icon(icon())
        .with_inner_size([1120.0, 720.0])
        .with_min_inner_size([600.0, 440.0]);
    // Without dithering a software renderer needs a quarter less; our surfaces are flat anyway.
    let options = NativeOptions { viewport, dithering: false, ..NativeOptions::default() };
    eframe::run_native(APP_ID, options, Box::new(|context| Ok(Box::new(Window::new(context, engine)))))
        .map_err(|error| anyhow::anyhow!("the window cannot be opened: {error}"))
}

/// The name of the desktop entry, without which Wayland finds no icon.
pub(super) const APP_ID: &str = "sightline";

/// The picture of the window.
pub(super) fn icon() -> Arc<egui::IconData> {
    let bytes = include_bytes!("../../assets/icons/sightline-64.rgba");
    Arc::new(egui::IconData { rgba: bytes.to_vec(), width: 64, height: 64 })
}

struct Window {
    model: UiModel,
    view: watch::Receiver<Arc<CallView>>,
    commands: mpsc::Sender<Command>,
    frames: FrameSlots,
    marks: watch::Receiver<Arc<Vec<Marks>>>,
    pictures: Pictures,
    waker: FrameWaker,
    handovers: Receiver<Handover>,
    waking: JoinHandle<()>,
    notifier: Notifier,
    /// What the desktop prefers, where the toolkit does not say it.
    appearance: watch::Receiver<Option<Appearance>>,
    announced: Vec<Visitor>,
    theme: Option<Theme>,
    checkup: Box<dyn Fn(&Settings) -> Running + Send>,
    running: Option<Running>,
    /// The dialog for files is open.
    choosing: Arc<AtomicBool>,
}

impl Window {
    fn new(context: &CreationContext, engine: UiEngine) -> Self {
        let UiEngine { view, commands, frames, marks, history, checkup, handovers, runtime } = engine;
        let ctx = context.egui_ctx.clone();
        theme::install(&ctx);
        let on_card = context.gl.as_deref().is_some_and(texture::is_worth_it);
        let (pictures, interval) = match on_card {
            true => (Pictures::on_card(), ON_CARD),
            false => (Pictures::in_software(), IN_SOFTWARE),
        };
        let waker = FrameWaker::new(ctx.clone(), interval);
        let for_frames = waker.clone();
        frames.on_new_frame(move |key, _| for_frames.arrived(key));
        let (hand, handovers_here) = sync_channel(HANDOVERS);
        let model = UiModel::new(Arc::clone(&view.borrow()));
        let (tell_appearance, appearance) = watch::channel(None);
        runtime.spawn(appearance::follow(tell_appearance));
        let wanted = appearance.clone();
        let waking = runtime.spawn({
            let (view, history, panel) = (view.clone(), history.clone(), model.panel.clone());
            let marks = marks.clone();
            async move {
                tokio::join!(
                    wake(ctx.clone(), view, handovers, hand),
                    wake_panel(ctx.clone(), history, panel),
                    wake_marks(ctx.clone(), marks, interval),
                    wake_appearance(ctx, wanted),
                );
            }
        });
        let notifier = Notifier::new(commands.clone());
        Self {
            model,
            view,
            commands,
            frames,
            marks,
            pictures,
            waker,
            handovers: handovers_here,
            waking,
            notifier,
            appearance,
            announced: Vec::new(),
            theme: None,
            checkup,
            running: None,
            choosing: Arc::default(),
        }
    }

    fn send(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::error!("a command was lost: {error}");
        }
    }

    fn perform(&mut self, ctx: &Context, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(command) => self.send(command),
                Effect::Copy(text) => ctx.copy_text(text),
                Effect::RequestPaste => ctx.send_viewport_cmd(ViewportCommand::RequestPaste),
                Effect::FullScreen(fill) => ctx.send_viewport_cmd(ViewportCommand::Fullscreen(fill)),
                Effect::StartCheckup => self.running = Some((self.checkup)(&self.model.view.settings)),
                Effect::StopCheckup => self.running = None,
                Effect::OpenLink(link) => ctx.open_url(egui::OpenUrl::new_tab(link)),
                Effect::ChooseFile => self.choose_files(),
                Effect::ShowInFolder(path) => reveal::reveal(&path),
                Effect::Close => ctx.send_viewport_cmd(ViewportCommand::Close),
            }
        }
    }

    /// Lets the person choose, on a thread, since the system's dialog blocks; one at a time.
    fn choose_files(&self) {
        if self.choosing.swap(true, Ordering::AcqRel) {
            return;
        }
        let (commands, choosing) = (self.commands.clone(), Arc::clone(&self.choosing));
        let chooser = std::thread::Builder::new().name("choose files".into()).spawn(move || {
            let wish = match choose::files() {
                Ok(files) => FileCommand::Send(files),
                Err(choose::NoDialog) => FileCommand::NoDialog,
            };
            // The window may have been closed meanwhile.
            commands.blocking_send(Command::File(wish)).ok();
            choosing.store(false, Ordering::Release);
        });
        if let Err(error) = chooser {
            tracing::error!(%error, "no file can be chosen");
            self.choosing.store(false, Ordering::Release);
        }
    }

    /// Takes over how far the test of the connection is.
    fn follow_checkup(&mut self, ctx: &Context) {
        let (Some(running), Some(checkup)) = (&mut self.running, &mut self.model.checkup) else { return };
        loop {
            match running.progress.try_recv() {
                Ok(progress) => checkup.take(progress),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    checkup.ended();
                    self.running = None;
                    return;
                }
            }
        }
        ctx.request_repaint_after(CHECKUP);
    }

    /// Tells of visitors where the person can see it, when it is not this window.
    fn notify(&mut self, ctx: &Context) {
        let visitors = &self.model.view.visitors;
        let away = ctx.input(|input| !input.viewport().focused.unwrap_or(true) || is_hidden(input));
        for visitor in visitors {
            if away && !self.announced.contains(visitor) {
                let name = if visitor.name.trim().is_empty() { Word::Guest.text() } else { &visitor.name };
                self.notifier.ask(
                    &Word::WouldLikeToJoin.with(name),
                    Answer { text: Word::Accept.text(), command: Command::Accept(visitor.peer.clone()) },
                    Answer { text: Word::Decline.text(), command: Command::Decline(visitor.peer.clone()) },
                );
                ctx.send_viewport_cmd(ViewportCommand::RequestUserAttention(
                    egui::UserAttentionType::Critical,
                ));
            }
        }
        self.announced.clone_from(visitors);
    }

    fn title(&self) -> String {
        let word = match &self.model.view.phase {
            CallPhase::Idle => return Word::AppName.text().to_owned(),
            CallPhase::Opening => Word::Opening.text().to_owned(),
            CallPhase::Waiting => Word::Waiting.text().to_owned(),
            CallPhase::Joining => Word::Joining.text().to_owned(),
            CallPhase::Knocking => Word::Knocking.text().to_owned(),
            CallPhase::Ended(_) => Word::Ended.text().to_owned(),
            CallPhase::InCall => match self.model.view.peers.first() {
                Some(peer) => Word::CallWith.with(screens::header::name_of(peer)),
                None => Word::Waiting.text().to_owned(),
            },
        };
        format!("{word} \u{2013} {}", Word::AppName.text())
    }
}

fn is_hidden(input: &egui::InputState) -> bool {
    input.viewport().minimized.unwrap_or(false)
}

/// Wakes the window for every new view and every second start, until the engine or the window ends.
async fn wake(
    ctx: Context,
    mut view: watch::Receiver<Arc<CallView>>,
    mut handovers: Option<mpsc::Receiver<Handover>>,
    hand: SyncSender<Handover>,
) {
    loop {
        tokio::select! {
            changed = view.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            handover = next(&mut handovers) => match handover.map(|handover| hand.try_send(handover)) {
                Some(Ok(())) => {}
                Some(Err(TrySendError::Full(_))) => tracing::warn!("too many second starts at once; one is ignored"),
                Some(Err(TrySendError::Disconnected(_))) => return,
                None => handovers = None,
            },
        }
        ctx.request_repaint_after(SOON);
    }
}

/// Wakes the window when the desktop becomes light or dark.
async fn wake_appearance(ctx: Context, mut wanted: watch::Receiver<Option<Appearance>>) {
    while wanted.changed().await.is_ok() {
        ctx.request_repaint_after(SOON);
    }
}

/// Wakes the window when somebody points somewhere else, as often as it is worth to draw it.
async fn wake_marks(ctx: Context, mut marks: watch::Receiver<Arc<Vec<Marks>>>, interval: Duration) {
    while marks.changed().await.is_ok() {
        ctx.request_repaint_after(SOON);
        tokio::time::sleep(interval).await;
    }
}

/// Gives the panel every new history, and wakes it now and then.
async fn wake_panel(ctx: Context, mut history: watch::Receiver<Arc<History>>, panel: SharedPanel) {
    loop {
        panel.lock().see(Arc::clone(&history.borrow_and_update()));
        panel.wake(&ctx);
        if history.changed().await.is_err() {
            return;
        }
    }
}

/// The next second start; never, where none can come.
async fn next(handovers: &mut Option<mpsc::Receiver<Handover>>) -> Option<Handover> {
    match handovers {
        Some(handovers) => handovers.recv().await,
        None => std::future::pending().await,
    }
}

impl eframe::App for Window {
    fn logic(&mut self, ctx: &Context, _frame: &mut Frame) {
        let (now, hidden) = ctx.input(|input| (input.time, is_hidden(input)));
        let view = Arc::clone(&self.view.borrow_and_update());
        let title_before = self.title();
        let effects = self.model.see(view, hidden, now);
        self.perform(ctx, effects);
        if self.theme != Some(self.model.view.settings.theme) {
            self.theme = Some(self.model.view.settings.theme);
            theme::choose(ctx, self.model.view.settings.theme);
        }
        let title = self.title();
        if title != title_before {
            ctx.send_viewport_cmd(ViewportCommand::Title(title));
        }
        while let Ok(Handover { link }) = self.handovers.try_recv() {
            ctx.send_viewport_cmd(ViewportCommand::Minimized(false));
            ctx.send_viewport_cmd(ViewportCommand::Focus);
            let effects = link.map(|link| self.model.opened(link)).unwrap_or_default();
            self.perform(ctx, effects);
        }
        self.follow_checkup(ctx);
        self.notify(ctx);
    }

    fn raw_input_hook(&mut self, _ctx: &Context, input: &mut egui::RawInput) {
        input.system_theme = match *self.appearance.borrow() {
            Some(Appearance::Dark) => Some(egui::Theme::Dark),
            Some(Appearance::Light) => Some(egui::Theme::Light),
            None => input.system_theme,
        };
        if self.model.awaits_paste {
            // It belongs into the link field, whatever has the focus.
            input.events.retain(|event| match event {
                egui::Event::Paste(text) => {
                    self.model.pasted(text);
                    false
                }
                _ => true,
            });
        }
    }

    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut Frame) {
        let ctx = ui.ctx().clone();
        let now = ctx.input(|input| input.time);
        let mut actions = keys::actions(&ctx, &self.model);
        self.pictures.begin();
        let marks = Arc::clone(&self.marks.borrow());
        let mut screen = Screen { frames: &self.frames, pictures: &mut self.pictures, marks: &marks };
        actions.extend(screens::show(ui, &mut self.model, &mut screen));
        self.waker.drawn(self.pictures.end(ui.painter()));
        for action in actions {
            let effects = self.model.act(action, now);
            self.perform(&ctx, effects);
            ctx.request_repaint_after(Duration::from_micros(1));
        }
    }

    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        // eframe asks before `raw_input_hook` has told it what the desktop prefers.
        let ground = match (self.model.view.settings.theme, *self.appearance.borrow()) {
            (Theme::System, Some(Appearance::Light)) => theme::ground(egui::Theme::Light),
            (Theme::System, Some(Appearance::Dark)) => theme::ground(egui::Theme::Dark),
            (Theme::System, None) | (Theme::Light | Theme::Dark, _) => visuals.panel_fill,
        };
        ground.to_normalized_gamma_f32()
    }

    fn on_exit(&mut self, gl: Option<&glow::Context>) {
        self.waking.abort();
        self.frames.on_new_frame(|_, _| {});
        if let Some(gl) = gl {
            self.pictures.destroy(gl);
        }
        self.send(Command::Leave);
    }
}
