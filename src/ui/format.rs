//! Numbers as people read them.

use std::time::Duration;

use super::words::Word;
use crate::engine::view::Quality;

/// `4:05` or `1:02:03`: a clock that runs.
pub fn clock(duration: Duration) -> String {
    let (hours, minutes, seconds) = split(duration);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `24 min 18 s`: a length that is over.
pub fn length(duration: Duration) -> String {
    match split(duration) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

fn split(duration: Duration) -> (u64, u64, u64) {
    let seconds = duration.as_secs();
    (seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// `43 ms`.
pub fn milliseconds(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1e3)
}

/// `0.4 %`; what is not a number between nothing and everything is shown as its nearest end.
pub fn share(share: f32) -> String {
    let percent = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    format!("{percent:.1} %")
}

/// `3.4 MB`, in powers of ten as file managers count.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if size < 999.95 {
            let decimals = if unit == "bytes" || size >= 99.95 { 0 } else { 1 };
            return format!("{size:.decimals$} {unit}");
        }
        size /= 1e3;
    }
    format!("{size:.1} TB")
}

/// How often.
pub fn times(count: u32) -> String {
    match count {
        0 => Word::Never.text().to_owned(),
        1 => Word::Once.text().to_owned(),
        more => Word::Times.with(&more.to_string()),
    }
}

/// Up to two letters that stand for a name where there is no picture.
pub fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    let last = words.next_back();
    first.into_iter().chain(last).flat_map(char::to_uppercase).collect()
}

/// A call in two words. Ours: ITU-T G.114 calls 150 ms one way good; 3 % loss is where speech
/// begins to suffer with in-band FEC; a second of stillness is seen by everybody.
pub fn verdict(quality: &Quality) -> Word {
    let round_trip = quality.round_trip.unwrap_or_default();
    let worse_than = |loss: f32, round_trip_ms: u64, frozen_s: u64, reconnects: u32| {
        quality.loss > loss
            || round_trip > Duration::from_millis(round_trip_ms)
            || quality.frozen > Duration::from_secs(frozen_s)
            || quality.reconnects > reconnects
    };
    if worse_than(0.08, 600, 30, 3) {
        Word::Poor
    } else if worse_than(0.03, 300, 5, 1) {
        Word::Fair
    } else if worse_than(0.01, 150, 1, 0) {
        Word::Good
    } else {
        Word::VeryGood
    }
}

/// The connection right now, from its bars.
pub fn bars(bars: u8) -> Word {
    match bars {
        0 => Word::NoConnection,
        1 => Word::Poor,
        2 => Word::Fair,
        3 => Word::Good,
        4.. => Word::VeryGood,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_on_a_clock() {
        assert_eq!(clock(Duration::from_secs(1458)), "24:18");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
        assert_eq!(length(Duration::from_secs(59)), "59 s");
        assert_eq!(length(Duration::from_secs(1458)), "24 min 18 s");
        assert_eq!(length(Duration::from_secs(7300)), "2 h 1 min");
    }

    #[test]
    fn strange_shares_are_shown_all_the_same() {
        assert_eq!(share(0.004), "0.4 %");
        assert_eq!(share(f32::NAN), "0.0 %");
        assert_eq!(share(7.0), "100.0 %");
    }

    #[test]
    fn initials_come_from_the_first_and_the_last_name() {
        assert_eq!(initials("Ana María López"), "AL");
        assert_eq!(initials(" élodie "), "É");
        assert_eq!(initials("(…)"), "");
    }

    #[test]
    fn a_call_is_as_good_as_its_worst_side() {
        let good = Quality {
            loss: 0.0,
            round_trip: Some(Duration::from_millis(20)),
            frozen: Duration::ZERO,
            reconnects: 0,
        };
        assert_eq!(verdict(&good), Word::VeryGood);
        assert_eq!(verdict(&Quality { loss: 0.05, ..good.clone() }), Word::Fair);
        assert_eq!(verdict(&Quality { frozen: Duration::from_secs(40), ..good }), Word::Poor);
    }
}
