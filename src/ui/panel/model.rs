//! What only the panel knows: which tab is open, what is filtered, which time the plots show. Pure.

use super::chart::{Axis, Moved};
use super::table::Sorting;

/// Where the panel is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nowhere.
    #[default]
    Closed,
    /// At the right side of the window; over the picture where that leaves too little of it.
    Docked,
    /// In a window of its own.
    Window,
}

/// A tab of the panel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "their titles are the names")]
pub enum Tab {
    #[default]
    Overview,
    Ice,
    Media,
    Log,
}

/// What the tab for media shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MediaView {
    /// Values over time.
    #[default]
    Plots,
    /// The objects as W3C webrtc-stats writes them.
    Objects,
}

/// Whose description.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SdpView {
    /// Ours.
    #[default]
    Local,
    /// Theirs.
    Remote,
}

/// What of the log is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogView {
    /// Everything.
    #[default]
    All,
    /// What passed the signaling server.
    Messages,
    /// What happened here.
    Events,
}

/// How the tables of the tab for ICE are sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IceSorting {
    /// The pairs.
    pub pairs: Sorting,
    /// Our candidates.
    pub local: Sorting,
    /// Theirs.
    pub remote: Sorting,
    /// The servers.
    pub servers: Sorting,
}

/// The panel's state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PanelModel {
    /// Where it is.
    pub place: Place,
    /// What it shows.
    pub tab: Tab,
    /// How wide the person has made it.
    pub width: Width,
    /// The words that rows of the tab for ICE must hold.
    pub ice_filter: String,
    /// How they are sorted.
    pub ice_sorting: IceSorting,
    /// The descriptions are unfolded.
    pub sdp_open: bool,
    /// Whose description is shown.
    pub sdp_view: SdpView,
    /// Only what changed since the description before is shown.
    pub sdp_changes_only: bool,
    /// Plots or objects.
    pub media_view: MediaView,
    /// The words that titles of plots must hold.
    pub media_filter: String,
    /// The words that members of objects must hold.
    pub object_filter: String,
    /// The time of the plots.
    pub time: TimeWindow,
    /// What of the log is shown.
    pub log_view: LogView,
    /// The words that rows of the log must hold.
    pub log_filter: String,
    /// The row of the log that is shown in full, by its number since the call began.
    pub log_row: Option<u64>,
    /// What was copied last, and when (the window's time in seconds).
    pub copied: Option<(Copied, f64)>,
}

/// What can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// The report.
    Report,
    /// Our description.
    LocalSdp,
    /// Theirs.
    RemoteSdp,
    /// Both.
    BothSdp,
}

/// How long a button says that it has copied, in seconds.
const COPIED_FOR: f64 = 2.0;

impl PanelModel {
    /// Opens it at the side, or closes it wherever it is.
    pub fn toggle(&mut self) {
        self.place = match self.place {
            Place::Closed => Place::Docked,
            Place::Docked | Place::Window => Place::Closed,
        };
    }

    /// Shows the first tab, where it is, or at the side.
    pub fn show_overview(&mut self) {
        self.tab = Tab::Overview;
        if self.place == Place::Closed {
            self.place = Place::Docked;
        }
    }

    /// Whether a button shall say that it has copied `what`, and for how much longer.
    pub fn says_copied(&self, what: Copied, now: f64) -> Option<f64> {
        let (copied, at) = self.copied?;
        let left = at + COPIED_FOR - now;
        (copied == what && left > 0.0).then_some(left)
    }
}

/// A width in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Width(pub f32);

impl Default for Width {
    fn default() -> Self {
        Self(400.0)
    }
}

impl Width {
    /// Narrower than this the tables are of no use.
    pub const LEAST: f32 = 340.0;
    /// The picture beside the panel is at least so wide, or it is covered.
    pub const PICTURE: f32 = 280.0;

    /// How wide the panel is in a window of `all`; `None`: it covers the picture.
    pub fn within(self, all: f32) -> Option<f32> {
        let most = all - Self::PICTURE;
        (most >= Self::LEAST).then(|| self.0.clamp(Self::LEAST, most))
    }
}

/// The time that the plots show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeWindow {
    /// How long it is, in milliseconds; `None`: everything that there is.
    pub span: Option<f64>,
    /// Its right edge in unix milliseconds; `None`: the newest sample, as it comes.
    pub end: Option<f64>,
    /// The time under the pointer.
    pub pointed: Option<f64>,
}

impl Default for TimeWindow {
    fn default() -> Self {
        Self { span: Some(Self::SPANS[0]), end: None, pointed: None }
    }
}

impl TimeWindow {
    /// The lengths that can be chosen: one, five and sixty minutes.
    pub const SPANS: [f64; 3] = [60_000.0, 300_000.0, 3_600_000.0];

    /// The shortest time that can be looked at, in milliseconds.
    const SHORTEST: f64 = 5_000.0;

    /// The time that is shown of samples from `oldest` to `newest`.
    pub fn axis(&self, oldest: f64, newest: f64) -> Axis {
        let to = self.end.unwrap_or(newest);
        let span = self.span.unwrap_or(newest - oldest).max(Self::SHORTEST);
        Axis { from: to - span, to, pointed: self.pointed }
    }

    /// Whether it moves along.
    pub const fn follows(&self) -> bool {
        self.end.is_none()
    }

    /// Holds what is shown, or goes on with the newest.
    pub fn pause(&mut self, newest: f64) {
        self.end = match self.end {
            None => Some(newest),
            Some(_) => None,
        };
    }

    /// Does what was done in a plot.
    pub fn moved(&mut self, moved: Moved, oldest: f64, newest: f64) {
        let axis = self.axis(oldest, newest);
        match moved {
            Moved::Pointed(time) => self.pointed = Some(time),
            Moved::Dragged(by) => {
                let end = axis.to - by;
                self.end = (end < newest).then_some(end.max(oldest + Self::SHORTEST));
            }
            Moved::Scaled(by, around) => {
                let span =
                    ((axis.to - axis.from) * by).clamp(Self::SHORTEST, (newest - oldest).max(Self::SHORTEST));
                let share = ((axis.to - around) / (axis.to - axis.from)).clamp(0.0, 1.0);
                self.span = Some(span);
                // At its newest end it stays there.
                if self.end.is_some() {
                    self.end = Some((around + share * span).min(newest));
                }
            }
            Moved::Reset => *self = Self { pointed: self.pointed, ..Self::default() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plots_follow_the_newest_until_somebody_drags_them_into_the_past() {
        let mut time = TimeWindow::default();
        assert_eq!(time.axis(0.0, 100e3).to, 100e3);
        time.moved(Moved::Dragged(20e3), 0.0, 100e3);
        assert_eq!(time.axis(0.0, 200e3), Axis { from: 20e3, to: 80e3, pointed: None });
        time.moved(Moved::Dragged(-500e3), 0.0, 200e3);
        assert!(time.follows(), "beyond the newest there is nothing");
    }

    #[test]
    fn a_pause_holds_what_is_shown_and_a_second_one_goes_on() {
        let mut time = TimeWindow::default();
        time.pause(70e3);
        assert_eq!(time.axis(0.0, 90e3).to, 70e3);
        time.pause(90e3);
        assert_eq!(time.axis(0.0, 95e3).to, 95e3);
    }

    #[test]
    fn what_is_under_the_pointer_stays_there_while_the_time_is_stretched() {
        let mut time = TimeWindow { end: Some(80e3), ..TimeWindow::default() };
        time.moved(Moved::Scaled(0.5, 50e3), 0.0, 100e3);
        assert_eq!(time.axis(0.0, 100e3), Axis { from: 35e3, to: 65e3, pointed: None });
        time.moved(Moved::Scaled(1e-9, 50e3), 0.0, 100e3);
        let axis = time.axis(0.0, 100e3);
        assert_eq!(axis.to - axis.from, TimeWindow::SHORTEST);
        time.moved(Moved::Reset, 0.0, 100e3);
        assert_eq!(time, TimeWindow::default());
    }

    #[test]
    fn everything_means_everything() {
        let time = TimeWindow { span: None, ..TimeWindow::default() };
        assert_eq!(time.axis(5e3, 65e3), Axis { from: 5e3, to: 65e3, pointed: None });
        // A single sample has no length.
        assert!(time.axis(5e3, 5e3).from < 5e3);
    }

    #[test]
    fn in_a_narrow_window_the_panel_covers_the_picture() {
        assert_eq!(Width::default().within(1120.0), Some(400.0));
        assert_eq!(Width(900.0).within(1120.0), Some(840.0));
        assert_eq!(Width::default().within(600.0), None);
    }

    #[test]
    fn one_key_opens_and_closes_it() {
        let mut model = PanelModel::default();
        model.toggle();
        assert_eq!(model.place, Place::Docked);
        model.place = Place::Window;
        model.toggle();
        assert_eq!(model.place, Place::Closed);
    }
}
