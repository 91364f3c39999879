//! Workloads whose running pods can't be changed: Jobs, CronJobs, pods of their own. What can be
//! done is said, and done with consent.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use sunup_api::shell;
use sunup_kube::change::{Mode, Workload as Target, anew};
use sunup_kube::watch::Selector;

use super::plan::Plan;
use super::stage::Stage;
use super::{Outcome, Work};

/// How long something that was deleted may take to go.
const GONE_WITHIN: Duration = Duration::from_secs(120);
/// Tries to create what was deleted.
const TRIES: u32 = 5;

impl Work<'_> {
    pub(super) fn again(
        &self,
        target: &Target<'_>,
        object: &Value,
        plan: &Plan,
    ) -> anyhow::Result<Outcome> {
        match self.args.workload.kind.as_str() {
            "CronJob" => self.cron_job(target, object, plan),
            kind => self.make_anew(kind, target, object, plan),
        }
    }

    /// A CronJob's template can be changed: its next Job has the fix.
    fn cron_job(
        &self,
        target: &Target<'_>,
        object: &Value,
        plan: &Plan,
    ) -> anyhow::Result<Outcome> {
        let Some(after) = self.apply(target, object, plan)? else {
            return Ok(Outcome::NotFixed);
        };
        if self.args.dry_run {
            self.say.dry(object, &after);
            return Ok(Outcome::Fixed);
        }
        if !self.args.recreate {
            self.say.not_fixed(
                "it isn't proved yet: the template has the fix from its next run on; --recreate \
                 starts a Job from it now",
            );
            self.stages.set(Stage::Done);
            return Ok(Outcome::NotFixed);
        }
        let job = job_of(&after);
        let name = job["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let jobs = self.named("Job", &name)?;
        // Jobs whose selectors are made by hand may share pods.
        let before = self.runtime.block_on(self.pods(&Selector::of(&job)))?;
        let made = self.runtime.block_on(jobs.create(&job, Mode::Real))?;
        self.say.line(&format!("applied; Job {name} was started from it"));
        let undo = format!(
            "{} -n {} delete job {}",
            self.cluster.named.kubectl(),
            shell::name(&self.namespace),
            shell::name(&name)
        );
        self.stages.set(Stage::Rolling { undo });
        let outcome = self.prove(&made, &Selector::of(&made), &before, plan)?;
        self.stages.set(Stage::Done);
        Ok(outcome)
    }

    fn named(&self, kind: &str, name: &str) -> anyhow::Result<Target<'_>> {
        Target::named(self.cluster, kind, &self.namespace, name).context("a kind that is known")
    }

    /// A Job or a pod of its own.
    fn make_anew(
        &self,
        kind: &str,
        target: &Target<'_>,
        object: &Value,
        plan: &Plan,
    ) -> anyhow::Result<Outcome> {
        let Some(source) = source(object) else {
            self.say.not_fixed(&format!(
                "this {kind} was changed when it was admitted (its sidecar was injected), and \
                 what it was made from is not kept in it: put the patch into its manifest, then \
                 delete the {kind} and create it from there"
            ));
            return Ok(Outcome::NotFixed);
        };
        let mut new = source;
        overlay(&mut new, plan.patch.as_ref().unwrap_or(&Value::Null));
        // The server's own word on it, before anything is deleted; under another name, since this one
        // is taken.
        let mut tried = new.clone();
        if let Some(meta) = tried["metadata"].as_object_mut() {
            meta.remove("name");
            meta.insert("generateName".to_owned(), "sunup-tried-".into());
        }
        self.runtime
            .block_on(target.create(&tried, Mode::DryRun))
            .context("it could not be made anew; nothing was changed")?;
        if self.args.dry_run {
            self.say.dry(object, &new);
            return Ok(Outcome::Fixed);
        }
        if !self.args.recreate {
            self.say.not_fixed(&format!(
                "a {kind}'s pods can't be changed: --recreate deletes it, with its pods, and \
                 creates it with the fix (the API server would take it)"
            ));
            return Ok(Outcome::NotFixed);
        }
        self.recreate(target, &new, plan)
    }

    fn recreate(&self, target: &Target<'_>, new: &Value, plan: &Plan) -> anyhow::Result<Outcome> {
        let pods = Selector::of(&self.runtime.block_on(target.read())?.unwrap_or_default());
        let before = self.runtime.block_on(self.pods(&pods))?;
        // Whatever happens between deleting and creating, it can be created by hand.
        let kept = keep(new).context("no file could be kept; nothing was changed")?;
        let again = format!("kubectl create -f {}", shell::word(&kept.to_string_lossy()));
        self.stages.set(Stage::Gone(again.clone()));
        self.runtime.block_on(target.delete(GONE_WITHIN))?;
        let made = self.runtime.block_on(async {
            let mut tries = 1;
            loop {
                match target.create(new, Mode::Real).await {
                    Err(why) if tries < TRIES && !why.is_final() => {
                        tries += 1;
                        self.say.note(&format!("not created yet: {why}"));
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    made => return made,
                }
            }
        });
        let made = made.with_context(|| format!("deleted, but not created: `{again}`"))?;
        let _ = std::fs::remove_file(&kept);
        self.stages.set(Stage::Done);
        self.say.line("deleted, and created with the fix");
        self.prove(&made, &Selector::of(&made), &before, plan)
    }
}

/// What an object was made from: for one that an injector has changed, its last applied manifest.
fn source(object: &Value) -> Option<Value> {
    let annotations = &object["metadata"]["annotations"];
    let applied = annotations["kubectl.kubernetes.io/last-applied-configuration"].as_str();
    let injected = object["kind"] == "Pod" && !annotations["sidecar.istio.io/status"].is_null();
    let last: Option<Value> = applied.and_then(|text| serde_json::from_str(text).ok());
    match (injected, last) {
        (_, Some(last)) if object["kind"] == "Pod" => Some(last),
        (true, _) => None,
        (false, _) => Some(anew(&bound_nowhere(object))),
    }
}

/// A pod that may run on any node again.
fn bound_nowhere(object: &Value) -> Value {
    let mut pod = object.clone();
    if pod["kind"] == "Pod"
        && let Some(spec) = pod["spec"].as_object_mut()
    {
        spec.remove("nodeName");
    }
    pod
}

/// The manifest in a file that is its owner's alone, under a name that nobody could foresee; it stays
/// until it is removed.
fn keep(manifest: &Value) -> anyhow::Result<PathBuf> {
    let mut file = tempfile::Builder::new().prefix("sunup-").suffix(".json").tempfile()?;
    writeln!(file, "{manifest:#}")?;
    Ok(file.keep()?.1)
}

/// Lays a patch over an object: maps are merged, list entries that have a name too; a null removes.
fn overlay(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    object.remove(key);
                } else {
                    overlay(object.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(list), Value::Array(patch)) => {
            for item in patch {
                let same =
                    |known: &&mut Value| !item["name"].is_null() && known["name"] == item["name"];
                match list.iter_mut().find(same) {
                    Some(known) => overlay(known, item),
                    None => list.push(item.clone()),
                }
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}

/// The Job that a CronJob would start now, as `kubectl create job --from` makes it.
fn job_of(cron_job: &Value) -> Value {
    let template = &cron_job["spec"]["jobTemplate"];
    let meta = &cron_job["metadata"];
    let name = meta["name"].as_str().unwrap_or_default();
    // A Job's name may have 63 characters.
    let stem: String = name.chars().take(42).collect();
    let now = jiff::Timestamp::now().as_second();
    let mut annotations = template["metadata"]["annotations"].clone();
    annotations["cronjob.kubernetes.io/instantiate"] = "manual".into();
    json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": format!("{stem}-sunup-{now}"),
            "annotations": annotations,
            "labels": template["metadata"]["labels"],
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": name,
                "uid": meta["uid"], "controller": true}],
        },
        "spec": template["spec"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_laid_over_what_is_there() {
        let mut object = json!({"a": {"x": 1, "y": 2},
            "l": [{"name": "p", "v": 1}, {"name": "q", "v": 2}]});
        let patch = json!({"a": {"y": null, "z": {"new": true}},
            "l": [{"name": "q", "w": 3}, {"name": "r"}]});
        overlay(&mut object, &patch);
        let want = json!({"a": {"x": 1, "z": {"new": true}},
            "l": [{"name": "p", "v": 1}, {"name": "q", "v": 2, "w": 3}, {"name": "r"}]});
        assert_eq!(object, want);
    }

    #[test]
    fn a_pod_that_was_injected_is_made_from_its_manifest_or_not_at_all() {
        let mut pod = json!({"kind": "Pod", "metadata": {"name": "p", "uid": "u",
            "annotations": {"sidecar.istio.io/status": "{}"}}, "spec": {"nodeName": "n"}});
        assert_eq!(source(&pod), None);
        let key = "kubectl.kubernetes.io/last-applied-configuration";
        pod["metadata"]["annotations"][key] = "{\"kind\":\"Pod\"}".into();
        assert_eq!(source(&pod), Some(json!({"kind": "Pod"})));
        let plain = json!({"kind": "Pod", "metadata": {"name": "p", "uid": "u"},
            "spec": {"nodeName": "n"}});
        let want = json!({"kind": "Pod", "metadata": {"name": "p"}, "spec": {}});
        assert_eq!(source(&plain), Some(want));
    }
}
