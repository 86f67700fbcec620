//! Who is here and who knocks; their names, what they have switched on, whether they are away.

use std::time::{Duration, Instant};

use signaling_protocol::{MAX_NAME, MediaState, PeerId, PeerInfo};

use super::reconnect::{PathWatch, Reach};
use crate::engine::view::{PeerView, Visitor};
use crate::rtc::{IceState, PeerPhase, SelectedPair, Signal, Trouble};

/// Most people who may wait at the door; more are told that we are busy.
pub const MOST_VISITORS: usize = 8;

/// Most signals kept for somebody who is not answered yet; later ones are dropped. An agent with
/// more candidates than that is not one that we need to reach by all of them.
pub const MOST_SIGNALS: usize = 64;

/// How long somebody may stand at the door.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody in the call.
#[derive(Debug)]
pub struct Member {
    /// Who.
    pub peer: PeerId,
    /// As shown.
    pub name: String,
    /// What is switched on over there.
    pub media: MediaState,
    /// Their socket is lost.
    pub away: bool,
    /// The server has given up on them; only the path is left.
    pub orphaned: bool,
    /// What the transport says.
    pub phase: PeerPhase,
    /// Why there is no path, if there was one.
    pub trouble: Option<Trouble>,
    /// W3C iceConnectionState.
    pub ice: IceState,
    /// The path in use.
    pub path: Option<SelectedPair>,
    /// The link's secret vouches for their certificate.
    pub verified: bool,
    /// Whether the answer that lets them in is still to be made.
    pub entry: Entry,
    /// The path.
    pub watch: PathWatch,
}

/// How somebody came in.
#[derive(Debug)]
pub enum Entry {
    /// Accepted by us; what our transport says before its answer is kept.
    Answering {
        /// Candidates.
        early: Vec<Signal>,
        /// Give up then.
        until: Instant,
    },
    /// Inside.
    Inside,
}

impl Member {
    /// Just let in.
    pub fn new(info: &PeerInfo, entry: Entry, watch: PathWatch) -> Self {
        Self {
            peer: info.peer.clone(),
            name: display_name(&info.name),
            media: info.media,
            away: info.away,
            orphaned: false,
            phase: PeerPhase::Connecting,
            trouble: None,
            ice: IceState::New,
            path: None,
            verified: false,
            entry,
            watch,
        }
    }

    /// Nothing is left of them, neither socket nor path: they may have come back as somebody else.
    pub fn is_gone(&self) -> bool {
        self.away && matches!(self.entry, Entry::Inside) && !self.watch.is_up()
    }

    /// Who can be told about a new path to them.
    pub fn reach(&self, ours: Option<Reach>) -> Reach {
        match ours {
            Some(ours) => ours,
            None if self.orphaned => Reach::NoServer,
            None if self.away => Reach::TheyAreAway,
            None => Reach::Both,
        }
    }

    /// What a face shows; measured values are filled in by the engine.
    pub fn view(&self) -> PeerView {
        PeerView {
            peer: self.peer.clone(),
            name: self.name.clone(),
            media: self.media,
            away: self.away,
            phase: self.phase,
            trouble: self.trouble,
            ice: self.ice,
            path: self.path.clone(),
            round_trip: None,
            bars: 0,
            verified: self.verified,
            speaking: false,
            has_picture: false,
            screen: None,
        }
    }
}

/// Somebody at the door. Their signals wait here: nothing of ours goes out to them.
#[derive(Debug)]
pub struct Knocker {
    /// As the server describes them.
    pub info: PeerInfo,
    /// As shown.
    pub name: String,
    /// Their offer and candidates.
    pub signals: Vec<Signal>,
    /// The link's secret vouches for the offer.
    pub verified: bool,
    /// Nobody answered then.
    pub until: Instant,
}

impl Knocker {
    /// What a face shows.
    pub fn view(&self) -> Visitor {
        Visitor { peer: self.info.peer.clone(), name: self.name.clone() }
    }
}

/// A stranger's name as it is safe to show: one line, without characters that turn or hide text,
/// at most [`MAX_NAME`] bytes, never empty.
pub fn display_name(name: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{61c}')
    };
    let mut clean = String::new();
    for word in name.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !clean.is_empty() {
            clean.push(' ');
        }
        clean.extend(word.chars().filter(|&c| !hidden(c)));
    }
    let mut end = clean.len().min(MAX_NAME);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    clean.truncate(end);
    let clean = clean.trim();
    if clean.is_empty() { "Guest".into() } else { clean.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_clean_line_of_bounded_length() {
        assert_eq!(display_name("  Ada \n Lovelace\u{202e} "), "Ada Lovelace");
        assert_eq!(display_name("\u{200b}\t"), "Guest");
        assert_eq!(display_name(&"é".repeat(100)), "é".repeat(32));
    }

    proptest::proptest! {
        #[test]
        fn any_name_can_be_shown(name in "\\PC{0,200}") {
            let shown = display_name(&name);
            proptest::prop_assert!(!shown.is_empty() && shown.len() <= MAX_NAME);
            proptest::prop_assert_eq!(display_name(&shown), shown);
        }
    }
}
