//! `injection-rejected`: the injection webhook answered, and refused the pod: an annotation or a template of
//! it makes no sense to the control plane.
//!
//! # Sources
//! istio/istio `pkg/kube/inject/webhook.go` (`Pod injection failed`), `pkg/kube/inject/validate.go`; RULES.md A6.

use sunup_api::annotation;
use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::recognised::Heard;
use crate::judging::remedy::{AnnotationValue, Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::texts::Said;
use crate::judging::workload::Work;
use crate::knowledge::ranges;

/// The rule.
pub(crate) struct InjectionRejected;

static META: Meta = Meta {
    id: "injection-rejected",
    title: "The injection webhook refuses the pod because of an annotation or template",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::WorkloadEvents, Need::PodEvents, Need::Workload]],
    helps: &[Need::Workload],
    hears: &["denied the request", "pod injection failed"],
    signs: &[],
    // What the manifest shows of it.
    explains: &["exclude-range-not-cidr"],
    doc: page!("injection_rejected", "doc.md"),
    fires: page!("injection_rejected", "fires.txtar"),
    quiet: page!("injection_rejected", "quiet.txtar"),
};

impl Rule for InjectionRejected {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        out.faults.extend(case.heard(&META, is_it).map(|h| fault(&h)));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        out.faults.extend(work.heard(&META, is_it).map(|h| fault(&h)));
    }
}

fn is_it(said: &Said<'_>) -> bool {
    reason(said.text).is_some()
}

/// What the control plane had against the pod.
fn reason(text: &str) -> Option<&str> {
    let behind = |mark: &str| {
        let at = text.to_ascii_lowercase().find(mark)? + mark.len();
        Some(text[at..].trim_start_matches([':', ' ']))
    };
    if let Some(reason) = behind("pod injection failed") {
        return Some(reason);
    }
    let injector = ["sidecar-injector.istio.io", "sunup.dev"];
    let webhook = text.split("denied the request").next()?;
    let reason = behind("denied the request")?;
    injector.iter().any(|i| webhook.contains(i)).then_some(reason)
}

fn fault(heard: &Heard<'_, '_>) -> Fault {
    let why = heard.said.iter().find_map(|s| reason(s.text)).unwrap_or_default();
    let summary = format!("the injection webhook refuses the pod: {}", first_line(why));
    let fault = heard.fault(&META, Verdict::Confirmed, summary, "injection was refused");
    fault
        .because(
            "The control plane answered, so the way to it is open: what it refuses is in the pod \
             template.",
        )
        .offer(remedies(heard, why))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default().trim_end_matches(['.', ' '])
}

fn remedies(heard: &Heard<'_, '_>, why: &str) -> Vec<Remedy> {
    let template = heard.manifest;
    for key in ranges::KEYS {
        let value = template.and_then(|t| t.metadata.annotations.get(key));
        if let (true, Some(right)) = (why.contains(key), value.and_then(|v| ranges::corrected(v))) {
            let change =
                Change::Annotation { key: key.into(), value: AnnotationValue::Text(right) };
            return vec![Remedy::new("cidr-form", "write the addresses as ranges", vec![change])];
        }
    }
    let lower = why.to_ascii_lowercase();
    if lower.contains("template") && lower.contains("not found") {
        return vec![Remedy::advice(
            "existing-template",
            format!("name a template that the control plane has in {}", annotation::TEMPLATES),
            "kubectl -n istio-system get configmap istio-sidecar-injector -o \
             jsonpath='{.data.config}' | grep -A9 '^templates:'  # sidecar, gateway, grpc-simple …"
                .to_owned(),
        )];
    }
    vec![Remedy::advice(
        "mend-annotation",
        "mend what the text names in the pod template; a dry run shows whether it is enough",
        format!("kubectl {}apply --dry-run=server -f FILE", heard.ns()),
    )]
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn only_an_injectors_refusal_counts() {
        let own = r#"admission webhook "namespace.sidecar-injector.istio.io" denied the request: requested template "gatway" not found; have gateway"#;
        assert_eq!(reason(own), Some(r#"requested template "gatway" not found; have gateway"#));
        assert_eq!(reason("2024 error injector Pod injection failed: bad yaml"), Some("bad yaml"));
        let other = r#"admission webhook "validate.kyverno.svc-fail" denied the request: no"#;
        assert_eq!(reason(other), None);
        // A validation webhook of the mesh judges other objects.
        let validation = r#"admission webhook "validation.istio.io" denied the request: bad host"#;
        assert_eq!(reason(validation), None);
    }
}
