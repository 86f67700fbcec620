//! To which addresses the relay may send on behalf of its clients.
//!
//! A relay stands in its owner's network: without a policy, everybody with credentials reaches
//! everything that the server reaches (RFC 8656, section 21.1; metadata services of clouds).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which peers are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerPolicy {
    /// A server in a home or an office: its participants are on private addresses.
    Lan,
    /// A server on the internet: the special-purpose ranges of IANA are none of its clients' business.
    Public,
}

impl PeerPolicy {
    /// The policy for a server whose own address is `own`.
    pub fn for_server_at(own: IpAddr) -> Self {
        if is_special(own) { Self::Lan } else { Self::Public }
    }

    /// Whether a client may talk to `peer` through the relay.
    pub fn allows(self, peer: IpAddr) -> bool {
        match self {
            Self::Lan => !is_never_a_peer(peer),
            Self::Public => !is_special(peer),
        }
    }
}

/// Addresses that belong to no participant anywhere.
fn is_never_a_peer(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.octets()[0] == 0
                || v4.octets()[0] >= 224
                // The metadata service of most clouds.
                || v4 == Ipv4Addr::new(169, 254, 169, 254)
        }
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_multicast()
                || embeds_ipv4(v6)
                // The metadata service of one cloud.
                || v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
    }
}

/// Whether the address is in a special-purpose range that is not globally reachable, or leads to
/// IPv4 (IANA special-purpose registries, RFC 6890 and its updates; multicast).
pub fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => SPECIAL_V4.iter().any(|(net, bits)| in_v4(v4, *net, *bits)),
        IpAddr::V6(v6) => {
            v6.is_loopback() || embeds_ipv4(v6) || SPECIAL_V6.iter().any(|(net, bits)| in_v6(v6, *net, *bits))
        }
    }
}

/// Forms of IPv6 in which an IPv4 address hides: mapped, compatible, NAT64, 6to4, Teredo.
fn embeds_ipv4(v6: Ipv6Addr) -> bool {
    !v6.is_loopback() && EMBEDDING.iter().any(|(net, bits)| in_v6(v6, *net, *bits))
}

const SPECIAL_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 88, 99, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

/// The first two or three groups are enough to tell these ranges.
const SPECIAL_V6: [([u16; 3], u32); 9] = [
    ([0x100, 0, 0], 48),
    ([0x2001, 0, 0], 23),
    ([0x2001, 0xdb8, 0], 32),
    ([0x3fff, 0, 0], 20),
    ([0x5f00, 0, 0], 16),
    ([0xfc00, 0, 0], 7),
    ([0xfe80, 0, 0], 10),
    ([0xfec0, 0, 0], 10),
    ([0xff00, 0, 0], 8),
];

const EMBEDDING: [([u16; 3], u32); 4] =
    [([0, 0, 0], 32), ([0x64, 0xff9b, 0], 32), ([0x2002, 0, 0], 16), ([0x2001, 0, 0], 32)];

fn in_v4(address: Ipv4Addr, net: [u8; 4], bits: u32) -> bool {
    (u32::from(address) ^ u32::from_be_bytes(net)) >> (32 - bits) == 0
}

fn in_v6(address: Ipv6Addr, [a, b, c]: [u16; 3], bits: u32) -> bool {
    let net = Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0);
    (u128::from(address) ^ u128::from(net)) >> (128 - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_public_relay_reaches_nothing_but_the_public_internet() {
        let denied = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "::8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ];
        for text in denied {
            assert!(!PeerPolicy::Public.allows(ip(text)), "{text}");
        }
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2001:4860::1",
        ] {
            assert!(PeerPolicy::Public.allows(ip(text)), "{text}");
        }
    }

    #[test]
    fn a_relay_at_home_reaches_the_home_but_no_metadata_service_and_no_multicast() {
        for text in
            ["127.0.0.1", "192.168.1.7", "10.1.2.3", "169.254.1.1", "8.8.8.8", "::1", "fd12::1", "fe80::1"]
        {
            assert!(PeerPolicy::Lan.allows(ip(text)), "{text}");
        }
        for text in [
            "0.0.0.0",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "fd00:ec2::254",
        ] {
            assert!(!PeerPolicy::Lan.allows(ip(text)), "{text}");
        }
    }

    #[test]
    fn the_server_s_own_address_decides() {
        assert_eq!(PeerPolicy::for_server_at(ip("127.0.0.1")), PeerPolicy::Lan);
        assert_eq!(PeerPolicy::for_server_at(ip("192.168.1.5")), PeerPolicy::Lan);
        assert_eq!(PeerPolicy::for_server_at(ip("8.8.8.8")), PeerPolicy::Public);
    }
}
