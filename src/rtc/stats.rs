//! Statistics of one connection as W3C webrtc-stats dictionaries.

use serde::Serialize;

/// All dictionaries of one moment.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Report {
    /// The objects, each with `id`, `type` and `timestamp` (ms since the Unix epoch).
    pub objects: Vec<serde_json::Value>,
}
