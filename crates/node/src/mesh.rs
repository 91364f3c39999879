//! Meshes by the proxy's container: where capture leads, and whether the proxy shares its ports.
//!
//! A table with sources; what a pod's own settings change is no part of it.

use sunup_api::{container, port};

use crate::pod::{Container, Pod};

/// Whether a proxy binds its capture ports with `SO_REUSEPORT` on the wildcard address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Since Envoy 1.20, which is Istio 1.12.
    SinceEnvoy120,
    /// Never: a stand-in would make its own bind fail.
    Never,
}

/// One mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mesh {
    /// What it is called.
    pub name: &'static str,
    /// Name of the proxy's container.
    pub container: &'static str,
    /// Port of outbound capture.
    pub outbound: u16,
    /// Port of inbound capture.
    pub inbound: u16,
    /// Port of DNS capture, where the mesh has it.
    pub dns: Option<u16>,
    /// Whether it shares its ports.
    pub sharing: Sharing,
}

/// Every mesh that is known.
///
/// # Sources
/// Istio: <https://istio.io/latest/docs/ops/deployment/application-requirements/#ports-used-by-istio>;
/// Envoy `enable_reuse_port`, on by default since 1.20 (`docs/root/version_history/v1.20.0.rst`).
/// Linkerd: `proxy.ports.outbound` 4140 and `inbound` 4143 of its chart; linkerd2-proxy's
/// `linkerd/proxy/transport/src/listen.rs` sets no `SO_REUSEPORT`.
/// Kuma: `pkg/config/plugins/runtime/k8s/config.go`, redirect ports 15001 and 15006; its listeners
/// say `enableReusePort: false` (goldens of `pkg/xds/envoy/listeners`).
/// Consul: `agent/xds/listeners.go`, outbound listener 127.0.0.1:15001, inbound 20000: not the
/// wildcard address, hence another reuseport group than a stand-in's.
pub const MESHES: [Mesh; 4] = [
    Mesh {
        name: "istio",
        container: container::PROXY,
        outbound: port::OUTBOUND,
        inbound: port::INBOUND,
        dns: Some(port::DNS),
        sharing: Sharing::SinceEnvoy120,
    },
    Mesh {
        name: "linkerd",
        container: "linkerd-proxy",
        outbound: 4140,
        inbound: 4143,
        dns: None,
        sharing: Sharing::Never,
    },
    Mesh {
        name: "kuma",
        container: "kuma-sidecar",
        outbound: 15001,
        inbound: 15006,
        dns: Some(15053),
        sharing: Sharing::Never,
    },
    Mesh {
        name: "consul",
        container: "consul-dataplane",
        outbound: 15001,
        inbound: 20000,
        dns: None,
        sharing: Sharing::Never,
    },
];

/// The mesh of a pod, with its proxy's container.
#[must_use]
pub fn of(pod: &Pod) -> Option<(&'static Mesh, &Container)> {
    MESHES.iter().find_map(|mesh| Some((mesh, pod.container(mesh.container)?)))
}
