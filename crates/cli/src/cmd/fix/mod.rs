//! `sunup fix --live`: diagnoses a workload, puts the fix into the cluster, watches the new pods,
//! diagnoses those, and says whether the fault is gone.
//!
//! The kinds of change are `sunup-doctor`'s, the requests `sunup-kube`'s.

mod again;
mod args;
mod plan;
mod prove;
mod say;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use sunup_api::shell;
use sunup_evidence::collect::Collector;
use sunup_evidence::scope::Scope;
use sunup_intake::Options;
use sunup_kube::change::{Mode, Workload as Target, delete_pod, managed_by};
use sunup_kube::collect::Question;
use sunup_kube::watch::{Pods, Selector};
use sunup_kube::{Cluster, Trouble};
use tokio::runtime::Runtime;

use crate::global::{FINDINGS, Global, TROUBLE};
use crate::live::{self, Beside};
use crate::workload::Workload;

pub(crate) use args::Args;
use plan::Plan;
use say::Say;
use stage::{Stage, Stages};

/// What every step needs.
struct Work<'a> {
    args: &'a Args,
    runtime: &'a Runtime,
    cluster: &'a Cluster,
    namespace: String,
    say: Say<'a>,
    stages: Stages,
}

/// How it ended.
enum Outcome {
    Fixed,
    NotFixed,
    Untried,
}

/// Runs the command.
pub(crate) fn run(args: Args, global: &Global) -> anyhow::Result<ExitCode> {
    let (runtime, cluster) = args.place.connect()?;
    let namespace = args.namespace.clone().unwrap_or_else(|| cluster.named.namespace.clone());
    let say = Say { global };
    say.note(&format!("{}, namespace {namespace}", cluster.named));
    let stages = Stages::watch(&runtime, *global);
    let work = Work { args: &args, runtime: &runtime, cluster: &cluster, namespace, say, stages };
    Ok(ExitCode::from(match work.all()? {
        Outcome::Fixed => 0,
        Outcome::NotFixed => FINDINGS,
        Outcome::Untried => TROUBLE,
    }))
}

impl Work<'_> {
    fn all(&self) -> anyhow::Result<Outcome> {
        let target = self.target()?;
        let Some(object) = self.runtime.block_on(target.read())? else {
            bail!("there is no {} in namespace {}", self.args.workload, self.namespace);
        };
        let report = self.diagnose(None)?;
        let Some(plan) = Plan::of(self.args, &report)? else {
            return self.nothing_to_fix(&report);
        };
        self.say.plan(&self.args.workload, &plan);
        if plan.patch.is_none() {
            self.say.advice(&plan);
            return Ok(Outcome::NotFixed);
        }
        for owner in managed_by(&object) {
            self.say.note(&format!(
                "{owner} manages this object and may take the change back: put the patch above \
                 into what it deploys from, too"
            ));
        }
        match self.args.workload.kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" => self.roll(&target, &object, &plan),
            _ => self.again(&target, &object, &plan),
        }
    }

    fn target(&self) -> anyhow::Result<Target<'_>> {
        let Workload { kind, name } = &self.args.workload;
        let known = ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod"];
        let target = Target::named(self.cluster, kind, &self.namespace, name);
        target.filter(|_| known.contains(&kind.as_str())).with_context(|| {
            format!(
                "a {kind} can't be changed here: name its owner, or one of {}; `sunup doctor \
                 --live -w {kind}/{name}` prints the patch",
                known.join(", ")
            )
        })
    }

    /// What is wrong with the workload, or with those of its pods that have these uids.
    fn diagnose(&self, pods: Option<&Pods>) -> anyhow::Result<sunup_api::report::Report> {
        let workload = (self.args.workload.kind.clone(), self.args.workload.name.clone());
        let scope = Scope {
            namespace: Some(self.namespace.clone()),
            workload: Some(workload.clone()),
            ..Scope::default()
        };
        let question = Question {
            namespace: Some(self.namespace.clone()),
            workload: Some(workload),
            pods: pods.map(|pods| pods.keys().cloned().collect()),
            mesh_namespace: self.args.istio_namespace.clone(),
            ..Question::default()
        };
        let mut collector = Collector::new(scope.clone());
        let options = Options { scope, ..Options::default() };
        let place = (self.runtime.handle(), self.cluster);
        live::read(place, &question, Beside::default(), &options, &mut collector)?;
        Ok(sunup_doctor::diagnose(&collector.finish()).report)
    }

    fn nothing_to_fix(&self, report: &sunup_api::report::Report) -> anyhow::Result<Outcome> {
        if let Some(rule) = &self.args.rule
            && !report.findings.is_empty()
        {
            let others: Vec<&str> = report.findings.iter().map(|f| f.rule.as_str()).collect();
            bail!("no finding of rule `{rule}`; there are: {}", others.join(", "));
        }
        self.say.nothing(&self.args.workload, report);
        let blind = report.unknown.iter().any(|u| u.rule == sunup_api::report::EVERY_RULE);
        Ok(if blind { Outcome::Untried } else { Outcome::Fixed })
    }

    /// Changes the template, and waits for the pods that come of it.
    fn roll(&self, target: &Target<'_>, object: &Value, plan: &Plan) -> anyhow::Result<Outcome> {
        let pods = Selector::of(object);
        let before = self.runtime.block_on(self.pods(&pods))?;
        let Some(after) = self.apply(target, object, plan)? else {
            return Ok(Outcome::NotFixed);
        };
        if self.args.dry_run {
            self.say.dry(object, &after);
            return Ok(Outcome::Fixed);
        }
        let changed = after["metadata"]["generation"] != object["metadata"]["generation"];
        let after = if changed {
            self.say.line("applied; the new template makes new pods");
            after
        } else {
            self.say.line("the template has the fix already: restarting the pods");
            self.stages.set(Stage::Restarting);
            self.runtime.block_on(target.restart(jiff::Timestamp::now(), "sunup"))?
        };
        self.stages.set(Stage::Rolling { undo: self.undo() });
        self.unblock(object, &before);
        let outcome = self.prove(&after, &pods, &before, plan)?;
        match outcome {
            Outcome::Fixed => self.stages.set(Stage::Done),
            _ if self.args.rollback_on_failure => {
                self.roll_back(target, object, &after)?;
                self.unblock(object, &self.runtime.block_on(self.pods(&pods))?);
            }
            _ => self.say.line(&format!("the change stays; to take it back: {}", self.undo())),
        }
        Ok(outcome)
    }

    /// Deletes the pods of a StatefulSet that aren't ready, where it makes its pods one by one: it
    /// waits for each to become ready before it replaces any, even for one that never can.
    ///
    /// # Sources
    /// Kubernetes, "StatefulSets", "Forced rollback".
    fn unblock(&self, object: &Value, pods: &Pods) {
        if object["kind"] != "StatefulSet" || object["spec"]["podManagementPolicy"] == "Parallel" {
            return;
        }
        if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
            return;
        }
        for pod in pods.values().filter(|pod| !pod.ready && !pod.leaving) {
            let (name, gone) = (&pod.name, delete_pod(self.cluster, &self.namespace, pod));
            match self.runtime.block_on(gone) {
                Ok(()) => self.say.line(&format!(
                    "deleted {name}, which isn't ready: a StatefulSet replaces no pod before that"
                )),
                // The StatefulSet itself was faster.
                Err(Trouble::Refused(gone)) if matches!(gone.code, 404 | 409) => {}
                Err(why) => self.say.line(&format!(
                    "{name} isn't ready, and its StatefulSet replaces no pod before it is; it could \
                     not be deleted: {why}"
                )),
            }
        }
    }

    fn undo(&self) -> String {
        let Workload { kind, name } = &self.args.workload;
        let (kubectl, namespace) = (self.cluster.named.kubectl(), &self.namespace);
        let target = shell::name(&format!("{}/{name}", kind.to_lowercase()));
        format!("{kubectl} -n {} rollout undo {target}", shell::name(namespace))
    }

    fn roll_back(&self, target: &Target<'_>, before: &Value, after: &Value) -> anyhow::Result<()> {
        self.stages.set(Stage::TakingBack);
        match self.runtime.block_on(target.put_back(before, after)) {
            Ok(_) => self.say.line("taken back: the template is as it was before"),
            Err(why) => {
                let undo = self.undo();
                self.say.line(&format!("not taken back: {why}; by hand: {undo}"));
            }
        }
        Ok(())
    }

    /// Applies the patch; `None` where somebody else owns what it changes.
    fn apply(
        &self,
        target: &Target<'_>,
        object: &Value,
        plan: &Plan,
    ) -> anyhow::Result<Option<Value>> {
        let mode = match (self.args.dry_run, self.args.force_conflicts) {
            (true, _) => Mode::DryRun,
            (false, true) => Mode::Force,
            (false, false) => Mode::Real,
        };
        self.stages.set(if self.args.dry_run { Stage::Looking } else { Stage::Applying });
        let patch = plan.patch.as_ref().unwrap_or(&Value::Null);
        let manager = format!("sunup-{}", plan.fix);
        // Applying can't remove what others have set: a merge does, and knows no conflicts.
        let applied = match plan::removes(patch) {
            true => target.merge(patch, &manager, mode),
            false => return self.applied(target, patch, &manager, (mode, object)),
        };
        Ok(Some(self.runtime.block_on(applied)?))
    }

    fn applied(
        &self,
        target: &Target<'_>,
        patch: &Value,
        manager: &str,
        (mode, object): (Mode, &Value),
    ) -> anyhow::Result<Option<Value>> {
        match self.runtime.block_on(target.apply(patch, manager, mode)) {
            Ok(after) => Ok(Some(after)),
            Err(Trouble::Refused(conflict)) if conflict.code == 409 => {
                self.stages.set(Stage::Looking);
                self.say.conflict(&conflict, &managed_by(object), patch);
                Ok(None)
            }
            Err(why) => Err(why).context(
                "the fix could not be applied; nothing was changed (`sunup rbac --fix` prints what \
                 it takes)",
            ),
        }
    }

    /// The workload's pods as they are now.
    async fn pods(&self, selector: &Selector) -> anyhow::Result<Pods> {
        let until = tokio::time::Instant::now() + Duration::from_secs(30);
        let once = async |pods: &Pods| std::ops::ControlFlow::Break(pods.clone());
        let now = sunup_kube::watch::watch(self.cluster, &self.namespace, selector, until, once);
        let now = now.await.context("the workload's pods can't be watched: `sunup rbac --fix`")?;
        ensure!(now.is_some(), "the workload's pods could not be watched: `sunup rbac --fix`");
        Ok(now.unwrap_or_default())
    }
}
