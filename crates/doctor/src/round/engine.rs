//! Runs every rule over every workload, merges what they say of one workload's pods, and writes
//! the report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use sunup_api::report::{Cleared, EVERY_RULE, Finding, Report, Subject, Unknown};
use sunup_api::shell;
use sunup_evidence::gap::Gap;
use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::timeline;

use crate::fix::{self, FileEdit, Texts};
use crate::judging::fault::{Fault, Innocent, Judgements, Open};
use crate::judging::home::{self, Home};
use crate::judging::mesh::Mesh;
use crate::judging::outcome::Outcome;
use crate::judging::pod::Case;
use crate::judging::subject::in_scope;
use crate::judging::texts::Listener;
use crate::judging::workload::{self, Seen};
use crate::round::{consequences, gone, ignored};
use crate::rules::{self, RULES};

/// The report, and the edits that its fixes make to the user's files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Diagnosis {
    /// What was found.
    pub report: Report,
    /// Edits by finding and fix; the caller applies them.
    pub edits: Vec<FileEdit>,
}

/// Evidence that one finding shows; more says the same again.
const EVIDENCE_MAX: usize = 12;

/// What all rules listen for; made once.
static LISTENER: LazyLock<Listener> =
    LazyLock::new(|| Listener::new(&rules::rules().collect::<Vec<_>>()));

/// Judges everything. The same evidence gives the same bytes, in whatever order it was read.
#[must_use]
pub fn diagnose(snapshot: &Snapshot) -> Diagnosis {
    let mesh = Mesh::of(snapshot);
    let mut by_rule: Vec<Judgements> = RULES.iter().map(|_| Judgements::default()).collect();
    let mut seen: BTreeMap<Subject, Seen> = BTreeMap::new();
    for facts in &snapshot.pods {
        let case = Case::new(snapshot, &mesh, &LISTENER, facts);
        if !in_scope(&case.subject, snapshot) {
            continue;
        }
        if case.shape.from_object {
            seen.entry(workload(&case.subject)).or_default().add(&case);
        }
        let outcome = case.pod().and_then(Outcome::of);
        for (rule, out) in RULES.iter().zip(&mut by_rule) {
            let before = out.faults.len();
            rule.pod(&case, out);
            out.faults[before..].iter_mut().for_each(|fault| fault.home = case.home.clone());
            if let (Some(outcome), true) = (outcome, rule.passes()) {
                out.faults[before..].iter_mut().for_each(|fault| outcome.weigh(fault));
            }
        }
    }
    let mut judged = Judgements::default();
    for mut work in workload::all(snapshot, &mesh, &LISTENER) {
        work.pods = seen.get(&work.subject).copied().unwrap_or_default();
        let home = work.manifest.map(|(_, manifest)| Home::of_manifest(manifest));
        for (rule, out) in RULES.iter().zip(&mut by_rule) {
            // A rule sees what its pods have shown, not what another manifest has: files of the same
            // name are different objects.
            let of_pods = out.faults.len();
            rule.work(&work, out);
            judged.faults.extend(out.faults.drain(of_pods..).map(|mut fault| {
                fault.home = home.clone().unwrap_or_default();
                fault
            }));
        }
    }
    for on in workload::namespaces(snapshot) {
        let mut said = Judgements::default();
        RULES.iter().for_each(|rule| rule.namespace(&on, &mut said));
        said.faults.iter_mut().for_each(|fault| fault.home = Home::of_manifest(on.manifest));
        judged.absorb(said);
    }
    by_rule.into_iter().for_each(|said| judged.absorb(said));
    gone::leave_out(snapshot, &mut judged);
    let unused = ignored::take_out(snapshot, &mut judged);
    judged.faults.extend(unused.iter().map(rules::unused));
    say_what_is_missing(snapshot, &mut judged);
    write(snapshot, judged)
}

/// A workload that was asked for by name gets an answer even where no rule had anything to judge.
fn say_what_is_missing(snapshot: &Snapshot, judged: &mut Judgements) {
    let scope = &snapshot.scope;
    let (kind, name) = match (&scope.workload, &scope.pod) {
        (Some((kind, name)), _) => (kind.as_str(), name.as_str()),
        (None, Some(pod)) => ("Pod", pod.as_str()),
        (None, None) => return,
    };
    if !judged.faults.is_empty() || !judged.cleared.is_empty() || !judged.unknown.is_empty() {
        return;
    }
    let ns = scope.namespace.as_ref().map(|n| format!("-n {} ", shell::name(n)));
    let ns = ns.unwrap_or_default();
    let has = |f: fn(&sunup_evidence::snapshot::PodFacts) -> bool| snapshot.pods.iter().any(f);
    let mut missing = Vec::new();
    let known = snapshot.workloads.iter().any(|(w, _)| w.metadata.name == name)
        || snapshot.pods.iter().any(|p| {
            let subject = sunup_evidence::subject::of(p, snapshot);
            subject.name == name || p.name.as_deref() == Some(name)
        });
    if !known {
        missing.push(format!("anything that names {kind}/{name}: is the name right?"));
    }
    if !has(|p| p.pod.is_some()) {
        missing.push("the pod object".to_owned());
    }
    if !has(|p| !p.events.is_empty()) {
        missing.push("pod events".to_owned());
    }
    if !has(|p| !p.logs.is_empty()) {
        missing.push("container logs".to_owned());
    }
    if missing.is_empty() {
        return;
    }
    let subject = Subject {
        namespace: scope.namespace.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        ..Subject::default()
    };
    judged.unknown.push(Open {
        rule: "app-before-proxy",
        subject,
        missing,
        get_it_with: Some(format!(
            "kubectl {ns}get pods,events -o json; kubectl {ns}logs POD --all-containers --prefix --timestamps"
        )),
    });
}

fn write(snapshot: &Snapshot, judged: Judgements) -> Diagnosis {
    let mut faults = consequences::fold(merge(judged.faults, snapshot));
    faults.sort_by(|a, b| {
        (b.severity, b.verdict, a.rule, &a.subject)
            .cmp(&(a.severity, a.verdict, b.rule, &b.subject))
    });
    let mut out = Diagnosis::default();
    let mut texts = Texts::default();
    for fault in faults {
        let number = out.report.findings.len();
        let mut fixes = Vec::new();
        for remedy in &fault.remedies {
            let subject = &fault.subject;
            let (fix, edits) =
                fix::realise(remedy, subject, &fault.home, snapshot, number, &mut texts);
            fixes.push(fix);
            out.edits.extend(edits);
        }
        out.report.findings.push(finding(fault, fixes));
    }
    let found: Vec<(String, Subject)> =
        out.report.findings.iter().map(|f| (f.rule.clone(), f.subject.clone())).collect();
    out.report.cleared = cleared(judged.cleared);
    out.report.unknown = unknown(judged.unknown, &found);
    out.report.unknown.extend(snapshot.gaps.iter().map(not_to_be_had));
    out.report.unreadable.clone_from(&snapshot.unreadable);
    out
}

fn finding(fault: Fault, fixes: Vec<sunup_api::report::Fix>) -> Finding {
    let mut evidence = fault.evidence;
    evidence.dedup();
    evidence.truncate(EVIDENCE_MAX);
    Finding {
        rule: fault.rule.to_owned(),
        cause: fault.cause.map(str::to_owned),
        severity: fault.severity,
        verdict: fault.verdict,
        subject: fault.subject,
        summary: fault.summary,
        explanation: fault.explanation.join(" "),
        timeline: timeline::entries(fault.points),
        evidence,
        consequences: fault.consequences.into_iter().map(str::to_owned).collect(),
        fixes,
    }
}

/// Rule, cause, workload, and the file of its manifest.
type Whose = (&'static str, Option<&'static str>, Subject, Option<Arc<str>>);

/// A subject without its pods: what pods are merged by.
fn workload(subject: &Subject) -> Subject {
    Subject { pods: Vec::new(), ..subject.clone() }
}

fn add_pods(subject: &mut Subject, more: Vec<String>) {
    subject.pods.extend(more);
    subject.pods.sort();
    subject.pods.dedup();
}

/// One finding for all pods of a workload and the manifest that they come from: the clearest pod tells
/// the story.
fn merge(faults: Vec<Fault>, snapshot: &Snapshot) -> Vec<Fault> {
    // A pod that is still broken tells more than one that has got over it, and either more than what
    // a manifest makes possible.
    let clear = |fault: &Fault| (!fault.subject.pods.is_empty(), fault.severity, fault.verdict);
    let mut merged: BTreeMap<Whose, Fault> = BTreeMap::new();
    for fault in faults {
        // A pod's, and a cluster's copy of a manifest, belong to a file as well, if it can be told.
        let own = home::manifests(&fault.subject, snapshot, &fault.home).ok().flatten();
        let file = own.map(|(_, manifest)| Arc::clone(&manifest.place.file));
        let key = (fault.rule, fault.cause, workload(&fault.subject), file);
        match merged.get_mut(&key) {
            Some(known) => {
                let pods = fault.subject.pods.clone();
                let so_far = known.subject.pods.clone();
                if clear(&fault) > clear(known) {
                    *known = fault;
                }
                add_pods(&mut known.subject, so_far);
                add_pods(&mut known.subject, pods);
            }
            None => drop(merged.insert(key, fault)),
        }
    }
    merged.into_values().collect()
}

fn cleared(all: Vec<Innocent>) -> Vec<Cleared> {
    let mut merged: BTreeMap<(&str, &str, Subject), Cleared> = BTreeMap::new();
    for one in all {
        let key = (one.rule, one.look_alike, workload(&one.subject));
        match merged.get_mut(&key) {
            Some(known) => {
                add_pods(&mut known.subject, one.subject.pods);
            }
            None => {
                let cleared = Cleared {
                    rule: one.rule.to_owned(),
                    look_alike: one.look_alike.to_owned(),
                    subject: one.subject,
                    why: one.why,
                };
                merged.insert(key, cleared);
            }
        }
    }
    merged.into_values().collect()
}

/// Evidence that a cluster did not give.
fn not_to_be_had(gap: &Gap) -> Unknown {
    let subject = match &gap.namespace {
        Some(namespace) => ("Namespace", namespace.as_str()),
        None => ("Cluster", ""),
    };
    Unknown {
        rule: EVERY_RULE.to_owned(),
        subject: Subject {
            kind: subject.0.to_owned(),
            name: subject.1.to_owned(),
            ..Subject::default()
        },
        missing: vec![format!("{}: {}", gap.what, gap.why)],
        get_it_with: gap.get_it_with.clone(),
    }
}

/// What is open, but for workloads on which the rule has spoken already.
fn unknown(all: Vec<Open>, found: &[(String, Subject)]) -> Vec<Unknown> {
    let mut merged: BTreeMap<(&str, Subject), Unknown> = BTreeMap::new();
    let of = |rule, subject: &Subject| {
        (rule, subject.kind.clone(), subject.name.clone(), subject.namespace.clone())
    };
    let spoken: BTreeSet<_> = found.iter().map(|(rule, on)| of(rule.as_str(), on)).collect();
    for one in all {
        if spoken.contains(&of(one.rule, &one.subject)) {
            continue;
        }
        let key = (one.rule, workload(&one.subject));
        match merged.get_mut(&key) {
            Some(known) => {
                add_pods(&mut known.subject, one.subject.pods);
            }
            None => {
                let unknown = Unknown {
                    rule: one.rule.to_owned(),
                    subject: one.subject,
                    missing: one.missing,
                    get_it_with: one.get_it_with,
                };
                merged.insert(key, unknown);
            }
        }
    }
    merged.into_values().collect()
}
