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
    pub const LOCK: Icon = Icon('\u{e2fa}');
    pub const LOCK_OPEN: Icon = Icon('\u{e306}');
    pub const CARET_DOWN: Icon = Icon('\u{e136}');
    pub const CARET_RIGHT: Icon = Icon('\u{e13a}');
    pub const PLUS: Icon = Icon('\u{e3d4}');
    pub const WARNING: Icon = Icon('\u{e4e0}');
    pub const WARNING_CIRCLE: Icon = Icon('\u{e4e2}');
    pub const INFO: Icon = Icon('\u{e2ce}');
    pub const CLIPBOARD: Icon = Icon('\u{e198}');

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
