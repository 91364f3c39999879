//! What an object says of whose it is.

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;

/// Owners and names by which an object is told to belong to what was asked for.
#[derive(Default)]
pub(super) struct Family {
    /// uids of pods, of their owners, and of the owners' owners.
    pub(super) uids: HashSet<String>,
    pub(super) revisions: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    pub(super) metadata: Meta,
    #[serde(rename = "involvedObject")]
    pub(super) involved: Owner,
    pub(super) spec: Spec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) labels: std::collections::BTreeMap<String, String>,
    pub(super) owner_references: Vec<Owner>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner {
    pub(super) uid: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    pub(super) replicas: Option<u64>,
}

impl Family {
    /// Whether an object is one of the family, belongs to one, or is an event about one.
    pub(super) fn owns(&self, item: &Item) -> bool {
        let meta = &item.metadata;
        self.uids.contains(&meta.uid)
            || self.uids.contains(&item.involved.uid)
            || meta.owner_references.iter().any(|owner| self.uids.contains(&owner.uid))
    }
}
