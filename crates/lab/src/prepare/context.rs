//! What is known of a pod, and what of it a manifest can refer to.

use std::path::Path;

use crate::inside::PROGRAMS;
use crate::manifest::{Pod, PodName};
use crate::node::{NODE, NODE_NAME, Node, Sandbox};

/// What is known of a pod when its containers are prepared.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) node: &'a Node,
    pub(crate) pod: &'a Pod,
    pub(crate) name: &'a PodName,
    pub(crate) sandbox: &'a Sandbox,
    /// The pod's directory.
    pub(crate) directory: &'a Path,
}

pub(super) fn host_name(pod: &Pod) -> &str {
    let name = pod.spec.hostname.as_deref().unwrap_or(&pod.metadata.name);
    // As the kubelet cuts it.
    let name = name.get(..63).unwrap_or(name);
    name.trim_end_matches(['-', '.'])
}

/// `fieldRef` of a pod: `metadata.name`, `status.podIP` …; `None` for a field that isn't served.
pub(super) fn field(context: &Context<'_>, path: &str) -> Option<String> {
    let (metadata, spec) = (&context.pod.metadata, &context.pod.spec);
    let entry = |map: &std::collections::BTreeMap<String, String>, rest: &str| {
        let key = rest.strip_prefix("['")?.strip_suffix("']")?;
        Some(map.get(key).cloned().unwrap_or_default())
    };
    if let Some(rest) = path.strip_prefix("metadata.labels").filter(|r| !r.is_empty()) {
        return entry(&metadata.labels, rest);
    }
    if let Some(rest) = path.strip_prefix("metadata.annotations").filter(|r| !r.is_empty()) {
        return entry(&metadata.annotations, rest);
    }
    Some(match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => context.name.namespace.clone(),
        "metadata.uid" => context.name.uid.clone(),
        "metadata.labels" => lines(&metadata.labels),
        "metadata.annotations" => lines(&metadata.annotations),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_else(|| NODE_NAME.to_owned()),
        "spec.serviceAccountName" => {
            spec.service_account_name.clone().unwrap_or_else(|| "default".to_owned())
        }
        "status.hostIP" | "status.hostIPs" => NODE.to_string(),
        "status.podIP" | "status.podIPs" => context.sandbox.ip.to_string(),
        _ => return None,
    })
}

/// Labels and annotations as a downward API file has them.
fn lines(map: &std::collections::BTreeMap<String, String>) -> String {
    let line = |(key, value): (&String, &String)| format!("{key}={value:?}");
    map.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The path where a container finds the programs of its image.
pub(crate) fn search_path() -> String {
    format!("{PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
}
