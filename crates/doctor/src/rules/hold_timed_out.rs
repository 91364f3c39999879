//! `hold-timed-out`: the hook that holds the application back gave up after its 60 seconds, and the
//! application was started without a proxy.
//!
//! # Sources
//! istio/istio issues 32233, 40010, 41086; `pilot/cmd/pilot-agent/app/wait.go`; RULES.md E3, 1.5.

use sunup_api::report::{Safety, Severity, Verdict};
use sunup_evidence::time::{Known, show};
use sunup_evidence::timeline::Point;

use crate::fix::remedies;
use crate::judging::fault::Judgements;
use crate::judging::meta::{Meta, Need, Stage, Status, page};
use crate::judging::pod::Case;
use crate::judging::remedy::Remedy;
use crate::judging::rule::Rule;
use crate::knowledge::proxy;

/// The rule.
pub(crate) struct HoldTimedOut;

static META: Meta = Meta {
    id: "hold-timed-out",
    title: "The hook that holds the application gave up before the proxy was ready",
    stage: Stage::Application,
    severity: Severity::Error,
    status: Status::Stable { since: "0.1.0" },
    needs: &[&[Need::PodEvents]],
    helps: &[Need::PodObject, Need::ProxyLog, Need::Workload, Need::Nodes, Need::MeshConfig],
    hears: &[],
    signs: &[],
    explains: &[],
    doc: page!("hold_timed_out", "doc.md"),
    fires: page!("hold_timed_out", "fires.txtar"),
    quiet: page!("hold_timed_out", "quiet.txtar"),
};

impl Rule for HoldTimedOut {
    fn meta(&self) -> &'static Meta {
        &META
    }

    fn passes(&self) -> bool {
        true
    }

    fn pod(&self, case: &Case<'_>, out: &mut Judgements) {
        let hooks: Vec<_> = proxy::hook_failures(case).collect();
        if hooks.is_empty() {
            return;
        }
        let seconds = patience(case);
        let summary = format!(
            "istio-proxy was not ready within the {seconds} s for which the application is held: it \
             was started without a proxy"
        );
        let none = std::iter::empty();
        let mut fault = proxy::fault(&META, case, Verdict::Confirmed, summary, none, "");
        for run in &hooks {
            fault.evidence.push(proxy::event(run));
            fault.points.extend(run.instants().map(|(at, place)| {
                let source = place.map_or_else(|| "pod event".to_owned(), ToString::to_string);
                Point::new(Known::second(at, source), "hold gave up")
            }));
        }
        fault = fault.because(match seconds {
            HOOKS_OWN => {
                "holdApplicationUntilProxyStarts adds a postStart hook that waits for at most 60 s, \
                 and nothing makes it longer by itself."
            }
            _ => "The hook that waits is the mesh's own, with a limit of its own.",
        });
        fault = fault.because(
            "When it fails the kubelet kills the proxy, starts the next containers all the same and \
             the proxy anew: the application comes up while its captured connections are refused.",
        );
        let slow = case.windows.instances.last().and_then(|i| i.ready.as_ref()?.hi);
        fault = match slow {
            Some(at) => fault.because(format!("The proxy did become ready, by {}.", show(at))),
            None => fault.because(
                "Why the proxy was not ready is in its own log, that of the killed instance.",
            ),
        };
        out.faults.push(fault.offer(remedies(case, slow.is_some())));
    }
}

/// How long `pilot-agent wait` waits unless it is told otherwise.
const HOOKS_OWN: u64 = 60;

/// How long the pod's hook waits, in seconds: the injected command has no flags, one of the mesh's
/// own may.
fn patience(case: &Case<'_>) -> u64 {
    let proxy = case.container(sunup_api::container::PROXY);
    let hook = proxy.and_then(|p| p.lifecycle.post_start.as_ref()?.exec.as_ref());
    let flag = |word: &String| {
        let value = word.trim_start_matches('-').strip_prefix("timeoutSeconds=")?;
        value.parse().ok()
    };
    hook.and_then(|exec| exec.command.iter().find_map(flag)).unwrap_or(HOOKS_OWN)
}

fn remedies(case: &Case<'_>, slow: bool) -> Vec<Remedy> {
    let mut found = Vec::new();
    let template = case.template();
    if let Some(native) = remedies::native(case.versions, template.as_ref()) {
        // A native sidecar is waited for ten minutes: that helps a slow proxy, and no other.
        let sure = native.safety == Safety::Safe && slow;
        let live = case.pod().map(|p| &p.metadata.annotations);
        let native = native.with_live(live);
        found.push(if sure || native.safety == Safety::Unsafe {
            native
        } else {
            native.unsafe_because("it helps only if the proxy does become ready in the end")
        });
    }
    let read = Remedy::advice(
        "read-previous-log",
        "read what the proxy waited for, and hand it over too",
        proxy::get_log(case, true),
    );
    let longer = Remedy::advice(
        "longer-hold",
        "wait longer, in a lifecycle of the mesh's own (it takes the place of every other hook of \
         the proxy)",
        "istioctl install --set \
         'values.global.proxy.lifecycle.postStart.exec.command={pilot-agent,wait,--timeoutSeconds=180}'"
            .to_owned(),
    );
    if slow {
        found.extend([longer, read]);
    } else {
        found.insert(0, read);
    }
    found
}
