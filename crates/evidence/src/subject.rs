//! Whose pod it is: the topmost owner, where that is certain.

use sunup_api::label;
use sunup_api::report::Subject;

use crate::names::{by_name, is_hash, names_so};
use crate::object::{Map, Meta, Workload};
use crate::snapshot::{PodFacts, Snapshot};

/// The workload of a pod, from owner references, an export's labels, manifests, or its name.
/// `kind` is `Pod` where the owner is not certain.
#[must_use]
pub fn of(facts: &PodFacts, snapshot: &Snapshot) -> Subject {
    let name = facts.name.clone().unwrap_or_else(|| "unknown".to_owned());
    let pods = facts.name.iter().cloned().collect();
    let mut namespace = namespace_of(facts);
    let (kind, name) = owner(facts, &name, namespace.as_deref(), snapshot);
    if namespace.is_none() {
        // The log names none, but the manifest of that very workload does.
        let manifests = snapshot.workloads_named(&name).map(|(w, _)| w);
        let mut same = manifests.filter(|w| w.kind == kind);
        if let (Some(only), None) = (same.next(), same.next()) {
            namespace.clone_from(&only.metadata.namespace);
        }
    }
    Subject { namespace, kind, name, pods, container: None }
}

/// The workload that a manifest describes.
#[must_use]
pub fn of_workload(workload: &Workload) -> Subject {
    Subject {
        namespace: workload.metadata.namespace.clone(),
        kind: workload.kind.clone(),
        name: object_name(&workload.metadata),
        pods: Vec::new(),
        container: None,
    }
}

fn object_name(meta: &Meta) -> String {
    match (&meta.name, &meta.generate_name) {
        (name, Some(stem)) if name.is_empty() => stem.clone(),
        (name, _) => name.clone(),
    }
}

fn namespace_of(facts: &PodFacts) -> Option<String> {
    facts.namespace.clone().or_else(|| facts.object()?.metadata.namespace.clone())
}

fn owner(
    facts: &PodFacts,
    pod: &str,
    namespace: Option<&str>,
    snapshot: &Snapshot,
) -> (String, String) {
    let meta = facts.object().map(|p| &p.metadata);
    if let Some(meta) = meta
        && let Some((kind, name)) = controller_of(meta)
    {
        return top(kind, name, meta, namespace, snapshot);
    }
    if let Some((kind, name)) = &facts.controller {
        return (kind.clone(), name.clone());
    }
    let bare = Meta::default();
    let labels = meta.map(|m| &m.labels).filter(|labels| !labels.is_empty());
    let shown = facts.listed.iter().map(|row| &row.labels).find(|labels| !labels.is_empty());
    let of_labels = labels.or(shown).and_then(|labels| by_labels(pod, labels));
    let of_row = facts.listed.iter().find_map(|row| row.owner.clone());
    if let Some((kind, name)) = of_row.or(of_labels) {
        return top(&kind, &name, meta.unwrap_or(&bare), namespace, snapshot);
    }
    if let Some((kind, name)) = snapshot.owners.above("Pod", pod) {
        return top(kind, name, &bare, namespace, snapshot);
    }
    if let Some(found) = from_manifests(pod, namespace, snapshot) {
        return found;
    }
    if let Some((kind, name)) = snapshot.owners.naming(pod, namespace) {
        return top(kind, name, &bare, namespace, snapshot);
    }
    by_name(pod, facts.template_hash.as_deref())
        .map_or_else(|| ("Pod".into(), pod.into()), |(kind, name)| (kind.into(), name.into()))
}

/// Who made a pod with these labels, which its controller has put there.
///
/// # Sources
/// Kubernetes, "Well-Known Labels, Annotations and Taints"; argoproj/argo-workflows
/// `workflow/common`; tektoncd/pipeline `docs/labels.md`; openshift/origin, deployments.
fn by_labels(pod: &str, labels: &Map) -> Option<(String, String)> {
    let label = |key: &str| labels.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let found = |kind: &str, name: &str| Some((kind.to_owned(), name.to_owned()));
    if let Some((kind, name)) = of_tools(labels) {
        return found(kind, name);
    }
    let job = label("batch.kubernetes.io/job-name").or_else(|| label("job-name"));
    if let Some(name) = job {
        return found("Job", name);
    }
    let stem = pod.rsplit_once('-').map(|(stem, _)| stem);
    if label("statefulset.kubernetes.io/pod-name") == Some(pod) {
        return found("StatefulSet", stem?);
    }
    if let Some(hash) =
        label("rollouts-pod-template-hash").or_else(|| label(label::POD_TEMPLATE_HASH))
        && stem?.strip_suffix(hash).is_some_and(|front| front.ends_with('-'))
    {
        return found("ReplicaSet", stem?);
    }
    if label("pod-template-generation").is_some() && label("controller-revision-hash").is_some() {
        return found("DaemonSet", stem?);
    }
    None
}

/// Owners above those that Kubernetes knows.
fn of_tools(labels: &Map) -> Option<(&'static str, &str)> {
    const TOOLS: &[(&str, &str)] = &[
        ("workflows.argoproj.io/workflow", "Workflow"),
        ("tekton.dev/pipelineRun", "PipelineRun"),
        ("tekton.dev/taskRun", "TaskRun"),
    ];
    let found = TOOLS.iter().find_map(|(key, kind)| Some((*kind, labels.get(*key)?.as_str())));
    found.filter(|(_, name)| !name.is_empty())
}

fn controller_of(meta: &Meta) -> Option<(&str, &str)> {
    let owners = &meta.owner_references;
    let owner = owners.iter().find(|o| o.controller == Some(true)).or_else(|| owners.first())?;
    Some((&owner.kind, &owner.name))
}

/// The topmost owner (kind, name) of an object that an event names.
#[must_use]
pub fn topmost(
    kind: &str,
    name: &str,
    namespace: Option<&str>,
    snapshot: &Snapshot,
) -> (String, String) {
    top(kind, name, &Meta::default(), namespace, snapshot)
}

/// Follows owners upwards: by the objects where they were handed over, else by the names that
/// Kubernetes' own controllers give.
fn top(
    kind: &str,
    name: &str,
    pod: &Meta,
    namespace: Option<&str>,
    snapshot: &Snapshot,
) -> (String, String) {
    let object = snapshot.workloads_named(name).map(|(w, _)| w).find(|w| {
        w.kind == kind
            && w.metadata.name == name
            && same(w.metadata.namespace.as_deref(), namespace)
    });
    if let Some((kind, name)) = object.and_then(|w| controller_of(&w.metadata)) {
        return (kind.to_owned(), name.to_owned());
    }
    if let Some((kind, name)) = snapshot.owners.above(kind, name) {
        return (kind.to_owned(), name.to_owned());
    }
    if kind == "TaskRun"
        && let Some((kind, name)) = of_tools(&pod.labels)
    {
        return (kind.to_owned(), name.to_owned());
    }
    if kind == "ReplicationController"
        && let Some(config) = deployment_config(name, pod)
    {
        return ("DeploymentConfig".to_owned(), config.to_owned());
    }
    if kind == "ReplicaSet" {
        if let Some(hash) = pod.labels.get("rollouts-pod-template-hash")
            && let Some(stem) = name.strip_suffix(hash.as_str()).and_then(|s| s.strip_suffix('-'))
        {
            return ("Rollout".to_owned(), stem.to_owned());
        }
        // The label is the ReplicaSet's own suffix: what stands before it is the Deployment.
        let hash = pod.labels.get(label::POD_TEMPLATE_HASH);
        let of_label = hash.and_then(|h| name.strip_suffix(h.as_str())?.strip_suffix('-'));
        let of_name = || {
            let (stem, hash) = name.rsplit_once('-')?;
            is_hash(hash).then_some(stem)
        };
        if let Some(stem) = of_label.or_else(of_name) {
            return ("Deployment".to_owned(), stem.to_owned());
        }
    }
    if kind == "Job" {
        // CronJob controller: name + "-" + scheduled minute (since 1.21) or seconds (before).
        if let Some((stem, digits)) = name.rsplit_once('-')
            && (8..=10).contains(&digits.len())
            && digits.bytes().all(|b| b.is_ascii_digit())
        {
            return ("CronJob".to_owned(), stem.to_owned());
        }
    }
    (kind.to_owned(), name.to_owned())
}

/// The DeploymentConfig that made a ReplicationController, which is named after it and a version.
///
/// # Sources
/// openshift/api `apps/v1/consts.go`: `openshift.io/deployment-config.name`; the label is what
/// `oc new-app` selects by.
fn deployment_config<'m>(controller: &str, pod: &'m Meta) -> Option<&'m str> {
    let said = pod.annotations.get("openshift.io/deployment-config.name");
    let config = said.or_else(|| pod.labels.get("deploymentconfig"))?;
    let version = controller.strip_prefix(config.as_str())?.strip_prefix('-')?;
    let is_version = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    is_version.then_some(config.as_str())
}

fn same(a: Option<&str>, b: Option<&str>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// The workload among the inputs that names its pods like this one; none where several could.
fn from_manifests(
    pod: &str,
    namespace: Option<&str>,
    snapshot: &Snapshot,
) -> Option<(String, String)> {
    let fits =
        |w: &&Workload| same(w.metadata.namespace.as_deref(), namespace) && names_pods_so(w, pod);
    // A longer name is the better match: `web` and `web-canary` both begin `web-canary-…`.
    let mut stem = pod;
    let w = loop {
        let named = snapshot.workloads_named(stem).map(|(w, _)| &**w);
        if let Some(found) = named.into_iter().find(fits) {
            break found;
        }
        stem = stem.rsplit_once('-')?.0;
    };
    match controller_of(&w.metadata) {
        Some((kind, name)) => Some(top(kind, name, &Meta::default(), namespace, snapshot)),
        None => Some((w.kind.clone(), w.metadata.name.clone())),
    }
}

/// Whether a workload's pods get names like this one.
#[must_use]
pub fn names_pods_so(workload: &Workload, pod: &str) -> bool {
    names_so(&workload.kind, &workload.metadata.name, pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_controllers_put_there() {
        let of = |pod: &str, labels: &[(&str, &str)]| {
            let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            by_labels(pod, &labels).map(|(kind, name)| format!("{kind}/{name}"))
        };
        for (pod, labels, want) in [
            ("a-x7k2p", &[("job-name", "a")][..], Some("Job/a")),
            ("a-3135351842", &[("workflows.argoproj.io/workflow", "a")], Some("Workflow/a")),
            (
                "r-b-pod",
                &[("tekton.dev/taskRun", "r-b"), ("tekton.dev/pipelineRun", "r")],
                Some("PipelineRun/r"),
            ),
            ("web-0", &[("statefulset.kubernetes.io/pod-name", "web-0")], Some("StatefulSet/web")),
            ("w-5b6f-9xk2l", &[("pod-template-hash", "5b6f")], Some("ReplicaSet/w-5b6f")),
            (
                "ds-x7k2p",
                &[("controller-revision-hash", "7d"), ("pod-template-generation", "1")],
                Some("DaemonSet/ds"),
            ),
            ("web-0", &[("app", "web"), ("job-name", "")], None),
        ] {
            assert_eq!(of(pod, labels).as_deref(), want, "{pod}");
        }
    }
}
