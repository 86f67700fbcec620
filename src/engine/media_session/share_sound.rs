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
    /// What the network has room for, also for the next one that is opened.
    target: Option<Bitrate>,
}

impl ShareSound {
    /// What is counted of it.
    pub fn stats(&self) -> Option<AudioSendStats> {
        self.send.as_ref().map(SoundSend::stats)
    }

    /// What the network has room for; `None`: nothing of it is sent.
    pub fn encode(&mut self, bitrate: Option<Bitrate>) {
        self.target = bitrate;
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
        let ShareSound { generation, target, .. } = self.share_sound;
        self.share_sound = ShareSound { generation: generation + 1, target, ..ShareSound::default() };
    }

    /// Whether the sound of our screen is shared.
    pub fn shares_sound(&self) -> Switch {
        Switch::from(self.share_sound.send.is_some())
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
            match SoundSend::spawn(source, self.share_sound.target, self.sink(), on_end) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;
    use crate::clock;
    use crate::config::Settings;
    use crate::engine::frames::FrameSlots;
    use crate::engine::parts::EngineParts;
    use crate::media::frame::{BLOCK_SAMPLES, StereoBlock};

    /// Something that plays, faster than life.
    struct Loud;

    impl StereoSource for Loud {
        fn name(&self) -> &str {
            "loud"
        }

        fn next_block(&mut self, _: Duration) -> Result<Option<StereoBlock>, DeviceError> {
            std::thread::sleep(Duration::from_millis(1));
            Ok(Some(StereoBlock { samples: [[0.3; 2]; BLOCK_SAMPLES], captured_at: clock::now() }))
        }
    }

    #[test]
    fn a_sound_that_there_is_no_room_for_is_not_sent_from_its_beginning_on_either() {
        let parts = EngineParts::devices(Settings::default());
        let mut session = MediaSession::new(parts, FrameSlots::new(), mpsc::channel(8).0);
        for room in [None, Some(Bitrate::from_kbps(64)), None] {
            session.share_sound.encode(room);
            session.close_share_sound();
            let generation = session.share_sound.generation;
            session.on_share_sound(generation, Ok(Box::new(Loud))).unwrap();
            let end = clock::now() + Duration::from_secs(10);
            let stats = loop {
                assert!(clock::now() < end, "nothing is played");
                let stats = session.share_sound.stats().unwrap();
                if stats.total_samples_duration > Duration::from_millis(100) {
                    break stats;
                }
                std::thread::sleep(Duration::from_millis(5));
            };
            assert_eq!(stats.target_bitrate, room.unwrap_or(Bitrate::ZERO));
            assert_eq!(stats.packets > 0, room.is_some(), "{stats:?}");
        }
    }
}
