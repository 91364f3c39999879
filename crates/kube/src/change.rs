//! Changes of workloads: server-side apply under a field manager of our own, who else manages the
//! object, taking back, and making anew what can't be changed.

use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::Cluster;
use crate::list::List;
use crate::need::{Need, PODS, workload};
use crate::request::{Ask, Bounds, Trouble, ask, escape};
use crate::watch::PodState;

/// How long one change may take.
const WITHIN: Duration = Duration::from_secs(30);
/// Bytes of one object; etcd takes no larger ones.
const OBJECT_BYTES: usize = 8 << 20;

/// A workload in a cluster, by name.
#[derive(Debug, Clone)]
pub struct Workload<'c> {
    cluster: &'c Cluster,
    need: &'static Need,
    namespace: String,
    name: String,
}

/// Whether a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The server says what would come of it, and keeps nothing.
    DryRun,
    /// It is made, unless somebody else owns a field.
    Real,
    /// It is made, and fields are taken over.
    Force,
}

impl<'c> Workload<'c> {
    /// `None` for kinds that are not known here.
    #[must_use]
    pub fn named(cluster: &'c Cluster, kind: &str, namespace: &str, name: &str) -> Option<Self> {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Some(Workload { cluster, need: workload(kind)?, namespace, name })
    }

    /// The object as it is now; `None` where there is none.
    ///
    /// # Errors
    /// What kept the API server from answering.
    pub async fn read(&self) -> Result<Option<Value>, Trouble> {
        let name = format!("metadata.name={}", self.name);
        let query = vec![("fieldSelector", name.as_str())];
        let namespace = Some(self.namespace.as_str());
        let list = List { need: self.need, version: None, namespace, query };
        let mut found = None;
        let each = |item: &serde_json::value::RawValue| {
            found = serde_json::from_str::<Value>(item.get()).ok();
            false
        };
        list.read(self.cluster, bounds(), each, async |_| {}).await?;
        if let Some(Value::Object(object)) = &mut found {
            // Items of a list leave out what they are.
            object.insert("apiVersion".to_owned(), self.need.api_version().into());
            object.insert("kind".to_owned(), self.need.kind.into());
        }
        Ok(found)
    }

    /// Applies a part of the object under a field manager; the object as it is then.
    ///
    /// # Errors
    /// A conflict (409) names each field and its owner; else what kept it from being applied.
    pub async fn apply(&self, part: &Value, manager: &str, mode: Mode) -> Result<Value, Trouble> {
        let mut whole = part.clone();
        whole["apiVersion"] = self.need.api_version().into();
        whole["kind"] = self.need.kind.into();
        whole["metadata"]["name"] = self.name.as_str().into();
        whole["metadata"]["namespace"] = self.namespace.as_str().into();
        let force = mode == Mode::Force;
        let query = format!("?fieldManager={}&force={force}{}", escape(manager), dry(mode));
        self.patch(&query, "application/apply-patch+yaml", &whole).await
    }

    /// Merges a part into the object; a null removes a field.
    ///
    /// # Errors
    /// What kept it from being merged.
    pub async fn merge(&self, part: &Value, manager: &str, mode: Mode) -> Result<Value, Trouble> {
        let query = format!("?fieldManager={}{}", escape(manager), dry(mode));
        self.patch(&query, "application/strategic-merge-patch+json", part).await
    }

    /// Restarts its pods, as `kubectl rollout restart` does: a new template makes new pods.
    ///
    /// # Errors
    /// What kept it from being changed.
    pub async fn restart(&self, now: jiff::Timestamp, manager: &str) -> Result<Value, Trouble> {
        let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let annotation = json!({"annotations": {"kubectl.kubernetes.io/restartedAt": now}});
        let template = json!({"metadata": annotation});
        let part = match self.need.kind {
            "CronJob" => json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}),
            _ => json!({"spec": {"template": template}}),
        };
        self.merge(&part, manager, Mode::Real).await
    }

    /// Puts the template of `before` back, unless somebody else has changed it since.
    ///
    /// # Errors
    /// 409 or 422 where the template is not the one of `after` any more.
    pub async fn put_back(&self, before: &Value, after: &Value) -> Result<Value, Trouble> {
        let path = match self.need.kind {
            "CronJob" => "/spec/jobTemplate/spec/template",
            _ => "/spec/template",
        };
        let of = |object: &Value| object.pointer(path).cloned().unwrap_or_default();
        let operations = json!([
            {"op": "test", "path": path, "value": of(after)},
            {"op": "replace", "path": path, "value": of(before)},
        ]);
        self.patch("?fieldManager=sunup", "application/json-patch+json", &operations).await
    }

    async fn patch(&self, query: &str, kind: &'static str, body: &Value) -> Result<Value, Trouble> {
        let path = format!("{}{query}", self.path());
        let request = Ask::send(Method::PATCH, path, kind, body.to_string().into_bytes());
        object(&ask(self.cluster, &request, bounds()).await?)
    }

    /// Deletes it and its pods, and waits until it has gone.
    ///
    /// # Errors
    /// What kept it from being deleted, or [`Trouble::Late`] where it stays.
    pub async fn delete(&self, within: Duration) -> Result<(), Trouble> {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1",
            "propagationPolicy": "Background"});
        let body = options.to_string().into_bytes();
        let request = Ask::send(Method::DELETE, self.path(), "application/json", body);
        ask(self.cluster, &request, bounds()).await?;
        let gone = async {
            while self.read().await?.is_some() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        };
        tokio::time::timeout(within, gone).await.unwrap_or(Err(Trouble::Late(within)))
    }

    /// Creates an object of this kind in this namespace.
    ///
    /// # Errors
    /// What kept it from being created.
    pub async fn create(&self, new: &Value, mode: Mode) -> Result<Value, Trouble> {
        let path = self.need.path(Some(&self.namespace));
        let path = format!("{path}?fieldManager=sunup{}", dry(mode));
        let body = new.to_string().into_bytes();
        let request = Ask::send(Method::POST, path, "application/json", body);
        object(&ask(self.cluster, &request, bounds()).await?)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.need.path(Some(&self.namespace)), self.name)
    }
}

/// Deletes one pod and no other of its name, so that its workload makes a new one.
///
/// # Errors
/// What kept it from being deleted: 404 and 409 where it has gone already.
pub async fn delete_pod(cluster: &Cluster, namespace: &str, pod: &PodState) -> Result<(), Trouble> {
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1",
        "preconditions": {"uid": pod.uid}});
    let path = format!("{}/{}", PODS.path(Some(namespace)), pod.name);
    let body = options.to_string().into_bytes();
    let request = Ask::send(Method::DELETE, path, "application/json", body);
    ask(cluster, &request, bounds()).await.map(|_| ())
}

fn bounds() -> Bounds {
    Bounds::new(WITHIN, OBJECT_BYTES)
}

fn dry(mode: Mode) -> &'static str {
    if mode == Mode::DryRun { "&dryRun=All" } else { "" }
}

fn object(bytes: &[u8]) -> Result<Value, Trouble> {
    serde_json::from_slice(bytes).map_err(|why| Trouble::Garbled(why.to_string().into()))
}

/// Tools that write an object again and again from somewhere else, told by the marks they leave.
///
/// # Sources
/// Argo CD, "Resource Tracking"; Flux, "Kustomization" and "HelmRelease" labels; Helm 3 release
/// annotations; Config Sync, "Labels and annotations".
#[must_use]
pub fn managed_by(object: &Value) -> Vec<&'static str> {
    let meta = &object["metadata"];
    let has = |field: &str, key: &str| !meta[field][key].is_null();
    let managers = managers(object);
    let by = |start: &str| managers.iter().any(|manager| manager.starts_with(start));
    let argo = has("annotations", "argocd.argoproj.io/tracking-id")
        || has("labels", "argocd.argoproj.io/instance")
        || by("argocd");
    let flux = has("labels", "kustomize.toolkit.fluxcd.io/name")
        || has("labels", "helm.toolkit.fluxcd.io/name")
        || by("kustomize-controller")
        || by("helm-controller");
    let sync = has("annotations", "configsync.gke.io/resource-id")
        || has("annotations", "configmanagement.gke.io/managed");
    let helm = has("annotations", "meta.helm.sh/release-name");
    let all = [(argo, "Argo CD"), (flux, "Flux"), (sync, "Config Sync"), (helm, "Helm")];
    all.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect()
}

/// Names of everybody who has set a field.
fn managers(object: &Value) -> BTreeSet<String> {
    let all = object["metadata"]["managedFields"].as_array();
    let names = all.into_iter().flatten().filter_map(|entry| entry["manager"].as_str());
    names.map(str::to_owned).collect()
}

/// What an object of a cluster has to lose to be created a second time.
#[must_use]
pub fn anew(object: &Value) -> Value {
    let mut new = object.clone();
    let Some(whole) = new.as_object_mut() else { return new };
    whole.remove("status");
    if let Some(meta) = whole.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"]
        {
            meta.remove(field);
        }
    }
    // A Job's selector and the labels it selects by are made from its uid.
    let own = ["controller-uid", "job-name"].map(|name| format!("batch.kubernetes.io/{name}"));
    let labels = own.iter().map(String::as_str).chain(["controller-uid", "job-name"]);
    for label in labels {
        for path in ["/metadata/labels", "/spec/template/metadata/labels"] {
            if let Some(map) = new.pointer_mut(path).and_then(Value::as_object_mut) {
                map.remove(label);
            }
        }
    }
    if new["kind"] == "Job"
        && new["spec"]["manualSelector"] != true
        && let Some(spec) = new["spec"].as_object_mut()
    {
        spec.remove("selector");
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_manages_an_object_is_told_by_its_marks() {
        assert_eq!(managed_by(&json!({"metadata": {"name": "x"}})), [""; 0]);
        let argo = json!({"metadata": {"managedFields": [{"manager": "argocd-controller"}]}});
        assert_eq!(managed_by(&argo), ["Argo CD"]);
        let both = json!({"metadata": {"labels": {"helm.toolkit.fluxcd.io/name": "x"},
            "annotations": {"meta.helm.sh/release-name": "x"}}});
        assert_eq!(managed_by(&both), ["Flux", "Helm"]);
    }

    #[test]
    fn a_job_is_made_anew_without_what_the_first_one_was_given() {
        let labels =
            json!({"app": "a", "controller-uid": "u", "batch.kubernetes.io/job-name": "j"});
        let job = json!({"kind": "Job", "metadata": {"name": "j", "uid": "u", "labels": labels},
            "spec": {"selector": {"matchLabels": {"controller-uid": "u"}},
                "template": {"metadata": {"labels": labels}}}, "status": {"failed": 1}});
        let want = json!({"kind": "Job", "metadata": {"name": "j", "labels": {"app": "a"}},
            "spec": {"template": {"metadata": {"labels": {"app": "a"}}}}});
        assert_eq!(anew(&job), want);
    }
}
