//! How numbers are written in sentences.

use std::time::Duration;

use super::facts::Transport;

/// As people write it.
pub const fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
    }
}

/// `24 ms`, `1.4 s`.
pub fn time(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 1.0 {
        "under 1 ms".to_owned()
    } else if millis < 1_000.0 {
        format!("{millis:.0} ms")
    } else if millis < 10_000.0 {
        format!("{:.1} s", millis / 1e3)
    } else {
        format!("{:.0} s", millis / 1e3)
    }
}

/// `3 %`, `0.4 %`.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 1.0 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.into_iter().collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// `1 request`, `2 requests`.
pub fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(time(Duration::from_micros(400)), "under 1 ms");
        assert_eq!(time(Duration::from_millis(24)), "24 ms");
        assert_eq!(time(Duration::from_millis(1_440)), "1.4 s");
        assert_eq!(time(Duration::from_secs(31)), "31 s");
        assert_eq!((share(0.004), share(0.07)), ("0.4 %".into(), "7 %".into()));
        assert_eq!(list(["a", "b", "c"]), "a, b and c");
        assert_eq!((count(1, "answer"), count(0, "answer")), ("1 answer".into(), "0 answers".into()));
    }
}
