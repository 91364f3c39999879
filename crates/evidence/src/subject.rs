//! Whose pod it is: the topmost owner, where that is certain.

use sunup_api::label;
use sunup_api::report::Subject;

use crate::object::{Meta, Workload};
use crate::snapshot::{PodFacts, Snapshot};

/// Letters of the suffixes that Kubernetes makes names unique with: no vowels, no 0, 1, 3, so that
/// no words arise.
///
/// # Sources
/// `k8s.io/apimachinery/pkg/util/rand`: `alphanums = "bcdfghjklmnpqrstvwxz2456789"`.
const SAFE: &str = "bcdfghjklmnpqrstvwxz2456789";

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
        let manifest = snapshot.workloads.iter().map(|(w, _)| w);
        let mut same = manifest.filter(|w| w.kind == kind && w.metadata.name == name);
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
    if let Some(meta) = facts.object().map(|p| &p.metadata)
        && let Some((kind, name)) = controller_of(meta)
    {
        return top(kind, name, meta, namespace, snapshot);
    }
    if let Some((kind, name)) = &facts.controller {
        return (kind.clone(), name.clone());
    }
    if let Some(found) = from_manifests(pod, namespace, snapshot) {
        return found;
    }
    match (&facts.template_hash, deployment_of(pod)) {
        (Some(hash), Some((name, of_name))) if hash == of_name => {
            ("Deployment".into(), name.into())
        }
        (None, Some((name, _))) => ("Deployment".into(), name.into()),
        _ => ("Pod".into(), pod.into()),
    }
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
    if kind == "ReplicaSet" {
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

fn same(a: Option<&str>, b: Option<&str>) -> bool {
    a.is_none() || b.is_none() || a == b
}

/// The workload among the inputs that names its pods like this one; none where several could.
fn from_manifests(
    pod: &str,
    namespace: Option<&str>,
    snapshot: &Snapshot,
) -> Option<(String, String)> {
    let mut found: Option<&Workload> = None;
    for (w, _) in &snapshot.workloads {
        let meta = &w.metadata;
        if !same(meta.namespace.as_deref(), namespace) || !names_pods_so(w, pod) {
            continue;
        }
        match found {
            Some(known) if known.kind == w.kind && known.metadata.name == meta.name => {}
            // A longer name is the better match: `web` and `web-canary` both begin `web-canary-…`.
            Some(known) if known.metadata.name.len() >= meta.name.len() => {}
            _ => found = Some(w),
        }
    }
    let w = found?;
    match controller_of(&w.metadata) {
        Some((kind, name)) => Some(top(kind, name, &Meta::default(), namespace, snapshot)),
        None => Some((w.kind.clone(), w.metadata.name.clone())),
    }
}

/// Whether a workload's pods get names like this one.
#[must_use]
pub fn names_pods_so(workload: &Workload, pod: &str) -> bool {
    let name = workload.metadata.name.as_str();
    if workload.kind == "Pod" {
        return pod == name;
    }
    let Some(rest) = pod.strip_prefix(name).and_then(|r| r.strip_prefix('-')) else { return false };
    let parts: Vec<&str> = rest.split('-').collect();
    match (workload.kind.as_str(), parts.as_slice()) {
        ("Deployment" | "Rollout", [hash, tail]) => is_hash(hash) && is_tail(tail),
        ("StatefulSet", [ordinal]) => ordinal.bytes().all(|b| b.is_ascii_digit()),
        ("CronJob", [minute, tail]) => minute.bytes().all(|b| b.is_ascii_digit()) && is_tail(tail),
        ("Job", [tail]) => is_tail(tail),
        ("Job", [index, tail]) => index.bytes().all(|b| b.is_ascii_digit()) && is_tail(tail),
        ("DaemonSet" | "ReplicaSet" | "ReplicationController", [tail]) => is_tail(tail),
        _ => false,
    }
}

/// `name-<hash>-<tail>`, as only Deployments (and what imitates them) name pods.
fn deployment_of(pod: &str) -> Option<(&str, &str)> {
    let (rest, tail) = pod.rsplit_once('-')?;
    let (name, hash) = rest.rsplit_once('-')?;
    (is_tail(tail) && is_hash(hash) && !name.is_empty()).then_some((name, hash))
}

/// A pod template hash: FNV of the template, encoded in the safe letters; older versions printed
/// decimal digits.
fn is_hash(s: &str) -> bool {
    (6..=10).contains(&s.len())
        && (s.chars().all(|c| SAFE.contains(c)) || s.bytes().all(|b| b.is_ascii_digit()))
        // A short word may consist of those letters; eight of them without a vowel are no word.
        && (s.len() >= 8 || s.bytes().any(|b| b.is_ascii_digit()))
}

fn is_tail(s: &str) -> bool {
    s.len() == 5 && s.chars().all(|c| SAFE.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployments_pod_is_told_by_its_suffixes() {
        assert_eq!(
            deployment_of("post-feature-service-v1-67d56cdd-g7fvb"),
            Some(("post-feature-service-v1", "67d56cdd"))
        );
        assert_eq!(deployment_of("web-0"), None);
        assert_eq!(deployment_of("node-agent-x7k2p"), None);
        assert_eq!(deployment_of("api-server-hello"), None);
    }
}
