//! What belongs to the desktop and not to the window: one running application a person,
//! notifications, light or dark, which files to send and where files are. Knows neither the window toolkit nor
//! the engine's insides.

pub mod appearance;
pub mod choose;
pub mod instance;
pub mod notify;
pub mod reveal;
