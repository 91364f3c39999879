//! `capture-run-twice`: istio-init ran again in a pod that is up and found its own rules there.
//!
//! # Sources
//! istio/istio issues 42792, 24148, 40169, 18014, 21030, 23661, 50328; RULES.md C3.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::Said;

/// The rule.
pub(crate) struct CaptureRunTwice;

static META: Meta = Meta {
    id: "capture-run-twice",
    title: "istio-init was run a second time and trips over its own rules",
    stage: Stage::Init,
    severity: Severity::Warning,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::MeshInitLog, Need::PodObject]],
    helps: &[],
    hears: &["chain already exists"],
    signs: &[Sign::CaptureSetup],
    explains: &[],
    doc: page!("capture_run_twice", "doc.md"),
    fires: page!("capture_run_twice", "fires.txtar"),
    quiet: page!("capture_run_twice", "quiet.txtar"),
};

impl Rule for CaptureRunTwice {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let status = case.status(container::INIT);
        if status.and_then(|s| s.state.terminated.as_ref()).is_some_and(|t| t.exit_code == 0) {
            return;
        }
        let is_it = |s: &Said<'_>| {
            s.has("chain already exists") && s.container.is_none_or(|c| c == container::INIT)
        };
        let Some(heard) = case.heard(&META, is_it) else { return };
        let summary = "istio-init was run again in a pod that has its rules already, and fails";
        let mut fault =
            heard.fault(&META, Verdict::Confirmed, summary, "the chain is there already");
        fault.subject = at(&case.subject, container::INIT);
        out.faults.push(explained(case, fault));
    }
}

fn explained(case: &Case<'_>, fault: Fault) -> Fault {
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    fault
        .because(
            "The rules belong to the pod's network and outlive the container. When the exited init \
             container is garbage-collected on the node (`docker system prune`, a full disk), the \
             kubelet runs it again; the application and the proxy keep working meanwhile.",
        )
        .offer([
            Remedy::advice(
                "delete-pod",
                "delete the pod, so that it is made anew",
                format!("kubectl {ns}delete pod {pod}"),
            ),
            Remedy::advice(
                "idempotent-rules",
                "rules can be applied again without harm from Istio 1.24 on; until then keep exited \
                 containers on the nodes",
                "istioctl version".to_owned(),
            ),
        ])
}
