//! From a name to addresses: with a deadline, and in the order in which they are tried.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;

use crate::server_url::Host;

/// How long a name may take to resolve. A resolver that is asked twice by the system (5 s each)
/// is given up before its second try.
const RESOLVE: Duration = Duration::from_secs(3);

/// Addresses of a name that are used; a name with more is served by any of the first.
const MOST_ADDRESSES: usize = 6;

/// The addresses of a host, IPv6 and IPv4 in turns, in the system's order otherwise (RFC 8305
/// section 4). The error is what the system said.
pub async fn resolve(host: &Host, port: u16) -> Result<Vec<SocketAddr>, String> {
    let name = match host {
        Host::V4(ip) => return Ok(vec![SocketAddr::new(IpAddr::V4(*ip), port)]),
        Host::V6(ip) => return Ok(vec![SocketAddr::new(IpAddr::V6(*ip), port)]),
        Host::Name(name) => name,
    };
    answered(tokio::net::lookup_host((name.as_str(), port)), RESOLVE).await
}

/// What the name service says, if it says something.
async fn answered<Found: Iterator<Item = SocketAddr>>(
    lookup: impl Future<Output = io::Result<Found>>,
    within: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let found = match timeout(within, lookup).await {
        Ok(Ok(found)) => in_turns(found.collect()),
        Ok(Err(error)) => return Err(in_words(&error)),
        Err(_) => return Err("the name service does not answer".to_owned()),
    };
    if found.is_empty() { Err("the name has no address".to_owned()) } else { Ok(found) }
}

/// The system's words, without the preface that the standard library gives them.
fn in_words(error: &io::Error) -> String {
    let text = error.to_string();
    text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned()
}

fn in_turns(mut all: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut seen = Vec::new();
    all.retain(|address| {
        let new = !seen.contains(address) && !address.ip().is_unspecified() && !address.ip().is_multicast();
        seen.push(*address);
        new
    });
    let first_is_v6 = all.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut turns = Vec::new();
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        match (first.next(), second.next()) {
            (None, None) => break,
            (a, b) => turns.extend(a.into_iter().chain(b)),
        }
    }
    turns.truncate(MOST_ADDRESSES);
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let all = |list: &[&str]| -> Vec<SocketAddr> { list.iter().map(|a| a.parse().unwrap()).collect() };
        let found =
            all(&["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::1]:1", "192.0.2.1:1", "0.0.0.0:1"]);
        assert_eq!(in_turns(found), all(&["[2001:db8::1]:1", "192.0.2.1:1", "[2001:db8::2]:1"]));
    }

    #[test]
    fn a_name_with_ten_addresses_is_tried_at_six() {
        let ten = (1..=10).map(|n| SocketAddr::from(([192, 0, 2, n], 1))).collect();
        assert_eq!(in_turns(ten).len(), 6);
    }

    #[tokio::test]
    async fn a_name_service_that_hangs_or_knows_no_address_is_told() {
        let hangs = std::future::pending::<io::Result<std::vec::IntoIter<SocketAddr>>>();
        assert_eq!(
            answered(hangs, Duration::from_millis(10)).await,
            Err("the name service does not answer".to_owned())
        );
        let nothing = std::future::ready(Ok(Vec::new().into_iter()));
        assert_eq!(answered(nothing, RESOLVE).await, Err("the name has no address".to_owned()));
    }

    #[tokio::test]
    async fn an_address_needs_no_name_service_and_a_name_that_is_none_is_told() {
        let host = Host::V6(std::net::Ipv6Addr::LOCALHOST);
        assert_eq!(resolve(&host, 5).await, Ok(vec!["[::1]:5".parse().unwrap()]));
        // RFC 6761 section 6.4: this name never exists.
        let error = resolve(&Host::Name("nobody.invalid".to_owned()), 5).await.expect_err("no such name");
        assert!(!error.contains("lookup address information"), "{error}");
    }
}
