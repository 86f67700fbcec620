//! The list of interfaces where the system's own is not read: on other systems than Linux, and in
//! containers that forbid it.

use std::io;

use super::network::{Interface, Network, kind_by_name};
use crate::rtc::webrtc::addresses::interfaces;

/// The interfaces that have an address; whether they have a route is not known, so all count as
/// having the default one.
pub fn read() -> io::Result<Network> {
    let mut network = Network::default();
    for (name, address) in interfaces()? {
        if let Some(known) = network.interfaces.iter_mut().find(|interface| interface.name == name) {
            known.addresses.push(address);
            continue;
        }
        network.interfaces.push(Interface {
            kind: kind_by_name(&name).unwrap_or_default(),
            name,
            up: true,
            addresses: vec![address],
            default_route: true,
            mtu: None,
        });
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_listed_once_with_its_addresses() {
        let network = read().unwrap();
        let names: std::collections::BTreeSet<_> = network.interfaces.iter().map(|it| &it.name).collect();
        assert_eq!(names.len(), network.interfaces.len());
        assert!(network.interfaces.iter().all(|interface| !interface.addresses.is_empty()));
    }
}
