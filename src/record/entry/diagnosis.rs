//! What was said of how it goes.

use serde::{Deserialize, Serialize};

use crate::engine::view::Severity;

/// A sentence that says how it goes, and why we think so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Name of the rule.
    pub rule: String,
    /// How serious.
    pub severity: Severity,
    /// One sentence for a person.
    pub text: String,
    /// The numbers behind it.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}
