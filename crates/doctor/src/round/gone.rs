//! Workloads that are no more: a cluster's events and the control plane's log outlive them by an
//! hour or a day, and what went wrong then is no fault of anything that is there.
//!
//! Only a cluster's own answer, asked for a whole namespace, can show that something is not there.

use std::collections::HashSet;

use sunup_api::report::Subject;
use sunup_evidence::gap::Whole;
use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::subject;

use crate::judging::fault::Judgements;

/// Takes out what was said of workloads that the cluster does not have.
pub(crate) fn leave_out(snapshot: &Snapshot, judged: &mut Judgements) {
    if snapshot.wholes.is_empty() {
        return;
    }
    let of = |s: &Subject| (s.kind.clone(), s.namespace.clone(), s.name.clone());
    let pods = snapshot.pods.iter().filter(|facts| facts.pod.is_some());
    let mut there: HashSet<_> = pods.map(|facts| of(&subject::of(facts, snapshot))).collect();
    there.extend(snapshot.workloads.iter().map(|(w, _)| of(&subject::of_workload(w))));
    let gone = |subject: &Subject| {
        let asked = snapshot.wholes.iter().any(|whole| covers(whole, subject));
        let bare = (subject.kind.clone(), None, subject.name.clone());
        asked && !there.contains(&of(subject)) && !there.contains(&bare)
    };
    let answered = |source: &str| {
        snapshot.wholes.iter().any(|whole| source.starts_with(whole.folder.as_str()))
    };
    judged.faults.retain(|fault| {
        !gone(&fault.subject) || !fault.evidence.iter().all(|item| answered(&item.source))
    });
    judged.unknown.retain(|open| !gone(&open.subject));
    judged.cleared.retain(|innocent| !gone(&innocent.subject));
}

/// Whether an answer would have had a subject's object, if there were one.
fn covers(whole: &Whole, subject: &Subject) -> bool {
    let Some(namespace) = &subject.namespace else { return false };
    whole.namespace.as_ref().is_none_or(|asked| asked == namespace)
        && whole.kinds.contains(&subject.kind)
        // Its pods are what it is known by where its own kind could not be listed.
        && whole.kinds.iter().any(|kind| kind == "Pod")
}
