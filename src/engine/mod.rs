//! Wires call, media, transport and signaling together; the same for the window and the script.
//!
//! A face sees three things: [`command::Command`] goes in, [`view::CallView`] comes out, and
//! [`frames::FrameSlots`] hold the pictures.

pub mod command;
pub mod frames;
pub mod view;
