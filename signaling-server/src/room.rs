//! A room: who is inside, who knocks, and what each of them may do.
//!
//! Knows no names, sockets, messages or time.
//!
//! ```text
//!   open ──▶ members ◀── admit ── knocks ◀── knock
//!               │                    │
//!               └─ leave             └─ decline, unknock, or the room is empty or full
//! ```

use signaling_protocol::{Admission, ErrorCode, PeerId};

/// Most people that wait in front of one room; whoever comes later is told to try again.
const MAX_KNOCKS: usize = 16;

/// Why something may not be done, for the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// All places are taken.
    Full,
    /// The owner lets nobody knock.
    Locked,
    /// The room belongs to somebody else.
    Taken,
    /// Inside, or knocking, already.
    AlreadyThere,
    /// Only those inside may do this.
    NotInside,
    /// Only the owner may do this.
    NotOwner,
    /// Nobody of that name knocks, or is inside.
    PeerGone,
    /// Too many people wait in front of the room.
    TooManyKnocks,
}

impl Refusal {
    /// The stable code and a sentence for people.
    pub fn explain(self) -> (ErrorCode, &'static str) {
        match self {
            Self::Full => (ErrorCode::RoomFull, "The room is full."),
            Self::Locked => (ErrorCode::RoomLocked, "The room is locked; nobody new can come in."),
            Self::Taken => (ErrorCode::RoomTaken, "The room belongs to somebody else."),
            Self::AlreadyThere => {
                (ErrorCode::AlreadyJoined, "You are in a room, or in front of one, already.")
            }
            Self::NotInside => (ErrorCode::NotJoined, "You are not in that room."),
            Self::NotOwner => (ErrorCode::BadRequest, "Only the owner of the room can change it."),
            Self::PeerGone => (ErrorCode::PeerGone, "That person is not there any more."),
            Self::TooManyKnocks => (ErrorCode::RateLimited, "Too many people wait in front of the room."),
        }
    }
}

/// The state of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Who may lock the room and open it again.
    pub owner: PeerId,
    /// Whether newcomers need consent; the people inside act on it, the server only tells them.
    pub admission: Admission,
    /// Nobody new may knock.
    pub locked: bool,
    /// Most members.
    pub max: usize,
    /// Grows with each change of the membership, also over restarts of the server; a token with
    /// an older one does not undo a newer one.
    pub epoch: u64,
    members: Vec<PeerId>,
    knocks: Vec<PeerId>,
}

impl Room {
    /// A new room with its owner inside. `epoch` is the time in unix milliseconds.
    pub fn open(owner: PeerId, admission: Admission, max: usize, epoch: u64) -> Self {
        Self {
            members: vec![owner.clone()],
            owner,
            admission,
            locked: false,
            max: max.max(2),
            epoch,
            knocks: Vec::new(),
        }
    }

    /// A room as a token remembers it.
    pub fn restore(
        owner: PeerId,
        admission: Admission,
        locked: bool,
        max: usize,
        epoch: u64,
        members: Vec<PeerId>,
    ) -> Self {
        Self { owner, admission, locked, max: max.max(2), epoch, members, knocks: Vec::new() }
    }

    /// Who is inside, in the order of coming.
    pub fn members(&self) -> &[PeerId] {
        &self.members
    }

    /// Who waits, in the order of coming.
    pub fn knocks(&self) -> &[PeerId] {
        &self.knocks
    }

    /// Whether `peer` is inside.
    pub fn has(&self, peer: &PeerId) -> bool {
        self.members.contains(peer)
    }

    /// Whether all places are taken.
    pub fn is_full(&self) -> bool {
        self.members.len() >= self.max
    }

    /// Somebody asks to come in. So many of the members are `away`: whoever decides may give one of their
    /// places to the newcomer, who is often the same person after a crash.
    pub fn knock(&mut self, peer: &PeerId, away: usize) -> Result<(), Refusal> {
        if self.has(peer) || self.knocks.contains(peer) {
            return Err(Refusal::AlreadyThere);
        }
        if self.locked {
            return Err(Refusal::Locked);
        }
        if self.members.len().saturating_sub(away) >= self.max {
            return Err(Refusal::Full);
        }
        if self.knocks.len() >= MAX_KNOCKS {
            return Err(Refusal::TooManyKnocks);
        }
        self.knocks.push(peer.clone());
        Ok(())
    }

    /// `by` lets `peer` in. Returns those whose knock is void because the last place is taken.
    pub fn admit(&mut self, by: &PeerId, peer: &PeerId) -> Result<Vec<PeerId>, Refusal> {
        if !self.has(by) {
            return Err(Refusal::NotInside);
        }
        if self.is_full() {
            return Err(Refusal::Full);
        }
        self.unknock(peer)?;
        self.members.push(peer.clone());
        self.epoch += 1;
        Ok(if self.is_full() { std::mem::take(&mut self.knocks) } else { Vec::new() })
    }

    /// `by` keeps `peer` out.
    pub fn decline(&mut self, by: &PeerId, peer: &PeerId) -> Result<(), Refusal> {
        if !self.has(by) {
            return Err(Refusal::NotInside);
        }
        self.unknock(peer)
    }

    /// `peer` waits no longer.
    pub fn unknock(&mut self, peer: &PeerId) -> Result<(), Refusal> {
        let at = self.knocks.iter().position(|p| p == peer).ok_or(Refusal::PeerGone)?;
        self.knocks.remove(at);
        Ok(())
    }

    /// The owner changes the room.
    pub fn set(
        &mut self,
        by: &PeerId,
        locked: Option<bool>,
        admission: Option<Admission>,
    ) -> Result<(), Refusal> {
        if !self.has(by) {
            return Err(Refusal::NotInside);
        }
        if *by != self.owner {
            return Err(Refusal::NotOwner);
        }
        self.locked = locked.unwrap_or(self.locked);
        self.admission = admission.unwrap_or(self.admission);
        self.epoch += 1;
        Ok(())
    }

    /// `peer` goes. An owner who goes leaves the room to the one who has been inside longest.
    pub fn leave(&mut self, peer: &PeerId) -> Result<(), Refusal> {
        let at = self.members.iter().position(|p| p == peer).ok_or(Refusal::NotInside)?;
        self.members.remove(at);
        self.epoch += 1;
        if self.owner == *peer
            && let Some(next) = self.members.first()
        {
            self.owner = next.clone();
        }
        Ok(())
    }

    /// Takes over the members of a newer token; returns those that it does not know any more.
    pub fn adopt(&mut self, epoch: u64, members: Vec<PeerId>) -> Vec<PeerId> {
        let gone = self.members.iter().filter(|p| !members.contains(p)).cloned().collect();
        self.epoch = epoch;
        self.members = members;
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> PeerId {
        PeerId::new(name).expect("a valid id")
    }

    fn room() -> Room {
        Room::open(peer("ada"), Admission::Knock, 2, 1)
    }

    #[test]
    fn the_second_comes_in_and_the_third_finds_the_room_full() {
        let mut room = room();
        room.knock(&peer("bob"), 0).expect("there is a place");
        assert_eq!(room.admit(&peer("ada"), &peer("bob")), Ok(vec![]));
        assert_eq!(room.knock(&peer("eve"), 0), Err(Refusal::Full));
        assert_eq!(room.knock(&peer("bob"), 1), Err(Refusal::AlreadyThere));
        assert_eq!(room.knock(&peer("eve"), 1), Ok(()), "one of them may be gone for good");
        assert_eq!(
            room.admit(&peer("ada"), &peer("eve")),
            Err(Refusal::Full),
            "but the place is not free yet"
        );
        assert_eq!(room.members(), [peer("ada"), peer("bob")]);
    }

    #[test]
    fn those_who_still_wait_when_the_last_place_goes_are_named() {
        let mut room = room();
        room.knock(&peer("bob"), 0).expect("there is a place");
        room.knock(&peer("eve"), 0).expect("there is a place");
        assert_eq!(room.admit(&peer("ada"), &peer("bob")), Ok(vec![peer("eve")]));
        assert!(room.knocks().is_empty());
    }

    #[test]
    fn nobody_admits_or_declines_from_outside() {
        let mut room = room();
        room.knock(&peer("bob"), 0).expect("there is a place");
        assert_eq!(room.admit(&peer("bob"), &peer("bob")), Err(Refusal::NotInside));
        assert_eq!(room.decline(&peer("eve"), &peer("bob")), Err(Refusal::NotInside));
        assert_eq!(room.admit(&peer("ada"), &peer("eve")), Err(Refusal::PeerGone));
    }

    #[test]
    fn a_locked_room_lets_nobody_knock_and_only_its_owner_unlocks_it() {
        let mut room = room();
        room.knock(&peer("bob"), 0).expect("there is a place");
        room.admit(&peer("ada"), &peer("bob")).expect("ada is inside");
        room.max = 3;
        room.set(&peer("ada"), Some(true), None).expect("ada owns it");
        assert_eq!(room.knock(&peer("eve"), 0), Err(Refusal::Locked));
        assert_eq!(room.set(&peer("bob"), Some(false), None), Err(Refusal::NotOwner));
        assert_eq!(room.set(&peer("eve"), Some(false), None), Err(Refusal::NotInside));
    }

    #[test]
    fn an_owner_who_leaves_hands_the_room_on() {
        let mut room = room();
        room.knock(&peer("bob"), 0).expect("there is a place");
        room.admit(&peer("ada"), &peer("bob")).expect("ada is inside");
        let before = room.epoch;
        room.leave(&peer("ada")).expect("ada is inside");
        assert_eq!(room.owner, peer("bob"));
        assert!(room.epoch > before);
        assert_eq!(room.leave(&peer("ada")), Err(Refusal::NotInside));
    }

    #[test]
    fn the_queue_in_front_of_a_room_is_bounded() {
        let mut room = room();
        for i in 0..MAX_KNOCKS {
            room.knock(&peer(&format!("p{i}")), 0).expect("there is a place");
        }
        assert_eq!(room.knock(&peer("late"), 0), Err(Refusal::TooManyKnocks));
        assert_eq!(room.knock(&peer("p0"), 0), Err(Refusal::AlreadyThere));
    }
}
