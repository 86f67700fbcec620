//! What a click can mean.

use std::path::PathBuf;

use super::fit::Corner;
use crate::engine::command::{Command, ScreenTarget, ShareMode, Switch};

/// Something a person did in the window.
#[derive(Clone, Debug, PartialEq)]
pub enum UiAction {
    /// For the engine.
    Command(Command),
    /// Opens the settings or closes them.
    ToggleSettings,
    /// Puts the invite link on the clipboard.
    CopyInvite,
    /// Puts what is on the clipboard into the link field.
    Paste,
    /// Joins what stands in the link field.
    JoinTyped,
    /// Makes a call and copies its link once it is there.
    NewCall,
    /// Remembers the name and the server of the start screen.
    SaveStart,
    /// Fills the screen or stops it.
    ToggleFullScreen,
    /// The large and the small picture change places.
    SwapPictures,
    /// The small picture goes to another corner.
    MoveTile(Corner),
    /// Answers whether to leave this call for the one of a link that came in.
    Switch {
        /// Leave.
        leave: bool,
    },
    /// Tests the connection, from the beginning.
    StartCheckup,
    /// Ends that test and puts its result away.
    CloseCheckup,
    /// Opens the connection panel, or closes it.
    TogglePanel,
    /// Opens the connection panel where it says in words how it goes.
    ShowVerdict,
    /// Opens the chat or closes it.
    ToggleChat,
    /// A link in the chat was clicked: asks whether to open it.
    AskLink(String),
    /// Opens a link that was asked about.
    OpenLink(String),
    /// Does not open it.
    ForgetLink,
    /// Chooses files to send.
    ChooseFile,
    /// Shows a file that came where it is.
    ShowInFolder(PathBuf),
    /// Puts a text on the clipboard.
    CopyText(String),
    /// Writes the record of this call to a file.
    SaveSession,
    /// Writes it in the form that the importer of webrtc-internals' dumps reads.
    ExportSession,
    /// Opens the choice of what to show of the screen, or closes it.
    ToggleShare,
    /// Takes the pen to draw on somebody's screen, or puts it away.
    TogglePen,
    /// Shows this, and closes the choice.
    Share {
        /// What.
        target: ScreenTarget,
        /// To be read, or to be watched.
        mode: ShareMode,
        /// With the sound of this computer, or without.
        sound: Switch,
    },
    /// Closes the window.
    Close,
}
