//! Keeps a socket on the interface whose address it has.
//!
//! On Linux, a socket that is only bound to an address follows the routes: when an interface with a
//! better one comes (a laptop is docked, a VPN is switched on), its packets leave over that one
//! with an address that does not belong there, and no answer ever comes. Other systems look at the
//! address as well when they choose a route.

use std::net::IpAddr;

use socket2::SockRef;

use crate::rtc::webrtc::addresses::interfaces;

/// What this socket exchanges with `other` goes by the interface in use from now on, whatever
/// becomes of the routes. Does nothing when the other end is on this computer: what comes from there
/// comes over loopback, whatever its address. Nothing either where the system does not permit it.
pub fn stay(socket: &SockRef<'_>, other: IpAddr) {
    let local = socket.local_addr().ok().and_then(|address| address.as_socket());
    let (Some(local), Ok(all)) = (local, interfaces()) else { return };
    if let Some(name) = leaves_by(&all, local.ip(), other)
        && let Err(error) = bind(socket, name)
    {
        tracing::debug!(%error, name, "a socket follows the routes");
    }
}

#[cfg(target_os = "linux")]
fn bind(socket: &SockRef<'_>, name: &str) -> std::io::Result<()> {
    socket.bind_device(Some(name.as_bytes()))
}

#[cfg(not(target_os = "linux"))]
fn bind(_: &SockRef<'_>, _: &str) -> std::io::Result<()> {
    Ok(())
}

/// The interface that what goes to `other` leaves by.
fn leaves_by(all: &[(String, IpAddr)], local: IpAddr, other: IpAddr) -> Option<&str> {
    let (local, other) = (local.to_canonical(), other.to_canonical());
    let here = |ip: IpAddr| ip.is_loopback() || all.iter().any(|(_, own)| *own == ip);
    if local.is_loopback() || here(other) {
        return None;
    }
    all.iter().find(|(_, own)| *own == local).map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_this_computer_is_bound_to_no_interface() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let all =
            [("lo", "127.0.0.1"), ("wlan0", "192.168.1.5"), ("wlan0", "2001:db8::5"), ("eth0", "10.0.0.2")]
                .map(|(name, address)| (name.to_owned(), ip(address)));
        let by = |local: &str, other: &str| leaves_by(&all, ip(local), ip(other));
        assert_eq!(by("192.168.1.5", "203.0.113.9"), Some("wlan0"));
        assert_eq!(by("::ffff:10.0.0.2", "203.0.113.9"), Some("eth0"));
        assert_eq!(by("2001:db8::5", "2001:db8:1::1"), Some("wlan0"));
        assert_eq!(by("192.168.1.5", "192.168.1.5"), None, "two programs on one computer");
        assert_eq!(by("192.168.1.5", "10.0.0.2"), None);
        assert_eq!(by("192.168.1.5", "127.0.0.1"), None);
        assert_eq!(by("127.0.0.1", "203.0.113.9"), None);
        assert_eq!(by("192.168.9.9", "203.0.113.9"), None, "the address is gone");
    }
}
