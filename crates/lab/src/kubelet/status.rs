//! A pod's status as the kubelet reports it, in the form of the API.
//!
//! # Sources
//! Kubernetes API reference, PodStatus; `pkg/kubelet/kubelet_pods.go` (phases), `status/generate.go`
//! (conditions).

use jiff::Timestamp;
use serde::Serialize;

/// A pod's status.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded` or `Failed`.
    pub phase: Phase,
    /// Why, where it failed as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Initialized, Ready …
    pub conditions: Vec<Condition>,
    /// The node's address.
    #[serde(rename = "hostIP")]
    pub host_ip: String,
    /// The pod's address.
    #[serde(rename = "podIP", skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<String>,
    /// The same as a list.
    #[serde(rename = "podIPs", skip_serializing_if = "Vec::is_empty")]
    pub pod_ips: Vec<PodIp>,
    /// When the kubelet took it.
    pub start_time: Option<Time>,
    /// Init containers, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Containers, in order.
    pub container_statuses: Vec<ContainerStatus>,
    /// Quality of service.
    pub qos_class: &'static str,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum Phase {
    /// Not all containers were started.
    #[default]
    Pending,
    /// They were.
    Running,
    /// All ended well.
    Succeeded,
    /// One did not.
    Failed,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// A condition of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Such as `Ready`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// `True` or `False`.
    pub status: &'static str,
    /// When that changed.
    pub last_transition_time: Time,
    /// Such as `ContainersNotReady`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A container's status.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Name.
    pub name: String,
    /// What it does now.
    pub state: State,
    /// How it ended before.
    pub last_state: State,
    /// It takes requests.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: u32,
    /// Image.
    pub image: String,
    /// Image, by what it holds: the lab's are programs of this machine.
    #[serde(rename = "imageID")]
    pub image_id: String,
    /// The runtime's id.
    #[serde(rename = "containerID", skip_serializing_if = "String::is_empty")]
    pub container_id: String,
    /// Its startup probe has succeeded, or there is none and it runs.
    pub started: bool,
    /// It is a native sidecar, which only its pod's spec says in the API.
    #[serde(skip)]
    pub sidecar: bool,
}

/// What a container does; at most one is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct State {
    /// Not yet, or not now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// It runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Run>,
    /// It ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<Terminated>,
}

/// Why a container doesn't run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Such as `CrashLoopBackOff`.
    pub reason: &'static str,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Since when a container runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Since then.
    pub started_at: Time,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Terminated {
    /// Exit code.
    pub exit_code: i32,
    /// The signal that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `StartError` …
    pub reason: &'static str,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was started.
    pub started_at: Time,
    /// When it ended.
    pub finished_at: Time,
    /// The runtime's id.
    #[serde(rename = "containerID")]
    pub container_id: String,
}

/// A time, to the second, as the API writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl Time {
    /// This instant.
    #[must_use]
    pub fn now() -> Self {
        Self(Timestamp::now())
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

impl PodStatus {
    /// Whether the pod takes requests.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.conditions.iter().any(|c| c.kind == "Ready" && c.status == "True")
    }

    /// One container's status.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        let all = self.init_container_statuses.iter().chain(&self.container_statuses);
        all.into_iter().find(|c| c.name == name)
    }

    /// Restarts of all containers that are shown by `kubectl get pods`.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        let all = self.init_container_statuses.iter().chain(&self.container_statuses);
        all.map(|c| c.restart_count).sum()
    }
}
