//! `cni-not-ready`: the pod was scheduled before istio-cni was ready on its node, so there is no redirect,
//! and istio-validation stops the pod.
//!
//! # Sources
//! istio/istio `tools/istio-iptables/pkg/validation`, `tools/istio-iptables/pkg/constants` (exit code 126);
//! istio/istio issues 40008, 14327, 40303, 57332; RULES.md C1.

use sunup_api::container;
use sunup_api::report::{EvidenceItem, Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::object::ContainerStatus;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::Said;

/// The rule.
pub(crate) struct CniNotReady;

static META: Meta = Meta {
    id: "cni-not-ready",
    title: "The pod came to its node before istio-cni was ready, and has no redirect",
    stage: Stage::Init,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::MeshInitLog, Need::PodObject]],
    helps: &[],
    hears: &["iptables validation failed"],
    signs: &[Sign::CaptureCheck],
    explains: &[],
    doc: page!("cni_not_ready", "doc.md"),
    fires: page!("cni_not_ready", "fires.txtar"),
    quiet: page!("cni_not_ready", "quiet.txtar"),
};

const SUMMARY: &str =
    "the CNI plugin set up no redirect for this pod: istio-cni was not ready on its node";

impl Rule for CniNotReady {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let status = case.status(container::VALIDATION);
        // It passed in the end: the redirect was repaired, or came.
        let passed =
            |s: &ContainerStatus| s.state.terminated.as_ref().is_some_and(|t| t.exit_code == 0);
        if status.is_some_and(passed) {
            return;
        }
        let is_it = |s: &Said<'_>| s.container.is_none_or(|c| c == container::VALIDATION);
        let heard = case.heard(&META, is_it);
        let code = status.is_some_and(failed_the_check);
        if heard.is_none() && !code {
            return;
        }
        let verdict = if heard.is_some() { Verdict::Confirmed } else { Verdict::Likely };
        let mut fault = match &heard {
            Some(heard) => heard.fault(&META, verdict, SUMMARY, "no redirect found"),
            None => Fault::new(&META, verdict, case.subject.clone(), SUMMARY),
        };
        fault.subject = at(&case.subject, container::VALIDATION);
        if let (true, Some((_, manifest))) = (code, &case.facts.pod) {
            fault.evidence.push(EvidenceItem {
                source: manifest.place.to_string(),
                at: None,
                text: "istio-validation ended with exit code 126".to_owned(),
            });
        }
        out.faults.push(explained(case, fault));
    }
}

/// The exit code that says that a connection did not come back through the redirect.
fn failed_the_check(status: &ContainerStatus) -> bool {
    let ended =
        [&status.state, &status.last_state].into_iter().filter_map(|s| s.terminated.as_ref());
    ended.into_iter().any(|t| t.exit_code == 126)
}

fn explained(case: &Case<'_>, fault: Fault) -> Fault {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    let for_good = case.pod().is_some_and(|p| p.spec.restart_policy.as_deref() == Some("Never"));
    let fault = fault.because(
        "istio-validation connects to itself through the redirect, and nothing came back: the pod \
         was scheduled before the istio-cni agent had put its plugin into the node's chain. It \
         tries again and again and finds the same, as the network of a pod is set up once.",
    );
    let fault = if for_good {
        fault.because("With restartPolicy Never the pod stays failed: its Job has to be run anew.")
    } else {
        fault
    };
    fault.offer([
        Remedy::advice(
            "delete-pod",
            "delete the pod, so that it is made anew now that istio-cni is ready",
            format!("kubectl {ns}delete pod {pod}"),
        ),
        Remedy::advice(
            "cni-repair",
            "let istio-cni repair such pods by itself",
            "helm upgrade istio-cni istio/cni -n istio-system --reuse-values --set cni.repair.enabled=true"
                .to_owned(),
        ),
        Remedy::advice(
            "cni-taint",
            "keep pods off nodes where it is not ready: the taint cni.istio.io/not-ready on new \
             nodes, which istiod takes away (Istio 1.22 and later)",
            "helm upgrade istiod istio/istiod -n istio-system --reuse-values --set pilot.taint.enabled=true"
                .to_owned(),
        ),
    ])
}
