//! Evidence that was looked for in a cluster and could not be had.

use serde::{Deserialize, Serialize};

/// What is missing, why, and the command that would get it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Gap {
    /// The namespace; `None` is all of them, or none.
    pub namespace: Option<String>,
    /// Kind of evidence, such as `events`.
    pub what: String,
    /// Why it could not be had.
    pub why: String,
    /// A command that gets it, once it can be had.
    pub get_it_with: Option<String>,
}

/// What a collector says of its own work, kept among what it collected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Collection {
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// What was asked for and answered in full.
    pub whole: Option<Whole>,
}

/// Kinds of objects of which a cluster has given all that it has: what is not among them is not
/// there.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Whole {
    /// The namespace; `None` is all of them.
    pub namespace: Option<String>,
    /// Kinds, as manifests name them.
    pub kinds: Vec<String>,
    /// The folder in which the answers lie, with a slash behind it; empty where they lie in none.
    #[serde(skip)]
    pub folder: String,
}
