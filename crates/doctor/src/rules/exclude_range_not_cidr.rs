//! `exclude-range-not-cidr`: a range annotation holds something that is no CIDR; the control plane refuses
//! the pod.
//!
//! # Sources
//! istio/istio `pkg/kube/inject/validate.go`; RULES.md A6.

use sunup_api::report::{EvidenceItem, Severity, Verdict};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::workload::Work;
use crate::knowledge::{placeholder, ranges};

/// The rule.
pub(crate) struct ExcludeRangeNotCidr;

static META: Meta = Meta {
    id: "exclude-range-not-cidr",
    title: "An address range annotation holds something that is no CIDR",
    stage: Stage::Manifest,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("exclude_range_not_cidr", "doc.md"),
    fires: page!("exclude_range_not_cidr", "fires.txtar"),
    quiet: page!("exclude_range_not_cidr", "quiet.txtar"),
};

impl Rule for ExcludeRangeNotCidr {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let annotations = &workload.template.metadata.annotations;
        let wrong: Vec<(&'static str, &String, Vec<String>)> = ranges::KEYS
            .into_iter()
            .filter_map(|key| {
                // What is filled in later may be right by then.
                let list = annotations.get(key).filter(|list| !placeholder::is_one(list))?;
                let wrong = ranges::wrong(key, list);
                (!wrong.is_empty()).then_some((key, list, wrong))
            })
            .collect();
        if wrong.is_empty() {
            return;
        }
        let shown = |(key, _, parts): &(&str, &String, Vec<String>)| {
            let parts: Vec<String> = parts.iter().map(|p| format!("{p:?}")).collect();
            format!("{key}: {} is no CIDR", parts.join(", "))
        };
        let shown: Vec<String> = wrong.iter().map(shown).collect();
        let summary = format!("{}, so the pod will be refused", shown.join("; "));
        let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), summary);
        fault.evidence.extend(wrong.iter().map(|(key, list, _)| EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: format!("{key}: {list}"),
        }));
        let fault = fault.because(
            "The control plane splits the list at commas and takes each part as it stands: an \
             address without its bits, a name, and a blank after the comma are refused, and with \
             them the pod.",
        );
        out.faults.push(fault.offer([remedy(&wrong)]));
    }
}

fn remedy(wrong: &[(&'static str, &String, Vec<String>)]) -> Remedy {
    let right = |(key, list, _): &(&'static str, &String, Vec<String>)| {
        let value = AnnotationValue::Text(ranges::corrected(list)?);
        Some(Change::Annotation { key: (*key).into(), value })
    };
    // Half a fix leaves the pod refused.
    match wrong.iter().map(right).collect::<Option<Vec<_>>>() {
        Some(changes) => Remedy::new("cidr-form", "write the addresses as ranges", changes),
        None => Remedy::advice(
            "cidr-form",
            "write each part as a range: 10.0.0.5/32, 10.0.0.0/8, fd00::1/128; names cannot be excluded",
            "kubectl get service -A -o wide  # the addresses behind a name".to_owned(),
        ),
    }
}
