//! From packets to pictures and sound.

pub mod audio_jitter;
pub mod sync;
