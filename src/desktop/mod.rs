//! What belongs to the desktop and not to the window: one running application a person, and
//! notifications. Knows neither the window toolkit nor the engine's insides.

pub mod instance;
pub mod notify;
