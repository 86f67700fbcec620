//! Text of strangers, made harmless before anything shows or stores it.
//!
//! What has no shape of its own but changes how other characters appear (control characters,
//! direction overrides, invisible spaces) is written as its code point, so that a person sees that
//! there is something and nothing is shown other than it is.

use std::fmt::Write as _;

/// Empty lines in a row that are kept.
const EMPTY_LINES: u32 = 1;

/// Marks on one letter that are kept: no language has more.
const MARKS: u32 = 4;

/// Characters that are kept in all; code points in place of characters make a text longer.
const LONGEST: usize = 20_000;

/// One or more lines, without anything in them that is not seen.
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut breaks, mut marks, mut count) = (0, 0, 0);
    for c in text.trim().replace("\r\n", "\n").chars() {
        if count >= LONGEST {
            out.push('\u{2026}');
            break;
        }
        count += 1;
        breaks = if is_break(c) { breaks + 1 } else { 0 };
        marks = if is_mark(c) { marks + 1 } else { 0 };
        match c {
            _ if breaks > EMPTY_LINES + 1 || marks > MARKS => count -= 1,
            _ if breaks > 0 => out.push('\n'),
            '\t' => out.push(' '),
            _ if is_hidden(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
                count += 8;
            }
            _ => out.push(c),
        }
    }
    out
}

/// A harmless text on one line, at most so many characters: for names.
pub fn one_line(text: &str, most: usize) -> String {
    let line = harmless(text).replace('\n', " ");
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}\u{2026}", &line[..end]),
        None => line,
    }
}

const fn is_break(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Combining marks that stack without end.
const fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}')
}

/// Characters that are not seen. Joiners (U+200C, U+200D) and variation selectors stay: scripts and
/// emoji need them, and they change nothing but the shape of their neighbours.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["Hello, world!", "Grüße\nзавтра", "👩\u{200d}👩\u{200d}👧 שלום", "a\n\nb", "e\u{301}"]
        {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn what_is_not_seen_becomes_visible() {
        assert_eq!(harmless("a\u{202e}gpj.exe"), "a[U+202E]gpj.exe");
        assert_eq!(harmless("pay\u{200b}pal\u{7}"), "pay[U+200B]pal[U+0007]");
        assert_eq!(harmless("\u{feff}x\u{e0041}"), "[U+FEFF]x[U+E0041]");
        assert_eq!(harmless("\u{1b}[31mred"), "[U+001B][31mred");
    }

    #[test]
    fn floods_of_lines_and_marks_are_cut_short() {
        assert_eq!(harmless(&format!("a{}b", "\n".repeat(900))), "a\n\nb");
        assert_eq!(harmless("a\r\nb\u{2028}c\td"), "a\nb\nc d");
        assert_eq!(harmless(&format!("z{}", "\u{301}".repeat(50))), format!("z{}", "\u{301}".repeat(4)));
        assert!(harmless(&"x".repeat(100_000)).ends_with("x\u{2026}"));
    }

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(one_line(" Ada\nLovelace ", 40), "Ada Lovelace");
        assert_eq!(one_line("abcdef", 3), "abc\u{2026}");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_in_any_text(text in any::<String>()) {
            let text = harmless(&text);
            prop_assert!(text.chars().all(|c| c == '\n' || !is_hidden(c)));
            prop_assert!(text.chars().count() <= LONGEST + 10);
        }
    }
}
