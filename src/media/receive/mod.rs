//! From packets to pictures and sound.

pub mod audio_jitter;
pub mod frame_gaps;
pub mod sync;
pub mod video;
pub mod video_assembler;
pub mod vp8_descriptor;
pub mod vp9_descriptor;
