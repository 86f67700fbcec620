//! The date of a moment, as file names and other tools want it. Pure.

/// A moment on the calendar, in UTC.
struct Utc {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    millisecond: u32,
}

/// ISO 8601, as JavaScript writes it: `2026-11-23T03:29:01.345Z`.
pub fn iso(unix_ms: f64) -> String {
    let Utc { year, month, day, hour, minute, second, millisecond } = utc(unix_ms);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// For file names: `2026-11-23 03.29.01`.
pub fn stamp(unix_ms: f64) -> String {
    let Utc { year, month, day, hour, minute, second, .. } = utc(unix_ms);
    format!("{year:04}-{month:02}-{day:02} {hour:02}.{minute:02}.{second:02}")
}

/// Times that no calendar has become the nearest that one has.
fn utc(unix_ms: f64) -> Utc {
    /// The end of the year 9999.
    const LAST: f64 = 253_402_300_799_999.0;
    let ms = unix_ms.clamp(0.0, LAST) as i64;
    let (days, of_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000) as u32);
    // Counted in 400-year cycles of years that begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let (cycle, day_of_cycle) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = (if march_month < 10 { march_month + 3 } else { march_month - 9 }) as u32;
    Utc {
        year: year_of_cycle + cycle * 400 + i64::from(month <= 2),
        month,
        day: (day_of_year - (153 * march_month + 2) / 5 + 1) as u32,
        hour: of_day / 3_600_000,
        minute: of_day / 60_000 % 60,
        second: of_day / 1_000 % 60,
        millisecond: of_day % 1_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(iso(0.0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000.0), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(1_795_404_541_345.9), "2026-11-23T03:29:01.345Z");
        assert_eq!(iso(4_107_542_400_000.0), "2100-03-01T00:00:00.000Z");
        assert_eq!(stamp(1_795_404_541_345.9), "2026-11-23 03.29.01");
        assert_eq!(iso(f64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(iso(-5.0), iso(f64::NAN));
    }
}
