//! Whether the new pods come up, and whether the fault is gone from them.

use std::ops::ControlFlow;
use std::time::Duration;

use serde_json::Value;
use sunup_api::report::{EVERY_RULE, Finding, Report, Verdict};
use sunup_kube::Trouble;
use sunup_kube::watch::{PodState, Pods, Selector, watch};
use tokio::time::Instant;

use super::plan::Plan;
use super::say::summary;
use super::{Outcome, Work};

/// A new pod that isn't ready after this is looked into, and again each time as much later: some
/// faults only make a pod wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the pods have come to.
enum Seen {
    /// As many as there should be are ready, or have done their work.
    Up(Pods),
    /// Something goes wrong that may be the fault; worth a look.
    Trouble(Pods),
}

impl Work<'_> {
    /// Watches the pods that are not among `before`, and says what has become of the fault.
    pub(super) fn prove(
        &self,
        object: &Value,
        selector: &Selector,
        before: &Pods,
        plan: &Plan,
    ) -> anyhow::Result<Outcome> {
        let wanted = wanted(object);
        if wanted == 0 {
            self.say
                .not_fixed("no pods are asked for (replicas: 0), so that nothing can be proved");
            return Ok(Outcome::NotFixed);
        }
        if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
            self.say.not_fixed(
                "its updateStrategy is OnDelete: the fix is in the template, and reaches a pod \
                 when you delete it",
            );
            return Ok(Outcome::NotFixed);
        }
        let until = Instant::now() + Duration::from_secs(self.args.wait.get());
        let mut looked = Looked::default();
        loop {
            let seen =
                self.runtime.block_on(self.next(selector, before, object, until, &mut looked));
            let (pods, up) = match seen {
                Ok(Some(Seen::Up(pods))) => (pods, true),
                Ok(Some(Seen::Trouble(pods))) => (pods, false),
                Ok(None) => return self.too_late(plan, looked.new),
                Err(why) => {
                    self.say.not_fixed(&format!(
                        "it can't be told: the new pods can't be watched: {why} (`sunup rbac --fix` \
                         prints what it takes)"
                    ));
                    return Ok(Outcome::Untried);
                }
            };
            let report = self.diagnose(Some(&pods))?;
            match same(&report, plan) {
                Some(finding) => {
                    let why = format!(
                        "the same fault is seen in the new pods ({}): {}",
                        summary(&pods),
                        finding.summary
                    );
                    self.say.not_fixed(&why);
                    return Ok(Outcome::NotFixed);
                }
                None if up => return Ok(self.up(plan, before, &pods, &report)),
                // Something else, or too early to tell: what comes of it is waited for.
                None => {}
            }
        }
    }

    /// The pods are up, and the fault isn't seen: what is missing may still keep it from being
    /// seen.
    fn up(&self, plan: &Plan, before: &Pods, pods: &Pods, report: &Report) -> Outcome {
        let open = report.unknown.iter().find(|unknown| {
            // Of a workload as a whole it is said where nothing is wrong with any pod.
            let of_pods = unknown.rule == plan.rule && !unknown.subject.pods.is_empty();
            let unseen = ["pods:", "container logs:", "the log of"];
            let blind = |what: &String| unseen.iter().any(|start| what.starts_with(start));
            of_pods || unknown.rule == EVERY_RULE && unknown.missing.iter().any(blind)
        });
        if let Some(open) = open {
            self.say.not_fixed(&format!(
                "it can't be told: {}, but the evidence that would show the fault is missing: {}",
                summary(pods),
                open.missing.join(", ")
            ));
            return Outcome::Untried;
        }
        self.say.fixed(plan, before, pods);
        for finding in &report.findings {
            self.say.line(&format!("left: {}: {}", finding.rule, finding.summary));
        }
        Outcome::Fixed
    }

    fn too_late(&self, plan: &Plan, pods: Pods) -> anyhow::Result<Outcome> {
        let waited = self.args.wait;
        if pods.is_empty() {
            self.say.not_fixed(&format!("no new pod came up within {waited} s"));
            return Ok(Outcome::NotFixed);
        }
        let report = self.diagnose(Some(&pods))?;
        let mut why = format!("after {waited} s: {}", summary(&pods));
        match same(&report, plan).or(report.findings.first()) {
            Some(finding) => why.push_str(&format!("; {}: {}", finding.rule, finding.summary)),
            None => why.push_str("; no start-up fault is seen in them"),
        }
        self.say.not_fixed(&why);
        Ok(Outcome::NotFixed)
    }

    /// Waits until there is something to look into.
    async fn next(
        &self,
        selector: &Selector,
        before: &Pods,
        object: &Value,
        until: Instant,
        looked: &mut Looked,
    ) -> Result<Option<Seen>, Trouble> {
        let wanted = wanted(object);
        let decide = async |all: &Pods| {
            let new = |pod: &&PodState| !before.contains_key(&pod.uid) && !pod.leaving;
            let pods: Pods =
                all.values().filter(new).map(|pod| (pod.uid.clone(), pod.clone())).collect();
            let up = pods.values().filter(|pod| pod.ready || pod.phase == "Succeeded").count();
            looked.new.clone_from(&pods);
            if up >= wanted {
                return ControlFlow::Break(Seen::Up(pods));
            }
            if looked.is_worth_it(&pods) {
                return ControlFlow::Break(Seen::Trouble(pods));
            }
            if pods.is_empty()
                && let Some(kept) = self.kept(object, selector, all).await
            {
                self.say.line("the workload had this template before, and has kept pods of it");
                return ControlFlow::Break(Seen::Up(kept));
            }
            ControlFlow::Continue(())
        };
        watch(self.cluster, &self.namespace, selector, until, decide).await
    }

    /// The pods that are there, where they are ready and their controller says that all of them are
    /// of the mended template: one that was in force before, as where a rollout of a broken template
    /// is stuck. No others come then.
    async fn kept(&self, object: &Value, selector: &Selector, pods: &Pods) -> Option<Pods> {
        let rolls = ["Deployment", "StatefulSet", "DaemonSet"];
        let rolls = rolls.iter().any(|kind| object["kind"] == *kind);
        if !rolls || ready(pods, wanted(object)).is_none() {
            return None;
        }
        let now = self.target().ok()?.read().await.ok()??;
        let count = |field: &str| now["status"][field].as_u64();
        let seen = count("observedGeneration")? >= object["metadata"]["generation"].as_u64()?;
        let updated = count("updatedReplicas").or_else(|| count("updatedNumberScheduled"))?;
        // What it counts may not have been heard of yet: asked once more, after it, it is there.
        let there = ready(&self.pods(selector).await.ok()?, wanted(object))?;
        let all_known = there.keys().all(|uid| pods.contains_key(uid));
        (seen && all_known && usize::try_from(updated).ok()? == there.len()).then_some(there)
    }
}

/// The pods that stay, where they are enough and all of them are ready.
fn ready(pods: &Pods, wanted: usize) -> Option<Pods> {
    let there: Pods = pods.clone().into_iter().filter(|(_, pod)| !pod.leaving).collect();
    (there.len() >= wanted && there.values().all(|pod| pod.ready)).then_some(there)
}

/// What has been looked into already.
#[derive(Default)]
struct Looked {
    /// The new pods as last seen.
    new: Pods,
    /// Restarts and failures that were known.
    troubles: usize,
    /// When there was first anything to look at, and when it was looked at last.
    at: Option<Instant>,
}

impl Looked {
    fn is_worth_it(&mut self, pods: &Pods) -> bool {
        if pods.is_empty() {
            return false;
        }
        let troubles: usize = pods
            .values()
            .filter(|pod| pod.in_trouble())
            .map(|pod| 1 + pod.restarts as usize + pod.failed.len())
            .sum();
        let now = Instant::now();
        let at = *self.at.get_or_insert(now);
        if troubles <= self.troubles && now - at < PATIENCE {
            return false;
        }
        self.troubles = troubles.max(self.troubles);
        self.at = Some(now);
        true
    }
}

/// The finding that was to be mended, where it is there again. What is only possible by a manifest
/// is no observation of the new pods.
fn same<'r>(report: &'r Report, plan: &Plan) -> Option<&'r Finding> {
    report.findings.iter().find(|finding| {
        finding.rule == plan.rule
            && (finding.verdict > Verdict::Possible || plan.verdict == Verdict::Possible)
    })
}

/// How many pods there should be.
fn wanted(object: &Value) -> usize {
    let number = match object["kind"].as_str() {
        Some("DaemonSet") => object["status"]["desiredNumberScheduled"].as_u64(),
        Some("Job") => object["spec"]["parallelism"].as_u64(),
        _ => object["spec"]["replicas"].as_u64(),
    };
    number.and_then(|number| usize::try_from(number).ok()).unwrap_or(1)
}
