//! `sysctl-unknown-to-kernel`: the pod asks for the sysctl that lets its gateway bind low ports, and the
//! node's kernel is too old to have it.
//!
//! # Sources
//! istio/istio issue 36560; Linux 4.11 release notes (`ip_unprivileged_port_start`); RULES.md B2.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;

/// The rule.
pub(crate) struct SysctlUnknownToKernel;

static META: Meta = Meta {
    id: "sysctl-unknown-to-kernel",
    title: "The node's kernel is too old for the sysctl that low ports need",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &["ip_unprivileged_port_start"],
    signs: &[],
    explains: &[],
    doc: page!("sysctl_unknown_to_kernel", "doc.md"),
    fires: page!("sysctl_unknown_to_kernel", "fires.txtar"),
    quiet: page!("sysctl_unknown_to_kernel", "quiet.txtar"),
};

impl Rule for SysctlUnknownToKernel {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        // What was said before a container of the pod was started has healed.
        if case.came_up() {
            return;
        }
        let Some(heard) =
            case.heard(&META, |s| s.has("ip_unprivileged_port_start") && s.has("no such file"))
        else {
            return;
        };
        let fault = heard.fault(
            &META,
            Verdict::Confirmed,
            "the node's kernel does not have the sysctl net.ipv4.ip_unprivileged_port_start",
            "the sysctl is unknown to the kernel",
        );
        let fault = fault
            .because("The setting exists since Linux 4.11 (CentOS and RHEL 7 have 3.10). The kubelet allows it, \
                 and the container runtime then cannot write it.");
        out.faults.push(fault.offer([Remedy::advice(
            "gateway-target-port",
            "take the sysctl out of the pod and let the gateway listen on high ports behind its Service (80 → 8080, 443 → 8443)",
            format!("kubectl get nodes -o custom-columns=NAME:.metadata.name,KERNEL:.status.nodeInfo.kernelVersion; kubectl {}edit service SERVICE  # targetPort: 8080", heard.ns()),
        ), Remedy::advice(
            "newer-node",
            "run the gateway on nodes with a kernel of 4.11 or later",
            format!("kubectl {}get pod {} -o jsonpath='{{.spec.nodeName}}'", heard.ns(), heard.pod_word()),
        )]));
    }
}
