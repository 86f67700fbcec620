//! The few controls the window is made of. Each has an accessible name, a visible focus, and one
//! look; none holds anything of the call.

pub mod avatar;
pub mod button;
pub mod field;
pub mod level;
pub mod picker;
pub mod text;
pub mod toast;
