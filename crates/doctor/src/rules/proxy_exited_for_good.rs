//! `proxy-exited-for-good`: the proxy ended, the pod's restart policy does not start it again, and
//! the application goes on without a network.
//!
//! # Sources
//! istio/istio issue 45627; RULES.md E4.

use jiff::SignedDuration;
use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::line::Sign;
use sunup_evidence::object::{ContainerStatus, Terminated};
use sunup_evidence::shape::{Sidecar, is_mesh_container};
use sunup_evidence::time::parse;

use crate::fix::remedies;
use crate::judging::fault::{Judgements, item};
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::judging::subject::namespace_flag;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct ProxyExitedForGood;

static META: Meta = Meta {
    id: "proxy-exited-for-good",
    title: "The proxy ended and is not started again, while the application goes on",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodObject]],
    helps: &[Need::PodEvents, Need::ProxyLog, Need::AppLog, Need::Workload, Need::Nodes],
    hears: &[],
    signs: &[Sign::QuitCalled],
    // The hook that gave up is how it came about, and nothing more is to be done about it.
    explains: &["app-before-proxy", "hold-timed-out", "hold-with-job"],
    doc: page!("proxy_exited_for_good", "doc.md"),
    fires: page!("proxy_exited_for_good", "fires.txtar"),
    quiet: page!("proxy_exited_for_good", "quiet.txtar"),
};

/// Containers that end closer to the proxy than this ended with it.
const AFTER: SignedDuration = SignedDuration::from_secs(10);

impl Rule for ProxyExitedForGood {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let Some((ended, left)) = left_alone(case) else { return };
        let policy = case.pod().and_then(|p| p.spec.restart_policy.as_deref()).unwrap_or_default();
        let summary = format!(
            "istio-proxy ended with exit code {} and, with restartPolicy {policy}, for good: {left} \
             has no network any more",
            ended.exit_code
        );
        let none = std::iter::empty();
        let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, none, "");
        let at = ended.finished_at.as_deref().unwrap_or("a time not given");
        let reason = ended.reason.as_deref().unwrap_or("no reason");
        fault.evidence.push(proxy::field(
            case,
            format!("restartPolicy {policy}; istio-proxy ended ({reason}) at {at}, {left} did not"),
        ));
        fault = fault.because(
            "The redirect stays in force when the proxy is gone, so every captured connection of the \
             pod is refused from now on.",
        );
        let hook = proxy::hook_failures(case).next();
        let quit = proxy::log(case).and_then(|l| proxy::lines(l, Sign::QuitCalled).next());
        if let Some(hook) = hook {
            fault.cause = Some("hold-timed-out");
            fault.evidence.push(proxy::event(hook));
            fault = fault.because(
                "The hook that waits for the proxy gave up; the kubelet killed the proxy for it, its \
                 agent ended in order with 0, and that counts as done.",
            );
        } else if let Some(quit) = quit {
            fault.cause = Some("quit-called");
            fault.evidence.push(item(quit));
            fault = fault.because(
                "Somebody called /quitquitquit while a container of the pod was still at work.",
            );
        }
        out.faults.push(fault.offer(remedies(case)));
    }
}

/// How the proxy ended, and a container that went on without it.
fn left_alone<'a>(case: &Case<'a>) -> Option<(&'a Terminated, &'a str)> {
    let pod = case.pod()?;
    // Evicted, out of time, on a node that was shut down: then all of them were ended.
    let ended_as_a_whole = pod.metadata.deletion_timestamp.is_some() || pod.status.reason.is_some();
    if case.shape.sidecar != Sidecar::Classic || ended_as_a_whole {
        return None;
    }
    let ended = pod.status.container(container::PROXY)?.state.terminated.as_ref()?;
    let for_good = match pod.spec.restart_policy.as_deref() {
        Some("Never") => true,
        Some("OnFailure") => ended.exit_code == 0,
        _ => false,
    };
    if !for_good {
        return None;
    }
    let gone = parse(ended.finished_at.as_deref());
    let goes_on = |s: &&ContainerStatus| match (&s.state.running, &s.state.terminated) {
        (Some(_), _) => true,
        // It failed, later: for want of a network as it seems.
        (None, Some(t)) => {
            t.exit_code != 0 && parse(t.finished_at.as_deref()) > gone.map(|g| g + AFTER)
        }
        (None, None) => s.restart_count > 0,
    };
    let own = pod.status.container_statuses.iter().filter(|s| !is_mesh_container(&s.name));
    own.clone().find(goes_on).map(|s| (ended, s.name.as_str()))
}

fn remedies(case: &Case<'_>) -> Vec<Remedy> {
    let template = case.template();
    let live = case.pod().map(|p| &p.metadata.annotations);
    let mut found: Vec<Remedy> = remedies::native(case.versions, template.as_ref())
        .map(|native| native.with_live(live))
        .into_iter()
        .collect();
    let ns = namespace_flag(&case.subject);
    let pod = case.pod_word();
    found.push(Remedy::advice(
        "delete-pod",
        "delete this pod, so that the Job runs another one",
        format!("kubectl {ns}delete pod {pod}"),
    ));
    found
}
