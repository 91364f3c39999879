//! `annotation-misplaced`: an annotation for pods stands on the workload itself, where nobody reads it.
//!
//! # Sources
//! istio.io, "Resource Annotations" (each names the kinds it applies to); RULES.md E2 (d).

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_evidence::object::Workload;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::workload::Work;
use crate::knowledge::annotations;

/// The rule.
pub(crate) struct AnnotationMisplaced;

static META: Meta = Meta {
    id: "annotation-misplaced",
    title: "An annotation for pods stands on the workload instead of its pod template",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("annotation_misplaced", "doc.md"),
    fires: page!("annotation_misplaced", "fires.txtar"),
    quiet: page!("annotation_misplaced", "quiet.txtar"),
};

impl Rule for AnnotationMisplaced {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let misplaced = misplaced(workload);
        if misplaced.is_empty() {
            return;
        }
        let names: Vec<&str> = misplaced.iter().map(|(k, _)| k.as_str()).collect();
        let summary = format!(
            "{} on the {} itself has no effect: it belongs on the pod template",
            names.join(", "),
            workload.kind
        );
        let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), summary);
        fault.evidence = misplaced
            .iter()
            .map(|(k, v)| EvidenceItem {
                source: manifest.place.to_string(),
                at: None,
                text: format!("metadata.annotations: {k}: {v}"),
            })
            .collect();
        let fault = fault.because(
            "Injection sees pods, and pods get the annotations of the template \
             (spec.template.metadata), not those of the object that makes them.",
        );
        out.faults.push(fault.offer([remedy(&misplaced)]));
    }
}

/// Pod annotations of the mesh on the object, that its template does not have.
fn misplaced(workload: &Workload) -> Vec<(String, String)> {
    if workload.template_path.is_empty() {
        return Vec::new();
    }
    let template = &workload.template.metadata.annotations;
    let on_object = workload.metadata.annotations.iter();
    on_object
        .filter(|(k, _)| annotations::is_for_pods(k) && !template.contains_key(*k))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn remedy(misplaced: &[(String, String)]) -> Remedy {
    let moved = |(key, value): &(String, String)| {
        let there = AnnotationValue::Text(value.clone());
        [
            Change::Annotation { key: key.clone().into(), value: there },
            Change::ObjectAnnotation { key: key.clone(), value: AnnotationValue::Removed },
        ]
    };
    let changes = misplaced.iter().flat_map(moved).collect();
    Remedy::new("move-annotation", "move it to the pod template", changes)
}
