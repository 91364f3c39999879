//! What an injector wants to know of a cluster and hear of again when it changes: the ConfigMaps
//! of an existing Istio, the oldest node's Kubernetes, and the namespaces' uid ranges.
//!
//! Watches end with the process; one that breaks is begun again, later and later, so that an API
//! server that is away is not stormed.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::Cluster;
use crate::follow::{Event, Follow, meta};

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
/// somebody takes them and none of the tasks ends, which nobody else would notice.
pub fn watch(
    cluster: &Cluster,
    namespace: &str,
    names: &[String],
) -> (mpsc::Receiver<News>, Vec<JoinHandle<()>>) {
    let (tell, news) = mpsc::channel(64);
    let map = |name: &String| {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        let only = format!("metadata.name={name}");
        let events = Follow::new(cluster, &path, Some(("fieldSelector", &only)));
        tokio::spawn(config_map(events, name.clone(), tell.clone()))
    };
    let mut tasks: Vec<_> = names.iter().map(map).collect();
    let all = Follow::new(cluster, "/api/v1/nodes", None);
    tasks.push(tokio::spawn(nodes(all, tell.clone())));
    let all = Follow::new(cluster, "/api/v1/namespaces", None);
    tasks.push(tokio::spawn(namespaces(all, tell)));
    (news, tasks)
}

async fn config_map(mut events: Follow, name: String, tell: mpsc::Sender<News>) {
    let mut found = false;
    while let Some(event) = events.next().await {
        let text = match event {
            Event::Begin => {
                found = false;
                continue;
            }
            Event::There(map) | Event::Changed(map) => {
                found = true;
                Some(text(&map))
            }
            // The list had it already.
            Event::Listed if found => continue,
            Event::Listed | Event::Gone(_) => None,
            Event::Trouble(why) => {
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

fn text(map: &Value) -> String {
    let metadata = json!({"name": meta(map, "name")});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": map["data"]})
        .to_string()
}

async fn nodes(mut events: Follow, tell: mpsc::Sender<News>) {
    let mut known: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut told = None;
    let mut listing = false;
    while let Some(event) = events.next().await {
        match event {
            Event::Begin => {
                known.clear();
                listing = true;
            }
            Event::There(node) | Event::Changed(node) => {
                let version = node["status"]["nodeInfo"]["kubeletVersion"].as_str();
                if let Some(version) = version.and_then(version_of) {
                    known.insert(meta(&node, "name").to_owned(), version);
                }
            }
            Event::Gone(node) => drop(known.remove(meta(&node, "name"))),
            Event::Listed => listing = false,
            Event::Trouble(why) => {
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

async fn namespaces(mut events: Follow, tell: mpsc::Sender<News>) {
    let mut told: std::collections::BTreeSet<String> = std::collections::BTreeSet::new();
    while let Some(event) = events.next().await {
        let (name, annotations) = match event {
            Event::There(found) | Event::Changed(found) => {
                let all = found["metadata"]["annotations"].as_object().into_iter().flatten();
                let ranges = all.filter(|(key, _)| key.starts_with(UID_RANGES));
                let text =
                    |(key, text): (&String, &Value)| Some((key.clone(), text.as_str()?.into()));
                (meta(&found, "name").to_owned(), ranges.filter_map(text).collect())
            }
            Event::Gone(gone) => (meta(&gone, "name").to_owned(), BTreeMap::new()),
            Event::Begin | Event::Listed => continue,
            Event::Trouble(why) => {
                if tell.send(News::Trouble(format!("namespaces: {why}"))).await.is_err() {
                    return;
                }
                continue;
            }
        };
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
