//! What belongs to a mesh's own control plane, whose labels mean other things than its users'.
//!
//! # Sources
//! istio/istio `manifests/charts` (istiod, cni, ztunnel, gateways: `istio.io/rev` on the objects that
//! belong to a revision; `operator.istio.io/component`, `install.operator.istio.io/…`).

use sunup_evidence::object::Workload;

/// Whether an object is a part of the mesh itself, as its installation writes it.
pub(crate) fn is_part(workload: &Workload) -> bool {
    let meta = &workload.metadata;
    let installed = |key: &String| {
        key.starts_with("operator.istio.io/") || key.starts_with("install.operator.istio.io/")
    };
    let named = |key: &str, names: &[&str]| {
        meta.labels.get(key).is_some_and(|name| names.contains(&name.as_str()))
    };
    let spec = &workload.template.spec;
    let mut images = spec.init_containers.iter().chain(&spec.containers).map(|c| c.image.as_str());
    meta.labels.keys().any(installed)
        || named("app", &["istiod", "istio-cni-node", "ztunnel", "pilot"])
        || named("k8s-app", &["istio-cni-node"])
        || images.any(|image| {
            let path = image.split([':', '@']).next().unwrap_or_default();
            ["/pilot", "/install-cni", "/ztunnel"].iter().any(|name| path.ends_with(name))
        })
}
