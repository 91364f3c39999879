//! What a kubelet hears from an API server and tells it, for one that runs pods outside of the
//! cluster's nodes: pods of a scheduler of its own, so that no node takes them.
//!
//! No part of the doctor's evidence or of a fix: [`crate::need`] and the roles don't have it.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::Cluster;
use crate::follow::{Event, Follow, meta};
use crate::request::{Ask, Bounds, Trouble, ask, tell};

/// What has become of a pod's object.
#[derive(Debug, Clone)]
pub enum Change {
    /// It is there, as it is now.
    Is(Value),
    /// There is none of this uid any more.
    Gone(String),
    /// Nothing can be heard, and why; it is tried again, later and later.
    Trouble(String),
}

/// A pod in a cluster: never another one of the same name.
#[derive(Debug, Clone)]
pub struct Told<'c> {
    /// The cluster.
    pub cluster: &'c Cluster,
    /// Namespace.
    pub namespace: &'c str,
    /// Name.
    pub name: &'c str,
    /// uid.
    pub uid: &'c str,
}

/// Hears of every pod of a scheduler, in one namespace or all, for as long as it is polled. A
/// watch that breaks off is begun anew; what has gone meanwhile is told then.
pub async fn pods(
    cluster: &Cluster,
    namespace: Option<&str>,
    scheduler: &str,
    each: impl AsyncFnMut(Change),
) {
    let path = match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
        None => "/api/v1/pods".to_owned(),
    };
    changes(cluster, &path, &format!("spec.schedulerName={scheduler}"), each).await;
}

/// The same of every pod of a node.
pub async fn pods_of_node(cluster: &Cluster, node: &str, each: impl AsyncFnMut(Change)) {
    changes(cluster, "/api/v1/pods", &format!("spec.nodeName={node}"), each).await;
}

async fn changes(cluster: &Cluster, path: &str, selector: &str, mut each: impl AsyncFnMut(Change)) {
    let mut changes = Follow::new(cluster, path, Some(("fieldSelector", selector)));
    let (mut known, mut fresh) = (BTreeSet::new(), BTreeSet::new());
    while let Some(event) = changes.next().await {
        match event {
            Event::Begin => fresh.clear(),
            Event::There(pod) => {
                fresh.insert(uid(&pod));
                each(Change::Is(object(pod))).await;
            }
            Event::Listed => {
                for uid in known.difference(&fresh) {
                    each(Change::Gone(String::clone(uid))).await;
                }
                known = std::mem::take(&mut fresh);
            }
            Event::Changed(pod) => {
                known.insert(uid(&pod));
                each(Change::Is(object(pod))).await;
            }
            Event::Gone(pod) => {
                known.remove(&uid(&pod));
                each(Change::Gone(uid(&pod))).await;
            }
            Event::Trouble(why) => each(Change::Trouble(format!("pods: {why}"))).await,
        }
    }
}

/// Each istiod of a namespace: its revision, and its containers' images.
///
/// # Errors
/// What kept the API server from answering.
pub async fn istiods(
    cluster: &Cluster,
    namespace: &str,
) -> Result<Vec<(String, Vec<String>)>, Trouble> {
    let path =
        format!("/apis/apps/v1/namespaces/{namespace}/deployments?labelSelector=app%3Distiod");
    let bytes = ask(cluster, &Ask::get(path), Bounds::object()).await?;
    let list: Value =
        serde_json::from_slice(&bytes).map_err(|why| Trouble::Garbled(why.to_string().into()))?;
    let deployments = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let one = |deployment: &Value| {
        let revision = deployment["metadata"]["labels"]["istio.io/rev"].as_str();
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array();
        let images = containers.into_iter().flatten().filter_map(|c| c["image"].as_str());
        (revision.unwrap_or("default").to_owned(), images.map(str::to_owned).collect())
    };
    Ok(deployments.iter().map(one).collect())
}

/// Why an object is gone or goes; `None` where it stays, or nobody can be asked. Who may no longer ask,
/// asks for what went with its rights.
pub async fn goes(cluster: &Cluster, path: &str) -> Option<String> {
    match ask(cluster, &Ask::get(path.to_owned()), Bounds::object()).await {
        Ok(bytes) => {
            let object: Value = serde_json::from_slice(&bytes).ok()?;
            let at = object["metadata"]["deletionTimestamp"].as_str()?;
            Some(format!("{path} is being deleted since {at}"))
        }
        Err(why @ Trouble::Refused(_)) if matches!(why.code(), Some(401 | 403 | 404)) => {
            Some(why.to_string())
        }
        Err(_) => None,
    }
}

fn uid(pod: &Value) -> String {
    meta(pod, "uid").to_owned()
}

fn object(mut object: Value) -> Value {
    // Items of a list leave out what they are.
    object["apiVersion"] = "v1".into();
    object["kind"] = "Pod".into();
    object
}

/// A namespace's Services and ConfigMaps, which pods there may need.
///
/// # Errors
/// What kept the API server from answering.
pub async fn surroundings(cluster: &Cluster, namespace: &str) -> Result<Vec<Value>, Trouble> {
    let mut all = Vec::new();
    for (resource, kind) in [("configmaps", "ConfigMap"), ("services", "Service")] {
        let path = format!("/api/v1/namespaces/{namespace}/{resource}");
        let bytes = ask(cluster, &Ask::get(path), Bounds::object()).await?;
        let mut list: Value = serde_json::from_slice(&bytes)
            .map_err(|why| Trouble::Garbled(why.to_string().into()))?;
        for item in list["items"].as_array_mut().into_iter().flatten() {
            item["apiVersion"] = "v1".into();
            item["kind"] = kind.into();
            all.push(item.take());
        }
    }
    Ok(all)
}

/// Records an event in its namespace.
///
/// # Errors
/// What kept it from being recorded.
pub async fn record(cluster: &Cluster, event: &Value) -> Result<(), Trouble> {
    tell(cluster, Method::POST, events(event), "application/json", event).await
}

/// Records that an event of this name has happened again.
///
/// # Errors
/// What kept it from being recorded.
pub async fn record_again(cluster: &Cluster, event: &Value) -> Result<(), Trouble> {
    let name = event["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("{}/{name}", events(event));
    let part = json!({"count": event["count"], "lastTimestamp": event["lastTimestamp"]});
    tell(cluster, Method::PATCH, path, "application/merge-patch+json", &part).await
}

fn events(event: &Value) -> String {
    let namespace = event["metadata"]["namespace"].as_str().unwrap_or_default();
    format!("/api/v1/namespaces/{namespace}/events")
}

impl Told<'_> {
    /// Reports the pod's status.
    ///
    /// # Errors
    /// What kept it from being reported: 404 and 409 where the pod has gone.
    pub async fn status(&self, status: &Value) -> Result<(), Trouble> {
        // Another uid than the object's is a conflict.
        let part = json!({"metadata": {"uid": self.uid}, "status": status});
        let path = format!("{}/status", self.path());
        tell(self.cluster, Method::PATCH, path, "application/merge-patch+json", &part).await
    }

    /// Takes the object away, after the pod's processes have ended.
    ///
    /// # Errors
    /// What kept it from being taken away: 404 and 409 where it is gone already.
    pub async fn remove(&self) -> Result<(), Trouble> {
        let options = json!({"kind": "DeleteOptions", "apiVersion": "v1",
            "gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}});
        tell(self.cluster, Method::DELETE, self.path(), "application/json", &options).await
    }

    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/pods/{}", self.namespace, self.name)
    }
}
