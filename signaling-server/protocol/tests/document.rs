//! The samples in `docs/protocol.md` are what the types say, and every message has one.

use std::collections::BTreeSet;

use proptest::prelude::*;
use signaling_protocol::{
    ClientMessage, Envelope, ErrorCode, MAX_MESSAGE, Message, ParseError, PeerId, RoomId, ServerMessage,
};

const DOCUMENT: &str = include_str!("../../../docs/protocol.md");

fn samples() -> Vec<&'static str> {
    let mut inside = false;
    let lines = DOCUMENT.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside = if fence { *line == "```json" } else { inside };
        inside && !fence
    });
    lines.collect()
}

/// Whether the sample is a message of this direction, down to its last field.
fn is_one<M: Message>(envelope: &Envelope) -> bool {
    let Ok(message) = envelope.message::<M>() else { return false };
    Envelope::wrap(&message).d == envelope.d && message.is_sequenced() == envelope.s.is_some()
}

#[test]
fn every_sample_in_the_document_is_a_message() {
    assert!(samples().len() > 40);
    for sample in samples() {
        let envelope = Envelope::parse(sample).unwrap_or_else(|error| panic!("{sample}: {error}"));
        assert!(is_one::<ClientMessage>(&envelope) || is_one::<ServerMessage>(&envelope), "{sample}");
    }
}

#[test]
fn every_message_has_a_sample_in_the_document() {
    let envelopes: Vec<_> = samples().into_iter().filter_map(|sample| Envelope::parse(sample).ok()).collect();
    let of = |is_one: fn(&Envelope) -> bool| -> BTreeSet<&str> {
        envelopes.iter().filter(|envelope| is_one(envelope)).map(|envelope| envelope.t.as_str()).collect()
    };
    assert_eq!(of(is_one::<ClientMessage>), ClientMessage::TYPES.iter().copied().collect());
    assert_eq!(of(is_one::<ServerMessage>), ServerMessage::TYPES.iter().copied().collect());
}

#[test]
fn an_error_code_of_the_future_is_known_as_unknown() {
    let text = r#"{"t":"error","s":1,"d":{"code":"full_moon","message":"Come back tomorrow.","new":1}}"#;
    let message = Envelope::parse(text).and_then(|envelope| envelope.message::<ServerMessage>());
    assert!(matches!(message, Ok(ServerMessage::Error { code: ErrorCode::Unknown, fatal: false, .. })));
}

#[test]
fn a_message_over_the_limit_is_not_even_parsed() {
    let text = format!(r#"{{"t":"{}"}}"#, "x".repeat(MAX_MESSAGE));
    assert!(matches!(Envelope::parse(&text), Err(ParseError::TooLarge(_))));
}

#[test]
fn a_wrong_content_names_its_message() {
    let envelope = Envelope::parse(r#"{"t":"room.open","s":1,"d":{"room":"a b"}}"#).expect("an envelope");
    let error = envelope.message::<ClientMessage>().expect_err("a space in the code").to_string();
    assert!(error.contains("room.open") && error.contains("room code"), "{error}");
}

proptest! {
    #[test]
    fn no_text_upsets_the_parser(text in "\\PC{0,300}") {
        if let Ok(envelope) = Envelope::parse(&text) {
            envelope.message::<ClientMessage>().ok();
            envelope.message::<ServerMessage>().ok();
        }
    }

    #[test]
    fn no_damaged_message_upsets_the_parser(which in 0usize..1000, at in 0usize..1000, with in any::<char>()) {
        let samples = samples();
        let mut text: Vec<char> = samples[which % samples.len()].chars().collect();
        let at = at % text.len();
        text[at] = with;
        let text: String = text.into_iter().collect();
        if let Ok(envelope) = Envelope::parse(&text) {
            envelope.message::<ClientMessage>().ok();
            envelope.message::<ServerMessage>().ok();
        }
    }

    #[test]
    fn an_id_is_short_and_plain(text in "\\PC{0,80}") {
        let is_plain = (1..=64).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._~-".contains(c));
        prop_assert_eq!(PeerId::new(text.clone()).is_ok(), is_plain);
        prop_assert_eq!(RoomId::new(text).is_ok(), is_plain);
    }
}
