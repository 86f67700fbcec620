//! Finds names of people, rooms and hosts, and replaces each by a word that says what it was.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A participant.
    Person,
    /// A room.
    Room,
    /// A user of a TURN server.
    User,
    /// A computer.
    Host,
    /// RFC 8839 `ice-ufrag`.
    Fragment,
    /// RFC 8839 `foundation`, which some make of the address.
    Foundation,
    /// A network interface.
    Interface,
    /// A microphone, camera or speaker, which people name after themselves.
    Device,
}

impl Kind {
    fn word(self, number: usize) -> String {
        match self {
            Kind::Person => format!("Person {number}"),
            Kind::Room => format!("room-{number}"),
            Kind::User => format!("user-{number}"),
            Kind::Host => format!("host-{number}.example"),
            Kind::Fragment => format!("ufrag{number}"),
            Kind::Foundation => number.to_string(),
            Kind::Interface => format!("interface-{number}"),
            Kind::Device => format!("device {number}"),
        }
    }
}

/// What comes before a host in a URL.
const SCHEMES: &[&str] =
    &["stun:", "stuns:", "turn:", "turns:", "ws://", "wss://", "http://", "https://", "sightline://"];

/// What comes before a fragment or foundation in SDP and candidate lines.
const MARKERS: &[(&str, Kind)] =
    &[("a=ice-ufrag:", Kind::Fragment), (" ufrag ", Kind::Fragment), ("candidate:", Kind::Foundation)];

/// Names of interfaces that say nothing of whom they belong to.
const PLAIN_INTERFACES: &[&str] =
    &["eth", "en", "wl", "ww", "lo", "tun", "tap", "wg", "docker", "veth", "br"];

/// Knows which word stands for which.
#[derive(Debug, Default)]
pub struct Words {
    known: BTreeMap<(Kind, String), String>,
    counts: BTreeMap<Kind, usize>,
}

impl Words {
    /// A word that names something.
    pub fn learn(&mut self, kind: Kind, text: &str) {
        let (_, text, _) = parts(kind, text);
        let plain = kind == Kind::Interface
            && text.len() <= 15
            && PLAIN_INTERFACES.iter().any(|prefix| text.starts_with(prefix))
            && text.chars().filter(char::is_ascii_alphabetic).count() <= 6;
        let tells_nothing = match kind {
            Kind::Host => text == "localhost" || text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok(),
            Kind::Interface => plain,
            Kind::Person | Kind::Room | Kind::User | Kind::Fragment | Kind::Foundation | Kind::Device => {
                false
            }
        };
        if text.is_empty() || tells_nothing || self.known.contains_key(&(kind, text.to_owned())) {
            return;
        }
        let number = self.counts.entry(kind).or_default();
        *number += 1;
        self.known.insert((kind, text.to_owned()), kind.word(*number));
    }

    /// The hosts of URLs and the rooms of links.
    pub fn learn_hosts(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.starts_with("a=extmap")) {
            for scheme in SCHEMES {
                for (at, _) in line.match_indices(scheme) {
                    let rest = &line[at + scheme.len()..];
                    self.learn(Kind::Host, host_at(rest));
                    if let Some((_, room)) = rest.split_once("/r/") {
                        self.learn(Kind::Room, token_at(room));
                    }
                }
            }
        }
        for (marker, kind) in MARKERS {
            for (at, _) in text.match_indices(marker) {
                self.learn(*kind, token_at(&text[at + marker.len()..]));
            }
        }
        for word in text.split(|c: char| !is_host(c)) {
            if word.ends_with(".local") {
                self.learn(Kind::Host, word);
            }
        }
    }

    /// Hosts in a sentence, where no scheme tells them.
    pub fn learn_bare_hosts(&mut self, sentence: &str) {
        for word in sentence.split(|c: char| !is_host(c)) {
            let word = word.trim_matches(['.', '-']);
            let top = word.rsplit_once('.').map(|(_, top)| top);
            if top.is_some_and(|top| top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic())) {
                self.learn(Kind::Host, word);
            }
        }
    }

    /// What stands for a whole text.
    pub fn exactly(&self, kind: Kind, text: &str) -> Option<String> {
        let (before, name, after) = parts(kind, text);
        let word = self.known.get(&(kind, name.to_owned()))?;
        Some(format!("{before}{word}{after}"))
    }

    /// A text without the hosts of its URLs, the rooms of its links, and names with dots.
    pub fn hide_hosts(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for ((kind, name), word) in self.longest_first() {
            match kind {
                Kind::Host if name.contains('.') => text = whole_words(&text, name, word),
                Kind::Host => {
                    for scheme in SCHEMES {
                        text = whole_words(&text, &format!("{scheme}{name}"), &format!("{scheme}{word}"));
                    }
                }
                Kind::Room => text = whole_words(&text, &format!("/r/{name}"), &format!("/r/{word}")),
                Kind::Person
                | Kind::User
                | Kind::Fragment
                | Kind::Foundation
                | Kind::Interface
                | Kind::Device => {}
            }
        }
        text
    }

    /// Fragments and foundations in SDP and candidate lines.
    pub fn hide_markers(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (marker, kind) in MARKERS {
            if !text.contains(marker) {
                continue;
            }
            let mut pieces = text.split(marker);
            let mut out = pieces.next().unwrap_or_default().to_owned();
            for piece in pieces {
                let token = token_at(piece);
                out.push_str(marker);
                out.push_str(self.known.get(&(*kind, token.to_owned())).map_or(token, String::as_str));
                out.push_str(&piece[token.len()..]);
            }
            text = out;
        }
        text
    }

    /// A sentence without names.
    pub fn hide_in_prose(&self, sentence: &str) -> String {
        let mut sentence = home_folders(sentence);
        for ((kind, name), word) in self.longest_first() {
            match kind {
                // One letter is no name that could be told from a word.
                Kind::Person | Kind::Room | Kind::User | Kind::Host | Kind::Interface | Kind::Device
                    if name.len() > 1 =>
                {
                    sentence = whole_words(&sentence, name, word);
                }
                Kind::Person | Kind::Room | Kind::User | Kind::Host | Kind::Interface | Kind::Device => {}
                Kind::Fragment | Kind::Foundation => {}
            }
        }
        sentence
    }

    fn longest_first(&self) -> Vec<(&(Kind, String), &String)> {
        let mut all: Vec<_> = self.known.iter().collect();
        all.sort_by_key(|((_, name), _)| std::cmp::Reverse(name.len()));
        all
    }
}

/// The part of a text that names something, and what stands around it.
///
/// A time-limited TURN user name begins with its expiry, which says nothing about the user and much
/// about what went wrong; a server may end with its port.
fn parts(kind: Kind, text: &str) -> (&str, &str, &str) {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match (kind, text.split_once(':'), text.rsplit_once(':')) {
        (Kind::User, Some((expiry, user)), _) if digits(expiry) => (&text[..=expiry.len()], user, ""),
        (Kind::Host, _, Some((host, port))) if digits(port) => ("", host, &text[host.len()..]),
        _ => ("", text, ""),
    }
}

fn is_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '_'
}

fn host_at(text: &str) -> &str {
    text[..text.find(|c| !is_host(c)).unwrap_or(text.len())].trim_end_matches('.')
}

/// Up to the next character that no room code, fragment or foundation has.
fn token_at(text: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._~-+/".contains(c);
    &text[..text.find(|c| !fits(c)).unwrap_or(text.len())]
}

/// Replaces a name where it stands by itself.
fn whole_words(text: &str, name: &str, word: &str) -> String {
    if name.is_empty() || !text.contains(name) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in text.match_indices(name) {
        let end = at + name.len();
        let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        let alone = outside(text[..at].chars().next_back()) && outside(text[end..].chars().next());
        if at >= done && (alone || name.starts_with('/')) {
            out.push_str(&text[done..at]);
            out.push_str(word);
            done = end;
        }
    }
    out.push_str(&text[done..]);
    out
}

/// The name of the person at the computer, in paths.
fn home_folders(text: &str) -> String {
    let mut text = text.to_owned();
    for place in ["/home/", "/Users/", "\\Users\\"] {
        let mut pieces = text.split(place);
        let mut out = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let end = piece.find(['/', '\\', ' ', '"', ':']).unwrap_or(piece.len());
            out.push_str(place);
            out.push_str("somebody");
            out.push_str(&piece[end..]);
        }
        text = out;
    }
    text
}
