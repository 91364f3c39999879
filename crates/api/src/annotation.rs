//! Annotations of Istio, Vault and ourselves that decide something here.

/// ProxyConfig of one pod: YAML or JSON inside a string.
pub const PROXY_CONFIG: &str = "proxy.istio.io/config";
/// The key of ProxyConfig that holds the application back until the proxy is ready.
pub const HOLD: &str = "holdApplicationUntilProxyStarts";
/// `"true"`/`"false"`: the sidecar as a native one (Istio ≥ 1.24).
pub const NATIVE_SIDECAR: &str = "sidecar.istio.io/nativeSidecar";
/// What the injector did: JSON with `initContainers`, `containers`, `revision` …
pub const STATUS: &str = "sidecar.istio.io/status";
/// Old form of the label of the same name: can opt out, cannot opt in.
pub const INJECT: &str = "sidecar.istio.io/inject";
/// Which injection templates a pod asks for; `gateway` makes it a gateway.
pub const TEMPLATES: &str = "inject.istio.io/templates";
/// `REDIRECT`, `TPROXY` or `NONE`.
pub const INTERCEPTION_MODE: &str = "sidecar.istio.io/interceptionMode";
/// CIDRs that are not captured, comma separated.
pub const EXCLUDE_OUTBOUND_RANGES: &str = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
/// CIDRs that are captured, comma separated; `*` is all.
pub const INCLUDE_OUTBOUND_RANGES: &str = "traffic.sidecar.istio.io/includeOutboundIPRanges";
/// Ports that are not captured, comma separated.
pub const EXCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
/// Ports that are captured whatever their address, comma separated.
pub const INCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeOutboundPorts";
/// The proxy gets `CAP_NET_BIND_SERVICE` (and uid 0).
pub const CAP_NET_BIND_SERVICE: &str = "sidecar.istio.io/capNetBindService";
/// Asks Vault's injector for an agent.
pub const VAULT_INJECT: &str = "vault.hashicorp.com/agent-inject";
/// Puts `vault-agent-init` first among the init containers.
pub const VAULT_INIT_FIRST: &str = "vault.hashicorp.com/agent-init-first";
/// The Vault server that the agent talks to.
pub const VAULT_SERVICE: &str = "vault.hashicorp.com/service";
/// The uid of Vault's agent containers (default 100).
pub const VAULT_RUN_AS_USER: &str = "vault.hashicorp.com/agent-run-as-user";
/// The gid of Vault's agent containers (default 1000).
pub const VAULT_RUN_AS_GROUP: &str = "vault.hashicorp.com/agent-run-as-group";
/// Findings of `sunup doctor` to live with: `RULE: REASON`.
pub const IGNORE: &str = "sunup.dev/ignore";
/// When `kubectl rollout restart` last touched a pod template.
pub const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
/// The proxy's CPU request. Any of these four puts all of the mesh's defaults out of force.
pub const PROXY_CPU: &str = "sidecar.istio.io/proxyCPU";
/// The proxy's memory request.
pub const PROXY_MEMORY: &str = "sidecar.istio.io/proxyMemory";
/// The proxy's CPU limit.
pub const PROXY_CPU_LIMIT: &str = "sidecar.istio.io/proxyCPULimit";
/// The proxy's memory limit.
pub const PROXY_MEMORY_LIMIT: &str = "sidecar.istio.io/proxyMemoryLimit";
/// The proxy's image: a name, or a whole reference.
pub const PROXY_IMAGE: &str = "sidecar.istio.io/proxyImage";
/// Whether HTTP probes are led through the agent.
pub const REWRITE_PROBES: &str = "sidecar.istio.io/rewriteAppHTTPProbers";
/// On the mirror of a static pod: the uid by which its node knows it, a hash of its manifest.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
/// What a node agent may do about a pod's start: `stand-in` vouches for its proxy, `gate` asks for
/// the gate alone, `off` for nothing.
pub const NODE_GATE: &str = "sunup.dev/node-gate";
