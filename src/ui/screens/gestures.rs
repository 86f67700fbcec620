//! What people say without words: raised hands and faces that rise over the pictures.

use std::sync::Arc;
use std::time::Duration;

use eframe::egui::{Align2, Color32, CornerRadius, Pos2, Rect, Ui, pos2, vec2};

use super::header;
use super::start::tip;
use crate::chat::Reaction;
use crate::engine::command::{ChatCommand, Command, Switch};
use crate::engine::view::PeerView;
use crate::ui::action::UiAction;
use crate::ui::icons::{self, Icon, Weight};
use crate::ui::model::UiModel;
use crate::ui::theme::{self, size, space};
use crate::ui::widgets::button::{IconButton, Kind};
use crate::ui::widgets::text;
use crate::ui::words::Word;

/// Where faces begin to rise, with the name below them: above the names of those in the pictures.
const FROM_BELOW: f32 = 118.0;

/// The faces, in a row.
pub fn faces(ui: &mut Ui, actions: &mut Vec<UiAction>) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for reaction in Reaction::ALL {
            let name = name_of(reaction).text();
            if IconButton::new(icon_of(reaction), name).kind(Kind::Quiet).small().show(ui).clicked() {
                actions.push(UiAction::Command(Command::Chat(ChatCommand::React(reaction))));
            }
        }
    });
}

/// What a press on the hand asks for.
pub fn raise(model: &UiModel) -> Command {
    let switch = if model.view.chat.my_hand { Switch::Off } else { Switch::On };
    Command::Chat(ChatCommand::Raise(switch))
}

/// The button that raises the hand, or takes it down.
pub fn hand(ui: &Ui, center: Pos2, model: &UiModel, actions: &mut Vec<UiAction>) {
    let (word, kind) = match model.view.chat.my_hand {
        true => (Word::LowerHand, Kind::Primary),
        false => (Word::RaiseHand, Kind::Plain),
    };
    let button = IconButton::new(Icon::HAND_PALM, word.text()).kind(kind);
    if button.tip(&tip(word, "H")).show_at(ui, "hand", center).clicked() {
        actions.push(UiAction::Command(raise(model)));
    }
}

const fn icon_of(reaction: Reaction) -> Icon {
    match reaction {
        Reaction::ThumbsUp => Icon::THUMBS_UP,
        Reaction::Heart => Icon::HEART,
        Reaction::Laugh => Icon::SMILEY,
        Reaction::Wow => Icon::SPARKLE,
        Reaction::Party => Icon::CONFETTI,
        Reaction::Clap => Icon::HANDS_CLAPPING,
    }
}

const fn name_of(reaction: Reaction) -> Word {
    match reaction {
        Reaction::ThumbsUp => Word::ReactThumbsUp,
        Reaction::Heart => Word::ReactHeart,
        Reaction::Laugh => Word::ReactLaugh,
        Reaction::Wow => Word::ReactWow,
        Reaction::Party => Word::ReactParty,
        Reaction::Clap => Word::ReactClap,
    }
}

/// What people show, over the pictures in `stage`: faces that rise and fade, and raised hands.
pub fn over_pictures(ui: &Ui, stage: Rect, model: &mut UiModel) {
    let t = theme::tokens(ui.ctx());
    let now = ui.input(|input| input.time);
    let view = Arc::clone(&model.view);
    model.seen_reactions.retain(|(id, _)| view.chat.reactions.iter().any(|shown| shown.id == *id));
    for (n, shown) in view.chat.reactions.iter().enumerate() {
        let since = match model.seen_reactions.iter().find(|(id, _)| *id == shown.id) {
            Some((_, at)) => (now - at) as f32,
            None => {
                model.seen_reactions.push((shown.id, now));
                0.0
            }
        };
        let gone = (since / 5.0).clamp(0.0, 1.0);
        let color = |base: Color32| base.gamma_multiply(1.0 - gone * gone);
        let x = stage.left() + 48.0 + (n % 6) as f32 * 56.0;
        let at =
            pos2(x.min(stage.right() - 40.0), stage.bottom() - FROM_BELOW - gone * stage.height() * 0.35);
        let back = Rect::from_center_size(at, vec2(46.0, 46.0));
        ui.painter().rect_filled(back, CornerRadius::same(23), color(t.overlay));
        let font = icons::font(Weight::Fill, 26.0);
        let symbol = icon_of(shown.reaction).char();
        ui.painter().text(at, Align2::CENTER_CENTER, symbol, font, color(t.warn_on_overlay));
        let name = if shown.peer.is_none() { Word::You.text() } else { shown.name.as_str() };
        let below = text::line(ui.painter(), name, theme::font(size::SMALL), color(t.on_overlay), 80.0);
        text::place(ui.painter(), below, at + vec2(0.0, 34.0), Align2::CENTER_CENTER);
        let words = format!("{name}: {}", name_of(shown.reaction).text());
        text::status(ui, back, &format!("reaction {}", shown.id), &words);
        ui.ctx().request_repaint_after(Duration::from_millis(50));
    }
    hands(ui, stage, &view.peers, model);
}

fn hands(ui: &Ui, stage: Rect, people: &[PeerView], model: &UiModel) {
    let up = people.iter().filter(|person| model.view.chat.hands.contains(&person.peer));
    let mut names: Vec<&str> = up.map(header::name_of).collect();
    if model.view.chat.my_hand {
        names.push(Word::You.text());
    }
    if names.is_empty() {
        return;
    }
    let t = theme::tokens(ui.ctx());
    let names = names.join(", ");
    let galley =
        text::line(ui.painter(), &names, theme::strong(size::SMALL), t.on_overlay, stage.width() * 0.5);
    let left = stage.left_top() + vec2(space::M, space::M);
    let pill = Rect::from_min_size(left, vec2(galley.size().x + 46.0, 30.0));
    ui.painter().rect_filled(pill, CornerRadius::same(15), t.overlay);
    let at = pill.left_center() + vec2(18.0, 0.0);
    let font = icons::font(Weight::Fill, 18.0);
    ui.painter().text(at, Align2::CENTER_CENTER, Icon::HAND_PALM.char(), font, t.warn_on_overlay);
    text::place(ui.painter(), galley, pill.left_center() + vec2(32.0, 0.0), Align2::LEFT_CENTER);
    text::status(ui, pill, "hands", &Word::HandsUp.with(&names));
}
