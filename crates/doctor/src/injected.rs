//! Whether a pod of some workload will get a sidecar, as far as manifests say it.
//!
//! # Sources
//! istio/istio `pkg/kube/inject/inject.go` (`injectRequired`): the label wins over the annotation,
//! pods of the node's network are left alone; RULES.md A9.

use sunup_api::{annotation, container, label};
use sunup_evidence::object::Meta as ObjectMeta;

use crate::work::Work;

/// What says that the workload's pods get a sidecar; `None` where nothing does.
pub(crate) fn by_manifest(work: &Work<'_>) -> Option<String> {
    let (workload, _) = work.manifest?;
    let template = &workload.template;
    let spec = &template.spec;
    let mut all = spec.init_containers.iter().chain(&spec.containers);
    if all.any(|c| c.name == container::PROXY && c.image != "auto") {
        return Some("the template has an istio-proxy".to_owned());
    }
    if spec.host_network {
        return None;
    }
    let meta = &template.metadata;
    let asked = meta.labels.get(label::INJECT).or(meta.annotations.get(annotation::INJECT));
    if asked.is_some_and(|v| matches!(v.as_str(), "false" | "n" | "no" | "off")) {
        return None;
    }
    if meta.labels.get(label::INJECT).is_some_and(|v| v == "true") {
        return Some(format!("the label {}", label::INJECT));
    }
    if meta.labels.contains_key(label::REVISION) {
        return Some(format!("the label {}", label::REVISION));
    }
    let name = work.subject.namespace.as_deref()?;
    let namespace = work.snapshot.namespaces.iter().find(|n| n.name == name)?;
    namespace_injects(namespace).then(|| format!("the label of namespace {}", namespace.name))
}

/// Whether a namespace asks for sidecars.
pub(crate) fn namespace_injects(namespace: &ObjectMeta) -> bool {
    match namespace.labels.get(label::NAMESPACE_INJECTION).map(String::as_str) {
        Some("enabled") => true,
        Some(_) => false,
        None => namespace.labels.contains_key(label::REVISION),
    }
}
