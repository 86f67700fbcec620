//! The kernel's list of interfaces, and its news of them, over netlink (rtnetlink(7)).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::Path;

use bytes::BytesMut;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteType};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{AsyncSocket, AsyncSocketExt, Socket, SocketAddr, TokioSocket};

use super::network::{Interface, Network, kind_by_name};
use crate::rtc::stats::InterfaceKind;

/// Multicast groups (rtnetlink.h): links, addresses and routes of IPv4 and IPv6.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// The kernel's answers come in pieces of at most 32 KiB.
const PIECE: usize = 32 * 1024;

/// Interfaces, addresses and routes that are looked at; more are left out.
const MOST: usize = 4_096;

/// News of the kernel; what it is about is read anew with [`read`], so none can be misunderstood.
pub struct News {
    socket: TokioSocket,
    buffer: BytesMut,
}

impl News {
    /// Listens.
    pub fn listen() -> io::Result<Self> {
        let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
        socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
        Ok(Self { socket, buffer: BytesMut::with_capacity(PIECE) })
    }

    /// Something is new. An error too: the kernel had more to say than fits its buffer.
    pub async fn next(&mut self) {
        self.buffer.clear();
        self.socket.recv(&mut self.buffer).await.ok();
    }
}

/// The interfaces as they are.
pub fn read() -> io::Result<Network> {
    let mut found: BTreeMap<u32, Interface> = BTreeMap::new();
    for answer in dump(RouteNetlinkMessage::GetLink(LinkMessage::default()))? {
        if let RouteNetlinkMessage::NewLink(link) = answer
            && let Some(interface) = interface(&link)
        {
            found.insert(link.header.index, interface);
        }
    }
    for answer in dump(RouteNetlinkMessage::GetAddress(AddressMessage::default()))? {
        if let RouteNetlinkMessage::NewAddress(message) = answer
            && let Some(interface) = found.get_mut(&message.header.index)
            && let Some(address) = address(&message)
            && !interface.addresses.contains(&address)
        {
            interface.addresses.push(address);
        }
    }
    let mut with_default = BTreeSet::new();
    for answer in dump(RouteNetlinkMessage::GetRoute(RouteMessage::default()))? {
        if let RouteNetlinkMessage::NewRoute(route) = answer {
            with_default.extend(default_over(&route));
        }
    }
    for (index, interface) in &mut found {
        interface.default_route = with_default.contains(index);
        interface.addresses.sort();
    }
    Ok(Network { interfaces: found.into_values().collect() })
}

/// Asks for a whole table. The kernel answers at once.
fn dump(question: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), NetlinkPayload::from(question));
    message.header.flags = NLM_F_DUMP | NLM_F_REQUEST;
    message.header.sequence_number = 1;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut answers = Vec::new();
    let mut buffer = BytesMut::with_capacity(PIECE);
    loop {
        buffer.clear();
        socket.recv(&mut buffer, 0)?;
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            match message.payload {
                NetlinkPayload::InnerMessage(answer) if answers.len() < MOST => answers.push(answer),
                NetlinkPayload::Done(_) => return Ok(answers),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            // RFC 3549 section 2.2: messages are aligned to four bytes.
            let len = (message.header.length as usize).next_multiple_of(4).max(16);
            rest = rest.get(len..).unwrap_or_default();
        }
    }
}

fn interface(link: &LinkMessage) -> Option<Interface> {
    let name = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let mtu = link.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Mtu(mtu) => Some(*mtu),
        _ => None,
    });
    let flags = link.header.flags;
    let kind = if flags.contains(LinkFlags::Loopback) { InterfaceKind::Loopback } else { kind(&name) };
    let up = flags.contains(LinkFlags::Up | LinkFlags::Running);
    Some(Interface { name, kind, up, addresses: Vec::new(), default_route: false, mtu })
}

/// By the name, or else by what the kernel's files say about the device.
fn kind(name: &str) -> InterfaceKind {
    if let Some(kind) = kind_by_name(name) {
        return kind;
    }
    let device = Path::new("/sys/class/net").join(name);
    let event = std::fs::read_to_string(device.join("uevent")).unwrap_or_default();
    let is = |kind: &str| event.lines().any(|line| line.strip_prefix("DEVTYPE=") == Some(kind));
    if device.join("wireless").exists() || is("wlan") {
        InterfaceKind::Wifi
    } else if is("wwan") {
        InterfaceKind::Cellular
    } else if is("wireguard") || device.join("tun_flags").exists() {
        InterfaceKind::Vpn
    } else if is("bridge") {
        InterfaceKind::Virtual
    } else if device.join("device").exists() {
        InterfaceKind::Ethernet
    } else {
        InterfaceKind::Unknown
    }
}

/// The address, if it may be used for a call.
fn address(message: &AddressMessage) -> Option<IpAddr> {
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    let (mut own, mut of_prefix) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Flags(all) => flags = *all,
            // On a point-to-point interface `Address` is the other end's.
            AddressAttribute::Local(address) => own = Some(*address),
            AddressAttribute::Address(address) => of_prefix = Some(*address),
            _ => {}
        }
    }
    let address = own.or(of_prefix)?;
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    let unchecked = flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed);
    (!link_local && !unchecked && !address.is_unspecified()).then_some(address)
}

/// The interface that a default route leads over.
fn default_over(route: &RouteMessage) -> Option<u32> {
    if route.header.destination_prefix_length != 0 || route.header.kind != RouteType::Unicast {
        return None;
    }
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_of_the_loopback_interface_at_least() {
        let network = read().unwrap();
        println!("{network:#?}");
        let loopback = network.named("lo").expect("every Linux has it");
        assert_eq!(loopback.kind, InterfaceKind::Loopback);
        assert!(!loopback.up || loopback.addresses.contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(!loopback.default_route && !loopback.is_usable());
    }
}
