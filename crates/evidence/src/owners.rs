//! Who made what, as events and tables say it: `Created pod: web-5b6f7c9d4-9xk2l` is said of the
//! ReplicaSet that made it, and a table of Jobs names the Jobs there are.
//!
//! # Sources
//! kubernetes/kubernetes `pkg/controller/controller_utils.go` (`Created pod: %v`),
//! `pkg/controller/statefulset/stateful_pod_control.go` (`create Pod %s in StatefulSet %s
//! successful`), `pkg/controller/cronjob` (`Created job %v`), `pkg/controller/deployment/sync.go`
//! (`Scaled up replica set %s to %d`); openshift/openshift-controller-manager `deploymentconfig`
//! (`Created new replication controller %q for version %d`).

use std::collections::HashMap;

use crate::listed::Listed;
use crate::names::names_so;
use crate::record::Event;

type Named = (String, String);

/// Owners that are known without an object.
#[derive(Debug, Default)]
pub struct Owners {
    /// Makers by what they made.
    makers: HashMap<Named, Named>,
    /// Rows of workloads by name: their kinds and namespaces.
    rows: HashMap<String, Vec<(String, Option<String>)>>,
    /// Owners that rows name, by what they own.
    columns: HashMap<Named, Named>,
}

/// Words before the name of what a controller made, and its kind.
const MADE: &[(&str, &str)] = &[
    ("Created pod: ", "Pod"),
    ("create Pod ", "Pod"),
    ("Created job ", "Job"),
    ("Scaled up replica set ", "ReplicaSet"),
    ("Created new replication controller ", "ReplicationController"),
];

impl Owners {
    pub(crate) fn of<'e>(events: impl Iterator<Item = &'e Event>, listed: &[Listed]) -> Owners {
        let mut owners = Owners::default();
        for event in events {
            let Some(maker) = event.name.clone().filter(|_| !event.kind.is_empty()) else {
                continue;
            };
            let made = MADE.iter().find_map(|(words, kind)| {
                let name = event.message.strip_prefix(words)?.split_whitespace().next()?;
                Some((*kind, name.trim_matches(['"', '\'', ',', '.'])))
            });
            if let Some((kind, name)) = made {
                let of = (kind.to_owned(), name.to_owned());
                owners.makers.entry(of).or_insert((event.kind.clone(), maker));
            }
        }
        for row in listed {
            let Some(name) = &row.name else { continue };
            if let Some(owner) = &row.owner {
                owners.columns.insert((row.kind.clone(), name.clone()), owner.clone());
            }
            let of_name = owners.rows.entry(name.clone()).or_default();
            let known = (row.kind.clone(), row.namespace.clone());
            if !of_name.contains(&known) {
                of_name.push(known);
            }
        }
        owners
    }

    /// Who owns an object of this kind and name.
    pub(crate) fn above(&self, kind: &str, name: &str) -> Option<(&str, &str)> {
        if self.makers.is_empty() && self.columns.is_empty() {
            return None;
        }
        let key = (kind.to_owned(), name.to_owned());
        let (kind, name) = self.makers.get(&key).or_else(|| self.columns.get(&key))?;
        Some((kind, name))
    }

    /// The workload in a table that names its pods like this one, the one of the longest name.
    pub(crate) fn naming(&self, pod: &str, namespace: Option<&str>) -> Option<(&str, &str)> {
        let mut stem = if self.rows.is_empty() { "" } else { pod };
        while let Some((shorter, _)) = stem.rsplit_once('-') {
            stem = shorter;
            let Some((name, rows)) = self.rows.get_key_value(stem) else { continue };
            let fits = |(kind, ns): &&(String, Option<String>)| {
                let near = ns.is_none() || namespace.is_none() || ns.as_deref() == namespace;
                near && names_so(kind, name, pod)
            };
            if let Some((kind, _)) = rows.iter().find(fits) {
                return Some((kind, name));
            }
        }
        None
    }
}
