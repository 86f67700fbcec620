//! A window over the record of a call in a file: the connection panel, and nothing else.

use std::sync::Arc;

use eframe::egui::{self, Context, ViewportBuilder, ViewportCommand};
use eframe::{Frame, NativeOptions};

use super::action::UiAction;
use super::panel::Panel;
use super::theme;
use super::words::Word;
use crate::config::Settings;
use crate::record::History;

/// What a window over a file shows.
pub struct OpenedFile {
    /// What was read.
    pub history: Arc<History>,
    /// The name of the file, for the title.
    pub name: String,
    /// What is wrong with it, in one sentence.
    pub problem: Option<String>,
    /// For the theme.
    pub settings: Settings,
    /// Writes the record for other tools and says in one sentence where, or why not.
    pub export: Box<dyn Fn() -> String + Send>,
}

/// Opens the window and stays until it is closed. Must be called on the main thread.
pub fn run(file: OpenedFile) -> anyhow::Result<()> {
    let title = format!("{} \u{2013} {}", file.name, Word::AppName.text());
    let viewport = ViewportBuilder::default()
        .with_title(title)
        .with_app_id(super::window::APP_ID)
        .with_icon(super::window::icon())
        .with_inner_size([1120.0, 760.0])
        .with_min_inner_size([420.0, 360.0]);
    let options = NativeOptions { viewport, dithering: false, ..NativeOptions::default() };
    let start = |context: &eframe::CreationContext| {
        theme::install(&context.egui_ctx);
        theme::choose(&context.egui_ctx, file.settings.theme);
        FileWindow::new(file)
    };
    eframe::run_native(super::window::APP_ID, options, Box::new(|context| Ok(Box::new(start(context)))))
        .map_err(|error| anyhow::anyhow!("the window cannot be opened: {error}"))
}

struct FileWindow {
    panel: Panel,
    notice: Option<String>,
    export: Box<dyn Fn() -> String + Send>,
}

impl FileWindow {
    fn new(file: OpenedFile) -> Self {
        let OpenedFile { history, name: _, problem, settings, export } = file;
        let mut panel = Panel::of_file(history);
        panel.settings = settings;
        Self { panel, notice: problem, export }
    }

    fn act(&mut self, ctx: &Context, action: UiAction) {
        match action {
            UiAction::CopyText(text) => ctx.copy_text(text),
            UiAction::ExportSession => self.notice = Some((self.export)()),
            UiAction::Close => ctx.send_viewport_cmd(ViewportCommand::Close),
            // A file has no call that could be acted on, and no other screens.
            _ => {}
        }
    }
}

impl eframe::App for FileWindow {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut Frame) {
        let ctx = ui.ctx().clone();
        let close = ctx.input_mut(|input| input.consume_key(egui::Modifiers::COMMAND, egui::Key::W));
        let actions = self.panel.show_file(ui, &mut self.notice);
        for action in actions.into_iter().chain(close.then_some(UiAction::Close)) {
            self.act(&ctx, action);
        }
    }
}
