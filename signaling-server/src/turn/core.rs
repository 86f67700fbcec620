//! What the server answers to STUN and TURN requests. No sockets, no time of its own.
//!
//! ```text
//!   packet ──▶ Core::handle ──▶ Outcome: Reply, Relay, Allocate, Release, Nothing
//! ```
//!
//! Where RFC 8656 leaves a choice: SHA-1 integrity only (what time-limited credentials have),
//! even ports but no reservation of the next one (508), no DONT-FRAGMENT (420). A username that has
//! run out makes no new allocation, but keeps the one that it has made: a call may be longer than
//! the life of its credentials.

use std::{
    collections::HashMap,
    net::SocketAddr,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use turn_types::{
    AddressFamily,
    attribute::{
        ChannelNumber, Data, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport,
        ReservationToken, XorPeerAddress, XorRelayedAddress,
    },
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND},
    stun::{
        attribute::{ErrorCode, Fingerprint, MessageIntegrity, Nonce, Realm, Username, XorMappedAddress},
        message::{
            BINDING, IntegrityAlgorithm, IntegrityKey, LongTermCredentials, Message, MessageClass,
            MessageType, MessageWriteVec, TransactionId,
        },
        prelude::{Attribute, AttributeFromRaw, AttributeStaticType, AttributeWrite},
    },
};

use super::{
    REALM,
    allocation::Refused,
    answer::{answer, error, refuse, unknown_attributes},
    limiter::Limiter,
    nonce::Nonces,
    relay::{NoRelay, Relay, Relays},
};
use crate::ice::{TurnSecret, read_username};

/// Lifetime of an allocation when none is asked for, and the least (RFC 8656, section 7.2).
const SHORTEST: u32 = 600;

/// The most that is granted.
const LONGEST: u32 = 3600;

/// UDP in the Internet protocol's numbering.
const UDP: u8 = 17;

/// Most peers in one CreatePermission.
const MAX_PEERS: usize = 16;

/// What to do with a packet.
#[derive(Debug)]
pub enum Outcome {
    /// Nothing: not for us, not allowed, or already done.
    Nothing,
    /// Send this back.
    Reply(Vec<u8>),
    /// Send a part of the packet to a peer.
    Relay {
        /// From where.
        relay: Arc<Relay>,
        /// To whom.
        to: SocketAddr,
        /// Which part.
        data: Range<usize>,
    },
    /// Make a relay address and say how it went ([`Core::allocated`]).
    Allocate(Wanted),
    /// Send this back; the relay address is free.
    Release(Vec<u8>, Arc<Relay>),
}

/// A relay address that somebody with good credentials wants.
#[derive(Debug)]
pub struct Wanted {
    /// The client.
    pub client: SocketAddr,
    /// The user, for the quota.
    pub user: String,
    /// An IPv6 address instead of an IPv4 one.
    pub ipv6: bool,
    /// A port that is even.
    pub even_port: bool,
    username: String,
    key: IntegrityKey,
    transaction: TransactionId,
    lifetime: u32,
}

#[derive(Debug)]
struct Allocation {
    relay: Arc<Relay>,
    username: String,
    key: IntegrityKey,
    until: Duration,
    /// The request and its answer, for the client to whom the answer got lost.
    transaction: TransactionId,
    answer: Vec<u8>,
}

/// Who made a request, when its credentials are good.
struct Caller {
    username: String,
    user: String,
    key: IntegrityKey,
}

/// The state of one listener for datagrams, or of one connection.
#[derive(Debug)]
pub struct Core {
    secret: TurnSecret,
    nonces: Nonces,
    limiter: Arc<Mutex<Limiter>>,
    relays: Arc<Relays>,
    allocations: HashMap<SocketAddr, Allocation>,
}

impl Core {
    /// A listener without clients.
    pub fn new(
        secret: TurnSecret,
        nonces: Nonces,
        limiter: Arc<Mutex<Limiter>>,
        relays: Arc<Relays>,
    ) -> Self {
        Self { secret, nonces, limiter, relays, allocations: HashMap::new() }
    }

    fn limiter(&self) -> MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a packet of a client.
    pub fn handle(&mut self, packet: &[u8], client: SocketAddr, now: Duration) -> Outcome {
        match packet.first() {
            // The first two bits tell them apart (RFC 5766, section 11).
            Some(0..=0x3f) => self.stun(packet, client, now),
            Some(0x40..=0x7f) => self.channel_data(packet, client, now),
            Some(_) | None => Outcome::Nothing,
        }
    }

    /// Gives up the allocations that have not been refreshed; returns them.
    pub fn expire(&mut self, now: Duration) -> Vec<Arc<Relay>> {
        let over = self.allocations.extract_if(|_, allocation| allocation.until <= now);
        over.map(|(_, allocation)| allocation.relay).collect()
    }

    /// Gives up all allocations; returns them.
    pub fn clear(&mut self) -> Vec<Arc<Relay>> {
        self.allocations.drain().map(|(_, allocation)| allocation.relay).collect()
    }

    /// Whether nobody has an allocation.
    pub fn is_empty(&self) -> bool {
        self.allocations.is_empty()
    }

    fn channel_data(&mut self, packet: &[u8], client: SocketAddr, now: Duration) -> Outcome {
        let Some((&[n0, n1, l0, l1], rest)) = packet.split_first_chunk::<4>() else {
            return Outcome::Nothing;
        };
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        let Some(allocation) = self.allocations.get(&client) else { return Outcome::Nothing };
        if length > rest.len() || allocation.until <= now {
            return Outcome::Nothing;
        }
        let peer = allocation.relay.rights().peer_of(u16::from_be_bytes([n0, n1]), now);
        match peer {
            Some(to) => Outcome::Relay { relay: allocation.relay.clone(), to, data: 4..4 + length },
            None => Outcome::Nothing,
        }
    }

    fn stun(&mut self, packet: &[u8], client: SocketAddr, now: Duration) -> Outcome {
        let Ok(message) = Message::from_bytes(packet) else { return Outcome::Nothing };
        match (message.class(), message.method()) {
            (MessageClass::Request, BINDING) => self.binding(&message, client, now),
            (MessageClass::Indication, SEND) => self.send_indication(&message, client, now),
            (MessageClass::Request, ALLOCATE | REFRESH | CREATE_PERMISSION | CHANNEL_BIND) => {
                match self.request(&message, client, now) {
                    Ok(outcome) => outcome,
                    Err(reply) => reply.map_or(Outcome::Nothing, Outcome::Reply),
                }
            }
            (MessageClass::Request, _) if self.limiter().allows_stranger(client, now) => {
                Outcome::Reply(refuse(&message, ErrorCode::BAD_REQUEST, &[], None))
            }
            _ => Outcome::Nothing,
        }
    }

    fn binding(&mut self, message: &Message<'_>, client: SocketAddr, now: Duration) -> Outcome {
        if !self.limiter().allows_binding(client, now) {
            return Outcome::Nothing;
        }
        if let Some(reply) = unknown_attributes(message, &[], None) {
            return Outcome::Reply(reply);
        }
        let mapped = XorMappedAddress::new(canonical(client), message.transaction_id());
        Outcome::Reply(answer(Message::builder_success(message, MessageWriteVec::new()), &[&mapped], None))
    }

    fn send_indication(&mut self, message: &Message<'_>, client: SocketAddr, now: Duration) -> Outcome {
        let Some(allocation) = self.allocations.get(&client) else { return Outcome::Nothing };
        let peer = message.attribute::<XorPeerAddress>().ok();
        let data = message.attribute_and_offset::<Data<'_>>().ok();
        let Some((peer, (offset, data))) = peer.zip(data) else { return Outcome::Nothing };
        let to = peer.addr(message.transaction_id());
        let is_known = |kind| matches!(kind, XorPeerAddress::TYPE | Data::TYPE | Fingerprint::TYPE);
        let has_unknown = message.iter_attributes().any(|(_, attribute)| {
            attribute.get_type().comprehension_required() && !is_known(attribute.get_type())
        });
        if has_unknown || allocation.until <= now || !allocation.relay.rights().permits(to.ip(), now) {
            return Outcome::Nothing;
        }
        // The attribute's value starts behind its type and length.
        let start = offset + 4;
        Outcome::Relay { relay: allocation.relay.clone(), to, data: start..start + data.data().len() }
    }

    /// A request that needs credentials. `Err` is a refusal to send, or silence.
    fn request(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
        now: Duration,
    ) -> Result<Outcome, Option<Vec<u8>>> {
        let caller = self.authenticate(message, client, now)?;
        if let Some(allocation) = self.allocations.get(&client)
            && allocation.username != caller.username
        {
            return Err(Some(refuse(message, ErrorCode::WRONG_CREDENTIALS, &[], Some(&caller.key))));
        }
        let outcome = match message.method() {
            ALLOCATE => self.allocate(message, client, caller, now),
            REFRESH => self.refresh(message, client, &caller, now),
            CREATE_PERMISSION => self.create_permission(message, client, &caller, now),
            _ => self.channel_bind(message, client, &caller, now),
        };
        outcome.map_err(Some)
    }

    /// RFC 8489, section 9.2.4.
    fn authenticate(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
        now: Duration,
    ) -> Result<Caller, Option<Vec<u8>>> {
        let challenge = |core: &mut Self, code| {
            core.limiter().allows_stranger(client, now).then(|| {
                let nonce = Nonce::new(&core.nonces.issue(client, now));
                let realm = Realm::new(REALM);
                match (&realm, &nonce) {
                    (Ok(realm), Ok(nonce)) => refuse(message, code, &[realm, nonce], None),
                    // Neither is longer than the format allows.
                    _ => refuse(message, ErrorCode::SERVER_ERROR, &[], None),
                }
            })
        };
        if !message.has_attribute(MessageIntegrity::TYPE) {
            return Err(challenge(self, ErrorCode::UNAUTHORIZED));
        }
        let username = message.attribute::<Username>();
        let nonce = message.attribute::<Nonce>();
        let (Ok(username), Ok(nonce), true) = (username, nonce, message.has_attribute(Realm::TYPE)) else {
            let allowed = self.limiter().allows_stranger(client, now);
            return Err(allowed.then(|| refuse(message, ErrorCode::BAD_REQUEST, &[], None)));
        };
        if !self.nonces.accepts(nonce.nonce(), client, now) {
            return Err(challenge(self, ErrorCode::STALE_NONCE));
        }
        let username = username.username().to_owned();
        let known = self.allocations.get(&client).filter(|allocation| allocation.username == username);
        let keeps = message.method() != ALLOCATE && known.is_some_and(|known| known.until > now);
        // The key of the allocation is the key of its username: no need to derive it again.
        let known = known.map(|allocation| allocation.key.clone());
        let Some((_, user)) = read_username(&username).filter(|(expiry, _)| keeps || *expiry > now) else {
            return Err(challenge(self, ErrorCode::UNAUTHORIZED));
        };
        let user = user.to_owned();
        let key = known.unwrap_or_else(|| {
            let password = self.secret.password(&username);
            LongTermCredentials::new(username.clone(), password)
                .to_key(REALM.to_owned())
                .make_key(IntegrityAlgorithm::Sha1)
        });
        if message.validate_integrity_with_key(&key).is_err() {
            return Err(challenge(self, ErrorCode::UNAUTHORIZED));
        }
        Ok(Caller { username, user, key })
    }

    fn allocate(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
        caller: Caller,
        now: Duration,
    ) -> Result<Outcome, Vec<u8>> {
        let refused = |code| refuse(message, code, &[], Some(&caller.key));
        if let Some(allocation) = self.allocations.get(&client) {
            if allocation.transaction == message.transaction_id() {
                return Ok(Outcome::Reply(allocation.answer.clone()));
            }
            if allocation.until > now {
                return Err(refused(ErrorCode::ALLOCATION_MISMATCH));
            }
        }
        let known = [
            RequestedTransport::TYPE,
            Lifetime::TYPE,
            RequestedAddressFamily::TYPE,
            EvenPort::TYPE,
            ReservationToken::TYPE,
        ];
        if let Some(reply) = unknown_attributes(message, &known, Some(&caller.key)) {
            return Err(reply);
        }
        let Ok(transport) = message.attribute::<RequestedTransport>() else {
            return Err(refused(ErrorCode::BAD_REQUEST));
        };
        if transport.protocol() != UDP {
            return Err(refused(ErrorCode::UNSUPPORTED_TRANSPORT_PROTOCOL));
        }
        let Ok(even_port) = optional::<EvenPort>(message) else {
            return Err(refused(ErrorCode::BAD_REQUEST));
        };
        // `requested` asks to reserve the next port too.
        let reserve = even_port.as_ref().is_some_and(EvenPort::requested);
        if reserve || message.has_attribute(ReservationToken::TYPE) {
            return Err(refused(ErrorCode::INSUFFICIENT_CAPACITY));
        }
        let ipv6 = match optional::<RequestedAddressFamily>(message) {
            Ok(family) => family.is_some_and(|family| family.family() == AddressFamily::IPV6),
            Err(()) => return Err(refused(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED)),
        };
        let lifetime = optional::<Lifetime>(message).ok().flatten().map_or(SHORTEST, |l| l.seconds());
        Ok(Outcome::Allocate(Wanted {
            client,
            user: caller.user,
            ipv6,
            even_port: even_port.is_some(),
            username: caller.username,
            key: caller.key,
            transaction: message.transaction_id(),
            lifetime: lifetime.clamp(SHORTEST, LONGEST),
        }))
    }

    /// Takes note of a new relay address, or of why there is none. Returns the answer, and a relay
    /// address that has run out and was replaced.
    pub fn allocated(
        &mut self,
        wanted: Wanted,
        made: Result<Arc<Relay>, NoRelay>,
        now: Duration,
    ) -> (Vec<u8>, Option<Arc<Relay>>) {
        let respond = |class| {
            let kind = MessageType::from_class_method(class, ALLOCATE);
            Message::builder(kind, wanted.transaction, MessageWriteVec::new())
        };
        let relay = match made {
            Ok(relay) => relay,
            Err(why) => {
                let code = match why {
                    NoRelay::Quota => ErrorCode::ALLOCATION_QUOTA_REACHED,
                    NoRelay::Ports => ErrorCode::INSUFFICIENT_CAPACITY,
                    NoRelay::Family => ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED,
                };
                return (error(respond(MessageClass::Error), code, &[], Some(&wanted.key)), None);
            }
        };
        let attributes: [&dyn AttributeWrite; 3] = [
            &XorRelayedAddress::new(relay.address, wanted.transaction),
            &Lifetime::new(wanted.lifetime),
            &XorMappedAddress::new(canonical(wanted.client), wanted.transaction),
        ];
        let reply = answer(respond(MessageClass::Success), &attributes, Some(&wanted.key));
        let allocation = Allocation {
            relay,
            username: wanted.username,
            key: wanted.key,
            until: now + Duration::from_secs(wanted.lifetime.into()),
            transaction: wanted.transaction,
            answer: reply.clone(),
        };
        let replaced = self.allocations.insert(wanted.client, allocation);
        (reply, replaced.map(|allocation| allocation.relay))
    }

    /// The allocation of a client that is not over.
    fn allocation(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
        caller: &Caller,
        now: Duration,
    ) -> Result<&mut Allocation, Vec<u8>> {
        self.allocations
            .get_mut(&client)
            .filter(|allocation| allocation.until > now)
            .ok_or_else(|| refuse(message, ErrorCode::ALLOCATION_MISMATCH, &[], Some(&caller.key)))
    }

    fn refresh(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
        caller: &Caller,
        now: Duration,
    ) -> Result<Outcome, Vec<u8>> {
        let allocation = self.allocation(message, client, caller, now)?;
        let known = [Lifetime::TYPE, RequestedAddressFamily::TYPE];
        if let Some(reply) = unknown_attributes(message, &known, Some(&caller.key)) {
            return Err(reply);
        }
        if let Ok(Some(family)) = optional::<RequestedAddressFamily>(message)
            && (family.family() == AddressFamily::IPV6) != allocation.relay.address.is_ipv6()
        {
            return Err(refuse(message, ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH, &[], Some(&caller.key)));
        }
        let asked = optional::<Lifetime>(message).ok().flatten().map_or(SHORTEST, |l| l.seconds());
        let granted = if asked == 0 { 0 } else { asked.clamp(SHORTEST, LONGEST) };
        allocation.until = now + Duration::from_secs(granted.into());
        let relay = allocation.relay.clone();
        let reply = Message::builder_success(message, MessageWriteVec::new());
        let reply = answer(reply, &[&Lifetime::new(granted)], Some(&caller.key));
        if granted > 0 {
            return Ok(Outcome::Reply(reply));
        }
        self.allocations.remove(&client);
        Ok(Outcome::Release(reply, relay))
    }

    fn create_permission(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
        caller: &Caller,
        now: Duration,
    ) -> Result<Outcome, Vec<u8>> {
        let refused = |code| refuse(message, code, &[], Some(&caller.key));
        let relays = self.relays.clone();
        let allocation = self.allocation(message, client, caller, now)?;
        if let Some(reply) = unknown_attributes(message, &[XorPeerAddress::TYPE], Some(&caller.key)) {
            return Err(reply);
        }
        let mut peers = Vec::new();
        for (_, attribute) in message.iter_attributes() {
            if attribute.get_type() == XorPeerAddress::TYPE {
                let peer =
                    XorPeerAddress::from_raw(attribute).map_err(|_| refused(ErrorCode::BAD_REQUEST))?;
                peers.push(peer.addr(message.transaction_id()));
            }
        }
        if peers.is_empty() || peers.len() > MAX_PEERS {
            return Err(refused(ErrorCode::BAD_REQUEST));
        }
        // All or none (RFC 8656, section 10.2).
        for peer in &peers {
            check_peer(&relays, &allocation.relay, *peer).map_err(refused)?;
        }
        for peer in &peers {
            allocation
                .relay
                .rights()
                .permit(peer.ip(), now)
                .map_err(|_| refused(ErrorCode::INSUFFICIENT_CAPACITY))?;
        }
        let reply = Message::builder_success(message, MessageWriteVec::new());
        Ok(Outcome::Reply(answer(reply, &[], Some(&caller.key))))
    }

    fn channel_bind(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
        caller: &Caller,
        now: Duration,
    ) -> Result<Outcome, Vec<u8>> {
        let refused = |code| refuse(message, code, &[], Some(&caller.key));
        let relays = self.relays.clone();
        let allocation = self.allocation(message, client, caller, now)?;
        let known = [XorPeerAddress::TYPE, ChannelNumber::TYPE];
        if let Some(reply) = unknown_attributes(message, &known, Some(&caller.key)) {
            return Err(reply);
        }
        let peer = message.attribute::<XorPeerAddress>();
        let number = message.attribute::<ChannelNumber>();
        let (Ok(peer), Ok(number)) = (peer, number) else { return Err(refused(ErrorCode::BAD_REQUEST)) };
        let peer = peer.addr(message.transaction_id());
        check_peer(&relays, &allocation.relay, peer).map_err(refused)?;
        let bound = allocation.relay.rights().bind(number.channel(), peer, now);
        bound.map_err(|why| {
            refused(match why {
                Refused::BadChannel => ErrorCode::BAD_REQUEST,
                Refused::TooMany => ErrorCode::INSUFFICIENT_CAPACITY,
            })
        })?;
        let reply = Message::builder_success(message, MessageWriteVec::new());
        Ok(Outcome::Reply(answer(reply, &[], Some(&caller.key))))
    }
}

/// Whether a client may name this peer; the error code if not.
fn check_peer(relays: &Relays, relay: &Relay, peer: SocketAddr) -> Result<(), u16> {
    if peer.is_ipv6() != relay.address.is_ipv6() {
        return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
    }
    if relays.may_permit(peer.ip()) { Ok(()) } else { Err(ErrorCode::FORBIDDEN) }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// An attribute that need not be there; an error if it is there and wrong.
fn optional<'a, A: AttributeFromRaw<'a> + AttributeStaticType>(
    message: &'a Message<'a>,
) -> Result<Option<A>, ()> {
    if !message.has_attribute(A::TYPE) {
        return Ok(None);
    }
    message.attribute::<A>().map(Some).map_err(|_| ())
}
