//! The link that people give each other: where the room is, and the secret that only they know.
//!
//! `https://HOST[:PORT]/r/ROOM#SECRET` (`http` for a server without TLS), with
//! `sightline://HOST[:PORT]/r/ROOM#SECRET` as its alias for the application. The fragment never
//! reaches a server. The alias does not say whether the server has TLS: a host that can only be in
//! this network is reached without, every other with it, unless `?tls=0` or `?tls=1` says otherwise.
//!
//! This module knows no sockets; what a room is, only the server knows.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use signaling_protocol::RoomId;

use crate::server_url::{self, Security, ServerUrl, ServerUrlError, shortened};

/// Why a text is not a link.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum LinkError {
    /// Nothing was given.
    #[error("the link is empty")]
    Empty,
    /// Longer than any link.
    #[error("this is far too long to be a link")]
    TooLong,
    /// A scheme that is not ours.
    #[error("links begin with https://, http:// or sightline://, not with \"{0}://\"")]
    Scheme(String),
    /// The part between `://` and `/`.
    #[error("the link does not say where the server is: {0}")]
    Server(#[from] ServerUrlError),
    /// Not `/r/ROOM`.
    #[error("this is not a link to a call: after the server it should go on with /r/ and a room code")]
    NoRoom,
    /// The part after `/r/`.
    #[error("the room code \"{0}\" is damaged; ask for the link again")]
    BadRoom(String),
    /// The part after `#`.
    #[error("the part of the link after # is damaged or cut off; ask for the link again")]
    BadSecret,
    /// A room code alone, and no server is known.
    #[error("a room code alone does not say which server it belongs to; ask for the whole link")]
    NoServer,
}

/// What only those who have the link know: 128 random bits, never shown to a server or in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; Secret::LENGTH]);

impl Secret {
    /// Bytes.
    pub const LENGTH: usize = 16;

    /// From bytes that somebody else drew.
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Draws one.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; Self::LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The key of `call::proof`.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl FromStr for Secret {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| LinkError::BadSecret)?;
        bytes.try_into().map(Self).map_err(|_| LinkError::BadSecret)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Draws the code of a new room: 120 random bits, so that it cannot be guessed.
pub fn generate_room() -> Result<RoomId, getrandom::Error> {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes)?;
    let text = URL_SAFE_NO_PAD.encode(bytes);
    Ok(RoomId::new(text).expect("base64url of 15 bytes is 20 characters of the alphabet of room codes"))
}

/// A parsed link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The signaling server.
    pub server: ServerUrl,
    /// Which room.
    pub room: RoomId,
    /// Vouches for the certificates of both sides; `None` in a bare room code.
    pub secret: Option<Secret>,
}

impl Link {
    /// Longest text looked at, in bytes.
    const MOST: usize = 2048;

    /// A new room of a server, and a secret for those who get the link.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate(server: ServerUrl) -> Result<Self, getrandom::Error> {
        Ok(Self { server, room: generate_room()?, secret: Some(Secret::generate()?) })
    }

    /// Reads a link, or a bare room code of the server that is known already.
    pub fn parse(text: &str, known: Option<&ServerUrl>) -> Result<Self, LinkError> {
        let text = unwrapped(text);
        if text.is_empty() {
            return Err(LinkError::Empty);
        }
        if text.len() > Self::MOST {
            return Err(LinkError::TooLong);
        }
        match text.split_once("://") {
            Some((scheme, rest)) => Self::parse_url(scheme, rest),
            None => Self::parse_without_scheme(text, known),
        }
    }

    fn parse_url(scheme: &str, rest: &str) -> Result<Self, LinkError> {
        let said = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => Some(Security::Tls),
            "http" | "ws" => Some(Security::Plain),
            "sightline" => None,
            _ => return Err(LinkError::Scheme(shortened(scheme))),
        };
        // Some programs escape the # of what is pasted into them.
        let unescaped = if rest.contains('#') { rest.to_owned() } else { rest.replacen("%23", "#", 1) };
        let asked = unescaped.split_once('?').and_then(|(_, query)| {
            match query.split(['&', '#']).find(|q| q.starts_with("tls="))? {
                "tls=0" => Some(Security::Plain),
                _ => Some(Security::Tls),
            }
        });
        let url = server_url::parse(said.or(asked), &unescaped)
            .map_err(|reason| ServerUrlError::Malformed { text: shortened(rest), reason })?;
        let room = url.path().strip_prefix("/r/").ok_or(LinkError::NoRoom)?.trim_end_matches('/');
        let room = room_code(room)?;
        let secret = match url.fragment() {
            None | Some("") => None,
            Some(fragment) => Some(fragment.parse()?),
        };
        let server = ServerUrl::from_url(&url)?;
        Ok(Self { server, room, secret })
    }

    /// `HOST[:PORT]/r/ROOM#SECRET`, as a browser shows a link, or a room code.
    fn parse_without_scheme(text: &str, known: Option<&ServerUrl>) -> Result<Self, LinkError> {
        if text.contains('/') {
            return Self::parse_url("sightline", text);
        }
        let (room, secret) = match text.split_once('#') {
            Some((room, secret)) => (room, Some(secret.parse()?)),
            None => (text, None),
        };
        let room = room_code(room)?;
        let server = known.ok_or(LinkError::NoServer)?.clone();
        Ok(Self { server, room, secret })
    }

    /// What to give to the other person: `http(s)://HOST[:PORT]/r/ROOM#SECRET`.
    pub fn invite_url(&self) -> String {
        format!("{}/r/{}{}", self.server.http_origin(), self.room, self.fragment())
    }

    /// The alias that the system opens with the application.
    pub fn app_url(&self) -> String {
        let tls = match (self.server.security(), Security::of(self.server.host())) {
            (Security::Plain, Security::Tls) => "?tls=0",
            (Security::Tls, Security::Plain) => "?tls=1",
            (Security::Plain, Security::Plain) | (Security::Tls, Security::Tls) => "",
        };
        format!("sightline://{}/r/{}{tls}{}", self.server.authority(), self.room, self.fragment())
    }

    fn fragment(&self) -> String {
        self.secret.as_ref().map(|secret| format!("#{}", secret.to_text())).unwrap_or_default()
    }
}

impl FromStr for Link {
    type Err = LinkError;

    /// A link that says where its server is.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        Self::parse(text, None)
    }
}

/// `RoomId` allows `.` and `..`, which a URL cannot carry as a part of its path.
fn room_code(text: &str) -> Result<RoomId, LinkError> {
    if text.is_empty() {
        return Err(LinkError::NoRoom);
    }
    if text.bytes().all(|b| b == b'.') {
        return Err(LinkError::BadRoom(shortened(text)));
    }
    RoomId::new(text).map_err(|_| LinkError::BadRoom(shortened(text)))
}

/// Without what sticks to a text that was copied out of a sentence.
fn unwrapped(text: &str) -> &str {
    let invisible = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    let opening = |c: char| invisible(c) || "\"'`<([{«»„“”‘’‚‹›".contains(c);
    let closing = |c: char| invisible(c) || "\"'`>)]}«»„“”‘’‚‹›.,;:!?".contains(c);
    text.trim_start_matches(opening).trim_end_matches(closing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODw";

    fn link(text: &str) -> Link {
        Link::parse(text, None).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refused(text: &str, error: LinkError) {
        assert_eq!(Link::parse(text, None), Err(error), "{text}");
    }

    #[test]
    fn a_link_says_server_room_and_secret() {
        let link = link(&format!("https://call.example/r/abc-123#{SECRET}"));
        assert_eq!(link.server.to_string(), "wss://call.example:443/");
        assert_eq!(link.room.as_str(), "abc-123");
        assert_eq!(link.secret, Some(Secret::from_bytes(std::array::from_fn(|i| i as u8))));
        assert_eq!(link.invite_url(), format!("https://call.example/r/abc-123#{SECRET}"));
    }

    #[test]
    fn the_alias_uses_tls_unless_the_host_is_nearby_or_it_says_so() {
        assert_eq!(link("sightline://call.example/r/x").server.to_string(), "wss://call.example:443/");
        assert_eq!(link("sightline://10.0.0.7:7000/r/x").server.to_string(), "ws://10.0.0.7:7000/");
        assert_eq!(link("sightline://[fe80::1]:7000/r/x").server.to_string(), "ws://[fe80::1]:7000/");
        assert_eq!(link("sightline://pc.local/r/x").server.to_string(), "ws://pc.local:80/");
        assert_eq!(link("sightline://pc.local/r/x?tls=1").server.to_string(), "wss://pc.local:443/");
        assert_eq!(link("sightline://call.example/r/x?tls=0").server.to_string(), "ws://call.example:80/");
    }

    #[test]
    fn the_server_s_page_of_a_link_says_whether_there_is_tls() {
        // As the page writes it: host with port, path, `tls`, fragment (signaling-server/src/page.rs).
        for (page, server) in [
            ("10.0.0.7:7880/r/abc?tls=0", "ws://10.0.0.7:7880/"),
            ("10.0.0.7:7880/r/abc?tls=1", "wss://10.0.0.7:7880/"),
            ("call.example/r/abc?tls=1", "wss://call.example:443/"),
            ("call.example:8080/r/abc?tls=0", "ws://call.example:8080/"),
        ] {
            let opened = link(&format!("sightline://{page}#{SECRET}"));
            assert_eq!(opened.server.to_string(), server);
            assert_eq!(opened.room.as_str(), "abc");
            assert!(opened.secret.is_some(), "the fragment comes after it");
        }
    }

    #[test]
    fn what_sticks_to_a_pasted_link_is_taken_off() {
        let plain = link(&format!("http://10.0.0.7:7000/r/abc#{SECRET}"));
        for around in ["  @\n", "\"@\"", "“@”.", "<@>", "(@),", "\u{200b}@\u{feff}", "'@'!"] {
            let text = around.replace('@', &plain.invite_url());
            assert_eq!(link(&text), plain, "{text}");
        }
        assert_eq!(link(&format!("http://10.0.0.7:7000/r/abc%23{SECRET}")), plain);
        assert_eq!(link(&format!("10.0.0.7:7000/r/abc#{SECRET}")), plain);
    }

    #[test]
    fn a_room_code_belongs_to_the_server_that_is_known() {
        let known: ServerUrl = "ws://10.0.0.7:7000/".parse().expect("a server");
        let link = Link::parse(" abc-123 ", Some(&known)).expect("a link");
        assert_eq!((link.server, link.room.as_str(), link.secret), (known, "abc-123", None));
        refused("abc-123", LinkError::NoServer);
    }

    #[test]
    fn every_bad_link_gets_its_own_sentence() {
        refused("", LinkError::Empty);
        refused(" \"\" ", LinkError::Empty);
        refused("ftp://host/r/x", LinkError::Scheme("ftp".into()));
        refused("https://host/", LinkError::NoRoom);
        refused("https://host/r/", LinkError::NoRoom);
        refused("https://host/x/y", LinkError::NoRoom);
        refused("https://host/r/a b", LinkError::BadRoom("a%20b".into()));
        refused("https://host/r/a/b", LinkError::BadRoom("a/b".into()));
        refused(
            &format!("https://host/r/{}", "x".repeat(65)),
            LinkError::BadRoom(format!("{}…", "x".repeat(60))),
        );
        refused("https://host/r/x#tooshort", LinkError::BadSecret);
        refused(&format!("https://host/r/x#{SECRET}AA"), LinkError::BadSecret);
        refused(&"x".repeat(5000), LinkError::TooLong);
        assert!(matches!(Link::parse("https:///r/x", None), Err(LinkError::Server(_))));
        assert!(matches!(Link::parse("https://ho st/r/x", None), Err(LinkError::Server(_))));
    }

    #[test]
    fn a_secret_is_never_printed_by_accident() {
        let link = link(&format!("https://call.example/r/abc#{SECRET}"));
        assert!(!format!("{link:?}").contains(SECRET));
    }

    #[test]
    fn rooms_and_secrets_are_drawn_anew_each_time() {
        assert_ne!(generate_room(), generate_room());
        assert_ne!(Secret::generate(), Secret::generate());
    }

    fn any_server() -> impl Strategy<Value = ServerUrl> {
        let host = prop_oneof![
            "[a-z][a-z0-9]{0,10}(\\.[a-z][a-z0-9]{0,10}){0,2}",
            any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
            any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
        ];
        (host, 1..u16::MAX, prop_oneof!["ws", "wss"])
            .prop_map(|(host, port, scheme)| format!("{scheme}://{host}:{port}/").parse().expect("a server"))
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(
            server in any_server(),
            room in "[A-Za-z0-9_~-]{1,64}",
            secret in proptest::option::of(any::<[u8; 16]>()),
        ) {
            let link = Link {
                server,
                room: RoomId::new(room).expect("a room"),
                secret: secret.map(Secret::from_bytes),
            };
            prop_assert_eq!(Link::parse(&link.invite_url(), None), Ok(link.clone()));
            prop_assert_eq!(Link::parse(&link.app_url(), None), Ok(link));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = Link::parse(&text, None);
        }

        #[test]
        fn any_damage_to_a_link_is_read_or_refused(cut in 0usize..60, noise in "\\PC{0,8}") {
            let text = format!("https://call.example:8443/r/abc-123#{SECRET}");
            let at = cut.min(text.len());
            let _ = Link::parse(&format!("{}{noise}{}", &text[..at], &text[at..]), None);
        }
    }
}
