//! What the window shows: the engine's view, and what only the window knows (what is being typed,
//! which panel is open, where the small picture lies). No state of the call.

use std::path::PathBuf;
use std::sync::Arc;

use super::action::UiAction;
use super::fit::Corner;
use super::panel::SharedPanel;
use super::screens::checkup::Checkup;
use super::screens::share_picker::Picker;
use super::screens::share_view::{self, Viewing};
use super::widgets::toast::Toasts;
use crate::config::Settings;
use crate::engine::command::{Command, Switch};
use crate::engine::view::{CallPhase, CallView};
use crate::link::Link;
use crate::server_url::ServerUrl;

/// The window's state.
#[derive(Debug)]
pub struct UiModel {
    /// What the engine last said.
    pub view: Arc<CallView>,
    /// The settings as they are being edited; `None` while no panel of settings is open.
    pub draft: Option<Settings>,
    /// The name in the start screen's field.
    pub name: String,
    /// The server in the start screen's field.
    pub server: String,
    /// The field for the server is unfolded.
    pub server_open: bool,
    /// What is typed or pasted to join.
    pub link: String,
    /// Why it cannot be used.
    pub problem: Option<String>,
    /// The next text from the clipboard belongs into the link field.
    pub awaits_paste: bool,
    /// A link that came in while a call was on.
    pub asks_switch: Option<Link>,
    /// Our own picture is the large one.
    pub swapped: bool,
    /// Where the small picture lies.
    pub corner: Corner,
    /// The window fills the screen.
    pub full_screen: bool,
    /// The invite goes to the clipboard as soon as there is one.
    pub copy_when_there: bool,
    /// When the invite was copied, in the window's time (seconds).
    pub copied_at: Option<f64>,
    /// The messages in the corner.
    pub toasts: Toasts,
    /// The connection panel.
    pub panel: SharedPanel,
    /// The choice of what to show of the screen, while it is open.
    pub share_picker: Option<Picker>,
    /// How the other's screen is looked at.
    pub viewing: Viewing,
    /// The test of the connection, while it is open.
    pub checkup: Option<Checkup>,
    /// The chat is open.
    pub chat_open: bool,
    /// What is being written.
    pub chat_text: String,
    /// The field for it gets the keyboard.
    pub chat_wants_focus: bool,
    /// A link that was clicked and not opened yet.
    pub asks_link: Option<String>,
    /// Reactions that are seen, and since when in the window's time (seconds).
    pub seen_reactions: Vec<(u64, f64)>,
    previewing: bool,
}

/// What has to be done outside the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// To the engine.
    Send(Command),
    /// To the clipboard.
    Copy(String),
    /// From the clipboard.
    RequestPaste,
    /// Fill the screen, or not.
    FullScreen(bool),
    /// Begin to test the connection.
    StartCheckup,
    /// End that.
    StopCheckup,
    /// Give a link to the browser.
    OpenLink(String),
    /// Let the person choose files to send.
    ChooseFile,
    /// Show a file where it is.
    ShowInFolder(PathBuf),
    /// Close the window.
    Close,
}

impl UiModel {
    /// A window that has seen one view.
    pub fn new(view: Arc<CallView>) -> Self {
        Self {
            name: view.settings.name.clone(),
            server: view.settings.server.clone(),
            server_open: !view.settings.server.is_empty(),
            view,
            draft: None,
            link: String::new(),
            problem: None,
            awaits_paste: false,
            asks_switch: None,
            swapped: false,
            corner: Corner::default(),
            full_screen: false,
            copy_when_there: false,
            copied_at: None,
            toasts: Toasts::default(),
            panel: SharedPanel::live(),
            share_picker: None,
            viewing: Viewing::default(),
            checkup: None,
            chat_open: false,
            chat_text: String::new(),
            chat_wants_focus: false,
            asks_link: None,
            seen_reactions: Vec::new(),
            previewing: false,
        }
    }

    /// Takes over a newer view. `hidden`: nobody can see the window.
    pub fn see(&mut self, view: Arc<CallView>, hidden: bool, now: f64) -> Vec<Effect> {
        let old = std::mem::replace(&mut self.view, view);
        // What the engine remembers shows in the fields, unless the person is typing there.
        if self.name == old.settings.name {
            self.name.clone_from(&self.view.settings.name);
        }
        if self.server == old.settings.server {
            self.server.clone_from(&self.view.settings.server);
        }
        {
            let mut panel = self.panel.lock();
            panel.settings.clone_from(&self.view.settings);
            panel.verdict.clone_from(&self.view.verdict);
        }
        if share_view::sharer(self).is_none() {
            self.viewing = Viewing::default();
        }
        let mut effects = self.preview(hidden);
        if self.copy_when_there
            && let Some(invite) = &self.view.invite
        {
            effects.push(Effect::Copy(invite.link.clone()));
            self.copied_at = Some(now);
            self.copy_when_there = false;
        }
        match &self.view.phase {
            CallPhase::Idle | CallPhase::Ended(_) => {
                self.swapped = false;
                if self.share_picker.take().is_some() {
                    effects.push(Effect::Send(Command::LookAtScreens(Switch::Off)));
                }
                self.chat_open = false;
                self.chat_text.clear();
                self.asks_link = None;
                self.copy_when_there &= old.phase == CallPhase::Idle;
                if self.full_screen {
                    self.full_screen = false;
                    effects.push(Effect::FullScreen(false));
                }
                // The call that stood in the way is over.
                if let Some(link) = self.asks_switch.take() {
                    effects.push(Effect::Send(Command::Join(link)));
                }
            }
            CallPhase::Opening
            | CallPhase::Waiting
            | CallPhase::Joining
            | CallPhase::Knocking
            | CallPhase::InCall => {}
        }
        effects
    }

    /// Camera and microphone are open on the start screen while somebody can see it and nothing else
    /// uses them, and no longer.
    fn preview(&mut self, hidden: bool) -> Vec<Effect> {
        let wanted = self.view.phase == CallPhase::Idle && !hidden && self.checkup.is_none();
        if wanted == self.previewing {
            return Vec::new();
        }
        self.previewing = wanted;
        match (&self.view.phase, wanted) {
            (CallPhase::Idle, true) => vec![Effect::Send(Command::Preview(Switch::On))],
            (CallPhase::Idle, false) => vec![Effect::Send(Command::Preview(Switch::Off))],
            // The call has taken the devices over.
            _ => Vec::new(),
        }
    }

    /// A link was opened from outside, or by a second start.
    pub fn opened(&mut self, link: Link) -> Vec<Effect> {
        match &self.view.phase {
            CallPhase::Idle | CallPhase::Ended(_) => vec![Effect::Send(Command::Join(link))],
            CallPhase::Opening
            | CallPhase::Waiting
            | CallPhase::Joining
            | CallPhase::Knocking
            | CallPhase::InCall => {
                self.asks_switch = Some(link);
                Vec::new()
            }
        }
    }

    /// A text came from the clipboard.
    pub fn pasted(&mut self, text: &str) {
        if std::mem::take(&mut self.awaits_paste) {
            // Longer than any link; the parser says so in words.
            self.link = text.trim().chars().take(4096).collect();
            self.problem = None;
        }
    }

    /// The server that the settings name, if it can be used.
    fn known_server(&self) -> Result<Option<ServerUrl>, String> {
        match self.server.trim() {
            "" => Ok(None),
            text => {
                text.parse().map(Some).map_err(|error: crate::server_url::ServerUrlError| error.to_string())
            }
        }
    }

    /// Settings that differ from the remembered ones by the fields of the start screen.
    fn save_start(&self) -> Option<Effect> {
        let settings = &self.view.settings;
        let (name, server) = (self.name.trim(), self.server.trim());
        if settings.name == name && settings.server == server {
            return None;
        }
        let changed = Settings { name: name.to_owned(), server: server.to_owned(), ..settings.clone() };
        Some(Effect::Send(Command::SaveSettings(Box::new(changed))))
    }

    /// Does what a click means.
    pub fn act(&mut self, action: UiAction, now: f64) -> Vec<Effect> {
        match action {
            UiAction::Command(command) => vec![Effect::Send(command)],
            UiAction::ToggleSettings => {
                self.draft = match self.draft {
                    Some(_) => None,
                    None => Some(self.view.settings.clone()),
                };
                Vec::new()
            }
            UiAction::CopyInvite => {
                let Some(invite) = &self.view.invite else { return Vec::new() };
                self.copied_at = Some(now);
                vec![Effect::Copy(invite.link.clone())]
            }
            UiAction::Paste => {
                self.awaits_paste = true;
                vec![Effect::RequestPaste]
            }
            UiAction::NewCall => self.new_call(),
            UiAction::JoinTyped => self.join_typed(),
            UiAction::SaveStart => self.save_start().into_iter().collect(),
            UiAction::ToggleFullScreen => {
                self.full_screen = !self.full_screen;
                vec![Effect::FullScreen(self.full_screen)]
            }
            UiAction::SwapPictures => {
                self.swapped = !self.swapped;
                Vec::new()
            }
            UiAction::MoveTile(corner) => {
                self.corner = corner;
                Vec::new()
            }
            UiAction::Switch { leave } => match (leave, self.asks_switch.take()) {
                (true, Some(link)) => vec![Effect::Send(Command::Leave), Effect::Send(Command::Join(link))],
                _ => Vec::new(),
            },
            UiAction::StartCheckup => {
                self.checkup = Some(Checkup::default());
                // The test opens the devices itself.
                self.preview(false).into_iter().chain([Effect::StartCheckup]).collect()
            }
            UiAction::CloseCheckup => {
                self.checkup = None;
                [Effect::StopCheckup].into_iter().chain(self.preview(false)).collect()
            }
            UiAction::TogglePanel => {
                self.panel.lock().model.toggle();
                Vec::new()
            }
            UiAction::ShowVerdict => {
                self.panel.lock().model.show_overview();
                Vec::new()
            }
            UiAction::CopyText(text) => vec![Effect::Copy(text)],
            UiAction::ToggleChat => {
                self.chat_open = !self.chat_open;
                self.chat_wants_focus = self.chat_open;
                Vec::new()
            }
            UiAction::AskLink(link) => {
                self.asks_link = Some(link);
                Vec::new()
            }
            UiAction::ForgetLink => {
                self.asks_link = None;
                Vec::new()
            }
            UiAction::OpenLink(link) => {
                self.asks_link = None;
                vec![Effect::OpenLink(link)]
            }
            UiAction::ChooseFile => vec![Effect::ChooseFile],
            UiAction::ShowInFolder(path) => vec![Effect::ShowInFolder(path)],
            UiAction::SaveSession => vec![Effect::Send(Command::KeepRecord)],
            UiAction::ExportSession => vec![Effect::Send(Command::ExportRecord)],
            UiAction::ToggleShare => {
                let (picker, look) = match self.share_picker.take() {
                    Some(_) => (None, Switch::Off),
                    None => (Some(Picker::like(self.view.me.share.as_ref())), Switch::On),
                };
                self.share_picker = picker;
                vec![Effect::Send(Command::LookAtScreens(look))]
            }
            UiAction::Share { target, mode, sound } => {
                self.share_picker = None;
                let look = Command::LookAtScreens(Switch::Off);
                vec![Effect::Send(Command::Share { target, mode, sound }), Effect::Send(look)]
            }
            UiAction::TogglePen => {
                self.viewing.pen = !self.viewing.pen;
                Vec::new()
            }
            UiAction::Close => vec![Effect::Close],
        }
    }

    fn new_call(&mut self) -> Vec<Effect> {
        if let Err(problem) = self.known_server() {
            self.problem = Some(problem);
            self.server_open = true;
            return Vec::new();
        }
        self.problem = None;
        self.copy_when_there = true;
        let admission = self.view.admission;
        self.save_start().into_iter().chain([Effect::Send(Command::NewCall { admission })]).collect()
    }

    fn join_typed(&mut self) -> Vec<Effect> {
        // A link says where its server is; only a bare room code needs the one in the field.
        let known = self.known_server().ok().flatten();
        match Link::parse(&self.link, known.as_ref()) {
            Ok(link) => {
                self.problem = None;
                self.save_start().into_iter().chain([Effect::Send(Command::Join(link))]).collect()
            }
            Err(error) => {
                self.problem = Some(error.to_string());
                Vec::new()
            }
        }
    }
}
