//! The messages of the files channel: JSON, and pieces in binary (`docs/channels.md`).
//!
//! Numbers of files are the sender's; every message says by its kind whose file it is about.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// What a piece begins with; JSON never does.
const PIECE: u8 = 1;

/// Bytes before the content of a piece.
pub const PIECE_OVERHEAD: usize = 13;

/// Bytes of a file in one message: short enough that on a slow path speech does not wait behind it.
pub const PIECE_SIZE: usize = 4_096;

/// Bytes of JSON that are read.
const LONGEST_JSON: usize = 8_192;

/// Bytes of a name that are read; a longer offer is none.
const LONGEST_NAME: usize = 4_096;

/// SHA-256 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hash(pub [u8; 32]);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'a> Deserialize<'a> for Hash {
    fn deserialize<D: serde::Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let mut hash = [0; 32];
        let wrong = || serde::de::Error::custom("a hash has 64 hexadecimal digits");
        if text.len() != 64 {
            return Err(wrong());
        }
        for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0]).ok_or_else(wrong)? << 4 | digit(pair[1]).ok_or_else(wrong)?;
        }
        Ok(Self(hash))
    }
}

/// Why a file does not go on, as the other side is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// A person ended it.
    Cancelled,
    /// No room on the receiver's disk.
    DiskFull,
    /// The receiver cannot write.
    CannotWrite,
    /// The sender cannot read.
    CannotRead,
    /// The file is another one than was offered.
    Changed,
    /// More came than was offered, or something out of place.
    NotAsOffered,
    /// Read by a version that does not know the reason.
    #[serde(other)]
    Unknown,
}

/// Said about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Message {
    /// The sender has a file.
    Offer {
        /// The sender's number of it.
        id: u32,
        /// As the sender calls it.
        name: String,
        /// Bytes.
        size: u64,
        /// Of all of it.
        sha256: Hash,
    },
    /// The receiver wants it.
    Accept {
        /// The sender's number.
        id: u32,
        /// What is there already.
        from: u64,
    },
    /// The receiver does not want it.
    Decline {
        /// The sender's number.
        id: u32,
    },
    /// So much of it is on the receiver's disk.
    Got {
        /// The sender's number.
        id: u32,
        /// Bytes from the beginning.
        bytes: u64,
    },
    /// The receiver has it, and its hash is right.
    Done {
        /// The sender's number.
        id: u32,
    },
    /// The receiver ends it.
    Stop {
        /// The sender's number.
        id: u32,
        /// Why.
        why: Stop,
    },
    /// The sender ends it.
    Cancel {
        /// The sender's number.
        id: u32,
        /// Why.
        why: Stop,
    },
    /// A part of it.
    #[serde(skip)]
    Piece {
        /// The sender's number.
        id: u32,
        /// Where it begins.
        offset: u64,
        /// What it is.
        content: Bytes,
    },
}

impl Message {
    /// Its bytes.
    pub fn write(&self) -> Bytes {
        match self {
            Message::Piece { id, offset, content } => {
                let mut out = BytesMut::with_capacity(PIECE_OVERHEAD + content.len());
                out.put_u8(PIECE);
                out.put_u32(*id);
                out.put_u64(*offset);
                out.put_slice(content);
                out.freeze()
            }
            message => serde_json::to_vec(message).unwrap_or_default().into(),
        }
    }

    /// Reads what a stranger sent; `None` if it is nothing that we know.
    pub fn parse(bytes: &Bytes) -> Option<Self> {
        if *bytes.first()? == PIECE {
            let id = u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?);
            let offset = u64::from_be_bytes(bytes.get(5..PIECE_OVERHEAD)?.try_into().ok()?);
            return Some(Message::Piece { id, offset, content: bytes.slice(PIECE_OVERHEAD..) });
        }
        if bytes.len() > LONGEST_JSON {
            return None;
        }
        match serde_json::from_slice(bytes).ok()? {
            Message::Offer { name, .. } if name.len() > LONGEST_NAME => None,
            message => Some(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wire_format_is_as_documented() {
        let check = |message: Message, json: &str| {
            assert_eq!(message.write(), json.as_bytes());
            assert_eq!(Message::parse(&Bytes::copy_from_slice(json.as_bytes())), Some(message));
        };
        let hash = "ab".repeat(32);
        check(
            Message::Offer { id: 7, name: "a.txt".into(), size: 5_000_000_000, sha256: Hash([0xab; 32]) },
            &format!(r#"{{"t":"offer","id":7,"name":"a.txt","size":5000000000,"sha256":"{hash}"}}"#),
        );
        check(Message::Accept { id: 7, from: 0 }, r#"{"t":"accept","id":7,"from":0}"#);
        check(Message::Stop { id: 7, why: Stop::DiskFull }, r#"{"t":"stop","id":7,"why":"disk_full"}"#);
    }

    #[test]
    fn hashes_that_are_none_and_reasons_of_later_versions() {
        let parse = |text: &str| Message::parse(&Bytes::copy_from_slice(text.as_bytes()));
        assert_eq!(parse(r#"{"t":"offer","id":7,"name":"a","size":1,"sha256":"ab"}"#), None);
        let odd = format!(r#"{{"t":"offer","id":7,"name":"a","size":1,"sha256":"{}"}}"#, "\u{e9}".repeat(32));
        assert_eq!(parse(&odd), None);
        assert_eq!(parse(r#"{"t":"offer","id":7,"name":"a","size":-1,"sha256":""}"#), None);
        let later = parse(r#"{"t":"cancel","id":7,"why":"eclipse"}"#);
        assert_eq!(later, Some(Message::Cancel { id: 7, why: Stop::Unknown }));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(0..=255_u8, 0..120)) {
            let _ = Message::parse(&bytes.into());
        }

        #[test]
        fn every_piece_arrives_as_it_was(id: u32, offset: u64, content in proptest::collection::vec(0..=255_u8, 0..99)) {
            let piece = Message::Piece { id, offset, content: content.into() };
            prop_assert_eq!(Message::parse(&piece.write()), Some(piece));
        }
    }
}
