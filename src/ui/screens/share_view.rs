//! Somebody's shared screen, large, with the people beside it; in the call, or in a window of its own.

use eframe::egui::{
    Align2, CursorIcon, Id, Key, Modifiers, Pos2, Rect, Role, Sense, Ui, Vec2, ViewportBuilder,
    ViewportCommand, ViewportId, WidgetInfo, pos2, vec2,
};
use signaling_protocol::PeerId;

use super::header::name_of;
use super::share_banner::format_picture;
use super::stage::{self, Looks, Who};
use super::{Screen, call, share_hand, theme};
use crate::engine::frames::FrameKey;
use crate::engine::view::{CallPhase, PeerView};
use crate::pointer::Point;
use crate::ui::action::UiAction;
use crate::ui::fit;
use crate::ui::icons::Icon;
use crate::ui::marks::{self, Names};
use crate::ui::model::UiModel;
use crate::ui::theme::{size, space};
use crate::ui::video::Pictures;
use crate::ui::widgets::button::{IconButton, Kind, focus_ring};
use crate::ui::widgets::text;
use crate::ui::words::Word;
use crate::ui::zoom::{Looked, Scale, Zoom};

/// How fast the wheel goes closer, as a factor a point of scrolling.
const WHEEL: f32 = 1.004;

/// How somebody looks at shared screens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Viewing {
    /// How close.
    pub zoom: Zoom,
    /// In a window of its own.
    pub apart: bool,
    /// The hand holds the pen.
    pub pen: bool,
    /// Where the others were told that our hand is, and whether it draws.
    pub told: Option<(Option<Point>, bool)>,
}

/// Who shows a screen of which there is a picture.
pub fn sharer(model: &UiModel) -> Option<&PeerView> {
    let in_call = model.view.phase == CallPhase::InCall;
    model.view.peers.iter().find(|peer| in_call && peer.screen.is_some())
}

/// Draws the screen into `place` with the people beside it. Says whether there was one to draw there.
pub fn show(
    ui: &mut Ui,
    place: Rect,
    model: &mut UiModel,
    screen: &mut Screen,
    actions: &mut Vec<UiAction>,
) -> bool {
    let Some(peer) = sharer(model).cloned() else { return false };
    if model.viewing.apart {
        return false;
    }
    let (large, beside) =
        if model.full_screen { (place, None) } else { divide(place, model.view.peers.len() + 1) };
    if let Some((strip, shape)) = beside {
        let everybody = model.view.peers.iter().map(Who::Peer).chain([Who::Me]);
        for (who, rect) in everybody.zip(fit::grid(model.view.peers.len() + 1, strip, shape, space::S)) {
            let rect = fit::contain(shape, rect);
            stage::tile(ui, who, rect, (size::RADIUS + 2, Looks::Small), model, screen, actions);
        }
    }
    look(ui, large, &peer, model, screen, actions);
    true
}

/// The room for the screen, and for the people: at the right, or below where the window is narrow.
fn divide(place: Rect, people: usize) -> (Rect, Option<(Rect, Vec2)>) {
    let shape = vec2(16.0, 9.0);
    if place.width() > 820.0 {
        let strip = (place.width() * 0.18).clamp(150.0, 240.0);
        let right = place.with_min_x(place.right() - strip);
        let height = (strip * 9.0 / 16.0 + space::S) * people as f32;
        let right = Rect::from_center_size(right.center(), vec2(strip, height.min(place.height())));
        (place.with_max_x(right.left() - space::S), Some((right, shape)))
    } else {
        let height = (place.height() * 0.2).clamp(56.0, 110.0);
        let below = place.with_min_y(place.bottom() - height);
        (place.with_max_y(below.top() - space::S), Some((below, shape)))
    }
}

/// Shows it in a window of its own, while that is wanted and there is one.
pub fn show_window(ui: &Ui, model: &mut UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>) {
    let Some(peer) = sharer(model).cloned().filter(|_| model.viewing.apart) else { return };
    let builder = ViewportBuilder::default()
        .with_title(Word::TheirScreen.with(name_of(&peer)))
        .with_inner_size([1280.0, 760.0])
        .with_min_inner_size([320.0, 240.0]);
    ui.ctx().show_viewport_immediate(viewport(&peer.peer), builder, |ui, _class| {
        let place = ui.max_rect();
        ui.painter().rect_filled(place, 0.0, theme::tokens(ui.ctx()).stage);
        look(ui, place, &peer, model, screen, actions);
        let closed = ui.input(|input| input.viewport().close_requested());
        let key = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Escape));
        if closed || key {
            model.viewing.apart = false;
        }
    });
}

fn viewport(peer: &PeerId) -> ViewportId {
    ViewportId::from_hash_of(("screen of", peer.as_str()))
}

/// The screen itself, moved and scaled by wheel, pinch and drag, and what is written on it.
fn look(
    ui: &mut Ui,
    place: Rect,
    peer: &PeerView,
    model: &mut UiModel,
    screen: &mut Screen,
    actions: &mut Vec<UiAction>,
) {
    let allowed = !model.view.chat.pointing_off.contains(&peer.peer);
    let viewing = &mut model.viewing;
    let key = FrameKey::Screen(peer.peer.clone());
    let Some(shape) = Pictures::shape(screen.frames, &key) else { return };
    let looked = Looked { picture: shape, place, pixels_per_point: ui.ctx().pixels_per_point() };
    let response = ui.interact(place, Id::unique("shared screen"), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, Word::TheirScreen.with(name_of(peer))));
    let (scroll, pinch) = ui.input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
    let factor = pinch * if pinch == 1.0 { WHEEL.powf(scroll) } else { 1.0 };
    if let Some(at) = response.hover_pos().filter(|_| factor != 1.0) {
        viewing.zoom.zoom(&looked, factor, at);
    }
    viewing.pen &= allowed;
    let pen = allowed && share_hand::draws(ui, viewing);
    if share_hand::drag(&response, pen) {
        viewing.zoom.drag(&looked, response.drag_delta());
    }
    if response.double_clicked() && !pen {
        match viewing.apart {
            true => fill_window(ui),
            false => actions.push(UiAction::ToggleFullScreen),
        }
    }
    let part = viewing.zoom.part(&looked);
    let moves = viewing.zoom.can_move(&looked);
    screen.pictures.draw_part(ui.painter(), screen.frames, &key, part.rect, part.uv);
    marks::show(ui, &part, screen.marks, &peer.peer, model.view.my_id.as_ref(), Names::Shown);
    if allowed {
        share_hand::follow(ui, &response, &part, peer, viewing, actions);
    }
    match (pen, moves) {
        (true, _) => drop(response.on_hover_cursor(CursorIcon::Crosshair)),
        (false, true) => drop(response.on_hover_cursor(CursorIcon::Grab)),
        (false, false) => {}
    }
    let alone = model.full_screen || model.viewing.apart;
    if alone && !call::controls_wanted(ui, model) {
        return;
    }
    // The floating buttons of a full screen are at the bottom.
    let lift = if model.full_screen && !model.viewing.apart { size::BAR } else { 0.0 };
    // Not where the picture ends: what is pressed stays where it is, and often beside the picture.
    let corner = place.with_max_y(place.bottom() - lift);
    let tools = tools(ui, corner, peer, allowed, &mut model.viewing);
    caption(ui, corner.with_max_x(tools.left() - space::S), peer);
}

/// Lets the screen's own window fill the monitor, or no more.
fn fill_window(ui: &Ui) {
    let fills = ui.input(|input| input.viewport().fullscreen.unwrap_or(false));
    ui.ctx().send_viewport_cmd(ViewportCommand::Fullscreen(!fills));
}

/// Whose it is, and how it comes, in the lower left corner.
fn caption(ui: &Ui, place: Rect, peer: &PeerView) {
    let t = theme::tokens(ui.ctx());
    let picture = peer.screen.as_ref().map(format_picture).unwrap_or_default();
    let words = format!("{} \u{b7} {picture}", Word::TheirScreen.with(name_of(peer)));
    let room = (place.width() - 2.0 * space::M).max(40.0);
    let line = text::line(ui.painter(), &words, theme::font(size::SMALL), t.on_overlay, room - 20.0);
    let pill = Rect::from_min_size(
        pos2(place.left() + space::S, place.bottom() - space::S - 29.0),
        vec2(line.size().x + 20.0, 24.0),
    );
    ui.painter().rect_filled(pill, 12.0, t.overlay);
    text::place(ui.painter(), line, pill.center(), Align2::CENTER_CENTER);
    text::label(ui, pill, "how it comes", &words);
}

/// How close, where, and the pen, in the lower right corner; gives what that covers.
fn tools(ui: &Ui, place: Rect, peer: &PeerView, allowed: bool, viewing: &mut Viewing) -> Rect {
    let t = theme::tokens(ui.ctx());
    let choices = [(Scale::Fit, Word::Fit), (Scale::Fill, Word::Fill), (Scale::Actual, Word::Actual)];
    let (pen, each) = (40.0, vec2(46.0, 28.0));
    let row = vec2(pen + each.x * choices.len() as f32 + 44.0, 34.0);
    let row = Rect::from_min_size(place.max - row - Vec2::splat(space::S), row);
    ui.painter().rect_filled(row, 17.0, t.overlay);
    pen_button(ui, pos2(row.left() + 20.0, row.center().y), peer, allowed, viewing);
    for (index, (scale, word)) in choices.into_iter().enumerate() {
        let rect = Rect::from_min_size(row.min + vec2(pen + index as f32 * each.x, 3.0), each);
        let response = ui.interact(rect, Id::unique(word.text()).with("scale"), Sense::click());
        let on = viewing.zoom.scale == scale;
        response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, word.text()));
        if on {
            ui.painter().rect_filled(rect, 14.0, t.accent);
        }
        let color = if on { t.on_accent } else { t.on_overlay };
        let line = text::line(ui.painter(), word.text(), theme::strong(size::SMALL), color, each.x);
        text::place(ui.painter(), line, rect.center(), Align2::CENTER_CENTER);
        focus_ring(ui, rect, &response, 14);
        if response.clicked() {
            viewing.zoom.choose(scale);
        }
        response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(Word::ZoomHint.text());
    }
    let name = if viewing.apart { Word::BackIntoCall } else { Word::OwnWindow };
    let apart = IconButton::new(Icon::APP_WINDOW, name.text()).kind(Kind::Overlay).size(30.0, 30.0);
    if apart.show_at(ui, "own window", pos2(row.right() - 20.0, row.center().y)).clicked() {
        viewing.apart = !viewing.apart;
    }
    row
}

/// Takes the pen into the hand, or says that it must not be used.
fn pen_button(ui: &Ui, at: Pos2, peer: &PeerView, allowed: bool, viewing: &mut Viewing) {
    let off = Word::PointingIsOff.with(name_of(peer));
    let (name, tip) = match allowed {
        true => (Word::DrawOnScreen.text(), Word::DrawHint.text()),
        false => (off.as_str(), off.as_str()),
    };
    let (icon, kind) = match (allowed, viewing.pen) {
        (true, true) => (Icon::PENCIL, Kind::Primary),
        (true, false) => (Icon::PENCIL, Kind::Overlay),
        (false, _) => (Icon::PENCIL_SLASH, Kind::Overlay),
    };
    let button = IconButton::new(icon, name).tip(tip).kind(kind).size(30.0, 30.0);
    if button.show_at(ui, "pen", at).clicked() && allowed {
        viewing.pen = !viewing.pen;
    }
}

/// Says that a screen is on its way, or is in another window.
pub fn announce(ui: &Ui, place: Rect, model: &UiModel) {
    let coming = model.view.peers.iter().find(|peer| peer.media.screen && peer.screen.is_none());
    let words = match (coming, sharer(model)) {
        (_, Some(peer)) if model.viewing.apart => Word::ScreenInWindow.with(name_of(peer)),
        (Some(peer), None) if model.view.phase == CallPhase::InCall => Word::ScreenComing.with(name_of(peer)),
        _ => return,
    };
    let t = theme::tokens(ui.ctx());
    let line =
        text::line(ui.painter(), &words, theme::strong(size::SMALL), t.on_overlay, place.width() - 48.0);
    let at = place.center_bottom() - vec2(0.0, 26.0);
    let pill = Rect::from_center_size(at, line.size() + vec2(28.0, 12.0));
    ui.painter().rect_filled(pill, pill.height() / 2.0, t.overlay);
    text::place(ui.painter(), line, pill.center(), Align2::CENTER_CENTER);
    text::status(ui, pill, "a screen", &words);
}
