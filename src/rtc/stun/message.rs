//! STUN messages as far as accounts need them: RFC 8489 sections 5 and 14, RFC 8656 sections 12 and
//! 18, RFC 8445 section 16.1.

use std::net::{IpAddr, SocketAddr};

/// What joins an answer to its request.
pub type TransactionId = [u8; 12];

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum Method {
    Binding,
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
    Other,
}

/// Question or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const CHANNEL_NUMBER: u16 = 0x000c;
const LIFETIME: u16 = 0x000d;
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const USE_CANDIDATE: u16 = 0x0025;
const ALTERNATE_SERVER: u16 = 0x8023;

/// Of a reason phrase; the RFC allows 127 characters.
const LONGEST_REASON: usize = 127;

/// A message, borrowed from the datagram that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is about.
    pub method: Method,
    /// Question or answer.
    pub class: Class,
    /// Whose.
    pub id: TransactionId,
    attributes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads the head; `None` when it is no STUN message, or not as long as it says.
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (head, attributes) = datagram.split_first_chunk::<20>()?;
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[0] > 3 || head[4..8] != COOKIE || len != attributes.len() {
            return None;
        }
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let class = match kind & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::Success,
            _ => Class::Error,
        };
        let method = match kind & !0x0110 {
            0x001 => Method::Binding,
            0x003 => Method::Allocate,
            0x004 => Method::Refresh,
            0x006 => Method::Send,
            0x007 => Method::Data,
            0x008 => Method::CreatePermission,
            0x009 => Method::ChannelBind,
            _ => Method::Other,
        };
        Some(Self { method, class, id: *head.last_chunk::<12>()?, attributes })
    }

    /// Types and values, in order, as far as they can be read.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let [t0, t1, l0, l1, after @ ..] = rest else { return None };
            let len = usize::from(u16::from_be_bytes([*l0, *l1]));
            let value = after.get(..len)?;
            rest = after.get(len.next_multiple_of(4)..).unwrap_or_default();
            Some((u16::from_be_bytes([*t0, *t1]), value))
        })
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        self.attributes().find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    }

    /// USERNAME; of a check, the receiver's fragment, a colon, and the sender's.
    pub fn username(&self) -> Option<&'a [u8]> {
        self.attribute(USERNAME)
    }

    /// USE-CANDIDATE: this pair is to be used.
    pub fn nominates(&self) -> bool {
        self.attribute(USE_CANDIDATE).is_some()
    }

    /// XOR-MAPPED-ADDRESS: ours, as the answering side sees it.
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.address(XOR_MAPPED_ADDRESS)
    }

    /// XOR-RELAYED-ADDRESS: ours at the relay.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.address(XOR_RELAYED_ADDRESS)
    }

    /// XOR-PEER-ADDRESS: beyond the relay.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.address(XOR_PEER_ADDRESS)
    }

    /// ALTERNATE-SERVER.
    pub fn alternate(&self) -> Option<SocketAddr> {
        self.address(ALTERNATE_SERVER)
    }

    /// LIFETIME, in seconds.
    pub fn lifetime(&self) -> Option<u32> {
        self.attribute(LIFETIME)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// CHANNEL-NUMBER.
    pub fn channel(&self) -> Option<u16> {
        self.attribute(CHANNEL_NUMBER)?.first_chunk().copied().map(u16::from_be_bytes)
    }

    /// DATA: what a Send or Data indication carries.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.attribute(DATA)
    }

    /// REALM: whose passwords are asked for.
    pub fn realm(&self) -> Option<&'a [u8]> {
        self.attribute(REALM)
    }

    /// NONCE: what the next request is to be signed with.
    pub fn nonce(&self) -> Option<&'a [u8]> {
        self.attribute(NONCE)
    }

    /// Whether it says how to sign the next request (REALM and NONCE).
    pub fn is_challenge(&self) -> bool {
        self.realm().is_some() && self.nonce().is_some()
    }

    /// Code and reason phrase of an error; the code is 0 when there is none.
    pub fn error(&self) -> (u16, String) {
        match self.attribute(ERROR_CODE) {
            Some([_, _, hundreds, rest, reason @ ..]) => {
                let code = u16::from(hundreds & 7) * 100 + u16::from(*rest);
                let reason = String::from_utf8_lossy(reason);
                (code, reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect())
            }
            Some(_) | None => (0, String::new()),
        }
    }

    fn address(&self, attribute: u16) -> Option<SocketAddr> {
        let [_, family, p0, p1, ip @ ..] = self.attribute(attribute)? else { return None };
        let mut key = [0; 16];
        if attribute != ALTERNATE_SERVER {
            key[..4].copy_from_slice(&COOKIE);
            key[4..].copy_from_slice(&self.id);
        }
        let port = u16::from_be_bytes([p0 ^ key[0], p1 ^ key[1]]);
        let ip = match family {
            1 => IpAddr::from(unmasked(<[u8; 4]>::try_from(ip).ok()?, &key)),
            2 => IpAddr::from(unmasked(<[u8; 16]>::try_from(ip).ok()?, &key)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

fn unmasked<const N: usize>(mut bytes: [u8; N], key: &[u8; 16]) -> [u8; N] {
    bytes.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
    bytes
}

/// An error answer without a challenge, in a server's name, to end what a client waits for.
pub fn refusal(method: Method, id: TransactionId) -> Option<Vec<u8>> {
    let kind: u16 = match method {
        Method::Binding => 0x0111,
        Method::Allocate => 0x0113,
        Method::Refresh
        | Method::Send
        | Method::Data
        | Method::CreatePermission
        | Method::ChannelBind
        | Method::Other => return None,
    };
    Some(written(kind, id, &[(ERROR_CODE, &[0, 0, 5, 0])]))
}

/// A 401 for an Allocate, in a server's name, so that a client asks a second time.
pub fn challenge(id: TransactionId) -> Vec<u8> {
    written(0x0113, id, &[(ERROR_CODE, &[0, 0, 4, 1]), (REALM, b"none"), (NONCE, b"none")])
}

/// A message of these attributes; their values are a multiple of four bytes.
fn written(kind: u16, id: TransactionId, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let len: usize = attributes.iter().map(|(_, value)| 4 + value.len()).sum();
    let mut message = [kind.to_be_bytes(), (len as u16).to_be_bytes()].concat();
    message.extend(COOKIE);
    message.extend(id);
    for (kind, value) in attributes {
        message.extend(kind.to_be_bytes());
        message.extend((value.len() as u16).to_be_bytes());
        message.extend(*value);
    }
    message
}

/// The same message for another transaction; what was signed of it is not valid any more.
pub fn renamed(datagram: &[u8], id: TransactionId) -> Option<Vec<u8>> {
    let message = Message::parse(datagram)?;
    let mut renamed = datagram.to_vec();
    renamed.get_mut(8..20)?.copy_from_slice(&id);
    let mut at = 20;
    for (kind, value) in message.attributes() {
        at += 4;
        // Of an IPv6 address, all but the first four bytes are masked with the transaction (RFC 8489
        // section 14.2).
        let masked = matches!(kind, XOR_PEER_ADDRESS | XOR_RELAYED_ADDRESS | XOR_MAPPED_ADDRESS);
        if masked && value.len() == 20 {
            let bytes = renamed.get_mut(at + 8..at + 20)?;
            bytes.iter_mut().zip(message.id).zip(id).for_each(|((byte, old), new)| *byte ^= old ^ new);
        }
        at += value.len().next_multiple_of(4);
    }
    Some(renamed)
}

/// Channel and content of a ChannelData message (RFC 8656 section 12.4); over UDP its padding may be
/// missing, over streams there is some.
pub fn channel_data(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let [0x40..=0x4f, _, l0, l1, data @ ..] = datagram else { return None };
    let channel = u16::from_be_bytes([datagram[0], datagram[1]]);
    Some((channel, data.get(..usize::from(u16::from_be_bytes([*l0, *l1])))?))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A message as it is on the wire.
    pub fn wire(kind: u16, id: u8, attributes: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = kind.to_be_bytes().to_vec();
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(COOKIE);
        message.extend([id; 12]);
        message.extend(body);
        message
    }

    /// An XOR-ed address of transaction `id`.
    pub fn masked(address: &str, id: u8) -> Vec<u8> {
        let address: SocketAddr = address.parse().expect("an address");
        let mut key = COOKIE.to_vec();
        key.extend([id; 12]);
        let (family, ip) = match address.ip() {
            IpAddr::V4(ip) => (1, ip.octets().to_vec()),
            IpAddr::V6(ip) => (2, ip.octets().to_vec()),
        };
        let port = address.port().to_be_bytes();
        let mut value = vec![0, family, port[0] ^ key[0], port[1] ^ key[1]];
        value.extend(ip.iter().zip(&key).map(|(byte, key)| byte ^ key));
        value
    }

    /// The code and reason of an error.
    pub fn error(code: u16, reason: &str) -> (u16, Vec<u8>) {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend(reason.as_bytes());
        (ERROR_CODE, value)
    }

    #[test]
    fn an_answer_is_read_to_the_last_attribute() {
        let bytes = wire(
            0x0103,
            9,
            &[
                (0x0014, b"realm".to_vec()),
                (XOR_RELAYED_ADDRESS, masked("192.0.2.7:49200", 9)),
                (XOR_MAPPED_ADDRESS, masked("[2001:db8::7]:6000", 9)),
                (LIFETIME, 600_u32.to_be_bytes().to_vec()),
            ],
        );
        let answer = Message::parse(&bytes).expect("a message");
        assert_eq!((answer.method, answer.class, answer.id), (Method::Allocate, Class::Success, [9; 12]));
        assert_eq!(answer.relayed(), "192.0.2.7:49200".parse().ok());
        assert_eq!(answer.mapped(), "[2001:db8::7]:6000".parse().ok());
        assert_eq!(answer.lifetime(), Some(600));
        assert_eq!((answer.username(), answer.nominates(), answer.peer()), (None, false, None));
    }

    #[test]
    fn an_error_has_its_code_and_its_words() {
        let alternate = (ALTERNATE_SERVER, vec![0, 1, 0x0d, 0x96, 192, 0, 2, 1]);
        let bytes = wire(0x0113, 1, &[error(486, "Quota\n Reached"), alternate]);
        let answer = Message::parse(&bytes).expect("a message");
        assert_eq!((answer.class, answer.error()), (Class::Error, (486, "Quota Reached".to_owned())));
        assert_eq!(answer.alternate(), "192.0.2.1:3478".parse().ok());
    }

    #[test]
    fn what_is_longer_or_shorter_than_it_says_is_no_message() {
        let good = wire(0x0001, 1, &[(USERNAME, b"a:b".to_vec()), (USE_CANDIDATE, vec![])]);
        assert!(Message::parse(&good).is_some_and(|message| message.nominates()));
        assert_eq!(Message::parse(&good[..good.len() - 1]), None);
        assert_eq!(Message::parse(&[&good[..], &[0]].concat()), None);
        assert_eq!(channel_data(&[0x40, 1, 0, 2, 7, 8, 0, 0]), Some((0x4001, &[7, 8][..])));
        assert_eq!(channel_data(&[0x40, 1, 0, 3, 7, 8]), None);
        assert_eq!(channel_data(&[0x80, 1, 0, 1, 7]), None);
    }

    #[test]
    fn a_refusal_is_an_error_for_the_same_question() {
        let bytes = refusal(Method::Allocate, [3; 12]).expect("a refusal");
        let answer = Message::parse(&bytes).expect("a message");
        assert_eq!((answer.method, answer.class, answer.id), (Method::Allocate, Class::Error, [3; 12]));
        assert_eq!(answer.error(), (500, String::new()));
        assert!(!answer.is_challenge());
        let bytes = challenge([3; 12]);
        let answer = Message::parse(&bytes).expect("a message");
        assert_eq!((answer.method, answer.class, answer.id), (Method::Allocate, Class::Error, [3; 12]));
        assert!(answer.error().0 == 401 && answer.is_challenge());
    }

    proptest! {
        #[test]
        fn no_message_is_too_strange(kind in 0u16..0x4000, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let mut long = wire(kind, 3, &[]);
            long[2..4].copy_from_slice(&(bytes.len() as u16).to_be_bytes());
            long.extend(&bytes);
            for bytes in [long, bytes] {
                let _ = (channel_data(&bytes), renamed(&bytes, [7; 12]));
                if let Some(message) = Message::parse(&bytes) {
                    let _ = (message.error(), message.data(), message.mapped(), message.relayed());
                    let _ = (message.peer(), message.alternate(), message.lifetime(), message.channel());
                    prop_assert!(message.attributes().count() <= 20);
                }
            }
        }

        #[test]
        fn an_address_comes_back_as_it_was_written(ip in any::<[u8; 16]>(), port in any::<u16>(), v4 in any::<bool>(), id in any::<u8>()) {
            let ip = if v4 { IpAddr::from([ip[0], ip[1], ip[2], ip[3]]) } else { IpAddr::from(ip) };
            let address = SocketAddr::new(ip, port);
            let bytes = wire(0x0101, id, &[(XOR_MAPPED_ADDRESS, masked(&address.to_string(), id))]);
            prop_assert_eq!(Message::parse(&bytes).and_then(|message| message.mapped()), Some(address));
            let other = renamed(&bytes, [!id; 12]).expect("a message");
            let message = Message::parse(&other).expect("a message");
            prop_assert_eq!((message.id, message.mapped()), ([!id; 12], Some(address)));
        }
    }
}
