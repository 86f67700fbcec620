//! How far the machine is: what [`CallPhase`] shows, with what it needs to go on.

use std::time::{Duration, Instant};

use signaling_protocol::RoomId;

use crate::engine::view::{CallPhase, Summary};
use crate::link::Link;
use crate::rtc::Signal;
use crate::server_url::ServerUrl;

/// The stages. `Prepared` shows as idle: nobody has asked for a call yet.
///
/// ```text
///  Idle ─▶ Hosting ─▶ Opening ─▶ Waiting ◀─▶ InCall ─▶ Ended ─▶ Idle
///    ├───────────────────┘                     ▲  ▲       ▲
///    ├─▶ Prepared ─┐                           │  │       │
///    └─────────────┴▶ Joining ─▶ Knocking ─────┘  └───────┘
/// ```
#[derive(Debug)]
pub enum Stage {
    /// Nothing.
    Idle,
    /// A server in this process is being started.
    Hosting,
    /// On the way to a room of our own.
    Opening {
        /// Give up then.
        until: Instant,
    },
    /// Alone in our room.
    Waiting,
    /// A call to this room is being prepared.
    Prepared(Attempt),
    /// The person wants to go in; the knock is not confirmed yet.
    Joining {
        /// How far it is.
        attempt: Attempt,
        /// Give up then.
        until: Instant,
    },
    /// The server has delivered the knock.
    Knocking {
        /// To knock again if the server forgets it.
        attempt: Attempt,
        /// Give up then.
        until: Instant,
    },
    /// Somebody else is inside, too.
    InCall,
    /// Over.
    Ended(Summary),
}

impl Stage {
    /// What a person sees of it.
    pub fn shown(&self) -> CallPhase {
        match self {
            Stage::Idle | Stage::Prepared(_) => CallPhase::Idle,
            Stage::Hosting | Stage::Opening { .. } => CallPhase::Opening,
            Stage::Waiting => CallPhase::Waiting,
            Stage::Joining { .. } => CallPhase::Joining,
            Stage::Knocking { .. } => CallPhase::Knocking,
            Stage::InCall => CallPhase::InCall,
            Stage::Ended(summary) => CallPhase::Ended(summary.clone()),
        }
    }

    /// Whether a new call may begin.
    pub fn is_free(&self) -> bool {
        match self {
            Stage::Idle | Stage::Prepared(_) | Stage::Ended(_) => true,
            Stage::Hosting
            | Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Joining { .. }
            | Stage::Knocking { .. }
            | Stage::InCall => false,
        }
    }

    /// Whether we are inside a room.
    pub fn is_inside(&self) -> bool {
        match self {
            Stage::Waiting | Stage::InCall => true,
            Stage::Idle
            | Stage::Hosting
            | Stage::Opening { .. }
            | Stage::Prepared(_)
            | Stage::Joining { .. }
            | Stage::Knocking { .. }
            | Stage::Ended(_) => false,
        }
    }

    /// Whether a session with the server is wanted.
    pub fn wants_signaling(&self) -> bool {
        match self {
            Stage::Opening { .. }
            | Stage::Waiting
            | Stage::Prepared(_)
            | Stage::Joining { .. }
            | Stage::Knocking { .. }
            | Stage::InCall => true,
            Stage::Idle | Stage::Hosting | Stage::Ended(_) => false,
        }
    }
}

/// What a knock needs: ICE servers first, then an offer gathered with them.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Where the ICE servers stand.
    pub servers: Servers,
    /// The offer, once it is there.
    pub offer: Option<Signal>,
    /// Candidates that came after the offer.
    pub candidates: Vec<Signal>,
    /// The knock is sent.
    pub knocked: bool,
}

/// Where the ICE servers of an attempt stand.
#[derive(Debug, Default, Clone, PartialEq)]
pub enum Servers {
    /// To be asked for as soon as there is a session.
    #[default]
    Wanted,
    /// Asked for.
    Asked {
        /// How long to wait before asking again if the room is not there yet.
        pause: Duration,
    },
    /// The room is not there yet; ask again (only while nobody waits for it).
    AskAgain {
        /// When.
        at: Instant,
        /// How long to wait the next time.
        pause: Duration,
    },
    /// Here; an offer is being gathered with them.
    Known,
}

/// Whose room it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We opened it.
    Owner,
    /// We came.
    Guest,
}

/// The room of this call.
#[derive(Clone, Debug)]
pub struct Room {
    /// Where its server is for us.
    pub server: ServerUrl,
    /// What others are given.
    pub link: Link,
    /// Whose room it is.
    pub role: Role,
    /// The link works in this network only.
    pub lan_only: bool,
}

impl Room {
    /// Its code.
    pub fn id(&self) -> &RoomId {
        &self.link.room
    }
}
