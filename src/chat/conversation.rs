//! What was said in this call, who is writing, whose hand is up; pure, time is given.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use signaling_protocol::PeerId;

use super::allowance::Allowance;
use super::links::Linked;
use super::message::{LONGEST_TEXT, Message, MessageError, Reaction};
use super::text;

/// Entries that are kept; when there are more the oldest goes.
const HISTORY: usize = 1_000;

/// A person who has not typed for so long has stopped.
const TYPING: Duration = Duration::from_secs(6);

/// Between two notices that we type.
const TYPING_NOTICE: Duration = Duration::from_secs(3);

/// A reaction is seen so long.
const REACTION: Duration = Duration::from_secs(5);

/// Reactions seen at once; when there are more the oldest goes.
const REACTIONS: usize = 24;

/// Who wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Author {
    /// We.
    Me,
    /// Somebody else.
    Peer {
        /// Who.
        peer: PeerId,
        /// As called at that time; harmless.
        name: String,
    },
    /// The program, about the chat itself.
    Program,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts up.
    pub id: u64,
    /// Who.
    pub author: Author,
    /// What; harmless.
    pub text: Linked,
    /// How long after the beginning of the call.
    pub after: Duration,
    /// When.
    pub at: Instant,
}

/// A reaction that is seen now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Counts up.
    pub id: u64,
    /// Whose; `None`: ours.
    pub peer: Option<PeerId>,
    /// As called; empty for ours.
    pub name: String,
    /// Which.
    pub reaction: Reaction,
}

/// What a face shows of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatView {
    /// Oldest first.
    pub entries: Arc<Vec<Entry>>,
    /// How many of others came since the person last looked.
    pub unread: u32,
    /// Who is writing, by name.
    pub typing: Vec<String>,
    /// Whose hands are up.
    pub hands: Vec<PeerId>,
    /// Ours is.
    pub my_hand: bool,
    /// Whose screens must not be pointed at.
    pub pointing_off: Vec<PeerId>,
    /// What is seen over the pictures.
    pub reactions: Vec<Shown>,
}

/// What a message brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A text, harmless.
    Text(String),
    /// Something that shows.
    Shown,
    /// The message is not used; one sentence, told once in a while.
    Refused(String),
    /// Nothing to show.
    Nothing,
}

/// Why a text of ours is not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SayError {
    /// There is nothing in it.
    #[error("there is nothing to send")]
    Empty,
    /// Over the limit.
    #[error("the message has {0} bytes, {LONGEST_TEXT} is the most: send it in parts, or as a file")]
    TooLong(usize),
}

/// What we said: the message for the others.
pub type Said = Result<Message, SayError>;

#[derive(Debug)]
struct Person {
    name: String,
    typing_until: Option<Instant>,
    hand: bool,
    pointing_off: bool,
    texts: Allowance,
    /// Of typing and reactions, counted apart: who claps for long is still heard.
    signs: Allowance,
    /// Something of theirs was refused, and they went on.
    scolded: Option<Instant>,
}

/// The chat of one call.
#[derive(Debug, Default)]
pub struct Conversation {
    begun: Option<Instant>,
    entries: Arc<Vec<Entry>>,
    made: u64,
    unread: u32,
    people: BTreeMap<PeerId, Person>,
    my_hand: bool,
    told_typing: Option<Instant>,
    reactions: Vec<(Instant, Shown)>,
}

impl Conversation {
    /// Another call.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Somebody left.
    pub fn forget(&mut self, peer: &PeerId) {
        self.people.remove(peer);
    }

    /// We write; `Ok` is for everybody.
    pub fn say(&mut self, text: &str, now: Instant) -> Said {
        let text = text.trim();
        if text.is_empty() {
            return Err(SayError::Empty);
        }
        if text.len() > LONGEST_TEXT {
            return Err(SayError::TooLong(text.len()));
        }
        self.told_typing = None;
        self.add(Author::Me, text::harmless(text), now);
        Ok(Message::Text { text: text.to_owned() })
    }

    /// The program says something about the chat.
    pub fn note(&mut self, text: String, now: Instant) {
        self.add(Author::Program, text, now);
    }

    /// We type; the others are told now and then.
    pub fn typing(&mut self, now: Instant) -> Option<Message> {
        let due = self.told_typing.is_none_or(|at| now.saturating_duration_since(at) >= TYPING_NOTICE);
        due.then(|| {
            self.told_typing = Some(now);
            Message::Typing
        })
    }

    /// Our hand.
    pub fn raise(&mut self, up: bool) -> Message {
        self.my_hand = up;
        Message::Hand { up }
    }

    /// Our reaction.
    pub fn react(&mut self, reaction: Reaction, now: Instant) -> Message {
        self.show(None, String::new(), reaction, now);
        Message::Reaction { reaction }
    }

    /// Whether one may point at somebody's screen.
    pub fn allows_pointing(&self, peer: &PeerId) -> bool {
        self.people.get(peer).is_none_or(|person| !person.pointing_off)
    }

    /// What somebody who has just come must know of us.
    pub fn greeting(&self) -> Option<Message> {
        self.my_hand.then_some(Message::Hand { up: true })
    }

    /// The person has seen everything.
    pub fn read(&mut self) {
        self.unread = 0;
    }

    /// A message of somebody who is called `name`.
    pub fn on_message(&mut self, peer: &PeerId, name: &str, bytes: &[u8], now: Instant) -> News {
        let name = text::one_line(name, 40);
        let person = self.people.entry(peer.clone()).or_insert_with(|| Person {
            name: String::new(),
            typing_until: None,
            hand: false,
            pointing_off: false,
            texts: Allowance::full(now),
            signs: Allowance::full(now),
            scolded: None,
        });
        person.name.clone_from(&name);
        let message = Message::parse(bytes);
        let within = match message {
            Ok(Message::Text { .. }) | Err(_) => person.texts.take(now),
            Ok(Message::Typing | Message::Reaction { .. }) => person.signs.take(now),
            // The last one counts, however often it was said before.
            Ok(Message::Hand { .. } | Message::Pointing { .. }) => true,
        };
        if !within {
            let text = format!("{name} writes faster than anybody can read; some messages are left out.");
            return self.refuse(peer, text, now);
        }
        match message {
            Ok(Message::Text { text }) => {
                person.typing_until = None;
                let text = text::harmless(&text);
                if text.is_empty() {
                    return News::Nothing;
                }
                self.unread = self.unread.saturating_add(1);
                self.add(Author::Peer { peer: peer.clone(), name }, text.clone(), now);
                News::Text(text)
            }
            Ok(Message::Typing) => {
                person.typing_until = Some(now + TYPING);
                News::Shown
            }
            Ok(Message::Hand { up }) => {
                person.hand = up;
                News::Shown
            }
            Ok(Message::Pointing { allowed }) => {
                person.pointing_off = !allowed;
                News::Shown
            }
            Ok(Message::Reaction { reaction }) => {
                self.show(Some(peer.clone()), name, reaction, now);
                News::Shown
            }
            Err(MessageError::TooLong(bytes)) => {
                let text = format!("A message of {name} is not shown: {}.", MessageError::TooLong(bytes));
                self.refuse(peer, text, now)
            }
            Err(MessageError::Unreadable) => News::Nothing,
        }
    }

    /// Says what is wrong, once in a while.
    fn refuse(&mut self, peer: &PeerId, text: String, now: Instant) -> News {
        let Some(person) = self.people.get_mut(peer) else { return News::Nothing };
        if person.scolded.is_some_and(|at| now.saturating_duration_since(at) < Duration::from_secs(10)) {
            return News::Nothing;
        }
        person.scolded = Some(now);
        self.note(text.clone(), now);
        News::Refused(text)
    }

    fn add(&mut self, author: Author, text: String, now: Instant) {
        let begun = *self.begun.get_or_insert(now);
        let after = now.saturating_duration_since(begun);
        let entries = Arc::make_mut(&mut self.entries);
        if entries.len() == HISTORY {
            entries.remove(0);
        }
        self.made += 1;
        entries.push(Entry { id: self.made, author, text: Linked::new(text), after, at: now });
    }

    fn show(&mut self, peer: Option<PeerId>, name: String, reaction: Reaction, now: Instant) {
        if self.reactions.len() == REACTIONS {
            self.reactions.remove(0);
        }
        self.made += 1;
        self.reactions.push((now + REACTION, Shown { id: self.made, peer, name, reaction }));
    }

    /// The call began; times count from here.
    pub fn begin(&mut self, now: Instant) {
        self.begun.get_or_insert(now);
    }

    /// When something stops to be seen.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let typing = self.people.values().filter_map(|person| person.typing_until);
        typing.chain(self.reactions.iter().map(|(until, _)| *until)).min()
    }

    /// Puts away what was seen long enough.
    pub fn handle_timeout(&mut self, now: Instant) {
        for person in self.people.values_mut() {
            person.typing_until = person.typing_until.filter(|until| *until > now);
        }
        self.reactions.retain(|(until, _)| *until > now);
    }

    /// What a face shows.
    pub fn view(&self) -> ChatView {
        let typing = self.people.values().filter(|person| person.typing_until.is_some());
        let those = |wanted: fn(&Person) -> bool| {
            self.people.iter().filter(|(_, person)| wanted(person)).map(|(peer, _)| peer.clone()).collect()
        };
        ChatView {
            entries: Arc::clone(&self.entries),
            unread: self.unread,
            typing: typing.map(|person| person.name.clone()).collect(),
            hands: those(|person| person.hand),
            pointing_off: those(|person| person.pointing_off),
            my_hand: self.my_hand,
            reactions: self.reactions.iter().map(|(_, shown)| shown.clone()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::allowance::BURST;
    use super::*;

    fn start() -> Instant {
        crate::clock::now() + Duration::from_secs(3_600)
    }

    fn bob() -> PeerId {
        PeerId::new("bob").unwrap()
    }

    fn text(text: &str) -> bytes::Bytes {
        Message::Text { text: text.to_owned() }.write()
    }

    #[test]
    fn what_both_say_stands_in_order_and_unread_until_it_is_read() {
        let (mut chat, now) = (Conversation::default(), start());
        chat.begin(now);
        chat.say(" hello ", now).unwrap();
        assert_eq!(chat.on_message(&bob(), "Bob", &text("hi\u{202e}"), now), News::Text("hi[U+202E]".into()));
        let view = chat.view();
        let said: Vec<&str> = view.entries.iter().map(|entry| entry.text.as_str()).collect();
        assert_eq!((said, view.unread), (vec!["hello", "hi[U+202E]"], 1));
        chat.read();
        assert_eq!(chat.view().unread, 0);
    }

    #[test]
    fn nothing_and_too_much_are_not_sent() {
        let (mut chat, now) = (Conversation::default(), start());
        assert_eq!(chat.say(" \n", now), Err(SayError::Empty));
        assert_eq!(chat.say(&"x".repeat(8_001), now), Err(SayError::TooLong(8_001)));
        assert!(chat.view().entries.is_empty());
    }

    #[test]
    fn typing_and_reactions_pass_and_hands_stay_up() {
        let (mut chat, now) = (Conversation::default(), start());
        chat.on_message(&bob(), "Bob", &Message::Typing.write(), now);
        chat.on_message(&bob(), "Bob", &Message::Hand { up: true }.write(), now);
        chat.on_message(&bob(), "Bob", &Message::Pointing { allowed: false }.write(), now);
        chat.on_message(&bob(), "Bob", &Message::Reaction { reaction: Reaction::Clap }.write(), now);
        let view = chat.view();
        assert_eq!((view.typing, view.hands, view.reactions.len()), (vec!["Bob".to_owned()], vec![bob()], 1));
        let later = now + Duration::from_secs(7);
        assert!(chat.poll_timeout().is_some_and(|at| at < later));
        chat.handle_timeout(later);
        let view = chat.view();
        assert!(view.typing.is_empty() && view.reactions.is_empty() && chat.poll_timeout().is_none());
        assert_eq!((view.hands, view.pointing_off), (vec![bob()], vec![bob()]));
        chat.forget(&bob());
        assert!(chat.view().hands.is_empty() && chat.allows_pointing(&bob()));
    }

    #[test]
    fn that_we_type_is_told_now_and_then() {
        let (mut chat, now) = (Conversation::default(), start());
        assert!(chat.typing(now).is_some() && chat.typing(now).is_none());
        assert!(chat.typing(now + TYPING_NOTICE).is_some());
    }

    #[test]
    fn a_flood_is_left_out_and_said_once() {
        let (mut chat, now) = (Conversation::default(), start());
        let news: Vec<News> =
            (0..500).map(|n| chat.on_message(&bob(), "Bob", &text(&n.to_string()), now)).collect();
        assert_eq!(news.iter().filter(|news| matches!(news, News::Text(_))).count(), BURST as usize);
        assert_eq!(news.iter().filter(|news| matches!(news, News::Refused(_))).count(), 1);
        let later = now + Duration::from_secs(60);
        assert!(matches!(chat.on_message(&bob(), "Bob", &text("calm again"), later), News::Text(_)));
    }

    #[test]
    fn who_claps_for_long_is_still_heard_and_takes_the_hand_down() {
        let (mut chat, now) = (Conversation::default(), start());
        chat.on_message(&bob(), "Bob", &Message::Hand { up: true }.write(), now);
        for _ in 0..100 {
            chat.on_message(&bob(), "Bob", &Message::Reaction { reaction: Reaction::Clap }.write(), now);
        }
        chat.on_message(&bob(), "Bob", &Message::Hand { up: false }.write(), now);
        chat.on_message(&bob(), "Bob", &Message::Pointing { allowed: false }.write(), now);
        assert_eq!(chat.on_message(&bob(), "Bob", &text("bravo"), now), News::Text("bravo".into()));
        let view = chat.view();
        assert_eq!((view.hands, view.pointing_off, view.reactions.len()), (vec![], vec![bob()], 20));
    }

    #[test]
    fn a_message_of_ten_megabytes_is_refused_in_words() {
        let mut chat = Conversation::default();
        let News::Refused(why) = chat.on_message(&bob(), "Bob", &vec![b'x'; 10 << 20], start()) else {
            panic!()
        };
        assert_eq!(why, "A message of Bob is not shown: it has 10485760 bytes; 8000 is the most.");
    }

    #[test]
    fn only_the_newest_thousand_entries_are_kept() {
        let (mut chat, now) = (Conversation::default(), start());
        for n in 0..HISTORY + 5 {
            chat.say(&n.to_string(), now).unwrap();
        }
        let entries = chat.view().entries;
        assert_eq!((entries.len(), entries[0].text.as_str()), (HISTORY, "5"));
    }
}
