//! Kubernetes objects as far as the lab runs them: read from YAML or JSON, strictly. A field that
//! the lab neither carries out nor may leave out is an error that names it.

mod accepted;
mod pod;
mod volume;
mod workload;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

pub use pod::{
    Capabilities, Container, EnvFrom, EnvVar, ExecAction, Grpc, Hook, HttpGet, Lifecycle, Lookup,
    Metadata, Pod, PodName, PodSecurity, PodSpec, Port, Probe, RestartPolicy, Security, Sysctl,
    TcpSocket,
};
pub use volume::{Downward, KeyPath, Projection, Source, Volume, VolumeMount};
pub use workload::pods_of;
pub(crate) use workload::uid;

/// A Service: a name, an address, and the pods behind it.
#[derive(Debug, Clone, Deserialize)]
pub struct Service {
    /// Name and namespace.
    pub metadata: Metadata,
    /// What it selects and serves.
    pub spec: ServiceSpec,
}

/// A Service's spec; all that only load balancers and humans read is left out.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `None`: the lab gives one; the text `None`: headless.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// Labels of its pods.
    pub selector: BTreeMap<String, String>,
    /// Ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The Service's own.
    pub port: u16,
    /// The pods'; the same number where it is missing.
    #[serde(default)]
    pub target_port: Option<Port>,
    /// TCP unless it says UDP.
    #[serde(default)]
    pub protocol: Option<String>,
}

/// An object of a manifest, as far as the lab knows what to do with it.
#[derive(Debug, Clone)]
pub enum Object {
    /// A pod.
    Pod(Box<Pod>),
    /// Something that makes pods, as it stands; see [`pods_of`].
    Workload(Value),
    /// A Service.
    Service(Box<Service>, Value),
    /// A ConfigMap's or Secret's data, decoded.
    Data {
        /// A Secret.
        secret: bool,
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
        /// Files.
        data: BTreeMap<String, Vec<u8>>,
    },
    /// Without effect here: Namespace, ServiceAccount, roles, mesh resources.
    Other(Value),
}

/// Kinds that have no effect on how a pod starts in the lab.
const WITHOUT_EFFECT: &[&str] = &[
    "Namespace",
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ClusterRole",
    "ClusterRoleBinding",
    "PodDisruptionBudget",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "Gateway",
    "VirtualService",
    "DestinationRule",
    "IstioOperator",
    "Node",
];

/// Reads every document of a text.
///
/// # Errors
/// The text is no YAML, or holds an object that the lab can't run; the error names the place.
pub fn read(text: &str) -> anyhow::Result<Vec<Object>> {
    let mut objects = Vec::new();
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| anyhow::anyhow!("{e}"))?;
    for document in documents {
        if document.is_null() {
            continue;
        }
        let items = if document["kind"].as_str().is_some_and(|k| k.ends_with("List")) {
            document["items"].as_array().cloned().unwrap_or_default()
        } else {
            vec![document]
        };
        for item in items {
            objects.push(object(item)?);
        }
    }
    Ok(objects)
}

/// Sorts one object.
///
/// # Errors
/// It is no object of Kubernetes, or one that the lab can't run.
pub fn object(value: Value) -> anyhow::Result<Object> {
    let kind = value["kind"].as_str().context("a document without `kind`")?.to_owned();
    let name = value["metadata"]["name"].as_str().unwrap_or("?").to_owned();
    let what = || format!("{kind} {name}");
    Ok(match kind.as_str() {
        "Pod" => Object::Pod(Box::new(Pod::read(value).with_context(what)?)),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob" => {
            Object::Workload(value)
        }
        "Service" => {
            let service = serde_path_to_error::deserialize(&value).with_context(what)?;
            Object::Service(Box::new(service), value)
        }
        "ConfigMap" | "Secret" => data(&kind, &value).with_context(what)?,
        kind if WITHOUT_EFFECT.contains(&kind) => Object::Other(value),
        _ => bail!("{kind} {name}: the lab runs no {kind}"),
    })
}

fn data(kind: &str, value: &Value) -> anyhow::Result<Object> {
    let metadata: Metadata = serde_path_to_error::deserialize(&value["metadata"])?;
    let mut data = BTreeMap::new();
    let secret = kind == "Secret";
    let (plain, encoded) = if secret { ("stringData", "data") } else { ("data", "binaryData") };
    for (key, text) in value[plain].as_object().into_iter().flatten() {
        let text = text.as_str().with_context(|| format!("{plain}.{key} is no text"))?;
        data.insert(key.clone(), text.as_bytes().to_vec());
    }
    for (key, text) in value[encoded].as_object().into_iter().flatten() {
        use base64::Engine as _;
        let text = text.as_str().with_context(|| format!("{encoded}.{key} is no text"))?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        data.insert(key.clone(), bytes.with_context(|| format!("{encoded}.{key}: base64"))?);
    }
    Ok(Object::Data { secret, namespace: metadata.namespace, name: metadata.name, data })
}
