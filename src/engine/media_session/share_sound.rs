//! The sound of our screen: what gives it, and the encoder behind it. It belongs to the share, and a share
//! goes on without it.

use super::MediaSession;
use super::event::{Generation, MediaEvent};
use crate::engine::command::Switch;
use crate::engine::open;
use crate::engine::view::DeviceState;
use crate::media::send_sound::SoundSend;
use crate::media::stats::AudioSendStats;
use crate::media::{DeviceError, StereoSource};
use crate::units::Bitrate;

/// See the module.
#[derive(Default)]
pub struct ShareSound {
    generation: Generation,
    /// How it stands, for a face too.
    pub state: DeviceState,
    send: Option<SoundSend>,
}

impl ShareSound {
    /// What is counted of it.
    pub fn stats(&self) -> Option<AudioSendStats> {
        self.send.as_ref().map(SoundSend::stats)
    }

    /// What the network has room for; `None`: nothing of it is sent.
    pub fn encode(&self, bitrate: Option<Bitrate>) {
        if let Some(send) = &self.send {
            send.set_bitrate(bitrate);
        }
    }
}

impl MediaSession {
    /// Opens what our computer plays, to be shared beside the screen.
    pub(super) fn open_share_sound(&mut self, sound: Switch) {
        self.close_share_sound();
        if !sound.is_on() {
            return;
        }
        self.share_sound.state = DeviceState::Opening;
        let (generation, choice) = (self.share_sound.generation, self.parts.share_sound.clone());
        self.open_on_thread("open-sound", move || {
            MediaEvent::ShareSound(generation, open::share_sound(&choice))
        });
    }

    /// Shares no sound any more.
    pub(super) fn close_share_sound(&mut self) {
        self.share_sound =
            ShareSound { generation: self.share_sound.generation + 1, ..ShareSound::default() };
    }

    /// Whether the sound of our screen is shared.
    pub fn shares_sound(&self) -> Switch {
        if self.share_sound.send.is_some() { Switch::On } else { Switch::Off }
    }

    /// The sound was opened or not, or has ended; an error means that none is shared any more.
    pub fn on_share_sound(
        &mut self,
        generation: Generation,
        result: Result<Box<dyn StereoSource>, DeviceError>,
    ) -> Result<(), DeviceError> {
        if generation != self.share_sound.generation {
            return Ok(());
        }
        let events = self.events.clone();
        let on_end = move |error| {
            events.blocking_send(MediaEvent::ShareSound(generation, Err(error))).ok();
        };
        let started = result.and_then(|source| {
            let name = source.name().to_owned();
            match SoundSend::spawn(source, self.sink(), on_end) {
                Ok(send) => Ok((name, send)),
                Err(error) => Err(DeviceError::Broken { device: name, reason: error.to_string() }),
            }
        });
        match started {
            Ok((name, send)) => {
                (self.share_sound.state, self.share_sound.send) = (DeviceState::On { name }, Some(send));
                Ok(())
            }
            Err(error) => {
                self.close_share_sound();
                self.share_sound.state = DeviceState::Failed { reason: error.to_string() };
                Err(error)
            }
        }
    }
}
