//! What one client may do through its relay address, and for how long (RFC 8656, sections 3 to 12).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// How long a permission lasts (section 9: exactly 5 minutes).
const PERMISSION: Duration = Duration::from_secs(300);

/// How long a channel lasts (section 12: exactly 10 minutes).
const CHANNEL: Duration = Duration::from_secs(600);

/// Most permissions of an allocation; further ones are refused with 508. A call has a handful.
const MAX_PERMISSIONS: usize = 64;

/// Channel numbers. RFC 8656 (section 12) has 0x4000 to 0x4fff, to share a port with DTLS and RTP;
/// clients of RFC 5766 also take higher ones, and here nothing else comes in on the port.
const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7ffe;

/// Why a permission or a channel is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The number is no channel's, or bound to another peer, or the peer to another number.
    BadChannel,
    /// There are too many.
    TooMany,
}

/// The permissions and channels of one allocation. Few of each, so that lists are fastest.
#[derive(Debug, Default)]
pub struct Rights {
    permissions: Vec<(IpAddr, Duration)>,
    channels: Vec<Channel>,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    until: Duration,
}

impl Rights {
    /// Lets packets from and to `peer` through.
    pub fn permit(&mut self, peer: IpAddr, now: Duration) -> Result<(), Refused> {
        if let Some((_, until)) = self.permissions.iter_mut().find(|(ip, _)| *ip == peer) {
            *until = now + PERMISSION;
            return Ok(());
        }
        self.permissions.retain(|(_, until)| *until > now);
        if self.permissions.len() >= MAX_PERMISSIONS {
            return Err(Refused::TooMany);
        }
        self.permissions.push((peer, now + PERMISSION));
        Ok(())
    }

    /// Binds a channel, and permits its peer.
    pub fn bind(&mut self, number: u16, peer: SocketAddr, now: Duration) -> Result<(), Refused> {
        if !CHANNELS.contains(&number) {
            return Err(Refused::BadChannel);
        }
        self.channels.retain(|channel| channel.until > now);
        let is_full = self.channels.len() >= MAX_PERMISSIONS;
        let same = self.channels.iter_mut().find(|channel| channel.number == number || channel.peer == peer);
        match same {
            Some(channel) if channel.number == number && channel.peer == peer => {
                channel.until = now + CHANNEL;
            }
            Some(_) => return Err(Refused::BadChannel),
            None if is_full => return Err(Refused::TooMany),
            None => self.channels.push(Channel { number, peer, until: now + CHANNEL }),
        }
        self.permit(peer.ip(), now)
    }

    /// Whether packets from and to `peer` go through.
    pub fn permits(&self, peer: IpAddr, now: Duration) -> bool {
        self.permissions.iter().any(|(ip, until)| *ip == peer && *until > now)
    }

    /// The peer of a channel. Without the permission of its peer a channel is of no use.
    pub fn peer_of(&self, number: u16, now: Duration) -> Option<SocketAddr> {
        let channel = self.channels.iter().find(|channel| channel.number == number && channel.until > now)?;
        self.permits(channel.peer.ip(), now).then_some(channel.peer)
    }

    /// The channel of a peer.
    pub fn channel_of(&self, peer: SocketAddr, now: Duration) -> Option<u16> {
        let channel = self.channels.iter().find(|channel| channel.peer == peer && channel.until > now)?;
        Some(channel.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(3600);

    fn peer(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_permission_is_for_every_port_of_an_address_and_ends_after_five_minutes() {
        let mut rights = Rights::default();
        rights.permit(peer("192.0.2.1:1").ip(), NOW).expect("the first");
        assert!(rights.permits(peer("192.0.2.1:9").ip(), NOW));
        assert!(!rights.permits(peer("192.0.2.2:1").ip(), NOW));
        assert!(!rights.permits(peer("192.0.2.1:1").ip(), NOW + PERMISSION));
    }

    #[test]
    fn a_channel_belongs_to_one_peer_and_needs_its_permission() {
        let mut rights = Rights::default();
        assert_eq!(rights.bind(0x4000, peer("192.0.2.1:1"), NOW), Ok(()));
        assert_eq!(rights.peer_of(0x4000, NOW), Some(peer("192.0.2.1:1")));
        assert_eq!(rights.channel_of(peer("192.0.2.1:1"), NOW), Some(0x4000));
        assert_eq!(rights.bind(0x4000, peer("192.0.2.2:1"), NOW), Err(Refused::BadChannel));
        assert_eq!(rights.bind(0x4001, peer("192.0.2.1:1"), NOW), Err(Refused::BadChannel));
        assert_eq!(rights.bind(0x3fff, peer("192.0.2.3:1"), NOW), Err(Refused::BadChannel));
        assert_eq!(rights.bind(0x7fff, peer("192.0.2.3:1"), NOW), Err(Refused::BadChannel));
        assert_eq!(rights.peer_of(0x4000, NOW + PERMISSION), None);
        assert_eq!(rights.bind(0x4000, peer("192.0.2.1:1"), NOW + PERMISSION), Ok(()));
        assert!(rights.peer_of(0x4000, NOW + PERMISSION).is_some());
        assert_eq!(rights.bind(0x4000, peer("192.0.2.2:1"), NOW + PERMISSION + CHANNEL), Ok(()));
    }

    #[test]
    fn there_is_an_end_to_permissions() {
        let mut rights = Rights::default();
        let granted = (0..1000u32).filter(|i| rights.permit(IpAddr::V4((*i).into()), NOW).is_ok()).count();
        assert_eq!(granted, MAX_PERMISSIONS);
        assert!(rights.permit(IpAddr::V4(5000.into()), NOW + PERMISSION).is_ok(), "old ones make place");
    }
}
