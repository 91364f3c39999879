//! Causes and consequences on one workload: what follows from another finding is folded under it.

use std::collections::HashMap;

use sunup_api::report::Verdict;

use crate::judging::fault::Fault;
use crate::judging::subject::same_workload;
use crate::rules::RULES;

/// Folds every fault that another one explains under the first cause.
///
/// Only what was observed explains anything: a fault that a manifest merely makes possible must not
/// hide one that was seen.
pub(crate) fn fold(faults: Vec<Fault>) -> Vec<Fault> {
    // Only faults of one name can be of one workload: a mesh may have many thousands.
    let mut by_name: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (i, fault) in faults.iter().enumerate() {
        let subject = &fault.subject;
        by_name.entry((&subject.kind, &subject.name)).or_default().push(i);
    }
    let root = |mut i: usize| {
        let subject = &faults[i].subject;
        let near = by_name.get(&(subject.kind.as_str(), subject.name.as_str()));
        let near = near.map_or(&[][..], Vec::as_slice);
        // Rules explain each other in no circle (a test holds that), so this ends.
        while let Some(cause) = cause_of(i, near, &faults) {
            i = cause;
        }
        i
    };
    let roots: Vec<usize> = (0..faults.len()).map(root).collect();
    let mut folded: Vec<Option<Fault>> = faults.into_iter().map(Some).collect();
    for (i, root) in roots.iter().enumerate() {
        if i == *root {
            continue;
        }
        let Some(consequence) = folded[i].take() else { continue };
        if let Some(cause) = &mut folded[*root] {
            cause.consequences.push(consequence.rule);
            cause.consequences.sort_unstable();
            cause.consequences.dedup();
            cause.subject.pods.extend(consequence.subject.pods);
            cause.subject.pods.sort();
            cause.subject.pods.dedup();
        }
    }
    folded.into_iter().flatten().collect()
}

fn cause_of(of: usize, near: &[usize], faults: &[Fault]) -> Option<usize> {
    let fault = &faults[of];
    near.iter().copied().find(|i| {
        let cause = &faults[*i];
        cause.verdict >= Verdict::Likely
            && same_workload(&cause.subject, &fault.subject)
            && cause.home.may_be(&fault.home)
            && explains(cause.rule).contains(&fault.rule)
    })
}

fn explains(rule: &str) -> &'static [&'static str] {
    let found = RULES.iter().map(|r| r.meta()).find(|m| m.id == rule);
    found.map_or(&[], |m| m.explains)
}
