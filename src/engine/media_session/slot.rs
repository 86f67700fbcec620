//! One device: what is wanted of it, and how it stands. Knows no streams and no threads.

use super::event::{DeviceChange, DeviceKind, Generation};
use crate::engine::command::{DeviceChoice, Switch};
use crate::engine::view::DeviceState;
use crate::media::DeviceError;
use crate::media::devices::{Device, Follow};
use crate::record::{self, DeviceWord};

/// One device: what is wanted, and how it stands.
pub struct Slot {
    pub choice: DeviceChoice,
    pub switch: Switch,
    pub state: DeviceState,
    /// It failed because the system does not allow it.
    pub denied: bool,
    pub generation: Generation,
    /// The device that failed while this opening was under way, and why.
    pub replaces: Option<String>,
    /// The id of the sound device that is open; other sources have none.
    pub in_use: Option<String>,
}

impl Slot {
    pub fn new(choice: DeviceChoice) -> Self {
        Self {
            choice,
            switch: Switch::On,
            state: DeviceState::Closed,
            denied: false,
            generation: 0,
            replaces: None,
            in_use: None,
        }
    }

    pub fn opening(&mut self) -> Generation {
        self.generation += 1;
        self.state = DeviceState::Opening;
        self.generation
    }

    /// It could not be opened, or stopped.
    pub fn fail(&mut self, error: &DeviceError) {
        self.state = failed(error);
        self.denied = matches!(error, DeviceError::Refused(_));
    }

    pub fn close(&mut self, state: DeviceState) {
        self.in_use = None;
        self.generation += 1;
        self.state = state;
    }

    pub fn is_closed(&self) -> bool {
        match self.state {
            DeviceState::Closed | DeviceState::Off | DeviceState::Absent | DeviceState::Failed { .. } => true,
            DeviceState::Opening | DeviceState::On { .. } => false,
        }
    }
}

impl Slot {
    pub fn is_missing(&self) -> bool {
        self.choice != DeviceChoice::None
            && self.switch.is_on()
            && matches!(self.state, DeviceState::Absent | DeviceState::Failed { .. })
    }

    /// Whether the new list asks for another device than the open one; remembers why, so that the
    /// person is told once the other one runs.
    pub fn wants_another(&mut self, list: &[Device]) -> bool {
        let (DeviceState::On { name }, Some(id)) = (&self.state, &self.in_use) else { return false };
        let chosen = match &self.choice {
            DeviceChoice::Id(id) => Some(id.as_str()),
            DeviceChoice::Default | DeviceChoice::None => None,
        };
        match Follow::decide(list, chosen, id) {
            Follow::Keep => return false,
            Follow::Unplugged | Follow::NothingLeft => {
                self.replaces = Some(DeviceError::Gone(name.clone()).to_string());
            }
            Follow::NewDefault | Follow::ChosenIsBack => {
                self.replaces = Some("there is a better device".into());
            }
        }
        true
    }
}

/// A device as the person sees it: switched off is not closed.
pub fn shown(slot: &Slot) -> DeviceState {
    match (&slot.state, slot.switch) {
        (DeviceState::On { .. } | DeviceState::Opening | DeviceState::Closed, Switch::Off) => {
            DeviceState::Off
        }
        (state, Switch::On | Switch::Off) => state.clone(),
    }
}

/// A device as it is recorded.
pub fn recorded(slot: &Slot, device: record::DeviceKind, muted_but_speaking: bool) -> record::Device {
    let (state, about) = match shown(slot) {
        DeviceState::Closed => (DeviceWord::Closed, String::new()),
        DeviceState::Opening => (DeviceWord::Opening, String::new()),
        DeviceState::On { name } => (DeviceWord::On, name),
        DeviceState::Off => (DeviceWord::Off, String::new()),
        DeviceState::Absent => (DeviceWord::Absent, String::new()),
        DeviceState::Failed { reason } if slot.denied => (DeviceWord::Denied, reason),
        DeviceState::Failed { reason } => (DeviceWord::Failed, reason),
    };
    record::Device { device, state, about, id: slot.in_use.clone(), muted_but_speaking }
}

fn failed(error: &DeviceError) -> DeviceState {
    match error {
        DeviceError::NotFound(_) => DeviceState::Absent,
        DeviceError::Busy(_)
        | DeviceError::Refused(_)
        | DeviceError::Gone(_)
        | DeviceError::Closed(_)
        | DeviceError::Broken { .. } => DeviceState::Failed { reason: error.to_string() },
    }
}

pub fn lost(kind: DeviceKind, slot: &mut Slot, error: &DeviceError) -> Option<DeviceChange> {
    let earlier = slot.replaces.take();
    match (&slot.state, earlier) {
        // Nothing was there from the beginning: the start screen shows it, a notice would nag.
        (DeviceState::Absent, None) => None,
        (_, Some(reason)) => Some(DeviceChange::Lost { kind, reason }),
        (_, None) => Some(DeviceChange::Lost { kind, reason: error.to_string() }),
    }
}

pub fn replaced(kind: DeviceKind, slot: &mut Slot, name: String) -> Option<DeviceChange> {
    slot.replaces.take().map(|reason| DeviceChange::Replaced { kind, name, reason })
}
