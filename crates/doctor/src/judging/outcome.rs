//! What became of a pod whose start went wrong, and how bad the fault therefore is. From the pod's
//! status alone; knows no rule. The table in `docs/rules/README.md` is made from what stands here.

use std::collections::BTreeSet;

use sunup_api::container;
use sunup_api::report::{Severity, Verdict};
use sunup_evidence::object::{ContainerStatus, Pod};

use crate::judging::fault::Fault;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Broken now, or work was lost.
    Broken,
    /// Over, after so many restarts.
    Recovered(u32),
    /// Over, by trying again.
    Overcome,
}

impl Outcome {
    /// `None` where the status does not say it: no object, or one without status.
    pub(crate) fn of(pod: &Pod) -> Option<Outcome> {
        let status = &pod.status;
        let inits = status.init_container_statuses.iter();
        let all: Vec<&ContainerStatus> = inits.chain(&status.container_statuses).collect();
        if status.container_statuses.is_empty() {
            return (status.phase.as_deref() == Some("Failed")).then_some(Outcome::Broken);
        }
        let not_ready = status.conditions.iter().any(|c| c.kind == "Ready" && c.status != "True");
        // A Job's work is done though its sidecar runs on, and keeps the pod from being over.
        let own = || status.container_statuses.iter().filter(|one| one.name != container::PROXY);
        let good = |one: &ContainerStatus| {
            one.state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0)
        };
        let worked = own().next().is_some() && own().all(good);
        let done = status.phase.as_deref() == Some("Succeeded") || worked;
        if status.phase.as_deref() == Some("Failed") || not_ready && !done {
            return Some(Outcome::Broken);
        }
        let inits = pod.spec.init_containers.iter().filter(|c| !c.is_native_sidecar());
        let inits: BTreeSet<&str> = inits.map(|c| c.name.as_str()).collect();
        if !all.iter().all(|one| is_well(&inits, one)) {
            return Some(Outcome::Broken);
        }
        // A proxy's own restarts say nothing of what the application went through.
        let applications = all.iter().filter(|one| one.name != container::PROXY);
        match applications.map(|one| one.restart_count).sum() {
            0 => Some(Outcome::Overcome),
            restarts => Some(Outcome::Recovered(restarts)),
        }
    }

    /// Weighs a fault of a start by what became of it, and says so.
    pub(crate) fn weigh(self, fault: &mut Fault) {
        // What is only possible has not been seen to happen, so nothing can have become of it.
        if fault.verdict == Verdict::Possible {
            return;
        }
        let said = match self {
            Outcome::Broken => return,
            Outcome::Recovered(1) => "The pod has recovered, after 1 restart.".to_owned(),
            Outcome::Recovered(n) => format!("The pod has recovered, after {n} restarts."),
            Outcome::Overcome => {
                "It happened, and was overcome without a restart: the pod is up.".to_owned()
            }
        };
        fault.severity = fault.severity.min(Severity::Warning);
        fault.explanation.push(said);
    }
}

/// What may become of a pod, in words, each with a case of it.
const CASES: [(&str, Option<Outcome>, Verdict); 5] = [
    (
        "broken now, or work was lost: a container waits or has failed, a Job's pod failed, the pod \
         is not ready",
        Some(Outcome::Broken),
        Verdict::Confirmed,
    ),
    ("it cost restarts, and the pod is up", Some(Outcome::Recovered(2)), Verdict::Confirmed),
    (
        "the application tried again and was served: the pod is up, or its work is done, without a \
         restart",
        Some(Outcome::Overcome),
        Verdict::Confirmed,
    ),
    ("nothing says: the pod's status was not handed over", None, Verdict::Confirmed),
    (
        "the fault is possible only, from the manifest or half of the evidence",
        Some(Outcome::Overcome),
        Verdict::Possible,
    ),
];

/// The cases, each with the severity that it gives a fault at its worst, and what is said then.
pub(crate) fn table() -> Vec<(&'static str, Severity, String)> {
    let weighed = |outcome: Option<Outcome>, verdict| {
        let mut fault = Fault::empty(verdict);
        outcome.into_iter().for_each(|outcome| outcome.weigh(&mut fault));
        (fault.severity, fault.explanation.concat())
    };
    let rows = CASES.into_iter().map(|(case, outcome, verdict)| {
        let (severity, said) = weighed(outcome, verdict);
        (case, severity, said)
    });
    rows.collect()
}

/// Whether a container is as it should be: it runs and is ready, or has done its work. Of `inits`,
/// which are to end, none is well while it runs.
fn is_well(inits: &BTreeSet<&str>, status: &ContainerStatus) -> bool {
    if let Some(ended) = &status.state.terminated {
        return ended.exit_code == 0;
    }
    let helper = !inits.contains(status.name.as_str());
    helper && status.state.running.is_some() && status.ready
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Fault, Outcome, Pod, Severity, Verdict};

    fn pod(phase: &str, ready: bool, statuses: Value) -> Pod {
        let conditions = json!([{"type": "Ready", "status": if ready { "True" } else { "False" }}]);
        let status =
            json!({"phase": phase, "conditions": conditions, "containerStatuses": statuses});
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {}, "status": status}))
            .expect("a pod")
    }

    fn running(name: &str, ready: bool, restarts: u32) -> Value {
        json!({"name": name, "ready": ready, "restartCount": restarts,
               "state": {"running": {"startedAt": "2026-10-02T07:14:05Z"}}})
    }

    fn ended(name: &str, code: i32) -> Value {
        json!({"name": name, "ready": false, "restartCount": 0,
               "state": {"terminated": {"exitCode": code}}})
    }

    #[test]
    fn a_status_says_what_became_of_the_pod() {
        let waiting = json!({"name": "app", "ready": false, "restartCount": 4,
                             "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let cases = [
            (pod("Running", true, json!([running("app", true, 0)])), Some(Outcome::Overcome)),
            (pod("Running", true, json!([running("app", true, 2)])), Some(Outcome::Recovered(2))),
            (
                pod(
                    "Running",
                    true,
                    json!([running("app", true, 0), running("istio-proxy", true, 3)]),
                ),
                Some(Outcome::Overcome),
            ),
            (pod("Running", false, json!([running("app", true, 0)])), Some(Outcome::Broken)),
            (pod("Running", true, json!([running("app", false, 0)])), Some(Outcome::Broken)),
            (pod("Running", false, json!([waiting])), Some(Outcome::Broken)),
            (pod("Succeeded", false, json!([ended("app", 0)])), Some(Outcome::Overcome)),
            (
                pod("Running", false, json!([ended("app", 0), running("istio-proxy", true, 0)])),
                Some(Outcome::Overcome),
            ),
            (pod("Failed", false, json!([ended("app", 1)])), Some(Outcome::Broken)),
            (
                pod("Running", false, json!([ended("app", 1), running("b", true, 0)])),
                Some(Outcome::Broken),
            ),
            (pod("Failed", false, json!([])), Some(Outcome::Broken)),
            (pod("Pending", false, json!([])), None),
            (Pod::default(), None),
        ];
        for (pod, expected) in cases {
            assert_eq!(Outcome::of(&pod), expected, "{:?}", pod.status);
        }
    }

    #[test]
    fn only_what_was_seen_to_happen_and_is_over_weighs_less() {
        let weighed = |outcome: Outcome, verdict| {
            let mut fault = Fault::empty(verdict);
            outcome.weigh(&mut fault);
            (fault.severity, fault.explanation.concat())
        };
        let (severity, said) = weighed(Outcome::Recovered(3), Verdict::Confirmed);
        assert_eq!((severity, said.contains("after 3 restarts")), (Severity::Warning, true));
        assert_eq!(weighed(Outcome::Overcome, Verdict::Likely).0, Severity::Warning);
        assert_eq!(weighed(Outcome::Overcome, Verdict::Possible).0, Severity::Error);
        assert_eq!(weighed(Outcome::Broken, Verdict::Confirmed).0, Severity::Error);
    }
}
