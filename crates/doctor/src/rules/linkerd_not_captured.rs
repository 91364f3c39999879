//! `linkerd-not-captured`: Linkerd's check of the redirect that its CNI plugin should have set up fails, and the pod
//! does not start.
//!
//! # Sources
//! linkerd/linkerd2 issues 11735, 11325, 11250, 11597, 9678 (`linkerd_network_validator`); RULES.md C1.

use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::{at, namespace_flag};
use crate::judging::texts::{Said, has};

/// The rule.
pub(crate) struct LinkerdNotCaptured;

static META: Meta = Meta {
    id: "linkerd-not-captured",
    title: "Linkerd's network validator finds no redirect in the pod",
    stage: Stage::Init,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::InitLog, Need::PodObject]],
    helps: &[],
    hears: &["linkerd_network_validator"],
    signs: &[Sign::LinkerdCheck],
    explains: &[],
    doc: page!("linkerd_not_captured", "doc.md"),
    fires: page!("linkerd_not_captured", "fires.txtar"),
    quiet: page!("linkerd_not_captured", "quiet.txtar"),
};

const VALIDATOR: &str = "linkerd-network-validator";

impl Rule for LinkerdNotCaptured {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let status = case.status(VALIDATOR);
        // It passed in the end.
        let passed = status.and_then(|s| s.state.terminated.as_ref());
        if passed.is_some_and(|t| t.exit_code == 0) {
            return;
        }
        let is_it = |s: &Said<'_>| failed(s.text) && s.container.is_none_or(|c| c == VALIDATOR);
        let Some(heard) = case.heard(&META, is_it) else { return };
        let summary =
            "Linkerd's CNI plugin set up no redirect for this pod, and its validator fails";
        let mut fault = heard.fault(&META, Verdict::Confirmed, summary, "no redirect found");
        fault.subject = at(&case.subject, VALIDATOR);
        let ns = namespace_flag(&case.subject);
        let pod = case.pod_word();
        out.faults.push(
            fault
                .because(
                    "The validator connects to an address outside, which the redirect should lead back \
                     to the validator itself. It did not: the pod was made before linkerd-cni had put its \
                     plugin into the node's chain, another plugin (Cilium, Multus) took the chain over, \
                     or the address is refused before the redirect sees it. A pod's network is set up \
                     once, so it finds the same at every try.",
                )
                .offer([
                    Remedy::advice(
                        "delete-pod",
                        "delete the pod, so that it is made anew now that the plugin is there",
                        format!("kubectl {ns}delete pod {pod}"),
                    ),
                    Remedy::advice(
                        "linkerd-cni-chain",
                        "see that linkerd-cni runs on that node and stands last in its chain (with \
                         Cilium: cni.exclusive=false), and let it repair such pods",
                        "kubectl -n linkerd-cni get pods -o wide; ls /etc/cni/net.d; helm upgrade \
                         linkerd-cni linkerd/linkerd2-cni -n linkerd-cni --reuse-values --set \
                         repairController.enabled=true"
                            .to_owned(),
                    ),
                ]),
        );
    }
}

/// What the validator says when it gives up.
fn failed(text: &str) -> bool {
    has(text, "linkerd_network_validator")
        && (has(text, "failed to validate networking configuration")
            || has(text, "unable to connect to validator"))
}
