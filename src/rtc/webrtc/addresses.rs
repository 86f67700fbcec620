//! Which local addresses get a socket.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use ::rtc::shared::ifaces::ifaces;

use crate::rtc::engine::Addresses;

/// Most sockets of one connection; a computer with dozens of virtual interfaces does not make
/// hundreds of pairs. Later ones are left out.
const MOST: usize = 8;

/// Looks the addresses up when it is asked: a connection uses what is there when it is made.
#[derive(Clone, Debug)]
pub struct Local(pub Addresses);

impl ToSocketAddrs for Local {
    type Iter = std::vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let found = match &self.0 {
            Addresses::Only(addresses) => addresses.clone(),
            Addresses::Interfaces | Addresses::WithLoopback => {
                let all = ifaces()?.into_iter().filter_map(|interface| Some(interface.addr?.ip()));
                choose(&self.0, all.collect())
            }
        };
        let sockets: Vec<SocketAddr> = found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect();
        Ok(sockets.into_iter())
    }
}

/// The interfaces that have an address, one entry for each address; none that is link-local.
pub fn interfaces() -> io::Result<Vec<(String, IpAddr)>> {
    let usable = |ip: &IpAddr| !ip.is_unspecified() && !is_link_local(*ip);
    let all = ifaces()?.into_iter();
    Ok(all.filter_map(|it| Some((it.name, it.addr?.ip()))).filter(|(_, ip)| usable(ip)).collect())
}

fn choose(wanted: &Addresses, all: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    let mut loopback: Vec<IpAddr> = Vec::new();
    for ip in all {
        let list = if ip.is_loopback() { &mut loopback } else { &mut chosen };
        if !ip.is_unspecified() && !is_link_local(ip) && !list.contains(&ip) {
            list.push(ip);
        }
    }
    chosen.truncate(MOST);
    if chosen.is_empty() || *wanted == Addresses::WithLoopback {
        chosen.append(&mut loopback);
    }
    chosen
}

/// Link-local addresses need a zone that candidates cannot carry.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_and_link_local_get_no_socket_beside_a_real_address() {
        let all =
            ips(&["127.0.0.1", "::1", "192.168.1.5", "fe80::1", "169.254.1.1", "2001:db8::1", "192.168.1.5"]);
        assert_eq!(choose(&Addresses::Interfaces, all), ips(&["192.168.1.5", "2001:db8::1"]));
    }

    #[test]
    fn loopback_is_used_when_asked_for_or_when_there_is_nothing_else() {
        let all = ips(&["127.0.0.1", "192.168.1.5"]);
        assert_eq!(choose(&Addresses::WithLoopback, all), ips(&["192.168.1.5", "127.0.0.1"]));
        assert_eq!(choose(&Addresses::Interfaces, ips(&["127.0.0.1", "fe80::1"])), ips(&["127.0.0.1"]));
    }
}
