//! Links in a text: found, and taken apart so that a person sees where one leads before it opens.
//!
//! The shown text is the target, always; there are no links with another text.

use std::ops::Range;

use linkify::{LinkFinder, LinkKind};

/// Links of one text that can be clicked; what comes after them is text only.
const MOST: usize = 20;

/// A text whose links have been looked for, once: whoever draws it does so many times a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    text: String,
    links: Vec<Range<usize>>,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Nothing special.
    Text(&'a str),
    /// An `http` or `https` URL.
    Link(&'a str),
}

impl Linked {
    /// Looks for links in it.
    pub fn new(text: String) -> Self {
        let mut finder = LinkFinder::new();
        finder.kinds(&[LinkKind::Url]);
        let found = finder.links(&text).filter(|link| Destination::of(link.as_str()).is_some());
        let links = found.take(MOST).map(|link| link.start()..link.end()).collect();
        Self { text, links }
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts, which together are the text.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let ends = std::iter::once(0).chain(self.links.iter().map(|link| link.end));
        let links = self.links.iter().cloned().map(Some).chain([None]);
        ends.zip(links)
            .flat_map(|(from, link)| {
                let to = link.as_ref().map_or(self.text.len(), |link| link.start);
                let before = Some(&self.text[from..to]).filter(|text| !text.is_empty());
                [before.map(Piece::Text), link.map(|link| Piece::Link(&self.text[link]))]
            })
            .flatten()
    }
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// What a browser is given: names in ASCII, everything else escaped.
    pub url: String,
    /// The computer that it leads to.
    pub host: String,
    /// Why it may not be what it seems.
    pub warning: Option<Doubt>,
}

/// Why a link may not be what it seems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Something stands before an `@`, which looks like a host and is none.
    UserName,
    /// The host has letters beside a to z, which may look like others.
    Letters,
    /// A number in place of a name.
    Number,
}

impl Destination {
    /// Takes a link apart; `None` if it is none that a browser should be given.
    pub fn of(link: &str) -> Option<Self> {
        let url = url::Url::parse(link).ok()?;
        let host = url.host()?;
        let warning = match &host {
            _ if !url.username().is_empty() || url.password().is_some() => Some(Doubt::UserName),
            url::Host::Domain(name) if name.split('.').any(|label| label.starts_with("xn--")) => {
                Some(Doubt::Letters)
            }
            url::Host::Domain(_) => None,
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => Some(Doubt::Number),
        };
        let host = host.to_string();
        matches!(url.scheme(), "http" | "https").then(|| Self { url: url.into(), host, warning })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_found_and_everything_else_is_left() {
        let linked = |text: &str| Linked::new(text.to_owned());
        let text = linked("see https://example.com/a?b=c. Not ftp://x.example or javascript:alert(1)");
        assert!(text.pieces().eq([
            Piece::Text("see "),
            Piece::Link("https://example.com/a?b=c"),
            Piece::Text(". Not ftp://x.example or javascript:alert(1)"),
        ]));
        assert!(linked("file:///etc/passwd").pieces().eq([Piece::Text("file:///etc/passwd")]));
    }

    #[test]
    fn of_a_flood_of_links_the_first_are_links() {
        let flood = Linked::new("http://a.example ".repeat(400));
        let links = flood.pieces().filter(|piece| matches!(piece, Piece::Link(_)));
        assert_eq!(links.count(), MOST);
    }

    #[test]
    fn doubtful_links_are_told_from_plain_ones() {
        let check = |link: &str, host: &str, warning: Option<Doubt>| {
            let destination = Destination::of(link).unwrap();
            assert_eq!((destination.host.as_str(), destination.warning), (host, warning), "{link}");
        };
        check("https://example.com/x", "example.com", None);
        check("https://example.com@evil.test/", "evil.test", Some(Doubt::UserName));
        check("https://\u{430}pple.com/", "xn--pple-43d.com", Some(Doubt::Letters));
        check("http://127.0.0.1:80/", "127.0.0.1", Some(Doubt::Number));
        check("http://2130706433/", "127.0.0.1", Some(Doubt::Number));
        assert_eq!(Destination::of("javascript://x/%0aalert(1)"), None);
    }

    proptest! {
        #[test]
        fn the_pieces_of_any_text_are_the_text(text in "(\\PC|http://|https://|[a-z@./:]){0,60}") {
            let joined: String = Linked::new(text.clone()).pieces().map(|piece| match piece {
                Piece::Text(text) | Piece::Link(text) => text.to_owned(),
            }).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
