//! Workloads that are no more: a cluster's events and the control plane's log outlive them by an
//! hour or a day, and what went wrong then is no fault of anything that is there.
//!
//! Only a cluster's own answer, asked for a whole namespace, can show that something is not there.

use std::collections::HashSet;

use sunup_api::report::Subject;
use sunup_evidence::gap::Whole;
use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::subject;

use crate::judging::fault::Fault;

/// Workload: kind, namespace, name.
type Id = (String, Option<String>, String);

/// What a cluster says that it has, and what it was asked for as a whole.
pub(crate) struct Gone<'s> {
    wholes: &'s [Whole],
    /// Folders of all who were asked.
    collections: &'s [String],
    there: HashSet<Id>,
}

impl<'s> Gone<'s> {
    pub(crate) fn of(snapshot: &'s Snapshot) -> Self {
        let mut there = HashSet::new();
        if !snapshot.wholes.is_empty() {
            let pods = snapshot.pods.iter().filter(|facts| facts.pod.is_some());
            there.extend(pods.map(|facts| id(&subject::of(facts, snapshot))));
            there.extend(snapshot.workloads.iter().map(|(w, _)| id(&subject::of_workload(w))));
        }
        Gone { wholes: &snapshot.wholes, collections: &snapshot.collections, there }
    }

    /// Whether a cluster does not have a workload.
    pub(crate) fn is_gone(&self, subject: &Subject) -> bool {
        let asked = self.wholes.iter().any(|whole| covers(whole, subject));
        asked
            && !self.there.contains(&id(subject))
            && !self.there.contains(&(subject.kind.clone(), None, subject.name.clone()))
    }

    /// Whether a fault is of such a workload, and nothing but the cluster's own answer shows it.
    pub(crate) fn took(&self, fault: &Fault) -> bool {
        // What somebody else was asked lies in a folder of its own, below the cluster's.
        let others = |source: &str, own: &str| {
            let within = |folder: &&String| folder.len() > own.len();
            self.collections.iter().filter(within).any(|folder| source.starts_with(folder.as_str()))
        };
        let answered = |source: &str| {
            let mut own = self.wholes.iter().map(|whole| whole.folder.as_str());
            own.any(|own| source.starts_with(own) && !others(source, own))
        };
        self.is_gone(&fault.subject) && fault.evidence.iter().all(|item| answered(&item.source))
    }
}

fn id(of: &Subject) -> Id {
    (of.kind.clone(), of.namespace.clone(), of.name.clone())
}

/// Whether an answer would have had a subject's object, if there were one.
fn covers(whole: &Whole, subject: &Subject) -> bool {
    let Some(namespace) = &subject.namespace else { return false };
    whole.namespace.as_ref().is_none_or(|asked| asked == namespace)
        && whole.kinds.contains(&subject.kind)
        // Its pods are what it is known by where its own kind could not be listed.
        && whole.kinds.iter().any(|kind| kind == "Pod")
}
