//! Who plays something on the sound server, and which of them we listen to. Pure: it is told what the
//! server says and answers what to ask of it.

use std::collections::BTreeMap;

/// Programs that are listened to at once; more would hardly be told apart by ear.
pub const MOST: usize = 32;

/// One stream of a program to a speaker: a sink input, in the words of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The server's number for it.
    pub index: u32,
    /// The process behind it, as it says itself; `None` where it says nothing, or where it is a part of the server.
    pub process: Option<u32>,
    /// Made by the server itself: it passes on what others play or a microphone hears.
    pub of_server: bool,
}

/// What to ask of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Listen to this input.
    Listen {
        /// Its number.
        input: u32,
    },
    /// End this stream of ours.
    End {
        /// Its number.
        stream: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Asked for.
    Asked,
    /// Listened to by this stream of ours.
    Heard(u32),
    /// The server did not want it; asked again when something about the input changes.
    Refused,
}

/// See the module.
#[derive(Debug)]
pub struct Playing {
    /// What this process plays is the call itself.
    ours: u32,
    inputs: BTreeMap<u32, State>,
}

impl Playing {
    /// Listens to everybody but the process `ours`.
    pub fn new(ours: u32) -> Self {
        Self { ours, inputs: BTreeMap::new() }
    }

    /// All inputs that there are.
    pub fn listed(&mut self, list: &[Input]) -> Vec<Ask> {
        let wanted = |input: &&Input| !input.of_server && input.process != Some(self.ours);
        let wanted: Vec<u32> = list.iter().filter(wanted).map(|input| input.index).collect();
        let mut asks = Vec::new();
        self.inputs.retain(|index, state| {
            let stays = wanted.contains(index);
            if let (State::Heard(stream), false) = (*state, stays) {
                asks.push(Ask::End { stream });
            }
            stays
        });
        for input in wanted {
            if self.inputs.len() < MOST && !self.inputs.contains_key(&input) {
                self.inputs.insert(input, State::Asked);
                asks.push(Ask::Listen { input });
            }
        }
        asks
    }

    /// Something about an input has changed.
    pub fn changed(&mut self, input: u32) {
        if self.inputs.get(&input) == Some(&State::Refused) {
            self.inputs.remove(&input);
        }
    }

    /// The server lets us listen; what to ask if nobody wants that any more.
    pub fn heard(&mut self, input: u32, stream: u32) -> Option<Ask> {
        match self.inputs.get_mut(&input) {
            Some(state) => {
                *state = State::Heard(stream);
                None
            }
            None => Some(Ask::End { stream }),
        }
    }

    /// The server does not let us listen: the input is on its way to another speaker, or gone.
    pub fn refused(&mut self, input: u32) {
        if let Some(state) = self.inputs.get_mut(&input) {
            *state = State::Refused;
        }
    }

    /// The server has ended a stream of ours, as it does when its input moves to another speaker.
    pub fn ended(&mut self, stream: u32) {
        self.inputs.retain(|_, state| *state != State::Heard(stream));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: u32 = 77;

    fn input(index: u32, process: Option<u32>) -> Input {
        Input { index, process, of_server: false }
    }

    #[test]
    fn everybody_is_listened_to_but_ourselves_and_what_the_server_passes_on() {
        let mut playing = Playing::new(OURS);
        let loopback = Input { index: 3, process: None, of_server: true };
        let list = [input(1, Some(5)), input(2, Some(OURS)), loopback, input(4, None)];
        assert_eq!(playing.listed(&list), [Ask::Listen { input: 1 }, Ask::Listen { input: 4 }]);
        assert_eq!(playing.listed(&list), [], "once");
    }

    #[test]
    fn who_goes_is_let_go_also_while_it_is_being_asked_for() {
        let mut playing = Playing::new(OURS);
        playing.listed(&[input(1, None), input(2, None)]);
        assert_eq!(playing.heard(1, 11), None);
        assert_eq!(playing.listed(&[]), [Ask::End { stream: 11 }]);
        assert_eq!(playing.heard(2, 12), Some(Ask::End { stream: 12 }));
    }

    #[test]
    fn who_moves_to_another_speaker_is_listened_to_there() {
        let mut playing = Playing::new(OURS);
        playing.listed(&[input(1, None)]);
        playing.heard(1, 11);
        playing.ended(11);
        assert_eq!(playing.listed(&[input(1, None)]), [Ask::Listen { input: 1 }]);
        playing.refused(1);
        assert_eq!(playing.listed(&[input(1, None)]), [], "until something changes");
        playing.changed(1);
        assert_eq!(playing.listed(&[input(1, None)]), [Ask::Listen { input: 1 }]);
    }

    proptest! {
        #[test]
        fn never_to_ourselves_and_never_to_too_many(
            lists in prop::collection::vec(prop::collection::vec((0u32..60, 70u32..80), 0..60), 0..8),
        ) {
            let mut playing = Playing::new(OURS);
            for list in lists {
                let list: Vec<_> = list.into_iter().map(|(index, process)| input(index, Some(process))).collect();
                for ask in playing.listed(&list) {
                    if let Ask::Listen { input } = ask {
                        let of_others = |one: &Input| one.index == input && one.process != Some(OURS);
                        prop_assert!(list.iter().any(of_others));
                    }
                }
                prop_assert!(playing.inputs.len() <= MOST);
            }
        }
    }
}
