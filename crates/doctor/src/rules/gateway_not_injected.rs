//! `gateway-not-injected`: a gateway's pod was made without injection, and its image is still the placeholder
//! `auto`.
//!
//! # Sources
//! istio/istio issues 33512, 46307, 37482, 39282, 53517, 56294; RULES.md A8.

use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_api::{annotation, container, label};
use sunup_evidence::object::{Container, PodTemplate};

use crate::fix::command::short;
use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::Said;
use crate::judging::workload::{Work, namespace};
use crate::knowledge::injection;

/// The rule.
pub(crate) struct GatewayNotInjected;

static META: Meta = Meta {
    id: "gateway-not-injected",
    title: "A gateway was not injected: its image is literally `auto`",
    stage: Stage::Admission,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::PodEvents, Need::Workload]],
    helps: &[Need::Workload, Need::Namespaces],
    hears: &["image \"auto\"", "library/auto"],
    signs: &[],
    explains: &[],
    doc: page!("gateway_not_injected", "doc.md"),
    fires: page!("gateway_not_injected", "fires.txtar"),
    quiet: page!("gateway_not_injected", "quiet.txtar"),
};

impl Rule for GatewayNotInjected {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let heard = case.heard(&META, |s: &Said<'_>| s.has("pull") || s.has("auto:latest"));
        let placeholder = case.container(container::PROXY).is_some_and(|c| c.image == "auto");
        if heard.is_none() && !placeholder || case.came_up() {
            return;
        }
        let summary = "the gateway was made without injection: its image is the placeholder auto";
        let fault = match &heard {
            Some(heard) => {
                heard.fault(&META, Verdict::Confirmed, summary, "image auto could not be pulled")
            }
            None => {
                Fault::new(&META, Verdict::Confirmed, at(&case.subject, container::PROXY), summary)
            }
        };
        out.faults.push(explained(case, fault, placeholder));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        let placeholder = |c: &Container| c.name == container::PROXY && c.image == "auto";
        let known =
            |f: &Fault| f.subject.kind == work.subject.kind && f.subject.name == work.subject.name;
        // Of a namespace that was not handed over nobody knows what it asks for.
        let ns = namespace(work.snapshot, work.subject.namespace.as_deref());
        if !template.spec.containers.iter().any(placeholder)
            || ns.is_none()
            || out.faults.iter().any(known)
        {
            return;
        }
        let decision = injection::decide(template, work.subject.namespace.as_deref(), ns);
        if decision.inject {
            return;
        }
        let summary = format!("the gateway will be made without injection: {}", decision.reason);
        let subject = at(&work.subject, container::PROXY);
        let mut fault = Fault::new(&META, Verdict::Possible, subject, summary);
        fault.severity = Severity::Warning;
        fault.cause = Some("not-labelled");
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: "istio-proxy has the image auto".to_owned(),
        });
        let change = Change::Label { key: label::INJECT, value: "true" };
        let title = "ask for injection by the pod's label";
        out.faults.push(
            fault
                .because(
                    "The injection webhook puts the real image in place of `auto`, and it is not \
                     called for this pod: the image can't be pulled.",
                )
                .offer([Remedy::new("inject-label", title, vec![change])]),
        );
    }
}

fn explained(case: &Case<'_>, mut fault: Fault, placeholder: bool) -> Fault {
    if let (true, Some((_, manifest))) = (placeholder, &case.facts.pod) {
        let (source, text) =
            (manifest.place.to_string(), "istio-proxy has the image auto".to_owned());
        fault.evidence.push(EvidenceItem { source, at: None, text });
    }
    let template = case.template();
    let why = why(case, template.as_ref());
    fault.cause = Some(why.0);
    let ns = namespace_flag(&case.subject);
    let again = Remedy::advice(
        "recreate-pod",
        "then have the pod made anew: its ReplicaSet does not do that by itself",
        format!("kubectl {ns}delete pod {}", case.pod_word()),
    );
    // The placeholder is the proxy's, whoever said so.
    fault.subject = at(&case.subject, container::PROXY);
    fault
        .because(
            "The injection webhook puts the real image in place of `auto`. This pod was admitted \
             without it.",
        )
        .because(why.1)
        .offer(label_remedy(case, template.as_ref()))
        .offer([again])
}

/// Which of the ways past the webhook it was, as far as the inputs show.
fn why(case: &Case<'_>, template: Option<&PodTemplate>) -> (&'static str, &'static str) {
    let asks = template.is_some_and(|t| {
        t.metadata.labels.get(label::INJECT).is_some_and(|v| v == "true")
            || t.metadata.labels.contains_key(label::REVISION)
    });
    let by_annotation = template.is_some_and(|t| {
        t.metadata.annotations.get(annotation::INJECT).is_some_and(|v| v == "true")
    });
    let ns = namespace(case.snapshot, case.subject.namespace.as_deref());
    let labelled = ns.is_some_and(|n| {
        n.labels.get(label::NAMESPACE_INJECTION).is_some_and(|v| v == "enabled")
            || n.labels.contains_key(label::REVISION)
    });
    match (asks || labelled, by_annotation) {
        (true, _) => (
            "webhook-absent",
            "The pod or its namespace asks for injection, so the webhook was not there when the pod \
             was made: the gateway was installed before istiod, istiod was down, or the revision \
             that is asked for does not exist.",
        ),
        (false, true) => (
            "annotation-only",
            "The template asks for injection by an annotation; the webhook is called by labels only.",
        ),
        (false, false) => (
            "not-labelled",
            "Nothing handed over asks for injection: neither the label sidecar.istio.io/inject of \
             the pod nor a label of its namespace.",
        ),
    }
}

fn label_remedy(case: &Case<'_>, template: Option<&PodTemplate>) -> Option<Remedy> {
    let set = template.and_then(|t| t.metadata.labels.get(label::INJECT));
    if set.is_some_and(|v| v == "true") {
        return Some(Remedy::advice(
            "check-revision",
            "see that a webhook serves the revision that pod and namespace ask for",
            format!(
                "kubectl get mutatingwebhookconfigurations -l app=sidecar-injector -L istio.io/rev; kubectl get namespace {} --show-labels; kubectl {}get {} -o yaml",
                case.namespace_word(),
                namespace_flag(&case.subject),
                short(&case.subject),
            ),
        ));
    }
    let change = Change::Label { key: label::INJECT, value: "true" };
    Some(Remedy::new("inject-label", "ask for injection by the pod's label", vec![change]))
}
