//! Buttons: round ones with an icon, and ones with text.

use eframe::egui::{
    self, Align2, Color32, CornerRadius, CursorIcon, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui,
    Vec2, WidgetInfo, pos2, vec2,
};

use crate::ui::icons::{self, Icon, Weight};
use crate::ui::theme::{self, Tokens, size, space};
use crate::ui::widgets::text;

/// What a button is for, which decides its colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of several things to do.
    Plain,
    /// The thing to do.
    Primary,
    /// Something is off, or ends.
    Danger,
    /// Nothing but its symbol until the pointer is there.
    Quiet,
    /// On top of a picture.
    Overlay,
}

impl Kind {
    /// At rest, under the pointer, and what is written on it.
    const fn colors(self, t: &Tokens) -> (Color32, Color32, Color32) {
        match self {
            Kind::Plain => (t.button, t.button_hover, t.text),
            Kind::Primary => (t.accent, t.accent_hover, t.on_accent),
            Kind::Danger => (t.danger, t.danger_hover, t.on_danger),
            Kind::Quiet => (Color32::TRANSPARENT, t.button, t.soft),
            Kind::Overlay => (t.overlay, Color32::BLACK, t.on_overlay),
        }
    }
}

/// A button with a symbol and no text.
#[derive(Clone, Copy, Debug)]
pub struct IconButton<'a> {
    icon: Icon,
    name: &'a str,
    tip: Option<&'a str>,
    kind: Kind,
    size: Vec2,
    radius: Option<u8>,
}

impl<'a> IconButton<'a> {
    /// A round button of the usual size; `name` is for screen readers and, unless there is another
    /// tip, for the tooltip.
    pub const fn new(icon: Icon, name: &'a str) -> Self {
        Self { icon, name, tip: None, kind: Kind::Plain, size: Vec2::splat(size::ROUND), radius: None }
    }

    /// What it is for.
    pub const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Another tooltip than the name.
    pub const fn tip(self, tip: &'a str) -> Self {
        Self { tip: Some(tip), ..self }
    }

    /// Width and height; wider than high makes a pill.
    pub const fn size(self, width: f32, height: f32) -> Self {
        Self { size: vec2(width, height), ..self }
    }

    /// A small round one.
    pub const fn small(self) -> Self {
        self.size(size::ROUND_SMALL, size::ROUND_SMALL)
    }

    /// As high as a field, beside which it stands, with the same corners.
    pub const fn beside_field(self) -> Self {
        Self { radius: Some(size::RADIUS), ..self.size(size::CONTROL, size::CONTROL) }
    }

    /// Where the layout puts it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let (rect, response) = ui.allocate_exact_size(self.size, Sense::click());
        self.paint(ui, rect, response)
    }

    /// In the middle of a point; `id` tells it from others.
    pub fn show_at(self, ui: &Ui, id: &str, center: egui::Pos2) -> Response {
        let rect = Rect::from_center_size(center, self.size);
        let response = ui.interact(rect, ui.scope_id().with(id), Sense::click());
        self.paint(ui, rect, response)
    }

    fn paint(self, ui: &Ui, rect: Rect, response: Response) -> Response {
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), self.name));
        let t = theme::tokens(ui.ctx());
        let (rest, hover, front) = self.kind.colors(t);
        let radius = self.radius.unwrap_or((rect.height() / 2.0) as u8);
        ground(ui, rect, &response, radius, (rest, hover));
        let front = if self.kind == Kind::Quiet && response.hovered() { t.text } else { front };
        let (weight, share) = match self.kind {
            Kind::Quiet => (Weight::Line, 0.58),
            Kind::Plain | Kind::Primary | Kind::Danger | Kind::Overlay => (Weight::Fill, 0.46),
        };
        let font = icons::font(weight, (rect.height() * share).round());
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, self.icon.char(), font, front);
        response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(self.tip.unwrap_or(self.name))
    }
}

/// A button with text, and a symbol before it if one is given.
#[derive(Clone, Copy, Debug)]
pub struct TextButton<'a> {
    text: &'a str,
    icon: Option<Icon>,
    kind: Kind,
    width: Option<f32>,
    height: f32,
}

impl<'a> TextButton<'a> {
    /// As wide as its text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, icon: None, kind: Kind::Plain, width: None, height: size::CONTROL }
    }

    /// What it is for.
    pub const fn kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// A symbol before the text.
    pub const fn icon(self, icon: Icon) -> Self {
        Self { icon: Some(icon), ..self }
    }

    /// As wide as this.
    pub const fn width(self, width: f32) -> Self {
        Self { width: Some(width), ..self }
    }

    /// As high as this.
    pub const fn height(self, height: f32) -> Self {
        Self { height, ..self }
    }

    /// How wide it will be.
    pub fn measure(self, ui: &Ui) -> f32 {
        let text =
            text::line(ui.painter(), self.text, theme::strong(size::BODY), Color32::WHITE, f32::INFINITY);
        let icon = if self.icon.is_some() { 18.0 + space::S } else { 0.0 };
        self.width.unwrap_or(text.size().x + icon + 2.0 * 16.0)
    }

    /// Where the layout puts it.
    pub fn show(self, ui: &mut Ui) -> Response {
        let wanted = vec2(self.measure(ui).min(ui.available_width()), self.height);
        let (rect, response) = ui.allocate_exact_size(wanted, Sense::click());
        self.paint(ui, rect, response)
    }

    /// In a rectangle; `id` tells it from others.
    pub fn show_in(self, ui: &Ui, id: &str, rect: Rect) -> Response {
        let response = ui.interact(rect, ui.scope_id().with(id), Sense::click());
        self.paint(ui, rect, response)
    }

    fn paint(self, ui: &Ui, rect: Rect, response: Response) -> Response {
        response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), self.text));
        let t = theme::tokens(ui.ctx());
        let (rest, hover, front) = self.kind.colors(t);
        ground(ui, rect, &response, size::RADIUS, (rest, hover));
        let front = if self.kind == Kind::Quiet && response.hovered() { t.text } else { front };
        let icon = if self.icon.is_some() { 18.0 + space::S } else { 0.0 };
        let room = rect.width() - icon - 2.0 * space::S;
        let galley = text::line(ui.painter(), self.text, theme::strong(size::BODY), front, room);
        let left = rect.center().x - (icon + galley.size().x) / 2.0;
        if let Some(symbol) = self.icon {
            let at = pos2(left, rect.center().y);
            let font = icons::font(Weight::Line, 18.0);
            ui.painter().text(at, Align2::LEFT_CENTER, symbol.char(), font, front);
        }
        text::place(ui.painter(), galley, pos2(left + icon, rect.center().y), Align2::LEFT_CENTER);
        response.on_hover_cursor(CursorIcon::PointingHand)
    }
}

/// The body of a button, with the ring of the focus around it.
fn ground(ui: &Ui, rect: Rect, response: &Response, radius: u8, (rest, hover): (Color32, Color32)) {
    let warm = ui.ctx().animate_bool_responsive(response.id, response.hovered() || response.has_focus());
    let pressed = if response.is_pointer_button_down_on() { 1.0 } else { 0.0 };
    let rect = rect.shrink(pressed);
    ui.painter().rect_filled(rect, CornerRadius::same(radius), rest.lerp_to_gamma(hover, warm));
    focus_ring(ui, rect, response, radius);
}

/// Shows where the keyboard is.
pub fn focus_ring(ui: &Ui, rect: Rect, response: &Response, radius: u8) {
    if response.has_focus() {
        let accent = theme::tokens(ui.ctx()).accent;
        let radius = CornerRadius::same(radius.saturating_add(3));
        ui.painter().rect_stroke(rect.expand(3.0), radius, Stroke::new(2.0, accent), StrokeKind::Middle);
    }
}
