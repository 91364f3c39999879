//! Where the pod templates of a manifest are. Knows kinds, no text and no injection.
//!
//! # Sources
//! The kinds are those of `istioctl kube-inject`: `initializer.go` and `IntoObject` of istio/istio
//! `pkg/kube/inject` (86c9f01).

use serde_json::{Map, Value};
use sunup_yaml::Segment;

use crate::owner::Owner;
use crate::value::{at, list_at, scalar, text_at};

/// A pod template within a document.
#[derive(Debug, Clone)]
pub(crate) struct Template<'v> {
    /// The object it belongs to.
    pub(crate) owner: Owner,
    /// The object's path in the document.
    pub(crate) object: Vec<Segment>,
    /// Path of the metadata that pods get, below the object.
    metadata: &'static [&'static str],
    /// For CronJobs: path of the Job's metadata, where `kube-inject` writes.
    job_metadata: Option<&'static [&'static str]>,
    /// Path of the pod's spec, below the object.
    spec: &'static [&'static str],
    value: &'v Value,
}

impl<'v> Template<'v> {
    /// Path of the metadata that are read and written. `istio` takes kube-inject's place.
    pub(crate) fn metadata_path(&self, istio: bool) -> &'static [&'static str] {
        self.job_metadata.filter(|_| istio).unwrap_or(self.metadata)
    }

    pub(crate) fn spec_path(&self) -> &'static [&'static str] {
        self.spec
    }

    /// The template as a pod: `metadata` and `spec`. Labels and annotations that were written
    /// without quotes (`true`, `1`) are the strings they stand for, as kube-inject reads them.
    pub(crate) fn pod(&self, istio: bool) -> Value {
        let part = |path: &[&str]| {
            at(self.value, path).cloned().unwrap_or_else(|| Value::Object(Map::new()))
        };
        let mut metadata = part(self.metadata_path(istio));
        for key in ["labels", "annotations"] {
            let all = metadata.get_mut(key).and_then(Value::as_object_mut);
            for value in all.into_iter().flat_map(Map::values_mut) {
                if let Some(text) = scalar(value).filter(|_| !value.is_string()) {
                    *value = Value::String(text.into_owned());
                }
            }
        }
        let entries = [("metadata".to_owned(), metadata), ("spec".to_owned(), part(self.spec))];
        Value::Object(Map::from_iter(entries))
    }

    /// The pod as an API server will see it, for the question whether it is injected.
    pub(crate) fn seen(&self) -> Value {
        self.pod(false)
    }

    /// Name of the object, or what its pods' names begin with.
    pub(crate) fn name(&self) -> &str {
        let generated = || text_at(self.value, &["metadata", "generateName"]);
        let own = Some(self.owner_name()).filter(|n| !n.is_empty());
        own.or_else(generated).unwrap_or("(no name)")
    }

    fn owner_name(&self) -> &str {
        text_at(self.value, &["metadata", "name"]).unwrap_or_default()
    }

    pub(crate) fn kind(&self) -> &str {
        text_at(self.value, &["kind"]).unwrap_or_default()
    }

    /// The namespace that object or template name; empty where neither does.
    pub(crate) fn namespace(&self) -> &str {
        let of = |path: &[&str]| text_at(self.value, path).filter(|n| !n.is_empty());
        let inner: Vec<&str> = self.metadata.iter().copied().chain(["namespace"]).collect();
        of(&["metadata", "namespace"]).or_else(|| of(&inner)).unwrap_or_default()
    }
}

/// A `Namespace` among the manifests.
#[derive(Debug, Clone)]
pub(crate) struct NamespaceObject<'v> {
    pub(crate) name: &'v str,
    pub(crate) value: &'v Value,
}

/// Calls back for every pod template and every Namespace of a document, Lists included.
pub(crate) fn walk<'v>(
    document: &'v Value,
    templates: &mut Vec<Template<'v>>,
    namespaces: &mut Vec<NamespaceObject<'v>>,
) {
    visit(document, Vec::new(), templates, namespaces);
}

/// Lists within Lists are no Kubernetes objects; two levels are more than anybody has.
const LIST_DEPTH: usize = 4;

fn visit<'v>(
    object: &'v Value,
    path: Vec<Segment>,
    templates: &mut Vec<Template<'v>>,
    namespaces: &mut Vec<NamespaceObject<'v>>,
) {
    let kind = text_at(object, &["kind"]).unwrap_or_default();
    let api = text_at(object, &["apiVersion"]).unwrap_or_default();
    if kind == "List" || (kind.ends_with("List") && object.get("items").is_some()) {
        if path.len() >= 2 * LIST_DEPTH {
            return;
        }
        for (i, item) in list_at(object, &["items"]).iter().enumerate() {
            let mut path = path.clone();
            path.extend([Segment::from("items"), Segment::from(i)]);
            visit(item, path, templates, namespaces);
        }
        return;
    }
    if kind == "Namespace" && api == "v1" {
        if let Some(name) = text_at(object, &["metadata", "name"]) {
            namespaces.push(NamespaceObject { name, value: object });
        }
        return;
    }
    let Some((metadata, job_metadata, spec)) = places(api, kind) else { return };
    if at(object, spec).is_none() {
        return;
    }
    let owner = if kind == "Pod" {
        Owner::of_pod(object)
    } else {
        let text = |key| text_at(object, &["metadata", key]).unwrap_or_default().to_owned();
        Owner {
            api_version: api.to_owned(),
            kind: kind.to_owned(),
            name: text("name"),
            namespace: text("namespace"),
        }
    };
    templates.push(Template { owner, object: path, metadata, job_metadata, spec, value: object });
}

type Path = &'static [&'static str];

fn places(api: &str, kind: &str) -> Option<(Path, Option<Path>, Path)> {
    const TEMPLATE: Path = &["spec", "template", "metadata"];
    const TEMPLATE_SPEC: Path = &["spec", "template", "spec"];
    let group = api.rsplit_once('/').map_or("", |(group, _)| group);
    match (group, kind) {
        ("", "Pod") => Some((&["metadata"], None, &["spec"])),
        ("batch", "CronJob") => Some((
            &["spec", "jobTemplate", "spec", "template", "metadata"],
            Some(&["spec", "jobTemplate", "metadata"]),
            &["spec", "jobTemplate", "spec", "template", "spec"],
        )),
        // DeploymentConfigs had no group before OpenShift 3.7, and old manifests still don't.
        ("", "ReplicationController" | "DeploymentConfig")
        | ("apps", "Deployment" | "DaemonSet" | "ReplicaSet" | "StatefulSet")
        | ("batch", "Job")
        | ("apps.openshift.io", "DeploymentConfig") => Some((TEMPLATE, None, TEMPLATE_SPEC)),
        _ => None,
    }
}
