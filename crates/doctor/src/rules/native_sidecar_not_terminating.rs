//! `native-sidecar-not-terminating`: the application has ended, and the native sidecar that should
//! end after it goes on.
//!
//! # Sources
//! kubernetes/kubernetes issue 125880; istio/istio issues 51855, 51883, 60649; RULES.md F3.

use jiff::{SignedDuration, Timestamp};
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::object::{ContainerStatus, Pod};
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::time::{parse, show};

use crate::judging::fault::{Judgements, Open};
use crate::judging::mesh::Version;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::namespace_flag;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct NativeSidecarNotTerminating;

static META: Meta = Meta {
    id: "native-sidecar-not-terminating",
    title: "The application has ended, and its native sidecar does not",
    stage: Stage::End,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodObject], &[Need::ProxyLog, Need::PodEvents]],
    helps: &[Need::ProxyLog, Need::PodEvents, Need::Nodes],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("native_sidecar_not_terminating", "doc.md"),
    fires: page!("native_sidecar_not_terminating", "fires.txtar"),
    quiet: page!("native_sidecar_not_terminating", "quiet.txtar"),
};

/// What a sidecar may take beyond the pod's own grace period.
const SLACK: SignedDuration = SignedDuration::from_secs(30);

impl Rule for NativeSidecarNotTerminating {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(pod) = case.pod() else { return };
        let running = proxy::status(case).is_some_and(|s| s.state.running.is_some());
        if case.shape.sidecar != Sidecar::Native || !running {
            return;
        }
        let Some(ended) = ended(pod) else { return };
        let grace = pod.spec.termination_grace_period_seconds.unwrap_or(30).clamp(0, 86_400);
        let due = ended + SignedDuration::from_secs(grace) + SLACK;
        let seen = last_sign(case);
        match seen {
            Some((at, source)) if at > due => found(case, (ended, at), source, out),
            _ => out.unknown.push(too_early(case)),
        }
    }
}

/// When the last container of the application ended for good.
fn ended(pod: &Pod) -> Option<Timestamp> {
    let never = pod.spec.restart_policy.as_deref() == Some("Never");
    let on_failure = pod.spec.restart_policy.as_deref() == Some("OnFailure");
    let deleted = pod.metadata.deletion_timestamp.is_some();
    let over = |s: &ContainerStatus| {
        let t = s.state.terminated.as_ref()?;
        let for_good = deleted || never || on_failure && t.exit_code == 0;
        for_good.then(|| parse(t.finished_at.as_deref())).flatten()
    };
    let own = pod.status.container_statuses.iter().filter(|s| !is_mesh_container(&s.name));
    let times: Option<Vec<Timestamp>> = own.map(over).collect();
    times?.into_iter().max()
}

/// The latest instant at which the pod is known to have been there.
fn last_sign(case: &Case<'_>) -> Option<(Timestamp, String)> {
    let logs = proxy::log(case).into_iter().flat_map(|log| {
        let kept = log.symptoms.values().flat_map(|m| m.iter());
        kept.chain(log.not_ready.iter()).chain(log.ready.iter())
    });
    let of_logs = logs.filter_map(|s| Some((s.at?, s.place.to_string())));
    let of_proxy = case.facts.events_of("istio-proxy").filter_map(|r| {
        let place = r.event.place.as_ref().map_or("pod event".to_owned(), ToString::to_string);
        Some((r.event.last?, place))
    });
    let killing =
        case.facts.events.iter().filter(|r| r.event.reason == "FailedKillPod").filter_map(|r| {
            let place = r.event.place.as_ref().map_or("pod event".to_owned(), ToString::to_string);
            Some((r.event.last?, place))
        });
    of_logs.chain(of_proxy).chain(killing).max()
}

fn found(
    case: &Case<'_>,
    (ended, seen): (Timestamp, Timestamp),
    source: String,
    out: &mut Judgements,
) {
    let waited = seen.duration_since(ended).as_secs();
    let summary = format!(
        "the application ended, and the native istio-proxy was still running {waited} s later"
    );
    let none = std::iter::empty();
    let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, none, "");
    let text = format!("the application ended at {}; istio-proxy is running", show(ended));
    fault.evidence.push(proxy::field(case, text));
    fault.evidence.push(sunup_api::report::EvidenceItem {
        source,
        at: Some(show(seen)),
        text: "the pod was still there".to_owned(),
    });
    fault = fault.because(
        "The kubelet ends native sidecars when the last container of the application has ended, and \
         kills them after the grace period. One that goes on was not told: kubelets before 1.30.3 \
         and 1.29.8 lose it when they are restarted meanwhile.",
    );
    if let Some(version) = case.versions.kubelet.filter(|v| *v < Version(1, 31)) {
        fault = fault.because(format!("A node here runs Kubernetes {version}."));
    }
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    out.faults.push(fault.offer([
        Remedy::advice(
            "delete-pod",
            "end the pod by hand",
            format!("kubectl {ns}delete pod {pod} --grace-period=30"),
        ),
        Remedy::advice(
            "upgrade-kubelet",
            "bring the kubelets to a release that ends sidecars after a restart of its own",
            "kubectl get nodes -o wide".to_owned(),
        ),
    ]));
}

/// The application has ended; whether the sidecar has had its time, nothing says.
fn too_early(case: &Case<'_>) -> Open {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    Open {
        rule: META.id,
        subject: case.subject.clone(),
        missing: vec![
            "whether istio-proxy still runs a minute after the application has ended: look again"
                .to_owned(),
        ],
        get_it_with: Some(format!(
            "kubectl {ns}get pod {pod} -o json; kubectl {ns}logs {pod} -c istio-proxy --timestamps --tail=50"
        )),
    }
}
