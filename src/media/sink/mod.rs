//! Where sound goes.

pub mod null;
pub mod wav;
