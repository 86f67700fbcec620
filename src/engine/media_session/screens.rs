//! Looks what could be shown of our screen, once a second while somebody chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::MediaSession;
use super::event::{Generation, MediaEvent};
use crate::engine::command::Switch;
use crate::engine::frames::FrameKey;
use crate::engine::open;
use crate::engine::view::{ScreenItem, Screens};
use crate::media::DeviceError;
use crate::media::source::screen::{self, Listed, Targets};

/// Between two looks. A thumbnail that is older than that looks dead.
const EVERY: Duration = Duration::from_millis(1_000);

/// More would not be found among so many, and each costs a thumbnail.
const MOST: usize = 64;

/// Whether somebody looks, and what was found.
#[derive(Default)]
pub struct Looking {
    generation: Generation,
    screens: Screens,
    /// Why its sound cannot be shared.
    no_sound: Option<String>,
    /// Ends the thread that looks.
    stop: Option<Arc<AtomicBool>>,
}

impl Looking {
    /// For a face.
    pub fn view(&self) -> Screens {
        self.screens.clone()
    }

    /// Why the sound cannot be shared, for a face.
    pub fn no_sound(&self) -> Option<String> {
        self.no_sound.clone()
    }

    fn stop(&mut self) {
        self.generation += 1;
        self.no_sound = None;
        if let Some(stop) = self.stop.take() {
            stop.store(true, Ordering::Relaxed);
        }
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.stop();
    }
}

impl MediaSession {
    /// Begins to look, or stops.
    pub fn look_at_screens(&mut self, switch: Switch) {
        self.looking.stop();
        self.forget_readiness();
        for index in 0..MOST {
            self.frames.remove(&FrameKey::Listed(index));
        }
        if !switch.is_on() {
            self.looking.screens = Screens::Closed;
            return;
        }
        self.looking.screens = Screens::Looking;
        let (stop, generation, events) =
            (Arc::new(AtomicBool::new(false)), self.looking.generation, self.events.clone());
        self.looking.stop = Some(Arc::clone(&stop));
        // Not joined: the window system may hang, and the generation makes a late result harmless.
        let choice = self.parts.share_sound.clone();
        let look = move || {
            let tell = |event| events.blocking_send(event).is_ok();
            let screens = || tell(MediaEvent::Screens(generation, screen::targets()));
            let sound = || tell(MediaEvent::ShareSoundReach(generation, open::share_sound(&choice).err()));
            // The sound comes second: its server may take seconds to answer.
            let mut heard = screens() && sound();
            while heard && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(EVERY);
                heard = screens();
            }
        };
        if let Err(error) = std::thread::Builder::new().name("screens".into()).spawn(look) {
            self.looking.screens = Screens::Failed { reason: error.to_string() };
        }
    }

    /// What the thread that looks has found.
    pub fn on_screens(&mut self, generation: Generation, found: Result<Targets, DeviceError>) {
        if generation != self.looking.generation {
            return;
        }
        if let (Screens::Looking, Ok(Targets::List(list))) = (&self.looking.screens, &found)
            && let Some(first) = list.first()
        {
            self.get_ready_to_share(first.resolution);
        }
        self.looking.screens = match found {
            Ok(Targets::List(list)) => Screens::Listed(self.listed(list)),
            Ok(Targets::Portal) => {
                Screens::Portal { remembers: !self.parts.settings.screen_token.is_empty() }
            }
            Err(error) => Screens::Failed { reason: error.to_string() },
        };
    }

    /// What the thread that looks has found out about the sound.
    pub fn on_share_sound_reach(&mut self, generation: Generation, problem: Option<DeviceError>) {
        if generation == self.looking.generation {
            self.looking.no_sound = problem.map(|problem| format!("{problem}."));
        }
    }

    fn listed(&self, list: Vec<Listed>) -> Vec<ScreenItem> {
        let item = |(index, listed): (usize, Listed)| {
            let key = FrameKey::Listed(index);
            match listed.thumbnail {
                Some(thumbnail) => drop(self.frames.put(&key, thumbnail)),
                None => self.frames.remove(&key),
            }
            let Listed { target, name, resolution, place, thumbnail: _ } = listed;
            ScreenItem { target, name, resolution, place }
        };
        list.into_iter().take(MOST).enumerate().map(item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use crate::engine::frames::FrameSlots;
    use crate::engine::parts::{EngineParts, ShareSoundChoice};

    #[test]
    fn what_can_be_shown_does_not_wait_for_what_can_be_heard() {
        let parts = EngineParts {
            share_sound: ShareSoundChoice::File("no such file.wav".into()),
            ..EngineParts::devices(Settings::default())
        };
        let (events, mut told) = tokio::sync::mpsc::channel(8);
        let mut session = MediaSession::new(parts, FrameSlots::new(), events);
        session.look_at_screens(Switch::On);
        assert!(matches!(told.blocking_recv(), Some(MediaEvent::Screens(..))));
        assert!(matches!(told.blocking_recv(), Some(MediaEvent::ShareSoundReach(_, Some(_)))));
        assert!(matches!(told.blocking_recv(), Some(MediaEvent::Screens(..))));
    }
}
