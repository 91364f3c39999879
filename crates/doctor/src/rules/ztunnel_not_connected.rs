//! `ztunnel-not-connected`: in ambient mode the CNI agent has no ztunnel on the node to hand the pod to.
//!
//! # Sources
//! istio/istio issues 53696, 53843; Istio wiki, "Troubleshooting Istio Ambient"; RULES.md B7.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct ZtunnelNotConnected;

static META: Meta = Meta {
    id: "ztunnel-not-connected",
    title: "The node has no running ztunnel to take the pod into ambient mode",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &["no ztunnel connection"],
    signs: &[],
    explains: &[],
    doc: page!("ztunnel_not_connected", "doc.md"),
    fires: page!("ztunnel_not_connected", "fires.txtar"),
    quiet: page!("ztunnel_not_connected", "quiet.txtar"),
};

impl Rule for ZtunnelNotConnected {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        // What was said before a container of the pod was started has healed.
        if case.came_up() {
            return;
        }
        let Some(heard) = case.heard(&META, |s| s.has("no ztunnel connection")) else { return };
        let fault = heard.fault(
            &META,
            Verdict::Confirmed,
            "no ztunnel runs on the node, so the pod cannot join the ambient mesh",
            "no ztunnel connection",
        );
        let fault = fault
            .because("The CNI agent holds the pod back until the node's ztunnel has taken it. On a fresh node \
                 a few tries fail before ztunnel is up; where it goes on, ztunnel is not scheduled \
                 there or crashes.");
        out.faults.push(fault.offer([Remedy::advice(
            "start-ztunnel",
            "see whether ztunnel runs on that node and why not (tolerations, node selector; on nodes without IPv6 it needs IPV6_ENABLED=false)",
            "kubectl get pods -A -o wide -l app=ztunnel; kubectl -n istio-system logs daemonset/ztunnel --tail=50".to_owned(),
        )]));
    }
}
