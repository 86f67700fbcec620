//! Where pictures and sound come from.

pub mod pace;
pub mod pattern;
pub mod y4m;
