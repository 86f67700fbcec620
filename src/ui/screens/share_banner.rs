//! Whoever shows a screen always sees that: what it is, who sees it, and one click that ends it.

use eframe::egui::{
    Align2, CornerRadius, Id, LayerId, Order, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui, UiBuilder,
    Vec2, WidgetInfo, pos2, vec2,
};

use super::Screen;
use super::header::name_of;
use crate::engine::command::{Command, PointerCommand, ShareMode, Switch};
use crate::engine::frames::FrameKey;
use crate::engine::view::{DeviceState, ShareView};
use crate::ui::action::UiAction;
use crate::ui::fit;
use crate::ui::icons::Icon;
use crate::ui::marks::{self, Names};
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::video::{Fill, Mirror, Pictures};
use crate::ui::widgets::button::{IconButton, Kind, TextButton, focus_ring};
use crate::ui::widgets::text;
use crate::ui::words::Word;
use crate::ui::zoom::Part;

/// How high it is.
const HEIGHT: f32 = 56.0;

/// The room for a large picture of what is shown.
const PREVIEW: Vec2 = vec2(480.0, 300.0);

/// What is left of `stage` below it, if it is there.
pub fn below(stage: Rect, model: &UiModel) -> Rect {
    if model.view.me.share.is_some() { stage.with_min_y(stage.top() + HEIGHT + space::S) } else { stage }
}

/// Draws it at the top of `stage` while a screen is shown.
pub fn show(ui: &Ui, stage: Rect, model: &UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>) {
    let Some(share) = &model.view.me.share else { return };
    let t = theme::tokens(ui.ctx());
    let card = Rect::from_min_size(stage.min, vec2(stage.width(), HEIGHT));
    let radius = CornerRadius::same(size::RADIUS);
    ui.painter().rect_filled(card, radius, t.card);
    // The colour of what is being sent right now.
    ui.painter().rect_stroke(card, radius, Stroke::new(2.0, t.danger), StrokeKind::Inside);
    let thumbnail = Rect::from_min_size(card.min + vec2(8.0, 8.0), vec2(70.0, HEIGHT - 16.0));
    ui.painter().rect_filled(thumbnail, 4.0, t.stage);
    let over = ui.interact(thumbnail, Id::unique("share preview"), Sense::hover());
    over.widget_info(|| WidgetInfo::labeled(Role::Image, true, Word::SharePreview.text()));
    // Where marks cannot be drawn on the screen itself they must be seen here.
    if over.hovered() || (!share.overlaid && points_at_us(model, screen)) {
        preview(ui, card, model, screen);
    } else {
        draw_picture(ui, thumbnail, model, screen, Names::Hidden);
    }
    let stop = TextButton::new(Word::StopSharing.text()).kind(Kind::Danger).height(36.0);
    let stop_width = stop.measure(ui);
    let middle = card.center().y;
    let at = |right: f32, width: f32, height: f32| {
        Rect::from_center_size(pos2(right - width / 2.0, middle), vec2(width, height))
    };
    let stop_place = at(card.right() - 10.0, stop_width, 36.0);
    if stop.show_in(ui, "stop sharing", stop_place).clicked() {
        actions.push(UiAction::Command(Command::StopShare));
    }
    let wide = card.width() > 700.0;
    let modes = at(stop_place.left() - space::M, if wide { 210.0 } else { 0.0 }, 32.0);
    if wide {
        choose_mode(ui, modes, share.mode, |mode| actions.push(UiAction::Command(Command::ShareAs(mode))));
    }
    let pointing = pos2(modes.left() - space::M - 17.0, middle);
    pointing_button(ui, pointing, model, actions);
    let sound = pointing - vec2(34.0 + space::S, 0.0);
    sound_button(ui, sound, share, actions);
    let left = thumbnail.right() + space::M;
    let room = sound.x - 17.0 - space::M - left;
    let said = Rect::from_min_max(pos2(left, card.top()), pos2(left + room, card.bottom()));
    what_is_shared(ui, said, share, model);
}

/// What is shared and to whom; all of it when the mouse rests on what had to be cut.
fn what_is_shared(ui: &Ui, place: Rect, share: &ShareView, model: &UiModel) {
    let t = theme::tokens(ui.ctx());
    let line = |words: &str, font, color, width| text::line(ui.painter(), words, font, color, width);
    let first = |words: &str, width| line(words, theme::strong(size::BODY), t.text, width);
    let fits = |name: &str| first(&what(share, name), f32::INFINITY).size().x <= place.width();
    let short = text::shortened(&share.name, fits);
    let lines = [
        first(&what(share, &short), place.width()),
        line(&to_whom(share, model), theme::font(size::SMALL), t.soft, place.width()),
    ];
    let cut = short != share.name || lines.iter().any(|line| line.elided);
    let heights = if lines[1].is_empty() { [0.0, 0.0] } else { [-9.0, 10.0] };
    for (line, below) in lines.into_iter().zip(heights) {
        text::place(ui.painter(), line, place.left_center() + vec2(0.0, below), Align2::LEFT_CENTER);
    }
    let all = format!("{}. {}", what(share, &share.name), to_whom(share, model));
    let response = ui.interact(place, ui.scope_id().with("what is shared"), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &all));
    text::announce(ui, response.id);
    if cut {
        response.on_hover_text(all);
    }
}

/// Whether others hear what this computer plays.
fn sound_button(ui: &Ui, at: Pos2, share: &ShareView, actions: &mut Vec<UiAction>) {
    let (icon, name, switch) = match share.sound {
        DeviceState::On { .. } | DeviceState::Opening => {
            (Icon::SPEAKER_HIGH, Word::StopShareSound, Switch::Off)
        }
        _ => (Icon::SPEAKER_SLASH, Word::ShareSound, Switch::On),
    };
    if IconButton::new(icon, name.text()).small().show_at(ui, "share sound", at).clicked() {
        actions.push(UiAction::Command(Command::ShareSound(switch)));
    }
}

/// Whether others may point at it.
fn pointing_button(ui: &Ui, at: Pos2, model: &UiModel, actions: &mut Vec<UiAction>) {
    let allowed = model.view.pointing_allowed;
    let (name, kind, switch) = match allowed {
        true => (Word::StopPointing, Kind::Plain, Switch::Off),
        false => (Word::AllowPointing, Kind::Danger, Switch::On),
    };
    let icon = if allowed { Icon::PENCIL } else { Icon::PENCIL_SLASH };
    if IconButton::new(icon, name.text()).kind(kind).small().show_at(ui, "pointing", at).clicked() {
        actions.push(UiAction::Command(Command::Pointer(PointerCommand::Allow(switch))));
    }
}

fn points_at_us(model: &UiModel, screen: &Screen) -> bool {
    screen.marks.iter().any(|marks| Some(&marks.screen) == model.view.my_id.as_ref())
}

/// What others see, with what they point at.
fn draw_picture(ui: &Ui, place: Rect, model: &UiModel, screen: &mut Screen, names: Names) {
    let looks = (Fill::Whole, Mirror::No, 4);
    let key = FrameKey::OwnScreen;
    let Some(rect) = screen.pictures.draw(ui.painter(), screen.frames, &key, place, looks) else { return };
    if let Some(me) = &model.view.my_id {
        marks::show(ui, &Part { rect, uv: fit::WHOLE }, screen.marks, me, Some(me), names);
    }
}

/// The picture large enough to see what others point at, below the banner.
fn preview(ui: &Ui, card: Rect, model: &UiModel, screen: &mut Screen) {
    let Some(shape) = Pictures::shape(screen.frames, &FrameKey::OwnScreen) else { return };
    let room = Rect::from_min_size(card.left_bottom() + vec2(0.0, space::S), PREVIEW);
    let t = theme::tokens(ui.ctx());
    let rect = Rect::from_min_size(room.min, fit::contain(shape, room).size() + Vec2::splat(12.0));
    let layer = LayerId::new(Order::Tooltip, Id::unique("large share preview"));
    let ui = Ui::new(ui.ctx().clone(), layer.id, UiBuilder::new().layer_id(layer).max_rect(rect));
    ui.painter().add(ui.visuals().popup_shadow.as_shape(rect, CornerRadius::same(size::RADIUS)));
    ui.painter().rect_filled(rect, f32::from(size::RADIUS), t.card);
    draw_picture(&ui, rect.shrink(6.0), model, screen, Names::Shown);
}

/// What is shown, by this name.
fn what(share: &ShareView, name: &str) -> String {
    if share.name.is_empty() {
        return Word::OpeningShare.text().to_owned();
    }
    let sound = match share.sound.is_on() {
        true => format!(" \u{b7} {}", Word::WithSound.text()),
        false => String::new(),
    };
    format!("{}{sound}", Word::YouShare.with(name))
}

/// To whom; first what is wrong about it.
fn to_whom(share: &ShareView, model: &UiModel) -> String {
    if share.name.is_empty() {
        return String::new();
    }
    let names = |peers: &[signaling_protocol::PeerId]| {
        let known = model.view.peers.iter().filter(|peer| peers.contains(&peer.peer));
        known.map(name_of).collect::<Vec<_>>().join(", ")
    };
    let (seen, unseen) = (names(&share.seen_by), names(&share.unseen_by));
    let reach = if !unseen.is_empty() {
        Word::UnseenBy.with(&unseen)
    } else if share.minimised {
        Word::ShareMinimised.text().to_owned()
    } else if seen.is_empty() {
        Word::NotSeenYet.text().to_owned()
    } else {
        let picture = share.picture.map(|picture| format!(" \u{b7} {}", format_picture(&picture)));
        format!("{}{}", Word::SeenBy.with(&seen), picture.unwrap_or_default())
    };
    let unheard = names(&share.unheard_by);
    let unheard = (share.sound.is_on() && !unheard.is_empty()).then(|| Word::UnheardBy.with(&unheard));
    let off = (!model.view.pointing_allowed).then(|| Word::PointingOffHere.text().to_owned());
    unheard.into_iter().chain([reach]).chain(off).collect::<Vec<_>>().join(" \u{b7} ")
}

/// `VP9 · 1920x1080 · 15 fps`.
pub fn format_picture(picture: &crate::engine::view::ScreenPicture) -> String {
    let size = format!("{}\u{d7}{}", picture.resolution.width, picture.resolution.height);
    format!("{} \u{b7} {size} \u{b7} {:.0} fps", picture.codec, picture.fps)
}

/// Two choices side by side.
pub fn choose_mode(ui: &Ui, place: Rect, chosen: ShareMode, mut choose: impl FnMut(ShareMode)) {
    let t = theme::tokens(ui.ctx());
    ui.painter().rect_filled(place, f32::from(size::RADIUS), t.well);
    let choices = [
        (ShareMode::Text, Word::SharpText, Word::SharpTextHint),
        (ShareMode::Motion, Word::SmoothMotion, Word::SmoothMotionHint),
    ];
    let each = vec2((place.width() - 6.0) / 2.0, place.height() - 6.0);
    for (index, (mode, word, hint)) in choices.into_iter().enumerate() {
        let rect = Rect::from_min_size(place.min + vec2(3.0 + index as f32 * each.x, 3.0), each);
        let response =
            ui.interact(rect, Id::unique("share mode").with((ui.scope_id(), word.text())), Sense::click());
        let on = chosen == mode;
        response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, word.text()));
        if on {
            ui.painter().rect_filled(rect, 7.0, t.button);
        }
        let color = if on || response.hovered() { t.text } else { t.soft };
        let line = text::line(ui.painter(), word.text(), theme::strong(size::SMALL), color, each.x - 8.0);
        text::place(ui.painter(), line, rect.center(), Align2::CENTER_CENTER);
        focus_ring(ui, rect, &response, 7);
        if response.clicked() && !on {
            choose(mode);
        }
        response.on_hover_text(hint.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::view::ScreenPicture;
    use crate::media::encoded::VideoCodec;
    use crate::units::Resolution;

    #[test]
    fn whoever_shares_reads_what_it_is_encoded_with() {
        let picture = |codec| ScreenPicture { codec, resolution: Resolution::new(1920, 1080), fps: 15.0 };
        assert_eq!(format_picture(&picture(VideoCodec::Vp9)), "VP9 \u{b7} 1920\u{d7}1080 \u{b7} 15 fps");
        assert_eq!(format_picture(&picture(VideoCodec::Vp8)), "VP8 \u{b7} 1920\u{d7}1080 \u{b7} 15 fps");
    }
}
