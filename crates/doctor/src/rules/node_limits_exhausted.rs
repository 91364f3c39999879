//! `node-limits-exhausted`: the node has no file descriptors or inotify instances left, and the
//! proxy or its agent cannot start.
//!
//! # Sources
//! istio/istio issues 18257, 35829, 55915; kind, "Pod errors due to too many open files"; RULES.md D6.

use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::log::Sample;

use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct NodeLimitsExhausted;

static META: Meta = Meta {
    id: "node-limits-exhausted",
    title: "The node has no inotify instances or file descriptors left for the proxy",
    stage: Stage::Proxy,
    severity: Severity::Error,
    status: Status::Preview { since: "0.1.0" },
    needs: &[&[Need::ProxyLog]],
    helps: &[Need::PodObject, Need::PodEvents],
    hears: &[],
    signs: &[Sign::NodeLimit],
    explains: &[
        "app-before-proxy",
        "hold-timed-out",
        "proxy-restarted-by-startup-probe",
        "start-gate-expired",
    ],
    doc: page!("node_limits_exhausted", "doc.md"),
    fires: page!("node_limits_exhausted", "fires.txtar"),
    quiet: page!("node_limits_exhausted", "quiet.txtar"),
};

impl Rule for NodeLimitsExhausted {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some(unready) = proxy::unready(case) else { return };
        let told = proxy::lines(unready.log, Sign::NodeLimit).filter(|s| is_limit(&s.text));
        let lines: Vec<&Sample> = told.filter(|s| proxy::before_ready(case, s)).collect();
        if lines.is_empty() {
            return;
        }
        let node = case.pod().and_then(|p| p.spec.node_name.as_deref());
        let on = node.map_or(String::new(), |n| format!(" {n}"));
        let summary = format!(
            "the node{on} has no inotify instances or file descriptors left for istio-proxy"
        );
        let what = "a limit of the node is reached";
        let fault = proxy::fault(&META, case, Verdict::Confirmed, summary, lines, what)
            .because(
                "The agent watches its certificates and tokens; for that each process needs inotify \
                 instances, which all processes of one user share on a node. \"too many open files\" \
                 is what the kernel says of either limit: `ulimit` is rarely the one that is reached.",
            )
            .because(
                "It depends on what else runs on the node, so it hits some pods and not others. \
                 Nothing in the workload's manifest mends it.",
            );
        out.faults.push(
            fault.offer([Remedy::advice(
                "raise-inotify-limits",
                "raise the limits on the nodes, for good in their image or with a DaemonSet",
                "sysctl -w fs.inotify.max_user_instances=8192 fs.inotify.max_user_watches=524288"
                    .to_owned(),
            )]),
        );
    }
}

/// `kubectl logs -f` puts its own trouble with watching into the log: that is not the proxy's.
fn is_limit(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if lower.contains("failed to create fsnotify watcher") {
        return false;
    }
    let watches = lower.contains("inotify")
        && (lower.contains("too many")
            || lower.contains("no space left")
            || lower.contains("limit"));
    let watching = lower.contains("no space left on device")
        && (lower.contains("watch") || lower.contains("inotify"));
    lower.contains("too many open files") || watches || watching
}
