//! Microphone and speaker, and the mixer between them.

use std::sync::Arc;

use super::MediaSession;
use super::event::{DeviceChange, DeviceKind, Generation, MediaEvent};
use super::remote::is_sound_of_screen;
use super::slot::{lost, replaced};
use crate::clock;
use crate::engine::command::{DeviceChoice, Switch};
use crate::engine::open;
use crate::engine::parts::SinkChoice;
use crate::engine::view::DeviceState;
use crate::media::playout::{Playout, PlayoutEvent};
use crate::media::process::FarEnd;
use crate::media::send_audio::AudioSend;
use crate::media::sink::null::NullSink;
use crate::media::{AudioSink, AudioSource, DeviceError};

impl MediaSession {
    pub(super) fn open_microphone(&mut self) {
        if !self.microphone.is_closed() {
            return;
        }
        let generation = self.microphone.opening();
        let (audio, choice) = (self.parts.audio.clone(), self.microphone.choice.clone());
        self.open_on_thread("open-mic", move || {
            MediaEvent::Microphone(generation, open::microphone(&audio, &choice))
        });
    }

    pub(super) fn close_microphone(&mut self) {
        self.microphone.close(DeviceState::Closed);
        self.audio_send = None;
    }

    /// The microphone switch. The device stays open, so that unmuting takes no time and talking
    /// while muted is noticed.
    pub fn switch_microphone(&mut self, switch: Switch) {
        self.microphone.switch = switch;
        if let Some(send) = &self.audio_send {
            send.set_muted(!switch.is_on());
        }
    }

    /// Another microphone.
    pub fn use_microphone(&mut self, choice: DeviceChoice) {
        self.microphone.choice = choice;
        if self.demand.any() {
            self.microphone.close(DeviceState::Closed);
            self.open_microphone();
        }
    }

    pub(super) fn on_microphone(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn AudioSource>, DeviceError>,
    ) -> Option<DeviceChange> {
        if generation != self.microphone.generation {
            return None;
        }
        let source = match result {
            Ok(source) => source,
            Err(error) => {
                if let Some(send) = &self.audio_send {
                    send.clear_source();
                }
                self.microphone.fail(&error);
                return lost(DeviceKind::Microphone, &mut self.microphone, &error);
            }
        };
        let name = source.name().to_owned();
        self.microphone.in_use = source.device_id().map(str::to_owned);
        if let Some(send) = &self.audio_send {
            send.set_source(source);
        } else {
            let Some(playout) = &self.playout else { return None };
            let events = self.events.clone();
            let on_end = move |error| {
                events.blocking_send(MediaEvent::Ended(DeviceKind::Microphone, error)).ok();
            };
            let far_end = match &self.parts.sink {
                SinkChoice::Speaker => playout.far_end(),
                // Nothing sounds, so what is alike on both sides is no echo.
                SinkChoice::File(_) | SinkChoice::None => FarEnd::none(),
            };
            match AudioSend::spawn(source, self.processing, far_end, self.sink(), on_end) {
                Ok(send) => {
                    send.set_muted(!self.microphone.switch.is_on());
                    self.audio_send = Some(send);
                }
                Err(error) => {
                    self.microphone.state = DeviceState::Failed { reason: error.to_string() };
                    return None;
                }
            }
        }
        self.microphone.state = DeviceState::On { name: name.clone() };
        replaced(DeviceKind::Microphone, &mut self.microphone, name)
    }

    pub(super) fn ensure_playout(&mut self) {
        if self.playout.is_none() {
            let events = self.events.clone();
            let on_event = move |event| {
                let event = match event {
                    PlayoutEvent::FirstAudio { track } if is_sound_of_screen(&track) => return,
                    PlayoutEvent::FirstAudio { .. } => MediaEvent::FirstAudio(clock::now()),
                    PlayoutEvent::SinkEnded(error) => MediaEvent::Ended(DeviceKind::Speaker, error),
                };
                if events.try_send(event).is_err() {
                    tracing::warn!("the engine is too busy to hear of the speaker");
                }
            };
            match Playout::spawn(Box::new(NullSink::new()), on_event) {
                Ok(playout) => self.playout = Some(playout),
                Err(error) => tracing::error!(%error, "the mixer cannot start"),
            }
        }
    }

    pub(super) fn open_speaker(&mut self) {
        if !self.speaker.is_closed() {
            return;
        }
        let generation = self.speaker.opening();
        let (sink, choice) = (self.parts.sink.clone(), self.speaker.choice.clone());
        self.open_on_thread("open-spk", move || {
            MediaEvent::Speaker(generation, open::speaker(&sink, &choice))
        });
    }

    /// Another speaker.
    pub fn use_speaker(&mut self, choice: DeviceChoice) {
        self.speaker.choice = choice;
        if !self.speaker.is_closed() {
            self.speaker.close(DeviceState::Closed);
            self.open_speaker();
        }
    }

    pub(super) fn on_speaker(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn AudioSink>, DeviceError>,
    ) -> Option<DeviceChange> {
        if generation != self.speaker.generation {
            return None;
        }
        let playout = self.playout.as_ref()?;
        match result {
            Ok(sink) => {
                self.speaker.in_use = sink.device_id().map(str::to_owned);
                let name = sink.name().to_owned();
                playout.set_sink(sink);
                self.speaker.state = DeviceState::On { name: name.clone() };
                replaced(DeviceKind::Speaker, &mut self.speaker, name)
            }
            Err(error) => {
                playout.set_sink(Box::new(NullSink::new()));
                self.speaker.fail(&error);
                lost(DeviceKind::Speaker, &mut self.speaker, &error)
            }
        }
    }

    /// Plays a sound over everything else.
    pub fn play(&mut self, clip: Arc<[f32]>) {
        self.ensure_playout();
        self.open_speaker();
        if let Some(playout) = &self.playout {
            playout.play_clip(clip);
        }
    }
}
