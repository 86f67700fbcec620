//! Codecs: thin, safe, and without any idea of threads, channels or clocks.

pub mod frame_head;
pub mod opus;
pub mod tuning;
pub mod vpx;
