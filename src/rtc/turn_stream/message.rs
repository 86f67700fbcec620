//! The little of STUN that is read at the socket: whose answer it is, and what it says.
//! RFC 8489 sections 5 and 14, RFC 8656 section 18.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The method of a message; others are not looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum Method {
    Binding,
    Allocate,
    Other,
}

/// The class of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the RFC's names")]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// What joins an answer to its request.
pub type TransactionId = [u8; 12];

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const USERNAME: u16 = 0x0006;
const ERROR_CODE: u16 = 0x0009;
const DATA: u16 = 0x0013;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const XOR_RELAYED_ADDRESS: u16 = 0x0016;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const LIFETIME: u16 = 0x000d;
const ALTERNATE_SERVER: u16 = 0x8023;

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
        let [high, low, len_high, len_low, cookie @ .., _, _, _, _, _, _, _, _, _, _, _, _] = *head;
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        if high > 3 || cookie != COOKIE || len != attributes.len() {
            return None;
        }
        let kind = u16::from_be_bytes([high, low]);
        let class = match kind & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::Success,
            _ => Class::Error,
        };
        let method = match kind & !0x0110 {
            1 => Method::Binding,
            3 => Method::Allocate,
            _ => Method::Other,
        };
        let id = *head.last_chunk::<12>()?;
        Some(Self { method, class, id, attributes })
    }

    fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.attributes;
        while let [t0, t1, l0, l1, after @ ..] = rest {
            let len = usize::from(u16::from_be_bytes([*l0, *l1]));
            let value = after.get(..len)?;
            if u16::from_be_bytes([*t0, *t1]) == wanted {
                return Some(value);
            }
            rest = after.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        None
    }

    /// Whether it says who asks: the anonymous first Allocate does not.
    pub fn is_signed(&self) -> bool {
        self.attribute(USERNAME).is_some()
    }

    /// Whether it says how to sign the next request.
    pub fn is_challenge(&self) -> bool {
        self.attribute(REALM).is_some() && self.attribute(NONCE).is_some()
    }

    /// Code and reason of an error; 0 when there is none.
    pub fn error(&self) -> (u16, String) {
        match self.attribute(ERROR_CODE) {
            Some([_, _, hundreds, rest, reason @ ..]) => {
                let code = u16::from(hundreds & 7) * 100 + u16::from(*rest);
                let reason = String::from_utf8_lossy(reason);
                (code, reason.chars().filter(|c| !c.is_control()).take(64).collect())
            }
            Some(_) | None => (0, String::new()),
        }
    }

    /// What a Send or Data indication carries.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.attribute(DATA)
    }

    /// Our address as the server sees it.
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.address(XOR_MAPPED_ADDRESS)
    }

    /// Our address at the relay.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.address(XOR_RELAYED_ADDRESS)
    }

    /// How many seconds an allocation lives.
    pub fn lifetime(&self) -> Option<u32> {
        self.attribute(LIFETIME)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// The server to ask instead (RFC 8489 section 10).
    pub fn alternate(&self) -> Option<SocketAddr> {
        self.address(ALTERNATE_SERVER)
    }

    fn address(&self, attribute: u16) -> Option<SocketAddr> {
        let [_, family, p0, p1, ip @ ..] = self.attribute(attribute)? else { return None };
        let mut port = u16::from_be_bytes([*p0, *p1]);
        let mut key = [0; 16];
        if attribute != ALTERNATE_SERVER {
            key[..4].copy_from_slice(&COOKIE);
            key[4..].copy_from_slice(&self.id);
            port ^= u16::from_be_bytes([COOKIE[0], COOKIE[1]]);
        }
        let mut plain = [0; 16];
        for ((plain, byte), key) in plain.iter_mut().zip(ip).zip(key) {
            *plain = byte ^ key;
        }
        let ip = match (family, ip.len()) {
            (1, 4) => IpAddr::from(Ipv4Addr::new(plain[0], plain[1], plain[2], plain[3])),
            (2, 16) => IpAddr::from(Ipv6Addr::from(plain)),
            _ => return None,
        };
        Some(SocketAddr::new(ip, port))
    }
}

/// An error without a challenge, in a server's name: ends what a client waits for.
pub fn refusal(method: Method, id: TransactionId) -> Option<Vec<u8>> {
    let kind: u16 = match method {
        Method::Binding => 0x0111,
        Method::Allocate => 0x0113,
        Method::Other => return None,
    };
    let mut answer = kind.to_be_bytes().to_vec();
    answer.extend([0, 8]);
    answer.extend(COOKIE);
    answer.extend(id);
    answer.extend(ERROR_CODE.to_be_bytes());
    answer.extend([0, 4, 0, 0, 5, 0]);
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, attributes: &[u8]) -> Vec<u8> {
        let mut message = kind.to_be_bytes().to_vec();
        message.extend((attributes.len() as u16).to_be_bytes());
        message.extend(COOKIE);
        message.extend([7; 12]);
        message.extend(attributes);
        message
    }

    #[test]
    fn an_answer_is_read_to_the_last_attribute() {
        let bytes = message(
            0x0103,
            &[
                0,
                0x14,
                0,
                1,
                b'r',
                0,
                0,
                0, // a realm, padded
                0,
                0x16,
                0,
                8,
                0,
                1,
                0x21,
                0x13,
                0x21 ^ 127,
                0x12,
                0xa4,
                0x42 ^ 1, // 127.0.0.1:1
                0,
                0x0d,
                0,
                4,
                0,
                0,
                2,
                0x58,
            ],
        );
        let answer = Message::parse(&bytes).expect("a message");
        assert_eq!((answer.method, answer.class, answer.id), (Method::Allocate, Class::Success, [7; 12]));
        assert_eq!(answer.relayed(), Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(answer.lifetime(), Some(600));
        assert!(!answer.is_challenge() && !answer.is_signed() && answer.mapped().is_none());
    }

    #[test]
    fn a_refusal_is_an_error_for_the_same_question() {
        let bytes = refusal(Method::Allocate, [3; 12]).expect("a refusal");
        let answer = Message::parse(&bytes).expect("a message");
        assert_eq!((answer.method, answer.class, answer.id), (Method::Allocate, Class::Error, [3; 12]));
        assert_eq!(answer.error(), (500, String::new()));
    }

    #[test]
    fn an_alternate_server_is_written_in_the_clear() {
        let bytes = message(
            0x0113,
            &[0, 9, 0, 6, 0, 0, 3, 0, b'g', b'o', 0, 0, 0x80, 0x23, 0, 8, 0, 1, 0, 80, 192, 0, 2, 1],
        );
        let answer = Message::parse(&bytes).expect("a message");
        assert_eq!(answer.error(), (300, "go".to_owned()));
        assert_eq!(answer.alternate(), Some("192.0.2.1:80".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn no_message_is_too_strange(kind in 0u16..0x400, bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for bytes in [message(kind, &bytes), bytes] {
                if let Some(message) = Message::parse(&bytes) {
                    let _ = (message.error(), message.data(), message.mapped(), message.relayed());
                    let _ = (message.lifetime(), message.alternate(), message.is_signed(), message.is_challenge());
                }
            }
        }
    }
}
