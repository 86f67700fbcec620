//! What to do about a change of the network, pure: mostly nothing.
//!
//! A path that works is never touched because of an interface that it does not use.

use std::net::IpAddr;

use super::network_monitor::Change;
use super::network_monitor::network::Interface;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The path in use is not concerned.
    Nothing,
    /// A better interface is there: see in the background whether the path over it is better.
    Try(Interface),
    /// There is no path, or its interface is gone: at once another one over what is there.
    Replace,
    /// The interface in use is gone, and there is no other.
    Wait,
}

impl Reaction {
    /// For logs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Try(_) => "try",
            Self::Replace => "replace",
            Self::Wait => "wait",
        }
    }
}

/// Decides, given the address of ours that the path in use leaves from (`None`: not known), and
/// whether that path works.
pub fn react(change: &Change, from: Option<IpAddr>, works: bool) -> Reaction {
    let carrier = from.and_then(|address| change.before.working_with(address));
    let stays = |interface: &Interface| {
        from.and_then(|address| change.now.working_with(address))
            .is_some_and(|now| now.name == interface.name)
    };
    let any = change.now.usable().next().is_some();
    match carrier {
        Some(interface) if !stays(interface) => {
            if any {
                Reaction::Replace
            } else {
                Reaction::Wait
            }
        }
        Some(interface) if works => better(change, interface).map_or(Reaction::Nothing, Reaction::Try),
        None if works => Reaction::Nothing,
        Some(_) | None => {
            if any {
                Reaction::Replace
            } else {
                Reaction::Wait
            }
        }
    }
}

/// The best of the interfaces with news, if it is better than the one in use.
fn better(change: &Change, carrier: &Interface) -> Option<Interface> {
    let changed = change.now.usable().filter(|interface| {
        interface.default_route && change.news.iter().any(|news| news.name == interface.name)
    });
    changed.filter(|interface| interface.rank() < carrier.rank()).min_by_key(|it| it.rank()).cloned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::network_monitor::network::tests::{interface, network};
    use super::*;

    const WIFI: &str = "192.168.1.5";

    fn wifi() -> Interface {
        interface("wlan0", &[WIFI])
    }

    fn on_wifi(before: &[Interface], now: &[Interface], works: bool) -> Reaction {
        let change = Change::between(Arc::new(network(before)), Arc::new(network(now)));
        react(&change.expect("something differs"), Some(WIFI.parse().unwrap()), works)
    }

    #[test]
    fn what_the_call_does_not_use_may_come_and_go() {
        let others = [
            interface("docker0", &["172.17.0.1"]),
            interface("wwan0", &["100.64.0.9"]),
            interface("tun0", &["10.8.0.2"]),
            interface("wlan1", &["192.168.2.5"]),
            Interface { default_route: false, ..interface("eth0", &["10.0.0.2"]) },
        ];
        for other in others {
            assert_eq!(on_wifi(&[wifi()], &[wifi(), other.clone()], true), Reaction::Nothing, "{other:?}");
            assert_eq!(on_wifi(&[wifi(), other.clone()], &[wifi()], true), Reaction::Nothing, "{other:?}");
        }
    }

    #[test]
    fn a_vpn_that_takes_the_default_route_leaves_the_path_alone() {
        let (vpn, without) = (interface("tun0", &["10.8.0.2"]), Interface { default_route: false, ..wifi() });
        assert_eq!(on_wifi(&[wifi()], &[without, vpn], true), Reaction::Nothing);
    }

    #[test]
    fn a_better_interface_is_tried() {
        let eth = interface("eth0", &["10.0.0.2"]);
        assert_eq!(on_wifi(&[wifi()], &[wifi(), eth.clone()], true), Reaction::Try(eth.clone()));
        let unrouted = Interface { default_route: false, ..eth.clone() };
        assert_eq!(on_wifi(&[wifi(), unrouted], &[wifi(), eth.clone()], true), Reaction::Try(eth));
    }

    #[test]
    fn the_interface_in_use_is_replaced_when_it_or_its_address_is_gone() {
        let cell = interface("wwan0", &["100.64.0.9"]);
        let moved = interface("wlan0", &["192.168.7.7"]);
        assert_eq!(on_wifi(&[wifi(), cell.clone()], std::slice::from_ref(&cell), true), Reaction::Replace);
        assert_eq!(on_wifi(&[wifi()], &[moved], true), Reaction::Replace);
        assert_eq!(on_wifi(&[wifi()], &[], true), Reaction::Wait);
        let down = Interface { up: false, ..wifi() };
        assert_eq!(on_wifi(&[wifi(), cell.clone()], &[down, cell], true), Reaction::Replace);
    }

    #[test]
    fn without_a_path_every_interface_that_comes_is_worth_a_try() {
        assert_eq!(on_wifi(&[], &[interface("wwan0", &["100.64.0.9"])], false), Reaction::Replace);
        assert_eq!(on_wifi(&[], &[wifi()], false), Reaction::Replace, "the same one is back");
        assert_eq!(on_wifi(&[interface("wwan0", &["100.64.0.9"])], &[], false), Reaction::Wait);
    }

    #[test]
    fn a_path_whose_address_is_not_known_is_left_alone_while_it_works() {
        let change = Change::between(Arc::new(network(&[wifi()])), Arc::default()).unwrap();
        assert_eq!(react(&change, None, true), Reaction::Nothing);
        assert_eq!(react(&change, None, false), Reaction::Wait);
    }
}
