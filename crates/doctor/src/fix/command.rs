//! Commands that work as printed.

use serde_json::Value;
use sunup_api::report::{PatchType, Subject};
use sunup_api::shell;

use crate::judging::subject::namespace_flag;

/// `deployment/web`, as kubectl takes it.
pub(crate) fn short(subject: &Subject) -> String {
    shell::name(&format!("{}/{}", subject.kind.to_lowercase(), subject.name))
}

/// `Deployment/web`, as a report names it.
pub(crate) fn object_name(subject: &Subject) -> String {
    format!("{}/{}", subject.kind, subject.name)
}

/// Custom resources know no strategic merge: the API server answers 415.
///
/// # Sources
/// Kubernetes, "Update API Objects in Place Using kubectl patch": strategic merge patch is not
/// supported for custom resources.
pub(crate) fn patch_type(kind: &str) -> PatchType {
    let built_in = [
        "Deployment",
        "StatefulSet",
        "DaemonSet",
        "ReplicaSet",
        "ReplicationController",
        "Job",
        "CronJob",
        "Pod",
        "Service",
    ];
    if built_in.contains(&kind) { PatchType::Strategic } else { PatchType::Merge }
}

/// Changes the live object. Templates of Jobs and Pods can't be changed: they are made anew.
pub(crate) fn patch(subject: &Subject, patch: &Value) -> String {
    let ns = namespace_flag(subject);
    let target = short(subject);
    let how = match patch_type(&subject.kind) {
        PatchType::Merge => "merge",
        _ => "strategic",
    };
    let quoted = shell::word(&patch.to_string());
    match subject.kind.as_str() {
        // The API server refuses the patch itself, so it is applied on the way through.
        "Job" => format!(
            "kubectl {ns}get {target} -o json | jq 'del(.spec.selector, .status, \
             .metadata.uid, .metadata.resourceVersion, .spec.template.metadata.labels) * {}' | \
             kubectl {ns}replace --force -f -",
            patch.to_string().replace('\'', "'\\''")
        ),
        "Pod" => format!(
            "# put this into the pod template (spec.template) of what creates the pod{}: {quoted}",
            if subject.pods.is_empty() {
                String::new()
            } else {
                format!(" {}", shell::name(&subject.name))
            }
        ),
        _ => format!("kubectl {ns}patch {target} --type {how} -p {quoted}"),
    }
}

/// What the pods of an object need, where it is not known which of its fields they have it from.
pub(crate) fn in_words(subject: &Subject, pod: &Value) -> String {
    let what = shell::name(&object_name(subject));
    let quoted = shell::word(&pod.to_string());
    format!(
        "# put this where {what} says what its pods are like (see its own documentation): {quoted}"
    )
}

/// Brings an edited manifest into the cluster.
pub(crate) fn apply(subject: &Subject, file: &str) -> String {
    let file = shell::word(file);
    match subject.kind.as_str() {
        "Job" | "Pod" => format!("kubectl replace --force -f {file}"),
        _ => format!("kubectl apply -f {file}"),
    }
}
