//! `capture-lock-contention`: the redirect could not be set up because another program on the node held
//! iptables' lock.
//!
//! The node can do it: this is no want of support or permission, though istio-cni's check of the binary says so
//! in the same breath.
//!
//! # Sources
//! istio/istio issues 58507, 10818, 30394, 47002, 58582; istio/cni issue 23.

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;

use crate::judging::fault::{Fault, Judgements};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::texts::{From, Said, has};

/// The rule.
pub(crate) struct CaptureLockContention;

static META: Meta = Meta {
    id: "capture-lock-contention",
    title: "Another program holds the node's xtables lock, so the redirect is not set up",
    stage: Stage::Sandbox,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodEvents, Need::MeshInitLog, Need::PodObject]],
    helps: &[],
    hears: LOCK,
    signs: &[Sign::CaptureSetup],
    explains: &[],
    doc: page!("capture_lock_contention", "doc.md"),
    fires: page!("capture_lock_contention", "fires.txtar"),
    quiet: page!("capture_lock_contention", "quiet.txtar"),
};

/// What iptables says, with and without `-w`.
const LOCK: &[&str] = &["xtables lock", "xtables.lock"];

impl Rule for CaptureLockContention {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let init = case.status(container::INIT);
        let done = init.and_then(|s| s.state.terminated.as_ref()).is_some_and(|t| t.exit_code == 0);
        let fails = case.init_fails(container::INIT);
        let is_it = |s: &Said<'_>| {
            s.has_any(LOCK)
                && match (s.from, s.container) {
                    // Of a sandbox: what was said before a container was started has healed.
                    (From::Event | From::Status, None) => !case.came_up() && is_istio_cni(s.text),
                    (_, Some(name)) => name == container::INIT && !done,
                    // A log of nobody knows whom: node agents have the same trouble in theirs.
                    (From::Log, None) => fails,
                }
        };
        let Some(heard) = case.heard(&META, is_it) else { return };
        // A log shows one try; the kubelet makes another.
        let in_force = fails || heard.said.iter().any(|s| s.from != From::Log);
        let verdict = if in_force { Verdict::Confirmed } else { Verdict::Likely };
        let summary =
            "another program holds the node's xtables lock, so the redirect is not set up";
        let fault = heard.fault(&META, verdict, summary, "the xtables lock is taken");
        out.faults.push(explained(fault));
    }
}

/// Whether the plugin that met the lock is istio-cni: others of the node's chain use iptables too.
fn is_istio_cni(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let Some(at) = LOCK.iter().filter_map(|l| lower.find(l)).min() else { return false };
    let before = &lower[..at];
    match before.rfind("plugin type=\"") {
        Some(plugin) => has(&before[plugin..], "type=\"istio-cni\""),
        None => before.contains("istio-cni"),
    }
}

fn explained(fault: Fault) -> Fault {
    fault
        .because(
            "iptables takes a lock that all of the node's network namespaces share. kube-proxy, a \
             network policy agent or the other pods that were started at the same moment held it, and \
             iptables gave up at once with exit status 4 instead of waiting. The words \"no loaded \
             kernel support\" before it are only how istio-cni reports that its trial rule failed.",
        )
        .because(
            "The kubelet tries again, so single cases heal by themselves; with many pods on a node \
             they keep each other from starting.",
        )
        .offer([
            Remedy::advice(
                "wait-for-lock",
                "a release whose istio-cni waits for the lock: 1.29, or a 1.28 with the same change",
                "istioctl version; helm upgrade istio-cni istio/cni -n istio-system --reuse-values \
                 --version 1.29.0"
                    .to_owned(),
            ),
            Remedy::advice(
                "find-lock-holder",
                "see on the node who holds the lock, and how long",
                "fuser -v /run/xtables.lock; iptables-save | wc -l".to_owned(),
            ),
        ])
}

#[cfg(test)]
mod tests {
    use super::is_istio_cni;

    #[test]
    fn the_plugin_that_met_the_lock_is_told_from_the_others() {
        let own = "failed to setup network for sandbox \"5\": plugin type=\"istio-cni\" name=\"istio-cni\" failed (add): iptables binary iptables has no loaded kernel support and cannot be used, err: exit status 4 out: Can't lock /run/xtables.lock: Resource temporarily unavailable";
        assert!(is_istio_cni(own));
        let older = "error adding container to network \"istio-cni\": exit status 4: Another app is currently holding the xtables lock.";
        assert!(is_istio_cni(older));
        let other = "plugin type=\"istio-cni\" name=\"istio-cni\" failed (delete): x; plugin type=\"portmap\" failed (add): exit status 4: Another app is currently holding the xtables lock.";
        assert!(!is_istio_cni(other));
        assert!(!is_istio_cni("Another app is currently holding the xtables lock. istio-cni"));
    }
}
