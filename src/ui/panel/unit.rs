//! What a number on a plot or in a table is counted in, and how people read it. Pure.

/// The unit of a line of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bits per second.
    BitRate,
    /// Milliseconds.
    Milliseconds,
    /// A share of everything: 0.0 to 1.0.
    Share,
    /// Pictures a second.
    Pictures,
    /// Of a picture.
    Pixels,
    /// So many.
    Count,
    /// A level from silence (0.0) to the loudest (1.0).
    Level,
    /// The codec's quantizer: lower is finer.
    Quantizer,
}

impl Unit {
    /// A value with its unit; a dash for what is not a number.
    pub fn write(self, value: f64) -> String {
        if !value.is_finite() {
            return "\u{2013}".to_owned();
        }
        match self {
            Unit::BitRate => bit_rate(value),
            Unit::Milliseconds => milliseconds(value),
            Unit::Share => format!("{} %", short(value * 100.0)),
            Unit::Pictures => format!("{} fps", short(value)),
            Unit::Pixels => format!("{value:.0}"),
            Unit::Count | Unit::Quantizer => short(value),
            Unit::Level => format!("{value:.2}"),
        }
    }

    /// A value as short as it can be, for the numbers of an axis.
    pub fn tick(self, value: f64) -> String {
        match self {
            Unit::BitRate if value >= 1e6 => format!("{} M", short(value / 1e6)),
            Unit::BitRate if value >= 1e3 => format!("{} k", short(value / 1e3)),
            Unit::Milliseconds if value >= 10_000.0 => format!("{} s", short(value / 1e3)),
            Unit::Milliseconds if value > 0.0 => format!("{} ms", short(value)),
            Unit::Share if value > 0.0 => format!("{} %", short(value * 100.0)),
            Unit::BitRate
            | Unit::Milliseconds
            | Unit::Share
            | Unit::Pictures
            | Unit::Pixels
            | Unit::Count
            | Unit::Level
            | Unit::Quantizer => short(value),
        }
    }

    /// The least height of an axis, so that noise around nothing is not shown as mountains.
    pub const fn least_top(self) -> f64 {
        match self {
            Unit::BitRate => 10_000.0,
            Unit::Milliseconds => 10.0,
            Unit::Share => 0.01,
            Unit::Pictures => 10.0,
            Unit::Pixels => 100.0,
            Unit::Count => 2.0,
            Unit::Level => 0.1,
            Unit::Quantizer => 10.0,
        }
    }

    /// A round number that nothing up to `greatest` exceeds, for the top of an axis.
    pub fn top(self, greatest: f64) -> f64 {
        let wanted = if greatest.is_finite() { greatest.max(self.least_top()) } else { self.least_top() };
        let step = 10_f64.powf(wanted.log10().floor());
        // Each of these has a round half.
        [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0]
            .into_iter()
            .map(|times| times * step)
            .find(|top| *top >= wanted * 0.999_999)
            .unwrap_or(wanted)
    }
}

/// Two significant digits after the point for small numbers, none for large ones.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || (v - v.round()).abs() < 1e-9 => 0,
        v if v >= 1.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

fn bit_rate(value: f64) -> String {
    match value.abs() {
        v if v >= 1e6 => format!("{:.2} Mbit/s", value / 1e6),
        v if v >= 1e3 => format!("{:.0} kbit/s", value / 1e3),
        _ => format!("{value:.0} bit/s"),
    }
}

fn milliseconds(value: f64) -> String {
    match value.abs() {
        v if v >= 10_000.0 => format!("{:.1} s", value / 1e3),
        v if v >= 10.0 || v == 0.0 => format!("{value:.0} ms"),
        _ => format!("{value:.1} ms"),
    }
}

/// A number of bytes.
pub fn bytes(count: u64) -> String {
    let value = count as f64;
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", value / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", value / 1e6),
        _ => format!("{:.2} GB", value / 1e9),
    }
}

/// Time after `start`, both unix milliseconds: `+0.212 s`, `+1:04`.
pub fn after(start: f64, time: f64) -> String {
    let seconds = (time - start) / 1e3;
    if !seconds.is_finite() {
        return "\u{2013}".to_owned();
    }
    let sign = if seconds < 0.0 { "\u{2212}" } else { "+" };
    match seconds.abs() {
        s if s < 0.999_5 => format!("{sign}{:.0} ms", s * 1e3),
        s if s < 59.995 => format!("{sign}{s:.2} s"),
        s => {
            let whole = s.min(1e9) as u64;
            format!("{sign}{}:{:02}", whole / 60, whole % 60)
        }
    }
}

/// The time of day in UTC: `14:03:07.250`.
pub fn time_of_day(time: f64) -> String {
    if !time.is_finite() {
        return "\u{2013}".to_owned();
    }
    let ms = (time.rem_euclid(86_400_000.0)) as u64;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}

/// The time of day in UTC to the second: `14:03:07`.
pub fn second_of_day(time: f64) -> String {
    let mut text = time_of_day(time);
    text.truncate("14:03:07".len());
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_written_as_people_say_them() {
        assert_eq!(Unit::BitRate.write(2_170_000.0), "2.17 Mbit/s");
        assert_eq!(Unit::BitRate.write(48_300.0), "48 kbit/s");
        assert_eq!(Unit::Milliseconds.write(24.4), "24 ms");
        assert_eq!(Unit::Milliseconds.write(3.26), "3.3 ms");
        assert_eq!(Unit::Share.write(0.001), "0.10 %");
        assert_eq!(Unit::Share.write(0.0), "0 %");
        assert_eq!(Unit::Pictures.write(29.97), "30.0 fps");
        assert_eq!(Unit::Count.write(f64::NAN), "\u{2013}");
        assert_eq!(bytes(1_234_567), "1.2 MB");
        assert_eq!(after(1e3, 1_212.0), "+212 ms");
        assert_eq!(after(0.0, 64_000.0), "+1:04");
        assert_eq!(Unit::BitRate.tick(1_500_000.0), "1.5 M");
        assert_eq!(time_of_day(50_587_250.0), "14:03:07.250");
    }

    #[test]
    fn an_axis_ends_at_a_round_number_above_everything() {
        assert_eq!(Unit::BitRate.top(2_170_000.0), 3_000_000.0);
        assert_eq!(Unit::Milliseconds.top(31.0), 40.0);
        assert_eq!(Unit::Milliseconds.top(0.4), 10.0);
        assert_eq!(Unit::Share.top(f64::INFINITY), 0.01);
    }

    proptest! {
        #[test]
        fn nothing_is_above_its_axis(value in 0.0..1e12_f64) {
            for unit in [Unit::BitRate, Unit::Milliseconds, Unit::Count] {
                let top = unit.top(value);
                prop_assert!(top >= value * 0.999_99 && top <= (2.0 * value).max(unit.least_top() * 2.0));
            }
        }

        #[test]
        fn every_number_can_be_written(value in any::<f64>(), start in any::<f64>()) {
            for unit in [Unit::BitRate, Unit::Milliseconds, Unit::Share, Unit::Pictures, Unit::Pixels, Unit::Level] {
                prop_assert!(!unit.write(value).is_empty());
            }
            prop_assert!(!after(start, value).is_empty() && !time_of_day(value).is_empty());
        }
    }
}
