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
#[cfg(all(feature = "devices", target_os = "linux"))]
pub mod system_sound;
pub mod tone;
pub mod wav;
pub mod y4m;
