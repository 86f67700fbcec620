//! Names of strangers' files, made safe for every system's disk.

use crate::chat::text;

/// Bytes that a name may have, with room for a number: most file systems take 255.
const LONGEST: usize = 200;

/// What an extension may have of them.
const LONGEST_EXTENSION: usize = 16;

/// A name without a path, hidden characters, or a meaning for any system.
pub fn safe(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let harmless = text::harmless(last);
    let plain = harmless.chars().map(|c| match c {
        '\n' => ' ',
        c if c.is_control() || "<>:\"|?*".contains(c) => '_',
        c => c,
    });
    // Windows drops dots and spaces at the end, and then the name is another one.
    let ended = |name: &str| name.trim_end_matches(['.', ' ']).to_owned();
    let mut safe = ended(&shorten(ended(&plain.collect::<String>())));
    if safe.starts_with('.') {
        safe.replace_range(..1, "_");
    }
    if safe.is_empty() {
        safe.push_str("file");
    }
    if is_reserved(&safe) {
        safe.insert(0, '_');
    }
    safe
}

/// What Windows takes for a device, whatever the extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" | "CLOCK$" => true,
        stem => {
            let number = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
            number.is_some_and(|number| {
                let mut rest = number.chars();
                rest.next().is_some_and(|c| c.is_ascii_digit() || "\u{b9}\u{b2}\u{b3}".contains(c))
                    && rest.next().is_none()
            })
        }
    }
}

/// Stem and extension, the dot with the extension.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= LONGEST_EXTENSION => name.split_at(at),
        Some(_) | None => (name, ""),
    }
}

fn shorten(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let (stem, extension) = split(&name);
    let end = stem.floor_char_boundary(LONGEST - extension.len());
    format!("{}{extension}", &stem[..end])
}

/// The name for the `n`th file that would have the same, from 1 on: "name (2).ext".
pub fn numbered(name: &str, n: u32) -> String {
    let (stem, extension) = split(name);
    if n <= 1 { name.to_owned() } else { format!("{stem} ({n}){extension}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dangerous_names_become_plain_ones() {
        for (name, wanted) in [
            ("report.pdf", "report.pdf"),
            ("../../x", "x"),
            ("/etc/passwd", "passwd"),
            ("C:\\Windows\\system.ini", "system.ini"),
            ("..", "file"),
            ("", "file"),
            ("a/", "file"),
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("LPT1.", "_LPT1"),
            ("COM\u{b9}.x", "_COM\u{b9}.x"),
            ("console.log", "console.log"),
            (".bashrc", "_bashrc"),
            ("a<b>:c?.txt", "a_b__c_.txt"),
            ("photo\u{202e}gpj.exe", "photo[U+202E]gpj.exe"),
            ("name. . ", "name"),
            ("two\nlines.txt", "two lines.txt"),
            ("wait\u{2026}.txt", "wait\u{2026}.txt"),
        ] {
            assert_eq!(safe(name), wanted, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        let name = safe(&format!("{}.tar", "\u{e9}".repeat(150)));
        assert!(name.len() <= LONGEST && name.ends_with("\u{e9}.tar"), "{name}");
        assert_eq!(safe(&format!("{}.pdf", "x".repeat(220))), format!("{}.pdf", "x".repeat(196)));
        let cut_at_a_dot = format!("{}. {}", "x".repeat(198), "y".repeat(90));
        assert_eq!(safe(&cut_at_a_dot), "x".repeat(198));
    }

    #[test]
    fn the_number_stands_before_the_extension() {
        assert_eq!(numbered("a.txt", 1), "a.txt");
        assert_eq!(numbered("a.txt", 2), "a (2).txt");
        assert_eq!(numbered("a", 3), "a (3)");
    }

    proptest! {
        #[test]
        fn every_name_becomes_one_that_any_disk_takes(name in any::<String>()) {
            let safe = safe(&name);
            prop_assert!(!safe.is_empty() && safe.len() <= LONGEST + 1);
            prop_assert!(!safe.contains(['/', '\\', ':', '\0', '\n']) && !safe.starts_with('.'));
            prop_assert!(!safe.ends_with(['.', ' ']) && !is_reserved(&safe), "{safe:?}");
            prop_assert_eq!(std::path::Path::new(&safe).components().count(), 1);
        }
    }
}
