//! Codecs: thin, safe, and without any idea of threads, channels or clocks.

pub mod opus;
pub mod vp8;
