//! Runs every rule over every workload, and writes the report.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use sunup_api::report::{EVERY_RULE, Finding, Report, Subject, Unknown, Verdict};
use sunup_api::shell;
use sunup_evidence::gap::Gap;
use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::timeline;

use crate::fix::{self, FileEdit, Texts};
use crate::judging::fault::{Fault, Judgements, Open};
use crate::judging::home::Home;
use crate::judging::mesh::Mesh;
use crate::judging::outcome::Outcome;
use crate::judging::pod::Case;
use crate::judging::rule::Rule;
use crate::judging::subject::in_scope;
use crate::judging::texts::Listener;
use crate::judging::workload::{self, Seen, Work};
use crate::round::consequences;
use crate::round::entries;
use crate::round::merged::{Merged, without_pods};
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
    let mut merged = Merged::new(snapshot);
    let mut works = workload::all(snapshot, &mesh, &LISTENER);
    let mut known = Known::of(&works);
    let mut seen: BTreeMap<Subject, Seen> = BTreeMap::new();
    for facts in &snapshot.pods {
        let case = Case::new(snapshot, &mesh, &LISTENER, facts);
        if !in_scope(&case.subject, snapshot) {
            continue;
        }
        if case.shape.from_object {
            seen.entry(without_pods(&case.subject)).or_default().add(&case);
        }
        let outcome = case.pod().and_then(Outcome::of);
        for (number, rule) in RULES.iter().enumerate() {
            let mut out = Judgements::default();
            rule.pod(&case, &mut out);
            for fault in &mut out.faults {
                fault.home = case.home.clone();
                if let (Some(outcome), true) = (outcome, rule.passes()) {
                    outcome.weigh(fault);
                }
                known.note(number, &fault.subject);
            }
            merged.of_pod(out);
        }
    }
    for work in &mut works {
        work.pods = seen.get(&work.subject).copied().unwrap_or_default();
        let home = work.manifest.map(|(_, manifest)| Home::of_manifest(manifest));
        let near = known.near(&work.subject);
        for (number, rule) in RULES.iter().enumerate() {
            // A rule sees what its pods have shown, not what another manifest has: files of the same
            // name are different objects.
            let mut out = Judgements::default();
            out.faults.extend(near.get(number).into_iter().flatten().map(|of| known_to(*rule, of)));
            let of_pods = out.faults.len();
            rule.work(work, &mut out);
            out.faults.drain(..of_pods);
            out.faults.iter_mut().for_each(|fault| fault.home = home.clone().unwrap_or_default());
            merged.of_manifest(out);
        }
    }
    for on in workload::namespaces(snapshot) {
        let mut said = Judgements::default();
        RULES.iter().for_each(|rule| rule.namespace(&on, &mut said));
        said.faults.iter_mut().for_each(|fault| fault.home = Home::of_manifest(on.manifest));
        merged.of_manifest(said);
    }
    let unused = merged.unused();
    merged.add(unused.iter().map(rules::unused));
    let missing = if merged.is_empty() { what_is_missing(snapshot) } else { None };
    merged.of_manifest(Judgements {
        unknown: missing.into_iter().collect(),
        ..Judgements::default()
    });
    write(snapshot, merged)
}

/// Which pods' workloads each rule has found something of: only what is called alike can be one
/// workload, and of thousands a rule need not look at all.
struct Known(HashMap<(String, String), Vec<BTreeSet<Subject>>>);

fn called(subject: &Subject) -> (String, String) {
    (subject.kind.clone(), subject.name.clone())
}

impl Known {
    fn of(works: &[Work<'_>]) -> Known {
        Known(works.iter().map(|work| (called(&work.subject), Vec::new())).collect())
    }

    fn note(&mut self, rule: usize, subject: &Subject) {
        // Of others no rule will ask.
        if let Some(by_rule) = self.0.get_mut(&called(subject)) {
            by_rule.resize_with(by_rule.len().max(rule + 1), BTreeSet::new);
            by_rule[rule].insert(without_pods(subject));
        }
    }

    /// By rule, what may be one workload with this one.
    fn near(&self, subject: &Subject) -> &[BTreeSet<Subject>] {
        self.0.get(&called(subject)).map_or(&[], Vec::as_slice)
    }
}

/// A fault of which no more is known than whose it is.
fn known_to(rule: &dyn Rule, of: &Subject) -> Fault {
    Fault { rule: rule.meta().id, subject: of.clone(), ..Fault::empty(Verdict::Possible) }
}

/// A workload that was asked for by name gets an answer even where no rule had anything to judge.
fn what_is_missing(snapshot: &Snapshot) -> Option<Open> {
    let scope = &snapshot.scope;
    let (kind, name) = match (&scope.workload, &scope.pod) {
        (Some((kind, name)), _) => (kind.as_str(), name.as_str()),
        (None, Some(pod)) => ("Pod", pod.as_str()),
        (None, None) => return None,
    };
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
        return None;
    }
    let subject = Subject {
        namespace: scope.namespace.clone(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        ..Subject::default()
    };
    Some(Open {
        rule: "app-before-proxy",
        subject,
        missing,
        get_it_with: Some(format!(
            "kubectl {ns}get pods,events -o json; kubectl {ns}logs POD --all-containers --prefix --timestamps"
        )),
    })
}

fn write(snapshot: &Snapshot, mut merged: Merged<'_>) -> Diagnosis {
    let mut faults = consequences::fold(merged.take_faults());
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
    out.report.entries = entries::cited(&out.report.findings, snapshot);
    (out.report.cleared, out.report.unknown) = merged.rest_of(&out.report.findings);
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
