//! What the hand does over somebody's screen: it points, and with the pen it draws.

use eframe::egui::{Event, PointerButton, Response, Ui};

use super::share_view::Viewing;
use crate::engine::command::{Command, PointerCommand};
use crate::engine::view::PeerView;
use crate::pointer::Point;
use crate::ui::action::UiAction;
use crate::ui::marks;
use crate::ui::zoom::Part;

/// Places of one frame that are told, the newest: a fast mouse reports a thousand a second, and a message
/// repeats sixteen.
const PLACES: usize = 4;

/// Whether a press draws; the button with the pen, or a shift key held.
pub fn draws(ui: &Ui, viewing: &Viewing) -> bool {
    viewing.pen || ui.input(|input| input.modifiers.shift_only())
}

/// By how much the picture is dragged: with the pen in the hand by another button than the first.
pub fn drag(response: &Response, with_pen: bool) -> bool {
    match with_pen {
        true => response.dragged_by(PointerButton::Middle) || response.dragged_by(PointerButton::Secondary),
        false => response.dragged(),
    }
}

/// Tells where the hand is on the picture, of which `part` is seen, if that is news.
pub fn follow(
    ui: &Ui,
    response: &Response,
    part: &Part,
    peer: &PeerView,
    viewing: &mut Viewing,
    actions: &mut Vec<UiAction>,
) {
    let pressed = response.is_pointer_button_down_on() && ui.input(|input| input.pointer.primary_down());
    let drawing = pressed && draws(ui, viewing);
    let here = if drawing { response.interact_pointer_pos() } else { response.hover_pos() };
    let mut places: Vec<Option<Point>> = Vec::new();
    if drawing && viewing.told.is_some_and(|(_, drew)| drew) {
        // All of the way, not only where it ends in this frame.
        places.extend(ui.input(|input| {
            let moved = input.events.iter().filter_map(|event| match event {
                Event::PointerMoved(at) => Some(marks::on_picture(part, *at)),
                _ => None,
            });
            moved.collect::<Vec<_>>()
        }));
        places.drain(..places.len().saturating_sub(PLACES));
    }
    places.push(here.and_then(|at| marks::on_picture(part, at)));
    for at in places {
        let draws = drawing && at.is_some();
        let news = viewing.told.map_or(at.is_some(), |told| told != (at, draws));
        if news {
            viewing.told = Some((at, draws));
            let command = PointerCommand::Move { screen: peer.peer.clone(), at, draws };
            actions.push(UiAction::Command(Command::Pointer(command)));
        }
    }
}
