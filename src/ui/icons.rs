//! The glyphs of the two icon fonts in `assets/icons` (Phosphor, subset to these).

use eframe::egui::{FontFamily, FontId};

/// One symbol, by its code point in Phosphor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icon(char);

#[allow(missing_docs, reason = "the names in Phosphor")]
impl Icon {
    pub const MICROPHONE: Icon = Icon('\u{e326}');
    pub const MICROPHONE_SLASH: Icon = Icon('\u{e328}');
    pub const VIDEO_CAMERA: Icon = Icon('\u{e4da}');
    pub const VIDEO_CAMERA_SLASH: Icon = Icon('\u{e4dc}');
    pub const PHONE_DISCONNECT: Icon = Icon('\u{e3bc}');
    pub const COPY: Icon = Icon('\u{e1ca}');
    pub const CHECK: Icon = Icon('\u{e182}');
    pub const GEAR: Icon = Icon('\u{e270}');
    pub const CORNERS_OUT: Icon = Icon('\u{e1d0}');
    pub const CORNERS_IN: Icon = Icon('\u{e1ce}');
    pub const X: Icon = Icon('\u{e4f6}');
    pub const SPEAKER_HIGH: Icon = Icon('\u{e44a}');
    pub const SPEAKER_SLASH: Icon = Icon('\u{e45a}');
    pub const LOCK: Icon = Icon('\u{e2fa}');
    pub const LOCK_OPEN: Icon = Icon('\u{e306}');
    pub const CARET_DOWN: Icon = Icon('\u{e136}');
    pub const CARET_RIGHT: Icon = Icon('\u{e13a}');
    pub const PLUS: Icon = Icon('\u{e3d4}');
    pub const WARNING: Icon = Icon('\u{e4e0}');
    pub const WARNING_CIRCLE: Icon = Icon('\u{e4e2}');
    pub const INFO: Icon = Icon('\u{e2ce}');
    pub const CLIPBOARD: Icon = Icon('\u{e198}');
    pub const PULSE: Icon = Icon('\u{e000}');
    pub const ARROWS_CLOCKWISE: Icon = Icon('\u{e094}');
    pub const PAUSE: Icon = Icon('\u{e39e}');
    pub const PLAY: Icon = Icon('\u{e3d0}');
    pub const MAGNIFYING_GLASS: Icon = Icon('\u{e30c}');
    pub const DOWNLOAD: Icon = Icon('\u{e20c}');
    pub const EXPORT: Icon = Icon('\u{eaf0}');
    pub const APP_WINDOW: Icon = Icon('\u{e5da}');
    pub const SIDEBAR: Icon = Icon('\u{ec24}');
    pub const CARET_UP: Icon = Icon('\u{e13c}');
    pub const ARROW_UP: Icon = Icon('\u{e08e}');
    pub const ARROW_DOWN: Icon = Icon('\u{e03e}');
    pub const LAPTOP: Icon = Icon('\u{e586}');
    pub const MONITOR_ARROW_UP: Icon = Icon('\u{e58a}');
    pub const PENCIL: Icon = Icon('\u{e3b4}');
    pub const PENCIL_SLASH: Icon = Icon('\u{ecf6}');
    pub const USER: Icon = Icon('\u{e4c2}');
    pub const GLOBE: Icon = Icon('\u{e288}');
    pub const SERVER: Icon = Icon('\u{e2a0}');
    pub const STETHOSCOPE: Icon = Icon('\u{e7ea}');
    pub const CHECK_CIRCLE: Icon = Icon('\u{e184}');
    pub const X_CIRCLE: Icon = Icon('\u{e4f8}');

    pub const CHAT: Icon = Icon('\u{e16e}');
    pub const THUMBS_UP: Icon = Icon('\u{e48e}');
    pub const HEART: Icon = Icon('\u{e2a8}');
    pub const SMILEY: Icon = Icon('\u{e436}');
    pub const SPARKLE: Icon = Icon('\u{e6a2}');
    pub const CONFETTI: Icon = Icon('\u{e81a}');
    pub const HANDS_CLAPPING: Icon = Icon('\u{e6a0}');
    pub const HAND_PALM: Icon = Icon('\u{e57e}');
    pub const PAPERCLIP: Icon = Icon('\u{e39a}');
    pub const PAPER_PLANE: Icon = Icon('\u{e396}');

    /// The character.
    pub const fn char(self) -> char {
        self.0
    }
}

/// Line or filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// For secondary things.
    Line,
    /// For controls.
    Fill,
}

/// The font of an icon at a size in points.
pub fn font(weight: Weight, size: f32) -> FontId {
    let family = match weight {
        Weight::Line => "icons",
        Weight::Fill => "icons-fill",
    };
    FontId::new(size, FontFamily::Name(family.into()))
}
