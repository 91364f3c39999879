//! What an injector wants to know of a cluster and hear of again when it changes: the ConfigMaps
//! of an existing Istio, the oldest node's Kubernetes, and the namespaces' uid ranges.
//!
//! Watches end with the process; one that breaks is begun again, later and later, so that an API
//! server that is away is not stormed.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node};
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;
use tokio::sync::mpsc;

use crate::client::Cluster;

/// News from the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A ConfigMap as JSON (with `kind`), or that there is none.
    ConfigMap {
        /// Its name.
        name: String,
        /// Its text.
        text: Option<String>,
    },
    /// The oldest kubelet's version, `(1, 33)`; `None` where no node says.
    Nodes(Option<(u32, u32)>),
    /// A namespace and its annotations about uid ranges; empty where it has none or is gone.
    Namespace {
        /// Its name.
        name: String,
        /// The annotations.
        annotations: BTreeMap<String, String>,
    },
    /// A watch can't go on; it is begun again.
    Trouble(String),
}

/// What annotations of a namespace are told of.
const UID_RANGES: &str = "openshift.io/sa.scc.";

/// Watches these ConfigMaps of a namespace, all nodes and all namespaces. News come for as long as
/// somebody takes them.
pub fn watch(cluster: &Cluster, namespace: &str, names: &[String]) -> mpsc::Receiver<News> {
    let (tell, news) = mpsc::channel(64);
    for name in names {
        let api = Api::namespaced(cluster.client().clone(), namespace);
        tokio::spawn(config_map(api, name.clone(), tell.clone()));
    }
    tokio::spawn(nodes(Api::all(cluster.client().clone()), tell.clone()));
    tokio::spawn(namespaces(Api::all(cluster.client().clone()), tell));
    news
}

/// How a watch is begun: pages as large as they come cheap.
fn config() -> watcher::Config {
    watcher::Config::default().page_size(200)
}

async fn config_map(api: Api<ConfigMap>, name: String, tell: mpsc::Sender<News>) {
    let only = config().fields(&format!("metadata.name={name}"));
    let mut events = watcher(api, only).default_backoff().boxed();
    let mut found = false;
    while let Some(event) = events.next().await {
        let text = match event {
            Ok(Event::Init) => {
                found = false;
                continue;
            }
            Ok(Event::InitApply(map) | Event::Apply(map)) => {
                found = true;
                Some(text(&map))
            }
            // The list had it already.
            Ok(Event::InitDone) if found => continue,
            Ok(Event::InitDone | Event::Delete(_)) => None,
            Err(why) => {
                let trouble = News::Trouble(format!("configmaps/{name}: {why}"));
                if tell.send(trouble).await.is_err() {
                    return;
                }
                continue;
            }
        };
        if tell.send(News::ConfigMap { name: name.clone(), text }).await.is_err() {
            return;
        }
    }
}

fn text(map: &ConfigMap) -> String {
    let name = map.metadata.name.as_deref().unwrap_or_default();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": map.data})
        .to_string()
}

async fn nodes(api: Api<Node>, tell: mpsc::Sender<News>) {
    let mut known: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut told = None;
    let mut events = watcher(api, config()).default_backoff().boxed();
    let mut listing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => {
                known.clear();
                listing = true;
            }
            Ok(Event::InitApply(node) | Event::Apply(node)) => {
                let version = node.status.and_then(|s| s.node_info).map(|i| i.kubelet_version);
                let version = version.as_deref().and_then(version_of);
                if let (Some(name), Some(version)) = (node.metadata.name, version) {
                    known.insert(name, version);
                }
            }
            Ok(Event::Delete(node)) => drop(node.metadata.name.map(|n| known.remove(&n))),
            Ok(Event::InitDone) => listing = false,
            Err(why) => {
                if tell.send(News::Trouble(format!("nodes: {why}"))).await.is_err() {
                    return;
                }
            }
        }
        let oldest = known.values().min().copied();
        // Half a list may lack the oldest.
        if !listing && told != Some(oldest) {
            told = Some(oldest);
            if tell.send(News::Nodes(oldest)).await.is_err() {
                return;
            }
        }
    }
}

/// `v1.33.2-gke.100`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    let digits = |part: &str| part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    Some((parts.next().and_then(digits)?, parts.next().and_then(digits)?))
}

async fn namespaces(api: Api<Namespace>, tell: mpsc::Sender<News>) {
    let mut told: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    let mut events = watcher(api, config()).default_backoff().boxed();
    while let Some(event) = events.next().await {
        let (name, annotations) = match event {
            Ok(Event::InitApply(found) | Event::Apply(found)) => {
                let all = found.metadata.annotations.unwrap_or_default().into_iter();
                let ranges = all.filter(|(key, _)| key.starts_with(UID_RANGES)).collect();
                (found.metadata.name, ranges)
            }
            Ok(Event::Delete(gone)) => (gone.metadata.name, BTreeMap::new()),
            Ok(Event::Init | Event::InitDone) => continue,
            Err(why) => {
                if tell.send(News::Trouble(format!("namespaces: {why}"))).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let Some(name) = name else { continue };
        let news_worthy = if annotations.is_empty() {
            told.remove(&name)
        } else {
            told.insert(name.clone());
            true
        };
        if news_worthy && tell.send(News::Namespace { name, annotations }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn kubelets_versions() {
        assert_eq!(version_of("v1.33.2-gke.100"), Some((1, 33)));
        assert_eq!(version_of("v1.29+"), Some((1, 29)));
        assert_eq!(version_of("latest"), None);
    }
}
