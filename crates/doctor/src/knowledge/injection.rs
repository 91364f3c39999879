//! Whether a pod of some workload will get a sidecar, as far as manifests say it: by the injector's
//! own decision.
//!
//! # Sources
//! RULES.md A9.

use serde_json::json;
use sunup_api::{annotation, container, label};
use sunup_evidence::object::{Container, Map, Meta as ObjectMeta, PodTemplate};
use sunup_inject::{DecidedBy, Decision, Policy, Subject};

use crate::judging::mesh::{Mesh, Version, inner_yaml};
use crate::judging::workload::{Work, namespace};

/// What says that the workload's pods get a sidecar; `None` where nothing does.
pub(crate) fn by_manifest(work: &Work<'_>) -> Option<String> {
    let (workload, _) = work.manifest?;
    let template = &workload.template;
    let spec = &template.spec;
    let mut all = spec.init_containers.iter().chain(&spec.containers);
    if all.any(|c| c.name == container::PROXY && c.image != "auto") {
        return Some("the template has an istio-proxy".to_owned());
    }
    let namespace = namespace(work.snapshot, work.subject.namespace.as_deref());
    let decision = decide(template, work.subject.namespace.as_deref(), namespace);
    let own = &template.metadata.labels;
    decision.inject.then(|| match (decision.reason, namespace) {
        (DecidedBy::PodRevision { .. }, _) => format!("the label {}", label::REVISION),
        (DecidedBy::PodLabel(_), _) | (_, None) => format!("the label {}", label::INJECT),
        (_, Some(_)) if own.get(label::INJECT).is_some_and(|v| v == "true") => {
            format!("the label {}", label::INJECT)
        }
        (_, Some(namespace)) => format!("the label of namespace {}", namespace.name),
    })
}

/// Whether the injector takes pods of a template, and the fact that decides it: of a namespace that
/// was not handed over no label is assumed.
pub(crate) fn decide(
    template: &PodTemplate,
    name: Option<&str>,
    namespace: Option<&ObjectMeta>,
) -> Decision {
    let meta = &template.metadata;
    let pod = json!({
        "metadata": {"labels": &meta.labels, "annotations": &meta.annotations},
        "spec": {"hostNetwork": template.spec.host_network},
    });
    let none = Map::new();
    let labels = namespace.map_or(&none, |n| &n.labels);
    // Which revisions are there is not known: whichever is asked for may be.
    let asked = [labels.get(label::REVISION), meta.labels.get(label::REVISION)];
    let revisions = asked.into_iter().flatten().map(String::as_str).chain([""]);
    let on =
        Subject { namespace: name.unwrap_or_default(), namespace_labels: Some(labels), pod: &pod };
    let by = |revision: &str| Policy { revision: revision.to_owned(), ..Policy::default() };
    let mut all = revisions.map(|revision| by(revision).decide(&on));
    let first = all.next();
    let yes = first.iter().cloned().chain(all).find(|decision| decision.inject);
    yes.or(first).unwrap_or_else(|| Policy::default().decide(&on))
}

/// Whether a namespace asks for sidecars.
pub(crate) fn namespace_injects(namespace: &ObjectMeta) -> bool {
    match namespace.labels.get(label::NAMESPACE_INJECTION).map(String::as_str) {
        Some("enabled") => true,
        Some(_) => false,
        None => namespace.labels.contains_key(label::REVISION),
    }
}

/// Whether a pod asks to be held until its proxy is ready: by itself, or as the mesh's default.
pub(crate) fn asks_to_hold(template: &PodTemplate, mesh: &Mesh) -> Option<&'static str> {
    let own = template.metadata.annotations.get(annotation::PROXY_CONFIG);
    let of_pod = own.map(|t| inner_yaml(t)).and_then(|c| c.get(annotation::HOLD)?.as_bool());
    let default = mesh.mesh_config.get("defaultConfig").and_then(|c| c.get(annotation::HOLD));
    let default = default.and_then(serde_json::Value::as_bool) == Some(true);
    let value = mesh.values.pointer("/global/proxy/holdApplicationUntilProxyStarts");
    match of_pod {
        Some(true) => Some("the pod's own annotation"),
        _ if value.and_then(serde_json::Value::as_bool) == Some(true) => {
            Some("the mesh's Helm value")
        }
        Some(false) => None,
        None => default.then_some("the mesh's default configuration"),
    }
}

/// Whether a container's postStart hook waits until its proxy is ready.
pub(crate) fn waits(container: &Container) -> bool {
    let hook = container.lifecycle.post_start.as_ref().and_then(|h| h.exec.as_ref());
    hook.is_some_and(|e| {
        let has = |word: &str| e.command.iter().any(|w| w.contains(word));
        has("wait") && (has("pilot-agent") || has("sunup"))
            || has("healthz/ready") && (has("curl") || has("wget"))
    })
}

/// Whether the pods of a template get a native sidecar, as far as annotation, the pods that are
/// there and versions say it.
///
/// # Sources
/// RULES.md 1.4: on by default from Istio 1.27 on, where every kubelet is of 1.33 or later.
pub(crate) fn native(template: &PodTemplate, work: &Work<'_>) -> Option<bool> {
    let versions = work.versions();
    match template.metadata.annotations.get(annotation::NATIVE_SIDECAR).map(String::as_str) {
        Some("true") => return Some(versions.carries_native_sidecars() != Some(false)),
        Some("false") => return Some(false),
        _ => {}
    }
    let baked = template.spec.init_containers.iter().find(|c| c.name == container::PROXY);
    if baked.is_some_and(Container::is_native_sidecar) {
        return Some(true);
    }
    if work.pods.native.is_some() {
        return work.pods.native;
    }
    match (versions.istio, versions.kubelet) {
        (Some(istio), _) if istio < Version(1, 27) => Some(false),
        (_, Some(kubelet)) if kubelet < Version(1, 33) => Some(false),
        (Some(_), Some(_)) => Some(true),
        _ => None,
    }
}

/// Whether a template is one of a pod that comes to an end by itself.
pub(crate) fn ends(template: &PodTemplate) -> bool {
    matches!(template.spec.restart_policy.as_deref(), Some("Never" | "OnFailure"))
}
