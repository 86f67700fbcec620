//! Where pictures and sound come from.

#[cfg(feature = "devices")]
pub mod camera;
#[cfg(feature = "devices")]
mod downmix;
#[cfg(feature = "devices")]
pub mod microphone;
pub mod pace;
pub mod pattern;
pub mod screen;
pub mod tone;
pub mod wav;
pub mod y4m;
