//! `cni-plugin-missing`: the node's CNI configuration names istio-cni, and its binary, its kubeconfig or its agent is not there.
//!
//! # Sources
//! istio/istio issues 11676, 23457, 36821; the istio-cni chart's README (`cniBinDir`); RULES.md B3.

use sunup_api::report::{Severity, Verdict};

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::texts::has;

/// The rule.
pub(crate) struct CniPluginMissing;

static META: Meta = Meta {
    id: "cni-plugin-missing",
    title: "The node's CNI chain names istio-cni, but its binary or its agent is missing",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject],
    hears: &["istio-cni"],
    signs: &[],
    explains: &[],
    doc: page!("cni_plugin_missing", "doc.md"),
    fires: page!("cni_plugin_missing", "fires.txtar"),
    quiet: page!("cni_plugin_missing", "quiet.txtar"),
};

impl Rule for CniPluginMissing {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        // What was said before a container of the pod was started has healed.
        if case.came_up() {
            return;
        }
        let Some(heard) = case.heard(&META, |s| part(s.text).is_some()) else { return };
        let (cause, missing) =
            heard.said.iter().find_map(|s| part(s.text)).unwrap_or(("binary", "its binary"));
        let mut fault = heard.fault(
            &META,
            Verdict::Confirmed,
            format!(
                "the node has no working istio-cni plugin ({missing}), so the pod gets no network"
            ),
            "istio-cni failed",
        );
        fault.cause = Some(cause);
        let fault = fault
            .because("The container runtime runs every plugin that the node's CNI configuration names. istio-cni \
                 is named there and cannot work: it was put into another folder than the runtime \
                 looks in, was uninstalled while the configuration stayed, or its node agent does \
                 not run.");
        out.faults.push(fault.offer([Remedy::advice(
            "install-cni-plugin",
            "see whether istio-cni-node runs on that node, and that cniBinDir is the runtime's folder (on GKE /home/kubernetes/bin: charts rendered with `helm template` do not find that out)",
            "kubectl get pods -A -o wide -l k8s-app=istio-cni-node; ls /opt/cni/bin /home/kubernetes/bin; helm upgrade istio-cni istio/cni -n istio-system --reuse-values --set cni.cniBinDir=/home/kubernetes/bin".to_owned(),
        ), Remedy::advice(
            "remove-cni-leftover",
            "where istio-cni is gone on purpose: take it out of the node's CNI configuration",
            "grep -l istio-cni /etc/cni/net.d/*".to_owned(),
        )]));
    }
}

/// Which part of the plugin is missing; `None` where it failed for another reason.
fn part(text: &str) -> Option<(&'static str, &'static str)> {
    if !has(text, "istio-cni") {
        return None;
    }
    let gone = has(text, "no such file or directory") || has(text, "connection refused");
    if has(text, "failed to find plugin \"istio-cni\"")
        || has(text, "/istio-cni: no such file")
        || has(text, "/istio-cni\": ") && gone
    {
        return Some(("binary", "its binary is not where the runtime looks"));
    }
    let of_agent = has(text, "pluginevent.sock") || has(text, "istio-cni-kubeconfig");
    (of_agent && gone).then_some(("agent", "its node agent is not there"))
}
