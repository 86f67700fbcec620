//! Sharing what a real X server shows: monitors, windows, parts of the desktop, and what happens to
//! them meanwhile. The windows are made by the tests themselves.
//!
//! Has its own `main`, since the server's address must be in the environment before anything looks
//! for it: the first run starts the servers and runs this program again inside.
#![allow(clippy::unwrap_used, reason = "in a test a refusal of the X server is a failure")]

#[path = "support/desktop.rs"]
#[allow(dead_code, reason = "what is pointed at is looked at by another test")]
mod desktop;
#[path = "support/sentences.rs"]
mod sentences;

use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use desktop::{Desktop, SCREEN, XServer};
use sentences::Test;
use tokio_util::sync::CancellationToken;
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConfigureWindowAux, ConnectionExt as _, CreateGCAux, Rectangle, StackMode,
    Window,
};

use sightline::clock;
use sightline::media::frame::VideoFrame;
use sightline::media::overlay::Veil;
use sightline::media::source::screen::{
    Listed, Rect, ScreenEvent, ScreenTarget, ShareMode, Targets, find, open, targets,
};
use sightline::media::{DeviceError, VideoSource};
use sightline::units::Resolution;

/// Set in the runs inside: which tests.
const INSIDE: &str = "SIGHTLINE_TEST_SCREEN";

const ORDINARY: &[Test] = &[
    ("monitors_and_windows_are_listed_with_thumbnails", everything_is_listed),
    ("a_monitor_shows_its_part_of_the_desktop_and_only_that", monitor_is_captured),
    ("a_part_of_odd_size_is_captured", region_is_captured),
    ("nothing_comes_while_nothing_changes_and_it_costs_next_to_nothing", nothing_changes),
    ("what_changes_is_seen_and_nothing_else_is_touched", change_is_seen),
    ("the_cursor_is_drawn_in_and_leaves_no_trace", cursor_is_drawn),
    ("a_window_is_seen_wherever_it_is_and_whatever_covers_it", window_is_covered_and_moved),
    ("a_window_that_is_resized_says_so_and_is_seen_in_its_new_size", window_is_resized),
    ("a_minimised_window_says_so_and_comes_back", window_is_minimised),
    ("a_window_that_is_minimised_when_it_is_chosen_says_so_and_is_seen_when_it_comes", window_was_minimised),
    ("a_window_that_is_closed_ends_the_share_with_a_sentence", window_is_closed),
    ("a_monitor_that_is_unplugged_ends_the_share_with_a_sentence", monitor_is_unplugged),
    ("what_is_not_there_is_not_found", missing_targets),
];

const WITHOUT_SHM: &[Test] = &[("without_shared_memory_it_goes_the_slower_way", region_is_captured)];
const SIXTEEN_BITS: &[Test] = &[("another_depth_is_refused_in_words", depth_is_refused)];
const NO_SERVER: &[Test] = &[("without_an_x_server_the_reason_is_told", no_server)];

/// Name, arguments for Xvfb (none: no server), tests.
type Run = (&'static str, Option<&'static [&'static str]>, &'static [Test]);

const RUNS: &[Run] = &[
    ("ordinary", Some(SCREEN), ORDINARY),
    ("without_shm", Some(&["-screen", "0", "1920x1080x24", "-extension", "MIT-SHM"]), WITHOUT_SHM),
    ("sixteen", Some(&["-screen", "0", "640x480x16"]), SIXTEEN_BITS),
    ("none", None, NO_SERVER),
];

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(INSIDE) {
        let tests = RUNS.iter().find(|run| run.0 == name).map_or(&[][..], |run| run.2);
        return sentences::run("screen capture", tests);
    }
    let count: usize = RUNS.iter().map(|run| run.2.len()).sum();
    if Command::new("Xvfb").arg("-help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        println!("screen capture: skipped {count} tests, Xvfb is not installed");
        return ExitCode::SUCCESS;
    }
    let this = std::env::current_exe().expect("a running program has a path");
    let passed = RUNS.iter().filter(|(name, arguments, _)| {
        let server = arguments.map(|arguments| XServer::start(arguments).expect("Xvfb is installed"));
        let display = server.as_ref().map_or(":4711".to_owned(), |server| server.display.clone());
        let run = Command::new(&this)
            .env(INSIDE, name)
            .env("DISPLAY", display)
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("XAUTHORITY")
            .status();
        run.expect("this program can be run again").success()
    });
    if passed.count() == RUNS.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

const RED: u32 = 0xff_0000;
const GREEN: u32 = 0x00_ff00;
const BLUE: u32 = 0x00_00ff;
const WHITE: u32 = 0xff_ffff;

/// Luma of the colours above in BT.601, limited range.
fn luma(colour: u32) -> u8 {
    match colour {
        RED => 81,
        GREEN => 145,
        BLUE => 41,
        _ => 235,
    }
}

/// A share with what it told.
struct Share {
    source: Box<dyn VideoSource>,
    events: Receiver<ScreenEvent>,
}

impl Share {
    fn open(target: &ScreenTarget) -> Result<Self, DeviceError> {
        let (tell, events) = sync_channel(16);
        let events_to = Arc::new(move |event| drop(tell.try_send(event)));
        let stop = CancellationToken::new();
        Ok(Self { source: open(target, ShareMode::Text, None, &stop, Veil::default(), events_to)?, events })
    }

    /// The next picture that looks as wanted.
    fn until(&mut self, what: &str, wanted: impl Fn(&VideoFrame) -> bool) -> VideoFrame {
        let deadline = clock::now() + Duration::from_secs(10);
        let mut others = 0;
        while clock::now() < deadline {
            let frame = self.source.next_frame(Duration::from_millis(100)).expect("it goes on");
            match frame {
                Some(frame) if wanted(&frame) => return frame,
                Some(_) => others += 1,
                None => {}
            }
        }
        panic!("{what}: no such picture came, only {others} others");
    }

    fn first(&mut self) -> VideoFrame {
        self.until("the first", |_| true)
    }

    /// Goes on until the share says something.
    fn event(&mut self) -> ScreenEvent {
        let deadline = clock::now() + Duration::from_secs(10);
        while clock::now() < deadline {
            self.source.next_frame(Duration::from_millis(50)).expect("it goes on");
            if let Ok(event) = self.events.try_recv() {
                return event;
            }
        }
        panic!("nothing was told");
    }

    fn end(&mut self) -> DeviceError {
        let deadline = clock::now() + Duration::from_secs(10);
        while clock::now() < deadline {
            if let Err(error) = self.source.next_frame(Duration::from_millis(50)) {
                return error;
            }
        }
        panic!("it does not end");
    }

    /// Lets everything that is still to come pass.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 3 {
            let frame = self.source.next_frame(Duration::from_millis(100)).expect("it goes on");
            quiet = if frame.is_none() { quiet + 1 } else { 0 };
        }
    }
}

fn at(frame: &VideoFrame, x: usize, y: usize) -> u8 {
    frame.y()[y * frame.y_stride() + x]
}

fn shows(frame: &VideoFrame, x: usize, y: usize, colour: u32) -> bool {
    at(frame, x, y).abs_diff(luma(colour)) <= 3
}

fn list() -> Vec<Listed> {
    match targets().unwrap() {
        Targets::List(list) => list,
        Targets::Portal => panic!("this is not Wayland"),
    }
}

fn window_target(id: Window) -> ScreenTarget {
    ScreenTarget::Window { id, title: "Letters".to_owned() }
}

fn everything_is_listed() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", GREEN, (300, 200, 400, 300));
    let listed = list();
    let monitor = &listed[0];
    assert!(matches!(monitor.target, ScreenTarget::Monitor(_)), "{listed:?}");
    assert_eq!(monitor.resolution, Resolution::new(1920, 1080));
    let thumbnail = monitor.thumbnail.as_ref().unwrap();
    assert_eq!(thumbnail.resolution(), Resolution::new(320, 180));
    assert!(shows(thumbnail, 80, 55, GREEN) && shows(thumbnail, 10, 10, BLUE));
    let found = listed.iter().find(|listed| listed.target == window_target(window)).expect("it is listed");
    assert_eq!((found.name.as_str(), found.resolution), ("Letters", Resolution::new(400, 300)));
    assert!(shows(found.thumbnail.as_ref().unwrap(), 100, 80, GREEN));
    desktop.monitor("LEFT", 0, 960);
    desktop.monitor("RIGHT", 960, 960);
    let names: Vec<String> = list().into_iter().map(|listed| listed.name).collect();
    assert_eq!(names[..2], ["LEFT", "RIGHT"]);
    assert_eq!(find("monitor:2").unwrap(), ScreenTarget::Monitor("RIGHT".to_owned()));
    assert_eq!(find("window:ette").unwrap(), window_target(window));
    desktop.unplug("RIGHT");
    desktop.unplug("LEFT");
    desktop.close(window);
}

fn monitor_is_captured() {
    let desktop = Desktop::new(BLUE);
    desktop.monitor("LEFT", 0, 960);
    desktop.monitor("RIGHT", 960, 960);
    let window = desktop.window("Letters", RED, (1000, 100, 200, 200));
    let began = clock::now();
    let mut share = Share::open(&ScreenTarget::Monitor("RIGHT".to_owned())).unwrap();
    let frame = share.first();
    println!("    first picture of a monitor after {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    assert_eq!(frame.resolution(), Resolution::new(960, 1080));
    assert!(shows(&frame, 50, 110, RED) && shows(&frame, 30, 110, BLUE) && shows(&frame, 250, 110, BLUE));
    desktop.close(window);
    desktop.unplug("RIGHT");
    desktop.unplug("LEFT");
}

fn region_is_captured() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", RED, (100, 100, 51, 51));
    let mut share = Share::open(&ScreenTarget::Region(Rect::new(91, 93, 101, 77))).unwrap();
    let frame = share.first();
    assert_eq!(frame.resolution(), Resolution::new(101, 77));
    assert!(shows(&frame, 9, 7, RED) && shows(&frame, 59, 57, RED));
    assert!(shows(&frame, 8, 7, BLUE) && shows(&frame, 60, 57, BLUE) && shows(&frame, 100, 76, BLUE));
    desktop.paint(desktop.root, WHITE, (190, 168, 9, 9));
    let frame = share.until("the corner", |frame| shows(frame, 100, 76, WHITE));
    assert!(shows(&frame, 98, 74, BLUE) && shows(&frame, 99, 75, WHITE));
    desktop.close(window);
}

/// CPU time that this thread has used.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn nothing_changes() {
    let _desktop = Desktop::new(BLUE);
    let mut share = Share::open(&find("monitor").unwrap()).unwrap();
    share.first();
    share.settle();
    let (began, cpu) = (clock::now(), cpu_time());
    let mut frames = 0;
    while began.elapsed() < Duration::from_secs(2) {
        frames += u32::from(share.source.next_frame(Duration::from_millis(200)).unwrap().is_some());
    }
    let share = (cpu_time() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    println!("    an unchanged monitor takes {:.2} % of a core", share * 100.0);
    assert_eq!(frames, 0);
}

fn change_is_seen() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", GREEN, (300, 200, 400, 300));
    let mut share = Share::open(&find("monitor").unwrap()).unwrap();
    let before = share.first();
    share.settle();
    desktop.paint(window, WHITE, (10, 20, 7, 5));
    let after = share.until("the change", |frame| shows(frame, 312, 222, WHITE));
    let differ: Vec<usize> = (0..before.y().len()).filter(|n| before.y()[*n] != after.y()[*n]).collect();
    assert_eq!(differ.len(), 7 * 5);
    assert_eq!((differ[0] % 1920, differ[0] / 1920), (310, 220));
    desktop.close(window);
}

fn cursor_is_drawn() {
    let desktop = Desktop::new(BLUE);
    let (pixmap, gc, cursor) = (
        desktop.conn.generate_id().unwrap(),
        desktop.conn.generate_id().unwrap(),
        desktop.conn.generate_id().unwrap(),
    );
    desktop.conn.create_pixmap(1, pixmap, desktop.root, 16, 16).unwrap();
    desktop.conn.create_gc(gc, pixmap, &CreateGCAux::new().foreground(1)).unwrap();
    let all = Rectangle { x: 0, y: 0, width: 16, height: 16 };
    desktop.conn.poly_fill_rectangle(pixmap, gc, &[all]).unwrap();
    desktop.conn.create_cursor(cursor, pixmap, pixmap, 0xffff, 0xffff, 0xffff, 0, 0, 0, 4, 4).unwrap();
    let look = ChangeWindowAttributesAux::new().cursor(cursor);
    desktop.conn.change_window_attributes(desktop.root, &look).unwrap();
    desktop.sync();
    let mut share = Share::open(&find("monitor").unwrap()).unwrap();
    let before = share.first();
    for (x, y) in [(500, 400), (501, 403), (0, 0), (1919, 1079)] {
        desktop.warp(x, y);
        let (px, py) = (x as usize, y as usize);
        let frame = share.until(&format!("the cursor at {x},{y}"), |frame| shows(frame, px, py, WHITE));
        let white = frame.y().iter().filter(|y| **y > 200).count();
        let cut = |at: usize, end: usize| (at + 12).min(end) - at.saturating_sub(4);
        assert_eq!(white, cut(px, 1920) * cut(py, 1080), "at {x},{y}");
    }
    desktop.warp(1900, 1070);
    let after = share.until("the old place", |frame| shows(frame, 1900, 1070, WHITE));
    assert_eq!(before.y(), after.y(), "it left no trace");
    let look = ChangeWindowAttributesAux::new().cursor(x11rb::NONE);
    desktop.conn.change_window_attributes(desktop.root, &look).unwrap();
    desktop.sync();
}

fn window_is_covered_and_moved() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", GREEN, (300, 200, 401, 301));
    let mut share = Share::open(&window_target(window)).unwrap();
    let frame = share.first();
    assert_eq!(frame.resolution(), Resolution::new(401, 301));
    let cover = desktop.window("Cover", RED, (0, 0, 1920, 1080));
    desktop.paint(window, WHITE, (100, 100, 50, 50));
    let frame = share.until("what is covered", |frame| shows(frame, 120, 120, WHITE));
    assert!(shows(&frame, 0, 0, GREEN) && shows(&frame, 400, 300, GREEN));
    desktop.configure(window, &ConfigureWindowAux::new().x(-350).y(1000));
    desktop.paint(window, BLUE, (0, 0, 20, 20));
    let frame = share.until("what is outside the screen", |frame| shows(frame, 10, 10, BLUE));
    assert!(shows(&frame, 120, 120, WHITE) && shows(&frame, 390, 290, GREEN));
    desktop.configure(window, &ConfigureWindowAux::new().stack_mode(StackMode::ABOVE));
    desktop.close(cover);
    desktop.close(window);
}

fn window_is_resized() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", GREEN, (300, 200, 400, 300));
    let mut share = Share::open(&window_target(window)).unwrap();
    share.first();
    for (width, height) in [(633, 411), (200, 100), (1700, 900)] {
        desktop.configure(window, &ConfigureWindowAux::new().width(width).height(height));
        assert_eq!(share.event(), ScreenEvent::Resized(Resolution::new(width, height)));
        desktop.paint(window, RED, (width as i16 - 10, height as i16 - 10, 10, 10));
        let corner = (width as usize - 2, height as usize - 2);
        let frame = share.until(&format!("{width}x{height}"), |frame| {
            frame.resolution() == Resolution::new(width, height) && shows(frame, corner.0, corner.1, RED)
        });
        assert!(shows(&frame, 20, 20, GREEN));
    }
    desktop.close(window);
}

fn window_is_minimised() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", GREEN, (300, 200, 400, 300));
    let mut share = Share::open(&window_target(window)).unwrap();
    share.first();
    desktop.conn.unmap_window(window).unwrap();
    desktop.sync();
    assert_eq!(share.event(), ScreenEvent::Minimised);
    assert!(share.source.next_frame(Duration::from_millis(300)).unwrap().is_none());
    desktop.conn.map_window(window).unwrap();
    desktop.sync();
    assert_eq!(share.event(), ScreenEvent::Restored);
    desktop.paint(window, RED, (0, 0, 50, 50));
    share.until("the window again", |frame| shows(frame, 20, 20, RED) && shows(frame, 200, 200, GREEN));
    desktop.close(window);
}

fn window_was_minimised() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", GREEN, (300, 200, 400, 300));
    desktop.conn.unmap_window(window).unwrap();
    desktop.sync();
    let mut share = Share::open(&window_target(window)).unwrap();
    assert_eq!(share.source.format().0, Resolution::new(400, 300));
    assert_eq!(share.event(), ScreenEvent::Minimised);
    desktop.conn.map_window(window).unwrap();
    desktop.sync();
    assert_eq!(share.event(), ScreenEvent::Restored);
    desktop.paint(window, RED, (0, 0, 50, 50));
    share.until("the window", |frame| shows(frame, 20, 20, RED) && shows(frame, 200, 200, GREEN));
    desktop.close(window);
}

fn window_is_closed() {
    let desktop = Desktop::new(BLUE);
    let window = desktop.window("Letters", GREEN, (300, 200, 400, 300));
    let mut share = Share::open(&window_target(window)).unwrap();
    share.first();
    desktop.close(window);
    let end = share.end();
    assert_eq!(end, DeviceError::Closed("The window \"Letters\"".to_owned()));
    assert_eq!(end.to_string(), "The window \"Letters\" was closed");
}

fn monitor_is_unplugged() {
    let desktop = Desktop::new(BLUE);
    desktop.monitor("LEFT", 0, 960);
    desktop.monitor("RIGHT", 960, 960);
    let mut share = Share::open(&ScreenTarget::Monitor("RIGHT".to_owned())).unwrap();
    share.first();
    desktop.unplug("RIGHT");
    assert_eq!(share.end().to_string(), "The monitor RIGHT was unplugged");
    desktop.unplug("LEFT");
}

fn missing_targets() {
    let _desktop = Desktop::new(BLUE);
    for target in [
        window_target(0xdead),
        ScreenTarget::Monitor("DP-9".to_owned()),
        ScreenTarget::Region(Rect::new(5000, 0, 10, 10)),
    ] {
        let error = Share::open(&target).err();
        assert!(matches!(error, Some(DeviceError::NotFound(_))), "{target:?}: {error:?}");
    }
    for text in ["monitor:9", "monitor:x", "window:no such title", "region:1,2", "cinema", ""] {
        assert!(matches!(find(text), Err(DeviceError::NotFound(_))), "{text}");
    }
}

fn depth_is_refused() {
    let error = Share::open(&find("monitor").unwrap()).err().unwrap();
    assert!(error.to_string().contains("16 bits"), "{error}");
}

fn no_server() {
    let error = targets().err().unwrap();
    assert!(error.to_string().contains("no X server"), "{error}");
}
