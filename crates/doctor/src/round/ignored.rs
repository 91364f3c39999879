//! Findings that somebody decided to live with: taken out, and told among what was ruled out.

use std::collections::{BTreeSet, HashMap};

use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::subject;

use crate::judging::fault::Fault;
use crate::judging::ignore::{self, Ignore};
use crate::judging::meta::Need;
use crate::judging::subject::same_workload;
use crate::rules::RULES;

/// What is ignored, and which of it has been met.
pub(crate) struct Ignored {
    all: Vec<Ignore>,
    /// Places in the list by kind and name: only of one name can be one workload.
    by_name: HashMap<(String, String), Vec<usize>>,
    used: BTreeSet<usize>,
}

impl Ignored {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let all = ignore::all(snapshot, |id| RULES.iter().any(|r| r.meta().id == id));
        let mut by_name: HashMap<(String, String), Vec<usize>> = HashMap::new();
        for (at, ignore) in all.iter().enumerate() {
            let name = (ignore.subject.kind.clone(), ignore.subject.name.clone());
            by_name.entry(name).or_default().push(at);
        }
        Ignored { all, by_name, used: BTreeSet::new() }
    }

    /// Why a fault is taken out, if it is.
    pub(crate) fn why(&mut self, fault: &Fault) -> Option<String> {
        if self.all.is_empty() {
            return None;
        }
        let name = (fault.subject.kind.clone(), fault.subject.name.clone());
        let mut near = self.by_name.get(&name)?.iter().copied();
        let at = near.find(|at| covers(&self.all[*at], fault))?;
        self.used.insert(at);
        let Ignore { reason, place, .. } = &self.all[at];
        Some(format!("{reason} ({place})"))
    }

    /// The ignores that no fault has met, where the evidence could have shown one.
    pub(crate) fn unused(&self, snapshot: &Snapshot) -> Vec<Ignore> {
        let left = self.all.iter().enumerate().filter(|(at, _)| !self.used.contains(at));
        let left = left.map(|(_, ignore)| ignore);
        left.filter(|ignore| could_have_matched(ignore, snapshot)).cloned().collect()
    }
}

fn covers(ignore: &Ignore, fault: &Fault) -> bool {
    ignore.rule == fault.rule
        && ignore.mistake.is_none()
        && same_workload(&ignore.subject, &fault.subject)
        && ignore.home.may_be(&fault.home)
}

/// Whether the evidence at hand could have shown the fault: an ignore of something that only logs
/// show is not idle because a manifest was handed over alone.
fn could_have_matched(ignore: &Ignore, snapshot: &Snapshot) -> bool {
    let Some(rule) = RULES.iter().map(|r| r.meta()).find(|m| m.id == ignore.rule) else {
        return true;
    };
    if ignore.reason.is_empty() {
        return true;
    }
    if rule.needs.first().is_some_and(|group| group.contains(&Need::Workload)) {
        return true;
    }
    snapshot.pods.iter().any(|p| {
        p.pod.is_some()
            && !p.logs.is_empty()
            && same_workload(&subject::of(p, snapshot), &ignore.subject)
    })
}
