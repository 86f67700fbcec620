//! Where sound goes.

pub mod null;
#[cfg(feature = "devices")]
pub mod speaker;
pub mod wav;
