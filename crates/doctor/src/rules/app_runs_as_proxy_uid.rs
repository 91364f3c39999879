//! `app-runs-as-proxy-uid`: an application container runs as uid 1337, whose traffic capture lets past the
//! proxy.
//!
//! Not the init container that was put on uid 1337 on purpose to have network before the proxy runs.
//!
//! # Sources
//! istio/istio issues 5408, 52614; kserve/kserve pull request 2096; IST0144; RULES.md C9.

use sunup_api::report::{EvidenceItem, Severity, Subject, Verdict};
use sunup_api::{annotation, container, label};
use sunup_evidence::line::Sign;
use sunup_evidence::object::{Meta as ObjectMeta, PodSpec};
use sunup_evidence::shape::{Sidecar, is_mesh_container};

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::at;
use crate::judging::texts::Said;
use crate::judging::workload::{Work, namespace};
use crate::knowledge::annotations;

/// The rule.
pub(crate) struct AppRunsAsProxyUid;

static META: Meta = Meta {
    id: "app-runs-as-proxy-uid",
    title: "The application runs as the proxy's uid 1337, so its traffic skips the mesh",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::Workload]],
    helps: &[Need::AppLog, Need::Workload, Need::Namespaces],
    hears: &[],
    signs: &[Sign::Reset],
    explains: &[],
    doc: page!("app_runs_as_proxy_uid", "doc.md"),
    fires: page!("app_runs_as_proxy_uid", "fires.txtar"),
    quiet: page!("app_runs_as_proxy_uid", "quiet.txtar"),
};

impl Rule for AppRunsAsProxyUid {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some((pod, manifest)) = &case.facts.pod else { return };
        let meshed = matches!(case.shape.sidecar, Sidecar::Classic | Sidecar::Native);
        if !meshed || case.shape.gateway || case.shape.host_network {
            return;
        }
        let source = manifest.place.to_string();
        for (name, whole_pod) in as_proxy(&pod.spec) {
            let subject = at(&case.subject, name);
            let cut = case.heard(&META, |s: &Said<'_>| s.container == Some(name));
            let mut fault = fault(subject, name, whole_pod, &source, Verdict::Confirmed);
            if let Some(cut) = cut {
                fault = fault.show(cut.said, "connection cut off");
            } else {
                fault.severity = Severity::Warning;
            }
            out.faults.push(fault);
        }
    }

    fn work(&self, work: &Work<'_>, out: &mut Judgements) {
        let Some((workload, manifest)) = work.manifest else { return };
        let template = &workload.template;
        let gateway = sunup_evidence::shape::is_gateway(template);
        if gateway || template.spec.host_network || !is_meshed(work, &template.metadata) {
            return;
        }
        let source = manifest.place.to_string();
        for (name, whole_pod) in as_proxy(&template.spec) {
            let subject = at(&work.subject, name);
            let mut fault = fault(subject, name, whole_pod, &source, Verdict::Possible);
            fault.severity = Severity::Warning;
            out.faults.push(fault);
        }
    }
}

/// Application containers with the proxy's uid, and whether they have it from the pod.
fn as_proxy(spec: &PodSpec) -> Vec<(&str, bool)> {
    let proxy = i64::from(container::PROXY_UID);
    let of_pod = spec.security_context.run_as_user;
    let native = spec.init_containers.iter().filter(|c| c.is_native_sidecar());
    let all = native.chain(&spec.containers).filter(|c| !is_mesh_container(&c.name));
    all.filter_map(|c| match (c.security_context.run_as_user, of_pod) {
        (Some(uid), _) if uid == proxy => Some((c.name.as_str(), false)),
        (None, Some(uid)) if uid == proxy => Some((c.name.as_str(), true)),
        _ => None,
    })
    .filter(|(name, _)| !name.starts_with("vault-agent"))
    .collect()
}

/// Whether anything says that the template's pods are injected.
fn is_meshed(work: &Work<'_>, meta: &ObjectMeta) -> bool {
    let says = |v: Option<&String>, what: &str| v.is_some_and(|v| v == what);
    if says(meta.labels.get(label::INJECT), "false")
        || says(meta.annotations.get(annotation::INJECT), "false")
    {
        return false;
    }
    let ns = namespace(work.snapshot, work.subject.namespace.as_deref());
    let by_namespace = ns.is_some_and(|n| {
        says(n.labels.get(label::NAMESPACE_INJECTION), "enabled")
            || n.labels.contains_key(label::REVISION)
    });
    by_namespace
        || says(meta.labels.get(label::INJECT), "true")
        || meta.labels.contains_key(label::REVISION)
        || meta.annotations.keys().any(|k| annotations::is_for_pods(k) && k.contains("istio.io/"))
}

fn fault(subject: Subject, name: &str, whole_pod: bool, source: &str, verdict: Verdict) -> Fault {
    let summary = format!("{name} runs as uid 1337, so all its traffic goes past the proxy");
    let mut fault = Fault::new(&META, verdict, subject, summary);
    let place = if whole_pod { "the pod's" } else { "its own" };
    fault.evidence.push(EvidenceItem {
        source: source.to_owned(),
        at: None,
        text: format!("{name}: runAsUser: 1337, in {place} securityContext"),
    });
    let fault = fault.because(
        "Capture tells the proxy's own traffic by its uid and lets it out as it is. An application \
         with the same uid sends plaintext past the mesh: peers that demand mutual TLS reset the \
         connection, and no policy or telemetry sees it.",
    );
    let what = if whole_pod {
        "set another runAsUser in the pod's securityContext: it is for every container without its own"
    } else {
        "set another runAsUser on the container"
    };
    fault.offer([Remedy::advice(
        "other-uid",
        "run the application as another user",
        format!("# {what} (files in the image or its volumes may belong to 1337)"),
    )])
}
