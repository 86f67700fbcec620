//! What a person or a script asks for.

use std::sync::Arc;

use signaling_protocol::Admission;

use crate::call::Input;
use crate::clock;
use crate::config::Settings;
use crate::engine::command::{Command, DeviceChoice};
use crate::engine::hosting::Hosting;
use crate::engine::view::Severity;
use crate::link::Link;
use crate::media::sounds::Sound;
use crate::record::What;
use crate::record::convert::{self, Privacy};
use crate::record::write::Keep;
use crate::server_url::ServerUrl;

use super::Actor;

impl Actor {
    pub(super) fn on_command(&mut self, command: Command) {
        if self.signaling.is_none() && begins(&command) {
            self.record.begin(if self.settings.keep_records { Keep::Always } else { Keep::WhenAsked });
            self.diagnosis.reset();
            self.talk.reset();
            self.server = None;
        }
        match command {
            Command::NewCall { admission } => self.new_call(admission),
            Command::Open { link, admission } => {
                let server = link.server.clone();
                self.decide(Input::Open { server, link, admission, lan_only: false });
            }
            Command::Prepare(link) => self.decide(Input::Prepare(link)),
            Command::Join(link) => {
                self.record.tell(What::Call);
                self.decide(Input::Join(link));
            }
            Command::Accept(peer) => self.decide(Input::Accept(peer)),
            Command::Decline(peer) => self.decide(Input::Decline(peer)),
            Command::Leave => self.decide(Input::Leave),
            Command::Dismiss => self.decide(Input::Dismiss),
            Command::LockRoom(switch) => self.decide(Input::LockRoom(switch)),
            Command::RestartIce => self.decide(Input::RestartIce),
            Command::Chat(command) => {
                let view = Arc::clone(&self.view.borrow());
                let news = self.talk.on_chat(command, &view.peers, clock::now());
                news.into_iter().for_each(|news| self.record.tell(news));
            }
            Command::Pointer(command) => {
                let view = Arc::clone(&self.view.borrow());
                self.talk.on_pointer(command, &view.peers, clock::now());
            }
            Command::File(command) => {
                let view = Arc::clone(&self.view.borrow());
                if let Some(What::Error { text }) = self.talk.on_file(command, &view.peers) {
                    self.decide(Input::Notice { severity: Severity::Warning, text });
                }
            }
            Command::DismissNotice(id) => self.decide(Input::DismissNotice(id)),
            Command::Microphone(switch) => self.media.switch_microphone(switch),
            Command::Camera(switch) => self.media.switch_camera(switch),
            Command::LookAtScreens(switch) => self.media.look_at_screens(switch),
            Command::Share { target, mode, sound } => {
                self.media.share(target, mode, sound);
                self.follow_share();
            }
            Command::ShareAs(mode) => {
                self.media.share_as(mode);
                self.follow_share();
            }
            Command::ShareSound(switch) => {
                self.media.share_sound(switch);
                self.follow_share();
            }
            Command::StopShare => {
                self.media.stop_share();
                self.follow_share();
            }
            Command::UseCamera(choice) => self.change_settings(|settings| settings.camera = setting(choice)),
            Command::UseMicrophone(choice) => {
                self.change_settings(|settings| settings.microphone = setting(choice))
            }
            Command::UseSpeaker(choice) => {
                self.change_settings(|settings| settings.speaker = setting(choice))
            }
            Command::SaveSettings(new) => self.change_settings(|settings| *settings = *new),
            Command::KeepRecord => self.save_record(None),
            Command::ExportRecord => self.save_record(Some(Privacy::AsItIs)),
            Command::Preview(switch) => self.media.preview(switch),
            Command::TestSpeaker => self.media.play(Sound::SpeakerTest.samples()),
            Command::Shutdown => {}
        }
        self.tell_media_state();
    }

    fn save_record(&mut self, export: Option<Privacy>) {
        let kept = self.record.keep();
        self.saving = Some(tokio::spawn(async move {
            let path = kept.await.map_err(|_| "its writer is gone".to_owned())??;
            let Some(privacy) = export else {
                return Ok(format!("The record of this call is kept: {}", path.display()));
            };
            let to = path.with_extension("webrtc-internals.json");
            let name = to.display().to_string();
            let exporting = tokio::task::spawn_blocking(move || convert::export(&path, &to, privacy));
            let exported = exporting.await.map_err(|error| error.to_string())?;
            exported.map_err(|error| error.to_string())?;
            Ok(format!("The record of this call is exported: {name}"))
        }));
    }

    fn new_call(&mut self, admission: Admission) {
        if self.settings.server.is_empty() {
            self.decide(Input::Hosting);
            self.hosting_starts = Some(tokio::spawn(Hosting::start()));
            self.hosting_admission = admission;
            return;
        }
        let input = match new_link(&self.settings.server) {
            Ok(link) => Input::Open { server: link.server.clone(), link, admission, lan_only: false },
            Err(reason) => Input::OpenFailed { reason },
        };
        self.decide(input);
    }

    pub(super) fn on_hosting(&mut self, result: std::io::Result<Hosting>) {
        let input = match result {
            Ok(hosting) => {
                let server = hosting.url(hosting.near);
                let link = hosting.link(hosting.lan.unwrap_or(hosting.near));
                self.hosting = Some(hosting);
                match link {
                    Ok(link) => {
                        Input::Open { server, link, admission: self.hosting_admission, lan_only: true }
                    }
                    Err(error) => Input::OpenFailed { reason: error.to_string() },
                }
            }
            Err(error) => {
                Input::OpenFailed { reason: format!("this computer cannot host the call: {error}") }
            }
        };
        self.decide(input);
    }

    pub(super) fn change_settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let settings = self.settings.clone();
        self.media.apply(&settings);
        self.parts.settings = settings.clone();
        self.decide(Input::Name(settings.name.clone()));
        let saved = self.parts.settings_file.as_ref().map(|file| file.save(&settings));
        if let Some(Err(error)) = saved {
            self.decide(Input::Notice { severity: Severity::Warning, text: error.to_string() });
        }
    }
}

/// Whether a call begins with it, unless one is there already.
fn begins(command: &Command) -> bool {
    matches!(command, Command::NewCall { .. } | Command::Open { .. } | Command::Prepare(_) | Command::Join(_))
}

fn new_link(server: &str) -> Result<Link, String> {
    let server = server.parse::<ServerUrl>().map_err(|error| error.to_string())?;
    Link::generate(server).map_err(|error| error.to_string())
}

fn setting(choice: DeviceChoice) -> String {
    match choice {
        DeviceChoice::Default => String::new(),
        DeviceChoice::None => "none".into(),
        DeviceChoice::Id(id) => id,
    }
}
