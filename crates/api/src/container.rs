//! Containers with fixed names, and the proxy's identity.

/// The sidecar (or the gateway's only container).
pub const PROXY: &str = "istio-proxy";
/// The init container that sets up capture.
pub const INIT: &str = "istio-init";
/// The init container that checks, under CNI, that capture is there.
pub const VALIDATION: &str = "istio-validation";
/// Vault agent's init container.
pub const VAULT_AGENT_INIT: &str = "vault-agent-init";
/// uid and gid of the proxy, which capture lets through.
pub const PROXY_UID: u32 = 1337;
