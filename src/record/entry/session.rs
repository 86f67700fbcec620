//! What a session file says of itself.

use serde::{Deserialize, Serialize};

/// What a session file begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// [`Session::FORMAT`].
    pub format: String,
    /// [`Session::VERSION`] of the program that wrote it.
    pub version: u32,
    /// Program and version.
    pub application: String,
}

impl Session {
    /// What a session file calls itself.
    pub const FORMAT: &str = "sightline-session";

    /// The version of the format that is written here. New names and members leave it as it is;
    /// another meaning of an old one raises it.
    pub const VERSION: u32 = 1;
}

impl Default for Session {
    fn default() -> Self {
        Self {
            format: Self::FORMAT.into(),
            version: Self::VERSION,
            application: concat!("sightline ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}
