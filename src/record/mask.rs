//! Takes secrets out of what is recorded: passwords, proofs, tokens. Pure.

use std::borrow::Cow;

use serde_json::Value;

/// What stands for a secret.
pub const MASK: &str = "***";

/// Members whose texts are secrets, wherever they are in a message.
const SECRETS: &[&str] = &["credential", "password", "proof", "resume", "secret", "token"];

/// SDP lines whose value is a secret: the password of connectivity checks (RFC 8839 section 5.4) and
/// keys in the clear (RFC 4568 section 9.1).
const SECRET_LINES: &[&str] = &["a=ice-pwd:", "a=crypto:"];

/// A message as JSON, with its secrets masked.
pub fn message(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if SECRETS.contains(&name.as_str()) => MASK.clone_into(text),
                    Value::String(text) if name == "sdp" => *text = sdp(text).into_owned(),
                    other => message(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(message),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A session description with its secrets masked.
pub fn sdp(text: &str) -> Cow<'_, str> {
    if !SECRET_LINES.iter().any(|secret| text.contains(secret)) {
        return Cow::Borrowed(text);
    }
    let masked = text.split_inclusive('\n').map(|line| {
        let content = line.trim_end_matches(['\r', '\n']);
        let secret = SECRET_LINES.iter().find(|secret| content.starts_with(**secret));
        secret.map_or(Cow::Borrowed(line), |secret| {
            Cow::Owned(format!("{secret}{MASK}{}", &line[content.len()..]))
        })
    });
    Cow::Owned(masked.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked_wherever_they_are_and_nothing_else_is() {
        let mut value = json!({"t": "room.joined", "d": {
            "ice_servers": [{"urls": ["turn:a"], "username": "1700000000:ada", "credential": "hunter2"}],
            "signals": [{"k": "description", "sdp": "v=0\r\na=ice-pwd:hunter2\r\na=ice-ufrag:abcd\r\n", "proof": "hunter2"}],
            "resume": "hunter2", "resume_ms": 60000}});
        message(&mut value);
        let text = value.to_string();
        assert!(!text.contains("hunter2"), "{text}");
        let rest = ["1700000000:ada", "a=ice-ufrag:abcd\\r\\n", "a=ice-pwd:***\\r\\n", "60000", "turn:a"];
        assert!(rest.iter().all(|rest| text.contains(rest)), "{text}");
    }

    #[test]
    fn a_description_without_secrets_stays_as_it_is() {
        assert!(matches!(sdp("v=0\r\na=mid:0\r\n"), Cow::Borrowed(_)));
        assert_eq!(sdp("a=ice-pwd:x"), "a=ice-pwd:***");
        assert_eq!(sdp("a=crypto:1 AES inline:key\nm=audio"), "a=crypto:***\nm=audio");
    }
}
