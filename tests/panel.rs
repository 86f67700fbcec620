//! The connection panel, drawn over records made by hand and used by the names that a screen reader
//! hears. No window, no display, no engine.

#![cfg(feature = "gui")]

#[path = "support/histories.rs"]
mod histories;
#[path = "support/views.rs"]
#[allow(dead_code, reason = "the screens beside the panel have tests of their own")]
mod views;

use std::collections::HashSet;
use std::sync::Arc;

use eframe::egui::accesskit::Role;
use eframe::egui::{self, Key, Modifiers, Rect, Theme, Vec2, pos2, vec2};
use egui_kittest::kittest::{NodeT as _, Queryable as _, by};
use egui_kittest::{Harness, Node};
use sightline::clock;
use sightline::diagnosis::{Rule, Severity, Side, Verdict};
use sightline::engine::command::Command;
use sightline::engine::frames::{FrameKey, FrameSlots};
use sightline::engine::view::CallView;
use sightline::record::{Direction, Entry, History, Limits, What};
use sightline::ui::keys;
use sightline::ui::model::{Effect, UiModel};
use sightline::ui::panel::model::{Place, Tab, TimeWindow};
use sightline::ui::screens::{self, Screen};
use sightline::ui::theme;
use sightline::ui::video::Pictures;
use sightline::units::Resolution;

/// A window without a window, its panel open, and what it asked for.
struct Shown {
    model: UiModel,
    frames: FrameSlots,
    pictures: Pictures,
    effects: Vec<Effect>,
}

impl Shown {
    fn new(view: CallView, history: History) -> Self {
        let frames = FrameSlots::new();
        frames.put(&FrameKey::Local, views::bars(Resolution::new(64, 36)));
        let model = UiModel::new(Arc::new(view));
        {
            let mut panel = model.panel.lock();
            panel.see(Arc::new(history));
            panel.model.place = Place::Docked;
        }
        Self { model, frames, pictures: Pictures::in_software(), effects: Vec::new() }
    }

    fn draw(&mut self, ui: &mut egui::Ui) {
        let now = ui.input(|input| input.time);
        let mut actions = keys::actions(ui.ctx(), &self.model);
        self.pictures.begin();
        let mut screen = Screen { frames: &self.frames, pictures: &mut self.pictures, marks: &[] };
        actions.extend(screens::show(ui, &mut self.model, &mut screen));
        self.pictures.end(ui.painter());
        for action in actions {
            self.effects.extend(self.model.act(action, now));
        }
    }
}

type Window = Harness<'static, Shown>;

const WIDE: Vec2 = vec2(1120.0, 720.0);
const NARROW: Vec2 = vec2(640.0, 480.0);
/// High enough for everything that else has to be scrolled to.
const TALL: Vec2 = vec2(1120.0, 1800.0);

fn open(view: CallView, history: History, size: Vec2, theme: Theme) -> Window {
    let mut window = Harness::builder()
        // The harness draws with a margin of 8 points.
        .with_size(size + Vec2::splat(16.0))
        .with_theme(theme)
        .with_max_steps(64)
        .allow_missing_glyphs()
        .with_context_setup(theme::install)
        .build_ui_state(|ui, shown: &mut Shown| shown.draw(ui), Shown::new(view, history));
    window.run_ok();
    window
}

fn in_call(history: History) -> Window {
    open(views::in_call(), history, WIDE, Theme::Dark)
}

fn in_tall_call(history: History) -> Window {
    open(views::in_call(), history, TALL, Theme::Dark)
}

fn click(window: &mut Window, name: &str) -> Vec<Effect> {
    window.run_ok();
    window.get_by_label(name).click();
    window.run_ok();
    std::mem::take(&mut window.state_mut().effects)
}

fn tab(window: &mut Window, name: &str) {
    window.get_by_role_and_label(Role::Tab, name).click();
    window.run_ok();
}

fn sees(window: &Window, words: &str) -> bool {
    window.query_all_by_label_contains(words).next().is_some()
}

fn is_control(role: Role) -> bool {
    matches!(
        role,
        Role::Button
            | Role::TextInput
            | Role::ComboBox
            | Role::Switch
            | Role::RadioButton
            | Role::Tab
            | Role::ColumnHeader
    )
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

const TABS: [&str; 4] = ["Overview", "ICE", "Media", "Log"];

#[test]
fn every_tab_fits_beside_the_picture_and_over_it_and_no_two_controls_share_a_name_or_a_place() {
    for size in [WIDE, NARROW] {
        for history in [histories::call(90), histories::failed(), History::default()] {
            let mut window = open(views::in_call(), history, size, Theme::Light);
            for name in TABS {
                tab(&mut window, name);
                let inside = Rect::from_min_size(pos2(8.0, 8.0), size).expand(0.5);
                let all = controls(&window);
                let names: HashSet<&String> = all.iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), all.len(), "{name} at {size}: {names:?}");
                // What is scrolled out of sight lies under nothing.
                let seen: Vec<_> = all.iter().filter(|(_, place)| inside.contains_rect(*place)).collect();
                let bar = size.y - 82.0;
                for (index, (control, place)) in seen.iter().enumerate() {
                    for (other, there) in &seen[..index] {
                        let scrolled = place.bottom() > bar || there.bottom() > bar;
                        let apart = !place.shrink(0.5).intersects(there.shrink(0.5));
                        assert!(apart || scrolled, "{name} at {size}: {control:?} lies on {other:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_key_and_the_button_open_and_close_it() {
    let mut window = in_call(histories::call(5));
    assert!(sees(&window, "Direct, 24 ms"));
    window.key_press_modifiers(Modifiers::COMMAND, Key::I);
    window.run_ok();
    assert!(!sees(&window, "Direct, 24 ms"));
    click(&mut window, "Connection details");
    assert!(sees(&window, "Direct, 24 ms"));
    click(&mut window, "Close connection details");
    assert_eq!(window.state().model.panel.lock().model.place, Place::Closed);
}

#[test]
fn after_a_call_that_failed_the_panel_still_says_why() {
    let ended = views::view("failed").unwrap();
    let mut window = open(ended, histories::failed(), WIDE, Theme::Dark);
    assert!(sees(&window, "This network seems to block UDP"));
    assert!(sees(&window, "Try another network"));
    tab(&mut window, "ICE");
    assert!(sees(&window, "ICE: failed"));
    assert!(sees(&window, "no answer to 7 checks"));
}

#[test]
fn the_overview_shows_the_path_and_copies_everything_as_text() {
    let mut window = in_tall_call(histories::call(30));
    assert!(sees(&window, "You, 192.168.1.24:50121, wlan0 (Wi-Fi)"));
    assert!(sees(&window, "Other side, 10.0.0.7:50121"));
    assert!(sees(&window, "Picture size: You → them 1280×720, Them → you 1280×720"));
    let effects = click(&mut window, "Copy as text");
    let [Effect::Copy(text)] = effects.as_slice() else { panic!("{effects:?}") };
    for words in ["Direct, 24 ms", "203.0.113.58:50121", "turns:relay.example.net", "* succeeded", "DTLS"] {
        assert!(text.contains(words), "{words} is missing in\n{text}");
    }
    window.get_by_label("Copied");
}

#[test]
fn ice_is_told_with_its_times_states_servers_and_every_pair() {
    let mut window = in_tall_call(histories::call(30));
    tab(&mut window, "ICE");
    for words in [
        "ICE: connected",
        "Gathering: +212 ms (208 ms)",
        "First picture: +412 ms (111 ms)",
        "stun:stun.example.org:3478",
        "its certificate is for another name",
        "in-progress",
    ] {
        assert!(sees(&window, words), "{words}");
    }
    assert_eq!(click(&mut window, "Restart ICE"), vec![Effect::Send(Command::RestartIce)]);
    let effects = click(&mut window, "Relay only");
    let Some(Effect::Send(Command::SaveSettings(settings))) = effects.first() else { panic!("{effects:?}") };
    assert!(settings.relay_only);
}

#[test]
fn tables_are_filtered_by_words_and_sorted_by_a_click() {
    let mut window = in_tall_call(histories::call(30));
    tab(&mut window, "ICE");
    let first_state = |window: &Window| {
        let of =
            |label: &str| window.query_all_by_label(label).map(|node| node.rect().top()).fold(1e9, f32::min);
        if of("succeeded") < of("failed") { "succeeded" } else { "failed" }
    };
    assert_eq!(first_state(&window), "succeeded");
    window.get_by_label("Candidate pairs: State").click();
    window.run_ok();
    assert_eq!(first_state(&window), "failed");
    window.get_by_label("Filter the tables").focus();
    window.run_ok();
    window.get_by_label("Filter the tables").type_text("prflx 61549");
    window.run_ok();
    assert!(sees(&window, "61549") && !sees(&window, "in-progress"));
}

#[test]
fn descriptions_are_copied_and_what_changed_is_marked() {
    let mut window = in_tall_call(histories::call(30));
    tab(&mut window, "ICE");
    let effects = click(&mut window, "Copy both");
    let [Effect::Copy(text)] = effects.as_slice() else { panic!("{effects:?}") };
    assert!(text.contains("a=ice-ufrag:t0Wn") && text.contains("a=ice-ufrag:mQ81"));
    window.state_mut().model.panel.lock().model.sdp_open = true;
    window.state_mut().model.panel.lock().model.sdp_changes_only = true;
    window.run_ok();
    assert!(sees(&window, "+ a=ice-ufrag:t0Wn") && sees(&window, "\u{2212} a=ice-ufrag:fZ3k"));
    assert!(!sees(&window, "a=rtpmap:111"));
}

#[test]
fn plots_stand_in_a_fixed_order_and_say_their_values() {
    let mut window = in_call(histories::call(120));
    tab(&mut window, "Media");
    let plots = |window: &Window| -> Vec<String> {
        let plots = window.query_all(by().predicate(|node| node.role() == Role::GraphicsObject));
        plots.filter_map(|node| node.accesskit_node().label()).collect()
    };
    let shown = plots(&window);
    assert!(shown[0].starts_with("Connection · Round trip: round trip "), "{shown:?}");
    assert!(shown.len() < 8, "only what is in sight is laid out: {}", shown.len());
    window.get_by_label("Filter the plots").focus();
    window.run_ok();
    window.get_by_label("Filter the plots").type_text("picture sent bitrate");
    window.run_ok();
    let shown = plots(&window);
    assert_eq!(shown.len(), 1, "{shown:?}");
    for line in ["target ", "sent ", "estimate 2.40 Mbit/s"] {
        assert!(shown[0].contains(line), "{shown:?}");
    }
    click(&mut window, "Hold the plots");
    window.get_by_label("Follow the call");
}

#[test]
fn an_hour_of_four_streams_stays_within_its_memory_and_is_drawn_while_the_pointer_moves() {
    let history = histories::call(3_600);
    let bytes = history.bytes();
    assert!(bytes <= Limits::LIVE.bytes(), "{bytes} of at most {}", Limits::LIVE.bytes());
    let mut window = in_call(history);
    tab(&mut window, "Media");
    window.state_mut().model.panel.lock().model.time.span = Some(TimeWindow::SPANS[2]);
    window.run_ok();
    let mut took: Vec<f64> = (0..60)
        .map(|step| {
            let begin = clock::now();
            // Under the pointer nothing is a still picture: all of it is laid out.
            window.hover_at(pos2(800.0 + step as f32, 300.0));
            window.step();
            let triangles = window.ctx.tessellate(window.output().shapes.clone(), 1.0);
            assert!(!triangles.is_empty());
            clock::now().saturating_duration_since(begin).as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    println!(
        "an hour of four streams: {} kB; a frame of its plots {:.1} ms, p95 {:.1} ms",
        bytes / 1000,
        took[30],
        took[57]
    );
}

#[test]
fn objects_are_searched_by_member_and_type() {
    let mut window = in_call(histories::call(5));
    tab(&mut window, "Media");
    window.get_by_label("W3C objects").click();
    window.run_ok();
    window.get_by_label("Search objects and members").focus();
    window.run_ok();
    window.get_by_label("Search objects and members").type_text("transport srtpcipher");
    window.run_ok();
    assert!(sees(&window, "AEAD_AES_128_GCM"));
    assert!(!sees(&window, "framesPerSecond"));
}

#[test]
fn the_log_has_a_direction_a_time_and_a_size_and_shows_a_row_in_full() {
    let mut window = in_call(histories::call(5));
    tab(&mut window, "Log");
    window.get_by_label("Messages").click();
    window.run_ok();
    assert!(!sees(&window, "ice_restart"));
    window.get_by_label_contains("+128 ms answer").click();
    window.run_ok();
    assert!(sees(&window, "\"from\": \"grace\""));
    let effects = click(&mut window, "Copy the entry");
    assert!(matches!(effects.as_slice(), [Effect::Copy(text)] if text.contains("grace")), "{effects:?}");
    assert_eq!(click(&mut window, "Save session"), vec![Effect::Send(Command::KeepRecord)]);
    assert_eq!(click(&mut window, "Export"), vec![Effect::Send(Command::ExportRecord)]);
}

#[test]
fn nothing_that_a_stranger_sends_breaks_a_tab() {
    for text in ["", "\u{202e}evil\u{0}\r\n", &"W".repeat(100_000), "{\"a\":[[[[", "李雷 🦀"] {
        let mut history = histories::call(3);
        let what = What::SignalingMessage {
            direction: Direction::Received,
            kind: text.into(),
            bytes: usize::MAX,
            text: text.into(),
        };
        history.push(Entry::new(f64::MAX, what));
        history.push(Entry::new(histories::START + 9e3, What::Error { text: text.into() }));
        let mut window = open(views::in_call(), history, NARROW, Theme::Dark);
        for name in TABS {
            tab(&mut window, name);
        }
    }
}

#[test]
fn a_panel_that_shows_nothing_new_is_not_drawn_again() {
    for name in TABS {
        let mut window = in_call(histories::call(70));
        tab(&mut window, name);
        window.run_steps(4);
        let delay = window.output().viewport_output.values().map(|viewport| viewport.repaint_delay).min();
        let still = delay.is_none_or(|delay| delay > std::time::Duration::from_secs(60));
        assert!(still, "{name} asks to be drawn in {delay:?}");
    }
}

#[test]
fn a_caller_reads_one_line_of_it_when_something_is_wrong_and_a_click_shows_the_rest() {
    let verdict = |severity| {
        let (text, short) = ("Your upload is too slow for the picture: 480 kbit/s.", "Slow upload");
        Verdict::new(Rule::BandwidthLimit, severity, Side::Here, text, short).advise("Stop other uploads.")
    };
    let open_with = |severity| {
        let view = CallView { verdict: Some(verdict(severity)), ..views::in_call() };
        let mut window = open(view, histories::call(5), WIDE, Theme::Dark);
        window.state_mut().model.panel.lock().model.place = Place::Closed;
        let view = Arc::clone(&window.state().model.view);
        window.state_mut().model.see(view, false, 0.0);
        window.run_ok();
        window
    };
    let mut window = open_with(Severity::Warning);
    click(&mut window, "Slow upload");
    assert!(sees(&window, "too slow for the picture") && sees(&window, "Stop other uploads."));
    let window = open_with(Severity::Info);
    assert!(!sees(&window, "Slow upload"), "nobody has to know");
}

#[test]
fn the_tab_is_remembered_while_the_panel_is_closed() {
    let mut window = in_call(histories::call(5));
    tab(&mut window, "Log");
    click(&mut window, "Close connection details");
    click(&mut window, "Connection details");
    assert_eq!(window.state().model.panel.lock().model.tab, Tab::Log);
}
