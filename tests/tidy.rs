//! The borders between the modules, as `docs/architecture.md` draws them, kept by reading the source.

use std::fs;
use std::path::Path;

/// One border: what must not be written, where it may be all the same, and why.
struct Border {
    /// Whether this line of code, freed of comments and texts, crosses it.
    crosses: fn(&str) -> bool,
    /// Paths that begin with one of these may.
    inside: &'static [&'static str],
    why: &'static str,
}

const BORDERS: &[Border] = &[
    Border {
        crosses: |code| names_crate(code, "webrtc") || names_crate(code, "rtc"),
        inside: &["src/rtc/webrtc"],
        why: "names the WebRTC engine outside src/rtc/webrtc",
    },
    Border {
        crosses: |code| ["egui", "eframe", "egui_glow"].iter().any(|name| names_crate(code, name)),
        inside: &["src/ui/"],
        why: "names the window toolkit outside src/ui",
    },
    Border {
        crosses: |code| {
            ["nokhwa", "cpal", "x11rb", "ashpd", "pipewire", "pulseaudio"]
                .iter()
                .any(|name| names_crate(code, name))
        },
        inside: &["src/media/"],
        why: "names a device library outside src/media",
    },
    Border {
        crosses: |code| code.contains("Instant::now") || code.contains("SystemTime::now"),
        inside: &["src/clock.rs", "signaling-server/src/clock.rs"],
        why: "asks for the time outside clock.rs",
    },
    Border {
        crosses: |code| words(code).any(|word| word == "unsafe"),
        inside: &["src/media/codec/vpx.rs", "src/media/source/screen/portal/buffer.rs", "src/ui/texture.rs"],
        why: "is unsafe outside of the files for libvpx, PipeWire's buffers and OpenGL",
    },
    Border {
        crosses: |code| code.contains("#[ignore"),
        inside: &[],
        why: "hides a test; a slow one belongs to ./test --all, one that cannot run says that it is skipped",
    },
];

/// What is wrong with one file, as lines for people.
fn faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.trim_start().starts_with("//!") {
        faults.push(format!("{path} does not open with //! (what it is for, what it does not know)"));
    }
    for (index, line) in text.lines().enumerate() {
        let code = code_of(line);
        for border in BORDERS {
            if (border.crosses)(&code) && !border.inside.iter().any(|inside| path.starts_with(inside)) {
                faults.push(format!("{path}:{} {}: {}", index + 1, border.why, line.trim()));
            }
        }
    }
    faults
}

/// A line without its comment and without what stands between quotation marks.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let mut in_text = false;
    let line = line.replace("'\"'", "");
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (in_text, c) {
            (true, '\\') => drop(chars.next()),
            (_, '"') => in_text = !in_text,
            (false, '/') if chars.peek() == Some(&'/') => break,
            (false, c) => code.push(c),
            (true, _) => {}
        }
    }
    code
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// Whether the line uses the crate `name`: at the beginning of a path, and not as a module of ours
/// (`crate::name`, `self::name`, `mod name`).
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].trim_end_matches("::");
        let is_absolute = before.len() + 2 == at && !before.ends_with(is_of_a_name);
        let is_first = before.len() == at && !before.ends_with(is_of_a_name);
        let rest = &code[at + name.len()..];
        let is_path = rest.starts_with("::");
        let is_import = before.trim_end().ends_with("use") && rest.starts_with([';', ' ']);
        (is_first || is_absolute) && (is_path || is_import)
    })
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn rust_files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folders of the repository can be read") {
        let path = entry.expect("the folders of the repository can be read").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.to_string_lossy().replace('\\', "/"));
        }
    }
}

#[test]
fn every_source_file_keeps_inside_its_borders() {
    std::env::set_current_dir(env!("CARGO_MANIFEST_DIR")).expect("the repository is there");
    let mut paths = Vec::new();
    for folder in ["src", "signaling-server/src", "signaling-server/protocol/src"] {
        rust_files(Path::new(folder), &mut paths);
    }
    assert!(paths.len() > 10, "looked in the wrong place: {paths:?}");
    let faults: Vec<String> = paths
        .iter()
        .flat_map(|path| faults(path, &fs::read_to_string(path).expect("sources are readable text")))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_crossed_border_is_seen() {
    let bad = [
        "use webrtc::peer_connection::RTCPeerConnection;",
        "let x = ::rtc::sdp::parse(text);",
        "    use rtc as engine;",
        "fn paint(ui: &mut egui::Ui) {}",
        "let list = nokhwa::query(backend);",
        "let began = std::time::Instant::now();",
        "unsafe { free(pointer) }",
        "#[ignore = \"slow\"]",
    ];
    for line in bad {
        let text = format!("//! A module.\n{line}\n");
        assert_eq!(faults("src/call/mod.rs", &text).len(), 1, "{line}");
    }
    assert_eq!(faults("src/call/mod.rs", "use std::fmt;\n").len(), 1, "no //!");
}

#[test]
fn what_only_looks_like_a_crossing_is_let_through() {
    let good = [
        "use crate::rtc::stats::PeerStats;",
        "self::webrtc::build()",
        "let filter = \"webrtc::ice=warn,egui::paint\";",
        "// egui::Ui would be the wrong place for it",
        "let kind = my_rtc::new();",
        "pub mod rtc;",
        "#![deny(unsafe_code)]",
    ];
    for line in good {
        let text = format!("//! A module.\n{line}\n");
        assert_eq!(faults("src/call/mod.rs", &text), Vec::<String>::new());
    }
}

#[test]
fn inside_its_own_border_a_name_is_welcome() {
    assert!(faults("src/rtc/webrtc/mod.rs", "//! x\nuse webrtc::Api;\n").is_empty());
    assert!(faults("src/clock.rs", "//! x\nInstant::now()\n").is_empty());
}
