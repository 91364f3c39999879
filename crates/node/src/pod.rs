//! The few fields of a pod that decide. Reads what an API server has; unknown fields are nothing
//! to it, and missing ones have Kubernetes' defaults.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sunup_api::annotation;

use crate::wire::PodName;

/// A pod, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Who it is.
    pub metadata: Metadata,
    /// What it asks for.
    pub spec: Spec,
    /// What has become of it.
    pub status: Status,
}

/// Names and notes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// uid.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// What a pod asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The node's own network.
    pub host_network: bool,
    /// `false`: a user namespace of its own.
    pub host_users: Option<bool>,
    /// The operating system that it says it needs.
    pub os: Option<Os>,
    /// Where it may run.
    pub node_selector: BTreeMap<String, String>,
    /// As whom its containers run.
    pub security_context: SecurityContext,
    /// Containers that run first.
    pub init_containers: Vec<Container>,
    /// Containers.
    pub containers: Vec<Container>,
}

/// `spec.os`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `linux` or `windows`.
    pub name: String,
}

/// As whom something runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecurityContext {
    /// The uid, where the pod says it.
    pub run_as_user: Option<u32>,
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, as far as it is written out.
    pub env: Vec<Variable>,
    /// As whom it runs.
    pub security_context: SecurityContext,
}

/// A variable of a container's environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Variable {
    /// Name.
    pub name: String,
    /// Value; empty where it comes from elsewhere.
    pub value: String,
}

impl Container {
    /// A variable that is written out.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|v| v.name == name).map(|v| v.value.as_str())
    }

    /// The value of an option: `-p 15001`, `--envoy-port 15001` or `--envoy-port=15001`.
    #[must_use]
    pub fn option(&self, short: &str, long: &str) -> Option<&str> {
        let mut args = self.args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            if arg == short || arg == long {
                return args.next();
            }
            let joined = arg.strip_prefix(long).and_then(|rest| rest.strip_prefix('='));
            if joined.is_some() {
                return joined;
            }
        }
        None
    }
}

/// What has become of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: String,
    /// Its addresses.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<Address>,
    /// What its init containers have come to.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// What its containers have come to.
    pub container_statuses: Vec<ContainerStatus>,
}

/// One of a pod's addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Address {
    /// As text.
    pub ip: String,
}

/// What a container has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Of which container.
    pub name: String,
    /// Its state: `terminated` has an exit code.
    pub state: BTreeMap<String, Value>,
    /// The state before, likewise.
    pub last_state: BTreeMap<String, Value>,
}

impl Pod {
    /// Reads an API server's object.
    ///
    /// # Errors
    /// A field of another type than Kubernetes gives it.
    pub fn read(object: &Value) -> Result<Self, serde_json::Error> {
        Pod::deserialize(object)
    }

    /// Its name, as it is told.
    #[must_use]
    pub fn name(&self) -> PodName {
        let Metadata { namespace, name, uid, .. } = &self.metadata;
        PodName { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() }
    }

    /// The uids by which a node may know it: its own, and that of which a static pod is a mirror.
    pub fn uids(&self) -> impl Iterator<Item = &str> {
        let own = self.metadata.uid.as_str();
        std::iter::once(own).chain(self.annotation(annotation::MIRROR))
    }

    /// Whether a runtime means this one: by uid; by name where the runtime gives none.
    #[must_use]
    pub fn is(&self, name: &PodName) -> bool {
        let meta = &self.metadata;
        let uid = name.uid.is_empty() || self.uids().any(|uid| uid == name.uid);
        uid && meta.name == name.name && meta.namespace == name.namespace
    }

    /// A container of this name, of either kind.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.spec.containers.iter().chain(&self.spec.init_containers).find(|c| c.name == name)
    }

    /// An annotation, trimmed.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.get(key).map(|value| value.trim())
    }

    /// Whether an init container of this name has ended well.
    #[must_use]
    pub fn init_is_over(&self, name: &str) -> bool {
        let status = self.status.init_container_statuses.iter().find(|c| c.name == name);
        let ended = status.and_then(|status| status.state.get("terminated"));
        ended.is_some_and(|ended| ended["exitCode"].as_i64() == Some(0))
    }

    /// When the last run of a container that has ended began, as the kubelet writes times.
    #[must_use]
    pub fn last_run_began(&self, name: &str) -> Option<&str> {
        let status = &self.status;
        let mut all = status.container_statuses.iter().chain(&status.init_container_statuses);
        let status = all.find(|c| c.name == name)?;
        let ended = status.state.get("terminated").or_else(|| status.last_state.get("terminated"));
        ended?["startedAt"].as_str()
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it is meant for Windows.
    #[must_use]
    pub fn is_windows(&self) -> bool {
        let selected = self.spec.node_selector.get("kubernetes.io/os");
        self.spec.os.as_ref().is_some_and(|os| os.name == "windows")
            || selected.is_some_and(|os| os == "windows")
    }
}
