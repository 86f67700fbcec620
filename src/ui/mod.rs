//! The window: shows the engine's newest view and pictures, and turns clicks into commands.
//!
//! ```text
//!  CallView ──▶ model ──▶ screens ──▶ actions ──▶ model ──▶ commands to the engine
//!  FrameSlots ──▶ video (three planes and a shader) ──▶ the screen
//! ```
//!
//! The only module that may name the window toolkit. It never waits: a view is looked at, a command
//! is dropped into a queue. It knows no devices, sockets or files and holds no state of the call.

pub mod action;
pub mod file;
pub mod fit;
pub mod format;
pub mod icons;
pub mod keys;
mod marks;
pub mod model;
pub mod panel;
pub mod screens;
pub mod texture;
pub mod theme;
pub mod video;
pub mod wake;
pub mod widgets;
mod window;
pub mod words;
pub mod zoom;

pub use window::{UiEngine, run};
