//! How the server words what it says: responses, refusals, and data for a client.

use std::net::SocketAddr;

use turn_types::{
    attribute::{Data, XorPeerAddress},
    message::DATA,
    stun::{
        attribute::{
            AttributeType, ErrorCode, Fingerprint, MessageIntegrity, Nonce, Realm, UnknownAttributes,
            Username,
        },
        message::{IntegrityAlgorithm, IntegrityKey, Message, MessageWriteVec},
        prelude::{Attribute, AttributeStaticType, AttributeWrite, MessageWrite, MessageWriteExt},
    },
};

/// The refusal of a request with attributes that must be understood and are not.
pub(super) fn unknown_attributes(
    message: &Message<'_>,
    known: &[AttributeType],
    key: Option<&IntegrityKey>,
) -> Option<Vec<u8>> {
    let usual = [Username::TYPE, Realm::TYPE, Nonce::TYPE, MessageIntegrity::TYPE, Fingerprint::TYPE];
    let unknown: Vec<_> = message
        .iter_attributes()
        .map(|(_, attribute)| attribute.get_type())
        .filter(|kind| kind.comprehension_required() && !known.contains(kind) && !usual.contains(kind))
        .collect();
    if unknown.is_empty() {
        return None;
    }
    Some(refuse(message, ErrorCode::UNKNOWN_ATTRIBUTE, &[&UnknownAttributes::new(&unknown)], key))
}

/// The refusal of a request.
pub(super) fn refuse(
    message: &Message<'_>,
    code: u16,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    error(Message::builder_error(message, MessageWriteVec::new()), code, attributes, key)
}

/// An error response that was begun already.
pub(super) fn error(
    message: MessageWriteVec,
    code: u16,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    match ErrorCode::builder(code).build() {
        Ok(code) => {
            let all: Vec<&dyn AttributeWrite> =
                std::iter::once(&code as &dyn AttributeWrite).chain(attributes.iter().copied()).collect();
            answer(message, &all, key)
        }
        // Only for codes that the format can't carry; ours are constants that it can.
        Err(_) => answer(message, attributes, key),
    }
}

/// Finishes a response. Adding fails only for a second attribute of a kind, or after the
/// integrity; neither happens here.
pub(super) fn answer(
    mut message: MessageWriteVec,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
) -> Vec<u8> {
    for attribute in attributes {
        message.add_attribute(*attribute).ok();
    }
    if let Some(key) = key {
        message.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1).ok();
    }
    message.add_fingerprint().ok();
    message.finish()
}

/// Data from a peer for a client without a channel (RFC 8656, section 11.3).
pub fn data_indication(from: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut message = Message::builder_indication(DATA, MessageWriteVec::with_capacity(64 + data.len()));
    let peer = XorPeerAddress::new(from, message.transaction_id());
    message.add_attribute(&peer).ok();
    message.add_attribute(&Data::new(data)).ok();
    message.finish()
}
