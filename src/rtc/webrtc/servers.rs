//! Which STUN and TURN URLs the crate can use, and what to say of the others.

use ::rtc::peer_connection::transport::RTCIceServer;
use signaling_protocol::IceServer;

/// What of `servers` can be used, and one sentence for each URL that cannot.
pub fn usable(servers: &[IceServer]) -> (Vec<RTCIceServer>, Vec<String>) {
    let mut usable = Vec::new();
    let mut problems = Vec::new();
    for server in servers {
        let mut urls = Vec::new();
        for url in &server.urls {
            match refusal(url, server) {
                None => urls.push(url.clone()),
                Some(reason) => problems.push(format!("The server {url:?} is not used: {reason}.")),
            }
        }
        if !urls.is_empty() {
            usable.push(RTCIceServer {
                urls,
                username: server.username.clone().unwrap_or_default(),
                credential: server.credential.clone().unwrap_or_default(),
            });
        }
    }
    (usable, problems)
}

/// Stands for the relay that is not known yet: the crate refuses a relay-only connection without
/// one, although its offer may have to leave before the server tells its relay. Nobody listens at
/// the discard port (RFC 863).
pub fn no_relay_yet() -> RTCIceServer {
    RTCIceServer {
        urls: vec!["turn:127.0.0.1:9".to_owned()],
        username: "-".to_owned(),
        credential: "-".to_owned(),
    }
}

/// RFC 7064 and RFC 7065.
fn refusal(url: &str, server: &IceServer) -> Option<&'static str> {
    let Ok(parsed) = ::rtc::ice::url::Url::parse_url(url) else {
        return Some("it is not a STUN or TURN address");
    };
    let turn = match parsed.scheme {
        ::rtc::ice::url::SchemeType::Stun => false,
        ::rtc::ice::url::SchemeType::Turn => true,
        ::rtc::ice::url::SchemeType::Stuns | ::rtc::ice::url::SchemeType::Turns => {
            return Some("STUN and TURN over TLS are not supported yet");
        }
        _ => return Some("it is not a STUN or TURN address"),
    };
    if parsed.proto != ::rtc::ice::url::ProtoType::Udp {
        return Some("STUN and TURN over TCP are not supported yet");
    }
    let empty = |text: &Option<String>| text.as_ref().is_none_or(String::is_empty);
    if turn && (empty(&server.username) || empty(&server.credential)) {
        return Some("a TURN server needs a user name and a password");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server(urls: &[&str], user: Option<&str>) -> IceServer {
        IceServer {
            urls: urls.iter().map(|&url| url.to_owned()).collect(),
            username: user.map(str::to_owned),
            credential: user.map(str::to_owned),
        }
    }

    #[test]
    fn each_url_that_cannot_be_used_is_named_with_its_reason() {
        let urls = [
            "turn:192.0.2.1:3478",
            "turns:relay.example",
            "turn:192.0.2.1?transport=tcp",
            "http://x",
            "stun:192.0.2.1",
        ];
        let (usable, problems) = usable(&[server(&urls, Some("u"))]);
        assert_eq!(usable.len(), 1);
        assert_eq!(usable[0].urls, ["turn:192.0.2.1:3478", "stun:192.0.2.1"]);
        assert_eq!(problems.len(), 3);
        assert!(problems[0].contains("turns:relay.example") && problems[0].contains("TLS"), "{problems:?}");
        assert!(problems[1].contains("TCP"), "{problems:?}");
    }

    #[test]
    fn a_relay_without_credentials_is_named() {
        let (usable, problems) = usable(&[server(&["turn:192.0.2.1"], None)]);
        assert!(usable.is_empty());
        assert!(problems[0].contains("user name"), "{problems:?}");
    }

    proptest! {
        #[test]
        fn no_url_is_too_strange(url in "(stun|turn|turns|stuns)?:?[\\[\\]:?=.a-z0-9é]{0,24}") {
            let _ = usable(&[server(&[&url], Some("u"))]);
        }
    }
}
