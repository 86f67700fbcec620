//! What a face (window or script) may ask of the engine.

use std::path::PathBuf;

use signaling_protocol::{Admission, PeerId};

use crate::chat::Reaction;
use crate::config::Settings;
use crate::files::FileId;
use crate::link::Link;
pub use crate::media::source::screen::{ScreenTarget, ShareMode};
use crate::pointer::Point;

/// A switch with a name instead of a bare `bool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

impl Switch {
    /// The other position.
    pub const fn flipped(self) -> Self {
        match self {
            Switch::On => Switch::Off,
            Switch::Off => Switch::On,
        }
    }

    /// Whether it is on.
    pub const fn is_on(self) -> bool {
        matches!(self, Switch::On)
    }
}

impl From<bool> for Switch {
    fn from(on: bool) -> Self {
        if on { Switch::On } else { Switch::Off }
    }
}

/// A device chosen by a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// Whatever the system prefers; follows the system when that changes.
    Default,
    /// The device with this id (stable across starts where the system allows it).
    Id(String),
    /// None, even if there is one.
    None,
}

impl DeviceChoice {
    /// As the settings write it: nothing for the system's choice, `none`, or an id.
    pub fn from_setting(setting: &str) -> Self {
        match setting {
            "" => DeviceChoice::Default,
            "none" => DeviceChoice::None,
            id => DeviceChoice::Id(id.to_owned()),
        }
    }
}

/// What a person may do in the chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatCommand {
    /// Says something to everybody.
    Say(String),
    /// Writes.
    Typing,
    /// Raises the hand, or takes it down.
    Raise(Switch),
    /// Shows a reaction.
    React(Reaction),
    /// Has read everything.
    Read,
}

/// What a person may do with the pointer on a shared screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PointerCommand {
    /// Points at a place of somebody's screen, or beside it.
    Move {
        /// Whose.
        screen: PeerId,
        /// Where; `None`: beside it.
        at: Option<Point>,
        /// A stroke is being drawn.
        draws: bool,
    },
    /// Whether the others may point at ours.
    Allow(Switch),
}

/// What a person may do with files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileCommand {
    /// Offers files to everybody.
    Send(Vec<PathBuf>),
    /// Would choose one to offer, but the desktop has no dialog for that.
    NoDialog,
    /// Takes one that is offered.
    Accept(FileId),
    /// Does not want it.
    Decline(FileId),
    /// Ends one that is on its way.
    Cancel(FileId),
    /// Puts one that is over out of sight.
    Dismiss(FileId),
}

/// What a person or a script may ask. Everything that follows shows in the
/// [`CallView`](super::view::CallView).
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Makes a room and its link. Without a server in the settings this computer hosts it.
    NewCall {
        /// Whether newcomers need consent.
        admission: Admission,
    },
    /// Opens a room whose server and name are given (a script's callee; a new call of the window
    /// becomes this once its link is made).
    Open {
        /// Where, and which room.
        link: Link,
        /// Whether newcomers need consent.
        admission: Admission,
    },
    /// Reaches the server of a link and gathers candidates, so that a later `Join` of the same link
    /// needs no more than the knock. Nothing is told to the room.
    Prepare(Link),
    /// Knocks at the room of a link.
    Join(Link),
    /// Lets a visitor in.
    Accept(PeerId),
    /// Turns a visitor away.
    Decline(PeerId),
    /// Leaves the call, or stops trying. Also clears the summary of an ended call.
    Leave,
    /// Clears the summary of an ended call and goes back to the start.
    Dismiss,
    /// Keeps newcomers out, or lets them knock again.
    LockRoom(Switch),
    /// The microphone.
    Microphone(Switch),
    /// The camera.
    Camera(Switch),
    /// Looks what could be shown, again and again, or stops looking.
    LookAtScreens(Switch),
    /// Shows a screen to the others, in place of the one that is shown.
    Share {
        /// Which.
        target: ScreenTarget,
        /// What is more important about it.
        mode: ShareMode,
        /// Whether they hear what this computer plays, too.
        sound: Switch,
    },
    /// The screen that is shown is another thing to look at now.
    ShareAs(ShareMode),
    /// The others are to hear what this computer plays beside the screen that is shown, or not any more.
    ShareSound(Switch),
    /// Stops showing a screen.
    StopShare,
    /// Another camera.
    UseCamera(DeviceChoice),
    /// Another microphone.
    UseMicrophone(DeviceChoice),
    /// Another speaker.
    UseSpeaker(DeviceChoice),
    /// Opens camera and microphone for the start screen, or closes them again.
    Preview(Switch),
    /// Plays a short melody on the chosen speaker.
    TestSpeaker,
    /// Takes over and saves settings; devices and names in use follow.
    SaveSettings(Box<Settings>),
    /// A notice was read.
    DismissNotice(u64),
    /// Keeps the record of this call, or of the last one; a notice says where.
    KeepRecord,
    /// Keeps it, and writes it for tools that read dumps of `chrome://webrtc-internals`.
    ExportRecord,
    /// Something in the chat.
    Chat(ChatCommand),
    /// Something with a file.
    File(FileCommand),
    /// Something with the pointer on a shared screen.
    Pointer(PointerCommand),
    /// Looks for a new network path to everybody.
    RestartIce,
    /// Ends the engine.
    Shutdown,
}
