//! Findings that somebody decided to live with: taken out, and told among what was ruled out.

use std::collections::BTreeSet;

use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::subject;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::ignore::{self, Ignore};
use crate::judging::meta::Need;
use crate::judging::subject::same_workload;
use crate::rules::RULES;

/// Takes out what is ignored, and says so; gives the ignores that matched nothing.
pub(crate) fn take_out(snapshot: &Snapshot, judged: &mut Judgements) -> Vec<Ignore> {
    let all = ignore::all(snapshot, |id| RULES.iter().any(|r| r.meta().id == id));
    if all.is_empty() {
        return all;
    }
    let mut used = BTreeSet::new();
    for fault in std::mem::take(&mut judged.faults) {
        match all.iter().position(|i| covers(i, &fault)) {
            Some(i) => {
                used.insert(i);
                let why = format!("{} ({})", all[i].reason, all[i].place);
                judged.clear(fault.rule, "ignored", fault.subject, why);
            }
            None => judged.faults.push(fault),
        }
    }
    let unused = all.into_iter().enumerate().filter(|(i, _)| !used.contains(i));
    unused.map(|(_, ignore)| ignore).filter(|i| could_have_matched(i, snapshot)).collect()
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
