//! The pictures of a call: everybody large, ourselves small, or the other way round.

use eframe::egui::{
    Align2, Color32, CornerRadius, CursorIcon, EventFilter, Id, Key, Painter, Rect, Response, Role, Sense,
    Shape, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::Screen;
use super::header::name_of;
use super::start::camera_words;
use crate::engine::command::Command;
use crate::engine::frames::FrameKey;
use crate::engine::view::{CallPhase, PeerView};
use crate::rtc::{PeerPhase, Trouble};
use crate::ui::action::UiAction;
use crate::ui::fit::{self, Corner};
use crate::ui::format;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::model::UiModel;
use crate::ui::theme::{self, Tokens, size, space};
use crate::ui::video::{Fill, Mirror, Pictures};
use crate::ui::widgets::button::{TextButton, focus_ring};
use crate::ui::widgets::{avatar, text};
use crate::ui::words::Word;

/// Who is in a tile.
#[derive(Clone, Copy)]
pub(super) enum Who<'a> {
    Me,
    Peer(&'a PeerView),
}

/// Draws the pictures into `place`; the small one lies `gap` from its edges.
pub fn show(
    ui: &mut Ui,
    place: Rect,
    gap: f32,
    model: &UiModel,
    screen: &mut Screen,
    actions: &mut Vec<UiAction>,
) {
    let everybody: Vec<Who> = model.view.peers.iter().map(Who::Peer).collect();
    let in_call = model.view.phase == CallPhase::InCall && !everybody.is_empty();
    let (large, small) = match (in_call, model.swapped, everybody.as_slice()) {
        (false, _, _) => (Vec::new(), Who::Me),
        (true, true, [only]) => (vec![Who::Me], *only),
        (true, _, _) => (everybody, Who::Me),
    };
    let radius = if model.full_screen { 0 } else { size::RADIUS_CARD };
    let mut seen = place;
    for (who, rect) in large.iter().zip(fit::grid(large.len(), place, vec2(16.0, 9.0), space::M)) {
        seen = tile(ui, *who, rect, (radius, Looks::Large), model, screen, actions);
    }
    // The small picture lies on the large one, unless that leaves most of the stage free.
    let one = large.len() == 1;
    let room = if one && !model.full_screen && seen.width() > 0.7 * place.width() { seen } else { place };
    small_tile(ui, room, gap, small, in_call && one, model, screen, actions);
}

/// How much room a tile has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looks {
    Large,
    Small,
}

/// Draws one participant into `place`; gives what it covers.
pub(super) fn tile(
    ui: &Ui,
    who: Who,
    place: Rect,
    (radius, looks): (u8, Looks),
    model: &UiModel,
    screen: &mut Screen,
    actions: &mut Vec<UiAction>,
) -> Rect {
    let t = theme::tokens(ui.ctx());
    let (key, mirror, seen) = match who {
        Who::Me => (FrameKey::Local, Mirror::Yes, model.view.me.camera.is_on()),
        Who::Peer(peer) => {
            (FrameKey::Remote(peer.peer.clone()), Mirror::No, peer.has_picture && peer.media.camera)
        }
    };
    let shape = seen.then(|| Pictures::shape(screen.frames, &key)).flatten();
    let (rect, fill) = match (looks, shape) {
        (Looks::Large, Some(shape)) => (fit::contain(shape, place), Fill::Whole),
        (Looks::Large, None) => (place, Fill::Whole),
        (Looks::Small, _) => (place, Fill::Crop),
    };
    let painter = ui.painter();
    let drawn =
        shape.and_then(|_| screen.pictures.draw(painter, screen.frames, &key, rect, (fill, mirror, radius)));
    if drawn.is_none() {
        painter.rect_filled(
            rect,
            CornerRadius::same(radius),
            if looks == Looks::Small { t.button } else { t.stage },
        );
        absent(ui, who, rect, looks, model);
    }
    let (speaking, muted, name) = match who {
        Who::Me => (model.view.me.speaking, !model.view.me.microphone.is_on(), Word::You.text()),
        Who::Peer(peer) => (peer.speaking, !peer.media.microphone, name_of(peer)),
    };
    if let Who::Peer(peer) = who {
        connection(ui, peer, rect, looks, drawn.is_some(), actions);
    }
    if speaking {
        ring(painter, t, rect, radius);
    }
    pill(ui, who, rect, looks, name, muted, speaking);
    rect
}

fn ring(painter: &Painter, t: &Tokens, rect: Rect, radius: u8) {
    let stroke = Stroke::new(size::RING, t.good_on_overlay);
    painter.rect_stroke(rect, CornerRadius::same(radius), stroke, StrokeKind::Inside);
}

/// What stands where there is no picture.
fn absent(ui: &Ui, who: Who, rect: Rect, looks: Looks, model: &UiModel) {
    let t = theme::tokens(ui.ctx());
    let (name, words) = match who {
        Who::Me => (model.view.settings.name.as_str(), camera_words(&model.view.me.camera).to_owned()),
        Who::Peer(peer) if peer.phase == PeerPhase::Connected && !peer.media.camera => {
            (name_of(peer), Word::TheirCameraOff.with(name_of(peer)))
        }
        Who::Peer(peer) => (name_of(peer), String::new()),
    };
    let radius = (rect.height() * if looks == Looks::Small { 0.26 } else { 0.16 }).min(64.0);
    let lift = if looks == Looks::Large { radius * 0.5 } else { radius * 0.3 };
    let center = rect.center() - vec2(0.0, lift);
    avatar::paint(ui.painter(), t, center, radius, name);
    if looks == Looks::Large && !words.is_empty() {
        let at = center + vec2(0.0, radius + 22.0);
        let galley = text::line(ui.painter(), &words, theme::font(size::BODY), t.soft, rect.width() - 32.0);
        let rect = text::place(ui.painter(), galley, at, Align2::CENTER_CENTER);
        text::label(ui, rect, "no picture", &words);
    }
}

/// What is done about a lost path, and why it is lost.
fn reconnecting(peer: &PeerView) -> Word {
    match (peer.trouble, peer.away) {
        (Some(Trouble::NoNetwork), _) => Word::ReconnectingNoNetwork,
        (Some(Trouble::NetworkChanged), _) => Word::ReconnectingNetworkChanged,
        (Some(Trouble::Silent), true) => Word::ReconnectingAway,
        (Some(Trouble::Silent), false) => Word::ReconnectingSilent,
        (None, _) => Word::Reconnecting,
    }
}

/// Says in words how a connection stands that is not well.
fn connection(
    ui: &Ui,
    peer: &PeerView,
    rect: Rect,
    looks: Looks,
    has_picture: bool,
    actions: &mut Vec<UiAction>,
) {
    let t = theme::tokens(ui.ctx());
    if looks == Looks::Large {
        bars(ui, peer, rect);
    }
    let word = match peer.phase {
        PeerPhase::Connected => return,
        PeerPhase::Connecting => Word::Connecting,
        PeerPhase::Reconnecting => reconnecting(peer),
        PeerPhase::Failed => Word::ConnectionFailed,
    };
    if has_picture {
        ui.painter().rect_filled(rect, CornerRadius::same(size::RADIUS_CARD), t.dim);
    }
    let font = theme::strong(if looks == Looks::Small { size::SMALL } else { size::BODY });
    let galley = text::line(ui.painter(), word.text(), font, t.on_overlay, rect.width() - 24.0);
    let below = if has_picture { 0.0 } else { (rect.height() * 0.16).min(64.0) * 0.5 + 30.0 };
    let at = rect.center() + vec2(0.0, if looks == Looks::Small { 0.0 } else { below });
    let pill = Rect::from_center_size(at, galley.size() + vec2(30.0, 16.0));
    ui.painter().rect_filled(pill, pill.height() / 2.0, t.overlay);
    text::place(ui.painter(), galley, pill.center(), Align2::CENTER_CENTER);
    let id = format!("phase {}", peer.peer);
    // With the name, since the badge above says the same of the whole call.
    text::status(ui, pill, &id, &format!("{}: {}", name_of(peer), word.text()));
    if peer.phase == PeerPhase::Failed && looks == Looks::Large {
        let rect = Rect::from_center_size(at + vec2(0.0, 52.0), vec2(120.0, 38.0));
        let id = format!("again {}", peer.peer);
        if TextButton::new(Word::TryAgain.text()).show_in(ui, &id, rect).clicked() {
            actions.push(UiAction::Command(Command::RestartIce));
        }
    }
}

/// The four bars of a connection, in the corner of its picture.
fn bars(ui: &Ui, peer: &PeerView, rect: Rect) {
    let t = theme::tokens(ui.ctx());
    let center = rect.right_top() + vec2(-28.0, 28.0);
    let painter = ui.painter();
    painter.circle_filled(center, 15.0, t.overlay);
    let color = match peer.bars {
        0 | 1 => t.bad_on_overlay,
        2.. => t.on_overlay,
    };
    for step in 0..4_u8 {
        let height = 4.0 + 3.0 * f32::from(step);
        let left = center.x - 8.5 + 4.5 * f32::from(step);
        let bar = Rect::from_min_max(pos2(left, center.y + 6.5 - height), pos2(left + 3.2, center.y + 6.5));
        let color = if step < peer.bars { color } else { t.on_overlay.gamma_multiply(0.3) };
        painter.rect_filled(bar, 1.0, color);
    }
    let round_trip = peer.round_trip.map(|time| Word::RoundTrip.with(&format::milliseconds(time)));
    let words = Word::BarsTip.with(format::bars(peer.bars).text());
    let place = Rect::from_center_size(center, Vec2::splat(30.0));
    let tip = round_trip.into_iter().fold(words.clone(), |tip, line| format!("{tip}\n{line}"));
    let response = ui.interact(place, ui.scope_id().with(("bars", peer.peer.as_str())), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
    response.on_hover_text(tip);
}

/// The name, and whether the microphone is on.
fn pill(ui: &Ui, who: Who, rect: Rect, looks: Looks, name: &str, muted: bool, speaking: bool) {
    let t = theme::tokens(ui.ctx());
    let (height, font, inset) = match looks {
        Looks::Large => (30.0, theme::strong(size::BODY), 14.0),
        Looks::Small => (22.0, theme::strong(11.5), 7.0),
    };
    let icon_size = height * 0.53;
    let room = rect.width() - 2.0 * inset - icon_size - 28.0;
    let galley = text::line(ui.painter(), name, font, t.on_overlay, room);
    let pill_size = vec2(galley.size().x + icon_size + height * 0.9, height);
    let pill = Rect::from_min_size(rect.left_bottom() + vec2(inset, -inset - height), pill_size);
    ui.painter().rect_filled(pill, height / 2.0, t.overlay);
    let (icon, color) = match (muted, speaking) {
        (true, _) => (Icon::MICROPHONE_SLASH, t.bad_on_overlay),
        (false, true) => (Icon::MICROPHONE, t.good_on_overlay),
        (false, false) => (Icon::MICROPHONE, t.on_overlay),
    };
    let left = pill.left() + height * 0.34;
    let middle = pill.center().y;
    let font = icons::font(Weight::Fill, icon_size);
    ui.painter().text(pos2(left, middle), Align2::LEFT_CENTER, icon.char(), font, color);
    text::place(ui.painter(), galley, pos2(left + icon_size + 5.0, middle), Align2::LEFT_CENTER);
    let words = if muted { format!("{name}, {}", Word::TheyAreMuted.text()) } else { name.to_owned() };
    let id = match who {
        Who::Me => "name me".to_owned(),
        Who::Peer(peer) => format!("name {}", peer.peer),
    };
    text::label(ui, pill, &id, &words);
}

/// The small picture: a click swaps it with the large one, a drag moves it to another corner.
#[allow(clippy::too_many_arguments, reason = "one caller; a struct would name each once more")]
fn small_tile(
    ui: &Ui,
    stage: Rect,
    gap: f32,
    who: Who,
    can_swap: bool,
    model: &UiModel,
    screen: &mut Screen,
    actions: &mut Vec<UiAction>,
) {
    let width = (stage.width() * 0.2).clamp(132.0, 260.0);
    let tile_size = vec2(width, (width * 9.0 / 16.0).round());
    // In full screen the floating buttons are at the bottom of the stage.
    let room = if model.full_screen { stage.with_max_y(stage.bottom() - size::BAR) } else { stage };
    let home = model.corner.place(room, tile_size, gap);
    let id = Id::unique("small picture");
    let response = ui.interact(home, id, if can_swap { Sense::click_and_drag() } else { Sense::drag() });
    let moved = ui.ctx().data(|data| data.get_temp::<Vec2>(id)).unwrap_or_default();
    let offset = if response.dragged() { moved + response.drag_delta() } else { Vec2::ZERO };
    ui.ctx().data_mut(|data| data.insert_temp(id, offset));
    if response.drag_stopped() {
        actions.push(UiAction::MoveTile(Corner::nearest(room, home.translate(moved).center())));
    }
    response.widget_info(|| WidgetInfo::labeled(Role::Button, can_swap, Word::SwapPictures.text()));
    if can_swap && response.clicked() {
        actions.push(UiAction::SwapPictures);
    }
    walk(ui, &response, model.corner, actions);
    let rect = home.translate(offset);
    let shadow = ui.visuals().popup_shadow.as_shape(rect, CornerRadius::same(size::RADIUS + 2));
    ui.painter().add(Shape::from(shadow));
    let radius = size::RADIUS + 2;
    tile(ui, who, rect, (radius, Looks::Small), model, screen, actions);
    let line = Stroke::new(1.0, Color32::from_white_alpha(28));
    ui.painter().rect_stroke(rect, CornerRadius::same(radius), line, StrokeKind::Inside);
    focus_ring(ui, rect, &response, radius);
    let response =
        response.on_hover_cursor(if offset == Vec2::ZERO { CursorIcon::Grab } else { CursorIcon::Grabbing });
    if can_swap && offset == Vec2::ZERO {
        response.on_hover_text(Word::SwapHint.text());
    }
}

/// Arrow keys move the small picture while it has the focus.
fn walk(ui: &Ui, response: &Response, corner: Corner, actions: &mut Vec<UiAction>) {
    if !response.has_focus() {
        return;
    }
    let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
    for (key, direction) in [
        (Key::ArrowLeft, vec2(-1.0, 0.0)),
        (Key::ArrowRight, vec2(1.0, 0.0)),
        (Key::ArrowUp, vec2(0.0, -1.0)),
        (Key::ArrowDown, vec2(0.0, 1.0)),
    ] {
        if ui.input(|input| input.key_pressed(key)) {
            actions.push(UiAction::MoveTile(corner.towards(direction)));
        }
    }
}
