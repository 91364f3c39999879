//! Kubernetes objects, reduced to the fields that rules read.
//!
//! Reading is lenient: unknown fields are passed over, absent ones take their zero value, and a
//! field of the wrong type is an error that names it. Nothing here fetches or writes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::gap::Collection;
use crate::record::{Event, Place};

/// String maps: labels, annotations, data.
pub type Map = BTreeMap<String, String>;

/// Where an object came from, and whether that place is the user's to edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// File (as reported) and line where the document begins.
    pub place: Place,
    /// The file on disk; `None` inside archives, for standard input and for a cluster.
    pub path: Option<PathBuf>,
    /// Index of the document in a multi-document file, from 0.
    pub document: usize,
    /// Index in `items`, where the document is a List.
    pub item: Option<usize>,
    /// What kind of source it is.
    pub origin: Origin,
    /// The whole file's text, shared by its documents, for [`Origin::Plain`],
    /// [`Origin::Template`] and [`Origin::Kustomize`] files: a fix is shown as a diff of it.
    pub text: Option<Arc<str>>,
    /// Whether every document of that text could be read.
    pub sound: bool,
}

/// What kind of source an object was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A plain manifest of the user's: may be edited.
    Plain,
    /// Printed by a cluster (`kubectl get -o …`: uid, resourceVersion or status): evidence, never
    /// edited.
    Export,
    /// A Helm (Go) template whose first action stands on this line, and which could be read as
    /// YAML all the same. One that can't goes to `Collector::template`.
    Template(u64),
    /// Rendered by Helm (`# Source: chart/templates/…` or `managed-by: Helm`): the values are the
    /// source.
    HelmRendered,
    /// A resource or patch of a kustomization (the file that lists it), or output of one.
    Kustomize(Arc<str>),
    /// Member of an archive, or standard input: nothing to write to.
    NotAFile,
}

/// Name, labels, annotations and owners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Name; empty for pod templates.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// `generateName`, where the name is still to be made.
    pub generate_name: Option<String>,
    /// Namespace, where given.
    pub namespace: Option<String>,
    /// Labels.
    #[serde(deserialize_with = "text_map")]
    pub labels: Map,
    /// Annotations.
    #[serde(deserialize_with = "text_map")]
    pub annotations: Map,
    /// Owners.
    #[serde(deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerReference>,
    /// Set by the API server only.
    pub uid: Option<String>,
    /// Set by the API server only.
    pub resource_version: Option<String>,
    /// Set by the API server only, RFC 3339.
    pub creation_timestamp: Option<String>,
    /// Set while an object is being deleted.
    pub deletion_timestamp: Option<String>,
}

/// An owner of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// The managing owner.
    pub controller: Option<bool>,
}

/// A pod as the API server has it, or as a manifest writes it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pod {
    /// Metadata.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: PodSpec,
    /// What became of it; empty in manifests.
    #[serde(deserialize_with = "nullable")]
    pub status: PodStatus,
}

/// What a workload makes pods from.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodTemplate {
    /// The pods' metadata.
    #[serde(deserialize_with = "nullable")]
    pub metadata: Meta,
    /// The pods' spec.
    #[serde(deserialize_with = "nullable")]
    pub spec: PodSpec,
}

/// An object with a pod template: Deployment, StatefulSet, DaemonSet, ReplicaSet,
/// ReplicationController, Job, CronJob, Argo Rollout, Knative Service and the like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Workload {
    /// `Deployment` …
    pub kind: String,
    /// `apps/v1` …
    pub api_version: String,
    /// Metadata.
    pub metadata: Meta,
    /// The template.
    pub template: PodTemplate,
    /// Field path from the object to the template: `spec.template`, `spec.jobTemplate.spec.template`.
    pub template_path: Vec<&'static str>,
    /// `spec.selector.matchLabels`, or a ReplicationController's `spec.selector`.
    pub selector: Map,
    /// `status.conditions`: `ReplicaFailure` says why no pod could be made.
    pub conditions: Vec<Condition>,
}

/// The containers and what they share.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// Init containers in order, native sidecars among them.
    #[serde(deserialize_with = "nullable")]
    pub init_containers: Vec<Container>,
    /// Containers in order.
    #[serde(deserialize_with = "nullable")]
    pub containers: Vec<Container>,
    /// Pod-level security context.
    #[serde(deserialize_with = "nullable")]
    pub security_context: PodSecurityContext,
    /// In the node's network.
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
    /// Node it was bound to.
    pub node_name: Option<String>,
    /// `Always` (default), `OnFailure`, `Never`.
    pub restart_policy: Option<String>,
    /// `ClusterFirst` (default), `Default`, `None` …
    pub dns_policy: Option<String>,
    /// Service account.
    pub service_account_name: Option<String>,
    /// Seconds between the request to end and the kill; 30 where absent.
    pub termination_grace_period_seconds: Option<i64>,
    /// Volumes.
    #[serde(deserialize_with = "nullable")]
    pub volumes: Vec<Volume>,
}

/// A volume, by the ConfigMap in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Volume {
    /// Name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// The ConfigMap whose entries are its files.
    pub config_map: Option<ConfigMapVolume>,
}

/// A ConfigMap as a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ConfigMapVolume {
    /// Name of the ConfigMap.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
}

/// A volume where a container sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct VolumeMount {
    /// Name of the volume.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
}

/// One container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// Name.
    #[serde(deserialize_with = "nullable")]
    pub name: String,
    /// Image.
    #[serde(deserialize_with = "nullable")]
    pub image: String,
    /// Entrypoint.
    #[serde(deserialize_with = "nullable")]
    pub command: Vec<String>,
    /// Arguments.
    #[serde(deserialize_with = "nullable")]
    pub args: Vec<String>,
    /// Environment.
    #[serde(deserialize_with = "nullable")]
    pub env: Vec<EnvVar>,
    /// Declared ports.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<ContainerPort>,
    /// Security context.
    #[serde(deserialize_with = "nullable")]
    pub security_context: SecurityContext,
    /// Hooks.
    #[serde(deserialize_with = "nullable")]
    pub lifecycle: Lifecycle,
    /// `Always` on an init container makes it a native sidecar.
    pub restart_policy: Option<String>,
    /// Whether a startup probe is there.
    pub startup_probe: Option<Probe>,
    /// Readiness probe.
    pub readiness_probe: Option<Probe>,
    /// Liveness probe.
    pub liveness_probe: Option<Probe>,
    /// What it may use.
    #[serde(deserialize_with = "nullable")]
    pub resources: Resources,
    /// Volumes that it sees.
    #[serde(deserialize_with = "nullable")]
    pub volume_mounts: Vec<VolumeMount>,
}

impl Container {
    /// Whether it is an init container that keeps running beside the others.
    #[must_use]
    pub fn is_native_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    /// The value of an environment variable given literally.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<&str> {
        self.env.iter().find(|e| e.name == name).and_then(|e| e.value.as_deref())
    }
}

/// Requests and limits of a container, as quantities (`128Mi`, `2`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Limits by resource.
    #[serde(deserialize_with = "text_map")]
    pub limits: Map,
    /// Requests by resource.
    #[serde(deserialize_with = "text_map")]
    pub requests: Map,
}

/// An environment variable.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Literal value; `None` where it comes from elsewhere.
    #[serde(deserialize_with = "text")]
    pub value: Option<String>,
}

/// A declared port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerPort {
    /// Name.
    pub name: Option<String>,
    /// Number.
    pub container_port: u32,
    /// `TCP` where absent.
    pub protocol: Option<String>,
    /// Port of the node.
    pub host_port: Option<u32>,
}

/// Hooks of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Lifecycle {
    /// Runs after the start; the kubelet starts the next container only when it is done.
    pub post_start: Option<Probe>,
    /// Runs before the end.
    pub pre_stop: Option<Probe>,
}

/// A probe or a hook: what it calls, and how often.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Probe {
    /// A command.
    pub exec: Option<Exec>,
    /// An HTTP request.
    pub http_get: Option<HttpGet>,
    /// A TCP connection.
    pub tcp_socket: Option<TcpSocket>,
    /// Seconds between probes; 10 where absent.
    pub period_seconds: Option<u32>,
    /// Seconds before the first probe.
    pub initial_delay_seconds: Option<u32>,
    /// Failures until it counts.
    pub failure_threshold: Option<u32>,
}

/// A command.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Exec {
    /// Program and arguments.
    #[serde(deserialize_with = "nullable")]
    pub command: Vec<String>,
}

/// An HTTP request of a probe.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HttpGet {
    /// Path.
    pub path: Option<String>,
    /// Port.
    pub port: Option<IntOrString>,
    /// `HTTP` where absent.
    pub scheme: Option<String>,
}

/// A TCP connection of a probe.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct TcpSocket {
    /// Port.
    pub port: Option<IntOrString>,
}

/// A number, or a name that stands for one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(u32),
    /// A name.
    Name(String),
}

/// Pod-level security context.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSecurityContext {
    /// Default uid of the containers.
    pub run_as_user: Option<i64>,
    /// Default gid of the containers.
    pub run_as_group: Option<i64>,
    /// Refuse uid 0.
    pub run_as_non_root: Option<bool>,
    /// Group that owns the volumes.
    pub fs_group: Option<i64>,
    /// Which system calls the containers may make.
    pub seccomp_profile: Option<SeccompProfile>,
    /// Namespaced kernel settings.
    #[serde(deserialize_with = "nullable")]
    pub sysctls: Vec<Sysctl>,
}

/// A filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct SeccompProfile {
    /// `RuntimeDefault`, `Localhost`, `Unconfined`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A namespaced kernel setting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Sysctl {
    /// Name.
    pub name: String,
    /// Value, a string by the API's type.
    #[serde(deserialize_with = "text")]
    pub value: Option<String>,
}

/// Security context of one container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecurityContext {
    /// uid.
    pub run_as_user: Option<i64>,
    /// gid.
    pub run_as_group: Option<i64>,
    /// Refuse uid 0.
    pub run_as_non_root: Option<bool>,
    /// Which system calls it may make.
    pub seccomp_profile: Option<SeccompProfile>,
    /// Capabilities.
    #[serde(deserialize_with = "nullable")]
    pub capabilities: Capabilities,
}

/// Capabilities of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Added.
    #[serde(deserialize_with = "nullable")]
    pub add: Vec<String>,
    /// Dropped.
    #[serde(deserialize_with = "nullable")]
    pub drop: Vec<String>,
}

/// What became of a pod.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`.
    pub phase: Option<String>,
    /// Why it failed: `SysctlForbidden`, `Evicted` …
    pub reason: Option<String>,
    /// In words.
    pub message: Option<String>,
    /// When the kubelet took it, RFC 3339.
    pub start_time: Option<String>,
    /// The pod's address.
    #[serde(rename = "podIP")]
    pub pod_ip: Option<String>,
    /// The pod's addresses of both families.
    #[serde(rename = "podIPs", deserialize_with = "nullable")]
    pub pod_ips: Vec<PodIp>,
    /// Conditions.
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition>,
    /// Of the init containers.
    #[serde(deserialize_with = "nullable")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Of the containers.
    #[serde(deserialize_with = "nullable")]
    pub container_statuses: Vec<ContainerStatus>,
}

impl PodStatus {
    /// The status of a container or init container.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.init_container_statuses.iter().chain(&self.container_statuses).find(|s| s.name == name)
    }
}

/// An address of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// A condition of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Condition {
    /// `Initialized`, `Ready`, `ContainersReady`, `PodScheduled`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// RFC 3339.
    pub last_transition_time: Option<String>,
    /// One word.
    pub reason: Option<String>,
    /// In words.
    pub message: Option<String>,
}

/// What became of a container.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Name.
    pub name: String,
    /// Passing its readiness probe now.
    pub ready: bool,
    /// Passed its startup probe, or has none.
    pub started: Option<bool>,
    /// How often it was started again.
    pub restart_count: u32,
    /// Now.
    #[serde(deserialize_with = "nullable")]
    pub state: ContainerState,
    /// Before.
    #[serde(deserialize_with = "nullable")]
    pub last_state: ContainerState,
}

/// State of a container: at most one of these.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// Not yet, or not any more.
    pub waiting: Option<Waiting>,
    /// Running.
    pub running: Option<Running>,
    /// Ended.
    pub terminated: Option<Terminated>,
}

/// A container that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// `PodInitializing`, `CrashLoopBackOff` …
    pub reason: Option<String>,
    /// In words.
    pub message: Option<String>,
}

/// A container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Running {
    /// RFC 3339, one second.
    pub started_at: Option<String>,
}

/// A container that ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// Exit code.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled` …
    pub reason: Option<String>,
    /// In words, or the tail of the log.
    pub message: Option<String>,
    /// RFC 3339, one second.
    pub started_at: Option<String>,
    /// RFC 3339, one second.
    pub finished_at: Option<String>,
}

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Metadata.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: ServiceSpec,
}

/// Spec of a Service.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServiceSpec {
    /// `ClusterIP` where absent.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The virtual address; `None` text for headless ones.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<String>,
    /// All virtual addresses.
    #[serde(rename = "clusterIPs", deserialize_with = "nullable")]
    pub cluster_ips: Vec<String>,
    /// Name outside the cluster.
    pub external_name: Option<String>,
    /// Labels of its pods.
    #[serde(deserialize_with = "text_map")]
    pub selector: Map,
    /// Ports.
    #[serde(deserialize_with = "nullable")]
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Name.
    pub name: Option<String>,
    /// The Service's port.
    pub port: u32,
    /// The pods' port; `port` where absent.
    pub target_port: Option<IntOrString>,
    /// `TCP` where absent.
    pub protocol: Option<String>,
}

/// Addresses behind a Service (Endpoints or EndpointSlice, flattened).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Namespace of the Service.
    pub namespace: Option<String>,
    /// Name of the Service.
    pub service: String,
    /// Addresses.
    pub addresses: Vec<String>,
}

/// A Node, by what it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NodeInfo {
    /// `containerd://2.0.1`, `cri-o://1.31.0`, `docker://…`.
    pub container_runtime_version: String,
    /// `5.15.0-…`.
    pub kernel_version: String,
    /// `v1.33.1-gke.…`.
    pub kubelet_version: String,
}

/// An Istio Gateway (`networking.istio.io`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Metadata.
    pub metadata: Meta,
    /// Labels of the gateway's pods.
    pub selector: Map,
    /// Server ports.
    pub ports: Vec<u32>,
}

/// A NetworkPolicy, by what it lets out of pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Metadata.
    pub metadata: Meta,
    /// Labels of its pods, none for all; `None` where it selects by more than equal labels.
    pub selector: Option<Map>,
    /// For each rule the ports (from, to) that it lets out, empty for all; `None` where the policy
    /// says nothing of what goes out.
    pub egress: Option<Vec<Vec<(u32, u32)>>>,
    /// Whom each rule lets in; `None` where the policy says nothing of what comes in.
    pub ingress: Option<Vec<Peers>>,
}

/// Whom a rule of a policy is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Everybody.
    Anyone,
    /// These blocks of addresses, each without some within it; and pods, which are no matter here.
    Blocks(Vec<(String, Vec<String>)>),
}

impl NetworkPolicy {
    /// Whether it selects pods with these labels, as far as that can be told.
    #[must_use]
    pub fn selects(&self, labels: &Map) -> bool {
        let all = self.selector.as_ref();
        all.is_some_and(|all| all.iter().all(|(key, value)| labels.get(key) == Some(value)))
    }

    /// Whether a rule of it lets this address in, at some port.
    #[must_use]
    pub fn lets_in(&self, address: IpAddr) -> bool {
        let lets = |peers: &Peers| match peers {
            Peers::Anyone => true,
            Peers::Blocks(blocks) => blocks.iter().any(|(block, except)| {
                holds(block, address) && !except.iter().any(|hole| holds(hole, address))
            }),
        };
        self.ingress.as_ref().is_none_or(|rules| rules.iter().any(lets))
    }

    /// Whether no rule of it may let this port out, to whomever.
    #[must_use]
    pub fn keeps_in(&self, port: u32) -> bool {
        let lets = |rule: &Vec<(u32, u32)>| {
            rule.is_empty() || rule.iter().any(|(from, to)| (*from..=*to).contains(&port))
        };
        self.egress.as_ref().is_some_and(|rules| !rules.iter().any(lets))
    }
}

/// Whether a block in CIDR form holds an address; none does that cannot be read.
fn holds(block: &str, address: IpAddr) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let Some((first, length)) = block.trim().split_once('/') else { return false };
    let (Ok(first), Ok(length)) = (first.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let ((first, width), (address, own)) = (bits(first), bits(address));
    // All 128 bits shifted away: a block of length 0.
    let differ = (first ^ address).checked_shr(128 - length.min(128)).unwrap_or(0);
    width == own && length <= width && differ == 0
}

/// A mutating webhook configuration, by what decides order and effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookConfiguration {
    /// Metadata: Kubernetes calls configurations in the order of their names.
    pub metadata: Meta,
    /// Names of its webhooks, in order.
    pub webhooks: Vec<String>,
    /// `reinvocationPolicy` of each.
    pub reinvocation: Vec<Option<String>>,
}

/// An object that a rule may read.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A pod.
    Pod(Box<Pod>),
    /// Something with a pod template.
    Workload(Box<Workload>),
    /// A Service.
    Service(Box<Service>),
    /// Addresses behind a Service.
    Endpoints(Endpoints),
    /// A Node: name and what it runs.
    Node(Box<Meta>, NodeInfo),
    /// A Namespace, for its labels.
    Namespace(Box<Meta>),
    /// A ConfigMap.
    ConfigMap(Box<Meta>, Map),
    /// An Istio Gateway.
    Gateway(Box<Gateway>),
    /// A NetworkPolicy.
    Policy(Box<NetworkPolicy>),
    /// A mutating webhook configuration.
    Webhooks(Box<WebhookConfiguration>),
    /// An IstioOperator: its spec as it stands.
    IstioOperator(Box<Meta>, Value),
    /// An event.
    Event(Box<Event>),
    /// What a collector says of what it collected.
    Collection(Collection),
    /// Anything else: kind, metadata.
    Other(String, Box<Meta>),
}

/// `null` is the same as absent, as the API server sees it.
pub(crate) fn nullable<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

/// Hand-written manifests give numbers and booleans where the API wants strings; for reading
/// evidence the text is what counts.
fn text<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Value>::deserialize(d)?.and_then(plain_text))
}

pub(crate) fn text_map<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Map, D::Error> {
    let map = Option::<BTreeMap<String, Value>>::deserialize(d)?.unwrap_or_default();
    Ok(map.into_iter().filter_map(|(k, v)| plain_text(v).map(|v| (k, v))).collect())
}

fn plain_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s),
        other => Some(other.to_string()),
    }
}
