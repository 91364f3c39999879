//! A pod as the kubelet reads it. Unknown fields are errors: see [`super::accepted`] for those
//! that may be there and do nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::volume::{Volume, VolumeMount};

/// A pod, and the object that it was read from.
#[derive(Debug, Clone)]
pub struct Pod {
    /// Name, namespace, labels …
    pub metadata: Metadata,
    /// What to run.
    pub spec: PodSpec,
    /// As it was handed over.
    pub raw: Value,
}

/// What the lab reads of an object's metadata.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Name.
    pub name: String,
    /// Namespace; `default` where it is missing.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Unique id; the lab gives one where it is missing.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

fn default_namespace() -> String {
    "default".to_owned()
}

/// `spec` of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodSpec {
    /// Containers that start one after another, native sidecars among them.
    pub init_containers: Vec<Container>,
    /// Containers.
    pub containers: Vec<Container>,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// What happens to containers that end.
    pub restart_policy: RestartPolicy,
    /// Seconds between SIGTERM and SIGKILL.
    pub termination_grace_period_seconds: Option<u64>,
    /// For all containers.
    pub security_context: PodSecurity,
    /// In the node's network instead of its own.
    pub host_network: bool,
    /// Host name; the pod's name where it is missing.
    pub hostname: Option<String>,
    /// Domain below the namespace's.
    pub subdomain: Option<String>,
    /// Lines of `/etc/hosts`.
    pub host_aliases: Vec<HostAlias>,
    /// Name of its account: only shown.
    pub service_account_name: Option<String>,
    /// Name of its node: only shown.
    pub node_name: Option<String>,
}

/// A line of `/etc/hosts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostAlias {
    /// Address.
    pub ip: String,
    /// Names.
    #[serde(default)]
    pub hostnames: Vec<String>,
}

/// What happens to a container that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum RestartPolicy {
    /// It is started again.
    #[default]
    Always,
    /// It is started again unless it ended with code 0.
    OnFailure,
    /// It stays ended.
    Never,
}

/// A container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Image, which the lab maps to a program.
    pub image: String,
    /// Instead of the image's entrypoint.
    pub command: Vec<String>,
    /// Instead of the image's arguments.
    pub args: Vec<String>,
    /// Working directory.
    pub working_dir: Option<String>,
    /// Variables.
    pub env: Vec<EnvVar>,
    /// Variables from ConfigMaps and Secrets.
    pub env_from: Vec<EnvFrom>,
    /// Ports, by which probes and Services may name them.
    pub ports: Vec<ContainerPort>,
    /// Requests and limits; read by `resourceFieldRef` only.
    pub resources: Value,
    /// Where volumes are.
    pub volume_mounts: Vec<VolumeMount>,
    /// Whether it lives.
    pub liveness_probe: Option<Probe>,
    /// Whether it takes requests.
    pub readiness_probe: Option<Probe>,
    /// Whether it has started.
    pub startup_probe: Option<Probe>,
    /// Hooks.
    pub lifecycle: Lifecycle,
    /// Who it is.
    pub security_context: Security,
    /// `Always` makes an init container a native sidecar.
    pub restart_policy: Option<String>,
}

impl Container {
    /// An init container that goes on running.
    #[must_use]
    pub fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    /// A port by number or by name.
    #[must_use]
    pub fn port(&self, port: &Port) -> Option<u16> {
        match port {
            Port::Number(number) => Some(*number),
            Port::Name(name) => match self.ports.iter().find(|p| p.name.as_ref() == Some(name)) {
                Some(port) => Some(port.container_port),
                None => name.parse().ok(),
            },
        }
    }
}

/// A port of a container.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerPort {
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Number.
    pub container_port: u16,
    /// TCP or UDP.
    #[serde(default)]
    pub protocol: Option<String>,
}

/// A port by number or by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// Its number.
    Number(u16),
    /// The name of a container's port.
    Name(String),
}

/// A variable.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// Name.
    pub name: String,
    /// Value, in which `$(NAME)` stands for an earlier one.
    #[serde(default)]
    pub value: Option<String>,
    /// Where the value comes from instead.
    #[serde(default)]
    pub value_from: Option<Lookup>,
}

/// Where a value comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Lookup {
    /// A field of the pod.
    #[serde(rename_all = "camelCase")]
    FieldRef {
        /// Such as `metadata.name`.
        field_path: String,
        /// `v1`.
        #[serde(default)]
        api_version: Option<String>,
    },
    /// A container's request or limit.
    #[serde(rename_all = "camelCase")]
    ResourceFieldRef {
        /// Such as `limits.cpu`.
        resource: String,
        /// The unit it is counted in.
        #[serde(default)]
        divisor: Option<Value>,
        /// Another container.
        #[serde(default)]
        container_name: Option<String>,
    },
    /// A key of a ConfigMap.
    ConfigMapKeyRef {
        /// Its name.
        name: String,
        /// The key.
        key: String,
        /// It may be missing.
        #[serde(default)]
        optional: bool,
    },
    /// A key of a Secret.
    SecretKeyRef {
        /// Its name.
        name: String,
        /// The key.
        key: String,
        /// It may be missing.
        #[serde(default)]
        optional: bool,
    },
}

/// All keys of a ConfigMap or Secret as variables.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvFrom {
    /// Put before each name.
    #[serde(default)]
    pub prefix: String,
    /// A ConfigMap.
    #[serde(default)]
    pub config_map_ref: Option<NamedRef>,
    /// A Secret.
    #[serde(default)]
    pub secret_ref: Option<NamedRef>,
}

/// A ConfigMap or Secret by name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRef {
    /// Its name.
    pub name: String,
    /// It may be missing.
    #[serde(default)]
    pub optional: bool,
}

/// A probe, with Kubernetes' defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Probe {
    /// An HTTP request.
    pub http_get: Option<HttpGet>,
    /// A connection.
    pub tcp_socket: Option<TcpSocket>,
    /// A command in the container.
    pub exec: Option<ExecAction>,
    /// gRPC's health check: refused by the lab, by name.
    pub grpc: Option<Grpc>,
    /// Before the first.
    pub initial_delay_seconds: u64,
    /// Between two; 10.
    pub period_seconds: Option<u64>,
    /// What one may take; 1.
    pub timeout_seconds: Option<u64>,
    /// Successes in a row that count; 1.
    pub success_threshold: Option<u32>,
    /// Failures in a row that count; 3.
    pub failure_threshold: Option<u32>,
    /// Instead of the pod's grace period.
    pub termination_grace_period_seconds: Option<u64>,
}

/// An HTTP request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpGet {
    /// Path; `/` where it is missing.
    #[serde(default)]
    pub path: Option<String>,
    /// Port.
    pub port: Port,
    /// Another host than the pod.
    #[serde(default)]
    pub host: Option<String>,
    /// HTTP; HTTPS is refused by the lab.
    #[serde(default)]
    pub scheme: Option<String>,
    /// Headers.
    #[serde(default)]
    pub http_headers: Vec<Sysctl>,
}

/// A connection.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSocket {
    /// Port.
    pub port: Port,
    /// Another host than the pod.
    #[serde(default)]
    pub host: Option<String>,
}

/// A command in the container.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecAction {
    /// Its words.
    pub command: Vec<String>,
}

/// gRPC's health check.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Port.
    pub port: u16,
    /// Service that is asked for.
    #[serde(default)]
    pub service: Option<String>,
}

/// Hooks of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Lifecycle {
    /// Runs when the container was started; the next one waits for it.
    pub post_start: Option<Hook>,
    /// Runs before it is asked to end.
    pub pre_stop: Option<Hook>,
}

/// A hook.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Hook {
    /// A command in the container.
    pub exec: Option<ExecAction>,
    /// An HTTP request.
    pub http_get: Option<HttpGet>,
    /// Does nothing, in Kubernetes too.
    pub tcp_socket: Option<TcpSocket>,
    /// Waits.
    pub sleep: Option<Sleep>,
}

/// A pause.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sleep {
    /// How long.
    pub seconds: u64,
}

/// `securityContext` of a pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodSecurity {
    /// User.
    pub run_as_user: Option<u32>,
    /// Group.
    pub run_as_group: Option<u32>,
    /// Refuse to run as root.
    pub run_as_non_root: Option<bool>,
    /// More groups.
    pub supplemental_groups: Vec<u32>,
    /// Group of volumes.
    pub fs_group: Option<u32>,
    /// Kernel settings of the pod's namespaces.
    pub sysctls: Vec<Sysctl>,
}

/// A name and a value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// `securityContext` of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Security {
    /// User.
    pub run_as_user: Option<u32>,
    /// Group.
    pub run_as_group: Option<u32>,
    /// Refuse to run as root.
    pub run_as_non_root: Option<bool>,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// All capabilities.
    pub privileged: Option<bool>,
    /// `false`: nothing that is executed gains a privilege.
    pub allow_privilege_escalation: Option<bool>,
    /// The container's own files can't be written.
    pub read_only_root_filesystem: Option<bool>,
}

/// Capabilities beside the runtime's default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// More.
    pub add: Vec<String>,
    /// Fewer; `ALL` for none.
    pub drop: Vec<String>,
}

impl Pod {
    /// Reads a pod.
    ///
    /// # Errors
    /// A field that the lab can't carry out, or one that is wrong, with its path.
    pub fn read(raw: Value) -> anyhow::Result<Self> {
        let mut metadata: Metadata = serde_path_to_error::deserialize(&raw["metadata"])
            .map_err(|e| anyhow::anyhow!("metadata.{}: {}", e.path(), e.inner()))?;
        if metadata.namespace.is_empty() {
            metadata.namespace = default_namespace();
        }
        let mut stripped = raw["spec"].clone();
        super::accepted::strip(&mut stripped);
        super::volume::check(&stripped["volumes"])?;
        let spec: PodSpec = serde_path_to_error::deserialize(&stripped).map_err(|e| {
            anyhow::anyhow!("spec.{}: {}: the lab can't carry that out", e.path(), e.inner())
        })?;
        let pod = Pod { metadata, spec, raw };
        pod.check()?;
        Ok(pod)
    }

    /// What an API server would have refused, and what can't be done here.
    fn check(&self) -> anyhow::Result<()> {
        if self.spec.containers.is_empty() {
            bail!("spec.containers: a pod has at least one");
        }
        let mut names = std::collections::BTreeSet::new();
        let init = self.spec.init_containers.iter().map(|c| ("initContainers", c));
        for (list, c) in init.chain(self.spec.containers.iter().map(|c| ("containers", c))) {
            let place = format!("spec.{list}[{}]", c.name);
            if c.name.is_empty() || !names.insert(&c.name) {
                bail!("{place}: every container has a name of its own");
            }
            match (&c.restart_policy, list) {
                (None, _) => {}
                (Some(p), "initContainers") if p == "Always" => {}
                (Some(p), _) => bail!("{place}.restartPolicy: {p} is not supported"),
            }
            if list == "initContainers"
                && !c.is_sidecar()
                && (c.liveness_probe.is_some()
                    || c.readiness_probe.is_some()
                    || c.startup_probe.is_some()
                    || c.lifecycle.post_start.is_some()
                    || c.lifecycle.pre_stop.is_some())
            {
                bail!("{place}: an init container has neither probes nor hooks");
            }
            for (name, probe) in [
                ("startupProbe", &c.startup_probe),
                ("livenessProbe", &c.liveness_probe),
                ("readinessProbe", &c.readiness_probe),
            ] {
                if let Some(probe) = probe {
                    check_probe(c, probe).with_context(|| format!("{place}.{name}"))?;
                }
            }
            for mount in &c.volume_mounts {
                if !self.spec.volumes.iter().any(|v| v.name == mount.name) {
                    bail!("{place}.volumeMounts: there is no volume {}", mount.name);
                }
            }
        }
        Ok(())
    }
}

fn check_probe(container: &Container, probe: &Probe) -> anyhow::Result<()> {
    if probe.grpc.is_some() {
        bail!("grpc: the lab has no gRPC probes");
    }
    let port = match (&probe.http_get, &probe.tcp_socket, &probe.exec) {
        (Some(get), None, None) => {
            if get.scheme.as_deref().is_some_and(|s| !s.eq_ignore_ascii_case("http")) {
                bail!("httpGet.scheme: the lab probes over HTTP only");
            }
            Some(&get.port)
        }
        (None, Some(tcp), None) => Some(&tcp.port),
        (None, None, Some(_)) => None,
        _ => bail!("a probe has one of httpGet, tcpSocket and exec"),
    };
    if let Some(port) = port
        && container.port(port).is_none()
    {
        bail!("the container has no port of this name");
    }
    Ok(())
}

/// For messages and exports: which pod is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PodName {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id.
    pub uid: String,
}
