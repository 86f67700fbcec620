//! The screens of the window, drawn from views made by hand and used by the names that a screen
//! reader hears. No window, no display, no engine.

#![cfg(feature = "gui")]

#[path = "ui/chat.rs"]
mod chat;
#[path = "ui/sharing.rs"]
mod sharing;
#[path = "support/views.rs"]
mod views;

use std::collections::HashSet;
use std::sync::Arc;

use eframe::egui::accesskit::Role;
use eframe::egui::{self, Event, Key, Modifiers, PointerButton, Rect, Theme, Vec2, pos2, vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _, by};
use egui_kittest::{Harness, Node};
use sightline::engine::command::{
    ChatCommand, Command, DeviceChoice, FileCommand, PointerCommand, ScreenTarget, ShareMode, Switch,
};
use sightline::engine::frames::{FrameKey, FrameSlots};
use sightline::engine::view::{CallView, DeviceState, Rect as Area, ScreenItem, Screens};
use sightline::files::FileId;
use sightline::pointer::{Mark, Marks, Point};
use sightline::ui::fit::Corner;
use sightline::ui::model::{Effect, UiModel};
use sightline::ui::screens::{self, Screen};
use sightline::ui::video::Pictures;
use sightline::ui::zoom::Scale;
use sightline::ui::{keys, theme};
use sightline::units::Resolution;
use views::{connected, idle, in_call, peer, view};

const LINK: &str = "http://192.168.1.24:7340/r/calm-otter-71#AAECAwQFBgcICQoLDA0ODw";

/// A window without a window, and what it asked for.
struct Shown {
    model: UiModel,
    frames: FrameSlots,
    pictures: Pictures,
    marks: Vec<Marks>,
    effects: Vec<Effect>,
}

impl Shown {
    fn new(view: CallView) -> Self {
        let frames = FrameSlots::new();
        let size = Resolution::new(64, 36);
        frames.put(&FrameKey::Local, views::bars(size));
        for peer in &view.peers {
            frames.put(&FrameKey::Remote(peer.peer.clone()), views::bars(size));
            if peer.screen.is_some() {
                frames.put(&FrameKey::Screen(peer.peer.clone()), views::bars(Resolution::new(320, 180)));
            }
        }
        let model = UiModel::new(Arc::new(view));
        let (pictures, marks, effects) = (Pictures::in_software(), Vec::new(), Vec::new());
        Self { model, frames, pictures, marks, effects }
    }

    fn draw(&mut self, ui: &mut egui::Ui) {
        let now = ui.input(|input| input.time);
        let mut actions = keys::actions(ui.ctx(), &self.model);
        self.pictures.begin();
        let mut screen = Screen { frames: &self.frames, pictures: &mut self.pictures, marks: &self.marks };
        actions.extend(screens::show(ui, &mut self.model, &mut screen));
        self.pictures.end(ui.painter());
        for action in actions {
            self.effects.extend(self.model.act(action, now));
        }
    }
}

type Window = Harness<'static, Shown>;

fn open(view: CallView, size: Vec2, theme: Theme) -> Window {
    Harness::builder()
        // The harness draws with a margin of 8 points.
        .with_size(size + Vec2::splat(16.0))
        .with_theme(theme)
        .with_max_steps(64)
        .with_context_setup(sightline::ui::theme::install)
        .build_ui_state(|ui, shown: &mut Shown| shown.draw(ui), Shown::new(view))
}

fn window(view: CallView) -> Window {
    open(view, vec2(1120.0, 720.0), Theme::Dark)
}

/// The effects since the last look.
fn asked(window: &mut Window) -> Vec<Effect> {
    window.run_ok();
    std::mem::take(&mut window.state_mut().effects)
}

fn click(window: &mut Window, name: &str) -> Vec<Effect> {
    // What was changed from outside may have moved it.
    window.run_ok();
    window.get_by_label(name).click();
    asked(window)
}

fn sends(command: Command) -> Vec<Effect> {
    vec![Effect::Send(command)]
}

fn is_control(role: Role) -> bool {
    matches!(role, Role::Button | Role::TextInput | Role::ComboBox | Role::Switch | Role::RadioButton)
}

/// Name and place of everything that can be clicked or typed into.
fn controls(window: &Window) -> Vec<(String, Rect)> {
    let name = |node: &Node<'_>| node.accesskit_node().label().unwrap_or_default();
    window
        .query_all(by().predicate(|node| is_control(node.role())))
        .map(|node| (name(&node), node.rect()))
        .filter(|(_, rect)| rect.area() > 0.0)
        .collect()
}

#[test]
fn every_screen_fits_into_640_by_480_without_two_controls_on_top_of_each_other() {
    for size in [vec2(640.0, 480.0), vec2(1360.0, 820.0)] {
        for name in views::NAMES {
            let mut view = view(name).unwrap();
            // Messages lie on top of everything, for a while.
            view.notices.clear();
            let mut window = open(view, size, Theme::Light);
            window.run_ok();
            let inside = Rect::from_min_size(pos2(8.0, 8.0), size).expand(0.5);
            let controls = controls(&window);
            assert!(!controls.is_empty(), "{name} has nothing to click");
            for (index, (control, place)) in controls.iter().enumerate() {
                assert!(
                    inside.contains_rect(*place),
                    "{name} at {size}: {control:?} leaves the window: {place}"
                );
                for (other, there) in &controls[..index] {
                    let apart = !place.shrink(0.5).intersects(there.shrink(0.5));
                    assert!(apart, "{name} at {size}: {control:?} lies on {other:?}: {place}, {there}");
                }
            }
        }
    }
}

#[test]
fn no_two_controls_of_a_screen_have_the_same_name() {
    for name in views::NAMES {
        let mut window = window(view(name).unwrap());
        window.run_ok();
        let names: Vec<String> = controls(&window).into_iter().map(|(name, _)| name).collect();
        let distinct: HashSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{name}: {names:?}");
    }
}

#[test]
fn the_buttons_of_a_call_give_their_commands() {
    let mut window = window(in_call());
    assert_eq!(click(&mut window, "Mute microphone"), sends(Command::Microphone(Switch::Off)));
    assert_eq!(click(&mut window, "Turn camera off"), sends(Command::Camera(Switch::Off)));
    assert_eq!(click(&mut window, "Lock the call"), sends(Command::LockRoom(Switch::On)));
    assert_eq!(click(&mut window, "Leave call"), sends(Command::Leave));
    assert_eq!(click(&mut window, "Full screen"), vec![Effect::FullScreen(true)]);
    assert_eq!(click(&mut window, "Leave full screen"), vec![Effect::FullScreen(false)]);
    let link = in_call().invite.unwrap().link;
    assert_eq!(click(&mut window, "Copy invite link"), vec![Effect::Copy(link)]);
    window.get_by_label("Copied");
}

#[test]
fn only_who_opened_the_call_is_offered_to_lock_it() {
    let mut window = window(CallView { invite: None, ..in_call() });
    window.run_ok();
    assert!(window.query_by_label("Leave call").is_some());
    assert!(window.query_by_label("Lock the call").is_none());
}

#[test]
fn what_is_off_can_be_switched_on_again() {
    let mut window = window(view("quiet").unwrap());
    assert_eq!(click(&mut window, "Unmute microphone"), sends(Command::Microphone(Switch::On)));
    assert_eq!(click(&mut window, "Turn camera on"), sends(Command::Camera(Switch::On)));
    window.get_by_label("Grace has the camera off");
    window.get_by_label("Grace, muted");
    window.get_by_label("You are muted");
}

#[test]
fn a_visitor_is_let_in_or_not() {
    let mut window = window(view("visitor").unwrap());
    window.get_by_label("Grace Hopper would like to join");
    assert_eq!(click(&mut window, "Accept"), sends(Command::Accept(peer("v"))));
    assert_eq!(click(&mut window, "Decline"), sends(Command::Decline(peer("v"))));
}

#[test]
fn a_new_call_saves_the_name_and_copies_its_link_as_soon_as_there_is_one() {
    let mut window = window(idle());
    window.get_by_label("Your name").focus();
    window.run_ok();
    window.get_by_label("Your name").type_text(" II");
    window.run_ok();
    let effects = click(&mut window, "New call");
    let Some(Effect::Send(Command::SaveSettings(settings))) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(settings.name, "Ada Lovelace II");
    let new_call = Effect::Send(Command::NewCall { admission: idle().admission });
    assert_eq!(effects.iter().filter(|effect| **effect == new_call).count(), 1, "{effects:?}");
    let waiting = view("waiting").unwrap();
    let link = waiting.invite.clone().unwrap().link;
    let effects = window.state_mut().model.see(Arc::new(waiting), false, 0.0);
    assert!(effects.contains(&Effect::Copy(link)), "{effects:?}");
}

#[test]
fn a_pasted_link_is_joined_and_a_broken_one_explained() {
    let mut window = window(idle());
    assert_eq!(click(&mut window, "Paste from clipboard"), vec![Effect::RequestPaste]);
    window.state_mut().model.pasted("  https://calls.example.org/nothing ");
    assert_eq!(click(&mut window, "Join"), vec![]);
    window.get_by_label_contains("this is not a link to a call");
    window.state_mut().model.awaits_paste = true;
    window.state_mut().model.pasted(LINK);
    assert_eq!(click(&mut window, "Join"), sends(Command::Join(LINK.parse().unwrap())));
    assert_eq!(window.state().model.problem, None);
}

#[test]
fn a_paste_that_nobody_asked_for_does_not_touch_the_link_field() {
    let mut shown = Shown::new(idle());
    shown.model.pasted("anything");
    assert_eq!(shown.model.link, "");
}

#[test]
fn devices_are_picked_by_name() {
    let mut window = window(idle());
    window.get_by_label("Camera").click();
    window.run_ok();
    let choice = DeviceChoice::Id("document camera".into());
    assert_eq!(click(&mut window, "Document camera"), sends(Command::UseCamera(choice)));
    assert_eq!(click(&mut window, "Test speaker"), sends(Command::TestSpeaker));
}

#[test]
fn settings_are_saved_at_once_and_escape_closes_them() {
    let mut window = window(in_call());
    click(&mut window, "Settings");
    let effects = click(&mut window, "Remove noise");
    let [Effect::Send(Command::SaveSettings(settings))] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(!settings.noise_suppression);
    window.key_press(Key::Escape);
    window.run_ok();
    assert!(window.query_by_label("Close settings").is_none());
}

#[test]
fn the_keys_work_except_while_typing() {
    let mut window = window(in_call());
    window.key_press(Key::M);
    assert_eq!(asked(&mut window), sends(Command::Microphone(Switch::Off)));
    window.key_press(Key::V);
    assert_eq!(asked(&mut window), sends(Command::Camera(Switch::Off)));
    window.key_press(Key::F);
    assert_eq!(asked(&mut window), vec![Effect::FullScreen(true)]);
    window.key_press(Key::Escape);
    assert_eq!(asked(&mut window), vec![Effect::FullScreen(false)]);
    window.key_press_modifiers(Modifiers::COMMAND, Key::W);
    assert_eq!(asked(&mut window), sends(Command::Leave));

    let mut window = self::window(idle());
    window.get_by_label("Your name").focus();
    window.run_ok();
    window.key_press(Key::M);
    window.key_press(Key::V);
    assert_eq!(asked(&mut window), vec![]);
    window.key_press_modifiers(Modifiers::COMMAND, Key::W);
    assert_eq!(asked(&mut window), vec![Effect::Close]);
}

#[test]
fn tab_reaches_every_control_and_enter_presses_it() {
    for name in ["start", "waiting", "visitor", "call", "ended"] {
        let mut window = window(view(name).unwrap());
        window.run_ok();
        let all: HashSet<String> = controls(&window).into_iter().map(|(name, _)| name).collect();
        let mut reached = HashSet::new();
        for _ in 0..all.len() + 2 {
            window.key_press(Key::Tab);
            window.run_ok();
            let focused = window.query_all(by().predicate(|node| node.is_focused()));
            reached.extend(focused.filter_map(|node| node.accesskit_node().label()));
        }
        let missed: Vec<&String> = all.iter().filter(|name| !reached.contains(*name)).collect();
        assert!(missed.is_empty(), "{name}: Tab does not reach {missed:?}");
    }
    let mut window = window(in_call());
    window.get_by_label("Leave call").focus();
    window.run_ok();
    window.key_press(Key::Enter);
    assert_eq!(asked(&mut window), sends(Command::Leave));
}

#[test]
fn the_small_picture_is_swapped_by_a_click_and_moved_by_a_drag_or_an_arrow() {
    let mut window = window(in_call());
    click(&mut window, "Swap pictures");
    assert!(window.state().model.swapped);
    let from = window.get_by_label("Swap pictures").rect().center();
    let to = pos2(60.0, 120.0);
    window.drag_at(from);
    window.run_ok();
    for step in 1..=4 {
        window.hover_at(from.lerp(to, step as f32 / 4.0));
        window.step();
    }
    window.event(Event::PointerButton {
        pos: to,
        button: PointerButton::Primary,
        pressed: false,
        modifiers: Modifiers::NONE,
    });
    window.run_ok();
    assert_eq!(window.state().model.corner, Corner::TopLeft);
    window.get_by_label("Swap pictures").focus();
    window.run_ok();
    window.key_press(Key::ArrowDown);
    window.run_ok();
    assert_eq!(window.state().model.corner, Corner::BottomLeft);
}

#[test]
fn in_full_screen_the_buttons_go_after_three_seconds_and_come_with_the_pointer() {
    let mut window = window(in_call());
    window.state_mut().model.full_screen = true;
    window.hover_at(pos2(300.0, 300.0));
    window.run_steps(2);
    window.get_by_label("Leave call");
    // Steps of a quarter of a second.
    window.run_steps(16);
    assert!(window.query_by_label("Leave call").is_none());
    window.hover_at(pos2(320.0, 300.0));
    window.run_steps(2);
    window.get_by_label("Leave call");
}

#[test]
fn a_link_from_a_second_start_is_joined_or_asked_about() {
    let link = LINK.parse::<sightline::link::Link>().unwrap();
    let mut shown = Shown::new(idle());
    assert_eq!(shown.model.opened(link.clone()), sends(Command::Join(link.clone())));

    let mut window = window(in_call());
    assert_eq!(window.state_mut().model.opened(link.clone()), vec![]);
    window.run_ok();
    let effects = click(&mut window, "Leave and join");
    assert_eq!(effects, vec![Effect::Send(Command::Leave), Effect::Send(Command::Join(link))]);
}

#[test]
fn the_camera_is_open_on_the_start_screen_only_while_somebody_can_see_it() {
    let mut model = UiModel::new(Arc::new(idle()));
    let mut see = |view: CallView, hidden: bool| model.see(Arc::new(view), hidden, 0.0);
    assert_eq!(see(idle(), false), sends(Command::Preview(Switch::On)));
    assert_eq!(see(idle(), false), vec![]);
    assert_eq!(see(idle(), true), sends(Command::Preview(Switch::Off)));
    assert_eq!(see(idle(), false), sends(Command::Preview(Switch::On)));
    // A call takes the devices over as they are.
    assert_eq!(see(in_call(), false), vec![]);
}

#[test]
fn states_are_said_in_words() {
    for (name, words) in [
        ("opening", "Preparing the call…"),
        ("waiting", "Waiting for someone to join"),
        ("knocking", "Asking to join…"),
        ("connecting", "Grace: Connecting…"),
        ("reconnecting", "Grace: Reconnecting…"),
        ("call", "Direct, encrypted"),
        ("ended", "Call ended"),
        ("ended", "Grace left the call."),
        ("ended", "Duration: 24 min 18 s"),
        ("ended", "Quality: good"),
        ("failed", "There is no call behind this link (any more)."),
        ("bare", "HD camera is in use by another program"),
    ] {
        let mut window = window(view(name).unwrap());
        window.step();
        assert!(window.query_by_label(words).is_some(), "{name} does not say {words:?}");
    }
}

#[test]
fn nothing_a_stranger_calls_itself_breaks_the_window() {
    for name in ["", " \n\t", &"W".repeat(2000), "\u{202e}evil\u{0}", "李雷 🦀", "{}{}"] {
        let mut call = in_call();
        call.peers[0].name = name.to_owned();
        call.visitors = vec![sightline::engine::view::Visitor { peer: peer("v"), name: name.to_owned() }];
        let mut window = Harness::builder()
            .with_size(vec2(656.0, 496.0))
            .allow_missing_glyphs()
            .with_context_setup(theme::install)
            .build_ui_state(|ui, shown: &mut Shown| shown.draw(ui), Shown::new(call));
        window.run_ok();
        let accept = window.get_by_label("Accept").rect();
        assert!(accept.right() < 648.0, "{name:?}: {accept}");
    }
}

#[test]
fn a_window_that_shows_nothing_new_is_not_drawn_again() {
    for name in ["start", "waiting", "knocking", "call", "quiet", "ended"] {
        let mut window = window(view(name).unwrap());
        window.run_ok();
        window.run_steps(4);
        let output = window.output();
        let delay = output.viewport_output.values().map(|viewport| viewport.repaint_delay).min();
        let still = delay.is_none_or(|delay| delay > std::time::Duration::from_secs(60));
        assert!(still, "{name} asks to be drawn in {delay:?}");
    }
}

#[test]
fn with_three_in_a_call_everybody_else_is_large() {
    let mut call = in_call();
    call.peers.push(connected("Alan"));
    let mut window = window(call);
    window.run_ok();
    let (grace, alan) = (window.get_by_label("Grace").rect(), window.get_by_label("Alan").rect());
    assert!((grace.top() - alan.top()).abs() < 1.0 || (grace.left() - alan.left()).abs() < 1.0);
    assert_ne!(grace, alan);
}
