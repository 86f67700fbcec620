//! The STUN and TURN addresses that participants are told, with credentials that run out.
//!
//! Time-limited credentials as coturn's `use-auth-secret` and the "REST API for access to TURN
//! services" draft (draft-uberti-behave-turn-rest-00) have them: the username is
//! `EXPIRY:PEER` with the expiry in unix seconds, the password is base64(HMAC-SHA1(secret, username)).

use std::{net::IpAddr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use signaling_protocol::{IceServer, PeerId};

/// How long credentials can be used: longer than the longest call, since a relay refuses to
/// prolong an allocation whose username has run out.
pub const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// When new credentials should be asked for.
pub const REFRESH: Duration = Duration::from_secs(9 * 3600);

/// The secret shared with the relay.
#[derive(Clone)]
pub struct TurnSecret(String);

impl std::fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// The username for somebody, valid from `now` on.
pub fn username(peer: &PeerId, now: Duration) -> String {
    format!("{}:{peer}", (now + LIFETIME).as_secs())
}

/// When a username runs out, and whose it is. `None` if it is not one of this scheme.
pub fn read_username(username: &str) -> Option<(Duration, &str)> {
    let (expiry, user) = username.split_once(':')?;
    Some((Duration::from_secs(expiry.parse().ok()?), user))
}

/// Where the relay is, and how to get in.
#[derive(Clone, Debug)]
pub struct IceServers {
    secret: TurnSecret,
    port: u16,
    ip: Option<IpAddr>,
}

impl IceServers {
    /// `ip` is the address that everybody is told; without one, each participant is told the
    /// address over which it reached the server.
    pub fn new(secret: TurnSecret, port: u16, ip: Option<IpAddr>) -> Self {
        Self { secret, port, ip }
    }

    /// What to tell `peer`, who reached this server at `reached`.
    pub fn for_peer(&self, peer: &PeerId, reached: IpAddr, now: Duration) -> Vec<IceServer> {
        let host = match self.ip.unwrap_or(reached).to_canonical() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let username = username(peer, now);
        let credential = self.secret.password(&username);
        vec![
            IceServer { urls: vec![format!("stun:{host}:{}", self.port)], username: None, credential: None },
            IceServer {
                urls: vec![format!("turn:{host}:{}?transport=udp", self.port)],
                username: Some(username),
                credential: Some(credential),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn ada() -> PeerId {
        PeerId::new("ada").expect("valid")
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
        let servers = IceServers::new(TurnSecret::new("s"), 3478, None);
        let urls = |reached: &str| {
            servers.for_peer(&ada(), reached.parse().expect("an address"), NOW)[1].urls[0].clone()
        };
        assert_eq!(urls("192.168.1.5"), "turn:192.168.1.5:3478?transport=udp");
        assert_eq!(urls("::ffff:192.168.1.5"), "turn:192.168.1.5:3478?transport=udp");
        assert_eq!(urls("::1"), "turn:[::1]:3478?transport=udp");
    }

    #[test]
    fn a_username_of_another_scheme_is_none() {
        assert_eq!(read_username("12:bob"), Some((Duration::from_secs(12), "bob")));
        for other in ["bob", "", ":bob", "-1:bob", "1e9:bob", "99999999999999999999999:bob"] {
            assert_eq!(read_username(other), None, "{other}");
        }
    }
}
