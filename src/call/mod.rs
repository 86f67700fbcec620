//! What a call does next: decided here, done elsewhere.
//!
//! ```text
//!  person ─┐
//!  server ─┼─ Input ─▶ CallMachine::handle(input, now) ─▶ Vec<Effect> ─▶ engine
//!  paths  ─┘               │ fill(&mut CallView)  │ poll_timeout()
//! ```
//!
//! Pure: no sockets, no threads, no clock, no devices. Of a session description it knows only that
//! the link's secret can vouch for it (`proof`).

pub mod adapt;
pub mod input;
pub mod machine;
mod notices;
mod path;
mod person;
mod phase;
pub mod proof;
pub mod reconnect;
mod roster;
mod server;
#[cfg(test)]
mod tests;

pub use input::{Effect, Input, TransportInput};
pub use machine::CallMachine;
