//! What a cluster says of the cloud it runs in: its nodes' provider ids and places, and who issues
//! its tokens. Knows no cloud's names.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use sunup_api::label;

use crate::client::Cluster;
use crate::list::List;
use crate::need::NODES;
use crate::request::{Ask, Bounds, Trouble, ask};

/// Where an API server says who issues its service accounts' tokens. Every service account may read
/// it (ClusterRole `system:service-account-issuer-discovery`), and of users those who are allowed to.
///
/// # Sources
/// Kubernetes, "Configure Service Accounts for Pods", "Service account issuer discovery".
const ISSUER: &str = "/.well-known/openid-configuration";
/// Bytes of that answer.
const ISSUER_MAX: usize = 1 << 20;
/// Bytes of a page of nodes: each names the images that it has.
const PAGE_MAX: usize = 64 << 20;

/// What a cluster says of where it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    /// Its nodes.
    pub nodes: Vec<NodePlace>,
    /// Why its nodes could not be seen.
    pub unseen: Option<Box<str>>,
    /// Who issues its tokens, where the API server says it.
    pub issuer: Option<String>,
}

/// Where a node runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePlace {
    /// `spec.providerID`; empty where nobody has set it.
    pub provider_id: String,
    /// The region.
    pub region: Option<String>,
    /// The zone.
    pub zone: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Node {
    metadata: Metadata,
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    labels: std::collections::BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    #[serde(rename = "providerID")]
    provider_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Discovery {
    issuer: Option<String>,
}

/// Asks a cluster where it runs, each question within `within`.
///
/// # Errors
/// What every other request would be answered with too.
pub async fn provider(cluster: &Cluster, within: Duration) -> Result<Provider, Trouble> {
    let mut found = Provider::default();
    let list = List { need: &NODES, version: None, namespace: None, query: Vec::new() };
    let nodes = &mut found.nodes;
    let each = |item: &RawValue| {
        if let Ok(node) = serde_json::from_str::<Node>(item.get()) {
            let label = |name: &str| node.metadata.labels.get(name).cloned();
            nodes.push(NodePlace {
                provider_id: node.spec.provider_id,
                region: label(label::REGION),
                zone: label(label::ZONE),
            });
        }
        false
    };
    match list.read(cluster, Bounds::new(within, PAGE_MAX), each, async |_| {}).await {
        Ok(()) => {}
        Err(trouble) if trouble.is_final() => return Err(trouble),
        Err(trouble) => found.unseen = Some(trouble.to_string().into()),
    }
    // Not everybody may ask, and other things say it too.
    let bounds = Bounds::new(within, ISSUER_MAX);
    if let Ok(bytes) = ask(cluster, &Ask::get(ISSUER.to_owned()), bounds).await {
        let discovery: Discovery = serde_json::from_slice(&bytes).unwrap_or_default();
        found.issuer = discovery.issuer;
    }
    Ok(found)
}
