//! What is to be shown of our screen: monitors and windows as they look now, or an area that one drags.

use eframe::egui::{
    Align2, Checkbox, Color32, CursorIcon, Id, Modal, Rect, RichText, Role, ScrollArea, Sense, Stroke,
    StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2,
};

use super::Screen;
use super::share_banner::choose_mode;
use crate::engine::command::{ScreenTarget, ShareMode, Switch};
use crate::engine::frames::FrameKey;
use crate::engine::view::{Rect as Area, ScreenItem, Screens, ShareView};
use crate::ui::action::UiAction;
use crate::ui::fit;
use crate::ui::icons::Icon;
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::video::{Fill, Mirror};
use crate::ui::widgets::button::{IconButton, Kind, TextButton, focus_ring};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// Smallest area worth showing, in pixels of the desktop each way.
const LEAST: f32 = 32.0;

/// What the person is choosing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Picker {
    /// To be read, or to be watched.
    pub mode: ShareMode,
    /// With the sound of this computer.
    pub sound: bool,
    /// An area of the monitor at this place of the list is being dragged.
    area_of: Option<usize>,
    /// From where to where, as shares of the monitor.
    dragged: Option<(Vec2, Vec2)>,
}

impl Picker {
    /// Nothing chosen yet; as what is shared already, if something is.
    pub fn like(shared: Option<&ShareView>) -> Self {
        let mode = shared.map_or_else(Default::default, |share| share.mode);
        Self { mode, sound: shared.is_some_and(|share| share.sound.is_on()), ..Self::default() }
    }

    fn share(&self, target: ScreenTarget) -> UiAction {
        let sound = Switch::from(self.sound);
        UiAction::Share { target, mode: self.mode, sound }
    }
}

/// Draws it while it is open.
pub fn show(ui: &Ui, model: &mut UiModel, screen: &mut Screen, actions: &mut Vec<UiAction>) {
    let Some(mut picker) = model.share_picker.clone() else { return };
    let window = ui.ctx().content_rect();
    let modal = Modal::new(Id::unique("share picker")).frame(theme::dialog(ui)).show(ui.ctx(), |ui| {
        ui.set_width((window.width() - 80.0).min(760.0));
        ui.horizontal(|ui| {
            ui.label(RichText::new(Word::SharePicker.text()).font(theme::strong(size::TITLE - 4.0)));
            ui.add_space(ui.available_width() - size::ROUND_SMALL - space::S);
            let close = IconButton::new(Icon::X, Word::ClosePicker.text()).kind(Kind::Quiet).small();
            if close.show(ui).clicked() {
                actions.push(UiAction::ToggleShare);
            }
        });
        ui.add_space(space::S);
        let (row, _) = ui.allocate_exact_size(vec2(ui.available_width().min(320.0), 36.0), Sense::hover());
        choose_mode(ui, row, picker.mode, |mode| picker.mode = mode);
        choose_sound(ui, &mut picker, model.view.no_screen_sound.as_deref());
        ui.add_space(space::M);
        let height = window.height() - 240.0;
        match &model.view.screens {
            Screens::Closed | Screens::Looking => words(ui, Word::LookingForScreens.text()),
            Screens::Failed { reason } => words(ui, reason),
            Screens::Portal { remembers } => ask_the_desktop(ui, *remembers, &picker, actions),
            Screens::Listed(items) if items.is_empty() => words(ui, Word::NoScreens.text()),
            Screens::Listed(items) => {
                let area = picker.area_of.and_then(|index| Some((index, items.get(index)?)));
                match area {
                    Some((index, item)) => drag_area(ui, index, item, height, &mut picker, screen, actions),
                    None => {
                        picker.area_of = None;
                        ScrollArea::vertical()
                            .auto_shrink([false, true])
                            .max_height(height)
                            .min_scrolled_height(height)
                            .show(ui, |ui| {
                                list(ui, items, &mut picker, screen, actions);
                            });
                    }
                }
            }
        }
    });
    if modal.should_close() {
        actions.push(UiAction::ToggleShare);
    }
    model.share_picker = Some(picker);
}

/// Where only the desktop's own dialog can choose.
fn ask_the_desktop(ui: &mut Ui, remembers: bool, picker: &Picker, actions: &mut Vec<UiAction>) {
    words(ui, if remembers { Word::PortalRemembers } else { Word::PortalHint }.text());
    let mut offer = |ui: &mut Ui, word: Word, kind: Kind, again: bool| {
        if TextButton::new(word.text()).kind(kind).show(ui).clicked() {
            actions.push(picker.share(ScreenTarget::Portal { again }));
        }
    };
    ui.horizontal(|ui| {
        if remembers {
            offer(ui, Word::PortalAgain, Kind::Primary, true);
            offer(ui, Word::PortalOther, Kind::Plain, false);
        } else {
            offer(ui, Word::PortalChoose, Kind::Primary, false);
        }
    });
}

/// Whether others hear what this computer plays; where that cannot be, why.
fn choose_sound(ui: &mut Ui, picker: &mut Picker, impossible: Option<&str>) {
    ui.add_space(space::S);
    picker.sound &= impossible.is_none();
    let tick = Checkbox::new(&mut picker.sound, Word::ShareSound.text());
    ui.add_enabled(impossible.is_none(), tick).on_hover_text(Word::ShareSoundHint.text());
    if let Some(why) = impossible {
        let soft = theme::tokens(ui.ctx()).soft;
        ui.label(RichText::new(why).size(size::SMALL).color(soft));
    }
}

fn words(ui: &mut Ui, words: &str) {
    let soft = theme::tokens(ui.ctx()).soft;
    ui.add_space(space::L);
    ui.label(RichText::new(words).size(size::BODY).color(soft));
    ui.add_space(space::L);
}

/// Cards in rows.
fn list(
    ui: &mut Ui,
    items: &[ScreenItem],
    picker: &mut Picker,
    screen: &mut Screen,
    actions: &mut Vec<UiAction>,
) {
    let width = ui.available_width() - space::S;
    let columns = (width / 220.0).floor().clamp(1.0, 4.0);
    let card = (width - (columns - 1.0) * space::M) / columns;
    let card = vec2(card, card * 9.0 / 16.0 + 34.0);
    let monitors = items.iter().filter(|item| matches!(item.target, ScreenTarget::Monitor(_))).count();
    for (from, to, head) in [(0, monitors, Word::Monitors), (monitors, items.len(), Word::Windows)] {
        if from == to {
            continue;
        }
        ui.label(RichText::new(head.text()).font(theme::strong(size::BODY)));
        for row in (from..to).collect::<Vec<_>>().chunks(columns as usize) {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = space::M;
                for index in row {
                    if thumbnail(ui, *index, &items[*index], card, screen) {
                        actions.push(picker.share(items[*index].target.clone()));
                    }
                }
            });
            ui.add_space(space::S);
        }
        if head == Word::Monitors {
            let soft = theme::tokens(ui.ctx()).soft;
            ui.label(RichText::new(Word::OwnWindowsSeen.text()).size(size::SMALL).color(soft));
            ui.add_space(space::S);
            ui.horizontal_wrapped(|ui| {
                for (index, item) in items[..monitors].iter().enumerate() {
                    let name = Word::ShareArea.with(&item.name);
                    if item.place.is_some() && TextButton::new(&name).show(ui).clicked() {
                        (picker.area_of, picker.dragged) = (Some(index), None);
                    }
                }
            });
            ui.add_space(space::M);
        }
    }
}

fn thumbnail(ui: &mut Ui, index: usize, item: &ScreenItem, size_of_card: Vec2, screen: &mut Screen) -> bool {
    let t = theme::tokens(ui.ctx());
    let (card, _) = ui.allocate_exact_size(size_of_card, Sense::hover());
    let response = ui.interact(card, ui.scope_id().with(("listed", index)), Sense::click());
    let name = format!("{}, {}", Word::ShareItem.with(&item.name), item.resolution);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &name));
    let ground = if response.hovered() { t.button_hover } else { t.button };
    ui.painter().rect_filled(card, f32::from(size::RADIUS), ground);
    let picture = card.shrink(6.0).with_max_y(card.bottom() - 30.0);
    ui.painter().rect_filled(picture, 5.0, t.stage);
    let key = FrameKey::Listed(index);
    let drawn =
        screen.pictures.draw(ui.painter(), screen.frames, &key, picture, (Fill::Whole, Mirror::No, 5));
    if drawn.is_none() {
        let line = text::line(
            ui.painter(),
            Word::NoThumbnail.text(),
            theme::font(size::SMALL),
            t.soft,
            picture.width(),
        );
        text::place(ui.painter(), line, picture.center(), Align2::CENTER_CENTER);
    }
    let line = text::line(ui.painter(), &item.name, theme::strong(size::SMALL), t.text, card.width() - 16.0);
    text::place(ui.painter(), line, pos2(card.left() + 8.0, card.bottom() - 16.0), Align2::LEFT_CENTER);
    focus_ring(ui, card, &response, size::RADIUS);
    let clicked = response.clicked();
    response
        .on_hover_cursor(CursorIcon::PointingHand)
        .on_hover_text(format!("{}\n{}", item.name, item.resolution));
    clicked
}

/// The monitor as large as there is room, on which one drags.
fn drag_area(
    ui: &mut Ui,
    index: usize,
    item: &ScreenItem,
    height: f32,
    picker: &mut Picker,
    screen: &mut Screen,
    actions: &mut Vec<UiAction>,
) {
    let t = theme::tokens(ui.ctx());
    ui.label(RichText::new(Word::DragArea.text()).size(size::BODY).color(t.soft));
    let room = vec2(ui.available_width(), (height - 90.0).max(120.0));
    let (place, _) = ui.allocate_exact_size(room, Sense::hover());
    let shape = vec2(item.resolution.width as f32, item.resolution.height as f32);
    let monitor = fit::contain(shape, place);
    ui.painter().rect_filled(monitor, 0.0, t.stage);
    let key = FrameKey::Listed(index);
    screen.pictures.draw(ui.painter(), screen.frames, &key, monitor, (Fill::Whole, Mirror::No, 0));
    let response = ui.interact(monitor, ui.scope_id().with("area"), Sense::drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Pane, true, Word::DragArea.text()));
    let share =
        |at: eframe::egui::Pos2| ((at - monitor.min) / monitor.size()).clamp(Vec2::ZERO, Vec2::splat(1.0));
    if let Some(at) = response.interact_pointer_pos() {
        if response.drag_started() {
            picker.dragged = Some((share(at), share(at)));
        } else if let Some((_, to)) = &mut picker.dragged {
            *to = share(at);
        }
    }
    response.on_hover_cursor(CursorIcon::Crosshair);
    let area = picker.dragged.map(|(from, to)| (from.min(to), from.max(to)));
    if let Some((from, to)) = area {
        let inside =
            Rect::from_min_max(monitor.min + from * monitor.size(), monitor.min + to * monitor.size());
        shade_around(ui, monitor, inside);
        ui.painter().rect_stroke(inside, 0.0, Stroke::new(2.0, t.accent), StrokeKind::Outside);
    }
    let chosen = area.and_then(|area| in_pixels(item, area));
    ui.add_space(space::S);
    ui.horizontal(|ui| {
        if TextButton::new(Word::BackToList.text()).show(ui).clicked() {
            (picker.area_of, picker.dragged) = (None, None);
        }
        if let Some(area) = chosen {
            let words = format!("{}, {}\u{d7}{}", Word::ShareThisArea.text(), area.width, area.height);
            if TextButton::new(&words).kind(Kind::Primary).show(ui).clicked() {
                actions.push(picker.share(ScreenTarget::Region(area)));
            }
        }
    });
}

fn shade_around(ui: &Ui, monitor: Rect, inside: Rect) {
    let shade = Color32::from_black_alpha(120);
    let sides = [
        monitor.with_max_y(inside.top()),
        monitor.with_min_y(inside.bottom()),
        Rect::from_min_max(pos2(monitor.left(), inside.top()), pos2(inside.left(), inside.bottom())),
        Rect::from_min_max(pos2(inside.right(), inside.top()), pos2(monitor.right(), inside.bottom())),
    ];
    for side in sides {
        ui.painter().rect_filled(side, 0.0, shade);
    }
}

/// What was dragged, on the desktop; `None` while it is too small.
fn in_pixels(item: &ScreenItem, (from, to): (Vec2, Vec2)) -> Option<Area> {
    let place = item.place?;
    let size = vec2(place.width as f32, place.height as f32);
    let (from, to) = ((from * size).round(), (to * size).round());
    let (width, height) = (to.x - from.x, to.y - from.y);
    (width >= LEAST && height >= LEAST).then(|| Area {
        x: place.x + from.x as i32,
        y: place.y + from.y as i32,
        width: width as u32,
        height: height as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Resolution;

    #[test]
    fn an_area_is_in_pixels_of_the_desktop_and_not_too_small() {
        let place = Area { x: 1920, y: -100, width: 1280, height: 1024 };
        let item = ScreenItem {
            target: ScreenTarget::Monitor("B".into()),
            name: "B".into(),
            resolution: Resolution::new(1280, 1024),
            place: Some(place),
        };
        let area = in_pixels(&item, (vec2(0.25, 0.5), vec2(0.75, 1.0))).unwrap();
        assert_eq!(area, Area { x: 2240, y: 412, width: 640, height: 512 });
        assert_eq!(in_pixels(&item, (vec2(0.5, 0.5), vec2(0.51, 0.9))), None);
    }
}
