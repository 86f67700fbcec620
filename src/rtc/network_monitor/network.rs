//! This computer's interfaces as the system lists them, and what differs between two lists.

use std::net::IpAddr;

use crate::rtc::stats::InterfaceKind;

/// All interfaces at one moment, in the system's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// The interfaces.
    pub interfaces: Vec<Interface>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The system's name.
    pub name: String,
    /// What it is, as far as the system tells.
    pub kind: InterfaceKind,
    /// Whether packets can leave: it is switched on and has its cable, cell or access point.
    pub up: bool,
    /// Addresses that may be used; none that is link-local or still being checked for duplicates.
    pub addresses: Vec<IpAddr>,
    /// Whether a default route leads over it.
    pub default_route: bool,
    /// Largest packet in bytes, where the system tells it.
    pub mtu: Option<u32>,
}

impl Interface {
    /// Whether a call could go by it.
    pub fn is_usable(&self) -> bool {
        self.up && !self.addresses.is_empty() && self.kind != InterfaceKind::Loopback
    }

    /// Which kinds are preferred: the cheapest and steadiest first. A tunnel is never better than
    /// what it runs over, and nobody plugs in a bridge to make a call better.
    pub fn rank(&self) -> u8 {
        match self.kind {
            InterfaceKind::Ethernet => 0,
            InterfaceKind::Wifi | InterfaceKind::Unknown => 1,
            InterfaceKind::Cellular => 2,
            InterfaceKind::Vpn => 3,
            InterfaceKind::Virtual => 4,
            InterfaceKind::Loopback => 5,
        }
    }
}

impl Network {
    /// The interface that has an address and is up.
    pub fn working_with(&self, address: IpAddr) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.up && interface.addresses.contains(&address))
    }

    /// The interface with a name.
    pub fn named(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// Interfaces that a call could go by.
    pub fn usable(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.iter().filter(|interface| interface.is_usable())
    }

    /// What differs since `before`, most important first.
    pub fn since(&self, before: &Self) -> Vec<InterfaceNews> {
        let mut news: Vec<InterfaceNews> = Vec::new();
        for old in &before.interfaces {
            if old.is_usable() && !self.named(&old.name).is_some_and(Interface::is_usable) {
                news.push(InterfaceNews::of(old, Difference::Gone));
            }
        }
        for new in &self.interfaces {
            let old = before.named(&new.name).filter(|old| old.is_usable());
            let difference = match old {
                None if new.is_usable() => Difference::Came,
                Some(old) if new.is_usable() && old.addresses != new.addresses => Difference::Addresses,
                Some(old) if new.is_usable() && old.default_route != new.default_route => Difference::Route,
                None | Some(_) => continue,
            };
            news.push(InterfaceNews::of(new, difference));
        }
        news
    }
}

/// What is new about one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceNews {
    /// Which.
    pub name: String,
    /// Of what kind.
    pub kind: InterfaceKind,
    /// What.
    pub difference: Difference,
}

/// How an interface differs from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It can be used now.
    Came,
    /// It cannot be used any more.
    Gone,
    /// It has other addresses.
    Addresses,
    /// It got or lost the default route.
    Route,
}

impl InterfaceNews {
    fn of(interface: &Interface, difference: Difference) -> Self {
        Self { name: interface.name.clone(), kind: interface.kind, difference }
    }
}

impl std::fmt::Display for InterfaceNews {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.difference {
            Difference::Came => "can be used now",
            Difference::Gone => "cannot be used any more",
            Difference::Addresses => "has other addresses",
            Difference::Route => "got or lost the default route",
        };
        write!(f, "{} {what}", self.name)
    }
}

/// What an interface is by its name, as systems and their tools give them; `None` when the name
/// says nothing.
pub fn kind_by_name(name: &str) -> Option<InterfaceKind> {
    const NAMES: [(InterfaceKind, &[&str]); 6] = [
        (
            InterfaceKind::Virtual,
            &[
                "docker", "br-", "veth", "virbr", "vmnet", "vnet", "lxc", "ifb", "dummy", "bridge", "awdl",
                "llw",
            ],
        ),
        (
            InterfaceKind::Vpn,
            &["tun", "tap", "wg", "ppp", "utun", "tailscale", "zt", "ipsec", "nordlynx", "proton"],
        ),
        (InterfaceKind::Wifi, &["wl", "ath", "ra"]),
        (InterfaceKind::Cellular, &["ww", "rmnet", "pdp_ip", "usb"]),
        (InterfaceKind::Ethernet, &["eth", "en"]),
        (InterfaceKind::Loopback, &["lo"]),
    ];
    let of = |(kind, names): &(InterfaceKind, &[&str])| {
        names.iter().any(|start| name.starts_with(start)).then_some(*kind)
    };
    NAMES.iter().find_map(of)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An interface that is up and has the default route.
    pub(crate) fn interface(name: &str, addresses: &[&str]) -> Interface {
        Interface {
            name: name.to_owned(),
            kind: kind_by_name(name).unwrap_or_default(),
            up: true,
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            default_route: true,
            mtu: None,
        }
    }

    pub(crate) fn network(interfaces: &[Interface]) -> Network {
        Network { interfaces: interfaces.to_vec() }
    }

    fn news(before: &[Interface], now: &[Interface]) -> Vec<String> {
        network(now).since(&network(before)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_tell_the_kind() {
        use InterfaceKind::{Cellular, Ethernet, Loopback, Virtual, Vpn, Wifi};
        let names = [
            "eth0", "enp3s0", "wlp2s0", "wwan0", "tun0", "wg0", "docker0", "br-1a2b", "veth9", "lo", "utun3",
        ];
        let kinds = [Ethernet, Ethernet, Wifi, Cellular, Vpn, Vpn, Virtual, Virtual, Virtual, Loopback, Vpn];
        assert_eq!(names.map(kind_by_name), kinds.map(Some));
        assert_eq!(kind_by_name("mystery"), None);
    }

    #[test]
    fn an_interface_is_gone_when_it_loses_its_cable_its_address_or_itself() {
        let wifi = interface("wlan0", &["192.168.1.5"]);
        let gone = ["wlan0 cannot be used any more"];
        assert_eq!(news(std::slice::from_ref(&wifi), &[]), gone);
        assert_eq!(news(std::slice::from_ref(&wifi), &[Interface { up: false, ..wifi.clone() }]), gone);
        assert_eq!(news(std::slice::from_ref(&wifi), &[interface("wlan0", &[])]), gone);
    }

    #[test]
    fn only_what_a_call_could_go_by_is_news() {
        let wifi = interface("wlan0", &["192.168.1.5"]);
        let unplugged = Interface { up: false, ..interface("eth0", &["10.0.0.2"]) };
        let bare = interface("docker0", &[]);
        assert_eq!(news(std::slice::from_ref(&wifi), &[wifi.clone(), unplugged, bare]), [""; 0]);
        let eth = interface("eth0", &["10.0.0.2"]);
        assert_eq!(news(std::slice::from_ref(&wifi), &[wifi.clone(), eth]), ["eth0 can be used now"]);
        let moved = interface("wlan0", &["192.168.7.5"]);
        assert_eq!(news(std::slice::from_ref(&wifi), &[moved]), ["wlan0 has other addresses"]);
        let lan = Interface { default_route: false, ..wifi.clone() };
        assert_eq!(news(&[wifi], &[lan]), ["wlan0 got or lost the default route"]);
    }

    proptest! {
        #[test]
        fn any_name_has_a_kind_or_none(name in "\\PC{0,20}") {
            let _ = kind_by_name(&name);
        }
    }
}
