//! One message on the wire: its numbers, and its content not yet read.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::MAX_MESSAGE;

/// One message on the wire.
///
/// Control messages (`hello`, `welcome`, `resume`, `resumed`, `ping`, `pong`, `ack`, `bye`, and
/// `resume.token`, `drain` and fatal errors) carry no `s`; all others are numbered from 1 without gaps per direction, kept by
/// the sender until acknowledged, and sent again after a resume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Message type.
    pub t: String,
    /// Request id, echoed as `re` in the reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The `id` that this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<u64>,
    /// Sequence number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s: Option<u64>,
    /// Highest sequence number received without a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a: Option<u64>,
    /// The content.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub d: Value,
}

/// Why a frame is not a message.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Longer than [`MAX_MESSAGE`].
    #[error("the message has {0} bytes; at most {MAX_MESSAGE} are allowed")]
    TooLarge(usize),
    /// Not an envelope.
    #[error("the message is not valid JSON of the protocol: {0}")]
    Malformed(#[source] serde_json::Error),
    /// A type of message that this version does not know; ignored by readers unless it is a request.
    #[error("unknown message type \"{0}\"")]
    UnknownType(String),
    /// A known type with wrong content.
    #[error("the content of \"{t}\" is wrong: {error}")]
    BadContent {
        /// Message type.
        t: String,
        /// What serde says.
        error: serde_json::Error,
    },
}

impl Envelope {
    /// Reads a text frame.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        if text.len() > MAX_MESSAGE {
            return Err(ParseError::TooLarge(text.len()));
        }
        serde_json::from_str(text).map_err(ParseError::Malformed)
    }

    /// The text frame.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Wraps a message that is neither numbered nor a request yet.
    pub fn wrap<M: Message>(message: &M) -> Self {
        let (t, d) = match serde_json::to_value(message) {
            Ok(Value::Object(mut fields)) => {
                let t = fields.remove("t").and_then(|t| t.as_str().map(str::to_owned));
                (t.unwrap_or_default(), fields.remove("d").unwrap_or(Value::Null))
            }
            _ => (String::new(), Value::Null),
        };
        Self { t, id: None, re: None, s: None, a: None, d }
    }

    /// The typed content.
    pub fn message<M: Message>(&self) -> Result<M, ParseError> {
        if !M::TYPES.contains(&self.t.as_str()) {
            return Err(ParseError::UnknownType(self.t.clone()));
        }
        let mut object = serde_json::Map::new();
        object.insert("t".into(), Value::String(self.t.clone()));
        if !self.d.is_null() {
            object.insert("d".into(), self.d.clone());
        }
        serde_json::from_value(Value::Object(object))
            .map_err(|error| ParseError::BadContent { t: self.t.clone(), error })
    }
}

/// A closed set of messages of one direction.
pub trait Message: Serialize + for<'a> Deserialize<'a> {
    /// Every value that `t` may have.
    const TYPES: &'static [&'static str];

    /// Whether the message is numbered and sent again after a resume.
    fn is_sequenced(&self) -> bool;
}
