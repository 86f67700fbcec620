//! Sharing a screen, looking at one, and pointing at it.

use super::*;

#[test]
fn what_is_shared_is_chosen_by_its_name_and_ended_with_one_click() {
    let mut window = window(in_call());
    let look = |switch| sends(Command::LookAtScreens(switch));
    assert_eq!(click(&mut window, "Share your screen"), look(Switch::On));
    window.get_by_label("Looking what there is\u{2026}");
    let target = ScreenTarget::Monitor("HDMI-1".into());
    let resolution = Resolution::new(1920, 1080);
    let place = Some(Area::new(0, 0, 1920, 1080));
    let item = ScreenItem { target: target.clone(), name: "HDMI-1".into(), resolution, place };
    let listed = CallView { screens: Screens::Listed(vec![item]), ..in_call() };
    window.state_mut().model.see(Arc::new(listed), false, 0.0);
    // The dialog grows with what is in it, and then finds its place.
    window.run_steps(4);
    click(&mut window, "Smooth motion");
    click(&mut window, "Share the sound of this computer");
    let share = Command::Share { target, mode: ShareMode::Motion, sound: Switch::On };
    let expected = vec![Effect::Send(share), Effect::Send(Command::LookAtScreens(Switch::Off))];
    assert_eq!(click(&mut window, "Share HDMI-1, 1920x1080"), expected);
    assert!(window.query_by_label("What do you want to share?").is_none());

    window.state_mut().model.see(Arc::new(view("sharing").unwrap()), false, 0.0);
    window.run_ok();
    window.get_by_label_contains("with sound. Seen by Grace");
    assert_eq!(click(&mut window, "Stop sharing"), sends(Command::StopShare));
    let quiet = sends(Command::ShareSound(Switch::Off));
    assert_eq!(click(&mut window, "Stop sharing the sound of this computer"), quiet);
    assert_eq!(click(&mut window, "Smooth motion"), sends(Command::ShareAs(ShareMode::Motion)));
    let off = Command::Pointer(PointerCommand::Allow(Switch::Off));
    assert_eq!(click(&mut window, "Switch off that others point and draw on your screen"), sends(off));
}

#[test]
fn whoever_shares_is_told_who_does_not_hear_it_and_can_add_the_sound_later() {
    let mut call = view("sharing").unwrap();
    let share = call.me.share.as_mut().unwrap();
    share.unheard_by = share.seen_by.clone();
    let mut window = window(call.clone());
    window.run_ok();
    window.get_by_label_contains("with sound. Grace cannot hear it \u{b7} Seen by Grace");
    call.me.share.as_mut().unwrap().sound = DeviceState::Closed;
    window.state_mut().model.see(Arc::new(call), false, 0.0);
    window.run_ok();
    assert!(window.query_by_label_contains("cannot hear it").is_none(), "there is nothing to hear");
    let sound = sends(Command::ShareSound(Switch::On));
    assert_eq!(click(&mut window, "Share the sound of this computer"), sound);
}

#[test]
fn where_the_sound_of_the_computer_cannot_be_shared_the_choice_says_why() {
    let mut window = window(in_call());
    click(&mut window, "Share your screen");
    let why = "The sound of this computer does not work: there is no PulseAudio or PipeWire server.";
    let screens = Screens::Portal { remembers: false };
    let cannot = CallView { screens, no_screen_sound: Some(why.into()), ..in_call() };
    window.state_mut().model.see(Arc::new(cannot), false, 0.0);
    window.run_steps(4);
    window.get_by_label(why);
    let tick = window.get_by_label("Share the sound of this computer");
    assert!(tick.accesskit_node().is_disabled());
}

#[test]
fn where_the_desktop_remembers_one_may_still_choose_something_else() {
    let mut window = window(in_call());
    click(&mut window, "Share your screen");
    let asks = |remembers| CallView { screens: Screens::Portal { remembers }, ..in_call() };
    let portal = |again| {
        let target = ScreenTarget::Portal { again };
        let share = Command::Share { target, mode: ShareMode::Text, sound: Switch::Off };
        [sends(share), sends(Command::LookAtScreens(Switch::Off))].concat()
    };
    window.state_mut().model.see(Arc::new(asks(false)), false, 0.0);
    window.run_steps(4);
    assert!(window.query_by_label("Share the same as last time").is_none());
    assert_eq!(click(&mut window, "Choose what to share"), portal(false));
    click(&mut window, "Share your screen");
    window.state_mut().model.see(Arc::new(asks(true)), false, 0.0);
    window.run_steps(4);
    assert_eq!(click(&mut window, "Share the same as last time"), portal(true));
    click(&mut window, "Share your screen");
    window.run_steps(4);
    assert_eq!(click(&mut window, "Choose something else"), portal(false));
}

#[test]
fn a_shared_screen_is_the_large_picture_and_can_be_looked_at_closer() {
    let mut window = window(view("watching").unwrap());
    window.run_ok();
    let screen = window.get_by_label("Screen of Grace").rect();
    assert!(screen.width() > 700.0, "{screen}");
    window.get_by_label_contains("VP9 \u{b7} 1920\u{d7}1080 \u{b7} 15 fps");
    click(&mut window, "1:1");
    assert_eq!(window.state().model.viewing.zoom.scale, Scale::Actual);
    click(&mut window, "Fit");
    assert_eq!(window.state().model.viewing.zoom.scale, Scale::Fit);
}

/// What was told of the hand over Grace's screen since the last look: where, in hundredths, and whether it
/// draws.
fn told(window: &mut Window) -> Vec<(Option<(i32, i32)>, bool)> {
    let hundredths = |at: Point| {
        let (x, y) = at.shares();
        ((x * 100.0).round() as i32, (y * 100.0).round() as i32)
    };
    let told = asked(window).into_iter().filter_map(|effect| match effect {
        Effect::Send(Command::Pointer(PointerCommand::Move { screen, at, draws })) => {
            assert_eq!(screen, peer("Grace"));
            Some((at.map(hundredths), draws))
        }
        _ => None,
    });
    told.collect()
}

/// Presses the first button at one share of a place, and moves to another.
fn drag(window: &mut Window, place: Rect, from: Vec2, to: Vec2) {
    let at = |share: Vec2| place.min + share * place.size();
    let button = |pressed| Event::PointerButton {
        pos: at(if pressed { from } else { to }),
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    for event in [Event::PointerMoved(at(from)), button(true), Event::PointerMoved(at(to)), button(false)] {
        window.event(event);
        window.run_steps(1);
    }
}

#[test]
fn a_hand_over_somebodys_screen_is_told_and_draws_with_the_pen_only() {
    let mut window = window(view("watching").unwrap());
    window.run_ok();
    // The picture has the shape of the screen, and so lies in the middle of its place.
    let place = window.get_by_label("Screen of Grace").rect();
    let height = place.width() * 9.0 / 16.0;
    let picture = Rect::from_center_size(place.center(), vec2(place.width(), height));
    drag(&mut window, picture, vec2(0.25, 0.5), vec2(0.5, 0.75));
    assert_eq!(told(&mut window), [(Some((25, 50)), false), (Some((50, 75)), false)]);
    window.event(Event::PointerMoved(pos2(5.0, 5.0)));
    assert_eq!(told(&mut window), [(None, false)]);

    click(&mut window, "Draw on the screen");
    told(&mut window);
    drag(&mut window, picture, vec2(0.3, 0.5), vec2(0.4, 0.6));
    let drawn = told(&mut window);
    assert!(drawn.contains(&(Some((30, 50)), true)) && drawn.contains(&(Some((40, 60)), true)), "{drawn:?}");
    assert_eq!(drawn.last(), Some(&(Some((40, 60)), false)));
    assert!(!window.state().model.full_screen);
}

#[test]
fn nothing_is_told_to_somebody_who_has_switched_pointing_off() {
    let mut call = view("watching").unwrap();
    call.chat.pointing_off = vec![peer("Grace")];
    let mut window = window(call);
    window.run_ok();
    let place = window.get_by_label("Screen of Grace").rect();
    drag(&mut window, place, vec2(0.3, 0.5), vec2(0.4, 0.6));
    click(&mut window, "Grace has switched pointing off");
    assert!(told(&mut window).is_empty() && !window.state().model.viewing.pen);
}

#[test]
fn what_others_point_at_is_drawn_until_it_has_faded() {
    let mut window = window(view("watching").unwrap());
    window.run_ok();
    let before = window.output().shapes.len();
    let point = Point::of(0.5, 0.5).unwrap();
    let since = sightline::clock::now();
    let strokes = vec![Mark { points: vec![point; 3], since }];
    let marks = Marks {
        peer: peer("Alan"),
        name: "Alan".into(),
        screen: peer("Grace"),
        pointer: Some(point),
        strokes,
    };
    window.state_mut().marks = vec![marks.clone()];
    window.run_steps(2);
    assert!(window.output().shapes.len() > before);
    let wake = window.output().viewport_output.values().map(|viewport| viewport.repaint_delay).min();
    assert!(wake.is_some_and(|delay| delay < std::time::Duration::from_secs(5)), "{wake:?}");
    window.state_mut().marks = vec![Marks { screen: peer("Alan"), ..marks }];
    window.run_steps(2);
    assert_eq!(window.output().shapes.len(), before, "it is another screen's");
}

#[test]
fn a_double_click_in_the_screens_own_window_leaves_the_calls_window_as_it_is() {
    let mut window = window(view("watching").unwrap());
    window.state_mut().model.viewing.apart = true;
    window.run_ok();
    let pos = window.get_by_role_and_label(Role::Image, "Screen of Grace").rect().center();
    // In one frame, since the time between frames is too long for a double click here.
    let events = &mut window.input_mut().events;
    events.push(Event::PointerMoved(pos));
    for pressed in [true, false, true, false] {
        let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
        events.push(Event::PointerButton { pos, button, pressed, modifiers });
    }
    window.step();
    let asked = window.output().viewport_output.values().flat_map(|output| output.commands.clone());
    let filled: Vec<_> =
        asked.filter(|command| matches!(command, egui::ViewportCommand::Fullscreen(_))).collect();
    assert_eq!(filled, [egui::ViewportCommand::Fullscreen(true)]);
    assert!(!window.state().model.full_screen);
}
