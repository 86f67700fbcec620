//! What people write to each other during a call, and what they show with a hand or a face.
//!
//! Pure: knows what messages mean and how they are made harmless, not how they travel, who draws
//! them, or what time it is.

mod allowance;
mod conversation;
pub mod links;
mod message;
pub mod text;

pub use conversation::{Author, ChatView, Conversation, Entry, News, Said, SayError, Shown};
pub use message::{LONGEST_TEXT, Message, MessageError, Reaction};
