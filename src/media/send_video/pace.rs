//! Whose turn it is on a screen: that of one which is read, or of one which is watched.

use std::time::Instant;

use crate::media::adaptation::reading::Reading;
use crate::media::adaptation::screen::{ScreenPace, Spent};
use crate::media::codec::tuning::Content;
use crate::units::Resolution;

/// When a screen's newest picture is encoded (again). A camera's pictures do not ask.
#[derive(Debug)]
pub enum Pace {
    /// Legible first, then as fine as it gets.
    Read(Reading),
    /// As it moves.
    Watched(ScreenPace),
}

impl Pace {
    /// For a screen of which nothing was seen yet.
    pub fn of(content: Content) -> Self {
        match content {
            Content::Text => Self::Read(Reading::default()),
            Content::Camera | Content::Motion => Self::Watched(ScreenPace::default()),
        }
    }

    /// The same, for another content if it is one: the picture that is there counts as new.
    pub fn follow(&mut self, content: Content) {
        let fits = match self {
            Self::Read(_) => content == Content::Text,
            Self::Watched(_) => content != Content::Text,
        };
        if !fits {
            *self = Self::of(content);
            self.on_picture();
        }
    }

    /// The source has a new picture.
    pub fn on_picture(&mut self) {
        match self {
            Self::Read(reading) => reading.on_picture(),
            Self::Watched(pace) => pace.on_picture(),
        }
    }

    /// Whether the newest picture was not encoded yet.
    pub fn is_fresh(&self) -> bool {
        match self {
            Self::Read(reading) => reading.is_fresh(),
            Self::Watched(pace) => pace.is_fresh(),
        }
    }

    /// When the newest picture is to be encoded; `None`: there is no reason to.
    pub fn due(&self, now: Instant, keyframe: Option<Instant>) -> Option<Instant> {
        match self {
            Self::Read(reading) => reading.due(now, keyframe),
            Self::Watched(pace) => pace.due(now, keyframe),
        }
    }

    /// What became of a turn: what it took, `None` if the encoder left it out, or that it failed. A reading
    /// was told of what it planned.
    pub fn on_turn<E>(&mut self, turn: &Result<Option<Spent>, E>, size: Resolution, fps: f64, now: Instant) {
        match (self, turn) {
            (Self::Read(reading), Err(_)) => reading.put_off(now),
            (Self::Read(_), Ok(_)) => {}
            (Self::Watched(pace), Ok(spent)) => pace.on_encoded(spent.as_ref(), size, fps, now),
            (Self::Watched(pace), Err(_)) => pace.on_encoded(None, size, fps, now),
        }
    }
}
