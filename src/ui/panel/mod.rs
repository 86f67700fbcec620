//! The connection panel: what a call's record says, for callers in a sentence and for testers in
//! every number.
//!
//! ```text
//!  History ──▶ connection, route, thin, diff (pure) ──▶ overview, ice, media, log ──▶ actions
//! ```
//!
//! It draws a [`History`] and cannot tell a running call from a file. It stands beside the picture
//! or in a window of its own; what it shows of the past costs nothing while nobody looks at it:
//! only rows and plots in sight are laid out, and between two changes it is [a still
//! picture](still).

pub mod chart;
pub mod connection;
pub mod diff;
mod ice;
mod kit;
mod log;
mod media;
pub mod model;
mod objects;
mod overview;
pub mod report;
pub mod route;
mod sdp;
mod segments;
pub mod still;
mod table;
pub mod thin;
pub mod unit;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use eframe::egui::{
    self, CentralPanel, CornerRadius, CursorIcon, Frame, Id, Key, Margin, Modifiers, Rect, ScrollArea, Sense,
    Stroke, StrokeKind, Ui, UiBuilder, ViewportBuilder, ViewportId, vec2,
};

use super::action::UiAction;
use super::icons::Icon;
use super::theme::{self, size, space};
use super::widgets::button::{IconButton, Kind};
use super::words::Word;
use crate::config::Settings;
use crate::diagnosis::Verdict;
use crate::record::History;
use model::{PanelModel, Place, Tab, TimeWindow, Width};
use segments::segments;
use still::Still;

/// The panel's window.
const WINDOW: &str = "connection panel";

/// How soon something new in the history is shown: two to four times a second is enough to read.
pub const SHOWN_AFTER: Duration = Duration::from_millis(250);

/// The panel: what it shows, and what it remembers of how to show it.
#[derive(Debug, Default)]
pub struct Panel {
    /// Tabs, filters, times.
    pub model: PanelModel,
    history: Arc<History>,
    /// How often the history was another one.
    changes: usize,
    /// The settings as they are.
    pub settings: Settings,
    /// What the diagnosis says right now; of a file the record knows what it said.
    pub verdict: Option<Verdict>,
    /// A call can be acted on: it runs here, and is not a file.
    pub live: bool,
    memory: Memory,
    still: Still,
    actions: Vec<UiAction>,
}

/// What is made of a history once and kept while it is shown.
#[derive(Debug, Default)]
struct Memory {
    objects: objects::Rows,
    log: log::Rows,
}

/// What a tab is drawn from.
struct Context<'a> {
    history: &'a History,
    verdict: Option<&'a Verdict>,
    settings: &'a Settings,
    live: bool,
}

/// A panel that the window and the panel's own window share; each locks it only while it draws.
#[derive(Clone, Debug, Default)]
pub struct SharedPanel(Arc<Mutex<Panel>>);

impl SharedPanel {
    /// Of calls that are made here.
    pub fn live() -> Self {
        let shared = Self::default();
        shared.lock().live = true;
        shared
    }

    /// The panel.
    pub fn lock(&self) -> MutexGuard<'_, Panel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rest of `area` beside the panel, and the panel's own part of it; `None` for what has no
    /// room or is not there.
    pub fn dock(&self, area: Rect) -> (Option<Rect>, Option<Rect>) {
        let panel = self.lock();
        match panel.model.place {
            Place::Closed | Place::Window => (Some(area), None),
            Place::Docked => match panel.model.width.within(area.width()) {
                Some(width) => {
                    let edge = area.right() - width;
                    (Some(area.with_max_x(edge - space::M)), Some(area.with_min_x(edge)))
                }
                None => (None, Some(area)),
            },
        }
    }

    /// Draws it into its place beside the picture.
    pub fn show_docked(&self, ui: &mut Ui, place: Rect, resizable: bool, actions: &mut Vec<UiAction>) {
        let mut panel = self.lock();
        let panel = &mut *panel;
        if resizable {
            panel.handle(ui, place);
        }
        panel.forget_copied(ui);
        let version = panel.version();
        let mut still = std::mem::take(&mut panel.still);
        still.show(ui, place, version, |ui| {
            let t = theme::tokens(ui.ctx());
            let radius = CornerRadius::same(size::RADIUS_CARD);
            ui.painter().rect_filled(place, radius, t.card);
            ui.painter().rect_stroke(place, radius, Stroke::new(1.0, t.line), StrokeKind::Inside);
            let builder =
                UiBuilder::new().scope_id(Id::unique("docked panel")).max_rect(place.shrink(space::M));
            ui.scope_builder(builder, |ui| {
                ui.shrink_clip_rect(place.shrink(2.0));
                panel.contents(ui);
            });
        });
        panel.still = still;
        actions.append(&mut panel.actions);
    }

    /// Shows it in a window of its own, while it is there; gives what was clicked since the last call.
    pub fn show_window(&self, ctx: &egui::Context, actions: &mut Vec<UiAction>) {
        actions.append(&mut self.lock().actions);
        if self.lock().model.place != Place::Window {
            return;
        }
        let builder = ViewportBuilder::default()
            .with_title(Word::PanelTitle.text())
            .with_inner_size([980.0, 720.0])
            .with_min_inner_size([420.0, 360.0]);
        let shared = self.clone();
        ctx.show_viewport_deferred(Self::viewport(), builder, move |ui, _class| {
            let mut panel = shared.lock();
            panel.forget_copied(ui);
            panel.fill(ui);
            let closed = ui.input(|input| input.viewport().close_requested());
            let key = ui.input_mut(|input| input.consume_key(Modifiers::COMMAND, Key::I));
            if closed || key {
                panel.model.place = Place::Closed;
            }
            if !panel.actions.is_empty() || panel.model.place != Place::Window {
                ui.ctx().request_repaint_of(ViewportId::ROOT);
            }
        });
    }

    /// The window of its own.
    pub fn viewport() -> ViewportId {
        ViewportId::from_hash_of(WINDOW)
    }

    /// What has to be drawn again when the history is a new one, if anything.
    pub fn wake(&self, ctx: &egui::Context) {
        match self.lock().model.place {
            Place::Closed => {}
            Place::Docked => ctx.request_repaint_after_for(SHOWN_AFTER, ViewportId::ROOT),
            Place::Window => ctx.request_repaint_after_for(SHOWN_AFTER, Self::viewport()),
        }
    }
}

impl Panel {
    /// A panel over a file.
    pub fn of_file(history: Arc<History>) -> Self {
        // What happened is over: all of it is looked at first.
        let time = TimeWindow { span: None, ..TimeWindow::default() };
        let model = PanelModel { place: Place::Window, time, ..PanelModel::default() };
        Self { model, history, ..Self::default() }
    }

    /// Shows another history, or the same one further on.
    pub fn see(&mut self, history: Arc<History>) {
        self.history = history;
        self.changes += 1;
    }

    /// Fills a window with it, below a notice if there is one; gives what was clicked.
    pub fn show_file(&mut self, ui: &mut Ui, notice: &mut Option<String>) -> Vec<UiAction> {
        self.forget_copied(ui);
        if let Some(words) = notice.clone() {
            egui::Panel::top("notice").frame(Frame::NONE).show_separator_line(false).show(ui, |ui| {
                if kit::banner(ui, &words) {
                    *notice = None;
                }
            });
        }
        self.fill(ui);
        std::mem::take(&mut self.actions)
    }

    fn fill(&mut self, ui: &mut Ui) {
        let frame = Frame::NONE.inner_margin(Margin::same(space::M as i8));
        CentralPanel::default().frame(frame).show(ui, |ui| self.contents(ui));
    }

    /// Tells what is shown from what was shown before.
    fn version(&self) -> usize {
        2 * self.changes + usize::from(self.model.copied.is_some())
    }

    /// A button says only for a while that it has copied.
    fn forget_copied(&mut self, ui: &Ui) {
        let now = ui.input(|input| input.time);
        let over = |copied| self.model.says_copied(copied, now).is_none();
        if self.model.copied.is_some_and(|(copied, _)| over(copied)) {
            self.model.copied = None;
        }
    }

    /// The edge that makes it wider and narrower.
    fn handle(&mut self, ui: &Ui, place: Rect) {
        let edge = Rect::from_min_max(place.left_top() - vec2(space::M, 0.0), place.left_bottom());
        let response = ui.interact(edge, Id::unique("panel edge"), Sense::drag());
        if response.dragged() {
            let width = self.model.width.0 - response.drag_delta().x;
            self.model.width = Width(width.clamp(Width::LEAST, 4_000.0));
        }
        response.on_hover_and_drag_cursor(CursorIcon::ResizeHorizontal);
    }

    fn contents(&mut self, ui: &mut Ui) {
        self.tabs(ui);
        ui.add_space(space::XS);
        let Self { model, history, settings, verdict, live, memory, actions, .. } = self;
        let context = Context { history, verdict: verdict.as_ref(), settings, live: *live };
        ui.spacing_mut().item_spacing = vec2(space::S, space::S);
        ui.spacing_mut().interact_size.y = 18.0;
        let mut scrolled = |name: &str, add: &mut dyn FnMut(&mut Ui)| {
            ScrollArea::vertical().id_salt(name).auto_shrink([false, false]).show(ui, |ui| {
                // Room for the scroll bar.
                ui.set_width(ui.available_width() - 6.0);
                add(ui);
            });
        };
        match model.tab {
            Tab::Overview => {
                scrolled("overview", &mut |ui| overview::show(ui, model, &context, actions));
            }
            Tab::Ice => scrolled("ice", &mut |ui| ice::show(ui, model, &context, actions)),
            Tab::Media => media::show(ui, model, memory, &context),
            Tab::Log => log::show(ui, model, memory, &context, actions),
        }
    }

    fn tabs(&mut self, ui: &mut Ui) {
        let buttons = if self.live { 2.0 * (size::ROUND_SMALL + space::XS) } else { 0.0 };
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = space::XS;
            let tabs = [
                (Tab::Overview, Word::TabOverview),
                (Tab::Ice, Word::TabIce),
                (Tab::Media, Word::TabMedia),
                (Tab::Log, Word::TabLog),
            ];
            let width = (ui.available_width() - buttons - space::XS).min(460.0);
            segments(ui, segments::Kind::Tabs, &tabs, &mut self.model.tab, width);
            if !self.live {
                return;
            }
            let spare = ui.available_width() - buttons + space::XS;
            ui.add_space(spare.max(0.0));
            let (icon, word, there) = match self.model.place {
                Place::Window => (Icon::SIDEBAR, Word::DockPanel, Place::Docked),
                Place::Docked | Place::Closed => (Icon::APP_WINDOW, Word::DetachPanel, Place::Window),
            };
            if IconButton::new(icon, word.text()).kind(Kind::Quiet).small().show(ui).clicked() {
                self.model.place = there;
                ui.ctx().request_repaint_of(ViewportId::ROOT);
            }
            let close = IconButton::new(Icon::X, Word::ClosePanel.text()).kind(Kind::Quiet).small();
            if close.show(ui).clicked() {
                self.model.place = Place::Closed;
                ui.ctx().request_repaint_of(ViewportId::ROOT);
            }
        });
    }
}
