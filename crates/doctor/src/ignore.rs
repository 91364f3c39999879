//! `sunup.dev/ignore`: findings that somebody decided to live with, each with a reason.
//!
//! The annotation stands on the workload or on its pod template: `RULE: REASON`, several on lines
//! of their own or between semicolons. What is ignored is told among what was ruled out.

use std::collections::BTreeSet;

use sunup_api::annotation;
use sunup_api::report::Subject;
use sunup_evidence::object::Map;
use sunup_evidence::record::Place;
use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::subject;

use crate::chain::same_workload;
use crate::fault::{Fault, Judgements};
use crate::rule::Need;
use crate::rules::RULES;

/// One `RULE: REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ignore {
    pub(crate) subject: Subject,
    pub(crate) rule: String,
    pub(crate) reason: String,
    pub(crate) place: Place,
    /// Whether it stands on the pod template, rather than on the object itself.
    pub(crate) on_template: bool,
    /// The whole annotation.
    pub(crate) whole: String,
}

impl Ignore {
    /// What is wrong with it by itself.
    pub(crate) fn mistake(&self) -> Option<String> {
        if !RULES.iter().any(|r| r.meta().id == self.rule) {
            return Some(format!("there is no rule `{}`", self.rule));
        }
        self.reason.is_empty().then(|| "it gives no reason".to_owned())
    }

    fn covers(&self, fault: &Fault) -> bool {
        self.rule == fault.rule
            && self.mistake().is_none()
            && same_workload(&self.subject, &fault.subject)
    }
}

/// Every ignore in the manifests and on the pods, one of each.
pub(crate) fn all(snapshot: &Snapshot) -> Vec<Ignore> {
    let mut found: Vec<Ignore> = Vec::new();
    for (workload, manifest) in &snapshot.workloads {
        let of = subject::of_workload(workload);
        let place = &manifest.place;
        let template = &workload.template.metadata.annotations;
        read(template, &of, place, true, &mut found);
        // Of a bare pod both are the same.
        if !workload.template_path.is_empty() {
            read(&workload.metadata.annotations, &of, place, false, &mut found);
        }
    }
    for facts in &snapshot.pods {
        if let Some((pod, manifest)) = &facts.pod
            && pod.metadata.annotations.contains_key(annotation::IGNORE)
        {
            let of = Subject { pods: Vec::new(), ..subject::of(facts, snapshot) };
            read(&pod.metadata.annotations, &of, &manifest.place, true, &mut found);
        }
    }
    found
}

fn read(
    annotations: &Map,
    subject: &Subject,
    place: &Place,
    on_template: bool,
    found: &mut Vec<Ignore>,
) {
    let Some(text) = annotations.get(annotation::IGNORE) else { return };
    for entry in text.split(['\n', ';']).map(str::trim).filter(|e| !e.is_empty()) {
        let (rule, reason) = entry.split_once(':').unwrap_or((entry, ""));
        let (rule, reason) = (rule.trim().to_owned(), reason.trim().to_owned());
        let known = |i: &Ignore| same_workload(&i.subject, subject) && i.rule == rule;
        if !found.iter().any(known) {
            let (subject, place, whole) = (subject.clone(), place.clone(), text.clone());
            found.push(Ignore { subject, rule, reason, place, on_template, whole });
        }
    }
}

/// Takes out what is ignored, and says so; gives the ignores that matched nothing.
pub(crate) fn apply(snapshot: &Snapshot, judged: &mut Judgements) -> Vec<Ignore> {
    let all = all(snapshot);
    if all.is_empty() {
        return all;
    }
    let mut used = BTreeSet::new();
    for fault in std::mem::take(&mut judged.faults) {
        match all.iter().position(|i| i.covers(&fault)) {
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
