//! What workloads ask not to be told of: `sunup.dev/ignore`.
//!
//! The annotation stands on the workload or on its pod template: `RULE: REASON`, several on lines
//! of their own or between semicolons.

use std::collections::HashMap;

use sunup_api::annotation;
use sunup_api::report::Subject;
use sunup_evidence::object::Map;
use sunup_evidence::record::Place;
use sunup_evidence::snapshot::Snapshot;
use sunup_evidence::subject;

use crate::judging::home::Home;
use crate::judging::subject::same_workload;

/// One `RULE: REASON`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ignore {
    pub(crate) subject: Subject,
    pub(crate) rule: String,
    pub(crate) reason: String,
    pub(crate) place: Place,
    /// The file of the manifest that has it: of files of one name each speaks for itself.
    pub(crate) home: Home,
    /// Whether it stands on the pod template, rather than on the object itself.
    pub(crate) on_template: bool,
    /// The whole annotation.
    pub(crate) whole: String,
    /// What is wrong with it by itself.
    pub(crate) mistake: Option<String>,
}

/// Every ignore in the manifests and on the pods, one of each; `is_rule` knows the ids.
pub(crate) fn all(snapshot: &Snapshot, is_rule: impl Fn(&str) -> bool) -> Vec<Ignore> {
    let mut found: Vec<Ignore> = Vec::new();
    let mut by_name: ByName = HashMap::new();
    for (workload, manifest) in &snapshot.workloads {
        let of = subject::of_workload(workload);
        let place = (&manifest.place, &Home::of_manifest(manifest));
        let template = &workload.template.metadata.annotations;
        read(template, &of, place, true, (&mut found, &mut by_name));
        // Of a bare pod both are the same.
        if !workload.template_path.is_empty() {
            read(&workload.metadata.annotations, &of, place, false, (&mut found, &mut by_name));
        }
    }
    for facts in &snapshot.pods {
        if let Some((pod, manifest)) = &facts.pod
            && pod.metadata.annotations.contains_key(annotation::IGNORE)
        {
            let of = Subject { pods: Vec::new(), ..subject::of(facts, snapshot) };
            let place = (&manifest.place, &Home::of_pod(facts));
            read(&pod.metadata.annotations, &of, place, true, (&mut found, &mut by_name));
        }
    }
    for ignore in &mut found {
        ignore.mistake = if is_rule(&ignore.rule) {
            ignore.reason.is_empty().then(|| "it gives no reason".to_owned())
        } else {
            Some(format!("there is no rule `{}`", ignore.rule))
        };
    }
    found
}

/// Places in the list by kind, name and rule: only of one name can be one workload.
type ByName = HashMap<(String, String, String), Vec<usize>>;

fn read(
    annotations: &Map,
    subject: &Subject,
    (place, home): (&Place, &Home),
    on_template: bool,
    (found, by_name): (&mut Vec<Ignore>, &mut ByName),
) {
    let Some(text) = annotations.get(annotation::IGNORE) else { return };
    for entry in text.split(['\n', ';']).map(str::trim).filter(|e| !e.is_empty()) {
        let (rule, reason) = entry.split_once(':').unwrap_or((entry, ""));
        let (rule, reason) = (rule.trim().to_owned(), reason.trim().to_owned());
        let known = |i: &Ignore| same_workload(&i.subject, subject) && i.home.may_be(home);
        let name = (subject.kind.clone(), subject.name.clone(), rule.clone());
        let near = by_name.entry(name).or_default();
        if !near.iter().any(|at| known(&found[*at])) {
            near.push(found.len());
            found.push(Ignore {
                subject: subject.clone(),
                rule,
                reason,
                place: place.clone(),
                home: home.clone(),
                on_template,
                whole: text.clone(),
                mistake: None,
            });
        }
    }
}
