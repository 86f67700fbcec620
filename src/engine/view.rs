//! Everything a face shows: plain data, no handles.
//!
//! The engine publishes a new view when something in it changed. Times are durations already, so
//! that a view can be written by hand in a test.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use signaling_protocol::{Admission, DeclineReason, MediaState, PeerId};

use super::command::{ScreenTarget, ShareMode};
use crate::chat::ChatView;
use crate::config::Settings;
pub use crate::diagnosis::Verdict;
use crate::files::FileView;
pub use crate::media::devices::{Device, Devices};
use crate::media::encoded::VideoCodec;
pub use crate::media::source::screen::Rect;
use crate::rtc::{IceState, PeerPhase, SelectedPair, Trouble};
use crate::units::Resolution;

/// The call as a person sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallView {
    /// How far the call is.
    pub phase: CallPhase,
    /// What to give to the person one wants to talk to, while we are in a room.
    pub invite: Option<Invite>,
    /// Ourselves.
    pub me: LocalView,
    /// What the server calls us, while there is a session.
    pub my_id: Option<PeerId>,
    /// Those in the call, in the order in which they came.
    pub peers: Vec<PeerView>,
    /// Those who knock and wait for a decision.
    pub visitors: Vec<Visitor>,
    /// How long the call has lasted since the first participant was connected, in whole seconds.
    pub duration: Option<Duration>,
    /// Nobody new may knock.
    pub locked: bool,
    /// Whether newcomers need consent.
    pub admission: Admission,
    /// The connection to the signaling server.
    pub signaling: SignalingStatus,
    /// What the diagnosis says first; `None` outside of calls.
    pub verdict: Option<Verdict>,
    /// Short messages, oldest first.
    pub notices: Vec<Notice>,
    /// What is said in writing.
    pub chat: ChatView,
    /// Files on their way and lately, oldest first.
    pub files: Arc<Vec<FileView>>,
    /// The others may point at our screen while it is shared.
    pub pointing_allowed: bool,
    /// Those whose programs have neither chat nor files.
    pub without_channels: Vec<PeerId>,
    /// What could be shown of our screen, while somebody looks.
    pub screens: Screens,
    /// Why what this computer plays cannot be shared beside it; `None`: it can, or nobody looks.
    pub no_screen_sound: Option<String>,
    /// What this computer has.
    pub devices: Devices,
    /// Name, server, devices and switches that are remembered.
    pub settings: Settings,
}

/// How far the call is.
///
/// ```text
///  Idle ─▶ Opening ─▶ Waiting ─▶ InCall ─▶ Ended ─▶ Idle
///    └───▶ Joining ─▶ Knocking ────┘▲          ▲
///              └──────────┴──────────┴─ (failed) ┘
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CallPhase {
    /// The start screen.
    #[default]
    Idle,
    /// Making the room.
    Opening,
    /// Alone in the room.
    Waiting,
    /// Reaching the server of a link.
    Joining,
    /// Somebody inside is asked whether we may come in.
    Knocking,
    /// At least one other participant is in the room.
    InCall,
    /// Over.
    Ended(Summary),
}

/// How the call was.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Why it ended.
    pub reason: EndReason,
    /// How long we were connected.
    pub duration: Duration,
    /// How good it was; `None` if it never connected.
    pub quality: Option<Quality>,
}

/// How good a call was, over its whole length.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Share of the other side's packets that never arrived, 0.0 to 1.0.
    pub loss: f32,
    /// Mean round trip.
    pub round_trip: Option<Duration>,
    /// How long the picture stood still, in all.
    pub frozen: Duration,
    /// How often the path had to be found again.
    pub reconnects: u32,
}

/// Why a call ended or did not begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reason", content = "more", rename_all = "snake_case")]
pub enum EndReason {
    /// We hung up.
    Left,
    /// The other one hung up.
    PeerLeft {
        /// Who.
        name: String,
    },
    /// The other one vanished.
    PeerLost {
        /// Who.
        name: String,
    },
    /// We were not let in.
    Declined(DeclineReason),
    /// The room has as many participants as it may.
    RoomFull,
    /// Nobody may knock.
    RoomLocked,
    /// There is no such room, or nobody is in it.
    NotFound,
    /// The server cannot be reached or cannot be understood; the sentence says which and why.
    Server(String),
    /// No path to the other side was found.
    NoPath,
    /// The certificate that arrived is not the one that the link vouches for.
    NotAuthentic,
    /// Something else, in one sentence.
    Failed(String),
}

impl fmt::Display for EndReason {
    /// One sentence for a log; the window has its own words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::Left => write!(f, "we hung up"),
            EndReason::PeerLeft { name } => write!(f, "{name} hung up"),
            EndReason::PeerLost { name } => write!(f, "{name} vanished"),
            EndReason::Declined(DeclineReason::Declined) => write!(f, "the other side declined"),
            EndReason::Declined(DeclineReason::Busy) => write!(f, "the other side is in another call"),
            EndReason::Declined(DeclineReason::NoAnswer) => write!(f, "nobody answered"),
            EndReason::Declined(DeclineReason::Full) | EndReason::RoomFull => write!(f, "the room is full"),
            EndReason::RoomLocked => write!(f, "the room is locked"),
            EndReason::NotFound => write!(f, "there is no such room, or nobody is in it"),
            EndReason::NoPath => write!(f, "no network path to the other side was found"),
            EndReason::NotAuthentic => {
                write!(f, "the other side's certificate is not the one the link vouches for")
            }
            EndReason::Server(text) | EndReason::Failed(text) => f.write_str(text),
        }
    }
}

/// What to give to the person one wants to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// `http(s)://HOST[:PORT]/r/ROOM#SECRET`.
    pub link: String,
    /// This computer hosts: the link works in this network only.
    pub lan_only: bool,
}

/// Ourselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LocalView {
    /// The microphone.
    pub microphone: DeviceState,
    /// The camera.
    pub camera: DeviceState,
    /// The speaker.
    pub speaker: DeviceState,
    /// Microphone level on a decibel scale from 0 (silence) to 20 (full), for the meter.
    pub level: u8,
    /// We are speaking.
    pub speaking: bool,
    /// Talking while muted.
    pub muted_but_speaking: bool,
    /// What we show of our screen.
    pub share: Option<ShareView>,
}

/// What could be shown of our screen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Screens {
    /// Nobody looks.
    #[default]
    Closed,
    /// Being looked for.
    Looking,
    /// These. Their thumbnails are in the slots of
    /// [`FrameKey::Listed`](super::frames::FrameKey::Listed), by their place in this list.
    Listed(Vec<ScreenItem>),
    /// The desktop has a dialog of its own.
    Portal {
        /// It may remember what was shown the last time, and show it without asking.
        remembers: bool,
    },
    /// Nothing can be shown; the sentence says why.
    Failed {
        /// One sentence.
        reason: String,
    },
}

/// One thing that could be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ScreenItem {
    /// What to ask for.
    pub target: ScreenTarget,
    /// As people call it.
    pub name: String,
    /// Its size in pixels.
    pub resolution: Resolution,
    /// Where it is on the desktop, in its pixels.
    pub place: Option<Rect>,
}

/// What we show of our screen. Its newest picture is in the slot of
/// [`FrameKey::OwnScreen`](super::frames::FrameKey::OwnScreen).
#[derive(Clone, Debug, PartialEq)]
pub struct ShareView {
    /// What it is, as people call it; empty while it is being opened.
    pub name: String,
    /// What is more important about it.
    pub mode: ShareMode,
    /// How it stands with the sound of this computer beside it; closed: it is not shared.
    pub sound: DeviceState,
    /// It is a window that is minimised; others see its last picture.
    pub minimised: bool,
    /// It is sent: there is a picture, and somebody to see it.
    pub running: bool,
    /// What others point at is seen on the screen itself, not only on the picture of it.
    pub overlaid: bool,
    /// As it is sent.
    pub picture: Option<ScreenPicture>,
    /// Who sees it.
    pub seen_by: Vec<PeerId>,
    /// Whose application cannot show it.
    pub unseen_by: Vec<PeerId>,
    /// Who sees it, but whose application cannot play its sound.
    pub unheard_by: Vec<PeerId>,
}

/// How a screen is sent or received.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScreenPicture {
    /// The codec.
    pub codec: VideoCodec,
    /// The size.
    pub resolution: Resolution,
    /// Pictures in the last second; none while nothing changes.
    pub fps: f64,
}

/// A device of ours and what it is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DeviceState {
    /// Not opened.
    #[default]
    Closed,
    /// Being opened.
    Opening,
    /// Running.
    On {
        /// The name shown to people.
        name: String,
    },
    /// Switched off by the person.
    Off,
    /// There is none, or the person chose none.
    Absent,
    /// It cannot be used; the sentence says why.
    Failed {
        /// One sentence.
        reason: String,
    },
}

impl DeviceState {
    /// Whether it runs.
    pub fn is_on(&self) -> bool {
        match self {
            DeviceState::On { .. } => true,
            DeviceState::Closed
            | DeviceState::Opening
            | DeviceState::Off
            | DeviceState::Absent
            | DeviceState::Failed { .. } => false,
        }
    }
}

/// Another participant.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerView {
    /// Who.
    pub peer: PeerId,
    /// The name that the person gave.
    pub name: String,
    /// What is switched on over there.
    pub media: MediaState,
    /// Their connection to the server is lost (media may go on).
    pub away: bool,
    /// How the connection stands.
    pub phase: PeerPhase,
    /// Why there is no path, if there was one.
    pub trouble: Option<Trouble>,
    /// W3C iceConnectionState.
    pub ice: IceState,
    /// The path in use.
    pub path: Option<SelectedPair>,
    /// Round trip on the path.
    pub round_trip: Option<Duration>,
    /// How good the connection is right now: 0 (nothing) to 4 (very good).
    pub bars: u8,
    /// The link's secret vouches for the certificate of this connection.
    pub verified: bool,
    /// Speaking right now.
    pub speaking: bool,
    /// A picture was decoded and is in the slot.
    pub has_picture: bool,
    /// Their screen, of which a picture is in the slot of
    /// [`FrameKey::Screen`](super::frames::FrameKey::Screen).
    pub screen: Option<ScreenPicture>,
}

/// Somebody who knocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Who.
    pub peer: PeerId,
    /// The name that the person gave.
    pub name: String,
}

/// The connection to the signaling server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SignalingStatus {
    /// None wanted.
    #[default]
    Off,
    /// On the way.
    Connecting,
    /// Up.
    Connected,
    /// Lost; the call goes on. The sentence says why.
    Lost {
        /// One sentence.
        reason: String,
    },
}

/// A short message for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// For [`Command::DismissNotice`](super::command::Command::DismissNotice).
    pub id: u64,
    /// How serious.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
}

/// How serious a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something is worse than it should be.
    Warning,
    /// Something does not work.
    Error,
}
