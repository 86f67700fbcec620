//! The pointer through the whole path: one process points, and on the real X server of the other, which
//! shares its screen, the mark is seen in the right place, for as long as it may, and in nobody's
//! captured picture.
//!
//! Has its own `main`, as `screen_capture.rs`: the first run starts the X server and runs this program
//! again inside.
#![allow(clippy::unwrap_used, reason = "in a test a refusal of the X server is a failure")]

#[path = "support/desktop.rs"]
#[allow(dead_code, reason = "another test paints")]
mod desktop;
#[allow(dead_code, reason = "these tests look at little of a call")]
mod support;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use desktop::{Desktop, Pixel, XServer};
use serde_json::Value;
use sightline::clock;
use support::{Probe, Server, call, wait_for};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _};
use x11rb::protocol::xtest::ConnectionExt as _;

/// Set in the run inside.
const INSIDE: &str = "SIGHTLINE_TEST_POINTER";

/// What everything is painted with where no window is.
const GROUND: u32 = 0x20_3040;

type Test = (&'static str, fn(&Path));

const TESTS: &[Test] = &[
    ("a_pointer_is_seen_where_it_points_on_monitors_parts_and_windows", pointers_are_in_place),
    ("strokes_are_drawn_fade_and_let_clicks_through", strokes_fade),
    ("marks_are_in_no_captured_picture_and_cost_none", marks_are_not_captured),
    ("marks_follow_a_window_and_hide_with_it", marks_follow_a_window),
    ("who_switches_pointing_off_sees_nobody_point", pointing_is_switched_off),
    ("the_hand_is_seen_at_once", hand_is_fast),
];

fn main() -> ExitCode {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let Some(server) = XServer::start(desktop::SCREEN) else {
        println!("pointer: skipped {} tests, Xvfb is not installed", TESTS.len());
        return ExitCode::SUCCESS;
    };
    let run = Command::new(std::env::current_exe().expect("a running program has a path"))
        .args(std::env::args().skip(1))
        .env(INSIDE, "1")
        .env("DISPLAY", &server.display)
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("XAUTHORITY")
        .status();
    if run.expect("this program can be run again").success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn inside() -> ExitCode {
    let wanted = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in TESTS {
        if wanted.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str())) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let ok = std::panic::catch_unwind(|| test(folder.path())).is_ok();
        println!("test {name} ... {}", if ok { "ok" } else { "FAILED" });
        *(if ok { &mut passed } else { &mut failed }) += 1;
    }
    println!("pointer: {passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A call in which `callee` shares something and `caller` may point at it.
struct Pointing {
    caller: Probe,
    callee: Probe,
    _server: Server,
}

impl Pointing {
    fn begin(folder: &Path, what: &str) -> Self {
        let server = Server::start(folder);
        let flags = ["--video", "none", "--audio", "none", "--dump-ms", "100"];
        let (caller, callee) = call(folder, &server, &flags);
        wait_for("a connection", || connected(&caller).then_some(()));
        let mut pointing = Self { caller, callee, _server: server };
        pointing.share(what);
        // The channels open a round trip after the connection; each place is said again until it is seen.
        pointing.point(0.5, 0.5);
        caller_sees_nothing_more(&mut pointing);
        pointing
    }

    /// Shares something (else), and waits until it is seen.
    fn share(&mut self, what: &str) {
        let count = |probe: &Probe| {
            let shown = |event: &Value| event["ev"] == "share" && event["state"] == "shown";
            probe.events().into_iter().filter(shown).count()
        };
        let before = count(&self.caller);
        self.callee.say("unshare");
        self.callee.say(&format!("share {what}"));
        wait_for("the shared screen", || (count(&self.caller) > before).then_some(()));
    }

    /// Points there, and waits until the other side knows.
    fn point(&mut self, x: f64, y: f64) {
        let near = |at: &Value, share: f64| at.as_f64().is_some_and(|at| (at - share).abs() < 1e-3);
        let mut said = 0;
        wait_for("the pointer at the other side", || {
            if said % 10 == 0 {
                self.caller.say(&format!("point {x},{}", y + 1e-5 * f64::from(said % 20 / 10)));
            }
            said += 1;
            let last = pointers(&self.callee).pop()?;
            (near(&last["at"][0], x) && near(&last["at"][1], y)).then_some(())
        });
    }
}

fn connected(probe: &Probe) -> bool {
    probe.events().iter().any(|event| event["ev"] == "connection" && event["state"] == "connected")
}

/// Beside the picture, so that the next place is news.
fn caller_sees_nothing_more(pointing: &mut Pointing) {
    pointing.caller.say("point off");
    wait_for("nothing pointed at", || {
        pointers(&pointing.callee).pop().filter(|last| last["at"].is_null()).map(drop)
    });
}

fn pointers(probe: &Probe) -> Vec<Value> {
    probe.events().into_iter().filter(|event| event["ev"] == "pointer").collect()
}

/// Whether a pixel is of a mark: neither the ground nor white nor the windows' green.
fn ink(pixel: Pixel) -> bool {
    let ground = GROUND.to_be_bytes();
    pixel != [ground[1], ground[2], ground[3]] && pixel != [0xff; 3] && pixel != [0, 0x80, 0]
}

/// The tip of the arrow that is seen: it points to the upper left.
fn tip(desktop: &Desktop) -> Option<(i32, i32)> {
    let [left, _, top, _] = desktop.look((0, 0, 1920, 1080)).bounds(ink)?;
    Some((left, top))
}

/// Waits until the tip of the arrow is within two pixels of a place; how far it is from it.
fn tip_at(desktop: &Desktop, x: f64, y: f64) -> f64 {
    let mut error = f64::MAX;
    wait_for(&format!("tip at {x}, {y}"), || {
        let (left, top) = tip(desktop)?;
        // The first pixel of the ink is the one that begins at the tip, or the next.
        error = (f64::from(left) - x).abs().max((f64::from(top) - y).abs());
        (error <= 2.0).then_some(())
    });
    error
}

fn pointers_are_in_place(folder: &Path) {
    let desktop = Desktop::new(GROUND);
    desktop.monitor("LEFT", 0, 960);
    desktop.monitor("RIGHT", 960, 960);
    let window = desktop.window("Letters", 0x00_8000, (311, 203, 801, 555));
    let mut pointing = Pointing::begin(folder, "monitor:2");
    let subjects = [
        ("monitor:1", (0.0, 0.0, 960.0, 1080.0)),
        ("monitor:2", (960.0, 0.0, 960.0, 1080.0)),
        ("region:101,53,1001x701", (101.0, 53.0, 1001.0, 701.0)),
        ("window:Letters", (311.0, 203.0, 801.0, 555.0)),
    ];
    let mut errors = Vec::new();
    for (what, (left, top, width, height)) in subjects {
        pointing.share(what);
        for (x, y) in [(0.1, 0.1), (0.5, 0.25), (0.331, 0.777), (0.75, 0.6)] {
            pointing.point(x, y);
            errors.push(tip_at(&desktop, left + x * width, top + y * height));
        }
    }
    let worst = errors.iter().copied().fold(0.0, f64::max);
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    println!(
        "position error on the sharer's screen, {} places: mean {mean:.2}, most {worst:.2} pixels",
        errors.len()
    );
    desktop.unplug("RIGHT");
    desktop.unplug("LEFT");
    desktop.close(window);
}

fn strokes_fade(folder: &Path) {
    let desktop = Desktop::new(GROUND);
    let window = desktop.window("Under", 0x00_8000, (400, 300, 1000, 600));
    let mut pointing = Pointing::begin(folder, "monitor");
    // From a quarter to 55 hundredths of 1920, in the middle of 1080, as thick as a stroke is.
    let expected = [478, 1057, 538, 541];
    let whole = || {
        let bounds = desktop.look((0, 0, 1920, 1080)).bounds(ink);
        bounds.is_some_and(|bounds| bounds.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2))
    };
    // On a busy computer its beginning may have faded before it is looked at: then it is drawn again.
    let drawn = wait_for("the stroke in its place", || {
        for n in 0..=30 {
            pointing.caller.say(&format!("draw {},0.5", 0.25 + f64::from(n) / 100.0));
            std::thread::sleep(Duration::from_millis(17));
        }
        pointing.caller.say("point off");
        let drawn = clock::now();
        while clock::now() - drawn < Duration::from_secs(3) {
            if whole() {
                return Some(drawn);
            }
        }
        None
    });

    // A press on the stroke reaches the window below.
    desktop.warp(700, 540);
    for kind in [4, 5] {
        desktop.conn.xtest_fake_input(kind, 1, 0, desktop.root, 0, 0, 0).unwrap();
    }
    desktop.sync();
    wait_for("the click", || match desktop.conn.poll_for_event().unwrap() {
        Some(Event::ButtonPress(press)) if press.event == window => Some(()),
        _ => None,
    });
    desktop.warp(1900, 1070);

    wait_for("nothing more", || desktop.look((0, 0, 1920, 1080)).bounds(ink).is_none().then_some(()));
    let stayed = clock::now() - drawn;
    println!("a stroke was seen for {stayed:.1?}");
    assert!(stayed > Duration::from_secs(3), "{stayed:?}");
    desktop.close(window);
}

fn marks_are_not_captured(folder: &Path) {
    let desktop = Desktop::new(GROUND);
    let mut pointing = Pointing::begin(folder, "monitor");
    std::thread::sleep(Duration::from_secs(2));
    let before = pointing.callee.frames("cap-share.log").len();
    let (processor, _) = pointing.callee.processor_time("");
    for n in 0..120 {
        pointing.caller.say(&format!(
            "draw {},{}",
            0.2 + f64::from(n) / 240.0,
            0.3 + f64::from(n % 40) / 200.0
        ));
        std::thread::sleep(Duration::from_millis(17));
    }
    assert!(desktop.look((0, 0, 1920, 1080)).bounds(ink).is_some());
    let processor = (pointing.callee.processor_time("").0 - processor) / (120.0 * 0.017);
    // Until everything has faded, and a little longer.
    std::thread::sleep(Duration::from_secs(6));
    let more = pointing.callee.frames("cap-share.log").len() - before;
    println!(
        "two seconds of drawing: {more} pictures captured, {:.0} % of a core at the sharer",
        processor * 100.0
    );
    assert_eq!(more, 0, "pictures of marks");
    // What changes under a stroke is seen when it is gone.
    pointing.caller.say("draw 0.5,0.5");
    std::thread::sleep(Duration::from_millis(500));
    let window = desktop.window("Later", 0x00_8000, (800, 400, 400, 300));
    wait_for("a picture", || (pointing.callee.frames("cap-share.log").len() > before).then_some(()));
    wait_for("the new window in the viewer's picture", || {
        newest_dump(&pointing.caller).filter(|luma| is_green(luma)).map(drop)
    });
    desktop.close(window);
}

/// The luma of the newest dumped picture of the shared screen.
fn newest_dump(probe: &Probe) -> Option<Vec<u8>> {
    let entries = std::fs::read_dir(probe.out.join("frames")).ok()?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let newest = names.filter(|name| name.starts_with("share_")).max()?;
    let picture = std::fs::read(probe.out.join("frames").join(&newest)).ok()?;
    (picture.len() == 1920 * 1080 * 3 / 2).then(|| picture[..1920 * 1080].to_vec())
}

/// Whether the window that came under a stroke is whole in the picture, also where the stroke was.
fn is_green(luma: &[u8]) -> bool {
    // Green of half brightness in BT.601, limited range.
    let green = |x: usize, y: usize| luma[y * 1920 + x].abs_diff(81) < 8;
    (810..1190).step_by(3).all(|x| green(x, 540)) && (410..690).step_by(3).all(|y| green(960, y))
}

fn marks_follow_a_window(folder: &Path) {
    let desktop = Desktop::new(GROUND);
    let window = desktop.window("Letters", 0x00_8000, (100, 100, 600, 400));
    let mut pointing = Pointing::begin(folder, "window:Letters");
    pointing.point(0.5, 0.5);
    tip_at(&desktop, 400.0, 300.0);
    let moved = clock::now();
    desktop.configure(window, &ConfigureWindowAux::new().x(900).y(400));
    tip_at(&desktop, 1200.0, 600.0);
    println!("a mark follows a window within {:.0?}", clock::now() - moved);
    desktop.conn.unmap_window(window).unwrap();
    desktop.sync();
    wait_for("nothing", || tip(&desktop).is_none().then_some(()));
    desktop.conn.map_window(window).unwrap();
    desktop.sync();
    pointing.point(0.25, 0.25);
    tip_at(&desktop, 1050.0, 500.0);
    // What covers the window covers the marks on it.
    let above = desktop.window("Above", 0x00_8000, (850, 350, 700, 500));
    wait_for("nothing", || tip(&desktop).is_none().then_some(()));
    for window in [above, window] {
        desktop.conn.destroy_window(window).unwrap();
    }
    desktop.sync();
}

fn pointing_is_switched_off(folder: &Path) {
    let desktop = Desktop::new(GROUND);
    let mut pointing = Pointing::begin(folder, "monitor");
    pointing.point(0.5, 0.5);
    tip_at(&desktop, 960.0, 540.0);
    pointing.callee.say("pointing off");
    wait_for("nothing", || tip(&desktop).is_none().then_some(()));
    let before = pointers(&pointing.callee).len();
    for n in 0..20 {
        pointing.caller.say(&format!("draw 0.{n:02},0.4"));
        std::thread::sleep(Duration::from_millis(20));
    }
    pointing.caller.say("point off");
    // What is written after the strokes comes after them.
    pointing.caller.say("chat drawn");
    wait_for("what was written", || {
        pointing.callee.events().into_iter().find(|event| event["ev"] == "chat" && event["text"] == "drawn")
    });
    assert!(tip(&desktop).is_none());
    assert_eq!(pointers(&pointing.callee).len(), before);
    pointing.callee.say("pointing on");
    pointing.point(0.25, 0.5);
    tip_at(&desktop, 480.0, 540.0);
}

fn hand_is_fast(folder: &Path) {
    let desktop = Desktop::new(GROUND);
    let mut pointing = Pointing::begin(folder, "monitor");
    let mut delays = Vec::new();
    for n in 0..60_i16 {
        // Always another place, of which only the surroundings are looked at.
        let x = 100 + n * 25;
        pointing.caller.say(&format!("point {},0.5", (f64::from(x) + 0.5) / 1920.0));
        let begun = clock::now();
        while desktop.look((x, 540, 6, 10)).bounds(ink).is_none() {
            assert!(clock::now() - begun < Duration::from_secs(10), "nothing at {x}");
        }
        delays.push(clock::now() - begun);
        std::thread::sleep(Duration::from_millis(40));
    }
    delays.sort();
    let p95 = delays[delays.len() * 95 / 100];
    println!(
        "from the hand to the sharer's screen, {} places: median {:.1?}, p95 {p95:.1?}, most {:.1?}",
        delays.len(),
        delays[delays.len() / 2],
        delays[delays.len() - 1]
    );
}
