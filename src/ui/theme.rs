//! The look: the only colours, sizes and fonts of the window.
//!
//! One [`Tokens`] for dark, one for light; which one is used follows the system unless the
//! settings say otherwise.

use std::sync::Arc;

use eframe::egui::style::{Selection, WidgetVisuals, Widgets};
use eframe::egui::{
    self, Color32, Context, CornerRadius, FontData, FontDefinitions, FontFamily, FontId, Margin, Shadow,
    Stroke, TextStyle, ThemePreference, Vec2, Visuals,
};

use crate::config::Theme;

const fn hex(rgb: u32) -> Color32 {
    Color32::from_rgb((rgb >> 16) as u8, (rgb >> 8) as u8, rgb as u8)
}

const fn veil(alpha: u8) -> Color32 {
    Color32::from_black_alpha(alpha)
}

/// The colours of one theme, named by what they are for.
#[derive(Debug)]
pub struct Tokens {
    /// Behind everything.
    pub base: Color32,
    /// Cards on the base.
    pub card: Color32,
    /// Wells inside cards: fields, tracks.
    pub well: Color32,
    /// Buttons at rest.
    pub button: Color32,
    /// Buttons under the pointer.
    pub button_hover: Color32,
    /// Behind a picture that does not fill its place.
    pub stage: Color32,
    /// Hairlines around cards and fields.
    pub line: Color32,
    /// Text.
    pub text: Color32,
    /// Text of less weight. At least 4.5:1 on `base` and `card`.
    pub soft: Color32,
    /// The one accent.
    pub accent: Color32,
    /// The accent under the pointer.
    pub accent_hover: Color32,
    /// Text on the accent.
    pub on_accent: Color32,
    /// Good news, speaking.
    pub good: Color32,
    /// Behind good news.
    pub good_back: Color32,
    /// Something is worse than it should be.
    pub warn: Color32,
    /// Behind it.
    pub warn_back: Color32,
    /// Text in red.
    pub bad: Color32,
    /// Behind it.
    pub bad_back: Color32,
    /// Leaving, and what is muted.
    pub danger: Color32,
    /// The same under the pointer.
    pub danger_hover: Color32,
    /// Text on red.
    pub on_danger: Color32,
    /// Pills on top of pictures, in both themes dark.
    pub overlay: Color32,
    /// Text on them.
    pub on_overlay: Color32,
    /// Red on them.
    pub bad_on_overlay: Color32,
    /// Yellow on them.
    pub warn_on_overlay: Color32,
    /// Green on them.
    pub good_on_overlay: Color32,
    /// Over a picture that stands still.
    pub dim: Color32,
    /// The colour of shadows.
    pub shadow: Color32,
}

const DARK: Tokens = Tokens {
    base: hex(0x0c0d13),
    card: hex(0x14171f),
    well: hex(0x1b1f29),
    button: hex(0x262a35),
    button_hover: hex(0x323746),
    stage: hex(0x11141b),
    line: hex(0x272b36),
    text: hex(0xeef0f6),
    soft: hex(0x9aa1b2),
    accent: hex(0x6c8cff),
    accent_hover: hex(0x84a0ff),
    on_accent: hex(0x0b1020),
    good: hex(0x3fd291),
    good_back: hex(0x12301f),
    warn: hex(0xf2bd4b),
    warn_back: hex(0x33280f),
    bad: hex(0xff7683),
    bad_back: hex(0x361820),
    danger: hex(0xf04858),
    danger_hover: hex(0xff5f6e),
    on_danger: hex(0xffffff),
    overlay: veil(200),
    on_overlay: hex(0xf5f6fa),
    bad_on_overlay: hex(0xff7683),
    warn_on_overlay: hex(0xf2bd4b),
    good_on_overlay: hex(0x3fd291),
    dim: veil(150),
    shadow: veil(120),
};

const LIGHT: Tokens = Tokens {
    base: hex(0xf3f4f8),
    card: hex(0xffffff),
    well: hex(0xeff1f6),
    button: hex(0xe3e6ee),
    button_hover: hex(0xd5d9e5),
    stage: hex(0xe6e9f0),
    line: hex(0xd9dde7),
    text: hex(0x171a22),
    soft: hex(0x5a6172),
    accent: hex(0x3f63e6),
    accent_hover: hex(0x2f52d2),
    on_accent: hex(0xffffff),
    good: hex(0x0b7045),
    good_back: hex(0xd8f3e5),
    warn: hex(0x8a5a00),
    warn_back: hex(0xfcefcf),
    bad: hex(0xc42338),
    bad_back: hex(0xfde2e5),
    danger: hex(0xdc3146),
    danger_hover: hex(0xc4233a),
    on_danger: hex(0xffffff),
    overlay: veil(190),
    on_overlay: hex(0xf5f6fa),
    bad_on_overlay: hex(0xff7683),
    warn_on_overlay: hex(0xf2bd4b),
    good_on_overlay: hex(0x3fd291),
    dim: veil(140),
    shadow: veil(36),
};

/// The colours in use.
pub fn tokens(ctx: &Context) -> &'static Tokens {
    of(ctx.theme())
}

const fn of(theme: egui::Theme) -> &'static Tokens {
    match theme {
        egui::Theme::Dark => &DARK,
        egui::Theme::Light => &LIGHT,
    }
}

/// Distances in points.
pub mod space {
    /// Between an icon and its text.
    pub const XS: f32 = 4.0;
    /// Between things that belong together.
    pub const S: f32 = 8.0;
    /// Inside fields and pills.
    pub const M: f32 = 12.0;
    /// Around the window's content, inside cards.
    pub const L: f32 = 18.0;
    /// Between groups.
    pub const XL: f32 = 28.0;
}

/// Sizes in points.
pub mod size {
    /// Text of less weight.
    pub const SMALL: f32 = 12.5;
    /// Text.
    pub const BODY: f32 = 14.0;
    /// Names of groups.
    pub const HEADING: f32 = 16.0;
    /// One a screen.
    pub const TITLE: f32 = 24.0;
    /// The window's first row.
    pub const HEADER: f32 = 56.0;
    /// The row of round buttons.
    pub const BAR: f32 = 82.0;
    /// A round button.
    pub const ROUND: f32 = 46.0;
    /// A small round button.
    pub const ROUND_SMALL: f32 = 34.0;
    /// Buttons with text, and fields.
    pub const CONTROL: f32 = 40.0;
    /// Corners of buttons and fields.
    pub const RADIUS: u8 = 10;
    /// Corners of pictures and cards.
    pub const RADIUS_CARD: u8 = 16;
    /// How thick the ring around whoever is speaking is.
    pub const RING: f32 = 3.0;
}

/// How long the look of a control takes to change, in seconds.
pub const ANIMATION: f32 = 0.14;

/// The font of ordinary text at a size in points.
pub fn font(size: f32) -> FontId {
    FontId::new(size, FontFamily::Proportional)
}

/// The font of text with weight at a size in points.
pub fn strong(size: f32) -> FontId {
    FontId::new(size, FontFamily::Name("strong".into()))
}

/// The frame of what asks or is set on top of a screen.
pub fn dialog(ui: &egui::Ui) -> egui::Frame {
    egui::Frame::window(ui.style()).inner_margin(Margin::same(space::L as i8))
}

fn fonts() -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let fallback = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let files: [(&str, &'static [u8]); 4] = [
        ("inter-medium", include_bytes!("../../assets/fonts/Inter-Medium.otf")),
        ("inter-semibold", include_bytes!("../../assets/fonts/Inter-SemiBold.otf")),
        ("phosphor", include_bytes!("../../assets/icons/Phosphor.ttf")),
        ("phosphor-fill", include_bytes!("../../assets/icons/Phosphor-Fill.ttf")),
    ];
    for (name, bytes) in files {
        fonts.font_data.insert(name.to_owned(), Arc::new(FontData::from_static(bytes)));
    }
    let family = |first: &str| std::iter::once(first.to_owned()).chain(fallback.iter().cloned()).collect();
    fonts.families.insert(FontFamily::Proportional, family("inter-medium"));
    fonts.families.insert(FontFamily::Name("strong".into()), family("inter-semibold"));
    fonts.families.insert(FontFamily::Name("icons".into()), vec!["phosphor".to_owned()]);
    fonts.families.insert(
        FontFamily::Name("icons-fill".into()),
        vec!["phosphor-fill".to_owned(), "phosphor".to_owned()],
    );
    fonts
}

/// Gives the context fonts and both themes. Once, at the start.
pub fn install(ctx: &Context) {
    ctx.set_fonts(fonts());
    for theme in [egui::Theme::Dark, egui::Theme::Light] {
        ctx.style_mut_of(theme, |style| dress(style, of(theme)));
    }
}

/// What lies below everything in the window.
pub fn ground(theme: egui::Theme) -> Color32 {
    of(theme).base
}

/// Light, dark, or whatever the system prefers.
pub fn choose(ctx: &Context, theme: Theme) {
    ctx.set_theme(match theme {
        Theme::System => ThemePreference::System,
        Theme::Dark => ThemePreference::Dark,
        Theme::Light => ThemePreference::Light,
    });
}

fn dress(style: &mut egui::Style, t: &Tokens) {
    style.text_styles = [
        (TextStyle::Small, font(size::SMALL)),
        (TextStyle::Body, font(size::BODY)),
        (TextStyle::Button, font(size::BODY)),
        (TextStyle::Heading, strong(size::HEADING)),
        (TextStyle::Monospace, font(size::BODY)),
    ]
    .into();
    style.animation_time = ANIMATION;
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;
    let spacing = &mut style.spacing;
    spacing.item_spacing = Vec2::splat(space::S);
    spacing.button_padding = Vec2::new(space::M, space::S);
    spacing.interact_size.y = size::CONTROL;
    spacing.menu_margin = Margin::same(6);
    spacing.scroll = egui::style::ScrollStyle::thin();
    visuals(&mut style.visuals, t);
}

fn visuals(visuals: &mut Visuals, t: &Tokens) {
    let widget = |fill: Color32, text: Color32| WidgetVisuals {
        bg_fill: fill,
        weak_bg_fill: fill,
        bg_stroke: Stroke::NONE,
        corner_radius: CornerRadius::same(size::RADIUS),
        fg_stroke: Stroke::new(1.0, text),
        expansion: 0.0,
    };
    visuals.widgets = Widgets {
        noninteractive: WidgetVisuals { bg_stroke: Stroke::new(1.0, t.line), ..widget(t.card, t.text) },
        inactive: widget(t.button, t.text),
        hovered: widget(t.button_hover, t.text),
        active: WidgetVisuals { bg_stroke: Stroke::new(2.0, t.accent), ..widget(t.button_hover, t.text) },
        open: widget(t.button_hover, t.text),
    };
    visuals.selection =
        Selection { bg_fill: t.accent.gamma_multiply(0.35), stroke: Stroke::new(2.0, t.accent) };
    visuals.hyperlink_color = t.accent;
    visuals.weak_text_color = Some(t.soft);
    visuals.extreme_bg_color = t.well;
    visuals.text_edit_bg_color = Some(t.well);
    visuals.panel_fill = t.base;
    visuals.window_fill = t.card;
    visuals.window_stroke = Stroke::new(1.0, t.line);
    visuals.window_corner_radius = CornerRadius::same(size::RADIUS_CARD);
    visuals.menu_corner_radius = CornerRadius::same(size::RADIUS + 2);
    let shadow = Shadow { offset: [0, 12], blur: 40, spread: 0, color: t.shadow };
    visuals.window_shadow = shadow;
    visuals.popup_shadow = Shadow { offset: [0, 8], blur: 24, ..shadow };
    visuals.text_cursor.stroke = Stroke::new(2.0, t.accent);
    // A blinking cursor repaints the whole window twice a second for nothing.
    visuals.text_cursor.blink = false;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2 relative luminance.
    fn luminance(color: Color32) -> f64 {
        let linear = |byte: u8| {
            let value = f64::from(byte) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * linear(color.r()) + 0.7152 * linear(color.g()) + 0.0722 * linear(color.b())
    }

    fn contrast(a: Color32, b: Color32) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_can_be_read_on_what_lies_behind_it() {
        for (theme, t) in [("dark", &DARK), ("light", &LIGHT)] {
            for (what, front, back) in [
                ("text on base", t.text, t.base),
                ("text on button", t.text, t.button),
                ("soft on base", t.soft, t.base),
                ("soft on card", t.soft, t.card),
                ("soft on well", t.soft, t.well),
                ("on accent", t.on_accent, t.accent),
                ("good", t.good, t.good_back),
                ("warn", t.warn, t.warn_back),
                ("bad", t.bad, t.bad_back),
                ("bad on base", t.bad, t.base),
            ] {
                assert!(contrast(front, back) >= 4.5, "{theme}, {what}: {:.2}", contrast(front, back));
            }
            // Icons and large text need 3:1 (WCAG 1.4.11).
            assert!(contrast(t.on_danger, t.danger) >= 3.0, "{theme}, on danger");
        }
    }
}
