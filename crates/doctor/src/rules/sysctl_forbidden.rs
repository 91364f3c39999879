//! `sysctl-forbidden`: the kubelet refuses the sysctl that would let the gateway bind low ports.
//!
//! # Sources
//! nginx/kubernetes-ingress issue 3714; kubernetes/kubernetes issues 118702, 103298; RULES.md B1.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::texts::Said;

/// The rule.
pub(crate) struct SysctlForbidden;

static META: Meta = Meta {
    id: "sysctl-forbidden",
    title: "The node refuses the sysctl that low ports need",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject, Need::PodEvents]],
    helps: &[],
    hears: &["sysctlforbidden", "forbidden sysctl"],
    signs: &[],
    explains: &[],
    doc: page!("sysctl_forbidden", "doc.md"),
    fires: page!("sysctl_forbidden", "fires.txtar"),
    quiet: page!("sysctl_forbidden", "quiet.txtar"),
};

const SYSCTL: &str = "net.ipv4.ip_unprivileged_port_start";

impl Rule for SysctlForbidden {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let about = |s: &Said<'_>| {
            let refused = s.reason == "SysctlForbidden" || s.has("forbidden sysctl");
            refused && s.has(SYSCTL)
        };
        let Some(heard) = case.heard(&META, about) else { return };
        let host_network =
            case.shape.host_network || heard.said.iter().any(|s| s.has("host net enabled"));
        let (cause, why) = if host_network {
            (
                "host-network",
                "The pod is in the node's own network, where a setting of one pod would be the \
                 node's: Kubernetes refuses every network sysctl there.",
            )
        } else {
            (
                "not-allowed",
                "The kubelet does not count the sysctl among the safe ones (Kubernetes does since \
                 1.22), or a policy allows none.",
            )
        };
        let summary = format!("the node refuses the pod's sysctl {SYSCTL}");
        let mut fault = heard.fault(&META, Verdict::Confirmed, summary, "the sysctl was refused");
        fault.cause = Some(cause);
        out.faults.push(fault.because(why).offer(remedies(heard.ns(), host_network)));
    }
}

fn remedies(ns: String, host_network: bool) -> Vec<Remedy> {
    let mut all = vec![Remedy::advice(
        "gateway-target-port",
        "take the sysctl out of the pod and let the gateway listen on high ports behind its \
         Service (80 → 8080, 443 → 8443)",
        format!("kubectl {ns}edit service SERVICE  # targetPort: 8080"),
    )];
    all.push(if host_network {
        Remedy::advice(
            "gateway-net-bind-service",
            "in the node's network, let the proxy run as root with CAP_NET_BIND_SERVICE alone",
            "securityContext: {runAsUser: 0, runAsNonRoot: false, capabilities: {drop: [ALL], add: \
             [NET_BIND_SERVICE]}}"
                .to_owned(),
        )
    } else {
        Remedy::advice(
            "allow-sysctl",
            "let the nodes' kubelets allow it",
            format!("kubelet --allowed-unsafe-sysctls={SYSCTL}"),
        )
    });
    all
}
