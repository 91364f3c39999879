//! `workload-not-injected`: a pod that asks for a sidecar, or whose namespace does, runs without one.
//!
//! A pod that opted out, an ambient pod and one that nothing asks to be injected are as they should be.
//!
//! # Sources
//! istio/istio issues 40512, 39006, 26600; `pkg/kube/inject/inject.go` (`injectRequired`, ignored
//! namespaces); RULES.md A9.

use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_api::{annotation, label};
use sunup_evidence::object::Pod;
use sunup_evidence::shape::Sidecar;
use sunup_inject::DecidedBy;

use crate::fix::command::short;
use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::{Change, Remedy};
use crate::judging::rule::Rule;
use crate::judging::subject::namespace_flag;
use crate::judging::workload::{Work, namespace};
use crate::knowledge::injection::{decide, namespace_injects};
use crate::knowledge::installed;

/// The rule.
pub(crate) struct WorkloadNotInjected;

static META: Meta = Meta {
    id: "workload-not-injected",
    title: "A pod that should have a sidecar runs without one",
    stage: Stage::Admission,
    severity: Severity::Warning,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::Workload]],
    helps: &[Need::Namespaces, Need::Webhooks, Need::Workload],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("workload_not_injected", "doc.md"),
    fires: page!("workload_not_injected", "fires.txtar"),
    quiet: page!("workload_not_injected", "quiet.txtar"),
};

/// Namespaces that injection passes over whatever their labels say; and the control plane's own.
const IGNORED: &[&str] =
    &["kube-system", "kube-public", "kube-node-lease", "local-path-storage", "istio-system"];

/// Why a pod has no sidecar although it should.
struct Why {
    cause: &'static str,
    verdict: Verdict,
    said: &'static str,
    explained: &'static str,
}

impl Rule for WorkloadNotInjected {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some((pod, manifest)) = &case.facts.pod else { return };
        let ended = matches!(pod.status.phase.as_deref(), Some("Succeeded" | "Failed"));
        if case.shape.sidecar != Sidecar::None || ended || left_alone(case, pod) {
            return;
        }
        let Some(why) = why(case, pod) else { return };
        let summary = format!("{} runs without a sidecar: {}", case.subject.name, why.said);
        let mut fault = Fault::new(&META, why.verdict, case.subject.clone(), summary);
        fault.cause = Some(why.cause);
        if why.cause == "host-network" {
            fault.severity = Severity::Info;
        }
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: "spec.containers: no istio-proxy".to_owned(),
        });
        out.faults.push(fault.because(why.explained).offer([remedy(&case.subject, why.cause)]));
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let meta = &workload.template.metadata;
        let asked = meta.labels.get(label::INJECT).is_some_and(|v| v == "true")
            || meta.labels.contains_key(label::REVISION);
        let known =
            |f: &Fault| f.subject.kind == work.subject.kind && f.subject.name == work.subject.name;
        if !asked || installed::is_part(workload) || out.faults.iter().any(known) {
            return;
        }
        let ns = namespace(work.snapshot, work.subject.namespace.as_deref());
        let decision = decide(&workload.template, work.subject.namespace.as_deref(), ns);
        if decision.reason != DecidedBy::HostNetwork {
            return;
        }
        let summary = "the pods ask for a sidecar by their label and will get none: they are in the \
                       node's network";
        let mut fault = Fault::new(&META, Verdict::Possible, work.subject.clone(), summary);
        fault.cause = Some("host-network");
        fault.severity = Severity::Info;
        fault.evidence.push(EvidenceItem {
            source: manifest.place.to_string(),
            at: None,
            text: decision.reason.to_string(),
        });
        let fault = fault.because(HOST_NETWORK).offer([remedy(&work.subject, "host-network")]);
        out.faults.push(fault);
    }
}

const HOST_NETWORK: &str = "Capture would redirect the node's own traffic, so injection passes over pods \
                            with hostNetwork. There is no sidecar for such a pod.";

/// Whether nobody expects a sidecar here.
fn left_alone(case: &Case<'_>, pod: &Pod) -> bool {
    let meta = &pod.metadata;
    let ns = case.subject.namespace.as_deref();
    let ambient = case.shape.ambient
        || namespace(case.snapshot, ns)
            .is_some_and(|n| n.labels.get(label::DATAPLANE_MODE).is_some_and(|m| m == "ambient"));
    let no =
        |v: Option<&String>| v.is_some_and(|v| matches!(v.as_str(), "false" | "no" | "n" | "off"));
    ambient
        || ns.is_some_and(|n| IGNORED.contains(&n))
        || no(meta.labels.get(label::INJECT))
        || no(meta.annotations.get(annotation::INJECT)) && !meta.labels.contains_key(label::INJECT)
        // Static pods are the kubelet's own.
        || meta.annotations.contains_key("kubernetes.io/config.mirror")
        || meta.owner_references.iter().any(|o| o.kind == "Node")
}

fn why(case: &Case<'_>, pod: &Pod) -> Option<Why> {
    let meta = &pod.metadata;
    let by_label = meta.labels.get(label::INJECT).is_some_and(|v| v == "true");
    let revision = meta.labels.get(label::REVISION);
    let ns = namespace(case.snapshot, case.subject.namespace.as_deref());
    let by_namespace = ns.is_some_and(namespace_injects);
    let by_annotation = meta.annotations.get(annotation::INJECT).is_some_and(|v| v == "true");
    if (by_label || by_namespace || revision.is_some()) && pod.spec.host_network {
        return Some(Why {
            cause: "host-network",
            verdict: Verdict::Confirmed,
            said: "it is in the node's network",
            explained: HOST_NETWORK,
        });
    }
    if let Some(revision) =
        revision.or_else(|| by_namespace.then(|| ns?.labels.get(label::REVISION)).flatten())
        && gone(case, revision)
    {
        return Some(Why {
            cause: "revision-missing",
            verdict: Verdict::Confirmed,
            said: "no webhook serves the revision that is asked for",
            explained: "The label istio.io/rev names a revision, and none of the webhook \
                        configurations handed over is for it: the API server asks nobody.",
        });
    }
    if by_label || revision.is_some() {
        return Some(Why {
            cause: "webhook-absent",
            verdict: Verdict::Confirmed,
            said: "its label asks for one, and no webhook answered when it was made",
            explained: "The pod's own label asks for injection. It was made while there was no webhook \
                        for it: before the control plane, or under a revision that is gone.",
        });
    }
    if by_namespace {
        return Some(Why {
            cause: "older-than-label",
            verdict: Verdict::Likely,
            said: "its namespace asks for one, and the pod was made before that",
            explained: "Injection happens when a pod is made. The namespace is labelled now, the pod \
                        is not injected and did not opt out: it is older than the label, or the \
                        webhook was not there.",
        });
    }
    by_annotation.then_some(Why {
        cause: "annotation-only",
        verdict: Verdict::Confirmed,
        said: "it asks for one by an annotation, which can only opt out",
        explained: "The webhook is called for pods with the label sidecar.istio.io/inject or in a \
                    labelled namespace. An annotation of that name is read later and can only say no.",
    })
}

/// Whether webhook configurations were handed over, and none of an injector is for this revision.
fn gone(case: &Case<'_>, revision: &str) -> bool {
    let injectors = || {
        let all = case.snapshot.webhooks.iter();
        all.filter(|c| c.webhooks.iter().any(|w| w.ends_with("sidecar-injector.istio.io")))
    };
    let is_it = |labels: &sunup_evidence::object::Map| {
        let same = |key: &str| labels.get(key).is_some_and(|v| v == revision);
        same(label::REVISION) || same("istio.io/tag")
    };
    injectors().next().is_some() && !injectors().any(|c| is_it(&c.metadata.labels))
}

fn remedy(subject: &Subject, cause: &str) -> Remedy {
    let ns = namespace_flag(subject);
    let restart = format!("kubectl {ns}rollout restart {}", short(subject));
    match cause {
        "annotation-only" => {
            let change = Change::Label { key: label::INJECT, value: "true" };
            Remedy::new("inject-label", "ask for injection by the pod's label", vec![change])
        }
        "host-network" => Remedy::advice(
            "no-host-network",
            "run it without hostNetwork, or without the mesh",
            format!("kubectl {ns}get {} -o yaml", short(subject)),
        ),
        "revision-missing" => Remedy::advice(
            "use-live-revision",
            "label namespace or pod for a revision that lives, then make the pods anew",
            format!(
                "kubectl get mutatingwebhookconfigurations -l app=sidecar-injector -L istio.io/rev,istio.io/tag; {restart}"
            ),
        ),
        _ => Remedy::advice("restart-workload", "make the pods anew", restart),
    }
}
