//! The STUN and TURN addresses that participants are told, with credentials that run out.
//!
//! Time-limited credentials as coturn's `use-auth-secret` and the "REST API for access to TURN
//! services" draft (draft-uberti-behave-turn-rest-00) have them: the username is
//! `EXPIRY:PEER` with the expiry in unix seconds, the password is base64(HMAC-SHA1(secret, username)).

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use signaling_protocol::{IceServer, PeerId};

use crate::turn::Reach;

/// How long credentials open new allocations when nothing else is said.
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// The secret shared with the relay.
#[derive(Clone)]
pub struct TurnSecret(String);

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(..)")
    }
}

impl TurnSecret {
    /// Any text; the same one can be given to another TURN server.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The password that belongs to a username.
    pub fn password(&self, username: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.0.as_bytes()).expect("HMAC takes keys of any length");
        mac.update(username.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

/// The username for somebody, valid from `now` on for [`LIFETIME`].
pub fn username(peer: &PeerId, now: Duration) -> String {
    username_until(peer, now + LIFETIME)
}

fn username_until(peer: &PeerId, expiry: Duration) -> String {
    format!("{}:{peer}", expiry.as_secs())
}

/// When a username runs out, and whose it is. `None` if it is not one of this scheme.
pub fn read_username(username: &str) -> Option<(Duration, &str)> {
    let (expiry, user) = username.split_once(':')?;
    Some((Duration::from_secs(expiry.parse().ok()?), user))
}

/// How a participant reached this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// At which address.
    pub ip: IpAddr,
    /// Through which door. It takes TURN as well, and this participant has got through it. `None`
    /// behind a proxy, which passes on nothing but HTTP.
    pub door: Option<Door>,
}

/// The port of HTTP as a participant knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Name or address, as it stands in a URL.
    pub host: String,
    /// The port from outside.
    pub port: u16,
    /// With TLS.
    pub tls: bool,
}

/// Where STUN and TURN are, and how to get in.
#[derive(Clone, Debug)]
pub struct IceServers {
    secret: TurnSecret,
    lifetime: Duration,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    /// This server. `ip` is the address that everybody is told; without one, each participant is
    /// told the address over which it came.
    Own { reach: Reach, ip: Option<IpAddr> },
    /// Others that know the secret.
    Others(Vec<TurnUrl>),
}

impl IceServers {
    /// This server's own STUN and TURN. `ip` is the address that everybody is told; without one,
    /// each participant is told the address over which it reached the server.
    pub fn own(secret: TurnSecret, lifetime: Duration, reach: Reach, ip: Option<IpAddr>) -> Self {
        Self { secret, lifetime, source: Source::Own { reach, ip } }
    }

    /// TURN servers of somebody else that have the same secret.
    pub fn others(secret: TurnSecret, lifetime: Duration, urls: Vec<TurnUrl>) -> Self {
        Self { secret, lifetime, source: Source::Others(urls) }
    }

    /// When new credentials should be there: after three quarters of their life.
    pub fn refresh_after(&self) -> Duration {
        self.lifetime * 3 / 4
    }

    /// What to tell `peer`: first where STUN is, then where TURN is, the cheapest way first.
    pub fn for_peer(&self, peer: &PeerId, reached: &Reached, now: Duration) -> Vec<IceServer> {
        let (stun, turn) = match &self.source {
            Source::Own { reach, ip } => own_urls(reach, *ip, reached),
            Source::Others(urls) => {
                let stun = urls.iter().filter_map(TurnUrl::stun).collect();
                (stun, urls.iter().map(TurnUrl::to_string).collect())
            }
        };
        let username = username_until(peer, now + self.lifetime);
        let credential = self.secret.password(&username);
        let stun = IceServer { urls: stun, username: None, credential: None };
        let turn = IceServer { urls: turn, username: Some(username), credential: Some(credential) };
        [stun, turn].into_iter().filter(|server| !server.urls.is_empty()).collect()
    }
}

/// Each transport once, over the port through which the participant came where that will do, and all
/// ports that the operator asked for besides the first.
fn own_urls(reach: &Reach, ip: Option<IpAddr>, reached: &Reached) -> (Vec<String>, Vec<String>) {
    let host = in_url(ip.unwrap_or(reached.ip));
    let door = |tls| reached.door.as_ref().filter(|door| door.tls == tls);
    let named = door(true).map_or(&host, |door| &door.host);
    let mut turn = Vec::new();
    let mut add = |url: String| {
        if !turn.contains(&url) {
            turn.push(url);
        }
    };
    for port in &reach.udp {
        add(format!("turn:{host}:{port}?transport=udp"));
    }
    if let Some(Door { host, port, .. }) = door(false) {
        add(format!("turn:{host}:{port}?transport=tcp"));
    }
    for port in reach.tcp.iter().skip(usize::from(door(false).is_some())) {
        add(format!("turn:{host}:{port}?transport=tcp"));
    }
    if let Some(Door { host, port, .. }) = door(true) {
        add(format!("turns:{host}:{port}?transport=tcp"));
    }
    for port in reach.tls.iter().skip(usize::from(door(true).is_some())) {
        add(format!("turns:{named}:{port}?transport=tcp"));
    }
    let stun = reach.stun.iter().map(|port| format!("stun:{host}:{port}")).collect();
    (stun, turn)
}

/// An address as it stands in a URL.
pub fn in_url(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The URL of a TURN server (RFC 7065).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnUrl {
    tls: bool,
    host: String,
    port: u16,
    transport: Transport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// Why a text is not the URL of a TURN server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TurnUrlError {
    /// It begins with something else.
    #[error("a TURN server begins with turn: or turns:, as in turn:turn.example.org:3478?transport=udp")]
    Scheme,
    /// There is no name, or one that can't be.
    #[error("there is no name or address of a server after turn: or turns:")]
    Host,
    /// Not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// Neither `?transport=udp` nor `?transport=tcp`, or UDP with TLS.
    #[error("what comes after the port can only be ?transport=udp or ?transport=tcp (turns: with tcp only)")]
    Transport,
}

impl FromStr for TurnUrl {
    type Err = TurnUrlError;

    fn from_str(text: &str) -> Result<Self, TurnUrlError> {
        let (scheme, rest) = text.split_once(':').ok_or(TurnUrlError::Scheme)?;
        let tls = match scheme {
            "turn" => false,
            "turns" => true,
            _ => return Err(TurnUrlError::Scheme),
        };
        let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
        let transport = match (query, tls) {
            (Some("transport=tcp"), _) | (None, true) => Transport::Tcp,
            (Some("transport=udp") | None, false) => Transport::Udp,
            (Some(_), _) => return Err(TurnUrlError::Transport),
        };
        let usual = if tls { 5349 } else { 3478 };
        let (host, port) = split_authority(authority, usual).ok_or(TurnUrlError::Host)?;
        let port = port.map_err(|_| TurnUrlError::Port)?;
        Ok(Self { tls, host, port, transport })
    }
}

impl fmt::Display for TurnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "turns" } else { "turn" };
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        write!(f, "{scheme}:{}:{}?transport={transport}", self.host, self.port)
    }
}

impl TurnUrl {
    /// STUN at the same place: whoever speaks TURN over UDP speaks STUN.
    fn stun(&self) -> Option<String> {
        (self.transport == Transport::Udp).then(|| format!("stun:{}:{}", self.host, self.port))
    }
}

/// The port is not a number from 1 to 65535.
#[derive(Debug)]
pub struct BadPort;

/// `HOST[:PORT]`, checked: what comes back as the host can stand in a URL. `None` if it can't.
pub fn split_authority(text: &str, usual: u16) -> Option<(String, Result<u16, BadPort>)> {
    let end = match text.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at_checked(end)?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) => in_url(IpAddr::V6(v6.parse().ok()?)),
        None => host.to_ascii_lowercase(),
    };
    let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = !host.is_empty() && host.len() <= 253 && host.chars().all(in_name);
    if !is_name && !host.starts_with('[') {
        return None;
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => Ok(usual),
        None => return None,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 && port_is_plain(rest) => Ok(port),
            Ok(_) | Err(_) => Err(BadPort),
        },
    };
    Some((host, port))
}

/// `+80` is a number to Rust, and no port.
fn port_is_plain(rest: &str) -> bool {
    rest.bytes().skip(1).all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn ada() -> PeerId {
        PeerId::new("ada").expect("valid")
    }

    fn reach() -> Reach {
        Reach { stun: vec![3478, 3479], udp: vec![3478], tcp: vec![3478], tls: vec![3478] }
    }

    fn reached(ip: &str, door: Option<(&str, u16, bool)>) -> Reached {
        let door = door.map(|(host, port, tls)| Door { host: host.into(), port, tls });
        Reached { ip: ip.parse().expect("an address"), door }
    }

    fn urls(servers: &IceServers, reached: &Reached) -> (Vec<String>, Vec<String>) {
        match &servers.for_peer(&ada(), reached, NOW)[..] {
            [stun, turn] => (stun.urls.clone(), turn.urls.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn credentials_are_those_of_the_rest_scheme() {
        // Computed with: printf '%s' 1700043200:ada | openssl dgst -sha1 -hmac north -binary | base64
        let secret = TurnSecret::new("north");
        assert_eq!(username(&ada(), NOW), "1700043200:ada");
        assert_eq!(secret.password("1700043200:ada"), "HTT0qWZsQmFThy3s/QslXETo0B8=");
    }

    #[test]
    fn everybody_is_told_the_address_over_which_they_came() {
        let servers = IceServers::own(TurnSecret::new("s"), LIFETIME, reach(), None);
        let first = |ip: &str| urls(&servers, &reached(ip, None)).1[0].clone();
        assert_eq!(first("192.168.1.5"), "turn:192.168.1.5:3478?transport=udp");
        assert_eq!(first("::ffff:192.168.1.5"), "turn:192.168.1.5:3478?transport=udp");
        assert_eq!(first("::1"), "turn:[::1]:3478?transport=udp");
    }

    #[test]
    fn every_transport_is_named_once_and_the_door_counts() {
        let servers = IceServers::own(TurnSecret::new("s"), LIFETIME, reach(), None);
        let plain = urls(&servers, &reached("192.168.1.5", Some(("192.168.1.5", 7880, false))));
        assert_eq!(plain.0, ["stun:192.168.1.5:3478", "stun:192.168.1.5:3479"]);
        assert_eq!(
            plain.1,
            [
                "turn:192.168.1.5:3478?transport=udp",
                "turn:192.168.1.5:7880?transport=tcp",
                "turns:192.168.1.5:3478?transport=tcp",
            ]
        );
        let secure = urls(&servers, &reached("192.168.1.5", Some(("call.example", 443, true))));
        assert_eq!(
            secure.1,
            [
                "turn:192.168.1.5:3478?transport=udp",
                "turn:192.168.1.5:3478?transport=tcp",
                "turns:call.example:443?transport=tcp",
            ]
        );
        let behind_a_proxy = urls(&servers, &reached("192.168.1.5", None)).1;
        assert!(behind_a_proxy.iter().all(|url| url.contains("192.168.1.5:3478")), "{behind_a_proxy:?}");
    }

    #[test]
    fn further_ports_are_all_named() {
        let reach =
            Reach { stun: vec![3478, 443], udp: vec![3478, 443], tcp: vec![3478, 443], tls: vec![3478, 443] };
        let servers = IceServers::own(TurnSecret::new("s"), LIFETIME, reach, "192.0.2.7".parse().ok());
        let (_, turn) = urls(&servers, &reached("10.0.0.1", Some(("call.example", 8443, true))));
        assert_eq!(
            turn,
            [
                "turn:192.0.2.7:3478?transport=udp",
                "turn:192.0.2.7:443?transport=udp",
                "turn:192.0.2.7:3478?transport=tcp",
                "turn:192.0.2.7:443?transport=tcp",
                "turns:call.example:8443?transport=tcp",
                "turns:call.example:443?transport=tcp",
            ]
        );
    }

    #[test]
    fn other_servers_are_handed_out_with_credentials_of_the_same_secret() {
        let others = ["turn:coturn.example", "turn:coturn.example?transport=tcp", "turns:coturn.example:443"];
        let others = others.map(|url| url.parse().expect("a URL")).to_vec();
        let servers = IceServers::others(TurnSecret::new("north"), Duration::from_secs(43_200), others);
        let told = servers.for_peer(&ada(), &reached("10.0.0.1", None), NOW);
        assert_eq!(told[0].urls, ["stun:coturn.example:3478"]);
        assert_eq!(
            told[1].urls,
            [
                "turn:coturn.example:3478?transport=udp",
                "turn:coturn.example:3478?transport=tcp",
                "turns:coturn.example:443?transport=tcp",
            ]
        );
        assert_eq!(told[1].credential.as_deref(), Some("HTT0qWZsQmFThy3s/QslXETo0B8="));
    }

    #[test]
    fn a_url_that_is_none_says_why() {
        for (text, why) in [
            ("", TurnUrlError::Scheme),
            ("coturn.example", TurnUrlError::Scheme),
            ("stun:coturn.example", TurnUrlError::Scheme),
            ("turn:", TurnUrlError::Host),
            ("turn://coturn.example", TurnUrlError::Host),
            ("turn:a b", TurnUrlError::Host),
            ("turn:[::1", TurnUrlError::Host),
            ("turn:x:0", TurnUrlError::Port),
            ("turn:x:+80", TurnUrlError::Port),
            ("turn:x:99999", TurnUrlError::Port),
            ("turn:x?transport=sctp", TurnUrlError::Transport),
            ("turns:x?transport=udp", TurnUrlError::Transport),
        ] {
            assert_eq!(text.parse::<TurnUrl>(), Err(why), "{text}");
        }
        assert_eq!(
            "turn:[::1]".parse().map(|url: TurnUrl| url.to_string()),
            Ok("turn:[::1]:3478?transport=udp".into())
        );
    }

    #[test]
    fn a_password_is_renewed_in_time_for_a_relay_whose_clock_is_an_hour_off() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let servers = IceServers::others(TurnSecret::new("north"), LIFETIME, Vec::new());
        let (expiry, _) = read_username(&username(&ada(), NOW)).expect("ours");
        let renewed = NOW + servers.refresh_after();
        assert!(expiry > renewed + HOUR, "its clock is ahead");
        assert!(expiry > NOW - HOUR, "its clock is behind");
    }

    #[test]
    fn a_username_of_another_scheme_is_none() {
        assert_eq!(read_username("12:bob"), Some((Duration::from_secs(12), "bob")));
        for other in ["bob", "", ":bob", "-1:bob", "1e9:bob", "99999999999999999999999:bob"] {
            assert_eq!(read_username(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_for_an_authority_can_stand_in_a_url(text in "\\PC{0,80}") {
            if let Some((host, Ok(port))) = split_authority(&text, 80) {
                let url = format!("turn:{host}:{port}?transport=tcp");
                prop_assert_eq!(url.parse::<TurnUrl>().map(|parsed| parsed.to_string()), Ok(url));
            }
        }
    }
}
