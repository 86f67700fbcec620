//! Finds IP addresses in any text and replaces each by another of its kind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address it is, and how much of it says in which network it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Range {
    /// RFC 1918: 10/8.
    Ten,
    /// RFC 1918: 172.16/12.
    OneSevenTwo,
    /// RFC 1918: 192.168/16.
    OneNineTwo,
    /// RFC 3927: 169.254/16.
    LinkLocal4,
    /// RFC 6598: 100.64/10.
    Shared,
    /// Everything else of IPv4.
    Public4,
    /// RFC 4193: fc00::/7.
    Unique,
    /// RFC 4291: fe80::/10.
    LinkLocal6,
    /// Everything else of IPv6.
    Public6,
}

/// Knows which address stands for which.
#[derive(Debug, Default)]
pub struct Addresses {
    /// What is in the record; none of it may stand for something else.
    known: BTreeSet<IpAddr>,
    made: BTreeMap<IpAddr, IpAddr>,
    networks: BTreeMap<(Range, u64), u32>,
    hosts: BTreeMap<(Range, u32), u32>,
}

impl Addresses {
    /// Remembers the addresses in a text.
    pub fn learn(&mut self, text: &str) {
        replace(text, |address| {
            self.known.insert(address);
            address
        });
    }

    /// The text with other addresses.
    pub fn hide(&mut self, text: &str) -> String {
        replace(text, |address| self.stand_in(address))
    }

    fn stand_in(&mut self, address: IpAddr) -> IpAddr {
        if address.is_loopback() || address.is_unspecified() || address.is_multicast() {
            return address;
        }
        match address {
            IpAddr::V4(address) => IpAddr::V4(self.v4(address)),
            IpAddr::V6(address) => IpAddr::V6(self.v6(address)),
        }
    }

    fn v4(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        if address.is_broadcast() {
            return address;
        }
        let [a, b, c, _] = address.octets();
        let (range, network) = match (a, b) {
            (10, _) => (Range::Ten, u64::from(u16::from_be_bytes([b, c]))),
            (172, 16..=31) => (Range::OneSevenTwo, u64::from(u16::from_be_bytes([b, c]))),
            (192, 168) => (Range::OneNineTwo, u64::from(c)),
            (169, 254) => (Range::LinkLocal4, u64::from(c)),
            (100, 64..=127) => (Range::Shared, u64::from(u16::from_be_bytes([b, c]))),
            _ => (Range::Public4, 0),
        };
        match self.made(IpAddr::V4(address), range, network) {
            IpAddr::V4(made) => made,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }

    fn v6(&mut self, address: Ipv6Addr) -> Ipv6Addr {
        let segments = address.segments();
        let [.., high, low] = segments;
        let inside = || {
            let [a, b] = high.to_be_bytes();
            let [c, d] = low.to_be_bytes();
            Ipv4Addr::new(a, b, c, d)
        };
        // RFC 4291 section 2.5.5.2 and RFC 6052: an IPv4 address inside.
        let prefix = [segments[0], segments[1], segments[2], segments[3], segments[4], segments[5]];
        if let [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] = prefix {
            let [a, b, c, d] = self.stand_in_v4(inside()).octets();
            let [p, q, r, s, t, u] = prefix;
            return Ipv6Addr::new(p, q, r, s, t, u, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        }
        let network = segments[..4].iter().fold(0, |all, segment| all << 16 | u64::from(*segment));
        let range = match segments[0] {
            0xfc00..=0xfdff => Range::Unique,
            0xfe80..=0xfebf => Range::LinkLocal6,
            _ => Range::Public6,
        };
        match self.made(IpAddr::V6(address), range, network) {
            IpAddr::V6(made) => made,
            IpAddr::V4(_) => Ipv6Addr::UNSPECIFIED,
        }
    }

    fn stand_in_v4(&mut self, address: Ipv4Addr) -> Ipv4Addr {
        match self.stand_in(IpAddr::V4(address)) {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }

    /// The same one as before, or the next in its network that is in no record.
    fn made(&mut self, address: IpAddr, range: Range, network: u64) -> IpAddr {
        if let Some(made) = self.made.get(&address) {
            return *made;
        }
        let new = self.networks.keys().filter(|(of, _)| *of == range).count() as u32;
        let network = *self.networks.entry((range, network)).or_insert(new);
        let host = self.hosts.entry((range, network)).or_default();
        let made = loop {
            *host += 1;
            let candidate = build(range, network, *host);
            // When so many are in the record that none is left, one of them has to do.
            if !self.known.contains(&candidate) || *host > 70_000 {
                break candidate;
            }
        };
        self.made.insert(address, made);
        made
    }
}

/// Numbers as addresses. Networks and hosts beyond what a range has begin anew.
fn build(range: Range, network: u32, host: u32) -> IpAddr {
    let [_, _, high, low] = network.to_be_bytes();
    let (wide, [_, _, upper, last]) = (host as u16, host.to_be_bytes());
    let v4 = |a, b, c, d| IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    let v6 = |a, b| IpAddr::V6(Ipv6Addr::new(a, b, 0, network as u16, 0, 0, 0, wide));
    match range {
        Range::Ten => v4(10, high, low, last),
        Range::OneSevenTwo => v4(172, 16 + high % 16, low, last),
        Range::OneNineTwo => v4(192, 168, low, last),
        Range::LinkLocal4 => v4(169, 254, low, last),
        Range::Shared => v4(100, 64 + high % 64, low, last),
        // RFC 5737's addresses for documentation, then RFC 2544's for benchmarks.
        Range::Public4 => match host {
            0..=255 => v4(203, 0, 113, last),
            256..=511 => v4(198, 51, 100, last),
            512..=767 => v4(192, 0, 2, last),
            _ => v4(198, 18, upper, last),
        },
        Range::Unique => v6(0xfd00, 0),
        Range::LinkLocal6 => IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, network as u16, wide)),
        // RFC 3849's addresses for documentation.
        Range::Public6 => v6(0x2001, 0xdb8),
    }
}

/// Every address in a text, replaced.
fn replace(text: &str, mut with: impl FnMut(IpAddr) -> IpAddr) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let is_part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
        let before = rest.find(is_part).unwrap_or(rest.len());
        out.push_str(&rest[..before]);
        rest = &rest[before..];
        let run = &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())];
        rest = &rest[run.len()..];
        match v6_in(run) {
            Some((range, address)) => {
                out.push_str(&run[..range.start]);
                out.push_str(&with(IpAddr::V6(address)).to_string());
                out.push_str(&run[range.end..]);
            }
            None => replace_v4(run, &mut out, &mut with),
        }
    }
    out
}

/// An IPv6 address in a run of its characters, which may have a separator on either side.
fn v6_in(run: &str) -> Option<(std::ops::Range<usize>, Ipv6Addr)> {
    if run.bytes().filter(|byte| *byte == b':').count() < 2 {
        return None;
    }
    let starts = [0, 1];
    let ends = [0, 1, 2].map(|cut| run.len().saturating_sub(cut));
    starts.into_iter().find_map(|start| {
        ends.into_iter().filter(|end| *end > start).find_map(|end| {
            let separator = |text: &str| text.bytes().all(|byte| byte == b':' || byte == b'.');
            if !separator(&run[..start]) || !separator(&run[end..]) {
                return None;
            }
            Some((start..end, run[start..end].parse().ok()?))
        })
    })
}

fn replace_v4(run: &str, out: &mut String, with: &mut impl FnMut(IpAddr) -> IpAddr) {
    for piece in run.split_inclusive(|c: char| !c.is_ascii_digit() && c != '.') {
        let number = piece.trim_matches(|c: char| !c.is_ascii_digit());
        match number.parse::<Ipv4Addr>() {
            Ok(address) => {
                let start = piece.find(number).unwrap_or(0);
                out.push_str(&piece[..start]);
                out.push_str(&with(IpAddr::V4(address)).to_string());
                out.push_str(&piece[start + number.len()..]);
            }
            Err(_) => out.push_str(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn hide(text: &str) -> String {
        let mut addresses = Addresses::default();
        addresses.learn(text);
        addresses.hide(text)
    }

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        assert_eq!(hide("c=IN IP4 8.8.8.8\r\n"), "c=IN IP4 203.0.113.1\r\n");
        assert_eq!(hide("to 8.8.8.8:3478, from [2a00::7]:5."), "to 203.0.113.1:3478, from [2001:db8::1]:5.");
        assert_eq!(hide("udp:8.8.8.8. 8.8.8.8"), "udp:203.0.113.1. 203.0.113.1");
        assert_eq!(
            hide("raddr 2a00::7 rport 9 fe80::1%eth0"),
            "raddr 2001:db8::1 rport 9 fe80::1:1%eth0".replace("fe80::1:1", "fe80::2")
        );
        assert_eq!(hide("addr:2a00::7"), "addr:2001:db8::1");
        assert_eq!(hide("2a00::: x"), "2001:db8::1: x");
    }

    #[test]
    fn kinds_and_networks_stay() {
        let shown =
            hide("192.168.178.20 192.168.178.21 192.168.1.20 10.1.2.3 172.20.0.9 100.80.1.1 169.254.3.4");
        assert_eq!(shown, "192.168.0.1 192.168.0.2 192.168.1.1 10.0.0.1 172.16.0.1 100.64.0.1 169.254.0.1");
        let shown = hide("fd12:3456:789a:1::5 fd12:3456:789a:1::6 fd12:3456:789a:2::5");
        assert_eq!(shown, "fd00::1 fd00::2 fd00:0:0:1::1");
        assert_eq!(hide("::ffff:10.1.2.3 64:ff9b::808:808"), "::ffff:10.0.0.1 64:ff9b::cb00:7101");
        assert_eq!(hide("127.0.0.1 0.0.0.0 ::1 255.255.255.255"), "127.0.0.1 0.0.0.0 ::1 255.255.255.255");
    }

    #[test]
    fn what_stands_for_an_address_is_none_of_the_others() {
        assert_eq!(hide("8.8.8.8 203.0.113.1 203.0.113.2"), "203.0.113.3 203.0.113.4 203.0.113.5");
    }

    #[test]
    fn what_is_no_address_stays() {
        let text =
            "a=fingerprint:sha-256 AA:BB:CC:DD 12:30:45 v1.2.3 candidate:84 1 96.5 rtcp-fb:100 dead:beef";
        assert_eq!(hide(text), text);
    }
}
