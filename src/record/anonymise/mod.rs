//! Takes people and places out of a record: names, rooms, user names, hosts, user fragments and
//! addresses, each replaced by the same word wherever it occurs. Pure.
//!
//! What kind of address it was stays (private, public, IPv4, IPv6), and which addresses share a
//! network, so that a diagnosis comes to the same result. A record is read twice: first to learn
//! what there is to hide, then to hide it.

mod addresses;
mod words;

use serde_json::Value;

use super::entry::Entry;
use addresses::Addresses;
use words::{Kind, Words};

/// Members that hold sentences for people, which may name whomever and whatever.
const PROSE: &[&str] = &["text", "short", "reason", "evidence", "advice"];

/// Hides what it has learned.
#[derive(Debug, Default)]
pub struct Anonymiser {
    addresses: Addresses,
    words: Words,
}

impl Anonymiser {
    /// First: whatever is to be hidden in this entry is remembered.
    pub fn learn(&mut self, entry: &Entry) {
        if let Ok(value) = serde_json::to_value(entry) {
            self.learn_value("", &value);
        }
    }

    /// Then: the entry's JSON line without it.
    pub fn hide(&mut self, entry: &Entry) -> String {
        let mut value = serde_json::to_value(entry).unwrap_or_default();
        self.hide_value("", &mut value);
        value.to_string()
    }

    fn learn_value(&mut self, name: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                let interface = members.get("type").is_some_and(|kind| kind == "network-interface");
                for (name, value) in members {
                    let name = if interface && name == "name" { "interface" } else { name.as_str() };
                    self.learn_value(name, value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.learn_value(name, value)),
            Value::String(text) => match inner(text) {
                Some(inner) => self.learn_value(name, &inner),
                None => self.learn_text(name, text),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn learn_text(&mut self, name: &str, text: &str) {
        self.addresses.learn(text);
        if let Some(kind) = kind(name) {
            self.words.learn(kind, text);
        }
        self.words.learn_hosts(text);
        if PROSE.contains(&name) {
            self.words.learn_bare_hosts(text);
        }
    }

    fn hide_value(&mut self, name: &str, value: &mut Value) {
        match value {
            Value::Object(members) => {
                let interface = members.get("type").is_some_and(|kind| kind == "network-interface");
                for (name, value) in members {
                    let name = if interface && name == "name" { "interface" } else { name.as_str() };
                    self.hide_value(name, value);
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide_value(name, value)),
            Value::String(text) => match inner(text) {
                Some(mut inner) => {
                    self.hide_value(name, &mut inner);
                    *text = inner.to_string();
                }
                None => *text = self.hide_text(name, text),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn hide_text(&mut self, name: &str, text: &str) -> String {
        if let Some(kind) = kind(name)
            && let Some(word) = self.words.exactly(kind, text)
        {
            return word;
        }
        let text = self.words.hide_hosts(text);
        let text = self.words.hide_markers(&text);
        let text = if PROSE.contains(&name) { self.words.hide_in_prose(&text) } else { text };
        self.addresses.hide(&text)
    }
}

/// What a member names.
fn kind(member: &str) -> Option<Kind> {
    match member {
        "name" => Some(Kind::Person),
        "room" => Some(Kind::Room),
        "username" => Some(Kind::User),
        "hostname" | "host" | "server" => Some(Kind::Host),
        "about" => Some(Kind::Device),
        "ufrag" | "usernameFragment" | "iceLocalUsernameFragment" => Some(Kind::Fragment),
        "foundation" => Some(Kind::Foundation),
        "interface" | "networkInterface" => Some(Kind::Interface),
        _ => None,
    }
}

/// Messages of the protocol are JSON inside of JSON.
fn inner(text: &str) -> Option<Value> {
    text.starts_with('{').then(|| serde_json::from_str(text).ok())?
}

#[cfg(test)]
mod tests;
