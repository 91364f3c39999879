//! `cni-unauthorized`: the istio-cni plugin runs and the API server refuses its token; every new pod of the node is hit, meshed or not.
//!
//! # Sources
//! istio/istio issues 38077, 54303, 57438, 57788, 58111; RULES.md B4.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct CniUnauthorized;

static META: Meta = Meta {
    id: "cni-unauthorized",
    title: "The istio-cni plugin's token is refused, so no pod starts on the node",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &["istio-cni"],
    signs: &[],
    explains: &[],
    doc: page!("cni_unauthorized", "doc.md"),
    fires: page!("cni_unauthorized", "fires.txtar"),
    quiet: page!("cni_unauthorized", "quiet.txtar"),
};

impl Rule for CniUnauthorized {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        // What was said before a container of the pod was started has healed.
        if case.came_up() {
            return;
        }
        let Some(heard) = case.heard(&META, |s| s.has("istio-cni") && s.has("unauthorized")) else {
            return;
        };
        let fault = heard.fault(
            &META,
            Verdict::Confirmed,
            "the API server refuses the istio-cni plugin, so the pod gets no network",
            "istio-cni was refused: Unauthorized",
        );
        let fault = fault
            .because("The plugin reads a kubeconfig that the node agent istio-cni-node writes; its token has \
                 expired, or was left behind when istio-cni was uninstalled or moved off the node. \
                 Every new pod of the node is hit, those outside the mesh too.");
        out.faults.push(fault.offer([Remedy::advice(
            "renew-cni-token",
            "let the node agent write a fresh token; where istio-cni is gone from the node, take it out of the CNI configuration there",
            "kubectl get pods -A -o wide -l k8s-app=istio-cni-node; kubectl -n istio-system rollout restart daemonset istio-cni-node; ls /etc/cni/net.d; grep -l istio-cni /etc/cni/net.d/*".to_owned(),
        )]));
    }
}
