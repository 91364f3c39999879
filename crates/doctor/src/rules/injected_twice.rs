//! `injected-twice`: a sidecar is baked into the template and injected again, or a namespace names two
//! injectors.
//!
//! # Sources
//! istio/istio issue 33237, pull request 43433; IST0123; RULES.md A10.

use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_api::shell;
use sunup_api::{annotation, container, label};
use sunup_evidence::object::PodTemplate;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::remedy::{Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::workload::{Work, namespace};
use crate::knowledge::injection::namespace_injects;

/// The rule.
pub(crate) struct InjectedTwice;

static META: Meta = Meta {
    id: "injected-twice",
    title: "A sidecar is injected by hand and by the webhook, or two labels name injectors",
    stage: Stage::Admission,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::Workload]],
    helps: &[Need::Namespaces],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("injected_twice", "doc.md"),
    fires: page!("injected_twice", "fires.txtar"),
    quiet: page!("injected_twice", "quiet.txtar"),
};

impl Rule for InjectedTwice {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        out.faults.extend(two_labels(work));
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        if !baked_in(template) || !injected_too(work, template) {
            return;
        }
        let summary = "the template has a sidecar already, and injection adds another one to it";
        let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), summary);
        fault.cause = Some("baked-in");
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: "spec.template: istio-proxy with its own image and arguments".to_owned(),
        });
        let change = Change::Label { key: label::INJECT, value: "false" };
        let keep = Remedy::new(
            "keep-baked-sidecar",
            "keep the baked-in one and inject no other",
            vec![change],
        );
        out.faults.push(
            fault
                .because(
                    "What `istioctl kube-inject` once wrote stands in the manifest: its image, \
                     arguments and volumes are those of that day and go over what the webhook puts in, \
                     so the proxy is a mixture of two releases.",
                )
                .offer([
                    Remedy::advice(
                        "remove-baked-sidecar",
                        "take istio-proxy, istio-init and their volumes out of the template",
                        "kubectl kustomize . | grep -n 'istio-proxy\\|istio-init'  # and the annotation sidecar.istio.io/status".to_owned(),
                    ),
                    keep.unsafe_because("the proxy then stays at the release it was written by"),
                ]),
        );
    }
}

/// A whole sidecar in the template, not a container to be completed by injection (image `auto`).
fn baked_in(template: &PodTemplate) -> bool {
    let spec = &template.spec;
    let mut all = spec.init_containers.iter().chain(&spec.containers);
    let whole = all.any(|c| {
        c.name == container::PROXY && c.image != "auto" && c.args.iter().any(|a| a == "sidecar")
    });
    let written = template.metadata.annotations.contains_key(annotation::STATUS)
        || spec
            .init_containers
            .iter()
            .any(|c| c.name == container::INIT || c.name == container::VALIDATION);
    whole && written
}

fn injected_too(work: &Work<'_>, template: &PodTemplate) -> bool {
    let meta = &template.metadata;
    let says = |what: &[&str]| {
        let label = meta.labels.get(label::INJECT).or(meta.annotations.get(annotation::INJECT));
        label.is_some_and(|v| what.contains(&v.as_str()))
    };
    if says(&["false", "no", "n", "off"]) || template.spec.host_network {
        return false;
    }
    meta.labels.get(label::INJECT).is_some_and(|v| v == "true")
        || meta.labels.contains_key(label::REVISION)
        || namespace(work.snapshot, work.subject.namespace.as_deref())
            .is_some_and(namespace_injects)
}

/// A namespace with both labels: one finding for it, whichever of its workloads was looked at.
fn two_labels(work: &Work<'_>) -> Option<Fault> {
    let ns = namespace(work.snapshot, work.subject.namespace.as_deref())?;
    let old = ns.labels.get(label::NAMESPACE_INJECTION)?;
    let revision = ns.labels.get(label::REVISION)?;
    let subject = Subject {
        namespace: Some(ns.name.clone()),
        kind: "Namespace".to_owned(),
        name: ns.name.clone(),
        ..Subject::default()
    };
    let summary = format!(
        "namespace {} has both istio-injection={old} and istio.io/rev={revision}: the first one counts",
        ns.name
    );
    let mut fault = Fault::new(&META, Verdict::Possible, subject, summary);
    fault.cause = Some("two-labels");
    fault.evidence.push(EvidenceItem {
        source: format!("Namespace {}", ns.name),
        at: None,
        text: format!("labels: istio-injection={old}, istio.io/rev={revision}"),
    });
    let fault = fault.because(
        "The webhooks of a revision pass over namespaces that have istio-injection, whatever its \
         value: the revision is ignored.",
    );
    Some(fault.offer([Remedy::advice(
        "one-label",
        "keep one of the two; for the revision remove the old label",
        format!("kubectl label namespace {} istio-injection-", shell::name(&ns.name)),
    )]))
}
