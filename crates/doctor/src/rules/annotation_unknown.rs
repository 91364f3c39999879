//! `annotation-unknown`: an annotation of the mesh that no release reads, most often a misspelt one.
//!
//! # Sources
//! istio/api `annotation/annotations.yaml`, releases 1.0 to 1.31; istio/istio injection templates; IST0108;
//! RULES.md 1.4 (`native-side`).

use sunup_api::report::{EvidenceItem, Severity, Verdict};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::workload::Work;
use crate::knowledge::annotations;

/// The rule.
pub(crate) struct AnnotationUnknown;

static META: Meta = Meta {
    id: "annotation-unknown",
    title: "An annotation of the mesh is misspelt or unknown, and is ignored silently",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("annotation_unknown", "doc.md"),
    fires: page!("annotation_unknown", "fires.txtar"),
    quiet: page!("annotation_unknown", "quiet.txtar"),
};

impl Rule for AnnotationUnknown {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let annotations = &workload.template.metadata.annotations;
        for (key, value) in annotations.iter().filter(|(k, _)| annotations::is_unknown(k)) {
            let near = annotations::nearest(key);
            let guess = near.map(|n| format!(", but there is {n}")).unwrap_or_default();
            let summary = format!("no release of the mesh reads the annotation {key}{guess}");
            let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), summary);
            fault.evidence.push(EvidenceItem {
                source: manifest.place.to_string(),
                at: None,
                text: format!("{key}: {value}"),
            });
            let fault = fault.because(
                "Annotations that the control plane does not know are passed over without a word, \
                 so what it was meant to do is not done.",
            );
            let taken = near.is_some_and(|n| annotations.contains_key(n));
            out.faults.push(fault.offer([remedy(key, value, near.filter(|_| !taken))]));
        }
    }
}

fn remedy(key: &str, value: &str, near: Option<&'static str>) -> Remedy {
    let removed =
        Change::Annotation { key: key.to_owned().into(), value: AnnotationValue::Removed };
    let Some(near) = near else {
        let title = "remove it, or look its name up";
        return Remedy::new("rename-annotation", title, vec![removed])
            .unsafe_because("what it was meant to do is then still not done");
    };
    let there = AnnotationValue::Text(value.to_owned());
    let changes = vec![Change::Annotation { key: near.into(), value: there }, removed];
    let remedy = Remedy::new("rename-annotation", format!("spell it {near}"), changes);
    // It takes effect for the first time: what leaves the mesh by it, somebody must want.
    if near.starts_with("traffic.") {
        return remedy.unsafe_because("traffic begins to go as it says");
    }
    remedy
}
